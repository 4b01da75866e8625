"""`./prime lock`: the pins of what the repository asks for, written beside it."""

import os
import re

from protoprimer.backends.choosing import select_backend
from protoprimer.errors import ConfigurationError, DryRunEnds, InstallError, PrimerError, UsageError
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.graph import StateGraph
from protoprimer.project.asked import refuse_bare_name
from protoprimer.project.locks_read import has_conflict_marks, load_lock
from protoprimer.project.plan import Plan, make_plan
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.system.console import Console
from protoprimer.system.files import write_atomically
from protoprimer.system.paths import path_of_file_url

__all__ = ["lock_command"]


def lock_command(graph: StateGraph, command_line: CommandLine, configuration: Configuration, console: Console) -> int:
    """Write the lock file; pins that are there stay unless they are to be upgraded. `--check` writes nothing."""
    plan = make_plan(configuration, lock_must_exist=False)
    graph.provide("plan", plan)
    if command_line.has("check"):
        return _check(graph, plan, console)
    output = plan.lock_to_write
    before = _lock_bytes(output)
    conflict = has_conflict_marks(output)
    pinned = {} if before is None or conflict else _versions_of(output)
    for name in command_line.texts("upgrade-package"):
        if normalized_project_name(name) not in pinned:
            cause = "%s has no package %s" % (os.path.basename(output), name)
            raise UsageError(
                cause, "--upgrade-package", "name one of its packages, or run %s alone" % plan.lock_command
            )
    interpreter = graph.evaluate("interpreter")
    refuse_bare_name(plan, graph.evaluate("index_settings"))
    if command_line.has("dry-run"):
        raise DryRunEnds("would resolve the pins into %s" % output)
    tools, wanted = graph.evaluate("toolbox"), graph.evaluate("backends")
    backend, why = select_backend(wanted, interpreter, plan, tools, console, configuration)
    name = os.path.basename(output)
    try:
        done = "locked %s with %s" % (name, why)
        with graph.evaluate("lock"), console.step("locking %s with %s" % (name, why), done):
            if conflict:
                pinned = _take_first_side(output, before or b"", console)
            backend.lock(interpreter, plan, output, command_line.has("upgrade"), command_line.texts("upgrade-package"))
            _name_nothing_of_this_host(output)
    except BaseException as error:
        _put_back(output, before)
        left_out = graph.evaluate("index_settings").left_out_of_locks()
        if isinstance(error, InstallError) and left_out:
            told = "a lock leaves this host's directories out: " + ", ".join(left_out)
            error.advice = "; ".join(filter(None, [error.advice, told]))
        raise
    if before is not None:
        _tell_what_moved(pinned, _versions_of(output), console)
    return 0


def _check(graph: StateGraph, plan: Plan, console: Console) -> int:
    """Tell whether the lock has what is asked for; return 1 if not."""
    if plan.lock is None or not os.path.exists(plan.lock):
        console.warn("there is no lock yet: %s writes %s" % (plan.lock_command, plan.lock_to_write))
        return 1
    try:
        interpreter, tools = graph.evaluate("interpreter"), graph.evaluate("toolbox")
        backend, _ = select_backend(
            graph.evaluate("backends"), interpreter, plan, tools, console, graph.evaluate("configuration")
        )
        backend.check_lock(interpreter, plan)
    except (InstallError, ConfigurationError) as error:
        console.warn(str(error))
        return 1
    console.say("%s has what is asked for" % os.path.basename(plan.lock))
    return 0


def _lock_bytes(path: str) -> "bytes | None":
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        return stream.read()


def _put_back(path: str, content: "bytes | None") -> None:
    if content is None and os.path.exists(path):
        os.unlink(path)
    elif content is not None and content != _lock_bytes(path):
        write_atomically(path, content)


def _versions_of(path: str) -> "dict[str, str]":
    """Return the versions in a lock by the names of their packages."""
    document, found = load_lock(path), {}  # type: dict[str, object], dict[str, set[str]]
    for package in document.get("packages", document.get("package", [])):  # type: ignore[attr-defined]
        found.setdefault(normalized_project_name(package["name"]), set()).add(str(package.get("version", "")))
    return {name: " and ".join(sorted(versions)) for name, versions in found.items()}


def _take_first_side(path: str, content: bytes, console: Console) -> "dict[str, str]":
    """Write the first side of a conflict, whose pins count as the earlier ones, or nothing if that is no lock."""
    console.say("%s has the conflict marks of a merge: it is written anew" % os.path.basename(path))
    sides = rb"(?ms)^<{7}.*?\n(.*?)(?:^\|{7}.*?)?^={7}\r?\n.*?^>{7}.*?(?:\n|\Z)"
    write_atomically(path, re.sub(sides, rb"\1", content))
    try:
        return _versions_of(path)
    except PrimerError:
        os.unlink(path)
        return {}


def _name_nothing_of_this_host(path: str) -> None:
    """Make URLs of files beside the lock relative; leave out those of other files: name, version and hashes say enough.

    :raises InstallError: exit code 6: what is pinned is a file itself that only this host has
    """
    base = os.path.dirname(path)

    def relative(found: "re.Match[str]") -> str:
        target = os.path.relpath(path_of_file_url(found.group(1)), base)
        is_elsewhere = target.startswith(os.pardir) or os.path.isabs(target)
        if is_elsewhere and "archive" not in text[: found.start()].rpartition("\n")[2]:
            return ""
        if is_elsewhere:
            advice = "take it from an index, or from a directory of the repository"
            raise InstallError("a lock cannot name a file that only this host has: " + found.group(1), path, advice)
        return 'path = "%s"%s' % (target.replace(os.sep, "/"), found.group(2))

    text = (_lock_bytes(path) or b"").decode("utf-8")
    changed = re.sub(r'\burl = "(file:[^"]*)"(,? ?)', relative, text)
    if changed != text:
        write_atomically(path, changed.encode("utf-8"))


def _tell_what_moved(before: "dict[str, str]", after: "dict[str, str]", console: Console) -> None:
    for name in sorted(set(before) | set(after)):
        old, new = before.get(name), after.get(name)
        if old is None:
            console.say("  added %s %s" % (name, new))
        elif new is None:
            console.say("  removed %s %s" % (name, old))
        elif old != new:
            console.say("  %s %s -> %s" % (name, old, new))
