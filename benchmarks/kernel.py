"""Size of the kernel, and how long an interpreter that is already running needs to load it from what is compiled.

python -m benchmarks.kernel [--rounds N] [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.common import Bench, Line, command

SIZE_GOAL_KB = 150
IMPORT_GOAL_SECONDS = 0.010
# Loaded the way an entry script loads it, by its own function, in an interpreter that did nothing else.
LOAD = """\
import sys, time
entry = {"__name__": "entry", "__file__": sys.argv[1]}
exec(compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec"), entry)
started = time.perf_counter()
exec(entry["PROTOPRIMER_LATE"], entry)
entry["protoprimer_late"]("protoprimer_start")
print(time.perf_counter() - started)
"""
# As any module: the text of the file from Python's own cache beside it, what is packed from the user's.
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
    load = [bench.wild, "-I", "-S", "-B", "-c", LOAD, str(where / "run")]
    loads = [float(bench.run(load, where, capture=True)) for _ in range(rounds)][1:]
    environ = {name: value for name, value in bench.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    plain = [bench.wild, "-c", IMPORT]
    imports = [float(bench.run(plain, where, capture=True, environ=environ)) for _ in range(rounds)][1:]
    return [
        Line("the kernel's size", "150 KB", 1.0, [size], [SIZE_GOAL_KB], "KB"),
        Line("the kernel loaded by an entry script", "10 ms", 1.0, loads, [IMPORT_GOAL_SECONDS]),
        Line("the kernel's import, cached", "10 ms", 1.0, imports, [IMPORT_GOAL_SECONDS]),
    ]


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
