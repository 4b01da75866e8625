"""Words for a person: on stderr, in the run's log, with secrets masked in both."""

import errno
import os
import sys
import time

from protoprimer.errors import OutputLost, PrimerError
from protoprimer.system.files import link_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn, TextIO

__all__ = ["Console", "Step", "end_process", "mask_urls", "print_out"]

SECONDS_BETWEEN_SIGNS_OF_LIFE = 10.0
SECONDS_BETWEEN_PICTURES = 0.2

_COLOURS = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}


def _open_log_file(path: str, flags: int) -> int:
    # Others may read what is masked, and never write.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)


class Step:
    """One named piece of work; use it in a `with` statement. Once it is done, it is a line with its time.

    :param doing: what it does, in the present tense: shown while it runs, and where it fails
    :param done: the same in the past tense
    :param may_fail: whether something else serves then, so that a failure is told under `-v` only
    """

    def __init__(self, console: "Console", doing: str, done: str, may_fail: bool) -> None:
        self._console = console
        self.doing = doing
        self.done = done
        self.may_fail = may_fail
        self.started = time.monotonic()
        # By name: bytes that have arrived, and bytes in all, 0 if unknown.
        self.transfers = {}  # type: dict[str, tuple[int, int]]

    def __enter__(self) -> "Step":
        self.started = time.monotonic()
        self._console.begin_step(self)
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        self._console.end_step(self, kind)

    def bytes_so_far(self) -> str:
        """Return how much has arrived, of how much and how fast, where anything has."""
        received, total = (sum(pair[i] for pair in list(self.transfers.values())) for i in (0, 1))
        if not received:
            return ""
        of = " of %.1f" % (total / 1e6) if total >= received else ""
        rate = received / 1e6 / max(0.001, time.monotonic() - self.started)
        return "%.1f%s MB, %.1f MB/s" % (received / 1e6, of, rate)


class Console:
    """Where protoprimer's own words go; stdout is never written.

    :param verbosity: -1 quiet (errors only), 0 one line a step, 1 details, 2 children's output too
    :param color: `auto`, `always` or `never`; `NO_COLOR` and a stream that is no terminal mean never under `auto`
    :param stream: what is written to; `None` is the process's stderr
    """

    def __init__(self, verbosity: int = 0, color: str = "auto", stream: "TextIO | None" = None) -> None:
        self.verbosity = verbosity
        self.log_path = None  # type: str | None
        self._stream = stream
        self._color = color
        self._log_directory = None  # type: str | None
        self._prepare_log = None  # type: Callable[[], None] | None
        self._log = None  # type: TextIO | None
        self._held_log_lines = []  # type: list[str]
        self._secrets = set()  # type: set[str]
        self._steps = []  # type: list[Step]
        self._last_words = self._last_drawn = time.monotonic()
        self._drawn_lines = 0

    def say(self, text: str) -> None:
        """Print one line, unless quiet."""
        self._record(text)
        if self.verbosity >= 0:
            self._print(text)

    def detail(self, text: str) -> None:
        """Print one line under `-v`; the log always has it."""
        self._record(text)
        if self.verbosity >= 1:
            self._print(self.painted(text, "dim"))

    def warn(self, text: str) -> None:
        """Print a warning, even when quiet."""
        self._record("warning: " + text)
        self._print(self.painted("warning: ", "yellow") + text)

    def error(self, error: "PrimerError | str") -> None:
        """Print a failure, and where the full record of the run is."""
        text = str(error)
        self._record("error: " + text)
        self._print(self.painted("error: ", "red") + text)
        if self.log_path:
            self._print("  log: " + self.log_path)

    def step(self, doing: str, done: str, may_fail: bool = False) -> Step:
        """Return a context manager around a piece of work that changes something; see `Step`."""
        return Step(self, doing, done, may_fail)

    def begin_step(self, step: Step) -> None:
        """Name a step before it starts: at once on a terminal, else in the log only."""
        self._steps.append(step)
        self._record("begin: " + step.doing)
        if self.verbosity >= 0 and self.is_terminal():
            self.draw(step.doing)

    def end_step(self, step: Step, failure: "type[BaseException] | None") -> None:
        """Print a step's line with its time."""
        self._steps.remove(step)
        seconds = time.monotonic() - step.started
        if failure is None:
            line, colour = "%s in %.2f s" % (step.done, seconds), "green"
        else:
            how = "failed" if issubclass(failure, Exception) else "was interrupted"
            line, colour = "%s %s after %.2f s" % (step.doing, how, seconds), "red"
        self._write(self._undrawn())
        self._record(line)
        if self.verbosity >= (1 if failure and step.may_fail else 0):
            self._print(self.painted(line, colour))

    def progress(self, told: str = "") -> None:
        """Show what the innermost step is doing now; called often, from every slow loop.

        A terminal has one line that is rewritten. Elsewhere a line is printed if there was none for ten seconds.

        :param told: figures or words, such as `12 of 95 packages`
        """
        if self.verbosity < 0 or not self._steps:
            return
        step, now = self._steps[-1], time.monotonic()
        told = ": ".join(filter(None, [step.doing, told or step.bytes_so_far()]))
        line = "%s (%d s)" % (told, now - step.started)
        if self.is_terminal():
            if now - self._last_drawn >= SECONDS_BETWEEN_PICTURES:
                self.draw(line)
        elif now - self._last_words >= SECONDS_BETWEEN_SIGNS_OF_LIFE:
            self._print("still " + line)

    def transferred(self, name: str, received: int, total: int) -> None:
        """Count what has arrived of a download, in bytes; a `total` of 0 is not known."""
        if self._steps:
            self._steps[-1].transfers[name] = (received, total)
            self.progress()

    def keep_log_in(self, directory: "str | None", prepare: "Callable[[], None] | None" = None) -> None:
        """Let the run's log be a new file in `directory`, created when the first step begins; `None`: none.

        :param prepare: called before, such as to create what the directory is in
        """
        self._log_directory = directory
        self._prepare_log = prepare

    def record(self, text: str) -> None:
        """Write text to the log only, such as what a child process printed."""
        self._record(text)
        if self.verbosity >= 2:
            self._print(text)

    def add_secret(self, secret: "str | None") -> None:
        """Have `secret` replaced by `****` wherever anything is printed or written."""
        if secret and len(secret) > 2:
            self._secrets.add(secret)

    def mask(self, text: str) -> str:
        """Return `text` without secrets: those registered, and the credentials of any URL."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "****")
        return mask_urls(text)

    def draw(self, text: str) -> None:
        """Show some lines below all else, in the place of those drawn before; only where `is_terminal`."""
        import shutil

        columns = shutil.get_terminal_size().columns
        lines = [line[: columns - 1] for line in self.mask(text).split("\n")]
        undrawn = self._undrawn()
        # Before the lines are written: an interrupt in between is to take them away too.
        self._drawn_lines, self._last_drawn = len(lines), time.monotonic()
        self._write(undrawn + "\n".join(lines))

    def is_terminal(self) -> bool:
        """Tell whether a person looks at a terminal that can be drawn on."""
        stream = self._stream or sys.stderr
        try:
            is_dumb = bool(os.environ.get("CI")) or os.environ.get("TERM") == "dumb"
            return stream is not None and stream.isatty() and not is_dumb
        except ValueError:
            return False

    def painted(self, text: str, colour: str) -> str:
        """Return `text` in a colour, where colours are wanted."""
        wanted = self._color == "always" or (
            self._color == "auto" and not os.environ.get("NO_COLOR") and self.is_terminal()
        )
        return "\033[%sm%s\033[0m" % (_COLOURS[colour], text) if wanted else text

    def _undrawn(self) -> str:
        """Return what takes the drawn lines away again."""
        drawn, self._drawn_lines = self._drawn_lines, 0
        return ("\033[%dA" % (drawn - 1) if drawn > 1 else "") + "\r\033[J" if drawn else ""

    def _print(self, text: str) -> None:
        self._last_words = time.monotonic()
        self._write(self._undrawn() + self.mask(text) + "\n")

    def _write(self, text: str) -> None:
        stream = self._stream or sys.stderr
        if stream is None:
            return
        try:
            stream.write(text)
            stream.flush()
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):
            # Nobody reads stderr any more; that is no reason to fail the work.
            pass

    def _record(self, text: str) -> None:
        if self._log is None and not self._open_log():
            self._held_log_lines.append(text)
            return
        self._write_log(text)

    def _open_log(self) -> bool:
        if self._log_directory is None or not self._steps:
            return False
        if not os.path.exists(os.path.dirname(self._log_directory)):
            # What is done before anything is made here, such as fetching an interpreter, is written down afterwards.
            return False
        name = "%s-%s.log" % (time.strftime("%Y%m%dT%H%M%S", time.gmtime()), os.urandom(4).hex())
        path = os.path.join(self._log_directory, name)
        try:
            if self._prepare_log is not None:
                self._prepare_log()
            if link_target(self._log_directory) is not None:
                # Planted by whoever: what it leads to is not ours to write in.
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            os.makedirs(self._log_directory, 0o755, exist_ok=True)
            self._log = open(path, "a", encoding="utf-8", errors="backslashreplace", opener=_open_log_file)
        except (OSError, PrimerError):
            self._log_directory = None
            return False
        self.log_path = path
        for held in self._held_log_lines:
            self._write_log(held)
        self._held_log_lines = []
        return True

    def _write_log(self, text: str) -> None:
        if self._log is None:
            return
        try:
            self._log.write("%s %s\n" % (time.strftime("%H:%M:%S"), self.mask(text)))
            self._log.flush()
        except (OSError, ValueError):
            self._log = None


def mask_urls(text: str) -> str:
    """Return a text without the credentials of the URLs in it."""
    if "://" not in text:
        return text
    import re

    text = re.sub(r"(://)[^/\s'\"]+@", r"\1****@", text)
    return re.sub(r"(?i)([?&][\w-]*(?:token|key|secret|password|signature)=)[^&#\s'\"]+", r"\1****", text)


def print_out(text: str, end: str = "\n") -> None:
    """Print what was asked for to stdout; all of it has left this process afterwards.

    :raises OutputLost: the disk is full, or failed (exit code 120); who reads no more has had enough
    """
    stream, text = sys.stdout, mask_urls(text)
    if stream is None:
        return
    try:
        try:
            stream.write(text + end)
        except UnicodeEncodeError:
            encoding = stream.encoding
            stream.write((text + end).encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        # Python is not to try again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OutputLost("the output is lost: %s" % error) from error


def end_process(status: int) -> "NoReturn":
    """End this process once all that it printed has left it.

    :param status: its exit status; 120, as Python's own, where the output is lost
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            # Who reads no more has had enough. Python is not to try again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError) as error:
            status = 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            Console().error("the output is lost: %s" % error)
    sys.exit(status)
