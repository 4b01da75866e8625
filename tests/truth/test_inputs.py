"""Whatever of a repository changes, the next `./prime` makes what a fresh clone gets, and `./prime check` says so before.

More of this, at random and composed: `python tests/stress truth --rounds 500`.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from samples import sample
from stress.truth import run_rounds
from truth.oracle import Place, Ready, faults_after, go_back, made_ready
from truth.projects import PROJECTS, Project

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

pytestmark = [pytest.mark.index, pytest.mark.skipif(os.name != "posix", reason="the place is laid out for POSIX")]

# One change for each kind of input; the others need `--thorough`.
SAMPLE = {
    ("setup.py that reads requirements in a loop", "another line in a file that is read"),
    ("hatch-vcs", "another tag"),
    ("setuptools finds packages", "another package"),
    ("requirements that name others", "another constraint"),
    ("pylock.toml", "another pin"),
    ("uv.lock of a workspace", "another requirement of a member"),
    ("a wheel that is watched", "the wheel is built anew"),
    ("a project that is copied", "its source"),
    ("a Python version of its own", "another version"),
    ("cache-keys", "the file that is named"),
    ("a root uv.toml appears", "with a constraint"),
    ("hatchling finds the package", "the package moves into src"),
    ("setup.py that reads a variable", "another variable"),
    ("C extension", "another header"),
    ("hatchling leads to a directory", "another source there"),
    ("an unknown build backend", "the file that it reads"),
}
SEEDS = sample([0], range(1, 6))

# Clones that are ready and in which everything was true so far, by project: one serves for several changes.
READY: dict[str, Ready] = {}


def _cases() -> list[ParameterSet]:
    found = []
    for project in PROJECTS:
        for name in project.mutations:
            marks = []
            if project.needs_compiler:
                marks.append(pytest.mark.skipif(shutil.which("gcc") is None, reason="this host has no C compiler"))
            if (project.name, name) not in SAMPLE:
                marks.append(pytest.mark.thorough)
            found.append(pytest.param(project, name, id=f"{project.name} - {name}", marks=marks))
    assert {(project.name, name) for project in PROJECTS for name in project.mutations} >= SAMPLE
    return found


@pytest.mark.parametrize(("project", "mutation"), _cases())
def test_a_change_gives_what_a_fresh_clone_gets(place: Place, project: Project, mutation: str) -> None:
    ready = READY.pop(project.name, None) or made_ready(place, project, project.backend)
    assert ready.answer.status == 0, ready.answer.said
    found = faults_after(place, ready, [mutation])
    if not found:
        found = go_back(place, ready)
    if found:
        place.drop(ready.clone)
    else:
        READY[project.name] = ready
    assert found == []


@pytest.mark.parametrize("seed", SEEDS)
def test_changes_at_random_give_what_a_fresh_clone_gets(place: Place, seed: int) -> None:
    assert run_rounds(place, seed, 1) == []
