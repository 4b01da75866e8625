"""The errors a user can meet: one sentence, the place, what to do next, and the exit code of the design."""

from typing import Iterable

from protoprimer.fault import Fault

__all__ = [
    "BackendError",
    "ConfigurationError",
    "DryRunEnds",
    "InstallError",
    "InterpreterError",
    "LockTimeoutError",
    "NotReadyError",
    "OutputLost",
    "PrimerError",
    "UsageError",
    "did_you_mean",
    "first_of",
    "no_such_file",
    "which_are_known",
]


class PrimerError(Exception):
    """A failure whose `str()` is the whole message.

    :param cause: one sentence without a final full stop
    :param place: where it is: `file`, `file:line`, `file:line (key)`, an option or a variable
    :param advice: what to do next
    :param fault: the kind of failure, where code decides by it
    """

    exit_code = 1

    def __init__(
        self,
        cause: str,
        place: "str | None" = None,
        advice: "str | None" = None,
        fault: "Fault | None" = None,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.place = place
        self.advice = advice
        self.fault = fault

    def __str__(self) -> str:
        lines = [self.cause]
        if self.place:
            lines.append("  where: " + self.place)
        if self.advice:
            lines.append("  next: " + self.advice)
        return "\n".join(lines)


class DryRunEnds(PrimerError):
    """A dry run has said what it would do."""

    exit_code = 0


class UsageError(PrimerError):
    """The command line is wrong."""

    exit_code = 2


class ConfigurationError(PrimerError):
    """A configuration file, key or value is wrong."""

    exit_code = 3


class InterpreterError(PrimerError):
    """No suitable interpreter."""

    exit_code = 4


class BackendError(PrimerError):
    """No usable backend."""

    exit_code = 5


class InstallError(PrimerError):
    """Creation, resolution, installation or the client's import failed."""

    exit_code = 6


class LockTimeoutError(PrimerError):
    """The lock was not free within `lock-timeout` seconds."""

    exit_code = 7


class NotReadyError(PrimerError):
    """`start_app` found no ready environment."""

    exit_code = 8


class OutputLost(PrimerError):
    """What was printed is lost."""

    exit_code = 120


def did_you_mean(name: str, known: "Iterable[str]", otherwise: "str | None" = None) -> "str | None":
    """Return the advice to take the known name that is nearest, or else another advice."""
    import difflib

    by_small = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_small, n=1, cutoff=0.6)
    return "did you mean %r?" % by_small[found[0]] if found else otherwise


def which_are_known(wrong: str, names: "Iterable[str]") -> str:
    """Return advice on a wrong name: the nearest one, and as many as a person reads."""
    known = ", ".join(first_of(list(names), 9))
    told = "known: " + known if known else "none is known: add it first"
    return " ".join(filter(None, [did_you_mean(wrong, names), told]))


def first_of(lines: "list[str]", most: int) -> "list[str]":
    """Return so many, and how many more there are."""
    return lines[:most] + (["and %d more" % (len(lines) - most)] if len(lines) > most else [])


def no_such_file(path: str, place: str) -> ConfigurationError:
    """Return the error that a file is not there, which `place` names."""
    return ConfigurationError("the file %s does not exist" % path, place, "create it, or correct its path")
