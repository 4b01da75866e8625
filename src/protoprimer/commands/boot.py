"""`./prime` and `./prime reboot`: the ready environment, then the client's main."""

from protoprimer.commands.lock import write_lock
from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import enter_client, ready_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.states import Invocation

__all__ = ["boot_command", "reboot_command"]


def boot_command(graph: StateGraph) -> int:
    """Make the environment ready, then run the client's main, if there is one."""
    environment = ready_environment(graph)
    invocation: "Invocation" = graph.evaluate("invocation")
    if invocation.client_main is not None:
        enter_client(graph, environment, isolated=True)
    return 0


def reboot_command(graph: StateGraph) -> int:
    """Resolve the pins anew where there is a lock, then build from scratch."""
    if graph.evaluate("plan").lock and not graph.evaluate("command_line").has("dry-run"):
        write_lock(graph, True, [])
    return boot_command(graph)
