"""What a build leaves in the checkout, or reads from it, is there in every new environment, whichever backend made it."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from samples import WITH_UV

if TYPE_CHECKING:
    from collections.abc import Callable

    import clones

pytestmark = pytest.mark.index  # the build backends

GIT = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def commit(clone: clones.Clone, files: dict[str, str], *tags: str) -> None:
    clone.write({".gitignore": "_version.py\n*.so\nbuild/\n*.egg-info/\n__pycache__/\n", **files})
    clone.environ.update(GIT)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"], *(["tag", tag] for tag in tags)):
        clone.run("git", *command)


def logged(clone: clones.Clone) -> str:
    (log,) = (clone.state / "log").iterdir()
    return log.read_text(encoding="utf-8")


def cleaned_and_primed(clone: clones.Clone) -> None:
    clone.run("git", "clean", "-qfdx")
    clone.prime()


@pytest.fixture(params=WITH_UV)
def clone(request: pytest.FixtureRequest, new_clone: Callable[..., clones.Clone]) -> clones.Clone:
    made = new_clone().write({"protoprimer.toml": f'backend = "{request.param}"\n'}).entry("prime", None, "boot")
    return made


def test_a_version_file_that_the_build_writes_is_there_after_git_clean(clone: clones.Clone) -> None:
    project = '[project]\nname = "versioned"\ndynamic = ["version"]\n'
    project += '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n'
    project += (
        '[tool.hatch.version]\nsource = "vcs"\n[tool.hatch.build.hooks.vcs]\nversion-file = "versioned/_version.py"\n'
    )
    commit(clone, {"pyproject.toml": project, "versioned/__init__.py": "from ._version import version\n"}, "v1.5")
    clone.prime()
    cleaned_and_primed(clone)
    assert clone.run(".venv/bin/python", "-c", "import versioned; print(versioned.version)").output == "1.5\n"


@pytest.mark.thorough  # a version file is one, too
def test_a_file_that_a_build_hook_writes_is_there_after_git_clean(clone: clones.Clone) -> None:
    project = '[project]\nname = "hooked"\nversion = "1"\n'
    project += '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    project += '[tool.hatch.build.hooks.custom]\npath = "hook.py"\n'
    hook = "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n\n"
    hook += "class Hook(BuildHookInterface):\n    def initialize(self, version, data):\n"
    hook += '        open("hooked/_version.py", "w").write("version = 7\\n")\n'
    files = {"pyproject.toml": project, "hook.py": hook, "hooked/__init__.py": "from ._version import version\n"}
    commit(clone, files)
    clone.prime()
    cleaned_and_primed(clone)
    assert clone.run(".venv/bin/python", "-c", "import hooked; print(hooked.version)").output == "7\n"


def test_a_file_that_the_build_writes_is_missed_and_comes_back(clone: clones.Clone) -> None:
    project = '[project]\nname = "versioned"\ndynamic = ["version"]\n'
    project += '[build-system]\nrequires = ["setuptools", "setuptools-scm"]\nbuild-backend = "setuptools.build_meta"\n'
    project += '[tool.setuptools_scm]\nversion_file = "versioned/_version.py"\n'
    commit(clone, {"pyproject.toml": project, "versioned/__init__.py": "from ._version import version\n"}, "v1.5")
    # What was checked out has an earlier date than what the build writes.
    time.sleep(0.1)
    clone.prime()
    for _again in range(2):
        (clone.root / "versioned" / "_version.py").unlink()
        assert "versioned/_version.py is missing or empty" in clone.prime("check", status=1).output
        clone.prime()
        assert clone.run(".venv/bin/python", "-c", "import versioned; print(versioned.version)").output == "1.5\n"
    (clone.root / "versioned" / "_version.py").write_text("")
    (clone.root / "versioned" / "__init__.py").write_text("")
    assert "__init__.py" not in clone.prime("check", status=1).output


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("'compiled'", id="name written", marks=pytest.mark.thorough),
        pytest.param("'com' + 'piled'", id="name computed"),
    ],
)
def test_an_extension_whose_name_is_only_in_setup_py_is_there_after_git_clean(clone: clones.Clone, name: str) -> None:
    clone.environ["PATH"] += os.pathsep + os.path.dirname(shutil.which("cc") or "")
    setup = "from setuptools import Extension, setup\n"
    setup += f"setup(name={name}, version='1', ext_modules=[Extension('compiled', ['compiled.c'])])\n"
    source = '#include <Python.h>\nstatic struct PyModuleDef m = {PyModuleDef_HEAD_INIT, "compiled", 0, -1, 0};\n'
    source += "PyMODINIT_FUNC PyInit_compiled(void) { return PyModule_Create(&m); }\n"
    commit(clone, {"setup.py": setup, "compiled.c": source})
    clone.prime()
    cleaned_and_primed(clone)
    assert clone.run(".venv/bin/python", "-c", "import compiled; print('there')").output == "there\n"


def test_a_package_added_beside_another_can_be_imported_in_the_next_environment(clone: clones.Clone) -> None:
    project = '[project]\nname = "growing"\nversion = "1"\n[tool.setuptools.packages.find]\n'
    project += 'include = ["one*", "two*"]\n[build-system]\nrequires = ["setuptools"]\n'
    project += 'build-backend = "setuptools.build_meta"\n'
    commit(clone, {"pyproject.toml": project, "one/__init__.py": ""})
    clone.prime()
    commit(clone, {"two/__init__.py": "NAME = 'two'\n"})
    clone.prime("reboot")
    assert clone.run(".venv/bin/python", "-c", "import two; print(two.NAME)").output == "two\n"
    shutil.rmtree(clone.state)
    clone.prime()
    assert clone.run(".venv/bin/python", "-c", "import two; print(two.NAME)").output == "two\n"


def test_a_member_that_only_sources_name_is_built_again_too(clone: clones.Clone) -> None:
    member = '[project]\nname = "member"\ndynamic = ["version"]\n'
    member += '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    member += '[tool.hatch.version]\npath = "member/__init__.py"\n[tool.hatch.build.hooks.custom]\npath = "hook.py"\n'
    hook = "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n\n"
    hook += "class Hook(BuildHookInterface):\n    def initialize(self, version, data):\n"
    hook += '        open("member/_version.py", "w").write("version = 7\\n")\n'
    root = '[project]\nname = "root"\nversion = "1"\ndependencies = ["member"]\n'
    root += '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    root += '[tool.uv.sources]\nmember = { workspace = true }\n[tool.uv.workspace]\nmembers = ["parts/*"]\n'
    files = {"pyproject.toml": root, "root/__init__.py": "", "parts/member/pyproject.toml": member}
    files.update({"parts/member/hook.py": hook, "parts/member/member/__init__.py": "__version__ = '1'\n"})
    commit(clone, files)
    clone.prime()
    cleaned_and_primed(clone)
    assert clone.run(".venv/bin/python", "-c", "import member._version as m; print(m.version)").output == "7\n"


def test_only_what_pyproject_toml_describes_in_full_is_taken_from_the_cache_of_uv(
    new_clone: Callable[..., clones.Clone],
) -> None:
    project = '[project]\nname = "plain"\nversion = "1"\n'
    project += '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    clone = new_clone().write(
        {"pyproject.toml": project, "plain/__init__.py": "", "protoprimer.toml": 'backend = "uv"\n'}
    )
    clone.entry("prime", None, "boot").prime()
    shutil.rmtree(clone.state)
    clone.prime()
    assert "--reinstall-package" not in logged(clone)
    shutil.rmtree(clone.state)
    clone.write({"setup.py": "from setuptools import setup\nsetup()\n"}).prime()
    assert "--reinstall-package plain" in logged(clone)


SWITCHING = """
def build_editable(directory, settings=None, metadata=None):
    %s
    return build(directory, True)
"""


@pytest.mark.parametrize("how", ["there and back", "there"])
def test_inputs_that_change_while_a_build_runs_are_planned_anew(
    new_clone: Callable[..., clones.Clone], how: str
) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.write({"protoprimer.toml": 'watch = ["data"]\n', "data": "a"})
    switch = "import time; time.sleep(0.05); open('data', 'w').write('b')"
    switch += "; time.sleep(0.05); open('data', 'w').write('a')" if how == "there and back" else ""
    once = f"os.path.exists('switched') or exec(\"open('switched', 'w').close(); {switch}\")"
    builder = clone.root / "builder.py"
    builder.write_text(builder.read_text() + SWITCHING % once)
    done = clone.prime()
    assert "data changed while the environment was built from it: planning anew" in done.errors
    assert clone.builds() == 2
    (published,) = clone.generations()
    assert clone.prime().errors == ""
    clone.write({"data": "a" if how == "there" else "b"})
    clone.prime()
    assert clone.generations()[0] == published
    assert clone.builds() == 3


def test_a_build_that_fails_while_its_inputs_change_is_planned_anew(new_clone: Callable[..., clones.Clone]) -> None:
    """What was half switched is no reason to tell anybody to correct it."""
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.write({"protoprimer.toml": 'watch = ["data"]\n', "data": "a"})
    switch = "open('switched', 'w').close(); open('data', 'w').write('b'); raise OSError('torn')"
    builder = clone.root / "builder.py"
    builder.write_text(builder.read_text() + SWITCHING % f"os.path.exists('switched') or exec({switch!r})")
    done = clone.prime()
    assert "data changed while the environment was built from it: planning anew" in done.errors
    assert "error: " not in done.errors
    assert clone.prime().errors == ""


def test_a_build_that_changes_its_own_input_each_time_is_a_fault(new_clone: Callable[..., clones.Clone]) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.write({"protoprimer.toml": 'watch = ["data"]\n', "data": ""})
    builder = clone.root / "builder.py"
    builder.write_text(builder.read_text() + SWITCHING % "open('data', 'a').write('x')")
    done = clone.prime(status=6)
    assert "data changed while the environment was built from it" in done.errors
    assert clone.builds() == 2
    assert clone.generations() == []


def test_a_source_that_each_build_writes_otherwise_is_removed_as_the_advice_says(
    new_clone: Callable[..., clones.Clone],
) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot").write({"meson.build": ""})
    builder = clone.root / "builder.py"
    builder.write_text(builder.read_text() + SWITCHING % "open('made.c', 'a').write('x')")
    clone.prime()
    builder.write_text(builder.read_text() + "\n")
    assert "remove what the build itself writes" in clone.prime(status=6).errors
    (clone.root / "made.c").unlink()
    clone.prime()
    assert clone.prime().errors == ""


def test_a_build_that_writes_the_same_again_is_no_fault(new_clone: Callable[..., clones.Clone]) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.write({"protoprimer.toml": 'watch = ["data"]\n', "data": "x"})
    builder = clone.root / "builder.py"
    builder.write_text(builder.read_text() + SWITCHING % "open('data', 'w').write('x')")
    clone.prime()
    assert len(clone.generations()) == 1


def test_check_names_each_file_that_is_gone_or_of_another_size_and_reboot_heals(
    new_clone: Callable[..., clones.Clone],
) -> None:
    clone = new_clone().project("demo", ".", 'dependencies = ["iniconfig", "pluggy"]').entry("prime", None, "boot")
    clone.prime("lock")
    pins = (clone.root / "pylock.toml").read_bytes()
    clone.prime()
    assert "environment: current" in clone.prime("check").output
    (one,) = (clone.root / ".venv").rglob("iniconfig/__init__.py")
    (other,) = (clone.root / ".venv").rglob("pluggy/_hooks.py")
    one.unlink()
    other.write_text("broken\n")
    told = clone.prime("check", status=1).output
    for words in ("iniconfig/__init__.py is missing", "pluggy/_hooks.py has 7 bytes instead of ", "./prime reboot"):
        assert words in told
    clone.prime("reboot")
    assert "environment: current" in clone.prime("check").output
    assert (clone.root / "pylock.toml").read_bytes() == pins
    (other,) = (clone.root / ".venv").rglob("pluggy/_hooks.py")
    other.write_text("broken\n")
    (clone.state / "ready").unlink()
    assert "pluggy/_hooks.py has 7 bytes" in clone.prime().errors
    assert "environment: current" in clone.prime("check").output


def test_the_reason_compares_with_the_environment_that_was_in_use(new_clone: Callable[..., clones.Clone]) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.write({"protoprimer.toml": 'watch = ["data"]\n', "data": "a"})
    clone.prime()
    clone.write({"data": "b"})
    clone.prime()
    clone.write({"data": "a"})
    clone.prime()
    # What was built last had another `data`; what is in use has this one.
    project = clone.root / "pyproject.toml"
    project.write_text(project.read_text() + "# more\n")
    assert "because pyproject.toml changed, with" in clone.prime().errors
