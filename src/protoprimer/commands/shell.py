"""`./prime shell`: a shell with the environment active."""

from protoprimer.commands.shells import chosen_shell, enter_shell, shell_label
from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import ready_environment
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, Configuration
from protoprimer.system.console import Console

__all__ = ["shell_command"]


def shell_command(graph: StateGraph, command_line: CommandLine, configuration: Configuration, console: Console) -> int:
    """Become a shell, in the ready environment."""
    shell = chosen_shell(command_line.text("shell"), console)
    environment = ready_environment(graph)
    named = configuration.environment_name
    label = shell_label(configuration.root, None if named == DEFAULT_ENVIRONMENT else named)
    enter_shell(shell, command_line.text("command"), environment.path, label, configuration.state_directory, console)
    return 0
