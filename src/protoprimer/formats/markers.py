"""Environment markers (PEP 508), and what PEP 751 adds to them."""

import re

from protoprimer.formats.requirements import normalized_project_name
from protoprimer.formats.versions import InvalidSpecifier, InvalidVersion, SpecifierSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["marker_holds"]

_VERSION_VARIABLES = ("python_version", "python_full_version", "implementation_version", "platform_release")


def marker_holds(marker: str, environment: "dict[str, Any]") -> bool:
    """Evaluate an environment marker (PEP 508; `in extras` and `in dependency_groups` of PEP 751 included).

    :raises ValueError: it is none
    """
    tokens = re.findall(r"\(|\)|'[^']*'|\"[^\"]*\"|not\s+in\b|[A-Za-z_][\w.]*|[<>=!~]+|\S", marker)
    value = _marker_or(tokens, environment)
    if tokens:
        raise ValueError("not a marker: %s" % marker)
    return value


def _marker_or(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    value = _marker_and(tokens, environment)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        value = _marker_and(tokens, environment) or value
    return value


def _marker_and(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    value = _marker_atom(tokens, environment)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        value = _marker_atom(tokens, environment) and value
    return value


def _marker_atom(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    if len(tokens) > 2 and tokens[0] == "(":
        tokens.pop(0)
        value = _marker_or(tokens, environment)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("a marker's parenthesis is not closed")
        return value
    if len(tokens) < 3:
        raise ValueError("a marker ends early")
    left, operator, right = tokens.pop(0), " ".join(tokens.pop(0).split()), tokens.pop(0)
    is_version = left in _VERSION_VARIABLES or right in _VERSION_VARIABLES
    if left[0] in "'\"" and operator[0] in "<>":
        # The variable stands on the right: turned around, the comparison means the same.
        left, operator, right = right, operator.translate({60: 62, 62: 60}), left
    values = [_marker_value(token, environment) for token in (left, right)]
    return _marker_compared(values[0], operator, values[1], is_version)


def _marker_value(token: str, environment: "dict[str, Any]") -> "Any":
    if token[0] in "'\"":
        return token[1:-1]
    if token not in environment:
        raise ValueError("unknown marker variable %s" % token)
    return environment[token]


def _marker_compared(left: "Any", operator: str, right: "Any", is_version: bool) -> bool:
    if operator in ("in", "not in"):
        inside = normalized_project_name(left) in right if isinstance(right, frozenset) else left in right
        return bool(inside) == (operator == "in")
    if is_version:
        try:
            return SpecifierSet(operator + right).contains(left, prereleases=True)
        except (InvalidSpecifier, InvalidVersion):
            pass
    # What is no version is compared as text (PEP 508).
    order = (left > right) - (left < right)
    ways = {"==": [0], "===": [0], "!=": [-1, 1], "<": [-1], "<=": [-1, 0], ">": [1], ">=": [0, 1]}
    if operator not in ways:
        raise ValueError("unknown marker operator %s" % operator)
    return order in ways[operator]
