"""JSON, read and written by what the library's module is made of: importing that takes longer than both."""

__all__ = ["json_of", "json_text"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_JSON_SPACE = " \t\n\r"


class _ScannerSettings:
    """What `json.JSONDecoder` tells its scanner."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def json_of(text: str) -> "Any":
    """Return the value that a JSON text stands for, as `json.loads` does.

    :raises ValueError: it is not JSON
    :raises RecursionError: it is nested too deeply
    """
    try:
        from _json import make_scanner

        scan = make_scanner(_ScannerSettings())  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError):
        # PyPy has none; a later Python may want to be told more, as 3.15 does of `array_hook`.
        import json

        return json.loads(text)
    start = len(text) - len(text.lstrip(_JSON_SPACE))
    try:
        value, end = scan(text, start)
    except StopIteration as place:
        raise ValueError("a value is expected at character %s" % place) from None
    except SystemError:
        # It looks for the error that the library defines, and where that was not imported finds none to raise.
        raise ValueError("it is not JSON") from None
    if text[end:].strip(_JSON_SPACE):
        raise ValueError("nothing more is expected at character %d" % end)
    return value


def json_text(value: "Any", indent: "int | None" = None) -> str:
    """Return plain values, and lists and tables of them with texts as keys, as `json.dumps(..., sort_keys=True)` does.

    :param indent: spaces by which each level goes in, on lines of its own; `None`: all in one line
    """
    return _json_at(value, indent, 1)


def _json_at(value: "Any", indent: "int | None", depth: int) -> str:
    if isinstance(value, str):
        return _json_quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value).replace("inf", "Infinity")
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, dict):
        items = [_json_quoted(key) + ": " + _json_at(value[key], indent, depth + 1) for key in sorted(value)]
    else:
        items = [_json_at(item, indent, depth + 1) for item in value]
    if not items:
        return opening + closing
    if indent is None:
        return opening + ", ".join(items) + closing
    line = "\n" + " " * indent * depth
    return opening + line + ("," + line).join(items) + line[: len(line) - indent] + closing


def _json_quoted(text: str) -> str:
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        # PyPy has it otherwise.
        from json import dumps as encode_basestring_ascii
    return encode_basestring_ascii(text)
