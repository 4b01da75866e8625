"""Who else uses the environments of a checkout that hosts and containers share, and whom this process cannot see.

A warm start writes nothing. So whoever makes an environment the current one leaves a mark beside it, named after the
place it looks from: machine and pid namespace. Its processes may run there until they are seen, or a week has passed.
"""

import os
import time

from protoprimer.store.file_lock import this_process
from protoprimer.system.files import sha256_of, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MARK_OF_USE", "is_spared", "just_replaced", "note_use"]

MARK_OF_USE = ".used-"
# An entry script that has just read `ready` is about to start what it named.
_SECONDS_OF_GRACE = 3600
# What others have made current, whose processes cannot be seen from here.
_SECONDS_OTHERS_ARE_SPARED = 7 * 24 * 3600
# In a container, its siblings that share the checkout may have started without leaving a mark.
_SECONDS_SIBLINGS_ARE_SPARED = 24 * 3600
# The first pid namespace of a Linux host, from which all processes are seen (PROC_PID_INIT_INO in its sources).
_FIRST_NAMESPACE = "pid:[4026531836]"


def note_use(generation: str) -> None:
    """Leave word that the environment in this directory is, or was until now, the current one, as seen from here.

    :raises OSError: that cannot be written
    """
    write_atomically(generation + MARK_OF_USE + _place_of(this_process()), b"", durable=False)


def just_replaced(generations: "list[str]") -> "list[str]":
    """Return the current environment and the one that it has replaced within an hour, as far as seen from here."""
    place = _place_of(this_process())
    moments = {path: _moments_of_use(path).get(place, 0.0) for path in generations}
    newest = sorted(generations, key=lambda path: moments[path])[-2:]
    return [path for path in newest if time.time() - moments[path] < _SECONDS_OF_GRACE]


def is_spared(generation: str, record: "dict[str, Any]") -> bool:
    """Tell whether somebody who cannot be seen from here may still use an old environment."""
    here, moments = this_process(), _moments_of_use(generation)
    others = set(moments) - {_place_of(here)}
    if record.get("machine"):
        others |= {_place_of(record)} - {_place_of(here)}
    sees_all = here["namespace"] in ("", _FIRST_NAMESPACE)
    if sees_all and not others:
        return False
    last = max([float(record.get("built_seconds") or 0), *moments.values()])
    return time.time() - last < (_SECONDS_OTHERS_ARE_SPARED if others else _SECONDS_SIBLINGS_ARE_SPARED)


def _place_of(process: "dict[str, Any]") -> str:
    return sha256_of(("%s %s" % (process.get("machine"), process.get("namespace"))).encode("utf-8"))[:12]


def _moments_of_use(generation: str) -> "dict[str, float]":
    """Return when each place has last made this environment the current one, or another one in its stead."""
    directory, prefix = os.path.split(generation + MARK_OF_USE)
    found = {}
    for name in os.listdir(directory):
        if name.startswith(prefix) and not name.endswith(".tmp"):
            try:
                found[name[len(prefix) :]] = os.stat(os.path.join(directory, name)).st_mtime
            except OSError:
                continue
    return found
