"""What a matrix looks like: the live table, a line or a folded group for each cell, JUnit."""

import collections
import os
import re

from protoprimer.commands.matrix.cells import FAULTS_OF_CELLS, MatrixCell
from protoprimer.errors import first_of
from protoprimer.system.console import Console

__all__ = ["MatrixView", "junit_report"]

# What JUnit calls them.
_JUNIT_KINDS = {"failed": "failure", "unprovisioned": "error", "missing": "error",
                "skipped": "skipped", "stopped": "skipped"}  # fmt: skip


class MatrixView:
    """What a person sees; on GitHub all output, folded."""

    def __init__(self, console: Console, cells: "list[MatrixCell]") -> None:
        self._console = console
        self._cells = cells
        self._folds = os.environ.get("GITHUB_ACTIONS") == "true" and console.verbosity >= 0

    def tick(self) -> None:
        busy = [cell for cell in self._cells if cell.started and not cell.ended]
        words = ["%s %s (%d s)" % (cell.name, cell.status, cell.seconds()) for cell in busy]
        if busy:
            self._console.show_life(", ".join(words), _table_of_cells(self._cells))

    def tell(self, cell: MatrixCell) -> None:
        if self._folds and cell.started:
            self._console.say("::group::%s\n%s\n::endgroup::" % (cell.line(), cell.output().rstrip("\n")))
        elif cell.status in FAULTS_OF_CELLS:
            shown = ["  | " + line for line in cell.output().rstrip("\n").split("\n")]
            self._console.error("\n".join([cell.line()] + shown + ["  output: " + cell.log]))
        else:
            self._console.say(cell.line(), "green" if cell.status == "passed" else "yellow")

    def summary(self, seconds: float) -> None:
        counts = collections.Counter(cell.status for cell in self._cells)
        words = ["%d %s" % (count, status) for status, count in counts.items()]
        self._console.say("%s in %.2f s" % (", ".join(words), seconds))


def _table_of_cells(cells: "list[MatrixCell]") -> str:
    import shutil

    rows = max(1, shutil.get_terminal_size().lines - 2)
    # What is running comes first where not all fit.
    rest = sorted((cell for cell in cells if not cell.ended), key=lambda cell: not cell.started)
    width, lines = max(len(cell.name) for cell in rest), []
    for cell in rest:
        seconds = "%.0f s" % cell.seconds() if cell.started else ""
        words = (width, cell.name, cell.facts.get("interpreter", ""), cell.status, seconds)
        lines.append("%-*s  %-9s  %-13s  %7s" % words)
    return "\n".join("  " + line for line in first_of(lines, rows))


def junit_report(cells: "list[MatrixCell]", seconds: float) -> str:
    """Return a JUnit report."""
    from xml.etree.ElementTree import Element, SubElement, tostring

    suites = Element("testsuites")
    suite = SubElement(suites, "testsuite", name="matrix", tests=str(len(cells)), time="%.3f" % seconds)
    for cell in cells:
        case = SubElement(suite, "testcase", classname="matrix", name=cell.name, time="%.3f" % cell.seconds())
        kind = _JUNIT_KINDS.get(cell.status)
        if kind:
            result = SubElement(case, kind, message=_legal_in_xml(cell.reason))
            result.text = _legal_in_xml(cell.output()) if cell.log else ""
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall("testcase/" + kind))))
    return '<?xml version="1.0" encoding="utf-8"?>\n%s\n' % tostring(suites, "unicode")


def _legal_in_xml(text: str) -> str:
    # XML 1.0 has no way to write most control characters, nor lone surrogates.
    illegal = "[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    return re.sub(illegal, lambda found: "\\x%02x" % ord(found.group()), text)
