"""`./prime run -- CMD`: a command inside the environment."""

from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import ready_environment
from protoprimer.runtime.switch import enter_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.settings.command_line import CommandLine

__all__ = ["run_command"]


def run_command(graph: StateGraph) -> int:
    """Become the command, in the ready environment."""
    line: "CommandLine" = graph.evaluate("command_line")
    enter_command(line.operands, ready_environment(graph).path)
    return 0
