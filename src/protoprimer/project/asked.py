"""What a plan asks for: each requirement as written, and where it stands."""

import os
import re
from typing import Any, Optional

from protoprimer.formats.requirements import Requirement, read_requirement
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import Plan, requirements_of_member
from protoprimer.project.requirement_files import RequirementLine
from protoprimer.project.uv_sources import sources_of_step
from protoprimer.system.paths import file_url

__all__ = ["asked_of_plan"]


def asked_of_plan(
    plan: Plan, markers: "dict[str, Any]", projects_only: bool = False
) -> "list[tuple[RequirementLine, Requirement]]":
    """Return what the plan's projects, requirement files, constraints and arguments ask for, sources of uv with them.

    :param projects_only: leave out what `uv.lock` does not know: files and arguments
    """
    asked = []
    for step in plan.steps:
        sources = sources_of_step(step, plan.root, markers)
        lines = step.lines_of_projects(plan.root, sources.lines)
        for project in sources.projects:
            texts = requirements_of_member(project) + ["%s @ %s" % (project.metadata.name, file_url(project.path))]
            lines += [RequirementLine(text, project.metadata.pyproject) for text in texts]
        lines += [] if projects_only else step.lines_of_files(plan.root)
        asked += [(line, _requirement_in(line, plan.root)) for line in lines]
    return [(line, requirement) for line, requirement in asked if requirement is not None]


def _requirement_in(line: RequirementLine, root: str) -> "Optional[Requirement]":
    """Return what a line of any form asks for; of a path, the name it has; `None` if that cannot be known."""
    asked = line.requirement()
    for path in line.local_paths(root) if asked is None or asked.url is None else []:
        metadata = read_project(path) if os.path.isdir(path) else None
        name = metadata.name if metadata else re.split(r"-\d", os.path.basename(path))[0]
        extras = "".join(re.findall(r"\[.*\]", line.target))
        return read_requirement("%s%s @ %s" % (name, extras, file_url(path))) if name else None
    return asked
