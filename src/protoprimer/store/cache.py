"""The user's cache: everything in it has a time after which nobody misses it."""

import os
import time

from protoprimer.fetch.wheels import remove_unused
from protoprimer.store.generations import RECORD_NAME, read_record
from protoprimer.system.files import names_in, write_atomically

__all__ = ["collect_cache", "collect_cache_once_a_day"]

_DAY = 24 * 3600
# Directories of the cache, and after how many days without use what is in them goes.
_DAYS_KEPT = {"bundles": 90, "interpreters": 30, "pins": 30, "pyc": 30, "tools": 90, "virtualenv": 90, "wheels": 90}
# What earlier versions kept.
_NO_LONGER_USED = ("editables", "environments", "kernels", "locks", "waits")


def collect_cache(cache_directory: str) -> int:
    """Remove from the cache what nobody has used for long; return how many entries."""
    removed = 0
    for name, days in _DAYS_KEPT.items():
        directory = os.path.join(cache_directory, name)
        if name == "pyc":
            removed += _remove_old_files(directory, days * _DAY)
        else:
            removed += remove_unused(directory, days * _DAY)
    clones = os.path.join(cache_directory, "clones")
    removed += remove_unused(clones, _DAY, lambda name: _is_of_no_clone(os.path.join(clones, name)))
    return removed + remove_unused(cache_directory, 0, _NO_LONGER_USED.__contains__)


def collect_cache_once_a_day(cache_directory: str) -> None:
    """Do the same unless somebody has done so within a day; a cache that cannot be written stays as it is."""
    mark = os.path.join(cache_directory, "collected")
    try:
        if os.path.exists(mark) and time.time() - os.stat(mark).st_mtime < _DAY:
            return
        write_atomically(mark, b"", durable=False)
        collect_cache(cache_directory)
    except OSError:
        pass


def _is_of_no_clone(state_directory: str) -> bool:
    """Tell whether a clone whose state lies in the cache is gone; where nothing tells which clone, it may be there."""
    envs = os.path.join(state_directory, "envs")
    roots = [read_record(os.path.join(envs, name, RECORD_NAME)).get("root") for name in names_in(envs)]
    return any(roots) and not any(os.path.isdir(str(root)) for root in roots)


def _remove_old_files(directory: str, seconds: float) -> int:
    """Remove old files at any depth, as Python lays its bytecode out by the paths of sources; then what is empty."""
    removed = 0
    for place, _names, files in os.walk(directory, topdown=False):
        removed += remove_unused(place, seconds, set(files).__contains__)
        try:
            if place != directory:
                os.rmdir(place)
        except OSError:
            # Not empty.
            continue
    return removed
