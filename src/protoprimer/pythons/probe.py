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
    home = _executable_at_home(answers["facts"])
    return Interpreter(dict(answers["facts"], executable=home, base_executable=home), ORIGIN_OF_WILD)


def probe_interpreter(
    path: str, cache_directory: str, console: Console, origin: str = ""
) -> "Interpreter | InterpreterRefusal":
    """Return what the interpreter at `path` is, or why it cannot serve; it is asked anew where its files changed."""
    path = os.path.abspath(path)
    memory = os.path.join(cache_directory, "interpreters", sha256_of(os.fsencode(path))[:32] + ".json")
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
    if not os.path.isfile(python):
        raise PrimerError("it is a dangling link" if os.path.islink(python) else "there is no such file")
    child = run_child([python] + arguments, console, timeout=seconds)
    if child.status == STATUS_OF_LATE:
        raise PrimerError("it did not answer within %g s" % seconds)
    if child.status != 0:
        raise PrimerError(_why_child_failed(child.status, child.errors))
    lines = [line for line in child.output.splitlines() if line.startswith(_PROBE_MARK)]
    return lines[0][len(_PROBE_MARK) :] if lines else ""


def _why_child_failed(status: int, errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    # A fatal error's last lines are a thread's empty stack.
    told = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "")
    how = "it was ended by signal %d" % -status if status < 0 else "it failed with exit status %d" % status
    return how + (": " + told[:200] if told else "")


def _are_facts(facts: object) -> bool:
    numbers = facts.get("version_info") if isinstance(facts, dict) else None
    if not isinstance(facts, dict) or not isinstance(numbers, list) or list(map(type, numbers)) != [int, int, int]:
        return False
    wanted = Interpreter.__annotations__ if tuple(numbers) >= OLDEST_PYTHON else {"version": str}
    return all(isinstance(facts.get(name), kind) for name, kind in wanted.items() if name != "version_info")


def _executable_at_home(facts: "dict[str, Any]") -> str:
    # From a link or a copy elsewhere an environment would look for its standard library there.
    real = os.path.realpath(facts["executable"]) if facts["executable"] else ""
    stem = "pypy" if facts["implementation"] == "pypy" else "python"
    numbered = "%s%d.%d%s" % (stem, facts["version_info"][0], facts["version_info"][1], "t" * facts["free_threaded"])
    directory, suffix = (facts["base_prefix"], ".exe") if is_windows() else (facts["base_prefix"] + "/bin", "")
    names = [os.path.basename(real)] + [name + suffix for name in (numbered, stem + "3", stem)]
    there = [path for path in (os.path.join(directory, name) for name in names if name) if os.path.isfile(path)]
    same = [path for path in there if os.path.realpath(path) == real]
    # Without its number a name in a shared directory such as /usr/bin may be another version's.
    sure = [path for path in there if is_windows() or os.path.basename(path) == numbered]
    if same or sure:
        return (same + sure)[0]
    base = str(facts["base_executable"])
    return base if facts["found_in_environment"] and os.path.isfile(base) else real


def _facts_at_home(facts: "dict[str, Any]", console: Console) -> "dict[str, Any]":
    if tuple(facts["version_info"]) < OLDEST_PYTHON:
        return facts
    home = _executable_at_home(facts)
    if os.path.realpath(home) != os.path.realpath(facts["executable"]):
        there = _answer_of(home, _PROBE_ARGUMENTS, console)
        if any(there.get(name) != facts[name] for name in ("version", "implementation", "base_prefix")):
            raise PrimerError("its standard library is that of %s, which is %s" % (home, there["version"]))
    return dict(facts, executable=home, base_executable=home)


def _file_stamp(path: str) -> "list[int] | None":
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return [status.st_mtime_ns, status.st_size, status.st_ino]


def _remembered_facts(kept: "dict[str, Any]") -> "dict[str, Any] | None":
    try:
        is_ours = kept["format"] == _CACHE_FORMAT and _are_facts(kept["facts"]) and kept["stamps"]
        if is_ours and all(_file_stamp(path) == stamp for path, stamp in kept["stamps"].items()):
            return dict(kept["facts"])
    except (LookupError, TypeError, AttributeError):
        pass
    return None


def _remember_facts(memory: str, path: str, facts: "dict[str, Any]") -> None:
    directory = os.path.dirname(path)
    deciding = [path, os.path.join(directory, "pyvenv.cfg"), os.path.join(os.path.dirname(directory), "pyvenv.cfg")]
    if "stdlib" in facts:
        deciding += [str(facts["executable"]), os.path.join(str(facts["stdlib"]), "os.py")]
    kept = {"format": _CACHE_FORMAT, "stamps": {name: _file_stamp(name) for name in deciding}, "facts": facts}
    keep_in_cache(memory, json.dumps(kept, indent=1, sort_keys=True).encode("ascii"))


def verify_environment_interpreter(environment: str, interpreter: Interpreter, console: Console) -> None:
    """Raise an `InstallError` unless the environment's interpreter starts, in it, and is what it was made from."""
    python, reason = environment_python(environment), ""
    try:
        # Not -S: until 3.13 it is `site` that sets sys.prefix to the environment.
        told = _line_answered(python, ["-I", "-c", _PROBE_INSIDE, environment], console, 60.0).split(" ", 2)
        if told[:2] != [interpreter.implementation, interpreter.version]:
            reason = "it is %s" % (" ".join(told[:2]) or "no Python")
        elif told[2:] != ["inside"]:
            reason = "its prefix is %s" % " ".join(told[2:])
    except PrimerError as error:
        reason = error.cause
    if reason:
        cause = "the environment made from %s does not work: %s" % (interpreter, reason)
        raise InstallError(cause, python, "choose another interpreter with --python, or repair that one")
