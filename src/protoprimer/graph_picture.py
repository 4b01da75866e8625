"""The graph of states as text, mermaid or dot: what is done and what is still to do."""

from protoprimer.graph import DONE, EARLIER, NOT_NEEDED, REACHABLE, State, StateGraph

__all__ = ["PICTURE_COLOURS", "graph_edges", "graph_picture"]

PICTURE_COLOURS = {DONE: "#b7e1b0", EARLIER: "#d9efd5", REACHABLE: "#fff2b3", NOT_NEEDED: "#eeeeee"}
_TEXT_MARKS = {DONE: "[x]", EARLIER: "[=]", REACHABLE: "[ ]", NOT_NEEDED: " - "}


def graph_picture(graph: StateGraph, target: str, form: str) -> str:
    """Return a picture, as `text`, `mermaid` or `dot`, of the graph on the way to the state `target`."""
    rows = graph.status(target)
    if form == "text":
        lines = [
            "the way to %s: [x] done, [=] done earlier, [ ] to do, - not needed; <- what it needs, ? perhaps" % target,
            "",
        ]
        lines += _text_lines(rows)
    else:
        lines = (_mermaid_lines if form == "mermaid" else _dot_lines)(rows)
    return "\n".join(lines)


def graph_edges(rows: "list[tuple[State, str]]") -> "list[tuple[str, str, bool]]":
    """Return pairs of names, what leads where, with whether it does so only on a condition."""
    names = {one.name for one, _ in rows}
    edges = [(need, one) for one, _ in rows for need in one.needs if need in names and need != one.name]
    return [(need, one.name, need in one.lazy_needs) for need, one in edges]


def _text_lines(rows: "list[tuple[State, str]]") -> "list[str]":
    width, lines = max(len(one.name) for one, _ in rows), []
    for one, status in rows:
        known_as = " (target %s)" % one.target if one.target != one.name else ""
        line = ("%s %-*s  %s" % (_TEXT_MARKS[status], width, one.name, one.summary() + known_as)).rstrip()
        needs = [need + "?" * (need in one.lazy_needs) if need != one.name else "the original" for need in one.needs]
        lines += [line] + ["%*s<- %s" % (width + 6, "", ", ".join(needs))] * bool(needs)
    return lines


def _mermaid_lines(rows: "list[tuple[State, str]]") -> "list[str]":
    # The prefix keeps names apart from mermaid's own words.
    lines = ['    s_%s["%s"]:::%s' % (one.name, one.name, status.replace(" ", "_")) for one, status in rows]
    for need, name, on_condition in graph_edges(rows):
        lines.append("    s_%s %s s_%s" % (need, "-.->" if on_condition else "-->", name))
    for status, colour in PICTURE_COLOURS.items():
        lines.append("    classDef %s fill:%s" % (status.replace(" ", "_"), colour))
    return ["flowchart TD"] + lines


def _dot_lines(rows: "list[tuple[State, str]]") -> "list[str]":
    lines = ["digraph states {", "    node [shape=box, style=filled]"]
    for one, status in rows:
        lines.append('    "%s" [fillcolor="%s", tooltip="%s"]' % (one.name, PICTURE_COLOURS[status], status))
    for need, name, on_condition in graph_edges(rows):
        lines.append('    "%s" -> "%s"%s' % (need, name, " [style=dashed]" if on_condition else ""))
    return lines + ["}"]
