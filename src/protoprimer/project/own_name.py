"""A requirement that says no more than `protoprimer`: the public index has a project of that name by others."""

from protoprimer.errors import ConfigurationError
from protoprimer.formats.requirements import normalized_project_name, read_requirement
from protoprimer.project.plan import Plan, requirements_of_member
from protoprimer.project.requirement_files import requirement_lines
from protoprimer.settings.index_settings import IndexSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["refuse_bare_name"]

_OWN_NAME = "protoprimer"


def refuse_bare_name(plan: Plan, settings: IndexSettings) -> None:
    """Refuse our name without a place where nothing but the public index would answer to it.

    :raises ConfigurationError: exit code 3, with the requirement's place
    """
    has_place = settings.index_url or settings.extra_index_urls or settings.find_links or settings.no_index
    if has_place:
        return
    members = plan.all_metadata()
    known = [name for one in members for name in [one.name or ""] + list(one.uv_sources)]
    if _OWN_NAME in map(normalized_project_name, known):
        return
    for line, place in _requirements(plan):
        asked = read_requirement(line)
        if asked is not None and normalized_project_name(asked.name) == _OWN_NAME and asked.url is None:
            cause = "%r names no place: on the public index, that name is another project's" % line.strip()
            extras = "[%s]" % ",".join(asked.extras) if asked.extras else ""
            advice = "say where ours is: %s%s @ file:///… or git+https://…, or [tool.uv.sources]" % (_OWN_NAME, extras)
            raise ConfigurationError(cause, place, advice)


def _requirements(plan: Plan) -> "Iterator[tuple[str, str]]":
    for step in plan.steps:
        for member in step.members:
            for line in requirements_of_member(member) + step.lines:
                yield line, member.metadata.pyproject
        for path in step.requirements:
            for number, line in requirement_lines(path):
                yield line, "%s:%d" % (path, number)
        for line in step.args:
            yield line, "install.args"
