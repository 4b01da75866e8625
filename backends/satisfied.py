"""Whether what is installed satisfies all requirements."""

import re
from typing import Any

from protoprimer.backends.installed import metadata_values
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.requirements import Requirement, normalized_name, read_requirement
from protoprimer.formats.versions import SpecifierSet
from protoprimer.project.asked import asked_of_plan, names_overridden
from protoprimer.project.plan import Plan

__all__ = ["unsatisfied_requirement"]


def unsatisfied_requirement(
    installed: "dict[str, tuple[str, str]]", plan: Plan, markers: "dict[str, Any]"
) -> "str | None":
    """Return who requires what is not installed as wanted, unless it is overridden."""
    if "no-deps" in plan.settings or any("--no-deps" in step.args for step in plan.steps):
        return None
    free = names_overridden(plan)
    stated = " ".join(plan.settings.get("dependency-metadata", []))
    restated = set(map(normalized_name, re.findall('"name": "([^"]+)"', stated)))

    def required_by(name: str, extra: str = "") -> "list[tuple[str, str, Requirement | None, str]]":
        version, path = installed[name]
        lines = [] if name in restated else metadata_values(path, "Requires-Dist")
        return [("%s %s" % (name, version), line, read_requirement(line), extra) for line in lines]

    # Who requires, what, and under which extra of its own.
    pending = []  # type: list[tuple[str, str, Requirement | None, str]]
    for asked, requirement in asked_of_plan(plan, markers):
        if not asked.is_constraint:
            pending.append((asked.place, asked.text, requirement, ""))
    pending += [edge for name in installed for edge in required_by(name)]
    chosen = {(one.metadata.normal_name, normalized_name(extra)) for one in plan.projects() for extra in one.extras}
    pending += [edge for name, extra in chosen if name in installed for edge in required_by(name, extra)]
    while pending:
        who, line, wanted, of_extra = pending.pop()
        if wanted is None or wanted.normal_name in free:
            continue
        name = wanted.normal_name
        try:
            if wanted.marker and not marker_holds(wanted.marker, dict(markers, extra=of_extra)):
                continue
            if name not in installed:
                return "%s requires `%s`, which is not installed" % (who, line)
            version = installed[name][0]
            if version and not SpecifierSet(wanted.specifier).contains(version, prereleases=True):
                return "%s requires `%s`, but %s %s is installed" % (who, line, name, version)
        except ValueError:
            # Old packages have markers and specifiers that cannot be read.
            continue
        for extra in set(map(normalized_name, wanted.extras)):
            if (name, extra) not in chosen:
                chosen.add((name, extra))
                pending += required_by(name, extra)
    return None
