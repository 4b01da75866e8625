"""What the tests of locked-down hosts are built from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hosts.bench import Bench, new_bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(shared_directory: Path) -> Iterator[Bench]:
    """Return what hosts are built from."""
    with new_bench(shared_directory) as made:
        yield made
