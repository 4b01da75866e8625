"""What an interpreter is: asked of it once in a child process, and remembered in the user's cache."""

import json
import os
from typing import Any

from protoprimer.errors import InstallError, PrimerError
from protoprimer.system.children import STATUS_OF_LATE, run_child
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, json_table, keep_in_cache, sha256_of
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal
from protoprimer.system.paths import environment_python
from protoprimer.system.platform import is_windows

__all__ = [
    "ORIGIN_OF_WILD",
    "probe_interpreter",
    "verify_environment_interpreter",
    "wild_interpreter",
]

ORIGIN_OF_WILD = "this Python"
PROBE_SECONDS = 5.0
# An environment's Python may have to compile what it imports, on a slow disk.
_SECONDS_OF_FIRST_START = 60.0
_LONGEST_REASON = 200
OLDEST_PYTHON = (3, 6)

# Run by this process and by every candidate, so that both answer alike; Python 2.6 can parse it.
_PROBE_VERSION = r"""
import sys
kind = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(sys.version_info[3], "")
facts = {
    "version_info": list(sys.version_info[:3]),
    "version": "%d.%d.%d" % sys.version_info[:3] + (kind + str(sys.version_info[4]) if kind else ""),
}
"""
_PROBE = (
    _PROBE_VERSION
    + r"""
if sys.version_info >= (3, 6):
    import encodings, os
    base = getattr(sys, "real_prefix", sys.base_prefix)
    executable = os.path.abspath(sys.executable) if sys.executable else ""
    directory = os.path.dirname(executable)
    marks = [os.path.join(above, "pyvenv.cfg") for above in (directory, os.path.dirname(directory))]
    libc = ""
    if sys.platform.startswith("linux"):
        # As sysconfig, which takes longer.
        platform = "linux-" + os.uname()[4]
        try:
            libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").strip() or "musl"
        except (ValueError, OSError):
            libc = "musl"
    else:
        import sysconfig
        platform = sysconfig.get_platform()
    facts.update(
        executable=executable,
        base_executable=getattr(sys, "_base_executable", None) or executable,
        implementation=sys.implementation.name,
        base_prefix=base,
        platform=platform,
        libc=libc,
        free_threaded="t" in getattr(sys, "abiflags", "") or "free-threading build" in sys.version,
        debug=hasattr(sys, "gettotalrefcount"),
        has_venv=os.path.isfile(os.path.join(os.path.dirname(os.__file__), "venv", "__init__.py")),
        stdlib=os.path.dirname(os.__file__),
        found_in_environment=base != sys.prefix or any(map(os.path.isfile, marks)),
    )
"""
)
_PROBE_MARK = "protoprimer-probe:"
# Without `json`, whose import takes as long as the rest of the start.
_PROBE_INSIDE = (
    _PROBE_VERSION
    + """
import os
inside = os.path.realpath(sys.prefix) == os.path.realpath(sys.argv[1])
print("\\n%s%%s %%s %%s" %% (sys.implementation.name, facts["version"], "inside" if inside else ascii(sys.prefix)))
"""
    % _PROBE_MARK
)
_PROBE_ANSWER = "\nimport json; print('\\n%s' + json.dumps(facts))" % _PROBE_MARK
# Instead of `-I`, which 2.7 does not know: it is to tell its version too.
_PROBE_ARGUMENTS = [
    "-E", "-s", "-S", "-c",
    "import sys; sys.path[:] = [entry for entry in sys.path if entry]\n" + _PROBE + _PROBE_ANSWER,
]  # fmt: skip
_CACHE_FORMAT = 2


def wild_interpreter() -> Interpreter:
    """Return the interpreter that runs this, or the base of its environment."""
    answers = {}  # type: dict[str, Any]
    exec(_PROBE, answers)  # noqa: S102 - our own constant text, the same that other interpreters are given
    facts = answers["facts"]
    home = _executable_at_home(facts)
    return Interpreter(dict(facts, executable=home, base_executable=home), ORIGIN_OF_WILD)


def probe_interpreter(
    path: str, cache_directory: str, console: Console, origin: str = ""
) -> "Interpreter | InterpreterRefusal":
    """Return what the interpreter at `path` is, or why it cannot serve; it is asked anew where its files changed."""
    path = os.path.abspath(path)
    name_in_cache = sha256_of(os.fsencode(path))[:32] + ".json"
    memory = os.path.join(cache_directory, "interpreters", name_in_cache)
    facts = _remembered_facts(json_table(content_of(memory)))
    if facts is None:
        try:
            facts = _facts_at_home(_answer_of(path, _PROBE_ARGUMENTS, console), console)
        except PrimerError as error:
            console.detail("%s cannot serve: %s" % (path, error.cause))
            return InterpreterRefusal(path, error.cause, origin=origin)
        _remember_facts(memory, path, facts)
    version = str(facts["version"])
    if tuple(facts["version_info"]) < OLDEST_PYTHON:
        return InterpreterRefusal(path, "older than %d.%d, the oldest that can serve" % OLDEST_PYTHON, version, origin)
    return Interpreter(facts, origin or path)


def _answer_of(python: str, arguments: "list[str]", console: Console) -> "dict[str, Any]":
    try:
        facts = json.loads(_line_answered(python, arguments, console, PROBE_SECONDS))
    except ValueError:
        facts = None
    if not _are_facts(facts):
        raise PrimerError("what it answered is not what a Python answers")
    return dict(facts)


def _line_answered(python: str, arguments: "list[str]", console: Console, seconds: float) -> str:
    """Return what the interpreter prints after our mark, nothing if it does not print it.

    :raises PrimerError: why it does not answer
    """
    if not os.path.isfile(python):
        if os.path.islink(python):
            raise PrimerError("it is a dangling link")
        raise PrimerError("there is no such file")
    child = run_child([python] + arguments, console, timeout=seconds)
    if child.status == STATUS_OF_LATE:
        raise PrimerError("it did not answer within %g s" % seconds)
    if child.status != 0:
        raise PrimerError(_why_child_failed(child.status, child.errors))
    for line in child.output.splitlines():
        if line.startswith(_PROBE_MARK):
            return line[len(_PROBE_MARK) :]
    return ""


def _why_child_failed(status: int, errors: str) -> str:
    if status < 0:
        how = "it was ended by signal %d" % -status
    else:
        how = "it failed with exit status %d" % status
    told = _telling_line(errors)
    if not told:
        return how
    return "%s: %s" % (how, told[:_LONGEST_REASON])


def _telling_line(errors: str) -> str:
    """Return the last line that names an error, else the last one."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    # A fatal error's last lines are a thread's empty stack.
    for line in reversed(lines):
        if "rror" in line:
            return line
    return lines[-1] if lines else ""


def _are_facts(facts: object) -> bool:
    """Tell whether an answer, or what is remembered of one, has all facts, each of its type."""
    if not isinstance(facts, dict):
        return False
    numbers = facts.get("version_info")
    if not isinstance(numbers, list):
        return False
    if [type(number) for number in numbers] != [int, int, int]:
        return False
    if tuple(numbers) < OLDEST_PYTHON:
        # It tells nothing but its version.
        return isinstance(facts.get("version"), str)
    for name, kind in Interpreter.__annotations__.items():
        if name != "version_info" and not isinstance(facts.get(name), kind):
            return False
    return True


def _executable_at_home(facts: "dict[str, Any]") -> str:
    """Return the interpreter that stands with its standard library.

    From a link or a copy elsewhere an environment would look for its standard library there.
    """
    real = ""
    if facts["executable"]:
        real = os.path.realpath(facts["executable"])
    numbered = _numbered_name(facts)
    beside_library = _pythons_beside_library(facts, [os.path.basename(real), numbered])
    for path in beside_library:
        if os.path.realpath(path) == real:
            return path
    for path in beside_library:
        # Without its number a name in a shared directory such as /usr/bin may be another version's.
        if is_windows() or os.path.basename(path) == numbered:
            return path
    base = str(facts["base_executable"])
    if facts["found_in_environment"] and os.path.isfile(base):
        return base
    return real


def _stem_of_name(facts: "dict[str, Any]") -> str:
    if facts["implementation"] == "pypy":
        return "pypy"
    return "python"


def _numbered_name(facts: "dict[str, Any]") -> str:
    """Return the name with the version that an installation gives this interpreter, such as `python3.14t`."""
    major, minor = facts["version_info"][:2]
    name = "%s%d.%d" % (_stem_of_name(facts), major, minor)
    if facts["free_threaded"]:
        name += "t"
    if is_windows():
        name += ".exe"
    return name


def _pythons_beside_library(facts: "dict[str, Any]", preferred: "list[str]") -> "list[str]":
    """Return the files where an installation has its interpreters: those `preferred`, then the usual names."""
    stem = _stem_of_name(facts)
    if is_windows():
        directory = facts["base_prefix"]
        usual = [stem + "3.exe", stem + ".exe"]
    else:
        directory = facts["base_prefix"] + "/bin"
        usual = [stem + "3", stem]
    found = []
    for name in preferred + usual:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            found.append(path)
    return found


def _facts_at_home(facts: "dict[str, Any]", console: Console) -> "dict[str, Any]":
    """Return the facts with the executable that stands with its standard library, which is asked too."""
    if tuple(facts["version_info"]) < OLDEST_PYTHON:
        return facts
    home = _executable_at_home(facts)
    if os.path.realpath(home) != os.path.realpath(facts["executable"]):
        there = _answer_of(home, _PROBE_ARGUMENTS, console)
        for name in ("version", "implementation", "base_prefix"):
            if there.get(name) != facts[name]:
                raise PrimerError("its standard library is that of %s, which is %s" % (home, there["version"]))
    return dict(facts, executable=home, base_executable=home)


def _file_stamp(path: str) -> "list[int] | None":
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return [status.st_mtime_ns, status.st_size, status.st_ino]


def _remembered_facts(kept: "dict[str, Any]") -> "dict[str, Any] | None":
    """Return the facts of a file in our cache, `None` if it is damaged or a file that decides has changed."""
    facts = kept.get("facts")
    stamps = kept.get("stamps")
    if kept.get("format") != _CACHE_FORMAT or not _are_facts(facts):
        return None
    if not isinstance(stamps, dict) or not stamps:
        return None
    for path, stamp in stamps.items():
        if _file_stamp(path) != stamp:
            return None
    return dict(facts)  # type: ignore[arg-type]


def _remember_facts(memory: str, path: str, facts: "dict[str, Any]") -> None:
    directory = os.path.dirname(path)
    above = os.path.dirname(directory)
    # Whether it is inside an environment is told by these marks, which may come or go.
    deciding = [path, os.path.join(directory, "pyvenv.cfg"), os.path.join(above, "pyvenv.cfg")]
    if "stdlib" in facts:
        deciding.append(str(facts["executable"]))
        deciding.append(os.path.join(str(facts["stdlib"]), "os.py"))
    stamps = {name: _file_stamp(name) for name in deciding}
    kept = {"format": _CACHE_FORMAT, "stamps": stamps, "facts": facts}
    keep_in_cache(memory, json.dumps(kept, indent=1, sort_keys=True).encode("ascii"))


def verify_environment_interpreter(environment: str, interpreter: Interpreter, console: Console) -> None:
    """Raise an `InstallError` unless the environment's interpreter starts, in it, and is what it was made from."""
    python = environment_python(environment)
    try:
        fault = _fault_of_environment_python(python, environment, interpreter, console)
    except PrimerError as error:
        fault = error.cause
    if fault is not None:
        cause = "the environment made from %s does not work: %s" % (interpreter, fault)
        raise InstallError(cause, python, "choose another interpreter with --python, or repair that one")


def _fault_of_environment_python(
    python: str, environment: str, interpreter: Interpreter, console: Console
) -> "str | None":
    # Not -S: until 3.13 it is `site` that sets sys.prefix to the environment.
    arguments = ["-I", "-c", _PROBE_INSIDE, environment]
    told = _line_answered(python, arguments, console, _SECONDS_OF_FIRST_START)
    # The prefix may have spaces.
    parts = told.split(" ", 2)
    kind_and_version = parts[:2]
    if kind_and_version != [interpreter.implementation, interpreter.version]:
        return "it is %s" % (" ".join(kind_and_version) or "no Python")
    prefix = " ".join(parts[2:])
    if prefix != "inside":
        return "its prefix is %s" % prefix
    return None
