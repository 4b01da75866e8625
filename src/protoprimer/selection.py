"""Which backend serves this host and this plan."""

import os

from protoprimer.backends.base import Backend
from protoprimer.backends.uv import UvBackend
from protoprimer.backends.venv import VenvBackend
from protoprimer.backends.virtualenv import VirtualenvBackend
from protoprimer.console import Console
from protoprimer.errors import BackendError, ConfigurationError, nearest_name
from protoprimer.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.configuration import Configuration
    from protoprimer.interpreters import Interpreter
    from protoprimer.tools import ToolBox

__all__ = ["BACKENDS", "check_backend_names", "probe_backends", "select_backend"]

# In the order of `auto`.
BACKENDS = {"uv": UvBackend, "virtualenv": VirtualenvBackend, "venv": VenvBackend}


def select_backend(
    wanted: "str | list[str]",
    interpreter: "Interpreter",
    plan: Plan,
    toolbox: "ToolBox",
    console: Console,
    configuration: "Configuration",
) -> "tuple[Backend, str]":
    """Return the first wanted backend that can serve, and a line saying why the others before it cannot.

    :param wanted: `auto`, a name, a list of names in the order to try, or the path of a client's own backend file
    :raises ConfigurationError: a name is unknown, or a file is no backend (exit 3)
    :raises BackendError: none of them can serve (exit 5)
    """
    refusals = []  # type: list[str]
    for backend in _wanted_backends(wanted, toolbox, console, configuration):
        reason = backend.probe(interpreter, plan)
        if reason is None:
            return backend, "backend %s" % backend.name + (" (%s)" % "; ".join(refusals) if refusals else "")
        refusals.append("not %s: %s" % (backend.name, reason))
    cause = "no backend can serve Python %s here" % interpreter.version
    advice = "provide one of them, or set another `backend`; ./prime check shows what this host can do"
    raise BackendError("\n  ".join([cause] + refusals), configuration.place_of("backend"), advice)


def check_backend_names(wanted: "str | list[str]", configuration: "Configuration") -> None:
    """Refuse a name that no backend has, before anything else is done.

    :raises ConfigurationError: a name is unknown, or a file is not there (exit 3)
    """
    for name in [wanted] if isinstance(wanted, str) else wanted:
        if _is_backend_file(name):
            _existing_backend_file(name, configuration)
        elif name != "auto" and name not in BACKENDS:
            raise _unknown_backend(name, configuration)


def probe_backends(
    interpreter: "Interpreter", plan: Plan, toolbox: "ToolBox", console: Console
) -> "dict[str, str | None]":
    """Return for each known backend why it cannot serve, or `None` if it can, in the order of `auto`."""
    return {
        name: factory(toolbox, console, toolbox.settings).probe(interpreter, plan) for name, factory in BACKENDS.items()
    }


def _wanted_backends(
    wanted: "str | list[str]", toolbox: "ToolBox", console: Console, configuration: "Configuration"
) -> "list[Backend]":
    names = list(BACKENDS) if wanted == "auto" else [wanted] if isinstance(wanted, str) else list(wanted)
    factories = [_backend_factory(name, configuration) for name in names]
    return [factory(toolbox, console, toolbox.settings) for factory in factories]


def _backend_factory(name: str, configuration: "Configuration") -> "type[Backend]":
    if name in BACKENDS:
        return BACKENDS[name]
    if _is_backend_file(name):
        return _backend_of_file(_existing_backend_file(name, configuration), configuration)
    raise _unknown_backend(name, configuration)


def _is_backend_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name or os.sep in name


def _existing_backend_file(name: str, configuration: "Configuration") -> str:
    path = configuration.path_of(name)
    if not os.path.isfile(path):
        advice = "create it (docs/backends.md tells how), or correct its path"
        raise configuration.error("backend", "the backend file %s does not exist" % path, advice)
    return path


def _unknown_backend(name: str, configuration: "Configuration") -> ConfigurationError:
    nearest = nearest_name(name, list(BACKENDS))
    advice = "use auto, %s, or the path of your own backend file" % ", ".join(BACKENDS)
    cause = "unknown backend %r%s" % (name, "; did you mean %r?" % nearest if nearest else "")
    return configuration.error("backend", cause, advice)


def _backend_of_file(path: str, configuration: "Configuration") -> "type[Backend]":
    """Load a client's own backend: the one subclass of `Backend` that its file defines."""
    import importlib.util

    advice = "docs/backends.md tells how to write one"
    specification = importlib.util.spec_from_file_location("protoprimer_client_backend", path)
    if specification is None or specification.loader is None:
        raise configuration.error("backend", "%s is no Python file" % path, advice)
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        cause = "the backend file %s failed: %s: %s" % (path, type(error).__name__, error)
        raise configuration.error("backend", cause, advice) from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Backend) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        cause = "%s defines %d subclasses of Backend instead of one" % (path, len(found))
        raise configuration.error("backend", cause, advice)
    if not found[0].name:
        found[0].name = os.path.splitext(os.path.basename(path))[0]
    return found[0]
