"""Each backend, with its real tools: what it installs, what it locks, what it refuses and how it fails.

Projects bring their own build backend and wheels lie in a directory, so that most of this needs no index.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import simple_index
import support
from protoprimer.backends.choosing import check_backend_names, select_backend, wanted_backends
from protoprimer.backends.installed import installed_distributions
from protoprimer.errors import BackendError, ConfigurationError, InstallError, PrimerError
from protoprimer.fetch.tools import ToolBox
from protoprimer.project.plan import make_plan
from protoprimer.pythons.probe import probe_interpreter
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import read_configuration
from protoprimer.settings.index_settings import read_index_settings
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import environment_python
from samples import EACH_INSTALLER, sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protoprimer.backends.base import Backend
    from protoprimer.project.plan import Plan
    from protoprimer.settings.configuration import Configuration

# A build backend of the standard library that makes wheels and editable wheels of one module beside pyproject.toml.
BUILD_BACKEND = """
import base64, hashlib, os, re, zipfile

def _fields():
    text = open("pyproject.toml", encoding="utf-8").read()
    field = lambda name: re.search(name + r' = "(.*?)"', text).group(1)
    names = re.search(r"^dependencies = (\\[.*\\])$", text, re.M)
    extras = re.search(r"^test = (\\[.*\\])$", text, re.M)
    return field("name"), field("version"), eval(names.group(1)) if names else [], eval(extras.group(1)) if extras else []

def _build(directory, editable):
    open("built", "a").write("built\\n")
    name, version, dependencies, extras = _fields()
    stem = "%s-%s" % (name.replace("-", "_"), version)
    lines = ["Metadata-Version: 2.1", "Name: " + name, "Version: " + version] + ["Requires-Dist: " + one for one in dependencies]
    lines += ["Provides-Extra: test"] + ["Requires-Dist: %s; extra == 'test'" % one for one in extras] if extras else []
    module = name.replace("-", "_") + ".py"
    files = {stem + ".dist-info/METADATA": "\\n".join(lines) + "\\n",
             stem + ".dist-info/entry_points.txt": "[console_scripts]\\n%s = %s:main\\n" % (name, module[:-3]),
             stem + ".dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    if editable:
        files["__editable__." + stem + ".pth"] = os.getcwd() + "\\n"
    else:
        files[module] = open(module, encoding="utf-8").read()
    record = ""
    with zipfile.ZipFile(os.path.join(directory, stem + "-py3-none-any.whl"), "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content.encode("utf-8"))
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode("utf-8")).digest()).rstrip(b"=").decode()
            record += "%s,sha256=%s,%d\\n" % (path, digest, len(content.encode("utf-8")))
        archive.writestr(stem + ".dist-info/RECORD", record + stem + ".dist-info/RECORD,,\\n")
    return stem + "-py3-none-any.whl"

def build_wheel(directory, settings=None, metadata=None): return _build(directory, False)
def build_editable(directory, settings=None, metadata=None): return _build(directory, True)
"""


class Recorder(Console):
    """Keeps what the log is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def record(self, text: str) -> None:
        self.lines.append(text)

    def installations(self) -> list[str]:
        """Return the commands of pip that were run, and forget them."""
        found = [line for line in self.lines if line.startswith("$ ") and " install " in line]
        self.lines.clear()
        return found


@dataclass
class Workshop:
    """A repository, an index in a directory, and a cache of its own."""

    root: Path
    wheels: Path
    cache: Path
    console: Console = field(default_factory=Console)
    variables: dict[str, str] = field(default_factory=dict)

    def project(
        self, name: str, where: str = ".", *, version: str = "1", more: str = "", dependencies: str = ""
    ) -> Path:
        directory = self.root / where
        directory.mkdir(parents=True, exist_ok=True)
        text = '[build-system]\nrequires = []\nbuild-backend = "builder"\nbackend-path = ["."]\n'
        text += f'[project]\nname = "{name}"\nversion = "{version}"\nrequires-python = ">=3.6"\n'
        text += f"dependencies = [{dependencies}]\n{more}"
        (directory / "pyproject.toml").write_text(text, encoding="utf-8")
        (directory / "builder.py").write_text(BUILD_BACKEND, encoding="utf-8")
        (directory / f"{name}.py").write_text("def main():\n    print('hello')\n", encoding="utf-8")
        return directory

    def wheel(self, name: str, version: str, *dependencies: str) -> Path:
        stem = f"{name}-{version}"
        requires = "".join(f"Requires-Dist: {one}\n" for one in dependencies)
        files = {
            f"{name}.py": f"VERSION = '{version}'\n",
            f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
            f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = ""
        path = self.wheels / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for file, content in files.items():
                archive.writestr(zipfile.ZipInfo(file), content)
                digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
                record += f"{file},sha256={digest},{len(content)}\n"
            archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/RECORD"), record + f"{stem}.dist-info/RECORD,,\n")
        return path

    def configuration(self, settings: str = "") -> Configuration:
        (self.root / "protoprimer.toml").write_text(settings, encoding="utf-8")
        line = parse_command_line("prime", [], False)
        kernel = str(self.root / "proto_kernel.py")
        return read_configuration(str(self.root / "prime"), kernel, line, {}, lambda _directory: None)

    def toolbox(self) -> ToolBox:
        environ = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "PIP_NO_INDEX": "1", **self.variables}
        environ["PIP_FIND_LINKS"] = self.wheels.as_uri()
        settings = read_index_settings(str(self.root), environ={**dict(os.environ), **environ})
        # The kernel's own tools come from the default index, once a machine.
        tools = ToolBox(read_index_settings(str(self.wheels)), str(self.cache), self.console)
        box = ToolBox(settings, str(self.cache), self.console)
        box.pip = tools.pip  # type: ignore[method-assign]
        box.virtualenv = tools.virtualenv  # type: ignore[method-assign]
        box.uv = tools.uv  # type: ignore[method-assign]
        return box

    def backends(self, wanted: str, configuration: Configuration) -> list[type[Backend]]:
        """Return the wanted backends, as a boot does."""
        check_backend_names(wanted, configuration)
        return wanted_backends(wanted, configuration)

    def interpreter(self, name: str) -> Interpreter:
        python = support.python_of(name)
        if python is None:
            pytest.skip(f"no Python {name} here")
        found = probe_interpreter(python.executable, str(self.cache), self.console)
        assert isinstance(found, Interpreter)
        return found

    def build(self, backend: str, python: str, settings: str = "", name: str = "env") -> Built:
        """Create an environment and install the plan, as a boot does."""
        configuration = self.configuration(settings)
        plan = make_plan(configuration)
        interpreter = self.interpreter(python)
        wanted = self.backends(backend, configuration)
        chosen, _why = select_backend(wanted, interpreter, plan, self.toolbox(), self.console, configuration)
        environment = self.root.parent / "envs" / f"{name} {backend}"
        environment.mkdir(parents=True)
        chosen.create(interpreter, str(environment))
        chosen.install(interpreter, str(environment), plan)
        return Built(environment, plan, chosen.name)

    def lock(
        self, backend: str, python: str, settings: str, *, upgrade: bool = False, packages: tuple[str, ...] = ()
    ) -> dict[str, str]:
        """Write the lock, and return the versions it holds."""
        configuration = self.configuration(settings)
        plan = make_plan(configuration, lock_must_exist=False)
        interpreter = self.interpreter(python)
        wanted = self.backends(backend, configuration)
        chosen, _why = select_backend(wanted, interpreter, plan, self.toolbox(), self.console, configuration)
        chosen.lock(interpreter, plan, plan.lock_to_write, upgrade, list(packages))
        from protoprimer.formats.toml import load_toml

        packages_of_lock: list[dict[str, Any]] = load_toml(plan.lock_to_write).get("packages", [])
        return {package["name"]: package["version"] for package in packages_of_lock}


@dataclass
class Built:
    directory: Path
    plan: Plan
    backend: str

    @property
    def versions(self) -> dict[str, str]:
        return {name: version for name, (version, _) in installed_distributions(str(self.directory)).items()}

    def recorded(self) -> dict[str, list[str]]:
        """Return what each RECORD lists, apart from scripts, which hold a path, and origins, which tools spell freely."""
        found = {path.parent.name: path.read_text().splitlines() for path in self.directory.rglob("RECORD")}
        different = ("..", "direct_url.json")
        return {
            name: sorted(line for line in lines if not any(word in line for word in different))
            for name, lines in found.items()
        }

    def run(self, program: str) -> str:
        command = [environment_python(str(self.directory)), "-I", "-c", program]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()


@pytest.fixture
def workshop(tmp_path: Path, shared_directory: Path) -> Workshop:
    root, wheels = tmp_path / "it's a clöne", tmp_path / "wheels with space"
    root.mkdir()
    wheels.mkdir()
    (root / "prime").touch()
    return Workshop(root, wheels, shared_directory / "cache")


@pytest.fixture(params=EACH_INSTALLER)
def each(request: pytest.FixtureRequest) -> str:
    return str(request.param)


pytestmark = pytest.mark.index  # the tools themselves


@pytest.mark.parametrize("python", sample(["3.6", "3.13"], ["3.8"]))
def test_root_project_is_editable_and_its_dependencies_are_there(workshop: Workshop, each: str, python: str) -> None:
    if (each, python) == ("uv", "3.6"):
        pytest.skip("refused: see below")
    workshop.project("demo", dependencies='"lib>=1"', more='[project.scripts]\ndemo = "demo:main"\n')
    workshop.wheel("lib", "1.5")
    built = workshop.build(each, python)
    assert built.versions == {"demo": "1", "lib": "1.5"}
    assert built.run("import demo, lib; print(demo.__file__)") == str(workshop.root / "demo.py")
    assert built.backend == each
    script = built.directory / "bin" / "demo"
    assert subprocess.run([str(script)], stdout=subprocess.PIPE, encoding="utf-8").stdout == "hello\n"


def test_environment_is_left_without_pip_and_without_bytecode(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"lib"')
    workshop.wheel("lib", "1")
    built = workshop.build(each, "3.13")
    assert "pip" not in built.versions
    assert [path.suffix for path in built.directory.rglob("lib.*")] == [".py"]


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize(
    "name", ["C# and others", "at its end ", " before", "list[int]", "${HOME}", "one;two", "one; two"]
)
def test_a_clone_may_lie_where_an_installer_would_end_the_path(
    tmp_path: Path, shared_directory: Path, each: str, name: str
) -> None:
    root, wheels = tmp_path / name, tmp_path / "wheels"
    root.mkdir()
    wheels.mkdir()
    workshop = Workshop(root, wheels, shared_directory / "cache")
    workshop.project("demo", more="[project.optional-dependencies]\nx = []\n")
    workshop.project("inner", "parts/inner ")
    settings = (
        'install = { projects = [{ path = ".", extras = ["x"] }, { path = "parts/inner ", editable = false }] }\n'
    )
    assert workshop.build(each, "3.13", settings).versions == {"demo": "1", "inner": "1"}


@pytest.mark.parametrize("again", ['requirements = ["dev.txt"]', 'args = ["-e", "."]'])
def test_a_project_may_be_named_by_a_requirement_file_too(workshop: Workshop, each: str, again: str) -> None:
    workshop.project("demo")
    (workshop.root / "dev.txt").write_text("-r more.txt\n")
    (workshop.root / "more.txt").write_text("-e .\n")
    settings = f'install = {{ projects = ["."], {again} }}\n'
    for name in ("first", "second"):
        built = workshop.build(each, "3.13", settings, name=name)
        assert built.run("import demo; print(demo.__file__)") == str(workshop.root / "demo.py")


def test_changed_metadata_are_built_again(workshop: Workshop, each: str) -> None:
    workshop.project("demo")
    workshop.build(each, "3.13", name="first")
    workshop.project("demo", version="2.0.1")
    assert workshop.build(each, "3.13", name="second").versions == {"demo": "2.0.1"}


def test_dependencies_of_a_project_without_package_are_installed(workshop: Workshop, each: str) -> None:
    (workshop.root / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n')
    workshop.wheel("lib", "1")
    assert workshop.build(each, "3.13").versions == {"lib": "1"}


def test_requirement_and_constraint_files_count_from_the_root(workshop: Workshop, each: str) -> None:
    workshop.project("inner", "parts/inner")
    (workshop.root / "reqs").mkdir()
    (workshop.root / "requirements.txt").write_text("-r reqs/more.txt\n-e ./parts/inner\n")
    (workshop.root / "reqs" / "more.txt").write_text("lib\n")
    (workshop.root / "limits.txt").write_text("lib<2\n")
    workshop.wheel("lib", "1")
    workshop.wheel("lib", "2")
    settings = 'install = { requirements = ["requirements.txt"], constraints = ["limits.txt"] }\n'
    assert workshop.build(each, "3.13", settings).versions == {"inner": "1", "lib": "1"}


def test_group_that_names_the_project_itself_brings_its_extra(workshop: Workshop, each: str) -> None:
    more = '[project.optional-dependencies]\ntest = ["lib"]\n[dependency-groups]\ndev = ["demo[test]", "other"]\n'
    workshop.project("demo", more=more)
    workshop.wheel("lib", "1")
    workshop.wheel("other", "1")
    settings = 'install = { projects = [{ path = ".", groups = ["dev"] }] }\n'
    for python in ("3.8", "3.13"):
        built = workshop.build(each, python, settings, name=python)
        assert built.versions == {"demo": "1", "lib": "1", "other": "1"}
    assert built.run("import demo; print(demo.__file__)") == str(workshop.root / "demo.py")


def test_siblings_may_require_each_other_at_versions_no_index_has(workshop: Workshop, each: str) -> None:
    workshop.project("one", "packages/one", version="5.0.dev1", dependencies='"two==6.0.dev1"')
    workshop.project("two", "packages/two", version="6.0.dev1", dependencies='"lib"')
    workshop.wheel("lib", "1")
    settings = 'install = { projects = ["packages/one", "packages/two"] }\n'
    first = workshop.build(each, "3.13", settings, name="first")
    second = workshop.build(each, "3.13", settings, name="second")
    assert first.versions == second.versions == {"one": "5.0.dev1", "two": "6.0.dev1", "lib": "1"}


def test_project_that_is_not_to_be_editable_is_copied(workshop: Workshop, each: str) -> None:
    workshop.project("demo")
    built = workshop.build(each, "3.13", 'install = { projects = [{ path = ".", editable = false }] }\n')
    assert built.run("import demo; print(demo.__file__)").startswith(str(built.directory))


def test_steps_are_installed_one_after_the_other_with_their_arguments(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"lib"')
    workshop.wheel("lib", "1")
    workshop.wheel("lib", "2rc1")
    workshop.wheel("first", "1")
    settings = 'install = [{ args = ["first"] }, { projects = ["."], args = ["--pre"] }]\n'
    assert workshop.build(each, "3.13", settings).versions == {"first": "1", "demo": "1", "lib": "2rc1"}


def test_seeded_pip_is_the_same_whichever_backend(workshop: Workshop, each: str) -> None:
    interpreter = workshop.interpreter("3.13")
    pinned = workshop.toolbox().pip(interpreter).version
    workshop.project("demo")
    workshop.wheel("pip", pinned)
    assert workshop.build(each, "3.13", "seed-pip = true\n").versions["pip"] == pinned


def test_seeded_pip_is_the_one_of_the_cache_and_no_index_is_asked(workshop: Workshop, each: str) -> None:
    pinned = workshop.toolbox().pip(workshop.interpreter("3.13")).version
    workshop.project("demo")
    # The index of this workshop has no pip.
    built = workshop.build(each, "3.13", "seed-pip = true\n")
    assert built.versions["pip"] == pinned
    # As any other index's: nothing tells of a file in the cache.
    assert not list(built.directory.rglob("pip-*.dist-info/direct_url.json"))
    assert built.run("import pip; print(pip.__version__)") == pinned


def test_lock_is_written_and_installed_with_hashes(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"lib"')
    workshop.wheel("lib", "1", "deep")
    workshop.wheel("deep", "1")
    settings = 'lock = "pylock.toml"\n'
    assert workshop.lock(each, "3.13", settings) == {"lib": "1", "deep": "1"}
    workshop.wheel("lib", "2", "deep")
    assert workshop.build(each, "3.13", settings).versions == {"demo": "1", "lib": "1", "deep": "1"}


@dataclass
class LockedWorkshop:
    """A project with a lock of all that an index of its own serves; whatever is added is new to every cache."""

    workshop: Workshop
    index: simple_index.SimpleIndex

    def add(self, *names: str) -> None:
        for name in names:
            distribution, version = name.split("-")[:2]
            members = {f"{distribution}_name.txt": name.encode(), f"{distribution}.bin": os.urandom(1 << 17)}
            self.index.files[name] = simple_index.make_wheel(distribution, version, members)[1]

    def write_lock(self) -> None:
        packages: dict[tuple[str, ...], list[str]] = {}
        for name, content in self.index.files.items():
            url = f"http://127.0.0.1:{self.index.port}/files/{name.replace('+', '%2B')}"
            table = f'{{ url = "{url}", hashes = {{ sha256 = "{simple_index.sha256(content)}" }} }}'
            packages.setdefault(tuple(name.replace(".tar.gz", "").split("-")[:2]), []).append(table)
        text = 'lock-version = "1.0"\n'
        for (name, version), tables in packages.items():
            kind = f"sdist = {tables[0]}" if ".tar.gz" in tables[0] else f"wheels = [{', '.join(tables)}]"
            text += f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{kind}\n'
        (self.workshop.root / "pylock.toml").write_text(text)

    def files_asked_for(self) -> list[str]:
        return [path[len("/files/") :] for path in self.index.paths() if path.startswith("/files/")]

    def cached(self, name: str) -> list[Path]:
        """Return the paths in the cache with this very file, of which each interpreter has one."""
        found = [path for path in (self.workshop.cache / "pins").rglob(name) if path.is_file()]
        return [path for path in found if path.read_bytes() == self.index.files[name]]


@pytest.fixture
def locked(workshop: Workshop) -> Iterator[LockedWorkshop]:
    workshop.project("demo")
    workshop.console = Recorder()
    with simple_index.serving() as index:
        workshop.variables = {"PIP_NO_INDEX": "", "PIP_INDEX_URL": index.url}
        yield LockedWorkshop(workshop, index)


@pytest.mark.parametrize(
    ("python", "pip_backend"),
    [
        ("3.6", "virtualenv"),
        ("3.13", "venv"),
        pytest.param("3.6", "venv", marks=pytest.mark.thorough),
        pytest.param("3.13", "virtualenv", marks=pytest.mark.thorough),
    ],
)
def test_second_start_asks_the_index_nothing_and_needs_no_network(
    locked: LockedWorkshop, pip_backend: str, python: str
) -> None:
    locked.add("lib-1-py3-none-any.whl", "other-1+local.2-py2.py3-none-any.whl")
    locked.write_lock()
    first = locked.workshop.build(pip_backend, python, name="first")
    assert first.versions == {"demo": "1", "lib": "1", "other": "1+local.2"}
    assert len(locked.files_asked_for()) == 2
    locked.index.requests.clear()
    second = locked.workshop.build(pip_backend, python, name="second")
    locked.workshop.variables["UV_OFFLINE"] = "1"
    third = locked.workshop.build(pip_backend, python, name="third")
    assert first.recorded() == second.recorded() == third.recorded()
    assert locked.index.requests == []


@pytest.mark.parametrize("damage", [b"poison", pytest.param(b"", marks=pytest.mark.thorough), None])
def test_damaged_wheel_in_the_cache_is_noticed_and_fetched_anew(locked: LockedWorkshop, damage: bytes | None) -> None:
    locked.add("lib-1-py3-none-any.whl", "other-1-py3-none-any.whl")
    locked.write_lock()
    locked.workshop.build("venv", "3.13", name="first")
    locked.index.requests.clear()
    (cached,) = locked.cached("lib-1-py3-none-any.whl")
    cached.unlink()
    if damage is not None:
        cached.write_bytes(damage)
    assert locked.workshop.build("venv", "3.13", name="second").versions == {"demo": "1", "lib": "1", "other": "1"}
    # Where the machine is busy pip may ask twice.
    assert set(locked.files_asked_for()) == {"lib-1-py3-none-any.whl"}
    assert cached.read_bytes() == locked.index.files["lib-1-py3-none-any.whl"]


def test_what_lies_beside_a_wheel_in_the_cache_is_removed_and_nothing_is_fetched(locked: LockedWorkshop) -> None:
    locked.add("lib-1-py3-none-any.whl")
    locked.write_lock()
    locked.workshop.build("venv", "3.13", name="first")
    (cached,) = locked.cached("lib-1-py3-none-any.whl")
    (cached.parent / ".stray").write_text("")
    (cached.parent / "zzz.whl").write_text("of whoever")
    (cached.parent / "directory").mkdir()
    (cached.parent / "directory" / "file").write_text("")
    # What a killed download leaves; another one may be at work.
    for name, age in (("download.tmp-old", 7200), ("download.tmp-new", 0)):
        (cached.parent.parent / name).mkdir()
        os.utime(cached.parent.parent / name, (time.time() - age,) * 2)
    locked.index.requests.clear()
    locked.workshop.build("venv", "3.13", name="second")
    assert locked.files_asked_for() == []
    assert os.listdir(cached.parent) == ["lib-1-py3-none-any.whl"]
    locked.add("other-1-py3-none-any.whl")
    locked.write_lock()
    locked.workshop.build("venv", "3.13", name="third")
    assert [path.name for path in cached.parent.parent.glob("download*")] == ["download.tmp-new"]
    (cached.parent.parent / "download.tmp-new").rmdir()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("lib-1-py3-none-any.whl", "lib-1-cp313-none-any.whl"), {"3.8": 0, "3.13": 1}),
        (("lib-1-1-py3-none-any.whl", "lib-1-10-py3-none-any.whl", "lib-1-9-py3-none-any.whl"), {"3.8": 1, "3.13": 1}),
    ],
)
def test_of_several_wheels_each_interpreter_gets_its_best_whatever_is_cached(
    locked: LockedWorkshop, each: str, names: tuple[str, ...], expected: dict[str, int]
) -> None:
    locked.add(*names)
    locked.write_lock()
    for name in ("first", "second"):
        for python, best in expected.items():
            built = locked.workshop.build(each, python, name=name + python)
            (told,) = built.directory.rglob("lib_name.txt")
            assert told.read_text() == names[best]


def test_pins_that_are_sources_are_left_to_pip(locked: LockedWorkshop) -> None:
    locked.add("lib-1-py3-none-any.whl")
    directory = locked.workshop.project("source", "elsewhere/source-1")
    with tarfile.open(directory.parent / "source-1.tar.gz", "w:gz") as archive:
        archive.add(directory, "source-1")
    locked.index.files["source-1.tar.gz"] = (directory.parent / "source-1.tar.gz").read_bytes()
    locked.write_lock()
    for name in ("first", "second"):
        assert locked.workshop.build("venv", "3.13", name=name).versions == {"demo": "1", "lib": "1", "source": "1"}
    console = locked.workshop.console
    assert isinstance(console, Recorder)
    assert len([line for line in console.lines if line.startswith("$ ") and " download " in line]) == 1


def test_changed_lock_fetches_only_what_is_new(locked: LockedWorkshop) -> None:
    locked.add("lib-1-py3-none-any.whl")
    locked.write_lock()
    locked.workshop.build("venv", "3.13", name="first")
    locked.add("other-1-py3-none-any.whl")
    locked.write_lock()
    locked.index.requests.clear()
    assert locked.workshop.build("virtualenv", "3.13", name="second").versions == {
        "demo": "1",
        "lib": "1",
        "other": "1",
    }
    assert locked.files_asked_for() == ["other-1-py3-none-any.whl"]


def test_cache_that_cannot_be_written_costs_time_only(locked: LockedWorkshop, tmp_path: Path) -> None:
    locked.add("lib-1-py3-none-any.whl")
    locked.write_lock()
    locked.workshop.cache = tmp_path / "cache"
    locked.workshop.cache.mkdir()
    locked.workshop.toolbox().pip(locked.workshop.interpreter("3.13"))
    (locked.workshop.cache / "pins").write_text("no directory")
    assert locked.workshop.build("venv", "3.13").versions == {"demo": "1", "lib": "1"}


def test_cache_that_is_emptied_while_pip_starts_costs_time_only(locked: LockedWorkshop) -> None:
    locked.add("lib-1-py3-none-any.whl")
    locked.write_lock()
    locked.workshop.build("venv", "3.13", name="first")
    (locked.workshop.root / "emptied.py").write_text(
        "import shutil\nfrom protoprimer.backends.venv import VenvBackend\n\n\n"
        "class Emptied(VenvBackend):\n    name = 'emptied'\n\n"
        "    def run_pip(self, *arguments, **options):\n"
        f"        shutil.rmtree({str(locked.workshop.cache / 'pins')!r}, ignore_errors=True)\n"
        "        return super().run_pip(*arguments, **options)\n"
    )
    assert locked.workshop.build("./emptied.py", "3.13").versions == {"demo": "1", "lib": "1"}


def test_what_an_index_with_credentials_served_is_kept_without_them(locked: LockedWorkshop) -> None:
    locked.index.credentials = ("someone", "hunter2hunter2")
    locked.add("lib-1-py3-none-any.whl")
    locked.write_lock()
    locked.workshop.variables["PIP_INDEX_URL"] = locked.index.url_with(*locked.index.credentials)
    locked.workshop.build("venv", "3.13", name="first")
    console = locked.workshop.console
    assert isinstance(console, Recorder)
    assert "hunter2" not in "\n".join(console.lines)
    assert len(locked.cached("lib-1-py3-none-any.whl")) == 1
    locked.index.requests.clear()
    locked.workshop.variables["PIP_INDEX_URL"] = locked.index.url
    assert locked.workshop.build("venv", "3.13", name="second").versions == {"demo": "1", "lib": "1"}
    assert locked.index.requests == []


def test_two_starts_fill_one_cache_at_once(locked: LockedWorkshop) -> None:
    names = [f"lib{number}-1-py3-none-any.whl" for number in range(12)]
    locked.add(*names)
    locked.write_lock()
    # What is written at its start.
    locked.workshop.configuration()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda name: locked.workshop.build("venv", "3.13", name=name), ("first", "second"))
    assert len(first.versions) == 13
    assert first.versions == second.versions
    for name in names:
        (cached,) = locked.cached(name)
        assert os.listdir(cached.parent) == [name]


@pytest.mark.parametrize("settings", ["install = []\n", "install = { requirements = ['none.txt'] }\n"])
def test_a_lock_of_nothing_is_written_and_installed(workshop: Workshop, each: str, settings: str) -> None:
    (workshop.root / "none.txt").write_text("# nothing\n")
    settings += 'lock = "pylock.toml"\n'
    assert workshop.lock(each, "3.13", settings) == {}
    assert workshop.build(each, "3.13", settings).versions == {}


def test_requirement_files_are_locked_under_their_constraints(workshop: Workshop, each: str) -> None:
    for version in ("1", "2", "3"):
        workshop.wheel("lib", version)
    workshop.wheel("other", "1")
    (workshop.root / "require ments.txt").write_text("lib\n")
    (workshop.root / "more.txt").write_text("other\n")
    (workshop.root / "constraints.txt").write_text("lib<3\n")
    files = "requirements = ['require ments.txt', 'more.txt'], constraints = ['constraints.txt']"
    settings = f"install = {{ {files} }}\nlock = 'pylock.toml'\n"
    assert workshop.lock(each, "3.13", settings) == {"lib": "2", "other": "1"}
    assert workshop.build(each, "3.13", settings).versions == {"lib": "2", "other": "1"}


def test_earlier_pins_stay_until_an_upgrade_is_asked_for(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"lib", "other"')
    for name in ("lib", "other"):
        workshop.wheel(name, "1")
    settings = 'lock = "pylock.toml"\n'
    workshop.lock(each, "3.13", settings)
    for name in ("lib", "other"):
        workshop.wheel(name, "2")
    assert workshop.lock(each, "3.13", settings) == {"lib": "1", "other": "1"}
    assert workshop.lock(each, "3.13", settings, packages=("lib",)) == {"lib": "2", "other": "1"}
    assert workshop.lock(each, "3.13", settings, upgrade=True) == {"lib": "2", "other": "2"}


def test_requirements_that_moved_away_from_their_pins_are_locked_anew(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"lib"')
    workshop.wheel("lib", "1")
    workshop.lock(each, "3.13", 'lock = "pylock.toml"\n')
    workshop.project("demo", dependencies='"lib>=2"')
    workshop.wheel("lib", "2")
    assert workshop.lock(each, "3.13", 'lock = "pylock.toml"\n') == {"lib": "2"}


def test_failed_lock_leaves_the_earlier_one_as_it_was(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"lib"')
    workshop.wheel("lib", "1")
    workshop.lock(each, "3.13", 'lock = "pylock.toml"\n')
    before = sorted(os.listdir(workshop.root)), (workshop.root / "pylock.toml").read_bytes()
    workshop.project("demo", dependencies='"lib>=2"')
    with pytest.raises(InstallError):
        workshop.lock(each, "3.13", 'lock = "pylock.toml"\n')
    assert (sorted(os.listdir(workshop.root)), (workshop.root / "pylock.toml").read_bytes()) == before


@pytest.mark.parametrize("writer", ["uv", "venv"])
def test_lock_of_one_backend_serves_the_others(workshop: Workshop, each: str, writer: str) -> None:
    workshop.project("demo", dependencies="\"lib; python_version >= '3.8'\", \"other; sys_platform == 'win32'\"")
    workshop.wheel("lib", "1")
    workshop.wheel("other", "1")
    workshop.lock(writer, "3.13", 'lock = "pylock.toml"\n')
    assert workshop.build(each, "3.13", 'lock = "pylock.toml"\n').versions == {"demo": "1", "lib": "1"}


def test_file_that_is_not_what_was_locked_is_refused(workshop: Workshop, each: str) -> None:
    # No cache has it yet.
    workshop.project("demo", dependencies='"unseen"')
    path = workshop.wheel("unseen", "1")
    workshop.lock("venv", "3.13", 'lock = "pylock.toml"\n')
    workshop.wheel("unseen", "1", "smuggled").replace(path)
    workshop.wheel("smuggled", "1")
    with pytest.raises(InstallError) as caught:
        workshop.build(each, "3.13", 'lock = "pylock.toml"\n')
    assert caught.value.exit_code == 6
    assert "is not what was locked" in (caught.value.advice or "")


def test_lock_for_another_python_is_refused_in_one_sentence(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"lib"')
    workshop.wheel("lib", "1")
    workshop.lock("venv", "3.13", 'lock = "pylock.toml"\n')
    with pytest.raises(InstallError) as caught:
        workshop.build(each, "3.8", 'lock = "pylock.toml"\n')
    assert "lock" in caught.value.cause
    assert "./prime lock" in (caught.value.advice or "")


@pytest.mark.parametrize(("name", "text"), [("pylock.toml", "lock-version = \n"), ("uv.lock", "\nversion = \n"),
                                              ("pylock.toml", 'lock-version = "9.0"\npackages = []\n'), ("uv.lock", "")])  # fmt: skip
def test_lock_that_cannot_be_read_is_told_alike_by_every_backend(
    workshop: Workshop, each: str, name: str, text: str
) -> None:
    workshop.project("demo")
    (workshop.root / name).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        workshop.build(each, "3.13", f'lock = "{name}"\n')
    line = text.count("\n")
    assert caught.value.place == str(workshop.root / name) + (f":{line}" if text.endswith("= \n") else "")


@pytest.mark.parametrize("kind", ["package", "virtual", "mirror"])
def test_uv_lock_is_installed_by_every_backend_and_brings_what_was_asked_for(
    workshop: Workshop, each: str, kind: str
) -> None:
    more = '[project.optional-dependencies]\ntest = ["extra"]\n[dependency-groups]\ndev = ["tool"]\nhuge = ["never"]\n'
    more += "[tool.uv]\ndefault-groups = ['huge']\n" + ("package = false\n" if kind == "virtual" else "")
    names = ("lib", "extra", "tool", "never", "win")
    with simple_index.serving() as original, simple_index.serving() as mirror:
        for index in (original, mirror):
            for name in names:
                index.files[f"{name}-1-py3-none-any.whl"] = workshop.wheel(name, "1").read_bytes()
        more += f'[[tool.uv.index]]\nurl = "{original.url}"\ndefault = true\n'
        workshop.project(
            "demo", dependencies="\"lib; python_version >= '3.9'\", \"win; sys_platform == 'win32'\"", more=more
        )
        settings = 'install = { projects = [{ path = ".", extras = ["test"], groups = ["dev"] }] }\n'
        subprocess.run(
            [*workshop.toolbox().uv().command, "lock"], cwd=workshop.root, check=True, stderr=subprocess.PIPE
        )
        workshop.variables = {"PIP_NO_INDEX": "", "UV_NO_CONFIG": "false", "PIP_FIND_LINKS": ""}
        workshop.variables["PIP_INDEX_URL"] = mirror.url if kind == "mirror" else original.url if each != "uv" else ""
        asked = len(original.requests)
        project = {} if kind == "virtual" else {"demo": "1"}
        expected = {**project, "extra": "1", "tool": "1"}
        assert workshop.build(each, "3.8", settings, name="old").versions == expected
        assert workshop.build(each, "3.13", settings, name="new").versions == {**expected, "lib": "1"}
        if kind == "mirror":
            assert len(original.requests) == asked


@pytest.mark.parametrize("pip_backend", ["virtualenv", "venv"])
def test_uv_lock_older_than_the_dependencies_is_refused(workshop: Workshop, pip_backend: str) -> None:
    workshop.project("demo", dependencies='"lib"')
    workshop.wheel("lib", "1")
    uv = workshop.toolbox().uv()
    command = [*uv.command, "lock", "--no-index", "--find-links", str(workshop.wheels)]
    subprocess.run(command, cwd=workshop.root, check=True, stderr=subprocess.PIPE)
    with pytest.raises(InstallError, match="no hash for lib"):
        workshop.build(pip_backend, "3.13", name="unhashed")
    # What the pin satisfies is no reason to lock anew.
    workshop.project("demo", dependencies='"lib>=2"')
    with pytest.raises(InstallError, match="pins lib 1, which does not satisfy `lib>=2`"):
        workshop.build(pip_backend, "3.13", name="stale")
    with pytest.raises(BackendError, match=r"only uv can write uv\.lock"):
        workshop.lock(pip_backend, "3.13", "")


@pytest.mark.parametrize("where", ["uv.lock", "pylock.toml"])
def test_monorepo_is_installed_from_one_lock(workshop: Workshop, each: str, where: str) -> None:
    with simple_index.serving() as index:
        index.files["lib-1-py3-none-any.whl"] = workshop.wheel("lib", "1").read_bytes()
        workshop.project("two", "parts/two", dependencies='"lib"')
        more = f'[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
        more += '[tool.uv.workspace]\nmembers = ["parts/*"]\n[tool.uv.sources]\ntwo = { workspace = true }\n'
        workshop.project("one", dependencies='"two"', more=more)
        workshop.variables = {
            "PIP_NO_INDEX": "",
            "UV_NO_CONFIG": "false",
            "PIP_FIND_LINKS": "",
            "PIP_INDEX_URL": index.url,
        }
        settings = f'lock = "{where}"\ninstall = {{ projects = [".", "parts/two"] }}\n'
        if where == "uv.lock":
            subprocess.run(
                [*workshop.toolbox().uv().command, "lock"], cwd=workshop.root, check=True, stderr=subprocess.PIPE
            )
        else:
            assert workshop.lock(each, "3.13", settings) == {"lib": "1"}
        built = workshop.build(each, "3.13", settings)
    assert built.versions == {"one": "1", "two": "1", "lib": "1"}
    assert built.run("import two; print(two.__file__)") == str(workshop.root / "parts" / "two" / "two.py")


def test_sources_that_only_uv_knows_are_found_by_every_backend(workshop: Workshop, each: str) -> None:
    workshop.project("two", "parts/two", dependencies='"lib"')
    workshop.project("three", "three")
    more = '[tool.uv.workspace]\nmembers = ["parts/*"]\n[tool.uv.sources]\ntwo = { workspace = true }\nthree = { path = "three" }\n'
    workshop.project("one", dependencies='"two", "three"', more=more)
    workshop.wheel("lib", "1")
    assert workshop.build(each, "3.13").versions == {"one": "1", "two": "1", "three": "1", "lib": "1"}


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_source_that_another_step_installs_is_installed_as_that_step_says(
    workshop: Workshop, each: str, order: str
) -> None:
    workshop.project("two", "parts/two")
    more = '[dependency-groups]\ndev = ["two"]\n[tool.uv.sources]\ntwo = { path = "parts/two" }\n'
    workshop.project("one", more=more)
    steps = ['{ projects = ["parts/two"] }', '{ projects = [{ path = ".", groups = ["dev"] }] }']
    built = workshop.build(each, "3.13", f"install = [{', '.join(steps if order == 'before' else steps[::-1])}]\n")
    assert built.versions == {"one": "1", "two": "1"}
    assert built.run("import two; print(two.__file__)") == str(workshop.root / "parts" / "two" / "two.py")


def test_build_constraints_reach_isolated_builds(workshop: Workshop, each: str) -> None:
    project = workshop.project("demo")
    text = (project / "pyproject.toml").read_text().replace("requires = []", 'requires = ["tool"]')
    (project / "pyproject.toml").write_text(text)
    (project / "builder.py").write_text("import tool\nassert tool.VERSION == '1', tool.VERSION\n" + BUILD_BACKEND)
    workshop.wheel("tool", "1")
    workshop.wheel("tool", "2")
    (workshop.root / "build limits.txt").write_text("tool<2\n")
    for python in ("3.8", "3.13"):
        settings = 'build-constraints = "build limits.txt"\n'
        assert workshop.build(each, python, settings, name=python).versions == {"demo": "1"}


def test_dependency_on_pip_is_installed_although_pip_is_what_installs(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"pip"')
    workshop.wheel("pip", "99")
    assert workshop.build(each, "3.13").versions == {"demo": "1", "pip": "99"}


def test_unresolvable_requirement_shows_the_installers_words(workshop: Workshop, each: str) -> None:
    workshop.project("demo", dependencies='"no-such-thing-anywhere"')
    with pytest.raises(InstallError) as caught:
        workshop.build(each, "3.13")
    assert f"the backend {each} could not install" in caught.value.cause
    assert "  | " in caught.value.cause
    assert "no-such-thing-anywhere" in caught.value.cause
    assert "correct the requirements" in (caught.value.advice or "")


def test_failing_build_shows_the_builds_words(workshop: Workshop, each: str) -> None:
    project = workshop.project("demo")
    (project / "builder.py").write_text("raise SystemExit('this project is broken')\n")
    with pytest.raises(InstallError) as caught:
        workshop.build(each, "3.13")
    assert "this project is broken" in caught.value.cause
    assert "build" in (caught.value.advice or "")


def test_installer_that_succeeds_and_installs_something_else_is_caught(workshop: Workshop, each: str) -> None:
    project = workshop.project("demo")
    text = (project / "builder.py").read_text().replace('return field("name")', "return 'unknown'")
    (project / "builder.py").write_text(text.replace('module = name.replace("-", "_") + ".py"', 'module = "demo.py"'))
    (project / "pyproject.toml").write_text(
        (project / "pyproject.toml").read_text().replace("[project]", '[project]\ndynamic = ["description"]')
    )
    with pytest.raises(InstallError):
        workshop.build(each, "3.13")


def test_editable_that_expects_sources_elsewhere_is_caught(workshop: Workshop, each: str) -> None:
    project = workshop.project("demo")
    text = (project / "builder.py").read_text().replace('os.getcwd() + "\\n"', '"/nowhere/at all\\n"')
    (project / "builder.py").write_text(text)
    with pytest.raises(InstallError, match="the sources in /nowhere/at all are gone"):
        workshop.build(each, "3.13")


def test_uv_refuses_an_editable_project_for_python_3_6(workshop: Workshop) -> None:
    workshop.project("demo")
    with pytest.raises(BackendError, match=r"uv cannot install an editable project into Python 3\.6") as caught:
        workshop.build("uv", "3.6")
    assert caught.value.exit_code == 5


def test_auto_falls_back_for_python_3_6_and_says_why(workshop: Workshop) -> None:
    workshop.project("demo")
    configuration = workshop.configuration()
    plan = make_plan(configuration)
    interpreter = workshop.interpreter("3.6")
    wanted = wanted_backends("auto", configuration)
    backend, why = select_backend(wanted, interpreter, plan, workshop.toolbox(), workshop.console, configuration)
    assert backend.name == "virtualenv"
    assert why.startswith("backend virtualenv (not uv: uv ")


def test_setuptools_project_is_adapted_to_python_3_6(workshop: Workshop) -> None:
    workshop.project("demo", dependencies='"lib"', more='[project.scripts]\ndemo = "demo:main"\n')
    text = (workshop.root / "pyproject.toml").read_text().replace('"builder"', '"setuptools.build_meta"')
    (workshop.root / "pyproject.toml").write_text(
        text.replace("requires = []", 'requires = ["setuptools>=61"]').replace('backend-path = ["."]\n', "")
    )
    workshop.wheel("lib", "1")
    built = workshop.build("venv", "3.6")
    assert built.versions == {"demo": "1", "lib": "1"}
    assert built.run("import demo; print(demo.__file__)") == str(workshop.root / "demo.py")


def test_what_no_build_backend_for_python_3_6_can_do_is_refused_before_work(workshop: Workshop) -> None:
    (workshop.root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "demo"\ndynamic = ["version"]\n'
    )
    with pytest.raises(BackendError, match=r"no build backend for Python 3\.6"):
        workshop.build("venv", "3.6")


def test_copy_of_a_project_is_refused_for_python_3_6_by_every_backend(workshop: Workshop, each: str) -> None:
    (workshop.root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "demo"\nversion = "1"\n'
    )
    (workshop.root / "demo.py").write_text("")
    with pytest.raises(BackendError, match=r"no build backend for Python 3\.6 serves a project that is not editable"):
        workshop.build(each, "3.6", 'install = { projects = [{ path = ".", editable = false }] }\n')


def test_requirements_are_installed_into_python_3_6_by_every_backend(workshop: Workshop, each: str) -> None:
    (workshop.root / "requirements.txt").write_text("lib\n")
    workshop.wheel("lib", "1")
    assert workshop.build(each, "3.6").versions == {"lib": "1"}


def test_renamed_package_is_built_again_although_its_metadata_stand(workshop: Workshop, each: str) -> None:
    project = workshop.project("demo", "old")
    builder = (project / "builder.py").read_text().replace("os.getcwd()", "os.path.realpath('code.link')")
    (project / "builder.py").write_text(builder)
    (project / "first").mkdir()
    (project / "code.link").symlink_to("first")
    settings = 'install = { projects = ["old"] }\n'
    workshop.build(each, "3.13", settings, name="first")
    (project / "first").rename(project / "second")
    (project / "code.link").unlink()
    (project / "code.link").symlink_to("second")
    built = workshop.build(each, "3.13", settings, name="second")
    assert str(project / "second") in built.run("import sys; print(sys.path)")


def test_list_of_backends_is_tried_in_its_order(workshop: Workshop) -> None:
    workshop.project("demo")
    configuration = workshop.configuration()
    plan = make_plan(configuration)
    interpreter = workshop.interpreter("3.13")
    wanted = wanted_backends(["venv", "uv"], configuration)
    backend, why = select_backend(wanted, interpreter, plan, workshop.toolbox(), workshop.console, configuration)
    assert (backend.name, why) == ("venv", "backend venv")


def test_unknown_backend_is_a_configuration_error_with_the_nearest_name(workshop: Workshop) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown backend .virtualen.\n") as caught:
        workshop.build("virtualen", "3.13")
    assert str(caught.value.advice).startswith("did you mean 'virtualenv'? known: uv, virtualenv, venv, auto")


def test_backend_of_the_repository_is_loaded_from_its_file(workshop: Workshop) -> None:
    workshop.project("demo")
    (workshop.root / "ours.py").write_text(
        "from protoprimer.backends.venv import VenvBackend\n\n\nclass Ours(VenvBackend):\n    name = 'ours'\n"
    )
    assert workshop.build("./ours.py", "3.13").backend == "ours"


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "defines 0 subclasses"), ("1 / 0\n", "ZeroDivisionError"), (None, "does not exist")],
)
def test_file_that_is_no_backend_is_a_configuration_error(workshop: Workshop, content: str | None, words: str) -> None:
    if content is not None:
        (workshop.root / "ours.py").write_text(content)
    with pytest.raises(ConfigurationError, match=words):
        workshop.build("ours.py", "3.13")


def test_venv_refuses_an_interpreter_without_the_module(workshop: Workshop) -> None:
    workshop.project("demo")
    configuration = workshop.configuration()
    interpreter = workshop.interpreter("3.13")
    interpreter.has_venv = False
    plan, wanted = make_plan(configuration), wanted_backends("venv", configuration)
    with pytest.raises(PrimerError, match="lacks the module venv"):
        select_backend(wanted, interpreter, plan, workshop.toolbox(), workshop.console, configuration)


def test_distributions_are_read_without_an_interpreter(workshop: Workshop, each: str) -> None:
    workshop.project("demo")
    built = workshop.build(each, "3.13")
    assert set(installed_distributions(str(built.directory))) == {"demo"}
