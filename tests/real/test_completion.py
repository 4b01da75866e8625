"""`./prime completion`: the scripts, loaded by real shells, before anything is provisioned."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import clones
import support
from protoprimer.commands.completion import completion_text, words_that_follow
from protoprimer.commands.shell import SHELL_KINDS
from protoprimer.graph import StateGraph
from protoprimer.settings.command_line import COMMANDS, OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for shells of POSIX hosts")

COMPLETION_SHELLS = ("bash", "zsh", "fish")

MATRIX = """\
[matrix]
python = ["3.9", "3.11", "3.12"]
include = [{ python = "3.12", resolution = "lowest" }]
"""

# What follows `./prime`, and what Tab then offers; `None` in a set stands for words that differ from host to host.
CASES: list[tuple[str, set[str]]] = [
    ("", set(COMMANDS)),
    ("re", {"reboot"}),
    ("--offline --env docs c", {"check", "completion"}),
    ("--color ", {"auto", "always", "never"}),
    ("--color al", {"always"}),
    ("graph --format ", {"text", "mermaid", "dot"}),
    ("shell --shell ba", {"bash"}),
    ("completion ", set(COMPLETION_SHELLS)),
    ("--env ", {"default", "docs", "it"}),
    ("check -e do", {"docs"}),
    ("matrix --cell py3.1", {"py3.11", "py3.12", "py3.12-lowest"}),
    ("lock --upg", {"--upgrade", "--upgrade-package"}),
    ("check --js", {"--json"}),
    ("graph --target envi", {"environment"}),
    ("run -- only-h", {"only-here"}),
    ("run only-h", {"only-here"}),
    ("help re", {"reboot"}),
]
# Each shell takes a value after `=` apart in its own way.
EQUALS = [("--color=al", {"always"}), ("graph --format=", {"text", "mermaid", "dot"})]

BASH = """\
. "$1"
COMP_LINE=$2 COMP_POINT=${#COMP_LINE}
# As readline does: `=` is a word of its own.
spaced=${COMP_LINE//=/ = }
read -r -a COMP_WORDS <<< "$spaced"
case $spaced in *" ") [ "${COMP_LINE%=}" != "$COMP_LINE" ] || COMP_WORDS+=("") ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
registered=$(complete -p prime)
function=${registered#*-F }
"${function%% *}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
# A terminal within zsh, since its completion runs only in a line editor; the words are written down, not shown.
ZSH = """\
zmodload zsh/zpty
zpty line "env HOME='$HOME' TERM=dumb zsh -f -i"
drain() { local some; while zpty -r -m line some "*$1*"; do [[ $some == *$1* ]] && break; done; }
zpty -w line "PS1='rea''dy>' PS2= RPS1=; unsetopt zle_bracketed_paste"
drain 'ready>'
zpty -w line "autoload -Uz compinit; compinit -u -D; . ${(q)1}"
drain 'ready>'
zpty -w line "compadd() { local -a w; builtin compadd -O w \\"\\$@\\"; print -rl -- \\$w >> ${(q)3}; builtin compadd \\"\\$@\\" }"
drain 'ready>'
zpty -w line "zstyle ':completion:*' list-prompt ''; bindkey '^I' complete-word; LISTMAX=10000"
drain 'ready>'
zpty -w -n line "$2"$'\\t\\x15'"print do''ne"$'\\n'
drain 'done'
zpty -d line
"""


def offered(shell: str, clone: clones.Clone, script: str, typed: str) -> set[str]:
    line = "./prime " + typed
    path = clone.root / f"script.{shell}"
    path.write_text(script)
    home = clone.root / "home"
    commands = clone.root / "commands"
    for directory in (home, commands):
        directory.mkdir(exist_ok=True)
    (commands / "only-here").write_text("#!/bin/sh\n")
    (commands / "only-here").chmod(0o755)
    words = clone.root / "words"
    words.write_text("")
    executable = support.needed_tool(shell)
    environ = {"PATH": f"{commands}:{clone.environ['PATH']}:{os.path.dirname(executable)}", "HOME": str(home)}
    if shell == "bash":
        command = [executable, "--norc", "-c", BASH, "bash", str(path), line]
    elif shell == "zsh":
        command = [executable, "-f", "-c", ZSH, "zsh", str(path), line, str(words)]
    else:
        quoted = line.replace("'", "\\'")
        command = [executable, "--no-config", "-c", f"source '{path}'; complete -C '{quoted}'"]
    done = clone.run(*command, environ=environ, status=None)
    assert done.errors == ""
    output = words.read_text() if shell == "zsh" else done.output
    found = {one.split("\t")[0] for one in output.splitlines() if one}
    return {one.partition("=")[2] or one for one in found}


def cold_clone(new_clone: Callable[..., clones.Clone]) -> clones.Clone:
    clone = new_clone().entry("prime", None, "boot")
    return clone.write({"protoprimer.toml": "[env.docs]\n[env.it]\n" + MATRIX})


@pytest.mark.parametrize("shell", COMPLETION_SHELLS)
def test_a_tab_offers_what_the_command_line_takes(new_clone: Callable[..., clones.Clone], shell: str) -> None:
    support.needed_tool(shell)
    clone = cold_clone(new_clone)
    script = clone.prime("completion", shell).output
    assert not clone.state.exists()
    for typed, expected in CASES + EQUALS:
        assert offered(shell, clone, script, typed) == expected, typed
    assert {
        name for option in OPTIONS if option.belongs_to("boot") for name in option.names if name.startswith("--")
    } <= (offered(shell, clone, script, "--"))
    assert not clone.state.exists()


@pytest.mark.parametrize("shell", COMPLETION_SHELLS)
def test_an_option_of_another_command_is_not_offered(new_clone: Callable[..., clones.Clone], shell: str) -> None:
    support.needed_tool(shell)
    clone = cold_clone(new_clone)
    script = clone.prime("completion", shell).output
    assert "--upgrade" not in offered(shell, clone, script, "check --")
    assert "--json" in offered(shell, clone, script, "check --")


@pytest.mark.parametrize("shell", COMPLETION_SHELLS)
@pytest.mark.parametrize("name", ["prime", 'it\'s a "tool" $x', "tool.py"])
def test_a_script_is_sound_whatever_the_entry_script_is_called(
    tmp_path: os.PathLike[str], shell: str, name: str
) -> None:
    executable = support.needed_tool(shell)
    script = os.path.join(tmp_path, "script")
    with open(script, "w", encoding="utf-8") as stream:
        stream.write(completion_text(shell, name))
    setup = "autoload -Uz compinit; compinit -u -D; " if shell == "zsh" else ""
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [executable, *options, "-c", setup + f". '{script}'" if shell != "fish" else f"source '{script}'"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "HOME": str(tmp_path)},
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_every_command_option_and_choice_is_offered() -> None:
    def words(*typed: str) -> set[str]:
        return {line.split("\t")[0] for line in words_that_follow(list(typed), StateGraph())}

    assert words("") == set(COMMANDS)
    for option in OPTIONS:
        for command in option.commands or COMMANDS:
            assert set(option.names) <= words(command, "-"), (command, option.names)
        if option.choices:
            command = (option.commands or ("boot",))[0]
            assert words(command, option.names[0], "") == set(option.choices)
            assert words(command, option.names[0] + "=") == {f"{option.names[0]}={one}" for one in option.choices}
    assert words("shell", "--shell", "") == set(SHELL_KINDS)
    assert {"auto", "uv", "virtualenv", "venv"} <= words("--backend", "")
    assert words("help", "") == set(COMMANDS)


def test_zsh_finds_the_script_in_a_directory_of_its_functions(new_clone: Callable[..., clones.Clone]) -> None:
    zsh = support.needed_tool("zsh")
    clone = cold_clone(new_clone)
    functions = clone.root / "functions"
    functions.mkdir()
    (functions / "_prime").write_text(clone.prime("completion", "zsh").output)
    loading = "fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[prime]"
    assert clone.run(zsh, "-f", "-c", loading).output == "_prime\n"
    loader = "fpath=($PWD/functions $fpath)\nautoload -Uz _prime; compdef _prime prime\n"
    assert offered("zsh", clone, loader, "re") == {"reboot"}


def test_an_unknown_shell_is_a_usage_error(new_clone: Callable[..., clones.Clone]) -> None:
    clone = cold_clone(new_clone)
    done = clone.prime("completion", "bsh", status=2)
    assert (
        done.errors
        == "error: there is no completion for the shell 'bsh'\n  next: did you mean 'bash'? known: bash, zsh, fish\n"
    )
    assert clone.prime("completion", status=2).errors.startswith("error: completion needs an argument")


def test_the_script_needs_no_configuration_that_can_be_read(new_clone: Callable[..., clones.Clone]) -> None:
    clone = cold_clone(new_clone).write({"protoprimer.toml": "broken ["})
    assert "complete -o default" in clone.prime("completion", "bash").output
    script = clone.prime("completion", "bash").output
    if shutil.which("bash"):
        assert offered("bash", clone, script, "--env ") == set()


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", "%s; complete -p prime"),
        ("zsh", "autoload -Uz compinit; compinit -u -D; %s; print $_comps[prime]"),
        ("fish", "%s; complete -c prime"),
    ],
)
def test_the_line_that_the_documentation_gives_loads_the_script(
    new_clone: Callable[..., clones.Clone], shell: str, asked: str
) -> None:
    executable = support.needed_tool(shell)
    page = (support.ROOT / "docs" / "how-to" / "completion.md").read_text(encoding="utf-8")
    (line,) = [row.split(" | ")[1].split("`")[1] for row in page.splitlines() if row.startswith(f"| {shell} | ")]
    done = cold_clone(new_clone).run(executable, "-c", asked % line.replace("\\|", "|"))
    assert ("_protoprimer_prime" in done.output, done.errors) == (True, "")
