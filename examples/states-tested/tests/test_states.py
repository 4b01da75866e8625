"""A state is a function: call it with values of what it needs, or let a graph evaluate it with some values given."""

from pathlib import Path

import pytest
from counted import states

from protoprimer import StateGraph, get_config


def test_a_state_is_called_with_values_of_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert states.sum_told(words={"a": 3, "b": 4}) == 7
    assert capsys.readouterr().out == "7\n"


def test_a_graph_evaluates_a_state_with_the_value_of_another_given(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("x")
    graph = StateGraph([states.texts])
    graph.provide("root", str(tmp_path))
    assert graph.evaluate("texts") == [tmp_path / "texts" / "one.txt"]


def test_a_pool_that_spawns_has_the_same_configuration() -> None:
    root = Path(get_config()["root"])
    assert states.words(texts=sorted((root / "texts").glob("*.txt"))) == {"texts/a.txt": 3, "texts/b.txt": 2}
