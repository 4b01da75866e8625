"""The fingerprint: what counts, what does not, and what a person is told of a change."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.errors import InstallError
from protoprimer.project.inputs import Inputs
from protoprimer.store import fingerprint
from protoprimer.store.fingerprint import Fingerprint, changed_parts, explain_change, fingerprint_of

if TYPE_CHECKING:
    from pathlib import Path

PYTHON: dict[str, Any] = {
    "implementation": "cpython",
    "version": "3.11.7",
    "base_prefix": "/opt/python",
    "platform": "linux-x86_64",
    "libc": "glibc 2.36",
    "free_threaded": False,
}


def fingerprint_with(root: Path, *inputs: str, **changes: Any) -> Fingerprint:
    settings = changes.pop("settings", {"backend": "auto"})
    clone = changes.pop("clone", str(root))
    interpreter: Any = SimpleNamespace(**{**PYTHON, **changes})
    found = Inputs()
    found.add(*(str(root / name) for name in inputs))
    return fingerprint_of(interpreter, found, settings, clone)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("one")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "requirements.txt").write_text("two")
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3.11.8"},
        {"implementation": "pypy"},
        {"base_prefix": "/usr"},
        {"platform": "macosx-arm64"},
        {"libc": "musl"},
        {"free_threaded": True},
        {"settings": {"backend": "uv"}},
        {"settings": {"backend": "auto", "more": None}},
        {"clone": "/elsewhere"},
    ],
)
def test_everything_it_is_a_function_of_changes_it(root: Path, change: dict[str, Any]) -> None:
    before, after = fingerprint_with(root, "pyproject.toml"), fingerprint_with(root, "pyproject.toml", **change)
    assert before.digest != after.digest
    # Clone and inputs go together: their names are relative to it.
    assert changed_parts(before.parts, after.parts)
    assert explain_change(before.parts, after.parts).startswith("because ")


def test_what_the_kernel_makes_of_the_same_inputs_changes_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint_with(root)
    monkeypatch.setattr(fingerprint, "KERNEL_FORMAT", 99)
    assert (
        explain_change(before.parts, fingerprint_with(root).parts) == "because the kernel's format changed: 5 became 99"
    )


def test_files_count_by_content_and_name_and_not_by_date_or_order(root: Path) -> None:
    names = ["pyproject.toml", "sub/requirements.txt"]
    before = fingerprint_with(root, *names)
    os.utime(root / "pyproject.toml", (1, 1))
    assert fingerprint_with(root, *reversed(names)).digest == before.digest
    (root / "pyproject.toml").write_text("other")
    after = fingerprint_with(root, *names)
    assert after.digest != before.digest
    assert explain_change(before.parts, after.parts) == "because pyproject.toml changed"


def test_absent_file_counts_as_absent_and_is_explained_when_it_appears(root: Path) -> None:
    before = fingerprint_with(root, "pyproject.toml", "uv.lock", "pyproject.toml/below-a-file")
    assert before.digest == fingerprint_with(root, "pyproject.toml").digest
    (root / "uv.lock").write_text("")
    after = fingerprint_with(root, "pyproject.toml", "uv.lock")
    assert explain_change(before.parts, after.parts) == "because uv.lock appeared"
    # Such as a branch's file in `.git`, after another branch was taken.
    assert explain_change(after.parts, before.parts) == "because uv.lock counts no longer"
    (root / "uv.lock").unlink()
    assert explain_change(after.parts, before.parts) == "because uv.lock is gone"


def test_a_file_elsewhere_on_the_host_has_its_own_path_and_one_beside_the_clone_a_relative_one(root: Path) -> None:
    clone = root / "work" / "clone"
    parts = fingerprint_with(root, "pyproject.toml", "work/beside.txt", "work/clone/in.txt", clone=str(clone)).parts
    assert f"file:{root}/pyproject.toml" in parts, "not ../../pyproject.toml, which a person has to count"
    for name in ("beside.txt", "clone/in.txt"):
        (root / "work" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "work" / name).write_text("")
    parts = fingerprint_with(root, "work/beside.txt", "work/clone/in.txt", clone=str(clone)).parts
    assert {"file:../beside.txt", "file:in.txt"} <= set(parts)


def test_order_of_settings_does_not_count(root: Path) -> None:
    one = fingerprint_with(root, settings={"a": {"x": 1, "y": 2}, "b": 2})
    other = fingerprint_with(root, settings={"b": 2, "a": {"y": 2, "x": 1}})
    assert one.digest == other.digest


def test_unreadable_input_is_a_clear_error(root: Path) -> None:
    found = Inputs()
    interpreter: Any = SimpleNamespace(**PYTHON)
    found.add(str(root / "pyproject.toml"))
    (root / "pyproject.toml").unlink()
    (root / "pyproject.toml").mkdir()
    with pytest.raises(InstallError) as raised:
        fingerprint_of(interpreter, found, {}, str(root))
    assert str(root / "pyproject.toml") in str(raised.value)
    assert raised.value.exit_code == 6


def test_digest_is_sixteen_hexadecimal_digits(root: Path) -> None:
    digest = fingerprint_with(root).digest
    assert len(digest) == 16
    assert set(digest) <= set("0123456789abcdef")


def test_changes_are_told_in_one_line_a_person_understands(root: Path) -> None:
    old = fingerprint_with(root).parts
    newer = fingerprint_with(root, version="3.12.1").parts
    assert explain_change(old, newer) == "because the interpreter changed: cpython 3.11.7 became cpython 3.12.1"
    other = fingerprint_with(root, settings={"backend": "uv"}).parts
    assert explain_change(old, other) == "because backend changed: auto became uv"
    assert explain_change(old, old) == ""
    moved = {**other, "clone": "/elsewhere", "setting:the packages in src": "[]"}
    assert explain_change(old, moved) == "because the clone was moved"
    one, two, three = ({"setting:the packages in src": text} for text in ('["area"]', '["region", "x"]', "[]"))
    assert explain_change(one, two) == "because packages in src changed: area became region, x"
    assert explain_change(one, three) == "because packages in src changed: area became none"
    assert explain_change({}, one) == "because packages in src changed: none became area"
    assert explain_change({"setting:install": "null"}, {"setting:install": "[{}]"}).endswith("none became [{}]")
    many = fingerprint_with(root, "pyproject.toml", version="3.12.1", libc="musl", platform="x", base_prefix="/y").parts
    assert "\n" not in explain_change(old, many)
    assert explain_change(old, many).endswith("3 more changes")


def test_credentials_in_settings_are_not_in_the_parts(root: Path) -> None:
    settings = {"install": [{"args": ["--index-url", "https://user:pa55@host/x"]}], "url": "u:pa55@h"}
    parts = fingerprint_with(root, settings=settings).parts
    assert "pa55" not in json.dumps(parts)
    changed = fingerprint_with(root, settings={**settings, "url": "u:other-pa55@h"}).parts
    assert explain_change(parts, changed) == "because url changed"
