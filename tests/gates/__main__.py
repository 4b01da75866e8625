"""Run the gates: `python tests/gates [NAME…]`; the names are those of the modules here without `check_`."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem[len("check_") :] for path in HERE.glob("check_*.py"))


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        print(f"unknown gate {unknown[0]}; known: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]
    failed = 0
    for name in wanted or NAMES:
        started = time.monotonic()
        problems = importlib.import_module(f"gates.check_{name}").problems()
        failed += bool(problems)
        print(f"{name}: {f'{len(problems)} problems' if problems else 'passed'} in {time.monotonic() - started:.1f} s")
        for problem in problems:
            print(f"  {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
