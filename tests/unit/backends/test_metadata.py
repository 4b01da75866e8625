"""What is read from the METADATA of installed distributions."""

from __future__ import annotations

from email.parser import HeaderParser
from typing import TYPE_CHECKING

import pytest

from protoprimer.backends.installed import metadata_values

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {
    "plain": "Metadata-Version: 2.1\nName: a\nRequires-Dist: b>=1\nRequires-Dist: c; extra == 'x'\n\nText\n",
    "without a description": "Name: a\nRequires-Dist: b>=1",
    "lines of Windows": "Name: a\r\nRequires-Dist: b>=1\r\n\r\nRequires-Dist: text\r\n",
    "the description speaks of the field": "Name: a\nRequires-Dist: b\n\nRequires-Dist: text\n",
    "folded": "Name: a\nLicense: long\n        Requires-Dist: text\nRequires-Dist: b (>=1)\n ; extra == 'x'\n\n",
    "other letters": "name: a\nrequires-dist: b\nRequires-dist:c\n\n",
    "a line that is no field": "Name: a\nRequires-Dist: b\nSummary: one\nand two\nRequires-Dist: text\n\n",
    "nothing": "",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_field_has_the_values_that_the_standard_library_reads(name: str, tmp_path: Path) -> None:
    (tmp_path / "METADATA").write_bytes(TEXTS[name].encode())
    expected = HeaderParser().parsestr(TEXTS[name].replace("\r\n", "\n")).get_all("Requires-Dist", [])
    assert metadata_values(str(tmp_path), "Requires-Dist") == expected
