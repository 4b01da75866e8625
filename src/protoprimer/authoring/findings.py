"""What `init` finds in a repository: facts, and what `./prime` will do about them."""

import glob
import os
import re

from protoprimer.authoring.kernel import author_program
from protoprimer.authoring.repository_files import repository_text
from protoprimer.project.defaults import NothingChosenError, install_line, projects_below
from protoprimer.project.metadata import ProjectMetadata, read_project
from protoprimer.project.plan import Plan, make_plan
from protoprimer.pythons.required_python import required_python_of
from protoprimer.settings.configuration import Configuration
from protoprimer.system.files import link_target

__all__ = ["findings", "finds_modules_itself"]

# Directories that setuptools takes for no package of a project.
_NO_PACKAGES = {"bin", "build", "doc", "docs", "examples", "scripts", "tasks", "test", "tests", "tools", "utils"}
_FOREIGN_LOCKS = ("poetry.lock", "pdm.lock", "Pipfile.lock")


def findings(configuration: Configuration) -> "list[tuple[str, str]]":
    """Return lines with labels.

    :raises ConfigurationError: exit code 3: the configuration or a file of metadata says nonsense
    """
    root = configuration.root
    project = read_project(root)
    try:
        plan, missing = make_plan(configuration, lock_must_exist=False), ""
    except NothingChosenError as error:
        plan, missing = Plan(root, [], None), "%s\n%14s%s" % (error.cause, "", error.advice)
    required = required_python_of(configuration, plan)
    asked = "%s, from %s" % (required.request.text, required.place)
    lines = [
        ("project", (project.name if project else None) or "none in this directory"),
        ("Python", "any, since nothing requires one" if required.place == "default" else asked),
        ("", required.note),
        ("installs", missing or plan.summary()),
        ("", plan.hint),
        ("inputs", ", ".join(plan.inputs().described(root))),
    ]
    lines += _choices(project, plan) if project else []
    used = [os.path.relpath(path, root) for step in plan.steps for path in step.requirements + step.constraints]
    files = [name for name in sorted(os.listdir(root)) if re.match(r".*requirements.*\.(txt|in)\Z", name)]
    others = [name for name in files if name not in used]
    if others:
        line = 'install = [{ requirements = ["%s"] }]' % '", "'.join(others)
        lines.append(("files", "%s; to install them: %s" % (", ".join(others), line)))
    known = [os.path.relpath(member.directory, root).replace(os.sep, "/") for member in plan.all_metadata()]
    below = [path for path in projects_below(root) if path not in known] if not missing else []
    if below:
        lines.append(("below", "%s; to install them: %s" % (", ".join(below), install_line(below))))
    if not plan.lock:
        foreign = [name for name in _FOREIGN_LOCKS if os.path.isfile(os.path.join(root, name))]
        lines.append(
            ("lock", "%s./prime lock pins the versions" % "".join(name + " is not read; " for name in foreign))
        )
    lines += _existing_environment(configuration)
    for name, target in sorted(project.scripts.items()) if project else []:
        script = "%s; for an entry script of it: %s entry %s %s" % (name, author_program(), name, target)
        lines.append(("script", script))
    return [(label, text) for label, text in lines if text]


def _choices(project: ProjectMetadata, plan: Plan) -> "list[tuple[str, str | None]]":
    """Return the groups and extras of the project at the root, and how to have those that are not installed."""
    members = [member for step in plan.steps for member in step.members if member.metadata.directory == plan.root]
    lines, missing = [], []  # type: list[tuple[str, str | None]], list[str]
    for label in ("groups", "extras"):
        chosen = [name for member in members for name in getattr(member, label)]
        known = sorted(getattr(project, label))
        missing += [name for name in known if name not in chosen]
        lines.append((label, ", ".join(name + " (installed)" * (name in chosen) for name in known)))
    if missing:
        lines.append(("", 'for more: install = [{ projects = [{ path = ".", groups = [...], extras = [...] }] }]'))
    return lines


def _existing_environment(configuration: Configuration) -> "list[tuple[str, str | None]]":
    name = configuration.text("venv-link")
    path = configuration.path_of(name) if name else ""
    target = link_target(path) if path else None
    envs = os.path.join(configuration.own_state_directory, "envs")
    if not os.path.lexists(path) or (target and os.path.realpath(os.path.dirname(target)) == os.path.realpath(envs)):
        return []
    text = "is another tool's environment: it stays, and editors use it; to hand the name over, remove it, then ./prime"
    return [(str(name), text)]


def finds_modules_itself(directory: str) -> bool:
    """Tell whether the build of a project would take a kernel beside it for a module.

    setuptools and pdm look for modules themselves where no package and no list of them is there. A kernel beside the
    only module of a project makes two, which setuptools refuses; alone it would be built into the wheel.
    """
    project = read_project(directory)
    names = ("pyproject.toml", "setup.cfg", "setup.py")
    text = "".join(repository_text(os.path.join(directory, name)) or "" for name in names)
    if project is None or not project.is_package or re.search(r"\b(packages|py.modules)\b", text):
        return False
    backend = project.text("build-system", "build-backend") or "setuptools"
    packages = glob.glob(os.path.join(glob.escape(directory), "*", "__init__.py"))
    is_flat = {os.path.basename(os.path.dirname(path)) for path in packages} <= _NO_PACKAGES
    return backend.startswith(("setuptools", "pdm")) and is_flat and not os.path.isdir(os.path.join(directory, "src"))
