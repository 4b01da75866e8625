"""`./prime completion SHELL`: a small script asks the entry script at each Tab what can follow."""

import os
import re
from shlex import quote

from protoprimer.backends.choosing import BACKENDS
from protoprimer.commands.matrix.command import wanted_cells
from protoprimer.commands.shell import SHELL_KINDS
from protoprimer.errors import PrimerError, UsageError, which_are_known
from protoprimer.graph import StateGraph
from protoprimer.settings.command_line import COMMANDS, OPTIONS, CommandLine
from protoprimer.settings.short_names import short_names
from protoprimer.system.console import print_out

__all__ = ["completion_command", "words_that_follow"]

# What the scripts call: `completion words -- WORD...`, of which the last is being typed. It prints `word<TAB>meaning`
# lines, or `!N`: the words from the Nth on are a command of its own.
_SCRIPTS = {
    "bash": """\
@F@() {
    local line program=${COMP_WORDS[0]/#\\~/$HOME}
    COMPREPLY=()
    while IFS= read -r line; do
        if [ "$line" = "!$COMP_CWORD" ]; then
            while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
        elif [ "${line#!}" != "$line" ]; then
            if declare -F _command_offset > /dev/null; then _command_offset "${line#!}"; fi
        else
            COMPREPLY+=("${line%%$'\\t'*}")
        fi
    done < <("$program" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -o default -F @F@ @PROGRAM@
""",
    "zsh": """\
#compdef @NAME@
@F@() {
    local -a lines
    local program=${words[1]/#\\~/$HOME}
    lines=("${(@f)$("$program" completion words -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2> /dev/null)}")
    if [[ $lines[1] == '!'* ]]; then
        local before=${lines[1]#!}
        words=("${(@)words[before+1,-1]}")
        (( CURRENT -= before ))
        _normal
    elif [[ -n $lines[1] ]]; then
        lines=("${(@)lines/$'\\t'/:}")
        _describe @PROGRAM@ lines
    else
        _files
    fi
}
if [[ ${funcstack[1]-} == _* ]]; then @F@ "$@"; else compdef @F@ @PROGRAM@; fi
""",
    "fish": """\
function @F@
    set -l typed (commandline -opc) (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $typed[1])
    set -l lines ($program completion words -- $typed[2..] 2> /dev/null)
    if string match -q '!*' -- $lines[1]
        complete -C (string join ' ' -- $typed[(math (string sub -s 2 -- $lines[1]) + 1)..])
    else if test -n "$lines[1]"
        string join \\n -- $lines
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c @PROGRAM@ -f -a '(@F@)'
""",
}


def completion_command(graph: StateGraph, command_line: CommandLine) -> int:
    """Print the script for a shell, or what it asks for."""
    shell, *words = command_line.operands
    if shell == "words":
        print_out("\n".join(words_that_follow(words or [""], graph)))
        return 0
    if shell not in _SCRIPTS:
        raise UsageError("there is no completion for the shell %r" % shell, None, which_are_known(shell, _SCRIPTS))
    print_out(completion_text(shell, os.path.basename(command_line.program)), end="")
    return 0


def completion_text(shell: str, program: str) -> str:
    """Return the script for a shell, and an entry script of this name."""
    function = "_protoprimer_" + re.sub(r"\W", "_", program)
    return _SCRIPTS[shell].replace("@F@", function).replace("@PROGRAM@", quote(program)).replace("@NAME@", program)


def words_that_follow(words: "list[str]", graph: StateGraph) -> "list[str]":
    """Return what the last of `words` can become."""
    command, option, typed = "", "", words[-1]
    for number, word in enumerate(words[:-1], 1):
        if option:
            # Bash takes a value after `=` apart.
            option = option if word == "=" else ""
        elif word == "--":
            return ["!%d" % (number + 1)] if command in ("run", "matrix") else []
        elif word.startswith("-"):
            option = word if any(word in one.names for one in OPTIONS if one.metavar) else ""
        elif command == "run":
            return ["!%d" % number]
        else:
            command = command or word
    name, equals, _ = typed.partition("=")
    if option:
        typed, found = "" if typed == "=" else typed, _values_of_option(option, graph)
    elif name.startswith("-") and equals:
        found = [name + "=" + one for one in _values_of_option(name, graph)]
    elif name.startswith("-"):
        known = [one for one in OPTIONS if one.belongs_to(command or "boot")]
        found = [name + "\t" + one.meaning for one in known for name in one.names]
    elif command == "run":
        # A shell completes a command; or a short name, where one begins so.
        found = _short_names(typed, graph)
        if not found:
            return ["!%d" % len(words)]
    elif command == "env":
        found = _values_of_option("--env", graph)
    elif command:
        found = list({"completion": _SCRIPTS, "help": COMMANDS}.get(command, ()))
    else:
        found = ["%s\t%s" % pair for pair in COMMANDS.items()]
    return [one for one in found if one.startswith(typed)]


def _short_names(typed: str, graph: StateGraph) -> "list[str]":
    found = []
    try:
        for one in short_names(graph.evaluate("configuration")).values():
            if one.name.startswith(typed):
                found.append("%s\t%s" % (one.name, one.written))
    except PrimerError:
        return []
    return found


def _values_of_option(name: str, graph: StateGraph) -> "list[str]":
    try:
        if name in ("--env", "-e"):
            return list(graph.evaluate("configuration").environment_names)
        if name == "--cell":
            return [cell.name for cell in graph.call(wanted_cells)]
    except PrimerError:
        return []
    known = {one: option.choices for option in OPTIONS for one in option.names if option.choices}
    known["--backend"], known["--shell"] = ("auto", *BACKENDS), tuple(sorted(SHELL_KINDS))
    known["--target"] = tuple(sorted({one.target for one in graph.states.values()}))
    return list(known.get(name, ()))
