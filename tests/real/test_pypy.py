"""PyPy, as the Python that happens to start the kernel, as the one that is required, and as a cell of a matrix."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable

    import clones

CLIENT = "import platform, sys\n\ndef main():\n    print(platform.python_implementation(), sys.argv[1:], sys.prefix)\n"


@pytest.fixture(scope="module")
def pypy() -> support.WildPython:
    """This machine's PyPy."""
    path = support.needed_tool("pypy3")
    asked = "import sys; print(*sys.version_info[:3])"
    major, minor, micro = subprocess.check_output([path, "-I", "-c", asked], timeout=60).split()
    return support.WildPython((int(major), int(minor), int(micro)), path)


def answer(clone: clones.Clone, *arguments: str) -> str:
    """Return what the client says of its interpreter, with the environment's directory named `.venv`."""
    place = os.path.realpath(clone.root / ".venv")
    return clone.run("./app", *arguments).output.replace(place, ".venv").strip()


@pytest.mark.backends_in_turn
def test_the_kernel_starts_from_pypy_and_uses_it_where_nothing_else_is_wanted(
    pypy: support.WildPython,
    backend: str,
    kernel: str,
    fetch_tools: Callable[[str], None],
    new_clone: Callable[..., clones.Clone],
) -> None:
    fetch_tools(backend)
    clone = new_clone(python=pypy).write({"client.py": CLIENT, "protoprimer.toml": f'backend = "{backend}"\n'})
    clone.project("demo").entry("prime", None, "boot").entry("app", "client:main")
    done = clone.prime()
    assert f"created an environment for PyPy {'%d.%d.%d' % pypy.version} " in done.errors
    assert answer(clone, "ä b", "") == "PyPy ['ä b', ''] .venv"
    assert clone.run(".venv/bin/python", "-c", "import demo; print(demo.NAME)").output == "demo\n"
    os.utime(clone.root / "pyproject.toml")
    for _ in range(2):
        again = clone.prime()
        assert (again.output, again.errors) == ("", "")
    assert clone.builds() == 1


def test_pypy_is_used_where_it_is_required_and_only_there(
    pypy: support.WildPython, new_clone: Callable[..., clones.Clone], fetch_tools: Callable[[str], None]
) -> None:
    fetch_tools("venv")
    clone = new_clone().write({"client.py": CLIENT, "protoprimer.toml": 'backend = "venv"\npython = "pypy"\n'})
    clone.entry("prime", None, "boot").entry("app", "client:main")
    # In a directory of its own: this PATH is shared with others.
    tools = clone.root.parent / "pypy"
    tools.mkdir()
    (tools / "pypy3").symlink_to(pypy.executable)
    clone.environ["PATH"] += os.pathsep + str(tools)
    assert answer(clone).startswith("PyPy ")
    (clone.root / "protoprimer.toml").write_text('backend = "venv"\n')
    assert answer(clone).startswith("CPython ")
    clone.write({"protoprimer.toml": 'backend = "venv"\n[matrix]\npython = ["pypy", ">=3.6"]\n'})
    rows = clone.prime("matrix", "--json", "--", "python", "-c", "pass").json()["cells"]
    assert {row["status"] for row in rows} == {"passed"}
    assert [row["interpreter"] for row in rows if "pypy" in row["name"]] == ["%d.%d.%d" % pypy.version]


def test_a_link_to_pypy_from_elsewhere_leads_to_its_standard_library(
    pypy: support.WildPython, tmp_path: Path, new_clone: Callable[..., clones.Clone], fetch_tools: Callable[[str], None]
) -> None:
    fetch_tools("venv")
    link = tmp_path / "it's a link"
    link.symlink_to(shutil.which("pypy3") or "")
    clone = new_clone().write({"client.py": CLIENT, "protoprimer.toml": 'backend = "venv"\npython-selector = "s.py"\n'})
    clone.write({"s.py": f"def select_python(required):\n    return {str(link)!r}\n"})
    clone.entry("app", "client:main")
    assert answer(clone).startswith("PyPy ")
