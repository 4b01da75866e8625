"""What of the tests here runs by default: with one backend where each has to give the same; the rest needs `--thorough`."""

from __future__ import annotations

import pytest

# uv is faster. pip is taken where it is what has to be told: where a setting is uv's own.
WITH_UV = ["uv", pytest.param("venv", marks=pytest.mark.thorough)]
WITH_PIP = [pytest.param("uv", marks=pytest.mark.thorough), "venv"]
