"""A short run of `python tests/stress fuzz`: no bytes that somebody else wrote end in a traceback."""

from __future__ import annotations

import sys

import pytest

from stress.fuzz import TARGETS, run_random


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_inputs_are_understood_or_refused(name: str) -> None:
    if name == "toml" and sys.version_info < (3, 11):
        pytest.skip("this Python has no tomllib to compare with")
    assert run_random(name, count=300) == 300
