"""The file lock: one process works, the others wait and say for whom (docs/developers/state-directory.md)."""

import errno
import json
import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator

from protoprimer.errors import InstallError, LockTimeoutError
from protoprimer.system.console import SECONDS_BETWEEN_SIGNS_OF_LIFE, Console
from protoprimer.system.files import (
    content_of,
    is_full_place,
    json_table,
    names_in,
    remove_tree,
    text_of,
    write_atomically,
)
from protoprimer.system.platform import boot_identifier, first_line_of, host_name, is_windows, machine_identifier
from protoprimer.system.processes import pid_is_alive

__all__ = [
    "FileLock",
    "disk_failure",
    "lock_descriptor",
    "process_is_gone",
    "this_process",
    "told_as_disk_failure",
    "utc_time",
]

SECONDS_BEFORE_A_WAIT_IS_SAID = 2.0
_FIRST_SECONDS_BETWEEN_TRIES = 0.001
_LONGEST_SECONDS_BETWEEN_TRIES = 0.05
# proc(5): where the state and the start are among the fields after a process's name, which is in parentheses.
_FIELD_OF_STATE = 0
_FIELD_OF_START = 19
# Nobody can read byte 0, which Windows locks.
_START_OF_HOLDER = 1
_LONGEST_HOLDER = 4096
# What a file system without locks answers; EINVAL is FUSE's.
_LOCK_REFUSALS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF)


def disk_failure(action: str, path: str, error: OSError) -> InstallError:
    """Return the error that `action` ("write the record") failed, with what to do."""
    advice = "look at what is there, then run again"
    if is_full_place(error):
        advice = "free some space there, then run again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "make it writable for you, or set state-dir to a directory that is"
    return InstallError("cannot %s: %s" % (action, error.strerror or error), path, advice)


@contextmanager
def told_as_disk_failure(action: str, path: str) -> "Iterator[None]":
    """Raise `disk_failure` for an OSError within the block."""
    try:
        yield
    except OSError as error:
        raise disk_failure(action, path, error) from error


def this_process() -> "dict[str, Any]":
    """Return what names this process, and tells others whether it has ended."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except (OSError, AttributeError):
        namespace = ""
    return {
        "pid": os.getpid(),
        "host": host_name(),
        "machine": machine_identifier(),
        "boot": boot_identifier(),
        # A container may share its host's name and boot, but not its pids.
        "namespace": namespace,
        "start": _start_of_process(os.getpid()),
        "since": utc_time(time.time()),
    }


def utc_time(seconds: float) -> str:
    """Return a time as text that sorts."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def process_is_gone(holder: "dict[str, Any]") -> bool:
    """Tell whether a process, as `this_process` described it, has certainly ended."""
    here = this_process()
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    if holder.get("machine") != here["machine"]:
        return False
    if holder.get("boot") != here["boot"]:
        # Copied machines may share one identifier.
        return bool(holder.get("host") == here["host"])
    if holder.get("namespace") != here["namespace"]:
        return False
    if not pid_is_alive(pid):
        return True
    start = _start_of_process(pid)
    if not start:
        # This host does not tell it.
        return False
    # Else another process has been given its pid.
    return bool(start != holder.get("start"))


def _start_of_process(pid: int) -> str:
    """Return when a process started, in a form of the host's, or `ended`; empty where the host does not tell."""
    fields = first_line_of("/proc/%d/stat" % pid).rpartition(")")[2].split()
    if len(fields) <= _FIELD_OF_START:
        return ""
    if fields[_FIELD_OF_STATE] in ("Z", "X"):
        return "ended"
    return fields[_FIELD_OF_START]


def lock_descriptor(descriptor: int) -> bool:
    """Lock an open file, if it is free; tell whether it was."""
    try:
        _call_system_lock(descriptor, True)
    except OSError as error:
        # Wine's C library tells 0.
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK, errno.EINTR, 0):
            return False
        raise
    return True


def _call_system_lock(descriptor: int, take: bool) -> None:
    # As `filelock.FileLock` does, so that both exclude each other.
    if is_windows():
        import msvcrt

        # What is locked are bytes, from the file's position on.
        os.lseek(descriptor, 0, os.SEEK_SET)
        mode = msvcrt.LK_NBLCK if take else msvcrt.LK_UNLCK  # type: ignore[attr-defined,unused-ignore]
        msvcrt.locking(descriptor, mode, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        operation = fcntl.LOCK_EX | fcntl.LOCK_NB if take else fcntl.LOCK_UN
        fcntl.flock(descriptor, operation)


class FileLock:
    """An exclusive lock between processes and between objects, whose file is never deleted.

    :param system_lock: only tests pass another
    :param prepare: what creates the file's directory
    """

    def __init__(
        self,
        path: str,
        console: Console,
        timeout: "float | None" = None,
        system_lock: "Callable[[int], bool]" = lock_descriptor,
        prepare: "Callable[[], None]" = lambda: None,
    ) -> None:
        self.path = path
        self._held = path + ".held"
        self._console = console
        self._timeout = float("inf") if timeout is None else timeout
        self._system_lock = system_lock
        self._prepare = prepare
        self._is_weak = False
        self._descriptor = -1
        self._owner = 0
        self._token = ""

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, or wait and say for whom.

        :raises LockTimeoutError: exit code 7
        :raises InstallError: the lock file cannot be opened, or is no plain file
        """
        started = time.monotonic()
        words_due = SECONDS_BEFORE_A_WAIT_IS_SAID
        delay = _FIRST_SECONDS_BETWEEN_TRIES
        while not self._try_to_acquire():
            waited = time.monotonic() - started
            if waited >= self._timeout:
                raise self._timeout_error(waited)
            if waited >= words_due:
                words_due = waited + SECONDS_BETWEEN_SIGNS_OF_LIFE
                self._console.say("waiting for %s (%d s)" % (self._name_of_holder(), waited))
            time.sleep(min(delay, self._timeout - waited))
            delay = min(delay * 2, _LONGEST_SECONDS_BETWEEN_TRIES)
        self._owner = os.getpid()

    def release(self) -> None:
        """Give the lock back; in a forked child it stays the parent's."""
        if self._owner == os.getpid():
            if self._token:
                _leave_held_directory(self._held, self._token)
            else:
                self._give_back_file()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._owner = 0
        self._token = ""
        self._descriptor = -1

    def _give_back_file(self) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        with suppress(OSError):
            # Closing would not do: a child forked meanwhile may have the descriptor too.
            _call_system_lock(self._descriptor, False)

    def _try_to_acquire(self) -> bool:
        self._prepare()
        descriptor = _open_lock_file(self.path)
        is_locked = False
        try:
            if not self._is_weak:
                is_locked = self._try_strongly(descriptor)
        finally:
            if not is_locked:
                os.close(descriptor)
        if is_locked:
            self._descriptor = descriptor
            return True
        if self._is_weak:
            return self._try_weakly()
        return False

    def _try_strongly(self, descriptor: int) -> bool:
        try:
            if not self._system_lock(descriptor):
                return False
            if not self._may_keep(descriptor):
                return False
        except OSError as error:
            if error.errno not in _LOCK_REFUSALS:
                raise disk_failure("lock the lock file", self.path, error) from error
            self._is_weak = True
            warning = "the file system refuses file locks (%s): using %s instead, which only protoprimer respects"
            self._console.warn(warning % (error.strerror, self._held))
            return False
        # The lock is held even if this fails.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b" " * _START_OF_HOLDER + _holder_text())
        return True

    def _may_keep(self, descriptor: int) -> bool:
        """Tell whether it is the lock of this path that we have, and nobody holds its weak form."""
        if not _is_file_at(self.path, descriptor):
            return False
        # Refusals may be passing (ENOLCK), so somebody may hold it.
        name, holder = _weak_holder(self._held)
        return not name or process_is_gone(holder)

    def _try_weakly(self) -> bool:
        strong_holder = _written_holder(self.path)
        if strong_holder.get("machine") == machine_identifier() and not process_is_gone(strong_holder):
            return False
        name, holder = _weak_holder(self._held)
        if name and not process_is_gone(holder):
            return False
        with told_as_disk_failure("create the lock directory", self._held):
            if name:
                # This can only end the dead holder's possession, never a new one's.
                _leave_held_directory(self._held, name)
            self._token = _enter_held_directory(self._held)
        return bool(self._token)

    def _name_of_holder(self) -> str:
        _, holder = _weak_holder(self._held)
        if not holder:
            holder = _written_holder(self.path)
        pid = _pid_known_to_kernel(self.path)
        if pid and pid != holder.get("pid"):
            # filelock does not sign: what is written is an earlier holder's, who was killed.
            holder = {"pid": pid, "host": host_name()}
        if not holder.get("pid") or process_is_gone(holder):
            return "another process, which holds %s" % self.path
        name = "pid %s on %s" % (holder["pid"], holder.get("host"))
        if holder.get("since"):
            name += ", which has held %s since %s" % (self.path, holder["since"])
        return name

    def _timeout_error(self, waited: float) -> LockTimeoutError:
        advice = "wait for that process or end it, then run again; lock-timeout sets how many seconds to wait"
        if self._is_weak:
            advice += "; if it is certainly gone, remove " + self._held
        cause = "waited %.1f s for the lock of %s" % (waited, self._name_of_holder())
        return LockTimeoutError(cause, self.path, advice)


def _open_lock_file(path: str) -> int:
    flags = os.O_CREAT | os.O_RDWR
    # Each of these where the system has it.
    flags |= getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_BINARY", 0)
    with told_as_disk_failure("open the lock file", path):
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise InstallError("the lock file is no regular file", path, "remove it, then run again")
        return os.open(path, flags, 0o644)


def _is_file_at(path: str, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def _written_holder(path: str) -> "dict[str, Any]":
    with suppress(OSError), open(path, "rb", buffering=0) as stream:
        stream.seek(_START_OF_HOLDER)
        return json_table(stream.read(_LONGEST_HOLDER))
    return {}


def _pid_known_to_kernel(path: str) -> int:
    """Return the pid of the holder of a file's lock as Linux tells it, 0 elsewhere."""
    locks = text_of("/proc/locks")
    try:
        status = os.stat(path)
        place = (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    except (OSError, AttributeError):
        # A device on Windows has no such numbers.
        return 0
    # proc(5): "7: FLOCK  ADVISORY  WRITE 4242 fd:01:1311 0 EOF".
    found = re.search(r"FLOCK +ADVISORY +WRITE +(\d+) %02x:%02x:%d " % place, locks)
    return int(found.group(1)) if found else 0


def _holder_text() -> bytes:
    return json.dumps(this_process(), sort_keys=True).encode("ascii") + b"\n"


def _weak_holder(held: str) -> "tuple[str, dict[str, Any]]":
    """Return the name of the file in the lock's directory, which is never used twice, and the process in it."""
    names = names_in(held)
    if not names:
        return "", {}
    return names[0], json_table(content_of(held, names[0]))


def _enter_held_directory(held: str) -> str:
    # It can be renamed to a free name or onto an empty directory only: no lock is seen without its holder.
    token = os.urandom(16).hex()
    candidate = "%s-%s" % (held, token)
    os.mkdir(candidate)
    try:
        write_atomically(os.path.join(candidate, token), _holder_text())
        with suppress(OSError):
            # Windows renames onto no directory, not even an empty one.
            os.rmdir(held)
        with suppress(OSError):
            os.rename(candidate, held)
        # NFS may report a failure for a rename that it did.
        is_held = os.path.exists(os.path.join(held, token))
        return token if is_held else ""
    finally:
        if os.path.exists(candidate):
            remove_tree(candidate)


def _leave_held_directory(held: str, name: str) -> None:
    with suppress(OSError):
        os.unlink(os.path.join(held, name))
        os.rmdir(held)
