"""The neo runtime's part: booting the client's main, or healing an environment in which it cannot be imported."""

import os
import sys

from protoprimer.errors import NotReadyError
from protoprimer.runtime.client import ClientImportFailed, Primer, call_client, held_variables, takes_primer
from protoprimer.runtime.invocation import inputs_as_variables
from protoprimer.runtime.readiness import enter_client
from protoprimer.states import Invocation, bootstrap_graph
from protoprimer.store.publishing import Environment
from protoprimer.store.ready import forget_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protoprimer.settings.command_line import CommandLine

__all__ = ["boot_client", "client_arguments", "heal_or_explain"]


def client_arguments(invocation: Invocation) -> "list[str]":
    """Return the arguments that are the client's: in a `boot` script, those that follow protoprimer's.

    :raises UsageError: exit code 2: protoprimer's are wrong
    """
    line: "CommandLine" = bootstrap_graph(invocation).evaluate("command_line")
    return line.client_arguments


def boot_client(invocation: Invocation, function: "Any") -> "Any":
    """Call the client's main with what it asks for, the primer among it; return what it returns."""
    graph = bootstrap_graph(invocation)
    line: "CommandLine" = graph.evaluate("command_line")
    graph.provide("environment", Environment(sys.prefix, [], False))
    primer = Primer(graph, line, sys.prefix)
    # What `get_config` is to know of options that the client does not see.
    held_variables().update(inputs_as_variables(line))
    if takes_primer(function):
        result = call_client(function, invocation.program, line.client_arguments, primer)
        return primer.run() if result is None else result
    if line.has("help") or line.text("target") is not None or line.command == "graph":
        return call_client(primer.run, invocation.program, line.client_arguments)
    graph.check()
    return call_client(function, invocation.program, line.client_arguments)


def heal_or_explain(invocation: Invocation, kind: str, failure: ClientImportFailed) -> int:
    """Rebuild an environment that has lost files; in a sound one the failure is the client's to mend."""
    graph = bootstrap_graph(invocation)
    store = graph.evaluate("store")
    here = os.path.realpath(sys.prefix)
    broken = [one for one in store.all() if os.path.realpath(one.path) == here and one.faults()]
    if not broken:
        raise failure.explained(sys.prefix)
    if kind == "start":
        # Else ./prime would go by it: that a file lost its content shows in no time of a directory.
        forget_ready(os.path.dirname(store.directory))
        raise NotReadyError("the environment is damaged: %s" % broken[0].faults()[0], None, "run ./prime")
    os.environ.update(held_variables())
    enter_client(graph, graph.evaluate("environment"))
    return 0
