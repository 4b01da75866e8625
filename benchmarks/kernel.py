"""Size of the kernel, and how long an interpreter that is already running needs to load it from what is compiled.

python -m benchmarks.kernel [--rounds N] [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.common import Bench, Line, command

SIZE_GOAL_KB = 500
IMPORT_GOAL_SECONDS = 0.010
# From Python's own cache beside it, as an entry script has it from the one in the user's cache.
IMPORT = """\
import time
started = time.perf_counter()
import proto_kernel
print(time.perf_counter() - started)
"""


def measure(bench: Bench) -> list[Line]:
    """Return the lines for size and import; the other side is the goal itself."""
    where = bench.project("kernel", locked=False)
    size = (where / "proto_kernel.py").stat().st_size / 1000
    rounds = 1 + bench.times(30, 5)
    environ = {name: value for name, value in bench.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    plain = [bench.wild, "-c", IMPORT]
    imports = [float(bench.run(plain, where, capture=True, environ=environ)) for _ in range(rounds)][1:]
    return [
        Line("the kernel's size", "500 KB", 1.0, [size], [SIZE_GOAL_KB], "KB"),
        Line("the kernel's import, cached", "10 ms", 1.0, imports, [IMPORT_GOAL_SECONDS]),
    ]


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
