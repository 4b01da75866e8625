"""The state `configuration_rendered`, target `show-configuration`: what is in force, with comments and colours."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neoprimer.meanings import MEANINGS
from protoprimer import Primer, PrimerError, state
from protoprimer.settings.schema import CLIENT_SCHEMA

if TYPE_CHECKING:
    from protoprimer.settings.command_line import CommandLine
    from protoprimer.settings.configuration import Configuration

__all__ = ["Rendering", "configuration_rendered", "configuration_text", "main", "rendering_settings"]


@dataclass(frozen=True)
class Rendering:
    """How the configuration is shown.

    :param meanings: whether each key's meaning stands above it
    :param defaults: whether keys that nothing sets are shown too
    :param theme: a style of Pygments
    """

    meanings: bool = True
    defaults: bool = True
    theme: str = "ansi_dark"


@state
def rendering_settings() -> Rendering:
    """How the configuration is shown."""
    return Rendering()


@state
def configuration_text(configuration: Configuration, rendering_settings: Rendering) -> str:
    """The configuration in force as TOML, with where each value comes from."""
    lines = [f"# root: {configuration.root}", f"# environment: {configuration.environment_name}"]
    for key in CLIENT_SCHEMA["properties"]:
        setting = configuration.settings.get(key)
        if key == "env" or not (setting or rendering_settings.defaults):
            continue
        if rendering_settings.meanings:
            lines += ["", *(f"# {sentence}" for sentence in _folded(MEANINGS[key]))]
        value = configuration.get(key)
        place = f"{setting.leap}: {configuration.place_of(key)}" if setting else "default"
        lines.append(f"# {key} is not set" if value is None else f"{key} = {_as_toml(value)}  # {place}")
    return "\n".join(lines) + "\n"


@state(target="show-configuration")
def configuration_rendered(configuration_text: str, rendering_settings: Rendering, command_line: CommandLine) -> None:
    """The configuration in force, shown with comments and colours."""
    color = command_line.text("color") or "auto"
    wanted = color == "always" or (color == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    if not wanted:
        sys.stdout.write(configuration_text)
        return
    try:
        from rich.console import Console
        from rich.syntax import Syntax
    except ImportError:
        raise PrimerError("rich is not installed", None, "add protoprimer[neo] to what is installed") from None
    syntax = Syntax(configuration_text.rstrip("\n"), "toml", theme=rendering_settings.theme, background_color="default")
    # As wide as the text: a line that is folded or padded would no longer be the file that it shows.
    width = max(map(len, configuration_text.splitlines())) + 1
    Console(force_terminal=True, width=width, color_system="standard", no_color=False).print(syntax, end="")


def main(primer: Primer) -> None:
    """Reach the target `show-configuration`; for `entry PATH neoprimer.rendering:main --boot`."""
    primer.default_target = "show-configuration"


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, 100)


def _as_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_as_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    # A string of JSON is one of TOML, where only U+007F must be escaped besides.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
