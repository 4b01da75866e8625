"""The flow of `./prime`, from the command line to a ready environment, as a table of contents.

Each function is a state; its parameters name the states it needs. The order below is the order in which a cold start
reaches them.
"""

import os
import time

from protoprimer.backends.base import Backend
from protoprimer.cli import CommandLine, parse_command_line
from protoprimer.configuration import DEFAULT_ENVIRONMENT, Configuration, read_configuration
from protoprimer.console import Console
from protoprimer.errors import ConfigurationError, InstallError, PrimerError
from protoprimer.fingerprints import Fingerprint, fingerprint_of
from protoprimer.generations import (
    Generation,
    GenerationStore,
    point_link,
    prepare_state_directory,
    remember_environment,
    remembered_environment,
)
from protoprimer.graph import StateGraph, lazy
from protoprimer.host import environment_python, link_target, user_cache_directory, write_atomically
from protoprimer.indexes import IndexSettings, read_index_settings
from protoprimer.interpreters import choose_interpreter, interpreter_misfit
from protoprimer.locking import FileLock
from protoprimer.plan import Plan, make_plan
from protoprimer.probe import Interpreter, probe_interpreter, verify_environment_interpreter
from protoprimer.ready import read_ready, why_not_fresh, write_ready
from protoprimer.selection import check_backend_names, select_backend
from protoprimer.tools import ToolBox
from protoprimer.versions import InvalidSpecifier, PythonRequest, parse_python_request, python_version_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from protoprimer.projects import ProjectMetadata

__all__ = ["DryRunEnds", "Environment", "Invocation", "RequiredPython", "bootstrap_graph", "environment_lock", "standing_environment"]

KERNEL_FORMAT = 1
OLDEST_SUPPORTED_PYTHON = ">=3.6"


class Invocation:
    """How the kernel was called.

    :param entry_path: the entry script, absolute, links resolved
    :param kernel_path: the kernel file, absolute
    :param program: the entry script as it was typed
    :param arguments: what followed it
    :param client_main: `module:function` of the client, or `None`
    :param takes_command_line: whether the arguments are protoprimer's, or all of them the client's
    """

    def __init__(
        self,
        entry_path: str,
        kernel_path: str,
        program: str,
        arguments: "list[str]",
        client_main: "str | None",
        takes_command_line: bool,
    ) -> None:
        self.entry_path = entry_path
        self.kernel_path = kernel_path
        self.program = program
        self.arguments = arguments
        self.client_main = client_main
        self.takes_command_line = takes_command_line
        self.variables = dict(os.environ)


class RequiredPython:
    """The Python that the repository wants, and where it says so.

    :param narrowed: the request within the range of each project that is installed; an installer would refuse others
    :param sources: places, or projects whose range asks for it: their lines are looked up when somebody is told
    """

    def __init__(
        self,
        request: PythonRequest,
        narrowed: PythonRequest,
        sources: "list[str | ProjectMetadata]",
        files: "list[str]",
        absent_files: "list[str]",
    ) -> None:
        self.request = request
        self.narrowed = narrowed
        self.sources = sources
        self.files = files
        self.absent_files = absent_files

    @property
    def place(self) -> str:
        """Where the repository says so, for a person."""
        return _places_of(self.sources)

    def __str__(self) -> str:
        return self.place


class DryRunEnds(PrimerError):
    """A dry run has said what it would do: exit code 0."""

    exit_code = 0


class Environment:
    """A ready environment; it can be used as a path.

    :param path: its directory
    :param client_paths: directories from which client modules are imported besides it
    :param built: whether this run has built it
    """

    def __init__(self, path: str, client_paths: "list[str]", built: bool) -> None:
        self.path = path
        self.client_paths = client_paths
        self.built = built

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path


def command_line(invocation: Invocation) -> CommandLine:
    """What is asked for."""
    if not invocation.takes_command_line:
        return CommandLine(invocation.program, client_arguments=invocation.arguments)
    return parse_command_line(invocation.program, invocation.arguments, invocation.client_main is not None)


def console(command_line: CommandLine) -> Console:
    """Where our words go."""
    return Console(command_line.verbosity(), command_line.text("color") or "auto")


def read_at_ns() -> int:
    """The moment before the first input is read: an edit after it makes the environment stale again."""
    return time.time_ns() if hasattr(time, "time_ns") else int(time.time() * 1e9)


def configuration(
    invocation: Invocation, command_line: CommandLine, read_at_ns: int, console: Console
) -> Configuration:
    """What the five leaps say."""
    found = read_configuration(
        invocation.entry_path, invocation.kernel_path, command_line, invocation.variables, remembered_environment
    )
    check_backend_names(_wanted_backend(found), found)
    directory = found.state_directory
    # Looking around leaves nothing behind; what a run does is recorded beside what it makes, in a directory of ours.
    log = None if command_line.command in ("eval", "check", "graph") else os.path.join(directory, "log")
    console.keep_log_in(log, lambda: prepare_state_directory(directory))
    return found


def plan(configuration: Configuration) -> Plan:
    """What is to be installed, and from which files that follows."""
    return make_plan(configuration)


def required_python(configuration: Configuration, plan: Plan) -> RequiredPython:
    """The Python that the repository wants."""
    version_file = configuration.path_of(".python-version")
    present = [version_file] if os.path.isfile(version_file) else []
    absent = [] if present else [version_file]
    text, sources = _python_that_is_asked_for(configuration, plan, version_file if present else None)
    try:
        request = parse_python_request(text)
    except InvalidSpecifier as error:
        raise ConfigurationError(str(error), _places_of(sources)) from None
    ranges = _ranges_of(project.metadata for project in plan.projects())
    narrowing = {text: project for text, project in ranges.items() if text not in request.text}
    sources = sources + list(narrowing.values())
    return RequiredPython(request, request.narrowed(list(narrowing)), sources, present, absent)


def index_settings(configuration: Configuration, console: Console) -> IndexSettings:
    """Where packages come from."""
    settings = read_index_settings(configuration.root, configuration.offline)
    for secret in settings.secrets():
        console.add_secret(secret)
    return settings


def cache_directory() -> str:
    """Where this machine's clones share tools and what was probed; made for this user alone, as programs are run from it."""
    path = user_cache_directory()
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError:
        # What needs it says so; the rest works without.
        pass
    return path


def toolbox(index_settings: IndexSettings, cache_directory: str, console: Console) -> ToolBox:
    """The tools of this host, and those that can be fetched."""
    return ToolBox(index_settings, cache_directory, console, index_settings.offline)


def store(configuration: Configuration, console: Console) -> GenerationStore:
    """The generations of the selected environment."""
    return GenerationStore(configuration.state_directory, configuration.environment_name, console)


def interpreter(
    configuration: Configuration,
    required_python: RequiredPython,
    store: GenerationStore,
    cache_directory: str,
    console: Console,
    command_line: CommandLine,
    toolbox: "Callable[[], ToolBox]" = lazy,
) -> Interpreter:
    """The interpreter that the environment is made from.

    The one of the last generation stays while it fits, whichever Python starts us: else two wild Pythons would take
    turns in rebuilding.
    """
    if command_line.command != "reboot":
        standing = _interpreter_of_last_generation(store, required_python.narrowed, cache_directory, console)
        if standing is not None:
            return standing
    return choose_interpreter(
        required_python.narrowed,
        toolbox(),
        console,
        cache_directory,
        configuration.root,
        selector=configuration.text("python-selector"),
        downloads=bool(configuration.get("python-downloads")),
        offline=configuration.offline,
        place=required_python,
    )


def inputs(
    configuration: Configuration, plan: Plan, required_python: RequiredPython
) -> "tuple[list[str], list[str]]":
    """The files that the environment is a function of: those that are there, and those whose appearance would count."""
    planned, planned_absent = plan.inputs()
    watched = [configuration.path_of(name) for name in configuration.texts("watch")]
    selector = configuration.text("python-selector")
    if selector:
        watched.append(configuration.path_of(selector))
    present = [path for path in watched if os.path.isfile(path)]
    missing = [path for path in watched if path not in present]
    present += planned + configuration.files + required_python.files
    missing += planned_absent + configuration.absent_files + required_python.absent_files
    return sorted(set(present)), sorted(set(missing))


def fingerprint(
    configuration: Configuration, interpreter: Interpreter, inputs: "tuple[list[str], list[str]]"
) -> Fingerprint:
    """The name of everything that the environment is a function of; which backend makes it is no part of that."""
    return _fingerprint_now(configuration, interpreter, inputs)


def generation(
    configuration: Configuration,
    command_line: CommandLine,
    interpreter: Interpreter,
    plan: Plan,
    inputs: "tuple[list[str], list[str]]",
    fingerprint: Fingerprint,
    store: GenerationStore,
    console: Console,
    toolbox: "Callable[[], ToolBox]" = lazy,
) -> "tuple[Generation, bool]":
    """The complete generation of this fingerprint, and whether it was built just now; one run builds, others wait."""
    from_scratch = command_line.command == "reboot"
    started = store.find(fingerprint)
    if started is not None and not from_scratch and store.is_intact(started) is None:
        if command_line.has("dry-run"):
            raise DryRunEnds("nothing to build: the environment is there")
        return started, False
    if command_line.has("dry-run"):
        raise DryRunEnds("would build %s with %s" % (fingerprint, interpreter.executable))
    # Needed only here; what is wrong with the settings of indexes is to be said before anything is written.
    tools = toolbox()
    with environment_lock(configuration, console):
        standing = store.find(fingerprint)
        others_work = standing is not None and (started is None or standing.path != started.path)
        if standing is not None and (others_work or not from_scratch) and store.is_intact(standing) is None:
            return standing, False
        fault = store.repeated_fault(fingerprint)
        if fault and started is None and not from_scratch:
            raise InstallError(fault, configuration.state_directory, "keep those files still, or run reboot once they are")
        backend, why_this = select_backend(_wanted_backend(configuration), interpreter, plan, tools, console, configuration)
        why = "from scratch, as asked" if from_scratch else store.reason_to_build(fingerprint)
        console.say("building an environment %s, with %s" % (why, why_this))
        plan.rebuild = from_scratch
        if plan.hint:
            console.warn(plan.hint)
        return _build(configuration, interpreter, plan, inputs, fingerprint, store, backend, console), True


def environment(
    configuration: Configuration,
    plan: Plan,
    interpreter: Interpreter,
    fingerprint: Fingerprint,
    generation: "tuple[Generation, bool]",
    inputs: "tuple[list[str], list[str]]",
    read_at_ns: int,
    store: GenerationStore,
    console: Console,
) -> Environment:
    """The ready environment: remembered, linked, and known to the entry scripts' fast path."""
    complete, built = generation
    client_paths = _client_paths(configuration, plan)
    link = configuration.get("venv-link")
    try:
        if configuration.cell:
            # It speaks to its matrix only: what this clone has chosen stays.
            _tell_matrix(configuration, interpreter, complete, built)
        else:
            remember_environment(configuration.state_directory, configuration.environment_name)
        if isinstance(link, str) and not (configuration.cell or _is_steered(configuration)):
            point_link(configuration.path_of(link), complete, configuration.state_directory, console)
        if not _is_steered(configuration):
            write_ready(
                configuration.state_directory,
                complete.path,
                inputs[0],
                inputs[1],
                client_paths,
                interpreter.executable,
                read_at_ns,
                fingerprint=fingerprint.digest,
                links=_links_to_watch(configuration, complete),
            )
    except (OSError, InstallError) as error:
        # A foreign user or a read-only checkout can use what is there without recording it.
        console.detail("the ready environment could not be recorded: %s" % error)
    if built:
        keep = configuration.get("keep")
        assert isinstance(keep, int)
        store.collect(keep, [complete.path])
    return Environment(complete.path, client_paths, built)


def bootstrap_graph(invocation: Invocation) -> StateGraph:
    """Return the graph of all states above, checked."""
    graph = StateGraph(
        [
            command_line,
            console,
            read_at_ns,
            configuration,
            plan,
            required_python,
            index_settings,
            cache_directory,
            toolbox,
            store,
            interpreter,
            inputs,
            fingerprint,
            generation,
            environment,
        ]
    )
    graph.provide("invocation", invocation)
    graph.check()
    return graph


def standing_environment(configuration: Configuration) -> "Environment | None":
    """Return the environment that `ready` announces, if nothing has changed since and nobody steers this run."""
    facts = read_ready(configuration.state_directory)
    if facts is None or _is_steered(configuration) or why_not_fresh(configuration.state_directory, facts) is not None:
        return None
    # A generation's directory is named after its environment, whose name has no dash.
    if os.path.basename(facts["environment"]).partition("-")[0] != configuration.environment_name:
        return None
    return Environment(facts["environment"], facts["client_paths"], False)


def _python_that_is_asked_for(
    configuration: Configuration, plan: Plan, version_file: "str | None"
) -> "tuple[str, list[str | ProjectMetadata]]":
    if configuration.text("python"):
        return str(configuration.text("python")), [configuration.place_of("python")]
    if version_file is not None:
        with open(version_file, encoding="utf-8", errors="replace") as stream:
            asked = python_version_line(stream.read())
        if asked:
            return asked, [".python-version"]
    ranges = _ranges_of(plan.all_metadata())
    return (",".join(ranges), list(ranges.values())) if ranges else (OLDEST_SUPPORTED_PYTHON, ["default"])


def _ranges_of(projects: "Iterable[ProjectMetadata]") -> "dict[str, ProjectMetadata]":
    """Return the ranges of Pythons that projects tell, each with one project that tells it."""
    return {project.requires_python: project for project in projects if project.requires_python}


def _places_of(sources: "list[str | ProjectMetadata]") -> str:
    told = [str(one if isinstance(one, str) else one.requires_python_place) for one in sources]
    return ", ".join(dict.fromkeys(told))


def _interpreter_of_last_generation(
    store: GenerationStore, request: PythonRequest, cache_directory: str, console: Console
) -> "Interpreter | None":
    records = [store.last_record()] + [generation.record for generation in reversed(store.all())]
    known = next((record.get("interpreter") for record in records if record and not record.get("steered")), None)
    if not isinstance(known, dict) or not os.path.exists(str(known.get("executable"))):
        return None
    probed = probe_interpreter(str(known["executable"]), cache_directory, console, str(known.get("origin") or ""))
    if isinstance(probed, Interpreter) and interpreter_misfit(probed, request, is_wild=True) is None:
        return probed
    return None


def environment_lock(configuration: Configuration, console: Console) -> FileLock:
    """Return the lock under which the selected environment is built: different ones can be built at once."""
    prepare_state_directory(configuration.state_directory)
    name, seconds = configuration.environment_name, configuration.get("lock-timeout")
    path = os.path.join(configuration.state_directory, "lock" if name == DEFAULT_ENVIRONMENT else "lock-" + name)
    return FileLock(path, console, float(seconds) if isinstance(seconds, (int, float)) else None)


def _fingerprint_now(
    configuration: Configuration, interpreter: Interpreter, inputs: "tuple[list[str], list[str]]"
) -> Fingerprint:
    settings = {
        key: configuration.get(key) for key in ("install", "lock", "resolution", "seed-pip", "build-constraints")
    }
    return fingerprint_of(interpreter, inputs[0], settings, configuration.root, KERNEL_FORMAT)


def _build(
    configuration: Configuration,
    interpreter: Interpreter,
    plan: Plan,
    inputs: "tuple[list[str], list[str]]",
    fingerprint: Fingerprint,
    store: GenerationStore,
    backend: Backend,
    console: Console,
) -> Generation:
    path = store.begin(fingerprint)
    try:
        with console.step("created an environment for %s" % interpreter):
            backend.create(interpreter, path)
            is_created = os.path.lexists(environment_python(path))
            if is_created:
                verify_environment_interpreter(path, interpreter, console)
        with console.step("installed %s" % plan.summary()):
            facts = backend.install(interpreter, path, plan)
        if not is_created:
            verify_environment_interpreter(path, interpreter, console)
        # A build that changes its own inputs would be repeated for ever: the store tells such a fault by these parts.
        after = _fingerprint_now(configuration, interpreter, inputs)
        record = dict(facts, fingerprint=fingerprint.digest, parts=fingerprint.parts, parts_after=after.parts)
        record.update(interpreter=interpreter.as_dict(), root=configuration.root, steered=_is_steered(configuration))
        return store.publish(path, record)
    except BaseException:
        store.abandon(path)
        raise


def _wanted_backend(configuration: Configuration) -> "str | list[str]":
    wanted = configuration.get("backend")
    assert isinstance(wanted, (str, list))
    return wanted


def _client_paths(configuration: Configuration, plan: Plan) -> "list[str]":
    """The root, unless it is a project that is installed: then its modules come from the environment."""
    installed = [os.path.realpath(project.path) for project in plan.projects()]
    return [] if os.path.realpath(configuration.root) in installed else [configuration.root]


def _is_steered(configuration: Configuration) -> bool:
    """Tell whether this run was asked for another Python than the configuration's: it speaks for itself only."""
    return "python" in configuration.leaps["input"] or bool(configuration.cell)


def _tell_matrix(configuration: Configuration, interpreter: Interpreter, complete: Generation, built: bool) -> None:
    import json

    told = {"interpreter": interpreter.version, "executable": interpreter.executable, "environment": complete.path,
            "built": built, "fingerprint": complete.digest}  # fmt: skip
    write_atomically(configuration.cell["note"], json.dumps(told).encode("ascii"))


def _links_to_watch(configuration: Configuration, generation: Generation) -> "list[tuple[str, str]]":
    link = configuration.get("venv-link")
    if isinstance(link, str) and link_target(configuration.path_of(link)) == generation.path:
        return [(configuration.path_of(link), generation.path)]
    return []
