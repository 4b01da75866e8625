"""Words for a person: how they are printed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from protoprimer.errors import PrimerError
from protoprimer.system.children import _figures_of
from protoprimer.system.console import Console, print_out

if TYPE_CHECKING:
    from pathlib import Path


def _said(text: str, root: str = "/home/you/repo") -> str:
    stream = io.StringIO()
    console = Console(stream=stream)
    console.root = root
    console.say(text)
    return stream.getvalue().rstrip("\n")


def test_paths_of_the_repository_are_relative() -> None:
    assert _said("the file /home/you/repo/x.txt does not exist") == "the file x.txt does not exist"
    assert _said("'/home/you/repo/a b/c', /home/you/repo/d:3 (e)") == "'a b/c', d:3 (e)"
    assert _said("--with=/home/you/repo/x") == "--with=x"


def test_paths_beside_the_repository_and_urls_stay_whole() -> None:
    for text in (
        "/home/you/repository/x",
        "file:///home/you/repo/x",
        "/mnt/home/you/repo/x",
        "in /home/you/repo",
        "https://x",
    ):
        assert _said(text) == text
        assert _said(text, root="/") == text


def test_a_command_to_run_has_the_whole_path() -> None:
    failure = PrimerError(
        "not yours", "/home/you/repo/.protoprimer", "run: sudo chown -R 1 '/home/you/repo/.protoprimer'"
    )
    assert _said(str(failure)).splitlines()[1:] == ["  where: .protoprimer", "  next: " + str(failure.advice)]


STEERING = "a\x1b]0;title\x07b\rc\x9b2J\u202ed\x7f"
SHOWN = r"a\x1b]0;title\x07b\x0dc\x9b2J\u202ed\x7f"


def test_nothing_that_we_print_or_log_steers_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    console = Console(verbosity=2, stream=stream)
    console.add_secret("pass\x1bword")
    console.keep_log_in(str(tmp_path / "log"), lambda: None)
    told = ("say", "detail", "record", "warn", "error")
    for name in told:
        getattr(console, name)(STEERING + " pass\x1bword")
    with pytest.raises(OSError, match="gone"), console.step(STEERING, STEERING):
        raise OSError("gone")
    with console.step("do", STEERING):
        console.draw(STEERING)
    assert stream.getvalue().count(SHOWN) == len(told) + 3
    assert console._log is not None
    console._log.close()
    (log,) = (tmp_path / "log").iterdir()
    assert log.read_text(encoding="utf-8").count(SHOWN) == len(told) + 3
    print_out(STEERING + "\tb")
    assert capsys.readouterr().out == SHOWN + "\tb\n"
    for text in (stream.getvalue().replace("\r\033[J", ""), log.read_text(encoding="utf-8")):
        assert not set(text) & set("\x1b\x07\r\x9b\x7f\u202e")
        assert "word" not in text


def test_one_package_is_no_figure() -> None:
    assert _figures_of("Collecting one\n") == ""
    assert _figures_of("Collecting one\nCollecting two\n") == "2 packages"
    assert _figures_of("Resolved 95 packages in 1 s\nBuilt one\nBuilt two\nmore\n") == "2 of 95 packages"
