"""`./prime completion SHELL`: what completes the command line, made from the table that also reads it."""

import os
from shlex import quote

from protoprimer.backends.choosing import BACKENDS
from protoprimer.commands.shells import SHELL_KINDS
from protoprimer.errors import UsageError, nearest_name
from protoprimer.graph import StateGraph
from protoprimer.settings.command_line import COMMANDS, OPTIONS, CommandLine
from protoprimer.system.console import print_out

__all__ = ["COMPLETION_SHELLS", "completion_command", "completion_text"]

COMPLETION_SHELLS = ("bash", "zsh", "fish")
# What the scripts ask for: names that differ from clone to clone.
_ASKS_FOR_ENVIRONMENTS = "environments"

# For bash and zsh: what the words before the cursor's `word` say. `inner` counts those before a command to be run.
_COMPLETION_WORDS = """\
@F@_find() {
    local count=$#
    command= option= inner=-1
    while [ $# -gt 0 ]; do
        case $1 in
        @VALUED@) option=$1; shift; [ "${1-}" != = ] || shift; [ $# -eq 0 ] || { option=; shift; }; continue ;;
        --) inner=$((count - $# + 1)); break ;;
        -*) ;;
        *) case $command in run|matrix) inner=$((count - $#)); break ;; '') command=$1 ;; esac ;;
        esac
        shift
    done
    case $word:$option:$command in -*) ;; *::run|*::matrix) [ $inner -ge 0 ] || inner=$count ;; esac
}
# Prints `word:meaning` for a command, an option whose value is wanted, the program, and what is there of the word.
@F@_words() {
    case $2 in
    '') ;;
    --env|-e)
        case $3 in "~/"*) set -- "$1" "$2" "$HOME/${3#??}" ;; esac
        "$3" completion @ENVIRONMENTS@ 2> /dev/null
        return ;;
@VALUES@    *) return ;;
    esac
    case $4 in
    -*)
        printf '%s\\n' @COMMON@
        case ${1:-boot} in
@OPTIONS@        esac ;;
    *) case $1 in '') printf '%s\\n' @COMMANDS@ ;; completion) printf '%s\\n' @SHELLS@ ;;
        env) "$3" completion @ENVIRONMENTS@ 2> /dev/null ;; esac ;;
    esac
}
"""
_BASH_COMPLETION = """\
@F@() {
    local command option inner line word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    [ "$word" != = ] || word=
    @F@_find "${COMP_WORDS[@]:1:COMP_CWORD-1}"
    if [ $inner -eq $((COMP_CWORD - 1)) ]; then
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "$word")
    elif [ $inner -ge 0 ]; then
        if declare -F _command_offset > /dev/null; then _command_offset $((inner + 1)); fi
    else
        while IFS= read -r line; do
            case ${line%%:*} in "$word"*) COMPREPLY+=("${line%%:*}") ;; esac
        done < <(@F@_words "$command" "$option" "${COMP_WORDS[0]}" "$word")
    fi
}
complete -o default -F @F@ @PROGRAM@
"""
_ZSH_COMPLETION = """\
@F@() {
    local command option inner word=$PREFIX
    local -a lines
    @F@_find "${(@)words[2,CURRENT-1]}"
    if (( inner >= 0 )); then
        words=("${(@)words[inner+2,-1]}")
        (( CURRENT -= inner + 1 ))
        _normal
        return
    fi
    if [[ $PREFIX == --*=* ]]; then option=${PREFIX%%=*}; compset -P '*='; fi
    lines=("${(@f)$(@F@_words "$command" "$option" "$words[1]" "$word")}")
    if [[ -n $lines[1] ]]; then _describe @PROGRAM@ lines; else _files; fi
}
if [[ ${funcstack[1]-} == _* ]]; then @F@ "$@"; else compdef @F@ @PROGRAM@; fi
"""
_FISH_COMPLETION = """\
function @F@_environments
    set -l program (string replace -r '^~/' "$HOME/" -- (commandline -opc)[1])
    $program completion @ENVIRONMENTS@ 2> /dev/null
end
complete -c @PROGRAM@ -n '__fish_seen_subcommand_from run matrix' -x -a '(__fish_complete_subcommand --fcs-skip=2)'
complete -c @PROGRAM@ -n '__fish_seen_subcommand_from completion' -x -a '@SHELLS@'
complete -c @PROGRAM@ -n '__fish_seen_subcommand_from env' -x -a '(@F@_environments)'
"""


def completion_command(graph: StateGraph, command_line: CommandLine) -> int:
    """Print the script that completes the entry script's command line in a shell.

    :raises UsageError: exit code 2: there is none for that shell
    """
    shell = command_line.operands[0]
    if shell == _ASKS_FOR_ENVIRONMENTS:
        print_out("\n".join(graph.evaluate("configuration").environment_names))
        return 0
    if shell not in COMPLETION_SHELLS:
        near = nearest_name(shell, list(COMPLETION_SHELLS))
        advice = "did you mean %s?" % near if near else "one of: " + ", ".join(COMPLETION_SHELLS)
        raise UsageError("there is no completion for the shell %r" % shell, None, advice)
    targets = sorted({one.target for one in graph.states.values()})
    print_out(completion_text(shell, os.path.basename(command_line.program), targets), end="")
    return 0


def completion_text(shell: str, program: str, targets: "list[str]") -> str:
    """Return the script for one of `COMPLETION_SHELLS`.

    :param program: the entry script's name
    :param targets: what `--target` may name
    """
    import re

    values = {option.names[0]: list(option.choices) for option in OPTIONS if option.choices}
    values.update({"--backend": ["auto"] + list(BACKENDS), "--shell": sorted(SHELL_KINDS), "--target": targets})
    filled = {
        "@F@": "_protoprimer_" + re.sub(r"\W", "_", program),
        "@PROGRAM@": quote(program),
        "@ENVIRONMENTS@": _ASKS_FOR_ENVIRONMENTS,
        "@SHELLS@": " ".join(COMPLETION_SHELLS),
    }
    if shell == "fish":
        text = _FISH_COMPLETION + "".join(_fish_lines(values))
    else:
        text = _COMPLETION_WORDS + (_BASH_COMPLETION if shell == "bash" else _ZSH_COMPLETION)
        filled.update(_sh_tables(values))
    for name, value in filled.items():
        text = text.replace(name, value)
    return "#compdef %s\n%s" % (program, text) if shell == "zsh" else text


def _sh_tables(values: "dict[str, list[str]]") -> "dict[str, str]":
    return {
        "@VALUED@": "|".join(name for option in OPTIONS if option.metavar for name in option.names),
        "@VALUES@": "".join(
            "    %s) printf '%%s\\n' %s; return ;;\n" % (name, " ".join(words)) for name, words in values.items()
        ),
        "@COMMON@": _sh_options(None),
        "@OPTIONS@": "".join(
            "        %s) printf '%%s\\n' %s ;;\n" % (command, _sh_options(command))
            for command in COMMANDS
            if _sh_options(command)
        ),
        "@COMMANDS@": " ".join(quote("%s:%s" % pair) for pair in COMMANDS.items()),
    }


def _sh_options(command: "str | None") -> str:
    """Return the options that only some commands know and this one does, or for `None` those that all know."""
    known = [one for one in OPTIONS if (one.commands is None if command is None else command in (one.commands or ()))]
    return " ".join(quote(name + ":" + option.meaning) for option in known for name in option.names)


def _fish_lines(values: "dict[str, list[str]]") -> "list[str]":
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    typed = "'not __fish_seen_subcommand_from " + " ".join(COMMANDS) + "'"
    lines = [
        "complete -c @PROGRAM@ -n %s -f -a %s -d %s\n" % (typed, name, quoted(text)) for name, text in COMMANDS.items()
    ]
    for option in OPTIONS:
        words = ["complete -c @PROGRAM@", "-d", quoted(option.meaning)]
        for name in option.names:
            words += ["-l" if name.startswith("--") else "-s", name.lstrip("-")]
        if option.commands and "boot" not in option.commands:
            words += ["-n", "'__fish_seen_subcommand_from %s'" % " ".join(option.commands)]
        if option.names[0] == "--env":
            words += ["-x", "-a", "'(@F@_environments)'"]
        elif option.names[0] in values:
            words += ["-x", "-a", quoted(" ".join(values[option.names[0]]))]
        elif option.metavar:
            words.append("-r" if option.metavar == "FILE" else "-x")
        lines.append(" ".join(words) + "\n")
    return lines
