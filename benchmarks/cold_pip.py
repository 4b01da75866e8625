"""The same cold start through the backends venv and virtualenv, against making the environment by hand with pip.

python -m benchmarks.cold_pip [--rounds N] [--quick]
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.common import Bench, Line, Usage, command, fresh, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOAL = 0.5
BY_HAND = {"venv": "python3 -m venv .venv", "virtualenv": "virtualenv -q .venv"}


def measure(bench: Bench) -> list[Line]:
    """Return a line for each backend; with --quick for the first."""
    lines = []
    environ = {**bench.environ, "PATH": bench.environ["PATH"] + ":" + str(bench.tools)}
    for backend, create in list(BY_HAND.items())[: 1 if bench.quick else None]:
        ours, theirs = bench.project("ours-" + backend), bench.project("theirs-" + backend, locked=False)
        by_hand = ["sh", "-c", create + " && .venv/bin/pip install -q -e ."]
        contestants = {
            "ours": fresh(ours, [".venv", ".protoprimer"], _prime(bench, ours, backend)),
            "theirs": fresh(theirs, [".venv"], lambda w=theirs, c=by_hand: bench.measure(c, w, environ)),  # type: ignore[misc]
        }
        interleaved(1, contestants)
        seconds = interleaved(bench.times(4), contestants)
        peer = f"`{create.replace(' -q', '')}`, `pip install -e .`"
        lines.append(Line(f"cold, backend {backend}", peer, GOAL, seconds["ours"], seconds["theirs"]))
    return lines


def _prime(bench: Bench, where: Path, backend: str) -> Callable[[], Usage]:
    return lambda: bench.measure(["./prime", "--backend", backend], where)


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
