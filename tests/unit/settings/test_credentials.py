"""Who is asked for a password, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.settings import credentials
from protoprimer.settings.credentials import Credentials
from protoprimer.system.children import run_child

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("is_terminal", "patience"), [(True, 60.0), (False, 10.0)])
def test_a_keyring_that_does_not_answer_is_asked_once_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_terminal: bool, patience: float
) -> None:
    asked: list[float] = []

    def run_with_less_patience(command: list[str], console: Any, timeout: float) -> Any:
        asked.append(timeout)
        return run_child(command, console, timeout=0.1)

    monkeypatch.setattr(credentials, "run_child", run_with_less_patience)
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    program = tmp_path / "keyring"
    program.write_text("#!/bin/sh\nexec sleep 3600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    known = Credentials(["https://alice@one.invalid/simple/"], [], True, {"HOME": str(tmp_path)})
    for _ in range(2):
        found = known.of_url("https://one.invalid/simple/lib/")
        assert found == ("alice", "", "the URL")
    assert asked == [patience]
    assert known.keyring_fault == f" (keyring did not answer within {patience:.0f} s)"
