"""The commands by name."""

from typing import Any, Callable

from protoprimer.commands.boot import boot_command
from protoprimer.commands.bundle import bundle_command
from protoprimer.commands.check import check_command
from protoprimer.commands.completion import completion_command
from protoprimer.commands.env import env_command
from protoprimer.commands.eval import eval_command
from protoprimer.commands.gc import gc_command
from protoprimer.commands.graph import graph_command
from protoprimer.commands.lock import lock_command
from protoprimer.commands.matrix.command import matrix_command
from protoprimer.commands.run import run_command
from protoprimer.commands.shell import shell_command
from protoprimer.commands.uv import pip_command, uv_command

__all__ = ["COMMAND_FUNCTIONS"]

# The parameters of each name the states that it needs, as those of states do. Each returns the exit status, unless it
# becomes another program.
COMMAND_FUNCTIONS: "dict[str, Callable[..., Any]]" = {
    "boot": boot_command,
    "reboot": boot_command,
    "run": run_command,
    "shell": shell_command,
    "uv": uv_command,
    "pip": pip_command,
    "env": env_command,
    "lock": lock_command,
    "eval": eval_command,
    "check": check_command,
    "gc": gc_command,
    "graph": graph_command,
    "matrix": matrix_command,
    "bundle": bundle_command,
    "completion": completion_command,
}
