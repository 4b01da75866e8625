"""What a plan asks for, and where `[tool.uv.sources]` takes it from, for installers that do not read that."""

import os
from typing import Any, Iterator, NamedTuple

from protoprimer.errors import ConfigurationError
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.requirements import Requirement, normalized_name, read_requirement
from protoprimer.formats.toml import TomlTable
from protoprimer.project.metadata import ProjectMetadata, read_project
from protoprimer.project.plan import InstallStep, Plan, ProjectToInstall, lines_of_groups, requirements_of_member
from protoprimer.project.requirement_files import RequirementLine
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.settings.index_sources import with_credentials
from protoprimer.system.files import path_at
from protoprimer.system.paths import file_url

__all__ = ["Sources", "asked_of_plan", "index_options", "names_overridden", "refuse_bare_name", "sources_of_step"]

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
        sources = sources_of_step(step, plan, markers)
        step = step._replace(members=step.members + sources.projects, lines=step.lines + sources.lines)
        lines = step.lines_of_projects(plan.root) + ([] if projects_only else step.lines_of_files(plan.root))
        for one in sources.projects:
            lines.append(RequirementLine("%s @ %s" % (one.metadata.name, file_url(one.path)), one.metadata.pyproject))
        asked += [(line, wanted) for line in lines for wanted in [line.requirement(plan.root)] if wanted]
    return asked


def refuse_bare_name(plan: Plan, settings: IndexSettings) -> None:
    """Refuse our name without a place: an index may be a mirror of the public one."""
    names = [name for one in plan.all_metadata() for name in [one.normal_name] + list(one.uv_sources)]
    if settings.no_index or _OWN_NAME in map(normalized_name, names):
        return
    for step in plan.steps:
        for line in step.lines_of_projects(plan.root) + step.lines_of_files(plan.root):
            asked = line.requirement(plan.root)
            if asked is not None and asked.normal_name == _OWN_NAME and asked.url is None:
                cause = "%r names no place: on the public index, that name is another project's" % line.text
                advice = "say where ours is: %s @ file:///... or git+https://..., or [tool.uv.sources]"
                raise ConfigurationError(cause, line.place, advice % asked.name_with_extras)


def names_overridden(plan: Plan) -> "set[str]":
    """Return whose requirements uv's settings set aside."""
    lines = plan.settings.get("override-dependencies", []) + plan.settings.get("exclude-dependencies", [])
    return {asked.normal_name for asked in map(read_requirement, lines) if asked}


def index_options(plan: Plan, markers: TomlTable) -> "list[str]":
    """Return what files, arguments and sources say of where pins come from, as lines of a requirement file."""
    found = []  # type: list[str]
    for step in plan.steps:
        for line in step.lines_of_files(plan.root):
            if not line.target:
                found += _options_for_pins(line, plan.root)
    for step in plan.steps:
        for _, url in sources_of_step(step, plan, markers).indexes:
            found.append("--extra-index-url " + url)
    return list(dict.fromkeys(found))


def _options_for_pins(line: RequirementLine, root: str) -> "list[str]":
    found = []  # type: list[str]
    for name, value in line.parts.options:
        if name == "--no-index":
            found.append(name)
        elif name in ("--index-url", "--extra-index-url"):
            # A pin has a hash: whichever index has it will do.
            found.append("--extra-index-url " + value)
        elif name == "--find-links":
            found.append("--find-links " + _place_of_links(value, line, root))
        elif name in ("--trusted-host", "--no-binary", "--only-binary"):
            found.append(name + " " + value)
    return found


def _place_of_links(value: str, line: RequirementLine, root: str) -> str:
    if "://" in value or value.startswith("file:"):
        return value
    base = line.path if os.path.isdir(line.path) else os.path.dirname(line.path)
    # As pip does it: beside the file that names it, else from where pip is started.
    beside = path_at(base, value)
    return file_url(beside if os.path.exists(beside) else path_at(root, value))


class Sources(NamedTuple):
    """Where requirements come from instead of the indexes, or from which index alone."""

    projects: "list[ProjectToInstall]"
    lines: "list[str]"
    indexes: "list[tuple[str, str]]"


def sources_of_step(step: InstallStep, plan: Plan, markers: TomlTable, of_lines_only: bool = False) -> Sources:
    """Return the sources of all that a step's projects require, directly or not.

    :param of_lines_only: uv knows the sources of packages, but not whose the step's lines are
    """
    lines, indexes, projects = [], [], list(step.members)  # type: list[str], list[tuple[str, str]], list[ProjectToInstall]
    members = {one.normal_name: one for one in plan.workspace()}
    root = plan.workspace()[:1]
    # It grows while it is read.
    for member in projects:
        is_in_workspace = member.path in [one.directory for one in plan.workspace()]
        owners = root * is_in_workspace + [member.metadata]
        required = [line for line in lines_of_groups(member) if line in step.lines]
        required += [] if of_lines_only and member.metadata.is_package else requirements_of_member(member)
        for asked, key, owner in _with_sources(required, owners, markers):
            source = _source_that_holds(owner.uv_sources[key], member, markers)
            what = asked.name_with_extras
            path = path_at(owner.directory, source.get("path", ""))
            if "index" in source:
                indexes.append((what + asked.specifier, _url_of_index(source["index"], [owner, *root], key)))
            elif "git" in source or "url" in source or os.path.isfile(path):
                lines.append("%s @ %s" % (what, _url_of_source(source, path)))
            elif source:
                metadata = read_project(path) if "path" in source else members.get(asked.normal_name)
                if metadata is None or not metadata.is_package:
                    shown = path if "path" in source else "no member of the workspace"
                    cause = "the source of %s is no project to install: %s" % (key, shown)
                    raise owner.error(cause, ("tool", "uv", "sources", key), "correct the source")
                if metadata.directory not in [one.path for one in projects]:
                    editable = bool(source.get("editable", source.get("workspace", False)))
                    projects.append(ProjectToInstall(metadata.directory, editable, asked.extras, [], metadata))
    return Sources(projects[len(step.members) :], list(dict.fromkeys(lines)), list(dict.fromkeys(indexes)))


def _with_sources(
    lines: "list[str]", owners: "list[ProjectMetadata]", markers: TomlTable
) -> "Iterator[tuple[Requirement, str, ProjectMetadata]]":
    """Yield each requirement that has a source, with its key and the last project that has it."""
    sources = {normalized_name(key): (key, owner) for owner in owners for key in owner.uv_sources}
    for asked in filter(None, map(read_requirement, lines if sources else [])):
        is_sought = asked.normal_name in sources and not asked.url
        if is_sought and (not asked.marker or marker_holds(asked.marker, markers)):
            yield (asked,) + sources[asked.normal_name]


def _source_that_holds(source: Any, member: ProjectToInstall, markers: TomlTable) -> TomlTable:
    chosen = {"extra": set(map(normalized_name, member.extras))}
    chosen["group"] = set(map(normalized_name, member.groups))
    for one in source if isinstance(source, list) else [source]:
        choices = [normalized_name(one[key]) in chosen[key] for key in chosen if key in one]
        if all(choices) and ("marker" not in one or marker_holds(one["marker"], markers)):
            return dict(one)
    return {}


def _url_of_source(source: TomlTable, path: str) -> str:
    subdirectory = "#subdirectory=" + source["subdirectory"] if source.get("subdirectory") else ""
    if "git" not in source:
        return str(source.get("url") or file_url(path)) + subdirectory
    reference = source.get("rev") or source.get("tag") or source.get("branch")
    return "git+%s%s%s" % (source["git"], "@" + reference if reference else "", subdirectory)


def _url_of_index(wanted: str, projects: "list[ProjectMetadata]", key: str) -> str:
    for index in [index for project in projects for index in project.table("tool", "uv").get("index", [])]:
        if index.get("name") == wanted:
            return with_credentials(index["url"], wanted, dict(os.environ))
    cause, keys = "there is no index %s" % wanted, ("tool", "uv", "sources", key)
    raise projects[0].error(cause, keys, "add it as [[tool.uv.index]]")
