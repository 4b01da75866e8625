"""The generated kernel is the same twice, and verifies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support import ROOT


def problems() -> list[str]:
    """Generate the kernel twice, in two processes with different hash seeds, and return one line for each fault."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary, name) for name in ("1.py", "2.py")]
        for seed, file in enumerate(files):
            said = _protoprimer("kernel", "write", str(file), seed=seed)
            if not file.is_file():
                return said
        first, second = (file.read_bytes() for file in files)
        found += _protoprimer("kernel", "verify", str(files[0]), seed=3)
    if first != second:
        found.append("the kernel differs from one run to the next")
    return found


def _protoprimer(*arguments: str, seed: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "protoprimer", *arguments],
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    return done.stdout.decode().splitlines() if done.returncode else []
