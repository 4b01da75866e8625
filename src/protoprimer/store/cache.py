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
    "bundles": 90, "interpreters": 30, "pins": 30, "shell": 90, "tools": 90, "tools/known": 30, "virtualenv": 90,
    "wheels": 90,
}  # fmt: skip


def collect_cache(cache_directory: str) -> int:
    """Remove what nobody has used for long; return how many."""
    removed = sum(remove_unused(os.path.join(cache_directory, name), days * _DAY) for name, days in _DAYS_KEPT.items())
    # Bytecode, laid out by the paths of sources.
    for place, _, files in os.walk(os.path.join(cache_directory, "pyc"), topdown=False):
        removed += remove_unused(place, 30 * _DAY, files.__contains__)
        with suppress(OSError):
            os.rmdir(place)
    clones = os.path.join(cache_directory, "clones")
    return removed + remove_unused(clones, _DAY, lambda name: _is_of_no_clone(os.path.join(clones, name)))


def collect_cache_once_a_day(cache_directory: str) -> None:
    """Do the same unless somebody has done so within a day, or the cache cannot be written."""
    mark = os.path.join(cache_directory, "collected")
    with suppress(OSError):
        if not os.path.exists(mark) or time.time() - os.stat(mark).st_mtime >= _DAY:
            write_atomically(mark, b"", durable=False)
            collect_cache(cache_directory)


def _is_of_no_clone(state_directory: str) -> bool:
    # Where nothing tells which clone, it may be there.
    envs = os.path.join(state_directory, "envs")
    roots = [record_of(os.path.join(envs, name)).get("root") for name in names_in(envs)]
    return any(roots) and not any(os.path.isdir(str(root)) for root in roots)
