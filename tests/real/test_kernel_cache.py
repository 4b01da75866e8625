"""The bytecode of the kernel: kept once for each user by Python itself, never in the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import support
from protoprimer.authoring.entry import entry_text

KERNEL = """\
import sys

def run_main(main, script):
    print("genuine", main, sys._getframe().f_code.co_filename == __file__)
"""
GENUINE = "genuine client:main True\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose kernel is a few lines, for a user with a home and a cache."""
    (tmp_path / "home" / ".cache" / "protoprimer").mkdir(parents=True)
    root = tmp_path / "check öut"
    root.mkdir()
    (root / "app").write_text(entry_text("run", "client:main", "proto_kernel.py"), encoding="utf-8")
    (root / "proto_kernel.py").write_text(KERNEL, encoding="utf-8")
    return root


def run(python: str, checkout: Path, home: str = "home", **more: str) -> str:
    environ = support.clean_environment("/usr/bin:/bin", checkout.parent / home, LC_ALL="C.UTF-8", **more)
    done = subprocess.run([python, "-I", "-S", str(checkout / "app")], env=environ, capture_output=True, timeout=60)
    assert done.stderr == b""
    assert sorted(os.listdir(checkout)) == ["app", "proto_kernel.py"]
    return done.stdout.decode()


def kept(checkout: Path) -> list[Path]:
    """Return the bytecode in this user's cache, by its path below it."""
    cache = checkout.parent / "home" / ".cache" / "protoprimer"
    return [path.relative_to(cache / "pyc") for path in cache.rglob("*.pyc")]


def test_every_python_keeps_its_own_and_nothing_lies_in_the_checkout(
    checkout: Path, wild_python: support.WildPython
) -> None:
    for _time in ("compiled", "kept"):
        assert run(wild_python.executable, checkout) == GENUINE
    tag = f"proto_kernel.cpython-{wild_python.version[0]}{wild_python.version[1]}.pyc"
    expected = [Path(str(checkout).lstrip("/"), tag)] if wild_python.version >= (3, 8) else []
    assert kept(checkout) == expected


def test_an_edited_kernel_is_compiled_again(checkout: Path) -> None:
    python = support.default_python().executable
    assert run(python, checkout) == GENUINE
    (checkout / "proto_kernel.py").write_text(KERNEL.replace("genuine", "another one"), encoding="utf-8")
    assert run(python, checkout) == GENUINE.replace("genuine", "another one")


@pytest.mark.parametrize("home", ["nowhere", "empty"])
def test_a_user_without_a_cache_is_not_given_one(checkout: Path, home: str) -> None:
    (checkout.parent / "empty").mkdir()
    assert run(support.default_python().executable, checkout, home) == GENUINE
    assert not (checkout.parent / "nowhere").exists()
    assert not list((checkout.parent / "empty").iterdir())
