"""uv, virtualenv and pip: this host's, or from verified wheels; never installed into an interpreter."""

import json
import os
import re
import sys
import time
from contextlib import suppress
from typing import Callable, Iterable, Iterator, NamedTuple

from protoprimer.errors import PrimerError
from protoprimer.fault import Fault
from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.pins import pinned_wheels
from protoprimer.fetch.platform_tags import tag_of_host
from protoprimer.fetch.roads import Absence, RoadRecord, road_record
from protoprimer.fetch.uv_pin import UvPin
from protoprimer.fetch.wheels import ToolAbsent, fetch_wheel, unpack_wheels, unpacked_is_whole, wheel_sources
from protoprimer.formats.versions import version_numbers
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.children import STATUS_OF_LATE, run_child, scrubbed_environment
from protoprimer.system.console import Console
from protoprimer.system.files import has_file, is_full_place, keep_in_cache, names_in, sha256_of, text_of
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import (
    can_lock_in,
    directories_on_path,
    free_megabytes,
    nearest_existing,
    private_temporary_cache,
    scripts_directory,
)
from protoprimer.system.platform import is_windows

__all__ = ["Tool", "ToolBox"]

SECONDS_TO_PRINT_A_VERSION = 5.0
# What stopped it may be no part of its file.
SECONDS_UNTIL_ASKED_AGAIN = 3600
OLDEST_TOOLS = {"uv": (0, 8), "pip": (19, 0), "virtualenv": (20, 17)}
# By the minor version of Python 3, since newer ones make no environments of it.
NEWEST_VIRTUALENVS = {6: (20, 21), 7: (20, 26), 8: (21, 4)}
_ANY_NEWER = (1000,)
# A wheel and what is unpacked from it.
_MEGABYTES_NEEDED = {"uv": 100, "pip": 15, "virtualenv": 30}
_OF_WHEEL = "verified wheel"
_OF_VARIABLE = "$UV"

_RUN_VIRTUALENV = "import runpy\n\nrunpy.run_module('virtualenv', run_name='__main__', alter_sys=True)\n"


class Tool(NamedTuple):
    """A program that can be run; for pip and virtualenv the interpreter is `command[0]`."""

    command: "list[str]"
    version: str
    origin: str
    environment: "dict[str, str]"


class _Candidate(NamedTuple):
    command: "list[str]"
    # The file that decides what it is.
    path: str
    origin: str


def _once(find: "Callable[..., Tool]") -> "Callable[..., Tool]":
    def remembered(box: "ToolBox", *interpreters: Interpreter) -> Tool:
        key = (find.__name__,) + tuple(one.executable for one in interpreters)
        if key not in box.found:
            try:
                box.found[key] = find(box, *interpreters)
            except ToolAbsent as absent:
                box.found[key] = absent
        found = box.found[key]
        if isinstance(found, ToolAbsent):
            raise found
        return found

    return remembered


class ToolBox:
    """Finds or fetches each tool once, or raises `ToolAbsent`; `records` tell what could not be fetched."""

    def __init__(
        self, settings: IndexSettings, cache_directory: str, console: Console, uv_pin: "UvPin | None" = None
    ) -> None:
        self.settings = settings
        self.cache_directory = cache_directory
        self.console = console
        self.uv_pin = uv_pin or UvPin(pinned_wheels("uv"), [])
        self.records = []  # type: list[RoadRecord]
        self._reader = UrlReader(self.settings, console)
        # A directory of the host's wheels.
        self.beside_pip = ""
        self.found = {}  # type: dict[tuple[str, ...], Tool | ToolAbsent]
        # Those that uv does not use for that reason.
        self._full_caches = []  # type: list[str]

    @_once
    def uv(self) -> Tool:
        """Return uv: `$UV` alone if it is set, else this host's, else the verified wheel."""
        usual = _usual_cache_of_uv()
        cache = self._cache_for_uv(usual)
        if cache is None:
            advice = "set UV_CACHE_DIR to a directory on another file system"
            raise ToolAbsent("uv cannot write and lock files in its cache %s (%s)" % (usual, advice))
        found = self._first_usable("uv", self._uv_candidates(), [])
        if cache != usual:
            found.environment["UV_CACHE_DIR"] = cache
        return found

    def _cache_for_uv(self, usual: str) -> "str | None":
        # uv does nothing at all without a cache, and little without locks in it.
        for place in (usual, os.path.join(self.cache_directory, "uv")):
            if place not in self._full_caches and can_lock_in(place) and free_megabytes(place) != 0:
                return place
        if self._reader.only_looks:
            return usual if can_lock_in(usual) else None
        place = os.path.join(private_temporary_cache(), "uv")
        return place if can_lock_in(place) else None

    def leave_full_cache_of_uv(self) -> bool:
        """Let uv keep its cache elsewhere from now on, as a disk was full; tell whether there is such a place."""
        if self._full_caches:
            return False
        usual, private = _usual_cache_of_uv(), private_temporary_cache()
        if _is_on_one_disk(usual, private):
            return False
        self._full_caches = [usual, os.path.join(self.cache_directory, "uv")]
        self.found = {}
        self.console.say("a disk is full: from now on uv keeps its cache in %s" % os.path.join(private, "uv"))
        return True

    def _leave_full_cache(self, what: str, error: OSError) -> bool:
        # Tell whether tools are kept in another place from now on.
        private = private_temporary_cache()
        if not is_full_place(error) or private == self.cache_directory:
            return False
        told = "the cache %s is full (%s): keeping tools in %s"
        self.console.say(told % (self.cache_directory, _room_told(self.cache_directory, what), private))
        self.cache_directory = private
        return True

    @_once
    def virtualenv(self, interpreter: Interpreter) -> Tool:
        """Return virtualenv, told to make environments of `interpreter`."""
        python, pins = interpreter.executable, pinned_wheels("virtualenv", interpreter.version_info)
        newest = NEWEST_VIRTUALENVS.get(interpreter.version_info[1], _ANY_NEWER)
        candidates = [_Candidate([path], path, "PATH") for path in _on_path("virtualenv")]
        library = os.path.join(interpreter.stdlib, "site-packages", "virtualenv")
        if has_file(library, "__main__.py"):
            candidates.insert(0, _Candidate([python, "-I", "-m", "virtualenv"], library, "importable"))
        try:
            found = self._first_usable("virtualenv", candidates, [], newest)
        except ToolAbsent:
            directory = self._unpacked("virtualenv", pins, _RUN_VIRTUALENV)
            found = Tool([python, "-I", directory], _wheel_version("virtualenv", pins), _OF_WHEEL, {})
        data = os.path.join(self.cache_directory, "virtualenv")
        found.environment.update(VIRTUALENV_CONFIG_FILE=os.devnull, VIRTUALENV_OVERRIDE_APP_DATA=data)
        return found._replace(command=found.command + ["--python", python])

    @_once
    def pip(self, interpreter: Interpreter) -> Tool:
        """Return the pinned pip for this version of Python, or, where its wheel cannot be had, one of this host."""
        try:
            pins = pinned_wheels("pip", interpreter.version_info)
            command = _pip_command(interpreter, self._unpacked("pip", pins))
            return Tool(command, _wheel_version("pip", pins), _OF_WHEEL, {})
        except ToolAbsent as absent:
            if any(record.closed == "other bytes" for record in absent.records):
                raise
            return self._first_usable("pip", self._pips_of_host(interpreter), absent.absences)

    def pip_wheel(self, interpreter: Interpreter) -> "str | None":
        """Return the verified wheel that `pip` was unpacked from, `None` if it is the host's."""
        try:
            is_pinned = self.pip(interpreter).origin == _OF_WHEEL
            return self._fetched(pinned_wheels("pip", interpreter.version_info))[0] if is_pinned else None
        except ToolAbsent:
            return None

    def pinned_wheels(self, interpreter: Interpreter, uv_wheel: "str | None") -> "list[str]":
        """Return the verified wheels of pip and virtualenv, and this one of uv."""
        wheels = pinned_wheels("pip", interpreter.version_info)
        wheels.update(pinned_wheels("virtualenv", interpreter.version_info))
        if uv_wheel is not None:
            wheels[uv_wheel] = self.uv_pin.wheels[uv_wheel]
        return self._fetched(wheels)

    def only_look(self) -> UrlReader:
        """Fetch nothing from now on, a tool that could be had counts as had; return what asks the servers."""
        self._reader.only_looks = True
        return self._reader

    def why_not_found(self, name: str) -> "RoadRecord | None":
        """Return what closes the first road to a distribution, if one is closed."""
        for source in wheel_sources(name, self.settings):
            try:
                self._reader.links(source)
            except (OSError, ValueError) as error:
                return road_record(name, name, source, error)
        return None

    def _uv_candidates(self) -> Iterator[_Candidate]:
        chosen = os.environ.get("UV")
        if chosen:
            path = os.path.abspath(chosen)
            yield _Candidate([path], path, _OF_VARIABLE)
            return
        yield from _uvs_of_host()
        wheels = self.uv_pin.wheels
        version, filename = _wheel_version("uv", wheels), self.uv_pin.wheel_for(tag_of_host())
        if filename is None:
            raise ToolAbsent("uv %s has no wheel with a pinned hash for this host (%s)" % (version, tag_of_host()))
        misfit = self.uv_pin.misfit(version)
        if misfit:
            advice = "name one that is, with its hashes: tools.uv in [tool.protoprimer]"
            raise ToolAbsent("uv %s, whose hashes are pinned, %s; %s" % (version, misfit, advice))
        path = os.path.join(self._unpacked("uv", {filename: wheels[filename]}), "bin", _executable("uv"))
        yield _Candidate([path], path, _OF_WHEEL)

    def _pips_of_host(self, interpreter: Interpreter) -> Iterator[_Candidate]:
        for place, origin in self._places_of_pip(interpreter):
            self.beside_pip = os.path.dirname(place) if place.endswith(".whl") else ""
            if self.beside_pip:
                key = "%s-%d" % ("-".join(os.path.basename(place).split("-")[:2]), os.path.getsize(place))
                try:
                    place = unpack_wheels([place], os.path.join(self.cache_directory, "tools", key))
                except (OSError, ToolAbsent) as error:
                    self.console.detail("%s could not be unpacked: %s" % (place, error))
                    continue
            program = os.path.join(place, "pip", "__main__.py")
            if os.path.isfile(program):
                yield _Candidate(_pip_command(interpreter, place), program, origin)

    def _places_of_pip(self, interpreter: Interpreter) -> "Iterator[tuple[str, str]]":
        # Debian and Fedora keep in the second what they take out of ensurepip.
        for directory in (os.path.join(interpreter.stdlib, "ensurepip", "_bundled"), "/usr/share/python-wheels"):
            for path in _wheels_of_pip(directory):
                yield path, "ensurepip's wheel"
        yield os.path.join(interpreter.stdlib, "site-packages"), "importable"
        try:
            tool = self.virtualenv(interpreter)
            # It breaks what it prints into lines as wide as the terminal.
            environ = scrubbed_environment(dict(tool.environment, COLUMNS="10000"))
            command, patience = tool.command + ["--version"], 6 * SECONDS_TO_PRINT_A_VERSION
            printed = run_child(command, self.console, environ=environ, timeout=patience).output
        except PrimerError:
            return
        told = re.match(r"virtualenv \S+ from (.+?)(?:[/\\]__init__\.py)?\s*$", printed)
        for path in _wheels_of_pip(os.path.join(told.group(1), "seed", "wheels", "embed")) if told else []:
            yield path, "virtualenv's wheel"

    def _unpacked(self, name: str, wheels: "dict[str, str]", main_module: str = "") -> str:
        digest = sha256_of("".join(sorted(wheels.values())).encode("ascii"))
        what = "%s %s" % (name, _wheel_version(name, wheels))
        directory = os.path.join(self.cache_directory, "tools", "%s-%s" % (what.replace(" ", "-"), digest[:12]))
        if unpacked_is_whole(directory):
            # What is in use is not collected.
            with suppress(OSError):
                os.utime(directory)
        elif self._reader.only_looks:
            self._fetched(wheels)
        else:
            try:
                with self.console.step("fetching " + what, "fetched " + what, may_fail=True):
                    unpack_wheels(self._fetched(wheels), directory, main_module)
            except OSError as error:
                if self._leave_full_cache(name, error):
                    return self._unpacked(name, wheels, main_module)
                raise self._not_unpacked(what, name, error) from error
        return directory

    def _not_unpacked(self, what: str, name: str, error: OSError) -> ToolAbsent:
        cause = "%s could not be unpacked into the cache: %s" % (what, error)
        if is_full_place(error):
            room = _room_told(self.cache_directory, name)
            advice = "set PROTOPRIMER_CACHE to a directory with more room"
            cause = "there is no room for %s in %s (%s; %s)" % (what, self.cache_directory, room, advice)
        return ToolAbsent(cause, None, None, [Absence(Fault.DISK, cause, cause)])

    def _fetched(self, wheels: "dict[str, str]") -> "list[str]":
        from concurrent.futures import ThreadPoolExecutor

        def fetch(filename: str) -> str:
            try:
                return fetch_wheel(filename, wheels[filename], self.cache_directory, self._reader)
            except ToolAbsent as absent:
                self.records += absent.records
                raise

        # The first one alone: where its server does not answer, the others are not asked for.
        first, *others = wheels
        paths = [fetch(first)]
        with ThreadPoolExecutor(8) as pool:
            return paths + list(pool.map(fetch, others))

    def _first_usable(
        self,
        name: str,
        candidates: Iterable[_Candidate],
        earlier: "list[Absence]",
        newest: "tuple[int, ...]" = _ANY_NEWER,
    ) -> Tool:
        """Return the first whose version is in range.

        :param earlier: why those cannot serve that were tried before
        :raises ToolAbsent: why none of them can
        """
        absences = list(earlier)
        try:
            for command, path, place in candidates:
                if place == _OF_WHEEL and self._reader.only_looks and not os.path.exists(path):
                    return Tool(command, "", "to be fetched", {})
                version = self._remembered_version(path, name, command)
                origin = place if place == _OF_WHEEL else "%s: %s" % (place, path)
                misfit = self._misfit(name, version, newest)
                if misfit is None:
                    return Tool(command, version, origin, {})
                shown = name if version.startswith("!") else "%s %s" % (name, version)
                told = "%s (%s) %s" % (shown, origin, misfit)
                self.console.detail(told)
                fault = Fault.TOOL_CHOSEN_BY_VARIABLE if place == _OF_VARIABLE else Fault.TOOL_UNUSABLE
                absences.append(Absence(fault, told, told))
        except ToolAbsent as absent:
            absences += absent.absences
        raise ToolAbsent("; ".join(one.told for one in absences), absences=absences)

    def _misfit(self, name: str, version: str, newest: "tuple[int, ...]") -> "str | None":
        numbers = version_numbers(version)
        if version.startswith("!"):
            return version[1:]
        if numbers < OLDEST_TOOLS[name]:
            return "is older than %d.%d" % OLDEST_TOOLS[name]
        if numbers[: len(newest)] > newest:
            return "is too new for this Python, %s serves it" % ".".join(map(str, newest))
        return self.uv_pin.misfit(version) if name == "uv" else None

    def _remembered_version(self, path: str, name: str, command: "list[str]") -> str:
        """Return the version that a tool prints, or `!` and why it prints none."""
        try:
            status = os.stat(path)
        except OSError as error:
            return "!cannot be used: %s" % error.strerror
        identity = json.dumps([command, status.st_mtime, status.st_size, status.st_ino])
        note = os.path.join(self.cache_directory, "tools", "known", sha256_of(identity.encode("ascii"))[:16])
        version = text_of(note)
        if version and (version[0] != "!" or time.time() - os.stat(note).st_mtime < SECONDS_UNTIL_ASKED_AGAIN):
            return version
        version = _printed_version(command, name, self.console)
        is_of_the_file = not version.startswith(("!cannot", "!did not"))
        # What a version manager's shim answers depends on more than the shim.
        if is_of_the_file and os.path.basename(os.path.dirname(path)) != "shims":
            keep_in_cache(note, version.encode("utf-8", "replace"))
        return version


def _usual_cache_of_uv() -> str:
    usual = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("UV_CACHE_DIR") or os.path.join(usual, "uv")


def _is_on_one_disk(path: str, other: str) -> bool:
    try:
        return os.stat(nearest_existing(path)).st_dev == os.stat(nearest_existing(other)).st_dev
    except OSError:
        return False


def _room_told(directory: str, tool: str) -> str:
    needed = "%s needs about %d MB" % (tool, _MEGABYTES_NEEDED[tool])
    free = free_megabytes(directory)
    if free is None:
        return needed
    return "%d MB are free, %s" % (free, needed)


def _wheel_version(name: str, wheels: "dict[str, str]") -> str:
    return next((filename.split("-")[1] for filename in wheels if filename.startswith(name + "-")), "")


def _pip_command(interpreter: Interpreter, directory: str) -> "list[str]":
    # Isolated mode would not find `-m pip`. Run by its runner, pip does not take itself for installed.
    program = os.path.join(directory, "pip", "__pip-runner__.py")
    program = program if os.path.isfile(program) else os.path.dirname(program)
    return [interpreter.executable, "-I", program]


def _wheels_of_pip(directory: str) -> "list[str]":
    wheels = [name for name in names_in(directory) if name.startswith("pip-") and name.endswith(".whl")]
    return [os.path.join(directory, name) for name in sorted(wheels, key=version_numbers, reverse=True)]


def _printed_version(command: "list[str]", name: str, console: Console) -> str:
    # pip and virtualenv are compiled on their first run, which a busy machine draws out.
    patience = SECONDS_TO_PRINT_A_VERSION * (1 if name == "uv" else 6)
    cwd = os.path.dirname(os.path.abspath(command[0]))
    try:
        result = run_child(command + ["--version"], console, cwd, scrubbed_environment(), timeout=patience)
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
    found = []
    for directory in dict.fromkeys(directories_on_path()):
        path = os.path.join(directory, _executable(name))
        is_ours = os.path.exists(os.path.join(os.path.realpath(directory), "..", "protoprimer.json"))
        if os.path.isfile(path) and os.access(path, os.X_OK) and not is_ours:
            found.append(path)
    return found


def _uvs_of_host() -> "list[_Candidate]":
    origins = dict.fromkeys(_on_path("uv"), "PATH")
    for directory in (scripts_directory(sys.prefix), scripts_directory(sys.base_prefix), "/usr/local/bin"):
        origins.setdefault(os.path.join(directory, _executable("uv")), "where this Python installs programs")
    for parent in (".local", ".cargo"):
        path = os.path.join(os.path.expanduser("~"), parent, "bin", _executable("uv"))
        origins.setdefault(path, "where its installer puts it")
    return [_Candidate([path], path, origin) for path, origin in origins.items() if os.path.isfile(path)]
