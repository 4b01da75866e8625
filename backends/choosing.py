"""Which backend serves this host and this plan."""

import contextlib
import os
import sys
from typing import Any, Callable, NamedTuple

from protoprimer.backends.base import Backend
from protoprimer.backends.uv import UvBackend
from protoprimer.backends.venv import VenvBackend
from protoprimer.backends.virtualenv import VirtualenvBackend
from protoprimer.errors import BackendError, InstallError, PrimerError, no_such_file, which_are_known
from protoprimer.fault import Fault
from protoprimer.fetch.tools import ToolBox
from protoprimer.fetch.wheels import ToolAbsent
from protoprimer.project.plan import Plan
from protoprimer.pythons.choice import line_in_file, with_client_file
from protoprimer.settings.configuration import Configuration
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter

__all__ = ["BACKENDS", "Refusal", "check_backend_names", "probe_backends", "select_backend", "wanted_backends"]

# In the order of `auto`.
BACKENDS = {"uv": UvBackend, "virtualenv": VirtualenvBackend, "venv": VenvBackend}
_ADVICE_ON_FILES = "correct it (see Backends in protoprimer's documentation)"


def select_backend(
    wanted: "list[type[Backend]]",
    interpreter: Interpreter,
    plan: Plan,
    toolbox: ToolBox,
    console: Console,
    configuration: Configuration,
    failed: "dict[str, str] | None" = None,
) -> "tuple[Backend, str]":
    """Return the first wanted backend that can serve, and why those before it cannot.

    :param failed: why those cannot that seemed to, by their names
    """
    refusals = []  # type: list[Refusal]
    for factory in wanted:
        backend = factory(toolbox, console, toolbox.settings)
        refusal = None  # type: Refusal | None
        if failed and backend.name in failed:
            refusal = _plain_refusal(failed[backend.name])
        else:
            refusal = _why_not(backend, interpreter, plan)
        if refusal is None:
            return backend, _choice_in_words(backend, refusals)
        refusal = refusal.of_backend(backend.name)
        console.detail(refusal.told)
        refusals.append(refusal)
    lines = ["no backend can serve Python %s here" % interpreter.version]
    lines += [refusal.told for refusal in refusals]
    advice = _advice_where_none_serves(refusals, toolbox, is_choice=configuration.get("backend") != "auto")
    raise BackendError("\n  ".join(lines), configuration.place_of("backend"), advice)


class Refusal(NamedTuple):
    """Why a backend cannot serve; in short where another one does.

    :param faults: the kinds of failure that led to it, as far as something depends on them
    """

    told: str
    in_short: str
    faults: "frozenset[Fault]"

    def of_backend(self, name: str) -> "Refusal":
        """Return it with the backend's name."""
        prefix = "not %s: " % name
        return Refusal(prefix + self.told, prefix + self.in_short, self.faults)


def _plain_refusal(sentence: str) -> Refusal:
    first_line = sentence.partition("\n")[0]
    return Refusal(sentence, first_line, frozenset())


def _choice_in_words(backend: Backend, refusals: "list[Refusal]") -> str:
    if not refusals:
        return "backend %s" % backend.name
    told = "; ".join(refusal.in_short for refusal in refusals)
    return "backend %s (%s)" % (backend.name, told)


def _advice_where_none_serves(refusals: "list[Refusal]", toolbox: ToolBox, is_choice: bool) -> str:
    faults = set()  # type: set[Fault]
    for refusal in refusals:
        faults |= refusal.faults
    if Fault.TOOL_CHOSEN_BY_VARIABLE in faults:
        first = "correct the variable UV"
    elif Fault.DISK in faults:
        first = "free some disk space, or set PROTOPRIMER_CACHE to a directory with more room"
    elif Fault.TOOL_NOT_FETCHED in faults:
        first = "put uv on PATH"
    else:
        first = "mend one of these"
    advice = [first + " (./prime check shows what this host can do)"]
    if is_choice:
        advice.append("take another backend: --backend auto")
    for record in toolbox.records:
        if record.opens and record.tool in ("uv", "pip") and record.opens not in advice:
            advice.append(record.opens)
    return "\n  or: ".join(advice)


def _why_not(backend: Backend, interpreter: Interpreter, plan: Plan) -> "Refusal | None":
    try:
        reason = backend.probe(interpreter, plan)
    except ToolAbsent as absent:
        faults = frozenset(one.fault for one in absent.absences)
        return Refusal(str(absent), absent.in_short(), faults)
    if reason is None:
        return None
    return _plain_refusal(reason)


def check_backend_names(wanted: "str | list[str]", configuration: Configuration, key: str = "backend") -> None:
    """Refuse names of no backend and files that are not there, said by `key`."""
    for name in _as_list(wanted):
        if _is_backend_file(name):
            if not os.path.isfile(configuration.path_of(name)):
                raise no_such_file(name, configuration.place_of(key))
        elif name != "auto" and name not in BACKENDS:
            advice = which_are_known(name, BACKENDS) + ", auto, or the path of your own backend file"
            raise configuration.error(key, "unknown backend %r" % name, advice)


def probe_backends(
    interpreter: Interpreter, plan: Plan, toolbox: ToolBox, console: Console, configuration: Configuration
) -> "dict[str, Refusal | None]":
    """Return why each backend cannot serve, the repository's own first: whoever only looks runs nothing of it."""
    answers = {}  # type: dict[str, Refusal | None]
    for name in _as_list(configuration.get("backend")):
        if _is_backend_file(name):
            answers[name] = _plain_refusal("not asked: it is the repository's own code, which ./prime runs")
    for name in BACKENDS:
        try:
            (factory,) = wanted_backends(name, configuration)
            backend = factory(toolbox, console, toolbox.settings)
            answers[name] = _why_not(backend, interpreter, plan)
        except PrimerError as error:
            answers[name] = _plain_refusal(error.cause)
    return answers


def wanted_backends(
    wanted: "str | list[str]", configuration: Configuration, only_ours: bool = False
) -> "list[type[Backend]]":
    """Return the wanted backends in the order to try, on request without the repository's own code."""
    found = []  # type: list[type[Backend]]
    for name in _as_list(wanted):
        if _is_backend_file(name) and only_ours:
            continue
        if _is_backend_file(name):
            found.append(_backend_of_file(configuration.path_of(name), configuration))
        else:
            found += BACKENDS.values() if name == "auto" else [BACKENDS[name]]
    return found


def _as_list(wanted: "str | list[str]") -> "list[str]":
    return [wanted] if isinstance(wanted, str) else wanted


def _is_backend_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name or os.sep in name


def _backend_of_file(path: str, configuration: Configuration) -> "type[Backend]":
    try:
        module = with_client_file(path, lambda module: module)
    except (Exception, SystemExit) as error:
        cause = "the backend file %s failed: %s: %s" % (line_in_file(path, error), type(error).__name__, error)
        raise configuration.error("backend", cause, _ADVICE_ON_FILES) from error
    classes = {value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Backend)}
    found = [one for one in classes if one.__module__ == module.__name__]
    if len(found) != 1:
        cause = "%s defines %d subclasses of Backend instead of one" % (path, len(found))
        raise configuration.error("backend", cause, _ADVICE_ON_FILES)
    backend = found[0]
    if "name" not in vars(backend):
        # An inherited one would be taken for ours.
        backend.name = os.path.splitext(os.path.basename(path))[0]
    for name in ("probe", "create", "install", "lock"):
        setattr(backend, name, _told_as_clients(getattr(backend, name), path, name))
    return backend


def _told_as_clients(method: "Callable[..., Any]", path: str, name: str) -> "Callable[..., Any]":
    def told(self: Backend, *arguments: object) -> "Any":
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return method(self, *arguments)
        except PrimerError:
            raise
        except (Exception, SystemExit) as error:
            place = line_in_file(path, error)
            if place == path and not isinstance(error, NotImplementedError):
                # What it inherits is ours, and so is such a fault.
                raise
            cause = "the repository's backend %s failed in %s: %s: %s" % (self.name, name, type(error).__name__, error)
            raise (BackendError if name == "probe" else InstallError)(cause, place, _ADVICE_ON_FILES) from error

    return told
