"""The flow of `./prime` as a table of contents: each function is a state; its parameters name the states it needs."""

import os
import time
from contextlib import suppress
from typing import Callable, NamedTuple

from protoprimer.backends.base import Backend
from protoprimer.backends.choosing import check_backend_names, wanted_backends
from protoprimer.errors import ConfigurationError, DryRunEnds, InterpreterError
from protoprimer.fetch.bundles import OpenedBundle, named_bundle
from protoprimer.fetch.tools import ToolBox
from protoprimer.fetch.uv_pin import read_uv_pin
from protoprimer.graph import StateGraph, lazy
from protoprimer.project.asked import refuse_bare_name
from protoprimer.project.inputs import Inputs, has_wildcard
from protoprimer.project.locks_read import check_lock, marker_environment
from protoprimer.project.plan import Plan, make_plan
from protoprimer.project.requirement_files import add_requirement_lines, lines_of_file
from protoprimer.pythons.choice import choose_interpreter, selected_interpreter
from protoprimer.pythons.required_python import RequiredPython, required_python_of
from protoprimer.settings.command_line import CommandLine, parse_command_line
from protoprimer.settings.configuration import Configuration, find_root, read_configuration
from protoprimer.settings.index_settings import IndexSettings, read_index_settings
from protoprimer.settings.index_sources import VARIABLES
from protoprimer.store.building import BuildRequest, build_under_lock, environment_lock
from protoprimer.store.cache import collect_cache_once_a_day
from protoprimer.store.file_lock import FileLock
from protoprimer.store.fingerprint import Fingerprint, fingerprint_of
from protoprimer.store.generations import Generation, GenerationStore
from protoprimer.store.history import interpreter_of_last_generation, refuse_what_is_gone
from protoprimer.store.publishing import Environment, publish_environment
from protoprimer.store.state_directory import prepare_state_directory, remembered_environment
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import path_of_file_url, user_cache_directory

__all__ = ["Invocation", "bootstrap_graph"]


class Invocation(NamedTuple):
    """How the kernel was called; links in the paths are resolved.

    :param program: the entry script as it was typed
    :param kind: `boot` takes protoprimer's arguments; those of `run` and `start` are the client's
    :param variables: those of the process, and those that were taken from it
    """

    entry_path: str
    kernel_path: str
    program: str
    arguments: "list[str]"
    client_main: "str | None"
    kind: str
    variables: "dict[str, str]"


def command_line(invocation: Invocation) -> CommandLine:
    """What is asked for."""
    if invocation.kind != "boot":
        return CommandLine(invocation.program, client_arguments=invocation.arguments)
    return parse_command_line(invocation.program, invocation.arguments, invocation.client_main is not None)


def console(invocation: Invocation, command_line: CommandLine) -> Console:
    """Where our words go."""
    verbosity, asked = command_line.verbosity(), invocation.variables.get("PROTOPRIMER_VERBOSITY")
    if asked and not verbosity:
        if asked not in ("-1", "0", "1", "2"):
            cause = "PROTOPRIMER_VERBOSITY must be -1 (errors only), 0, 1 or 2 (most), not %r" % asked
            raise ConfigurationError(cause)
        verbosity = int(asked)
    return Console(verbosity, command_line.text("color") or "auto")


def read_at_ns() -> int:
    """The moment before the first input is read: an edit after it makes the environment stale again."""
    return int(time.time() * 1e9)


def configuration(
    invocation: Invocation, command_line: CommandLine, read_at_ns: int, console: Console
) -> Configuration:
    """What the five leaps say."""
    console.root = find_root(os.path.dirname(invocation.entry_path))
    found = read_configuration(
        invocation.entry_path, invocation.kernel_path, command_line, invocation.variables, remembered_environment
    )
    console.root = found.root
    if found.is_fallback:
        words = "this branch has no environment %r, which this clone has chosen: taking %s"
        console.say(words % (remembered_environment(found.state_directory), found.environment_name))
    check_backend_names(found.get("backend"), found)
    directory = found.state_directory
    # Looking around leaves nothing behind.
    log = None if command_line.command in ("eval", "check", "graph") else os.path.join(directory, "log")
    console.keep_log_in(log, lambda: prepare_state_directory(directory))
    return found


def plan(configuration: Configuration, command_line: CommandLine, index_settings: IndexSettings) -> Plan:
    """What is to be installed, and from which files that follows."""
    return make_plan(configuration, index_settings.facts(), rebuild=command_line.command == "reboot")


def required_python(configuration: Configuration, plan: Plan) -> RequiredPython:
    """The Python that the repository wants."""
    return required_python_of(configuration, plan)


def bundle(
    invocation: Invocation, command_line: CommandLine, console: Console, cache_directory: str
) -> "OpenedBundle | None":
    """The verified bundle that everything comes from, if one is named."""
    named = command_line.text("bundle") or invocation.variables.get("PROTOPRIMER_BUNDLE")
    if not named:
        return None
    path, sha256 = named_bundle(named)
    console.say("packages and tools come from the bundle %s alone" % path)
    return OpenedBundle(path, cache_directory, sha256)


def index_settings(configuration: Configuration, console: Console, command_line: CommandLine) -> IndexSettings:
    """Where packages come from, unless there is a bundle."""
    settings = read_index_settings(configuration.root, configuration.offline or command_line.has("dry-run"))
    for secret in settings.credentials.secrets():
        console.add_secret(secret)
    return settings


def cache_directory(console: Console) -> str:
    """Where this machine's clones share tools and what was probed."""
    path = user_cache_directory(tell=console.say)
    # For this user alone, as programs run from it. What needs it says if it is not there.
    with suppress(OSError):
        os.makedirs(path, 0o700, exist_ok=True)
    return path


def toolbox(
    configuration: Configuration,
    index_settings: IndexSettings,
    bundle: "OpenedBundle | None",
    cache_directory: str,
    console: Console,
) -> ToolBox:
    """The tools of this host, and those that can be fetched."""
    pin = read_uv_pin(configuration, index_settings)
    settings = index_settings.of_bundle(bundle.directory) if bundle else index_settings
    return ToolBox(settings, cache_directory, console, pin)


def lock(configuration: Configuration, console: Console) -> FileLock:
    """The lock, not taken yet, under which the selected environment is built."""
    return environment_lock(configuration, console)


def store(configuration: Configuration, console: Console) -> GenerationStore:
    """The generations of the selected environment."""
    directory, own = configuration.state_directory, configuration.own_state_directory
    return GenerationStore(directory, configuration.environment_name, console, own)


def interpreter(
    configuration: Configuration,
    required_python: RequiredPython,
    store: GenerationStore,
    cache_directory: str,
    console: Console,
    command_line: CommandLine,
    toolbox: "Callable[[], ToolBox]" = lazy,
) -> Interpreter:
    """The interpreter that the environment is made from."""
    selector, request = configuration.text("python-selector"), required_python.narrowed
    only_looks = command_line.has("dry-run") or command_line.has("check") or command_line.command == "check"
    if selector and not only_looks:
        selected = selected_interpreter(selector, request, configuration.root, cache_directory, console)
        if selected is not None:
            return selected
    if command_line.command != "reboot":
        # Whichever Python starts us: else two wild ones would take turns in rebuilding.
        kept = interpreter_of_last_generation(store, request, cache_directory, console)
        if kept is not None:
            return kept
    if selector and only_looks:
        # It is the repository's own code.
        told = "the python-selector %s which Python to take; a run that only looks does not" % selector
        if command_line.has("dry-run"):
            raise DryRunEnds("would ask " + told)
        raise InterpreterError("./prime asks " + told, configuration.place_of("python-selector"))
    if required_python.note:
        console.warn("%s: taking the newest Python of this host" % required_python.note)
    downloads = None if only_looks else configuration.get("python-downloads")
    return choose_interpreter(request, toolbox(), downloads, required_python, required_python.note is not None)


def inputs(
    configuration: Configuration,
    plan: Plan,
    required_python: RequiredPython,
    index_settings: IndexSettings,
    console: Console,
) -> Inputs:
    """What the environment is made from: files that are there, or would count if they were, and settings."""
    found = plan.inputs()
    for pattern in configuration.get("watch"):
        if os.path.isdir(configuration.path_of(pattern)):
            advice = "name the files in it that count, such as %s/**" % pattern.rstrip("/")
            raise configuration.error("watch", "%s is a directory, not a file" % pattern, advice)
        if not found.add_matching(configuration.root, pattern) and has_wildcard(pattern):
            console.warn("%s in %s matches nothing" % (pattern, configuration.place_of("watch")))
    if configuration.text("python-selector"):
        found.add(configuration.path_of(configuration.get("python-selector")))
    for source in (configuration, required_python):
        found.add(*(source.files + source.absent_files))
    found.look_at(*index_settings.files)
    found.facts.update(plan.settings)
    found.variables.update(VARIABLES)
    found.facts["required Python"] = required_python.narrowed.text
    for path in map(path_of_file_url, index_settings.constraints):
        if os.path.isfile(path):
            add_requirement_lines(lines_of_file(path, configuration.root), configuration.root, found)
    return found


def fingerprint(configuration: Configuration, interpreter: Interpreter, inputs: Inputs) -> Fingerprint:
    """The name of all that the environment is made from; which backend makes it is no part of that."""
    names = ("install", "lock", "resolution", "seed-pip", "build-constraints")
    settings = dict({name: configuration.get(name) for name in names}, **inputs.facts)
    return fingerprint_of(interpreter, inputs, settings, configuration.root)


def request(
    invocation: Invocation,
    configuration: Configuration,
    interpreter: Interpreter,
    plan: Plan,
    inputs: Inputs,
    fingerprint: Fingerprint,
    store: GenerationStore,
    console: Console,
    is_second_try: bool,
) -> BuildRequest:
    """The environment that is asked for, and what it takes to find or build it."""

    def planned_again() -> BuildRequest:
        again = bootstrap_graph(invocation)
        again.provide("console", Console(-1))
        again.provide("configuration", configuration)
        again.provide("interpreter", interpreter)
        return again.evaluate("request")  # type: ignore[no-any-return]

    return BuildRequest(
        configuration, interpreter, plan, inputs, fingerprint, store, console, is_second_try, planned_again
    )


def readable_lock(
    plan: Plan,
    index_settings: IndexSettings,
    bundle: "OpenedBundle | None",
    store: GenerationStore,
    console: Console,
    interpreter: "Callable[[], Interpreter]" = lazy,
) -> None:
    """That lock and bundle can be installed from; what is wrong is said before anything is written."""
    refuse_what_is_gone(plan, store)
    if bundle is not None:
        bundle.refuse_misfit(interpreter().version, plan.lock, console)
    check_lock(plan, lambda: marker_environment(interpreter().executable, console))
    if plan.lock is None:
        refuse_bare_name(plan, index_settings)


def backends(configuration: Configuration) -> "list[type[Backend]]":
    """The wanted backends in the order to try; a client's own is loaded before anything is written."""
    return wanted_backends(configuration.get("backend"), configuration)


def generation(
    request: BuildRequest,
    lock: FileLock,
    command_line: CommandLine,
    readable_lock: "Callable[[], None]" = lazy,
    backends: "Callable[[], list[type[Backend]]]" = lazy,
    toolbox: "Callable[[], ToolBox]" = lazy,
) -> Generation:
    """The complete generation of what is asked for: found, or built by one run while the others wait."""
    found = None if request.plan.rebuild else request.store.find(request.fingerprint)
    if found is not None:
        if command_line.has("dry-run"):
            raise DryRunEnds("nothing to build: the environment is there")
        return found
    # What is wrong with them is said before anything is written.
    readable_lock()
    if command_line.has("dry-run"):
        raise DryRunEnds("would build %s with %s" % (request.fingerprint.digest, request.interpreter.executable))
    return build_under_lock(request, lock, backends(), toolbox())


def environment(request: BuildRequest, generation: Generation, read_at_ns: int, cache_directory: str) -> Environment:
    """The ready environment: linked, and known to the entry scripts' fast path."""
    if generation.is_new:
        collect_cache_once_a_day(cache_directory)
    return publish_environment(request, generation, read_at_ns)


def bootstrap_graph(invocation: Invocation) -> StateGraph:
    """Return the graph of all states above."""
    graph = StateGraph((
        command_line, console, read_at_ns, configuration, plan, required_python, bundle, index_settings,
        cache_directory, toolbox, lock, store, interpreter, inputs, fingerprint, request, readable_lock, backends,
        generation, environment,
    ))  # fmt: skip
    graph.provide("invocation", invocation)
    graph.provide("is_second_try", False)
    graph.provide("graph", graph)
    graph.check()
    return graph
