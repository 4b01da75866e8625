"""Which environments are in use, also by hosts and containers that share the checkout."""

import os
import re
import time
from contextlib import suppress
from typing import Any, Iterator

from protoprimer.store.file_lock import this_process
from protoprimer.system.files import content_of, names_in, sha256_of, write_atomically
from protoprimer.system.platform import is_windows

__all__ = ["MARK_OF_USE", "just_replaced", "may_be_used_elsewhere", "note_use", "paths_in_use"]

MARK_OF_USE = ".used-"
_LENGTH_OF_PLACE = 12
# An entry script that has just read `ready` is about to start what it named.
_SECONDS_OF_GRACE = 3600
_SECONDS_OTHERS_ARE_SPARED = 7 * 24 * 3600
# Siblings of a container may have started without leaving a mark.
_SECONDS_SIBLINGS_ARE_SPARED = 24 * 3600
# Linux's PROC_PID_INIT_INO: the namespace from which all processes are seen.
_FIRST_NAMESPACE = "pid:[4026531836]"


def note_use(generation: str) -> None:
    """Leave word beside an environment that it is, or was until now, the current one."""
    write_atomically(generation + MARK_OF_USE + _place_of(this_process()), b"", durable=False)


def just_replaced(generations: "list[str]") -> "list[str]":
    """Return the current environment and the one that it has replaced within an hour."""
    place = _place_of(this_process())
    moments = {path: _moments_of_use(path).get(place, 0.0) for path in generations}
    by_moment = sorted(generations, key=lambda path: moments[path])
    two_newest = by_moment[-2:]
    return [path for path in two_newest if time.time() - moments[path] < _SECONDS_OF_GRACE]


def may_be_used_elsewhere(generation: str, record: "dict[str, Any]") -> bool:
    """Tell whether somebody who cannot be seen from here may use an old environment."""
    here = this_process()
    moments = _moments_of_use(generation)
    places = set(moments)
    if record.get("machine"):
        places.add(_place_of(record))
    places.discard(_place_of(here))
    is_container = here["namespace"] not in ("", _FIRST_NAMESPACE)
    if places:
        seconds_spared = _SECONDS_OTHERS_ARE_SPARED
    elif is_container:
        seconds_spared = _SECONDS_SIBLINGS_ARE_SPARED
    else:
        return False
    last = max([record.get("built_seconds", 0), *moments.values()])  # type: float
    return time.time() - last < seconds_spared


def _place_of(process: "dict[str, Any]") -> str:
    """Return a name for where the same processes are seen: a machine, or one container of it."""
    place = "%s %s" % (process.get("machine"), process.get("namespace"))
    return sha256_of(place.encode("utf-8"))[:_LENGTH_OF_PLACE]


def _moments_of_use(generation: str) -> "dict[str, float]":
    """Return when each place has last left its mark."""
    directory, prefix = os.path.split(generation + MARK_OF_USE)
    found = {}
    for name in names_in(directory):
        if not name.startswith(prefix) or name.endswith(".tmp"):
            continue
        place = name[len(prefix) :]
        # Another process may just have collected it.
        with suppress(OSError):
            found[place] = os.stat(os.path.join(directory, name)).st_mtime
    return found


def paths_in_use(paths: "list[str]", ready: str) -> "set[str]":
    """Return those of `paths` that a live process seems to use."""
    if not paths:
        # Looking at all processes takes a while.
        return set()
    patterns = {}
    for path in paths:
        spellings = {re.escape(os.fsencode(one)) for one in (path, os.path.realpath(path))}
        # `x` is not in use because `x.2` is.
        patterns[path] = re.compile(b"(?:" + b"|".join(spellings) + b")[/\\0\\s\"']")
    used = set()
    for text in _texts_of_processes(ready):
        for path, pattern in patterns.items():
            if pattern.search(text):
                used.add(path)
    return used


def _texts_of_processes(ready: str) -> "Iterator[bytes]":
    """Yield what `ready` says, and what this host tells of each process."""
    yield content_of(ready)
    if os.path.isdir("/proc/self"):
        own = str(os.getpid())
        for pid in names_in("/proc"):
            if pid.isdigit() and pid != own:
                yield _text_of_process(pid)
    elif not is_windows():
        import subprocess

        with suppress(OSError, subprocess.CalledProcessError):
            yield subprocess.check_output(["ps", "-axww", "-o", "command"], stderr=subprocess.DEVNULL)


def _text_of_process(pid: str) -> bytes:
    texts = []
    # An activated shell shows its environment in its variables only.
    for name in ("cmdline", "environ", "maps"):
        texts.append(content_of("/proc/%s/%s" % (pid, name)))
    with suppress(OSError):
        texts.append(os.fsencode(os.readlink("/proc/%s/cwd" % pid)))
    return b"\0".join(texts) + b"\0"
