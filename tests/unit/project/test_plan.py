"""What a plan is made of, and which files it follows from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from protoprimer.errors import ConfigurationError
from protoprimer.project.asked import sources_of_step
from protoprimer.project.plan import make_plan
from protoprimer.pythons.required_python import required_python_of
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import read_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from protoprimer.project.plan import Plan
    from protoprimer.settings.configuration import Configuration

PACKAGE = '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n[project]\nname = "demo"\nversion = "1"\n'


def configuration_of(root: Path, environment: str = "default") -> Configuration:
    entry = str(root / "prime")
    line = parse_command_line("prime", ["-e", environment], False)
    return read_configuration(entry, str(root / "proto_kernel.py"), line, {}, lambda _directory: None)


def plan_of(root: Path, files: dict[str, str], *, lock_must_exist: bool = True) -> Plan:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    (root / "prime").touch()
    return make_plan(configuration_of(root), lock_must_exist=lock_must_exist)


def test_root_project_is_installed_editable_by_default(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"pyproject.toml": PACKAGE, "requirements.txt": "x"})
    (project,) = plan.projects()
    assert (project.path, project.editable, project.requirement()) == (str(tmp_path), True, f"{tmp_path}/")
    assert plan.steps[0].requirements == []
    assert plan.summary() == "demo"


def test_requirements_file_serves_where_pyproject_has_tables_of_tools_only(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"pyproject.toml": "[tool.black]\n", "requirements.txt": "idna\n"})
    assert plan.projects() == []
    assert plan.steps[0].requirements == [str(tmp_path / "requirements.txt")]


def test_dependencies_of_a_project_that_is_no_package_are_installed(tmp_path: Path) -> None:
    text = '[project]\nname = "app"\nversion = "1"\ndependencies = ["idna>=3"]\n'
    plan = plan_of(tmp_path, {"pyproject.toml": text})
    assert plan.projects() == []
    assert plan.steps[0].lines == ["idna>=3"]


def test_extras_of_a_project_that_is_no_package_may_name_each_other(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["a"]\n[project.optional-dependencies]\n'
        'all = ["App[one]", "b"]\none = ["c", "app[all]"]\n'
        '[tool.protoprimer]\ninstall = { projects = [{ path = ".", extras = ["all"] }] }\n'
    )
    assert plan_of(tmp_path, {"pyproject.toml": text}).steps[0].lines == ["a", "b", "c"]


def test_projects_below_are_named_with_the_line_to_write_though_they_are_broken(tmp_path: Path) -> None:
    broken = "this is = = no TOML"
    files = {f"{name}/pyproject.toml": broken for name in ("one", "packages/a", "packages/b", "tests/data", ".hidden")}
    with pytest.raises(ConfigurationError) as told:
        plan_of(tmp_path, {**files, "README": ""})
    assert told.value.exit_code == 3
    assert "one, packages/a, packages/b" in told.value.cause
    assert 'install = [{ projects = ["one", "packages/*"] }]' in str(told.value)
    assert plan_of(tmp_path, {"protoprimer.toml": "install = []\n"}).steps == []


def test_empty_root_has_an_empty_plan_and_no_hint(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {})
    assert (plan.steps, plan.hint, plan.summary()) == ([], None, "nothing")


def test_group_that_names_its_own_project_becomes_extras(tmp_path: Path) -> None:
    text = (
        PACKAGE
        + '[project.optional-dependencies]\ntest = ["x"]\n[dependency-groups]\ndev = ["Demo[test]", "demo", "y>1"]\n'
        '[tool.protoprimer]\ninstall = { projects = [{ path = ".", groups = ["dev"] }] }\n'
    )
    step = plan_of(tmp_path, {"pyproject.toml": text}).steps[0]
    assert step.projects[0].requirement() == f"{tmp_path}/[test]"
    assert step.lines == ["y>1"]


def test_group_that_names_a_sibling_of_the_same_step_is_not_looked_up_in_an_index(tmp_path: Path) -> None:
    one = PACKAGE.replace("demo", "one") + '[dependency-groups]\ndev = ["two[x]"]\n'
    two = PACKAGE.replace("demo", "two") + '[project.optional-dependencies]\nx = ["six"]\n'
    config = 'install = { projects = [{ path = "one", groups = ["dev"] }, "two"] }\n'
    step = plan_of(tmp_path, {"one/pyproject.toml": one, "two/pyproject.toml": two, "protoprimer.toml": config}).steps[
        0
    ]
    assert step.lines == []
    assert [project.extras for project in step.projects] == [[], ["x"]]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('install = { projects = ["gone"] }', "does not exist"),
        ('install = { projects = ["empty"] }', "is not a project"),
        ('install = { requirements = ["gone.txt"] }', "gone.txt does not exist"),
        ('install = { constraints = ["gone.txt"] }', "gone.txt does not exist"),
        ('install = { projects = [{ path = ".", extras = ["no"] }] }', "has no extra `no`"),
        ('install = { projects = [{ path = ".", groups = ["no"] }] }', "has no dependency group `no`"),
        ('lock = "pylock.toml"', "pylock.toml does not exist"),
        ('lock = "poetry.lock"', "not a lock file of a known kind"),
        ('build-constraints = "gone.txt"', "gone.txt does not exist"),
    ],
)
def test_what_is_named_and_missing_is_a_configuration_error_with_its_place(
    tmp_path: Path, setting: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError) as caught:
        plan_of(tmp_path, {"pyproject.toml": PACKAGE, "protoprimer.toml": setting + "\n"})
    assert words in caught.value.cause
    assert caught.value.place
    assert caught.value.advice


def test_lock_files_are_found_pylock_first(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"pyproject.toml": PACKAGE, "uv.lock": "version = 1\n"})
    assert (plan.lock, plan.lock_kind) == (str(tmp_path / "uv.lock"), "uv.lock")
    plan = plan_of(tmp_path, {"pylock.toml": 'lock-version = "1.0"\n'})
    assert (plan.lock, plan.lock_kind) == (str(tmp_path / "pylock.toml"), "pylock.toml")
    plan = plan_of(tmp_path, {"protoprimer.toml": "lock = false\n"})
    assert plan.lock is None


def test_the_lock_of_another_environment_is_no_input(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PACKAGE,
        "pylock.toml": 'lock-version = "1.0"\n',
        "pylock.docs.toml": 'lock-version = "1.0"\n',
        "protoprimer.toml": "[env.docs]\ninstall = []\n[env.free]\nlock = false\n[env.same]\nkeep = 1\n",
    }

    def locks_of(environment: str) -> set[str]:
        plan_of(tmp_path, files)
        inputs = make_plan(configuration_of(tmp_path, environment)).inputs()
        names = {os.path.basename(path) for path in inputs.present | inputs.absent}
        return {name for name in names if name.startswith("pylock.") or name == "uv.lock"}

    assert locks_of("default") == {"pylock.toml"}
    assert locks_of("docs") == {"pylock.docs.toml"}
    assert locks_of("free") == set()
    assert locks_of("same") == {"pylock.toml"}
    # One that would be taken instead counts where it is not there.
    (tmp_path / "pylock.docs.toml").unlink()
    del files["pylock.docs.toml"]
    assert locks_of("docs") == {"pylock.docs.toml"}
    (tmp_path / "pylock.toml").unlink()
    del files["pylock.toml"]
    assert locks_of("default") == {"pylock.toml", "uv.lock"}


def test_uv_lock_of_others_does_not_steer_a_plan_of_requirement_files(tmp_path: Path) -> None:
    assert plan_of(tmp_path, {"requirements.txt": "idna\n", "uv.lock": "version = 1\n"}).lock is None


def test_lock_command_may_name_a_lock_that_does_not_exist_yet(tmp_path: Path) -> None:
    files = {"pyproject.toml": PACKAGE, "protoprimer.toml": 'lock = "pylock.dev.toml"\n'}
    assert plan_of(tmp_path, files, lock_must_exist=False).lock_to_write == str(tmp_path / "pylock.dev.toml")


def test_inputs_follow_requirement_files_through_all_their_spellings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", "reqs")
    files = {
        "requirements.txt": "\ufeff# -r commented.txt\nidna # -r commented.txt\n-r reqs/a.txt\n-c\\\n reqs/c.txt\n"
        "--requirement=${PLANTED}/b.txt\n-e ./lib\nlib2[x] @ file:lib2\nwheels/w-1-py3-none-any.whl\n-r https://example.invalid/r.txt\n",
        "reqs/a.txt": "-ra2.txt\n-e ./lib3\n",
        "reqs/a2.txt": "-r a.txt\n",
        "reqs/b.txt": "six==1 \\\n  --hash=sha256:00\n",
        "reqs/c.txt": "six<2\n",
        "lib/setup.py": "",
        "lib2/pyproject.toml": PACKAGE,
        "reqs/lib3/setup.cfg": "",
        "wheels/w-1-py3-none-any.whl": "",
    }
    inputs = plan_of(tmp_path, files).inputs()
    present, absent = inputs.present, inputs.absent
    names = [os.path.relpath(path, tmp_path) for path in present]
    assert set(names) == set(files)
    missing = {os.path.relpath(path, tmp_path) for path in absent}
    assert {"pylock.toml", "pyproject.toml", "lib/pyproject.toml", "reqs/lib3/setup.py"} <= missing
    assert not any("commented" in name or "example" in name for name in [*names, *missing])


def test_missing_nested_requirement_file_is_told_with_its_line(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"requirements.txt": "idna\n\n-r gone.txt\n"})
    with pytest.raises(ConfigurationError) as caught:
        plan.inputs()
    assert caught.value.place == f"{tmp_path / 'requirements.txt'}:3"


def test_files_whose_appearance_would_change_the_plan_are_absent_inputs(tmp_path: Path) -> None:
    inputs = plan_of(tmp_path, {"pyproject.toml": PACKAGE, "Cargo.toml": "", "notes": ""}).inputs()
    present, absent = inputs.present, inputs.absent
    # Of what lies at the root, builds in other languages read these.
    assert present == {str(tmp_path / "Cargo.toml"), str(tmp_path / "pyproject.toml")}
    assert {os.path.basename(path) for path in absent} == {
        "setup.py",
        "setup.cfg",
        "uv.lock",
        "pylock.toml",
        "requirements.txt",
        "src",
        "demo",
        "demo.py",
        "hatch_build.py",
        "pdm_build.py",
        "Cargo.lock",
        "config.toml",
        "rust-toolchain",
        "rust-toolchain.toml",
    }


def test_steps_keep_their_order_and_a_step_may_be_a_table(tmp_path: Path) -> None:
    config = 'install = [{ args = ["keyring"] }, { projects = ["."], args = ["--pre"] }]\n'
    plan = plan_of(tmp_path, {"pyproject.toml": PACKAGE, "protoprimer.toml": config})
    assert [step.args for step in plan.steps] == [["keyring"], ["--pre"]]
    assert plan.summary() == "demo, keyring"


GROUPS = '[dependency-groups]\ndev = ["delta"]\nother = ["gamma"]\n'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(GROUPS, ["delta"], id="the group dev"),
        pytest.param(GROUPS + '[tool.uv]\ndefault-groups = ["other"]\n', ["gamma"], id="default-groups of uv"),
        pytest.param(GROUPS + '[tool.uv]\ndefault-groups = "all"\n', ["delta", "gamma"], id="all of uv"),
        pytest.param(GROUPS + "[tool.uv]\ndefault-groups = []\n", [], id="none of uv"),
        pytest.param(GROUPS + '[tool.uv]\ndev-dependencies = ["beta"]\n', ["delta", "beta"], id="old form of uv"),
        pytest.param('[tool.pdm.dev-dependencies]\ntest = ["beta>=1"]\n', ["beta>=1"], id="pdm"),
        pytest.param(
            '[tool.poetry.group.test.dependencies]\nalpha = "^1.2"\nbeta = { version = "*", extras = ["x"], markers = "os_name == \'nt\'" }\n'
            '[tool.poetry.group.docs]\noptional = true\n[tool.poetry.group.docs.dependencies]\ngamma = "*"\n'
            '[tool.poetry.dev-dependencies]\ndelta = "1.0"\n',
            ["alpha>=1.2,<2", "beta[x]; os_name == 'nt'", "delta==1.0"],
            id="poetry",
        ),
    ],
)
def test_development_groups_are_installed_as_their_tools_would(tmp_path: Path, text: str, lines: list[str]) -> None:
    plan = plan_of(tmp_path, {"pyproject.toml": PACKAGE + text})
    assert plan.steps[0].lines == lines
    assert plan.hint is None


def test_an_extra_that_poetry_does_not_know_is_refused(tmp_path: Path) -> None:
    text = '[tool.poetry]\nname = "acme"\n[tool.poetry.extras]\ncolor = []\n'
    text += '[tool.protoprimer]\ninstall = { projects = [{ path = ".", extras = ["colour"] }] }\n'
    with pytest.raises(ConfigurationError, match="the project acme has no extra `colour`"):
        plan_of(tmp_path, {"pyproject.toml": text})


def test_a_group_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    text = '[tool.poetry.group.test.dependencies]\nalpha = { git = "https://host.invalid/alpha" }\n'
    plan = plan_of(tmp_path, {"pyproject.toml": PACKAGE + text})
    assert plan.steps[0].lines == []
    assert "group test of poetry is not installed, since its entry alpha has no equal" in str(plan.hint)


def test_a_group_that_default_groups_names_and_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no dependency group nosuch"):
        plan_of(tmp_path, {"pyproject.toml": PACKAGE + '[tool.uv]\ndefault-groups = ["nosuch"]\n'})


def test_a_group_of_a_root_that_is_no_project_comes_with_its_requirement_file(tmp_path: Path) -> None:
    (step,) = plan_of(tmp_path, {"pyproject.toml": GROUPS, "requirements.txt": "idna\n"}).steps
    assert (step.projects, step.lines, step.requirements) == ([], ["delta"], [str(tmp_path / "requirements.txt")])


def test_members_of_a_workspace_without_a_root_project_are_installed_with_their_groups(tmp_path: Path) -> None:
    root = '[tool.uv.workspace]\nmembers = ["packages/*", "app"]\nexclude = ["packages/old"]\n[dependency-groups]\ndev = ["beta"]\n'
    names = ("packages/one", "packages/two", "packages/old", "app", "elsewhere")
    files = {f"{name}/pyproject.toml": PACKAGE.replace("demo", name[-3:]) for name in names}
    files["packages/one/pyproject.toml"] += GROUPS
    (step,) = plan_of(tmp_path, {**files, "packages/README": "", "pyproject.toml": root}).steps
    assert [project.metadata.name for project in step.projects] == ["one", "two", "app"]
    assert all(project.editable for project in step.projects)
    assert step.lines == ["delta", "beta"]


@pytest.mark.parametrize("of_lines_only", [False, True])
def test_a_line_of_a_group_comes_from_the_sources_of_its_own_member(tmp_path: Path, of_lines_only: bool) -> None:
    source = '[tool.uv.sources]\nlib = {{ url = "https://host.invalid/{}.zip" }}\n'
    files = {f"{name}/pyproject.toml": PACKAGE.replace("demo", name) + source.format(name) for name in ("one", "two")}
    files["two/pyproject.toml"] += '[dependency-groups]\ndev = ["lib"]\n'
    files["app/pyproject.toml"] = '[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n'
    files["protoprimer.toml"] = 'install = { projects = ["one", { path = "two", groups = ["dev"] }, "app"] }\n'
    plan = plan_of(tmp_path, files)
    sources = sources_of_step(plan.steps[0], plan, {}, of_lines_only)
    assert plan.steps[0].lines == ["lib"]
    assert sources.lines == ["lib @ https://host.invalid/two.zip"]


def test_a_line_of_a_group_is_told_with_the_place_of_its_own_member(tmp_path: Path) -> None:
    one = PACKAGE.replace("demo", "one") + 'dependencies = ["idna"]\n'
    two = PACKAGE.replace("demo", "two") + '[dependency-groups]\ndev = ["lib"]\n'
    config = 'install = { projects = ["one", { path = "two", groups = ["dev"] }] }\n'
    plan = plan_of(tmp_path, {"one/pyproject.toml": one, "two/pyproject.toml": two, "protoprimer.toml": config})
    found = [(line.text, os.path.relpath(line.place, tmp_path)) for line in plan.steps[0].lines_of_projects(plan.root)]
    assert found == [
        ("idna", os.path.join("one", "pyproject.toml:8")),
        ("lib", os.path.join("two", "pyproject.toml:9")),
    ]


WORKSPACE = (
    PACKAGE + 'requires-python = ">=3.8"\ndependencies = ["lib"]\n'
    '[tool.uv.workspace]\nmembers = ["packages/*"]\n[tool.uv.sources]\nlib = { workspace = true }\n'
)


def test_a_source_that_no_member_of_the_workspace_is_is_told_with_its_place(tmp_path: Path) -> None:
    member = PACKAGE.replace("demo", "library")
    plan = plan_of(tmp_path, {"pyproject.toml": WORKSPACE, "packages/library/pyproject.toml": member})
    with pytest.raises(ConfigurationError) as caught:
        sources_of_step(plan.steps[0], plan, {})
    assert caught.value.cause == "the source of lib is no project to install: no member of the workspace"
    assert str(caught.value.place).endswith("pyproject.toml:13 (tool.uv.sources.lib)")


@pytest.mark.parametrize("configured", ["", "install = { projects = ['packages/other'] }\n"])
def test_a_workspace_takes_a_python_that_each_of_its_members_takes(tmp_path: Path, configured: str) -> None:
    """As uv does it: one that a member refuses would end in uv's own refusal."""
    member = PACKAGE.replace("demo", "lib") + 'requires-python = "<3.13"\n'
    files = {"pyproject.toml": WORKSPACE, "packages/lib/pyproject.toml": member}
    files["packages/other/pyproject.toml"] = PACKAGE.replace("demo", "other")
    plan = plan_of(tmp_path, dict(files, **{"protoprimer.toml": configured}))
    required = required_python_of(configuration_of(tmp_path), plan)
    assert [one for one in ("3.7.9", "3.8.1", "3.12.1", "3.13.0") if required.request.admits(one)] == [
        "3.8.1",
        "3.12.1",
    ]
    assert str(required).startswith("%s, " % (tmp_path / "pyproject.toml:8 (project.requires-python)"))
    assert str(tmp_path / "packages" / "lib" / "pyproject.toml:8") in str(required)


@pytest.mark.parametrize("group", ["dev", "included"])
def test_a_group_that_uv_is_told_a_python_for_narrows_the_range_where_it_is_installed(
    tmp_path: Path, group: str
) -> None:
    text = PACKAGE + '[dependency-groups]\ndev = [{ include-group = "included" }]\nincluded = []\nother = []\n'
    text += '[tool.uv.dependency-groups]\n%s = { requires-python = ">=3.12" }\nother = { requires-python = ">=4" }\n'
    plan = plan_of(tmp_path, {"pyproject.toml": text % group})
    required = required_python_of(configuration_of(tmp_path), plan)
    assert [one for one in ("3.8.1", "3.11.1", "3.12.1") if required.narrowed.admits(one)] == ["3.12.1"]
    assert f"(tool.uv.dependency-groups.{group})" in str(required)
    plan = plan_of(tmp_path, {"pyproject.toml": (text % group).replace(">=3.12", "three")})
    with pytest.raises(ConfigurationError, match="three") as caught:
        required_python_of(configuration_of(tmp_path), plan)
    assert f"(tool.uv.dependency-groups.{group})" in str(caught.value.place)


CONFIGURED = {
    "by nothing": ({}, "protoprimer.toml"),
    "in protoprimer.toml": ({"protoprimer.toml": "keep = 3\n"}, "protoprimer.toml"),
    "in an empty protoprimer.toml": ({"protoprimer.toml": ""}, "protoprimer.toml"),
    "in pyproject.toml": (
        {"pyproject.toml": "[tool.other]\na = 1\n[tool.protoprimer]\nkeep = 3\n"},
        "pyproject.toml:3 (tool.protoprimer)",
    ),
    "in a file of the primer": ({"proto_kernel.toml": "client = 'our.toml'\n", "our.toml": "keep = 3\n"}, "our.toml"),
}


@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED.keys())
def test_what_says_which_projects_to_install_is_to_be_written_where_the_configuration_is(
    tmp_path: Path, configured: tuple[dict[str, str], str]
) -> None:
    files, place = configured
    with pytest.raises(ConfigurationError) as caught:
        plan_of(tmp_path, dict(files, **{"one/pyproject.toml": PACKAGE}))
    advice = str(caught.value.advice).replace(os.path.join(tmp_path, ""), "")
    assert advice.startswith('write in %s: install = [{ projects = ["one"] }] (or ' % place)


def test_globs_in_projects_mean_each_project_that_they_find(tmp_path: Path) -> None:
    files = {f"packages/{name}/pyproject.toml": PACKAGE.replace("demo", name) for name in ("one", "two")}
    install = 'install = [{ projects = [{ path = "packages/*", editable = false }] }]\n'
    plan = plan_of(tmp_path, {**files, "packages/notes/README": "", "protoprimer.toml": install})
    assert [(project.metadata.name, project.editable) for project in plan.projects()] == [
        ("one", False),
        ("two", False),
    ]
    assert str(tmp_path / "packages") in plan.inputs().looked_at, "where a further project would appear"
    (tmp_path / "protoprimer.toml").write_text('install = [{ projects = ["nosuch/*"] }]\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"no project matches nosuch/\*"):
        make_plan(configuration_of(tmp_path))
