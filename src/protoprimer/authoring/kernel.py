"""The kernel file: written, verified, and renewed where it is older than what is installed."""

import os
from contextlib import suppress
from importlib import import_module
from shlex import quote

from protoprimer.authoring.header import kernel_damage, kernel_version
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


def verify_kernel(path: str) -> None:
    """Refuse a file that is not the kernel of this protoprimer."""
    text = _whole_kernel(path)
    if kernel_version(text) != VERSION:
        raise KernelError("the kernel is of version %s, this is %s" % (kernel_version(text), VERSION), path)
    if text != kernel_text():
        raise KernelError("the kernel was written from other sources of version " + VERSION, path)


def update_kernel(path: str, check_only: bool, newer: "str | None" = None) -> str:
    """Renew an older kernel file unless it was edited; return what to tell of it."""
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
    RepositoryFile(path, newer).write()
    return "updated the kernel %s from version %s to %s: commit it" % (path, present, version)


def renew_kernel(configuration: Configuration, environment: str, console: Console) -> None:
    """Renew the kernel file if the environment's protoprimer is newer; failures are warnings."""
    mode, path = configuration.text("kernel-update"), configuration.kernel_path
    if mode == "off" or configuration.cell or not _has_newer(environment):
        return
    try:
        told = update_kernel(path, mode == "check", _given_kernel(configuration.root, environment, console))
    except PrimerError as error:
        console.warn("the kernel was not updated: %s" % error)
        return
    if told:
        advice = "; to update it: ./prime run -- python -m protoprimer kernel update " + quote(path)
        console.say(told + (advice if mode == "check" else ""))


def _has_newer(environment: str) -> bool:
    for name in metadata_directories(environment):
        project, _, version = name[: -len(".dist-info")].partition("-")
        with suppress(ValueError):
            if project == "protoprimer" and Version(version) > Version(VERSION):
                package = installed_package(environment)
                return package is not None and has_our_mark(package)
    return False


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


def _whole_kernel(path: str) -> str:
    text = _text_at(path)
    refuse_bad_kernel(text, path)
    return text


def _text_at(path: str) -> str:
    text = repository_text(path)
    if text is None:
        raise ConfigurationError("there is no such file", path)
    return text.replace("\r\n", "\n")
