"""The gates, as tests; `python tests/gates` runs the same by hand."""

from __future__ import annotations

import importlib
import sys

import pytest

from gates.__main__ import NAMES

pytestmark = pytest.mark.skipif(sys.version_info < (3, 10), reason="the tools' newest versions want Python 3.10")


@pytest.mark.parametrize("gate", NAMES)
def test_gate_finds_nothing(gate: str) -> None:
    assert importlib.import_module(f"gates.check_{gate}").problems() == []
