"""What a plan asks for: each requirement as written, and where it stands."""

import os
import re

from protoprimer.formats.requirements import Requirement, read_requirement
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import Plan, requirements_of_member
from protoprimer.project.requirement_files import NESTED_FILE, local_path, requirement_lines
from protoprimer.project.uv_sources import sources_of_step
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Asked", "asked_of_plan"]

# Options of pip and uv whose value is the next word.
_OPTION_WITH_VALUE = re.compile(
    "-[rceifCtpP]|--(requirements?|.*constraints?|editable|.*index(-url|-strategy)?|find-links|.*-binary|.*-package|group"
    "|extra|overrides?|excludes?|target|prefix|root|src|.*python-version|.*platform|implementation|abi|config-settings?"
    "|global-option|.*-strategy|.*-action|progress-bar|report|keyring-provider|proxy|retries|timeout|.*-host|.*cert|log"
    "|.*-dir|use-feature|use-deprecated|uploaded-prior-to|exclude-newer|link-mode|resolution|prerelease|torch-backend)"
)


class Asked:
    """A requirement.

    :param line: as written
    :param place: file, or `file:line`
    :param requirement: what the line says
    :param is_constraint: whether it only restricts what others ask for
    """

    def __init__(self, line: str, place: str, requirement: Requirement, is_constraint: bool = False) -> None:
        self.line = line
        self.place = place
        self.requirement = requirement
        self.is_constraint = is_constraint


def asked_of_plan(plan: Plan, markers: "dict[str, Any]", projects_only: bool = False) -> "list[Asked]":
    """Return what the plan's projects, requirement files, constraints and arguments ask for, sources of uv with them.

    :param projects_only: leave out what `uv.lock` does not know: files and arguments
    """
    found = []  # type: list[tuple[str, str, bool]]
    for step in plan.steps:
        sources = sources_of_step(step, plan.root, markers)
        for member in step.members + sources.projects:
            found += [(line, member.metadata.pyproject, False) for line in requirements_of_member(member)]
        place = step.members[0].metadata.pyproject if step.members else plan.root
        found += [(line, place, False) for line in step.lines + sources.lines]
        for project in sources.projects:
            found.append(("%s @ %s" % (project.metadata.name, file_url(project.path)), place, False))
        for paths, is_constraint in () if projects_only else ((step.requirements, False), (step.constraints, True)):
            for path in paths:
                found += _lines_of_file(path, is_constraint)
        if not projects_only:
            found += _lines_of_arguments(step.args, plan.root)
    asked = []
    for line, place, is_constraint in found:
        base = plan.root if os.path.isdir(place) else os.path.dirname(place)
        requirement = _requirement_in(line, {plan.root, base})
        if requirement is not None:
            asked.append(Asked(line, place, requirement, is_constraint))
    return asked


def _lines_of_file(path: str, is_constraint: bool) -> "list[tuple[str, str, bool]]":
    found = []
    for number, line in requirement_lines(path):
        nested = NESTED_FILE.match(line)
        if nested:
            target = nested.group(2).strip("\"' ")
            target = os.path.join(os.path.dirname(path), local_path(target))
            if os.path.isfile(target):
                found += _lines_of_file(
                    os.path.normpath(target), is_constraint or nested.group(1).startswith(("-c", "--c"))
                )
        else:
            found.append((line, "%s:%d" % (path, number), is_constraint))
    return found


def _lines_of_arguments(words: "list[str]", root: str) -> "list[tuple[str, str, bool]]":
    found, option = [], ""
    for word in words:
        nested = NESTED_FILE.match((option + " " + word).strip())
        if nested and (option or word.startswith("-")):
            path = os.path.join(root, nested.group(2))
            found += _lines_of_file(path, nested.group(1).startswith(("-c", "--c"))) if os.path.isfile(path) else []
        elif not word.startswith("-") and option in ("", "-e", "--editable"):
            found.append((word, root, False))
        option = word if _OPTION_WITH_VALUE.fullmatch(word) else ""
    return found


def _requirement_in(line: str, bases: "set[str]") -> "Requirement | None":
    """Return what a line of any form asks for; of a path or a URL the name it has; `None` if that cannot be known."""
    text = re.sub(r"^(-e|--editable)[=\s]*|\s--.*", "", line).strip()
    text = re.sub(r"^([\"'])(.*)\1$", r"\2", text)
    path, _, extras = re.sub(r"\s*;.*", "", local_path(text)).partition("[")
    for place in [os.path.normpath(os.path.join(base, path)) for base in bases]:
        if re.search(r"[/\\]|^\.+$|\.(whl|zip|gz)$", path) and " @ " not in text and os.path.exists(place):
            metadata = read_project(place) if os.path.isdir(place) else None
            name = metadata.name if metadata else re.split(r"-\d", os.path.basename(place))[0]
            return read_requirement("%s[%s @ %s" % (name, extras or "]", file_url(place))) if name else None
    return None if re.search(r"[/\\]", path) and " @ " not in text else read_requirement(text)
