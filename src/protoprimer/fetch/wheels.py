"""Pinned wheels: fetched from where the settings say, verified, and unpacked."""

import hashlib
import io
import os
import stat
import time
from typing import Any, Callable, Sequence

from protoprimer.errors import BackendError
from protoprimer.fault import Fault
from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.roads import Absence, RoadClosed, RoadRecord, road_record
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.files import (
    content_of,
    is_full_place,
    names_in,
    remove_tree,
    replace_file,
    temporary_name,
)
from protoprimer.system.paths import file_url

__all__ = [
    "ToolAbsent",
    "fetch_wheel",
    "remove_leftovers",
    "remove_unused",
    "sha256_of_file",
    "unpack_wheels",
    "unpacked_is_whole",
    "wheel_sources",
]

_SIZE_FILE = ".unpacked-size"
SECONDS_UNTIL_LEFT = 3600
# Ten times what the largest tool has.
MOST_BYTES_UNPACKED = 800 << 20


class ToolAbsent(BackendError):
    """A tool or one of its wheels cannot be had or used.

    :param absences: the reasons that make up the cause; by default the cause is the only one
    :param records: what was tried
    """

    def __init__(
        self,
        cause: str,
        place: "str | None" = None,
        advice: "str | None" = None,
        absences: "Sequence[Absence]" = (),
        records: "Sequence[RoadRecord]" = (),
    ) -> None:
        super().__init__(cause, place, advice)
        self.absences = list(absences) or [Absence(Fault.TOOL_UNUSABLE, cause, cause)]
        self.records = list(records)

    def in_short(self) -> str:
        """Return the cause where another tool serves: without advice, and places that merely do not have it."""
        return "; ".join(one.in_short for one in self.absences)

    def is_of(self, fault: Fault) -> bool:
        """Tell whether one of the reasons is of this kind."""
        return any(one.fault is fault for one in self.absences)


def fetch_wheel(filename: str, sha256: str, cache_directory: str, reader: UrlReader) -> str:
    """Return the path of a verified wheel, fetched into the cache unless it is there, or raise `ToolAbsent`.

    :raises OSError: the cache is full
    """
    path = os.path.join(cache_directory, "wheels", sha256[:16], filename)
    if sha256_of_file(path) == sha256:
        return path
    name, version = filename.split("-")[:2]
    name = name.replace("_", "-")
    records = []  # type: list[RoadRecord]
    # Those that say more than that a place does not have it.
    telling = []  # type: list[RoadRecord]
    for source in wheel_sources(name, reader.settings):
        tried = source
        try:
            links = reader.links(source)
            if filename not in links:
                raise RoadClosed("not found", "does not list %s" % filename)
            tried = links[filename]
            _download(tried, sha256, path, reader)
            return path
        except (OSError, ValueError) as error:
            if is_full_place(error):
                # No other place to read from would help.
                raise
            record = road_record(name, filename, tried, error)
            records.append(record)
            is_mere_absence = record.closed == "not found" and tried == source
            if not is_mere_absence:
                telling.append(record)
    if reader.settings.offline:
        closed = RoadClosed("offline", "offline, and not in this cache")
        records.append(road_record(name, filename, cache_directory, closed))
    raise _not_fetched("%s %s" % (name, version), records, telling)


def _not_fetched(what: str, records: "list[RoadRecord]", telling: "list[RoadRecord]") -> ToolAbsent:
    said = "; ".join(one.detail for one in records) or "no index and no find-links to look at"
    cause = "%s could not be had: %s" % (what, said)
    in_short = "; ".join([what + " is not here"] + [one.detail for one in telling])
    absence = Absence(Fault.TOOL_NOT_FETCHED, cause, in_short)
    advice = "check index-url, find-links, proxy and certificates (`check` shows them)"
    for record in records:
        if record.opens:
            advice = record.opens
            break
    return ToolAbsent(cause, None, advice, [absence], records)


def wheel_sources(name: str, settings: IndexSettings) -> "list[str]":
    """Return the URLs of what may list a distribution, the local ones first."""
    links = [place if "://" in place else file_url(place) for place in settings.find_links]
    sources = [place for place in links if place.startswith("file:") or not settings.offline]
    sources += [url.rstrip("/") + "/" + name + "/" for url in settings.index_urls()]
    return sorted(sources, key=lambda url: not url.startswith("file:"))


def _download(url: str, sha256: str, path: str, reader: UrlReader) -> None:
    page = RoadClosed("web page", "a web page instead of the file")
    if reader.only_looks:
        if reader.read(url, io.BytesIO())[0] == "text/html":
            raise page
        return
    directory = os.path.dirname(path)
    temporary = temporary_name(directory)
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    remove_leftovers(directory)
    try:
        with open(temporary, "w+b") as stream:
            kind = reader.read(url, stream)[0]
        found = sha256_of_file(temporary)
        if found != sha256:
            bytes_told = "other bytes, refused: its sha256 is %s, %s is pinned" % (found, sha256)
            raise page if kind == "text/html" else RoadClosed("other bytes", bytes_told)
        os.makedirs(directory, exist_ok=True)
        # Its hash is taken again before each use.
        replace_file(temporary, path)
    finally:
        remove_tree(temporary)


def sha256_of_file(path: str) -> str:
    """Return a file's hexadecimal SHA-256, `?` if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    except (OSError, ValueError):
        return "?"
    return digest.hexdigest()


def unpack_wheels(
    paths: "list[str]", directory: str, main_module: str = "", most_bytes: int = MOST_BYTES_UNPACKED
) -> str:
    """Unpack verified wheels into one directory, programs into its `bin`; it appears whole or not at all.

    :param main_module: text of a `__main__.py`, so that an interpreter can run the directory
    """
    if unpacked_is_whole(directory):
        return directory
    import zipfile

    temporary = temporary_name(directory)
    remove_leftovers(directory)
    try:
        os.makedirs(temporary)
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                # What a member says of its size, `zipfile` does not exceed.
                size = sum(member.file_size for member in archive.infolist())
                if size > most_bytes:
                    raise ToolAbsent("the wheel would unpack to %d MB, nothing was unpacked" % (size >> 20), path)
                for member in archive.infolist():
                    _unpack_member(archive, member, temporary)
        if main_module:
            with open(os.path.join(temporary, "__main__.py"), "w") as stream:
                stream.write(main_module)
        with open(os.path.join(temporary, _SIZE_FILE), "w") as stream:
            stream.write("%d" % _unpacked_size(temporary))
        _publish_directory(temporary, directory)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ToolAbsent("not a usable wheel: %s" % error, " ".join(paths)) from error
    finally:
        remove_tree(temporary)
    return directory


def unpacked_is_whole(directory: str) -> bool:
    """Tell whether all that `unpack_wheels` wrote is there: a power loss can empty renamed files."""
    try:
        return int(content_of(directory, _SIZE_FILE)) == _unpacked_size(directory)
    except (OSError, ValueError):
        return False


def _unpacked_size(directory: str) -> int:
    size = 0
    for place, directories, names in os.walk(directory):
        directories[:] = [one for one in directories if one != "__pycache__"]
        size += sum(os.path.getsize(os.path.join(place, one)) for one in names if one != _SIZE_FILE)
    return size


def _unpack_member(archive: Any, member: Any, directory: str) -> None:
    import shutil

    name, mode = member.filename, member.external_attr >> 16
    parts = name.split("/")
    if ".." in parts or not parts[0] or set(name) & set("\\:\0") or stat.S_ISLNK(mode):
        raise ToolAbsent("the wheel holds an unsafe name, nothing was unpacked: %r" % name, archive.filename)
    if name.endswith("/"):
        return
    is_program = bool(mode & 0o111)
    if len(parts) > 2 and parts[0].endswith(".data"):
        is_program = is_program or parts[1] == "scripts"
        parts = {"scripts": ["bin"], "purelib": [], "platlib": []}.get(parts[1], parts[:2]) + parts[2:]
    path = os.path.join(directory, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with archive.open(member) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    os.chmod(path, 0o755 if is_program else 0o644)


def _publish_directory(temporary: str, directory: str) -> None:
    try:
        os.rename(temporary, directory)
    except OSError:
        if unpacked_is_whole(directory):
            return
        # Moved away in one step, in case somebody looks at it now.
        damaged = temporary + ".damaged"
        os.rename(directory, damaged)
        try:
            os.rename(temporary, directory)
        finally:
            remove_tree(damaged)


def remove_leftovers(directory: str) -> None:
    """Remove what killed processes left beside `directory` an hour ago or earlier."""
    parent, prefix = os.path.split(directory + ".")
    remove_unused(parent, SECONDS_UNTIL_LEFT, lambda name: name.startswith(prefix) and ".tmp" in name)


def remove_unused(directory: str, seconds: float, is_meant: "Callable[[str], bool] | None" = None) -> int:
    """Remove each entry, of those that are meant, that nobody has touched for so long; return how many."""
    removed = 0
    for name in filter(is_meant, names_in(directory)):
        path = os.path.join(directory, name)
        try:
            if os.lstat(path).st_mtime < time.time() - seconds:
                remove_tree(path)
                removed += 1
        except OSError:
            continue
    return removed
