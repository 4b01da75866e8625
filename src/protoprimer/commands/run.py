"""`./prime run -- CMD`."""

import os
from typing import Callable

from protoprimer.graph import StateGraph, lazy
from protoprimer.project.plan import Plan
from protoprimer.runtime.foreign_programs import refuse_python_program_of_host
from protoprimer.runtime.readiness import ready_environment
from protoprimer.runtime.switch import activated_environment, enter_command
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration

__all__ = ["run_command"]


def run_command(
    graph: StateGraph, command_line: CommandLine, configuration: Configuration, plan: "Callable[[], Plan]" = lazy
) -> int:
    """Become the command, in the ready environment."""
    environment = ready_environment(graph).path
    path = activated_environment(dict(os.environ), environment)["PATH"]
    refuse_python_program_of_host(command_line.operands[0], path, environment, configuration.root, plan)
    enter_command(command_line.operands, environment)
    return 0
