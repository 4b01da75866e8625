"""`./prime` where there is a Python and nothing else, not even uv, against getting uv by pip first.

    python -m benchmarks.nothing_there [--rounds N] [--quick]

Every round begins with empty caches, so that both download everything: most of what is seen here is the network's.
"""

from __future__ import annotations

import sys

from benchmarks.common import Bench, Line, command, fresh, interleaved

GOAL = 0.35
BY_HAND = "python3 -m venv t && t/bin/pip install -q uv && t/bin/uv sync -q"


def measure(bench: Bench) -> list[Line]:
    """Return one line."""
    ours, theirs = bench.project("nothing-ours"), bench.project("nothing-theirs")
    path = bench.directory / "path-without-uv"
    path.mkdir()
    (path / "python3").symlink_to(bench.wild)
    environ = {**bench.environ, "PATH": f"{path}:/usr/bin:/bin", "XDG_CACHE_HOME": str(bench.directory / "cold-cache")}
    made = [".venv", ".protoprimer", "t", "../cold-cache"]
    contestants = {
        "ours": fresh(ours, made, lambda: bench.measure(["./prime"], ours, environ)),
        "theirs": fresh(theirs, made, lambda: bench.measure(["sh", "-c", BY_HAND], theirs, environ)),
    }
    seconds = interleaved(bench.times(4), contestants)
    peer = "`python -m venv t`, `pip install uv`, `uv sync`"
    return [Line("nothing there, not even uv", peer, GOAL, seconds["ours"], seconds["theirs"])]


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
