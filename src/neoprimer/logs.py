"""Console and logging for scripts of the client's: as loud as the user has asked for, by `-v`, `-q` or a variable.

`PROTOPRIMER_VERBOSITY` is -1 (errors only), 0, 1 or 2, and works with every kind of entry script; `-q`, `-v` and `-vv`
say the same on the command line of those of kind `boot`.
"""

from __future__ import annotations

import logging
import sys

from protoprimer import state
from protoprimer.runtime.client import held_variables
from protoprimer.system.console import Console

__all__ = ["client_console", "configure_logging", "logging_configured", "verbosity"]

_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}


def verbosity() -> int:
    """Return -1, 0, 1 or 2: how much the user of this script wants to read."""
    asked = held_variables().get("PROTOPRIMER_VERBOSITY", "0")
    return int(asked) if asked in ("-1", "0", "1", "2") else 0


def client_console() -> Console:
    """Return where words for a person go, on stderr: steps with their times, details under `-v`."""
    return Console(verbosity())


def configure_logging(form: str = "%(levelname)s: %(message)s") -> int:
    """Let the standard `logging` write to stderr from the level that was asked for, which is returned."""
    level = _LEVELS[verbosity()]
    logging.basicConfig(level=level, stream=sys.stderr, format=form)
    return level


@state
def logging_configured() -> int:
    """The standard logging, from the level that was asked for."""
    return configure_logging()
