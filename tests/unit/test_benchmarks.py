"""The benchmarks run and tell what they measured; how long anything took is no test's business."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

import support

if str(support.ROOT) not in sys.path:
    sys.path.append(str(support.ROOT))

from benchmarks import all as everything
from benchmarks import common, growth

if TYPE_CHECKING:
    from pathlib import Path


def line(**more: Any) -> common.Line:
    facts: dict[str, Any] = {
        "what": "cold <b>",
        "peer": "`uv sync`",
        "goal": 1.25,
        "ours": [0.2, 0.1, 0.3],
        "others": [0.1, 0.4, 0.2],
    }
    return common.Line(**{**facts, **more})


def test_ratio_is_of_the_medians() -> None:
    assert (line().ratio, line().is_met) == (1.0, True)
    assert not line(goal=0.9).is_met
    assert line(goal=0.9, enough=0.2).is_met
    assert not line(others=[0.15], goal=2, most_above=0.01).is_met


def test_a_line_is_told_with_its_spread_and_verdict() -> None:
    assert common.shown(line(goal=0.5)) == (
        "cold <b>: 200 ms (100 ms to 300 ms) against `uv sync`: 200 ms (100 ms to 400 ms); ratio 1.00, goal 0.5: MISSED"
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0123, "s", "12.3 ms"), (0.5, "s", "500 ms"), (12.34, "s", "12.3 s"), (150, "KB", "150 KB")],
)
def test_figures_are_short(value: float, unit: str, text: str) -> None:
    assert common.in_unit(value, unit) == text


def test_every_round_runs_each_once_and_the_first_changes() -> None:
    ran: list[str] = []

    def contestant(name: str) -> common.Usage:
        ran.append(name)
        return common.Usage(float(len(ran)), 0.0)

    seconds = common.interleaved(3, {name: functools.partial(contestant, name) for name in "ab"})
    assert "".join(ran) == "abbaab"
    assert seconds == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


def test_growth_beyond_linear_is_told() -> None:
    assert growth.Growth("x", [1, 10], [0.1, 1.0], [1, 1]).is_linear_at_most
    assert not growth.Growth("x", [1, 10], [0.1, 2.0], [1, 1]).is_linear_at_most
    assert "| x | 1, 10 | 100 ms, 2.0 s | 0, 0 MB | NO |" in growth.table(
        [growth.Growth("x", [1, 10], [0.1, 2.0], [1, 1])]
    )


def test_a_benchmark_that_fails_does_not_take_the_others_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    bench = common.Bench(tmp_path / "file")
    assert everything.measured("kernel", bench) == []
    assert "benchmarks.kernel failed: " in capsys.readouterr().out


def test_the_page_keeps_its_words_and_the_picture_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "docs" / "explanation" / "performance.md"
    page.parent.mkdir(parents=True)
    page.write_text(f"words\n{everything.BEGIN}stale figures{everything.END}more words\n", encoding="utf-8")
    monkeypatch.setattr(everything, "ROOT", tmp_path)
    lines = [line(), line(what="slow", ours=[9.0])]
    everything.write(everything.figures("today", lines, []), lines, "today & here")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("words\n")
    assert text.endswith("more words\n")
    assert "stale figures" not in text
    assert "| slow | 9.0 s | `uv sync` | 200 ms (100 ms to 400 ms) | 45.00 | ≤ 1.25 | missed |" in text
    picture = ElementTree.parse(page.with_suffix(".svg")).getroot()
    assert picture.tag.endswith("svg")
    assert len(picture.findall("{*}rect")) == 1 + len(lines)


def test_the_page_of_this_repository_has_a_place_for_figures() -> None:
    text = (support.ROOT / "docs" / "explanation" / everything.PICTURE).with_suffix(".md").read_text(encoding="utf-8")
    assert text.count(everything.BEGIN) == text.count(everything.END) == 1
    assert text.index(everything.BEGIN) < text.index(everything.END)


def test_every_benchmark_is_a_command_that_the_page_names() -> None:
    text = (support.ROOT / "docs" / "explanation" / "performance.md").read_text(encoding="utf-8")
    for name in (*everything.BENCHMARKS, "growth", "all"):
        source = (support.ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        assert f"python -m benchmarks.{name} " in source
        assert f"`benchmarks.{name}`" in text


@pytest.mark.index
@pytest.mark.thorough
def test_a_quick_round_of_a_real_benchmark_ends_with_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["warm_prime", "--rounds", "1", "--quick"])
    with common.benched() as (bench, options):
        assert (options.rounds, bench.times(30)) == (1, 1)
        measured = everything.measured("warm_prime", bench)
    assert [(len(one.ours), len(one.others)) for one in measured] == [(1, 1)] * 2
    assert not bench.directory.exists()
