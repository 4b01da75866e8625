"""The lines of requirement files: how their text is decoded and joined, and which options are on a line."""

import codecs
import functools
import re
import shlex
from typing import Iterator, List, Mapping, NamedTuple, Optional, Tuple

__all__ = [
    "LineOptions",
    "LogicalLine",
    "decoded_requirements",
    "encoding_of_requirements",
    "logical_lines",
    "options_of_line",
    "with_variables",
]

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark begins this one.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMENT = r"(^|\s+)#.*$"
_VARIABLE = r"\$\{([A-Z0-9_]+)\}"
# By what they may be called in a file, or as arguments of an installer.
_NAMES_OF_OPTIONS = {
    "-C": "--config-settings",
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-i": "--index-url",
    "-r": "--requirement",
    "--config-setting": "--config-settings",
    "--constraints": "--constraint",
    "--pypi-url": "--index-url",
    "--requirements": "--requirement",
}
_OPTIONS_WITH_VALUE = (
    "--all-releases",
    "--config-settings",
    "--constraint",
    "--editable",
    "--extra-index-url",
    "--find-links",
    "--global-option",
    "--hash",
    "--index-url",
    "--no-binary",
    "--only-binary",
    "--only-final",
    "--requirement",
    "--trusted-host",
    "--use-feature",
)
_OPTIONS_WITHOUT_VALUE = ("--no-index", "--no-require-hashes", "--pre", "--prefer-binary", "--require-hashes")


class LogicalLine(NamedTuple):
    """A line with those that continue it.

    :param number: of its first line
    :param written: as in the file
    :param text: joined, without comment
    """

    number: int
    written: str
    text: str


class LineOptions(NamedTuple):
    """What is on a line: a requirement, empty if there is none, and options by their full names with their values."""

    requirement: str
    options: List[Tuple[str, str]]

    def value(self, name: str) -> Optional[str]:
        """Return the first value of an option, `None` if the line has it not."""
        for found, value in self.options:
            if found == name:
                return value
        return None

    def values(self, name: str) -> List[str]:
        """Return all values of an option."""
        return [value for found, value in self.options if found == name]


def decoded_requirements(content: bytes) -> str:
    """Return the text of a requirement file, by its byte order mark or by what its first two lines say."""
    return content.decode(encoding_of_requirements(content), "replace")


def encoding_of_requirements(content: bytes) -> str:
    """Return the name of that encoding; UTF-8 where nothing names another one."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding
    for line in content.split(b"\n")[:2]:
        declared = re.match(rb"#.*?coding[:=]\s*([-\w.]+)", line)
        if declared:
            name = declared.group(1).decode("ascii")
            try:
                return codecs.lookup(name).name
            except LookupError:
                break
    return "utf-8"


def logical_lines(text: str) -> Iterator[LogicalLine]:
    """Yield lines that are not empty."""
    number, written, joined = 1, [], ""  # type: int, List[str], str
    lines = text.splitlines()
    for index, line in enumerate(lines, 1):
        if not written:
            number = index
        written.append(line)
        is_comment = re.match(_COMMENT, line) is not None
        if line.endswith("\\") and not is_comment and index < len(lines):
            joined += line.strip("\\")
            continue
        # A comment line ends a continuation; the space keeps it a comment.
        joined += " " + line if is_comment else line.rstrip("\\")
        bare = re.sub(_COMMENT, "", joined).strip()
        if bare:
            yield LogicalLine(number, "\n".join(written), bare)
        written, joined = [], ""


def with_variables(text: str, environ: Mapping[str, str]) -> str:
    """Fill in `${NAME}`, as far as such variables have a value."""

    def filled(found: "re.Match[str]") -> str:
        return environ.get(found.group(1)) or found.group(0)

    return re.sub(_VARIABLE, filled, text)


@functools.lru_cache(maxsize=None)
def options_of_line(text: str) -> LineOptions:
    """Return the requirement and the options of a line."""
    # A marker has quotes of its own: only what follows the first option is split as a shell would.
    words = text.split(" ")
    position = 0
    while position < len(words) and not words[position].startswith("-"):
        position += 1
    requirement, rest = " ".join(words[:position]).strip(), " ".join(words[position:])
    try:
        parts = shlex.split(rest)
    except ValueError:
        parts = rest.split()
    options = []  # type: List[Tuple[str, str]]
    while parts:
        word = parts.pop(0)
        name, value = _named_option(word)
        if name in _OPTIONS_WITH_VALUE and value is None:
            value = parts.pop(0) if parts else ""
        if name:
            options.append((name, value or ""))
    return LineOptions(requirement, options)


def _named_option(word: str) -> Tuple[str, Optional[str]]:
    """Return the full name of an option, and the value that is in the same word; no name if it is a mere value."""
    if not word.startswith("-"):
        return "", None
    if not word.startswith("--"):
        name = _NAMES_OF_OPTIONS.get(word[:2], word[:2])
        # uv takes `-r=dev.txt` too.
        value = word[3:] if word[2:3] == "=" else word[2:]
        return name, value or None
    given, equals, rest = word.partition("=")
    name = _NAMES_OF_OPTIONS.get(given, given)
    known = _OPTIONS_WITH_VALUE + _OPTIONS_WITHOUT_VALUE
    if name not in known:
        # As pip does it: whatever begins only one of them.
        candidates = [one for one in known if one.startswith(name)]
        if len(candidates) == 1:
            name = candidates[0]
    return name, rest if equals else None
