"""Entry scripts written by hand, as in examples/hand-written: each form from a wild Python and in the environment."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    NewClone = Callable[..., clones.Clone]

FORMS = ["seed_form.py", "by_path.py", "plain.py"]


@pytest.fixture
def example(new_clone: NewClone) -> clones.Clone:
    """Return the example, with the stand-alone kernel under its other name; its project needs no index here."""
    clone = new_clone(**support.shared_caches())
    shutil.copytree(support.ROOT / "examples" / "hand-written", clone.root, dirs_exist_ok=True)
    (clone.root / "tools" / "boot_kernel.py").write_text(clones.generated_kernel(), encoding="utf-8")
    return clone


@pytest.mark.index
def test_each_form_runs_the_client_from_a_wild_python_and_in_the_environment(
    example: clones.Clone, tmp_path: Path
) -> None:
    python = support.default_python().executable
    generation = None
    for form in FORMS:
        script = str(example.root / "cmd" / form)
        for command in ([script], [python, script], [script]):
            done = example.run(*command, "one", "it's two", status=7, cwd=tmp_path)
            told = done.json()
            assert told["arguments"] == ["one", "it's two"]
            assert told["variables"] == [], "no variable of ours reaches the client"
            generation = example.root / "app" / ".protoprimer"
            assert told["prefix"].startswith(str(generation))
        # Started by the environment's own interpreter there is nothing to do.
        inside = os.path.join(told["prefix"], "bin", "python")
        assert example.run(inside, script, status=7).json()["prefix"] == told["prefix"]
    assert len(list((example.root / "app" / ".protoprimer" / "envs").glob("*/protoprimer.json"))) == 1
    assert not (example.root / "tools" / ".protoprimer").exists(), "the primer file says where the root is"


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_in_the_environment_is_said_once_and_not_tried_for_ever(example: clones.Clone, form: str) -> None:
    shutil.rmtree(example.root / "app")
    clones.Clone(example.root / "app", example.environ, example.kernel).project("other")
    script = example.root / "cmd" / form
    done = example.run(str(script), status=6)
    assert "is not in the environment" in done.errors
    assert done.errors.count("building an environment") <= 1
    assert "Traceback" not in done.errors


def test_a_usual_primer_file_serves_a_kernel_of_another_name_and_two_are_refused(example: clones.Clone) -> None:
    os.rename(example.root / "tools" / "boot_kernel.toml", example.root / "tools" / "proto_kernel.toml")
    shutil.rmtree(example.root / "app")
    clones.Clone(example.root / "app", example.environ, example.kernel).project(
        "hand-app", module="def main(): print(1)\n"
    )
    assert example.run("cmd/plain.py").output == "1\n"
    example.write({"tools/boot_kernel.json": "{}"})
    assert "the configuration is in two places" in example.run("cmd/plain.py", status=3).errors
