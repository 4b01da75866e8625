"""Generations: environments published whole, never changed, collected when old.

What lies where, and what may be deleted, is told in `docs/developers/state-directory.md`.
"""

import errno
import os
import re
import time

from protoprimer.backends.installed import metadata_directories
from protoprimer.errors import InstallError
from protoprimer.store.file_lock import disk_failure, process_is_gone, this_process
from protoprimer.store.fingerprint import Fingerprint
from protoprimer.store.in_use import paths_in_use
from protoprimer.store.integrity import environment_faults, faults_of_files, interpreter_fault
from protoprimer.store.sharing import MARK_OF_USE, is_spared, just_replaced
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console
from protoprimer.system.files import (
    content_of,
    json_table,
    link_directory,
    link_target,
    names_in,
    remove_tree,
    write_json,
)
from protoprimer.system.platform import is_windows
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["RECORD_NAME", "Generation", "GenerationStore", "point_link", "read_record"]

RECORD_NAME = "protoprimer.json"
_TRASH_PREFIX = ".trash-"
_BUILDING_SUFFIX = ".building"
_LAST_SUFFIX = ".last.json"
_LOGS_KEPT = 20
# The mark of a build that failed outlives its directory, as an orphaned installer may still write to that name.
_SECONDS_A_NAME_STAYS_TAKEN = 24 * 3600
# Of another host's builder nobody can tell whether it lives; no build takes that long.
_SECONDS_A_BUILD_MAY_TAKE = 7 * 24 * 3600


class Generation:
    """One complete environment.

    :param path: its directory
    :param record: what, from what, by whom, when
    :param is_new: whether this run has built it
    """

    def __init__(self, path: str, record: "dict[str, Any]", is_new: bool = False) -> None:
        self.path = path
        self.record = record
        self.is_new = is_new
        self.digest = str(record["fingerprint"])
        self.environment_name = str(record["environment"])
        self.number = (_split_generation_name(os.path.basename(path)) or ("", "", 1))[2]
        # Counts the builds of this environment, as clocks may be set back.
        self.serial = record["serial"] if isinstance(record.get("serial"), int) else 0


def _split_generation_name(name: str) -> "tuple[str, str, int] | None":
    environment, _, rest = name.rpartition("-")
    digest, dot, number = rest.partition(".")
    if not environment or len(digest) != 16 or digest.strip("0123456789abcdef"):
        return None
    if dot and (number.strip("0123456789") or not 0 < len(number) < 10):
        return None
    return environment, digest, int(number or 1)


def read_record(path: str) -> "dict[str, Any]":
    """Return what a generation's `protoprimer.json` says, empty where it cannot be read or is not of our form."""
    found = json_table(content_of(path))
    return found if _has_known_types(found) else {}


def _has_known_types(record: "dict[str, Any]") -> bool:
    """Tell whether what is read of a record is what this version writes: another version's may not be."""
    lists = [record.get(name, []) for name in ("distributions", "faults_when_new")]
    tables = [record.get(name, {}) for name in ("parts", "interpreter")]
    if not all(isinstance(one, list) for one in lists) or not all(isinstance(one, dict) for one in tables):
        return False
    words = [word for one in lists for word in one] + list(tables[0].values())
    return all(isinstance(word, str) for word in words)


def _sync_directory(path: str) -> None:
    if is_windows():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot do this to a directory; they order such changes by themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


class GenerationStore:
    """The generations of one named environment of a clone; who builds holds that environment's lock.

    :param shared_directory: the clone's own state directory, whose generations serve too, where another one is written
    """

    def __init__(
        self, state_directory: str, environment_name: str, console: Console, shared_directory: "str | None" = None
    ) -> None:
        self._shared = None  # type: GenerationStore | None
        if shared_directory not in (None, state_directory):
            self._shared = GenerationStore(str(shared_directory), environment_name, console)
        self.directory = os.path.join(state_directory, "envs")
        self.state_directory = state_directory
        self._name = environment_name
        self._console = console

    def all(self) -> "list[Generation]":
        """Return the complete generations of this environment, the oldest first."""
        return [generation for generation in self._complete() if generation.environment_name == self._name]

    def last(self) -> "Generation | None":
        """Return the newest complete generation whose interpreter can be started, of whatever fingerprint."""
        usable = [generation for generation in self.all() if interpreter_fault(generation.path) is None]
        return usable[-1] if usable else self._shared.last() if self._shared else None

    def find(self, fingerprint: Fingerprint) -> "Generation | None":
        """Return the newest complete generation of a fingerprint if its interpreter can be started, else `None`.

        What was built before this boot is looked at in full, as a power loss may have emptied its files.
        """
        found = self.newest(fingerprint)
        if found is None:
            return None
        is_of_this_boot = found.record.get("boot") == this_process()["boot"]
        fault = interpreter_fault(found.path) if is_of_this_boot else self.is_intact(found)
        return found if fault is None else None

    def next_path(self, fingerprint: Fingerprint) -> str:
        """Return where `begin` creates a directory; no name is used twice."""
        numbers = [0]
        for name in names_in(self.directory):
            bare = name[len(_TRASH_PREFIX) :] if name.startswith(_TRASH_PREFIX) else name
            bare = bare[: -len(_BUILDING_SUFFIX)] if bare.endswith(_BUILDING_SUFFIX) else bare
            split = _split_generation_name(bare)
            if split is not None and split[:2] == (self._name, fingerprint.digest):
                numbers.append(split[2])
        name = "%s-%s" % (self._name, fingerprint.digest)
        return os.path.join(self.directory, name if max(numbers) == 0 else "%s.%d" % (name, max(numbers) + 1))

    def begin(self, fingerprint: Fingerprint) -> str:
        """Return a new empty directory to build an environment in.

        :raises InstallError: it cannot be created (exit code 6)
        """
        prepare_state_directory(self.state_directory)
        path = self.next_path(fingerprint)
        try:
            # First the builder's mark, so that nobody sees this as a leftover.
            write_json(path + _BUILDING_SUFFIX, this_process(), durable=False)
            os.mkdir(path, 0o755)
        except OSError as error:
            raise disk_failure("create a directory for the environment", path, error) from error
        return path

    def publish(self, path: str, record: "dict[str, Any]") -> Generation:
        """Make what was built at `path`, a directory from `begin`, the current generation of its fingerprint.

        :param record: `fingerprint` (its digest), its `parts`, and what else is to be known: backend, tool and so on
        :raises InstallError: it is no environment, or cannot be recorded; nothing is published (exit code 6)
        """
        fault = interpreter_fault(path)
        if fault:
            raise InstallError("what was just built is no environment: " + fault, place=path)
        here, content = this_process(), dict(record)
        # Some wheels list files that no installer writes, or writes otherwise; only what changes later is damage.
        content["faults_when_new"] = faults_of_files(path)
        content.update(
            environment=self._name,
            protoprimer=VERSION,
            built=here["since"],
            built_seconds=int(time.time()),
            host=here["host"],
            machine=here["machine"],
            namespace=here["namespace"],
            by={"pid": here["pid"], "user": os.environ.get("USER") or os.environ.get("USERNAME") or "unknown"},
            boot=here["boot"],
            serial=1 + max([generation.serial for generation in self.all()] or [0]),
            distributions=sorted(metadata_directories(path)),
        )
        try:
            if not here["boot"] and hasattr(os, "sync"):
                # Without a boot id nobody would look at the files after a power loss.
                os.sync()
            # With one, what a power loss empties or takes is built again: no need to wait for the disk.
            write_json(os.path.join(path, RECORD_NAME), content, durable=not here["boot"])
            if not here["boot"]:
                _sync_directory(path)
                _sync_directory(self.directory)
        except OSError as error:
            raise disk_failure("publish the environment", path, error) from error
        try:
            os.unlink(path + _BUILDING_SUFFIX)
            write_json(os.path.join(self.directory, self._name + _LAST_SUFFIX), content, durable=False)
        except OSError as error:
            # The environment is whole; what is lost only explains or tidies.
            self._console.detail("could not note what was built last: %s" % error)
        return Generation(path, content, is_new=True)

    def abandon(self, path: str) -> None:
        """Remove what was begun at `path` and will not be published."""
        self._remove(path)

    def last_record(self) -> "dict[str, Any]":
        """Return the record of what was built last under this environment's name; empty if that is not known."""
        generations = self.all()
        records = [read_record(os.path.join(self.directory, self._name + _LAST_SUFFIX))]
        records += [generation.record for generation in reversed(generations)]
        shared = self._shared.last_record() if self._shared else {}
        return next((record for record in records if isinstance(record.get("parts"), dict)), shared)

    def record_of(self, path: str, digest: str) -> "dict[str, Any]":
        """Return the record of a generation by its path, also if it is gone and was the last; else an empty one."""
        records = [read_record(os.path.join(path, RECORD_NAME)), self.last_record()]
        same = [one for one in records if (one.get("environment"), one.get("fingerprint")) == (self._name, digest)]
        return next((one for one in same if isinstance(one.get("parts"), dict)), {})

    def was_interrupted(self, fingerprint: Fingerprint) -> bool:
        """Tell whether a build of this fingerprint ended without a result that is whole."""
        begun = "%s-%s" % (self._name, fingerprint.digest)
        return any(os.path.basename(path).partition(".")[0] == begun for path in self._leftovers())

    def is_intact(self, generation: Generation) -> "str | None":
        """Return what is broken in a generation, or `None`; files are looked for, not read."""
        return next(iter(self.faults(generation)), None)

    def faults(self, generation: Generation) -> "list[str]":
        """Return all that is broken in a generation, each as a phrase that names the file."""
        known, when_new = generation.record.get("distributions"), generation.record.get("faults_when_new")
        return environment_faults(generation.path, known or [], when_new or [])

    def collect(self, keep: int, protect: "Sequence[str]") -> "list[str]":
        """Remove the old generations of every environment, and what killed runs left; return the paths removed.

        What a live process uses stays, and so does what `ready` announces.

        :param keep: how many complete generations of each environment stay, the newest ones
        :param protect: paths of generations that stay in any case
        """
        self._tidy()
        candidates = self._leftovers()
        of_name = {}  # type: dict[str, list[Generation]]
        for generation in self._complete():
            of_name.setdefault(generation.environment_name, []).append(generation)
        for generations in of_name.values():
            old = generations[: -max(1, keep)]
            candidates += [generation.path for generation in old if not is_spared(generation.path, generation.record)]
        replaced = just_replaced([generation.path for generation in self._complete()])
        protected = {os.path.abspath(path) for path in list(protect) + replaced}
        candidates = [path for path in candidates if os.path.abspath(path) not in protected]
        used = paths_in_use(candidates, os.path.join(self.state_directory, "ready")) if candidates else set()
        return [path for path in candidates if path not in used and self._remove(path)]

    def newest(self, fingerprint: Fingerprint) -> "Generation | None":
        """Return the newest complete generation of a fingerprint, whatever happened to it since."""
        found = [generation for generation in self.all() if generation.digest == fingerprint.digest]
        if not found:
            return self._shared.newest(fingerprint) if self._shared else None
        return max(found, key=lambda generation: generation.number)

    def _complete(self) -> "list[Generation]":
        found = []
        for name in names_in(self.directory):
            split = _split_generation_name(name)
            if split is not None:
                record = read_record(os.path.join(self.directory, name, RECORD_NAME))
                if (record.get("environment"), record.get("fingerprint")) == split[:2]:
                    found.append(Generation(os.path.join(self.directory, name), record))
        return sorted(found, key=lambda generation: (generation.serial, generation.number))

    def _tidy(self) -> None:
        for directory in (self.directory, self.state_directory):
            for name in names_in(directory):
                path = os.path.join(directory, name)
                built = path[: -len(_BUILDING_SUFFIX)] if name.endswith(_BUILDING_SUFFIX) else ""
                is_over = built and (not os.path.lexists(built) or os.path.lexists(os.path.join(built, RECORD_NAME)))
                used, is_mark, _ = path.partition(MARK_OF_USE)
                if name.startswith(_TRASH_PREFIX) and directory == self.directory:
                    remove_tree(path)
                elif is_mark and not os.path.lexists(used):
                    _unlink_if_older(path, 0)
                elif is_over or _is_unfinished_file(path):
                    _unlink_if_older(path, _SECONDS_A_NAME_STAYS_TAKEN)
        logs = os.path.join(self.state_directory, "log")
        for name in names_in(logs)[:-_LOGS_KEPT]:
            _unlink_if_older(os.path.join(logs, name), 0)

    def _leftovers(self) -> "list[str]":
        found = []
        for name in names_in(self.directory):
            bare = name[: -len(_BUILDING_SUFFIX)] if name.endswith(_BUILDING_SUFFIX) else name
            path = os.path.join(self.directory, bare)
            if _split_generation_name(bare) is None or path in found or not os.path.lexists(path):
                continue
            # In this order: a builder publishes before it takes its mark away.
            builder = read_record(path + _BUILDING_SUFFIX)
            is_late = _age(path + _BUILDING_SUFFIX) > _SECONDS_A_BUILD_MAY_TAKE
            if (not builder or is_late or process_is_gone(builder)) and not read_record(
                os.path.join(path, RECORD_NAME)
            ):
                found.append(path)
        return found

    def _remove(self, path: str) -> bool:
        trash = os.path.join(self.directory, _TRASH_PREFIX + os.path.basename(path))
        try:
            if os.path.lexists(path):
                # In one step, so that nobody sees a part of it; on Windows this fails while it is in use.
                os.rename(path, trash)
                remove_tree(trash)
        except OSError as error:
            self._console.detail("kept %s: %s" % (path, error))
            return False
        return True


def _age(path: str) -> float:
    """Return for how many seconds a file has been as it is; none if it is not there."""
    try:
        return time.time() - os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _unlink_if_older(path: str, seconds: float) -> None:
    try:
        if _age(path) >= seconds:
            os.unlink(path)
    except OSError:
        # Somebody else has removed it, or may.
        pass


def _is_unfinished_file(path: str) -> bool:
    """Tell whether this is what a process that was killed had not yet renamed to the name of a file or link of ours."""
    return re.search(r"\.([0-9a-f]{16}|\d+)\.tmp\Z|\Aready\.\d+\Z", os.path.basename(path)) is not None


def point_link(link_path: str, generation: Generation, state_directory: str, console: Console) -> None:
    """Let the convenience link point to a generation; what is not our link stays, with one line that says so."""
    target = link_target(link_path)
    if target == os.path.normpath(os.path.abspath(generation.path)):
        return
    try:
        if target is not None:
            if not _is_our_link(target, os.path.join(os.path.abspath(state_directory), "envs")):
                _warn_of_link(link_path, "is a link to " + target, console)
                return
        elif os.path.lexists(link_path):
            if not os.path.isdir(link_path) or os.listdir(link_path):
                _warn_of_link(link_path, "is not protoprimer's", console)
                return
            os.rmdir(link_path)
        os.makedirs(os.path.dirname(link_path), exist_ok=True)
        link_directory(generation.path, link_path, state_directory)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.EROFS, errno.EACCES):
            console.detail("could not link %s: %s" % (link_path, error))
        else:
            _warn_of_link(link_path, "cannot be made a link (%s)" % error, console)


def _is_our_link(target: str, envs: str) -> bool:
    directory, name = os.path.split(target)
    if os.path.realpath(directory) == os.path.realpath(envs):
        return True
    # An absolute link leads to nothing after the clone was moved; it is ours by its form.
    is_of_our_form = os.path.basename(directory) == "envs" and _split_generation_name(name) is not None
    return is_of_our_form and not os.path.lexists(target)


def _warn_of_link(link_path: str, what: str, console: Console) -> None:
    advice = "to have the link, move it away, or set venv-link to another name"
    console.warn("%s %s: left alone; %s" % (link_path, what, advice))
