"""Many boots of one clone at once: one builds, all succeed, and different environments are built side by side."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones

if TYPE_CHECKING:
    from collections.abc import Callable

    NewClone = Callable[..., clones.Clone]

needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="without FIFOs nobody waits in sh")

SETTINGS = 'backend = "venv"\ninstall = [{ projects = ["piece"] }]\n'


@pytest.fixture
def clone(new_clone: NewClone, kernel: str) -> clones.Clone:
    """Return a clone with one project to install, whose build tells of itself."""
    clone = new_clone().project("piece", "piece").write({"protoprimer.toml": SETTINGS})
    clone.write({"client.py": clones.REPORTING_CLIENT + "\nimport piece\n"})
    return clone.entry("prime", None, "boot").entry("app", "client:main", "run")


def ends_of(clone: clones.Clone, commands: list[list[str]]) -> list[clones.Done]:
    processes = [clone.start(*command) for command in commands]
    return [clones.finished(process) for process in processes]


def test_eight_at_once_from_nothing_are_one_build_and_eight_successes(clone: clones.Clone) -> None:
    ends = ends_of(clone, [["./app", str(number)] for number in range(8)])
    assert [done.status for done in ends] == [0] * 8
    reports = [done.json() for done in ends]
    assert {report["prefix"] for report in reports} == {str(clone.generations()[0])}
    assert [report["argv"] for report in reports] == [[str(number).encode().hex()] for number in range(8)]
    assert {report["modules"]["piece"] for report in reports} == {str(clone.root / "piece" / "piece.py")}
    assert clone.builds() == 1
    assert len(clone.generations()) == 1
    assert sum("created an environment" in done.errors for done in ends) == 1
    assert not re.search("Traceback|warning|error", "".join(done.errors for done in ends))
    assert clone.prime() == clones.Done(0, "", "")
    assert [path.name for path in clone.state.glob("envs/*") if path.name.endswith(".building")] == []


def test_eight_at_once_after_a_change_are_one_build(clone: clones.Clone) -> None:
    clone.prime()
    clone.write({"protoprimer.toml": SETTINGS + "# changed\n"})
    ends = ends_of(clone, [["./app"]] * 8)
    assert {done.json()["prefix"] for done in ends} == {str(clone.generations()[1])}
    assert clone.builds() == 2


def test_eight_at_once_with_times_changed_only_build_nothing(clone: clones.Clone) -> None:
    clone.prime()
    for _round in range(2):
        os.utime(clone.root / "protoprimer.toml", (1, 1))
        ends = ends_of(clone, [["./app"]] * 8)
        assert {(done.status, done.errors) for done in ends} == {(0, "")}
    assert clone.builds() == 1
    assert clone.prime() == clones.Done(0, "", "")


def test_different_environments_of_a_clone_are_built_side_by_side(clone: clones.Clone) -> None:
    """The build of `a` ends only when that of `b` has, which `b` begins later: one lock for both would never end."""
    for name, wait_for in (("a", "b"), ("b", "a")):
        clone.project("piece-" + name, name)
        builder = clone.root / name / "builder.py"
        wait = f"import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('../{wait_for}/begun'): time.sleep(0.01)\n"
        builder.write_text(wait + builder.read_text())
    environments = [f'[env.{name}]\ninstall = [{{ projects = ["{name}"] }}]\n' for name in "ab"]
    clone.write({"protoprimer.toml": SETTINGS + "".join(environments)})
    ends = ends_of(clone, [["./prime", "--env", name, "run", "--", "true"] for name in "ab"])
    assert [done.status for done in ends] == [0, 0]
    assert sorted(path.name.partition("-")[0] for path in clone.generations()) == ["a", "b"]
    assert clone.builds() == 2


def test_one_that_is_killed_hands_over_to_those_that_wait(clone: clones.Clone) -> None:
    first = clone.start("./prime")
    while first.poll() is None and not list(clone.state.glob("envs/*.building")):
        pass
    waiting = [clone.start("./app") for _ in range(4)]
    first.kill()
    ends = [clones.finished(process) for process in waiting]
    assert [done.status for done in ends] == [0] * 4
    assert len({done.json()["prefix"] for done in ends}) == 1
    assert len(clone.generations()) == 1
    assert clone.builds() == 2


def test_reboots_at_once_leave_one_whole_environment_in_use(clone: clones.Clone) -> None:
    clone.prime()
    ends = ends_of(clone, [["./prime", "reboot"]] * 3 + [["./app"]] * 3)
    assert [done.status for done in ends] == [0] * 6
    assert clone.prime() == clones.Done(0, "", "")
    assert clone.report("./app")["prefix"] == os.path.realpath(clone.root / ".venv")


def test_the_one_who_waits_gives_up_after_its_own_patience(clone: clones.Clone) -> None:
    slow = "import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    (clone.root / "piece" / "builder.py").write_text(slow + clones.BUILD_BACKEND)
    first = clone.start("./prime")
    while first.poll() is None and not (clone.root / "piece" / "begun").exists():
        pass
    done = clone.run("./app", status=7, environ={"PROTOPRIMER_LOCK_TIMEOUT": "0.2"})
    assert str(first.pid) in done.errors
    assert "lock-timeout" in done.errors or "LOCK_TIMEOUT" in done.errors
    assert "Traceback" not in done.errors
    (clone.root / "piece" / "go").touch()
    assert clones.finished(first).status == 0
    assert clone.builds() == 1


def waiting_place(clone: clones.Clone, name: str) -> tuple[Path, Path]:
    """Return where others wait in sh for the first to start this script: the FIFO, and who claims to be first."""
    place = f"{clone.environ['PROTOPRIMER_CACHE']}/waits{clone.root}/{name}"
    return Path(place + ".fifo"), Path(place + ".claim")


@needs_fifo
def test_a_first_start_leaves_a_place_to_wait_in_sh(clone: clones.Clone) -> None:
    clone.prime()
    fifo, claim = waiting_place(clone, "prime")
    assert stat.S_IMODE(fifo.lstat().st_mode) == 0o600
    assert stat.S_IMODE(Path(clone.environ["PROTOPRIMER_CACHE"], "waits").lstat().st_mode) == 0o700
    for _ in range(2):
        # Whoever was killed has left it.
        claim.touch()
        shutil.rmtree(clone.state)
        assert clone.report("./app")["prefix"] == str(clone.generations()[0])
        clone.prime()
        shutil.rmtree(clone.state)
        clone.prime()
        assert not claim.exists()


@needs_fifo
@pytest.mark.parametrize("danger", ["writable for all", "a link"])
def test_no_place_to_wait_is_left_where_others_can_write(clone: clones.Clone, tmp_path: Path, danger: str) -> None:
    clone.environ["PROTOPRIMER_CACHE"] = str(tmp_path / "cache of its own")
    waits = tmp_path / "cache of its own" / "waits"
    waits.parent.mkdir()
    if danger == "a link":
        (tmp_path / "elsewhere").mkdir()
        waits.symlink_to(tmp_path / "elsewhere")
    else:
        waits.mkdir()
        waits.chmod(0o777)
    clone.prime()
    assert list(waits.iterdir()) == []


@needs_fifo
def test_the_first_lets_the_others_go_before_it_starts_a_child(clone: clones.Clone) -> None:
    """They get as far as the lock, which says for whom they wait."""
    clone.run("./app")
    shutil.rmtree(clone.state)
    slow = "import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    # Else its wheel is remembered, and nothing is built.
    clone.project("piece", "piece", more='description = "built slowly"')
    (clone.root / "piece" / "builder.py").write_text(slow + clones.BUILD_BACKEND)
    fifo, claim = waiting_place(clone, "app")
    assert fifo.exists()
    first = clone.start("./app")
    while first.poll() is None and not (clone.root / "piece" / "begun").exists():
        pass
    assert not claim.exists()
    second = clone.start("./app")
    assert second.stderr is not None
    assert f"waiting for pid {first.pid}" in second.stderr.readline().decode()
    (clone.root / "piece" / "go").touch()
    assert [clones.finished(one).status for one in (first, second)] == [0, 0]
    assert clone.builds() == 1
    assert not claim.exists()


@needs_fifo
def test_twenty_at_once_where_an_earlier_run_left_a_place_to_wait(clone: clones.Clone) -> None:
    clone.run("./app")
    shutil.rmtree(clone.state)
    ends = ends_of(clone, [["./app", str(number)] for number in range(20)])
    assert [done.status for done in ends] == [0] * 20
    assert [done.json()["argv"] for done in ends] == [[str(number).encode().hex()] for number in range(20)]
    assert {name for done in ends for name in done.json()["environ"] if name.startswith("PROTOPRIMER_")} == set()
    assert clone.builds() == 1
    assert not waiting_place(clone, "app")[1].exists()
