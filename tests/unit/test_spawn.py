"""A child started by the kernel is what `subprocess` would have made of the same request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from protoprimer.system.spawn import PopenChild, SpawnedChild, start_child

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this host has no posix_spawn")

LONG = 60.0
REPORT = """\
import os, signal, sys
data = sys.stdin.buffer.read()
kept = sorted(int(name) for name in os.listdir("/dev/fd"))[:-1] if sys.platform == "linux" else []
print(ascii([os.fsencode(one) for one in sys.argv[1:]]), os.getcwd(), len(data), hash(data) == hash(b"x" * len(data)))
print(ascii(sorted(os.environb.items())), kept, signal.getsignal(signal.SIGINT), os.getpgrp() == os.getppid())
with open("/proc/self/status") if sys.platform == "linux" else open(os.devnull) as stream:
    # Not the two that the C library keeps for itself.
    print([int(line.split()[1], 16) & ~(3 << 31) for line in stream if line.startswith(("SigIgn", "SigBlk"))])
sys.stderr.write("e" * 300000)
sys.stdout.write("o" * 300000)
sys.exit(41)
"""
ODD = ["", "a b", "new\nline", os.fsdecode(b"\xff\xfe"), "-x", "'\"$"]


@pytest.mark.parametrize("size", [None, 0, 1, 3_000_000])
def test_a_spawned_child_sees_and_says_what_one_of_subprocess_does(tmp_path: Path, size: int | None) -> None:
    arguments = [sys.executable, "-I", "-S", "-c", REPORT, *ODD]
    environ = {"ODD": os.fsdecode(b"\xff"), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    data = None if size is None else b"x" * size
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        ours, theirs = (kind(arguments, str(tmp_path), environ, data) for kind in (SpawnedChild, PopenChild))
        assert ours.attend(LONG)
        assert theirs.attend(LONG)
    finally:
        os.close(read)
        os.close(write)
    assert (ours.status, ours.output, ours.errors) == (theirs.status, theirs.output, theirs.errors)
    assert ours.status == 41


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_death_by_signal_is_told_as_such(number: int) -> None:
    child = SpawnedChild([sys.executable, "-c", f"import os; os.kill(os.getpid(), {number})"], None, {}, None)
    assert child.attend(LONG)
    assert child.status == -number


def test_what_cannot_be_started_is_told_with_its_path(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    before = os.listdir("/dev/fd")
    for arguments, cwd, wrong in (
        ([str(tmp_path / "absent")], None, tmp_path / "absent"),
        ([str(plain)], None, plain),
        ([sys.executable], str(tmp_path / "nowhere"), tmp_path / "nowhere"),
    ):
        with pytest.raises(OSError, match=r"\[Errno") as raised:
            SpawnedChild(arguments, cwd, {}, b"input")
        assert raised.value.filename == str(wrong)
        with pytest.raises(OSError, match=r"\[Errno") as theirs:
            PopenChild(arguments, cwd, {}, None)
        assert (raised.value.errno, type(raised.value)) == (theirs.value.errno, type(theirs.value))
    assert len(os.listdir("/dev/fd")) == len(before)


def test_a_program_without_a_slash_is_looked_up_on_the_path_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho found\n")
    (tmp_path / "tool").chmod(0o755)
    child = SpawnedChild(["tool"], None, {"PATH": str(tmp_path)}, None)
    assert child.attend(LONG)
    assert child.output == b"found\n"


def test_one_that_reads_nothing_is_given_more_than_a_pipe_holds_without_harm() -> None:
    child = SpawnedChild([sys.executable, "-c", "import os; os.close(0); print('done')"], None, {}, b"x" * 10**6)
    assert child.attend(LONG)
    assert (child.status, child.output) == (0, b"done\n")


def test_what_was_said_before_a_wait_ended_is_kept_and_the_rest_follows() -> None:
    code = "import sys; print('first', flush=True); sys.stdin.read(); print('second')"
    child = SpawnedChild([sys.executable, "-c", code], None, {}, b"")
    while not child.output:
        child.attend(0.01)
    assert child.output.startswith(b"first\n")
    assert child.attend(LONG)
    assert child.output == b"first\nsecond\n"


def test_a_killed_childs_own_child_that_keeps_the_pipes_is_not_waited_for() -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(1)"
    child = SpawnedChild([sys.executable, "-c", code + "; import time; time.sleep(60)"], None, {}, None)
    family = children_of(child.pid)
    while not family:
        family = children_of(child.pid)
    child.kill()
    assert not child.attend(0.05)
    child.abandon()
    assert child.status == -signal.SIGKILL
    for pid in family:
        os.kill(pid, signal.SIGKILL)


def test_a_process_with_threads_keeps_its_working_directory() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        child = start_child([sys.executable, "-c", "print('safe')"], None, {}, None)
        assert isinstance(child, PopenChild)
        assert child.attend(LONG)
        assert (child.status, child.output) == (0, b"safe\n")
    finally:
        release.set()
        thread.join()


def test_closed_standard_descriptors_do_not_get_mixed_up_with_the_childs() -> None:
    code = f"""
import os, sys
sys.path[:0] = {[os.path.dirname(os.path.dirname(sys.modules["protoprimer.system.spawn"].__file__ or ""))]!r}
from protoprimer.system.spawn import SpawnedChild
told = os.dup(1)
for low in (0, 1, 2):
    os.close(low)
says = "import sys; sys.stdout.write('out' + sys.stdin.read()); sys.stderr.write('err')"
child = SpawnedChild([sys.executable, "-c", says], None, {{}}, b"in")
assert child.attend(60)
os.write(told, repr((child.status, child.output, child.errors)).encode())
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=False, timeout=LONG)
    assert done.stdout == repr((0, b"outin", b"err")).encode()


def children_of(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, check=False, timeout=LONG)
    return [int(one) for one in done.stdout.split()]


@pytest.mark.parametrize("kind", [SpawnedChild, PopenChild])
def test_who_was_interrupted_can_still_wait_for_the_child_that_was_given_input(
    kind: type[SpawnedChild | PopenChild],
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # It tells its parent when it has read everything, and then goes on.
    program = "import os, signal, sys; sys.stdin.read(); os.kill(os.getppid(), signal.SIGUSR1); signal.pause()"
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        child = kind([sys.executable, "-I", "-S", "-c", program], None, {}, b"given")
        with pytest.raises(KeyboardInterrupt):
            child.attend(LONG)
    finally:
        signal.signal(signal.SIGUSR1, before)
    child.kill()
    assert child.attend(LONG)
    assert child.status == -signal.SIGKILL
