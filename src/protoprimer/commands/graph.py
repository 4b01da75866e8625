"""`./prime graph`."""

from protoprimer.graph import StateGraph
from protoprimer.graph_picture import graph_picture
from protoprimer.settings.command_line import CommandLine
from protoprimer.system.console import print_out

__all__ = ["graph_command"]


def graph_command(graph: StateGraph, command_line: CommandLine) -> int:
    """Print the states on the way to the target."""
    target = graph.state_of_target(command_line.text("target") or "environment").name
    print_out(graph_picture(graph, target, command_line.text("format") or "text"))
    return 0
