"""The gates, as tests; `python tests/gates` runs the same by hand."""

from __future__ import annotations

import html
import importlib
import re
import sys

import pytest

import support
from gates.__main__ import NAMES
from protoprimer.authoring.kernel import kernel_text

pytestmark = pytest.mark.skipif(sys.version_info < (3, 10), reason="the tools' newest versions want Python 3.10")


@pytest.mark.parametrize("gate", NAMES)
def test_gate_finds_nothing(gate: str) -> None:
    assert importlib.import_module(f"gates.check_{gate}").problems() == []


def test_each_row_of_who_may_choose_what_has_its_test() -> None:
    text = (support.ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
    table = text.partition("## Who may choose what")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    written = "".join(path.read_text(encoding="utf-8") for path in (support.ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        (name,) = re.findall(r"`(test_\w+)` \|$", row)
        assert f"def {name}(" in written


def test_the_readmes_picture_shows_what_the_kernel_says() -> None:
    picture = (support.ROOT / "docs" / "assets" / "first-run.svg").read_text(encoding="utf-8")
    shown = html.unescape(re.sub("<[^>]*>", "", picture)).replace("\xa0", " ")
    kernel = kernel_text()
    for words in ("building an environment ", "because nothing was built yet", "run -- CMD or ", "pins the versions"):
        assert words in shown
        assert words in kernel
