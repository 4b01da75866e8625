"""The tools: uv, virtualenv and pip, on this host or from verified wheels; never installed into an interpreter."""

import json
import os
import sys
import time
from copy import copy

from protoprimer.errors import PrimerError
from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.pins import PIP_WHEELS, UV_WHEELS, VIRTUALENV_WHEELS
from protoprimer.fetch.uv_pin import UvPin
from protoprimer.fetch.wheels import ToolAbsent, WheelError, closed_roads, fetch_wheel, unpack_wheels, unpacked_is_whole
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.children import STATUS_OF_LATE, run_child, scrubbed_environment
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, names_in, sha256_of, write_json
from protoprimer.system.paths import can_lock_in, scripts_directory
from protoprimer.system.platform import is_windows, libc_of_host, machine_of_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from protoprimer.fetch.roads import RoadRecord
    from protoprimer.system.interpreter import Interpreter

__all__ = ["Tool", "ToolBox", "machine_of_python", "tag_rank", "uv_wheel_for_host"]

SECONDS_TO_PRINT_A_VERSION = 5.0
# A program that is none may have been stopped by what is no part of its file.
SECONDS_UNTIL_ASKED_AGAIN = 3600
OLDEST_UV = (0, 8)
OLDEST_PIP = (19, 0)
OLDEST_VIRTUALENV = (20, 17)

_RUN_AS_MAIN = "import runpy\n\nrunpy.run_module(%r, run_name='__main__', alter_sys=True)\n"


class Tool:
    """A program that is ready to be run.

    :param command: the first arguments; for pip and virtualenv the interpreter is `command[0]`
    :param version: what it says, or what was pinned
    :param origin: where it comes from, for a person
    :param environment: variables that it needs beside those of the settings
    """

    def __init__(
        self, command: "list[str]", version: str, origin: str, environment: "dict[str, str] | None" = None
    ) -> None:
        self.command = command
        self.version = version
        self.origin = origin
        self.environment = environment or {}


class ToolBox:
    """Finds or fetches each tool once.

    `refusals` are the sentences why something that was found is not used, `records` what could not be fetched.

    :param uv_pin: which uv the repository is pinned to; by default what the kernel pins
    """

    def __init__(
        self,
        settings: IndexSettings,
        cache_directory: str,
        console: Console,
        offline: bool = False,
        uv_pin: "UvPin | None" = None,
    ) -> None:
        # A copy: who only looks fetches nothing, but still asks what the settings say.
        self.settings = settings = copy(settings)
        settings.offline = settings.offline or offline
        self.cache_directory = cache_directory
        self.console = console
        self.offline = settings.offline
        self.uv_pin = uv_pin or UvPin()
        self.refusals = []  # type: list[str]
        self.records: "list[RoadRecord]" = []
        self._reader = UrlReader(settings, console)
        self._found = {}  # type: dict[object, Tool | ToolAbsent]

    def uv(self) -> Tool:
        """Return uv: `$UV`, PATH, importable, installed by its own installer, else the verified wheel.

        :raises ToolAbsent: none of these is usable; `$UV`, if set, must be
        """
        return self._once("uv", self._find_uv)

    def virtualenv(self, interpreter: "Interpreter") -> Tool:
        """Return virtualenv for environments of `interpreter`: importable there, on PATH, else verified wheels.

        The command already says which interpreter is meant.
        """
        return self._once(("virtualenv", interpreter.executable), lambda: self._find_virtualenv(interpreter))

    def pip(self, interpreter: "Interpreter") -> Tool:
        """Return the pinned pip for this version of Python, run by `interpreter` with nothing installed into it.

        Another interpreter of the same version may stand in `command[0]`, such as the environment's own. Where the
        wheel cannot be had, the pip that came with the interpreter serves, and `origin` says so.
        """
        return self._once(("pip", interpreter.executable), lambda: self._find_pip(interpreter))

    def pip_wheel(self, interpreter: "Interpreter") -> "str | None":
        """Return the verified wheel in the cache that `pip` was unpacked from, `None` if it came from elsewhere."""
        try:
            is_pinned = self.pip(interpreter).origin == "verified wheel"
            return self._fetched(_pinned_for(PIP_WHEELS, interpreter, "pip"))[0] if is_pinned else None
        except WheelError:
            return None

    def pinned_wheels(self, interpreter: "Interpreter", uv_wheel: "str | None") -> "list[str]":
        """Return the verified wheels of pip and virtualenv for this version of Python, and of uv: paths in the cache.

        :param uv_wheel: which of uv's, by file name
        :raises ToolAbsent: one could not be had
        """
        wheels = dict(_pinned_for(PIP_WHEELS, interpreter, "pip"))
        wheels.update(_pinned_for(VIRTUALENV_WHEELS, interpreter, "virtualenv"))
        if uv_wheel is not None:
            wheels[uv_wheel] = UV_WHEELS[uv_wheel]
        return self._fetched(wheels)

    def only_look(self) -> UrlReader:
        """Fetch nothing from now on: a tool that could be had counts as had. Return what asks the servers."""
        self._reader.only_looks = True
        return self._reader

    def why_not_found(self, name: str) -> "RoadRecord | None":
        """Return what closed the first road to a distribution that an installer did not find, if one is closed."""
        return next(closed_roads(name, self.settings, self._reader), None)

    def _once(self, key: object, find: "Callable[[], Tool]") -> Tool:
        if key not in self._found:
            try:
                self._found[key] = find()
            except ToolAbsent as absent:
                self._found[key] = absent
        found = self._found[key]
        if isinstance(found, ToolAbsent):
            raise found
        return found

    def _find_uv(self) -> Tool:
        usual = os.environ.get("UV_CACHE_DIR") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "uv"
        )
        # uv does nothing at all without a cache, and little without locks in it.
        cache = next(filter(can_lock_in, (usual, os.path.join(self.cache_directory, "uv"))), None)
        if cache is None:
            advice = "set UV_CACHE_DIR to a directory on another file system"
            raise ToolAbsent("uv cannot write and lock files in its cache %s (%s)" % (usual, advice))
        found = self._uv_of_host_or_wheel()
        if cache != usual:
            found.environment["UV_CACHE_DIR"] = cache
        return found

    def _uv_of_host_or_wheel(self) -> Tool:
        chosen = os.environ.get("UV")
        if chosen:
            chosen = os.path.abspath(chosen)
            return self._checked("uv", [chosen], chosen, "$UV", OLDEST_UV)
        candidates = [([path], path, origin) for path, origin in _uv_candidates()]
        found, refusals = self._first_usable("uv", candidates, OLDEST_UV)
        if found:
            return found
        try:
            wheels = self.uv_pin.wheels
            filename = uv_wheel_for_host(wheels=wheels)
            if filename is None:
                host = "%s %s %s" % (sys.platform, machine_of_python(), libc_of_host())
                pinned = _wheel_version("uv", wheels) if wheels else "of which hashes are pinned:"
                raise ToolAbsent("no uv %s wheel for this host (%s)" % (pinned, host))
            misfit = self.uv_pin.misfit(_wheel_version("uv", wheels))
            if misfit:
                named = "uv %s, whose hashes are pinned, %s" % (_wheel_version("uv", wheels), misfit)
                raise ToolAbsent(named + "; name one that is, with its hashes: tools.uv in [tool.protoprimer]")
            directory = self._unpacked({filename: wheels[filename]}, "uv")
            path = os.path.join(directory, "bin", _executable("uv"))
            if self._reader.only_looks and not os.path.exists(path):
                return Tool([path], _wheel_version("uv", wheels), "to be fetched")
            return self._checked("uv", [path], path, "verified wheel", OLDEST_UV)
        except ToolAbsent as absent:
            raise ToolAbsent("; ".join(refusals + [absent.cause])) from absent

    def _find_virtualenv(self, interpreter: "Interpreter") -> Tool:
        python = interpreter.executable
        wheels = _pinned_for(VIRTUALENV_WHEELS, interpreter, "virtualenv")
        newest = _version_tuple(_wheel_version("virtualenv", wheels))
        # A virtualenv newer than the pin has given up this old Python; one much older has not heard of a new one.
        ceiling = newest if wheels is not VIRTUALENV_WHEELS[0][1] else (1000,)
        oldest = OLDEST_VIRTUALENV if tuple(interpreter.version_info[:2]) < (3, 12) else newest[:1]
        environment = {"VIRTUALENV_CONFIG_FILE": os.devnull}
        environment["VIRTUALENV_OVERRIDE_APP_DATA"] = os.path.join(self.cache_directory, "virtualenv")
        library = os.path.join(interpreter.stdlib, "site-packages", "virtualenv")
        candidates = [([path], path, "PATH") for path in _on_path("virtualenv")]
        if os.path.isfile(os.path.join(library, "__main__.py")):
            candidates.insert(0, ([python, "-I", "-m", "virtualenv"], library, "importable"))
        found = self._first_usable("virtualenv", candidates, oldest, ceiling)[0]
        if found:
            return Tool(found.command + ["--python", python], found.version, found.origin, environment)
        directory = self._unpacked(wheels, "virtualenv", _RUN_AS_MAIN % "virtualenv")
        command = [python, "-I", directory, "--python", python]
        return Tool(command, _wheel_version("virtualenv", wheels), "verified wheel", environment)

    def _find_pip(self, interpreter: "Interpreter") -> Tool:
        try:
            wheels = _pinned_for(PIP_WHEELS, interpreter, "pip")
            directory = self._unpacked(wheels, "pip")
            return _pip_tool(interpreter, directory, _wheel_version("pip", wheels), "verified wheel")
        except ToolAbsent as absent:
            if isinstance(absent, WheelError) and absent.tampered:
                raise
            return self._pip_of_interpreter(interpreter, absent)

    def _pip_of_interpreter(self, interpreter: "Interpreter", absent: ToolAbsent) -> Tool:
        """Return a pip of this host where the pinned wheel cannot be had: ensurepip's, importable, or virtualenv's."""
        # The second is where Debian and Fedora keep what they take out of ensurepip.
        directories = (os.path.join(interpreter.stdlib, "ensurepip", "_bundled"), "/usr/share/python-wheels")
        wheels = [path for directory in directories for path in _wheels_of_pip(directory)]
        found, refusals = self._pip_of_wheels(interpreter, wheels, "ensurepip's wheel")
        if found is None:
            found, further = self._pip_of_wheels(
                interpreter, self._pips_of_virtualenv(interpreter), "virtualenv's wheel"
            )
            refusals += further
        if found is None:
            raise ToolAbsent("; ".join([absent.cause] + refusals)) from absent
        return found

    def _pip_of_wheels(
        self, interpreter: "Interpreter", wheels: "list[str]", origin: str
    ) -> "tuple[Tool | None, list[str]]":
        """Return the first pip among these wheels, or else importable, that this interpreter can run."""
        places = []
        for path in wheels:
            key = "%s-%d" % ("-".join(os.path.basename(path).split("-")[:2]), os.path.getsize(path))
            directory = os.path.join(self.cache_directory, "tools", key)
            try:
                places.append((unpack_wheels([path], directory), origin))
            except (OSError, WheelError) as error:
                self.console.detail("%s could not be unpacked: %s" % (path, error))
        library = os.path.join(interpreter.stdlib, "site-packages")
        if os.path.isfile(os.path.join(library, "pip", "__main__.py")):
            places.append((library, "importable"))
        candidates = []
        for directory, source in places:
            command = _pip_tool(interpreter, directory, "", "").command
            candidates.append((command, os.path.join(directory, "pip", "__main__.py"), source))
        return self._first_usable("pip", candidates, OLDEST_PIP)

    def _pips_of_virtualenv(self, interpreter: "Interpreter") -> "list[str]":
        """Return the wheels of pip that virtualenv carries for the environments it makes, newest first."""
        import re

        try:
            tool = self.virtualenv(interpreter)
            # It breaks what it prints into lines as wide as the terminal.
            environ = dict(scrubbed_environment(), COLUMNS="10000", **tool.environment)
            command, patience = tool.command + ["--version"], 6 * SECONDS_TO_PRINT_A_VERSION
            result = run_child(command, self.console, environ=environ, timeout=patience)
        except PrimerError:
            return []
        told = re.match(r"virtualenv \S+ from (.+?)(?:[/\\]__init__\.py)?\s*$", result.output)
        wheels = _wheels_of_pip(os.path.join(told.group(1), "seed", "wheels", "embed")) if told else []
        return sorted(wheels, key=lambda path: _version_tuple(os.path.basename(path)), reverse=True)

    def _unpacked(self, wheels: "dict[str, str]", name: str, main_module: str = "") -> str:
        """Return the directory in which pinned wheels are unpacked, fetching them unless they are."""
        digest = sha256_of("".join(sorted(wheels.values())).encode("ascii"))
        version = _wheel_version(name, wheels)
        directory = os.path.join(self.cache_directory, "tools", "%s-%s-%s" % (name, version, digest[:12]))
        if unpacked_is_whole(directory):
            try:
                # What is in use is not collected.
                os.utime(directory)
            except OSError:
                pass
            return directory
        if self._reader.only_looks:
            self._fetched(wheels)
            return directory
        try:
            what = "%s %s" % (name, version)
            with self.console.step("fetching " + what, "fetched " + what, may_fail=True):
                return unpack_wheels(self._fetched(wheels), directory, main_module)
        except OSError as error:
            raise ToolAbsent("%s %s could not be unpacked into the cache: %s" % (name, version, error)) from error

    def _fetched(self, wheels: "dict[str, str]") -> "list[str]":
        def fetch(filename: str) -> str:
            more = (self.settings, self.cache_directory, self.console, self._reader)
            try:
                return fetch_wheel(filename, wheels[filename], *more)
            except WheelError as error:
                self.records += error.records
                raise

        # The first one alone: where its server does not answer, the others are not asked for.
        first, *others = wheels
        paths = [fetch(first)]
        if others:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(8) as pool:
                paths += pool.map(fetch, others)
        return paths

    def _first_usable(
        self,
        name: str,
        candidates: "list[tuple[list[str], str, str]]",
        oldest: "tuple[int, ...]",
        newest: "tuple[int, ...]" = (1000,),
    ) -> "tuple[Tool | None, list[str]]":
        """Return the first candidate (command, path, origin) that says a version in range, and why others do not."""
        refusals = []  # type: list[str]
        for command, path, origin in candidates:
            try:
                return self._checked(name, command, path, origin, oldest, newest), refusals
            except ToolAbsent as absent:
                refusals.append(absent.cause)
                self.refusals.append(absent.cause)
                self.console.detail(absent.cause)
        return None, refusals

    def _checked(
        self,
        name: str,
        command: "list[str]",
        path: str,
        origin: str,
        oldest: "tuple[int, ...]",
        newest: "tuple[int, ...]" = (1000,),
    ) -> Tool:
        origin = origin if origin == "verified wheel" else "%s: %s" % (origin, path)
        version = self._remembered_version(path, name, command)
        if version.startswith("!"):
            raise ToolAbsent("%s (%s) %s" % (name, origin, version[1:]))
        if _version_tuple(version) < oldest:
            raise ToolAbsent("%s %s (%s) is older than %s" % (name, version, origin, ".".join(map(str, oldest))))
        misfit = self.uv_pin.misfit(version) if name == "uv" else None
        if misfit:
            raise ToolAbsent("uv %s (%s) %s" % (version, origin, misfit))
        if _version_tuple(version)[: len(newest)] > newest:
            wanted = ".".join(map(str, newest))
            raise ToolAbsent("%s %s (%s) is too new for this Python, %s serves it" % (name, version, origin, wanted))
        return Tool(command, version, origin)

    def _remembered_version(self, path: str, name: str, command: "list[str]") -> str:
        """Return the version a tool prints, or `!` and why none; it is remembered by path, time and size."""
        try:
            status = os.stat(path)
        except OSError as error:
            return "!cannot be used: %s" % error.strerror
        identity = [command, status.st_mtime, status.st_size, status.st_ino]
        key = sha256_of(json.dumps(command, sort_keys=True).encode("ascii"))[:16]
        note = os.path.join(self.cache_directory, "tools", "known", key + ".json")
        try:
            known, version = json.loads(content_of(note).decode("utf-8"))
            is_fresh = time.time() - os.stat(note).st_mtime < SECONDS_UNTIL_ASKED_AGAIN
            if known == identity and (is_fresh or not version.startswith("!")):
                return str(version)
        except (OSError, ValueError, TypeError):
            pass
        version = _printed_version(command, name, self.console)
        is_of_the_file = not version.startswith(("!cannot", "!did not"))
        # What a version manager's shim answers depends on more than the shim.
        if is_of_the_file and os.path.basename(os.path.dirname(path)) != "shims":
            try:
                os.makedirs(os.path.dirname(note), exist_ok=True)
                write_json(note, [identity, version])
            except OSError:
                pass
        return str(version)


def uv_wheel_for_host(
    platform: "str | None" = None,
    machine: "str | None" = None,
    libc: "str | None" = None,
    wheels: "dict[str, str]" = UV_WHEELS,
) -> "str | None":
    """Return the file name of the pinned uv wheel that runs on this host (or the one described), or `None`."""
    platform, machine = platform or sys.platform, machine or machine_of_python()
    libc = libc_of_host() if libc is None else libc
    best = (-1, "")
    for filename in wheels:
        tags = filename[:-4].rsplit("-", 1)[1].split(".")
        best = max([best] + [(tag_rank(tag, platform, machine, libc), filename) for tag in tags])
    return best[1] if best[0] >= 0 else None


def tag_rank(tag: str, platform: str, machine: str, libc: str) -> int:
    """Return how well a wheel's platform tag suits a host; negative if it does not run there."""
    if platform == "win32":
        wanted = {"amd64": "win_amd64", "arm64": "win_arm64", "x86": "win32"}.get(machine.lower())
        return 0 if tag == wanted else -1
    if platform == "darwin":
        return 0 if tag.startswith("macosx_") and tag.endswith(("_" + machine, "_universal2")) else -1
    if not platform.startswith("linux") or not tag.endswith("_" + machine):
        return -1
    if tag.startswith("linux_"):
        return 0
    if tag.startswith("musllinux_"):
        # uv's are linked statically: they also run where the GNU library is older than the others need.
        return 1000 if libc.startswith("musl") else 0
    if not tag.startswith("manylinux_") or not libc.startswith("glibc"):
        return -1
    needed = _version_tuple(tag)[:2]
    return needed[1] if needed <= _version_tuple(libc) else -1


def machine_of_python() -> str:
    """Return the name of the processor's kind that this Python was built for."""
    machine = machine_of_host()
    if sys.maxsize < 2**32:
        # A 32-bit userland under a 64-bit kernel.
        narrow = {"x86_64": "i686", "i386": "i686", "aarch64": "armv7l", "armv8l": "armv7l", "AMD64": "x86"}
        return narrow.get(machine, machine)
    return machine


def _version_tuple(version: str) -> "tuple[int, ...]":
    spaced = "".join(letter if letter.isdigit() else " " for letter in version)
    return tuple(int(part) for part in spaced.split()[:3])


def _wheel_version(name: str, wheels: "dict[str, str]") -> str:
    return next(filename.split("-")[1] for filename in wheels if filename.startswith(name + "-"))


def _pinned_for(
    bands: "list[tuple[tuple[int, int], dict[str, str]]]", interpreter: "Interpreter", name: str
) -> "dict[str, str]":
    for lowest, wheels in bands:
        if tuple(interpreter.version_info[:2]) >= lowest:
            return wheels
    raise ToolAbsent("no %s is known for Python %s" % (name, ".".join(map(str, interpreter.version_info))))


def _pip_tool(interpreter: "Interpreter", directory: str, version: str, origin: str) -> Tool:
    # A path, not `-m pip`: isolated mode would not find it. Run by its runner, pip does not take itself for installed.
    program = os.path.join(directory, "pip", "__pip-runner__.py")
    program = program if os.path.isfile(program) else os.path.dirname(program)
    return Tool([interpreter.executable, "-I", program], version, origin)


def _wheels_of_pip(directory: str) -> "list[str]":
    names = names_in(directory)
    return [os.path.join(directory, one) for one in names if one.startswith("pip-") and one.endswith(".whl")]


def _printed_version(command: "list[str]", name: str, console: Console) -> str:
    """Return the version that `--version` prints, or `!` and why there is none."""
    import re

    # pip and virtualenv are compiled on their first run, which a busy machine draws out.
    patience = SECONDS_TO_PRINT_A_VERSION * (1 if name == "uv" else 6)
    try:
        result = run_child(
            command + ["--version"], console, cwd=os.path.dirname(os.path.abspath(command[0])),
            environ=scrubbed_environment(), timeout=patience,
        )  # fmt: skip
    except PrimerError as error:
        return "!cannot be used: %s" % error.cause
    if result.status == STATUS_OF_LATE:
        return "!did not print its version within %d seconds" % patience
    found = re.match(r"%s (\d+(?:\.\d+)+)\b" % name, result.output)
    if result.status or not found:
        said = (result.everything().splitlines() or ["nothing"])[0][:80]
        return "!does not print `%s X.Y.Z` (exit status %d, printed: %s)" % (name, result.status, said)
    return found.group(1)


def _executable(name: str) -> str:
    return name + (".exe" if is_windows() else "")


def _on_path(name: str) -> "list[str]":
    """Return the executables of that name on PATH, relative entries and environments of protoprimer left out."""
    found = []  # type: list[str]
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(directory, _executable(name))
        ours = os.path.join(os.path.dirname(os.path.realpath(directory)), "protoprimer.json")
        usable = os.path.isabs(directory) and os.path.isfile(path) and os.access(path, os.X_OK)
        if usable and path not in found and not os.path.exists(ours):
            found.append(path)
    return found


def _uv_candidates() -> "list[tuple[str, str]]":
    candidates = [(path, "PATH") for path in _on_path("uv")]
    sites = [place for place in sys.path if os.path.basename(place) in ("site-packages", "dist-packages")]
    # An installed `uv` module only leads to the executable beside it: nothing of it needs to be imported.
    if any(os.path.isfile(os.path.join(place, "uv", "__init__.py")) for place in sites):
        places = [scripts_directory(sys.prefix), scripts_directory(sys.base_prefix), "/usr/local/bin"]
        candidates += [(os.path.join(place, _executable("uv")), "importable") for place in places]
    for parts in ((".local", "bin"), (".cargo", "bin")):
        candidates.append((os.path.join(os.path.expanduser("~"), *parts, _executable("uv")), "its installer"))
    chosen = {}  # type: dict[str, str]
    for path, origin in candidates:
        if os.path.isfile(path):
            chosen.setdefault(path, origin)
    return list(chosen.items())
