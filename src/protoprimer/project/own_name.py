"""A requirement that says no more than `protoprimer`: the public index has a project of that name by others."""

from protoprimer.errors import ConfigurationError
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.project.plan import Plan
from protoprimer.settings.index_settings import IndexSettings

__all__ = ["refuse_bare_name"]

_OWN_NAME = "protoprimer"


def refuse_bare_name(plan: Plan, settings: IndexSettings) -> None:
    """Refuse our name without a place where nothing but the public index would answer to it.

    :raises ConfigurationError: exit code 3, with the requirement's place
    """
    if settings.index_url or settings.extra_index_urls or settings.find_links or settings.no_index:
        return
    known = [name for one in plan.all_metadata() for name in [one.name or ""] + list(one.uv_sources)]
    if _OWN_NAME in map(normalized_project_name, known):
        return
    for step in plan.steps:
        for line in step.lines_of_projects(plan.root) + step.lines_of_files(plan.root):
            asked = line.requirement()
            if asked is not None and normalized_project_name(asked.name) == _OWN_NAME and asked.url is None:
                cause = "%r names no place: on the public index, that name is another project's" % line.text
                extras = "[%s]" % ",".join(asked.extras) if asked.extras else ""
                advice = "say where ours is: %s%s @ file:///… or git+https://…, or [tool.uv.sources]"
                raise ConfigurationError(cause, line.place, advice % (_OWN_NAME, extras))
