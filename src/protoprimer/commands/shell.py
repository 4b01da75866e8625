"""`./prime shell`."""

import os
import re
from shlex import quote

from protoprimer.errors import UsageError, which_are_known
from protoprimer.graph import StateGraph
from protoprimer.project.plan import prompt_label
from protoprimer.runtime.readiness import ready_environment
from protoprimer.runtime.switch import activated_environment
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.system.console import Console
from protoprimer.system.files import sha256_of, write_atomically
from protoprimer.system.paths import program_on_path, scripts_directory, user_cache_directory
from protoprimer.system.platform import first_line_of, is_windows
from protoprimer.system.processes import become_command

__all__ = ["SHELL_KINDS", "chosen_shell", "enter_shell", "shell_command"]

# Names of programs, and what each is to us.
SHELL_KINDS = {
    "bash": "bash", "zsh": "zsh", "fish": "fish", "sh": "sh", "dash": "sh", "ash": "sh", "busybox": "sh",
    "pwsh": "powershell", "powershell": "powershell",
}  # fmt: skip

# What bash, zsh and any POSIX sh read instead of the user's file; zsh wants that name.
# `errexit`, `nounset` and the like may be on, and aliases may stand for programs.
_SHELL_FILE_NAME = ".zshrc"
_SHELL_FILE = r"""protoprimer_environment=$VIRTUAL_ENV protoprimer_name=$VIRTUAL_ENV_PROMPT
case $protoprimer_kind in
bash) [ ! -f ~/.bashrc ] || . ~/.bashrc ;;
zsh)
    if [ -n "$protoprimer_user" ]; then export ZDOTDIR="$protoprimer_user"; else unset ZDOTDIR; fi
    # The host's own file may have put the history beside ours.
    case ${HISTFILE-} in "$protoprimer_files"/*) HISTFILE=${ZDOTDIR-$HOME}/${HISTFILE##*/} ;; esac
    [ ! -f "${ZDOTDIR-$HOME}/.zshenv" ] || . "${ZDOTDIR-$HOME}/.zshenv"
    [ ! -f "${ZDOTDIR-$HOME}/.zshrc" ] || . "${ZDOTDIR-$HOME}/.zshrc" ;;
sh)
    unset ENV
    if [ -n "$protoprimer_user" ]; then
        export ENV="$protoprimer_user"
        eval "protoprimer_user=\"$protoprimer_user\""
        [ ! -f "$protoprimer_user" ] || . "$protoprimer_user"
    fi ;;
esac
if [ "${VIRTUAL_ENV-}" != "$protoprimer_environment" ] && command -v deactivate > /dev/null; then deactivate || :; fi
protoprimer_scripts=$protoprimer_environment/bin
if command -v cygpath > /dev/null; then protoprimer_scripts=$(cygpath "$protoprimer_environment")/Scripts; fi
protoprimer_clear_path() {
    case :${PATH-}: in *":$protoprimer_scripts:"*) ;; *) return 0 ;; esac
    PATH=:$PATH:
    PATH=${PATH%%":$protoprimer_scripts:"*}:${PATH#*":$protoprimer_scripts:"}
    PATH=${PATH#:} PATH=${PATH%:}
}
protoprimer_mark() {
    [ "${VIRTUAL_ENV-}" = "$protoprimer_environment" ] && [ -z "${VIRTUAL_ENV_DISABLE_PROMPT-}" ] || return 0
    case ${PS1-} in *"($protoprimer_name)"*) ;; *) PS1="($protoprimer_name) ${PS1-}" ;; esac
}
deactivate() {
    protoprimer_clear_path
    hash -r
    PS1=${PS1#"($protoprimer_name) "}
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    unset -f deactivate
}
protoprimer_clear_path
PATH=$protoprimer_scripts${PATH:+:$PATH}
export PATH VIRTUAL_ENV="$protoprimer_environment" VIRTUAL_ENV_PROMPT="$protoprimer_name"
unset PYTHONHOME PYTHONPATH PYTHONEXECUTABLE __PYVENV_LAUNCHER__
hash -r
case $protoprimer_kind in
bash) PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND
}! declare -F protoprimer_mark > /dev/null || protoprimer_mark" ;;
zsh) eval 'typeset -ga precmd_functions; precmd_functions+=(protoprimer_mark)' ;;
sh) protoprimer_mark ;;
esac
unset protoprimer_kind protoprimer_files protoprimer_user
"""
# Where the user's files are read before a command, or before commands from a pipe. Quoted values stand for @...@.
_ACTIVATE_ONCE = (
    "export PATH=@SCRIPTS@:$PATH VIRTUAL_ENV=@ENVIRONMENT@ VIRTUAL_ENV_PROMPT=@NAME@; unset PYTHONHOME PYTHONPATH; "
)
_FISH = """\
function protoprimer_clear_path
    set -l found (contains -i -- @SCRIPTS@ $PATH); and set -e PATH[$found]
end
if functions -q deactivate; and test "$VIRTUAL_ENV" != @ENVIRONMENT@; deactivate; end
function deactivate -d 'Leave the environment'
    protoprimer_clear_path
    set -e VIRTUAL_ENV
    set -e VIRTUAL_ENV_PROMPT
    functions -e deactivate
end
protoprimer_clear_path
set -gx PATH @SCRIPTS@ $PATH
set -gx VIRTUAL_ENV @ENVIRONMENT@
set -gx VIRTUAL_ENV_PROMPT @NAME@
for name in PYTHONHOME PYTHONPATH PYTHONEXECUTABLE __PYVENV_LAUNCHER__; set -e $name; end
if status is-interactive
    functions -c fish_prompt protoprimer_prompt
    function protoprimer_status; return $argv[1]; end
    function fish_prompt
        set -l before $status
        if test "$VIRTUAL_ENV" = @ENVIRONMENT@ -a -z "$VIRTUAL_ENV_DISABLE_PROMPT"; printf '(%s) ' @NAME@; end
        protoprimer_status $before
        protoprimer_prompt
    end
end
"""
_POWERSHELL = """\
function global:protoprimer_path { @($env:PATH -split [IO.Path]::PathSeparator | Where-Object { $_ -ne @SCRIPTS@ }) }
function global:deactivate {
    $env:PATH = (protoprimer_path) -join [IO.Path]::PathSeparator
    Remove-Item Env:VIRTUAL_ENV, Env:VIRTUAL_ENV_PROMPT, function:deactivate -ErrorAction SilentlyContinue
}
$env:PATH = (@(@SCRIPTS@) + (protoprimer_path)) -join [IO.Path]::PathSeparator
$env:VIRTUAL_ENV = @ENVIRONMENT@
$env:VIRTUAL_ENV_PROMPT = @NAME@
Remove-Item Env:PYTHONHOME, Env:PYTHONPATH -ErrorAction SilentlyContinue
$global:protoprimer_prompt = $function:prompt
function global:prompt {
    if ($env:VIRTUAL_ENV -and -not $env:VIRTUAL_ENV_DISABLE_PROMPT) { Write-Host -NoNewline ('(' + @NAME@ + ') ') }
    & $global:protoprimer_prompt
}
"""
_POWERSHELL_STATUS = "\nif (-not $?) { if ($LASTEXITCODE) { exit $LASTEXITCODE }; exit 1 }\n"


def shell_command(graph: StateGraph, command_line: CommandLine, configuration: Configuration, console: Console) -> int:
    """Become a shell that reads the user's own files, and then activates."""
    shell = chosen_shell(command_line.text("shell"), console)
    environment = ready_environment(graph).path
    enter_shell(shell, command_line.text("command"), environment, prompt_label(configuration))
    return 0


def chosen_shell(asked: "str | None", console: Console) -> "tuple[str, list[str]]":
    """Return a shell's kind, and its program with arguments: `$SHELL`, else the one this was typed in, else sh."""
    usual = os.environ.get("SHELL") or ""
    typed_in = first_line_of("/proc/%d/comm" % os.getppid()).lstrip("-")
    defaults = [usual, typed_in, "pwsh" if is_windows() else "sh", "powershell", "/bin/sh"]
    for name in [os.path.expanduser(asked)] if asked else defaults:
        kind = SHELL_KINDS.get(re.sub(r"(-?[\d.]+)?(\.exe)?$", "", os.path.basename(name).lower()))
        found = program_on_path(name)
        if asked and kind is None:
            cause = "there is no support for the shell %r" % asked
            raise UsageError(cause, "--shell", which_are_known(asked, SHELL_KINDS))
        if kind and found:
            if not asked and usual and name != usual:
                console.say("SHELL is %s, which cannot be prepared; this is %s" % (usual, found))
            is_many = os.path.basename(found).startswith("busybox")
            return kind, [os.path.abspath(found)] + (["sh"] if is_many else [])
    cause = "there is no shell %s on this host" % (asked or "that is known")
    raise UsageError(cause, "--shell", "install it, or choose another" if asked else "name one: --shell PATH")


def enter_shell(shell: "tuple[str, list[str]]", command: "str | None", environment: str, label: str) -> None:
    """Become a shell with the environment active; without a `command` it reads stdin."""
    kind, arguments = shell[0], list(shell[1])
    is_interactive = command is None and os.isatty(0)
    variables = dict(activated_environment(dict(os.environ), environment), VIRTUAL_ENV_PROMPT=label)
    run = [] if command is None else ["-c", command]
    if kind == "powershell":
        arguments += _powershell_arguments(command, is_interactive, variables)
    elif kind == "fish":
        arguments += ["--init-command", _filled(_FISH, variables, "\\'", "\\\\")] + run
    elif is_interactive:
        arguments += _led_to_our_file(kind, variables)
    elif kind == "zsh" or (kind == "bash" and variables.get("BASH_ENV")):
        # What reads the pipe reads no file again.
        again = ("exec %s -f" if kind == "zsh" else "unset BASH_ENV; exec %s") % quote(arguments[0])
        arguments += ["-c", _filled(_ACTIVATE_ONCE, variables, "'\\''") + (again if command is None else command)]
    else:
        arguments += run
    become_command(arguments[0], arguments, variables)


def _led_to_our_file(kind: str, variables: "dict[str, str]") -> "list[str]":
    """Return the arguments, and set the variables, by which a shell reads our file."""
    hook = "ZDOTDIR" if kind == "zsh" else "ENV"
    directory = _directory_of_file()
    variables.update(protoprimer_kind=kind, protoprimer_files=directory, protoprimer_user=variables.get(hook, ""))
    if kind == "bash":
        return ["--rcfile", os.path.join(directory, _SHELL_FILE_NAME)]
    # The value of ENV is expanded, and the directory's name may have a `$` in it.
    variables[hook] = directory if kind == "zsh" else "$protoprimer_files/" + _SHELL_FILE_NAME
    return []


def _directory_of_file() -> str:
    import tempfile

    content = _SHELL_FILE.encode("ascii")
    directory = os.path.join(user_cache_directory(), "shell", sha256_of(content)[:12])
    path = os.path.join(directory, _SHELL_FILE_NAME)
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        if not os.path.exists(path):
            write_atomically(path, content)
    except OSError:
        directory = tempfile.mkdtemp(prefix="protoprimer-")
        write_atomically(os.path.join(directory, _SHELL_FILE_NAME), content)
    return directory


def _filled(text: str, variables: "dict[str, str]", quote_mark: str, backslash: str = "\\") -> str:
    """Fill in the values in single quotes; `quote_mark` and `backslash` are how these stand within them."""
    environment, name = variables["VIRTUAL_ENV"], variables["VIRTUAL_ENV_PROMPT"]
    values = {"@SCRIPTS@": scripts_directory(environment), "@ENVIRONMENT@": environment, "@NAME@": name}
    quoted = {key: one.replace("\\", backslash).replace("'", quote_mark) for key, one in values.items()}
    return re.sub("|".join(values), lambda found: "'%s'" % quoted[found.group()], text)


def _powershell_arguments(command: "str | None", is_interactive: bool, variables: "dict[str, str]") -> "list[str]":
    import base64

    if command is None and not is_interactive:
        return ["-NoLogo", "-Command", "-"]
    script = _filled(_POWERSHELL, variables, "''")
    script += "" if command is None else command + _POWERSHELL_STATUS
    # Encoded, since it passes through the rules of quoting of two programs.
    encoded = base64.b64encode(script.encode("utf-16-le")).decode("ascii")
    return (["-NoLogo", "-NoExit"] if command is None else []) + ["-EncodedCommand", encoded]
