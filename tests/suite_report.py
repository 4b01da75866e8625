"""What a run of the suite tells at its end: seconds and tests of each folder, what grew, and which tests are unsteady.

The figures to compare with are committed, in `durations.json`: seconds by module. They also say what is started first.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest

from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

FIGURES = ROOT / "tests" / "durations.json"
# What a whole run may take on two quiet cores.
SECONDS_OF_A_RUN = 600
# How many tests a process has left out.
LEFT_OUT = pytest.StashKey[int]()
# A folder has grown when it takes so many times what the figures say.
GROWN = 1.2


def committed_seconds() -> dict[str, float]:
    """Return the seconds that each module took when the figures were written."""
    figures: dict[str, float] = json.loads(FIGURES.read_text(encoding="utf-8"))
    return figures


def start_costliest_first(items: list[pytest.Item]) -> None:
    """Sort tests by what their modules cost; within a module they keep their order.

    A test of half a minute that is started last would keep one worker busy while the others have nothing left.
    """
    seconds = committed_seconds()
    items.sort(key=lambda item: seconds.get(_module_of(item.nodeid), 0), reverse=True)


def _module_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def by_folder(figures: Mapping[str, float]) -> dict[str, float]:
    """Add up figures of modules for each folder directly below `tests`."""
    added: dict[str, float] = defaultdict(float)
    for module, figure in figures.items():
        folder = "/".join(module.split("/")[:2])
        added[folder] += figure
    return added


class SuiteReport:
    """Adds up what the workers report, and tells it at the end.

    :param keep: whether the figures are written anew
    """

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.began = time.monotonic()
        self.seconds: dict[str, float] = defaultdict(float)
        self.tests: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note each test once, and the seconds of all that was done for it."""
        self.seconds[_module_of(report.nodeid)] += report.duration
        self.tests.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Learn from a worker how many tests it has left out, as each of them has; one that died tells nothing."""
        told = getattr(node, "workeroutput", {})
        if "left out" in told:
            node.config.stash[LEFT_OUT] = told["left out"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Tell what a reader of CI's log looks for."""
        seconds, tests = by_folder(self.seconds), by_folder(Counter(map(_module_of, self.tests)))
        terminalreporter.section("seconds of all workers together, and tests, by folder")
        for folder in sorted(seconds):
            terminalreporter.line(f"{seconds[folder]:6.0f} s {tests[folder]:5.0f} tests  {folder}")
        left_out = config.stash.get(LEFT_OUT, 0)
        if left_out:
            terminalreporter.line(
                f"{left_out} tests were left out, since others of their kind are run; --thorough runs all"
            )
        took = time.monotonic() - self.began
        if took > SECONDS_OF_A_RUN and not config.getoption("--thorough"):
            terminalreporter.line(f"This run took {took:.0f} s. On two quiet cores, {SECONDS_OF_A_RUN} s are the most.")
            for line in what_grew(seconds, by_folder(committed_seconds())):
                terminalreporter.line(line)
        _tell_unsteady(terminalreporter)
        if self.keep:
            figures = {module: round(self.seconds[module], 1) for module in sorted(self.seconds)}
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def what_grew(seconds: Mapping[str, float], before: Mapping[str, float]) -> Iterator[str]:
    """Yield a line for each folder that takes much longer than the committed figures say."""
    for folder in sorted(seconds):
        known = before.get(folder, 0)
        if seconds[folder] > GROWN * known:
            yield f"{folder} grew from {known:.0f} s to {seconds[folder]:.0f} s"


def _tell_unsteady(reporter: pytest.TerminalReporter) -> None:
    unsteady = unsteady_tests(reporter)
    if not unsteady:
        return
    reporter.section("unsteady: failed, and passed when tried once more")
    reporter.line("Each is a defect of the product or of the test. Find its cause.")
    for report in unsteady:
        reporter.write_sep("_", f"{report.nodeid} ({report.when})")
        reporter.line(report.longreprtext)


def unsteady_tests(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    """Return what was said first by each test that failed once only."""
    failed_again = {report.nodeid for kind in ("failed", "error") for report in reporter.stats.get(kind, [])}
    return [report for report in reporter.stats.get("rerun", []) if report.nodeid not in failed_again]
