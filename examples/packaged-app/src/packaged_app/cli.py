"""The command line: `app WORD… [--settings FILE]`."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click
import tomli


def facts() -> dict[str, Any]:
    """Return what this process can tell of itself."""
    return {
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "argv": sys.argv,
        "pid": os.getpid(),
        "cwd": os.getcwd(),  # noqa: PTH109 - as the process sees it
        "leaked": sorted(name for name in os.environ if name.startswith("PROTOPRIMER_")),
        "environ": {name: os.environ.get(name) for name in ("PATH", "HOME", "VIRTUAL_ENV", "PYTHONPATH")},
        "source": os.path.abspath(__file__),  # noqa: PTH100 - as above
        "modules": {"click": click.__file__, "tomli": tomli.__file__},
    }


@click.command()
@click.argument("words", nargs=-1)
@click.option("--settings", type=click.File("rb"), help="A TOML file to show.")
@click.option("--status", type=int, default=0, help="The exit status to end with.")
def main(words: tuple[str, ...], settings: Any | None, status: int) -> None:
    """Print WORDS, the settings and the facts of this process as JSON."""
    report = {**facts(), "words": list(words), "settings": tomli.load(settings) if settings else None}
    click.echo(json.dumps(report, indent=2))
    sys.exit(status)
