"""`./prime` and `./prime reboot`."""

from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import enter_client, ready_environment
from protoprimer.states import Invocation

__all__ = ["boot_command"]


def boot_command(graph: StateGraph, invocation: Invocation) -> int:
    """Make the environment ready, then run the client's main, if there is one."""
    environment = ready_environment(graph)
    if invocation.client_main is not None:
        enter_client(graph, environment)
    elif environment.built and len(graph.evaluate("store").all()) == 1 and not graph.evaluate("configuration").cell:
        words = "ready: go on with {0} run -- CMD or {0} shell; {0} help lists the rest"
        graph.evaluate("console").say(words.format(invocation.program))
    return 0
