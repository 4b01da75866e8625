"""Twenty cold starts of one clone at the same moment, against one: of the small project, and of the larger one.

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
        "one": fresh(where, made, lambda: bench.measure(["./prime"], where)),
        "many": fresh(where, made, all_at_once),
    }
    interleaved(1, contestants)
    built.clear()
    seconds = interleaved(rounds, contestants)
    note = "one build each time" if set(built) == {1} else f"built: {built}"
    return Line(what, "one cold start", GOAL, seconds["many"], seconds["one"], note=note)


def starts_at_once(bench: Bench, where: Path, number: int) -> Usage:
    """Start `./prime` so many times at once and return the wall time until all have ended."""
    started = time.perf_counter()
    used = [bench.wait(*one) for one in [bench.start(["./prime"], where) for _ in range(number)]]
    seconds = time.perf_counter() - started
    return Usage(seconds, sum(one.processor for one in used))


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
