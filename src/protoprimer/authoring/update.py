"""Renewing the committed kernel where the environment has a newer protoprimer, which gives a newer kernel."""

import os
import tempfile

from protoprimer.authoring.kernel import replace_older_kernel
from protoprimer.backends.installed import metadata_directories
from protoprimer.errors import InstallError, PrimerError
from protoprimer.formats.versions import InvalidVersion, Version
from protoprimer.settings.configuration import Configuration
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.paths import environment_python
from protoprimer.version import VERSION

__all__ = ["is_our_distribution", "renew_kernel"]

# In entry_points.txt of our distribution alone: the public index has a project of the same name by others.
_OUR_MARK = "[protoprimer.kernel]"


def renew_kernel(configuration: Configuration, environment: str, console: Console) -> None:
    """Renew the kernel file from the environment's protoprimer, if that is ours and newer, or tell that it could be.

    What goes wrong here is a warning: the environment is ready all the same.
    """
    mode = configuration.text("kernel-update")
    version = None if mode == "off" or configuration.cell else _newer_version(environment)
    if version is None:
        return

    def installed_text() -> str:
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "proto_kernel.py")
            command = [environment_python(environment), "-I", "-m", "protoprimer", "kernel", "write", path]
            done = run_child(command, console, cwd=configuration.root)
            if done.status != 0:
                raise InstallError("protoprimer %s gives no kernel: %s" % (version, done.everything()), environment)
            with open(path, encoding="utf-8") as stream:
                return stream.read()

    try:
        told = replace_older_kernel(configuration.kernel_path, version, installed_text, mode == "check")
    except (OSError, UnicodeDecodeError, PrimerError) as error:
        console.warn("the kernel was not updated: %s" % error)
        return
    if told:
        console.say(told)


def _newer_version(environment: str) -> "str | None":
    """Return the version of our protoprimer in an environment, if it is newer than this one."""
    for name, directory in metadata_directories(environment).items():
        project, _, version = name[: -len(".dist-info")].partition("-")
        try:
            if project == "protoprimer" and Version(version) > Version(VERSION):
                return version if is_our_distribution(os.path.join(directory, name)) else None
        except InvalidVersion:
            continue
    return None


def is_our_distribution(metadata: str) -> bool:
    """Tell whether an installed protoprimer is ours, without running anything of it.

    :param metadata: its `.dist-info` directory
    """
    try:
        with open(os.path.join(metadata, "entry_points.txt"), encoding="utf-8", errors="replace") as stream:
            return _OUR_MARK in (line.strip() for line in stream)
    except OSError:
        return False
