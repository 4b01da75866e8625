"""Everything that a host without network needs, in one directory or one file."""

import errno
import os

from protoprimer.backends.base import commands_of
from protoprimer.backends.editables import is_beyond_builds, static_project_table
from protoprimer.backends.pip_engine import PipBackend, requirement_for_pip
from protoprimer.commands.matrix.cells import expanded_pythons
from protoprimer.errors import ConfigurationError, DryRunEnds, UsageError
from protoprimer.fetch.bundles import BUNDLE_ENDS, BUNDLE_NOTE, platform_tag, tag_of_host
from protoprimer.fetch.tools import ToolBox, uv_wheel_for_host
from protoprimer.fetch.wheels import sha256_of_file
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.formats.toml import parse_toml
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
from protoprimer.system.files import content_of, is_within, json_table, remove_tree, write_json
from protoprimer.system.paths import file_url
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protoprimer.system.interpreter import Interpreter

__all__ = ["Bundle", "bundle_command"]

_STAGING = ".staging-"
_LEGACY_NAMES = {"manylinux_2_17_": "2014", "manylinux_2_12_": "2010", "manylinux_2_5_": "1"}
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
    is_file = directory.endswith(BUNDLE_ENDS) and not os.path.isdir(directory)
    parent = os.path.dirname(directory) if is_file else directory
    for tag in platforms:
        _Platform(tag)
    state = os.path.realpath(configuration.state_directory)
    if is_within(os.path.realpath(directory), state):
        raise ConfigurationError("a bundle cannot be in the state directory", directory, "name another place")
    earlier = _refuse_other_file(directory) if is_file else _files_of_bundle(directory)
    interpreters = _interpreters_to_serve(graph, command_line, configuration, console, plan, toolbox)
    check_lock(plan, lambda: marker_environment(interpreters[0].executable, console))
    pythons = ["%d.%d" % tuple(one.version_info[:2]) for one in interpreters]
    whom = "Python %s on %s" % (", ".join(pythons), ", ".join(platforms) or "this host's platform")
    if command_line.has("dry-run"):
        raise DryRunEnds("would bundle %s, and the tools, for %s into %s" % (plan.summary(), whom, directory))
    staging, is_new = "", not os.path.isdir(parent)
    files = {}  # type: dict[str, dict[str, Any]]
    try:
        os.makedirs(parent, exist_ok=True)
        # Where the bundle will be, which may be a disk of its own.
        staging = tempfile.mkdtemp(prefix=_STAGING, dir=parent)
        for interpreter in interpreters:
            for platform in platforms or (None,):
                what = "for Python %s on %s" % (interpreter.version, platform or "this host")
                place = os.path.join(staging, "now")
                os.mkdir(place)
                with console.step("bundling " + what, "bundled " + what):
                    Bundle(plan, toolbox, console, place, interpreter, platform).fill()
                _take_in(
                    place, staging, files, "%d.%d on " % interpreter.version_info[:2] + (platform or tag_of_host())
                )
        lock = sha256_of_file(plan.lock) if plan.lock else None
        note = {"kernel": VERSION, "lock": lock, "pythons": pythons, "platforms": platforms or [tag_of_host()]}
        write_json(os.path.join(staging, BUNDLE_NOTE), dict(note, format=2, files=files))
        if is_file:
            _write_bundle_file(staging, directory)
        else:
            _publish_bundle(staging, directory, earlier)
    except OSError as error:
        failure = disk_failure("write the bundle", directory, error)
        if error.errno != errno.ENOSPC:
            failure.advice = "name a directory that can be made there, and written by you"
        raise failure from error
    finally:
        remove_tree(staging)
        if is_new and os.path.isdir(parent) and not os.listdir(parent):
            os.rmdir(parent)
    console.say("%d files for %s: there: ./prime --bundle %s" % (len(files), whom, quote(directory)))
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
            self._fetch_what_builds(project.metadata.build_requires if "requires" in table else None)
        for name in sorted(os.listdir(self.staging)):
            if not name.endswith(".whl"):
                self._make_buildable(os.path.join(self.staging, name))

    def _fetch_what_builds(self, requires: "list[str] | None") -> None:
        constraints = ["-c", self.plan.build_constraints] if self.plan.build_constraints else []
        self._fetch(constraints, _DEFAULT_BUILD_REQUIREMENTS if requires is None else requires)

    def _make_buildable(self, source: str) -> None:
        """Fetch what a source asks for to be built, and build it from the bundle alone: what else it needs shows here.

        :raises InstallError: it cannot be built without network (exit code 6)
        """
        import tempfile

        self._fetch_what_builds(_build_requires_of_source(source))
        lines = ["--no-index", "--find-links " + file_url(self.staging), file_url(source)]
        with tempfile.TemporaryDirectory(prefix="protoprimer-") as place:
            self._run_pip(["wheel", "--no-deps", "--wheel-dir", place], lines, True, "build from the bundle alone what")

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
        own = {one.metadata.normal_name for one in self.plan.projects() + siblings}
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
        self._run_pip(arguments, lines, pinned, "fetch what")

    def _run_pip(self, arguments: "list[str]", lines: "list[str]", pinned: bool, what: str) -> None:
        what, python = "%s Python %s needs" % (what, self.interpreter.version), self.interpreter.executable
        engine = PipBackend(self.toolbox, self.console, self.toolbox.settings)
        engine.run_pip(self.interpreter, python, self.plan, what, arguments, lines, [], pinned=pinned)


class _Platform:
    """What a wheel's platform tag says: `sys.platform`, machine, C library, and the tags of what runs there.

    A C library also runs what was built for older ones.
    """

    def __init__(self, tag: str) -> None:
        import re

        found = re.match(r"(?:win_(?=a)|(macosx|manylinux|musllinux)_(\d+)_(\d+)_)(\w+)$", platform_tag(tag))
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
            same = {old + machine: "manylinux%s_%s" % (year, machine) for old, year in _LEGACY_NAMES.items()}
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
    downloads = configuration.get("python-downloads") and not line.has("dry-run")
    texts = expanded_pythons(line.text("python"), plan, toolbox.cache_directory, console, True, "--python")
    return [choose_interpreter(parse_python_request(text), toolbox, downloads, "--python") for text in texts]


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
        return sorted(json_table(content_of(os.path.join(directory, BUNDLE_NOTE)))["files"])
    except (LookupError, TypeError):
        if all(name.startswith(_STAGING) for name in os.listdir(directory)):
            return []
    raise ConfigurationError("%s is no bundle, and not empty: nothing was written" % directory, directory, advice)


def _refuse_other_file(path: str) -> "list[str]":
    """Refuse to write one file over another that is no bundle; no file of it has to be removed."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            archive.getinfo(BUNDLE_NOTE)
    except FileNotFoundError:
        pass
    except (OSError, KeyError, zipfile.BadZipFile):
        cause, advice = "%s is no bundle: nothing was written" % path, "name a file that is new, or an earlier bundle"
        raise ConfigurationError(cause, path, advice) from None
    return []


def _take_in(place: str, staging: str, files: "dict[str, dict[str, Any]]", whom: str) -> None:
    """Move what was fetched for somebody to the rest, and note for whom it is."""
    for name in os.listdir(place):
        path = os.path.join(staging, name)
        os.replace(os.path.join(place, name), path)
        whoms = files.get(name, {"for": []})["for"] + [whom]
        files[name] = {"for": whoms, "sha256": sha256_of_file(path)}
    os.rmdir(place)


def _build_requires_of_source(source: str) -> "list[str] | None":
    """Return what a source archive says is needed to build it, `None` if it does not say."""
    import tarfile

    if not tarfile.is_tarfile(source):
        return None
    with tarfile.open(source) as archive:
        found = [one for one in archive if one.isfile() and one.name.split("/")[1:] == ["pyproject.toml"]]
        file: "Any" = archive.extractfile(found[0]) if found else None
        table: "Any" = parse_toml(file.read().decode("utf-8")) if file else {}
    requires: "list[str] | None" = table.get("build-system", {}).get("requires")
    return requires


def _publish_bundle(staging: str, directory: str, earlier: "list[str]") -> None:
    """Move what was fetched into place; the note is first: a rerun then knows a torn bundle."""
    names = os.listdir(staging)
    for name in sorted(names, key=lambda one: one != BUNDLE_NOTE):
        os.replace(os.path.join(staging, name), os.path.join(directory, name))
    for name in earlier:
        path = os.path.join(directory, os.path.basename(name))
        if name not in names and os.path.isfile(path):
            os.unlink(path)


def _write_bundle_file(staging: str, path: str) -> None:
    """Write one file of what was fetched: the same bytes for the same content, as nothing in it has a date."""
    import shutil
    import zipfile

    unfinished = os.path.join(staging, "bundle")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name in sorted(set(os.listdir(staging)) - {"bundle"}):
            member = zipfile.ZipInfo(name)
            member.external_attr, member.create_system = 0o644 << 16, 3
            member.file_size = os.path.getsize(os.path.join(staging, name))
            with open(os.path.join(staging, name), "rb") as source, archive.open(member, "w") as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
    os.replace(unfinished, path)
