"""How time and memory grow with the work: projects, requirements, concurrent starts, generations left behind.

    python -m benchmarks.growth [--rounds N] [--quick]

Nothing here asks an index: the projects bring their own build backend, the requirements are wheels written on the spot.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.common import Bench, Usage, benched, in_unit, remove
from benchmarks.concurrent import starts_at_once

from clones import BUILD_BACKEND, BUILD_SYSTEM
from simple_index import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROJECTS = (1, 10, 50)
REQUIREMENTS = (10, 100, 400)
STARTS = (1, 10, 50)
GENERATIONS = (1, 10, 100, 1000)


@dataclass
class Growth:
    """One series: what grows, and for each size the median of wall seconds and the memory of the largest process."""

    what: str
    sizes: list[int]
    seconds: list[float]
    kilobytes: list[int]

    @property
    def is_linear_at_most(self) -> bool:
        """Whether no step takes more per item than the first size did, beyond a half more for noise."""
        pairs = zip(self.sizes, self.seconds)
        return all(taken <= 1.5 * self.seconds[0] * size / self.sizes[0] for size, taken in pairs)


def measure(bench: Bench) -> list[Growth]:
    """Return every series."""
    quick = bench.quick
    return [
        _projects(bench, PROJECTS[:2] if quick else PROJECTS),
        _requirements(bench, REQUIREMENTS[:2] if quick else REQUIREMENTS),
        _starts(bench, STARTS[:2] if quick else STARTS),
        *_generations(bench, GENERATIONS[:3] if quick else GENERATIONS),
    ]


class _Runs:
    """Command and directory of what is measured, and what is done before each run; not measured."""

    def __init__(self, bench: Bench, command: list[str], environ: dict[str, str] | None = None) -> None:
        self.bench = bench
        self.command = command
        self.environ = environ

    def series(self, what: str, sizes: tuple[int, ...], prepare: Callable[[int], Path]) -> Growth:
        """Measure each size; `prepare` makes the directory ready for a run, and returns it."""
        growth = Growth(what, list(sizes), [], [])
        for size in sizes:
            used = [self.run(prepare(size), size) for _ in range(self.bench.times(3))]
            growth.seconds.append(statistics.median(one.seconds for one in used))
            growth.kilobytes.append(self.bench.kilobytes(self.command, prepare(size), self.environ))
        return growth

    def run(self, where: Path, size: int) -> Usage:
        return self.bench.measure(self.command, where, self.environ)


class _Starts(_Runs):
    """So many at once, instead of one."""

    def run(self, where: Path, size: int) -> Usage:
        return starts_at_once(self.bench, where, size)


def _projects(bench: Bench, sizes: tuple[int, ...]) -> Growth:
    def prepare(size: int) -> Path:
        where = bench.directory / f"projects-{size}"
        if not where.exists():
            _write_projects(bench, where, size)
            bench.run(["./prime"], where)
        remove(where)
        return where

    return _Runs(bench, ["./prime"]).series("editable projects, cold", sizes, prepare)


def _write_projects(bench: Bench, where: Path, size: int) -> None:
    for number in range(size):
        project = where / f"part{number}"
        project.mkdir(parents=True)
        head = f'[project]\nname = "part{number}"\nversion = "1"\n'
        (project / "pyproject.toml").write_text(head + BUILD_SYSTEM)
        (project / "builder.py").write_text(BUILD_BACKEND)
        (project / f"part{number}.py").write_text("")
    paths = ", ".join(f'{{ path = "part{number}" }}' for number in range(size))
    (where / "protoprimer.toml").write_text(f"install = [{{ projects = [{paths}] }}]\n")
    bench.add_kernel(where)


def _requirements(bench: Bench, sizes: tuple[int, ...]) -> Growth:
    wheels = bench.directory / "wheels"
    wheels.mkdir()
    for number in range(max(sizes)):
        name, content = make_wheel(f"tiny{number}", "1")
        (wheels / name).write_bytes(content)
    environ = {**bench.environ, "PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}

    def prepare(size: int) -> Path:
        where = bench.directory / f"requirements-{size}"
        if not where.exists():
            where.mkdir()
            (where / "requirements.txt").write_text("".join(f"tiny{number}\n" for number in range(size)))
            bench.add_kernel(where)
            bench.run(["./prime"], where, environ=environ)
        remove(where)
        return where

    return _Runs(bench, ["./prime"], environ).series("requirements, cold", sizes, prepare)


def _starts(bench: Bench, sizes: tuple[int, ...]) -> Growth:
    where = bench.project("starts")
    bench.run(["./prime"], where)

    def prepare(size: int) -> Path:
        remove(where)
        return where

    return _Starts(bench, ["./prime"]).series("concurrent cold starts of one clone", sizes, prepare)


def _generations(bench: Bench, sizes: tuple[int, ...]) -> list[Growth]:
    where = bench.project("generations")
    with (where / "pyproject.toml").open("a") as stream:
        stream.write(f"\n[tool.protoprimer]\nkeep = {10 * max(sizes)}\n")
    lock, changed = where / "uv.lock", [0]

    def warm(size: int) -> Path:
        _leave_generations(bench, where, size)
        return where

    def decided_by_hash(size: int) -> Path:
        _leave_generations(bench, where, size)
        os.utime(lock)
        return where

    def built_anew(size: int) -> Path:
        _leave_generations(bench, where, size)
        changed[0] += 1
        lock.write_text(f"{lock.read_text().partition('# ')[0]}# {changed[0]}")
        return where

    prime = _Runs(bench, ["./prime"])
    found = [
        prime.series("generations left behind, warm", sizes, warm),
        prime.series("generations left behind, decided by hash", sizes, decided_by_hash),
        prime.series("generations left behind, another one built", sizes, built_anew),
    ]
    settings = (where / "pyproject.toml").read_text()
    (where / "pyproject.toml").write_text(settings.replace(f"keep = {10 * max(sizes)}", "keep = 1"))
    collect = _Runs(bench, ["./prime", "gc"])
    return [*found, collect.series("generations left behind, collected", sizes, warm)]


def _leave_generations(bench: Bench, where: Path, size: int) -> None:
    """Leave so many complete generations: the real one, and small ones that earlier builds could have left."""
    envs = where / ".protoprimer" / "envs"
    if not envs.is_dir():
        bench.run(["./prime"], where)
    records = sorted(envs.glob("default-*/protoprimer.json"), key=lambda path: json.loads(path.read_text())["serial"])
    for record in records[:-1]:
        shutil.rmtree(record.parent)
    newest = json.loads(records[-1].read_text())
    for number in range(size - 1):
        digest = hashlib.sha256(str(number).encode()).hexdigest()[:16]
        left = envs / f"default-{digest}"
        (left / "bin").mkdir(parents=True)
        (left / "bin" / "python").symlink_to(os.path.realpath(records[-1].parent / "bin" / "python"))
        shutil.copy(records[-1].parent / "pyvenv.cfg", left)
        copied = {**newest, "fingerprint": digest, "serial": -number, "distributions": [], "faults_when_new": []}
        (left / "protoprimer.json").write_text(json.dumps(copied))


def table(series: list[Growth]) -> str:
    """Return all series as a Markdown table."""
    lines = ["| what grows | sizes | time | memory of the largest process | linear at most |", "|---|---|---|---|---|"]
    for one in series:
        times = ", ".join(in_unit(seconds, "s") for seconds in one.seconds)
        memory = ", ".join(f"{kilobytes / 1024:.0f}" for kilobytes in one.kilobytes) + " MB"
        sizes = ", ".join(map(str, one.sizes))
        lines.append(f"| {one.what} | {sizes} | {times} | {memory} | {'yes' if one.is_linear_at_most else 'NO'} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Serve the command line."""
    with benched(None, __doc__ or "") as (bench, _):
        print(bench.versions_line())
        series = measure(bench)
        print(table(series))
        return 0 if all(one.is_linear_at_most for one in series) else 1


if __name__ == "__main__":
    sys.exit(main())
