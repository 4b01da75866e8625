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
    values = [_marker_and(tokens, environment)]
    while tokens[:1] == ["or"]:
        del tokens[0]
        values.append(_marker_and(tokens, environment))
    return any(values)


def _marker_and(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    values = [_marker_atom(tokens, environment)]
    while tokens[:1] == ["and"]:
        del tokens[0]
        values.append(_marker_atom(tokens, environment))
    return all(values)


def _marker_atom(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    if len(tokens) < 3:
        raise ValueError("a marker ends early")
    if tokens[0] == "(":
        del tokens[0]
        value = _marker_or(tokens, environment)
        if tokens[:1] != [")"]:
            raise ValueError("a marker's parenthesis is not closed")
        del tokens[0]
        return value
    left, operator, right = tokens[0], " ".join(tokens[1].split()), tokens[2]
    del tokens[:3]
    values = []
    for token in (left, right):
        if token[0] not in "'\"" and token not in environment:
            raise ValueError("unknown marker variable %s" % token)
        values.append(token[1:-1] if token[0] in "'\"" else environment[token])
    return _marker_compared(values[0], operator, values[1], {left, right})


def _marker_compared(left: "Any", operator: str, right: "Any", names: "set[str]") -> bool:
    """Compare as `packaging` does, which follows the specification of dependency specifiers."""
    if isinstance(right, frozenset) or "extra" in names:
        left = normalized_project_name(left)
        right = right if isinstance(right, frozenset) else normalized_project_name(right)
    if names.intersection(_VERSION_VARIABLES) and operator not in ("in", "not in"):
        try:
            specifiers = SpecifierSet(operator + right)
        except InvalidSpecifier:
            pass
        else:
            try:
                return specifiers.contains(left, prereleases=True)
            except InvalidVersion:
                return operator == "!="
    # What is no version has no order.
    known = {"in": True, "not in": False, "==": True, "===": True, "<=": True, ">=": True, "!=": False}
    if operator in ("<", ">"):
        return False
    if operator not in known:
        raise ValueError("unknown marker operator %s" % operator)
    return bool(left in right if "in" in operator else left == right) == known[operator]
