"""`./prime check`: what this host can do, and whether the environment is current."""

import json

from protoprimer.backends.choosing import probe_backends
from protoprimer.errors import PrimerError
from protoprimer.graph import StateGraph
from protoprimer.project.inputs import Inputs
from protoprimer.pythons.choice import all_interpreters
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.store.publishing import environment_facts
from protoprimer.system.console import Console, print_out
from protoprimer.system.interpreter import Interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["check_command"]

_FAULTS_SHOWN = 20


def check_command(
    graph: StateGraph,
    command_line: CommandLine,
    configuration: Configuration,
    console: Console,
    cache_directory: str,
    index_settings: IndexSettings,
) -> int:
    """Say what this host can do; status 0 means that the environment is current, 1 that there is work to do."""
    health, status = _health(graph)
    facts = environment_facts(configuration)
    interpreters = all_interpreters(cache_directory, console)
    backends = _backend_answers(graph)
    report = {
        "environment": health,
        **facts,
        "interpreters": [_interpreter_entry(one) for one in interpreters],
        "backends": {name: reason is None or reason for name, reason in backends.items()},
        "index": index_settings.describe(),
        "inputs": _inputs(graph),
    }  # type: dict[str, object]
    if command_line.has("json"):
        print_out(json.dumps(report, indent=2, sort_keys=True))
        return status
    print_out("environment: %s" % health)
    for key, value in facts.items():
        if value is not None:
            print_out("%s: %s" % (key, value))
    for one in interpreters:
        print_out("interpreter: %s" % " ".join(str(part) for part in _interpreter_entry(one).values() if part))
    for name, reason in backends.items():
        print_out("backend: %s: %s" % (name, reason or "can serve"))
    for described in index_settings.describe():
        print_out("index: %s" % described)
    for name in _inputs(graph):
        print_out("input: %s" % name)
    return status


def _inputs(graph: StateGraph) -> "list[str]":
    try:
        found: Inputs = graph.evaluate("inputs")
    except PrimerError:
        return []
    return found.described(graph.evaluate("configuration").root)


def _health(graph: StateGraph) -> "tuple[str, int]":
    """Return in a few words how the environment is, and the status; each of its files is looked at."""
    # By content, not by what `ready` says: an edit whose time was set back is found here.
    store = graph.evaluate("store")
    try:
        graph.evaluate("readable_lock")
        found = store.newest(graph.evaluate("fingerprint"))
    except PrimerError as error:
        return str(error), 1
    if found is None:
        return "not built for what the repository asks now", 1
    faults = store.faults(found)
    if not faults:
        return "current", 0
    shown = faults[:_FAULTS_SHOWN] + ["%d more" % (len(faults) - _FAULTS_SHOWN)] * (len(faults) > _FAULTS_SHOWN)
    return "; ".join(shown) + ": ./prime reboot makes it anew", 1


def _backend_answers(graph: StateGraph) -> "dict[str, str | None]":
    try:
        interpreter = graph.evaluate("interpreter")
    except PrimerError as error:
        return {"none": str(error)}
    names = ("plan", "toolbox", "console", "configuration")
    return probe_backends(interpreter, *(graph.evaluate(name) for name in names))


def _interpreter_entry(one: "Any") -> "dict[str, object]":
    if isinstance(one, Interpreter):
        return {"path": one.executable, "version": one.version, "origin": one.origin, "refused": None}
    return {"path": one.path, "version": one.version, "origin": one.origin, "refused": one.reason}
