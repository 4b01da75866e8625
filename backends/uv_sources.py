"""What `[tool.uv.sources]` says of dependencies that no index has, told to pip."""

import os

from protoprimer.formats.requirements import normalized_project_name, read_requirement
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import InstallStep, ProjectToInstall
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["sources_of_step"]


def sources_of_step(step: InstallStep, root: str) -> "tuple[list[ProjectToInstall], list[str]]":
    """Return the projects of this repository, and the requirement lines, that the step's projects have as sources.

    Workspace members and paths are followed to their own sources; an index as a source is none: pip asks all alike.
    """
    found, lines = [], []  # type: list[ProjectToInstall], list[str]
    pending = list(step.members)
    known = {member.path for member in pending}
    while pending:
        member = pending.pop()
        sources = {normalized_project_name(name): source for name, source in member.metadata.uv_sources.items()}
        for name in sorted(_names_required(member, step.lines) & set(sources)):
            source = sources[name][0] if isinstance(sources[name], list) else sources[name]
            path = _directory_of_source(name, source, member.path, root)
            metadata = read_project(path) if path and path not in known and os.path.isdir(path) else None
            if path and metadata is not None and metadata.is_package:
                known.add(path)
                editable = source.get("editable", bool(source.get("workspace")))
                found.append(ProjectToInstall(path, editable, [], [], metadata))
                pending.append(found[-1])
            elif path is None:
                lines += _line_of_source(name, source)
            elif os.path.isfile(path):
                lines.append("%s @ %s" % (name, file_url(path)))
    return found, lines


def _names_required(member: ProjectToInstall, lines: "list[str]") -> "set[str]":
    extras = {normalized_project_name(name): found for name, found in member.metadata.extras.items()}
    required = lines + member.metadata.dependencies
    for extra in member.extras:
        required = required + extras.get(normalized_project_name(extra), [])
    asked = [read_requirement(line) for line in required]
    return {normalized_project_name(one.name) for one in asked if one is not None and one.url is None}


def _directory_of_source(name: str, source: "dict[str, Any]", base: str, root: str) -> "str | None":
    """Return the directory a source is in, empty if it is nowhere, `None` if it is not in a directory."""
    if "path" in source:
        return os.path.normpath(os.path.join(base, source["path"]))
    if not source.get("workspace"):
        return None
    import glob

    metadata = read_project(root)
    members = metadata.table("tool", "uv", "workspace").get("members", []) if metadata else []
    places = [place for member in members for place in sorted(glob.glob(os.path.join(glob.escape(root), member)))]
    for place in (place for place in places if os.path.isfile(os.path.join(place, "pyproject.toml"))):
        member = read_project(place)
        if member is not None and normalized_project_name(member.name or "") == name:
            return os.path.normpath(place)
    return ""


def _line_of_source(name: str, source: "dict[str, Any]") -> "list[str]":
    subdirectory = "#subdirectory=" + source["subdirectory"] if source.get("subdirectory") else ""
    if "git" in source:
        reference = source.get("rev") or source.get("tag") or source.get("branch")
        return ["%s @ git+%s%s%s" % (name, source["git"], "@" + reference if reference else "", subdirectory)]
    return ["%s @ %s%s" % (name, source["url"], subdirectory)] if "url" in source else []
