"""Projects that nobody has to name: those of a glob, and those below a root."""

import os

from protoprimer.errors import ConfigurationError
from protoprimer.project.inputs import Inputs
from protoprimer.project.metadata import METADATA_FILES

__all__ = ["NothingChosenError", "globs_of", "projects_below", "projects_of_glob"]

# Projects of others, and test data.
_NOT_OURS = frozenset(["site-packages", "test", "tests"])


class NothingChosenError(ConfigurationError):
    """Nothing says which of the projects below a root are to be installed: exit code 3."""


def projects_of_glob(root: str, pattern: str) -> "list[str]":
    """Return the projects that a pattern such as `packages/*` means."""
    files = [one for name in METADATA_FILES for one in Inputs().add_matching(root, os.path.join(pattern, name))]
    return sorted(set(map(os.path.dirname, files)))


def projects_below(root: str) -> "list[str]":
    """Return the projects one or two levels below `root`, relative to it."""
    found: "list[str]" = []
    for path in projects_of_glob(root, "*") + projects_of_glob(root, "*/*"):
        parts = os.path.relpath(path, root).split(os.sep)
        if not _NOT_OURS.intersection(parts) and parts[0] not in found:
            found.append("/".join(parts))
    return sorted(found)


def globs_of(below: "list[str]") -> "list[str]":
    """Return TOML's texts of these projects, a glob for those of one directory."""
    return list(dict.fromkeys('"%s"' % (os.path.dirname(path) + "/*" if "/" in path else path) for path in below))
