"""What is in an environment, and whether it is whole, told from its files."""

import csv
import glob
import os
import re
from contextlib import suppress
from typing import Iterator

from protoprimer.formats.requirements import normalized_name
from protoprimer.project.plan import Plan, ProjectToInstall
from protoprimer.system.files import content_of, is_within, json_table, paths_in, text_of
from protoprimer.system.paths import environment_python, path_of_file_url

__all__ = [
    "editable_sources",
    "fault_of_installed",
    "faults_of_files",
    "installed_distributions",
    "interpreter_fault",
    "metadata_directories",
    "metadata_values",
    "site_packages_directories",
]

# The last one is PyPy's before 3.8.
_PLACES_OF_PACKAGES = ("[Ll]ib*/site-packages", "[Ll]ib*/*/site-packages", "site-packages")
_INSTEAD = " instead of "


def site_packages_directories(environment: str) -> "list[str]":
    """Return the directories of an environment's packages."""
    found = {}  # type: dict[str, str]
    for pattern in _PLACES_OF_PACKAGES:
        for place in sorted(glob.glob(os.path.join(glob.escape(environment), pattern))):
            # lib64 may be a link to lib.
            found.setdefault(os.path.realpath(place), place)
    return list(found.values())


def metadata_directories(environment: str) -> "dict[str, str]":
    """Return the names of the `.dist-info` directories, and where each is."""
    paths = [path for path in _paths_in_packages(environment) if path.endswith(".dist-info")]
    return {os.path.basename(path): os.path.dirname(path) for path in paths}


def interpreter_fault(environment: str) -> "str | None":
    """Return why an environment's interpreter cannot be started."""
    python, settings = environment_python(environment), content_of(environment, "pyvenv.cfg")
    home = re.search(r"(?im)^[ \t]*home[ \t]*=[ \t]*(\S.*?)\s*$", settings.decode("utf-8", "replace"))
    if home is None:
        return "pyvenv.cfg is missing in %s, or damaged" % environment
    if not os.access(python, os.X_OK) or not os.path.getsize(python):
        return "its interpreter %s is missing, or cannot be started" % python
    # The launcher on Windows outlives the Python it launches.
    return None if os.path.isdir(home.group(1)) else "the Python it was made from, in %s, is gone" % home.group(1)


def faults_of_files(environment: str) -> "list[str]":
    """Return the files of RECORDs (PEP 376, PEP 627) that are missing, or not of the size that is recorded."""
    found = metadata_directories(environment).items()
    return sorted(fault for name, place in found for fault in _faults_of_record(os.path.join(place, name)))


def _faults_of_record(metadata_directory: str) -> "Iterator[str]":
    directory, name = os.path.split(metadata_directory)
    rows = _rows_of_record(metadata_directory)
    if not rows:
        yield name + "/RECORD is missing or empty"
    # Bytecode comes and goes.
    for row in [row for row in rows if not row[0].endswith((".pyc", "__pycache__", "/RECORD"))]:
        path = os.path.join(directory, row[0])
        try:
            size, recorded = os.stat(path).st_size, "".join(row[2:])
        except (OSError, ValueError):
            yield row[0] + " is missing"
            continue
        if str(size) != recorded:
            yield "%s has %d bytes%s%s" % (row[0], size, _INSTEAD, recorded or "those it was made with")
        yield from ("the sources in %s are gone" % one for one in _sources_of_pth(path) if not os.path.exists(one))


def _rows_of_record(metadata_directory: str) -> "list[list[str]]":
    try:
        with open(os.path.join(metadata_directory, "RECORD"), encoding="utf-8", newline="") as stream:
            return [row for row in csv.reader(stream) if row]
    except (OSError, ValueError, csv.Error):
        return []


def editable_sources(environment: str) -> "list[str]":
    """Return where outside an environment modules are imported from."""
    return [source for path in _paths_in_packages(environment) for source in _sources_of_pth(path)]


def _sources_of_pth(path: str) -> "list[str]":
    if not path.endswith((".pth", "_finder.py")):
        return []
    # That of setuptools maps packages, and modules without their ending.
    is_map = re.search(r"\b__editable__\w+_finder\.py$", path)
    places = []  # type: list[str]
    if is_map:
        places = _places_in_finder(text_of(path))
    elif path.endswith(".pth"):
        places = text_of(path).splitlines()
    return [_module_at(place) for place in places if os.path.isabs(place)]


def _places_in_finder(text: str) -> "list[str]":
    import ast

    found = []  # type: list[str]
    for mapping in re.findall(r"(?m)^(?:MAPPING|NAMESPACES)\b[^=\n]*=\s*(\{.*\})\s*$", text):
        # What is written there is what Python's `repr` makes of a path.
        with suppress(ValueError, SyntaxError):
            for value in ast.literal_eval(mapping).values():
                found += value if isinstance(value, list) else [value]
    return found


def _module_at(place: str) -> str:
    """Return the file that is imported, of a package or of a module without its ending."""
    for end in ("/__init__.py", ".py", ".*so", ".*pyd"):
        for path in glob.glob(glob.escape(place) + end):
            return path
    return place


def installed_distributions(environment: str) -> "dict[str, tuple[str, str]]":
    """Return version and metadata's path by normal name."""
    found = {}  # type: dict[str, tuple[str, str]]
    for path in _paths_in_packages(environment):
        stem, extension = os.path.splitext(os.path.basename(path))
        if extension == ".dist-info" or (extension == ".egg-info" and "-" in stem):
            name, _, version = stem.partition("-")
            found[normalized_name(name)] = (version.split("-py")[0], path)
        elif extension == ".egg-link":
            found[normalized_name(stem)] = ("", path)
    return found


def metadata_values(path: str, field: str) -> "list[str]":
    """Return the values of a field in a METADATA file."""
    # Up to the first line that neither begins a field nor goes on with one.
    head = re.split(r"\n(?![!-9;-~]+:|[ \t])", text_of(path, "METADATA").replace("\r", ""), maxsplit=1)[0]
    return re.findall(r"(?im)^%s:\s*(.*(?:\n[ \t].*)*)" % field, head)


def fault_of_installed(environment: str, plan: Plan) -> "tuple[str, str] | None":
    """Return the first project that is not installed as the plan asks, and why not."""
    distributions = installed_distributions(environment)
    for project in plan.projects():
        fault = _fault_of_project(project, distributions)
        if fault is not None:
            return project.path, fault
    return None


def _paths_in_packages(environment: str) -> "list[str]":
    return [path for place in site_packages_directories(environment) for path in paths_in(place)]


def _fault_of_project(project: ProjectToInstall, distributions: "dict[str, tuple[str, str]]") -> "str | None":
    name = project.metadata.normal_name
    if not name:
        # It is computed in setup.py.
        name = next((name for name, (_, path) in distributions.items() if _is_from(path, project.path)), "")
    if name not in distributions:
        unknown = ", having found no name in its metadata" if "unknown" in distributions else ""
        return "%s is not installed%s" % (project.metadata.name or project.path, unknown)
    path = distributions[name][1]
    if project.editable and not _is_from(path, project.path):
        return "%s is not the editable project in this checkout" % name
    if path.endswith(".egg-link"):
        return None
    # Some wheels list files that no installer writes so.
    fault = next((fault for fault in _faults_of_record(path) if _INSTEAD not in fault), None)
    return fault and "of %s, %s" % (name, fault)


def _is_from(metadata_path: str, project: str) -> bool:
    if metadata_path.endswith(".egg-link"):
        linked = text_of(metadata_path).partition("\n")[0].strip()
        return is_within(os.path.realpath(linked), os.path.realpath(project))
    url = json_table(content_of(metadata_path, "direct_url.json")).get("url")
    return url is not None and os.path.realpath(path_of_file_url(url)) == os.path.realpath(project)
