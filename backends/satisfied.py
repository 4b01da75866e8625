"""Whether what is installed satisfies what the repository, and what is installed, require."""

import os
import re

from protoprimer.backends.installed import installed_distributions
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.requirements import normalized_project_name, read_requirement
from protoprimer.formats.versions import InvalidSpecifier, InvalidVersion, SpecifierSet
from protoprimer.project.asked import asked_of_plan
from protoprimer.project.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["unsatisfied_requirement"]


def unsatisfied_requirement(
    environment: str, plan: Plan, markers: "dict[str, Any]", settings: "dict[str, list[str]]"
) -> "str | None":
    """Return who requires what that is not installed, or not in a fitting version; `None` if all is satisfied.

    :param settings: of `IndexSettings.facts`: what is overridden on purpose is left out
    """
    if "no-deps" in settings or any("--no-deps" in step.args for step in plan.steps):
        return None
    told = settings.get("override-dependencies", []) + settings.get("exclude-dependencies", [])
    free = {asked.normal_name for asked in map(read_requirement, told) if asked}
    restated = re.findall("'name': '([^']+)'", " ".join(settings.get("dependency-metadata", [])))
    installed = installed_distributions(environment)
    required = {name: _requirements_of(path) for name, (_version, path) in installed.items()}
    # Who requires, what, and under which extra of its own.
    edges = [(line.place, line.text, "") for line, _ in asked_of_plan(plan, markers) if not line.is_constraint]
    pending, done = [(name, "") for name in installed], set()  # type: list[tuple[str, str]], set[tuple[str, str]]
    while edges or pending:
        while pending:
            name, extra = pending.pop()
            if (name, extra) not in done and name not in map(normalized_project_name, restated):
                done.add((name, extra))
                edges += [("%s %s" % (name, installed[name][0]), line, extra) for line in required[name]]
        who, line, extra = edges.pop() if edges else ("", "", "")
        wanted = read_requirement(line)
        if wanted is None or not _holds(wanted.marker, dict(markers, extra=extra)):
            continue
        name = wanted.normal_name
        if name in free:
            continue
        if name not in installed:
            return "%s requires `%s`, which is not installed" % (who, line)
        if not _admits(wanted.specifier, installed[name][0]):
            return "%s requires `%s`, but %s %s is installed" % (who, line, name, installed[name][0])
        pending = [(name, normalized_project_name(one)) for one in wanted.extras]
    return None


def _requirements_of(path: str) -> "list[str]":
    try:
        with open(os.path.join(path, "METADATA"), encoding="utf-8", errors="replace") as stream:
            header = stream.read().split("\n\n")[0]
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in header.splitlines() if line.lower().startswith("requires-dist:")]


def _holds(marker: "str | None", environment: "dict[str, Any]") -> bool:
    try:
        return not marker or marker_holds(marker, environment)
    except ValueError:
        return False


def _admits(specifier: str, version: str) -> bool:
    try:
        return not version or SpecifierSet(specifier).contains(version)
    except (InvalidSpecifier, InvalidVersion):
        # Old packages have such; installers have let it pass.
        return True
