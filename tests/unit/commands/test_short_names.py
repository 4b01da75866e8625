"""Short names of commands: the table `run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.commands import completion
from protoprimer.commands import run as run_module
from protoprimer.commands.completion import words_that_follow
from protoprimer.commands.run import run_command, wanted_words
from protoprimer.errors import ConfigurationError, UsageError
from protoprimer.graph import StateGraph
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import Configuration, read_configuration
from protoprimer.settings.short_names import lines_of_short_names, short_names
from protoprimer.store.publishing import Environment

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """\
[run]
test = "pytest -q 'two words'"
docs-serve = ["mkdocs", "serve", "-a", "localhost:0"]

[env.ci.run]
test = "pytest --junitxml=out.xml"
lint = "ruff check"
"""


def configured(root: Path, text: str = TABLE, *words: str) -> Configuration:
    (root / "protoprimer.toml").write_text(text)
    line = parse_command_line("./prime", [*words, "eval"], has_client=False)
    return read_configuration(str(root / "prime"), str(root / "proto_kernel.py"), line, {}, lambda _directory: None)


def test_a_name_stands_for_the_words_of_its_command_and_hands_arguments_on(tmp_path: Path) -> None:
    names = short_names(configured(tmp_path))

    def words(*typed: str) -> list[str]:
        return wanted_words(parse_command_line("./prime", ["run", *typed], has_client=False), names)

    assert words("test") == ["pytest", "-q", "two words"]
    assert words("test", "-k", "a b", "--", "--env", "x") == [
        "pytest",
        "-q",
        "two words",
        "-k",
        "a b",
        "--",
        "--env",
        "x",
    ]
    assert words("docs-serve") == ["mkdocs", "serve", "-a", "localhost:0"]
    assert words("other", "test") == ["other", "test"]
    # What follows `--` is a command, as it always was.
    assert words("--", "test", "x") == ["test", "x"]


def test_an_environment_adds_names_and_replaces_others(tmp_path: Path) -> None:
    names = short_names(configured(tmp_path, TABLE, "-e", "ci"))
    assert {name: one.words[-1] for name, one in names.items()} == {
        "test": "--junitxml=out.xml",
        "docs-serve": "localhost:0",
        "lint": "check",
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('test = "pytest \'q"', "the command of run.test cannot be split into words: No closing quotation"),
        ('test = " "', "run.test names no command"),
        ('test = [""]', "run.test names no command"),
        ('-t = "x"', "'-t' cannot be a short name: it looks like an option"),
        ("test = []", "run.test must not be empty"),
        ("test = 1", "run.test must be a string or a list, not 1"),
    ],
)
def test_what_is_no_command_is_refused_with_its_place(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        short_names(configured(tmp_path, "[run]\n" + line + "\n"))
    assert caught.value.cause == says
    assert str(caught.value.place).startswith("protoprimer.toml:2 (run.")


def test_run_alone_lists_the_names_and_builds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = parse_command_line("./prime", ["run"], has_client=False)
    assert run_command(StateGraph(()), line, configured(tmp_path), lambda: pytest.fail("no plan is needed")) == 0
    assert capsys.readouterr().out == ("test        pytest -q 'two words'\ndocs-serve  mkdocs serve -a localhost:0\n")
    with pytest.raises(UsageError, match="run needs a command"):
        run_command(StateGraph(()), line, configured(tmp_path, ""), lambda: pytest.fail("no plan is needed"))


def test_the_command_is_entered_in_the_environment_and_told_by_near_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[Any] = []
    monkeypatch.setattr(run_module, "ready_environment", lambda _graph: Environment(str(tmp_path / "e"), [], False))
    monkeypatch.setattr(run_module, "enter_command", lambda *arguments: entered.append(arguments))
    line = parse_command_line("./prime", ["run", "test", "-x"], has_client=False)
    configuration = configured(tmp_path, '[run]\ntest = "nothing-like-it"\n')
    run_command(StateGraph(()), line, configuration, lambda: pytest.fail("no plan is needed"))
    assert entered == [(["nothing-like-it", "-x"], str(tmp_path / "e"), "", ["test"])]


def test_names_are_completed_with_their_commands(tmp_path: Path) -> None:
    graph = StateGraph(())
    graph.provide("configuration", configured(tmp_path))
    assert words_that_follow(["run", "te"], graph) == ["test\tpytest -q 'two words'"]
    assert [word.partition("\t")[0] for word in words_that_follow(["run", ""], graph)] == ["test", "docs-serve"]
    assert words_that_follow(["run", "py"], graph) == ["!2"], "the shell completes a program"
    assert words_that_follow(["run", "test", ""], graph) == ["!2"]
    assert completion._short_names("", StateGraph(())) == []


def test_help_shows_them_in_columns(tmp_path: Path) -> None:
    assert lines_of_short_names(configured(tmp_path), "  ")[0] == "  test        pytest -q 'two words'"
    assert lines_of_short_names(configured(tmp_path, "")) == []
