"""Files that may be interpreters, by their names and places; none of them is started."""

import glob
import os
import re
import sys
from typing import Iterator

from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.files import paths_in, sha256_of, start_of
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import directories_on_path, user_cache_directory
from protoprimer.system.platform import is_windows

__all__ = ["interpreter_candidates", "place_of_own_pythons", "places_of_uv_pythons"]

_LAUNCHER_SECONDS = 5.0


def interpreter_candidates(wild: Interpreter, console: Console, own_place: str = "") -> "list[tuple[str, str]]":
    """Return path and origin of what may be an interpreter, in the documented order, each real file once.

    :param own_place: where those lie that only this clone takes
    """
    candidates = {}  # type: dict[str, tuple[str, str]]
    for path, origin in _interpreter_paths(wild, console, own_place):
        real = os.path.realpath(path)
        if real in candidates:
            continue
        is_program = os.path.isfile(real) and os.access(real, os.X_OK)
        if is_program and not _is_shim(path, real):
            candidates[real] = (path, origin)
    return list(candidates.values())


def _interpreter_paths(wild: Interpreter, console: Console, own_place: str) -> "Iterator[tuple[str, str]]":
    """Yield path and origin of whatever has an interpreter's name, in the documented order."""
    if wild.found_in_environment:
        yield wild.executable, "the base of this environment"
    else:
        yield wild.executable, wild.origin
    search = [os.path.normpath(entry) for entry in directories_on_path()]
    for path in _installed_pythons(own_place) if own_place else []:
        yield path, "a bundle"
    yield from _managed_pythons(search)
    for directory in search:
        for path in _python_files(directory):
            yield path, "PATH"
    if is_windows():
        for path in _registered_pythons(search, console):
            yield path, "registry"
    for directory in _system_directories():
        for path in _python_files(directory):
            yield path, "system"


def _managed_pythons(search: "list[str]") -> "Iterator[tuple[str, str]]":
    """Yield path and origin of what version managers have installed."""
    # A shim's neighbours are the real interpreters behind it, wherever its manager was installed.
    managers = [os.path.dirname(entry) for entry in search if os.path.basename(entry) == "shims"]
    for origin, directory in _installation_roots(managers):
        for path in _installed_pythons(directory):
            yield path, origin


def _installed_pythons(directory: str) -> "Iterator[str]":
    # Managers link short versions to full ones: the full one comes first.
    for prefix in sorted(paths_in(directory), key=os.path.islink):
        programs = prefix if is_windows() else os.path.join(prefix, "bin")
        yield from _python_files(programs)


def place_of_own_pythons(cache_directory: str, root: str) -> str:
    """Return where the interpreters of a clone's bundles are unpacked, which no other clone looks into."""
    return os.path.join(cache_directory, "pythons", sha256_of(os.fsencode(root))[:16])


def places_of_uv_pythons() -> "list[str]":
    """Return where uv keeps interpreters, and where else if nothing can be written there."""
    usual = os.environ.get("UV_PYTHON_INSTALL_DIR")
    if not usual:
        usual = os.path.join(_data_directory(), "uv", "python")
    return [usual, os.path.join(user_cache_directory(), "python")]


def _data_directory() -> str:
    variable = "APPDATA" if is_windows() else "XDG_DATA_HOME"
    data = os.environ.get(variable)
    if data:
        return data
    return os.path.expanduser(os.path.join("~", ".local", "share"))


def _installation_roots(managers: "list[str]") -> "list[tuple[str, str]]":
    """Return the origin, and the directory whose entries are installed Pythons, for each version manager."""
    home = os.path.expanduser("~")
    pyenv_places = [os.environ.get("PYENV_ROOT", "")] + managers + [os.path.join(home, ".pyenv")]
    asdf_places = [os.environ.get("ASDF_DATA_DIR", "")] + managers + [os.path.join(home, ".asdf")]
    mise_place = os.environ.get("MISE_DATA_DIR")
    if not mise_place:
        mise_place = os.path.join(_data_directory(), "mise")
    roots = []  # type: list[tuple[str, str]]
    for place in pyenv_places:
        roots.append(("pyenv", os.path.join(place, "versions")))
    for place in places_of_uv_pythons():
        roots.append(("uv", place))
    for place in asdf_places:
        roots.append(("asdf", os.path.join(place, "installs", "python")))
    roots.append(("mise", os.path.join(mise_place, "installs", "python")))
    # What a variable that is not set makes of a path is relative.
    return [(origin, path) for origin, path in roots if os.path.isabs(path)]


def _system_directories() -> "list[str]":
    if is_windows():
        patterns = [
            glob.escape(os.environ.get("LOCALAPPDATA", "")) + "\\Programs\\Python\\Python3*",
            glob.escape(os.environ.get("PROGRAMFILES", "")) + "\\Python3*",
        ]
    else:
        patterns = [
            "/usr/bin",
            "/usr/local/bin",
            "/opt/python*/bin",
            "/opt/python/*/bin",
            "/opt/homebrew/bin",
            "/Library/Frameworks/Python.framework/Versions/*/bin",
            "/usr/libexec",
        ]
    directories = []  # type: list[str]
    for pattern in patterns:
        directories += sorted(glob.glob(pattern))
    return directories


def _registered_pythons(search: "list[str]", console: Console) -> "list[str]":
    # The launcher reads the registry (PEP 514).
    for directory in search:
        launcher = os.path.join(directory, "py.exe")
        if os.path.isfile(launcher):
            listed = run_child([launcher, "-0p"], console, timeout=_LAUNCHER_SECONDS)
            return re.findall(r"(?im)[a-z]:\\.*\.exe(?=\s*$)", listed.output)
    return []


def _python_files(directory: str) -> "list[str]":
    # In WindowsApps are stubs that open a shop.
    if os.path.basename(directory) in ("shims", "WindowsApps"):
        return []
    if sys.platform == "darwin" and directory == "/usr/bin" and not os.path.isdir("/Library/Developer"):
        # Apple's stub would offer the developer tools in a window.
        return []
    # A minimal RHEL 8 has only `platform-python`.
    name_of_python = r"((python|pypy)(\d+(\.\d+)?)?t?d?|platform-python)"
    suffix = r"\.exe" if is_windows() else ""
    pattern = re.compile(name_of_python + suffix + r"\Z")
    return [path for path in paths_in(directory) if pattern.match(os.path.basename(path))]


def _is_shim(path: str, real: str) -> bool:
    """Tell whether a version manager answers here: it would choose by the current directory, not by our request."""
    for name in (path, real):
        if os.path.basename(os.path.dirname(name)) == "shims":
            return True
    if os.path.basename(real) in ("mise", "asdf", "pyenv"):
        return True
    start = start_of(real)
    if not start.startswith(b"#!"):
        return False
    calls_manager = re.search(rb"/shims/|\b(pyenv|asdf|mise)\W{1,3}(exec|x)\b", start)
    return calls_manager is not None
