"""The state `graph_picture_drawn`, target `graph-picture`: the graph of states for mermaid or Graphviz, as a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protoprimer import Primer, state
from protoprimer.graph import EARLIER, NOT_NEEDED
from protoprimer.graph_picture import dot_lines, mermaid_lines
from protoprimer.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable

    from protoprimer.graph import State

    Rows = list[tuple[State, str]]

__all__ = ["Picture", "graph_picture_drawn", "main", "picture_settings", "picture_text"]


@dataclass(frozen=True)
class Picture:
    """What is drawn, and where to.

    :param path: the file, relative to the root; what it ends with decides the form: `.dot` or `.gv` for Graphviz, `.md`
        for mermaid within Markdown, anything else for mermaid alone
    :param target: the target whose way is drawn
    :param only_its_way: whether states that it does not need are left out
    """

    path: str = "states.mmd"
    target: str = "environment"
    only_its_way: bool = False


@state
def picture_settings() -> Picture:
    """Which picture is to be drawn."""
    return Picture()


@state(target="graph-picture")
def graph_picture_drawn(root: str, graph_status: Callable[[str], Rows], picture_settings: Picture) -> str:
    """The picture of the graph of states; rewritten only where it differs.

    :returns: its path
    """
    rows = graph_status(picture_settings.target)
    if picture_settings.only_its_way:
        rows = [(one, status) for one, status in rows if status not in (NOT_NEEDED, EARLIER)]
    path = os.path.join(root, picture_settings.path)
    content = picture_text(rows, path).encode("utf-8")
    if _content_of(path) == content:
        return path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, content)
    return path


def main(primer: Primer) -> None:
    """Reach the target `graph-picture`; for `entry PATH neoprimer.picture:main --boot`."""
    primer.default_target = "graph-picture"


def picture_text(rows: Rows, path: str) -> str:
    """Return a picture of states in the form that the file's name asks for."""
    if path.endswith((".dot", ".gv")):
        lines = dot_lines(rows)
    elif path.endswith(".md"):
        lines = ["```mermaid", *mermaid_lines(rows), "```"]
    else:
        lines = mermaid_lines(rows)
    return "\n".join([*lines, ""])


def _content_of(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return None
