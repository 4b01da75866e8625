"""What every benchmark needs: a small locked project with the kernel in it, peers of its own, interleaved rounds."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
for _place in (str(ROOT / "src"), str(ROOT / "tests")):
    if _place not in sys.path:
        sys.path.insert(0, _place)

import protoprimer  # noqa: E402

if str(ROOT) not in protoprimer.__path__:
    protoprimer.__path__.append(str(ROOT))

from protoprimer.authoring.entry import entry_text  # noqa: E402
from protoprimer.authoring.kernel import kernel_text  # noqa: E402
from support import clean_environment, default_python  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DEPENDENCIES = ["attrs", "click", "jinja2", "packaging", "pytest", "requests", "rich"]
PROJECT = """\
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "small"
version = "1"
requires-python = ">=3.8"
dependencies = {dependencies}
"""
CLIENT = "def main():\n    return 0\n"
SECONDS_LIMIT = 600
# A process counts as large as the one that started it was: so a small one starts what is measured, and tells.
LAUNCHER = """\
import os, resource, sys
child = os.fork()
if not child:
    os.execvp(sys.argv[2], sys.argv[2:])
status = os.waitpid(child, 0)[1]
with open(sys.argv[1], "w") as stream:
    stream.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(1 if status else 0)
"""


@dataclass
class Usage:
    """What one run of a command cost: wall seconds and processor seconds, those of its children included."""

    seconds: float
    processor: float


@dataclass
class Line:
    """One line of the table: what was measured, against what, and the goal for the ratio of the medians.

    :param enough: so many seconds are good enough, whatever the ratio
    :param most_above: so many seconds more than the other are too many, whatever the ratio
    """

    what: str
    peer: str
    goal: float
    ours: list[float]
    others: list[float]
    unit: str = "s"
    note: str = ""
    enough: float = 0.0
    most_above: float = float("inf")

    @property
    def ratio(self) -> float:
        """The median of ours by the median of the other."""
        return statistics.median(self.ours) / statistics.median(self.others)

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        ours, others = statistics.median(self.ours), statistics.median(self.others)
        return ours <= self.enough or (self.ratio <= self.goal and ours - others <= self.most_above)

    def as_dict(self) -> dict[str, object]:
        """Return it as plain data."""
        return {**vars(self), "ratio": self.ratio, "is_met": self.is_met}


@dataclass
class Bench:
    """A scratch directory with caches, peers and wild Python of its own, and how much is to be measured."""

    directory: Path
    quick: bool = False
    rounds: int = 0
    environ: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    kernel: str = ""

    def times(self, usual: int, quick: int = 1) -> int:
        """Return how many rounds are to be run."""
        return self.rounds or (quick if self.quick else usual)

    @property
    def tools(self) -> Path:
        """Where the peers' commands are."""
        return self.directory / "tools" / "bin"

    @property
    def wild(self) -> str:
        """The interpreter that everything starts from."""
        return default_python().executable

    def set_up(self) -> None:
        """Install the peers from the index, make a user's home, PATH and caches, and generate the kernel once."""
        self.kernel = kernel_text()
        path = self.directory / "path"
        path.mkdir()
        (path / "python3").symlink_to(self.wild)
        home = self.directory / "home"
        home.mkdir()
        caches = {name: str(home / ".cache") for name in ("XDG_CACHE_HOME",)}
        self.environ = clean_environment(os.pathsep.join([str(path), "/usr/bin", "/bin"]), home, **caches)
        # What one installer would look at and another would not.
        for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
            self.environ.pop(name, None)
        self.run([self.wild, "-m", "venv", str(self.directory / "tools")])
        self.run([str(self.tools / "pip"), "install", "-q", "uv", "virtualenv"])
        (path / "uv").symlink_to(self.tools / "uv")
        for name in ("uv", "virtualenv", "pip"):
            said = self.run([str(self.tools / name), "--version"], capture=True).split()
            self.versions[name] = next(word for word in said if word[0].isdigit())

    def run(
        self,
        command: Sequence[str],
        where: Path | None = None,
        *,
        capture: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command that is not measured; end with its output if it fails."""
        done = subprocess.run(
            command,
            cwd=where or self.directory,
            env=self.environ if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS_LIMIT,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{output}{done.stderr.decode(errors='replace')}")
        return output if capture else ""

    def project(self, name: str, dependencies: Sequence[str] = DEPENDENCIES, *, locked: bool = True) -> Path:
        """Write a project that can be installed, with the kernel and entry scripts of each kind."""
        return self.write_project(name, PROJECT.format(dependencies=json.dumps(list(dependencies))), locked=locked)

    def write_project(self, name: str, text: str, *, locked: bool = True) -> Path:
        """Write a project of this `pyproject.toml`."""
        where = self.directory / name
        (where / "src" / "small").mkdir(parents=True)
        (where / "src" / "small" / "__init__.py").write_text(CLIENT)
        (where / "pyproject.toml").write_text(text)
        self.add_kernel(where)
        if locked:
            self.run([str(self.tools / "uv"), "lock", "-q", "--python", self.wild], where)
        return where

    def add_kernel(self, where: Path) -> None:
        """Write the kernel, `prime` without a client, and `run` and `start` with one."""
        (where / "proto_kernel.py").write_text(self.kernel, encoding="utf-8")
        scripts = {"prime": ("boot", None), "run": ("run", "small:main"), "start": ("start", "small:main")}
        for script, (kind, main) in scripts.items():
            (where / script).write_text(entry_text(kind, main, "proto_kernel.py"), encoding="utf-8")
            (where / script).chmod(0o755)

    def measure(self, command: Sequence[str], where: Path, environ: Mapping[str, str] | None = None) -> Usage:
        """Run a command and return what it cost; end with its output if it fails."""
        return self.wait(*self.start(command, where, environ))

    def start(
        self, command: Sequence[str], where: Path, environ: Mapping[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], float, Path]:
        """Start a command whose output goes to a file, and return it, when, and that file."""
        handle, output = tempfile.mkstemp(dir=self.directory)
        started = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=where,
            env=self.environ if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
        )
        os.close(handle)
        return child, started, Path(output)

    def wait(self, child: subprocess.Popen[bytes], started: float, output: Path) -> Usage:
        """Wait for a command and return what it and its children cost."""
        # Not by `subprocess`, which would not tell what was used.
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"{child.args!r} failed with {child.returncode}:\n{output.read_text(errors='replace')}")
        output.unlink()
        return Usage(seconds, used.ru_utime + used.ru_stime)

    def kilobytes(self, command: Sequence[str], where: Path, environ: Mapping[str, str] | None = None) -> int:
        """Run a command and return the memory of the largest of its processes."""
        told = self.directory / "kilobytes"
        self.measure([self.wild, "-I", "-S", "-c", LAUNCHER, str(told), *command], where, environ)
        return int(told.read_text()) // (1024 if sys.platform == "darwin" else 1)

    def versions_line(self) -> str:
        """Return in one line what was measured with what."""
        tools = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        wild = ".".join(map(str, default_python().version))
        load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
        host = f"{os.cpu_count()} processors, load {load}; {sys.platform}"
        return f"{time.strftime('%Y-%m-%d')}; CPython {wild}; {tools}; {host}"


def interleaved(rounds: int, contestants: Mapping[str, Callable[[], Usage]]) -> dict[str, list[float]]:
    """Run each contestant once a round, and return the wall seconds of each; who comes first changes each round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            seconds[name].append(contestants[name]().seconds)
    return seconds


def remove(where: Path, *names: str) -> None:
    """Remove what a run left, links themselves and not what they lead to."""
    for name in names or (".venv", ".protoprimer"):
        path = where / name
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)


def fresh(where: Path, names: Sequence[str], run: Callable[[], Usage]) -> Callable[[], Usage]:
    """Return `run`, preceded by the unmeasured removal of `names`."""

    def removed_and_run() -> Usage:
        remove(where, *names)
        return run()

    return removed_and_run


def shown(line: Line) -> str:
    """Return a line for a person, with the spread of its rounds."""
    parts = []
    for taken in (line.ours, line.others):
        low, middle, high = min(taken), statistics.median(taken), max(taken)
        parts.append(f"{in_unit(middle, line.unit)} ({in_unit(low, line.unit)} to {in_unit(high, line.unit)})")
    verdict = "met" if line.is_met else "MISSED"
    figures = f"{parts[0]} against {line.peer}: {parts[1]}; ratio {line.ratio:.2f}"
    return f"{line.what}: {figures}, goal {line.goal:g}: {verdict}"


def in_unit(value: float, unit: str) -> str:
    """Return a figure with its unit, short."""
    if unit != "s":
        return f"{value:.0f} {unit}"
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


@contextlib.contextmanager
def benched(
    arguments: Sequence[str] | None = None, description: str = ""
) -> Iterator[tuple[Bench, argparse.Namespace]]:
    """Yield a bench that is set up, and the options; everything it made is removed afterwards."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each comparison; default: enough for each")
    parser.add_argument("--quick", action="store_true", help="few rounds, small sizes")
    parser.add_argument("--write", action="store_true", help="write docs/explanation/performance.md and its picture")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        bench = Bench(Path(directory).resolve(), options.quick, options.rounds)
        bench.set_up()
        yield bench, options


def command(measure: Callable[[Bench], list[Line]], description: str | None) -> int:
    """Serve the command line of one benchmark: measure and print; exit status 1 where a goal is missed."""
    with benched(None, description or "") as (bench, _):
        print(bench.versions_line())
        lines = measure(bench)
        for line in lines:
            print(shown(line))
        return 0 if all(line.is_met for line in lines) else 1
