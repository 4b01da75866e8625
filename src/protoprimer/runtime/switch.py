"""The switch: the environment's interpreter takes over the entry script, or a command of the user's."""

import os
import sys
from typing import Sequence

from protoprimer.errors import InstallError, UsageError, did_you_mean
from protoprimer.system.files import names_in
from protoprimer.system.paths import environment_python, scripts_directory
from protoprimer.system.platform import is_windows
from protoprimer.system.processes import become_command, replace_process

__all__ = [
    "PATH_VARIABLE",
    "READY_VARIABLE",
    "activated_environment",
    "enter_command",
    "enter_environment",
    "interpreter_flags",
    "is_isolated",
    "is_neo_runtime",
    "leave_protoprimer_variables",
]

READY_VARIABLE = "PROTOPRIMER_READY"
PATH_VARIABLE = "PROTOPRIMER_PATH"
HOPS_VARIABLE = "PROTOPRIMER_HOPS"
MAXIMUM_HOPS = 3
# By `PYTHONEXECUTABLE` and `__PYVENV_LAUNCHER__` even an isolated interpreter takes itself for another one.
_LEFT_OUT = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV_PROMPT")


def is_neo_runtime() -> bool:
    """Tell whether this process runs in the environment that was announced."""
    # Not by the executable, which may be the same file outside.
    announced = os.environ.get(READY_VARIABLE)
    return bool(announced) and os.path.realpath(str(announced)) == os.path.realpath(sys.prefix)


def interpreter_flags(environ: "dict[str, str]") -> "list[str]":
    """Return the flags of an isolated interpreter for the user's `PYTHON*` variables."""
    flags = ["-I"]
    # To the interpreter, 0 is as good as unset, and any word counts as 1.
    if environ.get("PYTHONUNBUFFERED", "0") not in ("", "0"):
        flags.append("-u")
    if environ.get("PYTHONDONTWRITEBYTECODE", "0") not in ("", "0"):
        flags.append("-B")
    for warning in environ.get("PYTHONWARNINGS", "").split(","):
        if warning.strip():
            flags.append("-W" + warning.strip())
    optimize = environ.get("PYTHONOPTIMIZE", "")
    if optimize.isdigit() and int(optimize) > 1:
        flags.append("-OO")
    elif optimize not in ("", "0"):
        flags.append("-O")
    return flags


def activated_environment(environ: "dict[str, str]", environment: str) -> "dict[str, str]":
    """Return the variables with this environment active, as `ready.sh` does it."""
    passed = leave_protoprimer_variables(environ)
    own = scripts_directory(environment)
    # What was active before gives way.
    replaced = [own]
    if passed.get("VIRTUAL_ENV"):
        replaced.append(scripts_directory(passed["VIRTUAL_ENV"]))
    path = passed.get("PATH", os.defpath)
    parts = path.split(os.pathsep) if path else []
    kept = [part for part in parts if part not in replaced]
    passed["VIRTUAL_ENV"] = environment
    passed["PATH"] = os.pathsep.join([own] + kept)
    for name in _LEFT_OUT:
        passed.pop(name, None)
    return passed


def is_isolated() -> bool:
    """Tell whether the entry script needs nothing beside itself on `sys.path`, as ours do."""
    return bool(getattr(sys.modules.get("__main__"), "PROTOPRIMER_ENTRY", False))


def leave_protoprimer_variables(environ: "dict[str, str]") -> "dict[str, str]":
    """Return the variables without protoprimer's."""
    return {name: value for name, value in environ.items() if not name.startswith("PROTOPRIMER_")}


def enter_environment(
    environment: str, command: "list[str]", root: str, client_paths: "list[str]", isolated: bool, told: bool = True
) -> None:
    """Start a script under the environment's interpreter.

    :param isolated: false for a script that finds the kernel by its own directory on `sys.path`
    :param told: whether variables tell it of the switch; false where no kernel would take them away again
    """
    environ = dict(os.environ)
    python = environment_python(environment)
    passed = activated_environment(environ, environment)
    if told:
        for name, value in environ.items():
            if name.startswith("PROTOPRIMER_"):
                passed[name] = value
        passed[READY_VARIABLE] = environment
        passed[HOPS_VARIABLE] = _next_hop(environ.get(HOPS_VARIABLE, ""), root, environment)
        passed.pop(PATH_VARIABLE, None)
        if client_paths:
            passed[PATH_VARIABLE] = os.pathsep.join(client_paths)
    flags = interpreter_flags(environ)
    if not isolated:
        flags[0:1] = ["-E", "-s"]
    try:
        replace_process([python] + flags + command, passed)
    except OSError as error:
        raise InstallError("the environment's interpreter cannot be started: %s" % error.strerror, python) from None


def _next_hop(earlier: str, root: str, environment: str) -> str:
    # A loop stays in one process where exec exists; a nested run of another clone, or in a child, starts at one.
    process = "-" if is_windows() else str(os.getpid())
    owner = "%s:%s" % (process, root)
    count, _, earlier_owner = earlier.partition(":")
    hops = 1
    if earlier_owner == owner and count.isdigit():
        hops += int(count)
    if hops > MAXIMUM_HOPS:
        cause = "the interpreter %s does not run in its environment: %d switches led nowhere"
        advice = "remove that directory and run again; if that does not help, choose another Python"
        raise InstallError(cause % (environment_python(environment), hops - 1), environment, advice)
    return "%d:%s" % (hops, owner)


def enter_command(
    command: "list[str]", environment: str, told: str = "", short_names: "Sequence[str]" = ()
) -> None:
    """Become `command`, with the environment active.

    :param told: what messages say after `the environment`
    :param short_names: what might have been meant, besides the environment's programs
    """
    import shutil

    passed = activated_environment(dict(os.environ), environment)
    name = command[0]
    found = shutil.which(name, path=passed["PATH"])
    if found is None and os.path.dirname(name) and os.path.exists(name):
        raise UsageError("%s is not an executable program" % name, None, "see its mode: ls -ld %s" % name)
    if found is None:
        otherwise = "add the package that brings it to what is installed, or install it on this host"
        known = list(short_names) + names_in(scripts_directory(environment))
        advice = did_you_mean(name, known, otherwise)
        cause = "there is no command %r in the environment%s or on PATH" % (name, told)
        raise UsageError(cause, None, advice)
    become_command(os.path.abspath(found), command, passed)
