"""Renewing the committed kernel where the environment has a newer protoprimer."""

import os
import tempfile
from shlex import quote

from protoprimer.authoring.kernel import update_kernel
from protoprimer.authoring.repository_files import repository_text
from protoprimer.backends.installed import metadata_directories
from protoprimer.errors import InstallError, PrimerError
from protoprimer.formats.versions import Version
from protoprimer.settings.configuration import Configuration
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.paths import environment_python
from protoprimer.version import VERSION

__all__ = ["renew_kernel"]

# In entry_points.txt of our distribution alone: the public index has a project of the same name by others.
_OUR_MARK = "[protoprimer.kernel]"


def renew_kernel(configuration: Configuration, environment: str, console: Console) -> None:
    """Renew the kernel file by the environment's protoprimer, if that is ours and newer, or tell that it could be.

    The text that it gives is written only if it is a whole kernel, and Python.
    What goes wrong here is a warning: the environment is ready all the same.
    """
    mode = configuration.text("kernel-update")
    if mode == "off" or configuration.cell or not _has_newer(environment):
        return
    try:
        given = _given_kernel(configuration, environment, console)
        told = update_kernel(configuration.kernel_path, mode == "check", given)
    except PrimerError as error:
        console.warn("the kernel was not updated: %s" % error)
        return
    if told and mode == "check":
        told += "; to update it: ./prime run -- python -m protoprimer kernel update " + quote(configuration.kernel_path)
    if told:
        console.say(told)


def _given_kernel(configuration: Configuration, environment: str, console: Console) -> str:
    """Return the kernel that the environment's protoprimer writes, which is not trusted yet."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "proto_kernel.py")
        command = [environment_python(environment), "-I", "-m", "protoprimer", "kernel", "write", path]
        done = run_child(command, console, cwd=configuration.root)
        text = None if done.status else repository_text(path)
    if text is None:
        raise InstallError(done.everything() or "the installed protoprimer wrote none")
    return text


def _has_newer(environment: str) -> bool:
    """Tell whether our protoprimer is in an environment, newer than this one; nothing of it is run."""
    for name, directory in metadata_directories(environment).items():
        project, _, version = name[: -len(".dist-info")].partition("-")
        try:
            if project == "protoprimer" and Version(version) > Version(VERSION):
                with open(os.path.join(directory, name, "entry_points.txt"), encoding="utf-8") as stream:
                    return _OUR_MARK in stream.read().splitlines()
        except (OSError, ValueError):
            continue
    return False
