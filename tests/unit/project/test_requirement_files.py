"""What lines of requirement files lead to, and which of them uv does not read as pip does."""

from __future__ import annotations

import os
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from protoprimer.backends.uv_reads import what_uv_cannot_read
from protoprimer.project.archives import name_in_archive
from protoprimer.project.requirement_files import RequirementLine, lines_of_arguments, lines_of_file
from protoprimer.system.paths import file_url

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = '[project]\nname = "demo"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("pkg", ".pkg", "mono/sub", "reqs"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("pkg", ".pkg", "mono/sub"):
        (tmp_path / name / "pyproject.toml").write_text(PACKAGE, encoding="utf-8")
    (tmp_path / "alpha-1.0-py3-none-any.whl").touch()
    with zipfile.ZipFile(tmp_path / "master.zip", "w") as archive:
        archive.writestr("gamma-master/pyproject.toml", '[project]\nname = "gamma"\n')
        archive.writestr("gamma-master/tests/pyproject.toml", '[project]\nname = "no"\n')
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/PKG-INFO").write_text("Metadata-Version: 2.1\nName: Real.Name\n", encoding="utf-8")
    with tarfile.open(tmp_path / "other-1.0.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "inner", "other-1.0")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("./pkg", "demo", "pkg"),
        ("pkg/", "demo", "pkg"),
        (".pkg", "demo", ".pkg"),
        ("./pkg[x, y]", "demo", "pkg"),
        ("./pkg -C key=value", "demo", "pkg"),
        ("./pkg --config-settings key=value", "demo", "pkg"),
        ("-e./pkg", "demo", "pkg"),
        ("--edit=./pkg", "demo", "pkg"),
        ("-e ./pkg#egg=demo", "demo", "pkg"),
        ("-e ./mono#egg=demo&subdirectory=sub", "demo", "mono/sub"),
        ("other @ file:pkg", "other", "pkg"),
        ("file:mono#subdirectory=sub", "demo", "mono/sub"),
        ("alpha-1.0-py3-none-any.whl", "alpha", "alpha-1.0-py3-none-any.whl"),
        ("alpha-1.0-py3-none-any.whl[x]", "alpha", "alpha-1.0-py3-none-any.whl"),
        ("master.zip", "gamma", "master.zip"),
        ("./other-1.0.tar.gz --hash=sha256:00", "Real.Name", "other-1.0.tar.gz"),
    ],
)
def test_what_lies_here_is_found_with_its_name(root: Path, text: str, name: str, place: str) -> None:
    line = RequirementLine(text, str(root / "requirements.txt"), 1)
    asked = line.requirement(str(root))
    assert asked is not None
    assert (asked.name, asked.url) == (name, file_url(str(root / place)))
    assert line.local_paths(str(root)) == [str(root / place)]


def test_marker_and_extras_of_a_path_are_kept(root: Path) -> None:
    asked = RequirementLine("./pkg[x,y] ; os_name == 'nt'", str(root / "r.txt")).requirement(str(root))
    assert asked is not None
    assert (asked.extras, str(asked.marker).strip()) == (["x", "y"], "os_name == 'nt'")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x1f\x8b broken"])
def test_an_archive_that_cannot_be_read_has_no_name(tmp_path: Path, content: bytes) -> None:
    for name in ("a.zip", "a.tar.gz", "a.tar.lz"):
        (tmp_path / name).write_bytes(content)
        assert name_in_archive(str(tmp_path / name)) is None


def test_the_root_is_known_by_the_name_that_uv_gives_it(root: Path) -> None:
    (root / "reqs/dev.txt").write_text("idna\n", encoding="utf-8")
    text = "-r ${PROJECT_ROOT}/reqs/dev.txt\nx @ file:///${PROJECT_ROOT}/pkg\n"
    (root / "requirements.txt").write_text(text, encoding="utf-8")
    lines = list(lines_of_file(str(root / "requirements.txt"), str(root)))
    assert [os.path.basename(line.path) for line in lines if not line.text] == ["requirements.txt", "dev.txt"]
    assert lines[-1].local_paths(str(root)) == [str(root / "pkg")]


def test_a_name_with_a_space_is_a_file_as_uv_reads_it(root: Path) -> None:
    (root / "reqs/my dev.txt").write_text("idna\n", encoding="utf-8")
    (root / "requirements.txt").write_text("-r reqs/my dev.txt\n", encoding="utf-8")
    lines = lines_of_file(str(root / "requirements.txt"), str(root))
    assert [line.text for line in lines] == ["", "", "idna"]


def test_arguments_keep_their_spaces(root: Path) -> None:
    (root / "my pkg").mkdir()
    (line,) = lines_of_arguments(["-e", "./my pkg"], str(root))
    assert line.local_paths(str(root)) == [str(root / "my pkg")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alpha \\\n    --hash=sha256:00\n", None),
        ("-e ./pkg\n--editable=./pkg\n-r dev.txt\n--no-index\n--prefer-binary\n--trusted-host h\n", None),
        ("-f https://host.invalid/links\n-f pkg\n", None),
        ("alpha\nbeta \\\n ==1\n", "a requirement on more than one line"),
        ("alpha # x \\\nbeta\n", "a comment that ends in \\"),
        ("alpha\x0cbeta\n", "a line that ends in something else than a line feed"),
        ("# coding: latin-1\n", "the encoding iso8859-1"),
        ("-rdev.txt\n", "-rdev.txt"),
        ("-e./pkg\n", "-e./pkg"),
        ("--requirem dev.txt\n", "--requirem"),
        ("-e git+https://host.invalid/x#egg=x\n", "git+https://host.invalid/x#egg=x"),
        ("./pkg -C k=v\n", "--config-settings on the line of a requirement"),
        ("--no-index --pre\n", "more than one option on a line"),
        ("-r dev.txt -r dev.txt\n", "more than one option on a line"),
        ("--all-releases alpha\n", "--all-releases"),
        ("-f links\n", "--find-links with a directory that is not beside the file"),
        ("demo @ file:mono#subdirectory=sub\n", "a subdirectory of a directory"),
    ],
)
def test_what_uv_reads_otherwise_is_told_with_its_line(root: Path, text: str, told: str | None) -> None:
    path = str(root / "requirements.txt")
    (root / "requirements.txt").write_bytes(text.encode("latin-1"))
    found = what_uv_cannot_read(path, str(root))
    assert (found and found[0]) == told
    assert found is None or found[1].startswith(path)
