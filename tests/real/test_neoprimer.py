"""Ready states: locks exclude the kernel's with real processes, pictures are pictures, what is rendered can be read back."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import support
from protoprimer.errors import PrimerError
from protoprimer.graph import DEFINED_STATES, StateGraph
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import Configuration, read_configuration
from protoprimer.store.publishing import Environment
from protoprimer.system.console import Console

filelock = pytest.importorskip("filelock")

from neoprimer import git_hooks, locks, picture, rendering  # noqa: E402 - after the check that its libraries are there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOMLLIB = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")


@pytest.fixture(autouse=True)
def nothing_declared() -> Iterator[None]:
    yield
    DEFINED_STATES.clear()


def configuration_of(root: Path, text: str = "") -> Configuration:
    (root / "protoprimer.toml").write_text(text, encoding="utf-8")
    line = parse_command_line("./prime", [], has_client=False)
    return read_configuration(str(root / "prime"), str(root / "proto_kernel.py"), line, {}, lambda _directory: None)


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that prints a line when it has come to its point, and goes on when it reads one."""
    code = f"import sys; sys.path[:0] = [{str(support.ROOT / 'src')!r}]\n" + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )


KERNEL_HOLDER = """
from protoprimer.system.console import Console
from protoprimer.store.file_lock import FileLock
with FileLock(sys.argv[1], Console()):
    print("held", flush=True)
    sys.stdin.readline()
print("released", flush=True)
"""
FILELOCK_HOLDER = """
import filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
print("released", flush=True)
"""
KERNEL_TRIES = """
from protoprimer.system.console import Console
from protoprimer.errors import LockTimeoutError
from protoprimer.store.file_lock import FileLock
try:
    with FileLock(sys.argv[1], Console(), float(sys.argv[2])):
        print("had", flush=True)
except LockTimeoutError as error:
    print("not had", str(error).splitlines()[0], flush=True)
"""
FILELOCK_TRIES = """
import filelock
try:
    with filelock.FileLock(sys.argv[1], timeout=float(sys.argv[2])):
        print("had", flush=True)
except filelock.Timeout:
    print("not had", flush=True)
"""


@pytest.mark.parametrize(
    ("holder", "tries"),
    [(KERNEL_HOLDER, FILELOCK_TRIES), (FILELOCK_HOLDER, KERNEL_TRIES)],
    ids=["the kernel holds, filelock tries", "filelock holds, the kernel tries"],
)
def test_filelock_and_the_kernel_exclude_each_other(tmp_path: Path, holder: str, tries: str) -> None:
    path = str(tmp_path / "lock")
    for how_it_ends in ("released", "killed"):
        held = start(holder, path)
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        refused, _ = start(tries, path, "0").communicate(timeout=60)
        assert refused.startswith("not had")
        if tries is KERNEL_TRIES and sys.platform == "linux":
            assert f"pid {held.pid} " in refused
        waiting = start(tries, path, "50")
        if how_it_ends == "killed":
            held.kill()
        held.communicate("\n", timeout=60)
        assert waiting.communicate(timeout=60)[0] == "had\n", how_it_ends
    assert os.path.exists(path)


def graph_with(root: Path, text: str = "", **provided: Any) -> StateGraph:
    configuration = configuration_of(root, text)
    graph = StateGraph()
    values = {"configuration": configuration, "root": str(root), "console": Console(-1), **provided}
    for name, value in values.items():
        graph.provide(name, value)
    return graph


def add(graph: StateGraph, *functions: Callable[..., Any]) -> None:
    for function in functions:
        graph.add(function)
    graph.check()


@pytest.mark.parametrize(("text", "name"), [("", "lock"), ("lock-timeout = 0.2\n", "lock")])
def test_the_state_gives_the_environments_own_lock(tmp_path: Path, text: str, name: str) -> None:
    graph = graph_with(tmp_path, text)
    add(graph, locks.lock_seconds, locks.environment_file_lock)
    lock: Any = graph.evaluate("environment_file_lock")
    assert os.path.realpath(lock.lock_file) == os.path.realpath(tmp_path / ".protoprimer" / name)
    assert not lock.is_locked
    if text:
        held = start(KERNEL_HOLDER, lock.lock_file)
        assert held.stdout is not None
        held.stdout.readline()
        with pytest.raises(filelock.Timeout):
            lock.acquire()
        held.communicate("\n", timeout=60)
    with lock:
        refused, _ = start(KERNEL_TRIES, lock.lock_file, "0").communicate(timeout=60)
        assert refused.startswith("not had")


def test_the_rendered_configuration_is_toml_of_what_is_in_force(tmp_path: Path) -> None:
    text = (
        'watch = ["a\\"b", "é"]\ninstall = [{ projects = ["."], args = ["x>1"] }]\nlock = false\n[matrix]\njobs = 2\n'
    )
    graph = graph_with(tmp_path, text)
    add(graph, rendering.rendering_settings, rendering.configuration_text)
    rendered = graph.evaluate("configuration_text")
    assert isinstance(rendered, str)
    read_back = TOMLLIB.loads(rendered)
    configuration: Any = graph.evaluate("configuration")
    shown = {key: value for key, value in configuration.effective().items() if value is not None}
    for key in ("root", "environment", "state"):
        del shown[key]
    assert read_back == shown
    assert 'watch = ["a\\"b", "é"]  # client: protoprimer.toml:1 (watch)\n' in rendered


@pytest.mark.parametrize(("color", "coloured"), [("always", True), ("never", False), ("auto", False)])
def test_colours_follow_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], color: str, coloured: bool
) -> None:
    pytest.importorskip("rich")
    line = parse_command_line("./prime", ["--color", color], has_client=False)
    graph = graph_with(tmp_path, "keep = 2\n", command_line=line)
    add(graph, rendering.rendering_settings, rendering.configuration_text, rendering.configuration_rendered)
    graph.evaluate("configuration_rendered")
    printed = capsys.readouterr().out
    assert ("\x1b[" in printed) == coloured
    if coloured:
        import re

        printed = "".join(line.rstrip() + "\n" for line in re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines())
    assert printed == graph.evaluate("configuration_text")


def test_the_picture_has_every_state_in_the_form_that_the_file_s_name_asks_for() -> None:
    def first() -> None:
        """The <first> & only."""

    def second(first: object) -> None: ...
    def third(second: object, first: object) -> None: ...
    def apart() -> None: ...

    graph = StateGraph([third, second, first, apart])
    graph.evaluate("first")
    rows = graph.status("third")
    mermaid = picture.picture_text(rows, "states.mmd")
    assert mermaid.startswith("flowchart TD\n")
    assert '    s_first["first"]:::done\n' in mermaid
    assert "    s_second --> s_third\n" in mermaid
    assert picture.picture_text(rows, "states.md") == f"```mermaid\n{mermaid}```\n"
    for name in ("states.dot", "states.gv"):
        dot = picture.picture_text(rows, name)
        assert dot.startswith("digraph states {\n")
        assert dot.endswith("}\n")
        assert '    "second" -> "third"\n' in dot


def test_the_picture_is_rewritten_only_where_it_differs(tmp_path: Path) -> None:
    def report() -> None: ...

    graph = StateGraph([report])
    graph.provide("root", str(tmp_path))
    graph.provide("graph_status", graph.status)
    graph.provide("picture_settings", picture.Picture(path="deep/down/states.mmd", target="report"))
    add(graph, picture.graph_picture_drawn)
    path = graph.evaluate("graph_picture_drawn")
    assert isinstance(path, str)
    os.utime(path, ns=(10**18, 10**18))
    again = StateGraph([report])
    for name, value in (
        ("root", str(tmp_path)),
        ("graph_status", again.status),
        ("picture_settings", graph.evaluate("picture_settings")),
    ):
        again.provide(name, value)
    add(again, picture.graph_picture_drawn)
    again.evaluate("graph_picture_drawn")
    assert os.stat(path).st_mtime_ns == 10**18


def test_git_hooks_without_their_configuration_are_refused(tmp_path: Path) -> None:
    support.git("init", "-q", where=tmp_path)
    graph = graph_with(tmp_path, environment=Environment(sys.prefix, [], False))
    add(graph, git_hooks.git_hooks_settings, git_hooks.git_hooks_installed)
    with pytest.raises(PrimerError, match="no configuration for git hooks"):
        graph.evaluate("git_hooks_installed")


@pytest.mark.parametrize("has_configuration", [True, False])
@pytest.mark.parametrize(("has_git", "says"), [(True, "is not a git repository"), (False, "git cannot be started")])
def test_without_a_repository_or_git_hooks_are_left_out_with_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    has_git: bool,
    says: str,
    has_configuration: bool,
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if not has_git:
        monkeypatch.setenv("PATH", str(tmp_path))
    if has_configuration:
        (tmp_path / ".pre-commit-config.yaml").write_text("repos: []\n")
    graph = graph_with(tmp_path, environment=Environment(sys.prefix, [], False), console=Console())
    add(graph, git_hooks.git_hooks_settings, git_hooks.git_hooks_installed)
    assert graph.evaluate("git_hooks_installed") == []
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said


def test_a_refusal_of_pre_commits_is_shown(tmp_path: Path) -> None:
    pytest.importorskip("pre_commit")
    support.git("init", "-q", where=tmp_path)
    support.git("config", "core.hooksPath", "elsewhere", where=tmp_path)
    (tmp_path / ".pre-commit-config.yaml").write_text("repos: []\n")
    graph = graph_with(tmp_path, environment=Environment(sys.prefix, [], False))
    add(graph, git_hooks.git_hooks_settings, git_hooks.git_hooks_installed)
    with pytest.raises(PrimerError) as caught:
        graph.evaluate("git_hooks_installed")
    assert "core.hooksPath" in str(caught.value.advice)
