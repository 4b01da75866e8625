"""End a boot at every system call that changes the disk, and see that the next one heals it.

The calls are not listed by hand: a clean boot is traced, and repeated once for each of them and each kind of fault, which
strace injects. After each, `worlds.World.faults` says what is wrong. Power loss is a kill after which what no `fsync`
had brought to the disk is lost in some way, and the computer has started anew.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import support
from stress.worlds import SCENARIOS, World, make_world

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Calls that change the disk by their nature, and those that do so by their flags or their file.
CHANGING = (
    *["rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir"],
    *["mkdirat", "rmdir", "chmod", "fchmod", "fchmodat", "utimensat", "utime", "truncate", "ftruncate", "fallocate"],
    *["fsync", "fdatasync", "mknod", "chown", "fchown", "fchownat", "setxattr", "copy_file_range", "sendfile"],
)
OPENING = ("open", "openat", "creat")
WRITING = ("write", "pwrite64", "writev")
TRACED = ",".join(f"?{name}" for name in (*CHANGING, *OPENING, *WRITING, "sync", "syncfs"))
ERRORS = ("ENOSPC", "EIO", "EACCES", "EMFILE")
SIGNALS = ("KILL", "TERM", "INT", "HUP")
LOSSES = ("emptied", "gone", "mixed")
FAULTS = (*SIGNALS, *ERRORS, *(f"power loss, {loss}" for loss in LOSSES))
# A configuration file that cannot be read is 3.
EXIT_CODES_OF_FAILURE = (3, 4, 5, 6)

_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)\Z")


@dataclass(frozen=True)
class Point:
    """One system call of a traced run.

    :param number: the how manieth call of this name it is in its process, from 1
    :param what: its arguments without what differs from run to run
    """

    call: str
    number: int
    what: str


@dataclass(frozen=True)
class Outcome:
    point: Point
    fault: str
    was_hit: bool
    wrong: tuple[str, ...]
    litter: tuple[str, ...]


def points_of(trace: str, base: Path) -> list[Point]:
    """Return the points of a trace by `-y`: the calls that change a file below `base`."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    found = []
    for line in trace.splitlines():
        parsed = _LINE.match(line)
        if parsed is None or "resumed>" in line:
            continue
        call, rest = parsed["call"], parsed["rest"]
        counts[parsed["pid"], call] += 1
        if str(base) in rest and _changes_disk(call, rest):
            found.append(Point(call, counts[parsed["pid"], call], _normal(rest, base)))
    return found


def _changes_disk(call: str, rest: str) -> bool:
    if call in OPENING:
        return call == "creat" or bool(re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest))
    if call in WRITING:
        return bool(re.match(r"\d+</", rest))
    return call in CHANGING


def _normal(rest: str, base: Path) -> str:
    return re.sub(r"\d{4,}", "#", rest.replace(str(base), "")).split(" = ")[0]


class Injector:
    """Runs boots of one world under strace."""

    def __init__(self, world: World, with_children: bool = False) -> None:
        self.world = world
        self._trace = world.base / "trace"
        self._follow = ["-f"] if with_children else []

    def clean_points(self) -> list[Point]:
        """Return the points of a boot that nothing disturbs."""
        self.world.restore()
        status, errors = self._run([])
        assert status == 0, errors
        assert self.world.faults() == []
        return points_of(self._text(), self.world.base)

    def try_point(self, point: Point, fault: str) -> Outcome:
        """Disturb a boot at a point, and judge what follows."""
        self.world.restore()
        status, errors = self._run(["-e", f"inject={point.call}:{_injection(fault)}:when={_moment(point, fault)}"])
        trace = self._text()
        if fault.startswith("power loss"):
            lose_unsynced(self.world, trace, fault.rpartition(" ")[2], seed=f"{point}{fault}")
        was_hit = bool(re.search(r"INJECTED|killed by SIG|si_code=SI_KERNEL", trace))
        wrong = self.world.faults()
        if was_hit or status != 0:
            # Else this boot had fewer such calls than the first one: some depend on the clock.
            wrong = [*_faults_of_end(fault, status, errors, bool(self._follow)), *wrong]
        # A child of a killed run may be at work still: its world must not be taken from under it.
        _end_group(self._leader)
        return Outcome(point, fault, was_hit, tuple(wrong), tuple(self.world.litter()))

    def _run(self, injection: list[str]) -> tuple[int, str]:
        command = ["strace", "-y", "-qq", "-s", "0", "-o", str(self._trace), *self._follow, "-e", f"trace={TRACED}"]
        strace = shutil.which("strace") or "strace"
        process = subprocess.Popen(
            [strace, *command[1:], *injection, "./prime"],
            cwd=self.world.clone.root,
            env=self.world.clone.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._leader = process.pid
        assert process.stderr is not None
        with tempfile.TemporaryFile() as kept:
            # Orphans may keep the pipe open: read until the boot has ended, not until the end.
            reader = ThreadPoolExecutor(1)
            reading = reader.submit(shutil.copyfileobj, process.stderr, kept)
            status = process.wait(timeout=120)
            with contextlib.suppress(concurrent.futures.TimeoutError):
                reading.result(timeout=0.3 if status < 0 else 60)
            kept.seek(0)
            errors = kept.read()
            if not reading.done():
                _end_group(self._leader)
                reading.result(timeout=60)
            reader.shutdown()
        process.stderr.close()
        return status, os.fsdecode(errors)

    def _text(self) -> str:
        # With -o and -f each line begins with the pid; without -f it does not.
        text = self._trace.read_text(errors="replace")
        return text if self._follow else "".join(f"1 {line}\n" for line in text.splitlines())


def _injection(fault: str) -> str:
    if fault in ERRORS:
        return f"error={fault}"
    return f"signal={fault if fault in SIGNALS else 'KILL'}"


def _moment(point: Point, fault: str) -> str:
    # A disk that is full stays so.
    return f"{point.number}+" if fault == "ENOSPC" else str(point.number)


def _applies(point: Point, fault: str) -> bool:
    """Tell whether the system can answer this call so."""
    if fault == "EMFILE":
        return point.call in OPENING
    if fault == "ENOSPC":
        # All later opens would fail, the reading ones too, which no full disk does.
        return point.call not in (*OPENING, "unlink", "unlinkat", "rmdir", "chmod", "fchmod", "utimensat", "ftruncate")
    if fault == "EACCES":
        return point.call not in (*WRITING, "fsync", "fdatasync", "ftruncate", "fallocate", "fchmod")
    return True


def _faults_of_end(fault: str, status: int, errors: str, with_children: bool) -> list[str]:
    """Return what is wrong with the disturbed run's own end."""
    found = []
    # A build's own is quoted behind a bar.
    if any("Traceback" in line for line in errors.splitlines() if not line.startswith("  | ")):
        found.append(f"a traceback: {errors}")
    if with_children or fault in ERRORS:
        allowed: tuple[int, ...] = (
            0,
            *EXIT_CODES_OF_FAILURE,
            *(-signal.Signals[f"SIG{name}"] for name in SIGNALS),
            130,
        )
    elif fault == "INT":
        # Before Python has its handler, or while it ends, the signal itself is the end.
        allowed = (130, -signal.SIGINT)
    else:
        number = signal.Signals[f"SIG{fault}"] if fault in SIGNALS else signal.SIGKILL
        allowed = (-number, 128 + number)
    if fault == "ENOSPC" and status == 120:
        # strace fills the disk for stderr too: what Python ends with if its last words cannot be written.
        return found
    if status not in allowed:
        found.append(f"it ended with {status}: {errors}")
    if status in EXIT_CODES_OF_FAILURE and "error: " not in errors:
        found.append(f"it ended with {status} and no words: {errors}")
    return found


def _end_group(leader: int) -> None:
    try:
        while True:
            os.killpg(leader, signal.SIGKILL)
            time.sleep(0.01)
    except (ProcessLookupError, PermissionError):
        pass


def lose_unsynced(world: World, trace: str, loss: str, seed: str) -> None:
    """Take from the disk what no `fsync` of the trace had brought there, and start the computer anew.

    A new file is emptied (its name was written, its content not), gone, or, mixed, either or whole; of a file that was
    renamed into place the old content may be back, where the directory was not synced. What has a second name, as a
    file hard-linked from a tool's cache, was on the disk before: it can lose the name only.
    """
    chance = random.Random(seed)
    synced = _synced(trace)
    for top, saved in world.places():
        # Not into what the link leads to.
        for parent, names, files in os.walk(top) if not top.is_symlink() else [(str(top.parent), [top.name], [])]:
            links = [one for one in names if Path(parent, one).is_symlink()]
            for one in sorted([*files, *links]):
                path = Path(parent, one)
                old = saved / path.relative_to(top)
                if _is_same(path, old) or str(path) in synced:
                    continue
                does = loss if loss != "mixed" else chance.choice(["emptied", "gone", "kept"])
                if does == "gone" or (does == "emptied" and (path.is_symlink() or path.stat().st_nlink > 1)):
                    path.unlink()
                elif does == "emptied":
                    os.truncate(path, 0)
    ready = world.base / "saved" / ".protoprimer" / "ready"
    if loss == "mixed" and ready.exists() and chance.random() < 0.5:
        shutil.copy2(ready, world.clone.state / "ready")
    world.boot_identifier.write_text("second\n")


def _synced(trace: str) -> set[str]:
    synced: set[str] = set()
    for line in trace.splitlines():
        done = re.match(r"1 (?:fsync|fdatasync)\(\d+<(.*?)>\) = 0", line)
        if done:
            synced.add(done[1])
        moved = re.match(r'1 rename\("(.*)", "(.*)"\) = 0', line)
        if moved and moved[1] in synced:
            synced.add(moved[2])
    return synced


def _is_same(path: Path, old: Path) -> bool:
    if not os.path.lexists(old):
        return False
    if path.is_symlink():
        return old.is_symlink() and os.readlink(path) == os.readlink(old)
    return old.is_file() and path.read_bytes() == old.read_bytes()


@dataclass
class Campaign:
    """All that is tried for one backend and scenario."""

    backend: str
    scenario: str
    points: list[Point]
    outcomes: list[Outcome]
    seconds: float


def run_campaign(
    base: Path,
    backend: str,
    scenario: str,
    faults: Sequence[str] = FAULTS,
    sample: int | None = None,
    jobs: int = 1,
    with_children: bool = False,
    caches: Path | None = None,
) -> Campaign:
    """Try every fault at every point of a scenario, or `sample` of those pairs, chosen at random."""
    started = time.monotonic()
    caches = caches or base / "caches"
    injectors = []
    for number in range(jobs):
        world = make_world(base / f"{backend}-{scenario}-{number}", backend, scenario, caches)
        injectors.append(Injector(world, with_children))
    points = list(dict.fromkeys(injectors[0].clean_points()))
    pairs = [(point, fault) for point in points for fault in faults if _applies(point, fault)]
    if sample is not None and sample < len(pairs):
        # The same ones each time.
        random.Random(sample).shuffle(pairs)
        pairs = pairs[:sample]
    shares = [pairs[number::jobs] for number in range(jobs)]

    def work(injector: Injector, share: Iterable[tuple[Point, str]]) -> list[Outcome]:
        return [injector.try_point(point, fault) for point, fault in share]

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = [one for part in pool.map(work, injectors, shares) for one in part]
    return Campaign(backend, scenario, points, outcomes, time.monotonic() - started)


def table(campaigns: Sequence[Campaign]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| backend | scenario | calls that change the disk | faults injected | hit | survived | seconds |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for one in campaigns:
        hit = [outcome for outcome in one.outcomes if outcome.was_hit]
        survived = sum(not outcome.wrong for outcome in one.outcomes)
        cells = [one.backend, one.scenario, len(one.points), len(one.outcomes), len(hit), survived, round(one.seconds)]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Serve `python tests/stress crashes`."""
    parser = argparse.ArgumentParser(prog="python tests/stress crashes", description=__doc__)
    parser.add_argument("--backend", action="append", choices=support.BACKENDS)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--fault", action="append", choices=FAULTS)
    parser.add_argument("--sample", type=int, metavar="N", help="only N faults of each backend and scenario")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument(
        "--children", action="store_true", help="disturb the first process, ours or a tool's, that gets there"
    )
    parser.add_argument("--directory", type=Path, help="where to work; default: a temporary directory")
    asked = parser.parse_args(words)
    # Under nohup and in a script's background they are ignored, by all that are started too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not support.strace_works():
        print("strace is missing, or may not trace here", file=sys.stderr)
        return 2
    base = (asked.directory or Path(tempfile.mkdtemp(prefix="crashes-"))).resolve()
    faults = asked.fault or (["KILL", "ENOSPC", "EIO"] if asked.children else FAULTS)
    campaigns, wrong = [], 0
    for backend in asked.backend or support.BACKENDS:
        for scenario in asked.scenario or SCENARIOS:
            campaign = run_campaign(base, backend, scenario, faults, asked.sample, asked.jobs, asked.children)
            campaigns.append(campaign)
            for outcome in campaign.outcomes:
                wrong += bool(outcome.wrong)
                for fault in outcome.wrong:
                    print(f"{backend}, {scenario}: {outcome.fault} at {outcome.point}: {fault}")
                if outcome.litter:
                    print(f"{backend}, {scenario}: {outcome.fault} at {outcome.point} left {outcome.litter}")
            print(table(campaigns[-1:]).splitlines()[-1], flush=True)
    print(table(campaigns))
    if asked.directory is None:
        shutil.rmtree(base)
    return 1 if wrong else 0
