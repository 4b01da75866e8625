"""Those that wait in sh for this process, the first of many of one entry script; docs/entry-scripts.md tells how.

What lets them go is the entry script's, which may have to before there is a kernel.
"""

import errno
import os
import stat
import sys

__all__ = ["keep_waiting_place", "release_waiting"]


def release_waiting() -> None:
    """Let those that wait in sh go on: there is nothing to wait for any more, or what follows may take long."""
    release = getattr(sys.modules.get("__main__"), "protoprimer_release", None)
    if release is not None:
        release()


def keep_waiting_place(cache_directory: str) -> None:
    """Have a FIFO there where next time others can wait in sh; without one they start a Python to wait."""
    told = getattr(sys.modules.get("__main__"), "PROTOPRIMER_WAIT", "")
    path, waits = os.path.normpath(told.lstrip("9")), os.path.join(cache_directory, "waits")
    if path.startswith(waits + os.sep) and hasattr(os, "mkfifo"):
        try:
            if os.path.exists(path + ".fifo"):
                _remove_stale_claim(path)
            elif _is_private(waits):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.mkfifo(path + ".fifo", 0o600)
        except OSError:
            # Another one was faster, or nothing can be written there.
            pass


def _is_private(directory: str) -> bool:
    if not os.path.isdir(directory):
        os.mkdir(directory, 0o700)
    status = os.lstat(directory)
    # Where others can write, they could have us wait for ever.
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o22


def _remove_stale_claim(path: str) -> None:
    if os.path.exists(path + ".claim"):
        try:
            os.close(os.open(path + ".fifo", os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            # Nobody has it open, so who made the claim was killed.
            if error.errno == errno.ENXIO:
                os.unlink(path + ".claim")
