"""What `./prime` brings about, beyond the environment: settings checked, a file generated, git hooks installed."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from protoprimer import PrimerError, state


@state
def settings(root: str) -> dict[str, str]:
    """The settings that each person writes."""
    path = Path(root, "settings.ini")
    parser = configparser.ConfigParser()
    if not parser.read(path, encoding="utf-8"):
        raise PrimerError("there are no settings", str(path), "cp settings.example.ini settings.ini, and edit it")
    if parser.get("person", "name", fallback="your name") == "your name":
        raise PrimerError("the settings do not say who you are", f"{path} [person]", "write your name there")
    return dict(parser["person"])


@state(target="about")
def about_generated(root: str, settings: dict[str, str]) -> Path:
    """The file about.json, written where the settings changed."""
    path = Path(root, "about.json")
    text = json.dumps({"person": settings}, indent=2) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        unfinished = path.with_suffix(".new")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
        print("generated about.json")
    return path


@state
def git_hooks_directory(root: str) -> Path:
    """Where git has its hooks: nowhere in a downloaded archive."""
    command = ["git", "rev-parse", "--git-path", "hooks"]
    asked = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if asked.returncode != 0:
        raise PrimerError("this is not a git repository", root, "clone it with git, or run: ./prime --target about")
    return Path(root, os.fsdecode(asked.stdout).rstrip("\n"))


@state(target="hooks")
def hooks_installed(root: str, environment: os.PathLike[str], git_hooks_directory: Path) -> None:
    """The git hooks, installed by the environment's own pre-commit."""
    hook = git_hooks_directory / "pre-commit"
    # They name the environment, each of which has a name of its own.
    if hook.exists() and Path(environment).name in hook.read_text(encoding="utf-8"):
        return
    command = [sys.executable, "-m", "pre_commit", "install"]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise PrimerError("the git hooks could not be installed", root, os.fsdecode(done.stdout).strip())
    print("installed the git hooks")


@state(target="all")
def everything(about_generated: Path, hooks_installed: None) -> None:
    """All that a clone needs for work."""


def main(primer: Any) -> None:
    """Say how far a plain `./prime` goes."""
    primer.default_target = "all"
