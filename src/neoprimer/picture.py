"""The state `graph_picture_drawn`, target `graph-picture`: the graph of states as SVG, written by this module."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from protoprimer import Primer, state
from protoprimer.graph_picture import PICTURE_COLOURS, graph_edges
from protoprimer.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable

    from protoprimer.graph import State

__all__ = ["Picture", "graph_picture_drawn", "graph_svg", "main", "picture_settings"]

_LETTER, _HEIGHT, _GAP, _RISE = 7.4, 30, 18, 62
_ROUNDS = 12


@dataclass(frozen=True)
class Picture:
    """What is drawn, and where to.

    :param path: the file, relative to the root
    :param target: the target whose way is drawn
    :param only_its_way: whether states that it does not need are left out
    """

    path: str = "states.svg"
    target: str = "environment"
    only_its_way: bool = False


@state
def picture_settings() -> Picture:
    """Which picture is to be drawn."""
    return Picture()


@state(target="graph-picture")
def graph_picture_drawn(
    root: str, graph_status: Callable[[str], list[tuple[State, str]]], picture_settings: Picture
) -> str:
    """The picture of the graph of states, as SVG; rewritten only where it differs.

    :returns: its path
    """
    rows = graph_status(picture_settings.target)
    if picture_settings.only_its_way:
        rows = [(one, status) for one, status in rows if status not in ("not needed", "done earlier")]
    path = os.path.join(root, picture_settings.path)
    content = graph_svg(rows, f"the way to {picture_settings.target}").encode("utf-8")
    try:
        with open(path, "rb") as stream:
            if stream.read() == content:
                return path
    except OSError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, content)
    return path


def main(primer: Primer) -> None:
    """Reach the target `graph-picture`; for `entry PATH neoprimer.picture:main --boot`."""
    primer.default_target = "graph-picture"


def graph_svg(rows: list[tuple[State, str]], title: str) -> str:
    """Return a picture of states, each below all that it needs, coloured by status."""
    edges = _without_detours(graph_edges(rows))
    layers = _layers([one.name for one, _ in rows], edges)
    places, width = _places(layers)
    height = len(layers) * _RISE + _HEIGHT + 2 * _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>{escape(title)}</title>'
    )
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>'
    )
    parts = [
        head,
        tip,
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
    ]
    parts += [_edge(places[need], places[name], on_condition) for need, name, on_condition in edges]
    parts += [_box(one, status, places[one.name]) for one, status in rows]
    return "\n".join([*parts, _legend(height), "</svg>", ""])


def _without_detours(edges: list[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    """Leave out the lines that say no more than a longer way does."""
    needs: dict[str, set[str]] = {}
    for need, user, _ in edges:
        needs.setdefault(user, set()).add(need)

    def leads_to(start: str, end: str) -> bool:
        waiting = [end]
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name == start:
                return True
            new = needs.get(name, set()) - seen
            seen |= new
            waiting += new
        return False

    return [
        (need, user, on_condition)
        for need, user, on_condition in edges
        if on_condition or not any(other != need and leads_to(need, other) for other in needs[user])
    ]


def _layers(names: list[str], edges: list[tuple[str, str, bool]]) -> list[list[str]]:
    """Put each state one layer below the lowest that it needs, and order layers so that few lines cross."""
    needs: dict[str, list[str]] = {name: [need for need, user, _ in edges if user == name] for name in names}
    depth: dict[str, int] = {}

    def depth_of(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((depth_of(need) for need in needs[name]), default=-1)
        return depth[name]

    layers: list[list[str]] = [[] for _ in range(1 + max(map(depth_of, names), default=-1))]
    for name in names:
        layers[depth[name]].append(name)
    around = {name: [*needs[name], *(user for need, user, _ in edges if need == name)] for name in names}
    for _ in range(_ROUNDS):
        # Each towards the middle of its neighbours, as Sugiyama's method has it.
        middle = {name: (at + 0.5) / len(layer) for layer in layers for at, name in enumerate(layer)}
        weight = {name: sum(middle[one] for one in near) / max(len(near), 1) for name, near in around.items()}
        layers = [sorted(layer, key=lambda name: (weight[name], name)) for layer in layers]
    return layers


def _places(layers: list[list[str]]) -> tuple[dict[str, tuple[float, float, float]], float]:
    """Return x, y and width of each box, and the width of the whole."""
    widths = {name: len(name) * _LETTER + 18 for layer in layers for name in layer}
    spans = [sum(widths[name] + _GAP for name in layer) for layer in layers]
    whole = max([*spans, 300.0]) + _GAP
    places = {}
    for row, (layer, span) in enumerate(zip(layers, spans)):
        x = (whole - span + _GAP) / 2
        for name in layer:
            places[name] = (x, _GAP + row * float(_RISE), widths[name])
            x += widths[name] + _GAP
    return places, whole


def _edge(start: tuple[float, float, float], end: tuple[float, float, float], on_condition: bool) -> str:
    x1, y1, x2, y2 = start[0] + start[2] / 2, start[1] + _HEIGHT, end[0] + end[2] / 2, end[1]
    bend = max((y2 - y1) / 2, 10)
    dashed = ' stroke-dasharray="4 3"' if on_condition else ""
    return (
        f'<path d="M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}" '
        f'fill="none" stroke="#666" marker-end="url(#tip)"{dashed}/>'
    )


def _box(one: State, status: str, place: tuple[float, float, float]) -> str:
    x, y, width = place
    told = quoteattr(f"{one.name}: {status}")
    return (
        f"<g aria-label={told}><title>{escape(one.summary() or one.name)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_HEIGHT}" rx="5" '
        f'fill="{PICTURE_COLOURS[status]}" stroke="#555"/><text x="{x + width / 2:.1f}" y="{y + 19:.1f}" '
        f'text-anchor="middle">{escape(one.name)}</text></g>'
    )


def _legend(height: float) -> str:
    parts = []
    for at, (status, colour) in enumerate(PICTURE_COLOURS.items()):
        x, y = _GAP + at * 100, height - 22
        parts.append(f'<rect x="{x}" y="{y:.0f}" width="12" height="12" fill="{colour}" stroke="#555"/>')
        parts.append(f'<text x="{x + 18}" y="{y + 10:.0f}">{status}</text>')
    return "".join(parts)
