"""Which cells a matrix has, and how a report of it reads, without running any."""

from __future__ import annotations

import io
import os
import string
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoprimer.commands.matrix.cells import MATRIX_AXES, MatrixCell, expanded_pythons, matrix_cells
from protoprimer.commands.matrix.report import MatrixView, _table_of_cells, junit_report
from protoprimer.errors import ConfigurationError, PrimerError
from protoprimer.project.plan import Plan
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import Configuration, Setting
from protoprimer.settings.schema import CLIENT_SCHEMA, first_violation
from protoprimer.system.console import Console
from protoprimer.system.platform import usable_cores, usable_memory
from protoprimer.system.processes import options_of_process_group

if TYPE_CHECKING:
    from pathlib import Path


def cells_of(table: dict[str, Any], *arguments: str, pythons: tuple[str, ...] = ("3.8", "3.12")) -> list[MatrixCell]:
    configuration = Configuration(os.sep, os.sep)
    configuration.settings["matrix"] = Setting(table, "client", "protoprimer.toml")
    assert first_violation({"matrix": table}, CLIENT_SCHEMA) is None
    line = parse_command_line("prime", ["matrix", *arguments], has_client=False)
    return matrix_cells(table, line, configuration, list(pythons), "here")


def names_of(table: dict[str, Any], *arguments: str, pythons: tuple[str, ...] = ("3.8", "3.12")) -> list[str]:
    return [cell.name for cell in cells_of(table, *arguments, pythons=pythons)]


def expanded(asked: Any, tmp_path: Path) -> list[str]:
    plan = Plan(str(tmp_path), [])
    return expanded_pythons(asked, plan, str(tmp_path), Console(stream=io.StringIO()), here=False, place="here")


def test_names_tell_what_is_not_the_default() -> None:
    table = {"env": ["default", "dev"], "resolution": ["highest", "lowest-direct"], "extras": ["", "fast,all"]}
    names = names_of(table, pythons=("3.12", "pypy3.10"))
    assert names[:3] == ["py3.12", "py3.12-fast_all", "py3.12-lowest-direct"]
    assert names[-1] == "pypy3.10-dev-lowest-direct-fast_all"
    assert len(names) == len(set(names)) == 16


def test_exclude_needs_every_key_to_agree_and_an_empty_one_agrees_with_nothing() -> None:
    table = {"backend": ["uv", "venv"], "exclude": [{"python": "3.8", "backend": "uv"}, {}]}
    assert names_of(table) == ["py3.8-venv", "py3.12-uv", "py3.12-venv"]


def test_include_adds_to_the_product_and_follows_the_option_python() -> None:
    table = {"include": [{"python": "3.12", "resolution": "lowest"}]}
    assert names_of(table) == ["py3.8", "py3.12", "py3.12-lowest"]
    assert names_of(table, "--python", "3.8", pythons=("3.8",)) == ["py3.8"]


@pytest.mark.parametrize(
    ("table", "pythons"),
    [
        ({}, ("3.12", "3.12")),
        ({}, ("3.12", "==3.12.*")),
        ({}, ("3.12", "cpython3.12")),
        ({"resolution": ["highest"], "include": [{"python": "3.12"}]}, ("3.12",)),
        ({"backend": ["auto"], "include": [{"python": "3.12", "backend": "auto"}]}, ("3.12",)),
    ],
)
def test_cells_that_would_be_the_same_are_refused(table: dict[str, Any], pythons: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="two cells of the matrix are the same"):
        cells_of(table, pythons=pythons)


def test_cells_whose_names_collide_get_names_that_differ() -> None:
    found = cells_of({"groups": ["a,b", "a_b", "a b"]}, pythons=("3.12",))
    assert [cell.name for cell in found] == ["py3.12-a_b", "py3.12-a_b-2", "py3.12-a_b-3"]


@pytest.mark.parametrize("pythons", [("3.13", "3.13t"), ("3.12", "3.12.1"), ("3.10", "pypy3.10")])
def test_cells_that_differ_are_two(pythons: tuple[str, ...]) -> None:
    assert len(cells_of({}, pythons=pythons)) == 2


def test_no_cell_at_all_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="the matrix has no cells"):
        cells_of({"exclude": [{"python": "3.8"}]}, pythons=("3.8",))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("3.8,3.12", ["3.8", "3.12"]),
        ("3.8,>=3.11,<3.13", ["3.8", "3.11", "3.12"]),
        (">=3.11,<3.13,3.8", ["3.11", "3.12", "3.8"]),
        ([">=3.8,!=3.9.*,<3.11", "3.13t"], ["3.8", "3.10", "3.13t"]),
        (">=3.12.4,<3.13", ["3.12"]),
        ("~=3.13.0", ["3.13"]),
    ],
)
def test_ranges_stand_for_minor_versions_and_names_for_themselves(asked: Any, found: list[str], tmp_path: Path) -> None:
    assert expanded(asked, tmp_path) == found


def test_without_any_wish_every_supported_minor_is_meant(tmp_path: Path) -> None:
    assert expanded(None, tmp_path)[:2] == ["3.6", "3.7"]


@pytest.mark.parametrize("text", ["bananas", "/usr/bin/python3", ">=three"])
def test_what_names_no_python_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"names no Python|is not a version specifier"):
        expanded(text, tmp_path)


@given(st.lists(st.text(string.printable, max_size=12), max_size=4), st.text(max_size=12))
def test_any_words_give_cells_with_file_names_or_one_error(extras: list[str], backend: str) -> None:
    try:
        cells = cells_of({"extras": extras, "backend": [backend]}, pythons=("3.12",))
    except PrimerError:
        return
    for cell in cells:
        assert set(cell.name) <= set(string.ascii_letters + string.digits + "._-")
        assert 0 < len(cell.name) <= 48
        assert set(cell.axes) == set(MATRIX_AXES)


def ended_cell(name: str, status: str, log: Path, output: bytes = b"") -> MatrixCell:
    cell = MatrixCell(name, dict.fromkeys(MATRIX_AXES, ""))
    cell.status, cell.started, cell.ended, cell.log = status, 1.0, 2.5, str(log)
    log.write_bytes(output)
    return cell


@given(output=st.binary(max_size=200), reason=st.text(max_size=20))
def test_any_output_makes_a_well_formed_report(output: bytes, reason: str, tmp_path_factory: Any) -> None:
    cell = ended_cell("py3.12", "failed", tmp_path_factory.mktemp("log") / "log", output)
    cell.reason = reason
    root = ET.fromstring(junit_report([cell], 1.0).encode("utf-8", "surrogatepass"))
    assert [one.get("name") for one in root.iter("testcase")] == ["py3.12"]


def test_long_output_is_shown_from_its_end_with_a_note(tmp_path: Path) -> None:
    cell = ended_cell("py3.12", "failed", tmp_path / "log", b"first\n" + b"x" * 300_000 + b"\nlast\n")
    shown = cell.output()
    assert shown.startswith("[37868 bytes before this are in ")
    assert shown.endswith("last\n")
    assert "first" not in shown


@pytest.mark.parametrize(
    ("status", "folds", "shows"),
    [("passed", "", False), ("failed", "", True), ("passed", "true", True), ("stopped", "", False)],
)
def test_output_is_shown_where_it_is_of_interest(
    status: str, folds: str, shows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", folds)
    stream = io.StringIO()
    cell = ended_cell("py3.12", status, tmp_path / "log", b"what it printed\n")
    MatrixView(Console(stream=stream), [cell]).tell(cell)
    assert ("what it printed" in stream.getvalue()) == shows
    assert ("::group::" in stream.getvalue()) == bool(folds)


def test_ten_silent_seconds_bring_a_sign_of_life() -> None:
    stream = io.StringIO()
    cells = cells_of({})
    cells[0].status, cells[0].started = "running", time.monotonic() - 12
    console = Console(stream=stream)
    view = MatrixView(console, cells)
    view.tick()
    assert stream.getvalue() == ""
    console._last_words -= 11
    view.tick()
    view.tick()
    assert stream.getvalue() == "still py3.8 running (12 s)\n"


def test_a_small_terminal_shows_what_runs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "5")
    cells = cells_of({}, pythons=tuple("3.%d" % minor for minor in range(6, 14)))
    cells[5].status, cells[5].started = "running", time.monotonic()
    lines = _table_of_cells(cells).split("\n")
    assert lines[0].split()[:2] == ["py3.11", "running"]
    assert len(lines) == 4
    assert lines[-1] == "  and 5 more"


def test_the_host_tells_what_jobs_can_go_by() -> None:
    assert usable_cores() >= 1
    assert (usable_memory() or 2**40) > 2**20
    assert len(options_of_process_group()) == 1
