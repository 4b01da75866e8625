"""Writes the kernel's modules as one file, always the same, and tells whether a file still is that one."""

import os
import re
import stat

from protoprimer.authoring.joining import HASH_LINE, hash_of_others, join_modules
from protoprimer.authoring.packing import KernelError
from protoprimer.authoring.unpacking import LOAD_LINE, unpacked_text
from protoprimer.errors import ConfigurationError
from protoprimer.formats.versions import Version
from protoprimer.system.files import write_atomically
from protoprimer.version import VERSION

__all__ = [
    "KERNEL_MODULES",
    "MAXIMUM_KERNEL_BYTES",
    "KernelError",
    "is_plain",
    "is_same_kernel",
    "kernel_drift",
    "kernel_text",
    "kernel_version",
    "shown_kernel",
    "update_kernel",
    "write_kernel",
]

# In the order of docs/architecture.md: each imports only from those before it.
KERNEL_MODULES = (
    "protoprimer.authoring.unpacking",
    "protoprimer.version",
    "protoprimer.errors",
    "protoprimer.system.platform",
    "protoprimer.system.interpreter",
    "protoprimer.system.paths",
    "protoprimer.system.files",
    "protoprimer.system.processes",
    "protoprimer.system.console",
    "protoprimer.system.children",
    "protoprimer.formats.toml",
    "protoprimer.formats.versions",
    "protoprimer.graph",
    "protoprimer.settings.command_line",
    "protoprimer.settings.schema",
    "protoprimer.settings.configuration",
    "protoprimer.project.metadata",
    "protoprimer.settings.index_sources",
    "protoprimer.settings.index_settings",
    "protoprimer.fetch.downloads",
    "protoprimer.fetch.wheels",
    "protoprimer.fetch.pins",
    "protoprimer.fetch.tools",
    "protoprimer.pythons.probe",
    "protoprimer.pythons.candidates",
    "protoprimer.pythons.choice",
    "protoprimer.project.plan",
    "protoprimer.project.locks",
    "protoprimer.store.file_lock",
    "protoprimer.store.fingerprint",
    "protoprimer.store.state_directory",
    "protoprimer.store.in_use",
    "protoprimer.store.integrity",
    "protoprimer.store.generations",
    "protoprimer.store.ready",
    "protoprimer.backends.base",
    "protoprimer.backends.editables",
    "protoprimer.backends.uv_sources",
    "protoprimer.backends.pip_engine",
    "protoprimer.backends.uv",
    "protoprimer.backends.virtualenv",
    "protoprimer.backends.venv",
    "protoprimer.backends.choosing",
    "protoprimer.runtime.switch",
    "protoprimer.commands.shells",
    "protoprimer.commands.completion",
    "protoprimer.pythons.required",
    "protoprimer.store.building",
    "protoprimer.store.publishing",
    "protoprimer.states",
    "protoprimer.authoring.update",
    "protoprimer.graph_picture",
    "protoprimer.runtime.readiness",
    "protoprimer.runtime.client",
    "protoprimer.commands.matrix.cells",
    "protoprimer.commands.matrix.report",
    "protoprimer.commands.matrix.command",
    "protoprimer.commands.bundle",
    "protoprimer.commands.run",
    "protoprimer.commands.shell",
    "protoprimer.commands.lock",
    "protoprimer.commands.boot",
    "protoprimer.commands.eval",
    "protoprimer.commands.check",
    "protoprimer.commands.gc",
    "protoprimer.commands.graph",
    "protoprimer.commands.table",
    "protoprimer.runtime.invocation",
    "protoprimer.runtime.neo",
    "protoprimer.primer_kernel",
)
MAXIMUM_KERNEL_BYTES = 150 * 1000

_VERSION_LINE = re.compile(r"^# version: (\S+)$", re.MULTILINE)


def kernel_text(plain: bool = False) -> str:
    """Return the kernel that this package's modules make.

    :param plain: all modules as text; else most are packed
    :raises KernelError: exit code 1: a module is missing, or breaks a rule of kernel modules
    """
    return join_modules([(name, _source_of(name)) for name in KERNEL_MODULES], VERSION, plain)


def write_kernel(path: str, plain: bool = False) -> int:
    """Write the kernel to `path`, executable, unless it is there already; return its size in bytes.

    :param plain: as for `kernel_text`
    :raises KernelError: exit code 1: it cannot be made
    :raises ConfigurationError: exit code 3: it cannot be written there
    """
    content = kernel_text(plain).encode("utf-8")
    try:
        with open(path, "rb") as stream:
            there = stream.read()
    except OSError:
        there = b""
    is_there = is_same_kernel(there.decode("utf-8", "replace"), content.decode("utf-8"))
    # What a link leads to is meant, such as by /dev/stdout, never the link.
    path = os.path.realpath(path)
    try:
        if not is_there:
            write_atomically(path, content, 0o755)
        if not os.access(path, os.X_OK):
            os.chmod(path, 0o755)  # noqa: S103 - a script that everybody may start
    except OSError as error:
        advice = "name a file in a directory that is there and can be written"
        raise ConfigurationError("the kernel cannot be written: %s" % error.strerror, path, advice) from error
    return len(there if is_there else content)


def kernel_drift(path: str) -> "str | None":
    """Return in one line why the file is not the kernel that this package makes, or `None` if it is."""
    try:
        text = _text_of_file(path)
    except (OSError, ValueError) as error:
        return "%s cannot be read: %s" % (path, _cause(error))
    version = kernel_version(text)
    if version is None or not HASH_LINE.search(text):
        return "%s is not a kernel of protoprimer" % path
    if not _is_unedited(text):
        return "%s has been edited since it was written" % path
    if version != VERSION:
        return "%s is of version %s, this is %s" % (path, version, VERSION)
    if not is_same_kernel(text, kernel_text(is_plain(text))):
        return "%s was written from other sources of version %s" % (path, version)
    return None


def shown_kernel(path: str) -> str:
    """Return the whole program of a kernel file as text, without running any of it.

    :raises KernelError: exit code 1: it is no kernel, or what is packed in it is damaged
    """
    try:
        text = _text_of_file(path)
        if kernel_version(text) is None:
            raise ValueError("it is no kernel of protoprimer")
        return unpacked_text(text)
    except (OSError, ValueError) as error:
        raise KernelError("the kernel cannot be shown: %s" % _cause(error), path) from error


def update_kernel(path: str, check_only: bool = False) -> str:
    """Renew an older kernel file of ours; return what to tell of it, empty if there is nothing to.

    One that is as new, newer, or no kernel at all (such as a loader of a checkout) is left as it is.

    :param check_only: tell, and write nothing
    :raises KernelError: exit code 1: the file has been edited since it was written, so it is left as it is
    :raises ConfigurationError: exit code 3: it cannot be read or written
    """
    try:
        text = _text_of_file(path)
        mode = os.stat(path).st_mode & 0o7777
    except (OSError, ValueError) as error:
        raise ConfigurationError("the kernel cannot be read: %s" % _cause(error), path) from error
    version = kernel_version(text)
    if version is None or Version(version) >= Version(VERSION):
        return ""
    if not _is_unedited(text):
        raise KernelError(
            "the kernel of version %s has been edited, so it is not updated to %s" % (version, VERSION),
            path,
            "take your changes elsewhere, then: python -m protoprimer kernel write PATH",
        )
    if check_only:
        told = "the kernel %s is of version %s, protoprimer %s is installed; to update it: " % (path, version, VERSION)
        return told + "python -m protoprimer kernel write PATH"
    try:
        write_atomically(path, kernel_text(is_plain(text)).encode("utf-8"), mode)
    except OSError as error:
        raise ConfigurationError("the kernel cannot be updated: %s" % error.strerror, path) from error
    return "updated the kernel %s from version %s to %s: commit it" % (path, version, VERSION)


def is_plain(text: str) -> bool:
    """Tell whether a kernel's text is one with nothing packed."""
    return LOAD_LINE not in text


def is_same_kernel(text: str, other: str) -> bool:
    """Tell whether a kernel differs from another at most in how it was compressed: not every zlib does it the same."""
    if text == other or not _is_unedited(text):
        return text == other
    try:
        texts = [unpacked_text(one) for one in (text, other) if not is_plain(one)]
    except ValueError:
        return False
    return len(texts) == 2 and HASH_LINE.sub("", texts[0], count=1) == HASH_LINE.sub("", texts[1], count=1)


def kernel_version(text: str) -> "str | None":
    """Return the version that a kernel's header states, or `None` if `text` is no kernel."""
    found = _VERSION_LINE.search(text[:2000])
    return found.group(1) if found and text.startswith("#!") and "protoprimer, the kernel" in text[:200] else None


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


def _is_unedited(text: str) -> bool:
    stated = HASH_LINE.search(text)
    return stated is not None and hash_of_others(text) == stated.group(1)


def _source_of(name: str) -> str:
    """Return the source of a module: of the installed package, or of a checkout, where backends stand at the top."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parts = name.split(".")[1:]
    places = [os.path.join(package, *parts) + ".py"]
    if parts[0] == "backends":
        places.append(os.path.join(os.path.dirname(os.path.dirname(package)), *parts) + ".py")
    for place in places:
        if os.path.isfile(place):
            with open(place, encoding="utf-8") as stream:
                return stream.read()
    raise KernelError("the module %s of the kernel is missing" % name, places[0])
