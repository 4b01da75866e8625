"""mypy, strict, over everything that is ours.

`protoprimer.backends` is the folder `backends/`, which mypy cannot know; so the packages are laid out in a temporary
directory as they are installed, by links, and mypy runs there. Its cache stays in the checkout, for speed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gates.sources import tracked_files
from support import ROOT

FOLDERS = {
    "src/protoprimer": "protoprimer",
    "backends": "protoprimer/backends",
    "src/neoprimer": "neoprimer",
    "tests": ".",
    "benchmarks": "benchmarks",
}


def problems() -> list[str]:
    """Return mypy's words."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary)
        lay_out(tree)
        command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
        command += ["--cache-dir", str(ROOT / ".mypy_cache"), "--no-error-summary", "--explicit-package-bases", "."]
        done = subprocess.run(
            command,
            cwd=tree,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"MYPYPATH": "."},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
            check=False,
        )
    lines = done.stdout.decode().splitlines()
    return lines if done.returncode else []


def lay_out(tree: Path) -> None:
    """Link every tracked Python file to where it is once installed; templates are scripts without annotations."""
    for folder, package in FOLDERS.items():
        for path in tracked_files(f"{folder}/*.py"):
            if path.parent.name == "templates":
                continue
            link = tree / package / path.relative_to(ROOT / folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
