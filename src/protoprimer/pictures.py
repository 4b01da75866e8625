"""The graph of states as text, mermaid or dot: done, reachable and not needed told apart."""

from protoprimer.graph import DONE, NOT_NEEDED, StateGraph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.graph import State

__all__ = ["graph_picture"]

_TEXT_MARKS = {DONE: "x", NOT_NEEDED: "-"}


def graph_picture(graph: StateGraph, target: str, form: str) -> str:
    """Return a picture of the graph on the way to the state `target`.

    :param form: `text`, `mermaid` or `dot`
    """
    rows = graph.status(target)
    return {"text": _text_picture, "mermaid": _mermaid_picture, "dot": _dot_picture}[form](rows, target)


def _text_picture(rows: "list[tuple[State, str]]", target: str) -> str:
    width = max(len(one.name) for one, _ in rows)
    lines = ["[x] done  [ ] reachable  [-] not needed for %s" % target, ""]
    for one, status in rows:
        needs = ", ".join(need + ("?" if need in one.lazy_needs else "") for need in one.needs)
        line = "[%s] %-*s  %s" % (_TEXT_MARKS.get(status, " "), width, one.name, one.summary())
        lines.append(line.rstrip() + ("  <- " + needs if needs else ""))
    return "\n".join(lines)


def _mermaid_picture(rows: "list[tuple[State, str]]", _target: str) -> str:
    lines = ["flowchart TD"]
    for one, status in rows:
        lines.append('    %s["%s"]:::%s' % (one.name, one.name, status.replace(" ", "_")))
        lines.extend("    %s %s %s" % (need, "-.->" if need in one.lazy_needs else "-->", one.name) for need in one.needs)
    lines += ["    classDef done fill:#b7e1b0", "    classDef reachable fill:#fff2b3", "    classDef not_needed fill:#eeeeee"]
    return "\n".join(lines)


def _dot_picture(rows: "list[tuple[State, str]]", _target: str) -> str:
    colours = {DONE: "palegreen", NOT_NEEDED: "gray90"}
    lines = ["digraph states {", "    node [shape=box, style=filled]"]
    for one, status in rows:
        lines.append('    "%s" [fillcolor=%s, tooltip="%s"]' % (one.name, colours.get(status, "lightyellow"), status))
        dotted = {need: " [style=dashed]" if need in one.lazy_needs else "" for need in one.needs}
        lines.extend('    "%s" -> "%s"%s' % (need, one.name, style) for need, style in dotted.items())
    return "\n".join(lines + ["}"])
