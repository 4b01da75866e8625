"""The file lock between real processes: counted work, killed and stopped holders, and `filelock` on the same file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import protoprimer
import support

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCES = os.path.dirname(protoprimer.__path__[0])
PRELUDE = f"""
import errno, os, sys
sys.path.insert(0, {SOURCES!r})
import protoprimer.store.file_lock as locking
from protoprimer.system.console import Console
from protoprimer.errors import PrimerError
def no_locks(descriptor):
    raise OSError(errno.ENOLCK, "No locks available")
path = sys.argv[1]
"""
HOLD = "print('held', flush=True); sys.stdin.read()"
KERNEL_HOLDER = PRELUDE + f"with locking.FileLock(path, Console()): {HOLD}"
WEAK_HOLDER = PRELUDE + f"with locking.FileLock(path, Console(), system_lock=no_locks): {HOLD}"
FILELOCK_HOLDER = f"import sys, filelock\nwith filelock.FileLock(sys.argv[1]): {HOLD}"
KERNEL_TRY = (
    PRELUDE
    + """
try:
    with locking.FileLock(path, Console(), timeout=float(sys.argv[2])): print("had")
except PrimerError as error:
    print(error); sys.exit(error.exit_code)
"""
)
FILELOCK_TRY = """
import sys, filelock
try:
    with filelock.FileLock(sys.argv[1], timeout=float(sys.argv[2])): print("had")
except filelock.Timeout:
    sys.exit(7)
"""
posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def run(code: str, *arguments: object) -> tuple[int, str]:
    with start(code, *arguments) as child:
        output, errors = child.communicate(timeout=60)
        return child.returncode, output + errors


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def holders() -> Iterator[list[subprocess.Popen[str]]]:
    children: list[subprocess.Popen[str]] = []
    yield children
    for child in children:
        child.kill()
        child.communicate()


def hold(holders: list[subprocess.Popen[str]], code: str, lock: Path) -> subprocess.Popen[str]:
    holder = start(code, lock)
    holders.append(holder)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("held_by", [KERNEL_HOLDER, FILELOCK_HOLDER], ids=["kernel", "filelock"])
@pytest.mark.parametrize("tried_by", [KERNEL_TRY, FILELOCK_TRY], ids=["kernel", "filelock"])
def test_kernel_and_filelock_exclude_each_other(
    holders: list[subprocess.Popen[str]], lock: Path, held_by: str, tried_by: str
) -> None:
    holder = hold(holders, held_by, lock)
    inode = lock.stat().st_ino
    assert run(tried_by, lock, 0.05)[0] == 7
    holder.communicate("")
    assert run(tried_by, lock, 30) == (0, "had\n")
    assert lock.stat().st_ino == inode


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lists its locks")
def test_holder_that_does_not_sign_is_named_by_the_kernel_not_by_old_content(
    holders: list[subprocess.Popen[str]], lock: Path
) -> None:
    killed = hold(holders, KERNEL_HOLDER, lock)
    killed.kill()
    killed.wait()
    assert f'"pid": {killed.pid}' in lock.read_text()
    holder = hold(holders, FILELOCK_HOLDER, lock)
    status, output = run(KERNEL_TRY, lock, 0.05)
    assert status == 7
    assert f"pid {killed.pid} " not in output
    assert f"pid {holder.pid} " in output or "another process" in output


@pytest.mark.parametrize("holder_code", [KERNEL_HOLDER, WEAK_HOLDER], ids=["strong", "weak"])
def test_lock_of_a_killed_holder_is_free(holders: list[subprocess.Popen[str]], lock: Path, holder_code: str) -> None:
    holder = hold(holders, holder_code, lock)
    holder.kill()
    holder.wait()
    for code in (KERNEL_TRY, KERNEL_TRY.replace("Console(),", "Console(), system_lock=no_locks,")):
        status, output = run(code, lock, 30)
        assert status == 0, output


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="zombies are seen in /proc")
def test_weak_lock_of_a_killed_but_unreaped_holder_is_free(holders: list[subprocess.Popen[str]], lock: Path) -> None:
    holder = hold(holders, WEAK_HOLDER, lock)
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert run(KERNEL_TRY, lock, 30)[0] == 0


@posix_only
def test_stopped_holder_is_named_in_the_timeout(holders: list[subprocess.Popen[str]], lock: Path) -> None:
    holder = hold(holders, KERNEL_HOLDER, lock)
    os.kill(holder.pid, signal.SIGSTOP)
    status, output = run(KERNEL_TRY, lock, 0.2)
    os.kill(holder.pid, signal.SIGCONT)
    assert status == 7
    assert f"pid {holder.pid} on " in output
    assert "since" in output
    assert str(lock) in output
    assert "Traceback" not in output


def test_waiter_says_for_whom_then_gives_signs_of_life_then_has_the_lock(
    holders: list[subprocess.Popen[str]], lock: Path
) -> None:
    holder = hold(holders, KERNEL_HOLDER, lock)
    quick = "locking.SECONDS_BETWEEN_SIGNS_OF_LIFE = 0.1\n"
    waiter = start(PRELUDE + quick + "with locking.FileLock(path, Console()): print('had')", lock)
    holders.append(waiter)
    assert waiter.stderr is not None
    lines = [waiter.stderr.readline() for _line in range(3)]
    for line in lines:
        assert line.startswith(f"waiting for pid {holder.pid} on ")
    assert "(2 s)" in lines[0]
    holder.communicate("")
    assert waiter.communicate(timeout=60)[0] == "had\n"


@posix_only
def test_waiter_is_interrupted_at_once(holders: list[subprocess.Popen[str]], lock: Path) -> None:
    hold(holders, KERNEL_HOLDER, lock)
    code = (
        PRELUDE + "locking.SECONDS_BEFORE_A_WAIT_IS_SAID = 0\ntry:\n    locking.FileLock(path, Console()).acquire()\n"
    )
    waiter = start(code + "except KeyboardInterrupt:\n    sys.exit(130)", lock)
    holders.append(waiter)
    assert waiter.stderr is not None
    assert waiter.stderr.readline().startswith("waiting for")
    os.kill(waiter.pid, signal.SIGINT)
    waiter.communicate(timeout=60)
    assert waiter.returncode == 130


@posix_only
def test_grandchild_that_outlives_the_holder_has_no_lock(holders: list[subprocess.Popen[str]], lock: Path) -> None:
    grandchild = "subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], close_fds=False, stdout=2)"
    code = PRELUDE + f"import subprocess\nwith locking.FileLock(path, Console()):\n    {grandchild}\n    {HOLD}"
    holder = hold(holders, code, lock)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert run(KERNEL_TRY, lock, 30) == (0, "had\n")


@pytest.mark.parametrize("system_lock", ["locking.lock_descriptor", "no_locks"], ids=["strong", "weak"])
def test_many_processes_build_once(lock: Path, tmp_path: Path, system_lock: str) -> None:
    code = (
        PRELUDE
        + f"""
with locking.FileLock(path, Console(verbosity=-1), system_lock={system_lock}):
    inside = path + ".inside"
    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
    if not os.path.exists(path + ".built"):
        with open(path + ".builds", "a") as stream: stream.write("build\\n")
        with open(path + ".built", "w"): pass
    os.unlink(inside)
"""
    )
    children = [start(code, lock) for _number in range(20)]
    results = [(child.communicate(timeout=120)[1], child.returncode) for child in children]
    assert [status for _output, status in results] == [0] * 20, results
    assert (tmp_path / "lock.builds").read_text() == "build\n"
    assert not (tmp_path / "lock.held").exists()


def test_refusal_by_the_kernel_itself_leads_to_the_weak_form_and_is_told_once(lock: Path) -> None:
    if not support.strace_works():
        pytest.skip("no process may be traced here")
    code = PRELUDE + "with locking.FileLock(path, Console()): print(sorted(os.listdir(os.path.dirname(path))))"
    refused = ["strace", "-f", "-o", os.devnull, "-e", "trace=flock", "-e", "inject=flock:error=EOPNOTSUPP"]
    done = subprocess.run(
        [*refused, sys.executable, "-c", code, str(lock)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert (done.returncode, done.stdout) == (0, "['lock', 'lock.held']\n"), done.stderr
    assert done.stderr.count("warning") == 1
    assert os.listdir(lock.parent) == ["lock"]


def test_weak_lock_survives_a_storm_of_killed_holders(lock: Path, tmp_path: Path) -> None:
    code = (
        PRELUDE
        + """
for number in range(5):
    lock = locking.FileLock(path, Console(verbosity=-1), system_lock=no_locks)
    lock.acquire()
    os.close(os.open(path + ".inside-%d" % os.getpid(), os.O_CREAT | os.O_EXCL))
    others = [name for name in os.listdir(os.path.dirname(path)) if ".inside-" in name]
    if len(others) != 1:
        print("not alone", others)
        os._exit(9)
    os.unlink(path + ".inside-%d" % os.getpid())
    if number == 4:
        os.kill(os.getpid(), 9) if hasattr(os, "fork") else os._exit(1)
    lock.release()
"""
    )
    children = [start(code, lock) for _number in range(8)]
    results = [(child.communicate(timeout=120), child.returncode) for child in children]
    assert all(status in (-9, 1) for _output, status in results), results
    assert run(KERNEL_TRY, lock, 30)[0] == 0
