"""Files that may be interpreters, by their names and places; none of them is started."""

import glob
import os
import re
import sys
from typing import Iterator

from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.files import paths_in, start_of
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import directories_on_path, user_cache_directory
from protoprimer.system.platform import is_windows

__all__ = ["interpreter_candidates", "places_of_uv_pythons"]


def interpreter_candidates(wild: Interpreter, console: Console) -> "list[tuple[str, str]]":
    """Return path and origin of what may be an interpreter, in the documented order, each real file once."""
    candidates = {}  # type: dict[str, tuple[str, str]]
    for path, origin in _interpreter_paths(wild, console):
        real = os.path.realpath(path)
        if real not in candidates and os.access(real, os.X_OK) and os.path.isfile(real) and not _is_shim(path, real):
            candidates[real] = path, origin
    return list(candidates.values())


def _interpreter_paths(wild: Interpreter, console: Console) -> "Iterator[tuple[str, str]]":
    yield wild.executable, "the base of this environment" if wild.found_in_environment else wild.origin
    search = [os.path.normpath(entry) for entry in directories_on_path()]
    # A shim's neighbours are the real interpreters behind it, wherever its manager was installed.
    managers = [os.path.dirname(entry) for entry in search if os.path.basename(entry) == "shims"]
    for origin, directory in _installation_roots(managers):
        for prefix in sorted(paths_in(directory), key=os.path.islink):
            for path in _python_files(prefix if is_windows() else os.path.join(prefix, "bin")):
                yield path, origin
    for directory in search:
        for path in _python_files(directory):
            yield path, "PATH"
    for path in _registered_pythons(search, console) if is_windows() else []:
        yield path, "registry"
    for directory in _system_directories():
        for path in _python_files(directory):
            yield path, "system"


def places_of_uv_pythons() -> "list[str]":
    """Return where uv keeps interpreters, and where else if nothing can be written there."""
    usual = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(_data_directory(), "uv", "python")
    return [usual, os.path.join(user_cache_directory(), "python")]


def _data_directory() -> str:
    data = os.environ.get("APPDATA" if is_windows() else "XDG_DATA_HOME")
    return data or os.path.expanduser(os.path.join("~", ".local", "share"))


def _installation_roots(managers: "list[str]") -> "list[tuple[str, str]]":
    home, environ, data = os.path.expanduser("~"), os.environ, _data_directory()
    pyenv = [environ.get("PYENV_ROOT", "")] + managers + [os.path.join(home, ".pyenv")]
    asdf = [environ.get("ASDF_DATA_DIR", "")] + managers + [os.path.join(home, ".asdf")]
    mise = environ.get("MISE_DATA_DIR") or os.path.join(data, "mise")
    installs = [("asdf", root) for root in asdf] + [("mise", mise)]
    roots = [("pyenv", os.path.join(root, "versions")) for root in pyenv]
    roots += [("uv", place) for place in places_of_uv_pythons()]
    roots += [(name, os.path.join(root, "installs", "python")) for name, root in installs]
    return [(name, path) for name, path in roots if os.path.isabs(path)]


def _system_directories() -> "list[str]":
    patterns = ["/usr/bin", "/usr/local/bin", "/opt/python*/bin", "/opt/python/*/bin", "/opt/homebrew/bin",
                "/Library/Frameworks/Python.framework/Versions/*/bin", "/usr/libexec"]  # fmt: skip
    if is_windows():
        patterns = [glob.escape(os.environ.get("LOCALAPPDATA", "")) + "\\Programs\\Python\\Python3*",
                    glob.escape(os.environ.get("PROGRAMFILES", "")) + "\\Python3*"]  # fmt: skip
    return [directory for pattern in patterns for directory in sorted(glob.glob(pattern))]


def _registered_pythons(search: "list[str]", console: Console) -> "list[str]":
    # The launcher reads the registry (PEP 514).
    for launcher in (os.path.join(entry, "py.exe") for entry in search):
        if os.path.isfile(launcher):
            listed = run_child([launcher, "-0p"], console, timeout=5.0)
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
    named = re.compile(r"((python|pypy)(\d+(\.\d+)?)?t?d?|platform-python)" + (r"\.exe\Z" if is_windows() else r"\Z"))
    return [path for path in paths_in(directory) if named.match(os.path.basename(path))]


def _is_shim(path: str, real: str) -> bool:
    # A version manager would choose by the current directory, not by our request.
    directories = [os.path.basename(os.path.dirname(name)) for name in (path, real)]
    if "shims" in directories or os.path.basename(real) in ("mise", "asdf", "pyenv"):
        return True
    start = start_of(real)
    return start.startswith(b"#!") and bool(re.search(rb"/shims/|\b(pyenv|asdf|mise)\W{1,3}(exec|x)\b", start))
