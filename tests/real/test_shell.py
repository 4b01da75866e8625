"""`./prime shell` and `./prime run`: the user's own shell with the environment active, on a pseudo-terminal and off it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import clones
import support
from protoprimer.commands.shell import _POWERSHELL_STATUS, _powershell_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pexpect = pytest.importorskip("pexpect")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no pseudo-terminal to test on")

SHELLS = ("bash", "zsh", "fish", "dash", "busybox")
PROJECT = "demo-app"
# Fish draws its prompt more than once, but takes input only after this.
FISH_READS = "\x1b[?2004h"

# What the user has in each shell's own file: another PATH, words, a prompt, an alias, Python's variables.
SH_LINES = """\
PATH=/nowhere:@TOOLS@:@SHELLS@; export PATH
PYTHONPATH=/nowhere; PYTHONHOME=/nowhere; export PYTHONPATH PYTHONHOME
echo words of the user
PS1='ready> '
alias greet='echo greetings'
"""
FISH_LINES = """\
set -gx PATH /nowhere @TOOLS@ @SHELLS@
set -gx PYTHONPATH /nowhere
set -gx PYTHONHOME /nowhere
echo words of the user
function fish_prompt; printf 'ready> '; end
alias greet='echo greetings'
"""
USER_FILES = {
    "bash": {".bashrc": SH_LINES},
    "zsh": {".zshrc": SH_LINES, ".zshenv": "PATH=/elsewhere:$PATH\n"},
    "fish": {".config/fish/config.fish": FISH_LINES},
    "dash": {".shinit": SH_LINES},
    "busybox": {".shinit": SH_LINES},
}


class Desk:
    """A clone whose environment is ready, and a user with files of their own."""

    def __init__(self, clone: clones.Clone, home: Path, path: tuple[str, str]) -> None:
        self.clone = clone
        self.home = home
        self.path = path
        self.environment = str(clone.generations()[0])
        self.variables: dict[str, str] = {"HOME": str(home), "TERM": "dumb", "PROTOPRIMER_OFFLINE": "false"}

    @property
    def python(self) -> str:
        return self.environment + "/bin/python"

    def own(self, name: str, text: str) -> None:
        """Give the user a file of their own."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@TOOLS@", self.path[0]).replace("@SHELLS@", self.path[1]))

    def own_files(self, shell: str) -> None:
        support.needed_tool(shell)
        for name, text in USER_FILES[shell].items():
            self.own(name, text)
        if shell == "fish":
            # Else the first one of a user works for a minute in the background, and holds the terminal.
            (self.home / ".local/share/fish/generated_completions").mkdir(parents=True, exist_ok=True)
        if ".shinit" in USER_FILES[shell]:
            self.variables["ENV"] = "$HOME/.shinit"

    def run(self, *arguments: str, status: int | None = 0, **more: Any) -> clones.Done:
        variables = {**self.variables, **more.pop("environ", {})}
        return self.clone.prime(*arguments, status=status, environ=variables, **more)

    def terminal(self, *arguments: str, **variables: str) -> Terminal:
        return Terminal(self, ["shell", *arguments], variables)


class Terminal:
    """A person at a shell that `./prime shell` has started."""

    def __init__(self, desk: Desk, arguments: list[str], variables: dict[str, str]) -> None:
        environ = {**desk.clone.environ, **desk.variables, **variables}
        self.child = pexpect.spawn(
            "./prime",
            arguments,
            cwd=str(desk.clone.root),
            env=environ,
            encoding="utf-8",
            timeout=30,
            dimensions=(24, 999),
        )
        self.is_fish = "fish" in arguments
        self.said = ""
        self.shown = ""

    def prompt(self, text: str) -> str:
        """Wait for a prompt, and return what came before it."""
        self.shown = text
        if self.is_fish:
            self._see(FISH_READS)
        return self._see(text)

    def _see(self, text: str) -> str:
        self.child.expect_exact(text)
        self.said += str(self.child.before)
        return str(self.child.before)

    def ask(self, expression: str) -> str:
        """Return what the shell makes of an expression."""
        # The line as typed, which the terminal shows too, does not look like the answer.
        self.child.sendline(f"printf 'A''<%s>\\n' {expression}")
        self.child.expect("A<([^>]*)>")
        answer = str(self.child.match.group(1))
        # Some shells drop what is typed before the prompt.
        self.prompt(self.shown)
        return answer

    def end(self, line: str) -> int | None:
        """Have the shell end by a line, and return its status; negative is the signal."""
        self.child.sendline(line)
        self.child.expect(pexpect.EOF)
        self.said += str(self.child.before)
        self.child.close()
        status: int | None = -self.child.signalstatus if self.child.signalstatus else self.child.exitstatus
        return status


@pytest.fixture(scope="module")
def ready_clone(
    tmp_path_factory: pytest.TempPathFactory, toolset: Callable[..., str], shared_directory: Path
) -> tuple[clones.Clone, tuple[str, str]]:
    """Return a clone whose environment is ready, and the directories that make up its user's PATH."""
    base = tmp_path_factory.mktemp("shells")
    shells = base / "some shells"
    shells.mkdir()
    for name in SHELLS:
        found = shutil.which(name)
        if found:
            (shells / name).symlink_to(found)
    path = (toolset(support.default_python()), str(shells))
    root = base / "it's a $HOME `clone`"
    root.mkdir()
    cache = str(shared_directory / "cache")
    environ = support.clean_environment(os.pathsep.join(path), base, PROTOPRIMER_CACHE=cache, SHELL="/bin/sh")
    clone = clones.Clone(root, environ, "file")
    clone.write({"pyproject.toml": f'[project]\nname = "{PROJECT}"\nversion = "1"\n'})
    clone.entry("prime", None, "boot").prime("--backend", "venv")
    return clone, path


@pytest.fixture
def desk(ready_clone: tuple[clones.Clone, tuple[str, str]], tmp_path: Path) -> Iterator[Desk]:
    clone, path = ready_clone
    yield Desk(clone, tmp_path, path)
    clone.end()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_environment_is_active_after_whatever_the_users_own_files_do(desk: Desk, shell: str) -> None:
    desk.own_files(shell)
    terminal = desk.terminal("--shell", shell)
    terminal.prompt(f"({PROJECT}) ready> ")
    assert "words of the user" in terminal.said
    assert terminal.ask('"$PATH"').replace(" ", ":").startswith((desk.environment + "/bin:").replace(" ", ":"))
    assert terminal.ask('"$VIRTUAL_ENV"') == desk.environment
    assert terminal.ask('"$PYTHONPATH$PYTHONHOME"') == ""
    substitution = "(%s | string collect)" if shell == "fish" else '"$(%s)"'
    assert terminal.ask(substitution % "command -v python") == desk.python
    assert terminal.ask(substitution % "greet") == "greetings"
    assert terminal.ask(substitution % "env | grep -ic '^_*protoprimer'") == "0"
    terminal.child.sendline("deactivate")
    assert not terminal.prompt("ready> ").endswith(f"({PROJECT}) ")
    assert terminal.ask('"$VIRTUAL_ENV"') == ""
    assert desk.environment not in terminal.ask('"$PATH"')
    assert terminal.end("exit 7") == 7


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_has_the_pid_that_was_started(desk: Desk, shell: str) -> None:
    desk.own_files(shell)
    terminal = desk.terminal("--shell", shell)
    terminal.prompt("ready> ")
    assert terminal.ask("$fish_pid" if shell == "fish" else "$$") == str(terminal.child.pid)
    assert terminal.end(f"sh -c 'kill -9 {terminal.child.pid}'") == -signal.SIGKILL


@pytest.mark.parametrize("shell", SHELLS)
def test_an_interrupt_ends_the_command_and_not_the_shell(desk: Desk, shell: str) -> None:
    desk.own_files(shell)
    terminal = desk.terminal("--shell", shell)
    terminal.prompt("ready> ")
    terminal.child.sendline("sh -c 'echo be''gun; exec sleep 600'")
    terminal.child.expect_exact("begun")
    terminal.child.sendintr()
    terminal.prompt("ready> ")
    assert terminal.ask("still-here") == "still-here"
    assert terminal.end("exit") in (0, 130)


@pytest.mark.parametrize("shell", SHELLS)
def test_another_environment_that_the_users_files_activate_gives_way(desk: Desk, shell: str, tmp_path: Path) -> None:
    desk.own_files(shell)
    other = tmp_path / "other"
    subprocess.run([support.default_python().executable, "-m", "venv", "--without-pip", str(other)], check=True)
    file = next(iter(USER_FILES[shell]))
    script = "activate.fish" if shell == "fish" else "activate"
    with (desk.home / file).open("a") as stream:
        stream.write(f". '{other}/bin/{script}'\n" if shell != "fish" else f"source '{other}/bin/{script}'\n")
    terminal = desk.terminal("--shell", shell)
    terminal.prompt(f"({PROJECT}) ready> ")
    assert "(other)" not in terminal.said
    assert terminal.ask('"$VIRTUAL_ENV"') == desk.environment
    assert str(other) not in terminal.ask('"$PATH"')
    assert terminal.end("exit") == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_runs_without_a_terminal_and_its_status_passes_through(desk: Desk, shell: str) -> None:
    support.needed_tool(shell)
    command = 'command -v python; cat; echo "$VIRTUAL_ENV_PROMPT"; env | grep -ic protoprimer_; sh -c "exit 3"'
    done = desk.run("shell", "--shell", shell, "-c", command, stdin=b"given\n", status=3)
    assert (done.output, done.errors) == (f"{desk.python}\ngiven\n{PROJECT}\n0\n", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_read_from_a_pipe(desk: Desk, shell: str) -> None:
    support.needed_tool(shell)
    done = desk.run("shell", "--shell", shell, stdin=b"command -v python\necho second\nexit 5\n", status=5)
    assert (done.output, done.errors) == (f"{desk.python}\nsecond\n", "")


def test_files_that_a_shell_reads_for_commands_too_do_not_take_the_path(desk: Desk) -> None:
    """`BASH_ENV` of bash, `.zshenv` of zsh and `config.fish` are read by shells that are not interactive."""
    hostile = "PATH=/nowhere:@TOOLS@; export PATH; export USERS=own\n"
    desk.own(".zshenv", hostile)
    desk.own("bash env", hostile)
    desk.own(".config/fish/config.fish", FISH_LINES + "set -gx USERS own\n")
    desk.variables["BASH_ENV"] = "$HOME/bash env"
    for shell in ("bash", "zsh", "fish"):
        if shutil.which(shell):
            asked = "command -v python; echo $USERS"
            for done in (
                desk.run("shell", "--shell", shell, stdin=asked.encode()),
                desk.run("shell", "--shell", shell, "-c", asked),
            ):
                assert done.output.replace("words of the user\n", "") == f"{desk.python}\nown\n", shell


def test_what_led_a_shell_to_our_files_is_the_users_again(desk: Desk, tmp_path: Path) -> None:
    for name in ("z dir/.zshrc", "z dir/.zshenv", "sh env", "bash env"):
        desk.own(name, "PS1='ready> '\n")
    own = {"ZDOTDIR": str(tmp_path / "z dir"), "ENV": "$HOME/sh env", "BASH_ENV": "$HOME/bash env"}
    for shell, name in (("zsh", "ZDOTDIR"), ("dash", "ENV"), ("bash", "BASH_ENV")):
        if shutil.which(shell) is None:
            continue
        for variables in ({name: own[name]}, {}):
            terminal = desk.terminal("--shell", shell, **variables)
            terminal.prompt(f"({PROJECT}) ")
            assert terminal.ask(f'"${{{name}-none}}"') == variables.get(name, "none")
            assert terminal.end("exit") == 0
            done = desk.run("shell", "--shell", shell, "-c", "env", environ=variables)
            assert re.findall(f"^{name}=(.*)$", done.output, re.MULTILINE) == list(variables.values())


def test_a_prompt_that_is_made_anew_each_time_is_marked_each_time(desk: Desk) -> None:
    desk.own(".bashrc", "PROMPT_COMMAND='PS1=\"fresh-$((n=n+1))> \";'\n")
    desk.own(".zshrc", 'precmd() { PS1="fresh-$((n=n+1))> "; }\n')
    for shell in ("bash", "zsh"):
        if shutil.which(shell):
            terminal = desk.terminal("--shell", shell)
            for number in (1, 2, 3):
                terminal.prompt(f"({PROJECT}) fresh-{number}> ")
                terminal.child.sendline("true")
            assert terminal.end("exit") == 0


def test_a_user_who_wants_no_mark_has_none(desk: Desk) -> None:
    for shell in SHELLS:
        if shutil.which(shell):
            desk.own_files(shell)
            terminal = desk.terminal("--shell", shell, VIRTUAL_ENV_DISABLE_PROMPT="1")
            terminal.prompt("ready> ")
            assert PROJECT not in terminal.said
            assert terminal.ask('"$VIRTUAL_ENV_PROMPT"') == PROJECT
            assert terminal.end("exit") == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_options_that_the_users_files_set_do_not_end_the_shell(desk: Desk, shell: str) -> None:
    desk.own_files(shell)
    if shell == "fish":
        pytest.skip("fish has no such options")
    with (desk.home / next(iter(USER_FILES[shell]))).open("a") as stream:
        stream.write("set -eu\nalias command=false env=false printenv=false\n")
    terminal = desk.terminal("--shell", shell)
    terminal.prompt(f"({PROJECT}) ready> ")
    assert terminal.ask('"$VIRTUAL_ENV"') == desk.environment
    assert terminal.end("exit 3") == 3


def test_a_shell_within_a_shell_and_within_another_environment_is_right(desk: Desk, tmp_path: Path) -> None:
    desk.own_files("dash")
    terminal = desk.terminal("--shell", "dash")
    terminal.prompt(f"({PROJECT}) ready> ")
    terminal.child.sendline("./prime shell --shell dash")
    terminal.prompt(f"({PROJECT}) ready> ")
    assert terminal.ask('"$PATH"').count(desk.environment) == 1
    terminal.child.sendline("exit")
    terminal.prompt("ready> ")
    assert terminal.end("exit") == 0
    other = tmp_path / "other"
    path = f"{other}/bin:{desk.clone.environ['PATH']}"
    terminal = desk.terminal("--shell", "dash", VIRTUAL_ENV=str(other), VIRTUAL_ENV_PROMPT="other", PATH=path)
    terminal.prompt(f"({PROJECT}) ready> ")
    assert str(other) not in terminal.ask('"$PATH"')
    assert terminal.end("exit") == 0


def test_the_shell_is_that_of_the_user(desk: Desk) -> None:
    """`$SHELL`, else the shell in which the command was typed, else sh."""
    command = 'shell -c "readlink /proc/$$/exe; true"'
    if not os.path.isdir("/proc/self"):
        pytest.skip("this host does not show what a process runs")
    for name in ("bash", "zsh", "dash"):
        if shutil.which(name) is None:
            continue
        real = os.path.realpath(str(shutil.which(name)))
        typed = ["shell", "-c", "readlink /proc/$$/exe; true"]
        assert desk.run(*typed, environ={"SHELL": str(shutil.which(name))}).output.strip() == real
        # The words after the command keep the shell from becoming it.
        parent = desk.clone.run(
            name, "-c", f"./prime {command.replace('$', chr(92) + '$')}; exit $?", environ={"SHELL": ""}
        )
        assert parent.output.strip() == real
        other = desk.run(*typed, environ={"SHELL": "/bin/cat"})
        assert re.fullmatch(r"SHELL is /bin/cat, which cannot be prepared; this is \S+\n", other.errors)


def test_an_unknown_or_missing_shell_is_said_before_any_work(new_clone: Callable[..., clones.Clone]) -> None:
    clone = new_clone().entry("prime", None, "boot")
    done = clone.prime("shell", "--shell", "bsh", status=2)
    assert done.errors.startswith("error: there is no support for the shell 'bsh'\n") and "did you mean" in done.errors
    done = clone.prime("shell", "--shell", "/no/such/zsh", status=2)
    assert done.errors.startswith("error: there is no shell /no/such/zsh on this host\n")
    assert not list(clone.state.glob("envs/*"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "dash"])
def test_where_the_cache_takes_no_files_they_lie_elsewhere(desk: Desk, shell: str, tmp_path: Path) -> None:
    desk.own_files(shell)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "shell").write_text("a file where the directory would be")
    terminal = desk.terminal("--shell", shell, PROTOPRIMER_CACHE=str(tmp_path / "cache"))
    terminal.prompt(f"({PROJECT}) ready> ")
    assert terminal.ask('"$VIRTUAL_ENV"') == desk.environment
    assert terminal.end("exit") == 0


def test_a_warm_shell_writes_nothing_the_second_time(desk: Desk) -> None:
    for shell in SHELLS:
        if shutil.which(shell):
            desk.own_files(shell)
            for _ in range(2):
                before = clones.snapshot(desk.clone.root)
                terminal = desk.terminal("--shell", shell)
                terminal.prompt("ready> ")
                assert terminal.end("exit") == 0
            assert clones.snapshot(desk.clone.root) == before, shell


def test_the_environment_of_an_open_shell_is_not_collected(new_clone: Callable[..., clones.Clone]) -> None:
    if not os.path.isdir("/proc/self"):
        pytest.skip("this host does not show which variables a process has")
    clone = new_clone().entry("prime", None, "boot").write({"protoprimer.toml": 'keep = 1\nbackend = "venv"\n'})
    clone.prime()
    process = clone.start("./prime", "shell", "--shell", "sh", stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"echo open\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"open\n"
    clone.write({"protoprimer.toml": 'keep = 1\nbackend = "venv"\nwatch = ["other"]\n', "other": "input"})
    clone.prime()
    assert len(clone.generations()) == 2
    done = clones.finished(process, b"python -c 'print(7)'\n")
    assert (done.status, done.output) == (0, "7\n")


def test_a_name_cannot_make_the_prompt_run_anything(new_clone: Callable[..., clones.Clone], desk: Desk) -> None:
    clone = new_clone("$(touch pwned)`touch pwned`%d\\u é").entry("prime", None, "boot")
    clone.prime("--backend", "venv")
    other = Desk(clone, desk.home, desk.path)
    other.variables["PATH"] = desk.clone.environ["PATH"]
    for shell in SHELLS:
        if shutil.which(shell):
            other.own_files(shell)
            terminal = other.terminal("--shell", shell)
            terminal.prompt("ready> ")
            assert terminal.said.endswith("(__touch_pwned__touch_pwned__d_u_é) "), shell
            assert terminal.end("exit") == 0
    assert not (clone.root / "pwned").exists()


def test_the_prompt_names_an_environment_that_is_not_the_default(new_clone: Callable[..., clones.Clone]) -> None:
    clone = new_clone().entry("prime", None, "boot")
    clone.write({"protoprimer.toml": "[env.docs]\n"})
    done = clone.prime("shell", "--env", "docs", "--backend", "venv", "-c", "echo $VIRTUAL_ENV_PROMPT")
    assert done.output == "a_clone:docs\n"


def test_the_prompt_of_a_sourced_activate_is_the_repositorys_name(
    new_clone: Callable[..., clones.Clone], fetch_tools: Callable[[str], None], backend: str
) -> None:
    fetch_tools(backend)
    clone = new_clone("-my $HOME é").entry("prime", None, "boot")
    clone.prime("--backend", backend)
    name = "-my__HOME_é"
    scripts = clone.root / ".venv" / "bin"
    shown = clone.run(shutil.which("bash") or "", "-c", 'PS1="$ "; . .venv/bin/activate; printf %s "$PS1"').output
    assert shown.strip() == f"({name}) $"
    if shutil.which("fish"):
        fish = [shutil.which("fish") or "", "-c", "source .venv/bin/activate.fish; fish_prompt"]
        shown = clone.run(*fish, status=None).output
        assert f"({name})" in shown
    for script in [one for one in scripts.glob("[aA]ctivate.*") if one.suffix in (".fish", ".csh", ".ps1")]:
        # PowerShell's own file of venv asks pyvenv.cfg.
        text = script.read_text(encoding="utf-8")
        assert name in text or "pyvenv.cfg" in text, script
    assert f"{name}" in (clone.root / ".venv" / "pyvenv.cfg").read_text(encoding="utf-8")


def test_powershell_is_given_a_script_that_no_quoting_can_change() -> None:
    variables = {"VIRTUAL_ENV": "/it's/here", "VIRTUAL_ENV_PROMPT": PROJECT}
    arguments = _powershell_arguments("exit 3", False, variables)
    assert arguments[:-1] == ["-EncodedCommand"]
    script = base64.b64decode(arguments[-1]).decode("utf-16-le")
    assert "$env:VIRTUAL_ENV = '/it''s/here'\n" in script
    assert script.endswith("exit 3" + _POWERSHELL_STATUS)
    assert _powershell_arguments(None, True, variables)[:-1] == ["-NoLogo", "-NoExit", "-EncodedCommand"]
    assert _powershell_arguments(None, False, variables) == ["-NoLogo", "-Command", "-"]


def test_powershell_runs_a_command(desk: Desk) -> None:
    powershell = support.needed_tool("pwsh")
    done = desk.run("shell", "--shell", powershell, "-c", "echo $env:VIRTUAL_ENV; sh -c 'exit 3'", status=3)
    assert done.output == desk.environment + "\n"


def test_run_hands_over_every_byte_of_every_argument(desk: Desk) -> None:
    arguments = [b"", b" ", b"a\nb", b"'\"$HOME`x`\\", b"--", b"-c", b"\xff\xfe", "é".encode()]
    shown = "import os, sys; print([os.fsencode(word) for word in sys.argv[1:]])"
    done = desk.clone.run("./prime", "run", "--", "python", "-c", shown, *arguments)
    assert done.output == f"{arguments}\n"


def test_run_starts_a_command_as_a_shell_does(desk: Desk) -> None:
    script = desk.home / "no-first-line"
    script.write_text('echo "$1 $VIRTUAL_ENV"\n')
    script.chmod(0o755)
    assert desk.run("run", "--", str(script), "one").output == f"one {desk.environment}\n"
    named = (
        desk.run("run", "--", "busybox", "sh", "-c", "cat /proc/$$/cmdline; true") if shutil.which("busybox") else None
    )
    assert named is None or named.output.startswith("busybox\0")
    assert desk.run("run", "--", "cat", stdin=b"given").output == "given"
    assert desk.run("run", "--", "sh", "-c", "exit 9", status=9).errors == ""
    assert desk.run("run", "--", "sh", "-c", "kill -TERM $$", status=-signal.SIGTERM).errors == ""
    # Ignored by every Python; a command that writes into a closed pipe would go on for ever.
    ended = desk.run(
        "run", "--", "sh", "-c", "{ python -c 'import os\nwhile True: os.write(1, b\"y\" * 9999)' 2>&1; } | head -c 1"
    )
    assert ended.output == "y"
    assert desk.run("run", "--", "sh", "-c", "kill -PIPE $$; echo lived", status=-signal.SIGPIPE).output == ""


def test_run_says_what_is_not_there_as_a_usage_error(desk: Desk) -> None:
    assert "did you mean 'python" in desk.run("run", "--", "pythn", status=2).errors
    plain = desk.home / "plain"
    plain.write_text("")
    done = desk.run("run", "--", str(plain), status=2)
    assert done.errors.startswith(f"error: {plain} is not an executable program")


# What a shell sources itself

SOURCED = """\
PS1='ready> '
. .venv/bin/activate
echo "$PS1 ${VIRTUAL_ENV_PROMPT-}"
./prime reboot 2> /dev/null
command -v python
python -c 'import os, sys; print(os.path.realpath(sys.prefix))'
deactivate
echo "$PS1"
echo "$PATH${VIRTUAL_ENV-}"
"""
SOURCED_BY_FISH = """\
function fish_prompt; printf 'ready> '; end
source .venv/bin/activate.fish
fish_prompt; echo
./prime reboot 2> /dev/null
command -v python
python -c 'import os, sys; print(os.path.realpath(sys.prefix))'
deactivate
fish_prompt; echo
echo "$PATH$VIRTUAL_ENV"
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_sourced_activate_has_the_next_environment_and_the_repositorys_name(
    new_clone: Callable[..., clones.Clone], backend: str, shell: str
) -> None:
    program = support.needed_tool(shell)
    clone = new_clone().write({"pyproject.toml": f'[project]\nname = "{PROJECT}"\nversion = "1"\n'})
    clone.entry("prime", None, "boot").prime(environ={"PROTOPRIMER_BACKEND": backend})
    variables = {"PROTOPRIMER_BACKEND": backend, "TERM": "dumb"}
    command = [program, "sh"] if shell == "busybox" else [program]
    script = SOURCED_BY_FISH if shell == "fish" else SOURCED
    done = clone.run(*command, "-c", script, environ=variables)
    # Some prompts of fish end with a line's end.
    marked, python, prefix, unmarked, path = filter(None, done.output.splitlines())
    # virtualenv changes the prompt of bash, zsh and fish only.
    assert PROJECT in marked
    assert "default" not in marked
    assert python == f"{clone.root}/.venv/bin/python"
    assert prefix == str(clone.generations()[-1])
    assert len(clone.generations()) == 2
    assert unmarked.strip() == "ready>"
    assert path == clone.environ["PATH"]


def test_what_is_sourced_in_an_environment_that_the_link_does_not_lead_to_is_that_one(
    new_clone: Callable[..., clones.Clone],
) -> None:
    clone = new_clone().write({"protoprimer.toml": "[env.docs]\nkeep = 2\n"}).entry("prime", None, "boot")
    clone.prime("-e", "docs")
    (docs,) = clone.generations()
    clone.prime("-e", "default")
    for shell in ("bash", "fish"):
        program, name = support.needed_tool(shell), "activate.fish" if shell == "fish" else "activate"
        told = clone.run(program, "-c", f"source '{docs}/bin/{name}'; echo $VIRTUAL_ENV; command -v python").output
        assert told.splitlines() == [str(docs), f"{docs}/bin/python"]
        assert os.path.realpath(clone.root / ".venv") != str(docs)
