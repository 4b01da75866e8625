"""neoprimer without a line of one's own: its mains, how it comes into an environment, and what cannot be replaced."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

import own_wheel
import support
from protoprimer.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import clones

    NewClone = Callable[..., clones.Clone]

pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason="the package starts at 3.8")
PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = [%s]\n'
SHOWS = "# environment: default"


def own_clone(directory: Path) -> Path:
    """Return a git repository of this checkout's files as they are."""
    for name in support.git("ls-files", "src", "backends", "pyproject.toml", "README.md", where=support.ROOT).split():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes((support.ROOT / name).read_bytes())
    support.git("init", "-q", where=directory)
    support.git("add", "-A", where=directory)
    support.git("commit", "-q", "-m", "as it is", where=directory)
    return directory


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where our package is: a clone, a wheel or a git repository."""
    if request.param == "wheel":
        return (tmp_path / own_wheel.make_own_wheel(tmp_path)).as_uri()
    clone = own_clone(tmp_path / "ours").as_uri()
    return "git+" + clone if request.param == "git" else clone


@pytest.mark.index
@pytest.mark.parametrize("place", ["clone", "wheel", "git"], indirect=True)
def test_a_direct_reference_brings_neoprimer_and_its_main_is_the_whole_work(new_clone: NewClone, place: str) -> None:
    clone = new_clone(**support.shared_caches()).write({"requirements.txt": f"protoprimer[neo] @ {place}\n"})
    clone.entry("show", "neoprimer.rendering:main", "boot")
    assert SHOWS in clone.run("./show", "-q").output


@pytest.mark.index
@pytest.mark.parametrize(
    ("place", "source", "is_package", "installer"),
    [
        ("clone", '{ path = "../ours" }', True, "uv"),
        pytest.param("clone", '{ path = "../ours" }', False, "venv", marks=pytest.mark.thorough),
        pytest.param("wheel", '{ path = "../%s" }', False, "uv", marks=pytest.mark.thorough),
        ("wheel", '{ path = "../%s" }', True, "venv"),
        ("git", '{ git = "file://%s" }', False, "uv"),
    ],
    indirect=["place"],
)
def test_a_source_of_uvs_brings_neoprimer(
    new_clone: NewClone, tmp_path: Path, place: str, source: str, is_package: bool, installer: str
) -> None:
    filled = source % (os.path.basename(place) if ".whl" in place else tmp_path / "ours") if "%s" in source else source
    clone = new_clone(**support.shared_caches())
    # Nothing of our name from elsewhere would have this version.
    dependencies = f'dependencies = ["protoprimer[neo]=={VERSION}"]'
    if is_package:
        clone.project("app", more=dependencies)
    else:
        clone.write({"pyproject.toml": f'[project]\nname = "app"\nversion = "1"\n{dependencies}\n'})
    with (clone.root / "pyproject.toml").open("a") as stream:
        stream.write(f"[tool.uv.sources]\nprotoprimer = {filled}\n")
    clone.entry("show", "neoprimer.rendering:main", "boot")
    assert SHOWS in clone.run("./show", "-q", environ={"PROTOPRIMER_BACKEND": installer}).output


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "protoprimer[neo]\n"},
        {"pyproject.toml": PROJECT % '"protoprimer[neo]>=0.1"'},
        {"protoprimer.toml": 'install = { args = ["protoprimer"] }\n'},
    ],
    ids=["a requirement file", "a project", "args"],
)
@pytest.mark.parametrize("command", ["boot", "lock"])
@pytest.mark.parametrize("setting", [None, "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"])
def test_our_name_alone_is_refused_since_it_is_another_projects(
    new_clone: NewClone, files: dict[str, str], command: str, setting: str | None
) -> None:
    clone = new_clone().write(files).entry("prime", None, "boot")
    public = {name: "" for name in clone.environ if name.lower().startswith(("pip_", "uv_"))}
    public["PIP_CONFIG_FILE"] = os.devnull
    public["UV_NO_CONFIG"] = "1"
    if setting:
        # What is configured may be a mirror of the public index, or be asked beside it.
        public[setting] = "http://127.0.0.1:9/simple"
    done = clone.prime(command, status=3, environ=public)
    assert "names no place: on the public index, that name is another project's" in done.errors
    assert "[tool.uv.sources]" in done.errors
    assert not list(clone.root.glob("*.lock")), "nothing was resolved"


@pytest.mark.parametrize("name", ["plan", "interpreter", "backends"])
def test_a_state_that_has_made_the_environment_is_not_replaced_in_vain(new_clone: NewClone, name: str) -> None:
    module = f"from protoprimer import state\n@state(replace=True)\ndef {name}(): ...\ndef main(primer): ...\n"
    clone = new_clone().write({"app.py": module}).entry("prime", "app:main", "boot")
    done = clone.prime(status=3)
    assert f"the state '{name}' cannot be replaced here" in done.errors
    assert "app.py:2" in done.errors


def test_a_replaced_environment_takes_effect(new_clone: NewClone) -> None:
    module = (
        "from protoprimer import state\n@state(replace=True)\ndef environment(environment): return 'ours'\n"
        "@state(target='say')\ndef said(environment): print(environment)\n"
        "def main(primer): primer.default_target = 'say'\n"
    )
    clone = new_clone().write({"app.py": module}).entry("prime", "app:main", "boot")
    assert clone.prime().output == "ours\n"


def test_a_script_of_any_kind_is_as_loud_as_asked_for(new_clone: NewClone, tmp_path: Path) -> None:
    module = (
        "import logging\nfrom neoprimer import logs\n"
        "def main():\n    logs.configure_logging()\n    logging.info('informed')\n    logging.error('failed')\n"
        "    logs.client_console().detail('detailed')\n    logs.client_console().say('said')\n"
    )
    wheel = own_wheel.make_own_wheel(tmp_path)
    clone = new_clone().write({"app.py": module, "requirements.txt": f"protoprimer @ {(tmp_path / wheel).as_uri()}\n"})
    clone.entry("prime", "app:main", "boot").entry("run", "app:main").entry("start", "app:main", "start")
    clone.run("./run")

    def said(script: str, *arguments: str, **variables: str) -> list[str]:
        return clone.run(f"./{script}", *arguments, environ=variables).errors.splitlines()

    for script in ("prime", "run", "start"):
        assert said(script) == ["ERROR: failed", "said"]
        for _ in range(2):
            loud = said(script, PROTOPRIMER_VERBOSITY="1")
            assert loud[-4:] == ["INFO: informed", "ERROR: failed", "detailed", "said"]
        assert said(script, PROTOPRIMER_VERBOSITY="-1") == ["ERROR: failed"]
    assert said("prime", "-v")[-4:] == ["INFO: informed", "ERROR: failed", "detailed", "said"]
    assert said("prime", "-q") == ["ERROR: failed"]


def test_a_level_that_is_none_is_refused(new_clone: NewClone) -> None:
    clone = new_clone().entry("prime", None, "boot")
    done = clone.prime("boot", status=3, environ={"PROTOPRIMER_VERBOSITY": "loud"})
    assert "PROTOPRIMER_VERBOSITY must be -1" in done.errors
