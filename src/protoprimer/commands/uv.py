"""`./prime uv -- ARGS` and `./prime pip -- ARGS`: tools that were verified, one as itself, one for this environment."""

import os

from protoprimer.fetch.tools import ToolBox
from protoprimer.graph import StateGraph
from protoprimer.runtime.readiness import ready_environment
from protoprimer.runtime.switch import activated_environment, leave_protoprimer_variables
from protoprimer.settings.command_line import CommandLine
from protoprimer.system.console import Console
from protoprimer.system.paths import environment_python
from protoprimer.system.processes import become_command

__all__ = ["pip_command", "uv_command"]


def uv_command(command_line: CommandLine, toolbox: ToolBox) -> int:
    """Become the uv that this repository is pinned to; nothing else is done, and no environment is needed."""
    uv = toolbox.uv().command[0]
    become_command(uv, [uv] + command_line.operands, leave_protoprimer_variables(dict(os.environ)))
    return 0


def pip_command(graph: StateGraph, command_line: CommandLine, toolbox: ToolBox, console: Console) -> int:
    """Become the verified pip, run by the environment's interpreter, with the environment active."""
    environment = ready_environment(graph)
    python, program = environment_python(environment.path), toolbox.pip(graph.evaluate("interpreter")).command[1:]
    if command_line.operands[:1] in (["install"], ["uninstall"]):
        console.say("pip changes this environment only: to keep it in the next one, change the dependencies too")
    variables = activated_environment(dict(os.environ), environment.path)
    become_command(python, [python] + program + command_line.operands, variables)
    return 0
