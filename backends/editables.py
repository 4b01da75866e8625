"""Editable projects for Python 3.6, whose build backends can neither read `[project]` nor build editables.

pip could install such a project there in no way, so the kernel writes the editable wheel from what `[project]` says.
Every newer Python has build backends that do this themselves, and they are asked in every environment.
"""

import base64
import hashlib
import json
import os

from protoprimer.backends.installed import installed_distributions
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.project.plan import Plan, ProjectToInstall
from protoprimer.system.files import write_atomically
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protoprimer.system.interpreter import Interpreter

__all__ = [
    "adopt_editable",
    "is_beyond_builds",
    "static_project_table",
    "why_not_buildable",
    "write_editable",
]


def is_beyond_builds(interpreter: "Interpreter") -> bool:
    """Tell whether the newest build backends an interpreter can have neither read `[project]` nor build editables."""
    return tuple(interpreter.version_info[:2]) < (3, 7)


def why_not_buildable(interpreter: "Interpreter", plan: Plan) -> "str | None":
    """Return why a project of the plan cannot be installed for this interpreter, or `None` if it can be tried."""
    for project in plan.projects() if is_beyond_builds(interpreter) else []:
        is_static = static_project_table(project) is not None
        names = os.listdir(project.path)
        others = "setup.py" in names or "setup.cfg" in names or "flit" in " ".join(project.metadata.build_requires)
        # A project that brings its own build backend knows best which Python that runs on.
        others = others or "backend-path" in project.metadata.table("build-system")
        if project.metadata.has_project_table and not others and not (is_static and project.editable):
            what = "that is not editable" if is_static else "whose [project] has dynamic fields"
            return "no build backend for Python 3.6 serves a project %s (%s)" % (what, project.path)
    return None


def static_project_table(project: ProjectToInstall) -> "dict[str, Any] | None":
    """Return `[project]` if it says all there is to the metadata, and no `setup.py` does more; else `None`."""
    table = project.metadata.table("project")
    if os.path.exists(os.path.join(project.path, "setup.py")):
        return None
    return table if "name" in table and "version" in table and not table.get("dynamic") else None


def write_editable(project: ProjectToInstall, directory: str) -> "str | None":
    """Write the wheel of an editable project whose metadata are static, and return its path; `None` if they are not."""
    table = static_project_table(project)
    if table is None:
        return None
    stem = "%s-%s" % (normalized_project_name(table["name"]).replace("-", "_"), table["version"])
    metadata = stem + ".dist-info"
    contents = {
        "__editable__.%s.pth" % stem: ("\n".join(_source_directories(project)) + "\n").encode("utf-8"),
        metadata + "/METADATA": _metadata_text(table).encode("utf-8"),
        metadata + "/WHEEL": b"Wheel-Version: 1.0\nGenerator: protoprimer\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    groups = dict(table.get("entry-points", {}), console_scripts=table.get("scripts", {}))
    groups["gui_scripts"] = table.get("gui-scripts", {})
    points = "".join(
        "[%s]\n%s\n" % (group, "".join("%s = %s\n" % pair for pair in sorted(names.items())))
        for group, names in sorted(groups.items())
        if names
    )
    if points:
        contents[metadata + "/entry_points.txt"] = points.encode("utf-8")
    return _write_wheel(directory, stem, contents)


def _write_wheel(directory: str, stem: str, contents: "dict[str, bytes]") -> str:
    """Write a wheel and return its path."""
    import io
    import zipfile

    record = "".join(name + _hash_for_record(content) for name, content in sorted(contents.items()))
    contents = dict(contents)
    contents[stem + ".dist-info/RECORD"] = (record + stem + ".dist-info/RECORD,,\n").encode("utf-8")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    path = os.path.join(directory, stem + "-py3-none-any.whl")
    write_atomically(path, buffer.getvalue(), durable=False)
    return path


def _hash_for_record(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode("ascii").rstrip("=")
    return ",sha256=%s,%d\n" % (digest, len(content))


def adopt_editable(project: ProjectToInstall, environment: str) -> None:
    """Record of a project installed from such a wheel that it is the editable one of this checkout."""
    name = project.metadata.normal_name
    metadata = installed_distributions(environment).get(name, ("", ""))[1]
    if not os.path.isfile(os.path.join(metadata, "RECORD")):
        return
    name = os.path.basename(metadata) + "/direct_url.json"
    content = json.dumps({"url": file_url(project.path), "dir_info": {"editable": True}}).encode("utf-8")
    write_atomically(os.path.join(metadata, "direct_url.json"), content)
    with open(os.path.join(metadata, "RECORD"), encoding="utf-8") as stream:
        lines = [line for line in stream if not line.startswith(name + ",")] + [name + _hash_for_record(content)]
    write_atomically(os.path.join(metadata, "RECORD"), "".join(lines).encode("utf-8"))


def _metadata_text(table: "dict[str, Any]") -> str:
    lines = ["Metadata-Version: 2.1", "Name: " + table["name"], "Version: " + table["version"]]
    if "requires-python" in table:
        lines.append("Requires-Python: " + table["requires-python"])
    lines += ["Requires-Dist: " + requirement for requirement in table.get("dependencies", [])]
    for extra, requirements in sorted(table.get("optional-dependencies", {}).items()):
        lines.append("Provides-Extra: " + extra)
        for requirement in requirements:
            plain, _, marker = requirement.partition(";")
            condition = "extra == '%s'" % extra
            condition = "(%s) and %s" % (marker.strip(), condition) if marker else condition
            lines.append("Requires-Dist: %s; %s" % (plain.strip(), condition))
    return "\n".join(lines) + "\n"


def _source_directories(project: ProjectToInstall) -> "list[str]":
    tool = project.metadata.table("tool", "setuptools")
    packages = tool.get("packages")
    where = packages.get("find", {}).get("where", []) if isinstance(packages, dict) else []
    where = where or [directory for package, directory in tool.get("package-dir", {}).items() if package == ""]
    where = where or (["src"] if os.path.isdir(os.path.join(project.path, "src")) else ["."])
    return [os.path.normpath(os.path.join(project.path, directory)) for directory in where]
