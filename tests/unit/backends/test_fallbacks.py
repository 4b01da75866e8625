"""A fault that is not the repository's is not final: the next backend makes the environment anew, or what each met is told."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from protoprimer.backends.base import Backend, run_installer
from protoprimer.backends.venv import VenvBackend
from protoprimer.errors import InstallError
from protoprimer.fault import MENDED_BY_ANOTHER_BACKEND, Fault
from protoprimer.fetch.tools import ToolBox
from protoprimer.settings.index_settings import read_index_settings
from protoprimer.states import Invocation, bootstrap_graph
from protoprimer.store.building import build_under_lock
from protoprimer.system.console import Console

if TYPE_CHECKING:
    from pathlib import Path

DIES = f"import os; os.kill(os.getpid(), {int(getattr(signal, 'SIGKILL', signal.SIGTERM))})"
SAYS = "import sys; print(sys.argv[1]); sys.exit(1)"


class Broken(VenvBackend):
    """Its installer ends as `command` says, after it has left a file."""

    name = "broken"
    command: ClassVar[list[str]] = [sys.executable, "-c", DIES]

    def probe(self, *_: object) -> None:
        """Promise to serve."""

    def install(self, _interpreter: object, environment: str, _plan: object) -> None:
        with open(os.path.join(environment, "left"), "w", encoding="utf-8"):
            pass
        run_installer(self.console, self.name, "install", self.command, environment, {})


class Whole(Broken):
    """Installs nothing, well."""

    name = "whole"
    command: ClassVar[list[str]] = [sys.executable, "-c", ""]


class Absent(Broken):
    """Cannot serve."""

    name = "absent"

    def probe(self, *_: object) -> Any:
        return "it is not here"


def saying(words: str) -> type[Broken]:
    class Saying(Broken):
        name = "saying"
        command: ClassVar[list[str]] = [sys.executable, "-c", SAYS, words]

    return Saying


class Silent(Console):
    """Keeps no log."""

    def keep_log_in(self, *_: object) -> None:
        """Leave no file open."""


def built(root: Path, *backends: type[Broken], setting: str = '"auto"') -> Any:
    (root / "pyproject.toml").write_text(f"[tool.protoprimer]\nbackend = {setting}\ninstall = []\n")
    kernel = str(root / "proto_kernel.py")
    environ = {"PROTOPRIMER_CACHE": str(root / "cache")}
    graph = bootstrap_graph(Invocation(str(root / "prime"), kernel, "./prime", ["-q"], None, "boot", environ))
    graph.provide("console", Silent(-1))
    request = graph.evaluate("request")
    return build_under_lock(request, graph.evaluate("lock"), list(backends), graph.evaluate("toolbox"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTOPRIMER_CACHE", str(tmp_path / "cache"))


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
def test_where_an_installer_is_killed_the_next_backend_makes_the_environment_anew(tmp_path: Path) -> None:
    generation = built(tmp_path, Broken, Whole)
    assert generation.record["backend"] == "whole"
    assert [name for name in os.listdir(tmp_path / ".protoprimer" / "envs") if name.startswith(".trash")] == []


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
def test_where_no_other_backend_serves_the_first_failure_is_told_and_why_the_others_do_not(tmp_path: Path) -> None:
    with pytest.raises(InstallError) as caught:
        built(tmp_path, Broken, Absent)
    assert caught.value.exit_code == 6
    assert caught.value.cause.splitlines() == [
        "the backend broken could not install (exit status -9)",
        "  not absent: it is not here",
    ]
    assert str(caught.value.advice).startswith("let it run")
    with pytest.raises(InstallError) as caught:
        built(tmp_path, Broken, saying("memory allocation of 9 bytes failed"))
    assert caught.value.cause.splitlines()[1:] == [
        "  the backend saying could not install (exit status 1): " + Fault.MEMORY.value
    ]
    with pytest.raises(InstallError, match="take another backend: --backend auto"):
        built(tmp_path, Broken, setting='"venv"')


def test_a_fault_of_the_repository_is_final(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="the backend saying could not") as caught:
        built(tmp_path, saying("No solution found"), Whole)
    assert caught.value.fault is Fault.REQUIREMENTS


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="there is no second disk here")
def test_once_a_disk_was_full_uv_keeps_its_cache_on_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho uv 99.0\n")
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "of uv"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = read_index_settings(str(tmp_path), False, {"HOME": str(tmp_path)})
    toolbox = ToolBox(settings, str(tmp_path / "cache"), Console(-1))
    assert "UV_CACHE_DIR" not in toolbox.uv().environment
    assert not toolbox.leave_full_cache_of_uv(), "the temporary directory is on the same disk"
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second disk here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        monkeypatch.setattr(tempfile, "tempdir", other)
        assert toolbox.leave_full_cache_of_uv()
        assert toolbox.uv().environment["UV_CACHE_DIR"].startswith(other)
        assert not toolbox.leave_full_cache_of_uv(), "once is enough"


def test_of_a_full_disk_the_place_is_told_and_a_wrong_hash_is_a_lock_s_only_where_there_is_one(tmp_path: Path) -> None:
    class Failing(Broken):
        said = ""

        def install(self, *arguments: Any) -> None:
            Backend.install(self, *arguments)

        def install_plan(self, _interpreter: object, environment: str, _plan: object) -> None:
            run_installer(self.console, self.name, "install", [sys.executable, "-c", SAYS, self.said], environment, {})

    Failing.said = "THESE PACKAGES DO NOT MATCH THE HASHES"
    with pytest.raises(InstallError) as caught:
        built(tmp_path, Failing)
    assert "lock" not in str(caught.value.advice)
    Failing.said = "No space left on device"
    with pytest.raises(InstallError) as caught:
        built(tmp_path, Failing)
    assert re.fullmatch(r"/.*, where \d+ MB are free", str(caught.value.place))


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("failed to write to file `/c/x`: No space left on device (os error 28)", Fault.DISK),
        ("OSError: [Errno 122] Disk quota exceeded", Fault.DISK),
        ("memory allocation of 2097152 bytes failed", Fault.MEMORY),
        ("Cannot allocate memory (os error 12)", Fault.MEMORY),
        ("Resource temporarily unavailable (os error 11)", Fault.MEMORY),
        ("RuntimeError: can't start new thread", Fault.MEMORY),
        ("failed to create directory `/c/uv`: Permission denied (os error 13)", Fault.PERMISSION),
        ("Operation not permitted (os error 1)", Fault.PERMISSION),
        ("cause: invalid peer certificate: UnknownIssuer", Fault.CERTIFICATE),
        ("error sending request for url (https://index.example.test/one/)", Fault.NETWORK),
        ("hint: the index returned an error (403 Forbidden): No solution found", Fault.REFUSED_BY_SERVER),
        ("thread 'main' panicked at crates/uv/src/lib.rs:1", Fault.TOOL_BROKE),
        ("hello\nERROR: Exception:\nTraceback (most recent call last):", Fault.TOOL_BROKE),
        ("error: Failed to inspect Python interpreter from provided path", Fault.TOOL_BROKE),
        (
            "No solution found\n cause: Because odd==1.0 has invalid metadata\nhint: Metadata for `odd` (v1.0) could not",
            Fault.METADATA,
        ),
        ("cause: duplicate normalized extra name `a-b`", Fault.METADATA),
    ],
)
def test_what_an_installer_says_has_an_owner(said: str, fault: Fault, tmp_path: Path) -> None:
    with pytest.raises(InstallError) as caught:
        run_installer(Console(-1), "uv", "install", [sys.executable, "-c", SAYS, said], str(tmp_path), {})
    assert caught.value.fault is fault
    assert fault in MENDED_BY_ANOTHER_BACKEND
