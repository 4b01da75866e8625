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
from protoprimer.pythons.candidates import interpreter_candidates, place_of_own_pythons, places_of_uv_pythons
from protoprimer.pythons.probe import probe_interpreter, wild_interpreter
from protoprimer.settings.index_sources import strangers_file
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
    for probed in all_interpreters(toolbox.cache_directory, toolbox.console, toolbox.settings.root):
        if isinstance(probed, InterpreterRefusal):
            refusals.append(probed)
            continue
        misfit = interpreter_misfit(probed, request)
        if misfit is None:
            fitting.append(probed)
        else:
            refusals.append(InterpreterRefusal(probed.executable, misfit, probed.version, probed.origin))
    if fitting:
        # Among equals the first.
        return max(fitting, key=lambda one: Version(one.version))
    no_download = _why_nothing_is_fetched(toolbox, downloads)
    if no_download is None:
        try:
            return _fetched_interpreter(request, toolbox)
        except PrimerError as error:
            no_download = error.cause
    raise _no_interpreter_error(request, place, refusals, no_download)


def _why_nothing_is_fetched(toolbox: ToolBox, downloads: "bool | None") -> "str | None":
    if downloads is None:
        return "not tried: this run only looks"
    if not downloads:
        return "not tried: python-downloads is false"
    if not toolbox.settings.offline:
        return None
    bundle = toolbox.settings.bundle
    if not bundle:
        return "not tried: offline"
    if not os.path.isfile(os.path.join(bundle, PYTHON_LIST)):
        return "not tried: the bundle was made without --with-python"
    return None


def interpreter_misfit(interpreter: Interpreter, request: PythonRequest, is_wild: bool = False) -> "str | None":
    """Return why this interpreter is not what is asked for, or `None`."""
    if request.implementation and interpreter.implementation != request.implementation:
        return "%s, not %s" % (interpreter.implementation, request.implementation)
    if not request.implementation and interpreter.implementation != "cpython" and not is_wild:
        return "%s, which is used only where it is asked for by name" % interpreter.implementation
    if interpreter.free_threaded and not request.free_threaded:
        return "free-threaded, which was not asked for"
    if request.free_threaded and not interpreter.free_threaded:
        return "not free-threaded"
    if interpreter.debug:
        return "a debug build"
    if request.admits(interpreter.version):
        return None
    if request.specifiers.contains(interpreter.version):
        return "a pre-release, which is used only where it is asked for by name"
    return "not " + _wanted_python(request)


def all_interpreters(
    cache_directory: str, console: Console, root: str = ""
) -> "list[Interpreter | InterpreterRefusal]":
    """Return all that is or claims to be an interpreter, the running one first.

    :param root: the clone's, to which the interpreters of its bundles belong
    """
    own_place = place_of_own_pythons(cache_directory, root) if root else ""
    found = {}  # type: dict[str, Interpreter | InterpreterRefusal]
    for candidate, origin in interpreter_candidates(wild_interpreter(), console, own_place):
        probed = probe_interpreter(candidate, cache_directory, console, origin)
        if isinstance(probed, Interpreter):
            path = probed.executable
        else:
            path = probed.path
        found.setdefault(os.path.realpath(path), probed)
    return list(found.values())


def _wanted_python(request: PythonRequest) -> str:
    return request.text or str(request.specifiers) or "any"


def selected_interpreter(
    selector: str, request: PythonRequest, root: str, cache_directory: str, console: Console
) -> "Interpreter | None":
    """Return what the client's selector chose, or `None` if it leaves the choice to us."""
    path = os.path.join(root, selector)
    chosen = _path_chosen_by(path, request)
    if chosen is None:
        return None
    probed = probe_interpreter(os.path.join(root, chosen), cache_directory, console, selector)
    advice = "let it return None where it knows none that fits"
    if isinstance(probed, InterpreterRefusal):
        raise InterpreterError("select_python chose %s: %s" % (probed.path, probed.reason), path, advice)
    is_implementation = request.implementation in (None, probed.implementation)
    if not is_implementation or not request.specifiers.contains(probed.version):
        cause = "select_python chose %s, which is not %s" % (probed, _wanted_python(request))
        raise InterpreterError(cause, path, advice)
    return probed


def _path_chosen_by(selector_file: str, request: PythonRequest) -> "str | None":
    """Call the client's `select_python`; a `ConfigurationError` if it fails or returns something else."""
    try:
        answer = with_client_file(selector_file, lambda module: module.select_python(str(request.specifiers)))
    except (Exception, SystemExit) as error:
        cause = "the python-selector failed: %s: %s" % (type(error).__name__, error)
        advice = "it is to define select_python(required), which returns a path or None"
        raise ConfigurationError(cause, line_in_file(selector_file, error), advice) from error
    if answer is None:
        return None
    if not isinstance(answer, (str, os.PathLike)) or "\0" in os.fsdecode(answer):
        cause = "select_python returned %r, which is no path" % (answer,)
        raise ConfigurationError(cause, selector_file, "return an interpreter's path, or None")
    return os.fsdecode(answer)


def with_client_file(path: str, use: Callable[[Any], Any]) -> Any:
    """Return what `use` makes of the client's Python file; what it prints goes to stderr."""
    name = "protoprimer_client:" + path
    loader = SourceFileLoader(name, path)
    spec = spec_from_loader(name, loader)  # type: Any
    module = module_from_spec(spec)
    # Where dataclasses look for it.
    sys.modules[name] = module
    with contextlib.redirect_stdout(sys.stderr):
        code = loader.source_to_code(loader.get_data(path), path)
        exec(code, vars(module))  # noqa: S102 - the repository's own code
        return use(module)


def line_in_file(path: str, error: BaseException) -> str:
    """Return `file:line` of the last place in this file that the error came from, or the file."""
    import traceback

    line = None  # type: int | None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == path:
            line = frame.lineno
    if isinstance(error, SyntaxError) and error.filename == path:
        line = error.lineno
    if not line:
        return path
    return "%s:%d" % (path, line)


def _fetched_interpreter(request: PythonRequest, toolbox: ToolBox) -> Interpreter:
    if request.free_threaded:
        # The one request for which uv takes no specifiers.
        wanted = request.text
    else:
        # Never the request's own text: it may be a name of pyenv's, which uv does not know.
        wanted = (request.implementation or "cpython") + str(request.specifiers)
    # A fetch of uv has a line of its own, before this one.
    toolbox.uv()
    with toolbox.console.step("fetching %s through uv" % wanted, "fetched %s through uv" % wanted):
        _printed_by_uv_python(toolbox, ["install", wanted])
    path = _printed_by_uv_python(toolbox, ["find", "--managed-python", wanted])
    probed = probe_interpreter(path, toolbox.cache_directory, toolbox.console, "uv")
    if isinstance(probed, InterpreterRefusal):
        raise PrimerError("%s is %s" % (path, probed.reason))
    misfit = interpreter_misfit(probed, request)
    if misfit is not None:
        raise PrimerError("%s is %s" % (path, misfit))
    return probed


def add_python_archive(wanted: str, toolbox: ToolBox, directory: str) -> "dict[str, Any]":
    """Fetch an interpreter's archive into a bundle; return what uv is to be told of it there."""
    import tempfile

    search = ["list", "--only-downloads", "--show-urls", "--all-platforms", "--output-format", "json", wanted]
    before = set(os.listdir(directory))
    try:
        # A fetch of uv has a line of its own, before this one.
        toolbox.uv()
        with toolbox.console.step("fetching " + wanted, "fetched " + wanted):
            listed = json.loads(_printed_by_uv_python(toolbox, search))
            # uv itself tells that it knows none of this name.
            found = listed[0] if listed else {"key": wanted}  # type: dict[str, Any]
            with tempfile.TemporaryDirectory() as place:
                # What uv verified stays in `directory`.
                _printed_by_uv_python(toolbox, ["install", "--install-dir", place, found["key"]], directory)
    except PrimerError as error:
        advice = "name a mirror by UV_PYTHON_INSTALL_MIRROR, or bundle without --with-python"
        raise InterpreterError("uv has no archive of %s: %s" % (wanted, error.cause), None, advice) from error
    (archive,) = set(os.listdir(directory)) - before
    told = dict(found["version_parts"])
    told["name"] = found["implementation"]
    told["arch"] = {"family": found["arch"]}
    for name in ("os", "libc", "url", "variant"):
        if found[name] != "default":
            told[name] = found[name]
    told["sha256"] = sha256_of_file(os.path.join(directory, archive))
    return {found["key"]: told}


def _printed_by_uv_python(toolbox: ToolBox, arguments: "list[str]", archives: str = "") -> str:
    """Return what `uv python` prints; with `archives` it keeps there what it fetches.

    :raises PrimerError: it failed
    """
    uv = toolbox.uv()
    settings = _settings_of_uv_python(toolbox, archives)
    settings.update(uv.environment)
    if strangers_file(toolbox.settings.root, dict(os.environ)):
        # It may name a mirror.
        settings["UV_NO_CONFIG"] = "1"
    command = uv.command + ["python"] + arguments
    child = run_child(command, toolbox.console, toolbox.settings.root, scrubbed_environment(settings))
    if child.status != 0:
        raise PrimerError(_why_uv_failed(child.errors) or "uv failed with exit status %d" % child.status)
    return child.output.strip()


def _settings_of_uv_python(toolbox: ToolBox, archives: str) -> "dict[str, str]":
    # Proxy and certificates may be told to pip alone.
    settings = toolbox.settings.for_uv()[1]
    for name, value in os.environ.items():
        if re.match(_UV_DOWNLOAD_VARIABLES, name):
            settings[name] = value
    bundle = toolbox.settings.bundle
    if bundle:
        settings["UV_PYTHON_DOWNLOADS_JSON_URL"] = os.path.join(bundle, PYTHON_LIST)
    if archives or bundle:
        settings["UV_PYTHON_CACHE_DIR"] = archives or bundle
    places = places_of_uv_pythons()
    if bundle:
        # Other clones have not been told to trust it.
        places = [place_of_own_pythons(toolbox.cache_directory, toolbox.settings.root)]
    for place in places:
        if can_be_made(place):
            settings["UV_PYTHON_INSTALL_DIR"] = place
            break
    # Only uv's own place: no link in the user's ~/.local/bin, no entry in the registry.
    settings["UV_PYTHON_INSTALL_BIN"] = "0"
    settings["UV_PYTHON_INSTALL_REGISTRY"] = "0"
    return settings


def _why_uv_failed(errors: str) -> str:
    """Return the line that tells what failed, and the last of the causes below it, which tells why."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    failures = [line for line in lines if line.startswith("error")]
    if not failures:
        failures = lines
    causes = [line for line in lines if line.lower().startswith("cause")]
    if not causes:
        causes = lines[1:]
    return "; ".join(failures[:1] + causes[-1:])


def _no_interpreter_error(
    request: PythonRequest, place: object, refusals: "list[InterpreterRefusal]", no_download: str
) -> InterpreterError:
    by_reason = {}  # type: dict[str, list[InterpreterRefusal]]
    for refusal in sorted(refusals, key=lambda one: version_numbers(one.version), reverse=True):
        by_reason.setdefault(refusal.reason, []).append(refusal)
    lines = ["no interpreter for " + _wanted_python(request)]
    # The reason of most of them first.
    for reason, refused in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        lines.append("  %s:" % reason)
        for one in refused:
            lines.append("    %-10s %s (%s)" % (one.version or "?", one.path, one.origin))
    lines.append("  download through uv: " + no_download)
    return InterpreterError("\n".join(lines), str(place), "install such a Python, or change what is asked for")
