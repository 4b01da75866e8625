"""The client's side of the neo runtime: importing its main, calling it, and what it is handed."""

import os
import sys

from protoprimer.errors import ConfigurationError, InstallError, UsageError, nearest_name
from protoprimer.graph import State, StateGraph
from protoprimer.graph_picture import graph_picture
from protoprimer.runtime.switch import PATH_VARIABLE
from protoprimer.settings.command_line import OPTIONS, CommandLine, help_text
from protoprimer.states import STATES_OF_PROVISIONING
from protoprimer.system.console import print_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn

    from protoprimer.settings.configuration import Configuration

__all__ = [
    "ClientImportFailed",
    "Primer",
    "call_client",
    "client_function",
    "forget_protoprimer_variables",
    "held_variables",
    "takes_primer",
]

_DEFAULT_TARGET = "primer.default_target"


class ClientImportFailed(Exception):
    """The client's main could not be imported.

    :param main: `module:function`
    :param error: what Python said
    """

    def __init__(self, main: str, error: "ImportError | AttributeError") -> None:
        super().__init__(str(error))
        self.main = main
        self.error = error

    def explained(self, environment: str) -> InstallError:
        """Return the error (exit code 6) for an environment that is otherwise sound."""
        module, _, function = self.main.partition(":")
        if isinstance(self.error, AttributeError):
            names = [name for name in vars(sys.modules[module]) if not name.startswith("_")]
            near = nearest_name(function, names)
            cause = "the client's module %s has no function %r" % (module, function)
            return InstallError(cause, self.main, "did you mean %r?" % near if near else None)
        missing = self.error.name or ""
        if missing and (module == missing or module.startswith(missing + ".")):
            cause = "the client's module %r is not in the environment" % missing
            advice = "name the project or requirement that brings it in 'install', or correct the entry script"
        else:
            cause = "the client's module %s cannot be imported: %s" % (module, self.error)
            advice = "add what is missing to the project's dependencies or requirements, and to its lock"
        return InstallError(cause, self._place() or environment, advice)

    def _place(self) -> "str | None":
        trace = self.error.__traceback__
        place = None
        while trace is not None:
            if not _is_of_ours(trace, _own_files()):
                place = "%s:%d" % (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
            trace = trace.tb_next
        return place


def client_function(main: str, entry_path: str, program: str, arguments: "list[str]") -> "Callable[..., Any]":
    """Import and return the client's main.

    :param main: `module:function`
    :param program: the entry script as it was typed
    :param arguments: those that the client sees
    :raises ConfigurationError: exit code 3: `main` is not of that form
    :raises ClientImportFailed: the module or the function is not there
    """
    leave_our_frames_out()
    module_name, colon, function_name = main.partition(":")
    if not (colon and all(part.isidentifier() for part in module_name.split(".") + [function_name])):
        raise ConfigurationError("the client's main must be 'module:function', not %r" % main, entry_path)
    forget_protoprimer_variables()
    for path in filter(None, held_variables().get(PATH_VARIABLE, "").split(os.pathsep)):
        if path not in sys.path:
            # Last, so that no file beside the client's shadows the standard library or a package.
            sys.path.append(path)
    # Right from the start: a default argument of the client's main may be bound to it.
    sys.argv = [program] + arguments
    import importlib

    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        if isinstance(error, AttributeError) and module_name not in sys.modules:
            raise
        raise ClientImportFailed(main, error) from None
    if not callable(function):
        raise ConfigurationError("the client's main %s is not a function" % main, entry_path)
    return function  # type: ignore[no-any-return]


def takes_primer(function: "Callable[..., Any]") -> bool:
    """Tell whether a main wants to be handed the primer: it has a parameter of that name, or one without default."""
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    names = code.co_varnames[: code.co_argcount]
    return "primer" in names or len(names) > len(function.__defaults__ or ())


def call_client(function: "Callable[..., Any]", program: str, arguments: "list[str]", *handed: object) -> "Any":
    """Call the client's main as if the entry script were its own: its `sys.argv`, its tracebacks without our frames.

    :raises ConfigurationError: exit code 3: it has parameters that nothing is handed for, or lacks the one it needs; or
        it is async, or a generator, and so has done nothing
    """
    forget_protoprimer_variables()
    sys.argv = [program] + arguments
    code = getattr(function, "__code__", None)
    try:
        returned = function(*handed)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        # Raised by the call itself, so that no traceback could tell where.
        cause, advice = "cannot be called: %s" % error, "give it no parameter, or 'primer' alone"
    else:
        codes = [getattr(returned, name) for name in ("cr_code", "ag_code", "gi_code") if hasattr(returned, name)]
        if not codes:
            return returned
        code = codes[0]
        getattr(returned, "close", str)()
        cause = "returned a %s, which nobody runs" % type(returned).__name__
        advice = "make it a plain function, with asyncio.run inside where it awaits"
    place = "%s:%d" % (code.co_filename, code.co_firstlineno) if code is not None else None
    raise ConfigurationError("the client's main " + cause, place, advice)


def forget_protoprimer_variables() -> None:
    """Take every variable of protoprimer's from the environment, so that no client code or child sees one."""
    held = held_variables()
    for name in [name for name in os.environ if name.startswith("PROTOPRIMER_")]:
        held[name] = os.environ.pop(name)


def held_variables() -> "dict[str, str]":
    """Return the variables that were taken from this process: what `get_config` still has to know."""
    # Kept with the entry script, which may have taken them itself, before any kernel was loaded.
    return vars(sys.modules["__main__"]).setdefault("PROTOPRIMER_HELD", {})  # type: ignore[no-any-return]


def _own_files() -> "set[str]":
    modules = [sys.modules.get("__main__"), sys.modules.get("proto_kernel")]
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    files = {getattr(module, "__file__", None) for module in modules}.union([__file__])
    files.add(getattr(sys.modules.get("__main__"), "PROTOPRIMER_LAUNCH", None))
    if os.path.basename(package) == "protoprimer":
        files.update(os.path.join(where, name) for where, _, names in os.walk(package) for name in names)
    return {str(file) for file in files if file}


def leave_our_frames_out() -> None:
    """Have an exception of the client's shown without our frames."""
    own = _own_files()
    show = sys.excepthook

    def show_client_frames(kind: "type[BaseException]", error: BaseException, trace: "TracebackType | None") -> None:
        waiting, seen = [error], []  # type: list[BaseException | None], list[BaseException]
        while waiting:
            one = waiting.pop()
            if one is not None and one not in seen:
                seen.append(one)
                frames = _client_frames(one.__traceback__, own)
                # A main that cannot be compiled has no frame; any other error without one is ours, and keeps all.
                one.__traceback__ = frames or (None if isinstance(one, SyntaxError) else one.__traceback__)
                waiting += [one.__cause__, one.__context__]
        show(kind, error, error.__traceback__)

    sys.excepthook = show_client_frames


def _client_frames(trace: "TracebackType | None", own: "set[str]") -> "TracebackType | None":
    frames = []  # type: list[TracebackType]
    one = trace
    while one is not None:
        if not _is_of_ours(one, own):
            frames.append(one)
        one = one.tb_next
    if frames and sys.version_info >= (3, 7):
        for here, following in zip(frames, frames[1:]):
            here.tb_next = following
        frames[-1].tb_next = None
    return frames[0] if frames else None


def _is_of_ours(trace: "TracebackType", own: "set[str]") -> bool:
    name = trace.tb_frame.f_code.co_filename
    # Modules that are packed in the kernel are called as if it were a directory.
    is_own = name in own or name.startswith(tuple(file + os.sep for file in own))
    is_import = name.startswith("<frozen importlib") or name.endswith(os.path.join("importlib", "__init__.py"))
    return is_own or is_import


class Primer:
    """What a client's main is handed: the graph to extend, the options to add, the target to set.

    The states that the client's modules have declared with `@state` are in the graph already.

    :param graph: the states; add, replace, evaluate
    :param command_line: protoprimer's own options
    :param environment: the environment's directory
    """

    def __init__(self, graph: StateGraph, command_line: CommandLine, environment: str) -> None:
        configuration: "Configuration" = graph.evaluate("configuration")
        self.graph = graph
        self.configuration = configuration
        self.command_line = command_line
        self.environment = environment
        self.root = configuration.root
        self.default_target = "environment"
        self.arguments = command_line.client_arguments
        self._parser = None  # type: Any
        self._option_names = []  # type: list[str]
        self._options = None  # type: Any
        self._add_states_for_clients()
        self._own_states = set(graph.states)
        advice = "it has made this environment already; say it in the configuration, or replace `environment`"
        graph.fixed = dict.fromkeys(STATES_OF_PROVISIONING, advice)
        graph.add_defined()

    def _add_states_for_clients(self) -> None:
        def root() -> str:
            """The repository's root directory."""
            return self.root

        def arguments() -> "list[str]":
            """The client's arguments, as they were typed."""
            return self.arguments

        def options() -> "Any":
            """The client's options, parsed."""
            return self.options

        def graph_status() -> "Callable[[str], list[tuple[State, str]]]":
            """What tells, for a target, which states are done, reachable, not needed."""
            return lambda target: self.graph.status(self.graph.state_of_target(target).name)

        for function in (root, arguments, options, graph_status):
            self.graph.add(function)

    def add_option(self, *names: str, **settings: "Any") -> None:
        """Add an option of the client's, as `argparse.ArgumentParser.add_argument` takes it.

        :raises ConfigurationError: exit code 3: protoprimer has an option of that name, or it is added twice
        """
        for name in names:
            if any(name in option.names for option in OPTIONS):
                cause = "the option %s is protoprimer's own" % name
                raise ConfigurationError(cause, caller_place(), "take another name")
        import argparse

        if self._parser is None:
            self._parser = argparse.ArgumentParser(prog=self.command_line.program, add_help=False, allow_abbrev=False)
            self._parser.error = self._refuse
        try:
            self._option_names += self._parser.add_argument(*names, **settings).option_strings
        except (ValueError, TypeError, argparse.ArgumentError) as error:
            cause = "the option %s cannot be added: %s" % (" ".join(names), error)
            raise ConfigurationError(cause, caller_place()) from None

    @property
    def options(self) -> "Any":
        """The client's options, parsed; asking for them validates the command line.

        :raises UsageError: exit code 2: an option or argument that neither protoprimer nor the client knows
        """
        if self._options is None:
            if self._parser is None:
                import argparse

                if self.arguments:
                    self._refuse("unrecognized arguments: " + " ".join(self.arguments))
                self._options = argparse.Namespace()
            else:
                self._options = self._parser.parse_args(self.arguments)
        return self._options

    def _refuse(self, message: str) -> "NoReturn":
        wrong = message.partition("unrecognized arguments: ")[2].partition(" ")[0].partition("=")[0]
        known = [name for option in OPTIONS for name in option.names]
        known += self._option_names
        near = nearest_name(wrong, known) if wrong.startswith("-") else None
        advice = "did you mean %s?" % near if near else "see %s --help" % self.command_line.program
        raise UsageError(message, None, advice)

    def help_text(self) -> str:
        """Return the help of the whole command line, the client's options and targets included."""
        parts = []
        if self._parser:
            parts.append("of this repository:\n" + self._parser.format_help().partition("\n\n")[2])
        targets = [one for one in self.graph.states.values() if one.name not in self._own_states]
        if targets:
            lines = [("  %-22s %s" % (one.target, one.summary())).rstrip() for one in targets]
            parts.append("\n".join(["targets of this repository:"] + lines))
        return help_text(self.command_line.program, None, "\n".join(parts) or None)

    def run(self) -> int:
        """Validate the command line, then bring the chosen target to done; return the exit status.

        With `--help` or the command `graph` it prints that instead, and the process ends with status 0.
        """
        self.graph.add_defined()
        self.graph.check()
        if self.command_line.has("help"):
            print_out(self.help_text())
            sys.exit(0)
        asked = self.command_line.text("target")
        target = self.graph.state_of_target(asked or self.default_target, "--target" if asked else _DEFAULT_TARGET).name
        if self.command_line.command == "graph":
            print_out(graph_picture(self.graph, target, self.command_line.text("format") or "text"))
            sys.exit(0)
        _ = self.options
        self.graph.evaluate(target)
        return 0


def caller_place() -> str:
    """Return as `file:line` who called the function that calls this."""
    frame = sys._getframe(2)  # noqa: SLF001 - what `warnings` does
    return "%s:%d" % (frame.f_code.co_filename, frame.f_lineno)
