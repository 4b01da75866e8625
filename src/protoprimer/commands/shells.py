"""`./prime shell`: a shell of the user's, with the environment active whatever their own files do.

Each shell runs the user's own files first, which may change any variable, and then activates.
"""

import os
from shlex import quote

from protoprimer.errors import PrimerError, UsageError, nearest_name
from protoprimer.project.metadata import read_project
from protoprimer.runtime.switch import activated_environment
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, write_atomically
from protoprimer.system.paths import scripts_directory, user_cache_directory
from protoprimer.system.platform import is_windows
from protoprimer.system.processes import become_command

__all__ = ["SHELL_KINDS", "chosen_shell", "enter_shell", "shell_label"]

# Names of programs, and what each is to us.
SHELL_KINDS = {
    "bash": "bash", "zsh": "zsh", "fish": "fish", "sh": "sh", "dash": "sh", "ash": "sh", "busybox": "sh",
    "pwsh": "powershell", "powershell": "powershell",
}  # fmt: skip

# What comes before the user's own file, by the name of ours, and how the prompt is marked at the end.
_KNOW = "protoprimer_environment=$VIRTUAL_ENV protoprimer_name=$VIRTUAL_ENV_PROMPT\n"
_SHELL_FILES = {
    "bashrc": ("[ ! -f ~/.bashrc ] || . ~/.bashrc\n", r"""PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND
}! declare -F protoprimer_mark > /dev/null || protoprimer_mark"
"""),
    "shrc": ("""unset ENV protoprimer_files
if [ -n "${protoprimer_user-}" ]; then
    export ENV="$protoprimer_user"
    eval "protoprimer_user=\\"$protoprimer_user\\""
    [ ! -f "$protoprimer_user" ] || . "$protoprimer_user"
fi
unset protoprimer_user
""", "protoprimer_mark\n"),
    # The host's own file may have put the history beside ours.
    ".zshrc": ("""protoprimer_files=$ZDOTDIR
if [[ -n ${protoprimer_user-} ]]; then export ZDOTDIR=$protoprimer_user; else unset ZDOTDIR; fi
unset protoprimer_user
[[ ${HISTFILE-} != $protoprimer_files/* ]] || HISTFILE=${ZDOTDIR-$HOME}/${HISTFILE##*/}
[[ ! -f ${ZDOTDIR-$HOME}/.zshenv ]] || source ${ZDOTDIR-$HOME}/.zshenv
[[ ! -f ${ZDOTDIR-$HOME}/.zshrc ]] || source ${ZDOTDIR-$HOME}/.zshrc
""", "typeset -ga precmd_functions\nprecmd_functions+=(protoprimer_mark)\n"),
}  # fmt: skip
# For bash, zsh and any POSIX sh. `errexit`, `nounset` and the like may be on, and aliases may stand for programs.
_ACTIVATE = r"""
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
"""
# Where the user's files are read before a command, or before commands from a pipe.
_ACTIVATE_ONCE = "export PATH=%s:$PATH VIRTUAL_ENV=%s VIRTUAL_ENV_PROMPT=%s; unset PYTHONHOME PYTHONPATH; "
# Quoted values stand for @SCRIPTS@, @ENVIRONMENT@ and @NAME@.
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
$separator = [IO.Path]::PathSeparator
function global:protoprimer_path { @($env:PATH -split [IO.Path]::PathSeparator | Where-Object { $_ -ne @SCRIPTS@ }) }
function global:deactivate {
    $env:PATH = (protoprimer_path) -join [IO.Path]::PathSeparator
    Remove-Item Env:VIRTUAL_ENV, Env:VIRTUAL_ENV_PROMPT, function:deactivate -ErrorAction SilentlyContinue
}
$env:PATH = (@(@SCRIPTS@) + (protoprimer_path)) -join $separator
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


def chosen_shell(asked: "str | None", console: Console) -> "tuple[str, list[str]]":
    """Return the kind of shell to start, and its program with the arguments that make it one.

    :param asked: a name or path; by default `$SHELL`, else the shell that this was typed in, else sh
    :raises UsageError: exit code 2: it is unknown, or not on this host
    """
    import shutil

    usual = os.environ.get("SHELL") or ""
    defaults = [usual, _parent_shell(), "pwsh" if is_windows() else "sh", "powershell", "/bin/sh"]
    for name in [os.path.expanduser(asked)] if asked else defaults:
        kind, found = _kind_of_shell(name), shutil.which(name)
        if asked and kind is None:
            near = nearest_name(asked, sorted(SHELL_KINDS))
            advice = "did you mean %s?" % near if near else "one of: " + ", ".join(sorted(SHELL_KINDS))
            raise UsageError("%r is not a shell that can be prepared" % asked, "--shell", advice)
        if kind and found:
            if not asked and usual and name != usual:
                console.say("SHELL is %s, which cannot be prepared; this is %s" % (usual, found))
            is_many = os.path.basename(found).startswith("busybox")
            return kind, [os.path.abspath(found)] + (["sh"] if is_many else [])
    cause = "there is no shell %s on this host" % asked if asked else "no shell was found on this host"
    raise UsageError(cause, "--shell", "install it, or choose another" if asked else "name one: --shell PATH")


def shell_label(root: str, environment_name: "str | None") -> str:
    """Return what marks the prompt: the project's name and, unless it is the default one, the environment's.

    Only characters that mean nothing to any shell's prompt are in it.
    """
    import re

    try:
        project = read_project(root)
    except PrimerError:
        project = None
    name = (project.name if project else None) or os.path.basename(root)
    return re.sub(r"[^\w.+@:-]", "_", name + (":" + environment_name if environment_name else ""))


def enter_shell(
    shell: "tuple[str, list[str]]",
    command: "str | None",
    environment: str,
    label: str,
    state_directory: str,
    console: Console,
) -> None:
    """Become a shell with the environment active. Does not return.

    :param shell: what `chosen_shell` returned
    :param command: what it runs before it ends; by default it reads stdin, be that a terminal or not
    :param label: what marks the prompt
    :raises UsageError: exit code 2: it cannot be started
    """
    kind, arguments = shell
    is_interactive = command is None and os.isatty(0)
    active = os.environ.get("VIRTUAL_ENV")
    if active:
        is_same = os.path.realpath(active) == os.path.realpath(environment)
        told = "this environment is active already: a shell within its shell" if is_same else "leaving " + active
        (console.say if is_interactive else console.detail)(told)
    variables = activated_environment(dict(os.environ), environment)
    variables["VIRTUAL_ENV_PROMPT"] = label
    if kind == "powershell":
        arguments = arguments + _powershell_arguments(command, is_interactive, variables)
    elif kind == "fish":
        said = [] if command is None else ["-c", command]
        arguments = arguments + ["--init-command", _with_quoted(_FISH, variables, "\\'", "\\\\")] + said
    elif is_interactive:
        arguments = arguments + _led_to_our_file(kind, variables, state_directory)
    else:
        arguments = arguments + _activating_once(kind, arguments[0], command, variables)
    try:
        become_command(arguments[0], arguments, variables)
    except OSError as error:
        raise UsageError("%s cannot be started: %s" % (arguments[0], error.strerror), "--shell") from None


def _kind_of_shell(name: str) -> "str | None":
    import re

    return SHELL_KINDS.get(re.sub(r"(-?[\d.]+)?(\.exe)?$", "", os.path.basename(name).lower()))


def _parent_shell() -> str:
    """Return the name of the program that started this one, where the host tells it."""
    try:
        with open("/proc/%d/comm" % os.getppid()) as stream:
            return stream.read().strip().lstrip("-")
    except OSError:
        return ""


def _led_to_our_file(kind: str, variables: "dict[str, str]", state_directory: str) -> "list[str]":
    """Return the arguments, and set the variables, by which a shell reads our file instead of the user's."""
    if kind == "bash":
        return ["--rcfile", os.path.join(_written_file(state_directory, "bashrc"), "bashrc")]
    hook, name = ("ZDOTDIR", ".zshrc") if kind == "zsh" else ("ENV", "shrc")
    if variables.get(hook):
        variables["protoprimer_user"] = variables[hook]
    variables[hook] = _written_file(state_directory, name)
    if kind == "sh":
        # The value is expanded, and the directory's name may have a `$` in it.
        variables.update(protoprimer_files=variables[hook], ENV="$protoprimer_files/" + name)
    return []


def _activating_once(kind: str, program: str, command: "str | None", variables: "dict[str, str]") -> "list[str]":
    """Return the arguments for commands without a terminal: after the user's file, if such a shell reads one."""
    values = (scripts_directory(variables["VIRTUAL_ENV"]), variables["VIRTUAL_ENV"], variables["VIRTUAL_ENV_PROMPT"])
    if kind != "zsh" and not (kind == "bash" and variables.get("BASH_ENV")):
        return [] if command is None else ["-c", command]
    if command is None:
        # What reads the pipe reads no file again.
        command = "exec %s -f" % quote(program) if kind == "zsh" else "unset BASH_ENV; exec %s" % quote(program)
    return ["-c", _ACTIVATE_ONCE % tuple(quote(value) for value in values) + command]


def _written_file(state_directory: str, name: str) -> str:
    """Return the directory that has a file for shells: in the clone's state, else the user's cache, else a new one."""
    import tempfile

    before, after = _SHELL_FILES[name]
    content = (_KNOW + before + _ACTIVATE + after).encode("ascii")
    for parent in (state_directory, user_cache_directory()):
        directory = os.path.join(parent, "shell")
        try:
            os.makedirs(directory, exist_ok=True)
            if content_of(os.path.join(directory, name)) != content:
                write_atomically(os.path.join(directory, name), content)
            return directory
        except OSError:
            continue
    directory = tempfile.mkdtemp(prefix="protoprimer-")
    write_atomically(os.path.join(directory, name), content)
    return directory


def _with_quoted(text: str, variables: "dict[str, str]", quote_mark: str, backslash: str) -> str:
    """Fill in the values, in single quotes; `quote_mark` and `backslash` are how these stand within them."""
    environment, name = variables["VIRTUAL_ENV"], variables["VIRTUAL_ENV_PROMPT"]
    values = {"@SCRIPTS@": scripts_directory(environment), "@ENVIRONMENT@": environment, "@NAME@": name}
    for mark, value in values.items():
        text = text.replace(mark, "'%s'" % value.replace("\\", backslash).replace("'", quote_mark))
    return text


def _powershell_arguments(command: "str | None", is_interactive: bool, variables: "dict[str, str]") -> "list[str]":
    import base64

    if command is None and not is_interactive:
        return ["-NoLogo", "-Command", "-"]
    script = _with_quoted(_POWERSHELL, variables, "''", "\\")
    script += "" if command is None else command + _POWERSHELL_STATUS
    # Encoded, since it passes through the rules of quoting of two programs.
    encoded = base64.b64encode(script.encode("utf-16-le")).decode("ascii")
    return (["-NoLogo", "-NoExit"] if command is None else []) + ["-EncodedCommand", encoded]
