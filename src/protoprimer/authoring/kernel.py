"""Writes the kernel file, tells whether a file still is that kernel, and renews an older one."""

import os
import stat
from importlib import import_module
from shlex import quote

from protoprimer.authoring.header import kernel_damage, kernel_version
from protoprimer.errors import ConfigurationError, PrimerError
from protoprimer.formats.versions import Version
from protoprimer.system.files import write_atomically
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "KernelError",
    "author_program",
    "kernel_drift",
    "kernel_text",
    "refuse_bad_kernel",
    "replace_older_kernel",
    "running_kernel",
    "update_kernel",
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
    text = _text_of_file(own_path)
    refuse_bad_kernel(text, own_path)
    return text


def running_kernel() -> "str | None":
    """Return the path of the kernel file that this code runs from, or `None` if it runs from the package."""
    return None if __name__ == "protoprimer.authoring.kernel" else os.path.realpath(__file__)


def author_program() -> str:
    """Return what is typed before an author's command, for advice."""
    own_path = running_kernel()
    if own_path is None:
        return "python -m protoprimer"
    here = os.path.realpath(os.curdir) + os.sep
    return "python3 " + quote(own_path[len(here) :] if own_path.startswith(here) else own_path)


def refuse_bad_kernel(text: str, path: str) -> None:
    """Refuse a text that is to become a kernel file and is none, is not whole, or is not Python.

    :param path: where it comes from
    :raises KernelError: exit code 1
    """
    if kernel_version(text) is None:
        raise KernelError("this is not a kernel of protoprimer", path)
    damage = kernel_damage(text)
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
    content = kernel_text().encode("utf-8")
    # What a link leads to is meant, such as by /dev/stdout, never the link.
    path = os.path.realpath(path)
    try:
        if _bytes_of(path) != content:
            write_atomically(path, content, 0o755)
        if not os.access(path, os.X_OK):
            os.chmod(path, 0o755)  # noqa: S103 - a script that everybody may start
    except OSError as error:
        advice = "name a file in a directory that is there and can be written"
        raise ConfigurationError("the kernel cannot be written: %s" % error.strerror, path, advice) from error
    return len(content)


def _bytes_of(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def kernel_drift(path: str) -> "str | None":
    """Return in one line why the file is not the kernel that this protoprimer writes, or `None` if it is."""
    try:
        text = _text_of_file(path)
    except (OSError, ValueError) as error:
        return "%s cannot be read: %s" % (path, _cause(error))
    version = kernel_version(text)
    if version is None:
        return "%s is not a kernel of protoprimer" % path
    damage = kernel_damage(text)
    if damage is not None:
        return "%s %s" % (path, damage)
    if version != VERSION:
        return "%s is of version %s, this is %s" % (path, version, VERSION)
    if text != kernel_text():
        return "%s was written from other sources of version %s" % (path, version)
    return None


def update_kernel(path: str, check_only: bool = False) -> str:
    """Renew an older kernel file of ours; return what to tell of it, empty if there is nothing to.

    One that is as new, newer, or no kernel at all (such as a loader of a checkout) is left as it is.

    :param check_only: tell, and write nothing
    :raises KernelError: exit code 1: the file has been edited since it was written, so it is left as it is
    :raises ConfigurationError: exit code 3: it cannot be read or written
    """
    return replace_older_kernel(path, VERSION, kernel_text, check_only)


def replace_older_kernel(path: str, version: str, make_text: "Callable[[], str]", check_only: bool) -> str:
    """Do what `update_kernel` does, with a kernel of this version from wherever it comes.

    :param make_text: returns the new kernel, which is verified before it is written
    """
    try:
        text = _text_of_file(path)
        mode = os.stat(path).st_mode & 0o7777
    except (OSError, ValueError) as error:
        raise ConfigurationError("the kernel cannot be read: %s" % _cause(error), path) from error
    present = kernel_version(text)
    if present is None or Version(present) >= Version(version):
        return ""
    damage = kernel_damage(text)
    if damage is not None:
        cause = "the kernel of version %s %s, so it is not updated to %s" % (present, damage, version)
        raise KernelError(
            cause, path, "take your changes elsewhere, then: %s kernel write --force %s" % (author_program(), path)
        )
    if check_only:
        told = "the kernel %s is of version %s, protoprimer %s is installed; to update it: " % (path, present, version)
        return told + "%s kernel write %s" % (author_program(), path)
    new = make_text()
    refuse_bad_kernel(new, "protoprimer " + version)
    if kernel_version(new) != version:
        raise KernelError("this is a kernel of version %s, not %s" % (kernel_version(new), version))
    try:
        write_atomically(path, new.encode("utf-8"), mode)
    except OSError as error:
        raise ConfigurationError("the kernel cannot be updated: %s" % error.strerror, path) from error
    return "updated the kernel %s from version %s to %s: commit it" % (path, present, version)


def _text_of_file(path: str) -> str:
    # A shell's own pipe, as of `<(...)`, is a link, and it ends.
    is_of_shell = os.path.islink(path) and os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)
    if os.path.exists(path) and not os.path.isfile(path) and not is_of_shell:
        # Whoever reads another one, or a device, may wait for ever.
        raise ValueError("it is a directory" if os.path.isdir(path) else "it is a pipe or a device")
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _cause(error: "OSError | ValueError") -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str((isinstance(error, OSError) and error.strerror) or error)
