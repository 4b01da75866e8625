"""examples/states-tested: states of a client, their unit tests, a pool of processes, and strict types, by ./prime run."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable

    import clones


# What a client may use, with what a strict type checker is to make of it; the last line is wrong.
TYPED = """\
from collections.abc import Callable

import protoprimer
from protoprimer import Primer, PrimerError, StateGraph, boot_env, get_config, lazy, run_main, start_app, state

@state
def one(root: str) -> int:
    return len(root)

@state(name="two", target="second", replace=True)
def replaced(one: int, late: Callable[[], int] = lazy) -> str:
    return str(one + late())

def main(primer: Primer) -> None:
    primer.add_option("--x", default=1)
    primer.graph.provide("root", primer.root)
    reveal_type(one)
    reveal_type(replaced)
    reveal_type(get_config())
    reveal_type([run_main, start_app])
    reveal_type(boot_env)
    reveal_type(StateGraph([one]).evaluate("one"))
    reveal_type(protoprimer.__version__)
    reveal_type(PrimerError("cause").exit_code)
    get_config(1)
"""
REVEALED = [
    "def (root: str) -> int",
    "def (one: int, late: def () -> int =) -> str",
    "dict[str, Any]",
    "list[def (main: str, script: str | None =) -> Never]",
    "def (main: str | None =, script: str | None =) -> Never",
    "Any",
    "str",
    "int",
]


@pytest.mark.index
def test_the_example_runs_its_tests_its_pool_and_its_type_checker(new_clone: Callable[..., clones.Clone]) -> None:
    python = next(one for one in reversed(support.wild_pythons()) if one.version >= (3, 9, 0))
    clone = new_clone(python=python, **support.shared_caches())
    shutil.copytree(support.ROOT / "examples" / "states-tested", clone.root, dirs_exist_ok=True)
    clone.entry("prime", "counted.states:main", "boot")
    assert clone.prime().output == "5\n"
    assert "3 passed" in clone.prime("run", "--", "pytest", "-q", "-p", "no:cacheprovider").output
    assert "Success: no issues found" in clone.prime("run", "--", "mypy").output
    assert "no issues found" in clone.prime("run", "--", "mypy", "--strict", "tests").output
    # The carried module has types, which refuse a wrong use.
    clone.write({"typed.py": TYPED})
    typed = clone.prime("run", "--", "mypy", "--strict", "typed.py", status=1).output.replace("builtins.", "")
    assert re.findall('Revealed type is "(.*)"', typed) == REVEALED
    assert re.findall("typed.py:([0-9]+): error", typed) == [str(TYPED.count("\n"))]
    # Seen from any directory, by the module that the environment carries.
    script = "import protoprimer; print(protoprimer.get_config()['root'])"
    told = clone.run(str(clone.root / "prime"), "run", "--", "python", "-c", script, cwd=clone.root.parent)
    assert told.output.strip() == str(clone.root)
