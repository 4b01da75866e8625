"""What a person sees of a run: the screen of a terminal, as text, while it runs and once it has ended."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable

    from clones import Clone

pexpect = pytest.importorskip("pexpect")
pyte = pytest.importorskip("pyte")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no pseudo-terminal to test on")


class Screen:
    """A run on a terminal of 160 columns, rendered as a person sees it."""

    def __init__(self, clone: Clone, *arguments: str) -> None:
        environ = {**clone.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "50"}
        environ.pop("CI", None)
        self.child = pexpect.spawn("./prime", list(arguments), cwd=str(clone.root), env=environ, dimensions=(50, 160))
        self.screen = pyte.HistoryScreen(160, 50, history=1000)
        self.stream = pyte.ByteStream(self.screen)

    def lines(self) -> list[str]:
        """Return what is there, lines that were scrolled away first."""
        gone = ["".join(row[column].data for column in range(160)).rstrip() for row in self.screen.history.top]
        return [line for line in gone + [line.rstrip() for line in self.screen.display] if line]

    def until(self, pattern: str) -> str:
        """Wait until a line matches, and return it."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self._read()
            for line in self.lines():
                if re.search(pattern, line):
                    return line
        raise AssertionError("\n".join(self.lines()))

    def end(self) -> list[str]:
        """Wait until the run has ended, and return its last screen."""
        while self._read():
            pass
        self.child.wait()
        return self.lines()

    def _read(self) -> bool:
        try:
            self.stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True


@pytest.fixture
def slow(new_clone: Callable[..., Clone]) -> tuple[Clone, Any]:
    """Return a clone whose project is built for as long as a file exists, and that file."""
    clone = new_clone(**support.shared_caches()).project("demo").entry("prime", None, "boot")
    held = clone.root.parent / "held"
    held.write_text("")
    builder, begin = (clone.root / "builder.py").read_text(), "def build(directory, editable):\n"
    wait = f"    import time\n    while os.path.exists({str(held)!r}):\n        time.sleep(0.1)\n"
    assert begin in builder
    return clone.write({"builder.py": builder.replace(begin, begin + wait)}), held


def test_a_quick_run_leaves_a_line_for_each_step_in_the_past_tense(new_clone: Callable[..., Clone]) -> None:
    clone = new_clone(**support.shared_caches()).project("demo").entry("prime", None, "boot")
    lines = [line for line in Screen(clone, "--backend", "venv").end() if not line.startswith("fetched pip")]
    assert [line.split()[0] for line in lines] == ["building", "created", "installed", "ready:"], lines
    assert Screen(clone, "--backend", "venv").end() == []


def test_a_slow_run_tells_what_it_does_on_one_line(slow: tuple[Clone, Any]) -> None:
    clone, held = slow
    screen = Screen(clone)
    screen.until(r"^installing demo.*\([2-9] s\)$")
    assert [line for line in screen.lines() if line.startswith("install")] == [screen.lines()[-1]]
    held.unlink()
    lines = screen.end()
    assert not [line for line in lines if line.startswith("installing")], lines
    assert any(re.match(r"installed demo.* in \d+\.\d\d s$", line) for line in lines), lines


def test_an_interrupt_leaves_a_clean_line(slow: tuple[Clone, Any]) -> None:
    clone, held = slow
    screen = Screen(clone)
    screen.until(r"^installing demo.*\(\d+ s\)$")
    screen.child.sendintr()
    lines = screen.end()
    held.unlink()
    assert [line for line in lines if re.match(r"installing demo.* was interrupted after \d+\.\d\d s$", line)], lines
    assert not [line for line in lines if "(0 s)" in line or "^C" in line or "Traceback" in line], lines
    assert screen.child.exitstatus == 130 or screen.child.signalstatus == 2


def test_a_step_that_fails_is_told_as_one(new_clone: Callable[..., Clone]) -> None:
    clone = new_clone().project("demo", more='dependencies = ["no-such-distribution-anywhere"]')
    lines = Screen(clone.entry("prime", None, "boot"), "--offline", "--backend", "venv").end()
    (failed,) = [line for line in lines if line.startswith("install")]
    assert re.match(r"installing demo.* failed after \d+\.\d\d s$", failed)
    assert any(line.startswith("error: ") for line in lines)


def test_a_matrix_shows_each_result_once(new_clone: Callable[..., Clone]) -> None:
    clone = new_clone().entry("prime", None, "boot")
    name = "py" + support.default_python().name
    clone.write({"protoprimer.toml": 'backend = "venv"\n[matrix]\nenv = ["default", "dev"]\n[env.dev]\n'})
    sleeping = ["python", "-c", "import time; time.sleep(2)"]
    screen = Screen(clone, "matrix", "--python", support.default_python().name, "--", *sleeping)
    screen.until(r"py\S+ +\S+ +running +\d s")
    lines = screen.end()
    for cell in (name, name + "-dev"):
        assert len([line for line in lines if line.startswith(cell + " ")]) == 1, lines
    assert not [line for line in lines if re.search("running|provisioning|waiting", line)], lines
    assert re.match(r"2 passed in ", lines[-1])
