"""Python programs that only the host has, which `run` refuses to start."""

import os
import re
from typing import Callable

from protoprimer.authoring.findings import requirement_files
from protoprimer.errors import InstallError
from protoprimer.project.plan import Plan
from protoprimer.system.files import has_file, is_within, start_of, text_of
from protoprimer.system.paths import scripts_directory
from protoprimer.system.platform import is_windows

__all__ = ["forbids_execution", "refuse_python_program_of_host"]


def refuse_python_program_of_host(
    name: str, path: str, environment: str, root: str, plan: "Callable[[], Plan]"
) -> None:
    """Refuse a name that would start a Python program from outside of the environment."""
    import shutil

    scripts, found = scripts_directory(environment), shutil.which(name, path=path)
    # On Windows it has an ending.
    if os.path.dirname(name) or os.path.dirname(found or "") == scripts:
        return
    own = os.path.join(scripts, name)
    if os.path.isfile(own) and forbids_execution(own):
        advice = "run -- python -m %s, or set state-dir to a directory where programs may run" % name
        raise InstallError("the file system of the environment runs no programs (noexec)", own, advice)
    if found is not None and _is_python_program(found, root):
        cause = "%r is not in the environment; the host's is of another Python" % name
        advice = _line_that_adds(name, plan) + "; to run the host's all the same, give its path"
        raise InstallError(cause, found, advice)


def forbids_execution(path: str) -> bool:
    """Tell whether a file system runs no programs."""
    flag = getattr(os, "ST_NOEXEC", 0)
    return bool(flag and os.statvfs(path).f_flag & flag)


def _is_python_program(found: str, root: str) -> bool:
    directory, head = os.path.dirname(found), start_of(found)
    places = [os.path.dirname(path) for path in (directory, os.path.dirname(os.path.realpath(found)))]
    if any(has_file(place, "pyvenv.cfg") or (is_windows() and has_file(place, "python.exe")) for place in places):
        return True
    if re.match(r"(python|pypy|pip)[\d.]*t?w?(\.exe)?$", os.path.basename(found)):
        return True
    if os.path.basename(directory) == "shims" and re.search(b"pyenv|asdf-plugin: python", head):
        return True
    # A script of the repository itself is started by the environment's interpreter, through PATH.
    is_own = is_within(os.path.realpath(found), root) and head.startswith(b"#!/usr/bin/env")
    # An interpreter that is too long for a first line stands in the second.
    return not is_own and bool(re.match(rb"#!.*\b(python|pypy)|#!.*\n'''exec' .*\b(python|pypy)", head))


def _line_that_adds(name: str, plan: "Callable[[], Plan]") -> str:
    if re.match(r"pip[\d.]*$", name):
        return "./prime pip -- ARGS acts on this environment"
    if name == "uv":
        return "./prime uv -- ARGS"
    if re.match(r"(python|pypy)[\d.]*$", name):
        return "python is the environment's"
    planned = plan()
    files = [file for step in planned.steps for file in step.requirements]
    described = [one for one in planned.members() if one.metadata.has_pyproject]
    groups = [group for one in described for group in one.groups] or ["dev"] * (not planned.is_configured)
    if groups and (described or (not files and not planned.members())):
        pyproject = described[0].metadata.pyproject if described else "pyproject.toml"
        line = '"%s" in the list %s of [dependency-groups] in %s' % (name, groups[0], pyproject)
    elif files:
        line = "the line %s in %s" % (name, files[0])
    else:
        step = 'args = ["%s"]' % name
        for file in requirement_files(planned.root):
            if name in text_of(planned.root, *file.split("/")).split():
                step = 'requirements = ["%s"]' % file
        line = 'install = [{ projects = ["."], %s }] in protoprimer.toml' % step
        line = "the step { %s } in the list `install`" % step if planned.is_configured else line
    return "add it: %s%s" % (line, "; then ./prime lock" if planned.lock else "")
