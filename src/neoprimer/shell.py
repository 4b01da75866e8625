"""The state `shell_activated`, target `shell`: the user's shell with the environment active, after other states.

`./prime shell` gives a shell of the environment alone; this one comes after whatever a client wants done before.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protoprimer import Primer, state
from protoprimer.commands.shell import chosen_shell, enter_shell
from protoprimer.project.plan import prompt_label

if TYPE_CHECKING:
    from protoprimer.settings.configuration import Configuration
    from protoprimer.store.publishing import Environment
    from protoprimer.system.console import Console

__all__ = ["Shell", "main", "shell_activated", "shell_prepared", "shell_settings"]


@dataclass(frozen=True)
class Shell:
    """Which shell is started.

    :param name: its name or path; by default the user's
    :param command: what it runs before it ends; by default it reads stdin
    :param label: what marks the prompt; by default the project's name
    :param variables: further variables for it
    """

    name: str | None = None
    command: str | None = None
    label: str | None = None
    variables: tuple[tuple[str, str], ...] = ()


@state
def shell_settings() -> Shell:
    """Which shell is to be started."""
    return Shell()


@state
def shell_prepared() -> None:
    """What is to be done before the shell starts: nothing, unless a client replaces this."""


@state(target="shell")
def shell_activated(
    configuration: Configuration,
    environment: Environment,
    console: Console,
    shell_settings: Shell,
    shell_prepared: object,
) -> None:
    """The user's shell, with the environment active, takes over this process."""
    os.environ.update(shell_settings.variables)
    label = shell_settings.label or prompt_label(configuration)
    shell = chosen_shell(shell_settings.name, console)
    enter_shell(shell, shell_settings.command, environment.path, label)


def main(primer: Primer) -> None:
    """Reach the target `shell`; for `entry PATH neoprimer.shell:main --boot`."""
    primer.default_target = "shell"
