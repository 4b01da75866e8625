"""Everything that a host without network needs, in one directory of wheels for find-links."""

import errno
import json
import os

from protoprimer.backends.base import commands_of
from protoprimer.backends.editables import is_beyond_builds, static_project_table
from protoprimer.backends.pip_engine import PipBackend, requirement_for_pip
from protoprimer.commands.matrix.cells import expanded_pythons
from protoprimer.errors import ConfigurationError, DryRunEnds, UsageError
from protoprimer.fetch.tools import ToolBox, uv_wheel_for_host
from protoprimer.fetch.wheels import sha256_of_file
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.formats.versions import parse_python_request
from protoprimer.graph import StateGraph
from protoprimer.project.locks_read import check_lock, marker_environment, read_lock
from protoprimer.project.plan import InstallStep, Plan, requirements_of_member
from protoprimer.project.uv_sources import sources_of_step
from protoprimer.pythons.choice import choose_interpreter
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.store.file_lock import disk_failure
from protoprimer.system.console import Console
from protoprimer.system.files import remove_tree, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protoprimer.system.interpreter import Interpreter

__all__ = ["Bundle", "bundle_command"]

BUNDLE_NOTE = "bundle.json"
_STAGING = ".staging-"
# What older names of tags begin with today.
_LEGACY_TAGS = {"2014": "manylinux_2_17_", "2010": "manylinux_2_12_", "1": "manylinux_2_5_"}
# What installers take where a project has no [build-system].
_DEFAULT_BUILD_REQUIREMENTS = ["setuptools>=40.8.0", "wheel"]


def bundle_command(
    graph: StateGraph,
    command_line: CommandLine,
    configuration: Configuration,
    console: Console,
    plan: Plan,
    toolbox: ToolBox,
) -> int:
    """Serve `bundle`; return the exit status, as told in docs/how-to/bundle.md."""
    import tempfile
    from shlex import quote

    directory, platforms = os.path.abspath(command_line.operands[0]), command_line.texts("platform")
    for tag in platforms:
        _Platform(tag)
    state = os.path.realpath(configuration.state_directory)
    if os.path.join(os.path.realpath(directory), "").startswith(os.path.join(state, "")):
        raise ConfigurationError("a bundle cannot be in the state directory", directory, "name another place")
    earlier = _files_of_bundle(directory)
    interpreters = _interpreters_to_serve(graph, command_line, configuration, console, plan, toolbox)
    check_lock(plan, lambda: marker_environment(interpreters[0].executable, console))
    pythons = ["%d.%d" % tuple(one.version_info[:2]) for one in interpreters]
    whom = "Python %s on %s" % (", ".join(pythons), ", ".join(platforms) or "this host's platform")
    if command_line.has("dry-run"):
        raise DryRunEnds("would bundle %s, and the tools, for %s into %s" % (plan.summary(), whom, directory))
    staging, is_new = "", not os.path.isdir(directory)
    try:
        os.makedirs(directory, exist_ok=True)
        # In the directory itself, which may be a disk of its own.
        staging = tempfile.mkdtemp(prefix=_STAGING, dir=directory)
        for interpreter in interpreters:
            for platform in platforms or (None,):
                what = "for Python %s on %s" % (interpreter.version, platform or "this host")
                with console.step("bundling " + what, "bundled " + what):
                    Bundle(plan, toolbox, console, staging, interpreter, platform).fill()
        facts = {"format": 1, "pythons": pythons, "platforms": platforms or ["the host's that wrote this"]}
        count = _publish_bundle(staging, directory, facts, earlier)
    except OSError as error:
        failure = disk_failure("write the bundle", directory, error)
        if error.errno != errno.ENOSPC:
            failure.advice = "name a directory that can be made there, and written by you"
        raise failure from error
    finally:
        remove_tree(staging)
        if is_new and os.path.isdir(directory) and not os.listdir(directory):
            os.rmdir(directory)
    console.say("%d files for %s: there: UV_FIND_LINKS=%s ./prime --offline" % (count, whom, quote(directory)))
    return 0


class Bundle:
    """Collects what a plan needs for one interpreter, on this host's platform or the one of a tag.

    :param staging: the directory that files are put into
    """

    def __init__(
        self,
        plan: Plan,
        toolbox: ToolBox,
        console: Console,
        staging: str,
        interpreter: "Interpreter",
        tag: "str | None",
    ) -> None:
        self.plan = plan
        self.toolbox = toolbox
        self.console = console
        self.staging = staging
        self.interpreter = interpreter
        self.platform = _Platform(tag) if tag else None

    def fill(self) -> None:
        """Fetch everything.

        :raises InstallError: pip could not have something (exit code 6)
        :raises ToolAbsent: a tool's wheel could not be had (exit code 5)
        """
        import shutil

        there = self.platform
        uv_wheel = uv_wheel_for_host(there.system, there.machine, there.libc) if there else uv_wheel_for_host()
        if uv_wheel is None:
            where = there.tags[0] if there else "this host"
            self.console.warn("there is no uv for %s; the backends venv and virtualenv serve it" % where)
        for path in self.toolbox.pinned_wheels(self.interpreter, uv_wheel):
            shutil.copy(path, self.staging)
        if self.plan.lock:
            self._add_pins()
        for step, deep in commands_of(self.plan):
            if deep:
                self._add_step(step)
        for project in self.plan.projects():
            if is_beyond_builds(self.interpreter) and project.editable and static_project_table(project) is not None:
                # The kernel writes its wheel; what would build it may not exist for this Python.
                continue
            table = project.metadata.table("build-system")
            requires = project.metadata.build_requires if "requires" in table else _DEFAULT_BUILD_REQUIREMENTS
            self._fetch(["-c", self.plan.build_constraints] if self.plan.build_constraints else [], requires)

    def _add_pins(self) -> None:
        markers = marker_environment(self.interpreter.executable, self.console)
        markers.update(self.platform.markers() if self.platform else {})
        pins = read_lock(self.plan, markers)
        lines = [line for line in pins.hashed if " @ " not in line]
        for line in [line for line in pins.hashed if line not in lines] + pins.unhashed:
            self.console.warn("not bundled, since it is installed from where it is: " + line.split(" --hash")[0])
        self._fetch(["--no-deps", "--require-hashes"], lines, pinned=True)

    def _add_step(self, step: InstallStep) -> None:
        """Fetch what a step asks for, less what comes from this repository."""
        import re

        markers = marker_environment(self.interpreter.executable, self.console)
        sources = sources_of_step(step, self.plan.root, markers)
        siblings, lines = sources.projects, sources.lines
        arguments = [word for path in step.requirements for word in ("-r", path)]
        arguments += [word for path in step.constraints for word in ("-c", path)] + step.args
        lines = lines + step.lines
        for project in step.projects + siblings:
            if project.metadata.has_dynamic_dependencies and not self.platform:
                arguments.append(requirement_for_pip(project))
            else:
                lines = lines + requirements_of_member(project)
        own = {normalized_project_name(one.metadata.name or "") for one in self.plan.projects() + siblings}
        names = [normalized_project_name(re.split(r"[^A-Za-z0-9._-]", line.strip())[0]) for line in lines]
        self._fetch(arguments, [line for line, name in zip(lines, names) if name not in own])

    def _fetch(self, arguments: "list[str]", lines: "list[str]", pinned: bool = False) -> None:
        """Have pip put what requirement lines and arguments name into the staging directory."""
        if not lines and (pinned or not set(arguments) - {"-c", self.plan.build_constraints}):
            return
        # What is built here has another hash than its source, which is what a lock knows.
        verb = ["download", "--dest"] if pinned or self.platform else ["wheel", "--wheel-dir"]
        arguments = verb + [self.staging] + arguments
        if self.platform:
            version = "%d.%d" % tuple(self.interpreter.version_info[:2])
            arguments += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", version]
            arguments += [word for tag in self.platform.tags for word in ("--platform", tag)]
        what, python = "fetch what Python %s needs" % self.interpreter.version, self.interpreter.executable
        engine = PipBackend(self.toolbox, self.console, self.toolbox.settings)
        engine.run_pip(self.interpreter, python, self.plan, what, arguments, lines, [], pinned=pinned)


class _Platform:
    """What a wheel's platform tag says: `sys.platform`, machine, C library, and the tags of what runs there.

    A C library also runs what was built for older ones.
    """

    def __init__(self, tag: str) -> None:
        import re

        name = re.sub("^manylinux(2014|2010|1)_", lambda found: _LEGACY_TAGS[found.group(1)], tag)
        found = re.match(r"(?:win_(?=a)|(macosx|manylinux|musllinux)_(\d+)_(\d+)_)(\w+)$", name)
        if found is None and tag != "win32":
            advice = "such as manylinux_2_28_x86_64, musllinux_1_2_aarch64, macosx_14_0_arm64, win_amd64"
            raise UsageError("%s is no platform tag of wheels" % tag, "--platform", advice)
        family, major, minor, machine = found.groups() if found else (None, "", "", "x86")
        self.system = {None: "win32", "macosx": "darwin"}.get(family, "linux")
        self.machine = machine.upper() if family is None and found else machine
        self.libc = "glibc %s.%s" % (major, minor) if family == "manylinux" else "musl" if family == "musllinux" else ""
        self.tags = [tag]
        if self.system == "linux":
            self.tags = ["%s_%s_%d_%s" % (family, major, one, machine) for one in range(int(minor), -1, -1)]
            same = {old + machine: "manylinux%s_%s" % (year, machine) for year, old in _LEGACY_TAGS.items()}
            self.tags += [same[one] for one in self.tags if one in same]

    def markers(self) -> "dict[str, str]":
        """Return what environment markers say there."""
        name = {"win32": "Windows", "darwin": "Darwin"}.get(self.system, "Linux")
        system = {"sys_platform": self.system, "platform_machine": self.machine, "platform_system": name}
        return dict(system, os_name="nt" if self.system == "win32" else "posix")


def _interpreters_to_serve(
    graph: StateGraph, line: CommandLine, configuration: Configuration, console: Console, plan: Plan, toolbox: ToolBox
) -> "list[Interpreter]":
    if not line.has("python"):
        required = graph.evaluate("interpreter")  # type: Any
        return [required]
    cache, downloads = toolbox.cache_directory, configuration.get("python-downloads") and not line.has("dry-run")
    return [
        choose_interpreter(
            parse_python_request(text), toolbox, console, cache, configuration.root,
            downloads=downloads, offline=configuration.offline, place="--python",
        )
        for text in expanded_pythons(line.text("python"), plan, cache, console, True, "--python")
    ]  # fmt: skip


def _files_of_bundle(directory: str) -> "list[str]":
    """Return the names in the bundle that is there, none if nothing is; refuse a directory of anything else."""
    advice, place = "name a directory that is new, empty, or an earlier bundle", directory
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise ConfigurationError("%s is no directory: nothing was written" % place, directory, advice)
    if place != directory:
        return []
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError("the directory cannot be read and written", directory, advice)
    try:
        with open(os.path.join(directory, BUNDLE_NOTE), encoding="utf-8") as stream:
            return sorted(json.loads(stream.read())["files"])
    except (OSError, ValueError, LookupError, TypeError):
        if all(name.startswith(_STAGING) for name in os.listdir(directory)):
            return []
    raise ConfigurationError("%s is no bundle, and not empty: nothing was written" % directory, directory, advice)


def _publish_bundle(staging: str, directory: str, facts: "dict[str, Any]", earlier: "list[str]") -> int:
    """Move what was fetched into place; return how many files. The note is first: a rerun then knows a torn bundle."""
    digests = {name: sha256_of_file(os.path.join(staging, name)) for name in os.listdir(staging)}
    text = json.dumps(dict(facts, files=digests), indent=1, sort_keys=True) + "\n"
    write_atomically(os.path.join(directory, BUNDLE_NOTE), text.encode("ascii"))
    for name in digests:
        os.replace(os.path.join(staging, name), os.path.join(directory, name))
    for name in earlier:
        path = os.path.join(directory, os.path.basename(name))
        if name not in digests and os.path.isfile(path):
            os.unlink(path)
    return len(digests)
