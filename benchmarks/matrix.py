"""`./prime matrix` of five Pythons, cold, against tox with tox-uv and nox with uv, whichever of these is fastest.

The same library, dependencies, Pythons and command for each; environments cold, caches warm.

python -m benchmarks.matrix [--rounds N] [--quick]
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import Bench, Line, Usage, command, interleaved, remove

from support import wild_pythons  # isort: skip - `common` has put it on the path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support import WildPython

GOAL = 0.5
PYTHONS = 5
# What each tool supports.
OLDEST = (3, 8)
COMMAND = "import sys, attr, packaging, benchmarked; print(sys.version)"
PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "benchmarked"
version = "1"
requires-python = ">=3.8"
dependencies = ["attrs", "packaging", "pytest"]
"""
TOX = """\
[tox]
env_list = {names}

[testenv]
package = uv-editable
commands = python -c "{command}"
"""
NOX = """\
import nox

nox.options.default_venv_backend = "uv"

@nox.session(python={pythons!r})
def tests(session):
    session.install("-e", ".")
    session.run("python", "-c", {command!r})
"""


def measure(bench: Bench) -> list[Line]:
    """Return one line; its note names the Pythons."""
    pythons = [python for python in wild_pythons() if python.version >= OLDEST][-PYTHONS:]
    names = [python.name for python in pythons]
    tools = _tools(bench)
    commands = {
        "ours": ["./prime", "matrix", "--python", ",".join(names), "--", "python", "-c", COMMAND],
        "tox": [str(tools / "tox"), "run", "-q"],
        "tox -p": [str(tools / "tox"), "run-parallel", "-q", "-p", "auto", "--parallel-no-spinner"],
        "nox": [str(tools / "nox")],
    }
    # tox and nox look for interpreters on PATH only.
    found = [str(Path(python.executable).parent) for python in pythons]
    environ = {**bench.environ, "PATH": os.pathsep.join([bench.environ["PATH"], *found])}
    contestants = {name: _contestant(bench, name, words, pythons, environ) for name, words in commands.items()}
    interleaved(1, contestants)
    seconds = interleaved(bench.times(5), contestants)
    others = {name: taken for name, taken in seconds.items() if name != "ours"}
    fastest = min(others, key=lambda name: statistics.median(others[name]))
    what = f"matrix of {len(pythons)} Pythons, cold"
    peer = "the fastest of `tox`, `tox -p` (tox-uv), `nox` (uv): " + f"`{fastest}`"
    return [Line(what, peer, GOAL, seconds["ours"], others[fastest], note=", ".join(names))]


def _tools(bench: Bench) -> Path:
    """Install the peers of this line, and return where their commands are."""
    where = bench.directory / "matrix-tools"
    bench.run([str(bench.tools / "uv"), "venv", "-q", "--python", sys.executable, str(where)])
    python = where / "bin" / "python"
    bench.run([str(bench.tools / "uv"), "pip", "install", "-q", "--python", str(python), "tox", "tox-uv", "nox", "uv"])
    return python.parent


def _contestant(
    bench: Bench, name: str, words: Sequence[str], pythons: Sequence[WildPython], environ: dict[str, str]
) -> Callable[[], Usage]:
    """Return what runs one tool, cold, in a repository of its own."""
    where = bench.directory / f"matrix {name}"
    package = where / "src" / "benchmarked"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (where / "pyproject.toml").write_text(PROJECT)
    bench.run(["git", "init", "-q"], where)
    labels = ", ".join("py" + python.name.replace(".", "") for python in pythons)
    (where / "tox.ini").write_text(TOX.format(names=labels, command=COMMAND))
    (where / "noxfile.py").write_text(NOX.format(pythons=[python.name for python in pythons], command=COMMAND))
    bench.add_kernel(where)

    def run_cold() -> Usage:
        remove(where, ".tox", ".nox", ".venv", ".protoprimer")
        return bench.measure(words, where, environ)

    return run_cold


if __name__ == "__main__":
    sys.exit(command(measure, __doc__))
