"""What metadata files say: ranges of Pythons, packages or not, groups, scripts; and what is wrong with them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

import support
from protoprimer.errors import ConfigurationError
from protoprimer.formats.requirements import normalized_name
from protoprimer.formats.versions import InvalidSpecifier, poetry_python_range
from protoprimer.project.metadata import ProjectMetadata, expand_group, read_project

BUILD = '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'


def made(directory: Path, **files: str) -> ProjectMetadata:
    """Write files (`pyproject_toml="…"`), and read the project."""
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content, encoding="utf-8")
    project = read_project(str(directory))
    assert project is not None
    return project


def refused(directory: Path, **files: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        made(directory, **files)
    assert caught.value.exit_code == 3
    return caught.value


def test_a_directory_without_metadata_files_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("x\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "pyproject.toml").write_text("broken")
    assert read_project(str(tmp_path)) is None
    assert read_project(str(tmp_path / "absent")) is None


def test_directories_below_are_never_looked_at(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "pyproject.toml").write_text("= broken")
    assert made(tmp_path, pyproject_toml='[project]\nname = "x"\n').name == "x"


# Where the range of Pythons is.


@pytest.mark.parametrize(
    ("files", "expected", "place"),
    [
        ({"pyproject_toml": '[project]\nname = "x"\nrequires-python = ">=3.12,!=3.14.1"'}, ">=3.12,!=3.14.1", "pyproject.toml:3 (project.requires-python)"),
        ({"pyproject_toml": '[tool.poetry.dependencies]\npython = "^3.8"'}, ">=3.8,<4", "pyproject.toml:2 (tool.poetry.dependencies.python)"),
        ({"pyproject_toml": '[tool.poetry.dependencies]\npython = {version = ">=3.9"}'}, ">=3.9", "pyproject.toml:2 (tool.poetry.dependencies.python)"),
        ({"pyproject_toml": '[project]\nrequires-python = ">=3.9"\n[tool.poetry.dependencies]\npython = "^3.8"'}, ">=3.9", "pyproject.toml:2 (project.requires-python)"),
        ({"setup_cfg": "[metadata]\nname = x\n[options]\npython_requires = >=3.7\n"}, ">=3.7", "setup.cfg:4 (options.python_requires)"),
        ({"setup_cfg": "[options]\npython-requires = >=3.7, <4\n", "setup_py": "from setuptools import setup\nsetup()"}, ">=3.7, <4", "setup.cfg:2 (options.python_requires)"),
        ({"setup_py": "import setuptools\nsetuptools.setup(name='x',\n  python_requires='>=3.6')"}, ">=3.6", "setup.py:3 (python_requires)"),
        ({"setup_py": "from setuptools import setup\nRANGE = '>=3.6'\nsetup(python_requires=RANGE)"}, ">=3.6", "setup.py:3 (python_requires)"),
        ({"pyproject_toml": BUILD, "setup_py": "from setuptools import setup\nsetup(python_requires='>=3' '.6')"}, ">=3.6", "setup.py:2 (python_requires)"),
        ({"setup_cfg": "[options]\npython_requires = >=3.7\n", "setup_py": "setup(python_requires='>=3.6')"}, ">=3.7", "setup.cfg:2 (options.python_requires)"),
    ],
)  # fmt: skip
def test_the_range_of_pythons_is_found_with_its_place(
    tmp_path: Path, files: dict[str, str], expected: str, place: str
) -> None:
    project = made(tmp_path, **files)
    assert project.requires_python == expected
    assert project.requires_python_place == str(tmp_path / place)
    assert project.requires_python_note is None


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject_toml": "[tool.ruff]\n"},
        {"pyproject_toml": '[project]\nname = "x"'},
        {"setup_py": "from setuptools import setup\nsetup(name='x')"},
        {"setup_cfg": "[flake8]\nmax-line-length = 100\npython_requires = no"},
    ],
)
def test_an_absent_range_is_absent_without_a_note(tmp_path: Path, files: dict[str, str]) -> None:
    project = made(tmp_path, **files)
    assert (project.requires_python, project.requires_python_place, project.requires_python_note) == (None, None, None)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import x\nfrom setuptools import setup\nsetup(python_requires='>=' + x.oldest())", "computed"),
        ("R = '>=3.6'\nif True:\n    R = '>=3.7'\nsetup(python_requires=R)", "computed"),
        ("R = '>=3.6'\nR += ',<4'\nsetup(python_requires=R)", "computed"),
        ("setup(**dict(python_requires='>=3.6'))", "computed"),
        ("print 'two'\nsetup(python_requires='>=3.6')", "cannot be read"),
        ("setup(python_requires='\\d'+)", "cannot be read"),
    ],
)
def test_a_computed_range_is_said_to_be_so_and_nothing_runs(tmp_path: Path, source: str, words: str) -> None:
    project = made(tmp_path, setup_py=f"open({str(tmp_path / 'ran')!r}, 'w')\n" + source)
    assert project.requires_python is None
    assert words in (project.requires_python_note or "")
    assert project.is_package
    assert not (tmp_path / "ran").exists()


def test_reading_setup_py_warns_of_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    made(tmp_path, setup_py="setup(name='\\d', python_requires='>=3.6')")
    assert list(recwarn) == []


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"pyproject_toml": '[project]\nname = "x"\nrequires-python = ">=three"'}, "pyproject.toml:3 (project.requires-python)"),
        ({"pyproject_toml": '[project]\nrequires-python = ">=3.8.*"'}, "pyproject.toml:2 (project.requires-python)"),
        ({"setup_cfg": "[options]\npython_requires = 3.7\n"}, "setup.cfg:2 (options.python_requires)"),
        ({"setup_py": "setup(python_requires='3.6')"}, "setup.py:1 (python_requires)"),
        ({"pyproject_toml": "[project]\nrequires-python = 3.8"}, "pyproject.toml:2 (project.requires-python)"),
        ({"pyproject_toml": "[project\n"}, "pyproject.toml:1"),
        ({"pyproject_toml": "[project]\na = 1\na = 2"}, "pyproject.toml:3"),
        ({"pyproject_toml": "project = 1"}, "pyproject.toml:1 (project)"),
        ({"pyproject_toml": "[project]\n\ndependencies = 'x'"}, "pyproject.toml:3 (project.dependencies)"),
        ({"pyproject_toml": "[project]\ndependencies = [1]"}, "pyproject.toml:2 (project.dependencies)"),
        ({"pyproject_toml": "[project.optional-dependencies]\nx = 'y'"}, "pyproject.toml:2 (project.optional-dependencies.x)"),
        ({"pyproject_toml": "[project]\nname = 1"}, "pyproject.toml:2 (project.name)"),
        ({"pyproject_toml": "dependency-groups = []"}, "pyproject.toml:1 (dependency-groups)"),
        ({"pyproject_toml": "tool = 1"}, "pyproject.toml:1 (tool)"),
        ({"setup_cfg": "[metadata]\nname = x\n[options\n"}, "setup.cfg:3"),
        ({"setup_cfg": "[metadata]\nname\n"}, "setup.cfg:2"),
    ],
)  # fmt: skip
def test_broken_metadata_is_a_configuration_error_with_its_place(
    tmp_path: Path, files: dict[str, str], place: str
) -> None:
    error = refused(tmp_path, **files)
    assert error.place == str(tmp_path / place)
    assert "\n" not in error.cause


POETRY = [
    ("^3.8", ">=3.8,<4"),
    ("^3", ">=3,<4"),
    ("^3.8.1", ">=3.8.1,<4"),
    ("^0.2.3", ">=0.2.3,<0.3"),
    ("^0.0.3", ">=0.0.3,<0.0.4"),
    ("^0", ">=0,<1"),
    ("~3.8", ">=3.8,<3.9"),
    ("~3", ">=3,<4"),
    ("~3.8.2", ">=3.8.2,<3.9"),
    ("3.8.*", "==3.8.*"),
    ("3.*", "==3.*"),
    ("*", ""),
    ("3.8", "==3.8.*"),
    ("==3.8", "==3.8.*"),
    ("3.8.2", "==3.8.2"),
    ("=3.8.2", "==3.8.2"),
    (">=3.8,<4.0", ">=3.8,<4.0"),
    (">=3.8 <4.0", ">=3.8,<4.0"),
    (">= 3.8, < 4.0", ">=3.8,<4.0"),
    ("~=3.8", "~=3.8"),
    (">=3.8,!=3.9.1", ">=3.8,!=3.9.1"),
    ("^3.7,!=3.7.2", ">=3.7,<4,!=3.7.2"),
    ("~2.7 || ^3.5", ">=3.5,<4"),
    ("~2.7|^3.5", ">=3.5,<4"),
    (">=2.7,<3 || >=3.6", ">=3.6"),
    ("~20.1 || ^21", None),
    ("^3.6 || ^3.8", None),
    ("^2.6 || ~2.7", None),
    (">3.7 || 3.6.*", None),
    ("^3.8rc", None),
]


@pytest.mark.parametrize(("text", "expected"), POETRY)
def test_poetry_constraints_become_pep_440(text: str, expected: str | None) -> None:
    assert poetry_python_range(text) == expected


@pytest.mark.parametrize("text", ["soon", "^three"])
def test_what_is_no_constraint_of_poetry_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpecifier, match="no version constraint of poetry"):
        poetry_python_range(text)


def test_an_untranslatable_poetry_range_leaves_a_note(tmp_path: Path) -> None:
    project = made(tmp_path, pyproject_toml='[tool.poetry.dependencies]\npython = "^3.8.1 || ~3.6.2"')
    assert project.requires_python is None
    assert "pyproject.toml:2" in (project.requires_python_note or "")


# Package or not.

NAMED = '[project]\nname = "my-App"\n'


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        (False, {"pyproject.toml": "[tool.ruff]\n"}),
        (False, {"pyproject.toml": "[tool.ruff]\n", "setup.cfg": "[flake8]\n"}),
        (False, {"pyproject.toml": BUILD + "[tool.black]\n"}),
        (True, {"pyproject.toml": BUILD + NAMED}),
        (True, {"pyproject.toml": BUILD, "setup.cfg": "[metadata]\nname = x\n"}),
        (True, {"pyproject.toml": BUILD, "setup.py": ""}),
        (True, {"pyproject.toml": "[tool.black]\n", "setup.cfg": "[metadata]\nname = x\n"}),
        (True, {"pyproject.toml": "[tool.black]\n", "setup.py": ""}),
        (True, {"setup.py": ""}),
        (False, {"setup.cfg": "[metadata]\nname = x\n"}),
        (True, {"pyproject.toml": '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n[tool.poetry]\nname = "x"\n'}),
        (False, {"pyproject.toml": '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n[tool.poetry]\npackage-mode = false\n'}),
        (False, {"pyproject.toml": NAMED}),
        (False, {"pyproject.toml": NAMED, "main.py": ""}),
        (True, {"pyproject.toml": NAMED, "src/x.py": ""}),
        (True, {"pyproject.toml": NAMED, "my_App/__init__.py": ""}),
        (True, {"pyproject.toml": NAMED, "my_app/__init__.py": ""}),
        (True, {"pyproject.toml": NAMED, "my_App.py": ""}),
        (True, {"pyproject.toml": NAMED, "setup.py": ""}),
        (True, {"pyproject.toml": NAMED + '[tool.setuptools]\npy-modules = ["z"]\n'}),
        (True, {"pyproject.toml": NAMED + "[tool.uv]\npackage = true\n"}),
        (False, {"pyproject.toml": BUILD + NAMED + "[tool.uv]\npackage = false\n"}),
    ],
)  # fmt: skip
def test_what_is_a_package(tmp_path: Path, expected: bool, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    project = read_project(str(tmp_path))
    assert project is not None
    assert project.is_package is expected


FULL = (
    BUILD
    + """
[project]
name = "My.App"
dynamic = ["version"]
dependencies = ["httpx>=0.27", "anyio; python_version < '3.11'"]
[project.optional-dependencies]
Test = ["pytest"]
all = ["my-app[Test]"]
[project.scripts]
my-app = "my_app.cli:main"
other = "my_app.cli:other [extra]"
[project.gui-scripts]
window = "my_app:window"
[dependency-groups]
dev = ["ruff", {include-group = "Tests"}]
tests = ["pytest>=8", "coverage[toml]"]
[tool.uv]
default-groups = ["tests"]
[tool.uv.sources]
sibling = { path = "../sibling", editable = true }
"""
)


def test_console_scripts_are_found_wherever_a_project_declares_them(tmp_path: Path) -> None:
    poetry = '[tool.poetry]\nname = "a"\n[tool.poetry.scripts]\nserve = "a:main"\nfile = { reference = "x", type = "file" }\n'
    for name in ("poetry", "old"):
        (tmp_path / name).mkdir()
    assert made(tmp_path / "poetry", pyproject_toml=poetry).scripts == {"serve": "a:main"}
    setup_cfg = "[metadata]\nname = a\n[options.entry_points]\nconsole_scripts =\n    serve = a:main\n    other=a.b:c\n"
    assert made(tmp_path / "old", setup_cfg=setup_cfg).scripts == {"serve": "a:main", "other": "a.b:c"}


def test_everything_a_project_says_is_there(tmp_path: Path) -> None:
    project = made(tmp_path, pyproject_toml=FULL)
    assert project.directory == str(tmp_path)
    assert project.name == "My.App"
    assert project.dependencies == ["httpx>=0.27", "anyio; python_version < '3.11'"]
    assert project.extras == {"Test": ["pytest"], "all": ["my-app[Test]"]}
    assert project.extras_are_static and not project.has_dynamic_dependencies
    assert project.scripts == {"my-app": "my_app.cli:main", "other": "my_app.cli:other [extra]"}
    assert list(project.groups) == ["dev", "tests"]
    assert project.uv_sources == {"sibling": {"path": "../sibling", "editable": True}}
    assert project.build_requires == ["setuptools>=61"]
    assert project.dynamic == ["version"]
    assert project.has_pyproject and project.has_project_table and project.has_build_system


def test_dynamic_dependencies_are_known_to_be_so(tmp_path: Path) -> None:
    project = made(
        tmp_path, pyproject_toml=BUILD + '[project]\nname = "x"\ndynamic = ["dependencies", "optional-dependencies"]'
    )
    assert project.has_dynamic_dependencies and not project.extras_are_static
    (tmp_path / "pyproject.toml").unlink()
    assert made(tmp_path, setup_py="setup(name='x')").has_dynamic_dependencies
    # No table that is read says what these require.
    poetry = '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\nidna = "*"\n'
    assert made(tmp_path, pyproject_toml=poetry).has_dynamic_dependencies
    assert made(tmp_path, setup_cfg="[options]\ninstall_requires = idna\n").has_dynamic_dependencies


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"setup_cfg": "[metadata]\nname = My_App\n"}, "My_App"),
        ({"setup_py": "setup(name='My_App')"}, "My_App"),
        ({"setup_py": "setup(name=read('x'))"}, None),
        ({"pyproject_toml": '[tool.poetry]\nname = "My_App"'}, "My_App"),
        ({"pyproject_toml": "[tool.x]"}, None),
    ],
)
def test_the_name_is_found(tmp_path: Path, files: dict[str, str], name: str | None) -> None:
    assert made(tmp_path, **files).name == name


# Groups.


def test_groups_are_expanded_in_place_by_normal_names(tmp_path: Path) -> None:
    project = made(tmp_path, pyproject_toml=FULL)
    assert expand_group(project, "dev") == ["ruff", "pytest>=8", "coverage[toml]"]
    assert expand_group(project, "TESTS") == ["pytest>=8", "coverage[toml]"]


@pytest.mark.parametrize(
    ("groups", "wanted", "line", "words"),
    [
        ('dev = ["x"]', "dve", 1, "no dependency group dve"),
        ('dev = ["x"]\nd = [\n{include-group = "tset"}]\ntest = []', "d", 4, "no dependency group tset"),
        ('a = [{include-group = "b"}]\nb = ["x", {include-group = "A"}]', "a", 3, "a -> b -> a"),
        ('a = [{include-group = "a"}]', "a", 2, "a -> a"),
        ("d-e = []\nx = []\nD_E = []", "x", 4, "d-e and D_E"),
        ("a = [1]", "a", 2, "entry 1"),
        ("a = [\n'x',\n'']", "a", 4, "entry ''"),
        ("a = ['-r x.txt']", "a", 2, "-r x.txt"),
        ("a = [{include-group = 1}]", "a", 2, "invalid"),
        ("a = [{include-group = 'b', x = 1}]\nb = []", "a", 2, "invalid"),
        ("a = [{path = '.'}]", "a", 2, "invalid"),
        ("a = 'x'", "a", 2, "is a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_group_is_told_with_its_line(
    tmp_path: Path, groups: str, wanted: str, line: int, words: str
) -> None:
    project = made(tmp_path, pyproject_toml="[dependency-groups]\n" + groups)
    with pytest.raises(ConfigurationError) as caught:
        expand_group(project, wanted)
    assert words in caught.value.cause
    assert (caught.value.place or "").startswith(f"{tmp_path / 'pyproject.toml'}:{line} (dependency-groups")
    assert caught.value.advice


def test_an_unknown_group_names_the_nearest_and_the_known_ones(tmp_path: Path) -> None:
    project = made(tmp_path, pyproject_toml="[dependency-groups]\nTest = []\ndev = []")
    with pytest.raises(ConfigurationError, match=r"did you mean .Test.\? known: Test, dev"):
        expand_group(project, "tset")
    (tmp_path / "pyproject.toml").write_text("")
    with pytest.raises(ConfigurationError, match="no dependency group dev"):
        expand_group(made(tmp_path), "dev")


@pytest.mark.parametrize(
    "entry", ["x", "x>=1", "x [a,b] >=1; python_version<'3'", "x@ https://h/x.whl", "a.b-c_d", "x~=1"]
)
def test_requirements_in_groups_are_taken_as_written(tmp_path: Path, entry: str) -> None:
    project = made(tmp_path, pyproject_toml=f'[dependency-groups]\na = ["{entry}"]')
    assert expand_group(project, "a") == [entry]


@pytest.mark.parametrize("python", support.wild_pythons(), ids=lambda python: python.name)
def test_projects_are_read_the_same_by_every_python_of_this_host(python: support.WildPython, tmp_path: Path) -> None:
    kinds = {
        "full": {"pyproject.toml": FULL},
        "poetry": {"pyproject.toml": '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\npython = "~2.7 || ^3.10"'},
        "cfg": {
            "setup.cfg": "[metadata]\nname = é\n[options]\npython_requires = >=3.7\n",
            "setup.py": "import setuptools; setuptools.setup()",
        },
        "py": {"setup.py": "from setuptools import setup\nR = '>=3.6'\nsetup(name='x', python_requires=R)"},
    }
    for kind, files in kinds.items():
        (tmp_path / kind).mkdir()
        for name, content in files.items():
            (tmp_path / kind / name).write_text(content, encoding="utf-8")
    program = """
import sys, json, os
sys.path.insert(0, sys.argv[1])
from protoprimer.project.metadata import read_project, expand_group
found = []
for kind in ("full", "poetry", "cfg", "py"):
    p = read_project(os.path.join(sys.argv[2], kind))
    groups = {name: expand_group(p, name) for name in p.groups}
    found.append([p.name, p.requires_python, p.requires_python_place, p.is_package, p.extras, groups, p.scripts])
print(json.dumps(found))
"""

    def answer(executable: str) -> object:
        command = [executable, "-I", "-B", "-c", program, str(support.ROOT / "src"), str(tmp_path)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    found = answer(python.executable)
    assert found == answer(support.wild_pythons()[-1].executable)
    assert [each[1] for each in found] == [None, ">=3.10,<4", ">=3.7", ">=3.6"]  # type: ignore[attr-defined]


@given(st.text(alphabet="aZ9-_.\u00e9 ") | st.text())
def test_names_are_normal_as_the_library_makes_them(name: str) -> None:
    assert normalized_name(name) == re.sub("[-_.]+", "-", name).lower() == canonicalize_name(name)
