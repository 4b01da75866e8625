"""Whichever backend works, a project gets the same: distributions, versions, editable or not."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from truth.oracle import Place, booted
from truth.projects import PROJECTS, Project

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

pytestmark = [pytest.mark.index, pytest.mark.skipif(os.name != "posix", reason="the place is laid out for POSIX")]


# One of each kind; the others need `--thorough`.
SAMPLE = {
    *("setuptools", "hatch-vcs", "extras", "requirements that name others", "pylock.toml", "uv.lock of a workspace"),
    "hashed requirements and an editable project in one step",
}


def _cases() -> list[ParameterSet]:
    found = []
    for project in PROJECTS:
        marks = []
        if project.needs_compiler:
            marks.append(pytest.mark.skipif(shutil.which("gcc") is None, reason="this host has no C compiler"))
        if project.name not in SAMPLE:
            marks.append(pytest.mark.thorough)
        found.append(pytest.param(project, id=project.name, marks=marks))
    assert {project.name for project in PROJECTS} >= SAMPLE
    return found


@pytest.mark.parametrize("project", _cases())
def test_each_backend_installs_what_is_expected(place: Place, project: Project, request: pytest.FixtureRequest) -> None:
    answers = {}
    for backend in project.backends:
        if backend == "virtualenv" and not request.config.getoption("--thorough"):
            # It installs by pip, as venv does.
            continue
        clone = place.clone(project)
        answers[backend] = booted(clone, project, backend)
        place.drop(clone)
        assert answers[backend].status == 0, f"{backend}: {answers[backend].said}"
    assert {backend: answer.names() for backend, answer in answers.items()} == dict.fromkeys(answers, project.installed)
    first, *others = answers.values()
    for answer in others:
        assert answer == first
    assert "Error" not in first.probe
