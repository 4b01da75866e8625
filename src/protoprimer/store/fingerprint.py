"""The fingerprint: a name for everything an environment is a function of."""

import json
import os
from typing import Any, NamedTuple, Sequence

from protoprimer.project.inputs import Inputs
from protoprimer.store.file_lock import disk_failure
from protoprimer.system.files import is_within, read_file, sha256_of
from protoprimer.system.interpreter import Interpreter

__all__ = ["Fingerprint", "changed_parts", "explain_change", "fingerprint_of", "input_stamps", "path_from"]

# Grows when this kernel builds other environments from the same inputs.
KERNEL_FORMAT = 5


class Fingerprint(NamedTuple):
    """What an environment is a function of; a person can read the parts."""

    digest: str
    parts: "dict[str, str]"
    stamps: "Sequence[tuple[int, ...]]" = ()


def fingerprint_of(
    interpreter: Interpreter, inputs: Inputs, settings: "dict[str, Any]", clone_path: str
) -> Fingerprint:
    """Return the fingerprint of an environment."""
    # Not dates, which differ between equal images.
    parts = {
        "interpreter": "%s %s" % (interpreter.implementation, interpreter.version)
        + " free-threaded" * interpreter.free_threaded,
        "base prefix": interpreter.base_prefix,
        "platform": interpreter.platform,
        "C library": interpreter.libc,
        "clone": clone_path,
        "format": str(KERNEL_FORMAT),
    }
    stamps = input_stamps(inputs.stamped())
    for path in inputs.present:
        try:
            parts["file:" + path_from(clone_path, path)] = sha256_of(read_file(path))[:12]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise disk_failure("read an input of the environment", path, error) from error
    for key, value in settings.items():
        text = json.dumps(value, sort_keys=True)
        # A long value or a URL may hold credentials.
        is_readable = len(text) <= 40 and "://" not in text and "@" not in text
        parts["setting:" + key] = text if is_readable else "#" + sha256_of(text.encode("utf-8"))[:12]
    return Fingerprint(sha256_of(json.dumps(parts, sort_keys=True).encode("utf-8"))[:16], parts, stamps)


def input_stamps(inputs: "Sequence[str]") -> "list[tuple[int, ...]]":
    """Return for each file what changes whenever its content does."""
    stamps = []  # type: list[tuple[int, ...]]
    for path in inputs:
        try:
            status = os.stat(path)
            stamps.append((status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))
        except OSError:
            stamps.append(())
    return stamps


def path_from(root: str, path: str) -> str:
    """Return a path as the same clone elsewhere would name it."""
    return os.path.relpath(path, root).replace(os.sep, "/") if is_within(path, os.path.dirname(root)) else path


def changed_parts(old: "dict[str, str]", new: "dict[str, str]") -> "list[str]":
    """Return the names of the parts that differ."""
    return [name for name in sorted({**old, **new}) if old.get(name) != new.get(name)]


def explain_change(old: "dict[str, str]", new: "dict[str, str]") -> str:
    """Return `because ...`, or nothing if no part changed."""
    changed = changed_parts(old, new)
    if "clone" in changed and "clone" in old:
        # Whatever else changed, such as paths, follows from that.
        return "because the clone was moved"
    root = new.get("clone", "")
    reasons = [_explain_part(name, old.get(name), new.get(name), root) for name in changed]
    if len(reasons) > 3:
        reasons[2:] = ["%d more changes" % (len(reasons) - 2)]
    return "because " + " and ".join(reasons) if reasons else ""


def _explain_part(name: str, old: "str | None", new: "str | None", root: str) -> str:
    kind, _colon, rest = name.partition(":")
    if kind == "file":
        return rest + _change_of_file(old, new, os.path.join(root, rest))
    if kind == "setting":
        label = rest[len("the ") :] if rest.startswith("the ") else rest
    elif kind == "format":
        label = "the kernel's format"
    else:
        label = "the " + name
    if "#" in (str(old)[:1], str(new)[:1]):
        return label + " changed"
    return "%s changed: %s became %s" % (label, _told_value(old), _told_value(new))


def _change_of_file(old: "str | None", new: "str | None", path: str) -> str:
    if old is None:
        return " appeared"
    if new is not None:
        return " changed"
    if os.path.lexists(path):
        return " counts no longer"
    return " is gone"


def _told_value(text: "str | None") -> str:
    """Return a part as a person would write it; parts that are settings are JSON."""
    if text is None:
        return "none"
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value) or "none"
    if isinstance(value, str):
        return value or "none"
    if value is None:
        return "none"
    return text
