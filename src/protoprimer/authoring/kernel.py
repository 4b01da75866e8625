"""Writes the kernel file, tells whether a file still is that kernel, and renews an older one."""

import os
from importlib import import_module
from shlex import quote

from protoprimer.authoring.header import kernel_damage, kernel_version
from protoprimer.authoring.repository_files import RepositoryFile, repository_text
from protoprimer.errors import ConfigurationError, PrimerError
from protoprimer.formats.versions import Version
from protoprimer.version import VERSION

__all__ = [
    "KernelError",
    "author_program",
    "kernel_text",
    "refuse_bad_kernel",
    "running_kernel",
    "update_kernel",
    "verify_kernel",
    "write_kernel",
]


class KernelError(PrimerError):
    """The modules cannot be joined, or a file is not the kernel that they make: exit code 1."""


def kernel_text() -> str:
    """Return the kernel: in the package what its modules make, in the kernel file its own text.

    :raises KernelError: exit code 1: a module breaks a rule of kernel modules, or this kernel is not whole
    """
    own_path = running_kernel()
    if own_path is None:
        # Not imported as others are: the kernel file has everything but this.
        text = import_module("protoprimer.authoring.joining").joined_kernel()  # type: str
        return text
    text = _text_at(own_path)
    refuse_bad_kernel(text, own_path)
    return text


def running_kernel() -> "str | None":
    """Return the path of the kernel file that this code runs from, or `None` if it runs from the package."""
    return None if __name__ == "protoprimer.authoring.kernel" else os.path.realpath(__file__)


def author_program() -> str:
    """Return what is typed before an author's command, for advice."""
    own_path, here = running_kernel(), os.path.realpath(os.curdir) + os.sep
    if own_path is None:
        return "python -m protoprimer"
    return "python3 " + quote(own_path[len(here) :] if own_path.startswith(here) else own_path)


def refuse_bad_kernel(text: str, path: str) -> None:
    """Refuse a text that is to become a kernel file and is none, is not whole, or is not Python.

    :param path: where it comes from
    :raises KernelError: exit code 1
    """
    damage = kernel_damage(text)
    if kernel_version(text) is None:
        raise KernelError("this is not a kernel of protoprimer", path)
    if damage is not None:
        raise KernelError("the kernel " + damage, path, "restore it from version control")
    try:
        compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise KernelError("the kernel is not Python: %s" % error, path) from error


def write_kernel(path: str) -> int:
    """Write the kernel to `path`, executable, unless it is there already; return its size in bytes.

    :raises KernelError: exit code 1: it cannot be made
    :raises ConfigurationError: exit code 3: it cannot be written there
    """
    file = _file_at(path, kernel_text(), is_script=True)
    if not file.is_there():
        file.write()
    return len(file.content)


def verify_kernel(path: str) -> None:
    """Refuse a file that is not the kernel which this protoprimer writes.

    :raises KernelError: exit code 1
    :raises ConfigurationError: exit code 3: it cannot be read
    """
    text = _text_at(path)
    refuse_bad_kernel(text, path)
    if kernel_version(text) != VERSION:
        raise KernelError("the kernel is of version %s, this is %s" % (kernel_version(text), VERSION), path)
    if text != kernel_text():
        raise KernelError("the kernel was written from other sources of version " + VERSION, path)


def update_kernel(path: str, check_only: bool, newer: "str | None" = None) -> str:
    """Renew an older kernel file of ours; return what to tell of it, empty if there is nothing to.

    One that is as new, newer, or no kernel at all (such as a loader of a checkout) is left as it is.

    :param check_only: tell, and write nothing
    :param newer: the text that it becomes; by default the kernel of this protoprimer
    :raises KernelError: exit code 1: the file has been edited since it was written, or `newer` is no whole kernel
    :raises ConfigurationError: exit code 3: it cannot be read or written
    """
    text = _text_at(path)
    newer = kernel_text() if newer is None else newer
    refuse_bad_kernel(newer, "what protoprimer gives")
    present, damage, version = kernel_version(text), kernel_damage(text), str(kernel_version(newer))
    if present is None or Version(present) >= Version(version):
        return ""
    if damage is not None:
        cause = "the kernel of version %s %s, so it is not updated to %s" % (present, damage, version)
        advice = "take your changes elsewhere, then: %s kernel write --force %s" % (author_program(), path)
        raise KernelError(cause, path, advice)
    if check_only:
        return "the kernel %s is of version %s, this is %s" % (path, present, version)
    _file_at(path, newer, is_script=False).write()
    return "updated the kernel %s from version %s to %s: commit it" % (path, present, version)


def _file_at(path: str, text: str, is_script: bool) -> RepositoryFile:
    directory, name = os.path.split(os.path.abspath(path))
    return RepositoryFile(directory, name, text, is_script)


def _text_at(path: str) -> str:
    text = repository_text(path)
    if text is None:
        raise ConfigurationError("there is no such file", path)
    return text.replace("\r\n", "\n")
