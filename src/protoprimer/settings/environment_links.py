"""An environment chosen by a link of the clone's: `env = "chosen.toml"` of the primer leap leads to one of many."""

import os

from protoprimer.settings.configuration import Configuration
from protoprimer.system.files import temporary_name

__all__ = ["EnvironmentLink", "environment_link"]


class EnvironmentLink:
    """A link, and what it can lead to.

    :param path: the link
    :param names: what it may be made to lead to, by name
    :param chosen: the name of what it leads to
    """

    def __init__(self, path: str, names: "dict[str, str]", chosen: str) -> None:
        self.path = path
        self.names = names
        self.chosen = chosen

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
    pattern = configuration.leaps["primer"].get("env")
    if pattern is None or "{env}" in pattern:
        return None
    file = os.path.normpath(os.path.join(os.path.dirname(configuration.kernel_path), pattern))
    link = file
    while not os.path.islink(link):
        if link in (configuration.root, os.path.dirname(link)):
            return None
        link = os.path.dirname(link)
    rest, target = file[len(link) :], os.readlink(link)
    directory, extension = os.path.dirname(target), "" if rest else os.path.splitext(target)[1]
    there = os.path.join(os.path.dirname(link), directory)
    names = {}
    for entry in sorted(os.listdir(there)):
        path = os.path.join(there, entry)
        if path != link and entry.endswith(extension) and os.path.isfile(path + rest):
            names[entry[: len(entry) - len(extension)]] = os.path.join(directory, entry)
    chosen = os.path.basename(target)
    return EnvironmentLink(link, names, chosen[: len(chosen) - len(extension)])
