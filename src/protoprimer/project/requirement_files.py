"""Lines of requirement files, and what they lead to."""

import os
import re
from typing import Iterable, Iterator, NamedTuple

from protoprimer.errors import no_such_file
from protoprimer.formats.requirement_lines import (
    LineOptions,
    decoded_requirements,
    logical_lines,
    options_of_line,
    with_variables,
)
from protoprimer.formats.requirements import Requirement, read_requirement
from protoprimer.project.archives import is_archive, name_in_archive
from protoprimer.project.build_inputs import add_project_inputs
from protoprimer.project.inputs import Inputs
from protoprimer.project.metadata import read_project
from protoprimer.system.files import content_of, path_at, read_configured
from protoprimer.system.paths import file_url, path_of_file_url

__all__ = ["RequirementLine", "add_requirement_lines", "lines_of_arguments", "lines_of_file", "lines_without_hashes"]

# Options of pip and uv whose value is the next word.
_OPTION_WITH_VALUE = (
    "-[rceifCtpP]|--(requirements?|.*constraints?|editable|.*index(-url)?|find-links|.*-binary|.*-package|group"
    "|extra|overrides?|excludes?|target|prefix|root|src|.*python-version|.*platform|implementation|abi|config-settings?"
    "|global-option|.*-strategy|.*-action|progress-bar|report|keyring-provider|proxy|retries|timeout|.*-host|.*cert|log"
    "|.*-dir|use-(feature|deprecated)|uploaded-prior-to|exclude-newer|link-mode|resolution|prerelease|torch-backend)"
)
# What may follow the path of a project or an archive, as in `./pkg#egg=name&subdirectory=sub`.
_FRAGMENT = r"#((?:[^#]*&)?(?:egg|subdirectory|sha\d+|md5)=[^#]*)$"


class RequirementLine(NamedTuple):
    """What is asked for.

    :param text: in one line, without comment, variables filled in
    :param path: the file that it is in, or the root for `args`
    :param number: 0 if that is to be found out
    """

    text: str
    path: str
    number: int = 0
    is_constraint: bool = False

    @property
    def place(self) -> str:
        if os.path.isdir(self.path):
            return "install.args in " + self.path
        if self.number:
            return "%s:%d" % (self.path, self.number)
        before, found, _ = content_of(self.path).partition(('"%s"' % self.text).encode("utf-8", "replace"))
        if not found:
            return self.path
        return "%s:%d" % (self.path, before.count(b"\n") + 1)

    @property
    def parts(self) -> LineOptions:
        return options_of_line(self.text)

    @property
    def is_editable(self) -> bool:
        return not self.parts.requirement and self.parts.value("--editable") is not None

    @property
    def target(self) -> str:
        return self.parts.requirement or self.parts.value("--editable") or ""

    def requirement(self, root: str) -> "Requirement | None":
        """Return what is asked for, with the name that a path has; `None` if that cannot be known."""
        asked = read_requirement(self.target)
        paths = self.local_paths(root)
        if not paths:
            return asked
        url = file_url(paths[0])
        if asked is not None and asked.url:
            return asked._replace(url=url)
        name = _name_at(paths[0])
        if name is None:
            return None
        address, _, marker = self.target.partition(";")
        extras = re.search(r"\[([^\]]*)\]", re.sub(_FRAGMENT, "", address.strip()))
        chosen = [extra.strip() for extra in extras.group(1).split(",")] if extras else []
        return Requirement(name, [extra for extra in chosen if extra], "", url, marker or None)

    def local_paths(self, root: str) -> "list[str]":
        """Return the projects and archives on this host that are meant."""
        asked = read_requirement(self.target)
        address = asked.url if asked is not None and asked.url else self.target.partition(";")[0]
        fragment = re.search(_FRAGMENT, address)
        path = re.sub(r"\[[^\]]*\]$", "", path_of_file_url(re.sub(_FRAGMENT, "", address.strip())))
        if not (self.is_editable or address.startswith("file:") or _looks_like_path(path)):
            return []
        subdirectory = re.search("(?:^|&)subdirectory=([^&]+)", fragment.group(1)) if fragment else None
        # pip counts from where it is started, the root; a file that means itself is met too.
        bases = [root, self.path if os.path.isdir(self.path) else os.path.dirname(self.path)]
        places = {}  # type: dict[str, None]
        for base in bases:
            place = path_at(base, path)
            if subdirectory and os.path.isdir(place):
                place = path_at(place, subdirectory.group(1))
            places[place] = None
        return list(filter(os.path.exists, places))


def _looks_like_path(text: str) -> bool:
    return text.startswith(".") or "/" in text or os.sep in text or is_archive(text)


def _name_at(path: str) -> "str | None":
    """Return the name of the project in a directory or an archive."""
    if os.path.isdir(path):
        metadata = read_project(path)
        return metadata.name if metadata else None
    return name_in_archive(path)


def lines_of_file(
    path: str, root: str, is_constraint: bool = False, seen: "set[tuple[str, bool]] | None" = None
) -> Iterator[RequirementLine]:
    """Yield a line of no text for each file, and its lines."""
    seen = set() if seen is None else seen
    seen.add((path, is_constraint))
    yield RequirementLine("", path, 0, is_constraint)
    # uv knows the root by that name, and so does our pip.
    variables = dict({"PROJECT_ROOT": root}, **os.environ)
    for logical in logical_lines(decoded_requirements(read_configured(path))):
        text = with_variables(logical.text, variables)
        line = RequirementLine(text, path, logical.number, is_constraint)
        yield from _with_included(line, os.path.dirname(path), root, seen)


def lines_of_arguments(words: "list[str]", root: str) -> Iterator[RequirementLine]:
    """Yield words for an installer as lines, options with their values."""
    import shlex

    option = ""
    for word in words:
        text = option + " " + shlex.quote(word) if option else word
        option = word if re.fullmatch(_OPTION_WITH_VALUE, word) else ""
        if not option:
            yield from _with_included(RequirementLine(text, root), root, root, set())


def _with_included(
    line: RequirementLine, directory: str, root: str, seen: "set[tuple[str, bool]]"
) -> Iterator[RequirementLine]:
    target, is_constraint = line.parts.value("--requirement"), line.is_constraint
    if target is None:
        target, is_constraint = line.parts.value("--constraint"), True
    is_elsewhere = target is not None and "://" in target and not target.startswith("file:")
    if line.parts.requirement or target is None or is_elsewhere:
        yield line
        return
    path = path_at(directory, path_of_file_url(target))
    # To uv a name ends where the line does.
    whole = path_at(directory, re.sub(r"^-+\w+[=\s]*", "", line.text))
    if not os.path.isfile(path) and os.path.isfile(whole):
        path = whole
    if not os.path.isfile(path):
        raise no_such_file(path, line.place)
    if (path, is_constraint) not in seen:
        yield from lines_of_file(path, root, is_constraint, seen)


def add_requirement_lines(lines: Iterable[RequirementLine], root: str, inputs: Inputs) -> None:
    """Add the files that lines are in, and what they name on this host."""
    for line in lines:
        if not line.text:
            inputs.add(line.path)
            for name in re.findall(r"\$\{([A-Z0-9_]+)\}", decoded_requirements(content_of(line.path))):
                inputs.add_variable(name)
        for path in line.local_paths(root):
            add_project_inputs(path, line.is_editable, inputs)


def lines_without_hashes(path: str, root: str) -> "list[str] | None":
    """Return the lines of a requirement file without hashes, `None` if none has any, or a URL has one."""
    # Without its hash, a URL would be fetched again.
    lines = list(lines_of_file(path, root))
    texts = [line.text for line in lines if line.text and not line.is_constraint]
    hashed = [text for text in texts if re.search(r"\s--hash[=\s]", text)]
    if not hashed or "://" in "".join(hashed):
        return None
    constraints = ["-c " + file_url(line.path) for line in lines if line.is_constraint and not line.text]
    return constraints + [re.sub(r"\s+--hash[=\s]\s*\S+", "", text) for text in texts if text != "--require-hashes"]
