"""Fetching a pinned wheel from wherever the settings say, verifying it before anything else, and unpacking it."""

import io
import os
import stat
import time

from protoprimer.errors import BackendError
from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.roads import RoadClosed, RoadRecord
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.console import Console
from protoprimer.system.files import names_in, remove_tree, replace_file, temporary_name
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

__all__ = [
    "ToolAbsent",
    "WheelError",
    "closed_roads",
    "fetch_wheel",
    "remove_leftovers",
    "remove_unused",
    "sha256_of_file",
    "unpack_wheels",
    "unpacked_is_whole",
]

_SIZE_FILE = ".unpacked-size"
SECONDS_UNTIL_LEFT = 3600
# Ten times what the largest tool has.
MOST_BYTES_UNPACKED = 800 << 20


class ToolAbsent(BackendError):
    """A tool cannot be had, and why: exit code 5."""


class WheelError(ToolAbsent):
    """A wheel could not be had or used: exit code 5."""

    # What was tried in vain.
    records: "tuple[RoadRecord, ...]" = ()

    @property
    def tampered(self) -> bool:
        """Whether something was served that is not what was pinned."""
        return any(one.closed == "other bytes" for one in self.records)


def fetch_wheel(
    filename: str,
    sha256: str,
    settings: IndexSettings,
    cache_directory: str,
    console: Console,
    reader: "UrlReader | None" = None,
) -> str:
    """Return the path of a verified wheel, fetched into the cache unless it is there.

    Looked at in order: the cache, find-links, local indexes, other indexes.

    :param reader: what else this run reads with
    :raises WheelError: it could not be had (exit code 5); the message holds what each source said
    """
    path = _cached_wheel_path(cache_directory, filename, sha256)
    if sha256_of_file(path) == sha256:
        return path
    records = []  # type: list[RoadRecord]
    reader = reader or UrlReader(settings, console)
    name, version = filename.split("-")[:2]
    name = name.replace("_", "-")

    for source in _wheel_sources(name, settings):
        tried = source
        try:
            links = reader.links(source)
            if filename not in links:
                raise RoadClosed("not found", "does not list %s" % filename)
            tried = links[filename]
            if reader.only_looks:
                if reader.read(tried, io.BytesIO())[1] == "text/html" and "://" in tried and tried[:5] != "file:":
                    raise RoadClosed("web page", "a web page instead of the file")
                return tried
            return _downloaded(tried, filename, sha256, cache_directory, reader)
        except (OSError, ValueError) as error:
            records.append(RoadRecord(name, filename, tried, error))
    if settings.offline:
        closed = RoadClosed("offline", "offline, and not in this cache")
        records.append(RoadRecord(name, filename, cache_directory, closed))
    said = "; ".join(one.detail for one in records) or "no index and no find-links to look at"
    advice = "check index-url, find-links, proxy and certificates (`check` shows them)"
    advice = next((one.opens for one in records if one.opens), advice)
    failed = WheelError("%s %s could not be had: %s" % (name, version, said), None, advice)
    failed.records = tuple(records)
    raise failed


def closed_roads(name: str, settings: IndexSettings, reader: UrlReader) -> "Iterator[RoadRecord]":
    """Give each index and page of links that does not tell which files of a distribution it has, and why not."""
    for source in _wheel_sources(name, settings):
        try:
            reader.links(source)
        except (OSError, ValueError) as error:
            yield RoadRecord(name, name, source, error)


def _downloaded(url: str, filename: str, sha256: str, cache_directory: str, reader: UrlReader) -> str:
    """Return the path in the cache of a file, which appears there only after its hash was verified."""
    path = _cached_wheel_path(cache_directory, filename, sha256)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = temporary_name(path)
    try:
        # Not synchronised to the disk: its hash is taken again before each use.
        with open(temporary, "w+b") as stream:
            kind = reader.read(url, stream)[1]
            stream.seek(0)
            is_page = kind == "text/html" and stream.read(512).lstrip().startswith(b"<")
        found = sha256_of_file(temporary)
        if found != sha256:
            if is_page:
                raise RoadClosed("web page", "a web page instead of the file")
            raise RoadClosed("other bytes", "other bytes: has sha256 %s where %s is pinned, refused" % (found, sha256))
        replace_file(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
            if not os.listdir(os.path.dirname(path)):
                os.rmdir(os.path.dirname(path))
    return path


def unpack_wheels(
    paths: "list[str]", directory: str, main_module: str = "", most_bytes: int = MOST_BYTES_UNPACKED
) -> str:
    """Unpack verified wheels into one directory, which appears whole or not at all; an existing one is kept.

    Packages land in `directory` itself, executables in its `bin`.

    :param main_module: text of a `__main__.py`, so that an interpreter can run the directory
    :raises WheelError: a wheel is no zip file, or names a file outside of the directory (exit code 5)
    :raises OSError: the disk is full or not writable; nothing is left
    """
    import zipfile

    if unpacked_is_whole(directory):
        return directory
    temporary = temporary_name(directory)
    remove_leftovers(directory)
    try:
        os.makedirs(temporary)
        size = 0
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                _check_size(archive, most_bytes)
                size += sum(_unpack_member(archive, member, temporary) for member in archive.infolist())
        if main_module:
            with open(os.path.join(temporary, "__main__.py"), "w") as stream:
                size += stream.write(main_module)
        with open(os.path.join(temporary, _SIZE_FILE), "w") as stream:
            stream.write("%d" % size)
        _publish_directory(temporary, directory)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise WheelError("not a usable wheel: %s" % error, " ".join(paths)) from error
    finally:
        remove_tree(temporary)
    return directory


def unpacked_is_whole(directory: str) -> bool:
    """Tell whether a directory holds all that `unpack_wheels` wrote: a power loss can empty renamed files."""
    try:
        with open(os.path.join(directory, _SIZE_FILE), "rb") as stream:
            expected = int(stream.read())
        found = 0
        for place, directories, names in os.walk(directory):
            directories[:] = [one for one in directories if one != "__pycache__"]
            found += sum(os.path.getsize(os.path.join(place, one)) for one in names if one != _SIZE_FILE)
    except (OSError, ValueError):
        return False
    return found == expected


def _cached_wheel_path(cache_directory: str, filename: str, sha256: str) -> str:
    return os.path.join(cache_directory, "wheels", sha256[:16], filename)


def sha256_of_file(path: str) -> str:
    """Return the hexadecimal SHA-256 of a file's content, `?` if it cannot be read."""
    import hashlib

    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    except (OSError, ValueError):
        return "?"
    return digest.hexdigest()


def _wheel_sources(name: str, settings: IndexSettings) -> "list[str]":
    """Return URLs of pages and directories, the local ones first since they cost nothing."""
    links = [place if "://" in place else file_url(place) for place in settings.find_links]
    sources = [place for place in links if place.startswith("file:") or not settings.offline]
    sources += [url.rstrip("/") + "/" + name + "/" for url in settings.index_urls()]
    return sorted(sources, key=lambda url: not url.startswith("file:"))


def _check_size(archive: "Any", most_bytes: int) -> None:
    """Refuse an archive that would fill the disk. What a member says of its size, `zipfile` does not exceed."""
    size = sum(member.file_size for member in archive.infolist())
    if size > most_bytes:
        raise WheelError("the wheel would unpack to %d MB, nothing was unpacked" % (size >> 20), archive.filename)


def _unpack_member(archive: "Any", member: "Any", directory: str) -> int:
    """Unpack one file of a wheel and return its size; a name that leads elsewhere is refused."""
    import shutil

    name = member.filename
    parts = name.split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if ".." in parts or not parts[0] or set(name) & set("\\:\0") or kind == stat.S_IFLNK:
        raise WheelError("the wheel holds an unsafe name, nothing was unpacked: %r" % name, archive.filename)
    if name.endswith("/"):
        return 0
    mode = 0o755 if (member.external_attr >> 16) & 0o111 else 0o644
    if len(parts) > 2 and parts[0].endswith(".data"):
        mode = 0o755 if parts[1] == "scripts" else mode
        parts = {"scripts": ["bin"], "purelib": [], "platlib": []}.get(parts[1], parts[:2]) + parts[2:]
    path = os.path.join(directory, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with archive.open(member) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    os.chmod(path, mode)
    return int(member.file_size)


def remove_leftovers(directory: str) -> None:
    """Remove what killed processes left beside `directory` an hour ago or earlier: its name, then `.tmp`."""
    parent, prefix = os.path.split(directory + ".")
    remove_unused(parent, SECONDS_UNTIL_LEFT, lambda name: name.startswith(prefix) and ".tmp" in name)


def _publish_directory(temporary: str, directory: str) -> None:
    try:
        os.rename(temporary, directory)
    except OSError:
        if unpacked_is_whole(directory):
            return
        # What stands there was damaged; it is moved away in one step, in case somebody looks at it now.
        damaged = temporary + ".damaged"
        os.rename(directory, damaged)
        try:
            os.rename(temporary, directory)
        finally:
            remove_tree(damaged)


def remove_unused(directory: str, seconds: float, is_meant: "Callable[[str], bool] | None" = None) -> int:
    """Remove each entry of a directory that nobody has touched for so long; return how many there were.

    :param is_meant: which names are meant; all, if not given
    """
    names, removed = names_in(directory), 0
    for name in filter(is_meant, names) if is_meant else names:
        path = os.path.join(directory, name)
        try:
            if os.lstat(path).st_mtime < time.time() - seconds:
                remove_tree(path)
                removed += 1
        except OSError:
            # Somebody else has removed it.
            continue
    return removed
