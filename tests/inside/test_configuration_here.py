"""What `eval`, `check` and `get_config` say of the environment, from anywhere in it and from any directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import support

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import clones

    NewClone = Callable[..., clones.Clone]

ASK = "import json, protoprimer; print(json.dumps(protoprimer.get_config()))"
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
        # Paths of the repository are relative where people read them.
        path = told["environment-path"] if command == "eval" else os.path.relpath(told["environment-path"], clone.root)
        assert path in clone.prime(command).output


def test_the_environment_of_a_shell_is_not_taken_for_that_of_another_clone(new_clone: NewClone) -> None:
    clone = new_clone().write({"requirements.txt": ""}).entry("prime", None, "boot")
    clone.prime()
    other = new_clone("other").write({"requirements.txt": ""}).entry("prime", None, "boot")
    script = str(other.root / "prime")
    told = clone.prime("run", "--", "python", script, "eval", "--json").json()
    assert told["root"] == str(other.root)
    assert told["environment-path"] is None


def test_get_config_is_right_in_every_kind_of_process_and_from_any_directory(
    new_clone: NewClone, tmp_path: Path
) -> None:
    module = f"import os, subprocess, sys\nASK = {ASK!r}\ndef main():\n    os.chdir('/')\n    exec(ASK)\n"
    module += "def child():\n    os.chdir('/')\n    subprocess.run([sys.executable, '-c', ASK], check=True)\n"
    clone = new_clone().project("demo", module=module).entry("prime", None, "boot")
    clone.write({"proto_kernel.toml": 'root = "."\n'}).entry("cmd/main", "demo:main").entry("cmd/child", "demo:child")
    told = [
        clone.run("cmd/main").json(),
        clone.run("cmd/child").json(),
        clone.run(str(clone.root / "prime"), "run", "--", "python", "-c", ASK, cwd=tmp_path).json(),
    ]
    for one in told:
        assert one["root"] == str(clone.root)
        assert one["environment"] == "default"
        assert os.path.samefile(one["environment-path"], clone.generations()[-1])
        assert one["environment-python-version"] == ".".join(map(str, support.default_python().version))
