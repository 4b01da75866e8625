"""The files that `init` and `entry` write into a repository."""

import os
from typing import NamedTuple

from protoprimer.errors import ConfigurationError
from protoprimer.system.files import read_configured, write_atomically
from protoprimer.system.paths import nearest_existing

__all__ = ["RepositoryFile", "repository_text", "with_attributes", "with_ignored"]


class RepositoryFile(NamedTuple):
    """A file as it is to be; a script is executable."""

    path: str
    text: str
    is_script: bool = False

    def is_there(self) -> bool:
        return repository_text(self.path) == self.text and (not self.is_script or os.access(self.path, os.X_OK))

    def refuse_unwritable(self) -> None:
        directory = nearest_existing(os.path.dirname(self.path))
        if not os.path.isdir(directory):
            raise ConfigurationError("what is no directory is in the way", directory, "move it away")
        changed = self.path if os.path.exists(self.path) and not self.is_script else directory
        for place in (changed, directory):
            if not os.access(place, os.W_OK):
                raise ConfigurationError("cannot be written", place, "check who may write there")

    def write(self) -> None:
        # What a link leads to is meant.
        path = os.path.realpath(self.path)
        try:
            mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644
            # Whoever may read a script may start it.
            content = self.text.encode("utf-8", "surrogateescape")
            write_atomically(path, content, mode | (mode >> 2 & 0o111) if self.is_script else mode)
        except OSError as error:
            cause = "cannot be written: %s" % error.strerror
            raise ConfigurationError(cause, self.path, "check who may write there") from None


def repository_text(path: str) -> "str | None":
    """Return the text of a file, or `None` if there is none."""
    if not os.path.exists(path):
        return None
    if not os.path.isfile(path):
        raise ConfigurationError("what is no file is in the way", path, "move it away")
    return read_configured(path).decode("utf-8", "surrogateescape")


def with_attributes(text: str, attributes: "dict[str, str]") -> str:
    """Return a `.gitattributes` with these attributes by path, unless a path has a line."""
    named = [line.split()[0].strip('"').lstrip("/") for line in text.splitlines() if line.strip()]
    patterns = {path: '"/%s"' % path if " " in path else "/" + path for path in attributes if path not in named}
    return _with_lines(text, ["%s %s" % (pattern, attributes[path]) for path, pattern in patterns.items()])


def with_ignored(text: str, link: "str | None") -> str:
    """Return a `.gitignore` that leaves out a link of this name, as `.venv/` would not."""
    patterns = [before + str(link) + after for before in ("", "/", "**/") for after in ("", "*")]
    patterns += [".*", "/.*"] if str(link).startswith(".") else []
    is_there = any(line.strip() in patterns for line in text.splitlines())
    return text if is_there or not link else _with_lines(text, ["/" + link])


def _with_lines(text: str, lines: "list[str]") -> str:
    end = "" if not text or text.endswith("\n") or not lines else "\n"
    return text + end + "".join(line + "\n" for line in lines)
