"""`./prime` and `./prime reboot`: the ready environment, then the client's main."""

from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import enter_client, ready_environment
from protoprimer.states import Invocation

__all__ = ["boot_command", "reboot_command"]


def boot_command(graph: StateGraph, invocation: Invocation) -> int:
    """Make the environment ready, then run the client's main, if there is one."""
    environment = ready_environment(graph)
    if invocation.client_main is not None:
        enter_client(graph, environment)
    elif environment.built and len(graph.evaluate("store").all()) == 1 and not graph.evaluate("configuration").cell:
        program = graph.evaluate("command_line").program
        words = "ready: go on with %s run -- CMD or %s shell; %s help lists the rest"
        graph.evaluate("console").say(words % (program, program, program))
    return 0


def reboot_command(graph: StateGraph, invocation: Invocation) -> int:
    """Build the environment from scratch, with the pins as they are; then as `boot`."""
    return boot_command(graph, invocation)
