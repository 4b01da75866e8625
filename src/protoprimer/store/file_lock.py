"""The file lock: one process works, the others wait and say for whom.

On POSIX it is `flock(2)`, on Windows the lock of byte 0, so it excludes `filelock.FileLock` on the same file. The
file is never deleted: waiters would then hold locks on different files of one name.
`docs/developers/state-directory.md` has the protocol for file systems that refuse such locks.
"""

import errno
import json
import os
import stat
import sys
import time

from protoprimer.errors import InstallError, LockTimeoutError
from protoprimer.system.console import SECONDS_BETWEEN_SIGNS_OF_LIFE, Console
from protoprimer.system.files import remove_tree
from protoprimer.system.platform import boot_identifier, first_line_of, is_windows, machine_identifier
from protoprimer.system.processes import pid_is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

__all__ = ["FileLock", "disk_failure", "lock_descriptor", "process_is_gone", "this_process"]

SECONDS_BEFORE_A_WAIT_IS_SAID = 2.0
_SHORTEST_SECONDS_BETWEEN_TRIES = 0.001
_LONGEST_SECONDS_BETWEEN_TRIES = 0.05
# What a file system without locks answers. EINVAL: some FUSE ones, which know the call but not the operation.
_LOCK_REFUSALS = frozenset(
    getattr(errno, name)
    for name in ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EINVAL", "EBADF")
    if hasattr(errno, name)
)


def disk_failure(action: str, path: str, error: OSError) -> InstallError:
    """Return the error (exit code 6) that says that `action` ("write the record") failed at `path`, and what to do."""
    advice = "look at that disk, then run again"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", -1)):
        advice = "free some space there, then run again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "make it writable for you, or set state-dir to a directory that is"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        advice = "run again; if it stays so, something else removes it"
    return InstallError("cannot %s: %s" % (action, error.strerror or error), place=path, advice=advice)


def this_process(what: str) -> "dict[str, Any]":
    """Return what others need to name this process, and to find out whether it is still there."""
    return {
        "pid": os.getpid(),
        "host": os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "this host"),
        "machine": machine_identifier(),
        "boot": boot_identifier(),
        # A container may share its host's name and boot, but pids mean something else there.
        "namespace": _pid_namespace(),
        "start": _start_of_process(os.getpid()),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "what": what,
    }


def process_is_gone(holder: "dict[str, Any]") -> bool:
    """Tell whether the process that `this_process` described has certainly ended.

    On another machine, and in another container, nobody can tell. Machines may be copies of each other that have one
    identifier, so that an earlier start of this computer is known by its name as well.
    """
    here = this_process("")
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 0 or holder.get("machine") != here["machine"]:
        return False
    if holder.get("boot") != here["boot"]:
        return bool(holder.get("host") == here["host"])
    if holder.get("namespace") != here["namespace"]:
        return False
    if not pid_is_alive(pid):
        return True
    start = _start_of_process(pid)
    return bool(start) and start != holder.get("start")


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except (OSError, AttributeError):
        return ""


def _start_of_process(pid: int) -> str:
    # proc(5): after the name in parentheses come the state and, as 22nd field of all, the start in clock ticks.
    fields = first_line_of("/proc/%d/stat" % pid).rpartition(")")[2].split()
    if len(fields) < 20:
        return ""
    return "ended" if fields[0] in ("Z", "X") else fields[19]


def lock_descriptor(descriptor: int) -> bool:
    """Try to take the system's exclusive lock of an open file, without waiting; tell whether it was had.

    :raises OSError: the file system refuses locks, or failed
    """
    try:
        if is_windows():
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            return True
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except ImportError as error:
        raise OSError(errno.ENOSYS, str(error)) from error
    except OSError as error:
        # No number at all is what the C library of Wine tells.
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK, errno.EINTR, 0):
            return False
        raise


def _unlock_descriptor(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
    except OSError:
        pass
    try:
        if is_windows():
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            # Closing is not enough: a child forked meanwhile may have the descriptor too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    except (OSError, ImportError):
        pass


def _open_lock_file(path: str) -> int:
    flags = os.O_CREAT | os.O_RDWR
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
        flags |= getattr(os, name, 0)
    advice = "remove it, then run again"
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            raise InstallError("the lock file is a directory", place=path, advice=advice)
        if os.path.islink(path):
            raise InstallError("the lock file is a symbolic link, which is not followed", place=path, advice=advice)
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        raise disk_failure("open the lock file", path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InstallError("the lock file is not a regular file", place=path, advice=advice)
    return descriptor


def _parse_holder(content: bytes) -> "dict[str, Any]":
    try:
        holder = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _pid_known_to_kernel(descriptor: int) -> int:
    # proc(5), /proc/locks: "7: FLOCK  ADVISORY  WRITE 4242 fd:01:1311 0 EOF"; waiting ones have "->" after the number.
    status = os.fstat(descriptor)
    try:
        place = "%02x:%02x:%d" % (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
        with open("/proc/locks", encoding="ascii") as stream:
            for line in stream:
                fields = line.split()
                if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place and fields[4].isdigit():
                    return int(fields[4])
    except (OSError, ValueError, AttributeError):
        pass
    return 0


class FileLock:
    """An exclusive lock between processes, and between two of these objects in one process.

    Who has it can take the same object again; the first to have taken it gives it back.

    :param path: the lock file
    :param timeout: seconds to wait; `None` waits as long as it takes
    :param system_lock: what takes the system's lock; only tests pass another
    :param prepare: called before the file is opened, such as to create its directory; without, that is there
    """

    def __init__(
        self,
        path: str,
        console: Console,
        timeout: "float | None" = None,
        system_lock: "Callable[[int], bool]" = lock_descriptor,
        prepare: "Callable[[], None] | None" = None,
    ) -> None:
        self.path = path
        self.is_weak = False
        self._prepare = prepare
        self._depth = 0
        self._console = console
        self._timeout = timeout
        self._system_lock = system_lock
        self._descriptor = -1
        self._owner = 0
        self._token = ""

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def acquire(self, unless: "Callable[[], bool] | None" = None) -> bool:
        """Take the lock; after two seconds say for whom this waits, then give a sign of life every ten.

        :param unless: asked between two tries; once it holds, the lock is no longer wanted, and `False` is returned
        :raises LockTimeoutError: it was not had in time (exit code 7)
        :raises InstallError: the lock file cannot be opened or is not a plain file (exit code 6)
        """
        if self._owner == os.getpid():
            self._depth += 1
            return True
        started = time.monotonic()
        words_due = SECONDS_BEFORE_A_WAIT_IS_SAID
        delay = _SHORTEST_SECONDS_BETWEEN_TRIES
        try:
            while not self._try_to_acquire():
                waited = time.monotonic() - started
                if self._timeout is not None and waited >= self._timeout:
                    raise self._timeout_error(waited)
                if waited >= words_due:
                    words_due = waited + SECONDS_BETWEEN_SIGNS_OF_LIFE
                    self._console.say("waiting for %s (%d s)" % (self._name_of_holder(), waited))
                time.sleep(delay if self._timeout is None else max(0.0, min(delay, self._timeout - waited)))
                delay = min(delay * 2, _LONGEST_SECONDS_BETWEEN_TRIES)
                if unless is not None and unless():
                    self._close()
                    return False
            self._owner = os.getpid()
            self._depth = 1
            return True
        except BaseException:
            self._close()
            raise

    def release(self) -> None:
        """Give the lock back; in a forked child it stays the parent's."""
        self._depth -= 1
        if self._depth > 0:
            return
        if self._owner == os.getpid():
            if self._token:
                _leave_held_directory(self.path + ".held", self._token)
            elif self._descriptor >= 0:
                _unlock_descriptor(self._descriptor)
        self._owner = 0
        self._token = ""
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try_to_acquire(self) -> bool:
        if self._descriptor < 0:
            if self._prepare is not None:
                self._prepare()
            self._descriptor = _open_lock_file(self.path)
        if not self.is_weak:
            try:
                return self._system_lock(self._descriptor) and self._confirm()
            except OSError as error:
                if error.errno not in _LOCK_REFUSALS:
                    raise disk_failure("lock the lock file", self.path, error) from error
                self.is_weak = True
                self._console.warn(
                    "the file system refuses file locks (%s): using %s.held instead, which only protoprimer respects"
                    % (error.strerror, self.path)
                )
        return self._try_weakly()

    def _confirm(self) -> bool:
        try:
            replaced = not os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except OSError:
            replaced = True
        # Refusals may be passing (ENOLCK), so somebody may hold the weak form at this moment.
        _name, weak_holder = _weak_holder(self.path + ".held")
        if replaced or (weak_holder and not process_is_gone(weak_holder)):
            self._close()
            return False
        self._write_holder()
        return True

    def _write_holder(self) -> None:
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            # Byte 0 is what Windows locks, hence unreadable for others there.
            os.write(self._descriptor, b" " + _holder_text())
        except OSError:
            # The lock is held all the same; others just do not learn by whom.
            pass

    def _written_holder(self) -> "dict[str, Any]":
        try:
            os.lseek(self._descriptor, 1, os.SEEK_SET)
            return _parse_holder(os.read(self._descriptor, 4096))
        except OSError:
            return {}

    def _try_weakly(self) -> bool:
        held = self.path + ".held"
        strong_holder = self._written_holder()
        if strong_holder.get("machine") == this_process("")["machine"] and not process_is_gone(strong_holder):
            return False
        name, holder = _weak_holder(held)
        if name and not process_is_gone(holder):
            return False
        try:
            if name:
                # Names are never used twice, so this can only end the dead holder's possession, never a new one's.
                _leave_held_directory(held, name)
            self._token = _enter_held_directory(held)
        except OSError as error:
            raise disk_failure("create the lock directory", held, error) from error
        return bool(self._token)

    def _name_of_holder(self) -> str:
        if self.is_weak:
            holder = _weak_holder(self.path + ".held")[1] or self._written_holder()
        else:
            holder = self._written_holder()
            pid = _pid_known_to_kernel(self._descriptor) if self._descriptor >= 0 else 0
            if pid and pid != holder.get("pid"):
                # filelock's holders do not sign; what is written is an earlier holder's.
                holder = {"pid": pid, "host": this_process("")["host"]}
            elif not pid and process_is_gone(holder):
                holder = {}
        if not holder.get("pid"):
            return "another process, which holds %s" % self.path
        since = ", which has held %s since %s" % (self.path, holder["since"]) if holder.get("since") else ""
        return "pid %s on %s%s" % (holder["pid"], holder.get("host"), since)

    def _timeout_error(self, waited: float) -> LockTimeoutError:
        advice = "wait for that process or end it, then run again; lock-timeout sets how many seconds to wait"
        if self.is_weak:
            advice += "; if it is certainly gone, remove %s.held" % self.path
        return LockTimeoutError(
            "waited %.1f s for the lock of %s" % (waited, self._name_of_holder()), place=self.path, advice=advice
        )


def _holder_text() -> bytes:
    what = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    return json.dumps(this_process(what), sort_keys=True).encode("ascii") + b"\n"


def _weak_holder(held: str) -> "tuple[str, dict[str, Any]]":
    try:
        for name in os.listdir(held):
            with open(os.path.join(held, name), "rb") as stream:
                return name, _parse_holder(stream.read(4096)) or {"pid": "unknown", "host": "an unknown host"}
    except OSError:
        pass
    return "", {}


def _enter_held_directory(held: str) -> str:
    """Become the holder by renaming a directory with our name in it to `held`; return that name, or an empty one.

    A directory can be renamed to a name that is free or an empty directory, never onto one with content: so the
    step is atomic, and nobody sees a lock without its holder.
    """
    import uuid

    token = uuid.uuid4().hex
    candidate = "%s-%s" % (held, token)
    os.mkdir(candidate)
    try:
        with open(os.path.join(candidate, token), "wb") as stream:
            stream.write(_holder_text())
            stream.flush()
            os.fsync(stream.fileno())
        try:
            # Windows renames onto no directory, not even an empty one; a full one stays.
            os.rmdir(held)
        except OSError:
            pass
        try:
            os.rename(candidate, held)
        except OSError:
            pass
        # Asked of the disk, as NFS may report a failure for a rename that it did.
        return token if os.path.exists(os.path.join(held, token)) else ""
    finally:
        if os.path.exists(candidate):
            remove_tree(candidate)


def _leave_held_directory(held: str, name: str) -> None:
    for remove, path in ((os.unlink, os.path.join(held, name)), (os.rmdir, held)):
        try:
            remove(path)
        except OSError:
            pass
