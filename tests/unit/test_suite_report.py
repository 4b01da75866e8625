"""What the suite tells of itself."""

from __future__ import annotations

from pathlib import PurePosixPath

from suite_report import by_folder, committed_seconds, what_grew
from support import ROOT


def test_folders_are_those_directly_below_tests() -> None:
    modules = {"tests/unit/store/test_a.py": 1.0, "tests/unit/test_b.py": 2.0, "tests/real/test_c.py": 4.0}
    assert by_folder(modules) == {"tests/unit": 3.0, "tests/real": 4.0}


def test_what_grew_is_told_with_both_figures() -> None:
    before = {"tests/unit": 60.0, "tests/real": 400.0}
    assert list(what_grew({"tests/unit": 61.0, "tests/real": 500.0, "tests/new": 9.0}, before)) == [
        "tests/new grew from 0 s to 9 s",
        "tests/real grew from 400 s to 500 s",
    ]


def test_the_committed_figures_are_those_of_modules_that_exist() -> None:
    gone = [module for module in committed_seconds() if not (ROOT / PurePosixPath(module)).is_file()]
    assert gone == []


def test_each_room_has_tests_of_its_own() -> None:
    rooms = {path.name for path in (ROOT / "src" / "protoprimer").iterdir() if (path / "__init__.py").is_file()}
    tested = {path.name for path in (ROOT / "tests" / "unit").iterdir() if list(path.glob("test_*.py"))}
    assert rooms | {"backends", "graph"} <= tested
