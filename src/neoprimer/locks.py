"""The state `environment_file_lock`: the environment's own lock file, for client states that write what clones share.

Where the file system has locks, `filelock` and the kernel exclude each other on that file: who holds it knows that
nobody builds this environment, and no other client state that takes it runs. Where it has none, they do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoprimer import PrimerError, state
from protoprimer.store.building import environment_lock
from protoprimer.store.state_directory import prepare_state_directory

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from protoprimer.settings.configuration import Configuration
    from protoprimer.system.console import Console

__all__ = ["environment_file_lock", "lock_seconds"]


@state
def lock_seconds(configuration: Configuration) -> float | None:
    """How many seconds to wait for the lock; None is as long as it takes."""
    seconds = configuration.get("lock-timeout")
    return float(seconds) if isinstance(seconds, (int, float)) else None


@state
def environment_file_lock(configuration: Configuration, console: Console, lock_seconds: float | None) -> BaseFileLock:
    """The lock of the environment, not taken yet: `with environment_file_lock: ...`.

    Within the block, `filelock.Timeout` means that it was not had in time.
    """
    try:
        import filelock
    except ImportError:
        raise PrimerError("filelock is not installed", None, "add protoprimer[neo] to what is installed") from None
    prepare_state_directory(configuration.state_directory)
    path = environment_lock(configuration, console).path
    return filelock.FileLock(path, timeout=-1 if lock_seconds is None else lock_seconds)
