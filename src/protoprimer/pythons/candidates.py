"""Where interpreters may be: files by their names and places, none of them started."""

import os
import sys

from protoprimer.formats.versions import PythonRequest
from protoprimer.pythons.probe import version_in_name
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.files import names_in
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.platform import is_windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["InterpreterCandidate", "interpreter_candidates"]

# The limit of a candidate whose names tell no version, and of a patch number that no name tells.
_ANY = 99


class InterpreterCandidate:
    """A file that may be an interpreter, with what its names tell before it is asked.

    :param evidence: names that may tell a version, the best first, such as `3.11.7` or `python3.11`
    """

    def __init__(self, path: str, origin: str, evidence: "list[str]") -> None:
        self.path = path
        self.origin = origin
        self.is_pypy = any(name.startswith("pypy") for name in evidence)
        numbers = next(filter(None, map(version_in_name, evidence)), ())
        # The newest version it can be; a patch number that no name tells may be any.
        self.limit = (numbers + (_ANY, _ANY, _ANY))[:3]

    def may_fit(self, request: PythonRequest) -> bool:
        """Tell whether the names leave it possible that this is what is asked for."""
        if self.is_pypy != (request.implementation == "pypy"):
            return False
        major, minor, patch = self.limit
        versions = ["%d.%d.%d" % (major, minor, last) for last in ([patch] if patch != _ANY else range(30))]
        return major == _ANY or any(request.specifiers.contains(version, prereleases=True) for version in versions)


def interpreter_candidates(wild: Interpreter, console: Console) -> "list[InterpreterCandidate]":
    """Return what may be an interpreter on this host, in the documented order, each real file once."""
    seen = set()  # type: set[str]
    candidates = []  # type: list[InterpreterCandidate]
    for path, origin, installation in _interpreter_paths(wild, console):
        real = os.path.realpath(path)
        if real in seen or not os.path.isfile(real) or not os.access(real, os.X_OK) or _is_python_shim(path, real):
            continue
        seen.add(real)
        # What belongs to an environment stands for the base, unless it is a copy: then the probe finds the base.
        shown = real if os.path.isfile(os.path.join(os.path.dirname(path), "..", "pyvenv.cfg")) else path
        evidence = [installation, os.path.basename(real), os.path.basename(path)]
        candidates.append(InterpreterCandidate(shown, origin, evidence))
    return candidates


def _interpreter_paths(wild: Interpreter, console: Console) -> "Iterator[tuple[str, str, str]]":
    """Yield path, origin and the name of its installation directory ("" if that tells nothing), in order."""
    yield wild.executable, "the base of this environment" if wild.found_in_environment else wild.origin, ""
    search = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(entry)]
    # A shim's neighbours are the real interpreters behind it, wherever its manager was installed.
    managers = [os.path.dirname(os.path.normpath(entry)) for entry in search if _is_shims_directory(entry)]
    for origin, directory in _installation_roots(managers):
        for name in sorted(_entries(directory), key=lambda name: (os.path.islink(os.path.join(directory, name)), name)):
            for path in _python_files(os.path.join(directory, name, "" if is_windows() else "bin")):
                yield path, origin, name
    registered = _registered_pythons(search, console) if is_windows() else []
    for origin, paths in [("PATH", search), ("registry", registered), ("system", _system_directories())]:
        for path in paths:
            for file in _python_files(path) if origin != "registry" else [path]:
                yield file, origin, ""


def _installation_roots(managers: "list[str]") -> "list[tuple[str, str]]":
    """Return the directories that hold one directory per installed Python, with the name of their manager."""
    home, environ = os.path.expanduser("~"), os.environ
    data = environ.get("APPDATA") if is_windows() else environ.get("XDG_DATA_HOME")
    data = data or os.path.join(home, ".local", "share")
    pyenv = [environ.get("PYENV_ROOT", "")] + managers + [os.path.join(home, ".pyenv")]
    asdf = [environ.get("ASDF_DATA_DIR", "")] + managers + [os.path.join(home, ".asdf")]
    mise = environ.get("MISE_DATA_DIR") or os.path.join(data, "mise")
    return (
        [("pyenv", os.path.join(root, "versions")) for root in pyenv]
        + [("uv", environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python"))]
        + [("asdf", os.path.join(root, "installs", "python")) for root in asdf]
        + [("mise", os.path.join(mise, "installs", "python"))]
    )


def _system_directories() -> "list[str]":
    import glob

    patterns = ["/usr/bin", "/usr/local/bin", "/opt/python*/bin", "/opt/python/*/bin", "/opt/homebrew/bin",
                "/Library/Frameworks/Python.framework/Versions/*/bin", "/usr/libexec"]  # fmt: skip
    if is_windows():
        patterns = [glob.escape(os.environ.get("LOCALAPPDATA", "")) + "\\Programs\\Python\\Python3*",
                    glob.escape(os.environ.get("PROGRAMFILES", "")) + "\\Python3*"]  # fmt: skip
    return [directory for pattern in patterns for directory in sorted(glob.glob(pattern))]


def _registered_pythons(search: "list[str]", console: Console) -> "list[str]":
    """Return what the Windows launcher knows: the interpreters of the registry (PEP 514)."""
    import re

    for launcher in (os.path.join(entry, "py.exe") for entry in search):
        if os.path.isfile(launcher):
            listed = run_child([launcher, "-0p"], console, timeout=5.0)
            return re.findall(r"(?im)[a-z]:\\.*\.exe(?=\s*$)", listed.output)
    return []


def _python_files(directory: str) -> "list[str]":
    """Return the files of a directory that are named as interpreters are."""
    import re

    # What Windows offers in WindowsApps are stubs that open its shop.
    if _is_shims_directory(directory) or os.path.basename(os.path.normpath(directory)) == "WindowsApps":
        return []
    if sys.platform == "darwin" and directory == "/usr/bin" and not os.path.isdir("/Library/Developer"):
        # Apple's stub would open a window that offers to install the developer tools.
        return []
    # `platform-python` is the only one that a minimal RHEL 8 has.
    named = re.compile(r"((python|pypy)(\d+(\.\d+)?)?t?d?|platform-python)" + (r"\.exe\Z" if is_windows() else r"\Z"))
    return [os.path.join(directory, name) for name in _entries(directory) if named.match(name)]


def _entries(directory: str) -> "list[str]":
    return names_in(directory) if os.path.isabs(directory) else []


def _is_shims_directory(directory: str) -> bool:
    return os.path.basename(os.path.normpath(directory)) == "shims"


def _is_python_shim(path: str, real: str) -> bool:
    """Tell whether this starts a version manager, which would choose by the current directory, not by our request."""
    import re

    if any(_is_shims_directory(os.path.dirname(name)) for name in (path, real)):
        return True
    if os.path.basename(real) in ("mise", "asdf", "rtx", "pyenv"):
        return True
    try:
        with open(real, "rb") as stream:
            start = stream.read(1024)
    except OSError:
        return False
    return start.startswith(b"#!") and bool(re.search(rb"/shims/|\b(pyenv|asdf|mise|rtx)\W{1,3}(exec|x)\b", start))
