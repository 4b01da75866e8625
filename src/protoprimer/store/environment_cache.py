"""Environments that were built before, kept in the user's cache, from where another one of the same is linked.

Its files are hard links; only those that say where the environment or the clone is are written for each place. What is
kept, and when it goes, is told in `docs/backends.md`.
"""

import os
import stat
import time

from protoprimer.backends.editables import hash_for_record, installed_metadata, is_pure, static_project_table
from protoprimer.project.plan import Plan
from protoprimer.store.fingerprint import Fingerprint
from protoprimer.store.generations import RECORD_NAME
from protoprimer.system.host import content_of, is_windows, remove_tree, sha256_of, write_atomically
from protoprimer.system.json_text import json_of, json_text
from protoprimer.system.waiting import release_waiting
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = [
    "SECONDS_KEPT_UNUSED",
    "CachedEnvironment",
    "cached_environment",
    "forget_old_environments",
    "keep_environment",
]

SECONDS_KEPT_UNUSED = 30 * 24 * 3600
_MANIFEST_FORMAT = "protoprimer-environment-1"
_ENVIRONMENTS_KEPT = 32
_SECONDS_A_COPY_MAY_TAKE = 24 * 3600
# From here on uv, which links with several threads, is as fast as what can be kept.
_FILES_LEFT_TO_UV = 5000
# An empty file beside what is kept once it has been built, where that takes so little that only a second time counts.
_BUILT_ONCE = ".once"
# What is larger is no script but a program.
_LARGEST_TEXT = 1 << 20
# What is between the columns of a row; no file name that has it, or a line end, is kept.
_BETWEEN = "\t"
# These stand for a place in the files that name one: the environment, its name, the clone.
_PLACEHOLDERS = (b"\0environment\0", b"\0name\0", b"\0root\0")
# With these characters a path is the same in a script, in a URL and in a string of Python or JSON.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
# Beyond it, installers write other first lines into scripts, as Linux reads no more than 127 bytes.
_LONGEST_PLAIN = 108


class CachedEnvironment:
    """An environment in the cache.

    :param place: its directory there
    :param facts: what is known of it, for `protoprimer.json`
    :param rows: its directories, links and files
    """

    def __init__(self, place: str, facts: "dict[str, Any]", rows: "list[str]") -> None:
        self.place = place
        self.facts = facts
        self._rows = rows

    def link_to(self, environment: str, root: str) -> bool:
        """Fill the empty directory `environment` of the clone at `root`; tell whether that has worked.

        It has not if anything in the cache is not as it was, which an edit within an environment can do: what is built
        then takes its place. What was made by then is left to the caller.
        """
        if len(self._rows) > _FILES_LEFT_TO_UV:
            # It may take seconds: for as long others wait at the lock, which says for whom.
            release_waiting()
        try:
            _make(self._rows, os.path.join(self.place, "tree"), environment, _Places(environment, root).put_in)
            os.utime(self.place)
        except (OSError, NotImplementedError):
            return False
        return True


def cached_environment(
    cache_directory: str, environment: str, fingerprint: Fingerprint, plan: Plan
) -> "CachedEnvironment | None":
    """Return what was kept of an environment with the same contents that can be linked to `environment`, or `None`."""
    place = _place_of(cache_directory, environment, fingerprint, plan)
    try:
        status = os.lstat(place)
        # In a cache that several users share, only what is one's own.
        if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & 0o22):
            return None
        with open(os.path.join(place, "manifest"), "rb") as stream:
            head, _, content = stream.read().partition(b"\n")
        if head.decode("ascii") != "%s %s" % (_MANIFEST_FORMAT, sha256_of(content)):
            return None
        facts, *rows = content.decode("utf-8").split("\n")
        return CachedEnvironment(place, json_of(facts), rows)
    except (OSError, ValueError):
        return None


def keep_environment(
    cache_directory: str, environment: str, fingerprint: Fingerprint, plan: Plan, facts: "dict[str, Any]"
) -> "str | None":
    """Keep an environment that was just built, before anybody uses it; return why not, or `None` if it is kept.

    :param facts: what its record has to say, with `backend`
    """
    place = _place_of(cache_directory, environment, fingerprint, plan)
    staging, is_of_uv = "%s.%d.tmp" % (place, os.getpid()), facts["backend"] == "uv"
    try:
        why_not = _why_not_kept(environment, plan)
        if why_not is not None:
            return why_not
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
        if is_of_uv:
            if not os.path.exists(place + _BUILT_ONCE):
                write_atomically(place + _BUILT_ONCE, b"", durable=False)
                return "uv has built it for the first time"
            why_never = content_of(place + _BUILT_ONCE).decode("utf-8", "replace")
            if why_never:
                return why_never
        places = _Places(environment, plan.root)
        rows = _rows_of(environment, places, plan, _FILES_LEFT_TO_UV if is_of_uv else None)
        if rows is None:
            why_never = "uv installs so many files as fast"
            # Next time they need not be counted.
            write_atomically(place + _BUILT_ONCE, why_never.encode("utf-8"), durable=False)
            return why_never
        forget_old_environments(cache_directory)
        os.mkdir(staging, 0o700)
        os.mkdir(os.path.join(staging, "tree"), 0o755)
        # What lists hashes stays as it is until other texts are written.
        plain = [row.replace("record", "file", 1) if row.startswith("record") else row for row in rows]
        _make(plain, environment, os.path.join(staging, "tree"), places.take_out)
        content = "\n".join([json_text(facts)] + rows).encode("utf-8")
        head = "%s %s\n" % (_MANIFEST_FORMAT, sha256_of(content))
        write_atomically(os.path.join(staging, "manifest"), head.encode("ascii") + content, durable=False)
        if os.path.lexists(place):
            remove_tree(place)
        os.rename(staging, place)
    except (OSError, ValueError, NotImplementedError) as error:
        remove_tree(staging)
        return str(error)
    return None


def forget_old_environments(cache_directory: str) -> int:
    """Remove what a killed process left, what was not used for a month, and the longest unused of too many.

    :returns: how many environments were removed
    """
    directory, now = os.path.join(cache_directory, "environments"), time.time()
    standing, old = [], []  # type: list[tuple[float, str]], list[str]
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        place = os.path.join(directory, name)
        try:
            used = os.lstat(place).st_mtime
            if name.endswith(".tmp"):
                if used < now - _SECONDS_A_COPY_MAY_TAKE:
                    remove_tree(place)
            elif not name.endswith(_BUILT_ONCE):
                standing.append((used, place))
            elif used < now - SECONDS_KEPT_UNUSED:
                os.unlink(place)
        except OSError:
            # Somebody else has removed it.
            continue
    standing.sort(reverse=True)
    latest = now - SECONDS_KEPT_UNUSED
    old = [place for at, (used, place) in enumerate(standing) if at >= _ENVIRONMENTS_KEPT or used < latest]
    for place in old:
        remove_tree(place)
    return len(old)


def _place_of(cache_directory: str, environment: str, fingerprint: Fingerprint, plan: Plan) -> str:
    # As for uv: a project that gets a src directory is laid out anew.
    layout = [os.path.isdir(os.path.join(project.path, "src")) for project in plan.projects()]
    is_for_any_place = _is_plain(environment) and _is_plain(plan.root)
    known = (fingerprint.contents, layout, VERSION, "" if is_for_any_place else environment)
    return os.path.join(cache_directory, "environments", sha256_of(ascii(known).encode("ascii"))[:32])


def _why_not_kept(environment: str, plan: Plan) -> "str | None":
    """Return why another build of the same inputs could make something else, or `None` if it could not."""
    if is_windows():
        return "on Windows a file that is in use cannot be removed, whichever of its names is used"
    if not plan.lock:
        return "without a lock, what is installed changes with the index"
    if plan.lock_kind == "uv.lock" and any(step.requirements or step.args for step in plan.steps):
        return "not all of it is in the lock"
    for project in plan.projects():
        if not project.editable or static_project_table(project) is None:
            return "%s may be built to something else next time" % project.path
        if "cache-keys" in project.metadata.table("tool", "uv") or not is_pure(project, environment):
            return "%s is built from more than its metadata" % project.path
    members = [member.path for step in plan.steps for member in step.members]
    for taken in _places_in_lock(plan.lock):
        if os.path.normpath(os.path.join(os.path.dirname(plan.lock), taken)) not in members:
            return "the lock takes %s from the disk" % taken
    outside = [path for path in members if not (path + os.sep).startswith(plan.root + os.sep)]
    return "%s is outside of the clone" % outside[0] if outside else None


def _places_in_lock(lock: str) -> "list[str]":
    """Return the values of all keys of a lock that may say where something is on the disk, without parsing it."""
    text, found = content_of(lock).decode("utf-8", "replace"), []
    for key in ("editable", "virtual", "directory", "path"):
        for rest in text.split(key)[1:]:
            value = rest.lstrip(" \t\"'=")
            between = rest[: len(rest) - len(value)]
            if "=" in between and between[-1] in "\"'":
                found.append(value.partition(between[-1])[0])
    return found


def _is_plain(path: str) -> bool:
    return _PLAIN.issuperset(path) and len(path) < _LONGEST_PLAIN


class _Places:
    """Where an environment and its clone are, as files say that an installer writes."""

    def __init__(self, environment: str, root: str) -> None:
        texts = (environment, os.path.basename(environment), root)
        self._pairs = list(zip(map(os.fsencode, texts), _PLACEHOLDERS))

    def put_in(self, content: bytes) -> bytes:
        """Return a file's content for these places."""
        for place, placeholder in self._pairs:
            content = content.replace(placeholder, place)
        return content

    def take_out(self, content: bytes) -> bytes:
        """Return a file's content for any places.

        :raises ValueError: what is no text names one
        """
        is_text = b"\0" not in content
        for place, placeholder in self._pairs:
            before, *pieces = content.split(place)
            for piece in pieces:
                # Not where it is only a part of a longer name.
                is_whole = not _is_of_name(before[-1:]) and not _is_of_name(piece[:1])
                before += (placeholder if is_whole else place) + piece
            if pieces and not is_text:
                raise ValueError("what is no text names %s" % os.fsdecode(place))
            content = before
        return content


def _is_of_name(character: bytes) -> bool:
    return character.isalnum() or character in (b"_", b".", b"-")


def _rows_of(environment: str, places: _Places, plan: Plan, limit: "int | None") -> "list[str] | None":
    """Return one row for each directory, link and file of an environment, directories before what is in them.

    :param limit: with more of them than that the answer is `None`
    :raises ValueError: a name that no row can hold, or a file whose places cannot be taken out
    """
    rows, records, waiting = [], [], [""]  # type: list[str], list[tuple[str, str]], list[str]
    texts, of_projects = set(), _files_of_projects(environment, plan)  # type: set[str], set[str]
    while waiting:
        above = waiting.pop()
        if limit is not None and len(rows) > limit:
            return None
        for entry in sorted(os.scandir(os.path.join(environment, above)), key=lambda one: one.name):
            path, status = above + entry.name, entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                rows.append(_row("directory", path))
                waiting.append(path + "/")
            elif stat.S_ISLNK(status.st_mode):
                target = os.readlink(entry.path)
                if os.fsencode(target) != places.take_out(os.fsencode(target)):
                    raise ValueError("%s links to a place that may move" % path)
                rows.append(_row("link", path, target))
            elif not stat.S_ISREG(status.st_mode):
                raise ValueError("%s is neither file nor directory nor link" % path)
            elif path == RECORD_NAME:
                # With it, what is not yet whole would be published.
                continue
            elif entry.name == "RECORD":
                records.append((path, _stamp(status)))
            else:
                content = template = b""
                may_name_places = "site-packages/" not in path or path in of_projects
                if may_name_places and status.st_size <= _LARGEST_TEXT:
                    content = content_of(entry.path)
                    template = places.take_out(content)
                if template == content:
                    rows.append(_row("file", path, _stamp(status)))
                else:
                    texts.add(path)
                    rows.append(_row("text", path, "%o" % stat.S_IMODE(status.st_mode), sha256_of(template)))
    # Last, since those that list texts are written with the hashes of these.
    for path, stamp in records:
        content = content_of(os.path.join(environment, path))
        is_theirs = any(one in texts for one, _line in _lines_of_record(path, content, _names(texts)))
        rows.append(_row("record" if is_theirs else "file", path, stamp))
    return rows


def _row(*columns: str) -> str:
    row = _BETWEEN.join(columns)
    if row.count(_BETWEEN) >= len(columns) or "\n" in row:
        raise ValueError("the name %r cannot be kept" % columns[1])
    return row


def _stamp(status: os.stat_result) -> str:
    return "%o %d %d" % (status.st_mode, status.st_size, status.st_mtime_ns)


def _files_of_projects(environment: str, plan: Plan) -> "set[str]":
    """Return the files that the builds of the plan's projects wrote, and which so may name the clone."""
    found = set()  # type: set[str]
    for project in plan.projects():
        metadata = installed_metadata(project, environment)
        record = os.path.join(metadata, "RECORD")
        lines = _lines_of_record(os.path.relpath(record, environment), content_of(record)) if metadata else []
        found.update(path for path, _line in lines)
    return found


def _names(paths: "Iterable[str]") -> "set[str]":
    return {path.rpartition("/")[2] for path in paths}


def _lines_of_record(record: str, content: bytes, names: "set[str] | None" = None) -> "list[tuple[str, str]]":
    """Return for each line of a RECORD the file it lists, relative to the environment as `record` is, and itself.

    :param names: of files that matter; for others the path stays as it is listed, which takes less time
    """
    above, found = os.path.dirname(os.path.dirname(record)), []
    for line in content.decode("utf-8").splitlines(True):
        path = line.partition(",")[0]
        if names is None or path.rpartition("/")[2] in names:
            path = os.path.normpath(os.path.join(above, path))
        found.append((path, line))
    return found


def _make(rows: "list[str]", source: str, target: str, convert: "Callable[[bytes], bytes]") -> None:
    """Make below `target` what the rows tell: texts converted, other files as hard links to those below `source`.

    :raises OSError: something is gone or no longer what its row says, or cannot be linked
    :raises NotImplementedError: this system's calls cannot do it
    """
    hashes = {}  # type: dict[str, str]
    here, there = os.open(source, os.O_RDONLY), os.open(target, os.O_RDONLY)
    try:
        for row in rows:
            kind, path, *more = row.split(_BETWEEN)
            if kind == "directory":
                os.mkdir(path, 0o755, dir_fd=there)
            elif kind == "link":
                os.symlink(more[0], path, dir_fd=there)
            elif kind == "text":
                content = content_of(os.path.join(source, path))
                converted = convert(content)
                if more[1] not in (sha256_of(content), sha256_of(converted)):
                    raise OSError("%s has changed since it was kept" % path)
                _write(os.path.join(target, path), converted, int(more[0], 8))
                hashes[path] = hash_for_record(converted)
            else:
                if _stamp(os.lstat(path, dir_fd=here)) != more[0]:
                    raise OSError("%s has changed since it was kept" % path)
                if kind == "file":
                    os.link(path, path, src_dir_fd=here, dst_dir_fd=there)
                else:
                    listed = _lines_of_record(path, content_of(os.path.join(source, path)), _names(hashes))
                    lines = [line.partition(",")[0] + hashes[one] if one in hashes else line for one, line in listed]
                    _write(os.path.join(target, path), "".join(lines).encode("utf-8"), 0o644)
    finally:
        os.close(here)
        os.close(there)


def _write(path: str, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
