"""The ready environment, and the way into it."""

import os
import sys

from protoprimer.authoring.kernel import renew_kernel
from protoprimer.errors import DryRunEnds, InstallError, NotReadyError
from protoprimer.graph import StateGraph
from protoprimer.runtime.switch import enter_environment, is_isolated
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.states import Invocation
from protoprimer.store.building import InputsChangedError
from protoprimer.store.file_lock import told_as_disk_failure
from protoprimer.store.publishing import Environment, environment_of_ready
from protoprimer.store.ready import write_launcher

__all__ = ["enter_client", "enter_script", "ready_environment", "ready_or_stale_environment"]

# The repository's files do not change these states.
_APART_FROM_INPUTS = ("command_line", "console", "cache_directory", "lock", "store")


def ready_environment(graph: StateGraph) -> Environment:
    """Return the environment, built if it has to be, and renew the kernel file."""
    line: CommandLine = graph.evaluate("command_line")
    configuration: Configuration = graph.evaluate("configuration")
    found = None if line.command == "reboot" else environment_of_ready(configuration)
    if found is not None:
        if line.has("dry-run"):
            raise DryRunEnds("nothing to do: the environment is ready")
        return found
    try:
        environment: Environment = graph.evaluate("environment")
    except InputsChangedError as changed:
        graph.evaluate("console").say("%s: planning anew" % changed.cause)
        graph.forget_all_but(_APART_FROM_INPUTS)
        graph.provide("is_second_try", True)
        environment = graph.evaluate("environment")
    renew_kernel(configuration, environment.path, graph.evaluate("console"))
    return environment


def ready_or_stale_environment(graph: StateGraph) -> Environment:
    """Return the environment that is there; warn if it is stale, refuse if there is none."""
    configuration: Configuration = graph.evaluate("configuration")
    found = environment_of_ready(configuration)
    if found is not None:
        return found
    store = graph.evaluate("store")
    current = store.find(graph.evaluate("fingerprint"))
    if current is not None:
        graph.provide("generation", current)
        return graph.evaluate("environment")  # type: ignore[no-any-return]
    last = store.last()
    if last is None:
        raise NotReadyError("the environment is not ready", configuration.state_directory, "run ./prime")
    graph.evaluate("console").warn("the environment is older than what it is made from; run ./prime to renew it")
    return Environment(last.path, [configuration.root], False)


def enter_client(graph: StateGraph, environment: Environment) -> None:
    """Switch to the neo runtime. Does not return."""
    invocation: Invocation = graph.evaluate("invocation")
    configuration: Configuration = graph.evaluate("configuration")
    command, isolated = [invocation.program] + invocation.arguments, is_isolated()
    if isolated:
        with told_as_disk_failure("write launch.py", configuration.state_directory):
            launcher = write_launcher(configuration.state_directory)
        command = [launcher, invocation.kind, str(invocation.client_main)] + command
    enter_environment(environment.path, command, configuration.root, environment.client_paths, isolated)


def enter_script(graph: StateGraph, environment: Environment) -> None:
    """Start a script that imports the client itself again, in the environment."""
    invocation: Invocation = graph.evaluate("invocation")
    if os.path.realpath(sys.prefix) == os.path.realpath(environment.path):
        cause = "what %s imports first is not in the environment" % invocation.program
        advice = "name the project or requirement that brings it in 'install', or correct the import"
        raise InstallError(cause, environment.path, advice)
    root = graph.evaluate("configuration").root
    enter_environment(environment.path, [invocation.program] + invocation.arguments, root, [], False, False)
