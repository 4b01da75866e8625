"""An environment chosen by a link of the clone's: `env = "chosen.toml"` of the primer leap leads to one of many."""

import os
from typing import Dict, NamedTuple

from protoprimer.settings.configuration import Configuration
from protoprimer.system.files import names_in, temporary_name

__all__ = ["EnvironmentLink", "environment_link"]


class EnvironmentLink(NamedTuple):
    """A link, what it may be made to lead to by name, and the name of what it leads to."""

    path: str
    names: Dict[str, str]
    chosen: str

    def choose(self, name: str) -> None:
        """Let the link lead to another one, in one step.

        :raises OSError: it cannot be written
        """
        unfinished = temporary_name(self.path)
        os.symlink(self.names[name], unfinished)
        try:
            os.replace(unfinished, self.path)
        except OSError:
            os.unlink(unfinished)
            raise


def environment_link(configuration: Configuration) -> "EnvironmentLink | None":
    """Return the link on the way to the environment's one file, or `None` where there is none."""
    pattern = configuration.leaps["primer"].get("env", "{env}")
    if "{env}" in pattern:
        return None
    link = file = os.path.normpath(os.path.join(os.path.dirname(configuration.kernel_path), pattern))
    while not os.path.islink(link):
        if link in (configuration.root, os.path.dirname(link)):
            return None
        link = os.path.dirname(link)
    rest, (directory, chosen) = file[len(link) :], os.path.split(os.readlink(link))
    extension = "" if rest else os.path.splitext(chosen)[1]
    there, names = os.path.join(os.path.dirname(link), directory), {}
    for entry in names_in(there):
        path = os.path.join(there, entry)
        if path != link and entry.endswith(extension) and os.path.isfile(path + rest):
            names[entry[: len(entry) - len(extension)]] = os.path.join(directory, entry)
    return EnvironmentLink(link, names, chosen[: len(chosen) - len(extension)])
