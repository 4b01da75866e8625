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

GOAL, ENOUGH_SECONDS = 1.0, 0.05
FILES = ("pyproject.toml", "uv.lock")
EARLIER = ["--upgrade-package", "rich==13.9.4", "--upgrade-package", "attrs==24.3.0"]


def measure(bench: Bench) -> list[Line]:
    """Return two lines: one with another `pyproject.toml`, for which uv builds the project anew, one without."""
    fewer = bench.project("branches-fewer", DEPENDENCIES[:-2])
    earlier = bench.project("branches-earlier")
    bench.run([str(bench.tools / "uv"), "lock", "-q", "--python", bench.wild, *EARLIER], earlier)
    return [
        _line(bench, "back to a known generation", "branches", fewer, FILES),
        _line(bench, "back to a known generation, other lock only", "locks", earlier, FILES[1:]),
    ]


def _line(bench: Bench, what: str, name: str, other: Path, files: Sequence[str]) -> Line:
    ours, theirs = bench.project(f"{name}-ours"), bench.project(f"{name}-theirs")
    branches = [{file: (where / file).read_bytes() for file in files} for where in (ours, other)]
    contestants = {
        "ours": _switching(bench, ours, branches, ["./prime"]),
        "theirs": _switching(bench, theirs, branches, ["uv", "sync", "-q"]),
    }
    interleaved(2, contestants)
    seconds = interleaved(bench.times(30, 4), contestants)
    peer = "`uv sync` after the same change"
    return Line(what, peer, GOAL, seconds["ours"], seconds["theirs"], enough=ENOUGH_SECONDS)


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
