"""`./prime` from a wild Python, caches warm, against `uv sync` of the same project into no `.venv`.

With the small project of the other lines, whose lock was installed before or never, and with what a project of some
size depends on.

python -m benchmarks.cold [--rounds N] [--quick]
"""

from __future__ import annotations

import sys
from itertools import cycle
from typing import TYPE_CHECKING

from benchmarks.common import DEPENDENCIES, Bench, Line, Usage, command, fresh, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

GOAL = 1.25
MORE = [
    "black",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "ipython",
    "mkdocs",
    "mypy",
    "pre-commit",
    "sphinx",
    "tox",
    "twine",
]


def measure(bench: Bench) -> list[Line]:
    """Return three lines."""
    return [
        _line(bench, "cold, caches warm", "cold", DEPENDENCIES),
        _line(bench, "cold, caches warm, a new lock", "cold-new", DEPENDENCIES, is_new=True),
        _line(bench, "cold, caches warm, larger project", "cold-larger", [*DEPENDENCIES, *MORE]),
    ]


def _line(bench: Bench, what: str, name: str, dependencies: Sequence[str], *, is_new: bool = False) -> Line:
    places = [bench.project(f"{name}-{side}", dependencies) for side in ("one", "other")]
    contestants = {
        "ours": _alternating(bench, places, ["./prime"], is_new=is_new),
        "theirs": _alternating(bench, places[::-1], ["uv", "sync", "-q"], is_new=False),
    }
    interleaved(2, contestants)
    seconds = interleaved(bench.times(25, 3), contestants)
    installed = len(list((places[0] / ".venv").glob("lib/*/site-packages/*.dist-info")))
    note = f"{installed} distributions"
    return Line(what, "`uv sync` into no `.venv`", GOAL, seconds["ours"], seconds["theirs"], note=note)


def _alternating(bench: Bench, places: Sequence[Path], run: Sequence[str], *, is_new: bool) -> Callable[[], Usage]:
    """Return what runs in each place in turn: how long links take depends on where a directory lies on the disk."""
    turns = cycle(places)

    def run_in_next() -> Usage:
        place = next(turns)
        if is_new:
            bench.forget_environments()
        return fresh(place, [".venv", ".protoprimer"], lambda: bench.measure(run, place))()

    return run_in_next


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
