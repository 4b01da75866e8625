"""The client's process is what it would be if it had been started directly, on every way into the environment."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    NewClone = Callable[..., clones.Clone]

pexpect = pytest.importorskip("pexpect")
KINDS = {"run": "app", "boot": "tool", "start": "service"}
STARTS = ("cold", "cold again", "warm", "touched")

# Reports what a process has from whoever started it.
CLIENT = """\
import hashlib, json, os, resource, signal, sys

def state_of_signals():
    with open("/proc/self/status") as stream:
        return {line.split(":")[0]: line.split()[1] for line in stream if line.startswith(("SigBlk", "SigIgn", "SigCgt"))}

def descriptors():
    found = {}
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            found[number] = [os.readlink("/proc/self/fd/%d" % number), os.get_inheritable(number)]
        except OSError:
            pass
    return found

def main():
    opened = descriptors()
    umask = os.umask(0)
    os.umask(umask)
    words = [os.fsencode(word) for word in sys.argv[1:]]
    terminal = None
    try:
        terminal = os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        pass
    print(json.dumps({
        "count": len(words),
        "words": hashlib.sha256(b"\\0".join(words)).hexdigest(),
        "stdin": sys.stdin.read() if len(words) % 2 else None,
        "cwd": os.getcwd(),
        "PWD": os.environ.get("PWD"),
        "umask": umask,
        "descriptors": opened,
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
        "signals": state_of_signals(),
        "leads group": os.getpgrp() == os.getpid(),
        "leads session": os.getsid(0) == os.getpid(),
        "terminal": terminal,
        "nice": os.nice(0),
        "ids": [os.getresuid(), os.getresgid(), sorted(os.getgroups())],
        "prefix": sys.prefix,
        "isatty": [os.isatty(number) for number in range(3)],
    }), flush=True)
    return 3
"""
DIRECT = "import sys\nsys.path.append({root!r})\nimport client\nsys.exit(client.main())\n"


@pytest.fixture
def clone(new_clone: NewClone) -> clones.Clone:
    """Return a clone with an entry script of each kind, and a script that the environment's interpreter runs directly."""
    clone = new_clone().write({"client.py": CLIENT, "protoprimer.toml": 'backend = "venv"\n'})
    clone.write({"direct.py": DIRECT.format(root=str(clone.root))}).entry("prime", None, "boot")
    for kind, name in KINDS.items():
        clone.entry(name, "client:main", kind)
    return clone


def ways(clone: clones.Clone) -> list[tuple[str, list[str]]]:
    """Return what the client can be started by, the direct way last; a cold start is first."""
    python = str(clone.generations()[0] / "bin" / "python")
    return [*((kind, ["./" + name]) for kind, name in KINDS.items()), ("direct", [python, "-I", "direct.py"])]


def reports(clone: clones.Clone, words: list[bytes], **more: Any) -> dict[str, dict[str, Any]]:
    """Return what the client reports on each way in, cold and warm; its status is always 3."""
    found = {}
    clone.prime()
    # sh sets PWD where it is missing or wrong.
    clone.environ["PWD"] = str(clone.root)
    for kind, command in ways(clone):
        for start in STARTS if kind != "direct" else ("direct",):
            if start.startswith("cold") and kind == "start":
                continue
            if start.startswith("cold"):
                shutil.rmtree(clone.state)
            elif start == "touched":
                os.utime(clone.root / "protoprimer.toml", (1, 1))
            own = [b"--", *words] if kind == "boot" and words else words
            report = clone.run(*command, *own, status=3, **more).json()
            # Pipes of each run have a number of their own, and /proc/self/fd itself is open while it is listed.
            names = {number: name for number, (name, _) in report["descriptors"].items() if "/proc/" not in name}
            report["descriptors"] = {number: name.split(":")[0] for number, name in names.items()}
            found[f"{kind}, {start}"] = report
    return found


def assert_all_equal(found: dict[str, dict[str, Any]]) -> None:
    direct = found.pop("direct, direct")
    for way, report in found.items():
        if way not in ("run, warm", "start, warm"):
            # On the way to the kernel sh tries a Python, and dash unblocks all signals where it waits for a child.
            report["signals"]["SigBlk"] = direct["signals"]["SigBlk"]
        assert report == direct, way


ARGUMENTS = {
    "none": [],
    "empty ones": [b"", b"", b""],
    "every byte": [bytes(byte for byte in range(1, 256))],
    "five thousand": [b"%d" % number for number in range(5001)],
    "a long one": [b"x" * 120_000],
    "what looks like ours": [b"--env", b"nothing", b"--", b"-v", b"boot"][:5],
}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the client reads /proc")
def test_arguments_and_stdin_are_those_of_a_direct_start(clone: clones.Clone) -> None:
    for words in ARGUMENTS.values():
        assert_all_equal(reports(clone, words, stdin=b"one line\nand no end"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the client reads /proc")
def test_what_a_process_inherits_is_what_a_direct_start_gives(clone: clones.Clone) -> None:
    """Descriptors, limits, umask, ignored and blocked signals, priority, group, session and ids."""

    def prepare() -> None:
        os.umask(0o027)
        os.nice(1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGTERM])

    with (clone.root.parent / "inherited").open("wb") as one, (clone.root.parent / "other").open("wb") as other:
        more = {"pass_fds": (one.fileno(), other.fileno()), "preexec_fn": prepare}
        found = reports(clone, [b"even", b"number"], **more)
    names = found["direct, direct"]["descriptors"].values()
    assert len([name for name in names if name.endswith(("/inherited", "/other"))]) == 2
    assert_all_equal(found)


@pytest.mark.parametrize("where", ["elsewhere", "below", "through a link"])
def test_the_working_directory_stays_as_the_shell_names_it(clone: clones.Clone, where: str) -> None:
    places = {
        "elsewhere": clone.root.parent,
        "below": clone.root / "below",
        "through a link": clone.root.parent / "link",
    }
    (clone.root / "below").mkdir()
    (clone.root.parent / "link").symlink_to(clone.root)
    clone.prime()
    expected = None
    for kind, command in reversed(ways(clone)):
        path = str(clone.root / command[-1])
        direct = [command[0], "-I", path] if kind == "direct" else [path]
        report = clone.run(
            "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(places[where]), *direct, status=3
        ).json()
        expected = expected or (report["cwd"], report["PWD"])
        assert (report["cwd"], report["PWD"]) == expected, kind


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGPIPE, signal.SIGXCPU])
def test_death_by_a_signal_is_seen_as_such(clone: clones.Clone, number: int) -> None:
    body = "import os, signal\ndef main():\n    signal.signal({0}, signal.SIG_DFL) if {0} != 9 else None\n    os.kill(os.getpid(), {0})\n"
    clone.write({"client.py": body.format(int(number))})
    for start in STARTS:
        for kind, name in KINDS.items():
            if start.startswith("cold"):
                if kind == "start":
                    continue
                shutil.rmtree(clone.state, ignore_errors=True)
            elif start == "touched":
                os.utime(clone.root / "protoprimer.toml", (1, 1))
            else:
                clone.prime()
            done = clone.run(
                "./" + name, status=-number, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            )
            assert "Traceback" not in done.errors


# On a terminal


@pytest.fixture
def terminal(clone: clones.Clone) -> Any:
    """Return a function that starts a command of the clone on a pseudo-terminal."""
    started = []

    def start(command: str, *arguments: str) -> Any:
        # Alone, a command with a space in it would be split.
        child = pexpect.spawn(
            support.needed_tool("env"),
            [command, *arguments],
            cwd=str(clone.root),
            env={**clone.environ, "TERM": "dumb"},
            timeout=60,
            encoding="utf-8",
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


WAITING_CLIENT = """\
import os, sys
def main():
    try:
        print("client", os.isatty(0), os.isatty(1), os.tcgetpgrp(0) == os.getpgrp(), flush=True)
        print("read", sys.stdin.readline().strip(), flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        return 44
"""


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_is_the_clients(clone: clones.Clone, terminal: Any, kind: str) -> None:
    clone.write({"client.py": WAITING_CLIENT})
    for start in ("cold", "warm"):
        if kind == "start":
            clone.prime()
        child = terminal("./" + KINDS[kind])
        child.expect_exact("client True True True")
        child.sendcontrol("c")
        child.expect_exact("interrupted")
        child.expect(pexpect.EOF)
        child.close()
        assert (child.exitstatus, child.signalstatus) == (44, None), start


def test_ctrl_z_stops_the_client_and_fg_brings_it_back(clone: clones.Clone, terminal: Any) -> None:
    shell = support.needed_tool("bash")
    clone.write({"client.py": WAITING_CLIENT})
    clone.prime()
    child = terminal(shell, "--norc", "--noprofile", "--noediting", "-i")
    for name in KINDS.values():
        child.sendline("./" + name)
        child.expect_exact("client True True True")
        child.sendcontrol("z")
        child.expect("Stopped|suspended")
        child.sendline("fg")
        child.sendline("hello")
        child.expect_exact("read hello")
        child.sendline("echo status=$?.")
        child.expect_exact("status=0.")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def slow_project(clone: clones.Clone, waits_for: Path) -> clones.Clone:
    """Let the clone install a project whose build begins, says so by a file, and ends when `waits_for` is there.

    The file is hidden, as every other file of a project that is not editable counts.
    """
    wait = f"import os, time\nopen('.begun', 'w').close()\nwhile not os.path.exists({str(waits_for)!r}): time.sleep(0.01)\n"
    clone.project("piece", "piece").write(
        {"protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = [{ path = "piece", editable = false }] }]\n'}
    )
    return clone.write({"piece/builder.py": wait + clones.BUILD_BACKEND, "client.py": WAITING_CLIENT})


def test_ctrl_c_while_building_ends_all_that_was_started(clone: clones.Clone, terminal: Any) -> None:
    slow_project(clone, clone.root / "go")
    child = terminal("./app")
    while not (clone.root / "piece" / ".begun").exists():
        assert child.isalive(), child.read()
    child.sendcontrol("c")
    child.expect_exact("error: interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (130, None)
    assert processes_that_mention(str(clone.root / "piece")) == []
    assert clone.generations() == []
    (clone.root / "go").touch()
    assert "installed piece" in clone.prime().errors


def test_ctrl_c_while_waiting_for_another_run_is_130_and_one_line(clone: clones.Clone, terminal: Any) -> None:
    slow_project(clone, clone.root / "go")
    builder = clone.start("./prime")
    while not (clone.root / "piece" / ".begun").exists():
        assert builder.poll() is None
    child = terminal("./app")
    child.expect_exact(f"waiting for pid {builder.pid} on ")
    child.sendcontrol("c")
    child.expect_exact("error: interrupted")
    said = (child.before or "") + child.read()
    child.close()
    assert "Traceback" not in said
    assert (child.exitstatus, child.signalstatus) == (130, None)
    (clone.root / "go").touch()
    assert clones.finished(builder).status == 0


def test_ctrl_z_while_building_stops_and_goes_on(clone: clones.Clone, terminal: Any) -> None:
    shell = support.needed_tool("bash")
    slow_project(clone, clone.root / "go")
    child = terminal(shell, "--norc", "--noprofile", "--noediting", "-i")
    child.sendline("./app")
    while not (clone.root / "piece" / ".begun").exists():
        assert child.isalive(), child.read()
    child.sendcontrol("z")
    child.expect("Stopped|suspended")
    (clone.root / "go").touch()
    child.sendline("fg")
    child.expect_exact("client True True True")
    child.sendline("hello")
    child.expect_exact("read hello")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    assert clone.builds() == 1


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are looked for in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_ours_alone_leaves_nothing_at_work(clone: clones.Clone, number: int) -> None:
    """As `docker stop`, a CI that cancels, or `kill` send it: to the one process that they know."""
    slow_project(clone, clone.root / "go")
    process = clone.start("./prime")
    while process.poll() is None and not (clone.root / "piece" / ".begun").exists():
        pass
    process.send_signal(number)
    done = clones.finished(process)
    assert done.status == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in done.errors
    assert processes_that_mention(str(clone.root / "piece")) == []
    assert clone.generations() == []


def processes_that_mention(word: str) -> list[str]:
    """Return the command lines of live processes that stand in a directory or name it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                words = os.fsdecode(stream.read())
            if int(pid) != os.getpid() and (word in words or os.readlink(f"/proc/{pid}/cwd").startswith(word)):
                found.append(words)
        except OSError:
            pass
    return found
