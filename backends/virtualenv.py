"""The backend virtualenv, filled by pip."""

import os

from protoprimer.backends.base import run_installer
from protoprimer.backends.pip_engine import PipBackend
from protoprimer.project.plan import Plan
from protoprimer.system.interpreter import Interpreter

__all__ = ["VirtualenvBackend"]


class VirtualenvBackend(PipBackend):
    """Environments by virtualenv."""

    name = "virtualenv"

    def probe(self, interpreter: Interpreter, plan: Plan) -> "str | None":
        self.toolbox.virtualenv(interpreter)
        return super().probe(interpreter, plan)

    def create(self, interpreter: Interpreter, environment: str) -> None:
        tool, cwd = self.toolbox.virtualenv(interpreter), os.path.dirname(environment)
        # It names the interpreter already.
        command = tool.command + ["--no-seed", "--no-download", "--no-periodic-update", "--prompt=" + self.prompt]
        run_installer(self.console, self.name, "create an environment", command + [environment], cwd, tool.environment)
