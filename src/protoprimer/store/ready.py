"""The `ready` fragment, by which an entry script starts at once.

A shell can compare times of files, not read them. So each input's time is kept as an empty file of that time, a stamp.
"""

import json
import os
import time
from contextlib import suppress
from shlex import quote
from typing import Any, Sequence

from protoprimer.backends.installed import site_packages_directories
from protoprimer.project.inputs import Inputs
from protoprimer.settings.configuration import INPUT_VARIABLES
from protoprimer.settings.index_sources import VARIABLES
from protoprimer.store.generations import RECORD_NAME, record_of
from protoprimer.system.console import mask_urls
from protoprimer.system.files import content_of, link_target, replace_file, sha256_of, temporary_name, write_atomically
from protoprimer.system.paths import environment_python, scripts_directory
from protoprimer.system.platform import boot_identifier, is_windows
from protoprimer.template_text import template

__all__ = ["forget_ready", "is_fresh", "read_ready", "write_launcher", "write_ready"]

# Entry scripts, which are never renewed, look for exactly this first line; those of version 0.1 for another number.
READY_FORMAT = "# protoprimer ready 2"
# The clock that dates files lags up to a hundredth of a second.
_CLOCK_TICK_NS = 20 * 10**6
_COARSE_CLOCK_NS = 2 * 10**9

# The fast path takes these away too before a command of the user's runs.
_OTHER_VARIABLES = ("BUNDLE", "CACHE", "CELL", "HOPS", "PATH", "READY", "STATE_DIR", "VERBOSITY", "WAIT")


def write_ready(
    state_directory: str,
    environment: str,
    inputs: Inputs,
    client_paths: "list[str]",
    base_executable: str,
    read_at_ns: int,
    links: "Sequence[tuple[str, str]]",
) -> None:
    """Announce in one step that `environment` is ready. All paths are absolute.

    :param read_at_ns: the wall clock before the inputs were read
    :param links: pairs of a link and what it must lead to
    :raises OSError: the state directory cannot be written, or an input is gone
    """
    packages = site_packages_directories(environment)
    for directory in packages:
        # Else the first import of a single-file module adds it, which is a change.
        os.makedirs(os.path.join(directory, "__pycache__"), exist_ok=True)
    exact = [base_executable, scripts_directory(environment)] + packages + sorted(inputs.looked_at)
    # Without its pyvenv.cfg an interpreter starts, but in no environment.
    exact += [os.path.join(environment, name) for name in ("pyvenv.cfg", RECORD_NAME)]
    exact += record_of(environment).get("carried", [])
    facts = {
        "state": os.path.abspath(state_directory),
        "boot": boot_identifier(),
        "environment": environment,
        "client_paths": client_paths,
        "inputs": [[path, os.stat(path).st_mtime_ns] for path in sorted(inputs.present)],
        "exact": [[path, os.stat(path).st_mtime_ns] for path in exact],
        "absent": sorted(inputs.absent),
        "variables": sorted(inputs.variables),
        "told": _told_by(sorted(inputs.variables)),
        "links": [list(pair) for pair in links],
    }  # type: dict[str, Any]
    facts["stamps"] = _write_stamps(facts["state"], {moment for _, moment in facts["inputs"] + facts["exact"]})
    facts["moment"] = _safe_moment(read_at_ns, [moment for _, moment in facts["inputs"]])
    write_launcher(facts["state"])
    path = os.path.join(facts["state"], "ready")
    # Its time is a statement, too.
    unfinished = temporary_name(path)
    # What a power loss empties decides nothing.
    write_atomically(unfinished, _ready_text(facts), durable=False)
    os.utime(unfinished, ns=(facts["moment"], facts["moment"]))
    replace_file(unfinished, path)


def read_ready(state_directory: str) -> "dict[str, Any]":
    """Return the facts of the fragment; none unless it is to the byte what `write_ready` wrote."""
    content = content_of(state_directory, "ready")
    try:
        facts = json.loads(content.split(b"\n", 2)[1][2:].decode("ascii"))
        return facts if _ready_text(facts) == content else {}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def forget_ready(state_directory: str) -> None:
    """Let the next run look at everything, where the fragment can be removed."""
    with suppress(OSError):
        os.unlink(os.path.join(state_directory, "ready"))


def is_fresh(state_directory: str, facts: "dict[str, Any]") -> bool:
    """Tell whether nothing has changed since these facts, from `read_ready`, were written."""
    with suppress(OSError, LookupError, TypeError, ValueError):
        return (
            os.path.samefile(state_directory, facts["state"])
            # Who knows what a power loss took.
            and facts["boot"] == boot_identifier()
            and os.access(environment_python(facts["environment"]), os.X_OK)
            and all(_has_time(path, moment) for path, moment in facts["inputs"] + facts["exact"])
            # Else it changed while it was read.
            and all(moment < facts["moment"] for _, moment in facts["inputs"])
            and not any(map(os.path.lexists, facts["absent"]))
            and facts["told"] == _told_by(facts["variables"])
            and all(os.path.samefile(link, target) for link, target in facts["links"])
        )
    return False


def _write_stamps(state_directory: str, moments: "set[int]") -> bool:
    """Keep these times as files; tell whether the file system can."""
    directory = os.path.join(state_directory, "stamps")
    if link_target(directory) is not None:
        # What it leads to is not ours.
        os.rmdir(directory) if is_windows() else os.unlink(directory)
    os.makedirs(directory, 0o755, exist_ok=True)
    for name in set(os.listdir(directory)) - {str(moment) for moment in moments}:
        if name[:1] in "-0123456789":
            os.unlink(os.path.join(directory, name))
    for moment in moments:
        stamp = os.path.join(directory, str(moment))
        if not _has_time(stamp, moment):
            os.close(os.open(stamp, os.O_WRONLY | os.O_CREAT, 0o644))
            os.utime(stamp, ns=(moment, moment))
    return all(_has_time(os.path.join(directory, str(moment)), moment) for moment in moments)


def _safe_moment(read_at_ns: int, moments: "list[int]") -> int:
    """Return a time such that no change after the reading can have an earlier one."""
    safe = min(read_at_ns, int(time.time() * 10**9)) - _CLOCK_TICK_NS
    # On a clock of whole seconds a change right after the reading has the same time.
    coarse = [moment for moment in moments if moment % 10**9 == 0 and safe - _COARSE_CLOCK_NS < moment < safe]
    return min(coarse, default=safe)


def write_launcher(state_directory: str) -> str:
    """Return the path of `launch.py`, written if need be.

    :raises OSError: it is missing, and cannot be written
    """
    path, content = os.path.join(state_directory, "launch.py"), template("launch.py").encode("utf-8")
    there = content_of(path)
    if there != content:
        try:
            # A new start is noticed.
            write_atomically(path, content, durable=not boot_identifier())
        except OSError:
            # That of another version of the kernel serves, too.
            if not there:
                raise
    return path


def _ready_text(facts: "dict[str, Any]") -> bytes:
    values = {
        "environment": facts["environment"],
        "programs": scripts_directory(facts["environment"]),
        "python": environment_python(facts["environment"]),
        "launcher": os.path.join(facts["state"], "launch.py"),
        "path": os.pathsep.join(facts["client_paths"]),
    }
    lines = [READY_FORMAT, "# " + json.dumps(facts, sort_keys=True)]
    # In braces: no shell runs a part of a file that is cut off.
    lines += ["{"] + ["protoprimer_%s=%s" % (name, quote(value)) for name, value in values.items()]
    lines += [template("ready.sh").rstrip("\n"), "protoprimer_forget() {"]
    names = sorted(INPUT_VARIABLES) + ["PROTOPRIMER_" + name for name in _OTHER_VARIABLES]
    lines += ["    unset " + " ".join(names), "}", "protoprimer_is_fresh() {"]
    lines += ["    %s || return 1" % condition for condition in _conditions(facts)]
    return os.fsencode("\n".join(lines + ["}", "}", ""]))


def _conditions(facts: "dict[str, Any]") -> "list[str]":
    stamps = os.path.join(facts["state"], "stamps")
    conditions = [
        '[ -z "%s" ]' % "".join("${%s-}" % name for name in sorted(INPUT_VARIABLES)),
        '[ "${protoprimer_ready%/*}" -ef ' + quote(facts["state"]) + " ]",
        '[ -x "$protoprimer_python" ] && [ -f "$protoprimer_launcher" ]',
    ]
    if facts["boot"]:
        conditions.append("protoprimer_boot " + quote(facts["boot"]))
    conditions += ["protoprimer_input " + quote(path) for path, _ in facts["inputs"]]
    for path, moment in facts["inputs"] + facts["exact"] if facts["stamps"] else []:
        conditions.append("protoprimer_same %s %s" % (quote(path), quote(os.path.join(stamps, "%d" % moment))))
    conditions += ["protoprimer_absent " + quote(path) for path in facts["absent"]]
    told = "|".join("${%s-}" % name for name in facts["variables"])
    conditions.append('[ "%s" = %s ]' % (told, quote(facts["told"])))
    return conditions + ["[ %s -ef %s ]" % (quote(link), quote(target)) for link, target in facts["links"]]


def _told_by(variables: "list[str]") -> str:
    """Return what these variables say; what may be secret as a hash, at which a shell asks the kernel."""
    said = [(name, os.environ.get(name, "")) for name in variables]
    return "|".join(
        mask_urls(text) if name in VARIABLES or not text else sha256_of(os.fsencode(text)) for name, text in said
    )


def _has_time(path: str, moment: int) -> bool:
    return os.path.exists(path) and os.stat(path).st_mtime_ns == moment
