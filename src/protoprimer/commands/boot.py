"""`./prime` and `./prime reboot`: the ready environment, then the client's main."""

from protoprimer.commands.lock import write_lock
from protoprimer.graph import StateGraph
from protoprimer.project.plan import Plan
from protoprimer.runtime.readiness import enter_client, ready_environment
from protoprimer.settings.command_line import CommandLine
from protoprimer.states import Invocation

__all__ = ["boot_command", "reboot_command"]


def boot_command(graph: StateGraph, invocation: Invocation) -> int:
    """Make the environment ready, then run the client's main, if there is one."""
    environment = ready_environment(graph)
    if invocation.client_main is not None:
        enter_client(graph, environment)
    return 0


def reboot_command(graph: StateGraph, command_line: CommandLine, invocation: Invocation, plan: Plan) -> int:
    """Resolve the pins anew where there is a lock, then build from scratch."""
    if plan.lock and not command_line.has("dry-run"):
        write_lock(graph, plan, True, [])
    return boot_command(graph, invocation)
