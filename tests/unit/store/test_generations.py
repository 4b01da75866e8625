"""Generations on a real disk: published whole, never changed, found, healed, collected; and the convenience link."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import protoprimer
import support
from protoprimer.errors import InstallError
from protoprimer.store.cache import collect_cache
from protoprimer.store.file_lock import this_process
from protoprimer.store.fingerprint import Fingerprint
from protoprimer.store.generations import (
    Generation,
    GenerationStore,
    point_link,
)
from protoprimer.store.history import reason_to_build
from protoprimer.store.in_use import note_use
from protoprimer.store.state_directory import prepare_state_directory, remember_environment, remembered_environment
from protoprimer.system.console import Console
from protoprimer.system.files import temporary_name
from protoprimer.system.paths import environment_python
from protoprimer.system.platform import boot_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCES = os.path.dirname(protoprimer.__path__[0])
posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX links and modes")


def fingerprint_named(letter: str = "a", **parts: str) -> Fingerprint:
    return Fingerprint(letter * 16, {"interpreter": "cpython 3.11.7", "file:pyproject.toml": letter, **parts})


def fill(path: str) -> None:
    """Put a small real environment there: this interpreter, one distribution."""
    python = Path(environment_python(path))
    python.parent.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        shutil.copy(sys.executable, python)
    else:
        python.symlink_to(os.path.realpath(sys.executable))
    base = sysconfig.get_config_var("BINDIR") or os.path.dirname(os.path.realpath(sys.executable))
    (Path(path) / "pyvenv.cfg").write_text(f"home = {base}\n")
    packages = site_packages(path)
    (packages / "demo-1.dist-info").mkdir(parents=True)
    (packages / "demo.py").write_text("x = 1\n")
    (packages / "empty.py").write_text("")
    rows = ["demo.py,sha256=x,6", "empty.py,sha256=y,0", '"demo-1.dist-info/RECORD",,', "gone.pyc,,", "never.txt,,3"]
    (packages / "demo-1.dist-info" / "RECORD").write_text("\n".join(rows) + "\n")


def site_packages(path: str) -> Path:
    return Path(path, *(["Lib"] if os.name == "nt" else ["lib", "python3.11"]), "site-packages")


def build(store: GenerationStore, fingerprint: Fingerprint, **record: Any) -> Generation:
    path = store.begin(fingerprint)
    fill(path)
    return store.publish(path, {"fingerprint": fingerprint.digest, "parts": fingerprint.parts, **record})


def run_code(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    prelude = f"import sys; sys.path.insert(0, {SOURCES!r})\nfrom protoprimer.system.console import Console\n"
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


@pytest.fixture
def words() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(words: io.StringIO) -> Console:
    return Console(stream=words)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".protoprimer"


@pytest.fixture
def store(state: Path, console: Console) -> GenerationStore:
    return GenerationStore(str(state), "default", console)


class TestPublishing:
    def test_what_is_begun_is_empty_named_by_environment_and_fingerprint_and_not_visible(
        self, store: GenerationStore, state: Path
    ) -> None:
        path = store.begin(fingerprint_named())
        assert path == str(state / "envs" / f"default-{'a' * 16}")
        assert os.listdir(path) == []
        fill(path)
        assert store.find(fingerprint_named()) is None
        assert store.all() == []

    def test_published_generation_is_found_with_what_it_was_made_from(self, store: GenerationStore) -> None:
        built = build(store, fingerprint_named(), backend="uv", tool="uv 0.5")
        found = store.find(fingerprint_named())
        assert found is not None
        assert (found.path, found.record["fingerprint"]) == (built.path, "a" * 16)
        assert os.path.exists(environment_python(found.path))
        for key in ("backend", "tool", "parts", "fingerprint", "protoprimer", "since", "host", "environment"):
            assert found.record[key], key
        assert not any(name.endswith(".building") for name in os.listdir(store.directory))
        assert store.find(fingerprint_named("b")) is None

    def test_no_name_is_used_twice(self, store: GenerationStore) -> None:
        paths = [store.begin(fingerprint_named()), build(store, fingerprint_named()).path]
        shutil.rmtree(paths[0])
        paths.append(store.begin(fingerprint_named()))
        store.remove(paths[2])
        store.collect(3, [])
        paths.append(build(store, fingerprint_named()).path)
        assert [os.path.basename(path)[len("default-") + 16 :] for path in paths] == ["", ".2", ".3", ".4"]
        assert os.path.exists(paths[1])

    @posix_only
    def test_name_of_a_failed_build_is_forgotten_after_a_day(self, store: GenerationStore) -> None:
        path = store.begin(fingerprint_named())
        store.remove(path)
        os.utime(path + ".building", (1, 1))
        os.symlink("nowhere", path + ".0123456789abcdef.tmp")
        os.utime(path + ".0123456789abcdef.tmp", (1, 1), follow_symlinks=False)
        mode = os.stat(store.directory).st_mode
        store.collect(3, [])
        assert os.listdir(store.directory) == []
        assert os.stat(store.directory).st_mode == mode

    def test_newest_complete_one_is_the_current_one(self, store: GenerationStore) -> None:
        build(store, fingerprint_named())
        second = build(store, fingerprint_named())
        store.begin(fingerprint_named())
        found = store.find(fingerprint_named())
        assert found is not None
        assert found.path == second.path

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b"null", b"\xff", b'{"fingerprint": "b"}', b'{"fingerprint": "%s"}' % (b"a" * 16)]
    )
    def test_record_that_is_torn_or_another_ones_does_not_count(self, store: GenerationStore, content: bytes) -> None:
        built = build(store, fingerprint_named())
        Path(built.path, "protoprimer.json").write_bytes(content)
        assert store.find(fingerprint_named()) is None
        assert build(store, fingerprint_named()).path != built.path

    def test_what_is_no_environment_is_not_published(self, store: GenerationStore) -> None:
        path = store.begin(fingerprint_named())
        with pytest.raises(InstallError, match=r"pyvenv\.cfg is missing"):
            store.publish(path, {"fingerprint": "a" * 16, "parts": {}})
        assert not os.path.exists(os.path.join(path, "protoprimer.json"))

    def test_environments_of_one_clone_are_apart(self, state: Path, store: GenerationStore, console: Console) -> None:
        other = GenerationStore(str(state), "default-2", console)
        build(store, fingerprint_named())
        assert other.find(fingerprint_named()) is None
        assert other.records() == []
        build(other, fingerprint_named())
        assert [len(one.all()) for one in (store, other)] == [1, 1]

    def test_abandoned_one_is_gone(self, store: GenerationStore) -> None:
        path = store.begin(fingerprint_named())
        fill(path)
        store.remove(path)
        assert os.listdir(store.directory) == [os.path.basename(path) + ".building"]


class TestHealth:
    def test_new_one_is_intact_though_a_wheel_listed_a_file_it_never_had(self, store: GenerationStore) -> None:
        built = build(store, fingerprint_named())
        assert built.record["faults_when_new"] == ["never.txt is missing"]
        assert not built.faults()

    def test_environment_with_packages_from_a_real_installer_is_intact_until_one_of_their_files_is_gone(
        self, store: GenerationStore
    ) -> None:
        path = store.begin(fingerprint_named())
        made = subprocess.run([sys.executable, "-m", "venv", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode != 0:
            pytest.skip("this Python cannot put pip into an environment")
        built = store.publish(path, {"fingerprint": "a" * 16, "parts": {}})
        assert built.record["faults_when_new"] == []
        assert any(name.startswith("pip-") for name in built.record["distributions"])
        assert not built.faults()
        next(Path(path).rglob("pip/__main__.py")).unlink()
        assert "pip/__main__.py" in str(built.faults())

    @pytest.mark.parametrize(
        ("damage", "told"),
        [
            (lambda path: site_packages(path).joinpath("demo.py").unlink(), "demo.py"),
            (lambda path: site_packages(path).joinpath("demo.py").write_text(""), "demo.py"),
            (lambda path: site_packages(path).joinpath("demo.py").write_text("x = 12\n"), "7 bytes instead of 6"),
            (lambda path: site_packages(path).joinpath("demo-1.dist-info", "RECORD").unlink(), "RECORD"),
            (lambda path: site_packages(path).joinpath("demo-1.dist-info", "RECORD").write_bytes(b"\xff"), "RECORD"),
            (lambda path: shutil.rmtree(site_packages(path)), "demo-1.dist-info"),
            (lambda path: shutil.rmtree(site_packages(path) / "demo-1.dist-info"), "demo-1.dist-info"),
            (lambda path: Path(path, "pyvenv.cfg").unlink(), "pyvenv.cfg"),
            (lambda path: Path(path, "pyvenv.cfg").write_text(""), "pyvenv.cfg"),
            (lambda path: Path(path, "pyvenv.cfg").write_text("home = /nowhere/at/all\n"), "is gone"),
            (lambda path: Path(environment_python(path)).unlink(), "missing"),
            (shutil.rmtree, "pyvenv.cfg"),
        ],
    )
    def test_damage_is_named(self, store: GenerationStore, damage: Callable[[str], Any], told: str) -> None:
        built = build(store, fingerprint_named())
        damage(built.path)
        assert told in str(built.faults())

    @posix_only
    @pytest.mark.parametrize("target", ["nothing", "not-executable", "empty"])
    def test_one_without_a_usable_interpreter_is_not_found_and_built_beside(
        self, store: GenerationStore, tmp_path: Path, target: str
    ) -> None:
        (tmp_path / "not-executable").write_text("#!/bin/sh\n")
        (tmp_path / "empty").write_text("")
        (tmp_path / "empty").chmod(0o755)
        built = build(store, fingerprint_named())
        python = Path(environment_python(built.path))
        python.unlink()
        python.symlink_to(tmp_path / target)
        assert store.find(fingerprint_named()) is None
        assert "interpreter" in reason_to_build(store, fingerprint_named())
        assert build(store, fingerprint_named()).path == built.path + ".2"

    def test_after_a_reboot_emptied_files_are_noticed_at_once(self, store: GenerationStore) -> None:
        built = build(store, fingerprint_named())
        record = Path(built.path, "protoprimer.json")
        record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "an earlier one"}))
        assert store.find(fingerprint_named()) is not None
        site_packages(built.path).joinpath("demo.py").write_text("")
        assert store.find(fingerprint_named()) is None


class TestReasons:
    def test_first_next_broken_and_missing_are_told_apart(self, store: GenerationStore) -> None:
        assert reason_to_build(store, fingerprint_named()) == "because nothing was built yet"
        built = build(store, fingerprint_named())
        assert reason_to_build(store, fingerprint_named("b")) == "because pyproject.toml changed"
        site_packages(built.path).joinpath("demo.py").unlink()
        assert "demo.py" in reason_to_build(store, fingerprint_named())
        shutil.rmtree(built.path)
        assert reason_to_build(store, fingerprint_named()) == "because the environment is gone"

    def test_last_record_outlives_its_generation_and_its_own_loss(self, store: GenerationStore) -> None:
        first = build(store, fingerprint_named("a"))
        second = build(store, fingerprint_named("b"))
        shutil.rmtree(second.path)
        assert store.records()[0]["fingerprint"] == "b" * 16
        Path(store.directory, "default.last.json").write_text("{")
        assert store.records()[0]["fingerprint"] == first.record["fingerprint"]

    def test_an_interrupted_build_and_a_base_interpreter_that_is_gone_are_named(self, store: GenerationStore) -> None:
        begun = store.begin(fingerprint_named())
        Path(begun + ".building").unlink()
        assert (
            reason_to_build(store, fingerprint_named())
            == "because nothing was built yet, and the last build was interrupted"
        )
        build(store, fingerprint_named("b"), interpreter={"executable": "/nowhere/bin/python3"})
        told = "because its base interpreter /nowhere/bin/python3 is gone, and the last build was interrupted"
        assert reason_to_build(store, fingerprint_named("c")) == told


class TestCollection:
    def test_newest_ones_stay_in_the_order_of_building_whatever_the_clock_said(self, store: GenerationStore) -> None:
        built = [build(store, fingerprint_named(letter)) for letter in "abcde"]
        for number, generation in enumerate(reversed(built)):
            os.utime(os.path.join(generation.path, "protoprimer.json"), (number, number))
        removed = store.collect(3, [])
        assert removed == [generation.path for generation in built[:2]]
        assert [generation.path for generation in store.all()] == [generation.path for generation in built[2:]]
        assert store.collect(3, []) == []

    def test_protected_and_announced_ones_stay(self, store: GenerationStore, state: Path) -> None:
        built = [build(store, fingerprint_named(letter)) for letter in "abcde"]
        (state / "ready").write_text(f"protoprimer_environment='{built[0].path}'\n")
        assert store.collect(1, [built[1].path]) == [built[2].path, built[3].path]

    def test_last_one_stays_even_if_nothing_is_to_be_kept(self, store: GenerationStore) -> None:
        build(store, fingerprint_named())
        assert store.collect(0, []) == []

    def test_each_environment_keeps_its_own(self, store: GenerationStore, state: Path, console: Console) -> None:
        other = GenerationStore(str(state), "other", console)
        for letter in "ab":
            build(store, fingerprint_named(letter))
            build(other, fingerprint_named(letter))
        assert len(store.collect(1, [])) == 2
        assert [len(one.all()) for one in (store, other)] == [1, 1]

    def test_leftovers_of_killed_runs_go_and_those_at_work_stay(self, store: GenerationStore) -> None:
        at_work = store.begin(fingerprint_named("a"))
        code = "from protoprimer.store.generations import *; from protoprimer.store.fingerprint import *; import os\n"
        code += "store = GenerationStore(sys.argv[1], 'default', Console())\n"
        code += "print(store.begin(Fingerprint('b' * 16, {})), flush=True); os._exit(9)"
        killed = run_code(code, os.path.dirname(store.directory)).stdout.strip()
        fill(killed)
        unmarked = Path(store.directory, f"default-{'c' * 16}")
        unmarked.mkdir()
        trash = Path(store.directory, f".trash-default-{'d' * 16}")
        (trash / "half").mkdir(parents=True)
        mark_alone = Path(store.directory, f"default-{'e' * 16}.building")
        mark_alone.write_text("")
        # Its builder was killed when all but this was done.
        mark_of_complete = Path(build(store, fingerprint_named("f")).path + ".building")
        mark_of_complete.write_text("{}")
        for mark in (mark_alone, mark_of_complete):
            os.utime(mark, (1, 1))
        assert sorted(store.collect(3, [])) == sorted([killed, str(unmarked)])
        complete = mark_of_complete.with_suffix("").name
        left = [at_work, at_work + ".building", killed + ".building", complete, "default.last.json"]
        assert sorted(os.listdir(store.directory)) == sorted(os.path.basename(path) for path in left)

    def test_somebodys_own_files_in_the_directory_stay(self, store: GenerationStore) -> None:
        build(store, fingerprint_named())
        for name in ("notes.txt", "my-env", "default-123", "x.building"):
            Path(store.directory, name).mkdir()
        assert store.collect(1, []) == []

    @pytest.mark.parametrize("how", ["runs from", "stands in", "was told of"])
    @pytest.mark.skipif(os.name == "nt", reason="Windows refuses the removal by itself")
    def test_one_in_use_by_a_live_process_stays(self, store: GenerationStore, tmp_path: Path, how: str) -> None:
        used = build(store, fingerprint_named("a"))
        neighbour = build(store, fingerprint_named("a"))
        build(store, fingerprint_named("c"))
        wait = "import sys; print(flush=True); sys.stdin.read()"
        command = {
            "runs from": [environment_python(used.path), "-S", "-c", wait],
            "stands in": [sys.executable, "-c", wait],
            "was told of": [sys.executable, "-c", wait, "--prefix", used.path],
        }[how]
        cwd = used.path if how == "stands in" else str(tmp_path)
        if how == "stands in" and not os.path.isdir("/proc/self"):
            pytest.skip("only /proc tells where a process stands")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd) as child:
            assert child.stdout is not None
            child.stdout.readline()
            assert store.collect(1, []) == [neighbour.path]
            assert os.path.exists(used.path)
            child.communicate()
        assert store.collect(1, []) == [used.path]

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="loaded files are seen in /proc")
    def test_one_whose_library_is_loaded_stays(self, store: GenerationStore) -> None:
        import _ctypes

        if not getattr(_ctypes, "__file__", None):
            pytest.skip("no extension module as a file")
        used = build(store, fingerprint_named("a"))
        library = shutil.copy(_ctypes.__file__, site_packages(used.path))
        build(store, fingerprint_named("b"))
        code = "import ctypes, os, sys; ctypes.CDLL(sys.stdin.readline().strip()); print(flush=True); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(os.fsencode(library) + b"\n")
            child.stdin.flush()
            child.stdout.readline()
            assert store.collect(1, []) == []
            child.communicate()

    def test_one_built_by_another_machine_is_spared_for_a_week(self, store: GenerationStore) -> None:
        built = [build(store, fingerprint_named(letter)) for letter in "abc"]
        for generation, age in zip(built, (0, 8)):
            path = Path(generation.path, "protoprimer.json")
            record = json.loads(path.read_text())
            record.update(machine="elsewhere", built_seconds=record["built_seconds"] - age * 86400)
            path.write_text(json.dumps(record))
        assert store.collect(1, []) == [built[1].path]

    def test_one_that_was_just_replaced_is_spared_for_an_hour(self, store: GenerationStore) -> None:
        built = [build(store, fingerprint_named(letter)) for letter in "abc"]
        for generation, minutes in zip(built, (59, 61, 59)):
            note_use(generation.path)
            (mark,) = Path(store.directory).glob(Path(generation.path).name + ".used-*")
            os.utime(mark, (time.time() - minutes * 60,) * 2)
        assert store.collect(1, []) == [built[1].path]
        store.collect(1, [])
        assert not list(Path(store.directory).glob(Path(built[1].path).name + "*"))

    def test_one_that_another_container_has_made_current_is_spared_for_a_week(self, store: GenerationStore) -> None:
        built = [build(store, fingerprint_named(letter)) for letter in "abc"]
        for generation, days in zip(built, (6, 8)):
            record = Path(generation.path, "protoprimer.json")
            known = json.loads(record.read_text())
            record.write_text(json.dumps({**known, "built_seconds": known["built_seconds"] - 9 * 86400}))
            mark = Path(generation.path + ".used-0123456789ab")
            mark.touch()
            os.utime(mark, (time.time() - days * 86400,) * 2)
        assert store.collect(1, []) == [built[1].path]

    def test_logs_beyond_the_newest_twenty_go(self, store: GenerationStore, state: Path) -> None:
        build(store, fingerprint_named())
        (state / "log").mkdir()
        for number in range(25):
            (state / "log" / f"20260101T0000{number:02}-x.log").touch()
        store.collect(3, [])
        assert len(list((state / "log").iterdir())) == 20
        assert (state / "log" / "20260101T000024-x.log").exists()

    def test_unfinished_files_of_killed_runs_go_after_a_day(self, store: GenerationStore, state: Path) -> None:
        build(store, fingerprint_named())
        left = [Path(temporary_name(str(place))) for place in (state / "ready", Path(store.directory, "x.last.json"))]
        for path in left:
            path.touch()
        store.collect(3, [])
        assert all(path.exists() for path in left)
        for path in left:
            os.utime(path, (1, 1))
        store.collect(3, [])
        assert not any(path.exists() for path in left)

    def test_cache_loses_what_nobody_used_for_long(self, tmp_path: Path) -> None:
        old = [tmp_path / "pins" / "a" / "a.whl", tmp_path / "pyc" / "home" / "clone" / "kernel.pyc"]
        old += [tmp_path / "tools" / "uv-1" / "uv"]
        old += [tmp_path / "tools" / "known" / "x", tmp_path / "shell" / "f" / ".zshrc"]
        new = [tmp_path / "pins" / "b" / "b.whl", tmp_path / "pyc" / "home" / "other" / "kernel.pyc"]
        for path in old + new:
            path.parent.mkdir(parents=True)
            path.touch()
        for path in [old[0].parent, old[1], old[2].parent, old[3], old[4].parent]:
            os.utime(path, (1, 1))
        assert collect_cache(str(tmp_path)) == 5
        assert [path.exists() for path in old + new] == [False] * 5 + [True] * 2
        assert not old[1].parent.exists()


class TestStateDirectory:
    def test_new_one_is_invisible_to_git_and_backups_and_open_to_readers(self, state: Path) -> None:
        old = os.umask(0o022)
        try:
            prepare_state_directory(str(state))
        finally:
            os.umask(old)
        assert (state / ".gitignore").read_text() == "*\n"
        assert (state / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
        if os.name != "nt":
            assert stat.S_IMODE(state.stat().st_mode) == 0o755

    def test_directory_with_somebodys_files_is_refused_and_stays_as_it_is(self, tmp_path: Path) -> None:
        # Such as /etc, where `environment` is the system's.
        for names in (["theirs.txt"], ["environment", "theirs.txt"]):
            for name in names:
                (tmp_path / name).write_text("theirs")
            for act in (prepare_state_directory, lambda path: remember_environment(path, "dev")):
                with pytest.raises(InstallError, match="is not protoprimer's, and not empty"):
                    act(str(tmp_path))
            assert sorted(os.listdir(tmp_path)) == sorted(names)
            assert {(tmp_path / name).read_text() for name in names} == {"theirs"}

    @pytest.mark.parametrize("left", ["ready", "lock-dev", "log", "envs", "CACHEDIR.TAG"])
    def test_directory_that_lost_all_but_one_of_our_files_is_still_ours(self, tmp_path: Path, left: str) -> None:
        (tmp_path / left).mkdir()
        if left != "envs":
            (tmp_path / left).rmdir()
            (tmp_path / left).write_text("x")
        prepare_state_directory(str(tmp_path))
        assert (tmp_path / "envs").is_dir()

    def test_marks_that_a_killed_run_did_not_write_are_written_later(self, state: Path) -> None:
        (state / "envs").mkdir(parents=True)
        (state / "lock").write_text("")
        prepare_state_directory(str(state))
        assert (state / ".gitignore").exists()

    @posix_only
    @pytest.mark.parametrize("where", ["state", "envs"])
    @pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
    def test_planted_link_or_file_is_refused(self, state: Path, tmp_path: Path, where: str, kind: str) -> None:
        place = state if where == "state" else state / "envs"
        place.parent.mkdir(exist_ok=True)
        elsewhere = tmp_path / "elsewhere"
        if kind == "link":
            elsewhere.mkdir()
        if kind == "file":
            place.write_text("mine")
        else:
            place.symlink_to(elsewhere)
        with pytest.raises(InstallError) as raised:
            prepare_state_directory(str(state))
        assert str(place) in str(raised.value)
        assert raised.value.exit_code == 6
        assert not elsewhere.exists() or os.listdir(elsewhere) == []

    def test_another_users_directory_is_refused_in_one_sentence(self, tmp_path: Path) -> None:
        if not support.other_user_works():
            pytest.skip("no second user here")
        state = Path(tempfile.mkdtemp())
        try:
            state.chmod(0o777)
            code = "from protoprimer.store.state_directory import prepare_state_directory\n"
            code += "from protoprimer.errors import PrimerError\n"
            code += f"sys.path.insert(0, {SOURCES!r})\n"
            code += "import os; os.setgid(65534); os.setuid(65534)\n"
            code += "try: prepare_state_directory(sys.argv[1])\nexcept PrimerError as error: print(error); sys.exit(error.exit_code)"
            done = run_code(code, state)
            assert done.returncode == 6, done.stdout
            assert "belongs to another user" in done.stdout
            assert "Traceback" not in done.stdout
        finally:
            shutil.rmtree(state)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
    def test_disk_that_refuses_is_a_clear_error_and_nothing_is_half_visible(self, tmp_path: Path) -> None:
        pytest.importorskip("resource", reason="no limits on files here")
        # A limit on the size of files is what a full disk is to the writer: part of the content, then an error.
        code = """
import json, os, resource, signal
from protoprimer.errors import PrimerError
from protoprimer.store.fingerprint import Fingerprint
from protoprimer.store.generations import GenerationStore
store = GenerationStore(sys.argv[1], "default", Console())
fingerprint = Fingerprint("a" * 16, {})
path = store.begin(fingerprint)
os.makedirs(path + "/bin")
os.symlink(sys.executable, path + "/bin/python")
with open(path + "/pyvenv.cfg", "w") as stream: stream.write("home = /")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    store.publish(path, {"fingerprint": "a" * 16, "parts": {}, "filler": "x" * 1000})
except PrimerError as error:
    print(os.listdir(path)); print(error); sys.exit(error.exit_code)
"""
        done = run_code(code, tmp_path / "state")
        assert done.returncode == 6, done.stdout
        listing, sentence = done.stdout.splitlines()[:2]
        assert "protoprimer.json" not in listing
        assert ".tmp" not in listing
        assert os.strerror(errno.EFBIG) in sentence
        assert "Traceback" not in done.stdout

    @pytest.mark.parametrize("call", ["fsync", "rename", "mkdir", "unlink", "openat"])
    @pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "signal=KILL"])
    def test_build_that_fails_or_is_killed_at_any_call_leaves_nothing_half_visible(
        self, tmp_path: Path, console: Console, call: str, fault: str
    ) -> None:
        if not support.strace_works():
            pytest.skip("no process may be traced here")
        code = """
import json, os
from protoprimer.errors import PrimerError
from protoprimer.store.fingerprint import Fingerprint
from protoprimer.store.generations import GenerationStore
state, donor = sys.argv[1:]
store = GenerationStore(state, "default", Console())
try:
    path = store.begin(Fingerprint("a" * 16, {}))
    os.symlink(os.path.join(donor, "bin"), path + "/bin")
    os.symlink(os.path.join(donor, "pyvenv.cfg"), path + "/pyvenv.cfg")
    store.publish(path, {"fingerprint": "a" * 16, "parts": {}})
except PrimerError as error:
    print(error); sys.exit(error.exit_code)
"""
        donor = tmp_path / "donor"
        donor.mkdir()
        fill(str(donor))
        prelude = f"import sys; sys.path.insert(0, {SOURCES!r})\nfrom protoprimer.system.console import Console\n"
        statuses = []
        for moment in range(1, 7):
            state = tmp_path / f"state-{moment}"
            at = ["-P", str(state), "-P", str(state / "envs")] if call == "openat" else []
            traced = ["strace", "-f", "-o", os.devnull, *at, "-e", f"trace={call}"]
            command = [*traced, "-e", f"inject={call}:{fault}:when={moment}", sys.executable, "-B", "-c"]
            arguments = [prelude + code, str(state), str(donor)]
            done = subprocess.run(
                command + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
            )
            assert done.returncode in ((-9, 137, 0) if "KILL" in fault else (6, 0)), done.stdout
            assert "Traceback" not in done.stdout
            statuses.append(done.returncode)
            store = GenerationStore(str(state), "default", console)
            found = store.find(fingerprint_named())
            assert (found is not None) or done.returncode != 0
            assert found is None or not found.faults()
            again = build(store, fingerprint_named())
            assert store.find(fingerprint_named()) is not None
            store.collect(1, [])
            assert [generation.path for generation in store.all()] == [again.path]
        # Where a start of the computer has a name, what it emptied is looked for: then nobody waits for the disk.
        not_called = call == "fsync" and boot_identifier()
        assert any(statuses) or not_called or (call == "unlink" and "KILL" not in fault), "no fault was met"

    def test_chosen_environment_is_remembered(self, state: Path) -> None:
        assert remembered_environment(str(state)) is None
        remember_environment(str(state), "test_3.12")
        assert remembered_environment(str(state)) == "test_3.12"
        before = (state / "environment").stat().st_mtime_ns
        remember_environment(str(state), "test_3.12")
        assert (state / "environment").stat().st_mtime_ns == before

    @pytest.mark.parametrize("content", [b"", b"../evil\n", b"\xff", b"two\nlines\n", b"x" * 5000])
    def test_damaged_memory_is_no_memory(self, state: Path, content: bytes) -> None:
        state.mkdir()
        (state / "environment").write_bytes(content)
        assert remembered_environment(str(state)) is None


@posix_only
class TestLink:
    @pytest.fixture
    def link(self, tmp_path: Path) -> Path:
        return tmp_path / ".venv"

    def test_it_is_relative_and_moves_on_with_each_generation(
        self, store: GenerationStore, state: Path, link: Path, console: Console, words: io.StringIO
    ) -> None:
        for letter in "ab":
            built = build(store, fingerprint_named(letter))
            point_link(str(link), built.path, str(state), console)
            assert os.readlink(link) == os.path.join(".protoprimer", "envs", os.path.basename(built.path))
        inode = link.lstat().st_ino
        point_link(str(link), built.path, str(state), console)
        assert link.lstat().st_ino == inode
        assert words.getvalue() == ""
        assert sorted(os.listdir(link.parent)) == [".protoprimer", ".venv"]
        assert not any("tmp" in name for name in os.listdir(state))

    @pytest.mark.parametrize("before", ["empty directory", "dangling", "old clone", "missing parent"])
    def test_what_is_ours_or_nobodys_is_replaced(
        self, store: GenerationStore, state: Path, link: Path, console: Console, words: io.StringIO, before: str
    ) -> None:
        built = build(store, fingerprint_named())
        if before == "empty directory":
            link.mkdir()
        elif before == "dangling":
            link.symlink_to(".protoprimer/envs/default-" + "0" * 16)
        elif before == "old clone":
            link.symlink_to(f"/moved/away/.protoprimer/envs/default-{'0' * 16}.2")
        else:
            link = link.parent / "build" / "venv"
        point_link(str(link), built.path, str(state), console)
        assert os.path.samefile(link, built.path)
        assert words.getvalue() == ""

    @pytest.mark.parametrize("theirs", ["directory", "file", "link", "dangling link", "link to another clone"])
    def test_what_is_not_ours_stays_and_one_line_says_so(
        self, store: GenerationStore, state: Path, link: Path, console: Console, words: io.StringIO, theirs: str
    ) -> None:
        built = build(store, fingerprint_named())
        other = link.parent / "other" / "envs" / f"default-{'a' * 16}"
        other.mkdir(parents=True)
        if theirs == "directory":
            link.mkdir()
            (link / "pyvenv.cfg").write_text("home = /usr/bin")
        elif theirs == "file":
            link.write_text("mine")
        else:
            link.symlink_to(other if "clone" in theirs else "/nowhere/x" if "dangling" in theirs else link.parent)
        before = link.lstat()
        point_link(str(link), built.path, str(state), console)
        assert link.lstat() == before
        assert words.getvalue().count("\n") == 1
        for part in (str(link), "left alone", "venv-link"):
            assert part in words.getvalue()

    def test_read_only_checkout_is_silent(self, tmp_path: Path) -> None:
        if not support.mount_namespace_works():
            pytest.skip("no private mounts here")
        code = """
import os, subprocess
from protoprimer.store.generations import point_link
root = sys.argv[1]
subprocess.check_call(["mount", "--bind", root, root])
subprocess.check_call(["mount", "-o", "remount,ro,bind", root])
path = root + "/.protoprimer/envs/default-" + "a" * 16
point_link(root + "/.venv", path, root + "/.protoprimer", Console())
"""
        (tmp_path / ".protoprimer" / "envs").mkdir(parents=True)
        prelude = f"import sys; sys.path.insert(0, {SOURCES!r})\nfrom protoprimer.system.console import Console\n"
        command = ["unshare", "-m", sys.executable, "-c", prelude + code, str(tmp_path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        assert (done.returncode, done.stdout) == (0, "")
        assert os.listdir(tmp_path) == [".protoprimer"]


class StoreMachine(RuleBasedStateMachine):
    """Whatever is built, killed, damaged and collected in whatever order: what is found is whole, and is the newest."""

    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.failed: set[str] = set()
        self.store = GenerationStore(os.path.join(self.root, "state"), "default", Console(stream=io.StringIO()))
        self.model: dict[str, list[str]] = {}
        self.known_content: dict[str, str] = {}

    letters = st.sampled_from("abc")

    @rule(letter=letters)
    def publish(self, letter: str) -> None:
        built = build(self.store, fingerprint_named(letter))
        assert built.path not in self.failed
        self.model.setdefault(letter, []).append(built.path)
        self.known_content[built.path] = Path(built.path, "protoprimer.json").read_text()

    @rule(letter=letters, filled=st.booleans())
    def killed_build(self, letter: str, filled: bool) -> None:
        path = self.store.begin(fingerprint_named(letter))
        assert os.listdir(path) == []
        assert path not in self.failed
        self.failed.add(path)
        if filled:
            fill(path)
        gone = {**this_process(), "start": "1", "boot": "earlier"}
        Path(path + ".building").write_text(json.dumps(gone))

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(path for paths in self.model.values() for path in paths)))
        Path(environment_python(path)).unlink(missing_ok=True)

    @rule(keep=st.integers(1, 3))
    def collect(self, keep: int) -> None:
        order = [generation.path for generation in self.store.all()]
        self.store.collect(keep, [])
        left = order[-keep:]
        self.model = {letter: [path for path in paths if path in left] for letter, paths in self.model.items()}
        self.known_content = {path: text for path, text in self.known_content.items() if path in left}
        if os.path.isdir(self.store.directory):
            there = {name for name in os.listdir(self.store.directory) if not name.endswith((".json", ".building"))}
            assert there == {os.path.basename(path) for path in left}

    @invariant()
    def newest_complete_one_is_found_if_it_can_be_started(self) -> None:
        for letter, paths in self.model.items():
            found = self.store.find(fingerprint_named(letter))
            usable = bool(paths) and os.path.exists(environment_python(paths[-1]))
            assert (found.path if found else None) == (paths[-1] if usable else None)

    @invariant()
    def published_ones_are_never_changed(self) -> None:
        for path, text in self.known_content.items():
            assert Path(path, "protoprimer.json").read_text() == text

    def teardown(self) -> None:
        shutil.rmtree(self.root)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


@pytest.fixture(autouse=True)
def closed_children() -> Iterator[None]:
    yield
    with contextlib.suppress(ChildProcessError, AttributeError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)
