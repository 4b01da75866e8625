"""Child processes: scrubbed environment, no input, all output kept, a sign of life while they run."""

import os
import re
import signal
import time
from contextlib import contextmanager, suppress
from typing import IO, Iterator, NamedTuple

from protoprimer.errors import InstallError
from protoprimer.fault import Fault
from protoprimer.system.console import SECONDS_BETWEEN_PICTURES, Console
from protoprimer.system.paths import directories_on_path
from protoprimer.system.processes import end_processes, processes_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

__all__ = ["STATUS_OF_LATE", "ChildResult", "Terminated", "run_child", "scrubbed_environment"]

# For an interrupted installer to remove its temporary files.
_SECONDS_TO_TIDY = 1.0
_BYTES_READ_AT_ONCE = 1 << 16
_LONGEST_LINE_SHOWN = 60
# As of the command `timeout`.
STATUS_OF_LATE = 124

# What a foreign interpreter, environment or tool left in the variables must not steer ours.
_LEAKING_PREFIXES = (
    "PYTHON", "_PYTHON_", "__PYVENV_LAUNCHER__", "PROTOPRIMER_", "PIP_", "UV_", "VIRTUALENV_", "VIRTUAL_ENV",
    "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
)  # fmt: skip
# Where tools keep their caches, and how patient they are, is the user's and changes no result.
_HARMLESS_VARIABLES = frozenset(
    ["UV_CACHE_DIR", "PIP_CACHE_DIR", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_CONCURRENT_DOWNLOADS",
     "UV_CONCURRENT_BUILDS", "UV_CONCURRENT_INSTALLS", "UV_LINK_MODE", "UV_PYTHON_INSTALL_DIR", "UV_NO_CACHE",
     "PIP_NO_CACHE_DIR", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PYTHONDONTWRITEBYTECODE", "PYTHON_KEYRING_BACKEND"]
)  # fmt: skip


class ChildResult(NamedTuple):
    """How a child ended; a negative status is the signal that ended it."""

    status: int
    output: str
    errors: str

    def everything(self) -> str:
        """Return all that it printed, what went to stdout first."""
        parts = [part.strip("\n") for part in (self.output, self.errors) if part.strip()]
        return "\n".join(parts)


class Terminated(BaseException):
    """A signal, its argument, asks this process to end while a child is at work, which must not be an orphan."""

    def end_this_process(self) -> None:
        """End by the signal, so that this process's parent sees it. Does not return."""
        signal.signal(self.args[0], signal.SIG_DFL)
        os.kill(os.getpid(), self.args[0])


def scrubbed_environment(extra: "dict[str, str] | None" = None) -> "dict[str, str]":
    """Return this process's variables, less those that steer Python, pip, uv or protoprimer, plus `extra`."""
    environ = {}
    for name, value in os.environ.items():
        if name in _HARMLESS_VARIABLES or not name.startswith(_LEAKING_PREFIXES):
            environ[name] = value
    # Installers start in directories of the repository, and look for `git` and `keyring` on it.
    searched = directories_on_path()
    environ.pop("PATH", None)
    if searched:
        environ["PATH"] = os.pathsep.join(searched)
    if extra is not None:
        environ.update(extra)
    return environ


def run_child(
    arguments: "list[str]",
    console: Console,
    cwd: "str | None" = None,
    environ: "dict[str, str] | None" = None,
    timeout: float = float("inf"),
    input_text: "str | None" = None,
) -> ChildResult:
    """Run a program to its end; its output goes to the log, never to ours.

    :param timeout: in seconds; then it and all that it had started is ended, and the status `STATUS_OF_LATE`
    :raises InstallError: it could not be started
    :raises Terminated: a signal asks this process to end; the child and all that it had started are gone
    """
    console.record("$ " + " ".join(arguments))
    if environ is None:
        environ = scrubbed_environment()
    child = _started(arguments, cwd, environ, has_input=input_text is not None)
    # Not `communicate` again and again: Python 3.6 cannot once the child has closed one of its pipes (bpo-35182).
    readers = [_Reader(stream) for stream in (child.stdout, child.stderr) if stream is not None]
    with _raised_terminations():
        try:
            if child.stdin is not None and input_text is not None:
                # The child may end without having read all of it.
                with suppress(OSError), child.stdin:
                    child.stdin.write(input_text.encode("utf-8"))
            status = _status_of_child(child, readers, console, time.monotonic() + timeout)
        except BaseException:
            _end_family(child)
            raise
    output, errors = [reader.printed() for reader in readers]
    result = ChildResult(status, output, errors)
    for line in result.everything().splitlines():
        console.record("  " + line)
    if status != 0:
        console.record("  exit status %d" % status)
    return result


def _started(
    arguments: "list[str]", cwd: "str | None", environ: "dict[str, str]", has_input: bool
) -> "subprocess.Popen[bytes]":
    import subprocess

    stdin = subprocess.PIPE if has_input else subprocess.DEVNULL
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(arguments, stdin=stdin, stdout=pipe, stderr=pipe, cwd=cwd, env=environ)
    except (OSError, ValueError) as error:
        cause = "could not start %s: %s" % (arguments[0], error)
        raise InstallError(cause, fault=Fault.TOOL_BROKE) from error


def _status_of_child(
    child: "subprocess.Popen[bytes]", readers: "list[_Reader]", console: Console, deadline: float
) -> int:
    import subprocess

    while time.monotonic() < deadline:
        at_work = [reader for reader in readers if reader.thread.is_alive()]
        patience = min(SECONDS_BETWEEN_PICTURES, max(0.0, deadline - time.monotonic()))
        if at_work:
            at_work[0].thread.join(patience)
        else:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(patience)
        console.progress(_figures_of("\n".join(reader.printed() for reader in readers)))
    # What a wrapper has started would go on without it, and keep the pipes open for ever.
    _end_family(child)
    return STATUS_OF_LATE


class _Reader:
    """Reads what a child prints, until the last process that can print there has ended."""

    def __init__(self, stream: "IO[bytes]") -> None:
        import threading

        self._stream = stream
        self._parts = []  # type: list[bytes]
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self._stream:
            while True:
                # Whatever is there already, without waiting for more.
                part = os.read(self._stream.fileno(), _BYTES_READ_AT_ONCE)
                if not part:
                    return
                self._parts.append(part)

    def printed(self) -> str:
        """Return what was printed until now."""
        return b"".join(self._parts).decode("utf-8", "replace")


@contextmanager
def _raised_terminations() -> "Iterator[None]":
    import threading

    def heed(number: int, _frame: object) -> None:
        raise Terminated(number)

    heeded = []  # type: list[int]
    # Python lets no other thread set what a signal does.
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # Who has other wishes for it, such as nohup, has set it.
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, heed)
                heeded.append(number)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)


def _figures_of(printed: str) -> str:
    """Return how far an installer has come, and what it does now, as far as it prints so."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    parts = [_packages_done(printed, lines)]
    if lines and lines[-1].startswith(("Downloading ", "Building ", "Resolved ")):
        parts.append(lines[-1][:_LONGEST_LINE_SHOWN])
    return ", ".join(part for part in parts if part)


def _packages_done(printed: str, lines: "list[str]") -> str:
    # pip names each package, uv only large ones, and how many there are.
    done = set()
    for line in lines:
        if line.startswith(("Collecting ", "Downloaded ", "Built ")):
            done.add(line.split()[1])
    if len(done) < 2:
        return ""
    totals = re.findall(r"(?m)^(?:Resolved|Installing) (\d+) packages", printed)
    if totals:
        return "%d of %s packages" % (len(done), totals[-1])
    return "%d packages" % len(done)


def _end_family(child: "subprocess.Popen[bytes]") -> None:
    import subprocess

    family = processes_below(child.pid)
    end_processes(family + [child.pid], gently=True)
    try:
        child.wait(_SECONDS_TO_TIDY)
    except subprocess.TimeoutExpired:
        family += processes_below(child.pid)
        child.kill()
        child.wait()
    end_processes(family, gently=False)
