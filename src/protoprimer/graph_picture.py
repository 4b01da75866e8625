"""The graph of states as text, mermaid or dot: done, reachable and not needed told apart."""

from protoprimer.graph import DONE, NOT_NEEDED, REACHABLE, StateGraph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.graph import State

__all__ = ["PICTURE_COLOURS", "graph_edges", "graph_picture"]

PICTURE_COLOURS = {DONE: "#b7e1b0", REACHABLE: "#fff2b3", NOT_NEEDED: "#eeeeee"}
_TEXT_MARKS = {DONE: "[x]", REACHABLE: "[ ]", NOT_NEEDED: " - "}
_TEXT_COLUMNS = 110


def graph_picture(graph: StateGraph, target: str, form: str) -> str:
    """Return a picture of the graph on the way to the state `target`.

    :param form: `text`, `mermaid` or `dot`
    """
    rows = graph.status(target)
    return {"text": _text_picture, "mermaid": _mermaid_picture, "dot": _dot_picture}[form](rows, target)


def graph_edges(rows: "list[tuple[State, str]]") -> "list[tuple[str, str, bool]]":
    """Return what leads where, as names, and whether only on a condition; no state leads to itself."""
    names = {one.name for one, _ in rows}
    edges = [(need, one) for one, _ in rows for need in one.needs if need in names and need != one.name]
    return [(need, one.name, need in one.lazy_needs) for need, one in edges]


def _text_picture(rows: "list[tuple[State, str]]", target: str) -> str:
    import textwrap

    width = max(len(one.name) for one, _ in rows)
    lines = ["the way to %s: [x] done, [ ] reachable, - not needed; ? asked for on a condition" % target, ""]
    for one, status in rows:
        known_as = " (target %s)" % one.target if one.target != one.name else ""
        line = ("%s %-*s  %s" % (_TEXT_MARKS[status], width, one.name, one.summary() + known_as)).rstrip()
        needs = [
            "the original" if need == one.name else need + ("?" if need in one.lazy_needs else "") for need in one.needs
        ]
        after = "<- " + ", ".join(needs) if needs else ""
        if len(line) + len(after) + 2 > _TEXT_COLUMNS:
            margin = "\n" + " " * (width + 6)
            after = margin + margin.join(textwrap.wrap(after, _TEXT_COLUMNS - width - 6))
        elif after:
            after = "  " + after
        lines.append(line + after)
    return "\n".join(lines)


def _mermaid_picture(rows: "list[tuple[State, str]]", _target: str) -> str:
    # The prefix keeps names apart from mermaid's own words, such as `end`.
    lines = ["flowchart TD"]
    lines.extend('    s_%s["%s"]:::%s' % (one.name, one.name, status.replace(" ", "_")) for one, status in rows)
    for need, name, on_condition in graph_edges(rows):
        lines.append("    s_%s %s s_%s" % (need, "-.->" if on_condition else "-->", name))
    return "\n".join(lines + ["    classDef %s fill:%s" % (s.replace(" ", "_"), c) for s, c in PICTURE_COLOURS.items()])


def _dot_picture(rows: "list[tuple[State, str]]", _target: str) -> str:
    lines = ["digraph states {", "    node [shape=box, style=filled]"]
    lines.extend('    "%s" [fillcolor="%s", tooltip="%s"]' % (one.name, PICTURE_COLOURS[s], s) for one, s in rows)
    lines.extend(
        '    "%s" -> "%s"%s' % (need, name, " [style=dashed]" if on_condition else "")
        for need, name, on_condition in graph_edges(rows)
    )
    return "\n".join(lines + ["}"])
