"""Editable wheels for Python 3.6, written by the kernel: no build backend there reads `[project]` or builds these."""

import os
import re
from typing import Any

from protoprimer.backends.installed import installed_distributions
from protoprimer.formats.requirements import normalized_name
from protoprimer.project.plan import Plan, ProjectToInstall
from protoprimer.system.files import has_file, path_at, text_of, write_atomically, write_json
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import file_url

__all__ = ["adopt_editable", "is_beyond_builds", "static_project_table", "why_not_buildable", "write_editable"]

_WHEEL = "Wheel-Version: 1.0\nGenerator: protoprimer\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def is_beyond_builds(interpreter: Interpreter) -> bool:
    """Tell whether no build backend of this interpreter can do that."""
    return interpreter.version_info < (3, 7)


def why_not_buildable(interpreter: Interpreter, plan: Plan) -> "str | None":
    """Return why a project of the plan cannot be installed."""
    for project in plan.projects() if is_beyond_builds(interpreter) else []:
        metadata, is_static = project.metadata, static_project_table(project) is not None
        # A project knows best which Python its own build backend runs on.
        is_told = re.search("'backend-path'|flit", str(metadata.table("build-system")))
        has_other_way = is_told or metadata.has_setup_py or has_file(project.path, "setup.cfg")
        if metadata.has_project_table and not has_other_way and not (is_static and project.editable):
            what = "that is not editable" if is_static else "whose [project] has dynamic fields"
            return "no build backend for Python 3.6 serves a project %s (%s)" % (what, project.path)
    return None


def static_project_table(project: ProjectToInstall) -> "dict[str, Any] | None":
    """Return `[project]` if it says all there is to the metadata."""
    table = project.metadata.table("project")
    has_more = table.get("dynamic") or project.metadata.has_setup_py
    return table if "name" in table and "version" in table and not has_more else None


def write_editable(project: ProjectToInstall, directory: str) -> "str | None":
    """Write a wheel if the project's metadata are static; return its path."""
    table = static_project_table(project)
    if table is None:
        return None
    stem = "%s-%s" % (normalized_name(table["name"]).replace("-", "_"), table["version"])
    groups = dict(table.get("entry-points", {}), console_scripts=table.get("scripts", {}))
    groups["gui_scripts"] = table.get("gui-scripts", {})
    texts = ["\n".join(["[%s]" % group] + ["%s = %s" % pair for pair in groups[group].items()]) for group in groups]
    # pip fills the RECORD itself.
    members = {"METADATA": _metadata_text(table), "WHEEL": _WHEEL, "entry_points.txt": "\n".join(texts), "RECORD": ""}
    contents = {"%s.dist-info/%s" % (stem, name): text for name, text in members.items()}
    contents["__editable__.%s.pth" % stem] = "".join(line + "\n" for line in _source_directories(project))
    path = os.path.join(directory, stem + "-py3-none-any.whl")
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name, text in contents.items():
            archive.writestr(zipfile.ZipInfo(name), text.encode("utf-8"))
    return path


def adopt_editable(project: ProjectToInstall, environment: str) -> None:
    """Record that such a wheel is the editable project."""
    name = project.metadata.normal_name
    metadata = installed_distributions(environment).get(name, ("", ""))[1]
    if not has_file(metadata, "RECORD"):
        return
    origin = {"url": file_url(project.path), "dir_info": {"editable": True}}
    write_json(os.path.join(metadata, "direct_url.json"), origin)
    path, name = os.path.join(metadata, "RECORD"), os.path.basename(metadata) + "/direct_url.json,"
    rows = [row for row in text_of(path).splitlines() if not row.startswith(name)] + [name + ","]
    write_atomically(path, "".join(row + "\n" for row in rows).encode("utf-8"))


def _metadata_text(table: "dict[str, Any]") -> str:
    lines = ["Metadata-Version: 2.1", "Name: " + table["name"], "Version: " + table["version"]]
    lines += ["Requires-Dist: " + requirement for requirement in table.get("dependencies", [])]
    for extra, requirements in table.get("optional-dependencies", {}).items():
        lines.append("Provides-Extra: " + extra)
        for requirement in requirements:
            plain, _, marker = requirement.partition(";")
            condition = "(%s) and " % marker if marker else ""
            lines.append("Requires-Dist: %s; %sextra == '%s'" % (plain, condition, extra))
    return "\n".join(lines) + "\n"


def _source_directories(project: ProjectToInstall) -> "list[str]":
    tool = project.metadata.table("tool", "setuptools")
    packages = tool.get("packages")
    where = packages.get("find", {}).get("where", []) if isinstance(packages, dict) else []
    where = where or list(filter(None, [tool.get("package-dir", {}).get("")]))
    where = where or ["src" if os.path.isdir(os.path.join(project.path, "src")) else "."]
    return [path_at(project.path, directory) for directory in where]
