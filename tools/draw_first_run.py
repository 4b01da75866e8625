"""Draw the picture of a first run that the README shows: real commands in a real clone, what they print as SVG.

./prime run -- python tools/draw_first_run.py
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "assets" / "first-run.svg"
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1"
dependencies = ["iniconfig"]

[dependency-groups]
dev = ["pytest"]
"""
TESTS = "from shop import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
COMMANDS = ["python3 proto_kernel.py init", "./prime", "./prime run -- pytest -q", "./prime"]


def made(where: Path) -> None:
    """Write a small library with tests, and the kernel."""
    for name, text in {
        "pyproject.toml": PROJECT,
        "src/shop/__init__.py": "def total(prices):\n    return sum(prices)\n",
        "tests/test_shop.py": TESTS,
    }.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(text, encoding="utf-8")
    kernel = [sys.executable, "-m", "protoprimer", "kernel", "write", str(where / "proto_kernel.py")]
    subprocess.run(kernel, check=True, capture_output=True)


def main() -> None:
    """Run the commands, and write the picture."""
    console = Console(record=True, width=104, file=io.StringIO())
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory, "shop")
        where.mkdir()
        made(where)
        for command in COMMANDS:
            console.print(Text("$ " + command, style="bold"))
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=where,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            )
            told = re.sub(r"\(\S*/(python3\.\d+), [^)]*\)", r"(/usr/bin/\1, this Python)", done.stdout)
            console.print(Text(told.rstrip("\n")) if told else Text("(silent: there is nothing to do)", style="dim"))
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="shop"), flags=re.DOTALL)
    PICTURE.write_text(svg.replace("Fira Code", "monospace") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
