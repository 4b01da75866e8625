"""`./prime bundle`."""

import errno
import itertools
import json
import os
from shlex import quote
from typing import Any, NamedTuple

from protoprimer.backends.base import Job, commands_of, run_installer, with_option
from protoprimer.backends.editables import is_beyond_builds, static_project_table
from protoprimer.backends.pip_engine import PipBackend, requirement_for_pip
from protoprimer.commands.matrix.cells import expanded_pythons
from protoprimer.errors import ConfigurationError, DryRunEnds, UsageError
from protoprimer.fetch.bundles import BUNDLE_ENDS, BUNDLE_NOTE
from protoprimer.fetch.platform_tags import LEGACY_TAGS, platform_tag, tag_of_host
from protoprimer.fetch.tools import ToolBox
from protoprimer.fetch.wheels import remove_leftovers, sha256_of_file
from protoprimer.formats.requirements import read_requirement
from protoprimer.formats.toml import TomlReader
from protoprimer.formats.versions import PythonRequest, parse_python_request
from protoprimer.graph import StateGraph
from protoprimer.project.asked import sources_of_step
from protoprimer.project.locks_read import check_lock, marker_environment, read_lock
from protoprimer.project.plan import InstallStep, Plan, ProjectToInstall, requirements_of_member
from protoprimer.pythons.choice import PYTHON_LIST, add_python_archive, choose_interpreter
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.store.file_lock import disk_failure
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, is_within, json_table, names_in, others_may_not_write, write_json
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import file_url, nearest_existing
from protoprimer.version import VERSION

__all__ = ["bundle_command"]

_STAGING = ".bundle"
# What uv and markers call them.
_SYSTEMS = {
    "manylinux": ("linux-%s-gnu", "linux", "Linux", "posix"),
    "musllinux": ("linux-%s-musl", "linux", "Linux", "posix"),
    "macosx": ("macos-%s-none", "darwin", "Darwin", "posix"),
    "win": ("windows-%s-none", "win32", "Windows", "nt"),
}
_WINDOWS_MACHINES = {"32": "x86", "amd64": "AMD64", "arm64": "ARM64"}
# What installers take where a project has no [build-system].
_DEFAULT_BUILD_REQUIREMENTS = ["setuptools>=40.8.0", "wheel"]
_ASK_BUILD_BACKEND = """
import importlib, json, os, sys
place, backend, hook, *paths = sys.argv[1:]
sys.path[:0] = [os.path.abspath(path) for path in paths] + [place]
module, _, name = backend.partition(":")
found = importlib.import_module(module)
found = getattr(found, name) if name else found
print("\\n" + json.dumps(list(getattr(found, hook, lambda settings: [])(None))))
"""


@others_may_not_write()
def bundle_command(
    graph: StateGraph,
    command_line: CommandLine,
    configuration: Configuration,
    console: Console,
    plan: Plan,
    toolbox: ToolBox,
) -> int:
    """Put what a host without network needs into one directory or file (docs/how-to/bundle.md)."""
    import tempfile

    target = os.path.abspath(command_line.operands[0])
    if is_within(os.path.realpath(target), os.path.realpath(configuration.state_directory)):
        raise ConfigurationError("a bundle cannot be in the state directory", target, "name another place")
    platforms = [_platform_of(tag) for tag in command_line.texts("platform")] or [_Platform(tag_of_host())]
    is_file = target.endswith(BUNDLE_ENDS) and not os.path.isdir(target)
    earlier = _files_of_earlier(target, is_file)
    requests, interpreters = _pythons_to_serve(graph, command_line, configuration, plan, toolbox)
    check_lock(plan, lambda: marker_environment(interpreters[0].executable, console))
    pythons, tags = ["%d.%d" % one.version_info[:2] for one in interpreters], [one.name for one in platforms]
    whom = "Python %s on %s" % (", ".join(pythons), ", ".join(tags))
    if command_line.has("dry-run"):
        raise DryRunEnds("would bundle %s, and the tools, for %s into %s" % (plan.summary(), whom, target))
    parent, files = os.path.dirname(target) if is_file else target, {}  # type: str, dict[str, dict[str, Any]]
    is_new = not os.path.isdir(parent)
    try:
        os.makedirs(parent, exist_ok=True)
        remove_leftovers(os.path.join(parent, _STAGING))
        # Where the bundle will be, which may be a disk of its own.
        with tempfile.TemporaryDirectory(".tmp", _STAGING + ".", parent) as staging:
            now = os.path.join(staging, "now")
            for (request, interpreter), platform in itertools.product(zip(requests, interpreters), platforms):
                collector = _Collector(plan, toolbox, console, now, interpreter, platform)
                collector.add_to(files, request if command_line.has("with-python") else None)
            lock = sha256_of_file(plan.lock) if plan.lock else None
            note = {"format": 2, "kernel": VERSION, "lock": lock, "pythons": pythons, "platforms": tags, "files": files}
            write_json(os.path.join(staging, BUNDLE_NOTE), note)
            named = "%s#sha256=%s" % (target, sha256_of_file(os.path.join(staging, BUNDLE_NOTE)))
            if is_file:
                _write_bundle_file(staging, target)
            else:
                _publish_bundle(staging, target, earlier)
    except OSError as error:
        failure = disk_failure("write the bundle", target, error)
        if error.errno != errno.ENOSPC:
            failure.advice = "name a directory that you can create or write"
        raise failure from error
    finally:
        if is_new and os.path.isdir(parent) and not os.listdir(parent):
            os.rmdir(parent)
    console.say("bundled for %s (files: %d); use it there: ./prime --bundle %s" % (whom, len(files), quote(named)))
    return 0


class _Platform(NamedTuple):
    """A tag, and those of all wheels that run there; without these it is this host."""

    name: str
    tags: "tuple[str, ...]" = ()

    def as_uv_says(self) -> str:
        family, _, machine = platform_tag(self.name) or ("", 0, self.name)
        machine = {"amd64": "x86_64", "32": "x86"}.get(machine, machine)
        return _SYSTEMS[family][0] % machine if family in _SYSTEMS else machine


def _platform_of(tag: str) -> _Platform:
    family, (major, minor), machine = platform_tag(tag) or ("", (0, 0), "")
    if family not in _SYSTEMS or (family == "win" and machine not in _WINDOWS_MACHINES):
        advice = "use one such as manylinux_2_28_x86_64, musllinux_1_2_aarch64, macosx_14_0_arm64, win_amd64"
        raise UsageError("%r is not a platform tag of wheels" % tag, "--platform", advice)
    if not family.endswith("linux"):
        return _Platform(tag, (tag,))
    # A C library also runs what was built for older ones.
    tags = ["%s_%d_%d_%s" % (family, major, one, machine) for one in range(minor, -1, -1)]
    tags += ["manylinux%s_%s" % (year, machine) for year, begin in LEGACY_TAGS.items() if begin + machine in tags]
    return _Platform(tag, tuple(tags))


def _pythons_to_serve(
    graph: StateGraph, line: CommandLine, configuration: Configuration, plan: Plan, toolbox: ToolBox
) -> "tuple[list[PythonRequest], list[Interpreter]]":
    if not line.has("python"):
        return [graph.evaluate("required_python").narrowed], [graph.evaluate("interpreter")]
    downloads = None if line.has("dry-run") else configuration.get("python-downloads")
    texts = expanded_pythons(line.text("python"), plan, toolbox.cache_directory, toolbox.console, True, "--python")
    requests = [parse_python_request(text) for text in texts]
    return requests, [choose_interpreter(one, toolbox, downloads, "--python") for one in requests]


def _files_of_earlier(target: str, is_file: bool) -> "list[str]":
    """Return the names in an earlier bundle; refuse to write over anything else."""
    import zipfile

    place, files, fault = nearest_existing(target), [], ""  # type: str, list[str], str
    if is_file and place == target:
        try:
            with zipfile.ZipFile(target) as archive:
                archive.getinfo(BUNDLE_NOTE)
        except (OSError, KeyError, zipfile.BadZipFile):
            fault = "this is not a bundle: nothing was written"
    elif not os.path.isdir(place):
        fault, target = "this is not a directory: nothing was written", place
    elif place == target and not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        fault = "you may not read and write this directory"
    elif place == target:
        files = list(json_table(content_of(target, BUNDLE_NOTE)).get("files") or ())
        if not files and not all(name.startswith(_STAGING) for name in os.listdir(target)):
            fault = "this is neither a bundle nor empty: nothing was written"
    if fault:
        advice = "name a %s that is new, empty or an earlier bundle" % ("file" if is_file else "directory")
        raise ConfigurationError(fault, target, advice)
    return files


class _Collector(NamedTuple):
    plan: Plan
    toolbox: ToolBox
    console: Console
    directory: str
    interpreter: Interpreter
    platform: _Platform

    def add_to(self, files: "dict[str, dict[str, Any]]", archive: "PythonRequest | None") -> None:
        os.mkdir(self.directory)
        python = "%d.%d" % self.interpreter.version_info[:2]
        what = "for Python %s on %s" % (python, self.platform.name)
        with self.console.step("bundling " + what, "bundled " + what):
            self._add_tools()
            if self.plan.lock:
                self._add_pins()
            for step, deep in commands_of(self.plan):
                if deep:
                    self._add_step(step)
            projects = self.plan.projects()
            for step in self.plan.steps:
                projects += sources_of_step(step, self.plan, self._markers()).projects
            for project in projects:
                # A wheel that the kernel writes is not built: this Python may have nothing that could.
                if not (is_beyond_builds(self.interpreter) and project.editable and static_project_table(project)):
                    is_told = "requires" in project.metadata.table("build-system")
                    requires = project.metadata.build_requires if is_told else _DEFAULT_BUILD_REQUIREMENTS
                    self._add_what_builds(requires)
                    self._add_what_builds(self._asked_by_build_backend(project, requires))
            for name in names_in(self.directory):
                if not name.endswith(".whl"):
                    self._make_buildable(os.path.join(self.directory, name))
            if archive:
                self._add_archive(archive)
        for name in names_in(self.directory):
            path = os.path.join(os.path.dirname(self.directory), name)
            os.replace(os.path.join(self.directory, name), path)
            whom = files.get(name, {"for": []})["for"] + ["%s on %s" % (python, self.platform.name)]
            files[name] = {"for": whom, "sha256": sha256_of_file(path)}
        os.rmdir(self.directory)

    def _add_tools(self) -> None:
        import shutil

        uv_wheel = self.toolbox.uv_pin.wheel_for(self.platform.name)
        if uv_wheel is None:
            self.console.warn("there is no uv for %s; the backends venv and virtualenv serve it" % self.platform.name)
        for path in self.toolbox.pinned_wheels(self.interpreter, uv_wheel):
            shutil.copy(path, self.directory)

    def _add_archive(self, request: PythonRequest) -> None:
        request = request.narrowed(["==%d.%d.*" % self.interpreter.version_info[:2]])
        version = request.text if request.free_threaded else str(request.specifiers)
        wanted = "-".join((self.interpreter.implementation, version, self.platform.as_uv_says()))
        known = json_table(content_of(os.path.dirname(self.directory), PYTHON_LIST))
        known.update(add_python_archive(wanted, self.toolbox, self.directory))
        write_json(os.path.join(self.directory, PYTHON_LIST), known)

    def _add_pins(self) -> None:
        pins = read_lock(self.plan, self._markers())
        lines = [line for line in pins.hashed if " @ " not in line]
        for line in [line for line in pins.hashed if " @ " in line] + pins.unhashed:
            self.console.warn("not bundled, since it is installed from where it is: " + line.split(" --hash")[0])
        if lines:
            self._fetch(["--no-deps", "--require-hashes"], lines, pinned=True)

    def _add_step(self, step: InstallStep) -> None:
        sources = sources_of_step(step, self.plan, self._markers())
        words = with_option("-r", step.requirements) + step.args
        lines = sources.lines + step.lines
        for project in step.projects + sources.projects:
            is_dynamic = project.metadata.has_dynamic_dependencies
            if is_dynamic and not self.platform.tags:
                words.append(requirement_for_pip(project))
                continue
            lines = lines + requirements_of_member(project)
            if is_dynamic:
                told = "not bundled for %s, as only a build tells them: the dependencies of %s (a lock has them)"
                self.console.warn(told % (self.platform.name, project.path))
        own = {one.metadata.normal_name for one in self.plan.projects() + sources.projects}
        lines = [line for line in lines if getattr(read_requirement(line), "normal_name", None) not in own]
        if lines or words:
            self._fetch(words + with_option("-c", step.constraints), lines)

    def _add_what_builds(self, requires: "list[str]") -> None:
        if requires:
            self._fetch(self._build_constraints(), requires)

    def _build_constraints(self) -> "list[str]":
        return with_option("-c", filter(None, [self.plan.build_constraints]))

    def _asked_by_build_backend(self, project: ProjectToInstall, requires: "list[str]") -> "list[str]":
        """Return what a build backend wants besides (PEP 517, PEP 660), such as hatchling's `editables`."""
        import tempfile

        table = project.metadata.table("build-system")
        backend = table.get("build-backend", "setuptools.build_meta:__legacy__")
        hook = "get_requires_for_build_" + ("editable" if project.editable else "wheel")
        with tempfile.TemporaryDirectory(prefix="protoprimer-") as place:
            if requires:
                arguments = ["install", "--target", place] + self._build_constraints()
                self._run_pip(arguments, requires, False, "install what")
            command = [self.interpreter.executable, "-I", "-S", "-c", _ASK_BUILD_BACKEND, place, backend, hook]
            command += table.get("backend-path", [])
            told = run_installer(self.console, backend, "tell what it requires", command, project.path, {}).output
        return json.loads(told.splitlines()[-1])  # type: ignore[no-any-return]

    def _make_buildable(self, source: str) -> None:
        import tempfile

        self._add_what_builds(_build_requires_of_source(source))
        lines = ["--no-index", "--find-links " + file_url(self.directory), file_url(source)]
        # From the bundle alone: what else it needs shows here.
        with tempfile.TemporaryDirectory(prefix="protoprimer-") as place:
            self._run_pip(["wheel", "--no-deps", "--wheel-dir", place], lines, True, "build from the bundle alone what")

    def _markers(self) -> "dict[str, Any]":
        markers = dict(marker_environment(self.interpreter.executable, self.console))
        if self.platform.tags:
            family, _, machine = platform_tag(self.platform.name) or ("", 0, "")
            markers.update(zip(("sys_platform", "platform_system", "os_name"), _SYSTEMS[family][1:]))
            markers["platform_machine"] = _WINDOWS_MACHINES[machine] if family == "win" else machine
        return markers

    def _fetch(self, arguments: "list[str]", lines: "list[str]", pinned: bool = False) -> None:
        # What is built here has another hash than its source, which is what a lock knows.
        verb = ["download", "--dest"] if pinned or self.platform.tags else ["wheel", "--wheel-dir"]
        arguments = verb + [self.directory] + arguments
        if self.platform.tags:
            version = "%d.%d" % self.interpreter.version_info[:2]
            arguments += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", version]
            arguments += with_option("--platform", self.platform.tags)
        self._run_pip(arguments, lines, pinned, "fetch what")

    def _run_pip(self, arguments: "list[str]", lines: "list[str]", pinned: bool, what: str) -> None:
        what = "%s Python %s needs" % (what, self.interpreter.version)
        engine = PipBackend(self.toolbox, self.console, self.toolbox.settings)
        engine.run_pip(Job(self.interpreter, self.plan), what, arguments, lines, pinned=pinned)


def _build_requires_of_source(source: str) -> "list[str]":
    import tarfile

    if tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            for one in archive:
                if one.isfile() and one.name.split("/")[1:] == ["pyproject.toml"]:
                    file = archive.extractfile(one)  # type: Any
                    table = TomlReader(file.read().decode("utf-8")).read().get("build-system", {})
                    return table.get("requires", _DEFAULT_BUILD_REQUIREMENTS)  # type: ignore[no-any-return]
    return _DEFAULT_BUILD_REQUIREMENTS


def _publish_bundle(staging: str, directory: str, earlier: "list[str]") -> None:
    names = os.listdir(staging)
    # The note is first: a rerun then knows a torn bundle.
    for name in sorted(names, key=lambda one: one != BUNDLE_NOTE):
        os.replace(os.path.join(staging, name), os.path.join(directory, name))
    for name in earlier:
        path = os.path.join(directory, os.path.basename(name))
        if name not in names and os.path.isfile(path):
            os.unlink(path)


def _write_bundle_file(staging: str, path: str) -> None:
    import shutil
    import zipfile

    names, unfinished = names_in(staging), os.path.join(staging, "bundle")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name in names:
            member = zipfile.ZipInfo(name)
            # With this, and no date, the same content is the same bytes everywhere.
            member.create_system = 3
            member.file_size = os.path.getsize(os.path.join(staging, name))
            with open(os.path.join(staging, name), "rb") as source, archive.open(member, "w") as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
    os.replace(unfinished, path)
