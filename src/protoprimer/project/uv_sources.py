"""What `[tool.uv.sources]` says of requirements, by uv's rules, for what does not read it."""

import glob
import os

from protoprimer.errors import ConfigurationError
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.requirements import Requirement, normalized_project_name, read_requirement
from protoprimer.project.metadata import ProjectMetadata, read_project
from protoprimer.project.plan import InstallStep, ProjectToInstall, requirements_of_member
from protoprimer.settings.index_sources import with_credentials
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Sources", "sources_of_step"]


class Sources:
    """Where requirements are taken from instead of the indexes.

    :ivar projects: projects of this repository
    :ivar lines: requirement lines with the URL of each
    :ivar indexes: requirement lines, each with the only index it may come from
    """

    def __init__(self) -> None:
        self.projects = []  # type: list[ProjectToInstall]
        self.lines = []  # type: list[str]
        self.indexes = []  # type: list[tuple[str, str]]


def sources_of_step(step: InstallStep, root: str, markers: "dict[str, Any]", of_lines_only: bool = False) -> Sources:
    """Return the sources of all that a step's projects require, and of what those sources require in their turn.

    :param markers: the values of the marker variables
    :param of_lines_only: only of the step's lines: uv knows the sources of projects, but not whose lines these are
    :raises ConfigurationError: a source leads nowhere (exit 3)
    """
    found, known = Sources(), {member.path for member in step.members}
    pending = [(one, step.lines + ([] if of_lines_only else requirements_of_member(one))) for one in step.members]
    while pending:
        member, lines = pending.pop()
        for project in _add_sources(found, member, lines, root, markers):
            if project.path not in known:
                known.add(project.path)
                found.projects.append(project)
                pending.append((project, [] if of_lines_only else requirements_of_member(project)))
    return found


def _add_sources(
    found: Sources, member: ProjectToInstall, lines: "list[str]", root: str, markers: "dict[str, Any]"
) -> "list[ProjectToInstall]":
    """Add the sources of lines that are files and URLs; return those that are projects."""
    workspace, projects, sources = read_project(root), [], {}  # type: Any, list[ProjectToInstall], dict[str, Any]
    members = _workspace_members(workspace)
    for owner in [workspace] * (member.path in members.values()) + [member.metadata]:
        sources.update({normalized_project_name(key): (key, value, owner) for key, value in owner.uv_sources.items()})
    for asked in filter(None, map(read_requirement, lines if sources else [])):
        name = normalized_project_name(asked.name)
        if name not in sources or asked.url or (asked.marker and not marker_holds(asked.marker, markers)):
            continue
        key, source, owner = sources[name]
        source = _source_that_holds(source, member, markers)
        if "index" in source:
            url = _url_of_index(source["index"], [owner, workspace or owner], key)
            found.indexes.append((_name_with_extras(asked) + asked.specifier, url))
        elif "path" in source or source.get("workspace"):
            path = os.path.join(owner.directory, source["path"]) if "path" in source else members.get(name, "")
            if os.path.isfile(path):
                found.lines.append("%s @ %s" % (_name_with_extras(asked), file_url(os.path.normpath(path))))
                continue
            metadata = read_project(os.path.normpath(path)) if os.path.isdir(path) else None
            if metadata is None or not metadata.is_package:
                cause = "the source of %s is %s, which is no project to install" % (key, path or "no workspace member")
                raise ConfigurationError(cause, owner.place("tool", "uv", "sources", key), "correct the source")
            editable = bool(source.get("editable", source.get("workspace", False)))
            projects.append(ProjectToInstall(metadata.directory, editable, asked.extras, [], metadata))
        elif source:
            found.lines.append("%s @ %s" % (_name_with_extras(asked), _url_of_source(source)))
    return projects


def _source_that_holds(source: "Any", member: ProjectToInstall, markers: "dict[str, Any]") -> "dict[str, Any]":
    """Return the source whose marker, extra and group hold here; empty if there is none."""
    chosen = {"extra": set(map(normalized_project_name, member.extras))}
    chosen["group"] = set(map(normalized_project_name, member.groups))
    for one in source if isinstance(source, list) else [source]:
        choices = [normalized_project_name(one[key]) in chosen[key] for key in chosen if key in one]
        if all(choices) and ("marker" not in one or marker_holds(one["marker"], markers)):
            return dict(one)
    return {}


def _name_with_extras(asked: Requirement) -> str:
    return asked.name + ("[%s]" % ",".join(asked.extras) if asked.extras else "")


def _workspace_members(workspace: "ProjectMetadata | None") -> "dict[str, str]":
    """Return the directories of the members of a workspace by their names, the root's among them."""
    table = workspace.table("tool", "uv", "workspace") if workspace else {}
    if workspace is None or not table:
        return {}
    base, found = glob.escape(workspace.directory), {}
    paths = {key: [one for item in table.get(key, []) for one in glob.glob(os.path.join(base, item))]
             for key in ("members", "exclude")}  # fmt: skip
    for path in [workspace.directory] + sorted(set(paths["members"]) - set(paths["exclude"])):
        member = read_project(path) if os.path.isfile(os.path.join(path, "pyproject.toml")) else None
        if member is not None and member.name:
            found[normalized_project_name(member.name)] = os.path.normpath(path)
    return found


def _url_of_source(source: "dict[str, Any]") -> str:
    subdirectory = "#subdirectory=" + source["subdirectory"] if source.get("subdirectory") else ""
    if "git" not in source:
        return str(source["url"]) + subdirectory
    reference = source.get("rev") or source.get("tag") or source.get("branch")
    return "git+%s%s%s" % (source["git"], "@" + reference if reference else "", subdirectory)


def _url_of_index(wanted: str, projects: "list[ProjectMetadata]", key: str) -> str:
    for index in [index for project in projects for index in project.table("tool", "uv").get("index", [])]:
        if index.get("name") == wanted:
            return with_credentials(index["url"], wanted, dict(os.environ))
    place = projects[0].place("tool", "uv", "sources", key)
    raise ConfigurationError("there is no index %s" % wanted, place, "add it as [[tool.uv.index]]")
