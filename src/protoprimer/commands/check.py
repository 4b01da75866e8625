"""`./prime check`: whether the environment is current, and what this host can do. It changes and downloads nothing."""

import json
import time
from typing import Any

from protoprimer.backends.choosing import probe_backends
from protoprimer.commands.host_report import directory_report, host_report, network_report
from protoprimer.errors import PrimerError
from protoprimer.fetch.bundles import OpenedBundle
from protoprimer.graph import StateGraph
from protoprimer.pythons.choice import all_interpreters
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.store.building import is_for_this_run_only
from protoprimer.store.generations import GenerationStore, record_of
from protoprimer.store.history import reason_to_build
from protoprimer.store.publishing import environment_facts
from protoprimer.store.ready import read_ready
from protoprimer.system.console import Console, print_out
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal

__all__ = ["check_command"]

_FAULTS_SHOWN = 20


def check_command(
    graph: StateGraph,
    command_line: CommandLine,
    configuration: Configuration,
    console: Console,
    cache_directory: str,
    index_settings: IndexSettings,
    bundle: "OpenedBundle | None",
) -> int:
    """Say what this host can do; status 1 means that the environment is not current."""
    toolbox = graph.evaluate("toolbox")
    reader = toolbox.only_look()
    report = dict(_environment_report(graph, configuration), **host_report())
    places = (("state", configuration.state_directory), ("cache", cache_directory))
    report["directories"] = [directory_report(*place) for place in places]
    report["interpreters"] = [_interpreter_entry(one) for one in all_interpreters(cache_directory, console)]
    backends = _backend_answers(graph)
    report["backends"] = {name: reason or True for name, reason in backends.items()}
    settings = index_settings.of_bundle(bundle.directory) if bundle else index_settings
    report["index"] = settings.describe()
    report.update(network_report(settings, None if configuration.offline else reader))
    report["roads"] = [one._asdict() for one in toolbox.records]
    opens = [one["opens"] for one in report["roads"] if one["opens"]]
    opens.append("install uv, virtualenv, or for the interpreter the module venv (Debian: the package python3-venv)")
    report["ask"] = [] if None in backends.values() else list(dict.fromkeys(opens))
    as_json = command_line.has("json")
    print_out(json.dumps(report, indent=2, sort_keys=True) if as_json else "\n".join(_lines_of(report)))
    return 0 if report["environment"] == "current" else 1


def _environment_report(graph: StateGraph, configuration: Configuration) -> "dict[str, Any]":
    facts, faults, stale, files = environment_facts(configuration), [], None, []  # type: Any, list[str], Any, list[str]
    record = record_of(facts["environment-path"] or "")
    try:
        graph.evaluate("readable_lock")
        store, fingerprint = graph.evaluate("store"), graph.evaluate("fingerprint")
        files = graph.evaluate("inputs").described(configuration.root)
        # By content, not by what `ready` says: an edit whose time was set back is found here.
        found = store.newest(fingerprint)
        faults = found.faults() if found else []
        health = "broken" if faults else "current" if found else "not built for what the repository asks now"
        stale = None if found and not faults else reason_to_build(store, fingerprint)
        ready = read_ready(configuration.state_directory)
        if health == "current" and ready and not is_for_this_run_only(configuration):
            health = "current" if ready["environment"] == found.path else "built, but another one is in use"
        record = found.record if found else record
    except PrimerError as error:
        health = str(error)
    more = ["and %d more" % (len(faults) - _FAULTS_SHOWN)] if len(faults) > _FAULTS_SHOWN else []
    return {
        "environment": health,
        **facts,
        "backend": record.get("backend"),
        "built": record.get("built"),
        "age": _age_in_words(record.get("built_seconds")),
        "stale": stale,
        "broken": faults[:_FAULTS_SHOWN] + more,
        "inputs": files,
        "environments": [_other_environment(name, configuration) for name in configuration.environment_names],
        "next": None if health == "current" else "./prime reboot makes it anew" if faults else "./prime makes it ready",
    }


def _other_environment(name: str, configuration: Configuration) -> "dict[str, object]":
    found = GenerationStore(configuration.state_directory, name, Console(-1)).last()
    is_chosen = name == configuration.environment_name
    return {"name": name, "chosen": is_chosen, "built": found.record.get("built") if found else None}


def _age_in_words(built: object) -> "str | None":
    from datetime import timedelta

    # Such as `3 days, 4:05:06`.
    return str(timedelta(seconds=int(time.time() - built))) if isinstance(built, int) else None


def _backend_answers(graph: StateGraph) -> "dict[str, str | None]":
    names = ("interpreter", "plan", "toolbox", "console", "configuration")
    try:
        return probe_backends(*map(graph.evaluate, names))
    except PrimerError as error:
        return {"none": str(error)}


def _interpreter_entry(one: "Interpreter | InterpreterRefusal") -> "dict[str, object]":
    path, refused = (one.executable, None) if isinstance(one, Interpreter) else (one.path, one.reason)
    return {"path": path, "version": one.version, "origin": one.origin, "refused": refused}


def _lines_of(report: "dict[str, Any]") -> "list[str]":
    lines = []
    for key, value in report.items():
        if isinstance(value, dict):
            lines += ["backend: %s: %s" % (name, "can serve" if one is True else one) for name, one in value.items()]
        elif key == "ask":
            asked = ["  - " + one for one in value]
            lines += ["", "ask your administrator for one of these:", *asked] if asked else []
        elif isinstance(value, list):
            name = {"directories": "directory", "indexes": "server", "index": "index"}.get(key, key.rstrip("s"))
            lines += ["%s: %s" % (name, _in_words(one)) for one in value]
        elif value is not None:
            lines.append("%s: %s" % (key, value))
    return lines


def _in_words(entry: "str | dict[str, Any]") -> str:
    if isinstance(entry, str):
        return entry
    if "detail" in entry:
        return "%s: %s%s" % (entry["tool"], entry["detail"], entry["opens"] and "; to open it: " + entry["opens"])
    words = [("" if value else "not ") + key if isinstance(value, bool) else value for key, value in entry.items()]
    return ", ".join(str(word) for word in words if word is not None)
