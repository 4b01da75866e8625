"""A child process whose output is kept: started here where that is safe, as importing `subprocess` costs more."""

import errno
import os
import sys
import time

from protoprimer.system.host import signal_module
from protoprimer.system.waiting import release_waiting

__all__ = ["PopenChild", "SpawnedChild", "start_child"]

_PIPE_BYTES = 65536
# Between the end of a child's output and its own: the first look at it after this time, the next after twice as long.
_SECONDS_TO_END = 0.0002
_LONGEST_LOOK_SECONDS = 0.02


def start_child(
    arguments: "list[str]", cwd: "str | None", environ: "dict[str, str]", input_bytes: "bytes | None"
) -> "SpawnedChild | PopenChild":
    """Start a program with its stdout and stderr kept and nothing else of ours open.

    :param arguments: the program, looked up on `environ`'s PATH if it has no slash, and its arguments
    :param input_bytes: what it reads from stdin; `None`: nothing
    :raises OSError: it could not be started, or `cwd` could not be entered
    :raises ValueError: a NUL in one of the texts
    """
    release_waiting()
    threads = sys.modules.get("threading")
    has_threads = threads is not None and threads.active_count() > 1
    if has_threads or not hasattr(os, "posix_spawn"):
        return PopenChild(arguments, cwd, environ, input_bytes)
    return SpawnedChild(arguments, cwd, environ, input_bytes)


class SpawnedChild:
    """A child of a process with one thread: starting it changes the working directory for a moment.

    `output`, `errors` and `status` (exit status; negative is the signal that ended it) are those of the moment.
    """

    def __init__(
        self, arguments: "list[str]", cwd: "str | None", environ: "dict[str, str]", input_bytes: "bytes | None"
    ) -> None:
        program = _program_on_path(arguments[0], environ)
        opened = []  # type: list[int]
        self._input = None  # type: int | None
        try:
            if input_bytes is None:
                stdin = _nothing(opened)
            else:
                stdin, self._input = _pipe(opened)
            (self._output, stdout), (self._errors, stderr) = _pipe(opened), _pipe(opened)
            with _WorkingDirectory(cwd):
                self.pid = _spawned(program, arguments, environ, [stdin, stdout, stderr])
        except BaseException:
            for descriptor in opened:
                os.close(descriptor)
            raise
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        if self._input is not None:
            os.set_blocking(self._input, False)
        self.status = None  # type: int | None
        self._waiting = memoryview(input_bytes or b"")
        self._parts = {self._output: [], self._errors: []}  # type: dict[int, list[bytes]]
        self._open = set(self._parts)

    @property
    def output(self) -> bytes:
        return b"".join(self._parts[self._output])

    @property
    def errors(self) -> bytes:
        return b"".join(self._parts[self._errors])

    def attend(self, seconds: float) -> bool:
        """Give it its input and take its output for so many seconds at most; tell whether it has ended."""
        end = time.monotonic() + seconds
        while self._open or self._input is not None:
            left = end - time.monotonic()
            ready = self._ready_within(left) if left > 0 else []
            if not ready:
                return False
            for descriptor in ready:
                if descriptor == self._input:
                    self._write()
                else:
                    self._read(descriptor)
        return self._has_ended_by(end)

    def kill(self) -> None:
        """End it at once."""
        if self.status is None and not self._has_ended():
            os.kill(self.pid, signal_module().SIGKILL)

    def abandon(self) -> None:
        """Listen no longer, and wait for the end of one that was killed."""
        for descriptor in self._open | ({self._input} if self._input is not None else set()):
            os.close(descriptor)
        self._open, self._input = set(), None
        self._has_ended_by(float("inf"))

    def _ready_within(self, seconds: float) -> "list[int]":
        import select

        poll = select.poll()
        for descriptor in self._open:
            poll.register(descriptor, select.POLLIN)
        if self._input is not None:
            poll.register(self._input, select.POLLOUT)
        return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]

    def _read(self, descriptor: int) -> None:
        part = os.read(descriptor, _PIPE_BYTES)
        if part:
            self._parts[descriptor].append(part)
        else:
            os.close(descriptor)
            self._open.discard(descriptor)

    def _write(self) -> None:
        assert self._input is not None
        try:
            self._waiting = self._waiting[os.write(self._input, self._waiting[:_PIPE_BYTES]) :]
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EINVAL):
                raise
            # It wants no more.
            self._waiting = memoryview(b"")
        if not self._waiting:
            os.close(self._input)
            self._input = None

    def _has_ended_by(self, end: float) -> bool:
        pause = _SECONDS_TO_END
        while self.status is None and not self._has_ended():
            if time.monotonic() >= end:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
        return True

    def _has_ended(self) -> bool:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            # Somebody ignores SIGCHLD: how it ended is not known, what it printed is.
            pid, status = self.pid, 0
        if pid:
            self.status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return bool(pid)


class PopenChild:
    """The same by `subprocess`, for hosts without `posix_spawn`, and processes that have threads."""

    def __init__(
        self, arguments: "list[str]", cwd: "str | None", environ: "dict[str, str]", input_bytes: "bytes | None"
    ) -> None:
        from subprocess import DEVNULL, PIPE, Popen

        stdin = DEVNULL if input_bytes is None else PIPE
        self._popen = Popen(arguments, stdin=stdin, stdout=PIPE, stderr=PIPE, cwd=cwd, env=environ)
        self._input = input_bytes
        self.pid = self._popen.pid
        self.output, self.errors = b"", b""
        self.status = None  # type: int | None

    def attend(self, seconds: float) -> bool:
        """Give it its input and take its output for so many seconds at most; tell whether it has ended."""
        from subprocess import TimeoutExpired

        # communicate() refuses input a second time, also after a signal: it keeps what it has not yet written.
        given, self._input = self._input, None
        try:
            self.output, self.errors = self._popen.communicate(given, timeout=max(0.0, seconds))
        except TimeoutExpired:
            return False
        self.status = self._popen.returncode
        return True

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()

    def abandon(self) -> None:
        """Listen no longer, and wait for the end of one that was killed."""
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                stream.close()
        self.status = self._popen.wait()


class _WorkingDirectory:
    """Another working directory for a while; where that is `None`, the same."""

    def __init__(self, path: "str | None") -> None:
        self._path = path

    def __enter__(self) -> None:
        if self._path is not None:
            self._before = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
            try:
                os.chdir(self._path)
            except BaseException:
                os.close(self._before)
                raise

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            os.fchdir(self._before)
            os.close(self._before)


def _spawned(program: str, arguments: "list[str]", environ: "dict[str, str]", standard: "list[int]") -> int:
    """Start it with these standard descriptors and none of the others that this process would hand on."""
    signal = signal_module()
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(standard)]
    actions += [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable_descriptors()]  # type: ignore[misc]
    # Python ignores these; what it starts expects them as they were.
    ignored = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)]
    return os.posix_spawn(program, arguments, environ, file_actions=actions, setsigdef=ignored)


def _program_on_path(name: str, environ: "dict[str, str]") -> str:
    if os.sep in name:
        return name
    for directory in environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _pipe(opened: "list[int]") -> "tuple[int, int]":
    reading, writing = os.pipe()
    return _above_standard(reading, opened), _above_standard(writing, opened)


def _nothing(opened: "list[int]") -> int:
    return _above_standard(os.open(os.devnull, os.O_RDONLY), opened)


def _above_standard(descriptor: int, opened: "list[int]") -> int:
    """Return the descriptor as one that is none of the standard ones: those may be closed, and be given out anew."""
    if descriptor <= 2:
        import fcntl

        low, descriptor = descriptor, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(low)
    opened.append(descriptor)
    return descriptor


def _inheritable_descriptors() -> "list[int]":
    try:
        found = [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        found = list(range(3, 256))
    return [descriptor for descriptor in found if descriptor > 2 and _is_inheritable(descriptor)]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        # The one that listed them is closed by now.
        return False
