"""The state `git_hooks_installed`, target `git-hooks`: the repository's git hooks, installed through pre-commit."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protoprimer import Primer, PrimerError, state

if TYPE_CHECKING:
    from protoprimer.store.publishing import Environment
    from protoprimer.system.console import Console

__all__ = ["GitHooks", "git_hooks_installed", "git_hooks_settings", "main"]


@dataclass(frozen=True)
class GitHooks:
    """Which hooks are installed.

    :param configuration: pre-commit's configuration file, relative to the root
    :param types: git's names of the hooks
    :param with_environments: whether the environments of the hooks are made at once, not at the first commit
    """

    configuration: str = ".pre-commit-config.yaml"
    types: tuple[str, ...] = ("pre-commit",)
    with_environments: bool = False


@state
def git_hooks_settings() -> GitHooks:
    """Which git hooks are to be installed."""
    return GitHooks()


@state(target="git-hooks")
def git_hooks_installed(
    root: str, environment: Environment, console: Console, git_hooks_settings: GitHooks
) -> list[str]:
    """The git hooks, installed through pre-commit.

    Hooks that this environment's pre-commit has installed are left alone, so that a second run does nothing. Where
    there is no git repository, as in an unpacked archive, or no git, one line says so.

    :returns: the paths of the hooks
    """
    directory = _hooks_directory(root, console)
    if directory is None:
        return []
    if not os.path.isfile(os.path.join(root, git_hooks_settings.configuration)):
        raise PrimerError(
            "there is no configuration for git hooks", git_hooks_settings.configuration, "write one for pre-commit"
        )
    hooks = {kind: os.path.join(directory, kind) for kind in git_hooks_settings.types}
    missing = [kind for kind, path in hooks.items() if not _is_installed(path, git_hooks_settings.configuration)]
    if missing:
        with console.step(
            "installing the git hooks " + ", ".join(missing), "installed the git hooks " + ", ".join(missing)
        ):
            _install(root, git_hooks_settings, missing)
    return list(hooks.values())


def main(primer: Primer) -> None:
    """Reach the target `git-hooks`; for `entry PATH neoprimer.git_hooks:main --boot`."""
    primer.default_target = "git-hooks"


def _hooks_directory(root: str, console: Console) -> str | None:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--git-path", "hooks"],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except OSError as error:
        console.say(f"no git hooks are installed: git cannot be started ({error.strerror})")
        return None
    if asked.returncode != 0:
        console.say(f"no git hooks are installed: {root} is not a git repository")
        return None
    return os.path.normpath(os.path.join(root, asked.stdout.rstrip("\n")))


def _is_installed(hook: str, configuration: str) -> bool:
    try:
        with open(hook, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return False
    # What pre-commit writes calls the interpreter that installed it: of an older generation, it is soon gone.
    return "pre-commit" in text and shlex.quote(sys.executable) in text and f"--config={configuration}" in text


def _install(root: str, settings: GitHooks, kinds: list[str]) -> None:
    command = [sys.executable, "-m", "pre_commit", "install", "--config", settings.configuration]
    command += [word for kind in kinds for word in ("--hook-type", kind)]
    command += ["--install-hooks"] if settings.with_environments else []
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    if done.returncode == 0:
        return
    advice = "add protoprimer[neo] to what is installed" if "No module named" in done.stdout else done.stdout.strip()
    raise PrimerError(f"pre-commit could not install the hooks: exit status {done.returncode}", root, advice)
