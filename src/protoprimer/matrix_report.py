"""What a matrix looks like: the live table, a line or a folded group for each cell, the summary, JSON, JUnit."""

import os
import time

from protoprimer.console import SECONDS_BETWEEN_SIGNS_OF_LIFE, Console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MATRIX_AXES", "MatrixCell", "MatrixView", "junit_report", "matrix_document"]

MATRIX_AXES = ("python", "env", "backend", "resolution", "groups", "extras")
_MAXIMUM_BYTES_SHOWN = 256 * 1024
_SECONDS_BETWEEN_PICTURES = 0.2
_COLOURS_OF_STATUS = {"passed": "green", "skipped": "yellow", "stopped": "yellow"}


class MatrixCell:
    """One environment and what became of it.

    :param name: such as `py3.12` or `py3.12-dev-lowest-direct`
    :param axes: a value for each of `MATRIX_AXES`; empty is what the configuration says

    `status` ends as `passed`, `failed` (the command did), `unprovisioned`, `missing` (no such interpreter), `skipped`
    (that, under `--skip-missing`) or `stopped`.
    """

    def __init__(self, name: str, axes: "dict[str, str]") -> None:
        self.name = name
        self.axes = axes
        self.status = "waiting"
        self.exit_code = None  # type: int | None
        self.reason = ""
        self.log = ""
        self.started = self.provisioned = self.ended = 0.0
        # What the child has told once its environment was ready: interpreter, executable, environment, built.
        self.facts = {}  # type: dict[str, Any]
        self.is_resumed = False

    @property
    def is_bad(self) -> bool:
        """Whether it is an obstacle to success."""
        return self.status in ("failed", "unprovisioned", "missing", "stopped")

    def seconds(self) -> float:
        """Return how long it took, or has taken so far."""
        return (self.ended or time.monotonic()) - self.started if self.started else 0.0

    def line(self) -> str:
        """Return the cell in one line."""
        parts = [self.name, self.status]
        if self.facts:
            parts.append("on " + self.facts["interpreter"])
        if self.started:
            parts.append("in %.2f s" % self.seconds())
        if self.facts.get("built"):
            parts.append("(built in %.2f s)" % (self.provisioned - self.started))
        return " ".join(parts) + (": " + self.reason if self.reason else "")

    def output(self) -> str:
        """Return the end of what it printed, whatever bytes that were, with a note on what is left out."""
        try:
            with open(self.log, "rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _MAXIMUM_BYTES_SHOWN))
                text = stream.read().decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        except OSError as error:
            return "its output cannot be read: %s" % error
        left_out = size - _MAXIMUM_BYTES_SHOWN
        return ("[%d bytes before this are in %s]\n" % (left_out, self.log) if left_out > 0 else "") + text

    def as_dict(self) -> "dict[str, object]":
        """Return the cell for `--json`."""
        found = {"name": self.name, "status": self.status, "exit_code": self.exit_code, "reason": self.reason or None}
        found.update({axis: value or None for axis, value in self.axes.items()})
        provision = round(self.provisioned - self.started, 3) if self.provisioned else None
        return dict(
            found,
            interpreter={"version": self.facts["interpreter"], "path": self.facts["executable"]} if self.facts else None,
            environment=self.facts.get("environment"),
            built=self.facts.get("built"),
            resumed=self.is_resumed,
            provision_seconds=provision,
            seconds=round(self.seconds(), 3),
            log=self.log or None,
        )


class MatrixView:
    """What a person sees while a matrix runs: a table on a terminal, else a line for each cell.

    On GitHub each cell's output is a group that folds; elsewhere that of failed cells is shown.
    """

    def __init__(self, console: Console, cells: "list[MatrixCell]") -> None:
        self._console = console
        self._cells = cells
        self._folds = os.environ.get("GITHUB_ACTIONS") == "true" and console.verbosity >= 0
        self._is_live = console.is_terminal() and console.verbosity >= 0
        self._last_words = self._last_picture = time.monotonic()

    def tick(self) -> None:
        """Draw the table anew, or say what is running if nothing was printed for ten seconds."""
        now = time.monotonic()
        if self._is_live:
            if now - self._last_picture >= _SECONDS_BETWEEN_PICTURES:
                self._last_picture = now
                self._console.draw(_table_of_cells(self._cells))
        elif now - self._last_words >= SECONDS_BETWEEN_SIGNS_OF_LIFE:
            self._last_words = now
            busy = [cell for cell in self._cells if cell.started and not cell.ended]
            waiting = len([cell for cell in self._cells if cell.status == "waiting"])
            words = ", ".join("%s %s (%d s)" % (cell.name, cell.status, cell.seconds()) for cell in busy)
            self._console.say("still %s; %d waiting" % (words, waiting))

    def tell(self, cell: MatrixCell) -> None:
        """Say that a cell has ended, with its output where that is of interest."""
        self._last_words = time.monotonic()
        shows = cell.started and (self._folds or cell.status in ("failed", "unprovisioned", "missing"))
        if not shows:
            self._console.say(cell.line())
            return
        text = cell.output().rstrip("\n")
        if self._folds:
            self._console.say("::group::%s\n%s\n::endgroup::" % (cell.line(), text))
        else:
            rest = "\n".join("  | " + line for line in text.split("\n"))
            self._console.error("%s\n%s" % (cell.line(), rest))

    def summary(self, cells: "list[MatrixCell]", seconds: float) -> None:
        """Say how all cells ended."""
        counts = {}  # type: dict[str, int]
        for cell in cells:
            counts[cell.status] = counts.get(cell.status, 0) + 1
            if len(cells) > 1:
                self._console.say("  " + self._console.painted(cell.line(), _COLOURS_OF_STATUS.get(cell.status, "red")))
        words = ", ".join("%d %s" % (count, status) for status, count in counts.items())
        self._console.say("%s in %.2f s" % (words, seconds))


def _table_of_cells(cells: "list[MatrixCell]") -> str:
    import shutil

    columns, rows = shutil.get_terminal_size()
    width = max(len(cell.name) for cell in cells)
    shown, hidden = cells, 0
    if len(cells) > rows - 2:
        # What is running matters most where not all fit.
        shown = sorted(cells, key=lambda cell: (not cell.started, bool(cell.ended)))[: max(1, rows - 2)]
        hidden = len(cells) - len(shown)
    lines = []
    for cell in shown:
        time_taken = "%.0f s" % cell.seconds() if cell.started else ""
        line = "  %-*s  %-9s  %-13s  %7s" % (width, cell.name, cell.facts.get("interpreter", ""), cell.status, time_taken)
        lines.append(line[: columns - 1])
    return "\n".join(lines + (["  and %d more" % hidden] if hidden else []))


def matrix_document(
    cells: "list[MatrixCell]", command: "list[str]", exit_code: int, seconds: float
) -> "dict[str, object]":
    """Return what `matrix --json` prints; its schema is docs/schemas/matrix.json."""
    return {
        "format": 1,
        "command": command or None,
        "exit_code": exit_code,
        "seconds": round(seconds, 3),
        "cells": [cell.as_dict() for cell in cells],
    }


def junit_report(cells: "list[MatrixCell]", seconds: float) -> str:
    """Return a JUnit report: a test case for each cell."""
    from xml.sax.saxutils import quoteattr

    elements = {"failed": "failure", "unprovisioned": "error", "missing": "error", "skipped": "skipped", "stopped": "skipped"}
    counts = {name: 0 for name in elements.values()}
    cases = []
    for cell in cells:
        head = '    <testcase classname="matrix" name=%s time="%.3f"' % (quoteattr(cell.name), cell.seconds())
        kind = elements.get(cell.status)
        if kind is None:
            cases.append(head + "/>")
            continue
        counts[kind] += 1
        body = "" if kind == "skipped" else _xml_text(cell.output() if cell.started else "")
        message = quoteattr(_legal_in_xml(cell.reason or cell.status))
        cases.append("%s>\n      <%s message=%s>%s</%s>\n    </testcase>" % (head, kind, message, body, kind))
    suite = '  <testsuite name="matrix" tests="%d" failures="%d" errors="%d" skipped="%d" time="%.3f">' % (
        len(cells), counts["failure"], counts["error"], counts["skipped"], seconds
    )  # fmt: skip
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<testsuites>", suite] + cases
    return "\n".join(lines + ["  </testsuite>", "</testsuites>", ""])


def _xml_text(text: str) -> str:
    from xml.sax.saxutils import escape

    return escape(_legal_in_xml(text))


def _legal_in_xml(text: str) -> str:
    import re

    # XML 1.0 has no way to write most control characters, nor lone surrogates.
    return re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", lambda found: "\\x%02x" % ord(found.group()), text)
