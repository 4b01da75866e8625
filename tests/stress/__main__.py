"""Run one of the long proofs: `python tests/stress crashes|storm|fuzz|healing|mutants|requirements|truth …`; each tells its options with `--help`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("crashes", "fuzz", "healing", "mutants", "requirements", "storm", "truth")


def main(words: list[str]) -> int:
    if not words or words[0] not in NAMES:
        print(f"usage: python tests/stress {'|'.join(NAMES)} …", file=sys.stderr)
        return 2
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]
    import protoprimer

    # As in conftest.py: `backends/` stands at the top of the tree.
    protoprimer.__path__.append(str(HERE.parent.parent))
    status = importlib.import_module(f"stress.{words[0]}").main(words[1:])
    assert isinstance(status, int)
    return status


if __name__ == "__main__":
    # Not this directory's modules but the package `stress`, so that there is one of each.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]
    sys.exit(main(sys.argv[1:]))
