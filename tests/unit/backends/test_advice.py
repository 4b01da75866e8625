"""What is advised where an installer fails: what the cause asks for, after the installer's own words."""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protoprimer.backends import choosing
from protoprimer.backends.base import run_installer
from protoprimer.errors import InstallError
from protoprimer.fault import Fault
from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.wheels import ToolAbsent, fetch_wheel
from protoprimer.settings.index_settings import read_index_settings
from protoprimer.system.console import Console


def test_where_another_backend_serves_only_what_is_no_mere_absence_is_told(tmp_path: Path) -> None:
    wheel = "uv-0.13-py3-none-any.whl"
    for name in ("empty", "forged"):
        (tmp_path / name).mkdir()
    (tmp_path / "forged" / wheel).write_bytes(b"other bytes")

    def absence(find_links: str, offline: bool = False) -> ToolAbsent:
        variables = {"HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": find_links}
        reader = UrlReader(read_index_settings(str(tmp_path), offline, variables), Console(-1))
        with pytest.raises(ToolAbsent) as caught:
            fetch_wheel(wheel, "0" * 64, str(tmp_path / "cache"), reader)
        assert caught.value.is_of(Fault.TOOL_NOT_FETCHED)
        assert caught.value.cause.startswith("uv 0.13 could not be had: ")
        return caught.value

    assert absence(str(tmp_path / "empty"), offline=True).in_short() == "uv 0.13 is not here"
    forged = absence(f"{tmp_path / 'empty'} {tmp_path / 'forged'}")
    assert "does not list" in forged.cause
    assert "does not list" not in forged.in_short()
    assert forged.in_short().startswith("uv 0.13 is not here; ")
    assert "sha256" in forged.in_short()
    assert ToolAbsent("uv cannot do that").in_short() == "uv cannot do that"


def refusal(*faults: Fault) -> choosing.Refusal:
    return choosing.Refusal("told", "in short", frozenset(faults))


def test_where_no_backend_serves_the_advice_is_by_the_kind_of_failure() -> None:
    toolbox: Any = SimpleNamespace(records=[])
    for faults, first in (
        ([Fault.TOOL_UNUSABLE], "mend one of these"),
        ([Fault.TOOL_UNUSABLE, Fault.TOOL_NOT_FETCHED], "put uv on PATH"),
        (
            [Fault.TOOL_NOT_FETCHED, Fault.DISK],
            "free some disk space, or set PROTOPRIMER_CACHE to a directory with more room",
        ),
        ([Fault.TOOL_NOT_FETCHED, Fault.TOOL_CHOSEN_BY_VARIABLE], "correct the variable UV"),
    ):
        advice = choosing._advice_where_none_serves([refusal(*faults)], toolbox, is_choice=False)
        assert advice == first + " (./prime check shows what this host can do)"
    toolbox.records = [SimpleNamespace(tool="pip", opens="sign in"), SimpleNamespace(tool="virtualenv", opens="x")]
    advice = choosing._advice_where_none_serves([refusal()], toolbox, is_choice=True)
    assert advice.splitlines()[1:] == ["  or: take another backend: --backend auto", "  or: sign in"]


SAID = {
    "Because the current Python version (3.8.18) does not satisfy Python>=3.12": "take a Python that it supports",
    "ERROR: Package 'x' requires a different Python: 3.8.18 not in '>=3.12'": "take a Python that it supports",
    "No solution found\nhint: ... because the network was disabled": "run without --offline",
    "No solution found when resolving dependencies": "correct the requirements, or the indexes",
    "Failed to build `x==1.0`\nThe build backend returned an error": "mend the build if the project is yours, else",
    "Failed to build `x`\nfast.c:2:10: fatal error: Python.h: No such file or directory": "install the headers of this",
    "Failed to build `x`\nerror: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'": "install a C compiler",
    "Failed to build `x`\nerror: command 'gcc' failed: No such file or directory": "install a C compiler",
    "Failed to build `x`\nfast.c:3:10: fatal error: fast.h: No such file or directory": "mend the build if the project",
    "what nobody foresaw": "correct what the output above names",
}


# uv's progress, and advice that needs another uv than ours.
BESIDE = """Using CPython 3.8.18 interpreter at: /e/bin/python
Resolved 9 packages in 1ms
%s
hint: To update the lockfile, run `uv lock`."""


@pytest.mark.parametrize("said", list(SAID))
def test_the_advice_fits_what_the_installer_said(said: str, tmp_path: "object") -> None:
    command = [sys.executable, "-c", "import sys; print(sys.argv[1]); sys.exit(1)", BESIDE % said]
    with pytest.raises(InstallError) as caught:
        run_installer(Console(-1), "uv", "install", command, str(tmp_path), {})
    first, *others = str(caught.value).splitlines()
    assert first == "the backend uv could not install (exit status 1)"
    assert others[0] == "  | " + said.splitlines()[0]
    assert others[-1].startswith("  next: " + SAID[said])
    assert others[-1].endswith(", then try again")


BUILT = """error: Failed to build `ledger`
         [stdout]
         running build_ext
         writing /tmp/x/ledger.egg-info/PKG-INFO
         gcc -c fast.c
         [stderr]
         Traceback (most recent call last):
           File "<string>", line 14, in <module>
           File "/cache/lib/python3.11/site-packages/setuptools/build_meta.py", line 481, in get
             return self.get_requires_for_build_wheel(config_settings)
                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           File "/clone/setup.py", line 4, in <module>
             import numpy
         ModuleNotFoundError: No module named 'numpy'"""


def test_of_a_failed_build_its_cause_is_told_and_what_led_to_it_is_left_to_the_log(tmp_path: "object") -> None:
    command = [sys.executable, "-c", "import sys; print(sys.argv[1]); sys.exit(1)", BUILT]
    with pytest.raises(InstallError) as caught:
        run_installer(Console(-1), "uv", "install", command, str(tmp_path), {})
    assert [line.replace("  | ", "").strip() for line in caught.value.cause.splitlines()[1:]] == [
        "... (5 more lines in the log)",
        "error: Failed to build `ledger`",
        "[stdout]",
        "gcc -c fast.c",
        "[stderr]",
        "Traceback (most recent call last):",
        'File "<string>", line 14, in <module>',
        'File "/clone/setup.py", line 4, in <module>',
        "import numpy",
        "ModuleNotFoundError: No module named 'numpy'",
    ]


def test_what_a_repository_s_backend_inherits_is_not_told_as_its_own_fault() -> None:
    nobody: Any = None

    def inherited(_backend: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(OSError, match="no space left"):
        choosing._told_as_clients(inherited, "/clone/ours.py", "install")(nobody)
