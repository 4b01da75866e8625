"""Small projects of every kind that real repositories are, and what can change in each.

In texts, `@INDEX@` and `@OTHER@` are the addresses of two indexes, `@FILES@` that of the first one's files, `@GIT@` that of a
git repository, `@SHA:FILE@` the hash of a file of the first index, `@ROOT@` (in variables) the clone.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

import simple_index
import support

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from truth.oracle import Place

# Name, version, further metadata. The second index has an `alpha` of its own.
SERVED = {
    "index": [
        ("alpha", "1.0", ""),
        ("alpha", "1.5", ""),
        ("alpha", "2.0", ""),
        ("alpha", "3.0rc1", ""),
        ("beta", "1.0", "Requires-Dist: alpha\n"),
        ("beta", "1.1", "Requires-Dist: alpha\n"),
        ("gamma", "1.0", "Provides-Extra: more\nRequires-Dist: delta; extra == 'more'\n"),
        ("delta", "1.0", ""),
        ("epsilon", "1.0", ""),
        # What a stranger has put there under the name of a member of the workspaces below.
        ("inner", "99", ""),
    ],
    "other": [("alpha", "1.7", ""), ("zeta", "1.0", "")],
}
GIT_REPOSITORY = {
    "v1": {
        "pyproject.toml": '[project]\nname = "fromgit"\nversion = "1.0"\nrequires-python = ">=3.8"\n\n'
        '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n',
        "fromgit.py": '"""It."""\nVALUE = 1\n',
        "below/pyproject.toml": '[project]\nname = "below"\nversion = "7"\ndescription = "It."\nrequires-python = ">=3.8"\n\n'
        '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n',
        "below/below.py": "VALUE = 7\n",
    },
    "v2": {
        "pyproject.toml": '[project]\nname = "fromgit"\nversion = "2.0"\nrequires-python = ">=3.8"\n\n'
        '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n',
    },
}
for _files in GIT_REPOSITORY.values():
    # flit wants a description.
    _files["pyproject.toml"] = _files["pyproject.toml"].replace(
        "\nrequires-python", '\ndescription = "It."\nrequires-python'
    )

Mutation = Callable[["Path", "Place"], None]


@dataclass(frozen=True)
class Project:
    """A project: what its repository has in it, what may change, and what is expected of it.

    :param installed: the distributions and their versions; ` editable` stands behind those that are
    :param mutations: what may change, by name; each is done once, in a clone in which others may have been done
    :param probe: what is asked inside the environment; the answer is compared too
    :param backend: which backend the changes are tried with
    :param backends: which can install it
    :param tag: if it lies in git, the tag of its first commit
    :param wheels: wheels that lie in the repository
    """

    name: str
    files: Mapping[str, str]
    installed: Mapping[str, str]
    mutations: Mapping[str, Mutation]
    probe: str = "import app; print(app.VALUE)"
    backend: str = "venv"
    backends: tuple[str, ...] = support.BACKENDS
    variables: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""
    wheels: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    needs_compiler: bool = False


def put(name: str, text: str) -> Mutation:
    """Write a file."""

    def mutate(root: Path, place: Place) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(place.fill(text), encoding="utf-8")

    return mutate


def swap(name: str, old: str, new: str) -> Mutation:
    """Replace a text in a file, where both are still there."""

    def mutate(root: Path, place: Place) -> None:
        path = root / name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(place.fill(old), place.fill(new)), encoding="utf-8")

    return mutate


def add(name: str, text: str) -> Mutation:
    """Append to a file."""

    def mutate(root: Path, place: Place) -> None:
        path = root / name
        path.write_text(
            (path.read_text(encoding="utf-8") if path.is_file() else "") + place.fill(text), encoding="utf-8"
        )

    return mutate


def drop(name: str) -> Mutation:
    """Remove a file."""
    return lambda root, _place: (root / name).unlink(missing_ok=True)


def move(name: str, to: str) -> Mutation:
    """Rename a directory."""

    def mutate(root: Path, _place: Place) -> None:
        if (root / name).is_dir():
            (root / name).rename(root / to)

    return mutate


def move_into(directory: str, name: str, text: str) -> Mutation:
    """Move a file, with another text."""

    def mutate(root: Path, place: Place) -> None:
        (root / name).unlink(missing_ok=True)
        put(f"{directory}/{name}", text)(root, place)

    return mutate


def tagged(tag: str) -> Mutation:
    """Commit, and tag that."""
    return lambda root, place: place.commit(root, tag)


def rebuilt(name: str, version: str, value: int) -> Mutation:
    """Replace a wheel by one of the same name with another content."""

    def mutate(root: Path, _place: Place) -> None:
        (root / name).write_bytes(wheel(name, version, value)())

    return mutate


def wheel(name: str, version: str, value: int) -> Callable[[], bytes]:
    """Return what makes the wheel of a module that has this value."""
    module = name.rpartition("/")[2].partition("-")[0]
    return lambda: simple_index.make_wheel(module, version, {f"{module}.py": f"VALUE = {value}\n".encode()})[1]


# It takes the version from a file that it alone knows.
ODD_BACKEND = simple_index.make_wheel(
    "oddbackend",
    "1.0",
    {
        "oddbackend.py": b"""
import flit_core.buildapi as flit

def told(build):
    def wrapped(*arguments):
        with open("pyproject.toml") as file:
            before = file.read()
        with open("Cargo.toml") as file:
            version = file.read().strip()
        with open("pyproject.toml", "w") as file:
            file.write(before.replace('dynamic = ["version"]', 'version = "%s"' % version))
        try:
            return build(*arguments)
        finally:
            with open("pyproject.toml", "w") as file:
                file.write(before)
    return wrapped

build_wheel, build_editable = told(flit.build_wheel), told(flit.build_editable)
"""
    },
)

SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
FLIT = '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n'
HEAD = '[project]\nname = "app"\nversion = "0.1"\ndescription = "It."\nrequires-python = ">=3.8"\n'
STATIC = HEAD + 'dependencies = ["alpha<2"]\n\n'
MODULE = {"app.py": '"""It."""\nVALUE = 1\n'}
APP = {"app": "0.1 editable", "alpha": "1.5"}
TOML = "pyproject.toml"

# What may change in every project whose metadata stand in `[project]`.
ANOTHER_REQUIREMENT = swap(TOML, '"alpha<2"', '"alpha<2", "delta"')
COMMON: dict[str, Mutation] = {
    "another requirement": ANOTHER_REQUIREMENT,
    "another range of a requirement": swap(TOML, '"alpha<2"', '"alpha<1.5"'),
    "a script": swap(TOML, "\n\n[", '\n\n[project.scripts]\nhello = "app:main"\n\n['),
}


def member(name: str, dependencies: str = "", more: str = "") -> str:
    """Return the `pyproject.toml` of a member of a workspace."""
    head = HEAD.replace('"app"', f'"{name}"').replace('"0.1"', '"5"')
    return f"{head}dependencies = [{dependencies}]\n{more}\n{FLIT}"


def _locked(*names: str, more: str = "") -> str:
    text = 'lock-version = "1.0"\ncreated-by = "a test"\n'
    for name in names:
        filename = f"{name}-py3-none-any.whl"
        project, version = name.split("-")
        text += f'\n[[packages]]\nname = "{project}"\nversion = "{version}"\n{more}'
        text += f'wheels = [{{ name = "{filename}", url = "@FILES@/{filename}", hashes = {{ sha256 = "@SHA:{filename}@" }} }}]\n'
    return text


def _uv_locked(names: tuple[str, ...], *projects: str) -> str:
    text = 'version = 1\nrevision = 3\nrequires-python = ">=3.8"\n'
    for name in names:
        filename = f"{name}-py3-none-any.whl"
        project, version = name.split("-")
        wheels = f'wheels = [{{ url = "@FILES@/{filename}", hash = "sha256:@SHA:{filename}@" }}]'
        source = '{ registry = "@INDEX@" }'
        text += f'\n[[package]]\nname = "{project}"\nversion = "{version}"\nsource = {source}\n{wheels}\n'
    return text + "".join(projects)


def _uv_locked_project(where: str = ".") -> str:
    return (
        f'\n[[package]]\nname = "app"\nversion = "0.1"\nsource = {{ editable = "{where}" }}\n'
        'dependencies = [{ name = "alpha" }]\n'
        '\n[package.metadata]\nrequires-dist = [{ name = "alpha", specifier = "<2" }]\n'
    )


PROJECTS: list[Project] = [
    Project(
        "setuptools",
        {TOML: STATIC + SETUPTOOLS + '\n[tool.setuptools]\npy-modules = ["app"]\n', **MODULE},
        APP,
        {
            **COMMON,
            "a Python that there is not": swap(TOML, ">=3.8", ">=4.0"),
            "a syntax error": swap(TOML, "[build-system]", "[build-system"),
            "another version": swap(TOML, '"0.1"', '"0.2"'),
            "a requirement that is nowhere": swap(TOML, '"alpha<2"', '"nosuch"'),
        },
    ),
    Project(
        "hatchling",
        {TOML: STATIC + HATCHLING + '\n[tool.hatch.build]\ninclude = ["app.py"]\n', **MODULE},
        APP,
        COMMON,
    ),
    Project(
        "flit, version from the module",
        {
            TOML: STATIC.replace('version = "0.1"\ndescription = "It."\n', 'dynamic = ["version", "description"]\n')
            + FLIT,
            "app.py": '"""It."""\n__version__ = "0.1"\nVALUE = 1\n',
        },
        APP,
        {**COMMON, "the version in the module": swap("app.py", '"0.1"', '"0.2"')},
    ),
    Project(
        "pdm, version from a file",
        {
            TOML: STATIC.replace('version = "0.1"\n', 'dynamic = ["version"]\n')
            + '[build-system]\nrequires = ["pdm-backend"]\nbuild-backend = "pdm.backend"\n'
            '[tool.pdm.version]\nsource = "file"\npath = "about.py"\n',
            "about.py": '__version__ = "0.1"\n',
            "src/app.py": "VALUE = 1\n",
        },
        APP,
        {**COMMON, "the version in the file": swap("about.py", '"0.1"', '"0.2"')},
    ),
    Project(
        "poetry's own table",
        {
            TOML: '[tool.poetry]\nname = "app"\nversion = "0.1"\ndescription = "It."\nauthors = []\npackages = [{ include = "app.py" }]\n\n'
            '[tool.poetry.dependencies]\npython = "^3.8"\nalpha = "<2"\n\n'
            '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n',
            **MODULE,
        },
        APP,
        {
            "another requirement": swap(TOML, 'alpha = "<2"', 'alpha = "<2"\ndelta = "*"'),
            "another range of a requirement": swap(TOML, 'alpha = "<2"', 'alpha = "~1.0"'),
            "a Python that there is not": swap(TOML, "^3.8", "^4.0"),
            "a script": swap(TOML, "\n\n[build", '\n\n[tool.poetry.scripts]\nhello = "app:main"\n\n[build'),
            "a range that cannot be read": swap(TOML, '"^3.8"', '"^three"'),
        },
    ),
    Project(
        "uv_build",
        {
            TOML: STATIC + '[build-system]\nrequires = ["uv-build"]\nbuild-backend = "uv_build"\n',
            "src/app/__init__.py": "VALUE = 1\n",
        },
        APP,
        COMMON,
    ),
    Project(
        "setup.py that reads requirements in a loop",
        {
            "setup.py": "import os\nfrom setuptools import setup\n\nHERE = os.path.dirname(os.path.abspath(__file__))\n"
            "needs = []\nfor name in ('base', 'more'):\n"
            "    with open(os.path.join(HERE, 'requirements', name + '.txt')) as lines:\n"
            "        needs += [line.strip() for line in lines if line.strip()]\n\n"
            "setup(name='app', version='0.1', py_modules=['app'], install_requires=needs, python_requires='>=3.8')\n",
            "requirements/base.txt": "alpha<2\n",
            "requirements/more.txt": "",
            **MODULE,
        },
        APP,
        {
            "another line in a file that is read": add("requirements/more.txt", "delta\n"),
            "another range in a file that is read": swap("requirements/base.txt", "<2", "<1.5"),
            "a file that is read is gone": drop("requirements/more.txt"),
        },
    ),
    Project(
        "setup.py that reads a variable",
        {
            "setup.py": "import os\nfrom setuptools import setup\n\nversion = os.environ.get('APP_VERSION') or '0.1'\n"
            "setup(name='app', version=version, py_modules=['app'], install_requires=['alpha<2'], python_requires='>=3.8')\n",
            **MODULE,
        },
        APP,
        {"another variable": swap("setup.py", "APP_VERSION", "APP_OTHER")},
    ),
    Project(
        "setup.cfg with file: and attr:",
        {
            TOML: SETUPTOOLS,
            "setup.cfg": "[metadata]\nname = app\nversion = attr: app.__version__\n\n"
            "[options]\npy_modules = app\npython_requires = >=3.8\ninstall_requires = file: deps.txt\n",
            "deps.txt": "alpha<2\n",
            "app.py": '__version__ = "0.1"\nVALUE = 1\n',
        },
        APP,
        {
            "another line in the file": add("deps.txt", "delta\n"),
            "the version in the module": swap("app.py", '"0.1"', '"0.2"'),
            "another requirement in setup.cfg": swap("setup.cfg", "file: deps.txt", "delta"),
        },
    ),
    Project(
        "setuptools, dynamic version and requirements",
        {
            TOML: HEAD.replace('version = "0.1"\n', 'dynamic = ["version", "dependencies"]\n')
            + "\n[tool.setuptools]\npackages = ['app']\n\n[tool.setuptools.dynamic]\n"
            + 'version = { attr = "app.about.VERSION" }\ndependencies = { file = ["needs.txt"] }\n\n'
            + SETUPTOOLS,
            "app/__init__.py": "VALUE = 1\n",
            "app/about.py": 'VERSION = "0.1"\n',
            "needs.txt": "alpha<2\n",
        },
        APP,
        {
            "the version in the module": swap("app/about.py", '"0.1"', '"0.2"'),
            "another line in the file": add("needs.txt", "delta\n"),
        },
    ),
    Project(
        "hatch-vcs",
        {
            TOML: STATIC.replace('version = "0.1"\n', 'dynamic = ["version"]\n')
            + '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n\n'
            '[tool.hatch.version]\nsource = "vcs"\n[tool.hatch.build.hooks.vcs]\nversion-file = "src/app/_version.py"\n',
            "src/app/__init__.py": "from app._version import __version__ as VALUE\n",
        },
        APP,
        {**COMMON, "another tag": tagged("0.2")},
        tag="0.1",
        backend="uv",
    ),
    Project(
        "C extension",
        {
            TOML: SETUPTOOLS,
            "setup.py": "from setuptools import Extension, setup\n"
            "setup(name='app', version='0.1', python_requires='>=3.8', install_requires=['alpha<2'],\n"
            "      ext_modules=[Extension('app', ['app.c'])], py_modules=[])\n",
            "app.c": '#include <Python.h>\n#include "app.h"\n'
            'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "app", "", -1, NULL};\n'
            "PyMODINIT_FUNC PyInit_app(void) {\n    PyObject *made = PyModule_Create(&module);\n"
            '    PyModule_AddIntConstant(made, "VALUE", NUMBER);\n    return made;\n}\n',
            "app.h": "#define NUMBER 1\n",
        },
        APP,
        {
            "another requirement": swap("setup.py", "['alpha<2']", "['alpha<2', 'delta']"),
            "another source in C": swap("app.c", '"VALUE", NUMBER', '"VALUE", 2'),
            "another header": swap("app.h", "NUMBER 1", "NUMBER 3"),
        },
        backend="uv",
        needs_compiler=True,
    ),
    Project(
        "C extension, named in pyproject.toml",
        {
            TOML: STATIC
            + SETUPTOOLS
            + '\n[tool.setuptools]\npackages = []\next-modules = [{ name = "app", sources = ["app.c"] }]\n',
            "app.c": '#include <Python.h>\nstatic struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "app", "", -1, NULL};\n'
            "PyMODINIT_FUNC PyInit_app(void) {\n    PyObject *made = PyModule_Create(&module);\n"
            '    PyModule_AddIntConstant(made, "VALUE", 1);\n    return made;\n}\n',
        },
        APP,
        {**COMMON, "another source in C": swap("app.c", '"VALUE", 1', '"VALUE", 2')},
        backend="uv",
        needs_compiler=True,
    ),
    Project(
        "hatchling finds the package",
        {TOML: STATIC + HATCHLING, "app/__init__.py": "VALUE = 1\n"},
        APP,
        {
            **COMMON,
            "the package moves into src": move_into("src", "app/__init__.py", "VALUE = 2\n"),
            # A build backend refuses that, and an installer's cache does not know it.
            "the package is renamed": move("app", "other"),
        },
        backend="uv",
    ),
    Project(
        "flit finds the module",
        {TOML: STATIC + FLIT, **MODULE},
        APP,
        {
            **COMMON,
            "the module moves into src": move_into("src", "app.py", '"""It."""\nVALUE = 2\n'),
            "the module is in two places": put("src/app.py", '"""It."""\nVALUE = 2\n'),
        },
        backend="uv",
    ),
    Project(
        "hatch-requirements-txt",
        {
            TOML: HEAD
            + 'dynamic = ["dependencies"]\n\n'
            + HATCHLING.replace('"]', '", "hatch-requirements-txt"]')
            + '\n[tool.hatch.metadata.hooks.requirements_txt]\nfiles = ["needs/base.txt"]\n'
            '[tool.hatch.build]\ninclude = ["app.py"]\n',
            "needs/base.txt": "alpha<2\n",
            **MODULE,
        },
        APP,
        {"another line in the file": add("needs/base.txt", "delta\n")},
        backend="uv",
    ),
    Project(
        "pdm, version from a function",
        {
            TOML: STATIC.replace('version = "0.1"\n', 'dynamic = ["version"]\n')
            + '[build-system]\nrequires = ["pdm-backend"]\nbuild-backend = "pdm.backend"\n'
            '[tool.pdm.version]\nsource = "call"\ngetter = "told:version"\n',
            "told.py": "def version():\n    return '0.1'\n",
            "src/app.py": "VALUE = 1\n",
        },
        APP,
        {**COMMON, "another answer": swap("told.py", "0.1", "0.2")},
        backend="uv",
    ),
    Project(
        "an unknown build backend",
        {
            TOML: STATIC.replace('version = "0.1"\n', 'dynamic = ["version"]\n')
            + '[build-system]\nrequires = ["oddbackend", "flit-core"]\nbuild-backend = "oddbackend"\n',
            "Cargo.toml": "0.1\n",
            **MODULE,
        },
        APP,
        {"the file that it reads": put("Cargo.toml", "0.2\n")},
        backend="uv",
    ),
    Project(
        "setup_requires asks for a version from tags",
        {
            "setup.py": "from setuptools import setup\nsetup(name='app', use_scm_version=True, setup_requires=['setuptools_scm'],\n"
            "      py_modules=['app'], install_requires=['alpha<2'], python_requires='>=3.8')\n",
            **MODULE,
        },
        APP,
        {"another tag": tagged("0.2")},
        tag="0.1",
        backend="uv",
    ),
    Project(
        "setup.py that asks git",
        {
            "setup.py": "import subprocess\nfrom setuptools import setup\n"
            "tag = subprocess.check_output(['git', 'describe', '--tags', '--abbrev=0']).decode().strip()\n"
            "setup(name='app', version=tag, py_modules=['app'], install_requires=['alpha<2'], python_requires='>=3.8')\n",
            **MODULE,
        },
        APP,
        {"another tag": tagged("0.2")},
        tag="0.1",
    ),
    Project(
        "a version from .git_archival.txt",
        {
            TOML: STATIC.replace('version = "0.1"\n', 'dynamic = ["version"]\n')
            + '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n\n'
            '[tool.hatch.version]\nsource = "vcs"\n[tool.hatch.build.targets.wheel]\ninclude = ["app.py"]\n',
            ".git_archival.txt": f"node: {'a' * 40}\nnode-date: 2026-01-02T03:04:05Z\ndescribe-name: 0.1\n",
            **MODULE,
        },
        APP,
        {"another archive": swap(".git_archival.txt", "name: 0.1", "name: 0.2")},
    ),
    Project(
        "setuptools lists packages",
        {
            TOML: STATIC
            + SETUPTOOLS
            + '\n[tool.setuptools]\npackages = ["app", "other"]\npackage-dir = { other = "lib/deep/other" }\n',
            "app/__init__.py": "VALUE = 1\n",
            "lib/deep/other/__init__.py": "",
        },
        APP,
        {"a package is gone": lambda root, _place: shutil.rmtree(root / "lib", ignore_errors=True)},
        backend="uv",
    ),
    Project(
        "a hook that generates a source",
        {
            TOML: STATIC + HATCHLING + '\n[tool.hatch.build.targets.wheel]\npackages = ["src/app"]\n'
            "[tool.hatch.build.targets.wheel.hooks.custom]\n",
            "hatch_build.py": "import os\nfrom hatchling.builders.hooks.plugin.interface import BuildHookInterface\n\n"
            "class Hook(BuildHookInterface):\n    def initialize(self, version, build_data):\n"
            "        with open(os.path.join(self.root, 'value.txt')) as file:\n            value = file.read().strip()\n"
            "        with open(os.path.join(self.root, 'src', 'app', '_made.py'), 'w') as file:\n"
            "            file.write('VALUE = ' + value + '\\n')\n",
            "value.txt": "1\n",
            "src/app/__init__.py": "from app._made import VALUE\n",
        },
        APP,
        {**COMMON, "the hook": swap("hatch_build.py", "'VALUE = ' + value", "'VALUE = 10 + ' + value")},
        backend="uv",
    ),
    Project(
        "setuptools finds packages",
        {
            TOML: STATIC
            + SETUPTOOLS
            + '\n[tool.setuptools.packages.find]\nwhere = ["."]\ninclude = ["app*", "added*"]\n',
            "app/__init__.py": "VALUE = 1\n",
            "docs/index.txt": "",
        },
        APP,
        {
            **COMMON,
            "another package": put("added/__init__.py", "VALUE = 2\n"),
            "another package without __init__.py": put("added/module.py", "VALUE = 2\n"),
        },
        probe="import app, importlib.util; print(app.VALUE, importlib.util.find_spec('added') is not None)",
        backend="uv",
    ),
    Project(
        "extras",
        {
            TOML: STATIC
            + '[project.optional-dependencies]\nmore = ["delta"]\nmost = ["epsilon"]\n\n'
            + FLIT
            + '\n[tool.protoprimer]\ninstall = [{ projects = [{ path = ".", editable = true, extras = ["more"] }] }]\n',
            **MODULE,
        },
        {**APP, "delta": "1.0"},
        {
            "another extra is asked for": swap(TOML, 'extras = ["more"]', 'extras = ["more", "most"]'),
            "another requirement of the extra": swap(TOML, '["delta"]', '["delta", "gamma[more]"]'),
            "an extra that there is not": swap(TOML, 'extras = ["more"]', 'extras = ["nosuch"]'),
        },
    ),
    Project(
        "groups",
        {
            TOML: STATIC
            + FLIT
            + '\n[dependency-groups]\ntest = ["delta"]\ndev = ["epsilon", { include-group = "test" }]\n',
            **MODULE,
        },
        {**APP, "delta": "1.0", "epsilon": "1.0"},
        {
            "another requirement of a group that is included": swap(TOML, '["delta"]', '["delta", "gamma"]'),
            "a group that is not asked for": add(TOML, 'docs = ["gamma"]\n'),
            "a group that includes what there is not": swap(TOML, 'include-group = "test"', 'include-group = "nosuch"'),
        },
    ),
    Project(
        "requirements that name others",
        {
            "requirements.txt": "-r more/base.txt\n-c limits.txt\n",
            "more/base.txt": "beta\n-r extra.txt\n",
            "more/extra.txt": "delta\n",
            "limits.txt": "alpha<2\nbeta<1.1\n",
        },
        {"alpha": "1.5", "beta": "1.0", "delta": "1.0"},
        {
            "another constraint": swap("limits.txt", "alpha<2", "alpha<1.5"),
            "another line of a nested file": add("more/extra.txt", "epsilon\n"),
            "a nested file is gone": drop("more/extra.txt"),
        },
        probe="import beta; print(beta.VERSION)",
    ),
    Project(
        "requirements with hashes",
        {
            "requirements.txt": "alpha==1.5 --hash=sha256:@SHA:alpha-1.5-py3-none-any.whl@\n"
            "delta==1.0 \\\n    --hash=sha256:@SHA:delta-1.0-py3-none-any.whl@\n"
        },
        {"alpha": "1.5", "delta": "1.0"},
        {
            "another version": swap(
                "requirements.txt",
                "alpha==1.5 --hash=sha256:@SHA:alpha-1.5-py3-none-any.whl@",
                "alpha==1.0 --hash=sha256:@SHA:alpha-1.0-py3-none-any.whl@",
            ),
            "a wrong hash": swap("requirements.txt", "@SHA:delta-1.0-py3-none-any.whl@", "0" * 64),
            "a line without a hash": add("requirements.txt", "epsilon\n"),
        },
        probe="import alpha; print(alpha.VERSION)",
    ),
    Project(
        "hashed requirements and an editable project in one step",
        {
            TOML: HEAD
            + "\n"
            + FLIT
            + '\n[tool.protoprimer]\ninstall = [{ projects = ["."], requirements = ["pins.txt"] }]\n',
            "pins.txt": "alpha==1.5 --hash=sha256:@SHA:alpha-1.5-py3-none-any.whl@\n",
            **MODULE,
        },
        APP,
        {
            "another pin": swap(
                "pins.txt",
                "alpha==1.5 --hash=sha256:@SHA:alpha-1.5-py3-none-any.whl@",
                "alpha==1.0 --hash=sha256:@SHA:alpha-1.0-py3-none-any.whl@",
            )
        },
    ),
    Project(
        "args",
        {"protoprimer.toml": 'install = [{ args = ["alpha<2"] }, { args = ["delta", "--no-deps"] }]\n'},
        {"alpha": "1.5", "delta": "1.0"},
        {
            "another argument": swap("protoprimer.toml", '"delta"', '"delta", "epsilon"'),
            "another range": swap("protoprimer.toml", "alpha<2", "alpha<1.5"),
        },
        probe="import alpha; print(alpha.VERSION)",
    ),
    Project(
        "workspace with a root",
        {
            TOML: HEAD
            + 'dependencies = ["inner"]\n\n'
            + FLIT
            + '\n[tool.uv.workspace]\nmembers = ["packages/*"]\n\n[tool.uv.sources]\ninner = { workspace = true }\n',
            **MODULE,
            "packages/inner/pyproject.toml": member("inner", '"alpha<2"'),
            "packages/inner/inner.py": "VALUE = 5\n",
        },
        {**APP, "inner": "5 editable"},
        {
            "another requirement of a member": swap("packages/inner/pyproject.toml", '"alpha<2"', '"alpha<2", "delta"'),
            "a script of a member": swap(
                "packages/inner/pyproject.toml", "\n\n[", '\n[project.scripts]\nhi = "inner:main"\n\n['
            ),
            "another Python of a member": swap("packages/inner/pyproject.toml", ">=3.8", ">=4.0"),
            "a syntax error in a member": swap("packages/inner/pyproject.toml", "[project]", "[project"),
            "the member is moved": move("packages/inner", "packages/renamed"),
            "the member is moved out of the workspace": move("packages/inner", "elsewhere"),
        },
        probe="import app, inner; print(app.VALUE, inner.VALUE)",
        backend="uv",
        # Outside git, uv takes a directory that has nothing but `__pycache__` for a member without metadata.
        tag="1",
    ),
    Project(
        "workspace without a root project",
        {
            TOML: '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "packages/inner/pyproject.toml": member("inner", '"alpha<2"'),
            "packages/inner/inner.py": "VALUE = 5\n",
            "packages/app/pyproject.toml": member(
                "app", '"inner"', "\n[tool.uv.sources]\ninner = { workspace = true }\n"
            ),
            "packages/app/app.py": "VALUE = 1\n",
        },
        {"app": "5 editable", "inner": "5 editable", "alpha": "1.5"},
        {
            "another requirement of a member": swap("packages/inner/pyproject.toml", '"alpha<2"', '"alpha<2", "delta"'),
            "another member": put(
                "packages/third/pyproject.toml",
                '[project]\nname = "third"\nversion = "5"\nrequires-python = ">=3.8"\ndependencies = ["delta"]\n',
            ),
            "the member is moved": move("packages/inner", "packages/renamed"),
            # Another member's code lies where it lay: what is known of one is not known of the other.
            "the code of one member moves into src": move_into(
                "packages/app/src", "packages/app/app.py", '"""It."""\nVALUE = 2\n'
            ),
        },
        probe="import app, inner; print(app.VALUE, inner.VALUE)",
    ),
    Project(
        "source in a directory",
        {
            TOML: HEAD
            + 'dependencies = ["inner"]\n\n'
            + FLIT
            + '\n[tool.uv.sources]\ninner = { path = "libs/inner", editable = true }\n',
            **MODULE,
            "libs/inner/pyproject.toml": member("inner", '"alpha<2"'),
            "libs/inner/inner.py": "VALUE = 5\n",
        },
        {**APP, "inner": "5 editable"},
        {
            "another requirement there": swap("libs/inner/pyproject.toml", '"alpha<2"', '"alpha<2", "delta"'),
            "another version there": swap("libs/inner/pyproject.toml", '"5"', '"6"'),
            "the directory is gone": move("libs/inner", "libs/renamed"),
        },
        probe="import app, inner; print(app.VALUE, inner.VALUE)",
    ),
    Project(
        "hatchling leads to a directory",
        {
            TOML: HEAD
            + 'dependencies = ["alpha<2", "inner @ {root:uri}/libs/inner"]\n\n'
            + HATCHLING
            + "\n[tool.hatch.metadata]\nallow-direct-references = true\n"
            '[tool.hatch.build.targets.wheel]\ninclude = ["app.py"]\n',
            **MODULE,
            "libs/inner/pyproject.toml": member("inner", ""),
            "libs/inner/inner.py": "VALUE = 5\n",
        },
        {**APP, "inner": "5"},
        {"another source there": put("libs/inner/inner.py", "VALUE = 6\n")},
        probe="import inner; print(inner.VALUE)",
        backend="uv",
    ),
    Project(
        "poetry leads to a directory",
        {
            TOML: '[tool.poetry]\nname = "app"\nversion = "0.1"\ndescription = ""\nauthors = []\n\n'
            '[tool.poetry.dependencies]\npython = ">=3.8"\nalpha = "<2"\ninner = { path = "libs/inner" }\n\n'
            '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n',
            **MODULE,
            "libs/inner/pyproject.toml": member("inner", ""),
            "libs/inner/inner.py": "VALUE = 5\n",
        },
        {**APP, "inner": "5"},
        {"another source there": put("libs/inner/inner.py", "VALUE = 6\n")},
        probe="import inner; print(inner.VALUE)",
        backend="uv",
    ),
    Project(
        "source in a directory, not editable",
        {
            TOML: HEAD
            + 'dependencies = ["inner"]\n\n'
            + FLIT
            + '\n[tool.uv.sources]\ninner = { path = "libs/inner" }\n',
            **MODULE,
            "libs/inner/pyproject.toml": member("inner", '"alpha<2"'),
            "libs/inner/inner.py": "VALUE = 5\n",
        },
        {**APP, "inner": "5"},
        {"another content there": swap("libs/inner/inner.py", "VALUE = 5", "VALUE = 6")},
        probe="import app, inner; print(app.VALUE, inner.VALUE)",
    ),
    Project(
        "source in git",
        {
            TOML: HEAD
            + 'dependencies = ["fromgit", "below", "alpha<2"]\n\n'
            + FLIT
            + '\n[tool.uv.sources]\nfromgit = { git = "@GIT@", tag = "v1" }\n'
            + 'below = { git = "@GIT@", subdirectory = "below", branch = "main" }\n',
            **MODULE,
        },
        {**APP, "fromgit": "1.0", "below": "7"},
        {"another tag": swap(TOML, 'tag = "v1"', 'tag = "v2"'), "a tag that there is not": swap(TOML, '"v1"', '"v9"')},
        probe="import app, fromgit, below; print(app.VALUE, below.VALUE)",
    ),
    Project(
        "source in an index",
        {
            TOML: HEAD
            + 'dependencies = ["alpha", "delta"]\n\n'
            + FLIT
            + '\n[tool.uv.sources]\nalpha = { index = "other" }\n\n[[tool.uv.index]]\nname = "other"\nurl = "@OTHER@"\nexplicit = true\n',
            **MODULE,
        },
        {"app": "0.1 editable", "alpha": "1.7", "delta": "1.0"},
        {"no source any more": swap(TOML, 'alpha = { index = "other" }\n', "")},
        backend="uv",
    ),
    Project(
        "sources with markers",
        {
            TOML: HEAD
            + 'dependencies = ["inner", "nosuch; python_version < \'3\'"]\n\n'
            + FLIT
            + "\n[tool.uv.sources]\ninner = [\n"
            + '    { path = "libs/none", marker = "sys_platform == \'nowhere\'" },\n'
            + '    { path = "libs/inner", editable = true, marker = "sys_platform != \'nowhere\'" },\n]\n',
            **MODULE,
            "libs/inner/pyproject.toml": member("inner", '"alpha<2"'),
            "libs/inner/inner.py": "VALUE = 5\n",
        },
        {**APP, "inner": "5 editable"},
        {
            "the other marker holds": swap(TOML, "sys_platform != 'nowhere'", "sys_platform == 'elsewhere'"),
            "another requirement there": swap("libs/inner/pyproject.toml", '"alpha<2"', '"alpha<2", "delta"'),
        },
    ),
    Project(
        "source is a wheel in the repository",
        {
            TOML: HEAD
            + 'dependencies = ["vendored", "alpha<2"]\n\n'
            + FLIT
            + '\n[tool.uv.sources]\nvendored = { path = "wheels/vendored-3-py3-none-any.whl" }\n',
            **MODULE,
        },
        {**APP, "vendored": "3"},
        {"the wheel is built anew": rebuilt("wheels/vendored-3-py3-none-any.whl", "3", 8)},
        probe="import vendored; print(vendored.VALUE)",
        wheels={"wheels/vendored-3-py3-none-any.whl": wheel("vendored", "3", 7)},
        backend="uv",
    ),
    Project(
        "no build-system, and a source",
        {
            TOML: HEAD + 'dependencies = ["inner"]\n\n'
            '[tool.uv.sources]\ninner = { path = "libs/inner", editable = true }\n',
            "libs/inner/pyproject.toml": member("inner", '"alpha<2"'),
            "libs/inner/inner.py": "VALUE = 5\n",
        },
        {"alpha": "1.5", "inner": "5 editable"},
        {"another requirement there": swap("libs/inner/pyproject.toml", '"alpha<2"', '"alpha<2", "delta"')},
        probe="import inner; print(inner.VALUE)",
        backend="uv",
    ),
    Project(
        "setup(**kwargs)",
        {
            "setup.py": "from setuptools import setup\n\nkwargs = {'name': 'app', 'version': '0.1', 'py_modules': ['app']}\n"
            "kwargs['install_requires'] = ['alpha<2']\nkwargs['python_requires'] = '>=3.8'\nsetup(**kwargs)\n",
            **MODULE,
        },
        APP,
        {"another requirement": swap("setup.py", "'alpha<2'", "'alpha<2', 'delta'")},
    ),
    Project(
        "pylock.toml",
        {TOML: STATIC + FLIT, **MODULE, "pylock.toml": _locked("alpha-1.0")},
        {**APP, "alpha": "1.0"},
        {
            "another pin": put("pylock.toml", _locked("alpha-1.5")),
            "a pin for elsewhere": put(
                "pylock.toml", _locked("alpha-1.0", more="marker = \"sys_platform == 'nowhere'\"\n")
            ),
            "the lock is gone": drop("pylock.toml"),
            "the lock is damaged": put("pylock.toml", "lock-version = "),
        },
    ),
    Project(
        "pylock.toml that names a directory",
        {
            TOML: STATIC + FLIT,
            **MODULE,
            "pylock.toml": _locked("alpha-1.0")
            + '\n[[packages]]\nname = "inner"\nversion = "5"\ndirectory = { path = "libs/inner" }\n',
            "libs/inner/pyproject.toml": member("inner", ""),
            "libs/inner/inner.py": "VALUE = 5\n",
        },
        {**APP, "alpha": "1.0", "inner": "5"},
        {"another source there": put("libs/inner/inner.py", "VALUE = 6\n")},
        probe="import inner; print(inner.VALUE)",
        backend="uv",
    ),
    Project(
        "uv.lock",
        {
            TOML: STATIC + FLIT,
            **MODULE,
            "uv.lock": _uv_locked(("alpha-1.5",), _uv_locked_project()),
        },
        APP,
        {
            "another requirement": ANOTHER_REQUIREMENT,
            "a script": COMMON["a script"],
            "another pin": put("uv.lock", _uv_locked(("alpha-1.0",), _uv_locked_project())),
            "the lock is damaged": put("uv.lock", "version = "),
        },
        backend="uv",
    ),
    Project(
        "uv.lock of a workspace",
        {
            TOML: HEAD
            + 'dependencies = ["inner"]\n\n'
            + FLIT
            + '\n[tool.uv.workspace]\nmembers = ["packages/*"]\n\n[tool.uv.sources]\ninner = { workspace = true }\n',
            **MODULE,
            "packages/inner/pyproject.toml": member("inner", '"alpha<2"'),
            "packages/inner/inner.py": "VALUE = 5\n",
            "uv.lock": 'version = 1\nrevision = 3\nrequires-python = ">=3.8"\n\n'
            '[manifest]\nmembers = ["app", "inner"]\n'
            + _uv_locked(("alpha-1.5",)).partition('">=3.8"\n')[2]
            + '\n[[package]]\nname = "app"\nversion = "0.1"\nsource = { editable = "." }\n'
            'dependencies = [{ name = "inner" }]\n'
            '\n[package.metadata]\nrequires-dist = [{ name = "inner", editable = "packages/inner" }]\n'
            '\n[[package]]\nname = "inner"\nversion = "5"\nsource = { editable = "packages/inner" }\n'
            'dependencies = [{ name = "alpha" }]\n'
            '\n[package.metadata]\nrequires-dist = [{ name = "alpha", specifier = "<2" }]\n',
        },
        {**APP, "inner": "5 editable"},
        {
            "another requirement of a member": swap("packages/inner/pyproject.toml", '"alpha<2"', '"alpha<2", "delta"'),
            "a script of a member": swap(
                "packages/inner/pyproject.toml", "\n\n[", '\n[project.scripts]\nhi = "inner:VALUE"\n\n['
            ),
            "another Python of a member": swap("packages/inner/pyproject.toml", ">=3.8", ">=4.0"),
            "a syntax error in a member": swap("packages/inner/pyproject.toml", "[project]", "[project"),
            "the member is moved": move("packages/inner", "packages/renamed"),
        },
        probe="import app, inner; print(app.VALUE, inner.VALUE)",
        backend="uv",
    ),
    Project(
        "a wheel that is watched",
        {
            "protoprimer.toml": 'install = [{ args = ["./wheels/vendored-3-py3-none-any.whl"] }]\nwatch = ["wheels/*.whl"]\n'
        },
        {"vendored": "3"},
        {"the wheel is built anew": rebuilt("wheels/vendored-3-py3-none-any.whl", "3", 8)},
        probe="import vendored; print(vendored.VALUE)",
        wheels={"wheels/vendored-3-py3-none-any.whl": wheel("vendored", "3", 7)},
        backend="uv",
    ),
    Project(
        "a project that is copied",
        {
            TOML: STATIC
            + FLIT
            + '\n[tool.protoprimer]\ninstall = [{ projects = [{ path = ".", editable = false }] }]\n',
            **MODULE,
        },
        {"app": "0.1", "alpha": "1.5"},
        {**COMMON, "its source": swap("app.py", "VALUE = 1", "VALUE = 2")},
    ),
    Project(
        "a copied package with a part named build",
        {
            TOML: STATIC
            + FLIT
            + '\n[tool.protoprimer]\ninstall = [{ projects = [{ path = ".", editable = false }] }]\n',
            "src/app/__init__.py": "from app.build import VALUE\n",
            "src/app/build/__init__.py": "VALUE = 1\n",
        },
        {"app": "0.1", "alpha": "1.5"},
        {"its source": swap("src/app/build/__init__.py", "VALUE = 1", "VALUE = 2")},
    ),
    Project(
        "a Python version of its own",
        {TOML: STATIC + FLIT, **MODULE, ".python-version": "3.11\n"},
        APP,
        {
            "another version": put(".python-version", "3.12\n"),
            "a version that there is not": put(".python-version", "3.99\n"),
            "the file is gone": drop(".python-version"),
        },
        backend="uv",
    ),
    Project(
        "constraints that uv's variable names",
        {TOML: STATIC + FLIT, **MODULE, "limits.txt": "alpha<1.7\n"},
        APP,
        {"another constraint": swap("limits.txt", "<1.7", "<1.2")},
        variables={"UV_CONSTRAINT": "@ROOT@/limits.txt"},
        backend="uv",
    ),
    Project(
        "constraints that pip's variable names",
        {TOML: STATIC + FLIT, **MODULE, "limits.txt": "alpha<1.7\n"},
        APP,
        {"another constraint": swap("limits.txt", "<1.7", "<1.2")},
        variables={"PIP_CONSTRAINT": "@ROOT@/limits.txt"},
    ),
    Project(
        "cache-keys",
        {
            TOML: STATIC.replace('version = "0.1"\n', 'dynamic = ["version"]\n')
            + HATCHLING
            + '\n[tool.hatch.version]\nsource = "code"\npath = "made.py"\n[tool.hatch.build]\ninclude = ["app.py"]\n'
            '\n[tool.uv]\ncache-keys = [{ file = "pyproject.toml" }, { file = "VERSION.txt" }]\n',
            "made.py": "import os\n\n__version__ = open(os.path.join(os.path.dirname(__file__), 'VERSION.txt')).read().strip()\n",
            "VERSION.txt": "0.1\n",
            **MODULE,
        },
        APP,
        {**COMMON, "the file that is named": put("VERSION.txt", "0.2\n")},
        backend="uv",
    ),
    Project(
        "constraints and overrides of uv",
        {
            TOML: HEAD
            + 'dependencies = ["beta", "alpha"]\n\n'
            + FLIT
            + '\n[tool.uv]\nconstraint-dependencies = ["beta<1.1"]\noverride-dependencies = ["alpha==1.0"]\n',
            **MODULE,
        },
        {"app": "0.1 editable", "beta": "1.0", "alpha": "1.0"},
        {
            "another constraint": swap(TOML, '"beta<1.1"', '"beta"'),
            "another override": swap(TOML, '"alpha==1.0"', '"alpha==1.5"'),
        },
        backend="uv",
    ),
    Project(
        "prereleases",
        {TOML: HEAD + 'dependencies = ["alpha"]\n\n' + FLIT + '\n[tool.uv]\nprerelease = "allow"\n', **MODULE},
        {"app": "0.1 editable", "alpha": "3.0rc1"},
        {"no prereleases any more": swap(TOML, '"allow"', '"disallow"')},
        backend="uv",
    ),
    Project(
        "a root uv.toml appears",
        {TOML: HEAD + 'dependencies = ["alpha"]\n\n' + FLIT, **MODULE},
        {"app": "0.1 editable", "alpha": "2.0"},
        {
            "with a constraint": put("uv.toml", 'constraint-dependencies = ["alpha<1.2"]\n'),
            "with another index": put("uv.toml", '[[index]]\nname = "other"\nurl = "@OTHER@"\n'),
        },
        backend="uv",
    ),
    Project(
        "nothing but a module",
        {"app.py": "VALUE = 1\n"},
        {},
        {
            "requirements appear": put("requirements.txt", "delta\n"),
            "a project appears": put(TOML, STATIC + FLIT),
        },
        probe="",
    ),
    Project(
        "a plug-in's step before the rest",
        {
            TOML: STATIC
            + FLIT
            + '\n[tool.protoprimer]\ninstall = [{ requirements = ["first.txt"] }, { projects = ["."] }]\n',
            "first.txt": "delta\n",
            **MODULE,
        },
        {**APP, "delta": "1.0"},
        {**COMMON, "another line of the first step": add("first.txt", "epsilon\n")},
    ),
]

BY_NAME = {project.name: project for project in PROJECTS}
