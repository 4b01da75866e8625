"""Python programs that only the host has: they belong to another Python, and `run` refuses to start them."""

import os
import re

from protoprimer.errors import InstallError
from protoprimer.system.files import is_within
from protoprimer.system.paths import scripts_directory
from protoprimer.system.platform import is_windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from protoprimer.project.plan import Plan

__all__ = ["forbids_execution", "refuse_python_program_of_host"]

_BYTES_THAT_TELL = 512


def refuse_python_program_of_host(
    name: str, path: str, environment: str, root: str, plan: "Callable[[], Plan]"
) -> None:
    """Refuse a command by name that would start a Python program from outside of the environment.

    Other programs of the host, and whatever is named by its path, are as good as anywhere.

    :param path: the value of PATH with the environment first
    :param plan: asked only where something is refused
    :raises InstallError: exit code 6, with the line that adds it to the environment
    """
    import shutil

    own, found = os.path.join(scripts_directory(environment), name), shutil.which(name, path=path)
    if os.path.dirname(name) or found == own:
        return
    if os.path.isfile(own) and forbids_execution(own):
        advice = "run -- python -m %s, or set state-dir to a directory where programs may run" % name
        raise InstallError("the file system of the environment runs no programs (noexec)", own, advice)
    why = _why_it_is_python(found, root) if found is not None else None
    if why is not None:
        cause = "%r is not in the environment; the host's is %s" % (name, why)
        raise InstallError(cause, found, _line_that_adds(name, plan))


def forbids_execution(path: str) -> bool:
    """Tell whether a file system runs no programs (`noexec`)."""
    flag = getattr(os, "ST_NOEXEC", 0)
    return bool(flag and os.statvfs(path).f_flag & flag)


def _why_it_is_python(found: str, root: str) -> "str | None":
    """Return what makes a program a Python program that is not of this repository, or `None`."""
    for path in (found, os.path.realpath(found)):
        home = os.path.dirname(os.path.dirname(path))
        if os.path.isfile(os.path.join(home, "pyvenv.cfg")):
            return "a program of another environment"
    if re.match(r"(python|pypy|pip)[\d.]*t?w?(\.exe)?$", os.path.basename(found)):
        return "another Python's"
    if is_windows() and os.path.isfile(os.path.join(os.path.dirname(os.path.dirname(found)), "python.exe")):
        return "a program of another Python"
    try:
        with open(found, "rb") as stream:
            head = stream.read(_BYTES_THAT_TELL)
    except OSError:
        return None
    if os.path.basename(os.path.dirname(found)) == "shims" and re.search(b"pyenv|asdf-plugin: python", head):
        return "a version manager's, of another Python"
    # What is longer than the system takes as a first line stands in the second, as `exec`.
    lines = head.split(b"\n", 2)[:2]
    is_python = re.match(rb"#!.*\b(python|pypy)", lines[0]) or re.match(rb"'''exec' .*\b(python|pypy)", lines[-1])
    # A script of the repository itself is started by the environment's interpreter, through PATH.
    is_own = is_within(os.path.realpath(found), root) and lines[0].startswith(b"#!/usr/bin/env")
    return "a Python program" if is_python and not is_own else None


def _line_that_adds(name: str, plan: "Callable[[], Plan]") -> str:
    path = "; to run the host's all the same, give its path"
    if re.match(r"pip[\d.]*$", name):
        return "./prime pip -- ARGS acts on this environment" + path
    if name == "uv":
        return "./prime uv -- ARGS" + path
    if re.match(r"(python|pypy)[\d.]*$", name):
        return "python is the environment's" + path
    planned = plan()
    files = [file for step in planned.steps for file in step.requirements]
    if planned.projects():
        line = '[dependency-groups] dev = ["%s"], or [project] dependencies, in pyproject.toml' % name
    elif files:
        line = "the line %s in %s" % (name, os.path.basename(files[0]))
    else:
        line = 'install = { args = ["%s"] } in [tool.protoprimer]' % name
    return "add it: %s%s%s" % (line, "; then ./prime lock" if planned.lock else "", path)
