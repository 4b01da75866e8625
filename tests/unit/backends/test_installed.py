"""What files of an environment say of the sources that are imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protoprimer.backends.installed import editable_sources

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["plain", "it's", "\u3000wide\u200b", "tab\there", "back\\slash", "both'\""])
def test_places_in_a_finder_of_setuptools_are_read_as_python_wrote_them(tmp_path: Path, name: str) -> None:
    sources = tmp_path / name
    (sources / "demo").mkdir(parents=True)
    (sources / "demo" / "__init__.py").touch()
    (sources / "single.py").touch()
    packages = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    mapping = {"demo": str(sources / "demo"), "single": str(sources / "single")}
    spaces = {"space": [str(sources / "gone")]}
    text = f"import sys\nMAPPING: dict[str, str] = {mapping!r}\nNAMESPACES: dict[str, list[str]] = {spaces!r}\nPATH = '/no'\n"
    (packages / "__editable___demo_1_finder.py").write_text(text, encoding="utf-8")
    found = editable_sources(str(tmp_path / "env"))
    assert found == [str(sources / "demo/__init__.py"), str(sources / "single.py"), str(sources / "gone")]
