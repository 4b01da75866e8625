"""Files and links: written whole or not at all, removed with all that is in them."""

import errno
import hashlib
import json
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import Any, Iterator

from protoprimer.errors import ConfigurationError
from protoprimer.system.platform import is_windows

__all__ = [
    "content_of",
    "has_file",
    "is_full_place",
    "is_within",
    "json_table",
    "keep_in_cache",
    "link_directory",
    "link_target",
    "names_in",
    "others_may_not_write",
    "path_at",
    "paths_in",
    "read_configured",
    "read_file",
    "remove_tree",
    "replace_file",
    "sha256_of",
    "start_of",
    "temporary_name",
    "text_of",
    "write_atomically",
    "write_json",
]


_BYTES_THAT_TELL_A_KIND = 1024
# In seconds, one and a half together.
_PAUSES_BEFORE_RENAMING_AGAIN = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8)
# How Windows tells where a junction leads.
_WINDOWS_LONG_PATH = "\\\\?\\"


def temporary_name(path: str) -> str:
    """Return an unused name beside `path`; a pid would not do, since containers share directories."""
    return "%s.%s.tmp" % (path, os.urandom(8).hex())


def sha256_of(content: bytes) -> str:
    """Return the hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def read_file(path: str) -> bytes:
    """Return what is in a file; `OSError` also for a pipe or a device, which may have no end."""
    mode = os.stat(path).st_mode
    # Opening a directory tells that it is one.
    is_file = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    if not is_file and not os.path.samefile(path, os.devnull):
        raise OSError(errno.EINVAL, "it is a pipe or a device")
    with open(path, "rb") as stream:
        return stream.read()


def read_configured(path: str) -> bytes:
    """Return what is in a file of the user's, or raise `ConfigurationError`."""
    try:
        return read_file(path)
    except OSError as error:
        cause = "the file cannot be read: %s" % (error.strerror or error)
        raise ConfigurationError(cause, path, "make it a file that you can read") from None


def path_at(*parts: str) -> str:
    """Return where the last part is, seen from the first."""
    return os.path.normpath(os.path.join(*parts))


def content_of(*parts: str) -> bytes:
    """Return what is in a file, nothing if it cannot be read."""
    try:
        return read_file(os.path.join(*parts))
    except OSError:
        return b""


def start_of(path: str) -> bytes:
    """Return what tells a file's kind, nothing if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(_BYTES_THAT_TELL_A_KIND)
    except OSError:
        return b""


def has_file(*parts: str) -> bool:
    """Tell whether there is such a file."""
    return os.path.isfile(os.path.join(*parts))


def text_of(*parts: str) -> str:
    """Return a file's text, nothing if it cannot be read."""
    return content_of(*parts).decode("utf-8", "surrogateescape")


def json_table(content: bytes) -> "dict[str, Any]":
    """Return the JSON object in a content, else an empty one."""
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return found


def names_in(directory: str) -> "list[str]":
    """Return the sorted names in a directory, none if it cannot be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def paths_in(directory: str) -> "list[str]":
    """Return the sorted paths in a directory."""
    return [os.path.join(directory, name) for name in names_in(directory)]


def is_full_place(error: Exception) -> bool:
    """Tell whether an error means that a file system is full, or over its quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def is_within(path: str, directory: str) -> bool:
    """Tell by their text whether a path is a directory or below it."""
    return os.path.join(path, "").startswith(os.path.join(directory, ""))


@contextmanager
def others_may_not_write() -> "Iterator[None]":
    """Let nobody else write into what is made meanwhile, by children too, whatever the umask; then it is as before."""
    before = os.umask(0o077)
    os.umask(before | 0o022)
    try:
        yield
    finally:
        os.umask(before)


def write_atomically(path: str, content: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file that is seen old or new, never torn; if not `durable`, a power loss may empty it."""

    def opened_with_mode(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    temporary = temporary_name(path)
    try:
        with open(temporary, "xb", opener=opened_with_mode) as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        replace_file(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def write_json(path: str, value: object, durable: bool = True) -> None:
    """Write a value as JSON, as `write_atomically` does."""
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    write_atomically(path, text.encode("ascii"), durable=durable)


def keep_in_cache(path: str, content: bytes) -> None:
    """Write what can be had again, if possible."""
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(path, content)


def replace_file(source: str, target: str) -> None:
    """Rename a file, also over another that somebody may be reading."""
    if is_windows():
        # It renames onto no file that is open, as it is for a moment wherever others read it.
        for pause in _PAUSES_BEFORE_RENAMING_AGAIN:
            with suppress(PermissionError):
                os.replace(source, target)
                return
            time.sleep(pause)
    os.replace(source, target)


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all in it, read-only too; what cannot be removed stays."""
    import shutil

    def make_writable_and_retry(_function: object, failed: str, _error: object) -> None:
        is_directory = os.path.isdir(failed) and not os.path.islink(failed)
        with suppress(OSError):
            if failed != path:
                os.chmod(os.path.dirname(failed), 0o700)
            if is_directory or is_windows():
                # Elsewhere a file's mode may be shared with a tool's cache by a hard link.
                os.chmod(failed, 0o700)
            if is_directory:
                os.rmdir(failed)
            else:
                os.unlink(failed)

    shutil.rmtree(path, onerror=make_writable_and_retry)


def link_target(path: str) -> "str | None":
    """Return the absolute path that a link (or Windows junction) points to."""
    try:
        target = os.readlink(path)
    except (OSError, ValueError, AttributeError):
        return None
    if target.startswith(_WINDOWS_LONG_PATH):
        target = target[len(_WINDOWS_LONG_PATH) :]
    return path_at(os.path.dirname(path), target)


def link_directory(target: str, link: str, staging: str) -> None:
    """Make `link` point to `target` in one step, through `staging` if that is of the same file system."""
    if is_windows():
        _junction_directory(target, link)
        return
    beside = os.path.dirname(link)
    for directory in (staging, beside):
        temporary = temporary_name(os.path.join(directory, os.path.basename(link)))
        os.symlink(os.path.relpath(target, beside), temporary)
        try:
            os.replace(temporary, link)
            return
        except OSError as error:
            os.unlink(temporary)
            if error.errno != errno.EXDEV or directory == beside:
                raise


def _junction_directory(target: str, link: str) -> None:
    # Unlike symbolic links, these need no privilege.
    try:
        from _winapi import CreateJunction  # type: ignore[import-not-found,attr-defined,unused-ignore]
    except ImportError as error:
        raise OSError("this Python makes no junctions") from error
    if link_target(link) is not None:
        os.rmdir(link)
    try:
        CreateJunction(target, link)
    except OSError:
        # A file system that refuses junctions, such as FAT, leaves the directory that was to become one.
        if os.path.isdir(link) and not os.listdir(link):
            os.rmdir(link)
        raise
