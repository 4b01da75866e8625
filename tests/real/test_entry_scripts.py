"""Entry scripts as processes: every shell, every Python, and what the fast path of sh costs and notices."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import support
from protoprimer.authoring.entry import entry_text
from protoprimer.errors import UsageError
from protoprimer.project.inputs import Inputs
from protoprimer.runtime.switch import activated_environment, interpreter_flags
from protoprimer.store.ready import is_fresh, read_ready, write_ready
from samples import in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows starts the Python half through py.exe, without sh")

SHELLS = {
    "dash": ["dash"],
    "bash": ["bash"],
    "bash-posix": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
    "zsh": ["zsh"],
    # The shells of Android, of Solaris and AIX, and the strictest one.
    "mksh": ["mksh"],
    "ksh93": ["ksh93"],
    "yash": ["yash"],
}
# To this one, `[` is a builtin only while a program of that name is on PATH.
YASH_IN_POSIX_MODE = {"yash-posix": ["yash", "-o", "posixly-correct"]}

# Old enough for busybox, which compares whole seconds.
LONG_AGO_NS = time.time_ns() - 5 * 10**9 + 123_456_789

CLIENT = """\
import json, os, sys

def main():
    print(json.dumps({
        "by": "client", "argv": sys.argv, "prefix": sys.prefix, "pid": os.getpid(), "path": sys.path,
        "variables": dict(os.environ), "optimize": sys.flags.optimize, "bytecode": sys.dont_write_bytecode,
        "warnings": sys.warnoptions, "isolated": sys.flags.isolated, "cwd": os.getcwd(), "modules": list(sys.modules),
        "unbuffered": bool(getattr(sys.stdout, "write_through", False)),
    }))
    return 7

def wants(primer):
    raise AssertionError("called by the entry script")

def wants_one(anything):
    raise AssertionError("called by the entry script")

def keyword(anything=None):
    print(json.dumps({"by": "client", "argv": sys.argv}))

def fails():
    def inner():
        raise LookupError("of the client")
    inner()

def hooks():
    sys.excepthook = lambda kind, error, trace: print("own hook")
    raise LookupError("of the client")

default = lambda argv=sys.argv: print(json.dumps({"by": "client", "argv": argv}))
"""

# What the kernel is to an entry script: three functions, here telling how they were called.
KERNEL = """\
import json, os, sys
def _tell(kind):
    def told(main, script):
        print(json.dumps({
            "by": "kernel", "kind": kind, "main": main, "argv": sys.argv, "prefix": sys.prefix, "path": sys.path,
            "isolated": sys.flags.isolated, "variables": dict(os.environ), "version": list(sys.version_info[:3]),
            "file": __file__, "script": script, "executable": sys.executable,
            "cached": os.path.isdir(os.path.join(os.environ.get("PROTOPRIMER_CACHE", ""), "pyc")), "no_bytecode": sys.dont_write_bytecode,
            "prefix_of_bytecode": getattr(sys, "pycache_prefix", None),
        }))
        sys.exit(9)
    return told

run_main, boot_env, start_app = _tell("run"), _tell("boot"), _tell("start")
"""


class Clone:
    """A repository with a hand-made ready environment.

    :param root: where it is
    :param python: the interpreter its environment is made from
    """

    def __init__(self, root: Path, python: str) -> None:
        self.root = root
        self.python = python
        self.state = root / ".protoprimer"
        self.environment = self.state / "envs" / "default-0"
        self.client = root / "client code"
        self.client.mkdir(parents=True)
        (self.client / "shown.py").write_text(CLIENT)
        (root / "proto_kernel.py").write_text(KERNEL)
        self.input = root / "pyproject.toml"
        self.input.write_text("")
        os.utime(self.input, ns=(LONG_AGO_NS, LONG_AGO_NS))

    def provision(self) -> None:
        made = ended([self.python, "-m", "venv", "--without-pip", str(self.environment)])
        assert made.returncode == 0, made.stderr
        (self.environment / "protoprimer.json").write_text("{}")
        packages = next(self.environment.glob("lib/python*/site-packages"))
        (packages / "__pycache__").mkdir(exist_ok=True)
        for directory in (packages, self.environment / "bin"):
            os.utime(directory, ns=(LONG_AGO_NS, LONG_AGO_NS))

    def announce(self, links: Sequence[tuple[str, str]] = ()) -> None:
        inputs = Inputs()
        inputs.add(str(self.input), str(self.root / "uv.lock"))
        base, client_paths = os.path.realpath(self.environment / "bin" / "python"), [str(self.client)]
        write_ready(str(self.state), str(self.environment), inputs, client_paths, base, time.time_ns(), links)

    def script(self, name: str = "prime", kind: str = "run", main: str | None = "shown:main") -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        up = "../" * name.count("/")
        path.write_text(entry_text(kind, main, up + "proto_kernel.py", up + ".protoprimer"), encoding="utf-8")
        path.chmod(0o755)
        return path


def started(
    command: Sequence[str | os.PathLike[str]],
    status: int = 7,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Any:
    """Run a command and return what the client or the kernel told."""
    done = ended([os.fspath(word) for word in command], environ(variables), cwd)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def ended(
    command: Sequence[str], variables: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command, with variables that no entry script heeds if none are given, and return how it ended."""
    given = environ() if variables is None else variables
    pipe = subprocess.PIPE
    return subprocess.run(command, cwd=cwd, env=given, stdout=pipe, stderr=pipe, timeout=120, check=False)


def environ(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return variables without any that an entry script heeds, plus those given."""
    heeded = ("PYTHON", "PROTOPRIMER", "VIRTUAL")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(heeded)}, **(variables or {})}


def shell(name: str) -> list[str]:
    command = {**SHELLS, **YASH_IN_POSIX_MODE}[name]
    return [support.needed_tool(command[0]), *command[1:]]


@pytest.fixture(scope="session")
def environment_python() -> str:
    return support.wild_pythons()[-1].executable


@pytest.fixture
def clone(tmp_path: Path, environment_python: str) -> Clone:
    made = Clone(tmp_path / 'a cl\nöne\'s "root"', environment_python)
    made.provision()
    made.announce()
    return made


# --- the fast path -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHELLS)
def test_every_shell_enters_a_ready_environment_with_arguments_unchanged(clone: Clone, name: str) -> None:
    script = clone.script()
    arguments = ["a b", "", "*", "-x", "new\nline", "ö'\"\\", "$HOME"]
    told = started([*shell(name), script, *arguments])
    assert (told["by"], told["prefix"], told["argv"]) == ("client", str(clone.environment), [str(script), *arguments])
    assert told["isolated"] == 1
    assert told["path"][-1] == str(clone.client)


@pytest.mark.parametrize("name", SHELLS)
def test_every_shell_hands_over_to_the_kernel_without_an_environment(clone: Clone, name: str, tmp_path: Path) -> None:
    shutil.rmtree(clone.state)
    told = started([*shell(name), clone.script(), "a b"], status=9)
    assert (told["by"], told["kind"], told["main"], told["isolated"]) == ("kernel", "run", "shown:main", 1)
    assert not clone.state.exists()


def test_the_fast_path_starts_nothing_and_keeps_the_process(clone: Clone, tmp_path: Path) -> None:
    if not support.strace_works():
        pytest.skip("no process can be traced here")
    log = tmp_path / "trace"
    trace = ["strace", "-f", "-o", str(log), "-e", "trace=execve,clone,clone3,fork,vfork"]
    process = subprocess.Popen([*trace, str(clone.script())], env=environ(), stdout=subprocess.PIPE)
    told = json.loads(process.communicate(timeout=120)[0])
    calls = [line.split(None, 1) for line in log.read_text(errors="replace").splitlines() if "exited" not in line]
    assert [call.partition("(")[0] for _, call in calls] == ["execve", "execve"]
    assert {int(pid) for pid, _ in calls} == {told["pid"]}


def test_the_fast_path_opens_nothing_for_writing(clone: Clone, tmp_path: Path) -> None:
    if not support.strace_works():
        pytest.skip("no process can be traced here")
    script, log = clone.script(), tmp_path / "trace"
    started([script])  # so that the client's bytecode is there
    ended(["strace", "-f", "-o", str(log), "-e", "trace=file,network", str(script)])
    writing = [
        line
        for line in log.read_text(errors="replace").splitlines()
        if re.search(r"O_WRONLY|O_RDWR|O_CREAT|mkdir|socket", line)
    ]
    assert [line for line in writing if "/dev/" not in line] == []


def test_boot_with_nothing_to_do_starts_no_python(clone: Clone, tmp_path: Path) -> None:
    script = clone.script(kind="boot", main=None)
    for arguments in ([], ["boot"]):
        done = ended(["/bin/sh", str(script), *arguments], environ({"PATH": ""}))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_boot_with_arguments_goes_to_the_kernel(clone: Clone) -> None:
    for arguments in (["check"], ["boot", "x"], [""], ["run", "--", "not-there"], ["run", "--"], ["run", "python"]):
        told = started([clone.script(kind="boot"), *arguments], status=9)
        assert (told["by"], told["argv"][1:]) == ("kernel", arguments)
    assert started([clone.script(kind="boot"), "boot"])["argv"] == [str(clone.root / "prime")]


@pytest.mark.parametrize("function", ["wants", "wants_one", "absent"])
def test_boot_leaves_a_main_that_asks_for_something_to_the_kernel(clone: Clone, function: str) -> None:
    told = started([clone.script(kind="boot", main="shown:" + function)], status=9)
    assert (told["by"], told["prefix"]) == ("kernel", str(clone.environment))
    assert told["variables"]["PROTOPRIMER_READY"] == str(clone.environment)
    assert started([clone.script(kind="boot", main="shown:keyword")], status=0)["by"] == "client"


def test_a_client_module_that_is_missing_goes_to_the_kernel(clone: Clone) -> None:
    told = started([clone.script(main="nowhere.at_all:main")], status=9)
    assert (told["kind"], told["main"], told["prefix"]) == ("run", "nowhere.at_all:main", str(clone.environment))


def test_the_kernel_is_not_loaded_before_client_code(clone: Clone) -> None:
    told = started([clone.script()])
    assert not {"proto_kernel", "importlib.util", "inspect", "json.tool"} & set(told["modules"])


def test_a_default_argument_bound_to_sys_argv_is_right(clone: Clone) -> None:
    script = clone.script(main="shown:default")
    assert started([script, "a", "b"], status=0)["argv"] == [str(script), "a", "b"]


@pytest.mark.parametrize("name", [*SHELLS, *YASH_IN_POSIX_MODE])
@pytest.mark.parametrize("main", [None, "shown:main"])
def test_run_starts_a_program_of_the_environment_without_the_kernel(clone: Clone, name: str, main: str | None) -> None:
    script = clone.script(kind="boot", main=main)
    program = "import json, os, sys; print(json.dumps([sys.prefix, sys.argv[1:], dict(os.environ)]))"
    given = {"PROTOPRIMER_CACHE": "/x", "VIRTUAL_ENV": "/foreign", "PATH": f"/foreign/bin:{os.environ['PATH']}"}
    words = ["a b", "", "-x", "$HOME"]
    prefix, arguments, variables = started(
        [*shell(name), script, "run", "--", "python", "-c", program, *words], 0, variables=given
    )
    assert (prefix, arguments) == (str(clone.environment), words)
    assert variables["VIRTUAL_ENV"] == str(clone.environment)
    assert variables["PATH"] == f"{clone.environment}/bin:{os.environ['PATH']}"
    assert not [one for one in variables if one.startswith("PROTOPRIMER_")]


def test_run_keeps_the_process_and_starts_no_other(clone: Clone, tmp_path: Path) -> None:
    if not support.strace_works():
        pytest.skip("no process can be traced here")
    log, script = tmp_path / "trace", clone.script(kind="boot", main=None)
    ended(
        [
            "strace",
            "-f",
            "-o",
            str(log),
            "-e",
            "trace=execve,clone,fork,vfork",
            str(script),
            "run",
            "--",
            "python",
            "-V",
        ]
    )
    calls = [line for line in log.read_text(errors="replace").splitlines() if "exited" not in line]
    assert [line.split(None, 1)[1].partition("(")[0] for line in calls] == ["execve", "execve"]


# What a program leaves to the end: in a global, in a cycle, on a module that was there before it, and so on.
LEAVING_CLIENT = """\
import __main__, atexit, os, sys, weakref

class Left:
    def __init__(self, where):
        self.where = where
    def __del__(self, write=os.write):
        write(1, (self.where + "\\n").encode())

class Holder:
    kept = Left("an attribute of a class")

def generator(write=os.write):
    try:
        yield
    finally:
        write(1, b"a generator\\n")

in_global, in_cycle, started = Left("a global"), Left("a cycle"), generator()
in_cycle.itself = in_cycle
os.left, __main__.left = Left("an older module"), Left("the main module")
lost = [Left("a lost list")]
lost.append(lost)
del lost
atexit.register(print, "at exit", flush=True)
weakref.finalize(in_global, print, "a finalizer", flush=True)
next(started)

def main():
    local = Left("a local cycle")
    local.itself = local
"""


def test_what_a_client_leaves_to_the_end_is_finalized_as_by_its_interpreter_alone(clone: Clone) -> None:
    (clone.client / "leaving.py").write_text(LEAVING_CLIENT)
    program = f"import sys; sys.path.append({str(clone.client)!r}); import leaving; sys.exit(leaving.main())"
    alone = ended([str(clone.environment / "bin" / "python"), "-I", "-c", program])
    entered = ended([str(clone.script(main="leaving:main"))])
    assert len(alone.stdout.splitlines()) == 10
    assert sorted(entered.stdout.splitlines()) == sorted(alone.stdout.splitlines())
    assert (entered.returncode, entered.stderr) == (alone.returncode, alone.stderr) == (0, b"")


# --- what it notices ---------------------------------------------------------------------------------------------


def _edit(clone: Clone) -> None:
    clone.input.write_text("[project]")


def _edit_with_an_older_time(clone: Clone) -> None:
    clone.input.write_text("[project]")
    os.utime(clone.input, ns=(10**18, 10**18))


def _add_absent_input(clone: Clone) -> None:
    (clone.root / "uv.lock").symlink_to("nowhere")


def _remove_input(clone: Clone) -> None:
    clone.input.unlink()


def _remove_environment(clone: Clone) -> None:
    shutil.rmtree(clone.environment)


def _remove_mark(clone: Clone) -> None:
    (clone.environment / "protoprimer.json").unlink()


def _break_interpreter(clone: Clone) -> None:
    python = clone.environment / "bin" / "python"
    python.unlink()
    python.symlink_to("nowhere")


def _add_package(clone: Clone) -> None:
    next(clone.environment.glob("lib/python*/site-packages")).joinpath("new.py").write_text("")


def _remove_stamps(clone: Clone) -> None:
    shutil.rmtree(clone.state / "stamps")


def _cut_off(clone: Clone) -> None:
    ready = clone.state / "ready"
    ready.write_bytes(ready.read_bytes()[:-200])


def _empty(clone: Clone) -> None:
    (clone.state / "ready").write_bytes(b"")


def _fill_with_zeros(clone: Clone) -> None:
    ready = clone.state / "ready"
    ready.write_bytes(b"\0" * len(ready.read_bytes()))


def _remove_launcher(clone: Clone) -> None:
    (clone.state / "launch.py").unlink()


READING = ["dash", "busybox", "zsh", "bash-posix", "mksh", "ksh93"]
CHANGES = [
    _edit, _edit_with_an_older_time, _add_absent_input, _remove_input, _remove_environment, _remove_mark,
    _break_interpreter, _add_package, _remove_stamps, _remove_launcher, _cut_off, _empty, _fill_with_zeros,
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "name"), in_turn({change.__name__: change for change in CHANGES}, {name: name for name in READING})
)
def test_any_change_is_left_to_the_kernel(clone: Clone, change: Callable[[Clone], None], name: str) -> None:
    change(clone)
    assert started([*shell(name), clone.script()], status=9)["by"] == "kernel"
    if change not in (_remove_stamps, _remove_launcher):
        assert is_stale(clone.state)


def is_stale(state: Path) -> bool:
    return not is_fresh(str(state), read_ready(str(state)))


def test_a_ready_file_cut_off_anywhere_is_never_trusted(clone: Clone) -> None:
    script, ready = clone.script(kind="boot", main=None), clone.state / "ready"
    whole = ready.read_bytes()
    for end in range(0, len(whole), 97):
        ready.write_bytes(whole[:end])
        assert started([script], status=9)["by"] == "kernel", whole[:end]
        assert read_ready(str(clone.state)) == {}


# yash ends with a syntax error in what it sources, whatever stands before the dot.
@pytest.mark.parametrize("name", [name for name in SHELLS if name != "yash"])
def test_a_ready_file_that_is_cut_off_ends_no_shell(clone: Clone, name: str) -> None:
    command = [*shell(name), str(clone.script(kind="boot", main=None))]
    ready = clone.state / "ready"
    whole = ready.read_bytes()
    # In a function, in a quoted word, before the last line.
    for end in (
        whole.index(b"protoprimer_launch() {") + 40,
        whole.index(b"protoprimer_python='") + 30,
        len(whole) - 30,
    ):
        ready.write_bytes(whole[:end])
        done = ended(command)
        assert (done.returncode, json.loads(done.stdout)["by"], done.stderr) == (9, "kernel", b""), whole[:end][-80:]


def test_a_link_that_is_gone_is_noticed(clone: Clone) -> None:
    link = clone.root / ".venv"
    link.symlink_to(clone.environment)
    clone.announce(links=[(str(link), str(clone.environment))])
    script = clone.script()
    assert started([script])["by"] == "client"
    link.unlink()
    assert started([script], status=9)["by"] == "kernel"


def test_a_moved_or_copied_clone_is_noticed(clone: Clone, tmp_path: Path) -> None:
    clone.script()
    shutil.copytree(clone.root, tmp_path / "copy", symlinks=True)
    assert started([tmp_path / "copy" / "prime"], status=9)["by"] == "kernel"
    assert is_stale(tmp_path / "copy" / ".protoprimer")
    clone.root.rename(tmp_path / "moved")
    assert started([tmp_path / "moved" / "prime"], status=9)["by"] == "kernel"


def test_an_input_that_changed_while_it_was_read_is_noticed(clone: Clone) -> None:
    read_at = time.time_ns() - 10**9
    clone.input.write_text("changed meanwhile")
    inputs = Inputs()
    inputs.add(str(clone.input))
    write_ready(str(clone.state), str(clone.environment), inputs, [], clone.python, read_at, [])
    assert started([clone.script()], status=9)["by"] == "kernel"
    assert is_stale(clone.state)
    write_ready(str(clone.state), str(clone.environment), inputs, [], clone.python, time.time_ns() + 10**9, [])
    assert not is_stale(clone.state)


def test_a_variable_that_steers_goes_to_the_kernel_and_others_do_not(clone: Clone) -> None:
    script = clone.script()
    for name in ("PROTOPRIMER_ENV", "PROTOPRIMER_BACKEND", "PROTOPRIMER_PYTHON"):
        told = started([script], status=9, variables={name: "x"})
        assert told["variables"][name] == "x"
    told = started(
        [script],
        variables={"PROTOPRIMER_CACHE": "x", "PROTOPRIMER_READY": "y", "PROTOPRIMER_PATH": "z", "PROTOPRIMER_NEW": "n"},
    )
    assert [name for name in told["variables"] if name.startswith("PROTOPRIMER")] == []
    assert "z" not in told["path"]


def test_read_ready_returns_what_was_written(clone: Clone) -> None:
    facts = read_ready(str(clone.state))
    assert is_fresh(str(clone.state), facts)
    assert facts["environment"] == str(clone.environment)
    assert facts["inputs"] == [[str(clone.input), clone.input.stat().st_mtime_ns]]
    assert facts["client_paths"] == [str(clone.client)]


# --- what it passes ----------------------------------------------------------------------------------------------

FLAGS = [
    {},
    {"PYTHONUNBUFFERED": "1"},
    {"PYTHONDONTWRITEBYTECODE": "x", "PYTHONOPTIMIZE": "1"},
    {"PYTHONOPTIMIZE": "2"},
    {"PYTHONOPTIMIZE": "yes"},
    {"PYTHONWARNINGS": "error::UserWarning,ignore::DeprecationWarning:a b", "PYTHONUNBUFFERED": ""},
]


@pytest.mark.parametrize("variables", FLAGS, ids=lambda variables: ",".join(variables) or "none")
@pytest.mark.parametrize("name", ["dash", "zsh"])
def test_flags_do_what_the_variables_ask_of_an_interpreter(clone: Clone, variables: dict[str, str], name: str) -> None:
    told = started([*shell(name), clone.script()], variables=variables)
    python = str(clone.environment / "bin" / "python")
    program = f"import sys; sys.path.append({str(clone.client)!r}); import shown; shown.main()"
    asked = started([python, "-c", program], status=0, variables=variables)
    same = started([python, *interpreter_flags(variables), "-c", program], status=0)
    for what in ("optimize", "bytecode", "warnings", "unbuffered"):
        assert told[what] == asked[what] == same[what], what


def test_a_foreign_environment_is_left(clone: Clone, tmp_path: Path) -> None:
    path = os.pathsep.join(["/first", f"{tmp_path}/other/bin", "", "/last dir", f"{tmp_path}/other/bin"])
    given = {"VIRTUAL_ENV": f"{tmp_path}/other", "VIRTUAL_ENV_PROMPT": "o", "PYTHONPATH": "/x", "PATH": path}
    given["__PYVENV_LAUNCHER__"] = "/y"
    told = started(["/bin/sh", clone.script()], variables=given)
    variables: Mapping[str, str] = told["variables"]
    assert variables["PATH"] == os.pathsep.join([f"{clone.environment}/bin", "/first", "", "/last dir"])
    assert variables["VIRTUAL_ENV"] == str(clone.environment)
    assert not {"VIRTUAL_ENV_PROMPT", "PYTHONPATH", "__PYVENV_LAUNCHER__"} & set(variables)
    expected = activated_environment({**environ(), **given}, str(clone.environment))
    assert {name: variables.get(name) for name in given} == {name: expected.get(name) for name in given}


def test_client_code_runs_as_in_an_activated_environment(clone: Clone) -> None:
    for path in ("/usr/bin:/bin", f"/usr/bin:{clone.environment}/bin:/bin"):
        variables: Mapping[str, str] = started(["/bin/sh", clone.script()], variables={"PATH": path})["variables"]
        assert variables["PATH"] == f"{clone.environment}/bin:/usr/bin:/bin"
        assert variables["VIRTUAL_ENV"] == str(clone.environment)


# --- where it is started from --------------------------------------------------------------------------------------


def test_it_works_from_anywhere_and_under_any_name(clone: Clone, tmp_path: Path) -> None:
    script, deep = clone.script(), clone.script("cmd ö/-serve it")
    odd = clone.script("-prime")
    ways: list[tuple[list[str | os.PathLike[str]], Path]] = [
        ([script], clone.root),
        (["./prime"], clone.root),
        (["../prime"], clone.client),
        ([os.path.relpath(script, tmp_path)], tmp_path),
        (["sh", "prime"], clone.root),
        (["sh", "--", "-prime"], clone.root),
        (["sh", "-u", "-e", "prime"], clone.root),
        ([deep], tmp_path),
        (["./-serve it"], deep.parent),
        ([odd], tmp_path),
    ]
    for command, directory in ways:
        told = started(command, cwd=directory, variables={"CDPATH": "/:/usr"})
        assert (told["by"], told["cwd"]) == ("client", str(directory)), command


def test_it_is_found_on_path(clone: Clone, tmp_path: Path) -> None:
    clone.script("tools/serve")
    path = f"{clone.root}/tools{os.pathsep}{os.environ['PATH']}"
    assert started(["serve"], cwd=tmp_path, variables={"PATH": path})["by"] == "client"
    bash = shell("bash")
    assert started([*bash, "serve"], cwd=tmp_path, variables={"PATH": path})["by"] == "client"
    path = f"tools{os.pathsep}{os.environ['PATH']}"
    assert started(["serve"], cwd=clone.root, variables={"PATH": path})["by"] == "client"


def test_a_symlink_reaches_the_kernel_beside_the_script(clone: Clone, tmp_path: Path) -> None:
    script = clone.script()
    (tmp_path / "link").symlink_to(script)
    (tmp_path / "far").symlink_to("link")
    far = str(tmp_path / "far")
    for command in ([far], [sys.executable, far]):
        told = started(command, status=9)
        assert (told["by"], told["file"], told["argv"]) == (
            "kernel",
            f"{clone.root}/proto_kernel.py",
            [f"{tmp_path}/far"],
        )


def test_a_symlinked_directory_needs_no_kernel(clone: Clone, tmp_path: Path) -> None:
    clone.script("cmd/serve")
    (tmp_path / "cmd").symlink_to(clone.root / "cmd")
    assert started([tmp_path / "cmd" / "serve"])["by"] == "client"


def test_without_home_and_with_little_environment(clone: Clone) -> None:
    script = clone.script()
    done = ended([str(script)], {})
    assert (done.returncode, done.stderr) == (7, b"")
    shutil.rmtree(clone.state)
    python = Path(sys.executable).parent
    done = ended([str(script)], {"PATH": str(python)})
    assert (done.returncode, done.stderr) == (9, b"")


def test_another_user_takes_the_fast_path(environment_python: str) -> None:
    if not support.other_user_works():
        pytest.skip("no process of another user can be started here")
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    candidates = [environment_python, shutil.which("python3", path=os.defpath)]
    usable = [python for python in candidates if python and _works([*other, python, "-c", "import venv"])]
    if not usable:
        pytest.skip("every interpreter is closed to others")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        clone = Clone(Path(directory) / "clone", usable[0])
        clone.provision()
        clone.announce()
        assert started([*other, clone.script()], variables={"HOME": "/nonexistent"})["by"] == "client"


def test_a_read_only_checkout_takes_the_fast_path(clone: Clone) -> None:
    if not support.mount_namespace_works():
        pytest.skip("nothing can be mounted here")
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && ! touch "$1/x" 2> /dev/null && exec "$2"'
    told = started(["unshare", "-m", "sh", "-c", mount, "sh", clone.root, clone.script()])
    assert told["by"] == "client"


def _works(command: list[str]) -> bool:
    try:
        return ended(command, cwd=Path("/")).returncode == 0
    except OSError:
        return False


# --- the wild Python ---------------------------------------------------------------------------------------------


def test_the_python_half_runs_under_every_python_and_leaves_no_trace(
    clone: Clone, wild_python: support.WildPython, tmp_path: Path
) -> None:
    shutil.rmtree(clone.state)
    script = clone.script(kind="start")
    before = sorted(clone.root.rglob("*"))
    (clone.root / "importlib.py").write_text("raise SystemExit('the wrong importlib')")
    for _ in range(2):
        cache = str(tmp_path / "cache")
        os.makedirs(cache, exist_ok=True)
        told = started(
            [wild_python.executable, script, "x"],
            status=9,
            variables={"PYTHONPATH": str(clone.client), "PROTOPRIMER_CACHE": cache},
        )
        assert (told["kind"], told["script"], told["argv"]) == ("start", str(script), [str(script), "x"])
        assert told["cached"] is (wild_python.version >= (3, 8))
        assert (told["isolated"], told["no_bytecode"], told["prefix_of_bytecode"]) == (1, False, None)
    (clone.root / "importlib.py").unlink()
    assert sorted(clone.root.rglob("*")) == before


def test_python_two_gets_one_sentence(clone: Clone, tmp_path: Path) -> None:
    python = support.python_two()
    if python is None:
        pytest.skip("this host has no Python 2.7")
    shutil.rmtree(clone.state)
    script = clone.script()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(python)
    done = ended([python, str(script)])
    assert done.returncode == 4
    assert re.fullmatch(rb"error: Python 3\.6 or newer is needed; .* is 2\.7\.\d+\n", done.stderr)
    done = ended(["/bin/sh", str(script)], environ({"PATH": f"{tmp_path}/bin"}))
    assert (done.returncode, done.stderr) == (4, b"error: no Python 3.6 or newer is on PATH; install one\n")


@pytest.mark.parametrize("name", SHELLS)
def test_a_python_that_does_not_start_or_is_too_old_is_passed_over(clone: Clone, tmp_path: Path, name: str) -> None:
    shutil.rmtree(clone.state)
    for number, text in enumerate(("", "#!/nowhere/python\n", "#!/bin/sh\nexit 127\n", "#!/bin/sh\nexit 1\n"), 1):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "python3").write_text(
            text + f"echo {number} >> '{tmp_path}/tried'\n" * ("sh" in text)
        )
        (tmp_path / str(number) / "python3").chmod(0o755)
    three = _fake_python(tmp_path / "three", "python3", "three")
    path = os.pathsep.join([*(str(tmp_path / str(number)) for number in (2, 3, 4)), three])
    assert started([*shell(name), str(clone.script())], status=0, variables={"PATH": path}) == "three"


def test_no_python_gets_one_sentence(clone: Clone, tmp_path: Path) -> None:
    shutil.rmtree(clone.state)
    for name in SHELLS:
        if shutil.which(SHELLS[name][0]) is None:
            continue
        done = ended([*shell(name), str(clone.script())], environ({"PATH": str(tmp_path)}))
        assert (done.returncode, done.stderr.count(b"\n")) == (4, 1), name
        assert b"no Python 3.6 or newer is on PATH" in done.stderr


def _fake_python(directory: Path, name: str, says: str) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\ncase $3 in -c) ;; *) echo '\"{says}\"' ;; esac\n")
    (directory / name).chmod(0o755)
    return str(directory)


@pytest.mark.parametrize("name", SHELLS)
def test_which_python_is_taken_from_path(clone: Clone, tmp_path: Path, name: str) -> None:
    shutil.rmtree(clone.state)
    shim = _fake_python(tmp_path / "pyenv" / "shims", "python3", "shim")
    newest = _fake_python(tmp_path / "newest", "python3.13", "newest")
    future = _fake_python(tmp_path / "future", "python3.17", "future")
    two = _fake_python(tmp_path / "two", "python", "plain")
    three = _fake_python(tmp_path / "a th\nree", "python3", "three")
    (tmp_path / "no file" / "python3").mkdir(parents=True)
    _fake_python(tmp_path / "here", "python3", "relative")
    command = [*shell(name), str(clone.script())]
    for path, taken in [
        ([shim, newest, two, three], "three"),
        ([shim, two, newest], "newest"),
        ([shim, two, newest, future], "future"),
        ([shim, two], "shim"),
        ([two, shim], "plain"),
        (["", ".", "here", str(tmp_path / "no file"), two], "plain"),
    ]:
        joined = os.pathsep.join(path)
        assert started(command, status=0, cwd=tmp_path / "here", variables={"PATH": joined}) == taken


# --- failures of the client --------------------------------------------------------------------------------------


def test_a_client_exception_keeps_its_traceback_without_our_frames(clone: Clone) -> None:
    done = ended([str(clone.script(main="shown:fails"))])
    assert done.returncode == 1
    text = done.stderr.decode()
    assert re.findall(r"line \d+, in (\w+)", text) == ["fails", "inner"]
    assert text.endswith("LookupError: of the client\n")
    assert "prime" not in text


def test_a_client_module_that_raises_shows_itself_only(clone: Clone) -> None:
    (clone.client / "raising.py").write_text("1 / 0\n")
    done = ended([str(clone.script(main="raising:main"))])
    assert (done.returncode, done.stderr.count(b"File ")) == (1, 1)
    assert b"raising.py" in done.stderr


def test_a_hook_of_the_client_is_used(clone: Clone) -> None:
    done = ended([str(clone.script(main="shown:hooks"))])
    assert (done.returncode, done.stdout, done.stderr) == (1, b"own hook\n", b"")


def test_a_child_of_multiprocessing_does_not_run_the_script_again(clone: Clone) -> None:
    (clone.client / "spawning.py").write_text(
        "import multiprocessing\n"
        "def work(queue):\n    queue.put(6 * 7)\n"
        "def main():\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    queue = context.Queue()\n"
        "    child = context.Process(target=work, args=(queue,))\n"
        "    child.start()\n    print(queue.get(timeout=60))\n    child.join()\n"
    )
    done = ended([str(clone.script(main="spawning:main"))])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"42\n", b"")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_pool_of_processes_does_not_run_the_client_again(clone: Clone, method: str) -> None:
    (clone.client / "pooling.py").write_text(
        "import multiprocessing, os, sys\n"
        "def work(number):\n    return number * 2\n"
        "def main():\n"
        "    print('main', sys.modules['__main__'].__file__, flush=True)\n"
        f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "        print(pool.map(work, [1, 2, 3]))\n"
    )
    script = clone.script(main="pooling:main")
    done = ended([str(script)])
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"main {script}\n[2, 4, 6]\n"


@pytest.mark.parametrize(
    "text", [None, "<<<<<<< HEAD\n", "def run_main(main", "state = 1\n", "undefined\n"],
    ids=["missing", "conflict", "cut off", "cut off between functions", "damaged"],
)  # fmt: skip
def test_a_kernel_that_cannot_be_loaded_gets_one_sentence(clone: Clone, text: str | None) -> None:
    shutil.rmtree(clone.state)
    kernel = clone.root / "proto_kernel.py"
    kernel.unlink()
    if text is not None:
        kernel.write_text(text)
    done = ended([str(clone.script())])
    assert (done.returncode, done.stdout) == (3, b"")
    said = done.stderr.decode()
    assert said.startswith(f"error: cannot load {kernel} (")
    assert said.endswith("; restore it\n")
    assert "Traceback" not in said


# --- the text ----------------------------------------------------------------------------------------------------


HOSTILE = ("s;touch pwned;x", "$(touch pwned)", "`touch pwned`", "a b", "it's", 'a "b"', "$HOME", "*", "-x")


@pytest.mark.parametrize("kind", ["run", "boot", "start"])
def test_an_entry_script_has_at_most_forty_lines(kind: str) -> None:
    for kernel in ("proto_kernel.py", "../kernels/ö.py"):
        text = entry_text(kind, "app.cli:main", kernel, "../state dir")
        assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("state", HOSTILE)
@pytest.mark.parametrize("name", SHELLS)
def test_no_name_of_a_state_directory_runs_anything(clone: Clone, tmp_path: Path, state: str, name: str) -> None:
    clone.state.rename(clone.root / state)
    clone.state = clone.root / state
    clone.environment = clone.state / "envs" / "default-0"
    clone.announce()
    script = clone.root / "prime"
    script.write_text(entry_text("run", "shown:main", "proto_kernel.py", state), encoding="utf-8")
    script.chmod(0o755)
    assert started([*shell(name), script], status=7, cwd=tmp_path)["by"] == "client"
    (clone.state / "ready").unlink()
    assert started([*shell(name), script], status=9, cwd=tmp_path)["by"] == "kernel"
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("name", ["back\\slash", "line\nend", 'three """ quotes'])
def test_what_cannot_be_in_an_entry_script_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be in an entry script"):
        entry_text("run", "a:b", "proto_kernel.py", name)


def test_the_text_is_clean_python_without_backslashes_in_the_sh_half() -> None:
    ruff = Path(sys.executable).with_name("ruff")
    for kind, main in (("run", "a.b:c"), ("boot", None), ("start", "a:b")):
        text = entry_text(kind, main, "kernels/ö.py", "../state dir")
        head = text.partition('"""')[2].partition('"""')[0]
        assert "\\" not in head
        assert text.count('"""') == 2
        if ruff.exists():
            command = [
                str(ruff),
                "check",
                "--isolated",
                "--select",
                "E,F,W,B,PLE",
                "--ignore",
                "E402",
                "--line-length",
                "120",
                "-",
            ]
            subprocess.run(command, input=text.encode(), check=True, stdout=-1)
