"""`./prime` with nothing to do, against `uv sync` with nothing to do.

python -m benchmarks.warm_prime [--rounds N] [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.common import Bench, Line, command, interleaved

GOAL = 1.0


def measure(bench: Bench) -> list[Line]:
    """Return one line."""
    ours, theirs = bench.project("warm-ours"), bench.project("warm-theirs")
    bench.run(["./prime"], ours)
    bench.run(["uv", "sync", "-q"], theirs)
    seconds = interleaved(
        bench.times(30, 5),
        {
            "ours": lambda: bench.measure(["./prime"], ours),
            "theirs": lambda: bench.measure(["uv", "sync", "-q"], theirs),
        },
    )
    return [Line("warm `./prime`", "`uv sync` with nothing to do", GOAL, seconds["ours"], seconds["theirs"])]


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
