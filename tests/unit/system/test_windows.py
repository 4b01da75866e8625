"""What the kernel does on Windows only, as far as it shows on any host; `tests/real/test_wine.py` is the real thing."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from protoprimer.project.plan import Plan
from protoprimer.runtime import invocation as surroundings
from protoprimer.runtime.foreign_programs import refuse_python_program_of_host
from protoprimer.settings.configuration import Configuration
from protoprimer.system import files, processes, windows
from protoprimer.system.paths import scripts_directory
from windows_processes import PROCESSES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def test_a_program_of_the_environment_is_its_own_whatever_ending_it_is_found_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyvenv.cfg").write_text("")
    scripts = scripts_directory(str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name, path: os.path.join(path, name + ".EXE"))
    plan = Plan(str(tmp_path), [])
    configuration = Configuration(str(tmp_path), "")
    refuse_python_program_of_host("python", scripts, str(tmp_path), configuration, lambda: plan)


@pytest.mark.skipif(os.name == "nt", reason="Pythons of Windows make junctions")
def test_a_python_that_makes_no_junctions_says_so_as_a_refusal_of_the_file_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="this Python makes no junctions"):
        files._junction_directory(str(tmp_path), str(tmp_path / "link"))


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_junction_is_made_where_it_can_and_no_directory_left_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    def create(target: str, link: str) -> None:
        # First a directory, then that is made a junction.
        os.mkdir(link)
        if is_refused:
            raise OSError(errno.EINVAL, "Incorrect function")
        os.rmdir(link)
        os.symlink(target, link)

    monkeypatch.setitem(sys.modules, "_winapi", SimpleNamespace(CreateJunction=create))
    monkeypatch.setattr(files, "is_windows", lambda: True)
    (tmp_path / "a & b").mkdir()
    link = tmp_path / "link %PATH% & more"
    with pytest.raises(OSError, match="Incorrect function") if is_refused else contextlib.nullcontext():
        files.link_directory(str(tmp_path / "a & b"), str(link), str(tmp_path))
    assert os.path.lexists(link) != is_refused


@pytest.mark.parametrize(
    ("told", "ended_with"), [(0, 0), (7, 7), (0x7FFFFFFF, 0x7FFFFFFF), (0xC000013A, -1073741510), (0xFFFFFFFF, -1)]
)
def test_any_status_of_the_child_becomes_ours(monkeypatch: pytest.MonkeyPatch, told: int, ended_with: int) -> None:
    ended: list[int] = []
    monkeypatch.setattr("signal.signal", lambda *_details: None)
    monkeypatch.setattr(
        subprocess, "Popen", lambda *_details, **_options: SimpleNamespace(wait=lambda: told, _handle=3)
    )
    bound: list[int] = []
    monkeypatch.setattr(processes, "end_child_with_this_process", bound.append)
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(processes, "is_windows", lambda: True)
    processes.replace_process(["python"], {})
    assert ended == [ended_with]
    assert bound == [3]


@pytest.mark.parametrize("is_embeddable", [False, True])
def test_the_directory_of_extension_modules_stays_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_embeddable: bool
) -> None:
    base = str(tmp_path)
    # The second is a Python that was unpacked rather than installed: its library is in an archive, all else beside it.
    ours = ["python313.zip", ""] if is_embeddable else ["python313.zip", "DLLs", "Lib", ""]
    others = [os.path.join("Lib", "site-packages"), os.path.join("site-packages", "foreign"), "elsewhere"]
    library = os.path.join(base, ours[0 if is_embeddable else 2])
    monkeypatch.setattr(surroundings, "is_windows", lambda: True)
    monkeypatch.setattr(sys, "base_prefix", base)
    monkeypatch.setattr(os, "__file__", os.path.join(library, "os.py"))
    monkeypatch.setattr(sys, "path", [os.path.join(base, name) if name else base for name in ours + others])
    surroundings.keep_only_standard_library_on_path()
    assert sys.path == [os.path.join(base, name) if name else base for name in ours]


def test_a_file_that_others_read_is_replaced_once_they_have_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, replace, target = [5, 32], os.replace, tmp_path / "target"

    def refused_at_first(source: str, destination: str) -> None:
        if refusals:
            raise PermissionError(errno.EACCES, "Access is denied", destination, refusals.pop())
        replace(source, destination)

    monkeypatch.setattr(files, "is_windows", lambda: True)
    monkeypatch.setattr(os, "replace", refused_at_first)
    files.write_atomically(str(target), b"1")
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"1", ["target"])
    refusals.extend([5] * 99)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with pytest.raises(PermissionError):
        files.write_atomically(str(target), b"2")
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"1", ["target"])


class FakeKernel32:
    """What of kernel32 is called, with the answers of a host; `calls` are the names in order."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.calls: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object) -> object:
            self.calls.append((name, *arguments))
            return self.answers.get(name, 1)

        return call


@pytest.mark.parametrize(
    ("opened", "waited", "error", "alive"),
    [(7, 0x102, 0, True), (7, 0, 0, False), (None, 0, 5, True), (None, 0, 87, False)],
    ids=["runs", "has ended", "is another user's, so it lives", "is none"],
)
def test_a_process_that_may_not_be_asked_lives(
    monkeypatch: pytest.MonkeyPatch, opened: int | None, waited: int, error: int, alive: bool
) -> None:
    fake = FakeKernel32(OpenProcess=opened, WaitForSingleObject=waited)
    monkeypatch.setattr(windows, "_kernel32", lambda: fake)
    monkeypatch.setattr("ctypes.get_last_error", lambda: error, raising=False)
    assert windows.windows_pid_is_alive(4711) is alive
    assert (("CloseHandle", 7) in fake.calls) is (opened is not None)


def test_a_child_is_put_into_a_job_that_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    fake = FakeKernel32(CreateJobObjectW=9)
    monkeypatch.setattr(windows, "_kernel32", lambda: fake)
    assert windows.end_child_with_this_process(13)
    names = ["CreateJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject"]
    assert [call[0] for call in fake.calls] == names
    limits = fake.calls[1][3]
    assert isinstance(limits, bytes)
    # sizeof(JOBOBJECT_EXTENDED_LIMIT_INFORMATION) with pointers of this width; LimitFlags follow two 64-bit numbers.
    assert len(limits) == (144 if ctypes.sizeof(ctypes.c_void_p) == 8 else 112)
    assert int.from_bytes(limits[16:20], "little") == 0x3000
    assert ("CloseHandle", 9) not in fake.calls, "closing the job would end the child"


@pytest.mark.skipif(os.name != "nt", reason="needs a real Windows; tests/real/test_wine.py has it under Wine")
def test_on_windows_a_client_ends_with_its_parent_and_a_process_of_the_system_lives() -> None:
    modules = ["protoprimer.system.processes"] * 2
    done = subprocess.run([sys.executable, "-c", PROCESSES, *modules], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["this one lives", "the client lives", "both have ended"], done.stderr
    # The process "System" may not be opened, not even by an administrator.
    assert processes.pid_is_alive(4)
