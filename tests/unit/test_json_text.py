"""Our JSON is the standard library's: what it reads, refuses and writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import protoprimer
import support
from protoprimer.system.json_text import json_of, json_text

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES, st.sampled_from([None, 0, 1, 4]))
def test_what_is_written_is_what_the_library_writes(value: Any, indent: int | None) -> None:
    assert json_text(value, indent) == json.dumps(value, indent=indent, sort_keys=True)


@given(VALUES, st.sampled_from([None, 1]), st.text(alphabet=" \t\r\n"), st.text(alphabet=" \t\r\n"))
def test_what_is_read_is_what_the_library_reads(value: Any, indent: int | None, before: str, after: str) -> None:
    text = before + json.dumps(value, indent=indent, ensure_ascii=False) + after
    assert json_of(text) == json.loads(text) == value


@given(st.text(alphabet='{}[]:,"\\u0019ane-.+Itrufls\n \t') | st.text())
def test_what_the_library_refuses_is_refused(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            json_of(text)
    else:
        assert repr(json_of(text)) == repr(expected)


def test_a_text_nested_without_end_is_an_error_of_the_same_kind() -> None:
    deep = "[" * 100_000
    with pytest.raises(RecursionError):
        json.loads(deep)
    with pytest.raises(RecursionError):
        json_of(deep)


def test_an_interpreter_whose_accelerator_asks_for_more_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        def __init__(self, settings: object) -> None:
            raise AttributeError("'settings' object has no attribute 'what_comes_after_3_15'")

    json.loads("{}")  # it has made its own scanner by then, as it does where the accelerator is another
    monkeypatch.setattr("_json.make_scanner", Later)
    assert json_of('{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize("function", [json_of, json_text])
def test_an_interpreter_without_the_accelerator_does_the_same(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    monkeypatch.setitem(sys.modules, "_json", None)
    assert (
        function('{"a": [1, "\\u00e9"]}')
        == {json_of: {"a": [1, "é"]}, json_text: '"{\\"a\\": [1, \\"\\\\u00e9\\"]}"'}[function]
    )


NOT_JSON = ["", " ", "{", "[", "[1", "[1,", '{"a"', '{"a":', '{"a": 1', '{"a": 1,', "{1: 2}", '"', '"\\', '"\\u12', "nul", "[1 2]", "1 2",
            "\x00", '{"a": tru}', "[,]", "-", "1.", '"\n"']  # fmt: skip
REFUSING = """
import sys
sys.path[:0] = sys.argv[1:2]
from protoprimer.system.json_text import json_of
assert "json" not in sys.modules
for text in %r:
    try:
        print("taken: %%r" %% text, json_of(text))
    except ValueError:
        pass
"""


@pytest.mark.parametrize("python", support.wild_pythons(), ids=str)
def test_what_is_not_json_is_refused_where_the_library_was_never_imported(python: support.WildPython) -> None:
    sources = os.path.dirname(protoprimer.__path__[0])
    command = [python.executable, "-I", "-S", "-c", REFUSING % NOT_JSON, sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
