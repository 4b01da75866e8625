"""The kernel file: written, verified, and renewed where it is older than what is installed."""

import hashlib
import os
from contextlib import suppress
from importlib import import_module
from shlex import quote

from protoprimer.authoring.header import kernel_damage, kernel_of_bytes, kernel_version
from protoprimer.authoring.repository_files import RepositoryFile, repository_text
from protoprimer.backends.installed import metadata_directories
from protoprimer.errors import ConfigurationError, InstallError, PrimerError
from protoprimer.formats.versions import Version
from protoprimer.settings.configuration import Configuration
from protoprimer.store.carried import has_our_mark, installed_package
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.files import is_within
from protoprimer.system.paths import environment_python
from protoprimer.version import VERSION

__all__ = [
    "KernelError",
    "author_program",
    "kernel_text",
    "offered_kernel",
    "refuse_bad_kernel",
    "renew_kernel",
    "running_kernel",
    "update_kernel",
    "verify_kernel",
    "write_kernel",
]


class KernelError(PrimerError):
    """The modules cannot be joined, or a file is not the kernel that they make."""


def kernel_text() -> str:
    """Return the kernel that runs, or that the package makes."""
    own_path = running_kernel()
    if own_path is not None:
        return _whole_kernel(own_path)
    # The kernel file has everything but this.
    return str(import_module("protoprimer.authoring.joining").joined_kernel())


def running_kernel() -> "str | None":
    """Return the path of the kernel that runs, `None` for the package."""
    return None if __name__ == "protoprimer.authoring.kernel" else os.path.realpath(__file__)


def author_program() -> str:
    """Return what is typed before an author's command."""
    own_path, here = running_kernel(), os.path.realpath(os.curdir)
    if own_path is None:
        return "python -m protoprimer"
    return "python3 " + quote(os.path.relpath(own_path, here) if is_within(own_path, here) else own_path)


def refuse_bad_kernel(text: str, path: str) -> None:
    """Refuse what is no kernel, not whole, or not Python."""
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
    """Write the kernel, executable; return its size in bytes."""
    file = RepositoryFile(path, kernel_text(), is_script=True)
    if not file.is_there():
        file.write()
    return os.path.getsize(path)


def verify_kernel(path: str, sha256: "str | None" = None) -> str:
    """Refuse a file that is not the kernel of this protoprimer, byte for byte; return what to tell of it.

    :param sha256: the file's hash, as a release states it; with it a kernel of any version is verified
    """
    text = _whole_kernel(path)
    if sha256 is not None:
        _refuse_other_hash(text, path, sha256)
    elif kernel_version(text) != VERSION:
        cause = "the kernel is of version %s, this is %s" % (kernel_version(text), VERSION)
        raise KernelError(cause, path, "give the hash that its release states: --sha256 HASH")
    elif text != kernel_text():
        raise KernelError("the kernel was written from other sources of version " + VERSION, path)
    return "verified: %s is %s" % (path, _identity(text))


def update_kernel(path: str, check_only: bool, newer: "str | None" = None) -> str:
    """Renew an older kernel file unless it was edited; return what to tell of it."""
    text = _text_at(path)
    newer = kernel_text() if newer is None else newer
    refuse_bad_kernel(newer, "what protoprimer gives")
    present, version = kernel_version(text), str(kernel_version(newer))
    if present is None:
        raise KernelError("this is not a kernel of protoprimer", path)
    damage = kernel_damage(text)
    if damage is not None:
        cause = "the kernel of version %s %s, so it is not updated to %s" % (present, damage, version)
        advice = "take your changes elsewhere, then: %s kernel write --force %s" % (author_program(), path)
        raise KernelError(cause, path, advice)
    if text == newer:
        return "the kernel %s is up to date: %s" % (path, _identity(text))
    if Version(present) > Version(version):
        raise KernelError("the kernel is %s, newer than %s: it is not updated" % (_identity(text), version), path)
    if present == version:
        cause = "the kernel is another build of version %s (%s; this one has %s)"
        cause %= (version, _sha256_of_text(text)[:16], _sha256_of_text(newer)[:16])
        raise KernelError(cause, path, "to take this one: %s kernel write --force %s" % (author_program(), path))
    if check_only:
        return "the kernel %s is of version %s, this is %s" % (path, present, version)
    RepositoryFile(path, newer).write()
    told = "updated the kernel %s from version %s to %s (sha256 %s): commit it"
    return told % (path, present, version, _sha256_of_text(newer))


def offered_kernel(path: str, sha256: "str | None") -> str:
    """Return the text of a kernel that somebody offers; nothing of it is run."""
    text = _whole_kernel(path)
    if sha256 is not None:
        _refuse_other_hash(text, path, sha256)
    return text


def _refuse_other_hash(text: str, path: str, sha256: str) -> None:
    found = _sha256_of_text(text)
    if found != sha256.lower():
        raise KernelError("the kernel has the sha256 %s, not %s" % (found, sha256), path, "do not use this file")


def _identity(text: str) -> str:
    """Return what tells two builds of one version apart."""
    return "version %s with the sha256 %s" % (kernel_version(text), _sha256_of_text(text))


def renew_kernel(configuration: Configuration, environment: str, console: Console) -> None:
    """Tell that the environment's protoprimer is newer; renew the kernel where the repository names the new one.

    A package that is installed decides nothing about what is committed. Failures are warnings.
    """
    mode = configuration.text("kernel-update")
    if mode == "off" or configuration.cell:
        return
    newer = _newer_version(environment)
    if newer is None:
        return
    path = configuration.kernel_path
    if mode == "check":
        told = "the kernel %s is of version %s, the environment's protoprimer is %s" % (path, VERSION, newer)
        console.say(told + "; to update it: ./prime run -- python -m protoprimer kernel update " + quote(path))
        return
    try:
        console.say(_renewed_as_named(configuration, environment, console))
    except PrimerError as error:
        console.warn("the kernel was not updated: %s" % error)


def _renewed_as_named(configuration: Configuration, environment: str, console: Console) -> str:
    """Update the kernel to the one whose hash the repository states; return what to tell of it."""
    wanted = configuration.text("kernel-sha256")
    if wanted is None:
        advice = "set kernel-sha256 to the hash that the release states, or kernel-update to check"
        raise configuration.error("kernel-update", 'kernel-update = "auto" needs kernel-sha256', advice)
    newer = _given_kernel(configuration.root, environment, console)
    found = _sha256_of_text(newer)
    if found != wanted.lower():
        cause = "the environment's kernel has the sha256 %s, not the one that the repository names" % found
        raise configuration.error("kernel-sha256", cause, "find out where that protoprimer comes from")
    return update_kernel(configuration.kernel_path, False, newer)


def _newer_version(environment: str) -> "str | None":
    """Return the version of our own package in an environment, if it is newer than this."""
    for name in metadata_directories(environment):
        project, _, version = name[: -len(".dist-info")].partition("-")
        with suppress(ValueError):
            if project == "protoprimer" and Version(version) > Version(VERSION):
                package = installed_package(environment)
                is_ours = package is not None and has_our_mark(package)
                return version if is_ours else None
    return None


def _given_kernel(root: str, environment: str, console: Console) -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "proto_kernel.py")
        command = [environment_python(environment), "-I", "-m", "protoprimer", "kernel", "write", path]
        done = run_child(command, console, cwd=root)
        text = None if done.status else repository_text(path)
    if text is None:
        raise InstallError(done.everything() or "the installed protoprimer wrote none")
    return text


def _sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _whole_kernel(path: str) -> str:
    text = _text_at(path)
    refuse_bad_kernel(text, path)
    return text


def _text_at(path: str) -> str:
    text = repository_text(path)
    if text is None:
        raise ConfigurationError("there is no such file", path)
    return kernel_of_bytes(text.encode("utf-8", "surrogateescape"))
