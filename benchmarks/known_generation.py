"""Back to a branch whose environment is still there, against `uv sync` after the same change.

python -m benchmarks.known_generation [--rounds N] [--quick]
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.common import DEPENDENCIES, Bench, Line, Usage, command, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

GOAL = 0.5
FILES = ("pyproject.toml", "uv.lock")


def measure(bench: Bench) -> list[Line]:
    """Return one line."""
    ours, theirs = bench.project("branches-ours"), bench.project("branches-theirs")
    other = bench.project("branches-other", DEPENDENCIES[:-2])
    branches = [{name: (where / name).read_bytes() for name in FILES} for where in (ours, other)]
    contestants = {
        "ours": _switching(bench, ours, branches, ["./prime"]),
        "theirs": _switching(bench, theirs, branches, ["uv", "sync", "-q"]),
    }
    interleaved(2, contestants)
    seconds = interleaved(bench.times(30, 4), contestants)
    peer = "`uv sync` after the same change"
    return [Line("back to a known generation", peer, GOAL, seconds["ours"], seconds["theirs"])]


def _switching(
    bench: Bench, where: Path, branches: Sequence[dict[str, bytes]], run: Sequence[str]
) -> Callable[[], Usage]:
    turn = [0]

    def switch_and_run() -> Usage:
        turn[0] += 1
        for name, content in branches[turn[0] % 2].items():
            (where / name).write_bytes(content)
        return bench.measure(run, where)

    return switch_and_run


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
