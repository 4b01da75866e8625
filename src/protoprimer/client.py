"""The client's side of the neo runtime: importing its main, calling it, and what it is handed."""

import os
import sys

from protoprimer.cli import CommandLine, help_text
from protoprimer.configuration import Configuration
from protoprimer.errors import ConfigurationError, InstallError, UsageError, nearest_name
from protoprimer.graph import StateGraph
from protoprimer.switch import PATH_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

__all__ = ["ClientImportFailed", "Primer", "call_client", "client_function", "forget_protoprimer_variables", "takes_primer"]


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
            name = trace.tb_frame.f_code.co_filename
            if name not in _own_files() and not _is_import_machinery(trace):
                place = "%s:%d" % (name, trace.tb_lineno)
            trace = trace.tb_next
        return place


def client_function(main: str, entry_path: str) -> "Callable[..., Any]":
    """Import and return the client's main.

    :param main: `module:function`
    :raises ConfigurationError: exit code 3: `main` is not of that form
    :raises ClientImportFailed: the module or the function is not there
    """
    leave_our_frames_out()
    module_name, colon, function_name = main.partition(":")
    if not (colon and all(part.isidentifier() for part in module_name.split(".") + [function_name])):
        raise ConfigurationError("the client's main must be 'module:function', not %r" % main, entry_path)
    for path in filter(None, os.environ.get(PATH_VARIABLE, "").split(os.pathsep)):
        if path not in sys.path:
            # Last, so that no file beside the client's shadows the standard library or a package.
            sys.path.append(path)
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
    return "primer" in names or len(names) > len(function.__defaults__ or ())  # type: ignore[attr-defined]


def call_client(function: "Callable[..., Any]", program: str, arguments: "list[str]", *handed: object) -> "Any":
    """Call the client's main as if the entry script were its own: its `sys.argv`, its tracebacks without our frames."""
    forget_protoprimer_variables()
    sys.argv = [program] + arguments
    return function(*handed)


def forget_protoprimer_variables() -> None:
    """Remove every variable of protoprimer's, so that no client code or child sees one."""
    for name in [name for name in os.environ if name.startswith("PROTOPRIMER_")]:
        del os.environ[name]


def _own_files() -> "set[str]":
    entry = getattr(sys.modules.get("__main__"), "__file__", None)
    package = os.path.dirname(os.path.abspath(__file__))
    files = {entry, __file__}
    if os.path.basename(package) == "protoprimer":
        files.update(os.path.join(package, name) for name in os.listdir(package))
    return {str(file) for file in files if file}


def leave_our_frames_out() -> None:
    """Have an exception of the client's shown from the client's first frame on."""
    own = _own_files()
    show = sys.excepthook

    def show_client_frames(kind: "type[BaseException]", error: BaseException, trace: "TracebackType | None") -> None:
        first = trace
        while first is not None and (first.tb_frame.f_code.co_filename in own or _is_import_machinery(first)):
            first = first.tb_next
        if first is not None:
            # The default hook shows the error's own traceback, whatever it is handed.
            error, trace = error.with_traceback(first), first
        show(kind, error, trace)

    sys.excepthook = show_client_frames


def _is_import_machinery(trace: "TracebackType") -> bool:
    name = trace.tb_frame.f_code.co_filename
    return name.startswith("<frozen importlib") or name.endswith(os.path.join("importlib", "__init__.py"))


class Primer:
    """What a client's main is handed: the graph to extend, the options to add, the configuration to read.

    :param graph: the states; add, replace, evaluate
    :param configuration: what this run goes by
    :param command_line: protoprimer's own options
    :param environment: the environment's directory
    """

    def __init__(
        self, graph: StateGraph, configuration: Configuration, command_line: CommandLine, environment: str
    ) -> None:
        self.graph = graph
        self.configuration = configuration
        self.command_line = command_line
        self.environment = environment
        self.root = configuration.root
        self.default_target = "environment"
        self.arguments = command_line.client_arguments
        self._parser = None  # type: ArgumentParser | None
        self._options = None  # type: Any

    def add_option(self, *names: str, **settings: "Any") -> None:
        """Add an option of the client's, as `argparse.ArgumentParser.add_argument` takes it."""
        if self._parser is None:
            import argparse

            self._parser = argparse.ArgumentParser(prog=self.command_line.program, add_help=False)
        self._parser.add_argument(*names, **settings)

    @property
    def options(self) -> "Any":
        """The client's options, parsed; asking for them validates the command line.

        :raises UsageError: exit code 2: an option or argument that neither protoprimer nor the client knows
        """
        if self._options is None:
            if self._parser is None:
                if self.arguments:
                    raise UsageError("unknown option or argument %r" % self.arguments[0], None, "see --help")
                import argparse

                self._options = argparse.Namespace()
            else:
                self._options = self._parser.parse_args(self.arguments)
        return self._options

    def help_text(self) -> str:
        """Return the help of the whole command line, the client's options included."""
        own = self._parser.format_help().partition("\n\n")[2] if self._parser else None
        return help_text(self.command_line.program, None, "of this repository:\n" + own if own else None)

    def run(self) -> int:
        """Validate the command line, then bring the chosen target to done; return the exit status."""
        if self.command_line.has("help"):
            print(self.help_text())
            return 0
        self.graph.add_defined()
        self.graph.check()
        _ = self.options
        target = self.command_line.text("target") or self.default_target
        self.graph.evaluate(self.graph.state_of_target(target).name)
        return 0
