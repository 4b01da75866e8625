"""Which Python an environment is made from: by the client's selector, by preference, or fetched."""

import contextlib
import json
import os
import re
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any, Callable

from protoprimer.errors import ConfigurationError, InterpreterError, PrimerError
from protoprimer.fetch.tools import ToolBox
from protoprimer.fetch.wheels import sha256_of_file
from protoprimer.formats.versions import PythonRequest, Version, version_numbers
from protoprimer.pythons.candidates import interpreter_candidates, places_of_uv_pythons
from protoprimer.pythons.probe import probe_interpreter, wild_interpreter
from protoprimer.system.children import run_child, scrubbed_environment
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal
from protoprimer.system.paths import can_be_made

__all__ = [
    "PYTHON_LIST",
    "add_python_archive",
    "all_interpreters",
    "choose_interpreter",
    "interpreter_misfit",
    "line_in_file",
    "selected_interpreter",
    "with_client_file",
]

# uv's list of a bundle's archives.
PYTHON_LIST = "pythons.json"
# The host's business: none of these changes which version is fetched.
_UV_DOWNLOAD_VARIABLES = r"UV_(PYTHON|PYPY)_(INSTALL_MIRROR|DOWNLOADS|DOWNLOADS_JSON_URL|CACHE_DIR)\Z"


def choose_interpreter(
    request: PythonRequest,
    toolbox: ToolBox,
    downloads: "bool | None" = True,
    place: object = "",
    take_newest: bool = False,
) -> Interpreter:
    """Return the interpreter to make the environment from; docs/reference/interpreters.md tells the order.

    :param place: what asked for this Python, as its `str()`
    """
    wild = wild_interpreter()
    is_candidate = wild.executable and not wild.found_in_environment and not take_newest
    if is_candidate and interpreter_misfit(wild, request, is_wild=True) is None:
        return wild
    refusals = []  # type: list[InterpreterRefusal]
    fitting = []  # type: list[Interpreter]
    for probed in all_interpreters(toolbox.cache_directory, toolbox.console):
        misfit = interpreter_misfit(probed, request) if isinstance(probed, Interpreter) else None
        if isinstance(probed, InterpreterRefusal):
            refusals.append(probed)
        elif misfit is None:
            fitting.append(probed)
        else:
            refusals.append(InterpreterRefusal(probed.executable, misfit, probed.version, probed.origin))
    if fitting:
        # Among equals the first.
        return max(fitting, key=lambda one: Version(one.version))
    bundle = toolbox.settings.bundle
    if not downloads:
        no_download = "not tried: " + ("this run only looks" if downloads is None else "python-downloads is false")
    elif toolbox.settings.offline and not os.path.isfile(os.path.join(bundle, PYTHON_LIST)):
        no_download = "not tried: " + ("the bundle was made without --with-python" if bundle else "offline")
    else:
        try:
            return _fetched_interpreter(request, toolbox)
        except PrimerError as error:
            no_download = error.cause
    raise _no_interpreter_error(request, place, refusals, no_download)


def interpreter_misfit(interpreter: Interpreter, request: PythonRequest, is_wild: bool = False) -> "str | None":
    """Return why this interpreter is not what is asked for, or `None`."""
    if request.implementation and interpreter.implementation != request.implementation:
        return "%s, not %s" % (interpreter.implementation, request.implementation)
    if not request.implementation and interpreter.implementation != "cpython" and not is_wild:
        return "%s, which is used only where it is asked for by name" % interpreter.implementation
    if interpreter.free_threaded != request.free_threaded:
        return "free-threaded, which was not asked for" if interpreter.free_threaded else "not free-threaded"
    if interpreter.debug:
        return "a debug build"
    if request.admits(interpreter.version):
        return None
    if request.specifiers.contains(interpreter.version):
        return "a pre-release, which is used only where it is asked for by name"
    return "not " + _wanted_python(request)


def all_interpreters(cache_directory: str, console: Console) -> "list[Interpreter | InterpreterRefusal]":
    """Return all that is or claims to be an interpreter, the running one first."""
    found = {}  # type: dict[str, Interpreter | InterpreterRefusal]
    for candidate, origin in interpreter_candidates(wild_interpreter(), console):
        probed = probe_interpreter(candidate, cache_directory, console, origin)
        path = probed.executable if isinstance(probed, Interpreter) else probed.path
        found.setdefault(os.path.realpath(path), probed)
    return list(found.values())


def _wanted_python(request: PythonRequest) -> str:
    return request.text or str(request.specifiers) or "any"


def selected_interpreter(
    selector: str, request: PythonRequest, root: str, cache_directory: str, console: Console
) -> "Interpreter | None":
    """Return what the client's selector chose, or `None` if it leaves the choice to us."""
    path = os.path.join(root, selector)
    try:
        answer = with_client_file(path, lambda module: module.select_python(str(request.specifiers)))
    except (Exception, SystemExit) as error:
        cause = "the python-selector failed: %s: %s" % (type(error).__name__, error)
        advice = "it is to define select_python(required), which returns a path or None"
        raise ConfigurationError(cause, line_in_file(path, error), advice) from error
    if answer is None:
        return None
    if not isinstance(answer, (str, os.PathLike)) or "\0" in os.fsdecode(answer):
        cause = "select_python returned %r, which is no path" % (answer,)
        raise ConfigurationError(cause, path, "return an interpreter's path, or None")
    probed = probe_interpreter(os.path.join(root, os.fsdecode(answer)), cache_directory, console, selector)
    if isinstance(probed, InterpreterRefusal):
        cause = "%s: %s" % (probed.path, probed.reason)
    elif request.implementation not in (None, probed.implementation) or not request.specifiers.contains(probed.version):
        cause = "%s, which is not %s" % (probed, _wanted_python(request))
    else:
        return probed
    raise InterpreterError("select_python chose " + cause, path, "let it return None where it knows none that fits")


def with_client_file(path: str, use: Callable[[Any], Any]) -> Any:
    """Return what `use` makes of the client's Python file; what it prints goes to stderr."""
    name = "protoprimer_client:" + path
    loader = SourceFileLoader(name, path)
    spec = spec_from_loader(name, loader)  # type: Any
    # Where dataclasses look for it.
    module = sys.modules[name] = module_from_spec(spec)
    with contextlib.redirect_stdout(sys.stderr):
        exec(loader.source_to_code(loader.get_data(path), path), vars(module))  # noqa: S102 - the repository's own code
        return use(module)


def line_in_file(path: str, error: BaseException) -> str:
    """Return `file:line` of the last place in this file that the error came from, or the file."""
    import traceback

    lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines = [error.lineno]
    return "%s:%d" % (path, lines[-1]) if lines and lines[-1] else path


def _fetched_interpreter(request: PythonRequest, toolbox: ToolBox) -> Interpreter:
    # uv takes specifiers for every request but for the free-threaded ones, and never pyenv's names.
    wanted = request.text if request.free_threaded else (request.implementation or "cpython") + str(request.specifiers)
    toolbox.uv()
    with toolbox.console.step("fetching %s through uv" % wanted, "fetched %s through uv" % wanted):
        _printed_by_uv_python(toolbox, ["install", wanted])
    path = _printed_by_uv_python(toolbox, ["find", "--managed-python", wanted])
    probed = probe_interpreter(path, toolbox.cache_directory, toolbox.console, "uv")
    misfit = interpreter_misfit(probed, request) if isinstance(probed, Interpreter) else probed.reason
    if isinstance(probed, InterpreterRefusal) or misfit:
        raise PrimerError("%s is %s" % (path, misfit))
    return probed


def add_python_archive(wanted: str, toolbox: ToolBox, directory: str) -> "dict[str, Any]":
    """Fetch an interpreter's archive into a bundle; return what uv is to be told of it there."""
    import tempfile

    search = ["list", "--only-downloads", "--show-urls", "--all-platforms", "--output-format", "json", wanted]
    before = set(os.listdir(directory))
    try:
        toolbox.uv()
        with toolbox.console.step("fetching " + wanted, "fetched " + wanted):
            found = json.loads(_printed_by_uv_python(toolbox, search)) or [{"key": wanted}]
            with tempfile.TemporaryDirectory() as place:
                # What uv verified stays there.
                _printed_by_uv_python(toolbox, ["install", "--install-dir", place, found[0]["key"]], directory)
    except PrimerError as error:
        advice = "name a mirror by UV_PYTHON_INSTALL_MIRROR, or bundle without --with-python"
        raise InterpreterError("uv has no archive of %s: %s" % (wanted, error.cause), None, advice) from error
    (archive,), one = set(os.listdir(directory)) - before, found[0]
    told = dict(one["version_parts"], name=one["implementation"], arch={"family": one["arch"]})
    told.update({name: one[name] for name in ("os", "libc", "url", "variant") if one[name] != "default"})
    return {one["key"]: dict(told, sha256=sha256_of_file(os.path.join(directory, archive)))}


def _printed_by_uv_python(toolbox: ToolBox, arguments: "list[str]", archives: str = "") -> str:
    uv, bundle = toolbox.uv(), toolbox.settings.bundle
    # Proxy and certificates may be told to pip alone.
    settings = toolbox.settings.for_uv()[1]
    settings.update(one for one in os.environ.items() if re.match(_UV_DOWNLOAD_VARIABLES, one[0]))
    if bundle:
        settings["UV_PYTHON_DOWNLOADS_JSON_URL"] = os.path.join(bundle, PYTHON_LIST)
    if archives or bundle:
        settings["UV_PYTHON_CACHE_DIR"] = archives or bundle
    for place in filter(can_be_made, reversed(places_of_uv_pythons())):
        settings["UV_PYTHON_INSTALL_DIR"] = place
    # Only uv's own place: no link in the user's ~/.local/bin, no entry in the registry.
    settings.update(uv.environment, UV_PYTHON_INSTALL_BIN="0", UV_PYTHON_INSTALL_REGISTRY="0")
    command, environ = uv.command + ["python"] + arguments, scrubbed_environment(settings)
    child = run_child(command, toolbox.console, toolbox.settings.root, environ)
    if child.status != 0:
        # One line tells what failed; the last of the causes below it tells why.
        lines = list(filter(None, map(str.strip, child.errors.splitlines())))
        failed = [line for line in lines if line.startswith("error")] or lines
        causes = [line for line in lines if line.lower().startswith("cause")] or lines[1:]
        raise PrimerError("; ".join(failed[:1] + causes[-1:]) or "uv failed with exit status %d" % child.status)
    return child.output.strip()


def _no_interpreter_error(
    request: PythonRequest, place: object, refusals: "list[InterpreterRefusal]", no_download: str
) -> InterpreterError:
    reasons = {}  # type: dict[str, list[InterpreterRefusal]]
    refusals.sort(key=lambda one: version_numbers(one.version), reverse=True)
    for refusal in refusals:
        reasons.setdefault(refusal.reason, []).append(refusal)
    lines = ["no interpreter for " + _wanted_python(request)]
    for reason, refused in sorted(reasons.items(), key=lambda item: -len(item[1])):
        lines.append("  %s:" % reason)
        lines += ["    %-10s %s (%s)" % (one.version or "?", one.path, one.origin) for one in refused]
    lines.append("  download through uv: " + no_download)
    return InterpreterError("\n".join(lines), str(place), "install such a Python, or change what is asked for")
