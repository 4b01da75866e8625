"""What each backend gives its installer: the whole argument list and the variables, asserted and not run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.backends import base
from protoprimer.backends.base import commands_of, with_option
from protoprimer.backends.uv import UvBackend
from protoprimer.backends.venv import VenvBackend
from protoprimer.backends.virtualenv import VirtualenvBackend
from protoprimer.commands.lock import refuse_what_would_not_install
from protoprimer.errors import BackendError, InstallError
from protoprimer.fetch.tools import Tool
from protoprimer.project.plan import NO_STEP, LockChoice, Plan
from protoprimer.pythons.probe import wild_interpreter
from protoprimer.settings.index_settings import IndexSettings, read_index_settings
from protoprimer.system.children import ChildResult
from protoprimer.system.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PYTHON = wild_interpreter()


class FakeToolBox:
    """The tools as if they were there."""

    def __init__(self, settings: IndexSettings, cache_directory: str) -> None:
        self.settings = settings
        self.cache_directory = cache_directory
        self.records: list[Any] = []
        self.beside_pip = ""
        self.pip_version = "26.3"

    def uv(self) -> Tool:
        return Tool(["/tools/uv"], "0.13", "of a test", {"UV_CACHE_DIR": "/cache"})

    def pip(self, _interpreter: object) -> Tool:
        return Tool(["/host/python", "-I", "/tools/pip"], self.pip_version, "of a test", {})

    def virtualenv(self, interpreter: Any) -> Tool:
        command = ["/tools/virtualenv", "--python", interpreter.executable]
        return Tool(command, "21", "of a test", {"VIRTUALENV_CONFIG_FILE": os.devnull})


class Runs:
    """What would have been run; `answers` are the results, in order, where another one than success is wanted."""

    def __init__(self) -> None:
        self.arguments: list[list[str]] = []
        self.environ: list[dict[str, str]] = []
        self.inputs: list[str | None] = []
        self.files: list[str] = []
        self.answers: list[ChildResult] = []

    def run_child(self, arguments: list[str], _console: object, **options: Any) -> ChildResult:
        self.arguments.append(arguments)
        self.environ.append(options["environ"])
        self.inputs.append(options.get("input_text"))
        for option, path in zip(arguments, arguments[1:]):
            if option in ("-r", "-c") and os.path.isfile(path):
                with open(path, encoding="utf-8") as stream:
                    self.files.append(option + " " + stream.read().strip())
        return self.answers.pop(0) if self.answers else ChildResult(0, "", "")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    found = Runs()
    monkeypatch.setattr(base, "run_child", found.run_child)
    monkeypatch.setattr(
        base, "marker_environment", lambda *_: {"python_version": "3.11", "python_full_version": "3.11.2"}
    )
    return found


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Any]:
    def making(kind: Any, offline: bool = False, **variables: str) -> Any:
        environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path), **variables}
        settings = read_index_settings(str(tmp_path), offline, environ)
        toolbox: Any = FakeToolBox(settings, str(tmp_path / "cache"))
        return kind(toolbox, Console(-1), settings)

    return making


def plan_of(root: Path, *lines: str, **more: Any) -> Plan:
    return Plan(str(root), [NO_STEP._replace(lines=list(lines))] if lines else [], **more)


def test_each_backend_creates_an_environment_without_pip(make: Callable[..., Any], runs: Runs) -> None:
    for kind in (UvBackend, VirtualenvBackend, VenvBackend):
        make(kind).create(PYTHON, "/envs/new")
    of_uv, of_virtualenv, of_venv = runs.arguments
    assert of_uv == [
        *["/tools/uv", "venv", "--no-project", "--no-config", "--python", PYTHON.executable],
        *["--prompt=protoprimer", "/envs/new"],
    ]
    assert of_virtualenv == [
        *["/tools/virtualenv", "--python", PYTHON.executable, "--no-seed", "--no-download"],
        *["--no-periodic-update", "--prompt=protoprimer", "/envs/new"],
    ]
    assert of_venv == [
        *[PYTHON.executable, "-I", "-m", "venv", "--without-pip", "--prompt=protoprimer", "--symlinks", "/envs/new"],
    ]
    assert runs.environ[0]["UV_PYTHON_DOWNLOADS"] == "never"
    assert runs.environ[0]["UV_CACHE_DIR"] == "/cache"
    assert runs.environ[1]["VIRTUALENV_CONFIG_FILE"] == os.devnull


def test_uv_is_given_lines_by_its_input_and_every_setting(make: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("setuptools==80\n")
    plan = plan_of(tmp_path, "one", "two>1", resolution="lowest", build_constraints=str(pins))
    make(UvBackend).install_plan(PYTHON, "/envs/new", plan)
    (arguments,) = runs.arguments
    assert arguments[:5] == ["/tools/uv", "pip", "install", "--python", "/envs/new/bin/python"]
    assert runs.inputs == ["one\ntwo>1\n"]
    rest = arguments[5:]
    for wanted in (["--requirements", "-"], ["--resolution", "lowest"], ["--build-constraints", str(pins)]):
        assert rest[rest.index(wanted[0]) :][:2] == wanted
    assert "--refresh" not in rest
    assert "--no-deps" not in rest
    assert runs.environ[0]["UV_NO_ENV_FILE"] == "1"


def test_pip_is_given_lines_and_constraints_as_files(make: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    backend = make(VenvBackend)
    plan = plan_of(tmp_path, "one", "two>1", build_constraints=str(tmp_path / "a b.txt"))
    backend.install_plan(PYTHON, "/envs/new", plan)
    (arguments,) = runs.arguments
    assert arguments[:4] == ["/envs/new/bin/python", "-I", "/tools/pip", "install"]
    assert "--no-compile" in arguments
    assert "--no-deps" not in arguments
    assert runs.files == ["-r one\ntwo>1"]
    environ = runs.environ[0]
    assert environ["PIP_BUILD_CONSTRAINT"] == (tmp_path / "a b.txt").as_uri()
    assert "PIP_CONSTRAINT" not in environ
    assert environ["PIP_PROGRESS_BAR"] == "off"
    assert "PIP_RETRIES" not in environ
    # An older pip gives all constraints to builds too.
    backend.toolbox.pip_version = "25.2"
    backend.install_plan(PYTHON, "/envs/new", plan)
    assert runs.environ[1]["PIP_CONSTRAINT"] == (tmp_path / "a b.txt").as_uri()
    assert "PIP_BUILD_CONSTRAINT" not in runs.environ[1]


LOCK = """lock-version = "1.0"
created-by = "test"

[[packages]]
name = "one"
version = "1.0"
wheels = [{ url = "https://index.example.test/one-1.0-py3-none-any.whl", hashes = { sha256 = "%s" } }]
"""


def test_a_lock_is_installed_with_hashes_and_without_dependencies(
    make: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(LOCK % ("0" * 64))
    plan = plan_of(tmp_path, "one", lock=LockChoice(str(lock), str(lock), "./prime lock"))
    make(UvBackend).install_plan(PYTHON, "/envs/new", plan)
    assert runs.arguments[0][-2:] == ["--requirements", str(lock)]
    # uv.toml or a bundle may name another index: then the pins are given without URLs.
    make(UvBackend, UV_DEFAULT_INDEX="https://mirror.example.test").install_plan(PYTHON, "/envs/new", plan)
    assert "--verify-hashes" in runs.arguments[1]
    assert "--no-deps" in runs.arguments[1]
    assert "sha256:" + "0" * 64 in str(runs.inputs[1])


def test_pins_come_from_where_requirement_files_say(make: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "reqs" / "vend").mkdir(parents=True)
    said = (
        "--no-index\n-f vend\n--find-links far\n--trusted-host h.invalid\n--no-binary alpha --only-binary=beta\nalpha\n"
    )
    (tmp_path / "reqs" / "dev.txt").write_text(said, encoding="utf-8")
    lock = tmp_path / "pylock.toml"
    lock.write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "alpha"\nversion = "1"\nwheels = [{hashes = {sha256 = "0a"}}]\n',
        encoding="utf-8",
    )
    step = NO_STEP._replace(requirements=[str(tmp_path / "reqs" / "dev.txt")])
    plan = Plan(str(tmp_path), [step], LockChoice(str(lock), str(lock), "./prime lock"))
    links = [f"--find-links {(tmp_path / 'reqs' / 'vend').as_uri()}", f"--find-links {(tmp_path / 'far').as_uri()}"]
    pin = "alpha==1 --hash=sha256:0a"
    make(VenvBackend).install_plan(PYTHON, "/envs/new", plan)
    more = ["--trusted-host h.invalid", "--no-binary alpha", "--only-binary beta"]
    assert "-r " + "\n".join(["--no-index", *links, *more, pin]) in runs.files
    make(UvBackend).install_plan(PYTHON, "/envs/new", plan)
    assert runs.inputs[-1] == "\n".join([*links, pin]) + "\n"
    told = " ".join(runs.arguments[-1])
    for wanted in ("--no-index", "--no-binary alpha", "--only-binary beta", "--allow-insecure-host h.invalid"):
        assert f" {wanted} " in told


@pytest.mark.usefixtures("runs")
def test_a_lock_that_the_next_start_would_refuse_is_refused_where_it_is_written(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(LOCK % ("0" * 64))
    written = LockChoice(None, str(lock), "./prime lock")
    refuse_what_would_not_install(plan_of(tmp_path, "one", lock=written), str(lock), make(VenvBackend), PYTHON)
    with pytest.raises(InstallError, match=r"what was locked could not be installed: .* has no pin for `two`") as told:
        refuse_what_would_not_install(plan_of(tmp_path, "two", lock=written), str(lock), make(VenvBackend), PYTHON)
    assert "./prime lock" not in str(told.value.advice)


@pytest.mark.parametrize("kind", [UvBackend, VenvBackend])
def test_one_index_alone_is_asked_where_a_source_names_it(make: Callable[..., Any], runs: Runs, kind: Any) -> None:
    backend = make(kind, UV_INDEX="https://more.example.test", UV_FIND_LINKS="/wheels")
    job = base.Job(PYTHON, Plan("/root", []), "/envs/new")
    step = NO_STEP._replace(lines=["one"])
    backend._install(job, base.Command(step, deep=False, only_index="https://own.example.test"))
    (environ,) = runs.environ
    if kind is UvBackend:
        assert environ["UV_DEFAULT_INDEX"] == "https://own.example.test"
        assert "--no-config" in runs.arguments[0]
    else:
        assert environ["PIP_INDEX_URL"] == "https://own.example.test"
    assert not {"UV_INDEX", "UV_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"} & set(environ)
    assert "--no-deps" in runs.arguments[0]


def test_where_wheels_cannot_be_kept_since_the_cache_is_full_the_index_is_asked(
    make: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(LOCK % ("0" * 64))
    plan = plan_of(tmp_path, "one", lock=LockChoice(str(lock), str(lock), "./prime lock"))
    runs.answers.append(ChildResult(2, "", "OSError: [Errno 28] No space left on device"))
    make(VenvBackend).install_plan(PYTHON, "/envs/new", plan)
    assert [arguments[3] for arguments in runs.arguments] == ["download", "install"]
    runs.answers.append(ChildResult(1, "", "THESE PACKAGES DO NOT MATCH THE HASHES"))
    with pytest.raises(InstallError, match="DO NOT MATCH"):
        make(VenvBackend).install_plan(PYTHON, "/envs/new", plan)


def test_what_is_locked_is_not_resolved_again(tmp_path: Path) -> None:
    unlocked = plan_of(tmp_path, "one")
    assert commands_of(unlocked) == [(unlocked.steps[0], True)]
    pins = LockChoice(str(tmp_path / "pylock.toml"), "", "")
    assert commands_of(plan_of(tmp_path, "one", lock=pins)) == []
    assert commands_of(plan_of(tmp_path, "one", lock=pins), locking=True) == [(unlocked.steps[0], True)]
    of_uv = LockChoice(str(tmp_path / "uv.lock"), "", "")
    files = Plan(str(tmp_path), [NO_STEP._replace(requirements=["/r.txt"])], of_uv)
    # `uv.lock` knows nothing of requirement files beside it.
    assert commands_of(files) == [(files.steps[0], True)]


def test_what_a_backend_cannot_lock_it_refuses(make: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="only uv can write"):
        make(VenvBackend).lock(PYTHON, plan_of(tmp_path, "one"), str(tmp_path / "uv.lock"), False, [])
    old = make(VenvBackend)
    old.toolbox.pip_version = "22.1"
    with pytest.raises(BackendError, match="reports no resolution"):
        old.lock(PYTHON, plan_of(tmp_path, "one"), str(tmp_path / "pylock.toml"), False, [])
    with pytest.raises(BackendError, match="at the root only"):
        make(UvBackend).lock(PYTHON, plan_of(tmp_path, "one"), str(tmp_path / "sub" / "uv.lock"), False, [])
    assert runs.arguments == []


def test_uv_writes_and_checks_its_own_lock(make: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    lock = str(tmp_path / "uv.lock")
    plan = plan_of(tmp_path, "one", lock=LockChoice(lock, lock, "./prime lock"))
    make(UvBackend).lock(PYTHON, plan, lock, True, ["two"])
    make(UvBackend).check_lock(PYTHON, plan)
    writing, checking = runs.arguments
    assert writing[:4] == ["/tools/uv", "lock", "--python", PYTHON.executable]
    assert writing[4:7] == ["--upgrade", "--upgrade-package", "two"]
    assert "--locked" in checking
    assert "--upgrade" not in checking


def test_a_plan_with_the_lowest_versions_or_a_new_pip_s_wishes_is_refused_by_pip(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    backend = make(VenvBackend)
    assert backend.probe(PYTHON, plan_of(tmp_path, "one")) is None
    refused = backend.probe(PYTHON, plan_of(tmp_path, "one", resolution="lowest"))
    assert refused == "pip cannot take the lowest versions (resolution lowest)"


def test_of_a_failure_the_last_forty_lines_are_shown(make: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    said = "\n".join(f"line {number}" for number in range(50))
    runs.answers.append(ChildResult(1, said, "error: hash mismatch"))
    with pytest.raises(InstallError) as caught:
        make(UvBackend).install_plan(PYTHON, "/envs/new", plan_of(tmp_path, "one"))
    lines = caught.value.cause.splitlines()
    assert lines[0] == "the backend uv could not install (exit status 1)"
    assert lines[1] == "  | ... (11 more lines in the log)"
    assert lines[2] == "  | line 11"
    assert len(lines) == 42
    assert str(caught.value.advice).endswith("or run ./prime lock, then try again")


def test_options_are_repeated_for_each_value() -> None:
    assert with_option("-r", ["a", "b"]) == ["-r", "a", "-r", "b"]
