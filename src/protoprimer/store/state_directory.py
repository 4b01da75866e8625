"""The state directory of a clone, which is ours alone, and the environment chosen there."""

import os
from shlex import quote

from protoprimer.errors import InstallError
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, is_environment_name
from protoprimer.store.file_lock import told_as_disk_failure
from protoprimer.system.files import link_target, text_of, write_atomically
from protoprimer.system.paths import is_own, owner_of

__all__ = ["prepare_state_directory", "remember_environment", "remembered_environment"]

# Backups skip directories with this signature: https://bford.info/cachedir/
_STATE_MARKS = {".gitignore": b"*\n", "CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55\n"}
_STATE_FILES = ("ready", "stamps", "environment", "lock", "log", "shell", "launch.py")


def prepare_state_directory(path: str) -> None:
    """Create the state directory with its marks, or check that the existing one is ours."""
    with told_as_disk_failure("create the state directory", path):
        names = set()  # type: set[str]
        if link_target(path) is None and os.path.isdir(path):
            names.update(os.listdir(path))
        certainly_ours = {"envs"}.union(_STATE_MARKS)
        foreign = [name for name in names - certainly_ours if not name.startswith(_STATE_FILES)]
        # Ours may have lost any of its files.
        if foreign and names.isdisjoint(certainly_ours):
            advice = "set state-dir to a directory of its own"
            raise InstallError("the state directory is not protoprimer's, and not empty", path, advice)
        for directory in (path, os.path.join(path, "envs")):
            if not os.path.lexists(directory):
                os.makedirs(directory, 0o755, exist_ok=True)
            _refuse_foreign_directory(directory, path)
        # With more in it, it is somebody's.
        if not foreign:
            _write_marks(path, names)


def _write_marks(path: str, names: "set[str]") -> None:
    for name, content in _STATE_MARKS.items():
        mark = os.path.join(path, name)
        # What a power loss empties is written again.
        if name not in names or not os.path.getsize(mark):
            write_atomically(mark, content, durable=False)


def _refuse_foreign_directory(path: str, state_directory: str) -> None:
    advice = "remove it, or set state-dir to a directory of your own"
    if link_target(path) is not None:
        fault = "is a link, which is not followed"
    elif not os.path.isdir(path):
        fault = "is not a directory"
    elif is_own(path):
        return
    else:
        fault = "belongs to another user (%s)" % owner_of(path)
        advice = "run: sudo chown -R %d %s" % (os.geteuid(), quote(state_directory))
    raise InstallError("the state directory " + fault, path, advice)


def remember_environment(state_directory: str, name: str) -> None:
    """Let `name` be the environment of this clone until another one is chosen."""
    current = remembered_environment(state_directory) or DEFAULT_ENVIRONMENT
    if current == name:
        return
    prepare_state_directory(state_directory)
    path = os.path.join(state_directory, "environment")
    with told_as_disk_failure("remember the chosen environment", path):
        write_atomically(path, (name + "\n").encode("ascii"))


def remembered_environment(state_directory: str) -> "str | None":
    """Return the environment chosen for this clone earlier."""
    name = text_of(state_directory, "environment").strip()
    if not is_environment_name(name):
        return None
    return name
