"""Everything that a host without network needs, in one directory of wheels for find-links."""

import errno
import json
import os

from protoprimer.backends.base import commands_of
from protoprimer.backends.editables import is_beyond_builds, static_project_table
from protoprimer.backends.pip_engine import PipBackend, requirement_for_pip
from protoprimer.backends.uv_sources import sources_of_step
from protoprimer.commands.matrix.cells import expanded_pythons
from protoprimer.errors import ConfigurationError, DryRunEnds, InstallError, UsageError
from protoprimer.fetch.tools import ToolBox, uv_wheel_for_host
from protoprimer.fetch.wheels import sha256_of_file
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.formats.versions import parse_python_request
from protoprimer.graph import StateGraph
from protoprimer.project.locks_read import check_lock, marker_environment, read_lock
from protoprimer.project.plan import InstallStep, Plan, requirements_of_member
from protoprimer.pythons.choice import choose_interpreter
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.store.file_lock import disk_failure
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console
from protoprimer.system.files import remove_tree, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protoprimer.system.interpreter import Interpreter

__all__ = ["Bundle", "bundle_command"]

BUNDLE_NOTE = "bundle.json"
_STAGING = ".staging-"
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
    directory, platforms = os.path.abspath(command_line.operands[0]), command_line.texts("platform")
    for tag in platforms:
        _facts_of_platform(tag)
    state = configuration.state_directory
    if os.path.join(os.path.realpath(directory), "").startswith(os.path.join(os.path.realpath(state), "")):
        raise ConfigurationError("a bundle cannot be in the state directory", directory, "name another place")
    earlier = _files_of_bundle(directory)
    interpreters = _interpreters_to_serve(graph)
    check_lock(plan, lambda: interpreters[0])
    pythons = ["%d.%d" % tuple(one.version_info[:2]) for one in interpreters]
    whom = "Python %s on %s" % (", ".join(pythons), ", ".join(platforms) or "this host's platform")
    if command_line.has("dry-run"):
        raise DryRunEnds("would bundle %s, and the tools, for %s into %s" % (plan.summary(), whom, directory))
    import tempfile
    from shlex import quote

    try:
        prepare_state_directory(state)
    except InstallError:
        # It is for the log only.
        pass
    staging, is_new = "", not os.path.isdir(directory)
    try:
        os.makedirs(directory, exist_ok=True)
        # In the directory itself, which may be a disk of its own.
        staging = tempfile.mkdtemp(prefix=_STAGING, dir=directory)
        bundle = Bundle(plan, toolbox, console, staging)
        for interpreter in interpreters:
            for platform in platforms or (None,):
                with console.step("bundle for Python %s on %s" % (interpreter.version, platform or "this host")):
                    bundle.add(interpreter, platform)
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
    """Collects what a plan needs.

    :param staging: the directory that files are put into
    """

    def __init__(self, plan: Plan, toolbox: ToolBox, console: Console, staging: str) -> None:
        self.plan = plan
        self.toolbox = toolbox
        self.console = console
        self.staging = staging

    def add(self, interpreter: "Interpreter", platform: "str | None") -> None:
        """Fetch everything for one interpreter, on this host's or another platform.

        :raises InstallError: pip could not have something (exit code 6)
        :raises ToolAbsent: a tool's wheel could not be had (exit code 5)
        """
        import shutil

        facts = _facts_of_platform(platform) if platform else (None, None, None)
        uv_wheel = uv_wheel_for_host(*facts)
        if uv_wheel is None:
            self.console.warn("there is no uv for %s; the backends venv and virtualenv serve it" % platform)
        for path in self.toolbox.pinned_wheels(interpreter, uv_wheel):
            shutil.copy(path, self.staging)
        if self.plan.lock:
            self._add_pins(interpreter, platform)
        for step, deep in commands_of(self.plan):
            if deep:
                self._add_step(interpreter, platform, step)
        for project in self.plan.projects():
            if is_beyond_builds(interpreter) and project.editable and static_project_table(project) is not None:
                # The kernel writes its wheel; what would build it may not exist for this Python.
                continue
            table = project.metadata.table("build-system")
            requires = project.metadata.build_requires if "requires" in table else _DEFAULT_BUILD_REQUIREMENTS
            constraints = ["-c", self.plan.build_constraints] if self.plan.build_constraints else []
            self._fetch(interpreter, platform, constraints, requires)

    def _add_pins(self, interpreter: "Interpreter", platform: "str | None") -> None:
        markers = marker_environment(interpreter.executable, self.console)
        if platform:
            system, machine, _ = _facts_of_platform(platform)
            names = {"win32": ("nt", "Windows"), "darwin": ("posix", "Darwin")}.get(system, ("posix", "Linux"))
            markers.update(sys_platform=system, platform_machine=machine, os_name=names[0], platform_system=names[1])
        pins = read_lock(self.plan, markers)
        lines = [line for line in pins.hashed if " @ " not in line]
        for line in [line for line in pins.hashed if line not in lines] + pins.unhashed:
            self.console.warn("not bundled, since it is installed from where it is: " + line.split(" --hash")[0])
        self._fetch(interpreter, platform, ["--no-deps", "--require-hashes"], lines, pinned=True)

    def _add_step(self, interpreter: "Interpreter", platform: "str | None", step: InstallStep) -> None:
        """Fetch what a step asks for, less what comes from this repository."""
        import re

        siblings, lines = sources_of_step(step, self.plan.root)
        projects = step.projects + siblings
        arguments = [word for path in step.requirements for word in ("-r", path)]
        arguments += [word for path in step.constraints for word in ("-c", path)] + step.args
        lines = lines + step.lines
        for project in projects:
            if project.metadata.has_dynamic_dependencies and platform is None:
                arguments.append(requirement_for_pip(project))
            else:
                lines = lines + requirements_of_member(project)
        own = {normalized_project_name(one.metadata.name or "") for one in self.plan.projects() + siblings}
        names = [normalized_project_name(re.split(r"[^A-Za-z0-9._-]", line.strip())[0]) for line in lines]
        lines = [line for line, name in zip(lines, names) if name not in own]
        self._fetch(interpreter, platform, arguments, lines)

    def _fetch(
        self,
        interpreter: "Interpreter",
        platform: "str | None",
        arguments: "list[str]",
        lines: "list[str]",
        pinned: bool = False,
    ) -> None:
        """Have pip put what requirement lines and arguments name into the staging directory."""
        if not lines and (pinned or not set(arguments) - {"-c", self.plan.build_constraints}):
            return
        # What is built here has another hash than its source, which is what a lock knows.
        verb = ["download", "--dest"] if pinned or platform else ["wheel", "--wheel-dir"]
        arguments = verb + [self.staging] + arguments
        if platform:
            version = "%d.%d" % tuple(interpreter.version_info[:2])
            arguments += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", version]
            arguments += [word for tag in _tags_of_platform(platform) for word in ("--platform", tag)]
        what = "fetch what Python %s needs" % interpreter.version
        engine = PipBackend(self.toolbox, self.console, self.toolbox.settings)
        engine.run_pip(interpreter, interpreter.executable, self.plan, what, arguments, lines, [], pinned=pinned)


def _interpreters_to_serve(graph: StateGraph) -> "list[Interpreter]":
    names = ("command_line", "configuration", "console", "plan", "cache_directory", "toolbox")
    values = [graph.evaluate(name) for name in names]  # type: list[Any]
    line, configuration, console, plan, cache, toolbox = values
    if not line.has("python"):
        required = graph.evaluate("interpreter")  # type: Any
        return [required]
    downloads = configuration.get("python-downloads") and not line.has("dry-run")
    return [
        choose_interpreter(
            parse_python_request(text), toolbox, console, cache, configuration.root,
            downloads=downloads, offline=configuration.offline, place="--python",
        )
        for text in expanded_pythons(line.text("python"), plan, cache, console, True, "--python")
    ]  # fmt: skip


def _facts_of_platform(tag: str) -> "tuple[str, str, str]":
    """Return `sys.platform`, machine and C library of a wheel's platform tag."""
    import re

    match = re.match(r"(win32$|win_|macosx_\d+_\d+_|manylinux(?:1|2010|2014|_2_\d+)_|musllinux_1_\d+_)(\w*)$", tag)
    if match is None or (match.group(2) == "") != (tag == "win32"):
        advice = "such as manylinux_2_28_x86_64, musllinux_1_2_aarch64, macosx_14_0_arm64, win_amd64"
        raise UsageError("%s is no platform tag of wheels" % tag, "--platform", advice)
    family, machine = match.groups()
    if family.startswith("win"):
        return "win32", machine.upper() or "x86", ""
    if family.startswith("macosx"):
        return "darwin", machine, ""
    old = {"1": "5", "2010": "12", "2014": "17"}
    minor = old.get(family[len("manylinux") : -1], family.rstrip("_").rsplit("_", 1)[-1])
    return "linux", machine, "musl" if family.startswith("musl") else "glibc 2." + minor


def _tags_of_platform(tag: str) -> "list[str]":
    """Return the tags of wheels that a platform runs: a C library also runs what was built for older ones."""
    system, machine, libc = _facts_of_platform(tag)
    if system != "linux":
        return [tag]
    newest = int(libc.rpartition(".")[2] if libc != "musl" else tag.split("_")[2])
    if libc == "musl":
        return ["musllinux_1_%d_%s" % (minor, machine) for minor in range(newest, -1, -1)]
    tags = ["manylinux_2_%d_%s" % (minor, machine) for minor in range(newest, 4, -1)]
    legacy = (("2014", 17), ("2010", 12), ("1", 5))
    return tags + ["manylinux%s_%s" % (name, machine) for name, minor in legacy if minor <= newest]


def _files_of_bundle(directory: str) -> "list[str]":
    """Return the names in the bundle that is there, none if nothing is; refuse a directory of anything else."""
    advice = "name a directory that is new, empty, or an earlier bundle"
    place = directory
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise ConfigurationError("%s is no directory: nothing was written" % place, directory, advice)
    if place == directory and not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError("the directory cannot be read and written", directory, advice)
    if place != directory:
        return []
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
