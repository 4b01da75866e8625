"""Where things are: the parts of an environment, the user's cache."""

import os
import sys
from typing import Callable

from protoprimer.errors import ConfigurationError
from protoprimer.system.platform import is_windows

__all__ = [
    "can_be_made",
    "can_lock_in",
    "directories_on_path",
    "environment_python",
    "file_url",
    "is_own",
    "is_utf8_path",
    "nearest_existing",
    "owner_of",
    "path_of_file_url",
    "scripts_directory",
    "user_cache_directory",
    "with_parents",
]


def scripts_directory(environment: str) -> str:
    """Return the directory of an environment's executables."""
    return os.path.join(environment, "Scripts" if is_windows() else "bin")


def environment_python(environment: str) -> str:
    """Return where an environment's interpreter is, or would be."""
    return os.path.join(scripts_directory(environment), "python.exe" if is_windows() else "python")


def directories_on_path() -> "list[str]":
    """Return the directories on PATH; relative ones are never searched."""
    return list(filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep)))


def is_utf8_path(path: str) -> bool:
    """Tell whether a path is text: else no tool can make an environment there."""
    raw = os.fsencode(path)
    return raw == raw.decode("utf-8", "ignore").encode("utf-8")


def file_url(path: str) -> str:
    """Return the `file:` URL of a path."""
    if not is_windows():
        from urllib.parse import quote

        return "file://" + quote(os.path.abspath(path), errors="surrogateescape")
    from urllib.request import pathname2url

    return "file://" + pathname2url(os.path.abspath(path)).replace("///", "/", 1)


def path_of_file_url(url: str) -> str:
    """Return the path that a `file:` URL means; what is none is a path."""
    if not url.startswith("file:"):
        return url
    from urllib.parse import unquote, urlsplit

    path = urlsplit(url).path
    if not is_windows():
        return unquote(path, errors="surrogateescape")
    from urllib.request import url2pathname

    return url2pathname(path)


def user_cache_directory(tell: "Callable[[str], None] | None" = None) -> str:
    """Return our directory in the user's cache; where that cannot be written, a private one, which `tell` is told.

    :raises ConfigurationError: `PROTOPRIMER_CACHE` is relative
    """
    cache = os.environ.get("PROTOPRIMER_CACHE")
    if cache:
        if os.path.isabs(cache):
            return os.path.normpath(cache)
        cause = "the path %r is relative" % cache
        raise ConfigurationError(cause, "the variable PROTOPRIMER_CACHE", "give the whole path, from / on")
    if is_windows() and os.environ.get("LOCALAPPDATA"):
        return os.path.join(os.environ["LOCALAPPDATA"], "protoprimer", "Cache")
    home = os.environ.get("HOME") or os.path.expanduser("~")
    usual = os.path.join(home, "Library/Caches" if sys.platform == "darwin" else ".cache")
    if os.environ.get("XDG_CACHE_HOME", "").startswith("/"):
        usual = os.environ["XDG_CACHE_HOME"]
    elif home.startswith("~") or home == "/" or not os.path.isdir(home):
        return _private_temporary_cache()
    path = os.path.join(usual, "protoprimer")
    # Programs are run from it: another user's will not do, even if it can be written.
    if can_be_made(path) and (not os.path.lexists(path) or is_own(path)):
        return path
    private = _private_temporary_cache()
    if tell is not None:
        tell("the cache %s is not yours to write: keeping tools in %s" % (path, private))
    return private


def can_be_made(directory: str) -> bool:
    """Tell whether a directory can be written, or made and then written."""
    directory = nearest_existing(directory)
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


def can_lock_in(directory: str) -> bool:
    """Tell whether files can be locked in a directory, or where it would be made."""
    if is_windows():
        return True
    import fcntl
    import tempfile

    try:
        # Where the system can, of no name: looking changes no directory.
        with tempfile.TemporaryFile(dir=nearest_existing(directory)) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def nearest_existing(path: str) -> str:
    """Return a path, or the directory above it, that is there."""
    return next(filter(os.path.lexists, with_parents(path)), path)


def with_parents(path: str) -> "list[str]":
    """Return a path and the directories above it, the nearest first."""
    parent = os.path.dirname(path)
    return [path] + (with_parents(parent) if parent != path else [])


def is_own(path: str) -> bool:
    """Tell whether a file is this user's; the superuser may work with anybody's."""
    return not hasattr(os, "geteuid") or os.geteuid() in (0, os.lstat(path).st_uid)


def owner_of(path: str) -> str:
    """Return the name of a file's owner, or the number."""
    owner = os.lstat(path).st_uid
    try:
        import pwd

        return pwd.getpwuid(owner).pw_name
    except (ImportError, KeyError):
        return str(owner)


def _private_temporary_cache() -> str:
    import tempfile

    owner = os.getuid() if hasattr(os, "getuid") else "user"
    path = os.path.join(tempfile.gettempdir(), "protoprimer-%s" % owner)
    try:
        os.makedirs(path, 0o700)
    except OSError:
        # Somebody else's directory of that name must not feed us tools.
        is_others = hasattr(os, "getuid") and os.lstat(path).st_uid != owner
        if os.path.islink(path) or not os.path.isdir(path) or is_others:
            path = tempfile.mkdtemp(prefix="protoprimer-")
    return path
