"""Python programs that only the host has, which `run` refuses to start."""

import os
import re
from typing import Callable

from protoprimer.authoring.decision import requirement_files
from protoprimer.errors import InstallError
from protoprimer.project.plan import Plan
from protoprimer.settings.configuration import Configuration
from protoprimer.system.files import has_file, is_within, start_of, text_of
from protoprimer.system.paths import scripts_directory
from protoprimer.system.platform import is_windows

__all__ = ["forbids_execution", "refuse_python_program_of_host", "way_back_to_default"]


def refuse_python_program_of_host(
    name: str, path: str, environment: str, configuration: Configuration, plan: "Callable[[], Plan]"
) -> None:
    """Refuse a name that would start a Python program from outside of the environment."""
    import shutil

    if os.path.dirname(name):
        # A path is the user's wish.
        return
    scripts = scripts_directory(environment)
    found = shutil.which(name, path=path)
    # By its directory, since on Windows it has an ending.
    if found is not None and os.path.dirname(found) == scripts:
        return
    own = os.path.join(scripts, name)
    if os.path.isfile(own) and forbids_execution(own):
        advice = "run -- python -m %s, or set state-dir to a directory where programs may run" % name
        raise InstallError("the file system of the environment runs no programs (noexec)", own, advice)
    if found is not None and _is_python_program(found, configuration.root):
        cause = "%s is not in the environment%s; the one on PATH belongs to another Python"
        advice = _line_that_adds(name, plan) + "; to run the one on PATH all the same, give its path"
        advice += way_back_to_default(configuration)
        raise InstallError(cause % (name, configuration.told_environment), found, advice)


def way_back_to_default(configuration: Configuration) -> str:
    """Return how to leave the environment that this clone has chosen, as the end of an advice."""
    if not configuration.told_environment or configuration.is_for_once:
        return ""
    return "; to go back to the default environment: ./prime env default"


def forbids_execution(path: str) -> bool:
    """Tell whether a file system runs no programs."""
    flag = getattr(os, "ST_NOEXEC", 0)
    return bool(flag and os.statvfs(path).f_flag & flag)


def _is_python_program(found: str, root: str) -> bool:
    directory = os.path.dirname(found)
    real = os.path.realpath(found)
    for programs in (directory, os.path.dirname(real)):
        if _is_of_python_installation(os.path.dirname(programs)):
            return True
    if re.match(r"(python|pypy|pip)[\d.]*t?w?(\.exe)?$", os.path.basename(found)):
        return True
    head = start_of(found)
    if os.path.basename(directory) == "shims" and re.search(b"pyenv|asdf-plugin: python", head):
        return True
    if is_within(real, root) and head.startswith(b"#!/usr/bin/env"):
        # A script of the repository itself is started by the environment's interpreter, through PATH.
        return False
    # An interpreter that is too long for a first line stands in the second.
    return bool(re.match(rb"#!.*\b(python|pypy)|#!.*\n'''exec' .*\b(python|pypy)", head))


def _is_of_python_installation(prefix: str) -> bool:
    if has_file(prefix, "pyvenv.cfg"):
        return True
    return is_windows() and has_file(prefix, "python.exe")


def _line_that_adds(name: str, plan: "Callable[[], Plan]") -> str:
    if re.match(r"pip[\d.]*$", name):
        return "./prime pip -- ARGS acts on this environment"
    if name == "uv":
        return "./prime uv -- ARGS"
    if re.match(r"(python|pypy)[\d.]*$", name):
        return "python is the environment's"
    planned = plan()
    advice = "add it: " + _line_for_plan(name, planned)
    if planned.lock:
        advice += "; then ./prime lock"
    return advice


def _line_for_plan(name: str, plan: Plan) -> str:
    """Return which line, and where, would have this plan install a package."""
    files = []  # type: list[str]
    for step in plan.steps:
        files += step.requirements
    described = [one for one in plan.members() if one.metadata.has_pyproject]
    groups = []  # type: list[str]
    for one in described:
        groups += one.groups
    if not groups and not plan.is_configured:
        # Nothing says what is installed: then this group is.
        groups = ["dev"]
    if groups and described:
        return '"%s" in the list %s of [dependency-groups] in %s' % (name, groups[0], described[0].metadata.pyproject)
    if groups and not files and not plan.members():
        return '"%s" in the list %s of [dependency-groups] in pyproject.toml' % (name, groups[0])
    if files:
        return "the line %s in %s" % (name, files[0])
    step_to_add = 'args = ["%s"]' % name
    for file in requirement_files(plan.root):
        if name in text_of(plan.root, *file.split("/")).split():
            step_to_add = 'requirements = ["%s"]' % file
    if plan.is_configured:
        return "the step { %s } in the list `install`" % step_to_add
    return 'install = [{ projects = ["."], %s }] in protoprimer.toml' % step_to_add
