"""`./prime shell`: a shell with the environment active."""

from protoprimer.commands.shells import chosen_shell, enter_shell, shell_label
from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import ready_environment
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.settings.command_line import CommandLine
    from protoprimer.settings.configuration import Configuration
    from protoprimer.system.console import Console

__all__ = ["shell_command"]


def shell_command(graph: StateGraph) -> int:
    """Become a shell, in the ready environment."""
    line: "CommandLine" = graph.evaluate("command_line")
    configuration: "Configuration" = graph.evaluate("configuration")
    console: "Console" = graph.evaluate("console")
    shell = chosen_shell(line.text("shell"), console)
    environment = ready_environment(graph)
    named = configuration.environment_name
    label = shell_label(configuration.root, None if named == DEFAULT_ENVIRONMENT else named)
    enter_shell(shell, line.text("command"), environment.path, label, configuration.state_directory, console)
    return 0
