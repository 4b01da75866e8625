"""Start everything at once in one clone, and count: builds, failures, incomplete environments, orphans, locks."""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import clones
import support
from stress.worlds import World, make_world

# Imports what is installed, and compares every installed file with what its RECORD says.
CLIENT = """\
import base64, csv, hashlib, json, os, sys

def main():
    import piece, solid
    from importlib import metadata
    seen = 0
    for distribution in metadata.distributions():
        for file in distribution.files or []:
            if file.hash is not None:
                content = open(str(file.locate()), "rb").read()
                digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, content).digest()).rstrip(b"=").decode()
                assert digest == file.hash.value, file
                seen += 1
    assert seen >= 6, seen
    print(json.dumps({"prefix": sys.prefix, "said": solid.say(), "name": piece.NAME}))
"""
ENVIRONMENTS = ("a", "b")
IN_ENVIRONMENT = ["run", "--", "python", "-c", "import client; client.main()"]
# What is started, and how often in fifty.
MIXTURE: tuple[tuple[int, list[str]], ...] = (
    (12, ["./prime"]),
    (14, ["./app"]),
    (8, ["./service"]),
    (3, ["./prime", "reboot"]),
    (4, ["./prime", "--env", "a", *IN_ENVIRONMENT]),
    (4, ["./prime", "--env", "b", *IN_ENVIRONMENT]),
    (3, ["./prime", "gc"]),
    (2, ["./prime", "matrix", "--jobs", "1", "--", "python", "-c", "import solid"]),
)


@dataclass
class Report:
    """What a storm led to."""

    started: int
    clients: int
    reboots: int
    builds: dict[str, int]
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def prepare(world: World) -> World:
    """Give a world's clone the scripts and environments that a storm starts."""
    clone = world.clone
    settings = (clone.root / "protoprimer.toml").read_text(encoding="utf-8").replace("keep = 2\n", "keep = 4\n")
    python = support.default_python().name
    for name in ENVIRONMENTS:
        settings += f'[env.{name}]\nwatch = ["data", "only-{name}"]\n'
    settings += f'[matrix]\npython = ["{python}"]\n'
    clone.write({"client.py": CLIENT, "protoprimer.toml": settings}).entry("service", "client:main", "start")
    return world


def commands(count: int, seed: int) -> list[list[str]]:
    """Return `count` commands in the proportions of `MIXTURE`, in an order that the seed gives."""
    pool = [command for weight, command in MIXTURE for _ in range(weight)]
    chance = random.Random(seed)
    chosen = [command for _weight, command in MIXTURE][:count]
    chosen += [chance.choice(pool) for _ in range(count - len(chosen))]
    chance.shuffle(chosen)
    return chosen


def run_storm(world: World, count: int, seed: int) -> Report:
    """Start `count` commands at once in a world's clone, wait for all, and judge."""
    begun = time.monotonic()
    clone, before = world.clone, builds_of(world.clone)
    was_ready = (clone.state / "ready").exists()
    chosen = commands(count, seed)
    processes = [(command, clone.start(*command)) for command in chosen]
    ends = [(command, clones.finished(process)) for command, process in processes]
    report = Report(count, 0, sum("reboot" in command for command in chosen), {})
    for command, done in ends:
        is_client = command[0] in ("./app", "./service") or command[-2:-1] == ["-c"]
        if command[0] == "./service" and done.status == 8 and not was_ready:
            continue
        if done.status != 0 or re.search("Traceback|error: ", done.errors):
            report.wrong.append(f"{command}: {done}")
        elif is_client and "matrix" not in command:
            report.clients += 1
            if json.loads(done.output)["said"] != "whole":
                report.wrong.append(f"{command} saw an incomplete environment: {done}")
    after = builds_of(clone)
    report.builds = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    report.wrong += _what_is_left(world)
    again = clone.prime("--env", "default", status=None)
    if again.status != 0 or "created" in again.errors:
        report.wrong.append(f"something was left to do: {again}")
    report.seconds = time.monotonic() - begun
    return report


def builds_of(clone: clones.Clone) -> collections.Counter[str]:
    """Return how many environments were begun of each name and fingerprint, as the logs tell."""
    found: collections.Counter[str] = collections.Counter()
    for path in clone.state.glob("log/*.log"):
        text = path.read_text(encoding="utf-8")
        # No directory's name is used twice, so each that a log names is one build.
        found.update(
            {
                name
                for name, _ in re.findall(r"/envs/((\w+)-[0-9a-f]{16}(?:\.\d+)?)", text)
                if "created an" in text or " linked " in text
            }
        )
    totals: collections.Counter[str] = collections.Counter()
    for name in found:
        totals[name.partition(".")[0]] += 1
    return totals


def _what_is_left(world: World) -> list[str]:
    """Return the processes, locks and unfinished files that are left when all has ended."""
    found = []
    word = os.fsencode(str(world.base))
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if word in text and int(path.name) != os.getpid() and b"stress" not in text.split(word)[0]:
            found.append(f"an orphan: {path.name} {(path / 'cmdline').read_bytes()!r}")
    if os.name == "posix":
        import fcntl

        for path in world.clone.state.glob("lock*"):
            with path.open("rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    found.append(f"the lock is held: {path}: {error}")
                if path.stat().st_size:
                    found.append(f"the lock names a holder: {path.read_bytes()!r}")
    for pattern in ("*.held", "*.tmp", "envs/*.building", "envs/.trash-*", "envs/*.tmp"):
        found += [f"left: {path}" for path in world.clone.state.glob(pattern)]
    return found


def excess_builds(report: Report) -> list[str]:
    """Return what was built more often than once for each fingerprint and once for each reboot."""
    total = sum(report.builds.values())
    allowed = len(report.builds) + report.reboots
    return [f"{total} builds of {len(report.builds)} fingerprints: {report.builds}"] if total > allowed else []


def main(words: list[str]) -> int:
    """Serve `python tests/stress storm`."""
    parser = argparse.ArgumentParser(prog="python tests/stress storm", description=__doc__)
    parser.add_argument("--backend", choices=support.BACKENDS, default="uv")
    parser.add_argument("--processes", type=int, default=50, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    asked = parser.parse_args(words)
    base = Path(tempfile.mkdtemp(prefix="storm-")).resolve()
    wrong = 0
    print("| storm | processes | clients that saw all | reboots | fingerprints built | builds | wrong | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for number in range(asked.rounds):
        world = prepare(make_world(base / str(number), asked.backend, "first", base / "caches"))
        for kind in ("from nothing", "over a ready one"):
            report = run_storm(world, asked.processes, seed=number)
            problems = report.wrong + excess_builds(report)
            wrong += len(problems)
            builds = sum(report.builds.values())
            cells = [kind, report.started, report.clients, report.reboots, len(report.builds), builds, len(problems)]
            print("| " + " | ".join(map(str, [*cells, f"{report.seconds:.1f}"])) + " |", flush=True)
            for problem in problems:
                print(problem, file=sys.stderr)
    shutil.rmtree(base)
    return 1 if wrong else 0
