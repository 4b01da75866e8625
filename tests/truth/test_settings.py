"""No setting is dropped, whichever backend works; ranges are read, or said not to be; looking changes and fetches nothing."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones
import simple_index
import support
from samples import WITH_PIP, WITH_UV
from truth.oracle import Place, booted, distributions_of
from truth.projects import APP, BY_NAME, FLIT, HEAD, MODULE, STATIC, TOML, Project, swap

if TYPE_CHECKING:
    pass

pytestmark = [
    pytest.mark.index,
    pytest.mark.skipif(os.name != "posix", reason="the place is laid out for POSIX"),
    pytest.mark.usefixtures("index_as_it_was"),
]


def asking(requirement: str, more: str = "") -> Project:
    """Return a project that has one requirement and some settings."""
    text = HEAD + f'dependencies = ["{requirement}"]\n\n' + FLIT + more
    return Project("asking", {TOML: text, **MODULE}, {}, {})


def sdist(name: str, version: str, setup: str) -> bytes:
    """Return the archive of a source distribution."""
    buffer = io.BytesIO()
    information = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in {"setup.py": setup, "PKG-INFO": information}.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def traps(place: Place, tmp_path: Path) -> Path:
    """Serve a package that is only a source, and return the file that its setup.py writes."""
    sprung = tmp_path / "sprung"
    setup = f"open({str(sprung)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='trap', version='1')\n"
    place.index.files["trap-1.tar.gz"] = sdist("trap", "1", setup)
    return sprung


POLICIES = {
    "PIP_ONLY_BINARY": ({"PIP_ONLY_BINARY": ":all:"}, ""),
    "UV_NO_BUILD": ({"UV_NO_BUILD": "1"}, ""),
    "no-build": ({}, "\n[tool.uv]\nno-build-package = ['trap']\n"),
    "no-build of uv's pip": ({}, "\n[tool.uv.pip]\nonly-binary = ['trap']\n"),
}


# What is pip's is tried with uv, and what is uv's with pip.
@pytest.mark.parametrize(
    ("policy", "installer"),
    [
        pytest.param(
            policy, installer, id=f"{policy}-{installer}", marks=[pytest.mark.thorough] * (installer == native)
        )
        for policy, native in zip(POLICIES, ["venv", "uv", "uv", "uv"])
        for installer in ("uv", "venv")
    ],
)
def test_no_source_is_built_where_that_is_forbidden(place: Place, traps: Path, policy: str, installer: str) -> None:
    variables, more = POLICIES[policy]
    clone = place.clone(asking("trap", more))
    clone.environ.update(variables)
    done = clone.prime("--backend", installer, status=None)
    assert not traps.exists()
    assert done.status in {3, 5, 6}
    assert "Traceback" not in done.errors


def test_the_trap_springs_where_nothing_forbids_it(place: Place, traps: Path) -> None:
    clone = place.clone(asking("trap"))
    clone.prime("--backend", "venv")
    assert traps.exists()


@pytest.mark.parametrize("installer", WITH_PIP)
def test_no_wheel_is_taken_where_that_is_forbidden(place: Place, traps: Path, installer: str) -> None:
    place.index.add("trap", "1")
    try:
        clone = place.clone(asking("trap", "\n[tool.uv]\nno-binary-package = ['trap']\n"))
        done = clone.prime("--backend", installer, status=None)
        assert traps.exists() or (done.status == 5 and "no-binary" in done.errors)
    finally:
        del place.index.files["trap-1-py3-none-any.whl"]


@pytest.mark.parametrize("installer", WITH_UV)
def test_hashes_that_are_required_are_required(place: Place, installer: str) -> None:
    project = BY_NAME["requirements that name others"]
    clone = place.clone(project)
    clone.environ["PIP_REQUIRE_HASHES"] = "1"
    done = clone.prime("--backend", installer, status=None)
    assert done.status in {3, 5, 6}
    assert "hash" in done.errors


@pytest.mark.parametrize("installer", WITH_PIP)
@pytest.mark.parametrize("span", ["7 days", "2026-01-01", "P7D", "2026-01-01T00:00:00Z"])
def test_exclude_newer_is_heeded_or_refused_in_each_of_its_forms(place: Place, span: str, installer: str) -> None:
    """The index does not say when a file was uploaded: whoever heeds the setting finds nothing, or says so."""
    clone = place.clone(asking("alpha", f"\n[tool.uv]\nexclude-newer = '{span}'\n"))
    done = clone.prime("--backend", installer, status=None)
    assert "Invalid isoformat" not in done.errors
    assert "invalid --uploaded-prior-to" not in done.errors.lower()
    assert done.status in {5, 6}
    assert "exclude" in done.errors.lower() or "uploaded" in done.errors.lower() or "upload-time" in done.errors.lower()


@pytest.mark.parametrize("installer", WITH_PIP)
def test_metadata_that_the_project_states_for_a_dependency_are_used_or_refused(place: Place, installer: str) -> None:
    more = "\n[[tool.uv.dependency-metadata]]\nname = 'beta'\nversion = '1.0'\nrequires-dist = []\n"
    project = asking("beta==1.0", more)
    clone = place.clone(project)
    done = clone.prime("--backend", installer, status=None)
    if done.status == 0:
        assert distributions_of(clone.root / ".venv").keys() == {"app", "beta"}
    else:
        assert done.status == 5
        assert "dependency-metadata" in done.errors


@pytest.mark.parametrize("installer", WITH_PIP)
def test_a_configuration_file_that_a_variable_names_must_be_there(place: Place, installer: str) -> None:
    clone = place.clone(asking("alpha"))
    clone.environ["UV_CONFIG_FILE"] = str(place.base / "nosuch.toml")
    asked = len(place.index.requests)
    done = clone.prime("--backend", installer, status=3)
    assert "nosuch.toml" in done.errors
    assert len(place.index.requests) == asked


@pytest.mark.parametrize("installer", WITH_UV)
@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME"])
def test_another_home_with_another_configuration_is_noticed_by_a_warm_start(
    place: Place, tmp_path: Path, variable: str, installer: str
) -> None:
    for name, index in (("one", place.index), ("two", place.other)):
        for file in (tmp_path / name / "pip" / "pip.conf", tmp_path / name / ".config" / "pip" / "pip.conf"):
            file.parent.mkdir(parents=True)
            file.write_text(f"[global]\nindex-url = {index.url}\n")
    clone = place.clone(BY_NAME["args"])
    clone.write({"protoprimer.toml": f'backend = "{installer}"\ninstall = [{{ args = ["alpha<2"] }}]\n'})
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL"):
        clone.environ.pop(name, None)
    for name, version in (("one", "1.5"), ("two", "1.7"), ("one", "1.5")):
        clone.prime(environ={variable: str(tmp_path / name)})
        assert clone.prime(environ={variable: str(tmp_path / name)}).errors == ""
        assert distributions_of(clone.root / ".venv")["alpha"]["version"] == version


@pytest.mark.parametrize("installer", WITH_UV)
def test_a_variable_in_a_requirement_file_is_noticed_by_a_warm_start_and_its_value_is_not_kept(
    place: Place, installer: str
) -> None:
    clone = place.clone(BY_NAME["args"])
    clone.write(
        {
            "protoprimer.toml": f'backend = "{installer}"\ninstall = [{{ requirements = ["needs.txt"] }}]\n',
            "needs.txt": place.fill("alpha @ @FILES@/${A_WHEEL}\n"),
        }
    )
    for version in ("1.0", "1.5", "1.0"):
        environ = {"A_WHEEL": f"alpha-{version}-py3-none-any.whl"}
        clone.prime("check", environ=environ, status=1)
        clone.prime(environ=environ)
        assert clone.prime(environ=environ).errors == ""
        assert distributions_of(clone.root / ".venv")["alpha"]["version"] == version
        kept = [clone.root / ".protoprimer" / "ready", *(clone.root / ".protoprimer" / "envs").glob("*/*.json")]
        assert [path for path in kept if environ["A_WHEEL"] in path.read_text()] == []
        assert len(kept) > 1


@pytest.mark.parametrize(
    ("variable", "project"),
    [
        ("SETUPTOOLS_SCM_PRETEND_VERSION", "hatch-vcs"),
        pytest.param(
            "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_APP",
            "setup_requires asks for a version from tags",
            marks=pytest.mark.thorough,
        ),
        pytest.param("APP_VERSION", "setup.py that reads a variable", marks=pytest.mark.thorough),
    ],
)
def test_a_variable_that_says_which_version_a_project_has_is_noticed_by_a_warm_start(
    place: Place, variable: str, project: str
) -> None:
    clone = place.clone(BY_NAME[project])
    for version in ("3.0", "4.0"):
        clone.prime("check", environ={variable: version}, status=1)
        clone.prime(environ={variable: version})
        assert distributions_of(clone.root / ".venv")["app"]["version"] == version
    clone.prime()
    assert distributions_of(clone.root / ".venv")["app"]["version"] == "0.1"


@pytest.mark.parametrize(
    ("variable", "value", "installer"),
    [
        ("UV_OVERRIDE", "lines.txt", "uv"),
        ("UV_OVERRIDE", "lines.txt", "venv"),
        ("UV_EXCLUDE", "lines.txt", "uv"),
        ("PIP_ALL_RELEASES", "alpha", "uv"),
        ("PIP_ONLY_FINAL", ":all:", "uv"),
    ],
)
def test_a_variable_that_a_backend_has_no_word_for_is_refused_by_its_name(
    place: Place, variable: str, value: str, installer: str
) -> None:
    clone = place.clone(asking("alpha"))
    clone.write({"lines.txt": "alpha==1.0\n"})
    done = clone.prime("--backend", installer, environ={variable: value}, status=5)
    assert variable.partition("_")[2].lower().replace("_", "-") in done.errors


def test_releases_that_pip_alone_may_choose_are_chosen(place: Place) -> None:
    clone = place.clone(asking("alpha"))
    clone.prime("--backend", "venv", environ={"PIP_ALL_RELEASES": "alpha"})
    assert distributions_of(clone.root / ".venv")["alpha"]["version"] == "3.0rc1"


@pytest.mark.parametrize("installer", WITH_UV)
def test_a_keyring_is_asked_for_credentials(place: Place, tmp_path: Path, installer: str) -> None:
    with simple_index.serving() as index:
        index.add("alpha", "1.0")
        index.files.update({name: data for name, data in place.index.files.items() if name.startswith("flit_core")})
        index.credentials = ("me", "of the keyring")
        index.wrong_hashes = False
        (tmp_path / "bin").mkdir()
        keyring = tmp_path / "bin" / "keyring"
        # As keyring 25 does: pip 26 asks for JSON, uv and older ones for a mere password.
        keyring.write_text(
            '#!/bin/sh\ncase "$*" in\n--mode=creds\\ --output=json\\ get\\ *\\ me)'
            """ echo '{"username": "me", "password": "of the keyring"}' ;;\n"""
            "get\\ *\\ me) echo 'of the keyring' ;;\n*) exit 1 ;;\nesac\n"
        )
        keyring.chmod(0o755)
        clone = place.clone(asking("alpha"))
        clone.environ["PATH"] += f":{tmp_path / 'bin'}"
        clone.environ["PIP_INDEX_URL"] = index.url.replace("://", "://me@")
        clone.environ["PIP_KEYRING_PROVIDER"] = "subprocess"
        done = clone.prime("--backend", installer)
        assert "of the keyring" not in done.errors


def test_a_pip_that_asks_no_keyring_is_refused_by_the_settings_name(
    place: Place, new_clone: type[clones.Clone]
) -> None:
    # The last pip for Python 3.6 is older than 23.1.
    if support.python_of("3.6") is None:
        pytest.skip("this host has no Python 3.6")
    clone = new_clone("old", support.python_of("3.6"))  # type: ignore[call-arg,arg-type]
    clone.write({"protoprimer.toml": 'backend = "venv"\ninstall = []\n'}).entry("prime", None, "boot")
    # It takes that pip into the cache.
    clone.prime()
    clone.write({"protoprimer.toml": 'backend = "venv"\ninstall = [{ args = ["alpha<2"] }]\n'})
    variables = {"PIP_INDEX_URL": place.index.url.replace("://", "://me@"), "PIP_KEYRING_PROVIDER": "subprocess"}
    done = clone.prime(environ=variables, status=5)
    assert "asks no command keyring (keyring-provider)" in done.errors
    clone.prime(environ={"PIP_INDEX_URL": place.index.url})


@pytest.mark.parametrize("installer", WITH_PIP)
def test_a_persons_certificates_go_before_the_hosts(place: Place, tmp_path: Path, installer: str) -> None:
    import ssl

    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority, stranger = trustme.CA(), trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "person.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "host.pem"))
    (tmp_path / "xdg" / "pip").mkdir(parents=True)
    (tmp_path / "xdg" / "pip" / "pip.conf").write_text(f"[global]\ncert = {tmp_path / 'host.pem'}\n")
    with simple_index.serving(context) as index:
        index.add("alpha", "1.0")
        index.wrong_hashes = False
        clone = place.clone(BY_NAME["args"])
        clone.write({"protoprimer.toml": 'install = [{ args = ["alpha"] }]\n'})
        for name in ("PIP_CONFIG_FILE", "PIP_CERT"):
            clone.environ.pop(name, None)
        variables = {"PIP_INDEX_URL": index.url, "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}
        variables["SSL_CERT_FILE"] = str(tmp_path / "person.pem")
        clone.prime("--backend", installer, environ=variables)


@pytest.mark.parametrize("installer", WITH_PIP)
def test_a_commit_in_git_is_a_source(place: Place, installer: str) -> None:
    commit = support.git("rev-parse", "v1^{commit}", where=place.base / "repository").strip()
    more = f"\n[tool.uv.sources]\nfromgit = {{ git = '@GIT@', rev = '{commit}' }}\n"
    answer = booted(place.clone(asking("fromgit", more)), asking("fromgit"), installer)
    assert answer.names() == {"app": "0.1 editable", "fromgit": "1.0"}


@pytest.mark.parametrize("installer", WITH_UV)
def test_a_source_brings_extras_and_is_held_to_its_version(place: Place, installer: str) -> None:
    files = dict(BY_NAME["source in a directory"].files)
    files[TOML] = files[TOML].replace('"inner"', '"inner[more]>=5"')
    files["libs/inner/pyproject.toml"] += "\n[project.optional-dependencies]\nmore = ['delta']\n"
    project = Project("extras of a source", files, {}, {})
    clone = place.clone(project)
    assert booted(clone, project, installer).names() == {**APP, "inner": "5 editable", "delta": "1.0"}
    swap(TOML, ">=5", ">=6")(clone.root, place)
    clone.prime("--backend", installer, status=6)


# Ranges of Python


def test_setup_py_without_build_system_installs_on_python_3_6(new_clone: type[clones.Clone]) -> None:
    if support.python_of("3.6") is None:
        pytest.skip("this host has no Python 3.6")
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='app', version='1', py_modules=['app'], python_requires='>=3.6')\n",
        "app.py": "VALUE = 1\n",
    }
    clone = new_clone("old", support.python_of("3.6")).write(files).entry("prime", None, "boot")  # type: ignore[call-arg,arg-type]
    # Its only Python; `--python` would make an environment for one run, without a link.
    clone.prime()
    asked = clone.run(".venv/bin/python", "-c", "import app, sys; print(app.VALUE, *sys.version_info[:2])")
    assert asked.output == "1 3 6\n"


def test_a_range_that_cannot_be_read_is_said_and_the_newest_python_is_taken(place: Place, tmp_path: Path) -> None:
    project = BY_NAME["setup(**kwargs)"]
    old = support.python_of("3.6") or support.wild_pythons()[0]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(old.executable)
    clone = place.clone(project)
    clone.environ["PATH"] = f"{tmp_path / 'bin'}:{clone.environ['PATH']}"
    done = clone.prime("--backend", "auto")
    assert "setup.py" in done.errors
    assert "python_requires" in done.errors or "range" in done.errors
    assert answer_python(clone) == support.wild_pythons()[-1].name


def answer_python(clone: clones.Clone) -> str:
    """Return the minor version of the environment's Python."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    return clone.run(".venv/bin/python", "-c", question).output.strip()


def test_a_range_that_contradicts_itself_is_called_that(place: Place) -> None:
    clone = place.clone(BY_NAME["setuptools"])
    swap(TOML, '">=3.8"', '">=3.10,<3.9"')(clone.root, place)
    done = clone.prime("--backend", "venv", status=None)
    assert done.status in {3, 4}
    assert "contradict" in done.errors


def test_a_range_of_poetry_that_cannot_be_read_is_a_configuration_error(place: Place) -> None:
    clone = place.clone(BY_NAME["poetry's own table"])
    swap(TOML, '"^3.8"', '"^three"')(clone.root, place)
    done = clone.prime("--backend", "venv", status=3)
    assert "^three" in done.errors
    assert "Traceback" not in done.errors


# Looking changes and fetches nothing


@pytest.mark.parametrize("words", [["check"], ["--dry-run"], ["check", "--json"]], ids=["check", "dry-run", "json"])
def test_looking_fetches_no_interpreter(place: Place, tmp_path: Path, words: list[str]) -> None:
    uv = pytest.importorskip("uv")
    record = tmp_path / "record"
    wrapper = tmp_path / "uv"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{record}"\nexec "{uv.find_uv_bin()}" "$@"\n')
    wrapper.chmod(0o755)
    clone = place.clone(BY_NAME["a Python version of its own"])
    clone.write({".python-version": "3.14.0rc1\n"})
    variables = {"UV": str(wrapper), "UV_PYTHON_DOWNLOADS": "automatic", "UV_PYTHON_INSTALL_MIRROR": place.other.url}
    before, asked = clones.snapshot(clone.root), len(place.other.requests)
    done = clone.prime(*words, "--backend", "uv", environ=variables, status=None)
    assert done.status in {0, 1, 4}
    assert "python install" not in (record.read_text() if record.exists() else "")
    assert len(place.other.requests) == asked
    assert clones.snapshot(clone.root) == before


@pytest.mark.parametrize("words", [["check"], ["--dry-run"]], ids=["check", "dry-run"])
def test_looking_changes_nothing_where_there_is_work_to_do(place: Place, words: list[str]) -> None:
    project = BY_NAME["setuptools"]
    clone = place.clone(project)
    booted(clone, project, "uv")
    project.mutations["another requirement"](clone.root, place)
    before, asked = clones.snapshot(clone.root), len(place.index.requests)
    clone.prime(*words, "--backend", "uv", status=1 if words == ["check"] else 0)
    assert clones.snapshot(clone.root) == before
    # `check` asks whether the index answers.
    assert place.index.paths()[asked:] == (["/simple/pip/"] if words == ["check"] else [])


def test_a_host_that_has_the_names_of_the_workspace_in_its_index_is_no_source_of_them(place: Place) -> None:
    """Else whoever publishes a package under the name of a member gets into every clone."""
    for backend in support.BACKENDS:
        project = BY_NAME["no build-system, and a source"]
        assert booted(place.clone(project), project, backend).names()["inner"] == "5 editable"


@pytest.mark.parametrize("installer", WITH_PIP)
@pytest.mark.parametrize("where", ["key", "variable", "-c line"])
def test_constraints_with_hashes_beside_a_project_are_kept_or_refused(place: Place, installer: str, where: str) -> None:
    """pip takes no editable project where anything has a hash, and says so."""
    more = {
        "key": "projects = ['.'], constraints = ['pins.txt']",
        "-c line": "projects = ['.'], requirements = ['r.txt']",
    }
    files = {
        TOML: STATIC + FLIT,
        **MODULE,
        "pins.txt": "alpha==1.5 --hash=sha256:@SHA:alpha-1.5-py3-none-any.whl@\n",
        "r.txt": "-c pins.txt\n",
        "protoprimer.toml": f"install = [{{ {more[where]} }}]\n" if where in more else "",
    }
    variables = {"PIP_CONSTRAINT": "@ROOT@/pins.txt"} if where == "variable" else {}
    project = Project("constrained with hashes", files, {}, {}, variables=variables)
    got = booted(place.clone(project), project, installer)
    if installer == "uv":
        assert got.names() == APP
    else:
        assert got.status == 6
        assert "cannot be installed when requiring hashes" in got.said
        assert "Traceback" not in got.said
