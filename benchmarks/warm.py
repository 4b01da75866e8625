"""A warm start of a client through `start_app` and `run_main`, against the environment's interpreter alone.

python -m benchmarks.warm [--rounds N] [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.common import Bench, Line, command, interleaved

GOAL = 1.15


def measure(bench: Bench) -> list[Line]:
    """Return one line for each kind of entry script."""
    where = bench.project("warm")
    bench.run(["./prime"], where)
    python = str(where / ".venv" / "bin" / "python")
    alone = [python, "-I", "-c", "import sys, small; sys.exit(small.main())"]
    seconds = interleaved(
        bench.times(60, 5),
        {
            "start": lambda: bench.measure(["./start"], where),
            "alone": lambda: bench.measure(alone, where),
            "run": lambda: bench.measure(["./run"], where),
        },
    )
    peer = "the environment's interpreter"
    return [
        Line("warm `start_app`", peer, GOAL, seconds["start"], seconds["alone"]),
        Line("warm `run_main`", peer, GOAL, seconds["run"], seconds["alone"]),
    ]


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
