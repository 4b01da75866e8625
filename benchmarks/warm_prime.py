"""`./prime` and `./prime run -- CMD` with nothing to do, against `uv sync` and `uv run --no-sync CMD`.

python -m benchmarks.warm_prime [--rounds N] [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.common import Bench, Line, command, interleaved

GOAL = 0.2
GOAL_RUN = 0.5


def measure(bench: Bench) -> list[Line]:
    """Return two lines."""
    ours, theirs = bench.project("warm-ours"), bench.project("warm-theirs")
    bench.run(["./prime"], ours)
    bench.run(["uv", "sync", "-q"], theirs)
    program = ["python", "-c", ""]
    seconds = interleaved(
        bench.times(30, 5),
        {
            "prime": lambda: bench.measure(["./prime"], ours),
            "sync": lambda: bench.measure(["uv", "sync", "-q"], theirs),
            "prime run": lambda: bench.measure(["./prime", "run", "--", *program], ours),
            "uv run": lambda: bench.measure(["uv", "run", "-q", "--no-sync", *program], theirs),
        },
    )
    return [
        Line("warm `./prime`", "`uv sync` with nothing to do", GOAL, seconds["prime"], seconds["sync"]),
        Line("warm `./prime run -- CMD`", "`uv run --no-sync CMD`", GOAL_RUN, seconds["prime run"], seconds["uv run"]),
    ]


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
