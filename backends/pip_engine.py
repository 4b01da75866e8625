"""Installing and locking with pip."""

import json
import os
import re
from typing import Any, Sequence

from protoprimer.backends.base import Backend, Command, Job, file_options, path_to_keyring, run_installer, with_option
from protoprimer.backends.editables import adopt_editable, is_beyond_builds, why_not_buildable, write_editable
from protoprimer.errors import BackendError, InstallError
from protoprimer.fault import Fault
from protoprimer.fetch.wheels import remove_leftovers, sha256_of_file
from protoprimer.formats.requirements import normalized_name, read_requirement
from protoprimer.formats.toml import load_toml
from protoprimer.formats.versions import version_numbers
from protoprimer.project.asked import index_options
from protoprimer.project.locks_read import LockedPins, read_lock
from protoprimer.project.locks_written import pylock_text
from protoprimer.project.plan import NO_STEP, InstallStep, Plan, ProjectToInstall
from protoprimer.project.requirement_files import lines_without_hashes
from protoprimer.system.children import ChildResult
from protoprimer.system.files import names_in, remove_tree, sha256_of, write_atomically
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import file_url

__all__ = ["PipBackend", "requirement_for_pip"]

# Most of what is installed never runs. PIP_NO_COMPILE=1 would be taken for a wish to compile.
_INSTALL = ["install", "--no-compile", "--no-warn-script-location"]
_AS_LOCKED = ["--no-deps", "--require-hashes"]
_LOOK = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]


class PipBackend(Backend):
    """Installs with a pip from the cache."""

    name = "pip"

    def probe(self, interpreter: Interpreter, plan: Plan) -> "str | None":
        version = self.toolbox.pip(interpreter).version
        refusal = self.settings.refusal("pip") or _refused_source(plan)
        if refusal is not None:
            return refusal
        if self.settings.uploaded_prior_to and version_numbers(version) < (26,):
            return "the pip for Python %s cannot do what exclude-newer asks" % interpreter.version
        if version_numbers(version) < (23, 1) and "the command keyring" in "".join(self.settings.describe()):
            return "the pip for Python %s asks no command keyring (keyring-provider)" % interpreter.version
        if plan.resolution != "highest":
            return "pip cannot take the lowest versions (resolution %s)" % plan.resolution
        return why_not_buildable(interpreter, plan)

    def install_plan(self, interpreter: Interpreter, environment: str, plan: Plan) -> None:
        job = Job(interpreter, plan, environment)
        if plan.lock:
            pins = read_lock(plan, self.markers(interpreter))
            if pins.hashed:
                self._install_hashed(job, pins)
            if pins.unhashed:
                self._install(job, Command(NO_STEP._replace(lines=pins.unhashed), False), pinned=True)
        for command in self.commands(job):
            hashed, step = _hashed_files_apart(command.step, plan.root)
            if hashed:
                self.run_pip(job, "install", _INSTALL + ["--no-deps"] + hashed)
            self._install(job, command._replace(step=step))

    def _install_hashed(self, job: Job, pins: LockedPins) -> None:
        what, arguments = "install from %s" % job.plan.lock, _INSTALL + _AS_LOCKED
        # What lies in the repository is at hand.
        kept = [] if pins.links else self._kept_wheels(job, pins.hashed)
        if kept:
            try:
                self.run_pip(job, what, arguments, kept + pins.hashed, pinned=True)
                return
            except InstallError:
                # The cache may be empty by now.
                self.console.detail("the kept wheels could not be installed: the index is asked")
        self.run_pip(job, what, arguments, pins.lines_with_hashes(), pinned=True)

    def _kept_wheels(self, job: Job, pins: "list[str]") -> "list[str]":
        # The options with which pip takes the pins from the cache; none if they cannot all be there.
        if " @ " in "".join(pins):
            return []
        python = job.interpreter
        whom = (python.executable, python.version, python.platform, self.settings.uploaded_prior_to)
        store = os.path.join(self.toolbox.cache_directory, "pins")
        places = {pin: os.path.join(store, sha256_of(repr((whom, pin)).encode("utf-8"))) for pin in pins}
        try:
            for place in places.values():
                os.makedirs(place, exist_ok=True)
                os.utime(place)
            missing = [pin for pin, place in places.items() if not _is_whole(place, pin)]
            if missing:
                self._download(job._replace(environment=None), {pin: places[pin] for pin in missing}, store)
        except OSError:
            # That costs time, no more.
            return []
        except InstallError as error:
            if error.fault is not Fault.DISK:
                raise
            self.console.detail("the cache is full, so no wheels are kept")
            return []
        if not all(name.endswith(".whl") for place in places.values() for name in names_in(place)):
            return []
        return ["--no-index"] + ["--find-links " + file_url(place) for place in places.values()]

    def _download(self, job: Job, places: "dict[str, str]", store: str) -> None:
        import tempfile

        remove_leftovers(os.path.join(store, "download"))
        with tempfile.TemporaryDirectory(prefix="download.tmp-", dir=store) as directory:
            arguments = ["download", "-d", directory] + _AS_LOCKED
            self.run_pip(job, "install from %s" % job.plan.lock, arguments, list(places), pinned=True)
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                digest = sha256_of_file(path)
                for place in [place for pin, place in places.items() if digest in pin]:
                    os.replace(path, os.path.join(place, name))

    def _install(self, job: Job, command: Command, pinned: bool = False) -> None:
        import tempfile

        step, adopted, is_old = command.step, [], is_beyond_builds(job.interpreter)
        arguments = _INSTALL + ([] if command.deep else ["--no-deps"])
        # Else the pip for 3.6 builds a mere `setup.py` in the environment, without setuptools.
        arguments += ["--use-pep517"] if is_old else []
        with tempfile.TemporaryDirectory(prefix="protoprimer-") as directory:
            lines = list(step.lines)
            for project in step.projects:
                wheel = write_editable(project, directory) if is_old and project.editable else None
                if wheel is None:
                    arguments += _words_for_pip(project)
                else:
                    adopted.append(project)
                    lines.append("%s @ %s" % (_named(project), file_url(wheel)))
            what = "install from %s" % job.plan.lock if pinned else "install"
            arguments += file_options(step) + step.args
            self.run_pip(job, what, arguments, lines, pinned=pinned, index=command.only_index)
        for project in adopted:
            adopt_editable(project, job.environment or "")

    def lock(
        self, interpreter: Interpreter, plan: Plan, output: str, upgrade_all: bool, upgrade_packages: "list[str]"
    ) -> None:
        version = self.toolbox.pip(interpreter).version
        if os.path.basename(output) == "uv.lock":
            raise BackendError(
                "only uv can write uv.lock", output, "use the backend uv, or set `lock` to a pylock.toml"
            )
        if version_numbers(version) < (22, 2):
            cause = "pip %s, which Python %s can have, reports no resolution" % (version, interpreter.version)
            raise BackendError(cause, output, "use the backend uv to write the lock")
        job = Job(interpreter, plan)
        pins = [] if upgrade_all else _earlier_pins(output, set(map(normalized_name, upgrade_packages)))
        try:
            report = self._resolve(job, pins)
        except InstallError:
            if not pins:
                raise
            # The requirements no longer allow the earlier pins.
            report = self._resolve(job, [])
        ranges = [metadata.requires_python for metadata in plan.all_metadata()]
        own = [project.path for project in plan.projects()]
        text = pylock_text(report, os.path.dirname(output), own, ",".join(filter(None, ranges)) or None)
        write_atomically(output, text.encode("utf-8"))

    def _resolve(self, job: Job, pins: "list[str]") -> "dict[str, Any]":
        arguments, hashed, lines = [], [], []  # type: list[str], list[str], list[str]
        for command in self.commands(job, locking=True):
            files, step = _hashed_files_apart(command.step, job.plan.root)
            hashed += files
            arguments += [word for project in step.projects for word in _words_for_pip(project)]
            arguments += file_options(step) + step.args
            lines += step.lines
        if not arguments and not lines:
            # pip takes that for an error; uv locks nothing.
            return {"environment": self.markers(job.interpreter), "install": []}
        result = self.run_pip(job, "resolve", _LOOK + arguments, lines, pins, locking=True)
        report = json.loads(result.output)  # type: dict[str, Any]
        if hashed:
            # The same versions once more: these have hashes.
            result = self.run_pip(job, "resolve", _LOOK + ["--no-deps"] + hashed, locking=True)
            known = {entry["metadata"]["name"]: entry for entry in json.loads(result.output)["install"]}
            report["install"] = [known.get(entry["metadata"]["name"], entry) for entry in report["install"]]
        return report

    def run_pip(
        self,
        job: Job,
        what: str,
        arguments: "list[str]",
        lines: "Sequence[str]" = (),
        pins: "Sequence[str]" = (),
        locking: bool = False,
        pinned: bool = False,
        index: "str | None" = None,
    ) -> ChildResult:
        """Run pip with further requirement lines, and pins that bound them.

        :param pinned: the lines are a lock's, which knows of no constraints
        """
        import tempfile

        tool = self.toolbox.pip(job.interpreter)
        options, environ = self.settings.for_pip(locking=locking)
        if self.toolbox.beside_pip and not locking:
            environ["PIP_FIND_LINKS"] = environ.get("PIP_FIND_LINKS", "") + " " + file_url(self.toolbox.beside_pip)
        is_for_kept = "--no-index" in lines
        if pinned:
            environ.pop("PIP_CONSTRAINT", None)
            lines = index_options(job.plan, self.markers(job.interpreter)) + list(lines)
        else:
            pins = list(pins) + self.settings.constraint_lines()
        if index:
            environ.pop("PIP_EXTRA_INDEX_URL", None)
            environ["PIP_INDEX_URL"] = index
        if index or is_for_kept:
            environ.pop("PIP_FIND_LINKS", None)
        if job.plan.build_constraints:
            # In an older pip that for all constraints is the one that reaches builds.
            name = "PIP_BUILD_CONSTRAINT" if version_numbers(tool.version) >= (25, 3) else "PIP_CONSTRAINT"
            # As a URL, since pip splits at spaces.
            environ[name] = " ".join(filter(None, [environ.get(name), file_url(job.plan.build_constraints)]))
        environ.update(PIP_PROGRESS_BAR="off", PIP_ROOT_USER_ACTION="ignore")
        # In requirement files uv knows the root by this name.
        environ.setdefault("PROJECT_ROOT", os.environ.get("PROJECT_ROOT", job.plan.root))
        if {"blocked", "timed out", "TLS"} & {one.closed for one in self.toolbox.records}:
            environ["PIP_RETRIES"] = "0"
        if "PIP_KEYRING_PROVIDER" in environ and path_to_keyring(job.python):
            # pip passes over the command beside it.
            environ["PIP_KEYRING_PROVIDER"] = "import"
        command = [job.python] + tool.command[1:] + arguments + options
        with tempfile.TemporaryDirectory(prefix="protoprimer-") as directory:
            for option, name, content in (("-r", "requirements.txt", lines), ("-c", "pins.txt", pins)):
                if content:
                    path = os.path.join(directory, name)
                    write_atomically(path, "".join(line + "\n" for line in content).encode("utf-8"), durable=False)
                    command += [option, path]
            try:
                return run_installer(self.console, self.name, what, command, job.plan.root, environ)
            except InstallError as error:
                # To pip an index that refuses or fails has nothing.
                missing = re.search("No matching distribution found for ([A-Za-z0-9._-]+)", error.cause)
                closed = self.toolbox.why_not_found(missing.group(1)) if missing else None
                if closed is None:
                    raise
                first, _, rest = error.cause.partition("\n")
                cause = "%s: %s\n%s" % (first, closed.detail, rest)
                advice = closed.opens or "look at this index, and run again"
                fault = None  # type: Fault | None
                if closed.closed == "not found":
                    advice = "correct its name, or " + advice
                    fault = Fault.REQUIREMENTS
                raise InstallError(cause, error.place, advice, fault) from error


def _refused_source(plan: Plan) -> "str | None":
    projects = plan.workspace()[:1] + plan.all_metadata()
    keys = {normalized_name(key) for one in projects for key in one.uv_sources}
    for one in projects:
        required = {asked.normal_name for asked in map(read_requirement, one.build_requires) if asked}
        for name in sorted(required & keys):
            return "pip cannot take %s, which a build requires, from [tool.uv.sources] (%s)" % (name, one.pyproject)
    return None


def _is_whole(place: str, pin: str) -> bool:
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


def _hashed_files_apart(step: InstallStep, root: str) -> "tuple[list[str], InstallStep]":
    # pip takes nothing without a hash beside them. What a first command has installed satisfies the second.
    hashed, rest, lines = [], [], list(step.lines)
    for path in step.requirements:
        plain = lines_without_hashes(path, root) if step.projects or step.lines else None
        if plain is None:
            rest.append(path)
        else:
            hashed.append(path)
            lines += plain
    return with_option("-r", hashed), step._replace(requirements=rest, lines=lines)


def _named(project: ProjectToInstall) -> str:
    return (project.metadata.name or "") + ("[%s]" % ",".join(project.extras) if project.extras else "")


def requirement_for_pip(project: ProjectToInstall) -> str:
    """Return a project that is not to be editable as pip takes it."""
    # In a path, `;` would begin a marker.
    if ";" not in project.path:
        return project.requirement()
    return " @ ".join(filter(None, [_named(project), file_url(project.path)]))


def _words_for_pip(project: ProjectToInstall) -> "list[str]":
    return ["-e", project.requirement()] if project.editable else [requirement_for_pip(project)]


def _earlier_pins(output: str, forgotten: "set[str]") -> "list[str]":
    packages = load_toml(output).get("packages", []) if os.path.isfile(output) else []
    # What a URL leads to has another version once the URL is another.
    packages = [package for package in packages if "version" in package and not {"vcs", "archive"} & set(package)]
    pins = [(package["name"], package["version"]) for package in packages]
    return ["%s==%s" % pin for pin in pins if normalized_name(pin[0]) not in forgotten]
