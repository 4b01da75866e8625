"""Twenty cold starts of one clone at the same moment, against twenty `uv run`: the small project, and the larger one.

python -m benchmarks.concurrent [--rounds N] [--quick]
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from benchmarks.cold import MORE
from benchmarks.common import DEPENDENCIES, Bench, Line, Usage, command, fresh, interleaved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GOAL = 2.0
STARTS = 20


def measure(bench: Bench) -> list[Line]:
    """Return two lines, for the small and the larger project; each one's note says how many environments were built."""
    return [
        _line(bench, f"{STARTS} concurrent cold starts", "concurrent", DEPENDENCIES, bench.times(10, 2)),
        _line(
            bench,
            f"{STARTS} concurrent cold starts, larger project",
            "concurrent-larger",
            [*DEPENDENCIES, *MORE],
            bench.times(5, 1),
        ),
    ]


def _line(bench: Bench, what: str, name: str, dependencies: Sequence[str], rounds: int) -> Line:
    where = bench.project(name, dependencies)
    built: list[int] = []

    def all_at_once() -> Usage:
        usage = starts_at_once(bench, where, STARTS)
        built.append(len(list((where / ".protoprimer" / "envs").glob("default-*/protoprimer.json"))))
        return usage

    made = [".venv", ".protoprimer"]
    contestants = {
        "theirs": fresh(where, made, lambda: starts_at_once(bench, where, STARTS, ["uv", "run", "-q", "true"])),
        "many": fresh(where, made, all_at_once),
    }
    interleaved(1, contestants)
    built.clear()
    seconds = interleaved(rounds, contestants)
    note = "one build each time" if set(built) == {1} else f"built: {built}"
    return Line(what, f"{STARTS} `uv run` at once", GOAL, seconds["many"], seconds["theirs"], note=note)


def starts_at_once(bench: Bench, where: Path, number: int, run: Sequence[str] = ("./prime",)) -> Usage:
    """Start a command so many times at once and return the wall time until all have ended."""
    started = time.perf_counter()
    used = [bench.wait(*one) for one in [bench.start(run, where) for _ in range(number)]]
    seconds = time.perf_counter() - started
    return Usage(seconds, sum(one.processor for one in used))


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
