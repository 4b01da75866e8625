"""The interface of a backend, and what every backend needs."""

import os
import re
import signal
from typing import Iterable, Iterator, NamedTuple, Optional

from protoprimer.backends.installed import fault_of_installed, installed_distributions
from protoprimer.errors import BackendError, InstallError
from protoprimer.fault import Fault
from protoprimer.fetch.tools import ToolBox
from protoprimer.formats.requirements import normalized_name
from protoprimer.formats.toml import TomlTable
from protoprimer.project.asked import asked_of_plan, sources_of_step
from protoprimer.project.locks_read import marker_environment, read_lock
from protoprimer.project.plan import NO_STEP, InstallStep, Plan
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.children import ChildResult, run_child, scrubbed_environment
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import directories_on_path, environment_python, file_url, free_megabytes

__all__ = [
    "Backend",
    "Command",
    "Job",
    "commands_of",
    "file_options",
    "path_to_keyring",
    "run_installer",
    "with_option",
]


class Job(NamedTuple):
    """What an installer works on; without an environment it resolves or downloads."""

    interpreter: Interpreter
    plan: Plan
    environment: "Optional[str]" = None

    @property
    def python(self) -> str:
        return environment_python(self.environment) if self.environment else self.interpreter.executable


class Command(NamedTuple):
    """What is installed at once, with dependencies if `deep`."""

    step: InstallStep
    deep: bool
    only_index: "Optional[str]" = None


class Backend:
    """Creates environments and installs into them: tools come from `toolbox`, indexes and proxies from `settings`.

    What fails is an InstallError (exit code 6). A client's own backend is a file with one subclass:

        class Backend(VenvBackend):
            name = "ours"
    """

    name = ""
    prompt = "protoprimer"

    def __init__(self, toolbox: ToolBox, console: Console, settings: IndexSettings) -> None:
        self.toolbox = toolbox
        self.console = console
        self.settings = settings

    def probe(self, interpreter: Interpreter, plan: Plan) -> "str | None":
        """Return why this backend cannot serve this interpreter and plan on this host, or `None` if it can.

        :raises ToolAbsent: it cannot, since a tool cannot be had
        """
        raise NotImplementedError

    def create(self, interpreter: Interpreter, environment: str) -> None:
        """Create an environment without pip in the empty directory `environment`."""
        raise NotImplementedError

    def install(self, interpreter: Interpreter, environment: str, plan: Plan) -> None:
        """Install the plan, and check what was installed."""
        try:
            self.install_plan(interpreter, environment, plan)
        except InstallError as error:
            self.add_places(error, interpreter, plan)
            if error.fault is Fault.HASHES and plan.lock is None:
                error.advice = _ADVICE_ON_HASHES
            if error.fault is Fault.DISK:
                error.place = _fullest_of([environment, self.toolbox.cache_directory])
            raise
        fault = fault_of_installed(environment, plan)
        if fault is not None and not plan.rebuild:
            # What the installer's cache remembers of a project no longer fits its sources.
            self.install_plan(interpreter, environment, plan.from_scratch())
            fault = fault_of_installed(environment, plan)
        if plan.seed_pip:
            self._seed_pip(interpreter, environment)
        if fault is not None:
            advice = "check the project's build configuration ([build-system], package discovery), or set `install`"
            raise InstallError("the backend %s succeeded, but %s" % (self.name, fault[1]), fault[0], advice)

    def add_places(self, error: InstallError, interpreter: Interpreter, plan: Plan) -> None:
        """Say where the requirements are that an installer wants corrected."""
        if error.fault in (Fault.REQUIREMENTS, Fault.UNRECOGNISED):
            asked = asked_of_plan(plan, self.markers(interpreter))
            words = re.findall(r"[\w.-]*\w", error.cause.lower().partition("error: ")[2])
            named = set(map(normalized_name, words)) - {one.normal_name for _, one in asked if one.url}
            places = sorted({line.place for line, one in asked if one.normal_name in named})
            error.place = ", ".join(places) or None

    def leave_full_place(self) -> bool:
        """Keep what can be had again in another place from now on, as a disk was full; tell whether there is one."""
        return False

    def install_plan(self, interpreter: Interpreter, environment: str, plan: Plan) -> None:
        """Install the plan; `install` checks the result."""
        raise NotImplementedError

    def lock(
        self, interpreter: Interpreter, plan: Plan, output: str, upgrade_all: bool, upgrade_packages: "list[str]"
    ) -> None:
        """Resolve the plan and write the pins to `output` (`uv.lock` or `pylock.toml`), whole or not at all.

        :param upgrade_packages: whose earlier pins are forgotten; with `upgrade_all` all are
        :raises BackendError: this backend cannot write that kind of lock
        """
        raise NotImplementedError

    def check_lock(self, interpreter: Interpreter, plan: Plan) -> None:
        """Fail unless the plan's lock has all that it asks for."""
        read_lock(plan, self.markers(interpreter))

    def markers(self, interpreter: Interpreter) -> TomlTable:
        return marker_environment(interpreter.executable, self.console)

    def commands(self, job: Job, of_lines_only: bool = False, locking: bool = False) -> "Iterator[Command]":
        """Yield what is installed at once, with what `[tool.uv.sources]` says of it.

        :param of_lines_only: as for `sources_of_step`
        :param locking: as if there were no lock
        """
        plan = job.plan
        known = [project.path for project in plan.projects()] if locking else []
        taken = []  # type: list[str]
        for step, deep in commands_of(plan, locking):
            if deep:
                sources = sources_of_step(step, plan, self.markers(job.interpreter), of_lines_only)
                for line, index in sources.indexes:
                    if locking:
                        cause = "%s cannot lock %s from one index, %s, alone"
                        advice = 'set lock = "uv.lock", and let the backend uv write it'
                        raise BackendError(cause % (self.name, line, self.console.mask(index)), None, advice)
                    yield Command(NO_STEP._replace(lines=[line]), False, index)
                    # Another may have a newer one.
                    name = normalized_name(re.split(r"[^\w.-]", line)[0])
                    taken.append("%s==%s" % (name, installed_distributions(job.environment or "")[name][0]))
                found = [project for project in sources.projects if project.path not in known]
                step = step._replace(members=step.members + found, lines=step.lines + sources.lines + taken)
            known += [project.path for project in step.projects]
            yield Command(step, deep)

    def _seed_pip(self, interpreter: Interpreter, environment: str) -> None:
        tool, wheel = self.toolbox.pip(interpreter), self.toolbox.pip_wheel(interpreter)
        command = [environment_python(environment)] + tool.command[1:]
        command += ["install", "--no-deps", "--no-compile", "--ignore-installed", "pip==" + tool.version]
        environ = self.settings.for_pip()[1]
        if wheel is not None:
            # It runs from this very wheel.
            command += ["--no-index", "--find-links", file_url(os.path.dirname(wheel))]
            environ = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        run_installer(self.console, self.name, "install pip", command, os.path.dirname(environment), environ)


def commands_of(plan: Plan, locking: bool = False) -> "list[tuple[InstallStep, bool]]":
    """Return what is installed after the pins, and whether with dependencies."""
    commands = []
    for step in plan.steps:
        if locking or not plan.lock:
            commands.append((step, True))
            continue
        # Pins hold all dependencies; `uv.lock` alone knows nothing of requirement files.
        commands.append((NO_STEP._replace(members=step.members), False))
        if plan.lock_kind == "uv.lock":
            commands.append((step._replace(members=[], lines=[]), True))
    return [(step, deep) for step, deep in commands if step.projects or step.requirements or step.args or step.lines]


def with_option(option: str, values: "Iterable[str]") -> "list[str]":
    """Return each value after the option."""
    return [word for value in values for word in (option, value)]


def file_options(step: InstallStep) -> "list[str]":
    """Return a step's files as options."""
    return with_option("-r", step.requirements) + with_option("-c", step.constraints)


def run_installer(
    console: Console,
    backend: str,
    what: str,
    arguments: "list[str]",
    cwd: str,
    environ: "dict[str, str]",
    input_text: "str | None" = None,
) -> ChildResult:
    """Run an installer's command; `what` completes "could not ..." if it fails."""
    result = run_child(arguments, console, cwd=cwd, environ=scrubbed_environment(environ), input_text=input_text)
    if result.status == 0:
        return result
    output = result.everything()
    beside = ("Using ", "Resolved ", "hint: To update the lock")
    lines = [line.rstrip() for line in output.splitlines() if line.strip() and not line.startswith(beside)]
    told = re.sub(_BESIDE_THE_CAUSE, "", "\n".join(lines + [""])).splitlines()[-40:]
    shown = ["  | " + line for line in told]
    if len(lines) > len(shown):
        shown.insert(0, "  | ... (%d more lines in the log)" % (len(lines) - len(shown)))
    cause = "the backend %s could not %s (exit status %d)" % (backend, what, result.status)
    known = _recognised(result)
    raise InstallError("\n".join([cause] + shown), None, known.advice + ", then try again", known.fault)


class _Recognised(NamedTuple):
    """A failure that installers tell of.

    :param words: a regular expression for what they print, in lower case
    """

    words: str
    advice: str
    fault: "Optional[Fault]" = None


def _recognised(result: ChildResult) -> "_Recognised":
    """Return what kind of failure an installer tells of, and what to do."""
    told = result.everything().lower()
    found = _UNRECOGNISED
    for known in _RECOGNISED:
        if re.search(known.words, told):
            found = known
            break
    if _was_killed(result.status) and found.fault not in (Fault.DISK, Fault.MEMORY):
        # What it had printed until then was no reason to end.
        return _KILLED
    return found


def _was_killed(status: int) -> bool:
    """Tell whether a signal ended a program that nobody wanted to end, as itself or a shell around it tells."""
    if status in (-signal.SIGINT, -signal.SIGTERM):
        return False
    return status < 0 or status > _STATUS_OF_SIGNALS


def _fullest_of(directories: "list[str]") -> "str | None":
    """Return which of these and the temporary one has the least room, and how much that is, if the system tells."""
    import tempfile

    free = {}  # type: dict[str, int]
    for directory in directories + [tempfile.gettempdir()]:
        megabytes = free_megabytes(directory)
        if megabytes is not None:
            free[directory] = megabytes
    if not free:
        return None
    fullest = min(free, key=free.__getitem__)
    return "%s, where %d MB are free" % (fullest, free[fullest])


def path_to_keyring(python: str) -> "dict[str, str]":
    """Return PATH with the `keyring` that an earlier step installed."""
    import shutil

    directory = os.path.dirname(python)
    if not shutil.which("keyring", path=directory):
        return {}
    return {"PATH": os.pathsep.join([directory] + directories_on_path())}


# What a build did before it failed, and frames of installed code.
_BESIDE_THE_CAUSE = (
    r"(?m)^ *(running|writing|reading|creating|copying|adding) .*\n"
    r'|^( *)File "[^"\n]*(site-packages|_vendor).*\n(\2  .*\n)*'
)
_ADVICE_ON_HASHES = (
    "find out why the index offers another file than the hash beside the requirement says, then try again"
)
# What shells add to the number of a signal.
_STATUS_OF_SIGNALS = 128
_UNRECOGNISED = _Recognised("", "correct what the output above names", Fault.UNRECOGNISED)
_KILLED = _Recognised("", "let it run: something on this host ends it", Fault.TOOL_BROKE)
_RECOGNISED = (
    _Recognised("no space left|quota exceeded|os error (28|122)\\b", "free some disk space", Fault.DISK),
    _Recognised(
        "failed to symlink|(implemented|permitted|supported): '.*' -> '",
        "this file system has no links, it seems: set state-dir to a directory on another one",
    ),
    _Recognised(
        r"memory allocation of|cannot allocate memory|\bmemoryerror\b|failed to spawn thread|can't start new thread"
        r"|resource temporarily unavailable|os error 1[12]\b",
        "allow it more memory and processes (ulimit -v, ulimit -u)",
        Fault.MEMORY,
    ),
    _Recognised(
        "certificate_verify_failed|invalid peer certificate", "give your CA in SSL_CERT_FILE", Fault.CERTIFICATE
    ),
    _Recognised("server error", "the server of the index fails: try later", Fault.NETWORK),
    _Recognised(
        "name resolution|dns error|is unreachable|connection refused|newconnection|error sending request|max retries",
        "check the network, the proxy and the index (./prime check shows them)",
        Fault.NETWORK,
    ),
    _Recognised(
        r"\b40[13] |\b40[13]:",
        "check the index's credentials (URL, netrc, keyring), or ask its administrators why it refuses",
        Fault.REFUSED_BY_SERVER,
    ),
    _Recognised(
        "do not match the hashes|hash mismatch",
        "what is offered is not what was locked: find out why, or run ./prime lock",
        Fault.HASHES,
    ),
    _Recognised("needs to be updated|not supported by the lockfile", "the lock is out of date: run ./prime lock"),
    _Recognised("network was disabled", "run without --offline, or name an index or directory that has it"),
    _Recognised(
        "does not satisfy python|requires? a different python",
        "take a Python that it supports (requires-python, or the key `python`), or another version of it",
    ),
    _Recognised(
        "has invalid metadata|metadata .*could not be parsed|failed to parse metadata|duplicate normalized extra name",
        "take a version whose metadata can be read, or another backend",
        Fault.METADATA,
    ),
    _Recognised(
        "no solution found|resolutionimpossible|no matching distribution|not found in the package registry",
        "correct the requirements, or the indexes they are looked up in",
        Fault.REQUIREMENTS,
    ),
    _Recognised(r"\bpython\.h: no such file", "install the headers of this Python (Debian: python3-dev)"),
    _Recognised(
        r"directory: '[\w-]*(cc|clang)|'[\w-]*(cc|clang)\S* (failed: )?no such file",
        "install a C compiler (Debian: gcc)",
    ),
    _Recognised(
        "failed to build|subprocess-exited-with-error|build backend",
        "mend the build if the project is yours, else install what it needs, or ask for a version with a wheel",
    ),
    _Recognised(
        r"os error (1|13|30)\b",
        "make that place writable for you, or name another one (UV_CACHE_DIR, TMPDIR, state-dir)",
        Fault.PERMISSION,
    ),
    _Recognised(
        r"panicked at|\nerror: exception:\n|failed to (inspect|query) python",
        "take another backend or another copy of that tool: it broke by itself",
        Fault.TOOL_BROKE,
    ),
)
