"""What of many rows runs by default; the rest needs `--thorough`. How a sample is chosen: docs/developers/development.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _pytest.mark.structures import ParameterSet

# Where each backend has to give the same. There are two installers: uv, and pip for virtualenv and venv.
EACH_INSTALLER = ["uv", pytest.param("virtualenv", marks=pytest.mark.thorough), "venv"]
# uv is faster. pip is taken where it is what has to be told: where a setting is uv's own.
WITH_UV = ["uv", pytest.param("venv", marks=pytest.mark.thorough)]
WITH_PIP = [pytest.param("uv", marks=pytest.mark.thorough), "venv"]


def in_turn(rows: Mapping[str, object], columns: Mapping[str, object]) -> list[ParameterSet]:
    """Return each row with each column, by their names; by default a row is run with one column, each in its turn."""
    found = []
    for number, (name, row) in enumerate(rows.items()):
        for place, (title, column) in enumerate(columns.items()):
            is_its_turn = number % len(columns) == place
            marks = () if is_its_turn else pytest.mark.thorough
            found.append(pytest.param(row, column, id=f"{name}-{title}", marks=marks))
    return found
