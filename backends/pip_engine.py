"""Installing and locking with pip, for backends without an installer of their own."""

import os

from protoprimer.backends.base import Backend, commands_of, run_installer, verify_installed
from protoprimer.errors import BackendError, InstallError
from protoprimer.host import environment_python, write_atomically
from protoprimer.plan import InstallStep, Plan, normalized_name
from protoprimer.process import ChildResult
from protoprimer.pylock import marker_environment, pylock_text, read_lock
from protoprimer.toml import load_toml
from protoprimer.tools import ToolAbsent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.interpreters import Interpreter

__all__ = ["PipBackend"]


class PipBackend(Backend):
    """What backends share that install with pip: it runs from the cache, by the environment's interpreter."""

    def probe_pip(self, interpreter: "Interpreter", plan: Plan) -> "str | None":
        """Return why pip cannot install this plan for this interpreter, or `None` if it can."""
        try:
            self.toolbox.pip(interpreter)
        except ToolAbsent as absent:
            return str(absent)
        return None

    def tools(self, interpreter: "Interpreter") -> "dict[str, str]":
        """Return the versions of the tools that were used."""
        return {"pip": self.toolbox.pip(interpreter).version}

    def install(self, interpreter: "Interpreter", environment: str, plan: Plan) -> "dict[str, object]":
        if plan.lock:
            self._install_pins(interpreter, environment, plan)
        for step, deep in commands_of(plan):
            arguments = _arguments_of_step(step) + ([] if deep else ["--no-deps"])
            self._pip_install(interpreter, environment, plan, "install", arguments, step.lines)
        if plan.seed_pip:
            self.seed_pip(interpreter, environment)
        verify_installed(environment, plan, self.name)
        return self.facts(environment, self.tools(interpreter))

    def lock(
        self, interpreter: "Interpreter", plan: Plan, output: str, upgrade_all: bool, upgrade_packages: "list[str]"
    ) -> None:
        tool = self.toolbox.pip(interpreter)
        if os.path.basename(output) == "uv.lock":
            advice = "use the backend uv, or set `lock` to a pylock.toml"
            raise BackendError("only uv can write uv.lock", output, advice)
        if _version_tuple(tool.version) < (22, 2):
            cause = "pip %s, the newest for Python %s, cannot report what it resolved" % (tool.version, interpreter.version)
            raise BackendError(cause, output, "use the backend uv to write the lock")
        pins = [] if upgrade_all else _earlier_pins(output, {normalized_name(name) for name in upgrade_packages})
        try:
            report = self._resolve(interpreter, plan, pins)
        except InstallError:
            if not pins:
                raise
            # The requirements have moved away from the earlier pins.
            report = self._resolve(interpreter, plan, [])
        ranges = [member.metadata.requires_python for step in plan.steps for member in step.members]
        own = [project.path for project in plan.projects()]
        text = pylock_text(report, own, ",".join(filter(None, ranges)) or None)
        write_atomically(output, text.encode("utf-8"))

    def _resolve(self, interpreter: "Interpreter", plan: Plan, pins: "list[str]") -> "dict[str, object]":
        import json

        arguments = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
        lines = []  # type: list[str]
        for step in plan.steps:
            arguments += _arguments_of_step(step)
            lines += step.lines
        result = self._pip(interpreter, interpreter.executable, plan, "resolve", arguments, lines, pins, locking=True)
        report = json.loads(result.output)  # type: dict[str, object]
        return report

    def _pip_install(
        self, interpreter: "Interpreter", environment: str, plan: Plan, what: str, arguments: "list[str]", lines: "list[str]"
    ) -> None:
        self._pip(interpreter, environment_python(environment), plan, what, arguments, lines, [])

    def _pip(
        self,
        interpreter: "Interpreter",
        python: str,
        plan: Plan,
        what: str,
        arguments: "list[str]",
        lines: "list[str]",
        pins: "list[str]",
        locking: bool = False,
    ) -> ChildResult:
        """Run `pip install` by `python`, with further requirement lines and pins in files outside the environment."""
        import tempfile

        tool = self.toolbox.pip(interpreter)
        options, environ = self.settings.for_pip(locking=locking)
        environ = dict(tool.environment, **environ)
        # Bytecode is left to the first run that needs it: most of what is installed never runs.
        environ.update(PIP_NO_COMPILE="1", PIP_PROGRESS_BAR="off", PIP_ROOT_USER_ACTION="ignore", PYTHONIOENCODING="utf-8")
        environ.update(PIP_NO_WARN_SCRIPT_LOCATION="1", **_build_constraint_variables(tool.version, plan, environ))
        command = [python] + tool.command[1:] + ["install"] + options + arguments
        with tempfile.TemporaryDirectory(prefix="protoprimer-") as directory:
            for option, name, content in (("-r", "requirements.txt", lines), ("-c", "pins.txt", pins)):
                if content:
                    path = os.path.join(directory, name)
                    write_atomically(path, "".join(line + "\n" for line in content).encode("utf-8"))
                    command += [option, path]
            return run_installer(self.console, self.name, what, command, plan.root, environ)

    def _install_pins(self, interpreter: "Interpreter", environment: str, plan: Plan) -> None:
        pins = read_lock(plan, marker_environment(environment_python(environment), self.console))
        what = "install from %s" % plan.lock
        if pins.hashed:
            arguments = ["--no-deps", "--require-hashes"]
            self._pip_install(interpreter, environment, plan, what, arguments, pins.hashed)
        if pins.unhashed:
            self._pip_install(interpreter, environment, plan, what, ["--no-deps"], pins.unhashed)


def _arguments_of_step(step: InstallStep) -> "list[str]":
    arguments = []  # type: list[str]
    for project in step.projects:
        arguments += ["-e", project.requirement()] if project.editable else [project.requirement()]
    for option, paths in (("-r", step.requirements), ("-c", step.constraints)):
        for path in paths:
            arguments += [option, path]
    return arguments + step.args


def _build_constraint_variables(version: str, plan: Plan, environ: "dict[str, str]") -> "dict[str, str]":
    if not plan.build_constraints:
        return {}
    # An older pip knows no constraints of builds alone: there the variable for all constraints reaches builds too.
    name = "PIP_BUILD_CONSTRAINT" if _version_tuple(version) >= (25, 3) else "PIP_CONSTRAINT"
    path = plan.build_constraints
    if any(letter.isspace() for letter in path):
        # pip splits the variable at spaces.
        from urllib.request import pathname2url

        path = "file://" + pathname2url(path)
    return {name: (environ.get(name, "") + " " + path).strip()}


def _version_tuple(version: str) -> "tuple[int, ...]":
    import re

    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _earlier_pins(output: str, forgotten: "set[str]") -> "list[str]":
    if not os.path.isfile(output):
        return []
    packages = load_toml(output).get("packages", [])
    return [
        "%s==%s" % (package["name"], package["version"])
        for package in packages
        if "version" in package and normalized_name(package["name"]) not in forgotten
    ]
