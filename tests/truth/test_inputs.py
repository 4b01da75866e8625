"""Whatever of a repository changes, the next `./prime` makes what a fresh clone gets, and `./prime check` says so before.

More of this, at random and composed: `python tests/stress truth --rounds 500`.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from stress.truth import run_rounds
from truth.known_faults import KNOWN_FAULTS, RANDOM
from truth.oracle import Place, Ready, faults_after, go_back, made_ready
from truth.projects import PROJECTS, Project

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

pytestmark = [pytest.mark.index, pytest.mark.skipif(os.name != "posix", reason="the place is laid out for POSIX")]

# Clones that are ready and in which everything was true so far, by project: one serves for several changes.
READY: dict[str, Ready] = {}


def _cases() -> list[ParameterSet]:
    found = []
    for project in PROJECTS:
        for name in project.mutations:
            marks = []
            if (project.name, name) in KNOWN_FAULTS:
                marks.append(pytest.mark.xfail(strict=True, reason=KNOWN_FAULTS[project.name, name]))
            if project.needs_compiler:
                marks.append(pytest.mark.skipif(shutil.which("gcc") is None, reason="this host has no C compiler"))
            found.append(pytest.param(project, name, id=f"{project.name} - {name}", marks=marks))
    return found


@pytest.mark.parametrize(("project", "mutation"), _cases())
def test_a_change_gives_what_a_fresh_clone_gets(place: Place, project: Project, mutation: str) -> None:
    ready = READY.pop(project.name, None) or made_ready(place, project, project.backend)
    assert ready.answer.status == 0, ready.answer.said
    found = faults_after(place, ready, [mutation])
    if not found:
        found = go_back(place, ready)
    if found or (project.name, RANDOM) in KNOWN_FAULTS:
        place.drop(ready.clone)
    else:
        READY[project.name] = ready
    assert found == []


@pytest.mark.parametrize("seed", range(6))
def test_changes_at_random_give_what_a_fresh_clone_gets(place: Place, seed: int) -> None:
    assert run_rounds(place, seed, 1) == []
