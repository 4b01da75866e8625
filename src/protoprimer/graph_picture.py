"""The graph of states as text, mermaid or dot: what is done and what is still to do."""

from protoprimer.graph import DONE, EARLIER, NOT_NEEDED, REACHABLE, State, StateGraph

__all__ = ["dot_lines", "graph_picture", "mermaid_lines"]

_STATUS_COLOURS = {DONE: "#b7e1b0", EARLIER: "#d9efd5", REACHABLE: "#fff2b3", NOT_NEEDED: "#eeeeee"}
_TEXT_MARKS = {DONE: "[x]", EARLIER: "[=]", REACHABLE: "[ ]", NOT_NEEDED: " - "}


def graph_picture(graph: StateGraph, target: str, form: str) -> str:
    """Return a picture, as `text`, `mermaid` or `dot`, of the graph on the way to the state `target`."""
    rows = graph.status(target)
    if form == "text":
        lines = _text_lines(rows, target)
    elif form == "mermaid":
        lines = mermaid_lines(rows)
    else:
        lines = dot_lines(rows)
    return "\n".join(lines)


def _edges(rows: "list[tuple[State, str]]") -> "list[tuple[str, str, bool]]":
    """Return pairs of names, what leads where, with whether it does so only on a condition."""
    names = {one.name for one, _ in rows}
    edges = []
    for one, _ in rows:
        for need in one.needs:
            is_original = need == one.name
            if need in names and not is_original:
                edges.append((need, one.name, need in one.lazy_needs))
    return edges


def _text_lines(rows: "list[tuple[State, str]]", target: str) -> "list[str]":
    heading = "the way to %s: [x] done, [=] done earlier, [ ] to do, - not needed; <- what it needs, ? perhaps" % target
    lines = [heading, ""]
    width = max(len(one.name) for one, _ in rows)
    # The mark, a space before the name, and two after it.
    indent = " " * (len(_TEXT_MARKS[DONE]) + 1 + width + 2)
    for one, status in rows:
        told = one.summary()
        if one.target != one.name:
            told += " (target %s)" % one.target
        line = "%s %s  %s" % (_TEXT_MARKS[status], one.name.ljust(width), told)
        lines.append(line.rstrip())
        if one.needs:
            needs = ", ".join(_told_need(one, need) for need in one.needs)
            lines.append("%s<- %s" % (indent, needs))
    return lines


def _told_need(one: State, need: str) -> str:
    if need == one.name:
        return "the original"
    if need in one.lazy_needs:
        return need + "?"
    return need


def mermaid_lines(rows: "list[tuple[State, str]]") -> "list[str]":
    """Return a mermaid flow chart of states, each with its status."""
    lines = ["flowchart TD"]
    # The prefix keeps names apart from mermaid's own words.
    for one, status in rows:
        lines.append('    s_%s["%s"]:::%s' % (one.name, one.name, status.replace(" ", "_")))
    for need, name, on_condition in _edges(rows):
        arrow = "-.->" if on_condition else "-->"
        lines.append("    s_%s %s s_%s" % (need, arrow, name))
    for status, colour in _STATUS_COLOURS.items():
        lines.append("    classDef %s fill:%s" % (status.replace(" ", "_"), colour))
    return lines


def dot_lines(rows: "list[tuple[State, str]]") -> "list[str]":
    """Return a graph of states for Graphviz, each with its status."""
    lines = ["digraph states {", "    node [shape=box, style=filled]"]
    for one, status in rows:
        lines.append('    "%s" [fillcolor="%s", tooltip="%s"]' % (one.name, _STATUS_COLOURS[status], status))
    for need, name, on_condition in _edges(rows):
        style = " [style=dashed]" if on_condition else ""
        lines.append('    "%s" -> "%s"%s' % (need, name, style))
    lines.append("}")
    return lines
