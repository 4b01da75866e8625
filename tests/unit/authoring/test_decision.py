"""What `init` suggests to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protoprimer.authoring.decision import requirement_files, what_brings_tests
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import make_plan
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import Configuration, read_configuration

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "[build-system]\nrequires = []\nbuild-backend = 'x'\n[project]\nname = 'demo'\nversion = '1'\n"
EXTRAS = "[project.optional-dependencies]\nmysql = ['mysqlclient']\n"


def configuration_of(root: Path) -> Configuration:
    line = parse_command_line("./prime", [], has_client=False)
    return read_configuration(str(root / "prime"), str(root / "proto_kernel.py"), line, {}, lambda _directory: None)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"pyproject.toml": PACKAGE}, None),
        (
            {"pyproject.toml": PACKAGE + "[dependency-groups]\ntest = ['PyTest>=8']\n"},
            ("the group test", 'install = { groups = ["test"] }'),
        ),
        (
            {
                "pyproject.toml": PACKAGE
                + "[dependency-groups]\nall = [{ include-group = 'dev' }, 'pytest-cov']\ndev = ['six']\n"
            },
            ("the group all", 'install = { groups = ["dev", "all"] }'),
        ),
        # It is installed already.
        ({"pyproject.toml": PACKAGE + "[dependency-groups]\ndev = ['pytest']\ntest = ['pytest']\n"}, None),
        (
            {"pyproject.toml": PACKAGE + EXTRAS + "testing = ['pytest']\n"},
            ("the extra testing", 'install = { groups = [], extras = ["testing"] }'),
        ),
        (
            {
                "pyproject.toml": PACKAGE + EXTRAS,
                "tests/requirements.txt": "-r more.txt\npytest\n",
                "tests/more.txt": "",
            },
            ("tests/requirements.txt", 'install = { projects = ["."], requirements = ["tests/requirements.txt"] }'),
        ),
        (
            {"requirements.txt": "six\n", "requirements/test.txt": "nose2\n"},
            ("requirements/test.txt", 'install = { requirements = ["requirements.txt", "requirements/test.txt"] }'),
        ),
        ({"requirements.txt": "pytest\n", "requirements-dev.txt": "pytest\n"}, None),
    ],
)
def test_what_brings_tests_and_is_not_installed_is_the_one_thing_to_decide(
    tmp_path: Path, files: dict[str, str], found: tuple[str, str] | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    decision = what_brings_tests(read_project(str(tmp_path)), make_plan(configuration_of(tmp_path)))
    assert decision == found
    if decision is not None:
        (tmp_path / "protoprimer.toml").write_text(decision[1] + "\n")
        plan = make_plan(configuration_of(tmp_path))
        assert what_brings_tests(read_project(str(tmp_path)), plan) is None, "the line that is told installs it"


def test_requirement_files_are_looked_for_where_people_put_them(tmp_path: Path) -> None:
    names = ["requirements.txt", "dev-requirements.txt", "constraints.txt", "notes.txt", "tests/requirements.txt"]
    names += ["tests/data.txt", "requirements/dev.txt", "requirements/constraints.txt", "test/requirements-ci.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert requirement_files(str(tmp_path)) == [
        "dev-requirements.txt",
        "requirements.txt",
        "requirements/dev.txt",
        "tests/requirements.txt",
        "test/requirements-ci.txt",
    ]
