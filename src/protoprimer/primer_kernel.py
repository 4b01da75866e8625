"""The public façade: `run_main`, `boot_env`, `start_app`, `get_config`, `state`, `lazy`, `StateGraph`."""

import os
import sys

from protoprimer.announcing import Environment, standing_environment
from protoprimer.cli import CommandLine, help_text
from protoprimer.client import (
    ClientImportFailed,
    Primer,
    call_client,
    client_function,
    held_variables,
    takes_primer,
)
from protoprimer.commands import (
    COMMAND_FUNCTIONS,
    enter_client,
    ready_environment,
    standing_or_stale_environment,
)
from protoprimer.configuration import INPUT_VARIABLES, LEAPS, Configuration
from protoprimer.console import Console
from protoprimer.errors import InstallError, NotReadyError, PrimerError, UsageError, nearest_name
from protoprimer.graph import StateGraph, lazy, state
from protoprimer.process import Terminated
from protoprimer.ready import forget_ready
from protoprimer.states import DryRunEnds, Invocation, bootstrap_graph
from protoprimer.switch import is_neo_runtime
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["Primer", "PrimerError", "StateGraph", "boot_env", "get_config", "lazy", "run_main", "start_app", "state"]

INTERRUPTED = 130


def run_main(main: str) -> "NoReturn":
    """Heal the environment if needed, then run the client's main in it; the arguments are all the client's.

    :param main: `module:function`; what it returns is the exit status, as for `sys.exit`
    """
    _serve("run", main)


def boot_env(main: "str | None" = None) -> "NoReturn":
    """Serve protoprimer's command line, then run the client's main, if there is one, in the environment.

    :param main: `module:function`; a main with a parameter `primer` is handed the `Primer`, and may extend the graph
    """
    _serve("boot", main)


def start_app(main: str) -> "NoReturn":
    """Run the client's main in the environment that is there; never provision one.

    Without an environment it ends with exit code 8; a stale one is used, with one warning.

    :param main: `module:function`
    """
    _serve("start", main)


def get_config(leap: str = "derived") -> "dict[str, Any]":
    """Return what the configuration says, as data, without a restart.

    :param leap: `input`, `primer`, `client`, `env` or `derived`
    :raises UsageError: exit code 2: there is no such leap
    """
    if leap not in LEAPS:
        near = nearest_name(leap, list(LEAPS))
        raise UsageError("there is no leap %r" % leap, None, "did you mean %r?" % near if near else ", ".join(LEAPS))
    graph = bootstrap_graph(_invocation("run", None))
    configuration = graph.evaluate("configuration")
    assert isinstance(configuration, Configuration)
    if leap != "derived":
        return dict(configuration.leaps[leap])
    return configuration.effective()


def _serve(kind: str, main: "str | None") -> "NoReturn":
    console = Console()
    in_neo = is_neo_runtime(dict(os.environ))
    try:
        status = _serve_neo(kind, main) if in_neo else _serve_proto(kind, main, console)
    except DryRunEnds as ended:
        console.say(str(ended))
        status = 0
    except PrimerError as error:
        console.error(error)
        status = error.exit_code
    except KeyboardInterrupt:
        console.error("interrupted")
        status = INTERRUPTED
    except Terminated as ended:
        ended.end_this_process()
    except Exception as error:
        if in_neo:
            # The client's own: it is shown as the client's.
            raise
        status = _tell_unexpected(error, console)
    sys.exit(status)


def _tell_unexpected(error: Exception, console: Console) -> int:
    """Tell a failure that nobody foresaw; return its exit code, that of a failed installation."""
    import traceback

    console.record("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = "unexpected %s: %s (line %d, %s)" % (type(error).__name__, error, place.lineno or 0, place.name)
    advice = (
        None if isinstance(error, OSError) else "run it with -vv and report what that shows: this is a fault of ours"
    )
    console.error(InstallError(what, getattr(error, "filename", None), advice))
    return InstallError.exit_code


def _serve_proto(kind: str, main: "str | None", console: Console) -> int:
    _keep_only_standard_library_on_path()
    answer_to_import()
    graph = bootstrap_graph(_invocation(kind, main))
    line = graph.evaluate("command_line")
    assert isinstance(line, CommandLine)
    _share_console(graph, console)
    if line.has("version"):
        print("protoprimer " + VERSION)
        return 0
    if line.has("help") and not (line.command == "boot" and main and _can_ask_client(graph)):
        print(help_text(line.program, line.command, _HOW_TO_SEE_MORE % "options" if main else None))
        return 0
    target = line.text("target")
    if target is not None and (main is None or target in _targets_of(graph)):
        name = graph.state_of_target(target).name
        if line.command in ("boot", "reboot"):
            _ = ready_environment(graph) if name == "environment" else graph.evaluate(name)
            return 0
    if kind == "start":
        enter_client(graph, standing_or_stale_environment(graph), _is_isolated())
    elif kind == "run" or line.has("help"):
        enter_client(graph, ready_environment(graph), _is_isolated())
    elif line.command == "graph":
        _show_clients_graph(graph, main, console)
    status = COMMAND_FUNCTIONS[line.command](graph)
    assert isinstance(status, int)
    return status


def _show_clients_graph(graph: StateGraph, main: "str | None", console: Console) -> None:
    """Let the client show the graph that it has extended, where its environment is ready."""
    if not _can_ask_client(graph):
        if main is not None:
            console.say(_HOW_TO_SEE_MORE % "states")
        return
    environment = ready_environment(graph)
    if main is not None:
        enter_client(graph, environment, _is_isolated())
    graph.provide("environment", environment)


_HOW_TO_SEE_MORE = "the repository's own %s are shown once its environment is ready: run it without arguments first"


def _serve_neo(kind: str, main: "str | None") -> "Any":
    installed = _installed_kernel()
    if installed is not None:
        return getattr(installed, {"run": "run_main", "boot": "boot_env", "start": "start_app"}[kind])(main)
    answer_to_import()
    invocation = _invocation(kind, main)
    if main is None:
        return _serve_proto(kind, main, Console())
    try:
        function = client_function(main, invocation.entry_path)
    except ClientImportFailed as failure:
        return _heal_or_explain(invocation, kind, failure)
    if kind == "boot":
        return _boot_client(invocation, function)
    return call_client(function, invocation.program, invocation.arguments)


def _boot_client(invocation: Invocation, function: "Any") -> "Any":
    graph = bootstrap_graph(invocation)
    line = graph.evaluate("command_line")
    assert isinstance(line, CommandLine)
    graph.provide("environment", Environment(sys.prefix, [], False))
    primer = Primer(graph, line, sys.prefix)
    # What `get_config` is to know of options that the client does not see.
    held_variables().update(_inputs_as_variables(line))
    if takes_primer(function):
        result = call_client(function, invocation.program, line.client_arguments, primer)
        return primer.run() if result is None else result
    if line.has("help") or line.text("target") is not None or line.command == "graph":
        return call_client(primer.run, invocation.program, line.client_arguments)
    graph.check()
    return call_client(function, invocation.program, line.client_arguments)


def _inputs_as_variables(line: CommandLine) -> "dict[str, str]":
    given = {name: line.text(key) for name, key in INPUT_VARIABLES.items()}
    given["PROTOPRIMER_OFFLINE"] = "true" if line.has("offline") else None
    return {name: value for name, value in given.items() if value}


def _heal_or_explain(invocation: Invocation, kind: str, failure: ClientImportFailed) -> int:
    """Rebuild an environment that has lost files; in a sound one the failure is the client's to mend."""
    graph = bootstrap_graph(invocation)
    store: "Any" = graph.evaluate("store")
    here = os.path.realpath(sys.prefix)
    broken = [one for one in store.all() if os.path.realpath(one.path) == here and store.is_intact(one)]
    if not broken:
        raise failure.explained(sys.prefix)
    if kind == "start":
        # Else ./prime would go by it: that a file lost its content shows in no time of a directory.
        forget_ready(os.path.dirname(store.directory))
        raise NotReadyError("the environment is damaged: %s" % store.is_intact(broken[0]), None, "run ./prime")
    enter_client(graph, graph.evaluate("environment"), _is_isolated())  # type: ignore[arg-type]
    return 0


def answer_to_import() -> None:
    """Let `import protoprimer`, and a client's backend file, find this kernel where there is no such package."""
    this = sys.modules[__name__]
    for name in (
        "",
        ".primer_kernel",
        ".backends",
        ".backends.base",
        ".backends.uv",
        ".backends.virtualenv",
        ".backends.venv",
    ):
        sys.modules.setdefault("protoprimer" + name, this)


def _installed_kernel() -> "Any":
    """Return the `protoprimer.primer_kernel` that the environment has installed, unless that is this module."""
    if __name__ == "protoprimer.primer_kernel":
        return None
    try:
        from importlib import import_module

        return import_module("protoprimer" + ".primer_kernel")
    except ImportError:
        return None


def _invocation(kind: str, main: "str | None") -> Invocation:
    script, program = sys.modules["__main__"], sys.argv[0]
    # What the entry script has found out itself stays true where a client changes directory.
    entry_path = getattr(script, "PROTOPRIMER_SCRIPT", None)
    entry_path = entry_path or os.path.realpath(getattr(script, "__file__", None) or program)
    loaded = getattr(sys.modules.get("proto_kernel"), "__file__", None)
    kernel_path = os.path.realpath(getattr(script, "PROTOPRIMER_KERNEL", None) or loaded or entry_path)
    invocation = Invocation(entry_path, kernel_path, program, sys.argv[1:], main, kind == "boot")
    invocation.variables.update(held_variables())
    return invocation


def _is_isolated() -> bool:
    """Tell whether the entry script needs nothing beside itself on `sys.path`, as those that we write do not."""
    return bool(getattr(sys.modules.get("__main__"), "PROTOPRIMER_ENTRY", False))


def _keep_only_standard_library_on_path() -> None:
    """Leave a foreign environment, user site and `PYTHONPATH` behind: nothing but the standard library is ours."""
    roots = {os.path.dirname(os.__file__)}
    for name in ("base_prefix", "base_exec_prefix"):
        roots.add(os.path.join(getattr(sys, name, sys.prefix), "lib"))
    roots |= {os.path.realpath(root) for root in roots}
    sys.path[:] = [path for path in sys.path if path and _is_below(path, roots) and "-packages" not in path]


def _is_below(path: str, roots: "set[str]") -> bool:
    # As it stands too: in a farm of links, a part of the standard library may lead anywhere.
    spellings = (path, os.path.realpath(path))
    return path.endswith(".zip") or any((one + os.sep).startswith(root + os.sep) for one in spellings for root in roots)


def _targets_of(graph: StateGraph) -> "set[str]":
    return {one.target for one in graph.states.values()} | set(graph.states)


def _can_ask_client(graph: StateGraph) -> bool:
    configuration = graph.evaluate("configuration")
    assert isinstance(configuration, Configuration)
    return standing_environment(configuration) is not None


def _share_console(graph: StateGraph, console: Console) -> None:
    made: "Any" = graph.evaluate("console")
    console.__dict__ = made.__dict__
