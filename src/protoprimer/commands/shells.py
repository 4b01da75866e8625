"""`./prime shell`: a shell of the user's, with the environment active whatever their own files do.

See docs/how-to/shell.md. The files written for shells are the same for every environment: they learn from the variables
which one it is, run the user's own files, which may change any variable, and only then activate.
"""

import os

from protoprimer.errors import PrimerError, UsageError, nearest_name
from protoprimer.project.metadata import read_project
from protoprimer.runtime.switch import activated_environment
from protoprimer.system.console import Console
from protoprimer.system.files import write_atomically
from protoprimer.system.paths import scripts_directory, user_cache_directory
from protoprimer.system.platform import is_windows
from protoprimer.system.processes import become_command

__all__ = ["SHELL_KINDS", "chosen_shell", "enter_shell", "shell_label"]

# Names of programs, and what each is to us.
SHELL_KINDS = {
    "bash": "bash", "zsh": "zsh", "fish": "fish", "sh": "sh", "dash": "sh", "ash": "sh", "busybox": "sh",
    "pwsh": "powershell", "powershell": "powershell",
}  # fmt: skip

_KNOW_ENVIRONMENT = "protoprimer_environment=$VIRTUAL_ENV protoprimer_name=$VIRTUAL_ENV_PROMPT\n"
# For bash, zsh and any POSIX sh. `errexit`, `nounset` and the like may be on, and aliases may stand for programs.
_ACTIVATE = r"""
protoprimer_scripts=$protoprimer_environment/bin
if command -v cygpath > /dev/null; then protoprimer_scripts=$(cygpath "$protoprimer_environment")/Scripts; fi
protoprimer_clear_path() {
    protoprimer_rest=${PATH-}: PATH=
    while [ -n "$protoprimer_rest" ]; do
        [ "${protoprimer_rest%%:*}" = "$protoprimer_scripts" ] || PATH=$PATH:${protoprimer_rest%%:*}
        protoprimer_rest=${protoprimer_rest#*:}
    done
    PATH=${PATH#:}
}
protoprimer_mark() {
    [ "${VIRTUAL_ENV-}" = "$protoprimer_environment" ] && [ -z "${VIRTUAL_ENV_DISABLE_PROMPT-}" ] || return 0
    case ${PS1-} in *"($protoprimer_name)"*) ;; *) PS1="($protoprimer_name) ${PS1-}" ;; esac
}
# Another environment that the user's files have activated.
if [ "${VIRTUAL_ENV-}" != "$protoprimer_environment" ] && command -v deactivate > /dev/null; then deactivate || :; fi
deactivate() {
    [ "${1-}" != nondestructive ] || return 0
    protoprimer_clear_path
    hash -r
    [ -z "${PS1-}" ] || PS1=${PS1#"($protoprimer_name) "}
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    unset -f deactivate
}
protoprimer_clear_path
PATH=$protoprimer_scripts${PATH:+:$PATH}
export PATH VIRTUAL_ENV="$protoprimer_environment" VIRTUAL_ENV_PROMPT="$protoprimer_name"
unset PYTHONHOME PYTHONPATH PYTHONEXECUTABLE __PYVENV_LAUNCHER__
hash -r
"""
# In a prompt's hook, since many prompts are made anew each time; a child that inherits the hook has no such function.
_BASH_MARK = """\
case ${PROMPT_COMMAND-} in *protoprimer_mark*) ;; *)
    PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND
}! declare -F protoprimer_mark > /dev/null || protoprimer_mark" ;;
esac
"""
# What sh reads when interactive (ENV), and bash when not (BASH_ENV); both expand the value.
_FILE_IN_VARIABLE = r"""
unset @HOOK@ protoprimer_files
if [ -n "${protoprimer_user-}" ]; then
    export @HOOK@="$protoprimer_user"
    case $protoprimer_user in *[\\\`\"]*) ;; *) eval "protoprimer_user=\"$protoprimer_user\"" ;; esac
    [ ! -f "$protoprimer_user" ] || . "$protoprimer_user"
fi
unset protoprimer_user
"""
_ZSH_FIRST = """
protoprimer_files=$ZDOTDIR
unset ZDOTDIR
[[ -z ${protoprimer_user-} ]] || export ZDOTDIR=$protoprimer_user
unset protoprimer_user
[[ ! -f ${ZDOTDIR-$HOME}/.zshenv ]] || source ${ZDOTDIR-$HOME}/.zshenv
if [[ -o interactive && -o rcs ]]; then
    [[ -z ${ZDOTDIR+set} ]] || protoprimer_user=$ZDOTDIR
    ZDOTDIR=$protoprimer_files
else"""
# Between the two, the host's own file may have put the history beside this one.
_ZSH_SECOND = """\
if [[ -n ${protoprimer_user+set} ]]; then ZDOTDIR=$protoprimer_user; else unset ZDOTDIR; fi
unset protoprimer_user
[[ ${HISTFILE-} != $protoprimer_files/* ]] || HISTFILE=${ZDOTDIR-$HOME}/${HISTFILE##*/}
[[ ! -f ${ZDOTDIR-$HOME}/.zshrc ]] || source ${ZDOTDIR-$HOME}/.zshrc
"""
_SHELL_FILES = {
    "bashrc": _KNOW_ENVIRONMENT + "if [ -f ~/.bashrc ]; then . ~/.bashrc; fi\n" + _ACTIVATE + _BASH_MARK,
    "BASH_ENV": _KNOW_ENVIRONMENT + _FILE_IN_VARIABLE.replace("@HOOK@", "BASH_ENV") + _ACTIVATE,
    "ENV": _KNOW_ENVIRONMENT + _FILE_IN_VARIABLE.replace("@HOOK@", "ENV") + _ACTIVATE + "protoprimer_mark\n",
    ".zshenv": _KNOW_ENVIRONMENT + _ZSH_FIRST + _ACTIVATE + "fi\n",
    ".zshrc": _ZSH_SECOND + _ACTIVATE + "typeset -ga precmd_functions\nprecmd_functions+=(protoprimer_mark)\n",
}
# Quoted values stand for @SCRIPTS@, @ENVIRONMENT@ and @NAME@.
_FISH = """\
function protoprimer_clear_path
    set -l rest
    for part in $PATH
        test "$part" = @SCRIPTS@; or set rest $rest $part
    end
    set -gx PATH $rest
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
for name in PYTHONHOME PYTHONPATH PYTHONEXECUTABLE __PYVENV_LAUNCHER__
    set -e $name
end
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
function global:protoprimer_path { @($env:PATH -split $separator | Where-Object { $_ -ne @SCRIPTS@ }) }
function global:deactivate {
    $env:PATH = (protoprimer_path) -join [IO.Path]::PathSeparator
    Remove-Item Env:VIRTUAL_ENV, Env:VIRTUAL_ENV_PROMPT, function:deactivate -ErrorAction SilentlyContinue
}
$env:PATH = (@(@SCRIPTS@) + (protoprimer_path)) -join $separator
$env:VIRTUAL_ENV = @ENVIRONMENT@
$env:VIRTUAL_ENV_PROMPT = @NAME@
Remove-Item Env:PYTHONHOME, Env:PYTHONPATH, Env:PYTHONEXECUTABLE, Env:__PYVENV_LAUNCHER__ -ErrorAction SilentlyContinue
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

    if asked:
        kind, found = _kind_of_shell(asked), shutil.which(os.path.expanduser(asked))
        if kind is None:
            near = nearest_name(asked, sorted(SHELL_KINDS))
            advice = "did you mean %s?" % near if near else "one of: " + ", ".join(sorted(SHELL_KINDS))
            raise UsageError("%r is not a shell that can be prepared" % asked, "--shell", advice)
        if found is None:
            raise UsageError("there is no shell %s on this host" % asked, "--shell", "install it, or choose another")
        return _shell_program(kind, found)
    usual = os.environ.get("SHELL") or ""
    for name in (usual, _parent_shell(), "pwsh" if is_windows() else "sh", "powershell", "/bin/sh"):
        kind, found = _kind_of_shell(name), shutil.which(name)
        if kind is not None and found is not None:
            if usual and name != usual:
                console.say("SHELL is %s, which cannot be prepared; this is %s" % (usual, found))
            return _shell_program(kind, found)
    raise UsageError("no shell was found on this host", None, "name one: --shell PATH")


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
    more = _shell_arguments(kind, command, is_interactive, variables, state_directory)
    try:
        become_command(arguments[0], arguments + more, variables)
    except OSError as error:
        raise UsageError("%s cannot be started: %s" % (arguments[0], error.strerror), "--shell") from None


def _kind_of_shell(name: str) -> "str | None":
    import re

    base = os.path.basename(name).lower()
    return SHELL_KINDS.get(re.sub(r"(-?[\d.]+)?(\.exe)?$", "", base))


def _shell_program(kind: str, found: str) -> "tuple[str, list[str]]":
    program = [os.path.abspath(found)]
    return kind, program + ["sh"] if os.path.basename(found).startswith("busybox") else program


def _parent_shell() -> str:
    """Return the name of the program that started this one, such as the shell in which it was typed."""
    import subprocess

    try:
        with open("/proc/%d/comm" % os.getppid()) as stream:
            return stream.read().strip().lstrip("-")
    except OSError:
        pass
    try:
        asked = ["ps", "-o", "comm=", "-p", str(os.getppid())]
        return os.fsdecode(subprocess.check_output(asked, stderr=subprocess.DEVNULL)).strip().lstrip("-")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _shell_arguments(
    kind: str, command: "str | None", is_interactive: bool, variables: "dict[str, str]", state_directory: str
) -> "list[str]":
    """Return what follows the shell's program, and set in `variables` what leads it to our files."""
    said = [] if command is None else ["-c", command]
    if kind == "powershell":
        return _powershell_arguments(command, is_interactive, variables)
    if kind == "fish":
        return ["--init-command", _with_quoted(_FISH, variables, "\\'", "\\\\")] + said
    if kind == "zsh":
        _lead_to(variables, "ZDOTDIR", _written_files(state_directory, [".zshenv", ".zshrc"]))
    elif kind == "bash" and is_interactive:
        return ["--rcfile", os.path.join(_written_files(state_directory, ["bashrc"]), "bashrc")]
    elif is_interactive or (kind == "bash" and variables.get("BASH_ENV")):
        hook = "ENV" if kind == "sh" else "BASH_ENV"
        variables["protoprimer_files"] = _written_files(state_directory, [hook])
        _lead_to(variables, hook, "$protoprimer_files/" + hook)
    return said


def _lead_to(variables: "dict[str, str]", name: str, value: str) -> None:
    """Set a variable that shells look at, and leave the user's own where our file finds it."""
    if variables.get(name):
        variables["protoprimer_user"] = variables[name]
    variables[name] = value


def _written_files(state_directory: str, names: "list[str]") -> str:
    """Return a directory that has these files: in the clone's state, else in the user's cache, else a new one."""
    import tempfile

    for parent in (state_directory, user_cache_directory(), None):
        directory = os.path.join(parent or tempfile.mkdtemp(prefix="protoprimer-"), "shell")
        try:
            os.makedirs(directory, exist_ok=True)
            for name in names:
                _write_unless_same(os.path.join(directory, name), _SHELL_FILES[name].encode("ascii"))
            return directory
        except OSError:
            if parent is None:
                raise
    raise AssertionError


def _write_unless_same(path: str, content: bytes) -> None:
    try:
        with open(path, "rb") as stream:
            if stream.read() == content:
                return
    except OSError:
        pass
    write_atomically(path, content)


def _with_quoted(text: str, variables: "dict[str, str]", quote: str, backslash: str) -> str:
    """Fill in the values, in single quotes; `quote` and `backslash` are how these stand within them."""
    environment = variables["VIRTUAL_ENV"]
    values = {
        "@SCRIPTS@": scripts_directory(environment),
        "@ENVIRONMENT@": environment,
        "@NAME@": variables["VIRTUAL_ENV_PROMPT"],
    }
    for name, value in values.items():
        text = text.replace(name, "'%s'" % value.replace("\\", backslash).replace("'", quote))
    return text


def _powershell_arguments(command: "str | None", is_interactive: bool, variables: "dict[str, str]") -> "list[str]":
    import base64

    if command is None and not is_interactive:
        return ["-NoLogo", "-Command", "-"]
    script = _with_quoted(_POWERSHELL, variables, "''", "\\")
    if command is not None:
        script += command + _POWERSHELL_STATUS
    # Encoded, since it passes through the rules of quoting of two programs.
    encoded = base64.b64encode(script.encode("utf-16-le")).decode("ascii")
    return (["-NoLogo", "-NoExit"] if command is None else []) + ["-EncodedCommand", encoded]
