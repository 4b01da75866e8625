"""The built sdist and wheel hold exactly the packages' tracked files and their metadata."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from gates.sources import package_files, tracked_files
from support import ROOT

BESIDE_PACKAGES = ("pyproject.toml", "README.md", "LICENSE")


def problems() -> list[str]:
    """Build both from a copy of the tracked files, and return one line for each file too many or too few."""
    with tempfile.TemporaryDirectory() as temporary:
        copy, built = Path(temporary, "copy"), Path(temporary, "built")
        for path in tracked_files():
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(built), str(copy)]
        done = subprocess.run(
            command, cwd=temporary, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False
        )
        if done.returncode:
            return done.stdout.decode().splitlines()
        return _wheel_problems(next(built.glob("*.whl"))) + _sdist_problems(next(built.glob("*.tar.gz")))


def _wheel_problems(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        top_level = next(name for name in names if name.endswith(".dist-info/top_level.txt"))
        packages = archive.read(top_level).decode().split()
    metadata = top_level[: -len("top_level.txt")]
    licence = {name for name in names if name in (metadata + "LICENSE", metadata + "licenses/LICENSE")}
    expected = {
        metadata + name for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt")
    } | licence
    found = _differences("wheel", names, expected | set(package_files()))
    if not licence:
        found.append("wheel: no LICENSE")
    if packages != ["neoprimer", "protoprimer"]:
        found.append(f"wheel: top-level packages are {packages}")
    return found


def _sdist_problems(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    sources = {path.relative_to(ROOT).as_posix() for path in package_files().values()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    return _differences("sdist", names - made, sources | set(BESIDE_PACKAGES))


def _differences(what: str, names: set[str], expected: set[str]) -> list[str]:
    return [f"{what}: unexpected {name}" for name in sorted(names - expected)] + [
        f"{what}: lacks {name}" for name in sorted(expected - names)
    ]
