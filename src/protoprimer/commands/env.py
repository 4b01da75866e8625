"""`./prime env`."""

import os
from typing import Dict, NamedTuple

from protoprimer.errors import InstallError, UsageError, which_are_known
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.store.ready import forget_ready
from protoprimer.store.state_directory import remember_environment
from protoprimer.system.console import Console, print_out
from protoprimer.system.files import link_directory, path_at, paths_in

__all__ = ["env_command"]


def env_command(command_line: CommandLine, configuration: Configuration, console: Console) -> int:
    """Print the environments, or choose one for the next run."""
    link = _environment_link(configuration)
    names = sorted(link.names) if link else configuration.environment_names
    chosen = link.chosen if link else configuration.environment_name
    if not command_line.operands:
        for name in names:
            print_out("%s %s" % ("*" if name == chosen else " ", name))
        return 0
    wanted = command_line.operands[0]
    if wanted not in names:
        raise UsageError("there is no environment %r" % wanted, None, which_are_known(wanted, names))
    if command_line.has("dry-run"):
        console.say("would choose the environment " + wanted)
    elif link:
        directory = os.path.dirname(link.path)
        try:
            link_directory(path_at(directory, link.names[wanted]), link.path, directory)
        except OSError as error:
            raise InstallError("the link cannot be written: %s" % error.strerror, link.path) from None
        console.say("%s leads to %s; ./prime makes it ready" % (link.path, link.names[wanted]))
    else:
        remember_environment(configuration.state_directory, wanted)
        # Else entry scripts would go by what is ready, which is another one.
        forget_ready(configuration.state_directory)
        console.say("the environment is %s from now on; ./prime makes it ready" % wanted)
    return 0


class _EnvironmentLink(NamedTuple):
    path: str
    names: Dict[str, str]  # and what it leads to then
    chosen: str


def _environment_link(configuration: Configuration) -> "_EnvironmentLink | None":
    """Return the link on the way to the file that `env = "chosen.toml"` of the primer names."""
    pattern = configuration.leaps["primer"].get("env", "{env}")
    if "{env}" in pattern:
        return None
    link = file = path_at(os.path.dirname(configuration.kernel_path), pattern)
    while not os.path.islink(link):
        if link in (configuration.root, os.path.dirname(link)):
            return None
        link = os.path.dirname(link)
    rest, (directory, chosen) = file[len(link) :], os.path.split(os.readlink(link))
    extension = "" if rest else os.path.splitext(chosen)[1]
    there, names = os.path.join(os.path.dirname(link), directory), {}
    for path in paths_in(there):
        entry = os.path.basename(path)
        if path != link and entry.endswith(extension) and os.path.isfile(path + rest):
            names[entry[: len(entry) - len(extension)]] = os.path.join(directory, entry)
    return _EnvironmentLink(link, names, chosen[: len(chosen) - len(extension)])
