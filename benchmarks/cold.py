"""`./prime` from a wild Python, caches warm, against what one runs with uv for the same project.

A small project and one of some hundred distributions, locked, against `uv sync` into no `.venv`; the small one without
a lock, against `uv venv` and `uv pip install -e .`; a workspace of twenty projects, against `uv sync`.

python -m benchmarks.cold [--rounds N] [--quick]
"""

from __future__ import annotations

import sys
from itertools import cycle
from typing import TYPE_CHECKING

from benchmarks.common import DEPENDENCIES, PROJECT, Bench, Line, Usage, command, fresh, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

GOAL = 1.25
# For a small project, whose environment uv makes in some tens of milliseconds.
GOAL_SMALL, MOST_SECONDS_ABOVE = 2.5, 0.1
GOAL_NOT_LOCKED = 1.0
PROJECTS_OF_WORKSPACE = 20
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
    """Return four lines."""
    sync, peer = ["uv", "sync", "-q"], "`uv sync` into no `.venv`"
    by_hand = ["sh", "-c", "uv venv -q && uv pip install -q -e ."]
    small = _measured(bench, "cold", bench.project, sync)
    larger = _measured(bench, "cold-larger", lambda name: bench.project(name, [*DEPENDENCIES, *MORE]), sync)
    unlocked = _measured(bench, "cold-unlocked", lambda name: bench.project(name, locked=False), by_hand)
    workspace = _measured(bench, "cold-workspace", lambda name: _workspace(bench, name), sync)
    return [
        Line("cold, caches warm", peer, GOAL_SMALL, *small, most_above=MOST_SECONDS_ABOVE),
        Line("cold, caches warm, larger project", peer, GOAL, *larger),
        Line("cold, not locked", "`uv venv`, `uv pip install -e .`", GOAL_NOT_LOCKED, *unlocked),
        Line(f"cold, a workspace of {PROJECTS_OF_WORKSPACE} projects", peer, GOAL, *workspace),
    ]


def _measured(
    bench: Bench, name: str, make: Callable[[str], Path], peer: Sequence[str]
) -> tuple[list[float], list[float], str, str]:
    """Return our seconds, the peer's, their unit, and how many distributions are installed."""
    places = [make(f"{name}-{side}") for side in ("one", "other")]
    contestants = {
        "ours": _alternating(bench, places, ["./prime"]),
        "theirs": _alternating(bench, places[::-1], peer),
    }
    interleaved(2, contestants)
    seconds = interleaved(bench.times(15, 3), contestants)
    installed = len(list((places[0] / ".venv").glob("lib/*/site-packages/*.dist-info")))
    return seconds["ours"], seconds["theirs"], "s", f"{installed} distributions"


def _alternating(bench: Bench, places: Sequence[Path], run: Sequence[str]) -> Callable[[], Usage]:
    """Return what runs in each place in turn: how long links take depends on where a directory lies on the disk."""
    turns = cycle(places)

    def run_in_next() -> Usage:
        place = next(turns)
        return fresh(place, [".venv", ".protoprimer"], lambda: bench.measure(run, place))()

    return run_in_next


def _workspace(bench: Bench, name: str) -> Path:
    """Write a root project that depends on each of its members."""
    members = [f"member-{number}" for number in range(1, PROJECTS_OF_WORKSPACE)]
    text = PROJECT.format(dependencies=members + DEPENDENCIES)
    text += '\n[tool.uv.workspace]\nmembers = ["packages/*"]\n\n[tool.uv.sources]\n'
    text += "".join(f"{member} = {{ workspace = true }}\n" for member in members)
    for member in members:
        package = bench.directory / name / "packages" / member / "src" / member.replace("-", "_")
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        described = PROJECT.format(dependencies=[]).replace('"small"', f'"{member}"')
        (package.parent.parent / "pyproject.toml").write_text(described)
    return bench.write_project(name, text)


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
