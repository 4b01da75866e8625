"""TOML 1.0, with the line of every key: the values and refusals of `tomllib` on every Python, in our words."""

import re
import sys
from typing import Any, Dict, Tuple, Union

from protoprimer.errors import ConfigurationError
from protoprimer.system.files import content_of, read_configured

__all__ = ["TomlError", "TomlReader", "TomlTable", "has_conflict_marks", "load_toml", "place_of_key"]

TomlTable = Dict[str, Any]
TomlPath = Tuple[Union[str, int], ...]


class TomlError(ValueError):
    """Text that is not TOML 1.0."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__("%s (line %d)" % (message, line))
        self.message = message
        self.line = line


def has_conflict_marks(path: str) -> bool:
    """Tell whether a merge left both sides."""
    return len(set(re.findall(rb"(?m)^(<{7}|={7}|>{7})(?: |\r?$)", content_of(path)))) > 2


def load_toml(path: str, advice: str = "correct the file", merge_advice: "str | None" = None) -> TomlTable:
    """Return the content of a TOML file, or raise `ConfigurationError`."""
    try:
        text = read_configured(path).decode("utf-8")
        # From 3.15 on it takes TOML 1.1, which would make one file good here and bad there.
        if (3, 11) <= sys.version_info < (3, 15):
            import tomllib  # type: ignore[import-not-found,unused-ignore]

            try:
                return tomllib.loads(text)  # type: ignore[no-any-return,unused-ignore]
            except (ValueError, RecursionError):
                pass  # Said again below, in words that are the same on every Python.
        return TomlReader(text).read()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message, advice = "it is not UTF-8", "save the file as UTF-8"
    except TomlError as error:
        message, line = error.message, error.line
        if has_conflict_marks(path):
            message, advice = "a merge left conflict marks", merge_advice or advice
    raise ConfigurationError("the file is not valid TOML: " + message, "%s:%d" % (path, line), advice)


def place_of_key(path: str, keys: TomlPath) -> str:
    """Return `file:line (key)` of a key in a TOML file, or of the table above it; indexes lead into arrays."""
    reader, at = TomlReader(read_configured(path).decode("utf-8")), 0
    value = reader.read()  # type: Any
    for key in keys:
        if (id(value), key) not in reader.offsets:
            break
        at, value = reader.offsets[id(value), key], value[key]
    line = reader.text.count("\n", 0, at) + 1
    return "%s:%d (%s)" % (path, line, ".".join(key for key in keys if isinstance(key, str)))


_TOML_SPACE = r"[ \t]*"
_TOML_COMMENT = r"[ \t]*(?:#[^\x00-\x08\n-\x1f\x7f]*)?"
_TOML_GAP = r"(?:[ \t\n]+|#[^\x00-\x08\n-\x1f\x7f]*)*"
_TOML_BARE_KEY = r"[A-Za-z0-9_-]*"
# What text may hold between these quotes; up to two quotes may stand before the closing three.
_TOML_TEXTS = {
    '"""': r'(?:[^"\\\x00-\x08\x0b-\x1f\x7f]|\\[^\x00-\x08\x0b-\x1f\x7f]|"{1,2}(?!"))*(?:"{1,2}(?="""))?',
    "'''": r"(?:[^'\x00-\x08\x0b-\x1f\x7f]|'{1,2}(?!'))*(?:'{1,2}(?='''))?",
    '"': r'(?:[^"\\\x00-\x08\n-\x1f\x7f]|\\[^\x00-\x08\n-\x1f\x7f])*',
    "'": r"[^'\x00-\x08\n-\x1f\x7f]*",
}
_TOML_ESCAPE = r"(?s)\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ \t]*\n[ \t\n]*|.)"
_TOML_ESCAPES = dict(zip('btnfr"\\', '\b\t\n\f\r"\\'))
_TOML_CLOCK = r"(\d\d:\d\d:\d\d)(?:\.(\d+))?"
_TOML_MOMENT = r"(?a)(\d{4}-\d\d-\d\d)(?:[Tt ]%s([Zz]|[+-]\d\d:\d\d)?)?" % _TOML_CLOCK
_TOML_TIME = "(?a)()%s()" % _TOML_CLOCK
_TOML_NUMBER = (
    r"(?a)0x[0-9A-Fa-f](?:_?[0-9A-Fa-f])*|0o[0-7](?:_?[0-7])*|0b[01](?:_?[01])*|[+-]?(inf|nan)"
    r"|[+-]?(?:0|[1-9](?:_?\d)*)(\.\d(?:_?\d)*)?([eE][+-]?\d(?:_?\d)*)?"
)


def _toml_number(found: "re.Match[str]") -> "Any":
    return float(found.group()) if any(found.groups()) else int(found.group(), 0)


def _toml_moment(found: "re.Match[str]") -> "Any":
    from datetime import datetime

    day, clock, fraction, offset = found.groups()
    offset = {"": "", "Z": "+0000"}.get((offset or "").upper(), str(offset).replace(":", ""))
    text = "%s %s.%s%s" % (day or "2000-01-01", clock or "00:00:00", (fraction or "0")[:6], offset)
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f" + "%z" * bool(offset))  # noqa: DTZ007 - as written
    if not day:
        return moment.time()
    return moment if clock else moment.date()


_TOML_SCALARS = ((_TOML_MOMENT, _toml_moment), (_TOML_TIME, _toml_moment), (_TOML_NUMBER, _toml_number))


class _OpenTable(dict):  # type: ignore[type-arg]
    """A table that was not written as a value: headers may add to it, and dotted keys until it `is_declared`."""

    is_declared = False


class _OpenArray(list):  # type: ignore[type-arg]
    """An array of tables, to which headers may add."""


class TomlReader:
    """A recursive descent; `offsets` has where each key and element is, by the id of what is around it."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.root = _OpenTable()
        self.offsets = {}  # type: dict[tuple[int, str | int], int]
        # Declared by this section's dotted keys once it ends.
        self.dotted = []  # type: list[_OpenTable]

    def read(self) -> TomlTable:
        table = self.root
        try:
            while True:
                self.skip(_TOML_GAP)
                if self.at == len(self.text):
                    return self.root
                if self.take("["):
                    table = self.header()
                else:
                    self.pair(table)
                self.skip(_TOML_COMMENT)
                if self.at < len(self.text) and not self.take("\n"):
                    raise self.error("a new line is expected after the value or the table's name")
        except RecursionError:
            raise self.error("arrays and tables are nested too deeply") from None

    def error(self, message: str, at: "int | None" = None) -> TomlError:
        at = self.at if at is None else at
        if at == 0 and self.text.startswith("\ufeff"):
            message = "it starts with a byte order mark"
        return TomlError(message, self.text.count("\n", 0, at) + 1)

    def skip(self, pattern: str) -> str:
        found = re.compile(pattern).match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return found.group()

    def take(self, literal: str) -> bool:
        is_there = self.text.startswith(literal, self.at)
        self.at += len(literal) if is_there else 0
        return is_there

    def header(self) -> _OpenTable:
        for dotted in self.dotted:
            dotted.is_declared = True
        del self.dotted[:]
        close = "]]" if self.take("[") else "]"
        start = self.at
        keys = self.keys()
        if not self.take(close):
            raise self.error("%s is expected after the table's name" % close)
        table = self.root
        for key in keys[:-1]:
            table = self.step(table, key, start)
        if close == "]]":
            entries = table.setdefault(keys[-1], _OpenArray())
            if not isinstance(entries, _OpenArray):
                raise self.error("%s is no array of tables" % ".".join(keys), start)
            self.offsets[id(entries), len(entries)] = start
            entries.append(_OpenTable())
        else:
            self.offsets[id(table), keys[-1]] = start
        table = self.step(table, keys[-1], start)
        if table.is_declared:
            raise self.error("the table %s is declared twice" % ".".join(keys), start)
        table.is_declared = True
        return table

    def step(self, table: TomlTable, key: str, start: int) -> _OpenTable:
        inner = table.setdefault(key, _OpenTable())
        self.offsets.setdefault((id(table), key), start)
        inner = inner[-1] if isinstance(inner, _OpenArray) else inner
        if not isinstance(inner, _OpenTable):
            raise self.error("%s already has a value, to which nothing can be added" % key, start)
        return inner

    def pair(self, table: TomlTable) -> None:
        start = self.at
        keys = self.keys()
        if not self.take("="):
            raise self.error("= is expected after the key")
        self.skip(_TOML_SPACE)
        for key in keys[:-1]:
            table = inner = self.step(table, key, start)
            if inner.is_declared:
                raise self.error("the table %s is already declared elsewhere" % key, start)
            self.dotted.append(inner)
        if keys[-1] in table:
            raise self.error("the key %s has two values" % keys[-1], start)
        self.offsets[id(table), keys[-1]] = start
        table[keys[-1]] = self.value()

    def keys(self) -> "list[str]":
        keys = []  # type: list[str]
        while not keys or self.take("."):
            self.skip(_TOML_SPACE)
            quote = self.text[self.at : self.at + 1]
            is_quoted = quote in ('"', "'")
            key = self.quoted(quote) if is_quoted else self.skip(_TOML_BARE_KEY)
            if not key and not is_quoted:
                raise self.error("a key is expected")
            keys.append(key)
            self.skip(_TOML_SPACE)
        return keys

    def value(self) -> "Any":
        for quote in _TOML_TEXTS:
            if self.text.startswith(quote, self.at):
                return self.quoted(quote)
        if self.take("["):
            return self.array()
        if self.take("{"):
            return self.inline_table()
        if self.take("true"):
            return True
        if self.take("false"):
            return False
        for pattern, value_of in _TOML_SCALARS:
            found = re.compile(pattern).match(self.text, self.at)
            if found:
                try:
                    value = value_of(found)
                except ValueError:
                    raise self.error("this is not a date or number") from None
                self.at = found.end()
                return value
        raise self.error("a value is expected: text needs quotes")

    def array(self) -> "list[Any]":
        start = self.text.count("\n", 0, self.at) + 1
        items = []  # type: list[Any]
        self.skip(_TOML_GAP)
        while not self.take("]"):
            self.offsets[id(items), len(items)] = self.at
            items.append(self.value())
            self.skip(_TOML_GAP)
            if not self.take(",") and not self.text.startswith("]", self.at):
                raise self.error(", or ] is expected in the array that starts in line %d" % start)
            self.skip(_TOML_GAP)
        return items

    def inline_table(self) -> TomlTable:
        table = {}  # type: TomlTable
        self.skip(_TOML_SPACE)
        while not self.take("}"):
            if table and not self.take(","):
                raise self.error(", or } is expected in the inline table, which is one line")
            self.pair(table)
            self.skip(_TOML_SPACE)
        return table

    def quoted(self, quote: str) -> str:
        self.take(quote)
        if len(quote) == 3:
            self.take("\n")
        start = self.at
        content = self.skip(_TOML_TEXTS[quote])
        if not self.take(quote):
            raise self.error("the text has no closing " + quote)
        if quote[0] == "'":
            return content
        return re.sub(_TOML_ESCAPE, lambda found: self.unescaped(found, start), content)

    def unescaped(self, found: "re.Match[str]", start: int) -> str:
        escape = found.group(1)
        if escape in _TOML_ESCAPES or "\n" in escape:
            return _TOML_ESCAPES.get(escape, "")
        code = int(escape[1:] or "-1", 16)
        if 0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF:
            return chr(code)
        raise self.error("%s is no escape: write \\\\ for a backslash" % found.group().strip(), start + found.start())
