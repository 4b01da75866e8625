"""The backend uv: `uv venv`, `uv pip`, and `uv sync` where that does exactly what was asked."""

import os
import re

from protoprimer.backends.base import Backend, commands_of, path_to_keyring, run_installer
from protoprimer.backends.declarative import is_declarative
from protoprimer.backends.editables import is_beyond_builds, why_not_buildable
from protoprimer.errors import BackendError, InstallError
from protoprimer.fetch.wheels import ToolAbsent
from protoprimer.project.locks_read import load_lock, marker_environment, read_lock
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import InstallStep, Plan, ProjectToInstall
from protoprimer.project.uv_sources import sources_of_step
from protoprimer.system.paths import environment_python, is_utf8_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protoprimer.system.interpreter import Interpreter

__all__ = ["UvBackend"]


class UvBackend(Backend):
    """Environments by uv."""

    name = "uv"

    def probe(self, interpreter: "Interpreter", plan: Plan) -> "str | None":
        if is_beyond_builds(interpreter) and any(project.editable for project in plan.projects()):
            # It would need the build backend's build_editable, which setuptools has for 3.7 and newer only.
            return "uv cannot install an editable project into Python 3.6"
        refusal = self.settings.refusal("uv")
        if refusal is not None:
            return refusal
        files = [plan.lock] + [path for step in plan.steps for path in step.requirements + step.constraints]
        if not is_utf8_path(plan.root) and (any(files) or any(project.editable for project in plan.projects())):
            return "uv takes no file and no editable project whose path is not UTF-8"
        reason = why_not_buildable(interpreter, plan)
        if reason is not None:
            return reason
        try:
            # Last, as it may be downloaded for this.
            self.toolbox.uv()
        except ToolAbsent as absent:
            return str(absent)
        return None

    def create(self, interpreter: "Interpreter", environment: str) -> None:
        arguments = ["venv", "--no-project", "--no-config", "--python", interpreter.executable, environment]
        self._run("create an environment", arguments, os.path.dirname(environment), {})

    def tools(self, interpreter: "Interpreter") -> "dict[str, str]":
        return {"uv": self.toolbox.uv().version}

    def install_plan(self, interpreter: "Interpreter", environment: str, plan: Plan) -> None:
        follows_lock = self._takes_files_of_lock()
        is_for_sync = follows_lock and _is_for_sync(plan)
        try:
            if is_for_sync:
                self._sync(interpreter, environment, plan)
            elif plan.lock:
                self._install_pins(interpreter, environment, plan, follows_lock)
        except InstallError:
            # Whether the lock can be read at all is asked only now, as uv reads large ones in no time.
            load_lock(plan.lock or "")
            raise
        for step, deep in [] if is_for_sync else commands_of(plan):
            self._install_step(interpreter, environment, plan, step, deep)

    def lock(
        self, interpreter: "Interpreter", plan: Plan, output: str, upgrade_all: bool, upgrade_packages: "list[str]"
    ) -> None:
        upgrades = ["--upgrade"] if upgrade_all else []
        for name in upgrade_packages:
            upgrades += ["--upgrade-package", name]
        if os.path.basename(output) != "uv.lock":
            self._compile(interpreter, plan, output, upgrades)
            return
        if output != os.path.join(plan.root, "uv.lock"):
            raise BackendError("uv writes uv.lock at the root only", output, "set `lock` to a pylock.toml, or move it")
        self._lock_project(interpreter, plan, upgrades)

    def check_lock(self, interpreter: "Interpreter", plan: Plan) -> None:
        if plan.lock == os.path.join(plan.root, "uv.lock"):
            self._lock_project(interpreter, plan, ["--locked"])
        else:
            super().check_lock(interpreter, plan)

    def _lock_project(self, interpreter: "Interpreter", plan: Plan, arguments: "list[str]") -> None:
        options, environ = self.settings.for_uv(project=True, locking=True)
        arguments = ["lock", "--python", interpreter.executable] + arguments + options
        self._run("resolve uv.lock", arguments, plan.root, environ)

    def _run(
        self, what: str, arguments: "list[str]", cwd: str, environ: "dict[str, str]", lines: "list[str] | None" = None
    ) -> None:
        tool = self.toolbox.uv()
        everything = dict(tool.environment, **environ)
        everything.update(UV_NO_PROGRESS="1", UV_PYTHON_DOWNLOADS="never", UV_NO_ENV_FILE="1")
        text = "".join(line + "\n" for line in lines) if lines else None
        run_installer(self.console, self.name, what, tool.command + arguments, cwd, everything, text)

    def _takes_files_of_lock(self) -> bool:
        """Tell whether files may come from where the lock says, which a configured mirror or a bundle forbids."""
        return "UV_DEFAULT_INDEX" not in self.settings.for_uv(project=True)[1] and not self.settings.no_index

    def _sync(self, interpreter: "Interpreter", environment: str, plan: Plan) -> None:
        project = plan.steps[0].members[0]
        options, environ = self.settings.for_uv(project=True)
        arguments = [
            "sync",
            "--locked",
            "--inexact",
            "--no-default-groups",
            "--python",
            environment_python(environment),
        ]
        for option, names in (("--extra", project.extras), ("--group", project.groups)):
            for name in names:
                arguments += [option, name]
        if not project.editable:
            arguments.append("--no-editable")
        arguments += self._built_anew(interpreter, plan, plan.steps[0].members)
        environ["UV_PROJECT_ENVIRONMENT"] = environment
        self._run("install from uv.lock", arguments + options, plan.root, environ)

    def _pip_install(
        self,
        what: str,
        environment: str,
        plan: Plan,
        arguments: "list[str]",
        lines: "list[str]",
        pinned: bool = False,
        index: "str | None" = None,
    ) -> None:
        options, environ = self.settings.for_uv()
        environ.update(path_to_keyring(environment_python(environment)))
        if index:
            environ = {key: text for key, text in environ.items() if key not in ("UV_INDEX", "UV_FIND_LINKS")}
            environ["UV_DEFAULT_INDEX"] = index
            options = options + ["--no-config"]
        if pinned:
            environ.pop("UV_CONSTRAINT", None)
        arguments = ["pip", "install", "--python", environment_python(environment)] + options + arguments
        if lines:
            arguments += ["--requirements", "-"]
        if plan.resolution != "highest":
            arguments += ["--resolution", plan.resolution]
        if plan.build_constraints:
            arguments += ["--build-constraints", plan.build_constraints]
        for path in (path for path in plan.inputs().present if path.endswith(".whl")):
            # What uv keeps of a wheel of this name may be another one's content.
            arguments += ["--refresh-package", os.path.basename(path).partition("-")[0]]
        self._run(what, arguments, plan.root, environ, lines)

    def _install_pins(self, interpreter: "Interpreter", environment: str, plan: Plan, follows_lock: bool) -> None:
        lock = plan.lock or ""
        anew = self._built_anew(interpreter, plan, _projects_of_lock(lock)) if plan.lock_kind == "pylock.toml" else []
        if follows_lock and plan.lock_kind == "pylock.toml" and not _depends_on_choice(lock):
            options = ["--requirements", lock] + anew
            self._pip_install("install from " + lock, environment, plan, options, [], pinned=True)
            return
        pins = read_lock(plan, self._markers(interpreter))
        for lines, options in ((pins.hashed, ["--no-deps", "--require-hashes"]), (pins.unhashed, ["--no-deps"] + anew)):
            if lines:
                self._pip_install("install from " + lock, environment, plan, options, lines, pinned=True)

    def _markers(self, interpreter: "Interpreter") -> "dict[str, Any]":
        return marker_environment(interpreter.executable, self.console)

    def _install_step(
        self, interpreter: "Interpreter", environment: str, plan: Plan, step: InstallStep, deep: bool
    ) -> None:
        arguments = (list(step.args) if deep else ["--no-deps"]) + _files_of_step(step)
        arguments += self._built_anew(interpreter, plan, step.members + _projects_of_files(step, plan.root))
        lines = []
        for project in step.projects:
            words = _words_of_project(project, plan.root)
            if project.metadata.name:
                lines.append(" ".join(words))
            else:
                # Only with its name can uv be told to build it; as an argument, uv builds it each time.
                arguments += words
        sources = sources_of_step(step, plan.root, self._markers(interpreter), of_lines_only=True)
        for line, index in sources.indexes if deep else []:
            # What is there and satisfies what is asked for is left as it is by the step itself.
            self._pip_install("install", environment, plan, ["--no-deps"], [line], index=index)
        lines += [" ".join(_words_of_project(project, plan.root)) for project in sources.projects] + sources.lines
        self._pip_install("install", environment, plan, arguments, lines + step.lines)

    def _built_anew(self, interpreter: "Interpreter", plan: Plan, projects: "list[ProjectToInstall]") -> "list[str]":
        """Return the options by which uv builds what it may not keep of these projects and of their sources."""
        step = InstallStep(projects, [], [], [], [])
        found = projects + sources_of_step(step, plan.root, self._markers(interpreter)).projects
        anew = [project for project in found if plan.rebuild or not is_declarative(project)]
        names = {project.metadata.name for project in anew if project.metadata.is_package}
        options = [word for name in sorted(filter(None, names)) for word in ("--reinstall-package", name)]
        # What has no name that can be read is only built again where uv looks at everything again.
        return options + ["--refresh"] * (None in names and not self.settings.offline)

    def _compile(self, interpreter: "Interpreter", plan: Plan, output: str, upgrades: "list[str]") -> None:
        import shutil

        # Beside the lock, since its paths count from there; under a name of its own until it is whole.
        temporary = os.path.join(os.path.dirname(output), "pylock.protoprimer-%s.toml" % os.urandom(8).hex())
        options, environ = self.settings.for_uv(locking=True)
        arguments = ["pip", "compile", "--universal", "--format", "pylock.toml", "--no-header"]
        arguments += ["--output-file", temporary]
        arguments += ["--python", interpreter.executable, "--python-version", _oldest_python(interpreter, plan)]
        arguments += options + upgrades + ["-"]
        lines = []
        for step in plan.steps:
            # `compile` has no option for requirement files.
            arguments += step.requirements + _files_of_step(step._replace(requirements=[]))
            arguments += [arg for arg in step.args if arg.startswith("-")]
            sources = sources_of_step(step, plan.root, self._markers(interpreter), of_lines_only=True)
            for line, index in sources.indexes:
                cause = "uv pip cannot lock %s of a group from one index, %s, alone" % (line, self.console.mask(index))
                raise BackendError(cause, plan.root, 'set lock = "uv.lock", and lock again')
            projects = step.projects + sources.projects
            lines += [" ".join(_words_of_project(project, plan.root)) for project in projects]
            lines += step.lines + sources.lines + [arg for arg in step.args if not arg.startswith("-")]
        for project in plan.projects():
            arguments += ["--no-emit-package", project.metadata.name] if project.metadata.name else []
        try:
            if os.path.isfile(output):
                shutil.copyfile(output, temporary)
            self._run("resolve " + output, arguments, plan.root, environ, lines)
            os.replace(temporary, output)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)


def _words_of_project(project: ProjectToInstall, root: str) -> "list[str]":
    # In a path uv takes `#`, `;` and more for something else: it starts in the root.
    path = "./" + os.path.relpath(project.path, root) + project.requirement()[len(project.path) :]
    return ["-e", path] if project.editable else [path]


def _files_of_step(step: InstallStep) -> "list[str]":
    arguments = []
    for option, paths in (("--requirements", step.requirements), ("--constraints", step.constraints)):
        for path in paths:
            arguments += [option, path]
    return arguments


def _projects_of_files(step: InstallStep, root: str) -> "list[ProjectToInstall]":
    """Return the projects of this host that requirement files and arguments name."""
    lines = step.lines_of_files(root)
    return _projects_at([(path, line.is_editable) for line in lines for path in line.local_paths(root)])


def _projects_of_lock(lock: str) -> "list[ProjectToInstall]":
    """Return the projects of this repository that a `pylock.toml` has installed by their directories."""
    packages = load_lock(lock).get("packages", [])
    directories = [package["directory"] for package in packages if "directory" in package]
    base = os.path.dirname(lock)
    return _projects_at([(os.path.join(base, one["path"]), bool(one.get("editable"))) for one in directories])


def _projects_at(places: "list[tuple[str, bool]]") -> "list[ProjectToInstall]":
    found = [(read_project(os.path.normpath(path)), editable) for path, editable in places]
    return [ProjectToInstall(one.directory, editable, [], [], one) for one, editable in found if one is not None]


def _depends_on_choice(lock: str) -> bool:
    """Tell whether a `pylock.toml` has packages for some extras or groups only."""
    with open(lock, encoding="utf-8") as stream:
        text = stream.read()
    # Nor can uv read one with files that have no URL.
    has_mere_hashes = re.search(r"wheels = \[\s*\{ (name = \"[^\"]*\", )?hashes", text)
    return " in extras" in text or " in dependency_groups" in text or has_mere_hashes is not None


def _oldest_python(interpreter: "Interpreter", plan: Plan) -> str:
    """Return the oldest version every project of the plan supports: the lock is to serve them from there on."""
    found = []  # type: list[tuple[int, ...]]
    for project in (member for step in plan.steps for member in step.members):
        bounds = re.findall(r"(?:>=|~=|==)\s*(\d+)\.(\d+)", project.metadata.requires_python or "")
        found += [(int(major), int(minor)) for major, minor in bounds]
    return "%d.%d" % max(found or [tuple(interpreter.version_info[:2])])


def _is_for_sync(plan: Plan) -> bool:
    """Tell whether `uv sync` would install what the plan asks for: with anything else than one project it would not."""
    if plan.lock_kind != "uv.lock" or len(plan.steps) != 1 or plan.lock != os.path.join(plan.root, "uv.lock"):
        return False
    step = plan.steps[0]
    if step.requirements or step.constraints or step.args or plan.build_constraints or len(step.members) != 1:
        return False
    metadata = step.members[0].metadata
    # uv takes [project] without [build-system] for no package; others install it all the same.
    is_package = metadata.table("tool", "uv").get("package", metadata.has_build_system)
    return step.members[0].path == plan.root and metadata.has_project_table and metadata.is_package == is_package
