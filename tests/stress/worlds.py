"""A small world for one clone: its user's home, PATH, caches and temporary files, and what must stay true in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import clones
import own_wheel
import support

REAL_BOOT_IDENTIFIER = "/proc/sys/kernel/random/boot_id"
# What a run may change in a clone.
OURS = (".protoprimer", ".venv")
KNOWN_STATE = {".gitignore", "CACHEDIR.TAG", "launch.py", "ready", "stamps", "environment", "lock", "log", "envs"}

CLIENT = "import solid, piece\n\ndef main():\n    print(solid.say(), piece.NAME)\n"
SAID = "whole piece\n"
# How many generations stay.
KEEP = 2
SCENARIOS = ("first", "next", "back")


@dataclass
class World:
    """A directory with one clone and everything that its user has.

    :param scenario: `first`: nothing was ever built; `next`: two generations are there, a third one is due and the
        oldest goes; `back`: the input is again what an earlier generation was built from
    """

    base: Path
    clone: clones.Clone
    scenario: str
    outside: dict[str, tuple[object, ...]] = field(default_factory=dict)
    earlier: dict[str, str] = field(default_factory=dict)

    @property
    def boot_identifier(self) -> Path:
        """The file that this world's kernel reads in the place of the system's."""
        return self.base / "boot_id"

    def places(self) -> list[tuple[Path, Path]]:
        """Return each directory or link that a run may change, and where its beginning is saved."""
        return [(self.clone.root / name, self.base / "saved" / name) for name in OURS]

    def restore(self) -> None:
        """Bring state, link and cached environments back to where the scenario begins."""
        for place, saved in self.places():
            remove(place)
            if os.path.lexists(saved):
                _copy(saved, place)
        self.boot_identifier.write_text("first\n")

    def save(self) -> None:
        """Remember this moment as where the scenario begins."""
        remove(self.base / "saved")
        (self.base / "saved").mkdir()
        for place, saved in self.places():
            if os.path.lexists(place):
                _copy(place, saved)
        self.outside = self._outside()
        self.earlier = {path.name: tree_hash(path) for path in self.clone.generations()}

    def _outside(self) -> dict[str, tuple[object, ...]]:
        found = {}
        for name in ("clone", "home", "bin", "elsewhere", "tmp"):
            for path, entry in clones.snapshot(self.base / name, without=(*OURS, "__pycache__")).items():
                if (name, path) not in (("clone", "."), ("tmp", ".")):
                    # A link of ours to replace changes the time of the clone's own directory.
                    found[f"{name}/{path}"] = entry
        found.pop("clone/.venv", None)
        # Whoever is killed cannot take away temporary files; they lie where the system clears.
        return {path: entry for path, entry in found.items() if not path.startswith("tmp/")}

    def faults(self) -> list[str]:
        """Return what is wrong after a disturbed run, trying plain `./prime` first; empty if all is well."""
        found = []
        first = self.clone.prime(status=None)
        if first.status != 0 or "Traceback" in first.errors:
            found.append(f"the next ./prime ended with {first.status}: {first.errors}")
        said = self.clone.run("./app", status=None)
        if (said.status, said.output) != (0, SAID):
            found.append(f"the client does not run: {said}")
        again = self.clone.prime(status=None)
        if again != clones.Done(0, "", ""):
            found.append(f"the second ./prime is not silent: {again}")
        for number, (name, digest) in enumerate(self.earlier.items()):
            path = self.clone.state / "envs" / name
            if not os.path.lexists(path) and self._newer_than(number) >= KEEP:
                # It was collected, as the configuration says.
                continue
            if tree_hash(path) != digest:
                found.append(f"an earlier generation was touched: {name}")
        outside = self._outside()
        changed = sorted(path for path in {*outside, *self.outside} if outside.get(path) != self.outside.get(path))
        if changed:
            found.append(f"changed outside of the state: {changed}")
        return found

    def litter(self) -> list[str]:
        """Return what is left in the state directory, by a `gc` two days later, that is no part of it."""
        for parent, _names, files in os.walk(self.clone.state):
            for name in files:
                if re.search(r"\.building\Z|\.tmp\Z|\Aready\.", name):
                    os.utime(Path(parent, name), (time.time() - 2 * 24 * 3600,) * 2, follow_symlinks=False)
        self.clone.prime("gc")
        found = [name for name in os.listdir(self.clone.state) if name not in KNOWN_STATE]
        for directory in ("stamps", "envs"):
            names = os.listdir(self.clone.state / directory)
            found += [f"{directory}/{name}" for name in names if re.search(r"\.tmp\Z|\.building\Z|\A\.trash-", name)]
        return sorted(found)

    def _newer_than(self, number: int) -> int:
        """Return how many complete generations there are that are newer than an earlier one."""
        older = set(list(self.earlier)[: number + 1])
        return len([path for path in self.clone.generations() if path.name not in older])


def make_world(base: Path, backend: str, scenario: str = "first", caches: Path | None = None) -> World:
    """Make a world whose tools and caches are warm, and bring it to where the scenario begins.

    :param caches: a directory for the caches of tools, which several worlds may share
    """
    caches = caches or base / "caches"
    for name in ("clone", "home", "elsewhere", "tmp"):
        (base / name).mkdir(parents=True)
    (base / "elsewhere" / "precious").write_text("data")
    support.make_toolset(base / "bin", support.default_python())
    variables = {
        "PROTOPRIMER_CACHE": str(caches / "protoprimer"),
        "UV_CACHE_DIR": str(caches / "uv"),
        "PIP_CACHE_DIR": str(caches / "pip"),
        "TMPDIR": str(base / "tmp"),
    }
    environ = support.clean_environment(str(base / "bin"), base / "home", **variables)
    clone = clones.Clone(base / "clone", environ, "file")
    clone.project("piece", "piece").project("solid", "solid", module="def say():\n    return 'whole'\n")
    clone.write({"client.py": CLIENT, "protoprimer.toml": _configuration(backend), "data": "1"})
    clone.entry("prime", None, "boot").entry("app", "client:main", "run")
    world = World(base, clone, scenario)
    world.boot_identifier.write_text("first\n")
    found = clones.generated_kernel().count(REAL_BOOT_IDENTIFIER)
    assert found == 2, "the kernel asks for the boot's identifier in one constant and in sh"
    kernel = own_wheel.changed_kernel(lambda text: text.replace(REAL_BOOT_IDENTIFIER, str(world.boot_identifier)))
    (clone.root / "proto_kernel.py").write_text(kernel, encoding="utf-8")
    # Once for the caches; each scenario begins with them warm.
    clone.run("./app")
    for name in OURS:
        remove(clone.root / name)
    for content in {"next": "12", "back": "12"}.get(scenario, ""):
        clone.write({"data": content})
        clone.run("./app")
    clone.write({"data": {"next": "3"}.get(scenario, "1")})
    world.save()
    return world


def _configuration(backend: str) -> str:
    projects = '{ path = "piece", editable = true }, { path = "solid", editable = false }'
    return f'backend = "{backend}"\nkeep = {KEEP}\nwatch = ["data"]\ninstall = [{{ projects = [{projects}] }}]\n'


def tree_hash(directory: Path) -> str:
    """Return a hash of all names, modes, links and contents below a directory, but not of bytecode that runs add."""
    digest = hashlib.sha256()
    for parent, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if name != "__pycache__")
        for name in sorted([*names, *files]):
            path = Path(parent, name)
            status = path.lstat()
            digest.update(f"{path.relative_to(directory)}\0{status.st_mode}\0".encode())
            if path.is_symlink():
                digest.update(os.fsencode(os.readlink(path)))
            elif path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
