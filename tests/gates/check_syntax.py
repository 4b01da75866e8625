"""The kernel keeps to Python 3.6: vermin for syntax and library, 3.6's own parser where this machine has one."""

from __future__ import annotations

import subprocess
import sys

from gates.sources import kernel_modules
from support import ROOT, python_of

# Newer than 3.6, and used only where they exist, or only by type checkers.
GUARDED = (
    "os.POSIX_SPAWN_CLOSE",
    "os.POSIX_SPAWN_DUP2",
    "os.posix_spawn",
    "time.time_ns",
    "tomllib",
    "typing.Protocol",
)
COMPILE = "import sys\nfor path in sys.argv[1:]:\n    compile(open(path, encoding='utf-8').read(), path, 'exec')"


def problems() -> list[str]:
    """Return one line for each thing newer than 3.6."""
    files = [str(path.relative_to(ROOT)) for path in [*kernel_modules(), ROOT / "src" / "source_kernel.py"]]
    if len(files) == 1:
        return ["no kernel module found"]
    return newer_than_three_six(files) + refused_by_three_six(files)


def newer_than_three_six(files: list[str]) -> list[str]:
    """Return what vermin says."""
    command = [
        sys.executable,
        "-c",
        "import vermin; vermin.main()",
        "--target=3.6-",
        "--no-tips",
        "--violations",
        *(word for name in GUARDED for word in ("--exclude", name)),
    ]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False
    )
    return done.stdout.decode().splitlines() if done.returncode else []


def refused_by_three_six(files: list[str]) -> list[str]:
    """Return the parser's words, or nothing where there is no 3.6."""
    python = python_of("3.6")
    if python is None:
        return []
    done = subprocess.run(
        [python.executable, "-I", "-c", COMPILE, *files],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    return done.stdout.decode().splitlines() if done.returncode else []
