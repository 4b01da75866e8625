"""What an environment is a function of."""

import fnmatch
import os
import re
from contextlib import suppress
from typing import Iterator

from protoprimer.project.metadata import ProjectMetadata
from protoprimer.system.files import has_file, is_within, names_in, path_at, sha256_of

__all__ = ["Inputs", "has_wildcard"]

# What builds, installers and tools leave in a checkout.
_PRODUCT = r"__pycache__|build|dist|node_modules|.*\.(egg-info|pyc|so|pyd|dll|o|a)"


class Inputs:
    """Files by their content, what is absent, and other facts, by a name for a person.

    :ivar variables: of the process, those that facts follow from
    :ivar projects: those that are in already, and whether they are editable
    :ivar metadata: of projects that have been read, by their directories
    :ivar matched: files that patterns match
    :ivar kept: files whose loss counts
    :ivar looked_at: files that facts follow from, and directories in which something that counts could appear
    """

    def __init__(self) -> None:
        self.present = set()  # type: set[str]
        self.absent = set()  # type: set[str]
        self.projects = set()  # type: set[tuple[str, bool]]
        self.metadata: "dict[str, ProjectMetadata]" = {}
        self.looked_at = set()  # type: set[str]
        self.matched = set()  # type: set[str]
        self.facts = {}  # type: dict[str, object]
        self.variables = set()  # type: set[str]
        self.kept = set()  # type: set[str]

    def stamped(self) -> "list[str]":
        """Return the files that may not change during a build."""
        return sorted(self.present.union(filter(os.path.isfile, self.looked_at)))

    def add(self, *paths: str) -> None:
        """Let files count by their content, or by their absence."""
        for path in paths:
            if os.path.isfile(path):
                self.present.add(path)
            elif os.path.islink(path) and not os.path.exists(path):
                # It may be replaced, or what it leads to may appear.
                self.looked_at.add(os.path.dirname(path))
                self.absent.add(os.path.realpath(path))
            elif not os.path.exists(path):
                self.absent.add(path)

    def add_fact(self, name: str, value: object, *paths: str) -> None:
        self.facts[name] = value
        self.look_at(*paths)

    def add_variable(self, name: str) -> None:
        # What it says may be a secret.
        self.facts["the variable " + name] = sha256_of(os.fsencode(os.environ.get(name, "")))
        self.variables.update(re.findall(r"\A[A-Za-z_]\w*\Z", name, re.ASCII))

    def look_at(self, *paths: str) -> None:
        """Look again when one of these files or directories changes."""
        self.looked_at.update(filter(os.path.exists, paths))
        self.add(*(path for path in paths if not os.path.exists(path)))

    def add_matching(self, directory: str, pattern: str, skips_packages: bool = False) -> "list[str]":
        """Let the files count that a glob matches, and return them; what is hidden or built only by its name."""
        return list(self._matches(directory, os.path.normpath(pattern).split(os.sep), skips_packages))

    def described(self, root: str) -> "list[str]":
        return [name.replace(os.path.join(root, ""), "") for name in sorted(self.present) + sorted(self.facts)]

    def _matches(self, directory: str, parts: "list[str]", skips_packages: bool) -> Iterator[str]:
        part, rest, names = parts[0], parts[1:], parts[:1]
        if has_wildcard(part):
            names = names_in(directory)
            self.look_at(directory)
            if "pyvenv.cfg" in names or (skips_packages and "__init__.py" in names):
                return
            names = [name for name in names if name[0] != "." or part[0] == "."]
            # A package may be named `build`.
            is_product = re.compile(_PRODUCT).fullmatch
            if not is_product(part):
                names = [name for name in names if not is_product(name) or has_file(directory, name, "__init__.py")]
            if part == "**":
                yield from self._matches(directory, rest or ["*"], skips_packages)
                rest = parts
            else:
                found, names = names, []
                # Older Pythons refuse `[z-a]*`, of a regular expression.
                with suppress(re.error):
                    names = fnmatch.filter(found, part)
        for path in [path_at(directory, name) for name in names]:
            if rest and os.path.isdir(path):
                # Links may lead in circles.
                if part != "**" or not is_within(os.path.realpath(directory), os.path.realpath(path)):
                    yield from self._matches(path, rest, skips_packages)
            elif not has_wildcard(part):
                self.add(path)
            if not rest and os.path.isfile(path):
                self.add(path)
                self.matched.add(path)
                yield path


def has_wildcard(text: str) -> bool:
    """Tell a pattern from a path."""
    return any(sign in text for sign in "*?[")
