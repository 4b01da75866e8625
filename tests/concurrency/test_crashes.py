"""A sample of what `python tests/stress crashes` tries in full: a boot ended anywhere is healed by the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import support
from stress.crashes import FAULTS, Injector, run_campaign
from stress.worlds import make_world

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not support.strace_works(), reason="strace is missing, or may not trace here")


@pytest.mark.parametrize(("scenario", "sample"), [("first", 8), ("next", 8), ("back", 4), ("kept", 8), ("linked", 8)])
def test_a_boot_disturbed_at_any_change_of_the_disk_is_healed_by_the_next_one(
    tmp_path: Path, shared_directory: Path, scenario: str, sample: int
) -> None:
    campaign = run_campaign(tmp_path, "uv", scenario, FAULTS, sample, caches=shared_directory / "caches of crashes")
    assert [outcome for outcome in campaign.outcomes if outcome.wrong] == []
    assert [outcome for outcome in campaign.outcomes if outcome.litter] == []
    assert len(campaign.points) > 20
    assert sum(outcome.was_hit for outcome in campaign.outcomes) > sample // 2


def test_a_disk_that_fills_while_our_own_files_of_an_environment_are_written_is_one_message(
    tmp_path: Path, shared_directory: Path
) -> None:
    """The pip engine's part of the kernel writes some of an environment's files itself."""
    world = make_world(tmp_path / "world", "venv", "first", shared_directory / "caches of crashes")
    injector = Injector(world)
    points = [point for point in injector.clean_points() if point.call == "rename" and "/site-packages/" in point.what]
    assert points
    outcome = injector.try_point(points[0], "ENOSPC")
    assert outcome.was_hit
    assert outcome.wrong == ()
