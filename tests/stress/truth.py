"""Change inputs of projects at random in a ready clone, and compare it with a fresh clone of the same content."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import clones
import support
from truth.oracle import Place, Ready, download_build_backends, embedded_pip, faults_after, made_ready, placed
from truth.projects import PROJECTS, Project

# How often a clone is changed before a new one takes its place.
CHANGES = 5


def candidates() -> list[Project]:
    """Return the projects that this host can build."""
    return [one for one in PROJECTS if one.mutations and (shutil.which("gcc") or not one.needs_compiler)]


def run_rounds(place: Place, seed: int, rounds: int, backends: list[str] | None = None) -> list[str]:
    """Make some changes, one a round, in clones of projects at random; return what is not true, and after which changes.

    A change is made, or what was changed is taken back, so that a clone meets earlier contents again.
    """
    chance = random.Random(seed)
    found: list[str] = []
    ready: Ready | None = None
    applied: list[str] = []
    left = 0
    for _ in range(rounds):
        if ready is None or left == 0:
            if ready is not None:
                place.drop(ready.clone)
            project = chance.choice(candidates())
            applied, history, left = [], [], CHANGES
            backend = chance.choice(backends or list(project.backends))
            ready = made_ready(place, project, backend)
            if ready.answer.status != 0:
                found.append(f"seed {seed}, {project.name}, {backend}: {ready.answer.said}")
                ready = None
                continue
        left -= 1
        mutation = chance.choice(sorted(ready.project.mutations))
        applied = [one for one in applied if one != mutation] if mutation in applied else [*applied, mutation]
        history.append(mutation)
        wrong = faults_after(place, ready, applied)
        found += [f"seed {seed}, {ready.project.name}, {ready.backend}, {history}: {one}" for one in wrong]
        if wrong:
            left = 0
    if ready is not None:
        place.drop(ready.clone)
    return found


def _filled_cache(base: Path) -> Path:
    """Fetch the tools of each backend, from the index that this host is configured for."""
    support.make_toolset(base / "tools", support.default_python())
    (base / "home").mkdir()
    environ = support.clean_environment(str(base / "tools"), base / "home", PROTOPRIMER_CACHE=str(base / "cache"))
    (base / "first").mkdir()
    clone = clones.Clone(base / "first", environ, "file").entry("prime", None, "boot")
    for backend in support.BACKENDS:
        clone.project("demo").prime("reboot", "--backend", backend)
    return base / "cache"


def main(words: list[str]) -> int:
    """Serve `python tests/stress truth`."""
    parser = argparse.ArgumentParser(prog="python tests/stress truth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=support.BACKENDS, action="append", help="only this one; may be repeated")
    asked = parser.parse_args(words)
    base = Path(tempfile.mkdtemp(prefix="truth-")).resolve()
    started, wrong = time.monotonic(), 0
    try:
        cache = _filled_cache(base)
        download_build_backends(base / "wheels", embedded_pip())
        with placed(base / "place", cache, base / "wheels") as place:
            for number in range(0, asked.rounds, CHANGES):
                found = run_rounds(place, asked.seed + number, min(CHANGES, asked.rounds - number), asked.backend)
                wrong += len(found)
                for one in found:
                    print(one, flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(f"{asked.rounds} rounds, {wrong} not true, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
