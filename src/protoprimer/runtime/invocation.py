"""What the kernel finds itself in: how it was called, its path, and what is told of failures nobody foresaw."""

import os
import sys

from protoprimer.errors import InstallError, InterpreterError
from protoprimer.graph import StateGraph
from protoprimer.runtime.client import held_variables
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import INPUT_VARIABLES, Configuration
from protoprimer.states import Invocation, bootstrap_graph
from protoprimer.store.generations import record_of
from protoprimer.store.publishing import environment_of_ready
from protoprimer.system.console import Console
from protoprimer.system.files import is_within
from protoprimer.system.platform import is_windows

__all__ = [
    "can_ask_client",
    "graph_here",
    "inputs_as_variables",
    "invocation_of_process",
    "keep_only_standard_library_on_path",
    "share_console",
    "targets_of",
    "tell_unexpected",
]


def invocation_of_process(kind: str, main: "str | None") -> Invocation:
    """Return how this process was called, by an entry script of this kind for this main of the client's."""
    script, program = sys.modules["__main__"], sys.argv[0]
    # What the entry script has found out itself stays true where a client changes directory.
    entry_path = getattr(script, "PROTOPRIMER_SCRIPT", None)
    entry_path = entry_path or os.path.realpath(getattr(script, "__file__", None) or program)
    loaded = getattr(sys.modules.get("proto_kernel"), "__file__", None)
    # As one file, this is the kernel, by whatever name it was loaded.
    own = None if __name__.startswith("protoprimer.") else globals().get("__file__")
    kernel_path = os.path.realpath(getattr(script, "PROTOPRIMER_KERNEL", None) or loaded or own or entry_path)
    invocation = Invocation(entry_path, kernel_path, program, sys.argv[1:], main, kind)
    invocation.variables.update(held_variables())
    return invocation


def graph_here() -> StateGraph:
    """Return the graph of the environment that this process runs in, or of the entry script that it is.

    The environment's own record says which clone and which kernel it is of, so that a test, a `python -c` or a process
    of a pool need not be an entry script, and may be in any directory.
    """
    invocation = invocation_of_process("run", None)
    record = record_of(sys.prefix)
    if not isinstance(record.get("root"), str) or not isinstance(record.get("kernel"), str):
        return bootstrap_graph(invocation)
    invocation.entry_path, invocation.kernel_path = os.path.join(record["root"], "prime"), record["kernel"]
    graph = bootstrap_graph(invocation)
    chosen: "Configuration" = graph.evaluate("configuration")
    name = str(record.get("environment"))
    if name != chosen.environment_name and name in chosen.environment_names:
        invocation.variables["PROTOPRIMER_ENV"] = name
        graph = bootstrap_graph(invocation)
    return graph


def keep_only_standard_library_on_path() -> None:
    """Leave a foreign environment, user site and `PYTHONPATH` behind: nothing but the standard library is ours."""
    roots = {os.path.dirname(os.__file__)}
    for name in ("base_prefix", "base_exec_prefix"):
        roots.add(os.path.join(getattr(sys, name, sys.prefix), "lib"))
    exact = set()
    if is_windows():
        # Extension modules are in DLLs, where Python was unpacked only beside its executable.
        exact = {sys.base_prefix, os.path.join(sys.base_prefix, "DLLs")}
    roots |= {os.path.realpath(root) for root in roots}
    sys.path[:] = [
        path for path in sys.path if path in exact or (path and _is_below(path, roots) and "-packages" not in path)
    ]


def _is_below(path: str, roots: "set[str]") -> bool:
    # As it stands too: in a farm of links, a part of the standard library may lead anywhere.
    spellings = (path, os.path.realpath(path))
    return path.endswith(".zip") or any(is_within(one, root) for one in spellings for root in roots)


def tell_unexpected(error: Exception, console: Console) -> int:
    """Tell a failure that nobody foresaw; return its exit code, that of a failed installation."""
    import traceback

    console.record("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    place = traceback.extract_tb(error.__traceback__)[-1]
    lacking = str(error.name).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if lacking and lacking in getattr(sys, "stdlib_module_names", [lacking]):
        # Such as Debian's python3-minimal.
        advice = "install the rest, such as the package python%d.%d, or take another Python" % sys.version_info[:2]
        what = "this Python lacks the module %s of the standard library" % lacking
        console.error(InterpreterError(what, sys.executable, advice))
        return InterpreterError.exit_code
    what = "unexpected %s: %s (line %d, %s)" % (type(error).__name__, error, place.lineno or 0, place.name)
    fault = "run it with -vv and report what that shows: this is a fault of ours"
    console.error(InstallError(what, getattr(error, "filename", None), None if isinstance(error, OSError) else fault))
    return InstallError.exit_code


def inputs_as_variables(line: CommandLine) -> "dict[str, str]":
    """Return the options of this command line in the form in which variables say the same."""
    given = {name: line.text(key) for name, key in INPUT_VARIABLES.items()}
    given["PROTOPRIMER_OFFLINE"] = "true" if line.has("offline") else None
    given["PROTOPRIMER_VERBOSITY"] = str(line.verbosity()) if line.verbosity() else None
    return {name: value for name, value in given.items() if value}


def targets_of(graph: StateGraph) -> "set[str]":
    """Return the names by which a state can be asked for."""
    return {one.target for one in graph.states.values()} | set(graph.states)


def can_ask_client(graph: StateGraph) -> bool:
    """Tell whether there is an environment in which the client's main can run."""
    return environment_of_ready(graph.evaluate("configuration")) is not None


def share_console(graph: StateGraph, console: Console) -> None:
    """Make a console that was there before the command line was read behave as the graph's."""
    console.__dict__ = graph.evaluate("console").__dict__
