"""Short names of commands, from the table `run`: `./prime run test` for `pytest -q`."""

from shlex import split
from typing import Any, List, NamedTuple

from protoprimer.errors import ConfigurationError
from protoprimer.settings.configuration import Configuration

__all__ = ["ShortName", "lines_of_short_names", "short_names"]


class ShortName(NamedTuple):
    """A name that the repository gives to a command, the words of that command, and how it is written."""

    name: str
    words: List[str]
    written: str


def short_names(configuration: Configuration) -> "dict[str, ShortName]":
    """Return the short names in the order in which they are written.

    :raises ConfigurationError: exit code 3: a command line cannot be split, or has no words
    """
    table = configuration.get("run") or {}
    found = {}
    for name, command in table.items():
        words = _words_of(configuration, name, command)
        written = command if isinstance(command, str) else " ".join(command)
        found[name] = ShortName(name, words, written)
    return found


def lines_of_short_names(configuration: Configuration, indent: str = "") -> "list[str]":
    """Return a line for each short name, with the command that it stands for."""
    names = short_names(configuration)
    width = max([len(name) for name in names] or [0])
    return ["%s%s  %s" % (indent, one.name.ljust(width), one.written) for one in names.values()]


def _words_of(configuration: Configuration, name: str, command: Any) -> "list[str]":
    place = configuration.place_of("run", name)
    if not name or name.startswith("-"):
        cause = "%r cannot be a short name: it looks like an option" % name
        raise ConfigurationError(cause, place, "choose another name")
    if isinstance(command, list):
        words = [str(word) for word in command]
    else:
        try:
            words = split(command)
        except ValueError as error:
            cause = "the command of run.%s cannot be split into words: %s" % (name, error)
            raise ConfigurationError(cause, place, "correct its quotes, or write a list of words") from None
    if not words or not words[0]:
        raise ConfigurationError("run.%s names no command" % name, place, "write the command that it stands for")
    return words
