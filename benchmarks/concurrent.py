"""Twenty cold starts of one clone at the same moment, against one.

python -m benchmarks.concurrent [--rounds N] [--quick]
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from benchmarks.common import Bench, Line, Usage, command, fresh, interleaved

if TYPE_CHECKING:
    from pathlib import Path

GOAL = 2.0
STARTS = 20


def measure(bench: Bench) -> list[Line]:
    """Return one line; its note says how many environments were built."""
    where = bench.project("concurrent")
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
    seconds = interleaved(bench.times(10, 2), contestants)
    note = "one build each time" if set(built) == {1} else f"built: {built}"
    what = f"{STARTS} concurrent cold starts"
    return [Line(what, "one cold start", GOAL, seconds["many"], seconds["one"], note=note)]


def starts_at_once(bench: Bench, where: Path, number: int) -> Usage:
    """Start `./prime` so many times at once and return the wall time until all have ended."""
    started = time.perf_counter()
    used = [bench.wait(*one) for one in [bench.start(["./prime"], where) for _ in range(number)]]
    seconds = time.perf_counter() - started
    return Usage(seconds, sum(one.processor for one in used))


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
