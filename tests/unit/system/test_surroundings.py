"""What is told of failures that nobody foresaw, and how children are run."""

from __future__ import annotations

import io
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from protoprimer.runtime.invocation import tell_unexpected
from protoprimer.system.children import STATUS_OF_LATE, run_child, scrubbed_environment
from protoprimer.system.console import Console
from protoprimer.system.paths import program_on_path

if TYPE_CHECKING:
    from pathlib import Path


def told(statement: str) -> tuple[int, str]:
    """Return the exit code and the words for what a statement raises."""
    words = io.StringIO()
    with pytest.raises(Exception, match=r".") as raised:
        exec(statement)
    return tell_unexpected(raised.value, Console(stream=words)), words.getvalue()


def test_a_python_without_all_of_its_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "http.client", None)
    status, words = told("import http.client")
    assert status == 4
    assert words.startswith("error: this Python lacks the module http of the standard library\n")
    assert f"  where: {sys.executable}\n" in words
    assert "such as the package python%d.%d," % sys.version_info[:2] in words


def test_anything_else_is_a_fault_of_ours_unless_it_is_the_systems() -> None:
    status, words = told("1 / 0")
    assert status == 6
    assert words.startswith("error: unexpected ZeroDivisionError: division by zero (line 1, <module>)\n")
    assert "this is a fault of ours" in words
    status, words = told("open('/nowhere/at all')")
    assert status == 6
    assert "  where: /nowhere/at all\n" in words
    assert "fault" not in words


@pytest.mark.skipif(os.name == "nt", reason="there are no modes that make a program")
@pytest.mark.parametrize("entry", ["", ".", "bin"])
def test_programs_are_looked_for_in_no_directory_that_depends_on_the_working_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    program = tmp_path / entry / "keyring"
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for path, searched in ((entry, None), (f"{entry}:/usr/bin", "/usr/bin"), (f"/usr/bin:{entry}", "/usr/bin")):
        monkeypatch.setenv("PATH", path)
        assert program_on_path("keyring") != os.path.join(entry, "keyring")
        assert scrubbed_environment().get("PATH") == searched
    monkeypatch.setenv("PATH", f"{entry}:{program.parent}")
    assert program_on_path("keyring") == str(program)


def test_a_child_that_closes_its_output_early_is_waited_for() -> None:
    program = "import os, time; os.write(1, b'said'); os.close(1); time.sleep(0.7); os.write(2, b'done'); os._exit(3)"
    result = run_child([sys.executable, "-c", program], Console(-1), input_text="unread")
    assert (result.status, result.output, result.errors) == (3, "said", "done")


def test_a_child_that_is_late_is_ended_with_all_that_it_started() -> None:
    program = "import subprocess, sys; print('begun', flush=True); subprocess.run(['sleep', '60'])"
    begun = time.monotonic()
    result = run_child([sys.executable, "-c", program], Console(-1), timeout=1.5)
    assert (result.status, result.output) == (STATUS_OF_LATE, "begun\n")
    assert time.monotonic() - begun < 30
