"""The backend uv: `uv venv`, `uv pip`, and `uv sync` where that does exactly what was asked."""

import os
import re
from typing import Sequence

from protoprimer.backends.base import Backend, Command, Job, file_options, path_to_keyring, run_installer, with_option
from protoprimer.backends.declarative import is_declarative
from protoprimer.backends.editables import is_beyond_builds, why_not_buildable
from protoprimer.backends.uv_reads import what_uv_cannot_read
from protoprimer.errors import BackendError
from protoprimer.fetch.wheels import remove_unused
from protoprimer.project.asked import index_options, sources_of_step
from protoprimer.project.build_inputs import local_sources
from protoprimer.project.locks_read import read_lock
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import NO_STEP, Plan, ProjectToInstall
from protoprimer.project.requirement_files import lines_of_arguments
from protoprimer.system.files import text_of
from protoprimer.system.interpreter import Interpreter

__all__ = ["UvBackend"]

# What uv does not take from a pylock.toml: markers for chosen extras and groups, and files that have no URL.
_ONLY_OURS = r" in (extras|dependency_groups)|wheels *= *\[\s*\{\s*(name *= *\"[^\"]*\" *, *)?hashes"

_AS_ARGUMENTS = ("--no-index", "--no-binary", "--only-binary")
_NOT_IN_FILES = _AS_ARGUMENTS + ("--trusted-host",)


class UvBackend(Backend):
    """Environments by uv."""

    name = "uv"

    def probe(self, interpreter: Interpreter, plan: Plan) -> "str | None":
        if any(project.editable for project in plan.projects()) and is_beyond_builds(interpreter):
            return "uv cannot install an editable project into Python 3.6"
        reason = self.settings.refusal("uv") or self._refused_line(plan) or why_not_buildable(interpreter, plan)
        if reason is None:
            # Last, as this may download it.
            self.toolbox.uv()
        return reason

    def _refused_line(self, plan: Plan) -> "str | None":
        index_url, others = self.settings.index_url or "", self.settings.extra_index_urls
        for line in [line for step in plan.steps for line in step.lines_of_files(plan.root)]:
            if line.path == plan.root:
                continue
            if not line.text:
                found = what_uv_cannot_read(line.path, plan.root)
                if found is not None:
                    return "uv cannot do what %s asks (%s)" % found
            # pip heeds these in a file; uv asks the host's index, or ignores them.
            asked = line.parts.value("--index-url")
            is_other = asked is not None and (others or asked != index_url)
            # uv wants these pinned by hashes as well.
            is_bound = line.parts.value("--require-hashes") is not None and self.settings.constraint_lines()
            if is_other or is_bound or line.parts.value("--pre") is not None:
                return "uv cannot do what %s asks (%s)" % (re.split("[= ]", line.text)[0], line.place)
        return None

    def create(self, interpreter: Interpreter, environment: str) -> None:
        arguments = ["venv", "--no-project", "--no-config", "--python", interpreter.executable]
        arguments += ["--prompt=" + self.prompt, environment]
        self._run("create an environment", arguments, os.path.dirname(environment), {})

    def leave_full_place(self) -> bool:
        return self.toolbox.leave_full_cache_of_uv()

    def install_plan(self, interpreter: Interpreter, environment: str, plan: Plan) -> None:
        job = Job(interpreter, plan, environment)
        # Unless a mirror or a bundle is configured.
        follows_lock = "UV_DEFAULT_INDEX" not in self.settings.for_uv(project=True)[1] and not self.settings.no_index
        if follows_lock and _is_for_sync(plan):
            self._sync(job)
            return
        if plan.lock:
            self._install_pins(job, plan.lock, follows_lock)
        for command in self.commands(job, of_lines_only=True):
            self._install(job, command)

    def lock(
        self, interpreter: Interpreter, plan: Plan, output: str, upgrade_all: bool, upgrade_packages: "list[str]"
    ) -> None:
        upgrades = ["--upgrade"] * upgrade_all + with_option("--upgrade-package", upgrade_packages)
        if os.path.basename(output) != "uv.lock":
            self._compile(Job(interpreter, plan), output, upgrades)
        elif output == os.path.join(plan.root, "uv.lock"):
            self._lock_project(interpreter, plan, upgrades)
        else:
            raise BackendError("uv writes uv.lock at the root only", output, "set `lock` to a pylock.toml, or move it")

    def check_lock(self, interpreter: Interpreter, plan: Plan) -> None:
        if plan.lock == os.path.join(plan.root, "uv.lock"):
            self._lock_project(interpreter, plan, ["--locked"])
        else:
            super().check_lock(interpreter, plan)

    def _lock_project(self, interpreter: Interpreter, plan: Plan, arguments: "list[str]") -> None:
        options, environ = self.settings.for_uv(project=True, locking=True)
        arguments = ["lock", "--python", interpreter.executable] + arguments + options
        self._run("resolve uv.lock", arguments, plan.root, environ)

    def _run(
        self, what: str, arguments: "list[str]", cwd: str, environ: "dict[str, str]", lines: "Sequence[str]" = ()
    ) -> None:
        tool = self.toolbox.uv()
        everything = dict(tool.environment, **environ)
        everything.update(UV_NO_PROGRESS="1", UV_PYTHON_DOWNLOADS="never", UV_NO_ENV_FILE="1")
        text = "".join(line + "\n" for line in lines) or None
        run_installer(self.console, self.name, what, tool.command + arguments, cwd, everything, text)

    def _sync(self, job: Job) -> None:
        (project,) = job.plan.members()
        options, environ = self.settings.for_uv(project=True)
        environ["UV_PROJECT_ENVIRONMENT"] = job.environment or ""
        arguments = ["sync", "--locked", "--inexact", "--no-default-groups", "--python", job.python]
        arguments += with_option("--extra", project.extras) + with_option("--group", project.groups)
        arguments += [] if project.editable else ["--no-editable"]
        arguments += self._built_anew(job, [project])
        self._run("install from uv.lock", arguments + options, job.plan.root, environ)

    def _install_pins(self, job: Job, lock: str, follows_lock: bool) -> None:
        anew = self._built_anew(job, _projects_at(job.plan.paths_in_lock()))
        if follows_lock and job.plan.lock_kind == "pylock.toml" and not re.search(_ONLY_OURS, text_of(lock)):
            self._pip_install(job, ["--requirements", lock] + anew, [], pinned=True)
            return
        pins = read_lock(job.plan, self.markers(job.interpreter))
        if pins.hashed:
            self._pip_install(job, ["--no-deps", "--verify-hashes"], pins.lines_with_hashes(), pinned=True)
        if pins.unhashed:
            self._pip_install(job, ["--no-deps"] + anew, pins.unhashed, pinned=True)

    def _install(self, job: Job, command: Command) -> None:
        step, root = command.step, job.plan.root
        arguments = ([] if command.deep else ["--no-deps"]) + step.args + file_options(step)
        places = [(path, line.is_editable) for line in step.lines_of_files(root) for path in line.local_paths(root)]
        arguments += self._built_anew(job, step.members + _projects_at(places))
        lines = list(step.lines)
        for project in step.projects:
            words = _words_for_uv(project, root)
            if project.metadata.name:
                lines.append(" ".join(words))
            else:
                # Without a name, uv cannot be told to build it; as an argument, it builds it each time.
                arguments += words
        self._pip_install(job, arguments, lines, index=command.only_index)

    def _pip_install(
        self, job: Job, arguments: "list[str]", lines: "list[str]", pinned: bool = False, index: "str | None" = None
    ) -> None:
        plan = job.plan
        options, environ = self.settings.for_uv()
        environ.update(path_to_keyring(job.python))
        if index:
            environ.pop("UV_INDEX", None)
            environ.pop("UV_FIND_LINKS", None)
            environ["UV_DEFAULT_INDEX"] = index
            options = options + ["--no-config"]
        if pinned:
            environ.pop("UV_CONSTRAINT", None)
            said = index_options(plan, self.markers(job.interpreter))
            # uv takes these as arguments; a URL may have a password, which nobody sees in a file.
            for option in [option for option in said if option.startswith(_AS_ARGUMENTS)]:
                options = options + option.split(" ", 1)
            lines = lines and [option for option in said if not option.startswith(_NOT_IN_FILES)] + lines
        options = options + _trusted_hosts(plan)
        arguments = ["pip", "install", "--python", job.python] + options + arguments
        arguments += ["--requirements", "-"] if lines else []
        arguments += ["--resolution", plan.resolution] if plan.resolution != "highest" else []
        arguments += ["--build-constraints", plan.build_constraints] if plan.build_constraints else []
        # What uv keeps under this name may be another wheel's content.
        names = [os.path.basename(path).partition("-")[0] for path in plan.inputs().present if path.endswith(".whl")]
        arguments += with_option("--refresh-package", names)
        self._run("install from %s" % plan.lock if pinned else "install", arguments, plan.root, environ, lines)

    def _built_anew(self, job: Job, projects: "list[ProjectToInstall]") -> "list[str]":
        step = NO_STEP._replace(members=projects)
        found = projects + sources_of_step(step, job.plan, self.markers(job.interpreter)).projects
        # Not those of the plan.
        own = [one.path for one in job.plan.members()]
        found += _projects_at([place for one in found for place in local_sources(one.metadata) if place[0] not in own])
        anew = [project for project in found if job.plan.rebuild or not is_declarative(project)]
        names = {project.metadata.name for project in anew if project.metadata.is_package}
        options = with_option("--reinstall-package", sorted(filter(None, names)))
        # What has no readable name is built again only by a look at everything.
        return options + ["--refresh"] * (None in names and not self.settings.offline)

    def _compile(self, job: Job, output: str, upgrades: "list[str]") -> None:
        import shlex
        import shutil

        plan, python = job.plan, ["--python", job.python, "--python-version", _oldest_python(job)]
        # Beside the lock, since its paths count from there.
        directory, stem = os.path.dirname(output), "pylock.protoprimer-"
        # Those of runs that were killed.
        remove_unused(directory, 3600, lambda name: name.startswith(stem))
        temporary = os.path.join(directory, "%s%s.toml" % (stem, os.urandom(8).hex()))
        options, environ = self.settings.for_uv(locking=True)
        options = options + _trusted_hosts(plan)
        arguments = ["pip", "compile", "--universal", "--format", "pylock.toml", "--no-header"]
        arguments += ["--output-file", temporary] + python + options + upgrades + ["-"]
        lines = []  # type: list[str]
        for step, _, _ in self.commands(job, of_lines_only=True, locking=True):
            # `compile` has no option for requirement files.
            arguments += step.requirements + with_option("-c", step.constraints)
            lines += [" ".join(_words_for_uv(project, plan.root)) for project in step.projects] + step.lines
            for line in lines_of_arguments(step.args, plan.root):
                if line.is_constraint:
                    arguments += [] if line.text else ["-c", line.path]
                elif line.text.startswith("-") and not line.is_editable:
                    arguments += shlex.split(line.text)
                else:
                    lines.append(line.text)
        names = [project.metadata.name for project in plan.projects()]
        arguments += with_option("--no-emit-package", list(filter(None, names)))
        try:
            if os.path.isfile(output):
                shutil.copyfile(output, temporary)
            self._run("resolve " + output, arguments, plan.root, environ, lines)
            os.replace(temporary, output)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)


def _trusted_hosts(plan: Plan) -> "list[str]":
    # What a requirement file says of them, uv ignores.
    lines = [line for step in plan.steps for line in step.lines_of_files(plan.root)]
    hosts = [host for line in lines if not line.target for host in line.parts.values("--trusted-host")]
    return with_option("--allow-insecure-host", dict.fromkeys(hosts))


def _words_for_uv(project: ProjectToInstall, root: str) -> "list[str]":
    # In an absolute path uv takes `#`, `;` and more for something else.
    path = "./" + os.path.relpath(project.path, root) + project.requirement()[len(project.path) :]
    return ["-e", path] if project.editable else [path]


def _projects_at(places: "list[tuple[str, bool]]") -> "list[ProjectToInstall]":
    found = [(read_project(path), editable) for path, editable in places]
    return [ProjectToInstall(one.directory, editable, [], [], one) for one, editable in found if one is not None]


def _oldest_python(job: Job) -> str:
    ranges = " ".join(metadata.requires_python or "" for metadata in job.plan.all_metadata())
    bounds = re.findall(r"(?:>=|~=|==)\s*(\d+)\.(\d+)", ranges)
    found = [tuple(map(int, bound)) for bound in bounds] or [tuple(job.interpreter.version_info[:2])]
    return "%d.%d" % max(found)


def _is_for_sync(plan: Plan) -> bool:
    if plan.lock != os.path.join(plan.root, "uv.lock") or len(plan.steps) != 1 or plan.build_constraints:
        return False
    (step,) = plan.steps
    if step.requirements or step.constraints or step.args or len(step.members) != 1:
        return False
    metadata = step.members[0].metadata
    # uv takes [project] without [build-system] for no package; others install it.
    is_package = metadata.table("tool", "uv").get("package", metadata.has_build_system)
    return step.members[0].path == plan.root and metadata.has_project_table and metadata.is_package == is_package
