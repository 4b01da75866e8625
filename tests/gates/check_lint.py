"""ruff over every tracked Python file."""

from __future__ import annotations

import subprocess
import sys

from gates.sources import tracked_files
from support import ROOT


def problems() -> list[str]:
    """Return ruff's words."""
    files = [str(path.relative_to(ROOT)) for path in tracked_files("*.py")]
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--output-format", "concise", *files]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    return done.stdout.decode().splitlines() if done.returncode else []
