"""What is installed in an environment, told from its files without starting its interpreter."""

import csv
import json
import os

from protoprimer.formats.requirements import normalized_project_name
from protoprimer.project.plan import Plan, ProjectToInstall
from protoprimer.system.files import is_within, names_in
from protoprimer.system.paths import path_of_file_url

__all__ = [
    "fault_of_installed",
    "installed_distributions",
    "metadata_directories",
    "rows_of_record",
    "site_packages_directories",
]


def site_packages_directories(environment: str) -> "list[str]":
    """Return the directories that an environment's packages are in, each once."""
    libraries = [os.path.join(environment, name) for name in ("lib", "Lib", "lib64")]
    nested = [os.path.join(library, name) for library in libraries for name in names_in(library)]
    # PyPy before 3.8 has it at the top.
    found = {}  # type: dict[str, str]
    for directory in (os.path.join(one, "site-packages") for one in libraries + nested + [environment]):
        if os.path.isdir(directory):
            # lib64 may be a link to lib, and Lib the same as lib.
            found.setdefault(os.path.normcase(os.path.realpath(directory)), directory)
    return list(found.values())


def metadata_directories(environment: str) -> "dict[str, str]":
    """Return the names of the `.dist-info` directories of an environment, each with the directory it is in."""
    found = {}  # type: dict[str, str]
    for packages in site_packages_directories(environment):
        for name in names_in(packages):
            if name.endswith(".dist-info"):
                found.setdefault(name, packages)
    return found


def rows_of_record(path: str) -> "list[list[str]]":
    """Return the rows of a RECORD (path, hash, size), none if it cannot be read."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return [row for row in csv.reader(stream) if row]
    except (OSError, ValueError, csv.Error):
        return []


def installed_distributions(environment: str) -> "dict[str, tuple[str, str]]":
    """Return what is installed, found without starting the interpreter: normal name to version and metadata's path."""
    found = {}  # type: dict[str, tuple[str, str]]
    places = site_packages_directories(environment)
    for path in [os.path.join(place, entry) for place in places for entry in names_in(place)]:
        stem, extension = os.path.splitext(os.path.basename(path))
        if extension == ".dist-info" or (extension == ".egg-info" and "-" in stem):
            name, _, version = stem.partition("-")
            found[normalized_project_name(name)] = (version.split("-py")[0], path)
        elif extension == ".egg-link":
            found[normalized_project_name(stem)] = ("", path)
    return found


def fault_of_installed(environment: str, plan: Plan) -> "tuple[str, str] | None":
    """Return the first project that is not installed as the plan asks, editable from this checkout, and why not.

    An installer's exit status 0 proves neither, nor does a matching version.
    """
    distributions = installed_distributions(environment)
    for project in plan.projects():
        fault = _fault_of_project(project, distributions)
        if fault is not None:
            return project.path, fault
    return None


def _fault_of_project(project: ProjectToInstall, distributions: "dict[str, tuple[str, str]]") -> "str | None":
    if project.metadata.name:
        candidates = {normalized_project_name(project.metadata.name)}
    else:
        # A name computed in setup.py: whichever distribution came from this directory.
        candidates = {name for name, (_, path) in distributions.items() if _is_from(path, project.path)}
    name = next((name for name in candidates if name in distributions), None)
    if name is None:
        what = project.metadata.name or "nothing from %s" % project.path
        unknown = ", having found no name in its metadata" if "unknown" in distributions else ""
        return "%s is %sinstalled%s" % (what, "not " if project.metadata.name else "", unknown)
    path = distributions[name][1]
    if project.editable and not _is_from(path, project.path):
        return "%s is not the editable project in this checkout" % name
    return _fault_of_files(name, path)


def _is_from(metadata_path: str, project: str) -> bool:
    """Tell whether a distribution's metadata say that it is this directory's."""
    if metadata_path.endswith(".egg-link"):
        with open(metadata_path, encoding="utf-8") as stream:
            linked = stream.readline().strip()
        return is_within(os.path.realpath(linked), os.path.realpath(project))
    try:
        with open(os.path.join(metadata_path, "direct_url.json"), encoding="utf-8") as stream:
            origin = json.loads(stream.read())
    except (OSError, ValueError):
        return False
    return os.path.realpath(path_of_file_url(origin.get("url", ""))) == os.path.realpath(project)


def _fault_of_files(name: str, metadata_path: str) -> "str | None":
    """Return which file of a project is not there, or leads to sources that are not there; else `None`."""
    site_packages = os.path.dirname(metadata_path)
    if metadata_path.endswith(".egg-link"):
        return None
    recorded = [row[0] for row in rows_of_record(os.path.join(metadata_path, "RECORD"))]
    if not recorded:
        return "%s has no RECORD of its files" % name
    for entry in recorded:
        path = os.path.join(site_packages, entry)
        if entry.startswith("__editable__") and entry.endswith("_finder.py") and os.path.isfile(path):
            missing = [source for source in _sources_of_finder(path) if not _has_source(source)]
            if missing:
                return "%s expects its sources in %s, which does not exist" % (name, missing[0])
        if not os.path.exists(path) and not entry.endswith(".pyc"):
            return "%s lacks its file %s" % (name, path)
        if entry.endswith(".pth") and "/" not in entry:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                for line in stream.read().splitlines():
                    if os.path.isabs(line) and not os.path.isdir(line):
                        return "%s expects its sources in %s, which does not exist" % (name, line)
    return None


def _has_source(path: str) -> bool:
    """Tell whether a package is at `path`, or a module, whose suffix (`.py`, an extension's) setuptools leaves out."""
    directory, name = os.path.split(path)
    return any(one == name or one.startswith(name + ".") for one in names_in(directory))


def _sources_of_finder(path: str) -> "list[str]":
    """Return where setuptools's finder looks for the packages of an editable project."""
    import ast
    import re

    with open(path, encoding="utf-8") as stream:
        mapping = re.search(r"^MAPPING[^=]*= (\{.*\})$", stream.read(), re.MULTILINE)
    return [str(source) for source in ast.literal_eval(mapping.group(1)).values()] if mapping else []
