"""Projects that nobody has to name: those of a glob, and those below a root."""

import glob
import os

from protoprimer.errors import ConfigurationError
from protoprimer.project.metadata import METADATA_FILES

__all__ = ["NothingChosenError", "globs_of", "projects_below", "projects_of_glob"]

# Here lie projects of others, and test data.
_NOT_OURS = frozenset(["node_modules", "site-packages", "test", "tests"])


class NothingChosenError(ConfigurationError):
    """Projects lie below a root, and nothing says which of them are to be installed: exit code 3."""


def projects_of_glob(root: str, pattern: str) -> "list[str]":
    """Return the directories below `root` that a pattern such as `packages/*` means and that are projects, sorted."""
    found = glob.glob(os.path.join(glob.escape(root), pattern), recursive=True)
    return sorted(os.path.normpath(path) for path in found if _is_project(path))


def projects_below(root: str) -> "list[str]":
    """Return the projects one or two levels below `root`, relative to it; only names are looked at."""
    found = []  # type: list[str]
    for name in _directories(root):
        inner = [name] if _is_project(os.path.join(root, name)) else []
        found += inner or [name + "/" + one for one in _directories(os.path.join(root, name))
                           if _is_project(os.path.join(root, name, one))]  # fmt: skip
    return found


def globs_of(below: "list[str]") -> "list[str]":
    """Return these projects as TOML's texts, with a glob for those of one directory."""
    return list(dict.fromkeys('"%s"' % (os.path.dirname(path) + "/*" if "/" in path else path) for path in below))


def _directories(path: str) -> "list[str]":
    try:
        with os.scandir(path) as entries:
            return sorted(
                one.name for one in entries if one.is_dir() and one.name[0] != "." and one.name not in _NOT_OURS
            )
    except OSError:
        return []


def _is_project(directory: str) -> bool:
    return any(os.path.isfile(os.path.join(directory, name)) for name in METADATA_FILES)
