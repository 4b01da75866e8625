"""Lines of dependency groups, and of projects that are no packages, with what `[tool.uv.sources]` says of them."""

import os

from protoprimer.formats.requirements import normalized_project_name, read_requirement
from protoprimer.project.metadata import ProjectMetadata
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["with_sources"]


def with_sources(metadata: ProjectMetadata, lines: "list[str]") -> "list[str]":
    """Return the lines as direct references where a source is a path, git or a URL: no installer would look it up."""
    sources = {normalized_project_name(name): source for name, source in metadata.uv_sources.items()}
    return [_with_source(line, sources, metadata.directory) for line in lines] if sources else lines


def _with_source(line: str, sources: "dict[str, Any]", directory: str) -> str:
    asked = read_requirement(line)
    source = sources.get(normalized_project_name(asked.name)) if asked is not None and asked.url is None else None
    url = _url_of(source, directory) if isinstance(source, dict) and not source.get("editable") else None
    if asked is None or url is None:
        return line
    extras = "[%s]" % ",".join(asked.extras) if asked.extras else ""
    return "%s%s @ %s%s" % (asked.name, extras, url, " ; " + asked.marker.strip() if asked.marker else "")


def _url_of(source: "dict[str, Any]", directory: str) -> "str | None":
    if "path" in source:
        return file_url(os.path.normpath(os.path.join(directory, str(source["path"]))))
    subdirectory = "#subdirectory=%s" % source["subdirectory"] if source.get("subdirectory") else ""
    if "git" in source:
        reference = source.get("rev") or source.get("tag") or source.get("branch")
        return "git+%s%s%s" % (source["git"], "@%s" % reference if reference else "", subdirectory)
    return "%s%s" % (source["url"], subdirectory) if "url" in source else None
