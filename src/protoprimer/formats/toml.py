"""TOML 1.0, with the line of every key.

Where Python has `tomllib`, values come from it. The reader here serves other Pythons, tells lines, and words the
errors, so that they are the same everywhere. Both accept the same documents and give the same values.
"""

import re
import sys

from protoprimer.errors import ConfigurationError
from protoprimer.system.files import refuse_endless

__all__ = ["TomlError", "load_toml", "parse_toml", "place_of_key", "toml_key_lines"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    TomlTable = dict[str, Any]
    TomlPath = tuple[str | int, ...]


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
    # From 3.15 on it takes TOML 1.1, which would make one file good here and bad there.
    if (3, 11) <= sys.version_info < (3, 15):
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


_TOML_ESCAPES = dict(zip('btnfr"\\', '\b\t\n\f\r"\\'))
_TOML_INTEGER = r"[+-]?(?:0|[1-9](?:_?[0-9])*)"
_TOML_DIGITS = r"[0-9](?:_?[0-9])*"
_TOML_TIME = r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,6})[0-9]*)?"
_TOML_DATE = r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
# Tried in this order, since a date and a time both start as a number does.
_TOML_SCALARS = [
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("date", _TOML_DATE + "(?:[Tt ]" + _TOML_TIME + "(?:([Zz])|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))?)?"),
        ("time", "()()()" + _TOML_TIME + "()()()()"),
        ("based", "0(?:x[0-9A-Fa-f](?:_?[0-9A-Fa-f])*|o[0-7](?:_?[0-7])*|b[01](?:_?[01])*)"),
        ("float", _TOML_INTEGER + r"(?:\.%s(?:[eE][+-]?%s)?|[eE][+-]?%s)" % ((_TOML_DIGITS,) * 3)),
        ("integer", _TOML_INTEGER),
        ("float", "[+-]?(?:inf|nan)"),
    )
]
_TOML_SPACE = re.compile(r"[ \t]*")
_TOML_COMMENT = re.compile(r"[ \t]*(?:#[^\x00-\x08\n-\x1f\x7f]*)?")
_TOML_GAP = re.compile(r"(?:[ \t\n]+|#[^\x00-\x08\n-\x1f\x7f]*)*")
_TOML_BARE = re.compile(r"[A-Za-z0-9_-]+")
# What text may hold between these quotes; up to two quotes may stand before the closing three.
_TOML_TEXT = {
    '"""': r'\n?((?:[^"\\\x00-\x08\x0b-\x1f\x7f]|\\[^\x00-\x08\x0b-\x1f\x7f]|"{1,2}(?!"))*"{0,2})',
    "'''": r"\n?((?:[^'\x00-\x08\x0b-\x1f\x7f]|'{1,2}(?!'))*'{0,2})",
    '"': r'((?:[^"\\\x00-\x08\n-\x1f\x7f]|\\[^\x00-\x08\n-\x1f\x7f])*)',
    "'": r"([^'\x00-\x08\n-\x1f\x7f]*)",
}
_TOML_ESCAPE = re.compile(r"\\(?:([btnfr\"\\])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([ \t]*\n[ \t\n]*)|)")


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
                self.skip(_TOML_GAP)
                if self.at == len(self.text):
                    return self.root
                if self.take("["):
                    table, path = self.header()
                else:
                    self.pair(table, path)
                self.skip(_TOML_COMMENT)
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

    def skip(self, pattern: "re.Pattern[str]") -> str:
        """Pass over what matches, if only nothing, and return it."""
        found = pattern.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return found.group()

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
        self.skip(_TOML_SPACE)
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
            self.skip(_TOML_SPACE)
            bare = _TOML_BARE.match(self.text, self.at)
            quote = self.text[self.at : self.at + 1]
            if bare is None and quote not in ('"', "'"):
                raise self.error("a key is expected")
            keys.append(self.quoted(quote) if bare is None else self.skip(_TOML_BARE))
            self.skip(_TOML_SPACE)
            if not self.take("."):
                return keys

    def value(self, path: "TomlPath") -> "Any":
        for quote in _TOML_TEXT:
            if self.text.startswith(quote, self.at):
                return self.quoted(quote)
        if self.take("["):
            return self.array(path)
        if self.take("{"):
            return self.inline_table(path)
        if self.take("true"):
            return True
        return False if self.take("false") else self.scalar()

    def scalar(self) -> "Any":
        for kind, pattern in _TOML_SCALARS:
            found = pattern.match(self.text, self.at)
            if found:
                try:
                    value = _toml_scalar(kind, found)
                except ValueError:
                    raise self.error("there is no such " + ("date" if kind == "date" else "number")) from None
                self.at = found.end()
                return value
        raise self.error("a value is expected: text needs quotes")

    def array(self, path: "TomlPath") -> "list[Any]":
        start = self.text.count("\n", 0, self.at) + 1
        items = []  # type: list[Any]
        self.skip(_TOML_GAP)
        while not self.take("]"):
            item = path + (len(items),)
            self.offsets[item] = self.at
            items.append(self.value(item))
            self.skip(_TOML_GAP)
            if not self.take(",") and not self.text.startswith("]", self.at):
                raise self.error(", or ] is expected in the array that starts in line %d" % start)
            self.skip(_TOML_GAP)
        return items

    def inline_table(self, path: "TomlPath") -> "TomlTable":
        table = {}  # type: TomlTable
        self.skip(_TOML_SPACE)
        if self.take("}"):
            return table
        while True:
            self.skip(_TOML_SPACE)
            self.pair(table, path)
            self.skip(_TOML_SPACE)
            if self.take("}"):
                return table
            if not self.take(","):
                raise self.error(", or } is expected in the inline table, which is one line")

    def quoted(self, quote: str) -> str:
        found = re.compile(quote + _TOML_TEXT[quote] + quote).match(self.text, self.at)
        if not found:
            begun = re.compile(quote + _TOML_TEXT[quote]).match(self.text, self.at)
            raise self.error("the text has no closing " + quote, begun.end() if begun else None)
        self.at = found.end()
        if quote[0] == "'":
            return found.group(1)
        return _TOML_ESCAPE.sub(lambda escape: self.unescaped(escape, found.start(1)), found.group(1))

    def unescaped(self, found: "re.Match[str]", offset: int) -> str:
        letter, short, long, folded = found.groups()
        if letter or folded:
            return _TOML_ESCAPES[letter] if letter else ""
        at = offset + found.start()
        if not (short or long):
            raise self.error("%s is no escape: write \\\\ for a backslash" % self.text[at : at + 2].strip(), at)
        code = int(short or long, 16)
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise self.error("%s is no character" % found.group(), at)
        return chr(code)


def _toml_scalar(kind: str, found: "re.Match[str]") -> "Any":
    if kind == "based":
        return int(found.group(), 0)
    if kind in ("integer", "float"):
        return (int if kind == "integer" else float)(found.group().replace("_", ""))
    from datetime import date, datetime, time, timedelta, timezone

    year, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = found.groups()
    if not hour:
        return date(int(year), int(month), int(day))
    clock = time(int(hour), int(minute), int(second), int((fraction or "").ljust(6, "0")))
    if not year:
        return clock
    moment = datetime.combine(date(int(year), int(month), int(day)), clock)
    if utc or sign:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        moment = moment.replace(tzinfo=timezone(-offset if sign == "-" else offset))
    return moment
