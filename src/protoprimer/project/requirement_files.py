"""Lines of requirement files, and what they lead to."""

import os
import re
from typing import Iterable, Iterator, NamedTuple

from protoprimer.errors import no_such_file
from protoprimer.formats.requirements import Requirement, read_requirement
from protoprimer.project.build_inputs import add_project_inputs
from protoprimer.project.inputs import Inputs
from protoprimer.project.metadata import read_project
from protoprimer.system.files import content_of, path_at, read_configured, text_of
from protoprimer.system.paths import file_url, path_of_file_url

__all__ = ["RequirementLine", "add_requirement_lines", "lines_of_arguments", "lines_of_file", "lines_without_hashes"]

# Options of pip and uv whose value is the next word.
_OPTION_WITH_VALUE = (
    "-[rceifCtpP]|--(requirements?|.*constraints?|editable|.*index(-url)?|find-links|.*-binary|.*-package|group"
    "|extra|overrides?|excludes?|target|prefix|root|src|.*python-version|.*platform|implementation|abi|config-settings?"
    "|global-option|.*-strategy|.*-action|progress-bar|report|keyring-provider|proxy|retries|timeout|.*-host|.*cert|log"
    "|.*-dir|use-(feature|deprecated)|uploaded-prior-to|exclude-newer|link-mode|resolution|prerelease|torch-backend)"
)


class RequirementLine(NamedTuple):
    """What is asked for, as written.

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
        before, found, _ = content_of(self.path).partition(('"%s"' % self.text).encode("utf-8", "replace"))
        number = self.number or (before.count(b"\n") + 1) * bool(found)
        return "%s:%d" % (self.path, number) if number else self.path

    @property
    def is_editable(self) -> bool:
        return self.text.startswith(("-e", "--editable"))

    @property
    def target(self) -> str:
        return _unquoted(re.sub(r"^(-e|--editable)[=\s]*|\s--.*", "", self.text))

    def requirement(self, root: str) -> "Requirement | None":
        """Return what is asked for, with the name that a path has; `None` if that cannot be known."""
        asked = read_requirement(self.target)
        for path in self.local_paths(root) if asked is None or asked.url is None else []:
            metadata = read_project(path)
            name = metadata.name if metadata else re.split(r"-\d", os.path.basename(path))[0]
            extras = "".join(re.findall(r"\[.*\]", self.target))
            return read_requirement("%s%s @ %s" % (name, extras, file_url(path))) if name else None
        return asked

    def local_paths(self, root: str) -> "list[str]":
        asked = read_requirement(self.target)
        target = asked.url if asked is not None and asked.url else self.target
        path = re.sub(r"\[[^\]]*\]$", "", path_of_file_url(target.split(";")[0].strip()))
        is_path = re.search(r"[/\\]|^\.+$|\.(whl|zip|gz)$", path)
        if not (is_path or self.is_editable or target.startswith("file:")):
            return []
        # pip counts from where it is started, the root; a file that means itself is met too.
        bases = [root, self.path if os.path.isdir(self.path) else os.path.dirname(self.path)]
        places = dict.fromkeys(path_at(base, path) for base in bases)
        return list(filter(os.path.exists, places))


def lines_of_file(
    path: str, is_constraint: bool = False, seen: "set[tuple[str, bool]] | None" = None
) -> Iterator[RequirementLine]:
    """Yield a line of no text for each file, and its lines."""
    seen = set() if seen is None else seen
    seen.add((path, is_constraint))
    yield RequirementLine("", path, 0, is_constraint)
    content = read_configured(path)
    # From Windows' shell.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
    number = 1
    # A comment line ends a continuation, as it does for pip.
    for logical in re.findall(r"(?:(?!\s*#).*\\\n)*.*\n?", text + "\n")[:-1]:
        line = re.sub(r"(^|\s)#.*$", "", logical.replace("\\\n", "").rstrip("\n")).strip()
        line = re.sub(r"\$\{([A-Z0-9_]+)\}", lambda match: os.environ.get(match.group(1)) or match.group(0), line)
        if line:
            yield from _with_included(RequirementLine(line, path, number, is_constraint), os.path.dirname(path), seen)
        number += logical.count("\n")


def lines_of_arguments(words: "list[str]", root: str) -> Iterator[RequirementLine]:
    """Yield words for an installer as lines, options with their values."""
    option = ""
    for word in words:
        text = (option + " " + word).strip()
        option = word if re.fullmatch(_OPTION_WITH_VALUE, word) else ""
        if not option:
            yield from _with_included(RequirementLine(text, root), root, set())


def _with_included(line: RequirementLine, directory: str, seen: "set[tuple[str, bool]]") -> Iterator[RequirementLine]:
    nested = re.match(r"(-r|-c|--requirements?|--constraints?)[=\s]*(.+)", line.text)
    target = _unquoted(nested.group(2)) if nested else ""
    if nested is None or ("://" in target and not target.startswith("file:")):
        yield line
        return
    path = path_at(directory, path_of_file_url(target))
    if not os.path.isfile(path):
        raise no_such_file(path, line.place)
    is_constraint = line.is_constraint or nested.group(1).lstrip("-").startswith("c")
    if (path, is_constraint) not in seen:
        yield from lines_of_file(path, is_constraint, seen)


def _unquoted(text: str) -> str:
    return re.sub(r"^([\"'])(.*)\1$", r"\2", text.strip())


def add_requirement_lines(lines: Iterable[RequirementLine], root: str, inputs: Inputs) -> None:
    """Add the files that lines are in, and what they name on this host."""
    for line in lines:
        if not line.text:
            inputs.add(line.path)
            for name in re.findall(r"\$\{([A-Z0-9_]+)\}", text_of(line.path)):
                inputs.add_variable(name)
        for path in line.local_paths(root):
            add_project_inputs(path, line.is_editable, inputs)


def lines_without_hashes(path: str) -> "list[str] | None":
    """Return the lines of a requirement file without hashes, `None` if none has any, or a URL has one."""
    # Without its hash, a URL would be fetched again.
    lines = list(lines_of_file(path))
    texts = [line.text for line in lines if line.text and not line.is_constraint]
    hashed = [text for text in texts if re.search(r"\s--hash[=\s]", text)]
    if not hashed or "://" in "".join(hashed):
        return None
    constraints = ["-c " + file_url(line.path) for line in lines if line.is_constraint and not line.text]
    return constraints + [re.sub(r"\s+--hash[=\s]\s*\S+", "", text) for text in texts if text != "--require-hashes"]
