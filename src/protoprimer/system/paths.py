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
    "free_megabytes",
    "is_of_a_stranger",
    "is_own",
    "is_utf8_path",
    "nearest_existing",
    "owner_of",
    "path_of_file_url",
    "private_temporary_cache",
    "program_on_path",
    "scripts_directory",
    "user_cache_directory",
    "with_parents",
]


def scripts_directory(environment: str) -> str:
    """Return the directory of an environment's executables."""
    if is_windows():
        return os.path.join(environment, "Scripts")
    return os.path.join(environment, "bin")


def environment_python(environment: str) -> str:
    """Return where an environment's interpreter is, or would be."""
    name = "python.exe" if is_windows() else "python"
    return os.path.join(scripts_directory(environment), name)


def directories_on_path() -> "list[str]":
    """Return the directories on PATH; relative ones are never searched."""
    entries = os.environ.get("PATH", "").split(os.pathsep)
    return [entry for entry in entries if os.path.isabs(entry)]


def program_on_path(name: str) -> "str | None":
    """Return where a program is; one without a directory is never looked for in the working one."""
    import shutil

    if os.path.dirname(name):
        return shutil.which(name)
    found = shutil.which(name, path=os.pathsep.join(directories_on_path()))
    # Windows looks in the working directory first.
    if found is None or not os.path.isabs(found):
        return None
    return found


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
        # A variable that is filled in behind `file:///` begins with one more.
        if path.startswith("//"):
            path = "/" + path.lstrip("/")
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
    caches = _usual_place_of_caches()
    if caches is None:
        return private_temporary_cache()
    path = os.path.join(caches, "protoprimer")
    # Programs are run from it: another user's will not do, even if it can be written.
    is_ours = is_own(path) if os.path.lexists(path) else True
    if is_ours and can_be_made(path):
        return path
    private = private_temporary_cache()
    if tell is not None:
        tell("the cache %s is not yours to write: keeping tools in %s" % (path, private))
    return private


def _usual_place_of_caches() -> "str | None":
    """Return where this platform's programs keep their caches; `None` for a user without a home."""
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # What is relative is to be ignored, says its specification.
    if xdg.startswith("/"):
        return xdg
    home = os.environ.get("HOME") or os.path.expanduser("~")
    # A service's user may have `/`, or a home that nobody has made; `~` is left where the user has no name.
    if home.startswith("~") or home == "/" or not os.path.isdir(home):
        return None
    if sys.platform == "darwin":
        return os.path.join(home, "Library/Caches")
    return os.path.join(home, ".cache")


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


def free_megabytes(directory: str) -> "int | None":
    """Return how much this user can still write into a directory, or where it would be made, if the system tells.

    A quota is not part of it.
    """
    try:
        status = os.statvfs(nearest_existing(directory))
    except (OSError, AttributeError):
        return None
    return status.f_bavail * status.f_frsize >> 20


def nearest_existing(path: str) -> str:
    """Return a path, or the directory above it, that is there."""
    for place in with_parents(path):
        if os.path.lexists(place):
            return place
    return path


def with_parents(path: str) -> "list[str]":
    """Return a path and the directories above it, the nearest first."""
    found = [path]
    parent = os.path.dirname(path)
    # The directory above the topmost is itself.
    while parent != found[-1]:
        found.append(parent)
        parent = os.path.dirname(parent)
    return found


def is_own(path: str) -> bool:
    """Tell whether a file is this user's; the superuser may work with anybody's."""
    if not hasattr(os, "geteuid"):
        return True
    user = os.geteuid()
    return user in (0, os.lstat(path).st_uid)


def is_of_a_stranger(path: str, root: str) -> bool:
    """Tell whether a file outside a repository is neither this user's, the superuser's nor the repository owner's."""
    if not hasattr(os, "geteuid"):
        return False
    try:
        # A link has one owner, what it leads to another.
        owners = {os.lstat(path).st_uid, os.stat(path).st_uid}
        trusted = {0, os.geteuid(), os.stat(root).st_uid}
    except OSError:
        return False
    return not owners <= trusted


def owner_of(path: str) -> str:
    """Return the name of a file's owner, or the number."""
    owner = os.lstat(path).st_uid
    try:
        import pwd

        return pwd.getpwuid(owner).pw_name
    except (ImportError, KeyError):
        return str(owner)


def private_temporary_cache() -> str:
    """Return this user's own directory below the temporary one, which is made if need be."""
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else None
    name = "protoprimer-%s" % ("user" if user is None else user)
    path = os.path.join(tempfile.gettempdir(), name)
    try:
        os.makedirs(path, 0o700)
    except OSError:
        is_directory = os.path.isdir(path) and not os.path.islink(path)
        is_others = user is not None and os.lstat(path).st_uid != user
        # Somebody else's directory of that name must not feed us tools.
        if is_others or not is_directory:
            return tempfile.mkdtemp(prefix="protoprimer-")
    return path
