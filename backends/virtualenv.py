"""The backend virtualenv: its environments, filled by the shared pip engine."""

import os

from protoprimer.backends.base import run_installer
from protoprimer.backends.pip_engine import PipBackend
from protoprimer.fetch.wheels import ToolAbsent
from protoprimer.project.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.system.interpreter import Interpreter

__all__ = ["VirtualenvBackend"]


class VirtualenvBackend(PipBackend):
    """Environments by virtualenv, which serves interpreters whose venv is missing."""

    name = "virtualenv"

    def probe(self, interpreter: "Interpreter", plan: Plan) -> "str | None":
        try:
            self.toolbox.virtualenv(interpreter)
        except ToolAbsent as absent:
            return str(absent)
        return self.probe_pip(interpreter, plan)

    def create(self, interpreter: "Interpreter", environment: str) -> None:
        tool = self.toolbox.virtualenv(interpreter)
        # The command names the interpreter already.
        arguments = tool.command + ["--no-seed", "--no-download", "--no-periodic-update", environment]
        cwd = os.path.dirname(environment)
        run_installer(self.console, self.name, "create an environment", arguments, cwd, tool.environment)

    def tools(self, interpreter: "Interpreter") -> "dict[str, str]":
        return dict(super().tools(interpreter), virtualenv=self.toolbox.virtualenv(interpreter).version)
