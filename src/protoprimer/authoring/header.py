"""The header of a kernel file: its version, and the hash by which anybody can tell that the file is whole."""

import hashlib
import re
import sys

__all__ = ["KERNEL_END", "hash_below", "kernel_damage", "kernel_version", "refuse_damaged_kernel"]

KERNEL_END = "# ---- end of the kernel\n"

_HASH = re.compile(r"\A#!.*\n# The kernel of protoprimer\. .*: ([0-9a-f]{64})\n")
_VERSION = re.compile(r"^# version: (\S+)$", re.MULTILINE)
# Kernels of version 0.1 hashed all lines but the one that states it.
_OLD_HASH = re.compile(r"^# sha256 of the other lines: ([0-9a-f]{64})\n", re.MULTILINE)
_OLD_TITLE = "# protoprimer, the kernel:"
_CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>)( |$)", re.MULTILINE)


def kernel_version(text: str) -> "str | None":
    """Return the version that a kernel's header states, or `None` if `text` is no kernel of ours."""
    text = text[:2000].replace("\r\n", "\n")
    found = _VERSION.search(text)
    is_ours = _HASH.match(text) or (text.startswith("#!") and _OLD_TITLE in text[:200])
    return found.group(1) if found and is_ours else None


def hash_below(text: str) -> str:
    """Return the sha256 of what follows the line of a kernel's header that states it."""
    stated = _HASH.match(text)
    below = text[stated.end() :] if stated else _OLD_HASH.sub("", text, count=1)
    return hashlib.sha256(below.encode("utf-8", "surrogateescape")).hexdigest()


def kernel_damage(text: str) -> "str | None":
    """Return what has happened to a kernel's text since it was written, or `None` if nothing has.

    Line ends count as they are read in text mode: a checkout with those of Windows is whole.
    """
    text = text.replace("\r\n", "\n")
    stated = _HASH.match(text) or _OLD_HASH.search(text)
    if stated and hash_below(text) == stated.group(1):
        return None
    if _CONFLICT.search(text):
        return "has the marks of a merge conflict"
    return "has been edited since it was written" if text.endswith(KERNEL_END) else "is cut off"


def refuse_damaged_kernel(path: str) -> None:
    """End the process with exit code 3 if the kernel file at `path`, which is being loaded, is not whole.

    This comes before anything else of a kernel runs, so that half of one never does anything.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            damage = kernel_damage(stream.read())
    except OSError:
        # Loaded from where it cannot be read again, such as from a zip file.
        return
    if damage:
        sys.stderr.write(
            "error: the kernel %s\n  where: %s\n  next: restore it from version control\n" % (damage, path)
        )
        sys.exit(3)
