"""Words for a person: on stderr, in the run's log, with secrets masked in both."""

import os
import re
import sys
import time
from contextlib import contextmanager, suppress
from typing import Callable, Iterator, TextIO

from protoprimer.errors import OutputLost, PrimerError
from protoprimer.system.files import link_target

__all__ = ["Console", "Step", "mask_urls", "print_out", "printable", "status_once_printed"]

SECONDS_BETWEEN_SIGNS_OF_LIFE = 10.0
SECONDS_BETWEEN_PICTURES = 0.2

# Control characters, and those that turn the direction of what follows.
_STEERING = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2"}


class Step:
    """One piece of work, in the present tense and in the past."""

    def __init__(self, doing: str, done: str) -> None:
        self.doing = doing
        self.done = done
        self.started = time.monotonic()


class Console:
    """Our words: on stderr by verbosity (-1 quiet, 0 a line a step, 1 details, 2 children's output), in the log all."""

    def __init__(self, verbosity: int = 0, color: str = "auto", stream: "TextIO | None" = None) -> None:
        self.verbosity = verbosity
        # The repository's, once it is known.
        self.root = ""
        self._stream = stream
        self._color = color
        self._log_directory = None  # type: str | None
        self._prepare_log = None  # type: Callable[[], None] | None
        self._log = None  # type: TextIO | None
        self._lines_for_log = []  # type: list[str]
        self._secrets = set()  # type: set[str]
        self._steps = []  # type: list[Step]
        self._last_words = self._last_drawn = time.monotonic()
        self._drawn_lines = 0

    def say(self, text: str, colour: str = "") -> None:
        text = self._printable(text)
        self._tell(text, self.painted(text, colour) if colour else text, 0)

    def detail(self, text: str) -> None:
        text = self._printable(text)
        self._tell(text, self.painted(text, "dim"), 1)

    def record(self, text: str) -> None:
        text = self._printable(text)
        self._tell(text, text, 2)

    def warn(self, text: str) -> None:
        text = self._printable(text)
        self._tell("warning: " + text, self.painted("warning: ", "yellow") + text, -1)

    def error(self, error: "PrimerError | str") -> None:
        text = self._printable(str(error))
        self._tell("error: " + text, self.painted("error: ", "red") + text, -1)
        if self._log is not None:
            self._print("  log: " + self._log.name)

    @contextmanager
    def step(self, doing: str, done: str, may_fail: bool = False) -> "Iterator[Step]":
        """Surround a piece of work, told in present and past tense; `may_fail` where something else serves then."""
        step = Step(doing, done)
        self._steps.append(step)
        try:
            self._record(self._printable("begin: " + doing))
            if self.verbosity >= 0 and self.is_terminal():
                self.draw(doing)
            yield step
        except BaseException as error:
            how = "failed" if isinstance(error, Exception) else "was interrupted"
            self._end_step(step, "%s %s after" % (doing, how), "red", 1 if may_fail else 0)
            raise
        self._end_step(step, step.done + " in", "green", 0)

    def _end_step(self, step: Step, what: str, colour: str, verbosity: int) -> None:
        self._steps.remove(step)
        self._write(self._undrawn())
        line = self._printable("%s %.2f s" % (what, time.monotonic() - step.started))
        self._tell(line, self.painted(line, colour), verbosity)

    def progress(self, told: str = "") -> None:
        """Show how far the innermost step is, such as `12 of 95 packages`."""
        if self._steps:
            step = self._steps[-1]
            seconds = time.monotonic() - step.started
            line = "%s (%d s)" % (": ".join(filter(None, [step.doing, told])), seconds)
            self.show_life(line, line)

    def show_life(self, line: str, picture: str) -> None:
        """Draw a picture on a terminal; elsewhere print a line every ten seconds."""
        now = time.monotonic()
        if self.verbosity >= 0 and self.is_terminal():
            if now - self._last_drawn >= SECONDS_BETWEEN_PICTURES:
                self.draw(picture)
        elif self.verbosity >= 0 and now - self._last_words >= SECONDS_BETWEEN_SIGNS_OF_LIFE:
            self._print(self._printable("still " + line))

    def transferred(self, received: int, total: int, since: float) -> None:
        """Show how many bytes have arrived; a `total` of 0 is not known."""
        of = " of %.1f" % (total / 1e6) if total else ""
        rate = received / 1e6 / max(0.001, time.monotonic() - since)
        self.progress("%.1f%s MB, %.1f MB/s" % (received / 1e6, of, rate))

    def keep_log_in(self, directory: "str | None", prepare: "Callable[[], None]") -> None:
        """Let the log be a new file in `directory`, made when the first step begins, after `prepare`."""
        self._log_directory = directory
        self._prepare_log = prepare

    def add_secret(self, secret: "str | None") -> None:
        if secret and len(secret) > 2:
            self._secrets.add(secret)

    def mask(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "****")
        return mask_urls(text)

    def _printable(self, text: str) -> str:
        # A secret is known by its own characters.
        return printable(self.mask(text))

    def shown(self, text: str) -> str:
        """Return `text` as it is printed: without secrets, paths of the repository relative."""
        if self.root:
            below = r"(?<![\w.:/\\-])%s[/\\](?=[^\s'\"`,;:)])" % re.escape(self.root)
            # A command may be run anywhere.
            lines = [line if "  next: run: " in line else re.sub(below, "", line) for line in text.split("\n")]
            text = "\n".join(lines)
        return self.mask(text)

    def draw(self, text: str) -> None:
        import shutil

        columns = shutil.get_terminal_size().columns
        lines = [line[: columns - 1] for line in self._printable(self.shown(text)).split("\n")]
        undrawn = self._undrawn()
        # Before the lines are written: an interrupt in between is to take them away too.
        self._drawn_lines, self._last_drawn = len(lines), time.monotonic()
        self._write(undrawn + "\n".join(lines))

    def is_terminal(self) -> bool:
        stream = self._stream or sys.stderr
        is_plain = os.environ.get("CI") or os.environ.get("TERM") == "dumb"
        return stream is not None and not stream.closed and stream.isatty() and not is_plain

    def painted(self, text: str, colour: str) -> str:
        is_wanted = self._color == "auto" and not os.environ.get("NO_COLOR") and self.is_terminal()
        return "\033[%sm%s\033[0m" % (_COLOURS[colour], text) if is_wanted or self._color == "always" else text

    def _undrawn(self) -> str:
        drawn, self._drawn_lines = self._drawn_lines, 0
        return ("\033[%dA" % (drawn - 1) if drawn > 1 else "") + "\r\033[J" if drawn else ""

    def _tell(self, recorded: str, shown: str, verbosity: int) -> None:
        self._record(recorded)
        if self.verbosity >= verbosity:
            self._print(shown)

    def _print(self, text: str) -> None:
        self._last_words = time.monotonic()
        self._write(self._undrawn() + self.shown(text) + "\n")

    def _write(self, text: str) -> None:
        # The work goes on, though nobody reads stderr any more.
        with suppress(OSError, ValueError):
            _put(self._stream or sys.stderr, text)

    def _record(self, text: str) -> None:
        self._lines_for_log.append(text)
        try:
            if self._log is None and self._steps and self._log_directory is not None:
                self._log = self._new_log(self._log_directory)
            if self._log is not None:
                for line in self._lines_for_log:
                    self._log.write("%s %s\n" % (time.strftime("%H:%M:%S"), self.mask(line)))
                self._lines_for_log = []
                self._log.flush()
        except (OSError, ValueError, PrimerError):
            self._log = self._log_directory = None

    def _new_log(self, directory: str) -> "TextIO | None":
        if not os.path.exists(os.path.dirname(directory)):
            # What comes before, such as fetching an interpreter, is written down afterwards.
            return None
        if self._prepare_log is not None:
            self._prepare_log()
        if link_target(directory) is not None:
            raise OSError("what a planted link leads to is not ours to write in")
        os.makedirs(directory, 0o755, exist_ok=True)
        name = "%s-%s.log" % (time.strftime("%Y%m%dT%H%M%S", time.gmtime()), os.urandom(4).hex())
        # Whatever is masked, an installer may have told more.
        return open(
            os.path.join(directory, name),
            "x",
            encoding="utf-8",
            errors="backslashreplace",
            opener=lambda path, flags: os.open(path, flags, 0o600),
        )


def _put(stream: "TextIO | None", text: str) -> None:
    if stream is None:
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
    stream.flush()


def printable(text: str) -> str:
    """Return a text in which what would steer a terminal is shown by its number; line ends and tabs stay."""
    return re.sub(_STEERING, _as_escape, text.replace("\r\n", "\n"))


def _as_escape(found: "re.Match[str]") -> str:
    number = ord(found.group())
    return "\\x%02x" % number if number < 256 else "\\u%04x" % number


def mask_urls(text: str) -> str:
    """Return a text without users, passwords and values of queries in its URLs: a signature may have any name.

    What is known to be secret is masked by `Console.mask`, wherever it stands.
    """
    if "://" not in text:
        return text
    text = re.sub(r"(://)[^/\s]+@", r"\1****@", text)
    # What ends a sentence or a quotation does not belong to a value.
    return re.sub(r"([?&][\w.~%-]+=)[^&#\s]+?(?=[])}>'\",.:;]*(?:[&#\s]|$))", r"\1****", text)


def print_out(text: str, end: str = "\n") -> None:
    """Print all of what was asked for to stdout, or raise `OutputLost`."""
    try:
        _put(sys.stdout, printable(mask_urls(text)) + end)
    except OSError as error:
        # Else Python tries again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OutputLost("the output is lost: %s" % error.strerror) from error


def status_once_printed(status: int) -> int:
    """Return the exit status once all output has left this process: 120 where it is lost."""
    for stream in (sys.stdout, sys.stderr):
        try:
            _put(stream, "")
        except (OSError, ValueError) as error:
            # Who reads no more has had enough.
            if not isinstance(error, BrokenPipeError):
                status = OutputLost.exit_code
                Console().error("the output is lost: %s" % error)
    return status
