"""The header of a kernel file: its version, and the hash that tells whether the file is whole."""

import hashlib
import re
import sys

__all__ = ["KERNEL_END", "hash_below", "kernel_damage", "kernel_of_bytes", "kernel_version", "refuse_damaged_kernel"]

KERNEL_END = "# ---- end of the kernel\n"
_HEADER = r"#!.*\n# The kernel of protoprimer\. .*: ([0-9a-f]{64})\n# version: (\S+)\n"


def kernel_of_bytes(content: bytes) -> str:
    """Return the text of a kernel file; a checkout of Windows may have turned each line end into CR LF.

    Any other CR stays: it ends a line for Python and none for sh, so that it could change what runs.
    """
    if content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r"):
        content = content.replace(b"\r\n", b"\n")
    return content.decode("utf-8", "surrogateescape")


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
        with open(path, "rb") as stream:
            damage = kernel_damage(kernel_of_bytes(stream.read()))
    except OSError:
        # Loaded from where it cannot be read again, such as from a zip file.
        return
    if damage:
        told = "error: the kernel %s\n  where: %s\n  next: restore it from version control\n"
        sys.stderr.write(told % (damage, path))
        sys.exit(3)
