"""The switch into the environment: flags, variables, the count of hops, and the very command that replaces this process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from protoprimer.errors import InstallError, InterpreterError, UsageError
from protoprimer.runtime import foreign_programs, invocation, switch
from protoprimer.runtime.foreign_programs import refuse_python_program_of_host
from protoprimer.runtime.switch import (
    activated_environment,
    enter_command,
    enter_environment,
    interpreter_flags,
    is_neo_runtime,
)
from protoprimer.settings.configuration import Configuration
from protoprimer.system.console import Console

if TYPE_CHECKING:
    from pathlib import Path

    Started = list[tuple[list[str], dict[str, str]]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Return what would have replaced this process: arguments and variables."""
    found: Started = []

    def replaced(arguments: list[str], environ: dict[str, str], _program: str | None = None) -> None:
        found.append((arguments, environ))

    monkeypatch.setattr(switch, "replace_process", replaced)
    monkeypatch.setattr(switch, "become_command", lambda program, words, environ: replaced([program, *words], environ))
    for name in list(os.environ):
        if name.startswith(("PROTOPRIMER_", "PYTHON")):
            monkeypatch.delenv(name)
    return found


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({}, []),
        ({"PYTHONUNBUFFERED": "1"}, ["-u"]),
        ({"PYTHONUNBUFFERED": "0", "PYTHONDONTWRITEBYTECODE": ""}, []),
        ({"PYTHONUNBUFFERED": "x", "PYTHONDONTWRITEBYTECODE": "1"}, ["-u", "-B"]),
        ({"PYTHONWARNINGS": "error, ,default::UserWarning"}, ["-Werror", "-Wdefault::UserWarning"]),
        ({"PYTHONOPTIMIZE": "0"}, []),
        ({"PYTHONOPTIMIZE": "1"}, ["-O"]),
        ({"PYTHONOPTIMIZE": "2"}, ["-OO"]),
        ({"PYTHONOPTIMIZE": "word"}, ["-O"]),
    ],
)
def test_the_user_s_wishes_become_flags_of_an_isolated_interpreter(environ: dict[str, str], flags: list[str]) -> None:
    assert interpreter_flags(environ) == ["-I", *flags]


@pytest.mark.parametrize(
    ("path", "activated"),
    [
        ("/a:/b", "/e/bin:/a:/b"),
        ("/a:/old/bin:/e/bin:/b", "/e/bin:/a:/b"),
        ("", "/e/bin"),
        (":/a", "/e/bin::/a"),
    ],
)
def test_an_activated_environment_comes_first_and_alone(path: str, activated: str) -> None:
    before = {"PATH": path, "VIRTUAL_ENV": "/old", "PYTHONHOME": "/x", "PYTHONPATH": "/y", "OTHER": "1"}
    found = activated_environment({**before, "PROTOPRIMER_ENV": "dev"}, "/e")
    assert found == {"PATH": activated, "VIRTUAL_ENV": "/e", "OTHER": "1"}


def test_without_path_the_system_s_default_follows() -> None:
    assert activated_environment({}, "/e")["PATH"] == "/e/bin:" + os.defpath


def test_the_environment_s_interpreter_takes_over_the_very_command(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROTOPRIMER_ENV", "dev")
    monkeypatch.setenv("PROTOPRIMER_PATH", "/stale")
    enter_environment("/e", ["launch.py", "run", "a b", ""], "/root", ["/p", "/q"], isolated=True)
    ((arguments, environ),) = started
    assert arguments == ["/e/bin/python", "-I", "launch.py", "run", "a b", ""]
    assert environ["PROTOPRIMER_READY"] == "/e"
    assert environ["PROTOPRIMER_PATH"] == "/p:/q"
    assert environ["PROTOPRIMER_ENV"] == "dev"
    assert environ["PROTOPRIMER_HOPS"] == f"1:{os.getpid()}:/root"
    assert environ["VIRTUAL_ENV"] == "/e"


def test_a_script_that_finds_the_kernel_beside_itself_is_not_isolated(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROTOPRIMER_PATH", "/stale")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    enter_environment("/e", ["prime"], "/root", [], isolated=False)
    enter_environment("/e", ["prime"], "/root", ["/p"], isolated=False, told=False)
    (arguments, environ), (_, untold) = started
    assert arguments == ["/e/bin/python", "-E", "-s", "-u", "prime"]
    assert "PROTOPRIMER_PATH" not in environ
    assert not [name for name in untold if name.startswith("PROTOPRIMER_")]


def test_a_loop_of_switches_ends_and_another_run_s_count_does_not(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    for expected in (1, 2, 3):
        enter_environment("/e", ["prime"], "/root", [], isolated=True)
        counted = started[-1][1]["PROTOPRIMER_HOPS"]
        assert counted == f"{expected}:{os.getpid()}:/root"
        monkeypatch.setenv("PROTOPRIMER_HOPS", counted)
    with pytest.raises(InstallError, match="3 switches led nowhere"):
        enter_environment("/e", ["prime"], "/root", [], isolated=True)
    for others in (f"3:{os.getpid()}:/another", f"3:{os.getpid() + 1}:/root", "x:y", f"x:{os.getpid()}:/root"):
        monkeypatch.setenv("PROTOPRIMER_HOPS", others)
        enter_environment("/e", ["prime"], "/root", [], isolated=True)
        assert started[-1][1]["PROTOPRIMER_HOPS"].startswith("1:")


def test_an_interpreter_that_does_not_start_is_told_with_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(switch, "replace_process", refused)
    with pytest.raises(InstallError, match="cannot be started: Permission denied") as caught:
        enter_environment("/e", ["prime"], "/root", [], isolated=True)
    assert caught.value.place == "/e/bin/python"


def test_neo_is_what_was_announced_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROTOPRIMER_READY", raising=False)
    assert not is_neo_runtime()
    monkeypatch.setenv("PROTOPRIMER_READY", sys.prefix)
    assert is_neo_runtime()
    monkeypatch.setenv("PROTOPRIMER_READY", sys.prefix + "x")
    assert not is_neo_runtime()


def program(path: Path, text: str = "#!/bin/sh\n", mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_command_is_found_in_the_environment_first(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "host" / "tool")
    own = program(tmp_path / "e" / "bin" / "tool")
    monkeypatch.setenv("PATH", str(tmp_path / "host"))
    enter_command(["tool", "a b"], str(tmp_path / "e"))
    assert started[0][0] == [own, "tool", "a b"]
    with pytest.raises(UsageError, match="no command 'tol'") as misspelt:
        enter_command(["tol"], str(tmp_path / "e"))
    assert misspelt.value.advice == "did you mean 'tool'?"
    with pytest.raises(UsageError, match="there is no command 'tol' in the environment docs or on PATH"):
        enter_command(["tol"], str(tmp_path / "e"), " docs")
    plain = program(tmp_path / "plain", mode=0o644)
    with pytest.raises(UsageError, match="is not an executable program"):
        enter_command([plain], str(tmp_path / "e"))


@pytest.mark.parametrize(
    ("name", "text", "marked", "refused"),
    [
        ("tool", "#!/bin/sh\n", False, False),
        ("tool", "#!/usr/bin/python3\n", False, True),
        ("tool", "#!/usr/bin/env pypy\n", False, True),
        ("tool", "#!/bin/sh\n'''exec' /long/python\n", False, True),
        ("tool", "#!/bin/sh\n", True, True),
        ("pip3", "#!/bin/sh\n", False, True),
        ("python3.14t", "#!/bin/sh\n", False, True),
        ("pythonic", "#!/bin/sh\n", False, False),
    ],
)
def test_a_python_program_that_only_the_host_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, marked: bool, refused: bool
) -> None:
    monkeypatch.setattr(foreign_programs, "_line_that_adds", lambda *_: "add it")
    found = program(tmp_path / "host" / "bin" / name, text)
    if marked:
        program(tmp_path / "host" / "pyvenv.cfg")
    configuration = Configuration(str(tmp_path / "clone"), "")
    arguments = (str(tmp_path / "host" / "bin"), str(tmp_path / "e"), configuration)

    def look(named: str) -> None:
        refuse_python_program_of_host(named, *arguments, lambda: pytest.fail("no plan is needed"))

    if not refused:
        look(name)
        return
    with pytest.raises(InstallError) as caught:
        look(name)
    assert caught.value.cause == f"{name} is not in the environment; the one on PATH belongs to another Python"
    assert caught.value.place == found
    # Not where somebody looks for it: the environment that the clone has chosen is named, with the way back.
    configuration.environment_name = "docs"
    with pytest.raises(InstallError, match=f"{name} is not in the environment docs; the one on PATH") as caught:
        look(name)
    assert str(caught.value.advice).endswith("; to go back to the default environment: ./prime env default")
    configuration.is_for_once = True
    with pytest.raises(InstallError, match="is not in the environment docs;") as caught:
        look(name)
    assert "env default" not in str(caught.value.advice)
    # By its path, or where the environment has it, it is the user's wish.
    look(found)
    program(tmp_path / "e" / "bin" / name, text)
    refuse_python_program_of_host(name, str(tmp_path / "e" / "bin"), *arguments[1:], lambda: pytest.fail("not needed"))


def test_what_nobody_foresaw_is_told_as_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def told(error: Exception) -> tuple[int, str]:
        try:
            raise error
        except (ValueError, OSError, ImportError) as raised:
            status = invocation.tell_unexpected(raised, Console(0))
        return status, capsys.readouterr().err

    status, text = told(ModuleNotFoundError("no", name="zoneinfo.x"))
    assert status == InterpreterError.exit_code
    assert "lacks the module zoneinfo of the standard library" in text
    status, text = told(ValueError("odd"))
    assert status == InstallError.exit_code
    assert "unexpected ValueError: odd (line" in text
    assert "this is a fault of ours" in text
    status, text = told(OSError(5, "Input/output error", "/disk"))
    assert status == InstallError.exit_code
    assert "/disk" in text
    assert "a fault of ours" not in text
