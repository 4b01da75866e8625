"""What `eval`, `check` and `get_config` say of the environment, from anywhere in it and from any directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import support

if TYPE_CHECKING:
    from collections.abc import Callable

    import clones

    NewClone = Callable[..., clones.Clone]

KEYS = ("environment-path", "environment-python", "environment-python-version")


def test_eval_and_check_tell_the_environments_path_and_python_once_there_is_one(new_clone: NewClone) -> None:
    clone = new_clone().write({"requirements.txt": ""}).entry("prime", None, "boot")
    for command, status in (("eval", 0), ("check", 1)):
        assert [clone.prime(command, "--json", status=status).json()[key] for key in KEYS] == [None] * 3
    clone.prime()
    python = support.default_python()
    for command in ("eval", "check"):
        told = clone.prime(command, "--json").json()
        assert os.path.samefile(told["environment-path"], clone.generations()[-1])
        assert os.path.dirname(os.path.dirname(told["environment-python"])) == told["environment-path"]
        assert told["environment-python-version"] == ".".join(map(str, python.version))
        assert told["environment-path"] in clone.prime(command).output


def test_the_environment_of_a_shell_is_not_taken_for_that_of_another_clone(new_clone: NewClone) -> None:
    clone = new_clone().write({"requirements.txt": ""}).entry("prime", None, "boot")
    clone.prime()
    other = new_clone("other").write({"requirements.txt": ""}).entry("prime", None, "boot")
    script = str(other.root / "prime")
    told = clone.prime("run", "--", "python", script, "eval", "--json").json()
    assert told["root"] == str(other.root)
    assert told["environment-path"] is None
