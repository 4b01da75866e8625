"""`./prime lock`."""

import os
import re
from copy import copy

from protoprimer.backends.base import Backend
from protoprimer.backends.choosing import select_backend, wanted_backends
from protoprimer.errors import ConfigurationError, DryRunEnds, InstallError, PrimerError, UsageError
from protoprimer.formats.requirements import normalized_name
from protoprimer.formats.toml import has_conflict_marks
from protoprimer.graph import StateGraph
from protoprimer.project.asked import refuse_bare_name
from protoprimer.project.locks_read import load_lock
from protoprimer.project.plan import Plan, make_plan
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, text_of, write_atomically
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import path_of_file_url

__all__ = ["lock_command", "refuse_what_would_not_install"]


def lock_command(graph: StateGraph, command_line: CommandLine, configuration: Configuration, console: Console) -> int:
    """Write the lock file; pins stay unless they are to be upgraded. `--check` writes nothing."""
    plan = make_plan(configuration, graph.evaluate("index_settings").facts(), lock_must_exist=False)
    graph.provide("plan", plan)
    if command_line.has("check"):
        return _check_lock(graph, plan, console)
    output, name = plan.lock_to_write, os.path.basename(plan.lock_to_write)
    before = content_of(output) if os.path.isfile(output) else None
    conflict = has_conflict_marks(output)
    pinned = {} if before is None or conflict else _versions_of(output)
    upgrades = command_line.texts("upgrade-package")
    for wanted in upgrades:
        if normalized_name(wanted) not in pinned:
            advice = "name one of its packages, or run %s alone" % plan.lock_command
            raise UsageError("%s has no package %s" % (name, wanted), "--upgrade-package", advice)
    interpreter = graph.evaluate("interpreter")
    refuse_bare_name(plan, graph.evaluate("index_settings"))
    if command_line.has("dry-run"):
        raise DryRunEnds("would resolve the pins into %s" % output)
    backend, why = _backend_that_locks(graph, plan)
    what = "%s with %s" % (name, why)
    try:
        with graph.evaluate("lock"), console.step("locking " + what, "locked " + what):
            if before and conflict:
                pinned = _take_first_side(output, before, console)
            backend.lock(interpreter, plan, output, command_line.has("upgrade"), upgrades)
            _name_nothing_of_this_host(output)
            refuse_what_would_not_install(plan, output, backend, interpreter)
    except BaseException as error:
        if before is None and os.path.exists(output):
            os.unlink(output)
        elif before is not None and before != content_of(output):
            write_atomically(output, before)
        if isinstance(error, InstallError):
            backend.add_places(error, interpreter, plan)
            left_out = ", ".join(graph.evaluate("index_settings").left_out_of_locks())
            told = left_out and "a lock leaves this host's directories out: " + left_out
            error.advice = "; ".join(filter(None, [error.advice, told]))
        raise
    if before is not None:
        _tell_what_moved(pinned, _versions_of(output), console)
    return 0


def refuse_what_would_not_install(plan: Plan, output: str, backend: Backend, interpreter: Interpreter) -> None:
    """Read a lock that was just written as the next `./prime` will: what that would refuse, is refused now."""
    if os.path.basename(output) == "uv.lock":
        # uv compares it with the projects itself.
        return
    written = copy(plan)
    written.lock = output
    try:
        backend.check_lock(interpreter, written)
    except InstallError as error:
        cause = "what was locked could not be installed: " + error.cause
        advice = "write this requirement in another way (name @ URL), or leave the lock away: lock = false"
        raise InstallError(cause, error.place, advice) from error


def _backend_that_locks(graph: StateGraph, plan: Plan, only_looks: bool = False) -> "tuple[Backend, str]":
    interpreter, *others = map(graph.evaluate, ("interpreter", "toolbox", "console", "configuration"))
    if only_looks:
        configuration = graph.evaluate("configuration")
        wanted = wanted_backends(configuration.get("backend"), configuration, only_ours=True)
    else:
        wanted = graph.evaluate("backends")
    return select_backend(wanted, interpreter, plan, *others)


def _check_lock(graph: StateGraph, plan: Plan, console: Console) -> int:
    if plan.lock is None or not os.path.exists(plan.lock):
        console.warn("there is no lock yet: %s writes %s" % (plan.lock_command, plan.lock_to_write))
        return 1
    try:
        _backend_that_locks(graph, plan, only_looks=True)[0].check_lock(graph.evaluate("interpreter"), plan)
    except (InstallError, ConfigurationError) as error:
        console.warn(str(error))
        return 1
    console.say("%s has what is asked for" % os.path.basename(plan.lock))
    return 0


def _versions_of(path: str) -> "dict[str, str]":
    document, found = load_lock(path), {}  # type: dict[str, object], dict[str, set[str]]
    for package in document.get("packages", document.get("package", [])):  # type: ignore[attr-defined]
        found.setdefault(normalized_name(package["name"]), set()).add(str(package.get("version", "")))
    return {name: " and ".join(sorted(versions)) for name, versions in found.items()}


def _take_first_side(path: str, content: bytes, console: Console) -> "dict[str, str]":
    console.say("%s has the conflict marks of a merge: it is written anew" % os.path.basename(path))
    # Its pins count as the earlier ones.
    sides = rb"(?ms)^<{7}.*?\n(.*?)(?:^\|{7}.*?)?^={7}\r?\n.*?^>{7}.*?(?:\n|\Z)"
    write_atomically(path, re.sub(sides, rb"\1", content))
    try:
        return _versions_of(path)
    except PrimerError:
        os.unlink(path)
        return {}


def _name_nothing_of_this_host(path: str) -> None:
    """Make URLs of files beside the lock relative, leave out others: name, version and hashes say enough."""
    base = os.path.dirname(path)

    def relative(found: "re.Match[str]") -> str:
        target = os.path.relpath(path_of_file_url(found.group(1)), base)
        if not target.startswith(os.pardir) and not os.path.isabs(target):
            return 'path = "%s"%s' % (target.replace(os.sep, "/"), found.group(2))
        if re.search("archive|vcs", text[: found.start()].rpartition("\n")[2]):
            advice = "take it from an index, or put it into the repository"
            raise InstallError("a lock cannot name a file that only this host has: " + found.group(1), path, advice)
        return ""

    text = text_of(path)
    changed = re.sub(r'\burl = "(file:[^"]*)"(,? ?)', relative, text)
    if changed != text:
        write_atomically(path, changed.encode("utf-8"))


def _tell_what_moved(before: "dict[str, str]", after: "dict[str, str]", console: Console) -> None:
    for name, version in sorted({**before, **after}.items()):
        if name not in before or name not in after:
            console.say("  %s %s %s" % ("removed" if name in before else "added", name, version))
        elif before[name] != version:
            console.say("  %s %s -> %s" % (name, before[name], version))
