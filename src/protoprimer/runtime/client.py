"""The client's main: imported, called, and handed the primer."""

import os
import sys
from importlib import import_module
from types import TracebackType
from typing import Any, Callable

from protoprimer.authoring.entry import names_function
from protoprimer.errors import ConfigurationError, InstallError, UsageError, did_you_mean
from protoprimer.graph import DONE, StateGraph
from protoprimer.graph_picture import graph_picture
from protoprimer.runtime.switch import PATH_VARIABLE
from protoprimer.settings.command_line import OPTIONS, CommandLine, advice_on_word, help_text
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, Configuration
from protoprimer.settings.short_names import lines_of_short_names
from protoprimer.signatures import signature_inside, signature_of
from protoprimer.states import Invocation
from protoprimer.store.generations import record_of
from protoprimer.system.console import print_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Python 3.6.1 has none.
    from typing import NoReturn

__all__ = ["ClientImportFailed", "Primer", "call_client", "client_function", "held_variables", "takes_primer"]


class ClientImportFailed(InstallError):
    """The client's main could not be imported, unless the environment has only lost files."""


def client_function(invocation: Invocation, main: str, arguments: "list[str]") -> "Callable[..., Any]":
    """Import the client's main, which sees these arguments and no variable of ours."""
    if not names_function(main):
        cause = "the main function must be named as 'module:function', not %r" % main
        raise ConfigurationError(cause, invocation.entry_path)
    _leave_our_frames_out()
    held = held_variables()
    held.update({name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PROTOPRIMER_")})
    # Last, so that no file beside the client's shadows the standard library or a package.
    paths = filter(None, held.get(PATH_VARIABLE, "").split(os.pathsep))
    sys.path += [path for path in paths if path not in sys.path]
    # Right from the start: a default argument of the client's main may be bound to it.
    sys.argv = [invocation.program] + arguments
    module_name, _, function_name = main.partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise _import_failure(module_name, error) from None
    if not hasattr(module, function_name):
        names = [name for name in vars(module) if not name.startswith("_")]
        cause = "the module %s has no function %r" % (module_name, function_name)
        raise ClientImportFailed(cause, main, did_you_mean(function_name, names))
    function = getattr(module, function_name)
    if not callable(function):
        raise ConfigurationError(
            "%s is not a function: name one in this script" % main, invocation.entry_path
        )
    return function  # type: ignore[no-any-return]


def _import_failure(module: str, error: ImportError) -> ClientImportFailed:
    if error.name and (module + ".").startswith(error.name + "."):
        cause = "the module %r is not in the environment%s" % (error.name, _told_environment_here())
        advice = "name the project or requirement that brings it in 'install', or correct the entry script"
    else:
        cause = "the module %s cannot be imported: %s" % (module, error)
        advice = "correct the import, or add what is missing to the dependencies or requirements, and to the lock"
    frames = _client_frames(error.__traceback__)
    place = "%s:%d" % (frames[-1].tb_frame.f_code.co_filename, frames[-1].tb_lineno) if frames else sys.prefix
    return ClientImportFailed(cause, place, advice)


def _told_environment_here() -> str:
    name = record_of(sys.prefix).get("environment", DEFAULT_ENVIRONMENT)
    if name == DEFAULT_ENVIRONMENT:
        return ""
    return " " + str(name)


def takes_primer(function: "Callable[..., Any]") -> bool:
    """Tell whether a main has a parameter named `primer`, within its decorators too, or one without default."""
    called = signature_of(function)
    if called is not None and called.required():
        return True
    declared = signature_inside(function)
    return declared is not None and "primer" in declared.names()


def call_client(function: "Callable[..., Any]", primer: object = None) -> Any:
    """Call the client's main, handing it the primer if there is one; return what it returns.

    :raises ConfigurationError: exit code 3: it awaits or yields, or asks for something else
    """
    called = signature_of(function)
    place = called.place if called is not None else None
    if called is not None and (called.is_async or called.is_generator):
        cause = "the main function awaits or yields: nobody runs it"
        raise ConfigurationError(cause, place, "make it a plain function, with asyncio.run inside")
    try:
        if primer is None:
            return function()
        if _takes_primer_by_name(function):
            return function(primer=primer)
        return function(primer)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            # It is of the client's own code.
            raise
        cause = "the main function cannot be called: %s" % error
        raise ConfigurationError(cause, place, "give it no parameter, or 'primer' alone") from None


def _takes_primer_by_name(function: "Callable[..., Any]") -> bool:
    """Tell whether the primer's place is not the first; there a main may call it as it likes."""
    declared = signature_inside(function)
    if declared is None or "primer" not in declared.names():
        return False
    return declared.positional[:1] != ["primer"]


def held_variables() -> "dict[str, str]":
    """Return the variables that this process lacks and `get_config` still has to know."""
    # Kept with the entry script, which may have taken them before any kernel was loaded.
    return vars(sys.modules["__main__"]).setdefault("PROTOPRIMER_HELD", {})  # type: ignore[no-any-return]


def _leave_our_frames_out() -> None:
    show = sys.excepthook

    def show_client_frames(kind: "type[BaseException]", error: BaseException, _trace: "TracebackType | None") -> None:
        one, seen = error, []  # type: BaseException | None, list[BaseException]
        while one is not None and one not in seen:
            seen.append(one)
            frames = _client_frames(one.__traceback__)
            for here, following in zip(frames, frames[1:] + [None]) if sys.version_info >= (3, 7) else ():
                here.tb_next = following
            # Any other error without a frame of the client's is ours, and keeps all.
            if frames or isinstance(one, SyntaxError):
                one.__traceback__ = frames[0] if frames else None
            one = one.__cause__ or one.__context__
        show(kind, error, error.__traceback__)

    sys.excepthook = show_client_frames


def _client_frames(trace: "TracebackType | None") -> "list[TracebackType]":
    frames = []
    while trace is not None:
        names = trace.tb_frame.f_globals
        package = str(names.get("__name__")).partition(".")[0]
        if names is not globals() and package not in ("__main__", "protoprimer", "proto_kernel", "importlib"):
            frames.append(trace)
        trace = trace.tb_next
    return frames


class Primer:
    """What a client's main is handed: the graph to extend, the options to add, the target to set.

    The states that the client's modules have declared with `@state` are in the graph already.

    :param command_line: protoprimer's own options
    :param environment: the environment's directory
    """

    def __init__(self, graph: StateGraph, command_line: CommandLine, environment: str) -> None:
        from argparse import ArgumentParser

        self.graph = graph
        self.configuration: Configuration = graph.evaluate("configuration")
        self.command_line = command_line
        self.environment = environment
        self.root = self.configuration.root  # type: str
        self.default_target = "environment"
        self.arguments = command_line.client_arguments
        self._parser = ArgumentParser(prog=command_line.program, add_help=False, allow_abbrev=False)  # type: Any
        # Python 3.14 would paint its help; we print what is plain.
        self._parser.color = False  # type: ignore[attr-defined,unused-ignore]
        self._parser.error = self._refuse  # type: ignore[method-assign]
        self._own_options = [name for option in OPTIONS for name in option.names]
        self._client_options = []  # type: list[str]
        self._options = None  # type: Any
        advice = "this environment was made with it already; set it in the configuration, or replace `environment`"
        graph.fixed = {one.name: advice for one, status in graph.status("environment") if status != DONE}

        def options() -> Any:
            """The client's options, parsed."""
            return self.options

        graph.add(options)
        graph.provide("root", self.root)
        graph.provide("arguments", self.arguments)
        graph.provide("graph_status", lambda target: graph.status(graph.state_of_target(target).name))
        self._own_states = set(graph.states)
        graph.add_defined()

    def add_option(self, *names: str, **settings: Any) -> None:
        """Add an option of the client's, as `argparse.ArgumentParser.add_argument` takes it.

        :raises ConfigurationError: exit code 3: protoprimer has an option of that name, or it is added twice
        """
        from argparse import ArgumentError

        caller = sys._getframe(1)  # noqa: SLF001 - what `warnings` does
        place = "%s:%d" % (caller.f_code.co_filename, caller.f_lineno)
        for name in names:
            if name in self._own_options:
                raise ConfigurationError("the option %s is protoprimer's own" % name, place, "take another name")
        try:
            self._client_options += self._parser.add_argument(*names, **settings).option_strings
        except (ValueError, TypeError, ArgumentError) as error:
            raise ConfigurationError("the option %s cannot be added: %s" % (" ".join(names), error), place) from None

    @property
    def options(self) -> Any:
        """The client's options, parsed.

        :raises UsageError: exit code 2: an option or argument that nobody knows
        """
        if self._options is None:
            self._options = self._parser.parse_args(self.arguments)
        return self._options

    def _refuse(self, message: str) -> "NoReturn":
        wrong = message.partition("unrecognized arguments: ")[2].partition(" ")[0].partition("=")[0]
        program = self.command_line.program
        advice = "see %s --help" % program  # type: str | None
        if wrong.startswith("-"):
            advice = did_you_mean(wrong, self._own_options + self._client_options, advice)
        elif wrong:
            advice = advice_on_word(program, wrong)
        raise UsageError(message, None, advice)

    def help_text(self) -> str:
        """Return the help, the client's options and targets included."""
        options = self._parser.format_help().partition("\n\n")[2]
        parts = ["of this repository:\n" + options] if options else []
        names = lines_of_short_names(self.configuration, "  ")
        if names:
            parts.append("\n".join(["short names, for run:"] + names))
        targets = [one for one in self.graph.states.values() if one.name not in self._own_states]
        if targets:
            lines = [("  %-22s %s" % (one.target, one.summary())).rstrip() for one in targets]
            parts.append("\n".join(["targets of this repository:"] + lines))
        return help_text(self.command_line.program, None, "\n".join(parts) or None)

    def run(self) -> int:
        """Bring the chosen target to done; return the exit status.

        With `--help` or the command `graph` it prints that instead, and the process ends with status 0.
        """
        self.graph.add_defined()
        self.graph.check()
        if self.command_line.has("help"):
            print_out(self.help_text())
            sys.exit(0)
        asked = self.command_line.text("target")
        place = "--target" if asked else "primer.default_target"
        target = self.graph.state_of_target(asked or self.default_target, place).name
        if self.command_line.command == "graph":
            print_out(graph_picture(self.graph, target, self.command_line.text("format") or "text"))
            sys.exit(0)
        _ = self.options
        self.graph.evaluate(target)
        return 0
