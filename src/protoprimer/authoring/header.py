"""The header of a kernel file: its version, and the hash that tells whether the file is whole."""

import hashlib
import re
import sys

__all__ = ["KERNEL_END", "hash_below", "kernel_damage", "kernel_version", "refuse_damaged_kernel"]

KERNEL_END = "# ---- end of the kernel\n"
_HEADER = r"#!.*\n# The kernel of protoprimer\. .*: ([0-9a-f]{64})\n# version: (\S+)\n"


def kernel_version(text: str) -> "str | None":
    """Return the version of a kernel, `None` if this is none."""
    header = re.match(_HEADER, text[:2000].replace("\r\n", "\n"))
    return header.group(2) if header else None


def hash_below(text: str) -> str:
    """Return the sha256 of what follows the second line, which states it."""
    return hashlib.sha256(text.split("\n", 2)[-1].encode("utf-8", "surrogateescape")).hexdigest()


def kernel_damage(text: str) -> "str | None":
    """Return what has happened to a kernel, if anything."""
    header = re.match(_HEADER, text)
    if header and hash_below(text) == header.group(1):
        return None
    if re.search("(?m)^(<<<<<<<|>>>>>>>)( |$)", text):
        return "has the marks of a merge conflict"
    return "has been edited since it was written" if text.endswith(KERNEL_END) else "is cut off"


def refuse_damaged_kernel(path: str) -> None:
    """End the process if the kernel that is being loaded is not whole."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            damage = kernel_damage(stream.read())
    except OSError:
        # Loaded from where it cannot be read again, such as from a zip file.
        return
    if damage:
        told = "error: the kernel %s\n  where: %s\n  next: restore it from version control\n"
        sys.stderr.write(told % (damage, path))
        sys.exit(3)
