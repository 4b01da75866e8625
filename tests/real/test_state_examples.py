"""The examples whose point is what clients add: from a fresh clone, through each backend, as their READMEs say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable

    from clones import Clone

    NewClone = Callable[..., Clone]

pytestmark = [pytest.mark.index, pytest.mark.backends_in_turn]

COMMANDS = {
    "guarded-repository": [["init"], ["entry", "prime", "steps:main", "--boot", "--force"]],
    "split-layout": [
        ["kernel", "write", "tools/proto_kernel.py"],
        ["entry", "cmd/serve", "split_app:main", "--boot", "--kernel", "tools/proto_kernel.py"],
    ],
}
KERNELS = {"guarded-repository": "proto_kernel.py", "split-layout": "tools/proto_kernel.py"}


@pytest.fixture
def adopt(new_clone: NewClone, backend: str, kernel: str) -> Callable[[str], Clone]:
    """Return a function that makes a fresh clone of an example, with what its author committed."""

    def make(name: str) -> Clone:
        clone = new_clone("it's a clone", **support.shared_caches(), PROTOPRIMER_BACKEND=backend)
        left_out = shutil.ignore_patterns("__pycache__", "var", ".venv", ".protoprimer", "*.egg-info")
        shutil.copytree(support.ROOT / "examples" / name, clone.root, ignore=left_out, dirs_exist_ok=True)
        support.git("init", "-q", where=clone.root)
        (clone.root / "cmd").mkdir()
        readme = (clone.root / "README.md").read_text(encoding="utf-8")
        for command in COMMANDS[name]:
            assert "\npython -m protoprimer " + " ".join(command) + "\n" in readme, (
                "the README tells what the author ran"
            )
            subprocess.run(
                [sys.executable, "-m", "protoprimer", *command],
                cwd=clone.root,
                env={**os.environ, "PYTHONPATH": str(support.ROOT / "src")},
                stderr=subprocess.PIPE,
                timeout=120,
                check=True,
            )
        support.put_kernel(clone.root / KERNELS[name], kernel)
        support.git("add", "-A", where=clone.root)
        support.git("commit", "-qm", "adopt protoprimer", where=clone.root)
        more_tools = clone.root.parent / "more tools"
        more_tools.mkdir()
        # What pre-commit writes for git is run by bash.
        (more_tools / "bash").symlink_to(support.needed_tool("bash"))
        clone.environ["PATH"] += os.pathsep + str(more_tools)
        return clone

    return make


def status_of(clone: Clone) -> list[str]:
    return support.git("status", "--porcelain", where=clone.root).splitlines()


def test_a_guarded_repository_is_ready_or_says_why_not(adopt: Callable[[str], Clone]) -> None:
    clone = adopt("guarded-repository")
    refused = clone.prime("-q", status=1)
    assert refused.errors.startswith("error: there are no settings\n  where: ")
    assert "Traceback" not in refused.errors
    settings = clone.root / "settings.ini"
    shutil.copy(clone.root / "settings.example.ini", settings)
    assert "error: the settings do not say who you are" in clone.prime(status=1).errors
    settings.write_text("[person]\nname = Ann\n")
    assert clone.prime().output == "generated about.json\ninstalled the git hooks\n"
    assert json.loads((clone.root / "about.json").read_text()) == {"person": {"name": "Ann"}}
    assert clone.prime().output == ""
    assert status_of(clone) == []
    # The hook works with nothing active, and through the environment only.
    (clone.root / "late.py").write_text("x = 1  # FIXME\n")
    support.git("add", "late.py", where=clone.root, environment=clone.environ)
    with pytest.raises(AssertionError, match="no FIXME is committed"):
        support.git("commit", "-qm", "too early", where=clone.root, environment=clone.environ)
    (clone.root / "late.py").write_text("x = 1\n")
    support.git("add", "late.py", where=clone.root, environment=clone.environ)
    support.git("commit", "-qm", "in time", where=clone.root, environment=clone.environ)
    settings.write_text("[person]\nname = Bob\n")
    assert clone.prime("--target", "about").output == "generated about.json\n"
    graph = clone.prime("graph").output
    assert "[x] environment " in graph
    assert "[ ] everything " in graph
    # A renewed environment takes its hooks along.
    (clone.root / "requirements.txt").write_text("pre-commit>=3.5\niniconfig\n")
    assert clone.prime("-q").output == "installed the git hooks\n"
    shutil.rmtree(clone.root / ".git")
    assert (
        "error: this is not a git repository"
        in clone.prime(
            "--target", "hooks", status=1, environ={"GIT_CEILING_DIRECTORIES": str(clone.root.parent)}
        ).errors
    )


def test_everything_of_a_split_layout_is_in_its_place(adopt: Callable[[str], Clone]) -> None:
    clone = adopt("split-layout")
    root = os.path.realpath(clone.root)
    cold = clone.report("cmd/serve", "-q")
    assert cold["root"] == root
    assert cold["kernel"] == os.path.join(root, "tools", "proto_kernel.py")
    assert cold["state"] == os.path.join(root, "var", "prime")
    assert cold["source"] == os.path.join(root, "app", "src", "split_app", "__init__.py")
    assert os.path.realpath(cold["prefix"]).startswith(os.path.join(root, "var", "prime", "envs", "default-"))
    assert os.path.realpath(clone.root / "var" / "venv") == os.path.realpath(cold["prefix"])
    assert (cold["has tables"], cold["leaked"], cold["env leap"]) == (False, [], {})
    dev = clone.report(str(clone.root / "cmd" / "serve"), "-q", "--env", "dev", cwd="/")
    assert (dev["environment"], dev["has tables"], dev["cwd"]) == ("dev", True, "/")
    assert clone.report("cmd/serve")["prefix"] == cold["prefix"]
    clone.run("cmd/serve", "env", "dev")
    assert clone.report("cmd/serve", "-q")["prefix"] == dev["prefix"]
    link = clone.root / "elsewhere"
    link.symlink_to("cmd/serve")
    assert clone.report("./elsewhere")["prefix"] == dev["prefix"]
    link.unlink()
    ci = clone.report("cmd/serve", "-q", "-e", "ci")
    assert ci["env leap"] == {"keep": 1, "venv-link": False}
    assert os.path.realpath(clone.root / "var" / "venv") == os.path.realpath(dev["prefix"])
    assert "known: ci, default, dev" in clone.run("cmd/serve", "-e", "prod", status=3).errors
    shown = clone.run("cmd/serve", "eval", "-e", "ci").output
    assert "conf/environments/ci.toml:1 (keep)" in shown
    assert "conf/protoprimer.toml:1 (state-dir)" in shown
    assert sorted(path.name for path in clone.root.iterdir()) == [
        *[".git", ".gitignore", "README.md", "app", "cmd", "conf", "tools", "var"]
    ]
    assert status_of(clone) == []
