"""What entry scripts and clients call: `run_main`, `boot_env`, `start_app`, `get_config`, `state` and `StateGraph`."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from protoprimer.authoring.entry import KINDS
from protoprimer.commands.table import COMMAND_FUNCTIONS
from protoprimer.commands.uv import become_pip
from protoprimer.errors import DryRunEnds, PrimerError, UsageError, which_are_known
from protoprimer.graph import StateGraph, lazy, state
from protoprimer.runtime.client import ClientImportFailed, Primer, call_client, client_function
from protoprimer.runtime.invocation import (
    drop_torn_bytecode,
    graph_here,
    invocation_of_process,
    keep_only_standard_library_on_path,
    tell_unexpected,
)
from protoprimer.runtime.neo import boot_client, heal_or_explain
from protoprimer.runtime.readiness import enter_client, enter_script, ready_environment, ready_or_stale_environment
from protoprimer.runtime.switch import is_isolated, is_neo_runtime
from protoprimer.settings.command_line import CommandLine, help_text
from protoprimer.settings.configuration import LEAPS, Configuration
from protoprimer.settings.short_names import lines_of_short_names
from protoprimer.states import bootstrap_graph
from protoprimer.store.carried import has_our_mark
from protoprimer.store.generations import record_of
from protoprimer.store.publishing import environment_facts, environment_of_ready
from protoprimer.system.children import Terminated
from protoprimer.system.console import Console, print_out, status_once_printed
from protoprimer.system.interpreter import Interpreter
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Python 3.6.1 has none.
    from typing import NoReturn

__all__ = [
    "Primer",
    "PrimerError",
    "StateGraph",
    "boot_env",
    "get_config",
    "lazy",
    "main",
    "run_main",
    "start_app",
    "state",
]

INTERRUPTED = 130
_HOW_TO_SEE_MORE = "the repository's own %s are shown once its environment is ready: run it without arguments first"


def run_main(main: str, script: "str | None" = None) -> "NoReturn":
    """Heal the environment if needed, then run the client's main in it; the arguments are all the client's.

    :param main: `module:function`; what it returns is the exit status, as for `sys.exit`
    :param script: the entry script, if protoprimer has written it
    """
    _serve("run", main, script)


def boot_env(main: "str | None" = None, script: "str | None" = None) -> "NoReturn":
    """Serve protoprimer's command line, then run the client's main, if there is one, in the environment.

    :param main: `module:function`; with a parameter `primer` it is handed the `Primer`, and may extend the graph
    """
    _serve("boot", main, script)


def main() -> "NoReturn":
    """Make the environment ready, then start this script again in it: for scripts that import the client themselves.

    They try `from app import main as selected_main`, and import this instead where that is an ImportError.

    :raises InstallError: exit code 6: what the script imports is not in the environment
    """
    _serve("main", None)


def start_app(main: str, script: "str | None" = None) -> "NoReturn":
    """Run the client's main in the environment that is there, with a warning if it is stale; never provision one.

    :param main: `module:function`
    :raises NotReadyError: exit code 8: there is no environment
    """
    _serve("start", main, script)


def get_config(leap: str = "derived") -> "dict[str, Any]":
    """Return what the configuration says, as data, without a restart.

    :param leap: `input`, `primer`, `client`, `env` or `derived`
    :raises UsageError: exit code 2: there is no such leap
    """
    if leap not in LEAPS:
        raise UsageError("there is no leap %r" % leap, None, which_are_known(leap, LEAPS))
    configuration: Configuration = graph_here().evaluate("configuration")
    if leap != "derived":
        return dict(configuration.leaps[leap])
    return dict(configuration.effective(), **environment_facts(configuration))


def pip_main() -> "NoReturn":
    """Be pip for this environment, where it has none."""
    console = Console()
    try:
        known = record_of(sys.prefix).get("interpreter", {})
        interpreter = Interpreter(known, str(known.pop("origin", "")))
        become_pip(sys.prefix, interpreter, sys.argv[1:], graph_here().evaluate("toolbox"))
    except PrimerError as error:
        console.error(error)
        sys.exit(error.exit_code)
    sys.exit(0)


def _serve(kind: str, main: "str | None", script: "str | None" = None) -> "NoReturn":
    if script is not None:
        names = {"PROTOPRIMER_ENTRY": True, "PROTOPRIMER_SCRIPT": os.path.realpath(script)}
        vars(sys.modules["__main__"]).update(names)
    in_neo, graph = is_neo_runtime(), bootstrap_graph(invocation_of_process(kind, main))
    try:
        status = _serve_neo(graph, kind, main) if in_neo else _serve_proto(graph, kind, main)
    except DryRunEnds as ended:
        _console_of(graph).say(str(ended))
        status = 0
    except PrimerError as error:
        console = _console_of(graph)
        console.root = console.root or str(record_of(sys.prefix).get("root", ""))
        console.error(error)
        status = error.exit_code
    except KeyboardInterrupt:
        if in_neo:
            # The client's to show, as in any program.
            raise
        _console_of(graph).error("interrupted")
        status = INTERRUPTED
    except Terminated as ended:
        ended.end_this_process()
    except Exception as error:
        if in_neo:
            raise
        status = tell_unexpected(error, _console_of(graph))
    if in_neo or not is_isolated():
        # Others' code runs in this process.
        sys.exit(status)
    # Python's own end would take apart, at length, what ends anyway.
    os._exit(status_once_printed(status))


def _console_of(graph: StateGraph) -> Console:
    """Return the run's console, or a plain one if arguments are wrong."""
    with suppress(PrimerError):
        return graph.evaluate("console")  # type: ignore[no-any-return]
    return Console()


def _serve_proto(graph: StateGraph, kind: str, main: "str | None") -> int:
    keep_only_standard_library_on_path()
    answer_to_import()
    drop_torn_bytecode(graph.evaluate("invocation").kernel_path)
    line: CommandLine = graph.evaluate("command_line")
    if line.has("version"):
        print_out("protoprimer " + VERSION)
        return 0
    if line.has("help"):
        if main is not None and line.command == "boot":
            _show_by_client(graph, main)
        more = _names_in_help(graph, line.command)
        if main:
            more.append(_HOW_TO_SEE_MORE % "options")
        print_out(help_text(line.program, line.command, "\n".join(more) or None))
        return 0
    target = line.text("target")
    if target is not None and (main is None or target in graph.states):
        name = graph.state_of_target(target).name
        if line.command in ("boot", "reboot"):
            _ = ready_environment(graph) if name == "environment" else graph.evaluate(name)
            return 0
    if kind == "start":
        enter_client(graph, ready_or_stale_environment(graph))
    elif kind == "run":
        enter_client(graph, ready_environment(graph))
    elif kind == "main":
        enter_script(graph, ready_environment(graph))
    elif line.command == "graph":
        _show_by_client(graph, main)
        if main is not None:
            _console_of(graph).say(_HOW_TO_SEE_MORE % "states")
    return graph.call(COMMAND_FUNCTIONS[line.command])  # type: ignore[no-any-return]


def _names_in_help(graph: StateGraph, command: str) -> "list[str]":
    """Return what help says of the repository's short names; nothing where its configuration is wrong."""
    lines = []  # type: list[str]
    if command in ("boot", "run"):
        with suppress(PrimerError):
            lines = lines_of_short_names(graph.evaluate("configuration"), "  ")
    if lines:
        lines.insert(0, "short names, for run:")
    return lines


def _show_by_client(graph: StateGraph, main: "str | None") -> None:
    """Let the client show what it has added, if its environment is ready."""
    ready = environment_of_ready(graph.evaluate("configuration"))
    if ready is not None:
        graph.provide("environment", ready)
        if main is not None:
            enter_client(graph, ready)


def _serve_neo(graph: StateGraph, kind: str, main: "str | None") -> Any:
    package = _package_here()
    if package is None:
        answer_to_import()
    elif __name__ != "protoprimer.primer_kernel" and has_our_mark(package):
        # What is installed serves; it cannot know which kernel has called it.
        installed = import_module("protoprimer.primer_kernel")
        if installed is not sys.modules.get(__name__):
            vars(sys.modules["__main__"]).setdefault("PROTOPRIMER_KERNEL", __file__)
            return getattr(installed, KINDS[kind])(main)
    if main is None:
        return _serve_proto(graph, kind, main)
    line: CommandLine = graph.evaluate("command_line")
    try:
        function = client_function(graph.evaluate("invocation"), main, line.client_arguments)
    except ClientImportFailed as failure:
        return heal_or_explain(graph, failure)
    return boot_client(graph, function) if kind == "boot" else call_client(function)


def answer_to_import() -> None:
    """Let `import protoprimer` find this kernel where there is no such package."""
    this = sys.modules.get(__name__)
    if this is None or vars(this) is not globals():
        # Loaded by its path, without an entry there.
        this = type(sys)(__name__)
        vars(this).update(globals())
    backends = [".backends" + name for name in ("", ".base", ".uv", ".virtualenv", ".venv")]
    for name in ["", ".primer_kernel"] + backends:
        sys.modules.setdefault("protoprimer" + name, this)


def _package_here() -> "str | None":
    try:
        spec = find_spec("protoprimer")
    except (ImportError, ValueError):
        return None
    return os.path.dirname(spec.origin) if spec is not None and spec.origin else None
