"""Which files are what."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support import ROOT

# Parts of the package that only run where it is installed; every other module is joined into the kernel.
OUTSIDE_KERNEL = frozenset(f"src/protoprimer/{name}.py" for name in ("__main__", "authoring/joining"))


def tracked_files(*patterns: str) -> list[Path]:
    """Return the tracked files that exist, absolute."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, stdout=subprocess.PIPE, timeout=60, check=True
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def package_files() -> dict[str, Path]:
    """Return the installed name of each tracked file of the distribution's packages, and where it is here."""
    files = {}
    for folder, package in (
        ("src/protoprimer", "protoprimer"),
        ("backends", "protoprimer/backends"),
        ("src/neoprimer", "neoprimer"),
    ):
        for path in tracked_files(folder):
            files[f"{package}/{path.relative_to(ROOT / folder).as_posix()}"] = path
    return files


def kernel_modules() -> list[Path]:
    """Return the sources of the kernel."""
    sources = tracked_files("src/protoprimer/*.py", "backends/*.py")
    return [
        path
        for path in sources
        if path.name != "__init__.py"
        and path.parent.name != "templates"
        and path.relative_to(ROOT).as_posix() not in OUTSIDE_KERNEL
    ]
