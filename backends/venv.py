"""The backend venv, filled by pip."""

import os

from protoprimer.backends.base import run_installer
from protoprimer.backends.pip_engine import PipBackend
from protoprimer.project.plan import Plan
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.platform import is_windows

__all__ = ["VenvBackend"]


class VenvBackend(PipBackend):
    """Environments by `python -m venv`, without ensurepip."""

    name = "venv"

    def probe(self, interpreter: Interpreter, plan: Plan) -> "str | None":
        if not interpreter.has_venv:
            return "%s lacks the module venv of its standard library" % interpreter.executable
        return super().probe(interpreter, plan)

    def create(self, interpreter: Interpreter, environment: str) -> None:
        command = [interpreter.executable, "-I", "-m", "venv", "--without-pip", "--prompt=" + self.prompt]
        command += [environment] if is_windows() else ["--symlinks", environment]
        run_installer(self.console, self.name, "create an environment", command, os.path.dirname(environment), {})
