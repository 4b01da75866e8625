"""Renewing the committed kernel where the environment has a newer protoprimer."""

import os
from shlex import quote

from protoprimer.backends.installed import metadata_directories
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
    """Let the environment's protoprimer renew the kernel file, if it is ours and newer, or tell that it could.

    What goes wrong here is a warning: the environment is ready all the same.
    """
    mode = configuration.text("kernel-update")
    if mode == "off" or configuration.cell or not _has_newer(environment):
        return
    command = [
        environment_python(environment),
        "-I",
        "-m",
        "protoprimer",
        "kernel",
        "update",
        configuration.kernel_path,
    ]
    done = run_child(command + ["--check"] * (mode == "check"), console, cwd=configuration.root)
    if done.status:
        console.warn("the kernel was not updated: %s" % done.everything())
    elif done.output and mode == "check":
        how = "./prime run -- python -m protoprimer kernel update %s" % quote(configuration.kernel_path)
        console.say("%s; to update it: %s" % (done.output.strip(), how))
    elif done.output:
        console.say(done.output.strip())


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
