"""What `init` finds in a repository: facts, and what `./prime` will do about them."""

import glob
import json
import os
import re
from shlex import quote

from protoprimer.authoring.kernel import author_program
from protoprimer.authoring.repository_files import repository_text
from protoprimer.project.metadata import ProjectMetadata, read_project
from protoprimer.project.plan import NothingChosenError, Plan, globs_of, make_plan, projects_below
from protoprimer.pythons.required_python import required_python_of
from protoprimer.settings.configuration import Configuration
from protoprimer.store.fingerprint import path_from
from protoprimer.store.generations import is_our_link
from protoprimer.system.files import names_in

__all__ = ["findings", "finds_modules_itself", "requirement_files"]

# Directories that setuptools takes for no package of a project.
_NO_PACKAGES = {"bin", "build", "doc", "docs", "examples", "scripts", "tasks", "test", "tests", "tools", "utils"}
_FOREIGN_LOCKS = ("poetry.lock", "pdm.lock", "Pipfile.lock")


def findings(configuration: Configuration) -> "list[tuple[str, str]]":
    """Return lines with labels."""
    root, project = configuration.root, read_project(configuration.root)
    try:
        plan, missing, advice = make_plan(configuration, lock_must_exist=False), "", None
    except NothingChosenError as error:
        plan, missing, advice = Plan(root, []), error.cause, error.advice
    required = required_python_of(configuration, plan)
    asked = "%s, from %s" % (required.request.text, required)
    lines = [
        ("project", (project.name if project else None) or "none in this directory"),
        ("Python", asked if str(required) else "any, since nothing requires one"),
        ("", required.note),
        ("installs", missing or plan.summary()),
        ("", plan.hint),
        ("inputs", ", ".join(plan.inputs().described(root))),
    ]
    choices, all_of_it = _choices(project, plan)
    lines += choices
    if all_of_it and not configuration.leaps["client"]:
        command = "echo %s > protoprimer.toml" % quote(all_of_it)
        lines.append(("next", command) if missing else ("", "to install all of it: " + command))
    else:
        lines.append(("next", advice))
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


def requirement_files(root: str) -> "list[str]":
    """Return requirement files, relative to the root."""
    names = names_in(root) + ["requirements/" + name for name in names_in(os.path.join(root, "requirements"))]
    return [name for name in names if re.match(r"(?!.*constraint).*requirements.*\.txt\Z", name)]


def _choices(project: "ProjectMetadata | None", plan: Plan) -> "tuple[list[tuple[str, str | None]], str]":
    members = plan.members()
    here = [member for member in members if member.metadata.directory == plan.root]
    known = [path_from(plan.root, member.metadata.directory) for member in members]
    used = [line.path for step in plan.steps for line in step.lines_of_files(plan.root)]
    files = requirement_files(plan.root)
    below = projects_below(plan.root)
    found = {
        "groups": (sorted(project.groups) if project else [], [name for member in here for name in member.groups]),
        "extras": (sorted(project.extras) if project else [], [name for member in here for name in member.extras]),
        "files": (files, [name for name in files if os.path.join(plan.root, *name.split("/")) in used]),
        "below": (below, known),
    }
    lines, left_out = [], []  # type: list[tuple[str, str | None]], list[str]
    for label, (names, chosen) in found.items():
        # What is asked for may bring it all the same.
        lines.append((label, ", ".join(name + " (not asked for)" * (name not in chosen) for name in names)))
        left_out += [name for name in names if name not in chosen]
    parts = ["%s = %s" % (label, json.dumps(found[label][0])) for label in ("groups", "extras") if found[label][0]]
    projects = ["{ %s }" % ", ".join(['path = "."'] + parts)] * bool(here) + globs_of(plan.root, below)
    step = ["projects = [%s]" % ", ".join(projects)] + ["requirements = " + json.dumps(files)] * bool(files)
    return lines, "install = [{ %s }]" % ", ".join(step) if left_out else ""


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
