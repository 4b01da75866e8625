"""`./prime` from a wild Python, caches warm, against `uv sync` of the same project into no `.venv`.

python -m benchmarks.cold [--rounds N] [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.common import Bench, Line, command, fresh, interleaved

GOAL = 1.25


def measure(bench: Bench) -> list[Line]:
    """Return one line."""
    ours, theirs = bench.project("cold-ours"), bench.project("cold-theirs")
    contestants = {
        "ours": fresh(ours, [".venv", ".protoprimer"], lambda: bench.measure(["./prime"], ours)),
        "theirs": fresh(theirs, [".venv"], lambda: bench.measure(["uv", "sync", "-q"], theirs)),
    }
    interleaved(1, contestants)
    seconds = interleaved(bench.times(25, 3), contestants)
    return [Line("cold, caches warm", "`uv sync` into no `.venv`", GOAL, seconds["ours"], seconds["theirs"])]


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
