"""A sample of what `python tests/stress crashes` tries in full: a boot ended anywhere is healed by the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import support
from stress.crashes import FAULTS, run_campaign

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not support.strace_works(), reason="strace is missing, or may not trace here")


@pytest.mark.parametrize(("scenario", "sample"), [("first", 6), ("next", 6), ("back", 3)])
def test_a_boot_disturbed_at_any_change_of_the_disk_is_healed_by_the_next_one(
    tmp_path: Path, shared_directory: Path, scenario: str, sample: int
) -> None:
    campaign = run_campaign(tmp_path, "uv", scenario, FAULTS, sample, caches=shared_directory / "caches of crashes")
    assert [outcome for outcome in campaign.outcomes if outcome.wrong] == []
    assert [outcome for outcome in campaign.outcomes if outcome.litter] == []
    assert len(campaign.points) > 20
    assert sum(outcome.was_hit for outcome in campaign.outcomes) > sample // 2
