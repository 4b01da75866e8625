"""Tell what an environment has, and compare a clone that was changed with a fresh clone of the same content."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clones
import simple_index
import support

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from truth.projects import Project

# What real projects build with. They are downloaded once, and served with the rest.
BUILD_BACKENDS = (
    *("setuptools", "wheel", "hatchling", "hatch-vcs", "setuptools-scm", "flit-core", "pdm-backend", "poetry-core"),
    *("uv-build", "editables", "hatch-requirements-txt"),
)
COMPILER = ("gcc", "cc", "as", "ld", "ar")
OURS = {".protoprimer", ".venv"}
# How a command may end when the repository asks for what cannot be.
REFUSALS = {3, 4, 5, 6}


def download_build_backends(directory: Path, pip: str) -> None:
    """Fill a directory with the wheels of build backends, from the index that this host is configured for."""
    python = support.default_python().executable
    command = [python, "-I", pip, "download", "-q", "--only-binary=:all:", "-d", str(directory), *BUILD_BACKENDS]
    subprocess.run(command, check=True, timeout=600)


def embedded_pip() -> str:
    """Return a path from which a Python runs pip, installed or not: the wheel that virtualenv brings."""
    from virtualenv.seed.wheels.embed import get_embed_wheel

    wheel = get_embed_wheel("pip", f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert wheel is not None
    return os.path.join(str(wheel.path), "pip")


@dataclass
class Answer:
    """What a boot led to: its exit code, and if that is 0, what there is in the environment."""

    status: int
    python: str = ""
    distributions: dict[str, dict[str, Any]] = field(default_factory=dict)
    probe: str = ""
    said: str = field(default="", compare=False)

    def names(self) -> dict[str, str]:
        """Return the version of each distribution, with ` editable` behind it where that is so."""
        return {name: one["version"] + " editable" * one["editable"] for name, one in self.distributions.items()}


def distributions_of(environment: Path) -> dict[str, dict[str, Any]]:
    """Return what is installed, by normalized names: version, editable or not, entry points."""
    found: dict[str, dict[str, Any]] = {}
    for packages in environment.glob("lib/python*/site-packages"):
        for information in packages.glob("*.dist-info"):
            metadata = (information / "METADATA").read_text(encoding="utf-8").split("\n\n")[0]
            fields = dict(line.split(": ", 1) for line in metadata.splitlines() if re.match(r"(Name|Version): ", line))
            origin = information / "direct_url.json"
            told = json.loads(origin.read_text(encoding="utf-8")) if origin.is_file() else {}
            points = information / "entry_points.txt"
            lines = points.read_text(encoding="utf-8").split("\n") if points.is_file() else []
            found[re.sub(r"[-_.]+", "-", fields["Name"]).lower()] = {
                "version": fields["Version"],
                "editable": bool(told.get("dir_info", {}).get("editable")),
                "entry points": sorted(re.sub(r"\s", "", line) for line in lines if line.strip()),
            }
        for link in packages.glob("*.egg-link"):
            found[link.stem.lower().replace("_", "-")] = {"version": "?", "editable": True, "entry points": []}
    return found


@dataclass
class Place:
    """Where the projects of the table are made and booted: a user's home and tools, and an index on this machine.

    :param cache: protoprimer's cache, which has the tools already
    """

    base: Path
    index: simple_index.SimpleIndex
    other: simple_index.SimpleIndex
    cache: Path
    serial: int = 0
    started: list[clones.Clone] = field(default_factory=list)

    def fill(self, text: str) -> str:
        """Put this place's addresses and hashes where a text of the table leaves room for them."""
        text = text.replace("@INDEX@", self.index.url).replace("@OTHER@", self.other.url)
        text = text.replace("@FILES@", f"http://127.0.0.1:{self.index.port}/files")
        text = text.replace("@GIT@", (self.base / "repository").as_uri())

        def digest(match: re.Match[str]) -> str:
            return simple_index.sha256(self.index.files[match.group(1)])

        return re.sub(r"@SHA:(.*?)@", digest, text)

    def prepare(self) -> None:
        """Make what projects refer to: tools, and a git repository with tags, a branch and a subdirectory."""
        from truth.projects import GIT_REPOSITORY, ODD_BACKEND, SERVED

        self.index.files.update([ODD_BACKEND])
        for served, index in ((SERVED["index"], self.index), (SERVED["other"], self.other)):
            index.wrong_hashes = False
            for name, version, metadata in served:
                index.add(name, version, metadata=metadata)
        support.make_toolset(self.base / "bin", None)
        for python in support.wild_pythons():
            (self.base / "bin" / f"python{python.name}").symlink_to(python.executable)
        (self.base / "bin" / "python3").symlink_to(support.default_python().executable)
        for name in COMPILER:
            path = shutil.which(name)
            if path:
                (self.base / "bin" / name).symlink_to(path)
        for name in ("home", "config"):
            (self.base / name).mkdir()
        repository = self.base / "repository"
        repository.mkdir()
        support.git("init", "-q", where=repository)
        for tag, files in GIT_REPOSITORY.items():
            for name, text in files.items():
                (repository / name).parent.mkdir(parents=True, exist_ok=True)
                (repository / name).write_text(text, encoding="utf-8")
            self.commit(repository, tag)

    def commit(self, repository: Path, tag: str | None) -> None:
        """Commit everything, always with the same hash, and tag it."""
        moment = {"GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
        environment = {**os.environ, **moment}
        support.git("add", "-A", where=repository)
        support.git("commit", "-qm", tag or "change", "--allow-empty", where=repository, environment=environment)
        if tag:
            support.git("tag", "-f", tag, where=repository)

    def environ(self, variables: dict[str, str]) -> dict[str, str]:
        """Return the variables of a user who has nothing configured but the index of this place."""
        clean = support.clean_environment(str(self.base / "bin"), self.base / "home")
        kept = {name: value for name, value in clean.items() if not re.match(r"(?i)(pip_|uv_|.*_proxy$)", name)}
        return {
            **kept,
            "PIP_CONFIG_FILE": os.devnull,
            "XDG_CONFIG_DIRS": str(self.base / "config"),
            "PIP_INDEX_URL": self.index.url,
            "PIP_CACHE_DIR": str(self.base / "pip"),
            "UV_CACHE_DIR": str(self.base / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "PROTOPRIMER_CACHE": str(self.cache),
            **variables,
        }

    def clone(self, project: Project, mutations: Sequence[str] = ()) -> clones.Clone:
        """Make a project anew, with some of its mutations, as a clone that nothing was ever built in."""
        self.serial += 1
        # A variable with several paths is split at spaces; elsewhere a path may well have some.
        name = f"{self.serial:03} {re.sub(r'[^a-z ]', '', project.name)}"
        root = self.base / (name.replace(" ", "-") if project.variables else name)
        root.mkdir(parents=True)
        variables = {name: value.replace("@ROOT@", str(root)) for name, value in project.variables.items()}
        clone = clones.Clone(root, self.environ(variables), "file")
        self.started.append(clone)
        clone.write({".gitignore": "*.egg-info\nbuild\n.venv\n*.so\n_version.py\n_made.py\n__pycache__\n"})
        clone.write({name: self.fill(text) for name, text in project.files.items()})
        for name, wheel in project.wheels.items():
            clone.write({name: wheel()})
        clone.entry("prime", None, "boot")
        if project.tag:
            support.git("init", "-q", where=root)
            self.commit(root, project.tag)
        for name in mutations:
            project.mutations[name](root, self)
        return clone

    def drop(self, clone: clones.Clone) -> None:
        """Remove a clone."""
        clone.end()
        shutil.rmtree(clone.root, ignore_errors=True)


@contextlib.contextmanager
def placed(base: Path, cache: Path, wheels: Path) -> Iterator[Place]:
    """Make a place whose index serves the packages of the table, and the wheels of a directory."""
    base.mkdir(parents=True, exist_ok=True)
    with simple_index.serving() as index, simple_index.serving() as other:
        index.files.update({path.name: path.read_bytes() for path in wheels.glob("*.whl")})
        place = Place(base.resolve(), index, other, cache)
        place.prepare()
        yield place
        for clone in place.started:
            clone.end()


def content_of(root: Path) -> set[str]:
    """Return the files of a clone that its repository has, but not git's."""
    found = set()
    for parent, names, files in os.walk(root):
        names[:] = [name for name in names if name not in {*OURS, ".git"}]
        found |= {os.path.relpath(os.path.join(parent, name), root) for name in files}
    return found


def follow(ready: clones.Clone, fresh: clones.Clone, known: set[str]) -> set[str]:
    """Give a clone the content of another one, as a switch of branches does; what builds have left there stays.

    :param known: what the repository had in it before
    :return: what it has now
    """
    wanted = content_of(fresh.root)
    for name in known - wanted:
        (ready.root / name).unlink()
        with contextlib.suppress(OSError):
            os.removedirs((ready.root / name).parent)
    for name in wanted:
        source, target = fresh.root / name, ready.root / name
        content = source.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(source.stat().st_mode)
    if (fresh.root / ".git").is_dir():
        shutil.rmtree(ready.root / ".git")
        shutil.copytree(fresh.root / ".git", ready.root / ".git")
        # Its index has the times of the other clone's files, which would make these look changed.
        support.git("status", where=ready.root)
    return wanted


def booted(clone: clones.Clone, project: Project, backend: str, *words: str) -> Answer:
    """Run `./prime` and return what it led to."""
    done = clone.prime(*words, "--backend", backend, status=None)
    if done.status != 0:
        return Answer(done.status, said=done.errors)
    return answer_of(clone, project, done.errors)


def answer_of(clone: clones.Clone, project: Project, said: str = "") -> Answer:
    """Return what there is in the environment that is in use."""
    environment = clone.root / ".venv"
    python = str(environment / "bin" / "python")
    question = "import sys; print('%d.%d' % sys.version_info[:2])\n" + project.probe
    asked = clone.run(python, "-I", "-c", question, status=None, cwd=clone.root.parent)
    version, _, probe = asked.output.partition("\n")
    if asked.status != 0:
        probe = asked.errors.strip().splitlines()[-1]
    return Answer(0, version, distributions_of(environment), probe.strip(), said)


@dataclass
class Ready:
    """A clone with an environment, and what its repository has in it."""

    clone: clones.Clone
    project: Project
    backend: str
    first: Answer
    answer: Answer
    known: set[str]


def made_ready(place: Place, project: Project, backend: str, mutations: Sequence[str] = ()) -> Ready:
    """Make a project and boot it."""
    clone = place.clone(project, mutations)
    known = content_of(clone.root)
    answer = booted(clone, project, backend)
    return Ready(clone, project, backend, answer, answer, known)


def go_back(place: Place, ready: Ready) -> list[str]:
    """Bring a ready clone back to the content that it began with; return what is not true then."""
    unchanged = place.clone(ready.project)
    ready.known = follow(ready.clone, unchanged, ready.known)
    place.drop(unchanged)
    ready.answer = booted(ready.clone, ready.project, ready.backend)
    if ready.answer != ready.first:
        return [f"at first it was {_told(ready.first)}, and after a change there and back {_told(ready.answer)}"]
    return []


def faults_after(place: Place, ready: Ready, mutations: Sequence[str]) -> list[str]:
    """Bring a ready clone to the content that a project has with these mutations; return what is not true then.

    A fresh clone of that content says what is asked for.
    """
    project, backend, found = ready.project, ready.backend, []
    fresh = place.clone(project, mutations)
    ready.known = follow(ready.clone, fresh, ready.known)
    wanted = booted(fresh, project, backend)
    was = answer_of(ready.clone, project)
    before = ready.clone.prime("check", "--backend", backend, status=None)
    # What a build says is quoted, tracebacks of a `setup.py` included.
    if 'proto_kernel.py", line' in before.errors + wanted.said:
        found.append(f"a traceback: {before.errors} {wanted.said}")
    ready.answer = booted(ready.clone, project, backend)
    # What an earlier content was built into may be there already, and only has to be taken into use.
    is_there = "created an environment" not in ready.answer.said and ready.answer.status == 0
    if wanted != was and before.status == 0 and not is_there:
        found.append("`./prime check` says that the environment is current, and it is not what a fresh clone gets")
    if ready.answer != wanted:
        found.append(f"a fresh clone gets {_told(wanted)}, this one has {_told(ready.answer)}")
    if wanted.status not in {0, *REFUSALS}:
        found.append(f"a fresh clone ends with {wanted.status}: {wanted.said}")
    after = ready.clone.prime("check", "--backend", backend, status=None)
    if (after.status == 0) != (ready.answer.status == 0):
        found.append(
            f"./prime ends with {ready.answer.status}, `./prime check` then with {after.status}: {after.output}"
        )
    place.drop(fresh)
    return found


def _told(answer: Answer) -> str:
    if answer.status:
        return f"exit code {answer.status} ({answer.said.strip().splitlines()[-1:]})"
    return f"Python {answer.python}, {answer.distributions}, probe {answer.probe!r}"
