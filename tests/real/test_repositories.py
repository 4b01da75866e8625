"""Shapes of repositories as they are met in well-known projects: zero configuration does right, or says what to set."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import clones
import simple_index
import support
from samples import WITH_UV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    NewClone = Callable[..., clones.Clone]
    FetchTools = Callable[[str], None]

pytestmark = pytest.mark.parametrize("installer", WITH_UV)
SILENT = clones.Done(0, "", "")
SETUPTOOLS = '[build-system]\nrequires = ["setuptools>=64"]\nbuild-backend = "setuptools.build_meta"\n'


@pytest.fixture
def index(fetch_tools: FetchTools, installer: str) -> Iterator[simple_index.SimpleIndex]:
    """Return an index of this test's own; the tools are there already."""
    fetch_tools(installer)
    with simple_index.serving() as served:
        yield served


@pytest.fixture
def clone(new_clone: NewClone) -> clones.Clone:
    """Return a clone whose user reaches an index by this host's default configuration."""
    return new_clone(**support.shared_caches()).entry("prime", None, "boot")


@pytest.fixture
def own_index_clone(clone: clones.Clone, index: simple_index.SimpleIndex) -> clones.Clone:
    """Return a clone whose user reaches this test's index only."""
    for name in ("PIP_FIND_LINKS", "UV_CACHE_DIR", "PIP_CACHE_DIR"):
        clone.environ.pop(name, None)
    clone.environ.update(PIP_INDEX_URL=index.url, UV_DEFAULT_INDEX=index.url, PIP_CONFIG_FILE=os.devnull)
    return clone


def boot(clone: clones.Clone, installer: str) -> clones.Done:
    """`./prime`, and then `./prime` again, which has nothing to do."""
    done = clone.prime("--backend", installer)
    assert clone.prime() == SILENT
    return done


def in_environment(clone: clones.Clone, expression: str) -> Any:
    """Return the value of a Python expression in the environment, from another directory than the root."""
    program = f"import json, sys; print(json.dumps({expression}))"
    done = clone.run(str(clone.root / "prime"), "run", "--", "python", "-I", "-c", program, cwd=clone.root.parent)
    return json.loads(done.output)


def file_of(clone: clones.Clone, module: str) -> str:
    return str(in_environment(clone, f"__import__('{module}').__file__"))


def distributions(clone: clones.Clone) -> set[str]:
    record = json.loads((clone.generations()[-1] / "protoprimer.json").read_text())
    return {name.partition("-")[0].replace("-", "_").lower() for name in record["distributions"]}


def required_python(clone: clones.Clone) -> dict[str, Any]:
    value = clone.prime("eval", "--json").json()["values"]["python"]
    assert isinstance(value, dict)
    return value


# Where the range of Pythons is


@pytest.mark.index
def test_the_range_of_poetry(clone: clones.Clone, installer: str) -> None:
    clone.write(
        {
            "pyproject.toml": '[tool.poetry]\nname = "demo"\nversion = "1.0"\ndescription = ""\nauthors = []\n'
            '[tool.poetry.dependencies]\npython = "^3.8"\n'
            '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n',
            "demo/__init__.py": "",
        }
    )
    boot(clone, installer)
    assert required_python(clone)["value"] == ">=3.8,<4"
    assert required_python(clone)["place"].endswith("pyproject.toml:7 (tool.poetry.dependencies.python)")
    assert file_of(clone, "demo") == str(clone.root / "demo" / "__init__.py")


@pytest.mark.index
def test_the_range_of_setup_cfg(clone: clones.Clone, installer: str) -> None:
    clone.write(
        {
            "setup.cfg": "[metadata]\nname = demo\nversion = 1.0\n[options]\npython_requires = >=3.8\npy_modules = demo\n",
            "pyproject.toml": SETUPTOOLS,
            "demo.py": "",
        }
    )
    boot(clone, installer)
    assert required_python(clone)["value"] == ">=3.8"
    assert "setup.cfg:5" in required_python(clone)["place"]
    assert file_of(clone, "demo") == str(clone.root / "demo.py")


@pytest.mark.index
def test_the_range_computed_in_setup_py(clone: clones.Clone, installer: str) -> None:
    clone.write(
        {
            "setup.py": "import os, sys\nfrom setuptools import setup\nOLDEST = (3, 8)\n"
            "setup(name='demo', version='1', py_modules=['demo'], python_requires='>=%d.%d' % OLDEST)\n",
            "demo.py": "",
        }
    )
    boot(clone, installer)
    assert required_python(clone)["value"] == ">=3.6"
    assert file_of(clone, "demo") == str(clone.root / "demo.py")


def test_a_range_with_an_exclusion_leaves_that_release_out(clone: clones.Clone, installer: str) -> None:
    here = support.default_python()
    others = [python for python in support.wild_pythons() if python.version[:2] >= (3, 8) and python != here]
    if not others:
        pytest.skip("this machine has one Python only")
    excluded = ".".join(map(str, here.version))
    clone.project("demo", more=f'requires-python = ">=3.8,!={excluded}"')
    boot(clone, installer)
    assert in_environment(clone, "sys.version_info[:3]") != list(here.version)


# What the root is


def test_a_pyproject_of_tools_only_installs_the_requirements(
    own_index_clone: clones.Clone, index: simple_index.SimpleIndex, installer: str
) -> None:
    index.add("needed", "1.0")
    own_index_clone.write({"pyproject.toml": "[tool.black]\nline-length = 100\n", "requirements.txt": "needed\n"})
    boot(own_index_clone, installer)
    assert distributions(own_index_clone) == {"needed"}


def test_a_project_that_is_no_package_gives_its_dependencies(
    own_index_clone: clones.Clone, index: simple_index.SimpleIndex, installer: str
) -> None:
    index.add("needed", "1.0")
    head = '[project]\nname = "demo"\nversion = "1"\ndependencies = ["needed"]\n'
    own_index_clone.write({"pyproject.toml": head, "scripts/run.py": ""})
    boot(own_index_clone, installer)
    assert distributions(own_index_clone) == {"needed"}


def test_projects_below_a_root_that_is_none_are_left_to_the_author(clone: clones.Clone, installer: str) -> None:
    clone.project("one", "one").project("two", "two")
    line = 'install = [{ projects = ["one", "two"] }]'
    assert f"next: write in protoprimer.toml: {line}" in clone.prime("--backend", installer, status=3).errors
    clone.write({"protoprimer.toml": line + "\n"})
    boot(clone, installer)
    assert file_of(clone, "two") == str(clone.root / "two" / "two.py")


def test_the_line_for_projects_below_names_the_groups_that_all_of_them_have(
    clone: clones.Clone, installer: str
) -> None:
    dev, test = "[dependency-groups]\ndev = []\n", "[dependency-groups]\ntest = []\n"
    clone.project("one", "services/one", dev).project("two", "services/two", dev).project("three", "libs/three", dev)
    clone.project("four", "libs/four", test)
    items = '{ path = "services/*", groups = ["dev"] }'
    line = 'install = [{ projects = ["libs/*", %s] }]' % items
    assert f"next: write in protoprimer.toml: {line}" in clone.prime("--backend", installer, status=3).errors
    clone.write({"protoprimer.toml": line + "\n"})
    boot(clone, installer)


def test_broken_projects_among_the_tests_are_never_looked_at(clone: clones.Clone, installer: str) -> None:
    clone.project("demo").write(
        {
            "tests/data/broken/pyproject.toml": "[project\n",
            "tests/data/unreadable/setup.py": b"\xff\xfe",
            "tests/pyproject.toml": "[tool.protoprimer]\nunknown = 1\n",
            "tests/uv.lock": "no lock",
            "tests/.python-version": "2.5\n",
        }
    )
    boot(clone, installer)
    assert file_of(clone, "demo") == str(clone.root / "demo.py")


def test_a_file_named_dot_env_is_nobodys_environment(clone: clones.Clone, installer: str) -> None:
    clone.project("demo").write({".env": "PYTHONPATH=/nowhere\nUV_OFFLINE=1\nPIP_INDEX_URL=http://127.0.0.1:9/\n"})
    before = (clone.root / ".env").read_bytes()
    boot(clone, installer)
    assert file_of(clone, "demo") == str(clone.root / "demo.py")
    assert (clone.root / ".env").read_bytes() == before


# What has to be built


@pytest.mark.index
def test_a_version_from_git_tags(clone: clones.Clone, installer: str) -> None:
    clone.write(
        {
            "pyproject.toml": '[build-system]\nrequires = ["setuptools>=64", "setuptools-scm>=8"]\n'
            'build-backend = "setuptools.build_meta"\n[project]\nname = "demo"\ndynamic = ["version"]\n'
            'requires-python = ">=3.8"\n[tool.setuptools]\npy-modules = ["demo"]\n[tool.setuptools_scm]\n',
            "demo.py": "",
            ".gitignore": "*.egg-info\n.venv\n",
        }
    )
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "begin"], ["tag", "v3.1"]):
        support.git(*command, where=clone.root)
    boot(clone, installer)
    version = "__import__('importlib.metadata').metadata.version('demo')"
    assert in_environment(clone, version) == "3.1"
    assert support.git("status", "--porcelain", where=clone.root) == ""


@pytest.mark.index
@pytest.mark.skipif(shutil.which("gcc") is None, reason="this host has no C compiler")
def test_an_extension_module(clone: clones.Clone, installer: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    tools = tmp_path_factory.mktemp("compiler")
    for name in ("gcc", "cc", "as", "ld", "ar"):
        (tools / name).symlink_to(support.needed_tool(name))
    clone.environ["PATH"] += f":{tools}"
    clone.write(
        {
            "pyproject.toml": SETUPTOOLS + '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.8"\n',
            "setup.py": "from setuptools import Extension, setup\n"
            "setup(ext_modules=[Extension('demo', ['demo.c'])], py_modules=[])\n",
            "demo.c": "#include <Python.h>\n"
            "static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }\n"
            'static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};\n'
            'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "demo", "", -1, methods};\n'
            "PyMODINIT_FUNC PyInit_demo(void) { return PyModule_Create(&module); }\n",
        }
    )
    boot(clone, installer)
    assert in_environment(clone, "__import__('demo').answer()") == 42
    # `make clean` takes a part of the environment away.
    (compiled,) = clone.root.glob("*.so")
    compiled.unlink()
    assert "not built" not in clone.prime("check", status=1).output
    # With setuptools' map of modules, the second is met first.
    causes = f"because ({re.escape(compiled.name)} is missing or empty|the sources in demo are gone)"
    assert re.search(causes, clone.prime("--backend", installer).errors)
    assert in_environment(clone, "__import__('demo').answer()") == 42
    assert clone.prime("--backend", installer).errors == ""
    # What a build has left in the checkout is no reason to skip the next one.
    for compiled in clone.root.glob("*.so"):
        compiled.unlink()
    clone.prime("reboot", "--backend", installer)
    assert in_environment(clone, "__import__('demo').answer()") == 42


def test_an_extra_that_only_a_build_knows_is_refused_after_it(clone: clones.Clone, installer: str) -> None:
    """An installer warns of it, and succeeds without the extra."""
    clone.write(
        {
            "setup.py": "from setuptools import setup\nEXTRAS = ['xml']\n"
            "setup(name='demo', version='1', py_modules=[], extras_require={one: [] for one in EXTRAS})\n",
            "protoprimer.toml": 'install = [{ projects = [{ path = ".", extras = ["xlm"] }] }]\n',
        }
    )
    refused = clone.prime("--backend", installer, status=3).errors
    assert "error: the project demo has no extra `xlm`\n" in refused
    assert "protoprimer.toml:1 (install)" in refused
    assert "did you mean 'xml'?" in refused
    setup = (clone.root / "setup.py").read_text()
    clone.write({"setup.py": setup.replace("['xml']", "[]")})
    assert "has no extra `xlm`\n" in clone.prime("--backend", installer, status=3).errors
    clone.write({"setup.py": setup})
    clone.write({"protoprimer.toml": 'install = [{ projects = [{ path = ".", extras = ["xml"] }] }]\n'})
    boot(clone, installer)


@pytest.mark.parametrize("who_knows_the_extra", ["metadata", "build"])
def test_a_later_step_that_spoils_what_an_extra_requires_is_told(
    clone: clones.Clone, installer: str, who_knows_the_extra: str
) -> None:
    """Each run of an installer sees its own step alone."""
    wheels = clone.root / "wheels"
    wheels.mkdir()
    for version in ("1.0", "2.0"):
        name, content = simple_index.make_wheel("needed", version)
        (wheels / name).write_bytes(content)
    clone.environ["PIP_FIND_LINKS"] = f"{clone.environ.get('PIP_FIND_LINKS', '')} {wheels.as_uri()}".strip()
    pyproject = SETUPTOOLS + '[tool.setuptools]\npy-modules = []\n[project]\nname = "demo"\nversion = "1"\n'
    if who_knows_the_extra == "metadata":
        pyproject += 'optional-dependencies.test = ["needed>=2"]\n'
    else:
        pyproject += 'dynamic = ["optional-dependencies"]\n'
        clone.write({"setup.py": "import setuptools\nsetuptools.setup(extras_require=dict(test=['needed>=2']))\n"})
    settings = 'install = [{ projects = [{ path = ".", extras = ["test"] }] }, { args = ["needed<2"] }]\n'
    clone.write({"pyproject.toml": pyproject, "protoprimer.toml": settings})
    refused = clone.prime("--backend", installer, status=6).errors
    assert "requires `needed>=2" in refused
    assert "`, but needed 1.0 is installed" in refused
    assert "ask for versions that fit together" in refused


# What refers to what


def test_a_group_that_names_its_own_project(
    own_index_clone: clones.Clone, index: simple_index.SimpleIndex, installer: str
) -> None:
    """Of an index, the project's name would get somebody else's."""
    index.add("demo", "99")
    index.add("needed", "1.0")
    index.add("tester", "1.0")
    own_index_clone.project("demo").write(
        {"protoprimer.toml": 'install = [{ projects = [{ path = ".", groups = ["all"] }] }]\n'}
    )
    pyproject = own_index_clone.root / "pyproject.toml"
    groups = '[dependency-groups]\ntest = ["tester", "demo"]\nall = [{ include-group = "test" }, "needed"]\n'
    pyproject.write_text(pyproject.read_text() + groups)
    boot(own_index_clone, installer)
    assert distributions(own_index_clone) == {"demo", "needed", "tester"}
    assert file_of(own_index_clone, "demo") == str(own_index_clone.root / "demo.py")


def test_siblings_that_require_each_other_at_versions_no_index_has(
    own_index_clone: clones.Clone, index: simple_index.SimpleIndex, installer: str
) -> None:
    index.add("one", "0.1")
    index.add("two", "0.1")
    own_index_clone.project("one", "one", more='dependencies = ["two==1"]')
    own_index_clone.project("two", "two", more='dependencies = ["one>=1"]')
    own_index_clone.write({"protoprimer.toml": 'install = [{ projects = ["one", "two"] }]\n'})
    boot(own_index_clone, installer)
    for name in ("one", "two"):
        assert file_of(own_index_clone, name) == str(own_index_clone.root / name / f"{name}.py")


def test_paths_in_requirement_files_count_from_the_root_and_nested_files_from_theirs(
    own_index_clone: clones.Clone, index: simple_index.SimpleIndex, installer: str
) -> None:
    index.add("needed", "1.0")
    index.add("needed", "2.0")
    clone = own_index_clone.project("lib", "lib").project("other", "other")
    clone.write(
        {
            "protoprimer.toml": 'install = [{ requirements = ["requirements/dev.txt"] }]\n',
            "requirements/dev.txt": "-r base.txt\n-e ./lib\n./other\n",
            "requirements/base.txt": "-c limits.txt\nneeded\n",
            "requirements/limits.txt": "needed<2\n",
        }
    )
    boot(clone, installer)
    assert distributions(clone) == {"needed", "lib", "other"}
    assert file_of(clone, "lib") == str(clone.root / "lib" / "lib.py")
    assert in_environment(clone, "__import__('needed').VERSION") == "1.0"
    clone.write({"requirements/limits.txt": "needed>=2\n"})
    assert "requirements/limits.txt changed" in clone.prime("--backend", installer).errors
    assert in_environment(clone, "__import__('needed').VERSION") == "2.0"


def test_default_groups_of_uv_are_installed_as_uv_does(
    own_index_clone: clones.Clone, index: simple_index.SimpleIndex, installer: str
) -> None:
    for name in ("needed", "tester", "documenter"):
        index.add(name, "1.0")
    clone = own_index_clone.project("demo", more='requires-python = ">=3.8"\ndependencies = ["needed"]')
    pyproject = clone.root / "pyproject.toml"
    more = (
        '[dependency-groups]\ndev = ["tester", "documenter"]\n[tool.uv]\ndefault-groups = "all"\n'
        '[tool.protoprimer]\nlock = "uv.lock"\n'
    )
    pyproject.write_text(pyproject.read_text() + more)
    clone.prime("lock", "--backend", "uv")
    assert "documenter" in (clone.root / "uv.lock").read_text()
    index.add("needed", "2.0")
    boot(clone, installer)
    assert distributions(clone) == {"demo", "needed", "tester", "documenter"}
    assert in_environment(clone, "__import__('needed').VERSION") == "1.0"
    pyproject.write_text(pyproject.read_text().replace('default-groups = "all"', "default-groups = []"))
    boot(clone, installer)
    assert distributions(clone) == {"demo", "needed"}
    assert file_of(clone, "demo") == str(clone.root / "demo.py")


def test_a_lock_of_uv_without_a_project_is_not_taken_for_one(
    own_index_clone: clones.Clone, index: simple_index.SimpleIndex, installer: str
) -> None:
    """`uv sync` succeeds there, and installs nothing."""
    index.add("needed", "1.0")
    own_index_clone.write(
        {
            "pyproject.toml": "[tool.uv.workspace]\nmembers = []\n",
            "uv.lock": 'version = 1\nrevision = 3\nrequires-python = ">=3.8"\n',
            "requirements.txt": "needed\n",
        }
    )
    boot(own_index_clone, installer)
    assert distributions(own_index_clone) == {"needed"}
