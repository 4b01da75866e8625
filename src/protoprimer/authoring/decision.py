"""What `init` suggests to decide: tests that `./prime` would leave without the program that runs them."""

import json
import os
import re

from protoprimer.formats.requirements import normalized_name, read_requirement
from protoprimer.project.metadata import ProjectMetadata, expand_group
from protoprimer.project.plan import Plan, lines_of_groups, requirements_of_member
from protoprimer.project.requirement_files import lines_of_file
from protoprimer.system.files import names_in

__all__ = ["requirement_files", "what_brings_tests"]

_TEST_RUNNERS = ("behave", "green", "nose2", "pytest", "robotframework", "testtools", "ward")
_DIRECTORIES_OF_FILES = ("requirements", "requirement", "tests", "test")


def requirement_files(root: str) -> "list[str]":
    """Return requirement files, relative to the root."""
    found = [name for name in names_in(root) if re.match(r"(?!.*constraint).*requirements.*\.txt\Z", name)]
    for directory in _DIRECTORIES_OF_FILES:
        for name in names_in(os.path.join(root, directory)):
            is_named_so = directory.startswith("requirement") or "requirements" in name
            if is_named_so and name.endswith(".txt") and "constraint" not in name:
                found.append(directory + "/" + name)
    return found


def what_brings_tests(project: "ProjectMetadata | None", plan: Plan) -> "tuple[str, str] | None":
    """Return what to add so that tests can run, and the line that adds it; nothing where no such thing is needed."""
    if _names_runner(_lines_of_plan(plan)):
        return None
    groups = []  # type: list[str]
    here = [member for member in plan.members() if member.metadata.directory == plan.root]
    for member in here:
        groups += member.groups
    if project is not None:
        for group in sorted(project.groups):
            if _names_runner(expand_group(project, group)):
                return "the group " + group, "install = { groups = %s }" % json.dumps([*groups, group])
        for extra, lines in sorted(project.extras.items()):
            if _names_runner(lines):
                return "the extra " + extra, "install = { groups = %s, extras = %s }" % (
                    json.dumps(groups),
                    json.dumps([extra]),
                )
    for file in requirement_files(plan.root):
        lines = [line.text for line in lines_of_file(os.path.join(plan.root, *file.split("/")), plan.root)]
        if _names_runner(lines):
            return file, _line_with_file(plan, file, bool(here), groups)
    return None


def _line_with_file(plan: Plan, file: str, has_project: bool, groups: "list[str]") -> str:
    parts = []
    if has_project:
        parts.append('projects = ["."]')
    if groups:
        parts.append("groups = " + json.dumps(groups))
    used = [os.path.relpath(path, plan.root).replace(os.sep, "/") for step in plan.steps for path in step.requirements]
    parts.append("requirements = " + json.dumps([*used, file]))
    return "install = { %s }" % ", ".join(parts)


def _lines_of_plan(plan: Plan) -> "list[str]":
    found = []  # type: list[str]
    for member in plan.members():
        found += lines_of_groups(member)
        found += requirements_of_member(member)
    for step in plan.steps:
        found += [line.text for line in step.lines_of_files(plan.root)]
    return found


def _names_runner(lines: "list[str]") -> bool:
    for line in lines:
        asked = read_requirement(line)
        if asked is None:
            continue
        name = normalized_name(asked.name)
        if name in _TEST_RUNNERS or name.startswith("pytest-"):
            return True
    return False
