"""`./prime lock`: the pins of what the repository asks for, written beside it."""

import os

from protoprimer.backends.choosing import select_backend
from protoprimer.errors import DryRunEnds, InstallError
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.graph import StateGraph
from protoprimer.project.locks_read import load_lock
from protoprimer.project.own_name import refuse_bare_name
from protoprimer.project.plan import Plan, make_plan
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration

__all__ = ["lock_command", "write_lock"]


def lock_command(graph: StateGraph, command_line: CommandLine, configuration: Configuration) -> int:
    """Write the lock file; pins that are there stay unless they are to be upgraded."""
    plan = make_plan(configuration, lock_must_exist=False)
    graph.provide("plan", plan)
    return write_lock(graph, plan, command_line.has("upgrade"), command_line.texts("upgrade-package"))


def write_lock(graph: StateGraph, plan: Plan, upgrade_all: bool, upgrade_packages: "list[str]") -> int:
    """Write the lock file; return the exit status.

    :param upgrade_all: no pin stays because it is there
    :param upgrade_packages: the packages whose pins do not
    :raises InstallError: exit code 6: the requirements cannot be resolved
    """
    interpreter, console = graph.evaluate("interpreter"), graph.evaluate("console")
    refuse_bare_name(plan, graph.evaluate("index_settings"))
    output = plan.lock_to_write()
    if os.path.exists(output):
        load_lock(output)
    if graph.evaluate("command_line").has("dry-run"):
        raise DryRunEnds("would resolve the pins into %s" % output)
    tools, wanted = graph.evaluate("toolbox"), graph.evaluate("backends")
    backend, why = select_backend(wanted, interpreter, plan, tools, console, graph.evaluate("configuration"))
    name, settings = os.path.basename(output), graph.evaluate("index_settings")
    try:
        with graph.evaluate("lock"), console.step(
            "locking %s with %s" % (name, why), "locked %s with %s" % (name, why)
        ):
            backend.lock(interpreter, plan, output, upgrade_all, upgrade_packages)
    except InstallError as error:
        if settings.left_out_of_locks():
            left_out = "a lock leaves this host's directories out: " + ", ".join(settings.left_out_of_locks())
            error.advice = "; ".join(filter(None, [error.advice, left_out]))
        raise
    pins = load_lock(output) if upgrade_packages else {}
    locked = {normalized_project_name(str(one.get("name"))) for one in pins.get("packages", pins.get("package", []))}
    for package in upgrade_packages:
        if normalized_project_name(package) not in locked:
            console.warn("%s has no package %s" % (name, package))
    return 0
