"""This repository primes itself, from source, from old and new Pythons, and stays as it was committed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

import support

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.index

OLDEST_AND_NEWEST = list(dict.fromkeys([support.wild_pythons()[0], support.wild_pythons()[-1]]))


@pytest.mark.parametrize("wild", OLDEST_AND_NEWEST, ids=[python.name for python in OLDEST_AND_NEWEST])
def test_a_clean_clone_becomes_ready_for_development(
    wild: support.WildPython, tmp_path: Path, shared_directory: Path
) -> None:
    clone, home = tmp_path / "a clone", tmp_path / "home"
    home.mkdir()
    support.git("clone", "-q", str(support.ROOT), str(clone), where=tmp_path)
    environment = support.clean_environment(
        str(support.make_toolset(tmp_path / "bin", wild)),
        home,
        PROTOPRIMER_CACHE=str(shared_directory / "cache"),
        **support.shared_caches(),
    )

    def prime(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["./prime", *arguments],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    assert prime().stdout == ""
    warm = prime()
    assert (warm.stdout, warm.stderr) == ("", "")
    where = prime("run", "--", "python", "-c", "import protoprimer.backends.uv as m, pytest; print(m.__file__)")
    assert where.stdout.strip() == str(clone / "backends" / "uv.py")
    assert support.git("status", "--porcelain", where=clone) == ""
