"""What `init` finds in a repository: facts, and what `./prime` will do about them."""

import glob
import os
import re
from shlex import quote
from typing import Iterable

from protoprimer.authoring.decision import requirement_files, what_brings_tests
from protoprimer.authoring.kernel import author_program
from protoprimer.authoring.repository_files import repository_text
from protoprimer.errors import first_of
from protoprimer.project.build_inputs import member_directories
from protoprimer.project.metadata import ProjectMetadata, read_project
from protoprimer.project.plan import NothingChosenError, Plan, globs_of, make_plan, patterns_of, projects_below
from protoprimer.pythons.required_python import RequiredPython, required_python_of
from protoprimer.settings.configuration import Configuration
from protoprimer.store.fingerprint import path_from
from protoprimer.store.generations import is_our_link

__all__ = ["findings", "finds_modules_itself"]

# Directories that setuptools takes for no package of a project.
_NO_PACKAGES = {"bin", "build", "doc", "docs", "examples", "scripts", "tasks", "test", "tests", "tools", "utils"}
# Of inputs, groups, files and the like; further ones are counted.
_MOST_TOLD = 5
_FOREIGN_LOCKS = ("poetry.lock", "pdm.lock", "Pipfile.lock")


def findings(configuration: Configuration) -> "list[tuple[str, str]]":
    """Return lines with labels; what follows `next` is to be done."""
    root = configuration.root
    project = read_project(root)
    missing = ""
    try:
        plan = make_plan(configuration, lock_must_exist=False)
    except NothingChosenError as error:
        plan = Plan(root, [])
        missing = error.cause
    required = required_python_of(configuration, plan)
    lines = [
        ("project", (project.name if project else None) or "none in this directory"),
        ("Python", _told_python(required)),
        ("", required.note),
        ("installs", missing or plan.summary()),
        ("", plan.hint),
    ]  # type: list[tuple[str, str | None]]
    if missing:
        lines.append(("next", _line_that_chooses(configuration)))
    else:
        lines += _tests_to_decide(configuration, project, plan)
    inputs = plan.inputs().described(root)
    lines.append(("inputs", ", ".join(first_of(inputs, _MOST_TOLD))))
    lines += _choices(project, plan)
    if not plan.lock:
        foreign = [name + " is not read; " for name in _FOREIGN_LOCKS if os.path.isfile(os.path.join(root, name))]
        lines.append(("lock", "%s./prime lock pins the versions" % "".join(foreign)))
    link = configuration.text("venv-link")
    path = configuration.path_of(link or "")
    if link and os.path.lexists(path) and not is_our_link(path, configuration.own_state_directory):
        told = "is another tool's environment, which editors use; to hand the name over, remove it, then ./prime"
        lines.append((link, told))
    for name, function in sorted(project.scripts.items()) if project else []:
        told = "%s; for an entry script of it: %s entry %s %s" % (name, author_program(), name, function)
        lines.append(("script", told))
    return [(label, text) for label, text in lines if text]


def _told_python(required: RequiredPython) -> str:
    if not str(required):
        return "any, since nothing requires one"
    places = str(required).split(", ")
    return "%s, from %s" % (required.request.text, ", ".join(first_of(places, _MOST_TOLD)))


def _line_that_chooses(configuration: Configuration) -> str:
    """Return what to do where nothing says which of several projects are installed."""
    below = projects_below(configuration.root)
    if configuration.leaps["client"]:
        place = configuration.place_in(*configuration.client)
        projects = ", ".join(globs_of(configuration.root, below))
        return "write in %s: install = [{ projects = [%s] }]" % (place, projects)
    words = []
    for pattern in patterns_of(below):
        words += ["--install", quote(pattern)]
    return "%s init %s" % (author_program(), " ".join(words))


def _tests_to_decide(
    configuration: Configuration, project: "ProjectMetadata | None", plan: Plan
) -> "list[tuple[str, str | None]]":
    if configuration.leaps["client"].get("install") is not None:
        # Somebody has decided already.
        return []
    found = what_brings_tests(project, plan)
    if found is None:
        return []
    what, line = found
    if configuration.leaps["client"]:
        told = "write %s in %s" % (line, configuration.place_in(*configuration.client))
    else:
        told = "echo %s > protoprimer.toml; git add protoprimer.toml" % quote(line)
    return [("decide", "%s brings what runs the tests, and is not installed; to install it:" % what), ("", told)]


def _choices(project: "ProjectMetadata | None", plan: Plan) -> "list[tuple[str, str | None]]":
    members = plan.members()
    here = [member for member in members if member.metadata.directory == plan.root]
    lines = []  # type: list[tuple[str, str | None]]
    if project is not None:
        lines.append(("groups", _told_choices(project.groups, [name for member in here for name in member.groups])))
        lines.append(("extras", _told_choices(project.extras, [name for member in here for name in member.extras])))
    used = [line.path for step in plan.steps for line in step.lines_of_files(plan.root)]
    used = [path_from(plan.root, path) for path in used]
    lines.append(("files", _told_choices(requirement_files(plan.root), used)))
    below = projects_below(plan.root)
    workspace = [path_from(plan.root, path) for path in member_directories(project)]
    if workspace:
        # What it excludes is somebody's wish.
        below = [path for path in workspace if path != "."]
    installed = [path_from(plan.root, member.metadata.directory) for member in members]
    lines.append(("below", _told_choices(below, installed)))
    return lines


def _told_choices(names: "Iterable[str]", chosen: "list[str]") -> str:
    told = []
    for name in sorted(names):
        told.append(name + (" (installed)" if name in chosen else " (not installed)"))
    return ", ".join(first_of(told, _MOST_TOLD))


def finds_modules_itself(directory: str) -> bool:
    """Tell whether a project's build would take a kernel beside it for a module."""
    project = read_project(directory)
    names = ("pyproject.toml", "setup.cfg", "setup.py")
    text = "".join(repository_text(os.path.join(directory, name)) or "" for name in names)
    if project is None or not project.is_package or re.search(r"\b(packages|py.modules)\b", text):
        return False
    # Both look for modules themselves where no package and no list of them is there.
    backend = project.build_backend
    packages = glob.glob(os.path.join(glob.escape(directory), "*", "__init__.py"))
    is_flat = {os.path.basename(os.path.dirname(path)) for path in packages} <= _NO_PACKAGES
    return backend.startswith(("setuptools", "pdm")) and is_flat and not os.path.isdir(os.path.join(directory, "src"))
