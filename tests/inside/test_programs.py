"""`run`, `pip` and `uv` inside an environment: whose program starts, and what it may change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import clones
import support
from protoprimer.fetch.pins import pinned_wheels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    NewClone = Callable[..., clones.Clone]

UV_VERSION = next(iter(pinned_wheels("uv"))).split("-")[1]
posix = pytest.mark.skipif(os.name == "nt", reason="programs of the host are sh scripts here")


def put(directory: Path, name: str, text: str) -> Path:
    """Write a program into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def host(new_clone: NewClone, tmp_path: Path) -> clones.Clone:
    """Return a clone with an environment, whose user has further programs first on PATH."""
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.prime()
    clone.environ["PATH"] = f"{tmp_path / 'host'}{os.pathsep}{clone.environ['PATH']}"
    return clone


@posix
@pytest.mark.parametrize(
    ("where", "name", "text"),
    [
        ("host", "pytest", "#!/usr/bin/env python3\nprint('the host')\n"),
        ("host", "pytest", "#!/opt/pypy/bin/pypy3\n"),
        ("host", "pytest", "#!/bin/sh\n'''exec' \"/a very long/path/python3\" \"$0\" \"$@\"\n' '''\n"),
        ("shims", "pytest", '#!/bin/sh\nexec pyenv exec pytest "$@"\n'),
        ("shims", "pytest", "#!/bin/sh\n# asdf-plugin: python 3.12.1\n"),
        ("host", "python3.6", "#!/bin/sh\n"),
        ("host", "python2", "#!/bin/sh\n"),
    ],
)
def test_a_python_program_that_only_the_host_has_is_refused_and_not_run(
    host: clones.Clone, tmp_path: Path, where: str, name: str, text: str
) -> None:
    put(tmp_path / where, name, text)
    path = f"{tmp_path / where}{os.pathsep}{host.environ['PATH']}"
    done = host.prime("run", "--", name, status=6, environ={"PATH": path})
    assert f"{name} is not in the environment; the one on PATH belongs to another Python" in done.errors
    assert done.output == ""
    assert "to run the one on PATH all the same, give its path" in done.errors
    if name == "pytest":
        assert '"pytest" in the list dev of [dependency-groups]' in done.errors


@posix
def test_a_link_into_another_environment_is_refused(host: clones.Clone, tmp_path: Path) -> None:
    put(tmp_path / "pipx" / "bin", "ruff", "#!/bin/sh\n")
    (tmp_path / "pipx" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "ruff").symlink_to(tmp_path / "pipx" / "bin" / "ruff")
    done = host.prime("run", "--", "ruff", status=6)
    assert "the one on PATH belongs to another Python" in done.errors


@posix
def test_other_programs_of_the_host_run_as_ever(host: clones.Clone, tmp_path: Path) -> None:
    put(tmp_path / "host", "make", "#!/bin/sh\necho made\n")
    put(tmp_path / "host", "pipe", "#!/bin/sh\necho piped\n")
    python = put(tmp_path / "host", "snake", "#!/usr/bin/env python3\nimport sys; print(sys.prefix)\n")
    assert host.prime("run", "--", "make").output == "made\n"
    assert host.prime("run", "--", "pipe").output == "piped\n"
    assert "git version" in host.prime("run", "--", "git", "--version").output
    # By its path it is meant, and what env finds is the environment's interpreter.
    prefix = host.prime("run", "--", str(python)).output.strip()
    assert os.path.samefile(prefix, host.generations()[-1])


@posix
def test_a_script_of_the_repository_on_path_runs_under_the_environments_python(host: clones.Clone) -> None:
    put(host.root / "scripts", "build-docs", "#!/usr/bin/env python3\nimport sys; print(sys.prefix)\n")
    path = f"{host.root / 'scripts'}{os.pathsep}{host.environ['PATH']}"
    prefix = host.prime("run", "--", "build-docs", environ={"PATH": path}).output.strip()
    assert os.path.samefile(prefix, host.generations()[-1])


@posix
def test_the_line_to_add_is_that_of_a_repository_of_requirements(new_clone: NewClone, tmp_path: Path) -> None:
    clone = new_clone().write({"requirements.txt": ""}).entry("prime", None, "boot")
    put(tmp_path / "host", "pytest", "#!/usr/bin/env python3\n")
    path = f"{tmp_path / 'host'}{os.pathsep}{clone.environ['PATH']}"
    done = clone.prime("run", "--", "pytest", status=6, environ={"PATH": path})
    assert "the line pytest in requirements.txt" in done.errors
    clone.write({"setup.py": "from setuptools import setup\nsetup(name='old', version='1', py_modules=[])\n"})
    done = clone.prime("run", "--", "pytest", status=6, environ={"PATH": path})
    assert 'add it: install = [{ projects = ["."], args = ["pytest"] }] in protoprimer.toml' in done.errors
    # What the repository has for it already is better than a second place.
    clone.write({"requirements/test.txt": "-r base.txt\npytest\n", "requirements/base.txt": ""})
    done = clone.prime("run", "--", "pytest", status=6, environ={"PATH": path})
    line = 'install = [{ projects = ["."], requirements = ["requirements/test.txt"] }]'
    assert f"add it: {line} in protoprimer.toml" in done.errors


@pytest.mark.skipif(not support.mount_namespace_works(), reason="needs a mount namespace")
def test_on_a_file_system_that_runs_no_programs_run_says_so_and_offers_python(host: clones.Clone) -> None:
    environment = host.generations()[-1]
    put(environment / "bin", "tool", "#!/bin/sh\n")
    mount = 'mount --bind "$0" "$0" && mount -o remount,noexec,bind "$0" && exec "$@"'
    python = support.default_python().executable
    kernel = ["-I", str(host.root / "prime"), "run", "--", "tool"]
    done = host.run("unshare", "-m", shutil.which("sh") or "sh", "-c", mount, str(host.state), python, *kernel,
                    status=6, environ={"PATH": os.environ["PATH"]})  # fmt: skip
    assert "runs no programs (noexec)" in done.errors
    assert "run -- python -m tool" in done.errors


@pytest.mark.index
def test_pip_acts_on_this_environment_and_says_that_the_next_one_forgets(host: clones.Clone, tmp_path: Path) -> None:
    listed = json.loads(host.prime("pip", "--", "list", "--format=json").output)
    assert {one["name"] for one in listed} == {"demo"}
    clones.Clone(tmp_path / "other", host.environ, host.kernel).project("added")
    done = host.prime("pip", "--", "install", "-q", "--no-index", "--no-deps", str(tmp_path / "other"))
    assert "this environment only" in done.errors
    assert host.prime("run", "--", "python", "-c", "import added; print(added.NAME)").output == "added\n"
    # It is the verified one: nothing of it is in the environment.
    host.prime("run", "--", "python", "-c", "import pip", status=1)


@posix
@pytest.mark.index
def test_pip_in_run_and_in_a_shell_acts_on_this_environment_and_not_on_the_hosts(
    host: clones.Clone, tmp_path: Path
) -> None:
    for name in ("pip", "pip3"):
        put(tmp_path / "host", name, "#!/bin/sh\necho the host is changed\n")
    clones.Clone(tmp_path / "other", host.environ, host.kernel).project("added")
    install = f"install -q --no-index --no-deps '{tmp_path / 'other'}'"
    done = host.prime("shell", "--shell", "sh", "-c", f"cd / && pip3 {install}")
    assert "the host" not in done.output
    assert "this environment only" in done.errors
    listed = host.prime("run", "--", "pip", "list", "--format=json", cwd=host.root)
    assert {one["name"] for one in json.loads(listed.output)} == {"demo", "added"}
    # The next environment has what the repository asks for, and no more.
    host.prime("reboot")
    assert {one["name"] for one in json.loads(host.prime("run", "--", "pip", "list", "--format=json").output)} == {
        "demo"
    }


@pytest.mark.index
def test_uv_is_itself_with_its_status_its_stdin_and_the_users_variables(new_clone: NewClone) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.prime("uv", "--", "--version")
    done = clone.prime("uv", "--", "--version")
    assert done.output.startswith(f"uv {UV_VERSION}")
    assert done.errors == ""
    assert not clone.state.joinpath("envs").exists(), "no environment is needed"
    assert clone.prime("uv", "no-such-command", status=2).errors.startswith("error: unrecognized subcommand")
    compiled = clone.prime("uv", "--", "pip", "compile", "-q", "--no-header", "-", "--offline", stdin=b"")
    assert compiled.output == ""


@posix
def test_a_uv_that_the_repository_does_not_want_is_not_used(new_clone: NewClone, tmp_path: Path) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    put(tmp_path / "host", "uv", "#!/bin/sh\necho uv 0.9.9\n")
    path = f"{tmp_path / 'host'}{os.pathsep}{clone.environ['PATH']}"
    version = "#!/bin/sh\necho uv %s\n"
    assert clone.prime("uv", "--", "--version", environ={"PATH": path}).output == "uv 0.9.9\n"
    clone.write({"uv.toml": 'required-version = ">=0.10,<0.11"\n'})
    done = clone.prime("uv", "--", "--version", status=5, environ={"PATH": path})
    assert "uv 0.9.9 (PATH: " in done.errors
    assert "is not >=0.10,<0.11, as" in done.errors
    assert f"uv {UV_VERSION}, whose hashes are pinned, is not" in done.errors
    assert "tools.uv" in done.errors
    put(tmp_path / "host", "uv", version % "0.10.3")
    assert clone.prime("uv", "--", "--version", environ={"PATH": path}).output == "uv 0.10.3\n"


@posix
def test_a_range_of_uv_counts_where_uv_itself_would_find_it(new_clone: NewClone, tmp_path: Path) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    put(tmp_path / "host", "uv", "#!/bin/sh\necho uv 0.9.9\n")
    path = f"{tmp_path / 'host'}{os.pathsep}{clone.environ['PATH']}"
    (clone.root.parent / "uv.toml").write_text('required-version = "<0.9"\n')
    done = clone.prime("uv", "--", "--version", status=5, environ={"PATH": path})
    assert "is not <0.9, as" in done.errors
    # The nearest file alone counts, and a person's variables say that none does.
    assert clone.prime("uv", "--", "--version", environ={"PATH": path, "UV_NO_CONFIG": "1"}).output == "uv 0.9.9\n"
    clone.write({"uv.toml": ""})
    assert clone.prime("uv", "--", "--version", environ={"PATH": path}).output == "uv 0.9.9\n"


@pytest.mark.index
def test_a_fetched_uv_satisfies_what_the_repository_requires(new_clone: NewClone, tmp_path: Path) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    put(tmp_path / "host", "uv", "#!/bin/sh\necho uv 0.9.9\n")
    clone.environ["PATH"] = f"{tmp_path / 'host'}{os.pathsep}{clone.environ['PATH']}"
    text = (clone.root / "pyproject.toml").read_text()
    clone.write({"pyproject.toml": text + f'[tool.uv]\nrequired-version = "=={UV_VERSION}"\n'})
    assert clone.prime("uv", "--", "--version").output.startswith(f"uv {UV_VERSION}")


@posix
def test_a_uv_of_the_repositorys_own_is_fetched_only_with_its_hash(new_clone: NewClone, tmp_path: Path) -> None:
    clone = new_clone().entry("prime", None, "boot")
    wheel = fake_uv_wheel(tmp_path / "wheels", "0.12.7")
    configured = '[tools.uv]\nversion = "0.12.7"\n[tools.uv.hashes]\n"%s" = "sha256:%s"\n'
    digest = subprocess.check_output(["sha256sum", str(wheel)], text=True).split()[0]
    variables = {"PIP_FIND_LINKS": str(wheel.parent), "PIP_NO_INDEX": "1", "PROTOPRIMER_CACHE": str(tmp_path / "cache")}
    clone.write({"protoprimer.toml": configured % (wheel.name, "0" * 64)})
    done = clone.prime("uv", "--", "x", status=5, environ=variables)
    assert "is pinned\n" in done.errors
    clone.write({"protoprimer.toml": configured % (wheel.name, digest)})
    assert clone.prime("uv", "--", "x", environ=variables).output == "uv 0.12.7\n"
    # Nothing else serves from now on.
    put(tmp_path / "host", "uv", "#!/bin/sh\necho uv 0.13.0\n")
    path = f"{tmp_path / 'host'}{os.pathsep}{clone.environ['PATH']}"
    assert clone.prime("uv", "--", "x", environ={**variables, "PATH": path}).output == "uv 0.12.7\n"
    bundle = tmp_path / "bundle"
    clone.prime("bundle", str(bundle), environ={"PIP_FIND_LINKS": str(wheel.parent), **support.shared_caches()})
    assert [path.name for path in bundle.glob("uv-*")] == [wheel.name]


@posix
@pytest.mark.parametrize(
    ("version", "name", "text", "told"),
    [
        ("0.12.7", "uv-0.12.6-py3-none-any.whl", "0" * 64, "is not a wheel of uv 0.12.7"),
        ("0.12.7", "uv-0.12.7-py3-none-any.whl", "12", "is not a sha256"),
        ("twelve", "uv-twelve-py3-none-any.whl", "0" * 64, "twelve"),
    ],
)
def test_a_pin_that_cannot_be_meant_is_refused_with_its_line(
    new_clone: NewClone, version: str, name: str, text: str, told: str
) -> None:
    clone = new_clone().entry("prime", None, "boot")
    clone.write({"protoprimer.toml": f'[tools.uv]\nversion = "{version}"\nhashes = {{ "{name}" = "{text}" }}\n'})
    done = clone.prime("uv", "--", "x", status=3)
    assert told in done.errors
    assert "protoprimer.toml:" in done.errors


def fake_uv_wheel(directory: Path, version: str) -> Path:
    """Write a wheel whose uv says its version, for this host."""
    import zipfile

    from protoprimer.fetch.platform_tags import tag_of_host
    from protoprimer.fetch.uv_pin import UvPin

    pinned = UvPin(pinned_wheels("uv"), []).wheel_for(tag_of_host())
    assert pinned is not None
    directory.mkdir()
    path = directory / pinned.replace(UV_VERSION, version)
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo(f"uv-{version}.data/scripts/uv")
        member.external_attr = 0o755 << 16
        archive.writestr(member, f"#!/bin/sh\necho uv {version}\n")
    return path
