"""What the build of a project reads is found in its metadata and scripts, and is an input."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

import pytest

from protoprimer.authoring.kernel import kernel_text
from protoprimer.project import python_source
from protoprimer.project.build_inputs import add_project_inputs
from protoprimer.project.inputs import Inputs
from protoprimer.project.python_source import parsed_source
from protoprimer.version import PROTOPRIMER_MARK

if TYPE_CHECKING:
    from pathlib import Path

IN_TREE_BACKEND = '[build-system]\nrequires = []\nbuild-backend = "builder"\nbackend-path = ["."]\n'
TABLE = '[project]\nname = "app"\nversion = "1"\n'


def inputs_of(root: Path, files: dict[str, str], editable: bool = True) -> Inputs:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    found = Inputs()
    add_project_inputs(str(root), editable, found)
    return found


def names(root: Path, inputs: Inputs) -> set[str]:
    return {os.path.relpath(path, root) for path in inputs.present} - {"pyproject.toml", "setup.py", "setup.cfg"}


@pytest.mark.parametrize(
    "code",
    [
        "open('needs/a.txt')",
        "open(os.path.join(HERE, 'needs', 'a.txt'))",
        "for name in ('a', 'b'):\n    open(os.path.join(HERE, 'needs', name + '.txt'))",
        "for name in ('a', 'b'):\n    open(os.path.join(HERE, 'needs', '%s.txt' % name))",
        "for name in ('a', 'b'):\n    open(HERE / 'needs' / f'{name}.txt')",
        "for name in ('a', 'b'):\n    open('needs/{}.txt'.format(name))",
        "needs = glob.glob('needs/*.txt')",
        "data = 'needs'",
    ],
)
def test_what_strings_of_setup_py_name_is_an_input(tmp_path: Path, code: str) -> None:
    found = inputs_of(tmp_path, {"setup.py": code, "needs/a.txt": "", "needs/b.txt": "", "other/c.txt": ""})
    assert "needs/a.txt" in names(tmp_path, found)
    assert "other/c.txt" not in names(tmp_path, found)


@pytest.mark.parametrize(
    "code",
    [
        "os.environ['A_NAME']",
        'os.environ.get("A_NAME", "") == ""',
        "os.getenv('A_NAME')",
        "if 'A_NAME' in os.environ: pass",
        "from os import environ as e\ne.get('x') or environ.pop('A_NAME', None)",
    ],
)
def test_a_variable_that_setup_py_reads_is_an_input(tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"setup.py": code + "\nos.environ.get('PATH')\nprint('ANOTHER_NAME')\n"}
    first = inputs_of(tmp_path, files)
    assert {name for name in first.facts if name.startswith("the variable")} == {"the variable A_NAME"}
    assert first.variables == {"A_NAME"}
    monkeypatch.setenv("A_NAME", "1")
    assert inputs_of(tmp_path, files).facts != first.facts


def test_what_setup_py_imports_is_an_input_and_the_modules_of_its_packages_are_not(tmp_path: Path) -> None:
    setup = "import helper\nsetup(packages=['app'], package_dir={'': 'src'}, exclude=['tests'])"
    files = {"setup.py": setup, "helper.py": "", "app/__init__.py": "", "src/one.py": "", "src/pkg/__init__.py": ""}
    found = inputs_of(tmp_path, {**files, "tests/data.txt": ""})
    assert names(tmp_path, found) == {"helper.py"}


def test_a_copied_project_counts_with_all_its_files_but_what_builds_leave(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": TABLE,
        "src/app/__init__.py": "",
        "src/app/x.so": "",
        "build/lib/app.py": "",
        ".git/x": "",
    }
    files["venv/pyvenv.cfg"] = files["venv/lib/x.py"] = ""
    assert names(tmp_path, inputs_of(tmp_path, files, editable=False)) == {"src/app/__init__.py"}


def test_what_builds_of_other_languages_read_is_an_input_wherever_it_lies(tmp_path: Path) -> None:
    read = {"CMakeLists.txt", "src/CMakeLists.txt", "cmake/find.cmake", "part/meson.build", "crates/one/Cargo.toml"}
    read |= {"src/core.c", "crates/one/src/lib.rs", "meson.options"}
    other = {"src/app/__init__.py", "docs/CMakeLists.txt.md", "data.txt"}
    found = inputs_of(tmp_path, {"pyproject.toml": TABLE, **dict.fromkeys(read | other, "")})
    assert names(tmp_path, found) == read


def test_what_a_build_of_another_language_reads_beside_the_project_is_an_input(tmp_path: Path) -> None:
    read = {
        "python/Cargo.toml": '[dependencies]\none = { path = "../one" }\n',
        "python/src/lib.rs": 'const TEXT: &str = include_str!("../../told.txt");\n',
        "one/Cargo.toml": '[dependencies]\ntwo = { path = "../two" }\n',
        "one/src/lib.rs": "",
        "two/src/lib.rs": "",
        "told.txt": "",
        "Cargo.toml": "[workspace]\n",
        "Cargo.lock": "",
        ".cargo/config.toml": "",
        "rust-toolchain.toml": "",
    }
    other = {"three/src/lib.rs": "", "two/README": "", "two/target/made.rs": ""}
    inputs_of(tmp_path, {**read, **other})
    found = inputs_of(tmp_path / "python", {"pyproject.toml": TABLE})
    assert {os.path.relpath(path, tmp_path) for path in found.present} == {"python/pyproject.toml", *read}
    assert str(tmp_path / "python" / "rust-toolchain.toml") in found.absent


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("setup.py", "setup(ext_modules=[Extension('app', ['app.c'], include_dirs=['../include'])])"),
        ("CMakeLists.txt", "include_directories(../include)\n"),
        ("app.c", '#include "../include/deep/app.h"\n'),
        (
            "pyproject.toml",
            TABLE + '[build-system]\nrequires = ["maturin"]\n[tool.maturin]\nmanifest-path = "../include"\n',
        ),
    ],
)
def test_headers_beside_the_project_are_inputs(tmp_path: Path, file: str, text: str) -> None:
    files = {"pyproject.toml": TABLE, "meson.build": "", file: text}
    inputs_of(tmp_path, {"include/deep/app.h": "", "include/deep/notes.txt": "", "other/app.h": ""})
    found = {os.path.relpath(path, tmp_path) for path in inputs_of(tmp_path / "app", files).present}
    assert {name for name in found if not name.startswith("app/")} == {"include/deep/app.h"}


def test_tags_are_inputs_in_each_format_of_a_repository(tmp_path: Path) -> None:
    table = TABLE.replace('version = "1"', 'dynamic = ["version"]')
    table += '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n'
    files = {
        "pyproject.toml": table,
        ".git/HEAD": "ref: refs/heads/.invalid\n",
        ".git/reftable/tables.list": "0x1.ref\n",
    }
    files[".git/refs/tags/v1"] = "0\n"
    found = inputs_of(tmp_path, files)
    assert names(tmp_path, found) == {".git/HEAD", ".git/reftable/tables.list", ".git/refs/tags/v1"}


def test_links_to_where_they_lie_have_an_end_and_others_are_followed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name, target in {"docs/one": ".", "docs/two": "..", "three": "docs", "four": "src"}.items():
        (tmp_path / name).symlink_to(target, target_is_directory=True)
    files = {"pyproject.toml": TABLE, "src/app.py": "", "docs/page": ""}
    found = inputs_of(tmp_path, files, editable=False)
    assert names(tmp_path, found) == {"src/app.py", "docs/page", "three/page", "four/app.py"}


def test_of_an_attribute_its_value_counts_and_nothing_else_of_the_module(tmp_path: Path) -> None:
    files = {
        "setup.cfg": "[metadata]\nname = app\nversion = attr: app.__version__\n",
        "app/__init__.py": "__version__ = '1'\n",
    }
    first = inputs_of(tmp_path, files)
    assert names(tmp_path, first) == set()
    files["app/__init__.py"] += "MORE = 1\n"
    assert inputs_of(tmp_path, files).facts == first.facts
    files["app/__init__.py"] = "__version__ = '2'\n"
    assert inputs_of(tmp_path, files).facts != first.facts
    files["app/__init__.py"] = "__version__ = computed()\n"
    assert names(tmp_path, inputs_of(tmp_path, files)) == {"app/__init__.py"}


def test_cache_keys_are_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = '[tool.uv]\ncache-keys = ["VERSION", { file = "c/**/*.h" }, { dir = "gen" }, { env = "A_KEY" }]\n'
    files = {"pyproject.toml": TABLE + keys, "VERSION": "", "c/d/e.h": "", "gen/x": ""}
    found = inputs_of(tmp_path, files)
    assert names(tmp_path, found) == {"VERSION", "c/d/e.h"}
    monkeypatch.setenv("A_KEY", "1")
    (tmp_path / "gen" / "y").write_text("")
    now = inputs_of(tmp_path, files).facts
    assert {name for name, value in now.items() if found.facts[name] != value} == {
        f"the directory {tmp_path / 'gen'}",
        "the variable A_KEY",
    }


def test_members_of_a_workspace_and_sources_are_inputs_with_what_is_not_there(tmp_path: Path) -> None:
    table = TABLE + "[tool.uv.workspace]\nmembers = ['packages/*']\nexclude = ['packages/out']\n"
    table += "[tool.uv.sources]\nlib = { path = 'lib', editable = true }\nwheel = { path = 'w/x-1-py3-none-any.whl' }\n"
    files = {"pyproject.toml": table, "w/x-1-py3-none-any.whl": "", "packages/out/pyproject.toml": TABLE}
    files["packages/one/pyproject.toml"] = TABLE
    found = inputs_of(tmp_path, files)
    assert "packages/one/pyproject.toml" in names(tmp_path, found)
    assert str(tmp_path / "packages" / "one" / "setup.py") in found.absent
    assert str(tmp_path / "packages" / "out" / "setup.py") not in found.absent
    assert str(tmp_path / "packages") in found.looked_at
    assert "w/x-1-py3-none-any.whl" in names(tmp_path, found)
    assert str(tmp_path / "lib" / "pyproject.toml") in found.absent


def test_globs_find_any_depth_but_nothing_hidden(tmp_path: Path) -> None:
    for name in ("a.txt", "d/b.txt", "d/e/c.txt", ".h/x.txt", "d/__pycache__/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = {
        pattern: sorted(os.path.relpath(path, tmp_path) for path in Inputs().add_matching(str(tmp_path), pattern))
        for pattern in ("**/*.txt", "*.txt", "d/*/c.txt", "d/**", ".h/*", "none/*")
    }
    assert found == {
        "**/*.txt": ["a.txt", "d/b.txt", "d/e/c.txt"],
        "*.txt": ["a.txt"],
        "d/*/c.txt": ["d/e/c.txt"],
        "d/**": ["d/b.txt", "d/e/c.txt"],
        ".h/*": [".h/x.txt"],
        "none/*": [],
    }


def test_a_link_that_leads_nowhere_is_looked_at_and_what_it_leads_to_is_absent(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").symlink_to("elsewhere.txt")
    found = Inputs()
    found.add(str(tmp_path / "requirements.txt"))
    assert (found.present, found.absent) == (set(), {str(tmp_path / "elsewhere.txt")})
    assert found.looked_at == {str(tmp_path)}


def test_a_kernel_beside_a_build_backend_is_an_input_and_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def parse(path: str) -> ast.Module | None:
        parsed.append(os.path.basename(path))
        return parsed_source(path)

    monkeypatch.setattr(python_source, "parsed_source", parse)
    files = {"pyproject.toml": IN_TREE_BACKEND + TABLE, "builder.py": "open('a.txt')", "proto_kernel.py": kernel_text()}
    found = inputs_of(tmp_path, {**files, "a.txt": "", "ext.c": ""})
    assert names(tmp_path, found) == {"a.txt", "builder.py", "proto_kernel.py"}
    assert parsed == ["builder.py"]


def test_a_script_that_speaks_of_a_kernel_is_read_as_any_other(tmp_path: Path) -> None:
    script = f"# Not the kernel's, which leads {PROTOPRIMER_MARK}.\nopen('a.txt')\n"
    found = inputs_of(tmp_path, {"pyproject.toml": IN_TREE_BACKEND + TABLE, "builder.py": script, "a.txt": ""})
    assert "a.txt" in names(tmp_path, found)
