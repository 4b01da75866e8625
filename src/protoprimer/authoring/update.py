"""Renewing the committed kernel where the environment has a newer protoprimer, which knows how to."""

from protoprimer.errors import PrimerError
from protoprimer.formats.versions import InvalidVersion, Version
from protoprimer.settings.configuration import Configuration
from protoprimer.store.integrity import metadata_directories
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.paths import environment_python
from protoprimer.version import VERSION

__all__ = ["renew_kernel"]


def renew_kernel(configuration: Configuration, environment: str, console: Console) -> None:
    """Let the environment's protoprimer, if it is newer, renew the kernel file or tell that it could.

    What goes wrong here is a warning: the environment is ready all the same.
    """
    mode = configuration.text("kernel-update")
    if mode == "off" or configuration.cell or not _is_newer(environment):
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
    try:
        done = run_child(command + (["--check"] if mode == "check" else []), console, cwd=configuration.root)
    except PrimerError as error:
        console.warn("the kernel could not be updated: %s" % error.cause)
        return
    if done.status == 0:
        for line in done.output.splitlines():
            console.say(line)
    else:
        console.warn(done.everything())


def _is_newer(environment: str) -> bool:
    for name in metadata_directories(environment):
        project, _, version = name[: -len(".dist-info")].partition("-")
        try:
            if project == "protoprimer" and Version(version) > Version(VERSION):
                return True
        except InvalidVersion:
            continue
    return False
