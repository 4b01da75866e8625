"""`./prime graph`: the states on the way to a target, as a picture."""

from protoprimer.graph import StateGraph
from protoprimer.graph_picture import graph_picture
from protoprimer.system.console import print_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.settings.command_line import CommandLine

__all__ = ["graph_command"]


def graph_command(graph: StateGraph) -> int:
    """Print the states on the way to the target."""
    line: "CommandLine" = graph.evaluate("command_line")
    target = graph.state_of_target(line.text("target") or "environment").name
    print_out(graph_picture(graph, target, line.text("format") or "text"))
    return 0
