"""How the kernel was called, its module path, and failures that nobody foresaw."""

import os
import sys
import time
from contextlib import suppress

from protoprimer.errors import InstallError, InterpreterError
from protoprimer.graph import StateGraph
from protoprimer.runtime.client import held_variables
from protoprimer.settings.configuration import Configuration
from protoprimer.states import Invocation, bootstrap_graph
from protoprimer.store.generations import record_of
from protoprimer.system.console import Console
from protoprimer.system.files import is_within
from protoprimer.system.paths import user_cache_directory
from protoprimer.system.platform import is_windows

__all__ = [
    "drop_torn_bytecode",
    "graph_here",
    "invocation_of_process",
    "keep_only_standard_library_on_path",
    "tell_unexpected",
]

_SECONDS_OF_A_START = 10


def invocation_of_process(kind: str, main: "str | None") -> Invocation:
    """Return how this process was called, by an entry script of this kind."""
    script, program = sys.modules["__main__"], sys.argv[0]
    # What the entry script has found out stays true where a client changes directory.
    entry_path = getattr(script, "PROTOPRIMER_SCRIPT", None)
    entry_path = entry_path or os.path.realpath(getattr(script, "__file__", None) or program)
    loaded = getattr(sys.modules.get("proto_kernel"), "__file__", None)
    # As one file, this is the kernel, by whatever name it was loaded.
    own = None if __name__.startswith("protoprimer.") else globals().get("__file__")
    kernel_path = os.path.realpath(getattr(script, "PROTOPRIMER_KERNEL", None) or loaded or own or entry_path)
    variables = dict(os.environ, **held_variables())
    return Invocation(entry_path, kernel_path, program, sys.argv[1:], main, kind, variables)


def graph_here() -> StateGraph:
    """Return the graph of this process' environment, or of the entry script that it is."""
    # By the environment's own record: a test is no entry script, and may run in any directory.
    invocation = invocation_of_process("run", None)
    record = record_of(sys.prefix)
    root, kernel, name = (record.get(key) for key in ("root", "kernel", "environment"))
    if not isinstance(root, str) or not isinstance(kernel, str):
        return bootstrap_graph(invocation)
    invocation = invocation._replace(entry_path=os.path.join(root, "prime"), kernel_path=kernel)
    graph = bootstrap_graph(invocation)
    chosen: Configuration = graph.evaluate("configuration")
    if name != chosen.environment_name and name in chosen.environment_names:
        invocation.variables["PROTOPRIMER_ENV"] = str(name)
        graph = bootstrap_graph(invocation)
    return graph


def keep_only_standard_library_on_path() -> None:
    """Take foreign environments, the user's site and `PYTHONPATH` off `sys.path`."""
    roots = {os.path.dirname(os.__file__)}
    for name in ("base_prefix", "base_exec_prefix"):
        roots.add(os.path.join(getattr(sys, name, sys.prefix), "lib"))
    roots |= {os.path.realpath(root) for root in roots}
    # Extension modules are in DLLs, where Python was unpacked only beside its executable.
    exact = {sys.base_prefix, os.path.join(sys.base_prefix, "DLLs")} if is_windows() else set()

    def is_ours(path: str) -> bool:
        # As it stands too: a part of the standard library may be a link to anywhere.
        spellings = (path, os.path.realpath(path))
        is_below = any(is_within(spelling, root) for spelling in spellings for root in roots)
        return "-packages" not in path and (is_below or path.endswith(".zip"))

    sys.path[:] = [path for path in sys.path if path in exact or (path and is_ours(path))]


def drop_torn_bytecode(kernel_path: str) -> None:
    """Remove bytecode that a full disk has just cut off: Python says nothing, and cannot load it."""
    from importlib.machinery import SourcelessFileLoader
    from importlib.util import cache_from_source

    # As `sys.pycache_prefix` lays it out.
    directory, name = os.path.dirname(kernel_path).lstrip(os.sep), os.path.basename(cache_from_source(kernel_path))
    path = os.path.join(user_cache_directory(), "pyc", directory, name)
    loader = SourcelessFileLoader("proto_kernel", path)
    with suppress(OSError):
        if time.time() - os.stat(loader.path).st_mtime < _SECONDS_OF_A_START:
            try:
                loader.get_code("proto_kernel")
            except (EOFError, ImportError, TypeError, ValueError):
                os.unlink(loader.path)


def tell_unexpected(error: Exception, console: Console) -> int:
    """Tell a failure that nobody foresaw; return its exit code."""
    import traceback

    console.record("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    lacking = str(error.name).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if lacking and lacking in getattr(sys, "stdlib_module_names", [lacking]):
        # Such as Debian's python3-minimal.
        advice = "install the rest, such as the package python%d.%d, or take another Python" % sys.version_info[:2]
        what = "this Python lacks the module %s of the standard library" % lacking
        console.error(InterpreterError(what, sys.executable, advice))
        return InterpreterError.exit_code
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = "unexpected %s: %s (line %d, %s)" % (type(error).__name__, error, place.lineno or 0, place.name)
    fault = "run it with -vv and report what that shows: this is a fault of ours"
    console.error(InstallError(what, getattr(error, "filename", None), None if isinstance(error, OSError) else fault))
    return InstallError.exit_code
