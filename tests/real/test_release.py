"""What a release consists of, made as the workflow makes it and used as people use it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from protoprimer.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
UV = (sys.executable, "-m", "uv")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("release")
    command = [sys.executable, str(ROOT / "tools" / "release.py"), str(directory)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environ, cwd=ROOT, stdout=-1, stderr=subprocess.STDOUT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout.decode()
    return directory


def run(*command: str | Path, where: Path, status: int = 0) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PROTOPRIMER_"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=where,
        env=environ,
        stdout=-1,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    assert done.returncode == status, done.stdout.decode()
    return done.stdout.decode()


@pytest.mark.index
def test_a_release_is_whole_and_its_files_are_what_the_sums_and_the_bill_say(release: Path) -> None:
    files = [f"protoprimer-{VERSION}-py3-none-any.whl", f"protoprimer-{VERSION}.tar.gz", "proto_kernel.py"]
    assert sorted(path.name for path in release.iterdir()) == sorted([*files, "SHA256SUMS", "sbom.cdx.json"])
    sums = dict(line.split("  ")[::-1] for line in (release / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        name: hashlib.sha256((release / name).read_bytes()).hexdigest() for name in [*files, "sbom.cdx.json"]
    }
    bill = json.loads((release / "sbom.cdx.json").read_text())
    assert {part["name"]: part["hashes"][0]["content"] for part in bill["components"]} == {
        name: sums[name] for name in files
    }
    words = run(
        *UV,
        "tool",
        "run",
        "twine",
        "check",
        "--strict",
        *map(release.joinpath, files[:2]),
        where=release,
    )
    assert words.count("PASSED") == 2


@pytest.mark.index
def test_an_installed_wheel_adopts_a_repository_from_a_clean_environment(release: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    run(*UV, "venv", "--python", sys.executable, clean, where=tmp_path)
    wheel = release / f"protoprimer-{VERSION}-py3-none-any.whl"
    run(*UV, "pip", "install", "--no-index", "--python", clean, wheel, where=tmp_path)
    repository = tmp_path / "repository"
    repository.mkdir()
    program = clean / ("Scripts" if os.name == "nt" else "bin") / "protoprimer"
    run(program, "init", where=repository)
    assert (repository / "proto_kernel.py").read_bytes() == (release / "proto_kernel.py").read_bytes()
    run(program, "kernel", "verify", "proto_kernel.py", where=repository)
    run(sys.executable, "-I", "prime", where=repository)
    assert (repository / ".venv" / "pyvenv.cfg").is_file()
