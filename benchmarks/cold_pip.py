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
    """Return two lines for each backend, its lock installed before or never; with --quick for the first."""
    lines = []
    environ = {**bench.environ, "PATH": bench.environ["PATH"] + ":" + str(bench.tools)}
    for backend, create in list(BY_HAND.items())[: 1 if bench.quick else None]:
        ours, theirs = bench.project("ours-" + backend), bench.project("theirs-" + backend, locked=False)
        by_hand = ["sh", "-c", create + " && .venv/bin/pip install -q -e ."]
        contestants = {
            "before": fresh(ours, [".venv", ".protoprimer"], _prime(bench, ours, backend)),
            "never": fresh(ours, [".venv", ".protoprimer"], _prime(bench, ours, backend, is_new=True)),
            "theirs": fresh(theirs, [".venv"], lambda w=theirs, c=by_hand: bench.measure(c, w, environ)),  # type: ignore[misc]
        }
        interleaved(1, contestants)
        seconds = interleaved(bench.times(4), contestants)
        peer = f"`{create.replace(' -q', '')}`, `pip install -e .`"
        for which, more in (("before", ""), ("never", ", a new lock")):
            lines.append(Line(f"cold, backend {backend}{more}", peer, GOAL, seconds[which], seconds["theirs"]))
    return lines


def _prime(bench: Bench, where: Path, backend: str, *, is_new: bool = False) -> Callable[[], Usage]:
    def run() -> Usage:
        if is_new:
            bench.forget_environments()
        return bench.measure(["./prime", "--backend", backend], where)

    return run


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
