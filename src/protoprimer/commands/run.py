"""`./prime run -- CMD`, and `./prime run NAME` with a short name of the repository's."""

import os
from typing import Callable

from protoprimer.errors import UsageError
from protoprimer.graph import StateGraph, lazy
from protoprimer.project.plan import Plan
from protoprimer.runtime.foreign_programs import refuse_python_program_of_host
from protoprimer.runtime.readiness import ready_environment
from protoprimer.runtime.switch import activated_environment, enter_command
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.settings.short_names import ShortName, lines_of_short_names, short_names
from protoprimer.system.console import print_out

__all__ = ["run_command"]


def run_command(
    graph: StateGraph, command_line: CommandLine, configuration: Configuration, plan: "Callable[[], Plan]" = lazy
) -> int:
    """Become the command, in the ready environment; without one, list the repository's short names."""
    names = short_names(configuration)
    if not command_line.operands:
        if not names:
            advice = "%s run -- CMD; short names for commands stand in the table `run` of the configuration"
            raise UsageError("run needs a command", None, advice % command_line.program)
        print_out("\n".join(lines_of_short_names(configuration)))
        return 0
    words = wanted_words(command_line, names)
    environment = ready_environment(graph).path
    path = activated_environment(dict(os.environ), environment)["PATH"]
    refuse_python_program_of_host(words[0], path, environment, configuration, plan)
    enter_command(words, environment, configuration.told_environment, list(names))
    return 0


def wanted_words(command_line: CommandLine, names: "dict[str, ShortName]") -> "list[str]":
    """Return the words of the command; what follows `--` is a command, and never a short name."""
    first = command_line.operands[0]
    if command_line.is_literal or first not in names:
        return command_line.operands
    return names[first].words + command_line.operands[1:]
