"""`./prime uv -- ARGS` and `./prime pip -- ARGS`."""

import os

from protoprimer.fetch.tools import ToolBox
from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import ready_environment
from protoprimer.runtime.switch import activated_environment, leave_protoprimer_variables
from protoprimer.settings.command_line import CommandLine
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import environment_python
from protoprimer.system.processes import become_command

__all__ = ["become_pip", "pip_command", "uv_command"]


def uv_command(command_line: CommandLine, toolbox: ToolBox) -> int:
    """Become the uv that this repository is pinned to."""
    uv = toolbox.uv().command[0]
    become_command(uv, [uv] + command_line.operands, leave_protoprimer_variables(dict(os.environ)))
    return 0


def pip_command(graph: StateGraph, command_line: CommandLine, interpreter: Interpreter, toolbox: ToolBox) -> int:
    """Become the verified pip, with the environment active."""
    become_pip(ready_environment(graph).path, interpreter, command_line.operands, toolbox)
    return 0


def become_pip(environment: str, interpreter: Interpreter, arguments: "list[str]", toolbox: ToolBox) -> None:
    """Become the verified pip, in an environment made from `interpreter`."""
    python, program = environment_python(environment), toolbox.pip(interpreter).command[1:]
    if arguments[:1] in (["install"], ["uninstall"]):
        told = "pip changes this environment only: to keep it in the next one, change the dependencies too"
        toolbox.console.say(told)
    become_command(python, [python] + program + arguments, activated_environment(dict(os.environ), environment))
