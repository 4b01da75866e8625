"""The file lock within one process: what is refused, what is written, and the form for file systems without locks."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.errors import InstallError, LockTimeoutError, PrimerError
from protoprimer.store.file_lock import FileLock, lock_descriptor, process_is_gone, this_process
from protoprimer.system.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSALS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL]


def refusing_with(number: int) -> Callable[[int], bool]:
    def refuse(_descriptor: int) -> bool:
        raise OSError(number, os.strerror(number))

    return refuse


def no_locks(_descriptor: int) -> bool:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def ended_process() -> dict[str, Any]:
    code = "import json; from protoprimer.store.file_lock import this_process; print(json.dumps(this_process()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, env=with_sources())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def with_sources() -> dict[str, str]:
    import protoprimer

    return {**os.environ, "PYTHONPATH": os.path.dirname(protoprimer.__path__[0])}


def hold_weakly(path: Path, holder: dict[str, Any]) -> Path:
    held = path.with_name(path.name + ".held")
    held.mkdir()
    (held / "token").write_text(json.dumps(holder))
    return held


@pytest.fixture
def words() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(words: io.StringIO) -> Console:
    return Console(stream=words)


def test_two_locks_of_one_process_exclude_each_other(tmp_path: Path, console: Console) -> None:
    path = str(tmp_path / "lock")
    with FileLock(path, console), pytest.raises(LockTimeoutError), FileLock(path, console, timeout=0):
        pass
    with FileLock(path, console, timeout=0):
        pass


def test_holder_is_written_while_held_and_emptied_after(tmp_path: Path, console: Console) -> None:
    path = tmp_path / "lock"
    with FileLock(str(path), console):
        content = path.read_bytes()
        assert content[:1] == b" "
        holder = json.loads(content)
        assert (holder["pid"], holder["host"]) == (os.getpid(), this_process()["host"])
        assert holder["since"].endswith("Z")
    assert path.read_bytes() == b""


def test_content_of_a_lock_held_by_another_is_not_touched(tmp_path: Path, console: Console) -> None:
    path = tmp_path / "lock"
    with FileLock(str(path), console):
        before = path.read_bytes()
        with pytest.raises(LockTimeoutError):
            FileLock(str(path), console, timeout=0).acquire()
        assert path.read_bytes() == before


def test_timeout_names_pid_host_path_seconds_and_what_to_do(tmp_path: Path, console: Console) -> None:
    path = str(tmp_path / "lock")
    with FileLock(path, console), pytest.raises(LockTimeoutError) as raised:
        FileLock(path, console, timeout=0.01).acquire()
    text = str(raised.value)
    assert raised.value.exit_code == 7
    for part in (f"pid {os.getpid()} ", this_process()["host"], path, " s for ", "since", "lock-timeout"):
        assert part in text


@pytest.mark.parametrize("content", [b"", b"\0\xff\xfe garbage", b" [1, 2]", b" null", b'{"pid": "x"}', b" {"])
def test_content_that_says_nothing_is_no_obstacle(tmp_path: Path, console: Console, content: bytes) -> None:
    path = tmp_path / "lock"
    with FileLock(str(path), console):
        path.write_bytes(content)
        with pytest.raises(LockTimeoutError) as raised:
            FileLock(str(path), console, timeout=0).acquire()
    assert "another process" in str(raised.value) or f"pid {os.getpid()} " in str(raised.value)
    path.write_bytes(content)
    with FileLock(str(path), console, timeout=0):
        pass


def test_planted_link_is_refused_and_its_target_untouched(tmp_path: Path, console: Console) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "lock").symlink_to(precious)
    with pytest.raises(InstallError, match="no regular file"):
        FileLock(str(tmp_path / "lock"), console).acquire()
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("kind", ["dangling link", "directory", "no directory", "file as directory", "fifo"])
def test_impossible_place_is_a_clear_error(tmp_path: Path, console: Console, kind: str) -> None:
    path = tmp_path / "lock"
    if kind == "dangling link":
        path.symlink_to(tmp_path / "nothing")
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no fifos here")
        os.mkfifo(path)
    else:
        path = tmp_path / "parent" / "lock"
        if kind == "file as directory":
            (tmp_path / "parent").write_text("")
    with pytest.raises(PrimerError) as raised:
        FileLock(str(path), console, timeout=0).acquire()
    assert raised.value.exit_code == 6
    assert str(path) in str(raised.value)
    assert raised.value.advice
    assert not (tmp_path / "nothing").exists()


def test_other_failures_of_the_disk_are_reported_not_worked_around(tmp_path: Path, console: Console) -> None:
    with pytest.raises(InstallError, match=os.strerror(errno.EIO)):
        FileLock(str(tmp_path / "lock"), console, system_lock=refusing_with(errno.EIO)).acquire()
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]


def test_lock_file_deleted_by_somebody_is_not_held_in_vain(tmp_path: Path, console: Console) -> None:
    path = tmp_path / "lock"
    tries = []

    def deleted_while_locking(descriptor: int) -> bool:
        tries.append(descriptor)
        if len(tries) == 1:
            path.unlink()
        return lock_descriptor(descriptor)

    with FileLock(str(path), console, system_lock=deleted_while_locking):
        assert len(tries) == 2
        with pytest.raises(LockTimeoutError):
            FileLock(str(path), console, timeout=0).acquire()


def test_interrupted_wait_leaves_no_descriptor_and_no_lock(tmp_path: Path, console: Console) -> None:
    def interrupt(_descriptor: int) -> bool:
        raise KeyboardInterrupt

    lock = FileLock(str(tmp_path / "lock"), console, system_lock=interrupt)
    with pytest.raises(KeyboardInterrupt):
        lock.acquire()
    with FileLock(str(tmp_path / "lock"), console, timeout=0):
        pass


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_does_not_give_the_parents_lock_back(tmp_path: Path, console: Console) -> None:
    path = str(tmp_path / "lock")
    lock = FileLock(path, console)
    with lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(LockTimeoutError):
            FileLock(path, console, timeout=0).acquire()


@pytest.mark.parametrize("number", REFUSALS)
def test_file_system_without_locks_gets_the_weaker_form_with_one_warning(
    tmp_path: Path, console: Console, words: io.StringIO, number: int
) -> None:
    path = str(tmp_path / "lock")
    lock = FileLock(path, console, system_lock=refusing_with(number))
    for _round in range(2):
        with lock, pytest.raises(LockTimeoutError) as raised:
            FileLock(path, Console(stream=io.StringIO()), timeout=0, system_lock=refusing_with(number)).acquire()
        assert f"pid {os.getpid()} " in str(raised.value)
        assert ".held" in str(raised.value)
    assert words.getvalue().count("warning") == 1
    assert os.listdir(tmp_path) == ["lock"]


def test_weaker_form_respects_a_holder_of_the_system_lock_and_the_reverse(tmp_path: Path, console: Console) -> None:
    path = str(tmp_path / "lock")
    with FileLock(path, console), pytest.raises(LockTimeoutError):
        FileLock(path, console, timeout=0, system_lock=no_locks).acquire()
    with FileLock(path, console, system_lock=no_locks), pytest.raises(LockTimeoutError):
        FileLock(path, console, timeout=0).acquire()


def test_weaker_form_is_taken_from_a_dead_holder(tmp_path: Path, console: Console) -> None:
    path = tmp_path / "lock"
    hold_weakly(path, ended_process())
    with FileLock(str(path), console, timeout=0, system_lock=no_locks):
        pass
    assert os.listdir(tmp_path) == ["lock"]


def test_weaker_form_is_taken_after_a_reboot_and_when_the_pid_was_given_to_another(
    tmp_path: Path, console: Console
) -> None:
    for change in ({"boot": "another"}, {"start": "1"}):
        if not this_process()["boot"]:
            pytest.skip("this host does not tell its boots apart")
        hold_weakly(tmp_path / "lock", {**this_process(), **change})
        with FileLock(str(tmp_path / "lock"), console, timeout=0, system_lock=no_locks):
            pass


@pytest.mark.parametrize("change", [{"machine": "elsewhere"}, {"namespace": "pid:[1]"}, {"pid": "?"}])
def test_weaker_form_waits_for_a_holder_whose_end_cannot_be_known(
    tmp_path: Path, console: Console, change: dict[str, Any]
) -> None:
    path = tmp_path / "lock"
    held = hold_weakly(path, {**ended_process(), **change})
    with pytest.raises(LockTimeoutError) as raised:
        FileLock(str(path), console, timeout=0, system_lock=no_locks).acquire()
    assert f"remove {held}" in str(raised.value)
    assert (held / "token").exists()


def test_weaker_form_never_steals_from_garbage(tmp_path: Path, console: Console) -> None:
    held = tmp_path / "lock.held"
    held.mkdir()
    (held / "token").write_bytes(b"")
    with pytest.raises(LockTimeoutError):
        FileLock(str(tmp_path / "lock"), console, timeout=0, system_lock=no_locks).acquire()


def test_weaker_form_takes_what_a_half_done_release_left(tmp_path: Path, console: Console) -> None:
    (tmp_path / "lock.held").mkdir()
    with FileLock(str(tmp_path / "lock"), console, timeout=0, system_lock=no_locks):
        pass


def test_this_process_is_not_gone_and_an_ended_one_is() -> None:
    assert not process_is_gone(this_process())
    assert process_is_gone(ended_process())
    assert not process_is_gone({})
