"""Many boots of one clone at once: one builds, all succeed, and different environments are built side by side."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

import clones

if TYPE_CHECKING:
    from collections.abc import Callable

    NewClone = Callable[..., clones.Clone]


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
