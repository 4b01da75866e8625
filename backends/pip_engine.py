"""Installing and locking with pip, for backends without an installer of their own."""

import os
import re

from protoprimer.backends.base import Backend, commands_of, path_to_keyring, run_installer
from protoprimer.backends.editables import (
    adopt_editable,
    is_beyond_builds,
    why_not_buildable,
    write_editable,
)
from protoprimer.errors import BackendError, InstallError
from protoprimer.fetch.wheels import ToolAbsent, remove_leftovers, sha256_of_file
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.formats.toml import load_toml
from protoprimer.formats.versions import version_numbers
from protoprimer.project.locks_read import marker_environment, read_lock
from protoprimer.project.locks_written import pylock_text
from protoprimer.project.plan import InstallStep, Plan, ProjectToInstall
from protoprimer.project.requirement_files import lines_without_hashes
from protoprimer.project.uv_sources import Sources, sources_of_step
from protoprimer.system.children import ChildResult
from protoprimer.system.files import remove_tree, sha256_of, write_atomically
from protoprimer.system.paths import environment_python, file_url, is_utf8_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protoprimer.system.interpreter import Interpreter

__all__ = ["PipBackend", "requirement_for_pip"]


# Bytecode is left to the first run that needs it: most of what is installed never runs. As a variable, PIP_NO_COMPILE=1
# would be taken for a wish to compile.
_INSTALL = ["install", "--no-compile", "--no-warn-script-location"]
_AS_LOCKED = ["--no-deps", "--require-hashes"]
# The pip for Python 3.6 builds a `setup.py` without `[build-system]` in the environment, which has no setuptools,
# unless it is told to isolate that build as every other.
_ISOLATED = ["--use-pep517"]


class PipBackend(Backend):
    """What backends share that install with pip: it runs from the cache, by the environment's interpreter."""

    name = "pip"

    def probe_pip(self, interpreter: "Interpreter", plan: Plan) -> "str | None":
        """Return why pip cannot install this plan for this interpreter, or `None` if it can."""
        try:
            self.toolbox.pip(interpreter)
        except ToolAbsent as absent:
            return str(absent)
        refusal = self.settings.refusal("pip")
        if refusal is not None:
            return refusal
        if self.settings.uploaded_prior_to and version_numbers(self.toolbox.pip(interpreter).version) < (26,):
            return "the pip for Python %s cannot do what exclude-newer asks" % interpreter.version
        if plan.resolution != "highest":
            return "pip cannot take the lowest versions (resolution %s)" % plan.resolution
        if plan.projects() and not is_utf8_path(plan.root):
            return "pip takes no project whose path is not UTF-8"
        return why_not_buildable(interpreter, plan)

    def tools(self, interpreter: "Interpreter") -> "dict[str, str]":
        return {"pip": self.toolbox.pip(interpreter).version}

    def install_plan(self, interpreter: "Interpreter", environment: str, plan: Plan) -> None:
        if plan.lock:
            pins = read_lock(plan, marker_environment(interpreter.executable, self.console))
            if pins.hashed:
                self._install_pins(interpreter, environment, plan, pins.hashed)
            if pins.unhashed:
                self._install_step(interpreter, environment, plan, InstallStep([], [], [], [], pins.unhashed), False)
        for step, deep in commands_of(plan):
            if deep:
                sources = self._sources(interpreter, step, plan)
                step = _step_with_sources(step, plan, sources)
                for line, index in sources.indexes:
                    # What is there and satisfies what is asked for is left as it is by the step itself.
                    arguments = _INSTALL + ["--no-deps"]
                    python = environment_python(environment)
                    self.run_pip(interpreter, python, plan, "install", arguments, [line], [], index=index)
                hashed, step = _hashed_files_apart(step)
                if hashed:
                    arguments, python = _INSTALL + ["--no-deps"] + hashed, environment_python(environment)
                    self.run_pip(interpreter, python, plan, "install", arguments, [], [])
            self._install_step(interpreter, environment, plan, step, deep)

    def _sources(self, interpreter: "Interpreter", step: InstallStep, plan: Plan) -> Sources:
        return sources_of_step(step, plan.root, marker_environment(interpreter.executable, self.console))

    def _install_pins(self, interpreter: "Interpreter", environment: str, plan: Plan, pins: "list[str]") -> None:
        what, python = "install from %s" % plan.lock, environment_python(environment)
        *kept, indexes = self._places_of_pins(interpreter, plan, pins)
        for places in kept:
            try:
                self.run_pip(interpreter, python, plan, what, _INSTALL + _AS_LOCKED, places + pins, [], pinned=True)
                return
            except InstallError:
                # The cache may have been emptied in this moment.
                self.console.detail("the kept wheels could not be installed: the index is asked")
        self.run_pip(interpreter, python, plan, what, _INSTALL + _AS_LOCKED, indexes + pins, [], pinned=True)

    def _places_of_pins(self, interpreter: "Interpreter", plan: Plan, pins: "list[str]") -> "list[list[str]]":
        """Return where pip is to look for pins, to try in turn: in the user's cache where that has all, at the indexes.

        Which of a pin's files it is, and how it is had, is for pip to know: it is asked once, by a download. What it
        took is kept for the pin and this interpreter.
        """
        import tempfile

        if " @ " in "".join(pins):
            return [[]]
        whom = (interpreter.executable, interpreter.version, interpreter.platform, self.settings.uploaded_prior_to)
        store = os.path.join(self.toolbox.cache_directory, "pins")
        places = {pin: os.path.join(store, sha256_of(repr((whom, pin)).encode("utf-8"))) for pin in pins}
        try:
            for place in places.values():
                os.makedirs(place, exist_ok=True)
                # What is in use is not collected.
                os.utime(place)
            missing = [pin for pin, place in places.items() if not _is_whole(place, pin)]
            if missing:
                remove_leftovers(os.path.join(store, "download"))
                with tempfile.TemporaryDirectory(prefix="download.tmp-", dir=store) as directory:
                    python, options = interpreter.executable, ["download", "-d", directory] + _AS_LOCKED
                    what = "install from %s" % plan.lock
                    self.run_pip(interpreter, python, plan, what, options, missing, [], pinned=True)
                    for name in os.listdir(directory):
                        path = os.path.join(directory, name)
                        digest = sha256_of_file(path)
                        for place in [places[pin] for pin in missing if digest in pin]:
                            os.replace(path, os.path.join(place, name))
            if all(name.endswith(".whl") for place in places.values() for name in os.listdir(place)):
                return [["--no-index"] + ["--find-links " + file_url(place) for place in places.values()], []]
        except OSError:
            # A cache that cannot be written costs time, no more.
            pass
        return [[]]

    def _install_step(
        self, interpreter: "Interpreter", environment: str, plan: Plan, step: InstallStep, deep: bool
    ) -> None:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="protoprimer-") as directory:
            wheels = _written_editables(interpreter, step, directory)
            lines = ["%s @ %s" % (_named(project), file_url(wheel)) for project, wheel in wheels.items()] + step.lines
            arguments = _arguments_of_step(step, wheels)
            # What comes before all steps is the lock's, which knows of no constraints.
            pinned = not (deep or step.projects)
            what = "install from %s" % plan.lock if pinned else "install"
            if arguments or lines:
                arguments = _INSTALL + arguments + ([] if deep else ["--no-deps"])
                arguments += _ISOLATED if is_beyond_builds(interpreter) else []
                python = environment_python(environment)
                self.run_pip(interpreter, python, plan, what, arguments, lines, [], pinned=pinned)
        for project in wheels:
            adopt_editable(project, environment)

    def lock(
        self, interpreter: "Interpreter", plan: Plan, output: str, upgrade_all: bool, upgrade_packages: "list[str]"
    ) -> None:
        tool = self.toolbox.pip(interpreter)
        if os.path.basename(output) == "uv.lock":
            advice = "use the backend uv, or set `lock` to a pylock.toml"
            raise BackendError("only uv can write uv.lock", output, advice)
        if version_numbers(tool.version) < (22, 2):
            cause = "pip %s, which Python %s can have, reports no resolution" % (tool.version, interpreter.version)
            raise BackendError(cause, output, "use the backend uv to write the lock")
        pins = [] if upgrade_all else _earlier_pins(output, set(map(normalized_project_name, upgrade_packages)))
        try:
            report = self._resolve(interpreter, plan, pins)
        except InstallError:
            if not pins:
                raise
            # The requirements have moved away from the earlier pins.
            report = self._resolve(interpreter, plan, [])
        ranges = [member.metadata.requires_python for step in plan.steps for member in step.members]
        own = [project.path for project in plan.projects()]
        text = pylock_text(report, os.path.dirname(output), own, ",".join(filter(None, ranges)) or None)
        write_atomically(output, text.encode("utf-8"))

    def _resolve(self, interpreter: "Interpreter", plan: Plan, pins: "list[str]") -> "dict[str, Any]":
        import json

        look = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
        arguments, hashed, lines = [], [], []  # type: list[str], list[str], list[str]
        for step in plan.steps:
            sources = self._sources(interpreter, step, plan)
            for line, index in sources.indexes:
                cause = "pip cannot lock %s from one index, %s, alone" % (line, self.console.mask(index))
                raise BackendError(cause, plan.root, "use the backend uv to write the lock")
            files, step = _hashed_files_apart(_step_with_sources(step, plan, sources))
            hashed += files
            arguments += _arguments_of_step(step, {})
            lines += step.lines
        python = interpreter.executable
        if not any((step.projects, step.requirements, step.args, step.lines) for step in plan.steps):
            # pip takes that for an error; uv locks nothing.
            return {"environment": marker_environment(python, self.console), "install": []}
        result = self.run_pip(interpreter, python, plan, "resolve", look + arguments, lines, pins, locking=True)
        report = json.loads(result.output)  # type: dict[str, Any]
        if hashed:
            # The same versions once more, as far as they have hashes: these files are pinned.
            arguments = look + ["--no-deps"] + hashed
            result = self.run_pip(interpreter, python, plan, "resolve", arguments, [], [], locking=True)
            known = {entry["metadata"]["name"]: entry for entry in json.loads(result.output)["install"]}
            report["install"] = [known.get(entry["metadata"]["name"], entry) for entry in report["install"]]
        return report

    def run_pip(
        self,
        interpreter: "Interpreter",
        python: str,
        plan: Plan,
        what: str,
        arguments: "list[str]",
        lines: "list[str]",
        pins: "list[str]",
        locking: bool = False,
        pinned: bool = False,
        index: "str | None" = None,
    ) -> ChildResult:
        """Run pip by `python`, with further requirement lines and pins in files outside the environment.

        :param what: as for `run_installer`
        :param locking: as for `IndexSettings.for_pip`
        :param pinned: the lines are a lock's, which knows of no constraints
        :param index: the only index to ask
        :raises InstallError: pip says that it failed (exit 6)
        """
        import tempfile

        tool = self.toolbox.pip(interpreter)
        options, environ = self.settings.for_pip(locking=locking)
        if pinned:
            environ.pop("PIP_CONSTRAINT", None)
        else:
            pins = pins + self.settings.constraint_lines()
        if index:
            environ = {
                key: value for key, value in environ.items() if key not in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")
            }
            environ["PIP_INDEX_URL"] = index
        if "--no-index" in lines:
            environ.pop("PIP_FIND_LINKS", None)
        environ.update(_build_constraint_variables(tool.version, plan, environ))
        environ.update(PIP_PROGRESS_BAR="off", PIP_ROOT_USER_ACTION="ignore")
        if "PIP_KEYRING_PROVIDER" in environ and path_to_keyring(python):
            # pip passes over the command that is installed beside it.
            environ["PIP_KEYRING_PROVIDER"] = "import"
        command = [python] + tool.command[1:] + arguments + options
        with tempfile.TemporaryDirectory(prefix="protoprimer-") as directory:
            for option, name, content in (("-r", "requirements.txt", lines), ("-c", "pins.txt", pins)):
                if content:
                    path = os.path.join(directory, name)
                    write_atomically(path, "".join(line + "\n" for line in content).encode("utf-8"), durable=False)
                    command += [option, path]
            try:
                return run_installer(self.console, self.name, what, command, plan.root, environ)
            except InstallError as error:
                # pip takes an index that refuses or fails for one that has nothing, and does not say so.
                missing = re.search("No matching distribution found for ([A-Za-z0-9._-]+)", error.cause)
                closed = self.toolbox.why_not_found(missing.group(1)) if missing else None
                if closed is None:
                    raise
                first, _, rest = error.cause.partition("\n")
                advice = closed.opens or "look at this index, and run again"
                raise InstallError("%s: %s\n%s" % (first, closed.detail, rest), error.place, advice) from error


def _is_whole(place: str, pin: str) -> bool:
    """Tell whether a place holds one file of the pin's; pip would also see what else is there, so that goes."""
    kept = 0
    for name in sorted(os.listdir(place)):
        path = os.path.join(place, name)
        if not kept and sha256_of_file(path) in pin:
            kept += 1
        elif os.path.isdir(path):
            remove_tree(path)
        else:
            os.unlink(path)
    return kept == 1


def _step_with_sources(step: InstallStep, plan: Plan, sources: Sources) -> InstallStep:
    own = [project.path for project in plan.projects()]
    members = step.members + [project for project in sources.projects if project.path not in own]
    return step._replace(members=members, lines=step.lines + sources.lines)


def _hashed_files_apart(step: InstallStep) -> "tuple[list[str], InstallStep]":
    """Return options for the requirement files that have hashes, and the step with their lines but without the hashes.

    pip takes nothing without a hash beside them, hence no project. What the first of two commands has installed by
    its hash satisfies the second, which brings the rest.
    """
    plain = {path: lines_without_hashes(path) for path in step.requirements if step.projects or step.lines}
    hashed = [path for path, lines in plain.items() if lines is not None]
    rest = [path for path in step.requirements if path not in hashed]
    lines = step.lines + [line for path in hashed for line in plain[path] or []]
    options = [word for path in hashed for word in ("-r", path)]
    return options, step._replace(requirements=rest, lines=lines)


def _written_editables(interpreter: "Interpreter", step: InstallStep, directory: str) -> "dict[ProjectToInstall, str]":
    """Return the wheels, written into `directory`, of those projects that only the kernel can make editable."""
    if not is_beyond_builds(interpreter):
        return {}
    found = {project: write_editable(project, directory) for project in step.projects if project.editable}
    return {project: wheel for project, wheel in found.items() if wheel is not None}


def _named(project: ProjectToInstall) -> str:
    return (project.metadata.name or "") + ("[%s]" % ",".join(project.extras) if project.extras else "")


def requirement_for_pip(project: ProjectToInstall) -> str:
    """Return a project that is not to be editable as pip takes it: in a path, `;` would begin a marker."""
    if ";" not in project.path:
        return project.requirement()
    return " @ ".join(filter(None, [_named(project), file_url(project.path)]))


def _arguments_of_step(step: InstallStep, wheels: "dict[ProjectToInstall, str]") -> "list[str]":
    arguments = []  # type: list[str]
    for project in (project for project in step.projects if project not in wheels):
        arguments += ["-e", project.requirement()] if project.editable else [requirement_for_pip(project)]
    for option, paths in (("-r", step.requirements), ("-c", step.constraints)):
        for path in paths:
            arguments += [option, path]
    return arguments + step.args


def _build_constraint_variables(version: str, plan: Plan, environ: "dict[str, str]") -> "dict[str, str]":
    """Return the variables with which this pip keeps isolated builds to the plan's constraints."""
    if not plan.build_constraints:
        return {}
    # An older pip knows no constraints of builds alone: there the variable for all constraints reaches builds too.
    name = "PIP_BUILD_CONSTRAINT" if version_numbers(version) >= (25, 3) else "PIP_CONSTRAINT"
    path = plan.build_constraints
    if any(letter.isspace() for letter in path):
        # pip splits the variable at spaces.
        path = file_url(path)
    return {name: (environ.get(name, "") + " " + path).strip()}


def _earlier_pins(output: str, forgotten: "set[str]") -> "list[str]":
    if not os.path.isfile(output):
        return []
    packages = load_toml(output).get("packages", [])
    return [
        "%s==%s" % (package["name"], package["version"])
        for package in packages
        if "version" in package and normalized_project_name(package["name"]) not in forgotten
    ]
