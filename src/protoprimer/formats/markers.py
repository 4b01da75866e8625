"""Environment markers (PEP 508), and what PEP 751 adds to them."""

import re
from typing import Any

from protoprimer.formats.requirements import normalized_name
from protoprimer.formats.versions import InvalidSpecifier, InvalidVersion, SpecifierSet

__all__ = ["marker_holds"]

# Those of PEP 345, which pip and uv go on reading.
_OLDER_NAMES = {
    "os.name": "os_name",
    "sys.platform": "sys_platform",
    "platform.machine": "platform_machine",
    "platform.version": "platform_version",
    "platform.python_implementation": "platform_python_implementation",
    "python_implementation": "platform_python_implementation",
}
_PART = r"\(|\)|'[^']*'|\"[^\"]*\"|not\s+in\b|[A-Za-z_][\w.]*|[<>=!~]+|\S"
_QUOTED = r"'[^']*'|\"[^\"]*\""
_VERSION_VARIABLES = ("python_version", "python_full_version", "implementation_version", "platform_release")


def marker_holds(marker: str, environment: "dict[str, Any]") -> bool:
    """Evaluate a marker (PEP 508; `in extras` and `in dependency_groups` of PEP 751 too), or raise `ValueError`."""
    tokens = re.findall(_PART, marker)
    value = _marker_value(tokens, environment, ("or", "and"))
    if tokens:
        raise ValueError("not a marker: %s" % marker)
    return value


def _marker_value(tokens: "list[str]", environment: "dict[str, Any]", words: "tuple[str, ...]") -> bool:
    """Take from the tokens what the first of `words` joins, of parts that the others join."""
    if not words:
        return _marker_atom(tokens, environment)
    values = [_marker_value(tokens, environment, words[1:])]
    while tokens[:1] == [words[0]]:
        del tokens[0]
        values.append(_marker_value(tokens, environment, words[1:]))
    return any(values) if words[0] == "or" else all(values)


def _marker_atom(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    if len(tokens) < 3:
        raise ValueError("a marker ends early")
    if tokens[0] == "(":
        del tokens[0]
        value = _marker_value(tokens, environment, ("or", "and"))
        if tokens[:1] != [")"]:
            raise ValueError("a marker's parenthesis is not closed")
        del tokens[0]
        return value
    left, operator, right = tokens[:3]
    del tokens[:3]
    names = set()  # type: set[str]
    values = []
    for token in (left, right):
        if re.fullmatch(_QUOTED, token):
            values.append(token[1:-1])
            continue
        name = _OLDER_NAMES.get(token, token)
        if name not in environment:
            raise ValueError("unknown marker variable %s" % token)
        names.add(name)
        values.append(environment[name])
    if not names:
        raise ValueError("a marker compares two texts, %s and %s" % (left, right))
    return _marker_compared(values[0], " ".join(operator.split()), values[1], names)


def _marker_compared(left: "Any", operator: str, right: "Any", names: "set[str]") -> bool:
    """Compare as `packaging` does."""
    if isinstance(right, frozenset) or "extra" in names:
        left = normalized_name(left)
        right = right if isinstance(right, frozenset) else normalized_name(right)
    if operator in ("in", "not in"):
        return bool((left in right) == (operator == "in"))
    if names.intersection(_VERSION_VARIABLES):
        try:
            return SpecifierSet(operator + right).contains(left)
        except InvalidVersion:
            return operator == "!="
        except InvalidSpecifier:
            pass
    if operator in ("==", "===", "<=", ">=", "!="):
        return bool((left == right) == (operator != "!="))
    # What is no version has no order.
    if operator in ("<", ">"):
        return False
    raise ValueError("unknown marker operator %s" % operator)
