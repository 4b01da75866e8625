"""One function per command: what happens once the command line is known."""

import json
import os

from protoprimer.authoring.update import renew_kernel
from protoprimer.backends.choosing import probe_backends, select_backend
from protoprimer.commands.bundle import bundle_command
from protoprimer.commands.completion import completion_command
from protoprimer.commands.matrix.command import matrix_command
from protoprimer.commands.shells import chosen_shell, enter_shell, shell_label
from protoprimer.errors import BackendError, InstallError, NotReadyError, PrimerError
from protoprimer.fetch.wheels import remove_unused
from protoprimer.graph import StateGraph
from protoprimer.graph_picture import graph_picture
from protoprimer.project.locks import load_lock
from protoprimer.project.metadata import normalized_project_name
from protoprimer.project.plan import make_plan
from protoprimer.pythons.choice import all_interpreters
from protoprimer.pythons.probe import Interpreter
from protoprimer.runtime.switch import enter_command, enter_environment
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, LEAPS, Configuration
from protoprimer.settings.schema import CLIENT_SCHEMA
from protoprimer.states import DryRunEnds
from protoprimer.store.building import is_steered
from protoprimer.store.publishing import Environment, standing_environment
from protoprimer.store.state_directory import remove_unused_state_directory
from protoprimer.system.console import print_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from protoprimer.project.plan import Plan
    from protoprimer.states import Invocation
    from protoprimer.store.file_lock import FileLock
    from protoprimer.store.generations import GenerationStore
    from protoprimer.system.console import Console

_SECONDS_KEPT_UNUSED = 30 * 24 * 3600

__all__ = ["COMMAND_FUNCTIONS", "enter_client", "ready_environment", "standing_or_stale_environment"]


def ready_environment(graph: "StateGraph") -> Environment:
    """Return the environment, built if it has to be."""
    line, configuration = _line_and_configuration(graph)
    if line.command != "reboot":
        standing = standing_environment(configuration)
        if standing is not None:
            if line.has("dry-run"):
                raise DryRunEnds("nothing to do: the environment is ready")
            return standing
    is_first = not os.path.exists(os.path.join(configuration.state_directory, "ready"))
    is_new = not os.path.lexists(configuration.state_directory)
    try:
        if is_first and not (line.command == "reboot" or line.has("dry-run") or is_steered(configuration)):
            environment = _first_environment(graph, configuration)
        else:
            environment = graph.evaluate("environment")
    except BackendError:
        if is_new:
            _leave_nothing(graph.evaluate("lock"), configuration.state_directory)
        raise
    renew_kernel(configuration, environment.path, graph.evaluate("console"))
    return environment


def _first_environment(graph: "StateGraph", configuration: Configuration) -> Environment:
    """Return what the first of many that come at once makes; the others look no further until it is there."""
    # What is wrong with these is said before anything is written. Who finds a state directory comes after one that has
    # looked around.
    looks = configuration.text("python-selector") or not os.path.exists(configuration.state_directory)
    for name in ["inputs"] + ["interpreter"] * bool(looks):
        graph.evaluate(name)
    for name in ("readable_lock", "backends", "index_settings"):
        graph.evaluate(name)
    lock: "FileLock" = graph.evaluate("lock")
    try:
        is_held = lock.acquire(unless=lambda: standing_environment(configuration) is not None)
    except InstallError:
        # Nobody can build here; perhaps nothing has to be built.
        is_held = False
    try:
        made: "Environment" = standing_environment(configuration) or graph.evaluate("environment")
        return made
    finally:
        if is_held:
            lock.release()


def _leave_nothing(lock: "FileLock", state_directory: str) -> None:
    """Take the state directory away that this run has made for nothing, unless others are at work there."""
    try:
        if lock.acquire(unless=lambda: True):
            remove_unused_state_directory(state_directory, lock.path)
            lock.release()
    except PrimerError:
        # The host's fault is to be told, not this.
        pass


def standing_or_stale_environment(graph: "StateGraph") -> Environment:
    """Return the environment for `start_app`, which never provisions: warn if it is stale.

    :raises NotReadyError: exit code 8: there is none
    """
    configuration: "Configuration" = graph.evaluate("configuration")
    standing = standing_environment(configuration)
    if standing is not None:
        return standing
    store, console = graph.evaluate("store"), graph.evaluate("console")
    fingerprint = graph.evaluate("fingerprint")
    current = store.find(fingerprint)
    if current is not None:
        graph.provide("generation", (current, False))
        made: "Environment" = graph.evaluate("environment")
        return made
    last = store.last()
    if last is None:
        raise NotReadyError("the environment is not ready", configuration.state_directory, "run ./prime")
    console.warn("the environment is older than what it is made from; run ./prime to renew it")
    return Environment(last.path, [configuration.root], False)


def enter_client(graph: "StateGraph", environment: Environment, isolated: bool) -> None:
    """Switch to the neo runtime. Does not return."""
    invocation: "Invocation" = graph.evaluate("invocation")
    configuration: "Configuration" = graph.evaluate("configuration")
    enter_environment(
        environment.path,
        invocation.program,
        invocation.arguments,
        configuration.root,
        environment.client_paths,
        isolated,
    )


def _run(graph: "StateGraph") -> int:
    line: "CommandLine" = graph.evaluate("command_line")
    enter_command(line.operands, ready_environment(graph).path)
    return 0


def _shell(graph: "StateGraph") -> int:
    line, configuration = _line_and_configuration(graph)
    console: "Console" = graph.evaluate("console")
    shell = chosen_shell(line.text("shell"), console)
    environment = ready_environment(graph)
    named = configuration.environment_name
    label = shell_label(configuration.root, None if named == DEFAULT_ENVIRONMENT else named)
    enter_shell(shell, line.text("command"), environment.path, label, configuration.state_directory, console)
    return 0


def _lock(graph: "StateGraph") -> int:
    line, configuration = _line_and_configuration(graph)
    graph.provide("plan", make_plan(configuration, lock_must_exist=False))
    return _write_lock(graph, line.has("upgrade"), line.texts("upgrade-package"))


def _write_lock(graph: "StateGraph", upgrade_all: bool, upgrade_packages: "list[str]") -> int:
    line, configuration = _line_and_configuration(graph)
    plan: "Plan" = graph.evaluate("plan")
    interpreter: "Interpreter" = graph.evaluate("interpreter")
    console: "Console" = graph.evaluate("console")
    output = plan.lock_to_write()
    if os.path.exists(output):
        load_lock(output)
    if line.has("dry-run"):
        raise DryRunEnds("would resolve the pins into %s" % output)
    tools, wanted = graph.evaluate("toolbox"), graph.evaluate("backends")
    backend, why = select_backend(wanted, interpreter, plan, tools, console, configuration)
    name, settings = os.path.basename(output), graph.evaluate("index_settings")
    try:
        with graph.evaluate("lock"), console.step("locked %s with %s" % (name, why)):
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


def _reboot(graph: "StateGraph") -> int:
    if graph.evaluate("plan").lock and not graph.evaluate("command_line").has("dry-run"):
        _write_lock(graph, True, [])
    return _boot(graph)


def _eval(graph: "StateGraph") -> int:
    line, configuration = _line_and_configuration(graph)
    required = graph.evaluate("required_python")
    if "python" not in configuration.settings:
        configuration.derive("python", required.request.text, required.place)
    plan: "Plan" = graph.evaluate("plan")
    if "lock" not in configuration.settings and plan.lock:
        configuration.derive("lock", os.path.relpath(plan.lock, configuration.root), "present")
    if "install" not in configuration.settings and plan.steps:
        configuration.derive("install", [_described_step(step, configuration.root) for step in plan.steps], "the root")
    values = _effective_values(configuration)
    if line.has("json"):
        document = {
            "root": configuration.root,
            "kernel": configuration.kernel_path,
            "state": configuration.state_directory,
            "environment": configuration.environment_name,
            "environments": configuration.environment_names,
            "values": values,
        }
        print_out(json.dumps(document, indent=2, sort_keys=True))
        return 0
    print_out("root %s, environment %s\n" % (configuration.root, configuration.environment_name))
    said = [(key, _as_toml_line(one["value"]), one) for key, one in values.items() if key in configuration.settings]
    widths = [max([len(key) for key, _, _ in said] or [0]), min(60, max([len(value) for _, value, _ in said] or [0]))]
    for key, value, one in said:
        print_out("%-*s = %-*s  # %s: %s" % (widths[0], key, widths[1], value, one["leap"], one["place"]))
    rest = {key: one["value"] for key, one in values.items() if key not in configuration.settings}
    defaults = ["%s = %s" % (key, _as_toml_line(value)) for key, value in rest.items() if value is not None]
    print_out("\n".join(([""] if said else []) + ["# by default:"] + defaults))
    print_out("# not set: " + ", ".join(key for key, value in rest.items() if value is None))
    return 0


def _described_step(step: "Any", root: str) -> "dict[str, list[str]]":
    return {
        "projects": [os.path.relpath(project.path, root) for project in step.projects],
        "requirements": [os.path.relpath(path, root) for path in step.requirements],
    }


def _as_toml_line(value: object) -> str:
    """Return a value as TOML on one line, less what is empty or as it would be anyway."""
    if isinstance(value, dict):
        left_out = [("editable", True)]
        parts = [pair for pair in sorted(value.items()) if pair[1] not in ([], None) and pair not in left_out]
        return "{ %s }" % ", ".join("%s = %s" % (key, _as_toml_line(part)) for key, part in parts)
    if isinstance(value, list):
        return "[%s]" % ", ".join(_as_toml_line(part) for part in value)
    return json.dumps(value, sort_keys=True)


def _effective_values(configuration: Configuration) -> "dict[str, dict[str, object]]":
    values = {}  # type: dict[str, dict[str, object]]
    for key in CLIENT_SCHEMA["properties"]:
        if key == "env":
            continue
        setting = configuration.settings.get(key)
        values[key] = {
            "value": configuration.get(key),
            "leap": setting.leap if setting else LEAPS[-1],
            "place": configuration.place_of(key),
        }
    return values


def _check(graph: "StateGraph") -> int:
    line: "CommandLine" = graph.evaluate("command_line")
    health, status = _health(graph)
    console, cache = graph.evaluate("console"), graph.evaluate("cache_directory")
    interpreters = all_interpreters(cache, console)
    backends = _backend_answers(graph)
    settings = graph.evaluate("index_settings")
    report = {
        "environment": health,
        "interpreters": [_interpreter_entry(one) for one in interpreters],
        "backends": {name: reason is None or reason for name, reason in backends.items()},
        "index": settings.describe(),
    }  # type: dict[str, object]
    if line.has("json"):
        print_out(json.dumps(report, indent=2, sort_keys=True))
        return status
    print_out("environment: %s" % health)
    for one in interpreters:
        print_out("interpreter: %s" % " ".join(str(part) for part in _interpreter_entry(one).values() if part))
    for name, reason in backends.items():
        print_out("backend: %s: %s" % (name, reason or "can serve"))
    for described in settings.describe():
        print_out("index: %s" % described)
    return status


def _health(graph: "StateGraph") -> "tuple[str, int]":
    configuration: "Configuration" = graph.evaluate("configuration")
    if standing_environment(configuration) is not None:
        return "current", 0
    store: "GenerationStore" = graph.evaluate("store")
    try:
        graph.evaluate("readable_lock")
        found = store.find(graph.evaluate("fingerprint"))
    except PrimerError as error:
        return str(error), 1
    reason = store.is_intact(found) if found is not None else "not built for what the repository asks now"
    return ("current", 0) if reason is None else (reason, 1)


def _backend_answers(graph: "StateGraph") -> "dict[str, str | None]":
    try:
        interpreter = graph.evaluate("interpreter")
    except PrimerError as error:
        return {"none": str(error)}
    plan = graph.evaluate("plan")
    toolbox, console = graph.evaluate("toolbox"), graph.evaluate("console")
    return probe_backends(interpreter, plan, toolbox, console, graph.evaluate("configuration"))


def _interpreter_entry(one: "Any") -> "dict[str, object]":
    if isinstance(one, Interpreter):
        return {"path": one.executable, "version": one.version, "origin": one.origin, "refused": None}
    return {"path": one.path, "version": one.version, "origin": one.origin, "refused": one.reason}


def _gc(graph: "StateGraph") -> int:
    line, configuration = _line_and_configuration(graph)
    store, console = graph.evaluate("store"), graph.evaluate("console")
    keep = configuration.get("keep")
    if line.has("dry-run"):
        console.say("would keep %d generations of each environment" % keep)
        return 0
    removed = []
    if os.path.lexists(configuration.state_directory):
        with graph.evaluate("lock"):
            removed = store.collect(keep, [])
    console.say("removed %d generation%s" % (len(removed), "" if len(removed) == 1 else "s"))
    cache = graph.evaluate("cache_directory")
    number = sum(remove_unused(os.path.join(cache, name), _SECONDS_KEPT_UNUSED) for name in ("pins", "editables"))
    if number:
        console.say("removed %d wheel%s from the cache" % (number, "" if number == 1 else "s"))
    return 0


def _boot(graph: "StateGraph") -> int:
    environment = ready_environment(graph)
    invocation: "Invocation" = graph.evaluate("invocation")
    if invocation.client_main is not None:
        enter_client(graph, environment, isolated=True)
    return 0


def _line_and_configuration(graph: "StateGraph") -> "tuple[CommandLine, Configuration]":
    return graph.evaluate("command_line"), graph.evaluate("configuration")


def _graph(graph: "StateGraph") -> int:
    line: "CommandLine" = graph.evaluate("command_line")
    target = graph.state_of_target(line.text("target") or "environment").name
    print_out(graph_picture(graph, target, line.text("format") or "text"))
    return 0


COMMAND_FUNCTIONS: "dict[str, Callable[[StateGraph], int]]" = {
    "boot": _boot,
    "reboot": _reboot,
    "run": _run,
    "shell": _shell,
    "lock": _lock,
    "eval": _eval,
    "check": _check,
    "gc": _gc,
    "graph": _graph,
    "matrix": matrix_command,
    "bundle": bundle_command,
    "completion": completion_command,
}
