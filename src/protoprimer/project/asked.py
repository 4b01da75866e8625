"""What a plan asks for: each requirement as written, and where it stands."""

from protoprimer.errors import ConfigurationError
from protoprimer.formats.requirements import Requirement, normalized_project_name
from protoprimer.formats.toml import TomlTable
from protoprimer.project.plan import Plan, requirements_of_member
from protoprimer.project.requirement_files import RequirementLine
from protoprimer.project.uv_sources import sources_of_step
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.paths import file_url

__all__ = ["asked_of_plan", "refuse_bare_name"]

# The public index has a project of that name by others.
_OWN_NAME = "protoprimer"


def asked_of_plan(
    plan: Plan, markers: TomlTable, projects_only: bool = False
) -> "list[tuple[RequirementLine, Requirement]]":
    """Return all that a plan asks for.

    :param projects_only: without files and arguments, which `uv.lock` does not know
    """
    asked = []
    for step in plan.steps:
        sources = sources_of_step(step, plan.root, markers)
        lines = step.lines_of_projects(plan.root, sources.lines)
        for project in sources.projects:
            texts = requirements_of_member(project) + ["%s @ %s" % (project.metadata.name, file_url(project.path))]
            lines += [RequirementLine(text, project.metadata.pyproject) for text in texts]
        lines += [] if projects_only else step.lines_of_files(plan.root)
        asked += [(line, line.requirement(plan.root)) for line in lines]
    return [(line, requirement) for line, requirement in asked if requirement is not None]


def refuse_bare_name(plan: Plan, settings: IndexSettings) -> None:
    """Refuse our name without a place where only the public index would answer to it: exit code 3."""
    if settings.index_url or settings.extra_index_urls or settings.find_links or settings.no_index:
        return
    known = [normalized_project_name(name) for one in plan.all_metadata() for name in one.uv_sources]
    known += [one.normal_name for one in plan.all_metadata()]
    for step in plan.steps if _OWN_NAME not in known else []:
        for line in step.lines_of_projects(plan.root) + step.lines_of_files(plan.root):
            asked = line.requirement(plan.root)
            if asked is not None and asked.normal_name == _OWN_NAME and asked.url is None:
                cause = "%r names no place: on the public index, that name is another project's" % line.text
                advice = "say where ours is: %s @ file:///… or git+https://…, or [tool.uv.sources]"
                raise ConfigurationError(cause, line.place, advice % asked.name_with_extras)
