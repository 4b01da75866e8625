"""The user's cache, whose entries go when nobody has used them for long."""

import os
import time
from contextlib import suppress

from protoprimer.fetch.wheels import remove_unused
from protoprimer.store.generations import record_of
from protoprimer.system.files import names_in, write_atomically

__all__ = ["collect_cache", "collect_cache_once_a_day"]

_DAY = 24 * 3600
_DAYS_KEPT = {
    "bundles": 90,
    "interpreters": 30,
    "pins": 30,
    "shell": 90,
    "tools": 90,
    "tools/known": 30,
    "virtualenv": 90,
    "wheels": 90,
}
_DAYS_BYTECODE_IS_KEPT = 30


def collect_cache(cache_directory: str) -> int:
    """Remove what nobody has used for long; return how many."""
    removed = 0
    for name, days in _DAYS_KEPT.items():
        removed += remove_unused(os.path.join(cache_directory, name), days * _DAY)
    removed += _collect_bytecode(os.path.join(cache_directory, "pyc"))
    removed += _collect_clones(os.path.join(cache_directory, "clones"))
    return removed


def _collect_bytecode(directory: str) -> int:
    removed = 0
    # It is laid out by the paths of sources: directories in directories, the innermost first.
    for place, _, files in os.walk(directory, topdown=False):
        removed += remove_unused(place, _DAYS_BYTECODE_IS_KEPT * _DAY, files.__contains__)
        # One that is not empty stays.
        with suppress(OSError):
            os.rmdir(place)
    return removed


def _collect_clones(directory: str) -> int:
    def is_of_no_clone(name: str) -> bool:
        return _is_of_no_clone(os.path.join(directory, name))

    return remove_unused(directory, _DAY, is_of_no_clone)


def collect_cache_once_a_day(cache_directory: str) -> None:
    """Do the same unless somebody has done so within a day, or the cache cannot be written."""
    mark = os.path.join(cache_directory, "collected")
    with suppress(OSError):
        if os.path.exists(mark) and time.time() - os.stat(mark).st_mtime < _DAY:
            return
        # Before the work, so that of many who start now one does it.
        write_atomically(mark, b"", durable=False)
        collect_cache(cache_directory)


def _is_of_no_clone(state_directory: str) -> bool:
    """Tell whether the clone is gone whose state is kept here; where nothing tells which one, it may be there."""
    envs = os.path.join(state_directory, "envs")
    is_known = False
    for name in names_in(envs):
        root = record_of(os.path.join(envs, name)).get("root")
        if root:
            is_known = True
        if os.path.isdir(str(root)):
            return False
    return is_known
