"""`./prime` from a wild Python, caches warm, against `uv sync` of the same project into no `.venv`.

Once with the small project of the other lines, once with what a project of some size depends on.

python -m benchmarks.cold [--rounds N] [--quick]
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.common import DEPENDENCIES, Bench, Line, command, fresh, interleaved

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Return two lines."""
    return [
        _line(bench, "cold, caches warm", "cold", DEPENDENCIES),
        _line(bench, "cold, caches warm, larger project", "cold-larger", [*DEPENDENCIES, *MORE]),
    ]


def _line(bench: Bench, what: str, name: str, dependencies: Sequence[str]) -> Line:
    ours, theirs = (bench.project(f"{name}-{side}", dependencies) for side in ("ours", "theirs"))
    contestants = {
        "ours": fresh(ours, [".venv", ".protoprimer"], lambda: bench.measure(["./prime"], ours)),
        "theirs": fresh(theirs, [".venv"], lambda: bench.measure(["uv", "sync", "-q"], theirs)),
    }
    interleaved(1, contestants)
    seconds = interleaved(bench.times(25, 3), contestants)
    installed = len(list((theirs / ".venv").glob("lib/*/site-packages/*.dist-info")))
    note = f"{installed} distributions"
    return Line(what, "`uv sync` into no `.venv`", GOAL, seconds["ours"], seconds["theirs"], note=note)


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
