"""`./prime check`."""

import json
import os
import sys
import time
from typing import Any

from protoprimer.backends.choosing import Refusal, probe_backends
from protoprimer.backends.installed import metadata_directories
from protoprimer.errors import PrimerError, first_of
from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.tools import ToolBox
from protoprimer.graph import StateGraph
from protoprimer.pythons.choice import all_interpreters
from protoprimer.runtime.foreign_programs import forbids_execution
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.store.building import is_for_this_run_only
from protoprimer.store.generations import GenerationStore, record_of
from protoprimer.store.history import reason_to_build
from protoprimer.store.publishing import environment_facts
from protoprimer.store.ready import read_ready
from protoprimer.system.console import Console, mask_urls, print_out
from protoprimer.system.files import text_of
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal
from protoprimer.system.paths import can_be_made, can_lock_in, with_parents
from protoprimer.system.platform import libc_of_host, machine_of_host

__all__ = ["check_command"]


def check_command(
    graph: StateGraph,
    command_line: CommandLine,
    configuration: Configuration,
    console: Console,
    cache_directory: str,
    toolbox: ToolBox,
) -> int:
    """Say whether the environment is current, and what this host can do; change nothing."""
    reader = toolbox.only_look()
    report = dict(_environment_report(graph, configuration), **_host_report())
    state, cache = configuration.state_directory, cache_directory
    report["directories"] = [_directory_report("state", state), _directory_report("cache", cache)]
    interpreters = all_interpreters(cache_directory, console, configuration.root)
    report["interpreters"] = [_interpreter_entry(one) for one in interpreters]
    refusals = _refusals_of_backends(graph)
    backends = {name: refusal.told if refusal is not None else None for name, refusal in refusals.items()}
    if report["environment"] in backends.values():
        backends = {}
    report["backends"] = {name: reason or True for name, reason in backends.items()}
    report["index"] = toolbox.settings.describe()
    report.update(_network_report(reader))
    report["roads"] = [one._asdict() for one in toolbox.records]
    opens = [one["opens"] for one in report["roads"] if one["opens"]]
    if backends:
        opens.append(
            "install uv, virtualenv, or for the interpreter the module venv (Debian: the package python3-venv)"
        )
    report["ask"] = [] if None in backends.values() else list(dict.fromkeys(opens))
    if command_line.has("json"):
        print_out(console.mask(json.dumps(report, indent=2, sort_keys=True)))
    else:
        if not report["ask"] and console.verbosity < 1:
            # Roads that nobody needs look like faults.
            report["roads"] = []
            in_short = {}  # type: dict[str, str | bool]
            for name in backends:
                refusal = refusals[name]
                in_short[name] = refusal.in_short if refusal is not None else True
            report["backends"] = in_short
        print_out(console.shown("\n".join(_lines_of(report))))
    return 0 if report["environment"] == "current" else 1


def _environment_report(graph: StateGraph, configuration: Configuration) -> "dict[str, Any]":
    from datetime import timedelta

    facts, faults, files = environment_facts(configuration), [], []  # type: Any, list[str], list[str]
    stale = advice = None
    record = record_of(facts["environment-path"])
    try:
        graph.evaluate("readable_lock")
        store, fingerprint = graph.evaluate("store"), graph.evaluate("fingerprint")
        files = graph.evaluate("inputs").described(configuration.root)
        # By content, where ./prime goes by dates.
        found = store.newest(fingerprint)
        faults = found.faults() if found else []
        if not found or faults:
            health = "broken" if faults else "not built for what the repository asks now"
            stale = reason_to_build(store, fingerprint)
        else:
            added = set(metadata_directories(found.path)).difference(found.record.get("distributions", ()))
            faults = [name + " was added by hand" for name in sorted(added)]
            used = read_ready(configuration.state_directory).get("environment", found.path)
            is_other = used != found.path and not is_for_this_run_only(configuration)
            health = "changed by hand" if faults else "built, but another one is in use" if is_other else "current"
        record = found.record if found else record
        helps = "reboot makes it anew" if faults or facts["environment-path"] else "makes it ready"
        advice = None if health == "current" else "./prime " + helps
    except PrimerError as error:
        health = str(error)
    built = record.get("built_seconds")
    return {
        "environment": health,
        **facts,
        "backend": record.get("backend"),
        "built": record.get("since"),
        "age": built and str(timedelta(seconds=int(time.time()) - built)),
        "stale": stale,
        "broken": first_of(faults, 20),
        "inputs": files,
        "environments": [_other_environment(name, configuration) for name in configuration.environment_names],
        "next": advice,
    }


def _other_environment(name: str, configuration: Configuration) -> "dict[str, object]":
    found = GenerationStore(configuration.state_directory, name, Console(-1)).last()
    built = found.record.get("since") if found else None
    return {"name": name, "chosen": name == configuration.environment_name, "built": built}


def _refusals_of_backends(graph: StateGraph) -> "dict[str, Refusal | None]":
    names = ("interpreter", "plan", "toolbox", "console", "configuration")
    try:
        return probe_backends(*[graph.evaluate(name) for name in names])
    except PrimerError as error:
        return {"none": Refusal(str(error), error.cause, frozenset())}


def _interpreter_entry(one: "Interpreter | InterpreterRefusal") -> "dict[str, object]":
    path, refused = (one.executable, None) if isinstance(one, Interpreter) else (one.path, one.reason)
    return {"path": path, "version": one.version, "origin": one.origin, "refused": refused}


def _host_report() -> "dict[str, Any]":
    import getpass
    import platform

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "without a name"
    number = " (%d)" % os.getuid() if hasattr(os, "getuid") else ""
    system = (platform.system(), platform.release(), machine_of_host(), libc_of_host())
    return {"system": " ".join(filter(None, system)), "user": user + number}


def _directory_report(name: str, path: str) -> "dict[str, Any]":
    there = next(filter(os.path.isdir, with_parents(path)))
    return {
        "name": name,
        "path": path,
        "writable": can_be_made(path),
        "executable": not forbids_execution(there),
        "file system": _file_system(there),
        "lockable": can_lock_in(path),
    }


def _file_system(path: str) -> "str | None":
    real, found = os.path.join(os.path.realpath(path), ""), [("", "")]
    for line in text_of("/proc/self/mountinfo").split("\n")[:-1]:
        before, after = line.split(" - ")
        mounted = os.path.join(before.split()[4].replace("\\040", " "), "")
        found += [(mounted, after.split()[0])] if real.startswith(mounted) else []
    return max(found, key=lambda pair: len(pair[0]))[1] or None


def _network_report(reader: UrlReader) -> "dict[str, Any]":
    settings, indexes = reader.settings, []
    for url in settings.index_urls():
        started, answer = time.monotonic(), "not asked: offline"
        try:
            if not settings.offline:
                answer = "answers, and has pip (files: %d)" % len(reader.links(url.rstrip("/") + "/pip/"))
        except (OSError, ValueError) as error:
            is_without_pip = getattr(error, "kind", "") == "not found"
            answer = "answers, and has no pip" if is_without_pip else mask_urls(str(error))
        indexes.append({"url": mask_urls(url), "answer": answer, "seconds": round(time.monotonic() - started, 3)})
    proxies = ["%s through %s" % (name, mask_urls(one)) for name, one in settings.proxies.items() if name != "no"]
    if proxies and settings.proxies.get("no"):
        proxies.append("none for " + settings.proxies["no"])
    return {"indexes": indexes, "proxy": "; ".join(proxies) or "none", "certificates": _certificates(settings.ca_file)}


def _certificates(ca_file: "str | None") -> str:
    if ca_file:
        return ca_file + ("" if os.path.exists(ca_file) else " (which is not there)")
    try:
        import ssl
    except ImportError:
        return "none, since %s was built without ssl" % sys.executable
    paths = ssl.get_default_verify_paths()
    return "the system's: %s" % (paths.cafile or paths.capath or "its own store")


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
