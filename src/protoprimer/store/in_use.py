"""Which environments live processes use, so that nobody's is taken away."""

import os

from protoprimer.system.files import content_of
from protoprimer.system.platform import is_windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["paths_in_use"]


def paths_in_use(paths: "list[str]", ready: str) -> "set[str]":
    """Return those of `paths` that a live process runs from, has loaded files of, stands in or was told of."""
    words = {}
    for path in paths:
        spellings = {os.fsencode(path), os.fsencode(os.path.realpath(path))}
        # What follows must end the name: the generation `x` is not in use because `x.2` is.
        words[path] = [spelling + end for spelling in spellings for end in (b"/", b"\0", b"\n", b" ", b'"', b"'")]
    used = set()  # type: set[str]
    for text in _texts_of_processes(ready):
        used.update(path for path in paths if any(word in text for word in words[path]))
    return used


def _texts_of_processes(ready: str) -> "Iterator[bytes]":
    yield content_of(ready)
    if os.path.isdir("/proc/self"):
        for pid in os.listdir("/proc"):
            if pid.isdigit() and int(pid) != os.getpid():
                yield _text_of_process(os.path.join("/proc", pid))
    elif not is_windows():
        import subprocess

        try:
            yield subprocess.check_output(["ps", "-axww", "-o", "command"], stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            pass


def _text_of_process(directory: str) -> bytes:
    # A shell that has an environment active shows it in its variables only.
    text = b"\0".join(content_of(os.path.join(directory, name)) for name in ("cmdline", "environ", "maps"))
    for name in ("exe", "cwd"):
        try:
            text += b"\0" + os.fsencode(os.readlink(os.path.join(directory, name)))
        except OSError:
            pass
    return text + b"\0"
