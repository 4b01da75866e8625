"""Environments published whole, never changed, collected when old."""

import errno
import os
import re
import time
from typing import Any, NamedTuple

from protoprimer.backends.installed import faults_of_files, interpreter_fault, metadata_directories
from protoprimer.errors import InstallError
from protoprimer.fetch.wheels import remove_unused
from protoprimer.store.file_lock import process_is_gone, this_process, told_as_disk_failure, utc_time
from protoprimer.store.fingerprint import Fingerprint
from protoprimer.store.in_use import MARK_OF_USE, just_replaced, may_be_used_elsewhere, paths_in_use
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console
from protoprimer.system.files import (
    content_of,
    json_table,
    link_directory,
    link_target,
    names_in,
    paths_in,
    remove_tree,
    text_of,
    write_json,
)
from protoprimer.version import VERSION

__all__ = ["IN_CHECKOUT", "RECORD_NAME", "Generation", "GenerationStore", "is_our_link", "point_link", "record_of"]

RECORD_NAME = "protoprimer.json"
# Beside the generations: from which inputs projects were last built that may write into the checkout.
IN_CHECKOUT = "in-checkout"
# Of a record written by another version, only these types are read.
_TYPES_IN_RECORD = {
    "built_seconds": int, "carried": list, "distributions": list, "environment": str, "faults_when_new": list,
    "fingerprint": str, "in_checkout": str, "interpreter": dict, "parts": dict, "serial": int,
}  # fmt: skip
_TRASH, _BUILDING = ".trash-", ".building"
# What a process that was killed had not yet renamed to the name of a file or link of ours.
_UNFINISHED = r"\.[0-9a-f]{16}\.tmp\Z"
_LOGS_KEPT = 20
# An orphaned installer may still write to the name of a build that failed.
_SECONDS_A_NAME_STAYS_TAKEN = 24 * 3600
# Nobody can tell whether another host's builder lives.
_SECONDS_A_BUILD_MAY_TAKE = 7 * 24 * 3600


class Generation(NamedTuple):
    """One complete environment, and whether this run has built it."""

    path: str
    record: "dict[str, Any]"
    is_new: bool = False

    def faults(self) -> "list[str]":
        fault = interpreter_fault(self.path)
        if fault is not None:
            return [fault]
        known, when_new = (set(map(str, self.record.get(key, []))) for key in ("distributions", "faults_when_new"))
        faults = [name + " is missing" for name in sorted(known.difference(metadata_directories(self.path)))]
        faults += sorted(set(faults_of_files(self.path)) - when_new)
        written, directory = self.record.get("in_checkout"), os.path.dirname(self.path)
        if written and written != text_of(directory, IN_CHECKOUT):
            faults.append("another build may have replaced what its build wrote into the checkout")
        carried = ["%s is missing or empty" % one for one in self.record.get("carried", []) if not content_of(one)]
        return ["%s, in %s" % (one, self.path) for one in faults] + carried


def record_of(environment: "str | None") -> "dict[str, Any]":
    """Return a generation's record, empty unless of our form."""
    return _record_in(os.path.join(environment, RECORD_NAME)) if environment else {}


def _record_in(path: str) -> "dict[str, Any]":
    record = json_table(content_of(path))
    return record if all(isinstance(record.get(name, kind()), kind) for name, kind in _TYPES_IN_RECORD.items()) else {}


def _environment_and_digest(path: str) -> "tuple[str, ...] | None":
    name = re.match(r"(.+)-([0-9a-f]{16})(\.\d{1,9})?\Z", os.path.basename(path), re.ASCII)
    return name.group(1, 2) if name else None


def _complete_in(directory: str) -> "list[Generation]":
    found = []
    for path in paths_in(directory):
        record = record_of(path)
        if _environment_and_digest(path) == (record.get("environment"), record.get("fingerprint")):
            found.append(Generation(path, record))
    # The oldest first; clocks may be set back.
    return sorted(found, key=lambda generation: generation.record.get("serial", 0))


class GenerationStore:
    """The generations of one environment of a clone.

    :param shared_directory: the clone's own state directory, where another one is written
    """

    def __init__(
        self, state_directory: str, environment_name: str, console: Console, shared_directory: "str | None" = None
    ) -> None:
        self.state_directory = state_directory
        self.directory = os.path.join(state_directory, "envs")
        self.environment_name = environment_name
        shared = os.path.join(shared_directory or state_directory, "envs")
        self._directories = list(dict.fromkeys([shared, self.directory]))
        self._console = console

    def all(self) -> "list[Generation]":
        found = [generation for directory in self._directories for generation in _complete_in(directory)]
        return [generation for generation in found if generation.record["environment"] == self.environment_name]

    def last(self) -> "Generation | None":
        """Return the newest generation whose interpreter can be started."""
        return next((one for one in reversed(self.all()) if interpreter_fault(one.path) is None), None)

    def newest(self, fingerprint: Fingerprint) -> "Generation | None":
        """Return the newest generation of a fingerprint, even if it is broken."""
        return next((one for one in reversed(self.all()) if one.record["fingerprint"] == fingerprint.digest), None)

    def find(self, fingerprint: Fingerprint) -> "Generation | None":
        """Return the newest generation of a fingerprint, unless it is broken."""
        found = self.newest(fingerprint)
        return found if found is not None and not found.faults() else None

    def records(self) -> "list[dict[str, Any]]":
        """Return the records of this environment's builds, first the last one's, which may be gone."""
        records = [_record_in(os.path.join(self.directory, self.environment_name + ".last.json"))]
        return [record for record in records + [one.record for one in reversed(self.all())] if record]

    def was_interrupted(self) -> bool:
        """Tell whether a build of this environment, maybe of other inputs, ended without a result."""
        return any((_environment_and_digest(path) or "")[0] == self.environment_name for path in self._leftovers())

    def begin(self, fingerprint: Fingerprint) -> str:
        # No name is used twice.
        prepare_state_directory(self.state_directory)
        name = "%s-%s" % (self.environment_name, fingerprint.digest)
        taken = re.compile(r"(?:\.trash-)?%s(?:\.(\d+))?(?:\.building)?\Z" % re.escape(name))
        path = os.path.join(self.directory, name)
        with told_as_disk_failure("create a directory for the environment", path):
            numbers = [int(one.group(1) or 1) for one in map(taken.match, os.listdir(self.directory)) if one]
            path += ".%d" % (max(numbers) + 1) if numbers else ""
            # First the builder's mark, so that nobody sees this as a leftover.
            write_json(path + _BUILDING, this_process(), durable=False)
            os.mkdir(path, 0o755)
        return path

    def publish(self, path: str, record: "dict[str, Any]") -> Generation:
        """Make what was built at `path`, from `begin`, a complete generation."""
        fault = interpreter_fault(path)
        if fault:
            raise InstallError("what was just built is no environment: " + fault, path)
        here = this_process()
        content = dict(
            record,
            **here,
            user=os.environ.get("USER") or os.environ.get("USERNAME"),
            environment=self.environment_name,
            protoprimer=VERSION,
            built_seconds=int(time.time()),
            serial=1 + max([one.record.get("serial", 0) for one in self.all()] or [0]),
            distributions=sorted(metadata_directories(path)),
            # Some wheels list files that no installer writes so.
            faults_when_new=faults_of_files(path),
        )
        with told_as_disk_failure("publish the environment", path):
            # A start of the computer that has a name is noticed later: then everything is looked at again.
            if not here["boot"] and hasattr(os, "sync"):
                os.sync()
            write_json(os.path.join(path, RECORD_NAME), content, durable=not here["boot"])
        try:
            os.unlink(path + _BUILDING)
            write_json(os.path.join(self.directory, self.environment_name + ".last.json"), content, durable=False)
        except OSError as error:
            # This only explains or tidies.
            self._console.detail("could not note what was built last: %s" % error)
        return Generation(path, content, True)

    def collect(self, keep: int, protect: "list[str]") -> "list[str]":
        """Remove old generations that nothing uses, and what killed runs left."""
        self._tidy()
        candidates, complete = self._leftovers(), _complete_in(self.directory)
        for name in sorted({generation.record["environment"] for generation in complete}):
            old = [one for one in complete if one.record["environment"] == name][: -max(1, keep)]
            candidates += [one.path for one in old if not may_be_used_elsewhere(one.path, one.record)]
        spared = protect + just_replaced([generation.path for generation in complete])
        candidates = [path for path in candidates if path not in spared]
        used = paths_in_use(candidates, os.path.join(self.state_directory, "ready"))
        return [path for path in candidates if path not in used and self.remove(path)]

    def remove(self, path: str) -> bool:
        """Remove a directory, if that is possible; tell whether it is gone."""
        trash = os.path.join(self.directory, _TRASH + os.path.basename(path))
        try:
            if os.path.lexists(path):
                # So that nobody sees a part of it; on Windows this fails while it is in use.
                os.rename(path, trash)
                remove_tree(trash)
        except OSError as error:
            self._console.detail("kept %s: %s" % (path, error))
            return False
        return True

    def _leftovers(self) -> "list[str]":
        found = []
        for path in filter(_environment_and_digest, paths_in(self.directory)):
            # In this order: a builder publishes before it takes its mark away.
            builder = json_table(content_of(path + _BUILDING))
            is_late = str(builder.get("since")) < utc_time(time.time() - _SECONDS_A_BUILD_MAY_TAKE)
            if (not builder or is_late or process_is_gone(builder)) and not record_of(path):
                found.append(path)
        return found

    def _tidy(self) -> None:
        def marks_nothing(name: str, mark: str) -> bool:
            path, found, _ = os.path.join(self.directory, name).rpartition(mark)
            is_old = mark == _BUILDING and record_of(path) != {}
            return bool(found and _environment_and_digest(path)) and (is_old or not os.path.lexists(path))

        remove_unused(self.directory, 0, lambda name: name.startswith(_TRASH) or marks_nothing(name, MARK_OF_USE))
        remove_unused(self.directory, _SECONDS_A_NAME_STAYS_TAKEN, lambda name: marks_nothing(name, _BUILDING))
        for directory in (self.directory, self.state_directory):
            remove_unused(directory, _SECONDS_A_NAME_STAYS_TAKEN, lambda name: bool(re.search(_UNFINISHED, name)))
        logs = os.path.join(self.state_directory, "log")
        remove_unused(logs, 0, names_in(logs)[:-_LOGS_KEPT].__contains__)


def point_link(link: str, generation: str, state_directory: str, console: Console) -> None:
    """Let the link point to a generation; what is not our link stays."""
    target, fault = link_target(link), None
    if target == generation:
        return
    if target is not None and not is_our_link(link, state_directory):
        fault = "is a link to " + target
    elif target is None and os.path.lexists(link) and not (os.path.isdir(link) and not os.listdir(link)):
        fault = "is not protoprimer's"
    else:
        try:
            if target is None and os.path.lexists(link):
                os.rmdir(link)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            link_directory(generation, link, state_directory)
        except (OSError, ValueError) as error:
            fault = "cannot be made a link (%s)" % error
            if getattr(error, "errno", None) in (errno.EROFS, errno.EACCES):
                console.detail("%s %s" % (link, fault))
                return
    if fault:
        advice = "to have the link, move it away, or set venv-link to another name"
        console.warn("%s %s: left alone; %s" % (link, fault, advice))


def is_our_link(link: str, state_directory: str) -> bool:
    """Tell whether this is a link to an environment of this state directory."""
    target = link_target(link)
    if target is None:
        return False
    directory, envs = os.path.dirname(target), os.path.join(state_directory, "envs")
    # An absolute link leads to nothing after the clone was moved.
    has_our_form = os.path.basename(directory) == "envs" and _environment_and_digest(target) is not None
    return os.path.realpath(directory) == os.path.realpath(envs) or (has_our_form and not os.path.lexists(target))
