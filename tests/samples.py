"""What of many rows runs by default; the rest needs `--thorough`. How a sample is chosen: docs/developers/development.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _pytest.mark.structures import ParameterSet


def sample(always: Iterable[object], thorough: Iterable[object]) -> list[object]:
    """Return values of which some are run always and the others with `--thorough`."""
    return [*always, *(pytest.param(value, marks=pytest.mark.thorough) for value in thorough)]


# Where each backend has to give the same. There are two installers: uv, and pip for virtualenv and venv.
EACH_INSTALLER = sample(["uv", "venv"], ["virtualenv"])
# uv is faster. pip is taken where it is what has to be told: where a setting is uv's own.
WITH_UV = sample(["uv"], ["venv"])
WITH_PIP = sample(["venv"], ["uv"])


def in_turn(rows: Mapping[str, object], columns: Mapping[str, object]) -> list[ParameterSet]:
    """Return each row with each column, by their names; by default a row is run with one column, each in its turn."""
    assert len(rows) >= len(columns), "a column would never have its turn"
    found = []
    for number, (name, row) in enumerate(rows.items()):
        for place, (title, column) in enumerate(columns.items()):
            is_its_turn = number % len(columns) == place
            marks = () if is_its_turn else pytest.mark.thorough
            found.append(pytest.param(row, column, id=f"{name}-{title}", marks=marks))
    return found
