"""`./prime run -- CMD`: a command inside the environment."""

from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import ready_environment
from protoprimer.runtime.switch import enter_command
from protoprimer.settings.command_line import CommandLine

__all__ = ["run_command"]


def run_command(graph: StateGraph, command_line: CommandLine) -> int:
    """Become the command, in the ready environment."""
    enter_command(command_line.operands, ready_environment(graph).path)
    return 0
