"""The five leaps: where each is read from, what overrides what, and how a mistake in any is told."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.errors import ConfigurationError, PrimerError, UsageError
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import INPUT_VARIABLES, LEAPS, Configuration, read_configuration

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str | dict[str, Any]]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(
            content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8"
        )


def read(
    root: Path,
    *arguments: str,
    entry: str = "prime",
    kernel: str = "proto_kernel.py",
    remembered: str | None = None,
    **environ: str,
) -> Configuration:
    line = parse_command_line("./prime", list(arguments), has_client=False)
    return read_configuration(str(root / entry), str(root / kernel), line, environ, lambda _directory: remembered)


def refusal(root: Path, *arguments: str, kind: type[PrimerError] = ConfigurationError, **more: Any) -> PrimerError:
    with pytest.raises(kind) as caught:
        read(root, *arguments, **more)
    return caught.value


def test_nothing_has_to_be_configured(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.root, found.environment_name, found.environment_names) == (str(tmp_path), "default", ["default"])
    assert (found.get("keep"), found.place_of("keep"), found.files) == (3, "", [])
    assert {os.path.basename(path) for path in found.absent_files} == {
        *["proto_kernel.toml", "proto_kernel.json", "protoprimer.toml", "protoprimer.json", "pyproject.toml"]
    }


FORMS: list[dict[str, Any]] = [
    {"protoprimer.toml": "keep = 4\n[env.dev]\nkeep = 5\n"},
    {"pyproject.toml": "[tool.protoprimer]\nkeep = 4\n[tool.protoprimer.env.dev]\nkeep = 5\n"},
    {"protoprimer.json": {"keep": 4, "env": {"dev": {"keep": 5}}}, "pyproject.toml": "[project]\nname = 'x'\n"},
    {
        "proto_kernel.toml": "client = 'conf/all.toml'\nenv = 'conf/{env}.json'\n",
        "conf/all.toml": "keep = 4\n",
        "conf/dev.json": {"keep": 5},
    },
    {
        "proto_kernel.json": {"client": "conf/all.json", "env": "mine.toml"},
        "conf/all.json": {"keep": 4},
        "mine.toml": "keep = 5\n",
    },
]


@pytest.mark.parametrize("files", FORMS)
def test_each_form_says_the_same(tmp_path: Path, files: dict[str, Any]) -> None:
    write(tmp_path, files)
    found = read(tmp_path, "--env", "dev")
    assert found.get("keep") == 5
    assert {key: found.leaps["client"].get(key) for key in ("keep",)} == {"keep": 4}
    assert (found.leaps["env"], found.leaps["input"]) == ({"keep": 5}, {"env": "dev"})
    assert read(tmp_path, "--env", "dev", PROTOPRIMER_KEEP="6").get("keep") == 6
    place = found.place_of("keep")
    assert "(env.dev.keep)" in place or "(tool.protoprimer.env.dev.keep)" in place or "(keep)" in place
    named = place.partition(":")[0]
    assert named in files
    written = files[named] if isinstance(files[named], str) else json.dumps(files[named], indent=1)
    assert "keep" in written.splitlines()[int(place.partition(":")[2].partition(" ")[0]) - 1]


def test_every_leap_has_its_data(tmp_path: Path) -> None:
    write(tmp_path, FORMS[0])
    found = read(tmp_path, "--backend", "uv,venv", "--offline", remembered="dev")
    assert set(found.leaps) == set(LEAPS)
    assert found.leaps["input"] == {"backend": ["uv", "venv"], "offline": True}
    assert found.leaps["primer"] == {"root": str(tmp_path), "kernel": str(tmp_path / "proto_kernel.py")}
    effective = found.effective()
    assert (effective["keep"], effective["backend"], effective["environment"]) == (5, ["uv", "venv"], "dev")


@pytest.mark.parametrize("where", ["prime", "cmd/prime", "a/b/c/prime"])
def test_the_root_is_the_nearest_directory_that_looks_like_one(tmp_path: Path, where: str) -> None:
    write(tmp_path, {"pyproject.toml": "", where: ""})
    assert read(tmp_path, entry=where).root == str(tmp_path)


def test_several_roots_are_served_by_one_kernel(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "one/protoprimer.toml": "keep = 1\n", "two/protoprimer.toml": "keep = 2\n"})
    for number, name in enumerate(("one", "two"), 1):
        found = read(tmp_path, entry=f"{name}/prime", kernel="tools/proto_kernel.py")
        assert (found.root, found.get("keep")) == (str(tmp_path / name), number)
        assert found.state_directory == str(tmp_path / name / ".protoprimer")


def test_a_primer_file_leads_from_the_kernel_to_the_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tools/proto_kernel.toml": "root = '../app'\n",
            "app/protoprimer.toml": "state-dir = '../state'\n",
            "tools/prime": "",
        },
    )
    found = read(tmp_path, entry="tools/prime", kernel="tools/proto_kernel.py")
    assert (found.root, found.state_directory) == (str(tmp_path / "app"), str(tmp_path / "state"))


def test_tables_merge_and_lists_replace(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "protoprimer.toml": "watch = ['a', 'b']\n[install]\nprojects = ['.']\nargs = ['x']\n[env.dev]\nwatch = ['c']\n[env.dev.install]\nargs = ['y']\n"
        },
    )
    found = read(tmp_path, "--env", "dev")
    steps: Any = found.get("install")
    (step,) = steps
    assert found.get("watch") == ["c"]
    assert (step["args"], [project["path"] for project in step["projects"]]) == (["y"], ["."])


@pytest.mark.parametrize("chosen", [None, "default", "docs"])
def test_an_option_or_variable_selects_an_environment_for_one_command(tmp_path: Path, chosen: str | None) -> None:
    write(tmp_path, {"protoprimer.toml": "[env.dev]\n[env.docs]\n"})
    assert not read(tmp_path, remembered=chosen).is_for_once
    for found in (
        read(tmp_path, "-e", "dev", remembered=chosen),
        read(tmp_path, remembered=chosen, PROTOPRIMER_ENV="dev"),
    ):
        assert (found.is_for_once, found.environment_name, found.told_environment) == (True, "dev", " dev")
    same = read(tmp_path, "-e", chosen or "default", remembered=chosen)
    assert not same.is_for_once, "it is the clone's own"
    cell = read(tmp_path, remembered=chosen, PROTOPRIMER_CELL='{"name": "3.12"}')
    assert cell.told_environment == (" docs" if chosen == "docs" else "")


@pytest.mark.parametrize(
    ("step", "projects"),
    [
        ("{ groups = ['docs'] }", [(".", [], ["docs"])]),
        ("{ extras = ['gpu'], groups = ['dev'] }", [(".", ["gpu"], ["dev"])]),
        ("{ groups = ['docs'], args = ['x'] }", [(".", [], ["docs"])]),
        ("{ groups = [], args = ['x'] }", []),
        (
            "{ projects = ['a', { path = 'b', groups = ['test'] }], groups = ['docs'] }",
            [("a", [], ["docs"]), ("b", [], ["test", "docs"])],
        ),
    ],
)
def test_an_environment_names_groups_and_extras_without_the_project(
    tmp_path: Path, step: str, projects: list[tuple[str, list[str], list[str]]]
) -> None:
    write(tmp_path, {"protoprimer.toml": f"[env.docs]\ninstall = {step}\n"})
    found: Any = read(tmp_path, "-e", "docs").get("install")
    assert set(found[0]) == {"projects", "requirements", "constraints", "args"}
    assert [(one["path"], one["extras"], one["groups"]) for one in found[0]["projects"]] == projects


def test_environments_are_known_by_table_and_by_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proto_kernel.toml": "env = 'envs/{env}.toml'\n",
            "envs/ci.toml": "",
            "envs/dev.toml": "",
            "protoprimer.toml": "[env.docs]\n",
        },
    )
    assert read(tmp_path).environment_names == ["ci", "default", "dev", "docs"]
    error = refusal(tmp_path, "--env", "doc")
    assert (error.cause, error.advice) == (
        "there is no environment 'doc'",
        "did you mean 'docs'? known: ci, default, dev, docs",
    )


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "a b", "a-b"])
def test_names_of_environments_can_be_directories(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, f"--env={name}", kind=PrimerError)
    assert error.exit_code in (2, 3)


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "two files": ({"protoprimer.toml": "", "protoprimer.json": {}}, "the configuration is in two places"),
    "file and table": (
        {"protoprimer.toml": "", "pyproject.toml": "[tool.protoprimer]\nkeep = 1\n"},
        "the configuration is in two places",
    ),
    "two primer files": ({"proto_kernel.toml": "", "proto_kernel.json": {}}, "the configuration is in two places"),
    "an environment twice": (
        {"proto_kernel.toml": "env = '{env}.toml'\n", "default.toml": "", "protoprimer.toml": "[env.default]\n"},
        "the configuration is in two places",
    ),
    "an environment that cannot be chosen": ({"protoprimer.toml": "[env.a-b]\n"}, "an environment's name is made of"),
    "no root": ({"proto_kernel.toml": "root = 'nowhere'\n"}, "is not a directory"),
    "no client file": ({"proto_kernel.toml": "client = 'nowhere.toml'\n"}, "nowhere.toml does not exist"),
    "not a table": ({"pyproject.toml": "tool = 1\n"}, "tool must be a table: write [tool] above its keys"),
    "not a table within": ({"pyproject.toml": "[tool]\nprotoprimer = 1\n"}, "tool.protoprimer must be a table"),
    "no TOML": ({"protoprimer.toml": "keep = \n"}, "not valid TOML"),
    "no JSON": ({"protoprimer.json": "{"}, "not valid JSON"),
    "JSON, no table": ({"protoprimer.json": "[]"}, "must be a table, not []"),
    "unknown key of the primer": ({"proto_kernel.toml": "rot = '.'\n"}, "unknown key 'rot'"),
    "wrong in an environment's file": (
        {"proto_kernel.toml": "env = 'e.toml'\n", "e.toml": "keep = ''\n"},
        "keep must be a whole number",
    ),
    "environments within one": ({"proto_kernel.toml": "env = 'e.toml'\n", "e.toml": "[env.x]\n"}, "unknown key 'env'"),
}


@pytest.mark.parametrize("what", list(CONTRADICTIONS))
def test_contradictions_and_mistakes_are_told_with_their_place(tmp_path: Path, what: str) -> None:
    files, cause = CONTRADICTIONS[what]
    write(tmp_path, files)
    error = refusal(tmp_path)
    assert cause in error.cause
    assert error.exit_code == 3
    assert error.place


@pytest.mark.parametrize(
    "name", ["protoprimer.toml", "protoprimer.json", "proto_kernel.toml", "proto_kernel.json", "pyproject.toml"]
)
@pytest.mark.parametrize("how", ["a directory", "bytes", "a loop of links"])
def test_unreadable_files_are_told(tmp_path: Path, name: str, how: str) -> None:
    path = tmp_path / name
    if how == "a directory":
        path.mkdir()
    elif how == "bytes":
        path.write_bytes(b"keep = '\xff'\n")
    else:
        path.symlink_to(name)
    if how == "a loop of links" and not os.path.lexists(path):
        pytest.skip("this host has no links")
    error = refusal(tmp_path)
    assert error.exit_code == 3
    assert name in str(error.place)


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"proto_kernel.toml": "env = 'chosen/env.toml'\n"})
    (tmp_path / "chosen").symlink_to("hosts/gone")
    assert refusal(tmp_path).cause == "the link leads to hosts/gone, which is not there"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OFFLINE", "perhaps"),
        ("KEEP", "many"),
        ("KEEP", "0"),
        ("LOCK_TIMEOUT", "soon"),
        ("KERNEL_UPDATE", "atuo"),
        ("RESOLUTION", "low"),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(tmp_path: Path, variable: str, text: str) -> None:
    environ: Any = {"PROTOPRIMER_" + variable: text}
    error = refusal(tmp_path, **environ)
    assert error.exit_code == 3
    assert "PROTOPRIMER_" + variable in str(error.place)


def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    assert refusal(tmp_path, "--backend", "", kind=UsageError).exit_code == 2


def test_every_variable_is_taken(tmp_path: Path) -> None:
    texts = {
        "env": "default",
        "python": ">=3.8",
        "backend": "venv",
        "keep": "4",
        "lock": "x.toml",
        "lock-timeout": "1.5",
        "resolution": "lowest",
        "kernel-update": "off",
    }
    for variable, key in INPUT_VARIABLES.items():
        found = read(tmp_path, **{variable: texts.get(key, "yes")})
        assert list(found.leaps["input"]) == [key]
        if key not in ("env", "offline"):
            assert found.settings[key].leap == "input"
            assert found.place_of(key) == variable
