"""Disturb a clone in several ways at once, chosen at random, and see that it is healed or told, and nothing of the user's lost."""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import clones
import support
from stress.worlds import SAID, World, make_world

if TYPE_CHECKING:
    from collections.abc import Callable

GARBAGE = [b"", b"\0" * 300, b"{}", b"[1, 2]\n", b"\xff\xfe what", b"{" * 3000]


class Patient:
    """A clone that is disturbed, and what in it is the user's own."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.theirs: dict[Path, str] = {}
        self.plant(world.clone.root / "notes")
        # Behind `python3`, which is disturbed, a host has others.
        own = support.default_python()
        (world.base / "bin" / f"python{own.name}").symlink_to(own.executable)

    @property
    def clone(self) -> clones.Clone:
        return self.world.clone

    def plant(self, path: Path) -> None:
        """Write a file of the user's own."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
        self.theirs[path] = "precious"

    def follow(self, root: Path) -> None:
        """Go on in another place, in which the clone now is."""
        old = self.clone.root
        self.theirs = {
            root / path.relative_to(old) if old in path.parents else path: text for path, text in self.theirs.items()
        }
        self.world.clone = clones.Clone(root, self.clone.environ, self.clone.kernel, self.clone.started)

    def generation(self) -> Path | None:
        found = sorted(path.parent for path in self.clone.state.glob("envs/*/bin"))
        return self.chance.choice(found) if found else None


def replaced(path: Path, content: bytes) -> None:
    """Give a file another content, and spare what shares its old one by a hard link."""
    if path.is_file() or path.is_symlink():
        path.unlink()
    if path.parent.is_dir() and not os.path.lexists(path):
        path.write_bytes(content)


def lose_a_part(patient: Patient) -> None:
    home = patient.generation()
    if home is None:
        return
    parts = [
        home,
        home / "bin",
        home / "bin" / "python",
        home / "pyvenv.cfg",
        home / "protoprimer.json",
        *home.glob("lib/*"),
    ]
    parts += [*home.glob("lib/*/site-packages/*")]
    part = patient.chance.choice(parts)
    shutil.rmtree(part) if part.is_dir() and not part.is_symlink() else part.unlink(missing_ok=True)


def truncate_a_file(patient: Patient) -> None:
    home = patient.generation()
    if home is not None:
        listed = [home / "pyvenv.cfg", home / "protoprimer.json", *home.glob("lib/*/site-packages/*.py")]
        listed += home.glob("lib/*/site-packages/*/RECORD")
        replaced(patient.chance.choice(listed), b"")


def dangle_the_environments_python(patient: Patient) -> None:
    home = patient.generation()
    if home is not None and (home / "bin").is_dir():
        for python in (home / "bin").glob("python*"):
            python.unlink()
            python.symlink_to("/nowhere/python")


def write_garbage_in_the_state(patient: Patient) -> None:
    name = patient.chance.choice(
        ["ready", "environment", "lock", "envs/default.last.json", ".gitignore", "stamps/1", "envs/x.building"]
    )
    replaced(patient.clone.state / name, patient.chance.choice(GARBAGE[1:] if name == "environment" else GARBAGE))


def delete_state(patient: Patient) -> None:
    name = patient.chance.choice(["", "ready", "stamps", "log", "lock", "envs", "envs/default.last.json", ".gitignore"])
    path = patient.clone.state / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    patient.theirs = {one: text for one, text in patient.theirs.items() if one.exists()}


def leave_state_of_a_newer_version(patient: Patient) -> None:
    state = patient.clone.state
    if not (state / "envs").is_dir():
        return
    patient.plant(state / "kept-by-a-newer-one" / "file")
    patient.plant(state / "envs" / "v2-default-of-a-newer-one" / "thing")
    home = patient.generation()
    newer = b'{"format": 99, "fingerprint": ["0123456789abcdef"], "environment": {"name": "default"}, "parts": [1], "serial": "x"}\n'
    if home is not None and patient.chance.random() < 0.5:
        replaced(home / "protoprimer.json", newer)
    replaced(state / "envs" / "default.last.json", newer)
    replaced(state / "ready", b"# protoprimer ready 99\nprotoprimer_fresh=yes\nprotoprimer_python=/nowhere\nexit 9\n")


def change_the_link(patient: Patient) -> None:
    link = patient.clone.root / ".venv"
    if not link.is_symlink():
        return
    link.unlink()
    kind = patient.chance.choice(
        ["gone", "elsewhere", "directory", "file", "empty directory", "nothing", "another generation"]
    )
    home = patient.generation()
    if kind == "elsewhere":
        link.symlink_to(patient.world.base / "elsewhere")
    elif kind == "directory":
        patient.plant(link / "mine" / "work")
    elif kind == "file":
        patient.plant(link)
    elif kind == "empty directory":
        link.mkdir()
    elif kind == "nothing":
        link.symlink_to(patient.clone.root.parent / "was/.protoprimer/envs/default-0123456789abcdef")
    elif kind == "another generation" and home is not None:
        link.symlink_to(home)


def switch_branch(patient: Patient) -> None:
    patient.clone.write({"data": patient.chance.choice("123")})


def turn_back_the_clock(patient: Patient) -> None:
    moment = patient.chance.choice([0, 1, time.time() - 10**7, time.time() + 10**7])
    names = [*("data", "protoprimer.toml", "piece/pyproject.toml", "prime", "proto_kernel.py"), ".protoprimer/ready"]
    for name in names:
        if patient.chance.random() < 0.5 and (patient.clone.root / name).exists():
            os.utime(patient.clone.root / name, (moment, moment))


def move(patient: Patient) -> None:
    root = patient.clone.root.parent / f"it's a clöne {patient.chance.randrange(4)}"
    if not root.exists():
        patient.clone.root.rename(root)
        patient.follow(root)


def copy(patient: Patient) -> None:
    root = patient.clone.root.parent / f"copy {patient.chance.randrange(4)}"
    if not root.exists():
        shutil.copytree(patient.clone.root, root, symlinks=True)
        patient.follow(root)


def poison_the_cache(patient: Patient) -> None:
    """What protoprimer keeps there besides whole tools, whose loss would cost a download in each of many runs.

    Python reads the kernel's bytecode before any code of ours, and falls over what is cut off. The kernel sees to it that
    none is left so (`test_bytecode_of_the_kernel_that_a_full_disk_cut_off_is_not_left_to_the_next_start`).
    """
    cache = Path(patient.clone.environ["PROTOPRIMER_CACHE"])
    paths = [
        path for path in cache.rglob("*") if path.is_file() and "tools" not in path.parts and "wheels" not in path.parts
    ]
    for path in patient.chance.sample(paths, min(len(paths), 5)):
        cut_off = [] if path.suffix == ".pyc" else [path.read_bytes()[: path.stat().st_size // 2]]
        replaced(path, patient.chance.choice([*GARBAGE, *cut_off]))


def empty_the_cache(patient: Patient) -> None:
    cache = Path(patient.clone.environ["PROTOPRIMER_CACHE"])
    for path in cache.iterdir():
        if path.name not in ("tools", "wheels"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(patient.clone.environ["UV_CACHE_DIR"], ignore_errors=True)


def change_the_wild_python(patient: Patient) -> None:
    """Another version comes first, a link to nothing does, or the one that was upgraded has another time."""
    link = patient.world.base / "bin" / "python3"
    link.unlink()
    # uv, which some worlds insist on, installs no editable project into an older one.
    pythons = [python.executable for python in support.wild_pythons() if python.version >= (3, 7)]
    # A link to nothing is passed over; the next one on PATH serves.
    link.symlink_to(patient.chance.choice(["/nowhere/python3", *pythons]))


def take_the_interpreter(patient: Patient) -> None:
    """Remove the interpreter that this world's environments may be made from, bring it back, or replace it in place."""
    base = patient.world.base / "python"
    own = support.default_python()
    if base.exists() and patient.chance.random() < 0.6:
        shutil.rmtree(base)
        return
    if not base.exists():
        library = Path(os.path.dirname(os.path.realpath(own.executable))).parent / "lib" / f"python{own.name}"
        place = base / "lib" / library.name
        place.mkdir(parents=True)
        (base / "bin").mkdir()
        for entry in library.iterdir():
            if entry.name == "os.py":
                # By this file an interpreter knows where it is; the rest may be a farm of links.
                shutil.copy2(entry, place)
            elif entry.name != "site-packages":
                (place / entry.name).symlink_to(entry)
    binary = base / "bin" / f"python{own.name}"
    shutil.copy2(os.path.realpath(own.executable), binary)
    os.utime(binary, (patient.chance.randrange(10**9),) * 2)
    link = patient.world.base / "bin" / "python3"
    link.unlink()
    link.symlink_to(binary)


DISTURBANCES: tuple[Callable[[Patient], None], ...] = (
    lose_a_part,
    truncate_a_file,
    dangle_the_environments_python,
    write_garbage_in_the_state,
    delete_state,
    leave_state_of_a_newer_version,
    change_the_link,
    switch_branch,
    turn_back_the_clock,
    move,
    copy,
    poison_the_cache,
    empty_the_cache,
    change_the_wild_python,
    take_the_interpreter,
)


def faults_of(patient: Patient) -> list[str]:
    """Return what is wrong after the disturbances, trying plain `./prime` first."""
    found = []
    clone = patient.clone
    first = clone.prime(status=None)
    if first.status != 0 or "Traceback" in first.errors:
        found.append(f"./prime ended with {first.status}: {first.errors}")
    said = clone.run("./app", status=None)
    if (said.status, said.output) != (0, SAID):
        found.append(f"the client does not run: {said}")
    again = clone.prime(status=None)
    words = [line for line in again.errors.splitlines() if "left alone" not in line]
    if (again.status, again.output, words) != (0, "", []):
        # With an input whose time lies ahead each run looks at everything, and says again what is wrong with the link.
        found.append(f"the second ./prime is not silent: {again}")
    link = clone.root / ".venv"
    is_ours = link.is_symlink() and re.search(r"/envs/default-[0-9a-f]{16}(\.\d+)?\Z", os.path.realpath(link))
    if not is_ours and "left alone" not in first.errors + said.errors and ".venv" not in patient.world.outside:
        found.append(f"the link leads to {os.path.realpath(link)}, and nothing was said: {first}")
    patient.world.outside = {} if is_ours else {".venv": ()}
    for path, text in patient.theirs.items():
        if not path.is_file() or path.read_text() != text:
            found.append(f"a file of the user's is gone: {path}")
    if (patient.world.base / "elsewhere" / "precious").read_text() != "data":
        found.append("a file elsewhere was changed")
    return found


def run_sequence(world: World, seed: int, rounds: int = 4) -> list[str]:
    """Disturb a world some rounds in one to three ways each; return what is wrong after the first round that is not healed."""
    chance = random.Random(seed)
    patient = Patient(world, chance)
    history = []
    for _ in range(rounds):
        chosen = chance.sample(DISTURBANCES, chance.randint(1, 3))
        history.append([disturb.__name__ for disturb in chosen])
        for disturb in chosen:
            disturb(patient)
        found = faults_of(patient)
        if found:
            return [f"seed {seed}, {history}: {one}" for one in found]
    return []


def main(words: list[str]) -> int:
    """Serve `python tests/stress healing`."""
    parser = argparse.ArgumentParser(prog="python tests/stress healing", description=__doc__)
    parser.add_argument("--sequences", type=int, default=50, metavar="N")
    parser.add_argument("--rounds", type=int, default=6, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=support.BACKENDS, default="uv")
    asked = parser.parse_args(words)
    base = Path(tempfile.mkdtemp(prefix="healing-")).resolve()
    wrong, started = 0, time.monotonic()
    for seed in range(asked.seed, asked.seed + asked.sequences):
        world = make_world(base / str(seed), asked.backend, "next", base / "caches")
        found = run_sequence(world, seed, asked.rounds)
        wrong += bool(found)
        for one in found:
            print(one, flush=True)
        shutil.rmtree(base / str(seed), ignore_errors=True)
    seconds = time.monotonic() - started
    print(f"{asked.sequences} sequences of {asked.rounds} rounds, {wrong} not healed, {seconds:.0f} s")
    shutil.rmtree(base, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
