"""TOML 1.0, with the line of every key.

Where Python has `tomllib`, a long document's values come from it; the reader here serves short ones and older Pythons,
tells lines, and words the errors, so that they are the same everywhere. Both accept the same documents and give the
same values.
"""

import sys

from protoprimer.errors import ConfigurationError
from protoprimer.system.files import refuse_endless

__all__ = ["TomlError", "load_toml", "parse_toml", "place_of_key", "toml_key_lines"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from typing import Any

    TomlTable = dict[str, Any]
    TomlPath = tuple[str | int, ...]

_SHORT_TEXT = 20000


class TomlError(ValueError):
    """Text that is not TOML 1.0: `message` says why, `line` where, counted from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__("%s (line %d)" % (message, line))
        self.message = message
        self.line = line


def load_toml(path: str) -> "TomlTable":
    """Return the content of the TOML file at `path`.

    :raises ConfigurationError: it cannot be read, is not UTF-8 or not TOML 1.0 (exit code 3); the place has the line
    """
    try:
        refuse_endless(path)
        with open(path, "rb") as stream:
            content = stream.read()
        return _toml_values(content.decode("utf-8"))
    except OSError as error:
        raise ConfigurationError("the file cannot be read: %s" % (error.strerror or error), path) from None
    except UnicodeDecodeError as error:
        place = "%s:%d" % (path, content[: error.start].count(b"\n") + 1)
        raise ConfigurationError(
            "the file is not valid TOML: it is not UTF-8", place, "save the file as UTF-8"
        ) from None
    except TomlError as error:
        place = "%s:%d" % (path, error.line)
        raise ConfigurationError("the file is not valid TOML: " + error.message, place, "correct the file") from None


def _toml_values(text: str) -> "TomlTable":
    # Importing tomllib takes longer than the reader here needs for a few pages. From 3.15 on it takes TOML 1.1, which
    # would make one file good here and bad there.
    if (3, 11) <= sys.version_info < (3, 15) and len(text) > _SHORT_TEXT:
        import tomllib  # type: ignore[import-not-found,unused-ignore]

        try:
            values = tomllib.loads(text)  # type: TomlTable
            return values
        except (ValueError, RecursionError):
            pass  # Said again below, in words that are the same on every Python.
    return parse_toml(text)


def parse_toml(text: str) -> "TomlTable":
    """Return the tables of a TOML 1.0 document; dates and times are objects of `datetime`.

    :raises TomlError: the text is not TOML
    """
    return _TomlReader(text).read()


def toml_key_lines(text: str) -> "dict[TomlPath, int]":
    """Return the line, from 1, of each key, table and array element, by its path.

    An element's path ends in its index: `("tool", "uv", "index", 0, "url")`. A table named by several headers has
    the line of its own header, else of the first that implies it.

    :raises TomlError: the text is not TOML
    """
    reader = _TomlReader(text)
    reader.read()
    lines = {}
    line, seen = 1, 0
    for path, offset in sorted(reader.offsets.items(), key=lambda item: item[1]):
        line += reader.text.count("\n", seen, offset)
        seen = offset
        lines[path] = line
    return lines


def place_of_key(path: str, keys: "TomlPath") -> str:
    """Return `file:line (key)` of a key in a file that is TOML, or of the nearest table above it."""
    with open(path, encoding="utf-8", newline="") as stream:
        lines = toml_key_lines(stream.read())
    known = next((keys[:end] for end in range(len(keys), 0, -1) if keys[:end] in lines), None)
    shown = ".".join(str(key) for key in keys if isinstance(key, str))
    return "%s:%d (%s)" % (path, lines[known] if known else 1, shown)


_TOML_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_TOML_INTEGER = r"[+-]?(?:0|[1-9](?:_?[0-9])*)"
_TOML_DIGITS = r"[0-9](?:_?[0-9])*"
_TOML_TIME = r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,6})[0-9]*)?"
_TOML_DATE = r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
# Tried in this order, since a date and a time both start as a number does.
_TOML_SCALARS = (
    ("moment", _TOML_DATE + "(?:[Tt ]" + _TOML_TIME + "(?:([Zz])|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))?)?"),
    ("time", _TOML_TIME),
    ("based", "0(?:x[0-9A-Fa-f](?:_?[0-9A-Fa-f])*|o[0-7](?:_?[0-7])*|b[01](?:_?[01])*)"),
    ("float", r"%s(?:\.%s(?:[eE][+-]?%s)?|[eE][+-]?%s)" % (_TOML_INTEGER, _TOML_DIGITS, _TOML_DIGITS, _TOML_DIGITS)),
    ("integer", _TOML_INTEGER),
    ("float", "[+-]?(?:inf|nan)"),
)
_TOML_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_TOML_HEX = frozenset("0123456789ABCDEFabcdef")


# Where a token ends, by methods of texts: importing `re` takes longer than reading most documents.


def _end_of_run(text: str, at: int, letters: "frozenset[str] | str") -> int:
    while at < len(text) and text[at] in letters:
        at += 1
    return at


def _end_of_allowed(text: str, at: int, end: int, also: str) -> int:
    """Return the offset of the first control character that is not in `also`, at the latest `end`."""
    part = text[at:end]
    if part.isprintable():
        return end
    found = (offset for offset, one in enumerate(part) if (one < " " and one not in also) or one == "\x7f")
    return at + next(found, len(part))


def _end_before(text: str, at: int, mark: str) -> int:
    found = text.find(mark, at)
    return found if found >= 0 else len(text)


def _end_of_space(text: str, at: int) -> int:
    return _end_of_run(text, at, " \t")


def _end_of_bare(text: str, at: int) -> int:
    return _end_of_run(text, at, _TOML_BARE)


def _end_of_comment(text: str, at: int) -> int:
    at = _end_of_run(text, at, " \t")
    return _end_of_allowed(text, at, _end_before(text, at, "\n"), "\t") if text.startswith("#", at) else at


def _end_of_gap(text: str, at: int) -> int:
    while True:
        start, at = at, _end_of_run(text, at, " \t\n")
        at = _end_of_comment(text, at)
        if at == start:
            return at


def _end_of_basic(text: str, at: int, also: str = "\t") -> int:
    part = text[at : _end_before(text, at, '"')]
    return _end_of_allowed(text, at, at + len(part.partition("\\")[0]), also)


def _end_of_basic_lines(text: str, at: int) -> int:
    return _end_of_basic(text, at, "\t\n")


def _end_of_literal(text: str, at: int) -> int:
    return _end_of_allowed(text, at, _end_before(text, at, "'"), "\t")


def _end_of_literal_lines(text: str, at: int) -> int:
    return _end_of_allowed(text, at, _end_before(text, at, "'''"), "\t\n")


def _end_of_escape(text: str, at: int) -> int:
    kind = text[at + 1 : at + 2]
    if kind in _TOML_ESCAPES:
        return at + 2
    digits = {"u": 4, "U": 8}.get(kind, 0)
    found = text[at + 2 : at + 2 + digits]
    return at + 2 + digits if digits and len(found) == digits and _TOML_HEX.issuperset(found) else at


def _end_of_folded(text: str, at: int) -> int:
    end = _end_of_run(text, at + 1, " \t")
    return _end_of_run(text, end, " \t\n") if text.startswith("\n", end) else at


class _TomlReader:
    """A recursive descent over `text`; `at` is the offset of what comes next."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.root = {}  # type: TomlTable
        self.offsets = {}  # type: dict[TomlPath, int]
        # Containers by id: written as a value; opened by a header or earlier dotted keys; by this section's.
        self.complete = set()  # type: set[int]
        self.declared = set()  # type: set[int]
        self.dotted = []  # type: list[int]

    def read(self) -> "TomlTable":
        table, path = self.root, ()  # type: TomlTable, TomlPath
        try:
            while True:
                self.skip(_end_of_gap)
                if self.at == len(self.text):
                    return self.root
                if self.take("["):
                    table, path = self.header()
                else:
                    self.pair(table, path)
                self.skip(_end_of_comment)
                if self.at < len(self.text) and not self.take("\n"):
                    raise self.error("a new line is expected after the value or the table's name")
        except RecursionError:
            raise self.error("arrays and tables are nested too deeply") from None

    def error(self, message: str, at: "int | None" = None) -> TomlError:
        at = self.at if at is None else at
        found = self.text[at : at + 1]
        if found and found not in "\t\n" and (found < " " or found == "\x7f"):
            message = "the control character U+%04X is not allowed here" % ord(found)
        elif found == "\ufeff" and at == 0:
            message = "it starts with a byte order mark"
        return TomlError(message, self.text.count("\n", 0, at) + 1)

    def skip(self, end_of_token: "Callable[[str, int], int]") -> str:
        """Pass over the token if it is next, and return it."""
        start, self.at = self.at, end_of_token(self.text, self.at)
        return self.text[start : self.at]

    def take(self, literal: str) -> bool:
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def header(self) -> "tuple[TomlTable, TomlPath]":
        self.declared.update(self.dotted)
        del self.dotted[:]
        close = "]]" if self.take("[") else "]"
        start = self.at
        keys = self.keys()
        if not self.take(close):
            raise self.error("%s is expected after the table's name" % close)
        table, path = self.root, ()  # type: TomlTable, TomlPath
        for key in keys[:-1]:
            table, path = self.step(table, path, key, start)
        if close == "]]":
            entries = table.setdefault(keys[-1], [])
            if not isinstance(entries, list) or id(entries) in self.complete:
                raise self.error("%s is no array of tables" % ".".join(keys), start)
            entries.append({})
            self.offsets.setdefault(path + (keys[-1],), start)
        table, path = self.step(table, path, keys[-1], start)
        if id(table) in self.declared:
            raise self.error("the table %s is declared twice" % ".".join(keys), start)
        self.declared.add(id(table))
        self.offsets[path] = start
        return table, path

    def step(self, table: "TomlTable", path: "TomlPath", key: str, start: int) -> "tuple[TomlTable, TomlPath]":
        """Go down to the table `key`, made where it is missing; for an array of tables to its last."""
        path += (key,)
        if key not in table:
            table[key] = {}
            self.offsets[path] = start
        inner = table[key]
        if id(inner) in self.complete or not isinstance(inner, (dict, list)):
            raise self.error("%s already has a value, to which nothing can be added" % key, start)
        if isinstance(inner, list):
            path += (len(inner) - 1,)
            inner = inner[-1]
        return inner, path

    def pair(self, table: "TomlTable", path: "TomlPath") -> None:
        start = self.at
        keys = self.keys()
        if not self.take("="):
            raise self.error("= is expected after the key")
        self.skip(_end_of_space)
        for key in keys[:-1]:
            table, path = self.step(table, path, key, start)
            if id(table) in self.declared:
                raise self.error("the table %s is already declared elsewhere" % key, start)
            self.dotted.append(id(table))
        if keys[-1] in table:
            raise self.error("the key %s has two values" % keys[-1], start)
        path += (keys[-1],)
        self.offsets[path] = start
        value = table[keys[-1]] = self.value(path)
        if isinstance(value, (dict, list)):
            self.complete.add(id(value))

    def keys(self) -> "list[str]":
        keys = []
        while True:
            self.skip(_end_of_space)
            if self.take('"'):
                keys.append(self.basic(_end_of_basic, '"'))
            elif self.take("'"):
                keys.append(self.literal(_end_of_literal, "'"))
            else:
                keys.append(self.skip(_end_of_bare))
                if not keys[-1]:
                    raise self.error("a key is expected")
            self.skip(_end_of_space)
            if not self.take("."):
                return keys

    def value(self, path: "TomlPath") -> "Any":
        if self.take('"'):
            return self.lines('"') if self.take('""') else self.basic(_end_of_basic, '"')
        if self.take("'"):
            return self.lines("'") if self.take("''") else self.literal(_end_of_literal, "'")
        if self.take("["):
            return self.array(path)
        if self.take("{"):
            return self.inline_table(path)
        if self.take("true"):
            return True
        return False if self.take("false") else self.scalar()

    def scalar(self) -> "Any":
        end = _end_of_run(self.text, self.at, "0123456789")
        digits = self.text[self.at : end]
        # One with thousands of digits is a number to no newer Python.
        is_number = digits == "0" or (digits[:1] not in ("", "0") and len(digits) < 999)
        if is_number and self.text[end : end + 1] in ("", " ", "\n", ",", "]", "}"):
            self.at = end
            return int(digits)
        import re

        for kind, pattern in _TOML_SCALARS:
            found = re.compile(pattern).match(self.text, self.at)
            if found:
                try:
                    value = _toml_scalar(kind, found)
                except ValueError:
                    raise self.error("there is no such " + ("date" if kind == "moment" else "number")) from None
                self.at = found.end()
                return value
        raise self.error("a value is expected: text needs quotes")

    def array(self, path: "TomlPath") -> "list[Any]":
        start = self.text.count("\n", 0, self.at) + 1
        items = []  # type: list[Any]
        self.skip(_end_of_gap)
        while not self.take("]"):
            item = path + (len(items),)
            self.offsets[item] = self.at
            items.append(self.value(item))
            self.skip(_end_of_gap)
            if not self.take(",") and not self.text.startswith("]", self.at):
                raise self.error(", or ] is expected in the array that starts in line %d" % start)
            self.skip(_end_of_gap)
        return items

    def inline_table(self, path: "TomlPath") -> "TomlTable":
        table = {}  # type: TomlTable
        self.skip(_end_of_space)
        if self.take("}"):
            return table
        while True:
            self.skip(_end_of_space)
            self.pair(table, path)
            self.skip(_end_of_space)
            if self.take("}"):
                return table
            if not self.take(","):
                raise self.error(", or } is expected in the inline table, which is one line")

    def lines(self, quote: str) -> str:
        self.take("\n")
        text = (
            self.basic(_end_of_basic_lines, quote * 3)
            if quote == '"'
            else self.literal(_end_of_literal_lines, quote * 3)
        )
        # Up to two quotes may stand before the closing three.
        for _ in range(2):
            text += quote if self.take(quote) else ""
        return text

    def literal(self, end_of_token: "Callable[[str, int], int]", close: str) -> str:
        text = self.skip(end_of_token)
        if not self.take(close):
            raise self.error("the text has no closing " + close)
        return text

    def basic(self, end_of_token: "Callable[[str, int], int]", close: str) -> str:
        text = ""
        while True:
            text += self.skip(end_of_token)
            if self.take(close):
                return text
            if self.text.startswith("\\", self.at):
                text += self.escape(len(close) == 3)
            elif len(close) == 3 and self.take('"'):
                text += '"'
            else:
                raise self.error("the text has no closing " + close)

    def escape(self, folds: bool) -> str:
        if folds and self.skip(_end_of_folded):
            return ""
        found = self.skip(_end_of_escape)
        if not found:
            raise self.error("%s is no escape: write \\\\ for a backslash" % self.text[self.at : self.at + 2].strip())
        if len(found) == 2:
            return _TOML_ESCAPES[found[1]]
        code = int(found[2:], 16)
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise self.error("%s is no character" % found)
        return chr(code)


def _toml_scalar(kind: str, found: "re.Match[str]") -> "Any":
    if kind == "based":
        return int(found.group(), 0)
    if kind in ("integer", "float"):
        return (int if kind == "integer" else float)(found.group().replace("_", ""))
    from datetime import date, datetime, time, timedelta, timezone

    parts = (None, None, None, *found.groups()) if kind == "time" else found.groups()  # type: tuple[Any, ...]
    year, month, day, hour, minute, second, fraction = parts[:7]
    if hour is None:
        return date(int(year), int(month), int(day))
    clock = time(int(hour), int(minute), int(second), int((fraction or "").ljust(6, "0")))
    if year is None:
        return clock
    moment = datetime.combine(date(int(year), int(month), int(day)), clock)
    utc, sign, hours, minutes = parts[7:]
    if utc or sign:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        moment = moment.replace(tzinfo=timezone(-offset if sign == "-" else offset))
    return moment
