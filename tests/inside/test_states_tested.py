"""examples/states-tested: states of a client, their unit tests, a pool of processes, and strict types, by ./prime run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable

    import clones


@pytest.mark.index
def test_the_example_runs_its_tests_its_pool_and_its_type_checker(new_clone: Callable[..., clones.Clone]) -> None:
    python = next(one for one in reversed(support.wild_pythons()) if one.version >= (3, 9, 0))
    clone = new_clone(python=python, **support.shared_caches())
    shutil.copytree(support.ROOT / "examples" / "states-tested", clone.root, dirs_exist_ok=True)
    clone.entry("prime", "counted.states:main", "boot")
    assert clone.prime().output == "5\n"
    assert "3 passed" in clone.prime("run", "--", "pytest", "-q", "-p", "no:cacheprovider").output
    assert "Success: no issues found" in clone.prime("run", "--", "mypy").output
    # Seen from any directory, by the module that the environment carries.
    script = "import protoprimer; print(protoprimer.get_config()['root'])"
    told = clone.run(str(clone.root / "prime"), "run", "--", "python", "-c", script, cwd=clone.root.parent)
    assert told.output.strip() == str(clone.root)
