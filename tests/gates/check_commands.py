"""Every `./prime …` and `python -m protoprimer …` that the documentation shows exists; CI runs the README's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gates.sources import tracked_files
from protoprimer.errors import UsageError
from protoprimer.settings.command_line import COMMANDS
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTHOR_COMMANDS = ("init", "entry", "kernel write", "kernel verify", "kernel update")
SET_UP, TEST = "./prime", "./prime run -- pytest"


def problems() -> list[str]:
    """Return one line for each command that does not exist."""
    found = [problem for path in tracked_files("*.md") for problem in _unknown_commands(path)]
    own = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Work on protoprimer itself")[2]
    missing = [command for command in (SET_UP, TEST) if f"\n{command}\n" not in own]
    found += [f"README.md: does not show {command!r} as a command of its own" for command in missing]
    if f"exec {TEST}\n" not in (ROOT / ".ci" / "run").read_text(encoding="utf-8"):
        found.append(f".ci/run: does not end in the README's {TEST!r}")
    return found


def _unknown_commands(path: Path) -> Iterator[str]:
    from protoprimer.settings.command_line import parse_command_line

    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    # The prime of an example may run its application, which takes what we do not know.
    has_client = name.startswith("examples/")
    # What a console block shows is run: tests/real/test_docs.py.
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = line.lstrip("$ ").partition(" #")[0].split()
            if words[:1] == ["./prime"]:
                try:
                    parse_command_line("./prime", [word.strip("[]") for word in words[1:]], has_client)
                except UsageError as error:
                    yield f"{name}: {line.strip()}: {error.cause}"
            elif _author_command(words) and not _author_command(words).startswith(AUTHOR_COMMANDS):
                yield f"{name}: {line.strip()}: unknown command"
    for word in re.findall(r"`\./prime ([a-z]+)", text):
        if word not in COMMANDS:
            yield f"{name}: ./prime {word}: unknown command"


def _author_command(words: list[str]) -> str:
    """Return what an author asks of the package or of a kernel file; nothing for other commands."""
    if words[:3] == ["python", "-m", "protoprimer"]:
        return " ".join(words[3:])
    if words[:1] in (["python3"], ["py"]) and words[1:2] and words[1].endswith("kernel.py"):
        return " ".join(words[2:])
    return ""
