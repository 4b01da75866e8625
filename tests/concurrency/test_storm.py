"""Everything at once in one clone, and clones that share a cold cache: the quick part of `python tests/stress storm`."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import filelock
import pytest

import clones
from stress.storm import excess_builds, prepare, run_storm
from stress.worlds import SAID, World, make_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="the world is laid out for POSIX")


@pytest.fixture
def new_world(tmp_path: Path, shared_directory: Path) -> Iterator[Callable[..., World]]:
    """Return a function that makes a world with warm caches, whose processes end with the test."""
    made: list[World] = []

    def make(name: str = "world", scenario: str = "first") -> World:
        made.append(make_world(tmp_path / name, "uv", scenario, shared_directory / "caches of storms"))
        return made[-1]

    yield make
    for world in made:
        world.clone.end()


@posix
def test_all_commands_at_once_from_nothing_and_over_a_ready_environment(new_world: Callable[..., World]) -> None:
    world = prepare(new_world())
    for count in (16, 12):
        report = run_storm(world, count, seed=count)
        assert report.wrong == []
        assert excess_builds(report) == []
        assert report.clients >= 3


@posix
def test_two_clones_fill_one_cold_cache_at_once(new_world: Callable[..., World], tmp_path: Path) -> None:
    worlds = [new_world(name) for name in ("one", "other")]
    cold = tmp_path / "cold"
    variables = {"PROTOPRIMER_CACHE": str(cold / "protoprimer"), "UV_CACHE_DIR": str(cold / "uv")}
    started = [world.clone.start("./app", environ=variables) for world in worlds for _ in range(3)]
    assert [clones.finished(process).output for process in started] == [SAID] * 6
    assert [world.clone.builds() for world in worlds] == [1, 1]
    assert list(cold.glob("protoprimer/**/*.tmp")) == []


@posix
def test_a_holder_of_filelock_is_waited_for_and_named(new_world: Callable[..., World]) -> None:
    """The same file, the same lock: what else a repository guards with filelock excludes a build."""
    clone = new_world().clone
    clone.state.mkdir()
    with filelock.FileLock(clone.state / "lock"):
        done = clone.prime(status=7, environ={"PROTOPRIMER_LOCK_TIMEOUT": "0.3"})
        assert f"pid {os.getpid()}" in done.errors
        assert clone.builds() == 0
        waiting = [clone.start("./app") for _ in range(3)]
        # All of them have said for whom they wait before the lock is given back.
        for process in waiting:
            assert process.stderr is not None
            assert f"waiting for pid {os.getpid()} on ".encode() in process.stderr.readline()
    assert [clones.finished(process).output for process in waiting] == [SAID] * 3
    assert clone.builds() == 1


@posix
def test_a_stopped_builder_is_named_and_waited_for_until_it_goes_on(new_world: Callable[..., World]) -> None:
    clone = new_world().clone
    first = clone.start("./prime")
    while first.poll() is None and not list(clone.state.glob("envs/*.building")):
        pass
    os.kill(first.pid, signal.SIGSTOP)
    holder = json.loads((clone.state / "lock").read_bytes()[1:])
    assert holder["pid"] == first.pid
    done = clone.run("./app", status=7, environ={"PROTOPRIMER_LOCK_TIMEOUT": "0.3"})
    assert f"pid {first.pid}" in done.errors
    assert "where: .protoprimer/lock" in done.errors
    os.kill(first.pid, signal.SIGCONT)
    assert clones.finished(first).status == 0
    assert clone.run("./app").output == SAID
    assert clone.builds() == 1
