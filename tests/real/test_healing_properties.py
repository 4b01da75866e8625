"""Disturbances composed at random are healed; more of them by `python tests/stress healing --sequences N`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from samples import sample
from stress.healing import run_sequence
from stress.worlds import make_world

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(os.name != "posix", reason="the world is laid out for POSIX")
@pytest.mark.parametrize("seed", sample([0, 1], range(2, 6)))
def test_whatever_happens_to_a_clone_it_is_healed_and_nothing_of_the_users_is_lost(
    tmp_path: Path, shared_directory: Path, seed: int
) -> None:
    # Its caches are disturbed too, so they are nobody else's.
    world = make_world(
        tmp_path / "world",
        "uv",
        ("next", "linked")[seed % 2],
        shared_directory / f"caches of healing {os.environ.get('PYTEST_XDIST_WORKER')}",
    )
    assert run_sequence(world, seed, rounds=3) == []
