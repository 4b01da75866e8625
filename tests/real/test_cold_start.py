"""A cold start asks no more than it must, and what it leaves out it leaves out only where that is safe."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import clones
import support
from protoprimer.pythons.choice import probe_interpreter, verify_environment_interpreter
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def commands(clone: clones.Clone) -> list[str]:
    """Return what the newest log says was run."""
    logs = sorted((clone.state / "log").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    lines = logs[-1].read_text(encoding="utf-8").splitlines()
    return [line.partition(" $ ")[2] for line in lines if " $ " in line and not line.endswith(" --version")]


# A project with these is not kept in the cache of environments.
CACHE_KEYS = '[tool.uv]\ncache-keys = [{ file = "pyproject.toml" }]\n'


def locked_clone(new_clone: Callable[..., clones.Clone], more: str = CACHE_KEYS) -> clones.Clone:
    clone = new_clone().write({"protoprimer.toml": 'backend = "uv"\nlock = "uv.lock"\n'})
    clone.project("demo", ".", 'requires-python = ">=3.8"\n' + more).entry("prime", None, "boot").prime("lock")
    return clone


@pytest.mark.index
def test_a_locked_project_takes_one_process_and_its_lock_is_checked_once(
    new_clone: Callable[..., clones.Clone],
) -> None:
    clone = locked_clone(new_clone)
    seen = []
    for _ in range(2):
        shutil.rmtree(clone.state)
        clone.prime()
        (only,) = commands(clone)
        seen += [word for word in only.split() if word in ("--locked", "--frozen")]
        assert clone.run(".venv/bin/python", "-c", "import demo; print(demo.NAME)").output == "demo\n"
    assert seen == ["--locked", "--frozen"]
    project = clone.root / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "1"', 'version = "1"\ndependencies = ["other"]'))
    assert "lock" in clone.prime(status=6).errors


@pytest.mark.index
def test_a_lock_that_was_installed_before_is_asked_of_the_cache_first_and_then_of_the_index(
    new_clone: Callable[..., clones.Clone], tmp_path: Path
) -> None:
    clone = locked_clone(new_clone, 'dependencies = ["iniconfig"]\n' + CACHE_KEYS)
    clone.prime()
    # Without its cache, uv is asked a second time.
    for environ, number in (({}, 1), ({"UV_CACHE_DIR": str(tmp_path / "another cache")}, 2)):
        shutil.rmtree(clone.state)
        clone.prime(environ=environ)
        assert [command.split()[2] for command in commands(clone)] == ["--frozen"] * number
        assert clone.run(".venv/bin/python", "-c", "import iniconfig, demo; print(demo.NAME)").output == "demo\n"


@pytest.mark.index
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("kind", ["uv.lock", "pylock.toml"])
def test_a_lock_as_uv_writes_it_is_left_to_uv(new_clone: Callable[..., clones.Clone], kind: str, ends: str) -> None:
    clone = new_clone().write({"protoprimer.toml": f'backend = "uv"\nlock = "{kind}"\n'})
    clone.project("demo", ".", "dependencies = [\"iniconfig; python_version > '3'\"]").entry("prime", None, "boot")
    clone.prime("lock")
    lock = clone.root / kind
    lock.write_bytes(lock.read_bytes().replace(b"\n", ends.encode()))
    clone.prime()
    # The kernel's own reading would begin with asking the interpreter for the values of markers.
    assert not [line for line in commands(clone) if "python_full_version" in line]


# Each takes longer to import than what the kernel would use it for.
DEAR = {"re", "enum", "json", "configparser", "signal", "subprocess", "sysconfig", "urllib.parse", "threading", "zlib"}


@pytest.mark.index
@pytest.mark.parametrize("start", ["cold", "linked", "decided by hash"])
def test_a_usual_start_imports_nothing_that_takes_longer_than_its_work(
    new_clone: Callable[..., clones.Clone], start: str
) -> None:
    clone = locked_clone(new_clone, "" if start == "linked" else CACHE_KEYS)
    python = support.default_python().executable
    # The first start of this Python compiles the kernel; what uv has built twice is kept.
    for _ in range(2 if start == "linked" else 1):
        clone.run(python, "-I", "-S", "./prime")
        if start != "decided by hash":
            shutil.rmtree(clone.state)
    if start == "decided by hash":
        (clone.state / "ready").unlink()
    done = clone.run(python, "-X", "importtime", "-I", "-S", "./prime")
    imported = {line.rpartition("|")[2].strip() for line in done.errors.splitlines() if line.startswith("import time:")}
    assert "os" in imported
    assert sorted(imported & DEAR) == []
    assert clone.builds() == 1


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    found = probe_interpreter(support.default_python().executable, str(tmp_path / "cache"), Console(-1))
    assert isinstance(found, Interpreter)
    return found


class Recorder(Console):
    """A console that keeps what goes to the log."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.lines: list[str] = []

    def record(self, text: str) -> None:
        self.lines.append(text)


def started(environment: Path, interpreter: Interpreter) -> bool:
    """Verify the environment and tell whether its interpreter was started for that."""
    console = Recorder()
    verify_environment_interpreter(str(environment), interpreter, console)
    return any(line.startswith("$ ") for line in console.lines)


def environment_of(interpreter: Interpreter, environment: Path) -> Path:
    command = [interpreter.executable, "-I", "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(command, check=True, timeout=60)
    return environment


def test_a_plain_link_to_the_interpreter_is_only_looked_at(interpreter: Interpreter, tmp_path: Path) -> None:
    environment = environment_of(interpreter, tmp_path / "env")
    assert started(environment, interpreter) is not os.path.islink(environment / "bin" / "python")


@pytest.mark.skipif(os.name == "nt", reason="no links to executables there")
def test_an_interpreter_reached_through_links_is_started(interpreter: Interpreter, tmp_path: Path) -> None:
    environment = environment_of(interpreter, tmp_path / "env")
    elsewhere = tmp_path / "elsewhere" / "bin"
    elsewhere.mkdir(parents=True)
    (elsewhere / "python3").symlink_to(interpreter.executable)
    settings = environment / "pyvenv.cfg"
    home = os.path.dirname(interpreter.executable)
    settings.write_text(settings.read_text().replace(f"home = {home}", f"home = {elsewhere}"))
    assert started(environment, interpreter)


@pytest.mark.skipif(os.name == "nt", reason="no links to executables there")
def test_a_copied_interpreter_is_started(interpreter: Interpreter, tmp_path: Path) -> None:
    environment = environment_of(interpreter, tmp_path / "env")
    python = environment / "bin" / "python"
    real = os.path.realpath(python)
    python.unlink()
    shutil.copy(real, python)
    assert started(environment, interpreter)
