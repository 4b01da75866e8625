"""One command line for both runtimes: any order, what is the client's carried as it was typed, mistakes told nearest first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoprimer.errors import UsageError
from protoprimer.settings.command_line import COMMANDS, OPTIONS, CommandLine, help_text, parse_command_line


def parse(*arguments: str, has_client: bool = True) -> CommandLine:
    return parse_command_line("./prime", list(arguments), has_client)


def refusal(*arguments: str, has_client: bool = True) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(*arguments, has_client=has_client)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize("words", list(itertools.permutations(["eval", "--json", "--env=dev", "-v", "--color=never"])))
def test_options_stand_on_either_side_of_the_command(words: tuple[str, ...]) -> None:
    line = parse(*words)
    assert line.command == "eval"
    assert line.options == {"json": True, "env": "dev", "verbose": [True], "color": "never"}


@pytest.mark.parametrize(
    "command", [name for name in COMMANDS if name not in ("run", "bundle", "completion", "matrix", "help")]
)
def test_every_command_is_known_with_the_options_of_all(command: str) -> None:
    assert parse(command, "--offline", "-e", "x").command == command
    assert parse("-e", "x", "--offline", command).options == {"env": "x", "offline": True}


# Words that neither are nor could be the beginning of protoprimer's own.
CLIENT_WORDS = st.lists(
    st.sampled_from(
        [
            "--name",
            "--name=x",
            "-n",
            "-x3",
            "word",
            "",
            " a b ",
            "--",
            "é",
            "-",
            "--x=--env",
            "run",
            "boot",
            "--env-file",
        ]
    ),
    max_size=6,
)


@given(CLIENT_WORDS)
def test_after_dashes_everything_is_the_clients(words: list[str]) -> None:
    assert parse("--offline", "--", *words).client_arguments == words
    assert parse("boot", "--", *words).client_arguments == words


@given(CLIENT_WORDS)
def test_what_is_not_ours_is_carried_in_its_order(words: list[str]) -> None:
    line = parse("--name", *words, "--offline") if "--" not in words else parse("--name", *words)
    dashes = words.index("--") if "--" in words else len(words)
    assert line.client_arguments == ["--name", *words[:dashes], *words[dashes + 1 :]]
    assert line.command == "boot"
    assert line.options == ({} if "--" in words else {"offline": True})


def test_ours_and_the_clients_may_be_mixed() -> None:
    line = parse("--name", "ann", "-v", "--env", "dev", "--loud", "--target=t", "word")
    assert line.client_arguments == ["--name", "ann", "--loud", "word"]
    assert line.options == {"verbose": [True], "env": "dev", "target": "t"}


def test_without_a_client_what_is_unknown_is_refused_at_once() -> None:
    assert refusal("--taget", "x", has_client=False).advice == "did you mean '--target'?"
    assert "unknown command 'bot'" in refusal("bot", has_client=False).cause
    assert refusal("bot", has_client=False).advice == "did you mean 'boot'?"
    assert refusal("--", "word", has_client=False).advice == "to run a command: run -- CMD"


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("install", "./prime installs what the repository asks for"),
        ("sync", "./prime brings the environment up to date"),
        ("update", "./prime lock --upgrade takes newer versions, then ./prime installs them"),
        ("upgrade", "./prime lock --upgrade takes newer versions, then ./prime installs them"),
        ("test", "./prime run -- CMD runs a command, such as ./prime run -- pytest; ./prime run lists short names"),
        ("pytest", "to run it in the environment: ./prime run -- pytest"),
        ("python", "to run it in the environment: ./prime run -- python"),
        ("python3.11", "to run it in the environment: ./prime run -- python3.11"),
        ("chek", "did you mean 'check'?"),
        ("zzz", "to run a program of the environment: ./prime run -- zzz; all commands: ./prime help"),
    ],
)
def test_what_people_type_by_habit_is_answered_in_one_line(word: str, advice: str) -> None:
    error = refusal(word, "-x", has_client=False)
    assert (error.cause, error.advice) == (f"unknown command {word!r}", advice)


def test_help_says_what_is_meant_to_who_has_never_seen_this_tool() -> None:
    text = help_text("./prime")
    assert "boot        prepare the environment, then run your program" in text
    assert "reboot      rebuild the environment from scratch, keeping the lock" in text
    assert "eval        print each setting, and where it comes from" in text
    assert "-v, --verbose           more detail; -vv also shows the tools' output" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["eval", "--jsn"], "unknown option --jsn"),
        (["eval", "word"], "eval does not take 'word'"),
        (["check", "--upgrade"], "--upgrade is not an option of check"),
        (["eval", "--target", "x"], "--target is not an option of eval"),
        (["--env"], "option --env needs a value\n  next: write --env NAME"),
        (["--offline=yes"], "option --offline takes no value"),
        (["--color", "red"], "option --color cannot be 'red'"),
        (["--env", "a", "--env", "b"], "option --env was given twice: keep a or b"),
        (["-q", "-v"], "--quiet and --verbose contradict each other"),
        (["matrix", "--json", "--github"], "--json and --github contradict each other"),
        (["lock", "--upgrade", "--upgrade-package", "x"], "--upgrade and --upgrade-package contradict each other"),
        (["shell", "--", "x"], "shell takes no arguments after '--'"),
        (["run", "--"], "run needs a command"),
        (["bundle"], "bundle needs an argument"),
        (["graph", "--format", "png"], "option --format cannot be 'png'"),
    ],
)
def test_mistakes_are_told(arguments: list[str], says: str) -> None:
    assert says in str(refusal(*arguments))


@pytest.mark.parametrize(
    "words",
    [["run", "--", "cmd", "--env", "x"], ["run", "cmd", "--env", "x"], ["-v", "run", "--", "cmd", "--env", "x"]],
)
def test_run_takes_the_rest_as_it_is(words: list[str]) -> None:
    line = parse(*words)
    assert (line.command, line.operands, line.text("env")) == ("run", ["cmd", "--env", "x"], None)
    assert line.is_literal == ("--" in words)


def test_short_options_may_stick_together_and_to_their_values() -> None:
    assert parse("-vv", "-edev").options == {"verbose": [True, True], "env": "dev"}
    assert parse("-vv").verbosity() == 2
    assert parse("-q").verbosity() == -1


def test_the_same_option_twice_with_one_value_is_no_contradiction() -> None:
    assert parse("--env", "a", "-e", "a").text("env") == "a"


def test_what_a_command_cannot_take_is_refused_also_where_a_client_takes_anything() -> None:
    for words in (["shell", "-c", "ls", "--", "x"], ["eval", "--", "x"], ["graph", "x"]):
        with pytest.raises(UsageError):
            parse_command_line("./prime", words, True)
    assert parse_command_line("./prime", ["reboot", "--", "x"], True).client_arguments == ["x"]


def test_a_command_twice_is_not_explained_by_its_own_name() -> None:
    for command in ("boot", "gc"):
        with pytest.raises(UsageError) as caught:
            parse_command_line("./prime", [command, command], False)
        assert caught.value.cause == f"{command} does not take '{command}'"
        assert f"did you mean {command}?" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (None, "./prime [COMMAND] [OPTIONS]"),
        ("run", "./prime run [OPTIONS] [NAME | -- CMD...]"),
        ("bundle", "./prime bundle [OPTIONS] DIR|FILE"),
        ("gc", "./prime gc [OPTIONS]"),
    ],
)
def test_help_begins_with_how_that_command_is_typed(command: str | None, usage: str) -> None:
    assert help_text("./prime", command).splitlines()[0] == "usage: " + usage


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_names_every_option_of_a_command_and_no_other(command: str | None) -> None:
    text = help_text("./prime", command, "of this repository: --name")
    for option in OPTIONS:
        assert (f"{option.names[0]} " in text or f"{option.names[0]}\n" in text) == option.belongs_to(
            command or "boot"
        ), option.names
    assert text.endswith("of this repository: --name")
    assert all(len(line) <= 80 for line in text.splitlines())


def test_help_of_a_command_is_asked_for_in_either_way() -> None:
    assert vars(parse("help", "lock")) == vars(parse("lock", "--help"))
    assert vars(parse("help")) == vars(parse("boot", "--help"))
    with pytest.raises(UsageError, match="unknown command 'lck'"):
        parse("help", "lck")
