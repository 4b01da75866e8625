"""Each example, through each backend, from each Python of this machine as the wild one, as its README says."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Prime = Callable[..., "Clone"]

pytestmark = [pytest.mark.index, pytest.mark.backends_in_turn]

# What the author of each example ran, from its README, as arguments of `python -m protoprimer`.
COMMANDS = {
    "packaged-app": (
        ["init", "--main", "packaged_app.cli:main"],
        ["entry", "app", "packaged_app.cli:main", "--start"],
    ),
    "monorepo": (["init"], ["entry", "count", "counting_app:main"]),
    "requirements-app": (["init"], ["entry", "app", "main:main"]),
}


@dataclass
class Clone:
    """An example as a user has cloned it."""

    directory: Path
    environment: dict[str, str]

    def run(self, *command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone's root, with stdout and stderr apart."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=600,
        )
        assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def report(self, *command: str) -> dict[str, Any]:
        """Run a client's script that prints JSON."""
        report = json.loads(self.run(*command).stdout)
        assert isinstance(report, dict)
        return report


@pytest.fixture(scope="session")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives a directory with an example after its author's commands, run once a worker."""

    @functools.lru_cache(maxsize=None)
    def adopt(name: str) -> Path:
        directory = tmp_path_factory.mktemp(name) / "repository"
        left_out = shutil.ignore_patterns("__pycache__", ".venv", ".protoprimer", "*.egg-info")
        shutil.copytree(support.ROOT / "examples" / name, directory, ignore=left_out)
        support.git("init", "-q", where=directory)
        for command in COMMANDS[name]:
            done = subprocess.run(
                [sys.executable, "-m", "protoprimer", *command],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(support.ROOT / "src")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
            )
            assert done.returncode == 0, done.stdout.decode()
        return directory

    return adopt


@pytest.fixture
def primed_example(
    adopted: Callable[[str], Path], git_repository: Path, tmp_path: Path, shared_directory: Path, kernel: str
) -> Prime:
    """Return a function that makes a clone of an example for one backend and one wild Python, and boots nothing yet."""

    def make(name: str, backend: str, wild_python: support.WildPython) -> Clone:
        home = tmp_path / "home"
        home.mkdir()
        shutil.copytree(adopted(name), git_repository, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
        support.put_kernel(git_repository / "proto_kernel.py", kernel)
        support.git("add", "-A", where=git_repository)
        support.git("commit", "-qm", "adopt protoprimer", where=git_repository)
        environment = support.clean_environment(
            str(support.make_toolset(tmp_path / "bin", wild_python)),
            home,
            PROTOPRIMER_CACHE=str(shared_directory / "cache"),
            PROTOPRIMER_BACKEND=backend,
            **support.shared_caches(),
        )
        return Clone(git_repository, environment)

    return make


@pytest.mark.costly
def test_packaged_app_runs_with_its_dependencies(
    primed_example: Prime, backend: str, wild_python: support.WildPython
) -> None:
    clone = primed_example("packaged-app", backend, wild_python)
    clone.run("./app", status=8)
    assert clone.report("./prime", "--backend", backend, "--", "first", "--", "-x")["argv"][1:] == ["first", "--", "-x"]
    settings = clone.directory / "settings.toml"
    settings.write_text("[colours]\nsky = 'blue'\n")
    report = clone.report("./app", "--settings", "settings.toml", "one", "two words", "")
    assert report["words"] == ["one", "two words", ""]
    assert report["settings"] == {"colours": {"sky": "blue"}}
    assert report["argv"][1:] == ["--settings", "settings.toml", "one", "two words", ""]
    _assert_own_environment(report, clone, wild_python, editable="src/packaged_app/cli.py", oldest=(3, 8))
    settings.unlink()
    assert "Print WORDS" in clone.run("./prime", "run", "--", "packaged-app", "--help").stdout
    assert clone.run("./app", "--status", "7", status=7).stderr == ""
    _assert_clean_checkout(clone)
    _assert_warm_boot_is_silent(clone)


@pytest.mark.costly
def test_monorepo_installs_siblings_together_and_then_from_its_lock(
    primed_example: Prime, backend: str, wild_python: support.WildPython
) -> None:
    clone = primed_example("monorepo", backend, wild_python)
    report = clone.report("./count", "b", "a", "b")
    assert report["counted"] == [["a", 1], ["b", 2]]
    _assert_own_environment(report, clone, wild_python, editable="app/src/counting_app/__init__.py", oldest=(3, 8))
    assert report["modules"]["counting_lib"] == str(clone.directory / "lib/src/counting_lib/__init__.py")
    assert {"click", "iniconfig", "typing_extensions", "sortedcontainers"} <= set(report["modules"])
    clone.run("./prime", "lock")
    lock = (clone.directory / "pylock.toml").read_text(encoding="utf-8")
    assert "sha256" in lock
    assert "sortedcontainers" in lock
    locked = clone.report("./count", "a")
    assert locked["prefix"] != report["prefix"]
    assert set(locked["modules"]) == set(report["modules"])
    _assert_clean_checkout(clone, "pylock.toml")


@pytest.mark.costly
def test_requirements_app_needs_no_packaging(
    primed_example: Prime, backend: str, wild_python: support.WildPython
) -> None:
    clone = primed_example("requirements-app", backend, wild_python)
    settings = clone.directory / "settings.ini"
    settings.write_text("[colours]\nsky = blue\n")
    report = clone.report("./app", "settings.ini")
    assert report["sections"] == {"settings.ini": ["colours"]}
    _assert_own_environment(report, clone, wild_python, editable="main.py", oldest=(3, 6))
    settings.unlink()
    _assert_clean_checkout(clone)


def _assert_own_environment(
    report: dict[str, Any], clone: Clone, wild_python: support.WildPython, editable: str, oldest: tuple[int, int]
) -> None:
    root = os.path.realpath(clone.directory)
    assert report["prefix"] != report["base_prefix"]
    assert os.path.realpath(report["prefix"]).startswith(os.path.join(root, ".protoprimer", "envs", ""))
    assert os.path.realpath(clone.directory / ".venv") == os.path.realpath(report["prefix"])
    assert os.path.realpath(report["source"]) == os.path.join(root, editable)
    assert tuple(report["python"][:2]) >= oldest
    if wild_python.version[:2] >= (3, 8):
        assert report["python"] == list(wild_python.version), "the wild Python fits, so it is taken"
    assert report["leaked"] == []
    assert os.path.realpath(report["cwd"]) == root
    first, rest = report["environ"]["PATH"].split(os.pathsep, 1)
    assert os.path.realpath(os.path.dirname(first)) == os.path.realpath(report["prefix"])
    assert rest == clone.environment["PATH"]
    assert os.path.realpath(report["environ"]["VIRTUAL_ENV"]) == os.path.realpath(report["prefix"])
    assert report["environ"]["PYTHONPATH"] is None
    for module, path in report["modules"].items():
        assert os.path.realpath(path).startswith(root), module


def _assert_clean_checkout(clone: Clone, *expected: str) -> None:
    status = support.git("status", "--porcelain", where=clone.directory).splitlines()
    assert status == [f"?? {name}" for name in expected]


def _assert_warm_boot_is_silent(clone: Clone) -> None:
    warm = clone.run("./prime")
    assert warm.stderr == ""
    assert json.loads(warm.stdout)["argv"] == ["./prime"]
