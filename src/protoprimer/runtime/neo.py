"""The neo runtime: it boots the client's main, or heals the environment."""

import os
import sys
from typing import Any

from protoprimer.errors import NotReadyError
from protoprimer.graph import StateGraph
from protoprimer.runtime.client import ClientImportFailed, Primer, call_client, held_variables, takes_primer
from protoprimer.runtime.readiness import enter_client
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import INPUT_VARIABLES
from protoprimer.store.publishing import Environment
from protoprimer.store.ready import forget_ready

__all__ = ["boot_client", "heal_or_explain"]


def boot_client(graph: StateGraph, function: Any) -> Any:
    """Call the client's main; return the exit status."""
    line: CommandLine = graph.evaluate("command_line")
    graph.provide("environment", Environment(sys.prefix, [], False))
    primer = Primer(graph, line, sys.prefix)
    # What `get_config` is to know of options that the client does not see.
    given = {variable: line.text(key) for variable, key in INPUT_VARIABLES.items()}
    given["PROTOPRIMER_OFFLINE"] = "true" if line.has("offline") else None
    given["PROTOPRIMER_VERBOSITY"] = str(line.verbosity()) if line.verbosity() else None
    held_variables().update((variable, value) for variable, value in given.items() if value)
    if takes_primer(function):
        result = call_client(function, primer)
        return primer.run() if result is None else result
    if line.has("help") or line.text("target") is not None or line.command == "graph":
        return primer.run()
    graph.check()
    return call_client(function)


def heal_or_explain(graph: StateGraph, failure: ClientImportFailed) -> int:
    """Rebuild an environment that has lost files, and enter it; in a sound one, raise the failure."""
    store, here = graph.evaluate("store"), os.path.realpath(sys.prefix)
    faults = [fault for one in store.all() if os.path.realpath(one.path) == here for fault in one.faults()]
    if not faults:
        raise failure
    if graph.evaluate("invocation").kind == "start":
        # Else ./prime would go by it: no directory's time shows a file that lost its content.
        forget_ready(os.path.dirname(store.directory))
        raise NotReadyError("the environment is damaged: %s" % faults[0], None, "run ./prime")
    os.environ.update(held_variables())
    enter_client(graph, graph.evaluate("environment"))
    return 0
