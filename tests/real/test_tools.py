"""uv, virtualenv and pip are found, refused with a reason, or fetched and really run."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.fetch import tools
from protoprimer.fetch.pins import pinned_wheels
from protoprimer.fetch.platform_tags import tag_of_host
from protoprimer.fetch.tools import ToolBox
from protoprimer.fetch.uv_pin import UvPin
from protoprimer.fetch.wheels import ToolAbsent
from protoprimer.settings.index_settings import read_index_settings
from protoprimer.system.console import Console
from simple_index import serving
from support import ROOT, WildPython, wild_pythons

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Boxes = Callable[..., ToolBox]

UV = UvPin(pinned_wheels("uv"), [])
OLDEST_AND_NEWEST = sorted({wild_pythons()[0], wild_pythons()[-1]}, key=lambda python: python.version)

BARE = textwrap.dedent(
    """
    import json, os, sys
    sys.path.insert(0, sys.argv[1])
    from protoprimer.system.console import Console
    from protoprimer.settings.index_settings import read_index_settings
    from protoprimer.fetch.tools import ToolBox

    class Wild:
        executable = sys.executable
        version_info = tuple(sys.version_info[:3])
        stdlib = os.path.dirname(os.__file__)

    box = ToolBox(read_index_settings(sys.argv[2]), sys.argv[3], Console())
    found = {"uv": box.uv(), "virtualenv": box.virtualenv(Wild), "pip": box.pip(Wild)}
    print(json.dumps({name: tool._asdict() for name, tool in found.items()}))
    """
)


def fetched_by(python: WildPython, cache: Path, home: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the tools that a bare interpreter gets with an empty PATH, and what was said meanwhile."""
    environ = {**os.environ, "PATH": "", "HOME": str(home)}
    for name in ("UV", "XDG_CONFIG_HOME"):
        environ.pop(name, None)
    command = [python.executable, "-I", "-c", BARE, str(ROOT / "src"), str(home), str(cache)]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=home)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr


@pytest.mark.parametrize("python", OLDEST_AND_NEWEST, ids=lambda python: python.name)
def test_a_bare_interpreter_gets_all_tools_and_they_run(python: WildPython, tmp_path: Path) -> None:
    found, said = fetched_by(python, tmp_path / "cache", tmp_path)
    assert f"uv-{found['uv']['version']}-" in next(iter(pinned_wheels("uv")))
    for name, tool in found.items():
        assert f"fetched {name}" in said
        environ = {"PATH": os.defpath, "HOME": str(tmp_path), **tool["environment"]}
        printed = subprocess.run(
            [*tool["command"], "--version"], env=environ, capture_output=True, text=True, cwd=tmp_path
        )
        assert printed.stdout.startswith(f"{name} {tool['version']}"), printed

    environment = tmp_path / "environment"
    virtualenv = found["virtualenv"]
    command = [*virtualenv["command"], "-q", "--without-pip", "--no-periodic-update", str(environment)]
    subprocess.run(command, env={"PATH": os.defpath, **virtualenv["environment"]}, check=True)
    inside = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    version = subprocess.check_output([inside, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True)
    assert version.strip() == python.name

    # The environment's own interpreter may stand in the place of the one that pip was asked for.
    listed = subprocess.check_output([inside, *found["pip"]["command"][1:], "list", "--format=json"], text=True)
    assert {one["name"] for one in json.loads(listed)} <= {"pip", "setuptools", "wheel"}

    again, said = fetched_by(python, tmp_path / "cache", tmp_path)
    assert again == found
    assert said == ""


def test_tools_are_healed_where_the_cache_lost_content(tmp_path: Path) -> None:
    python = OLDEST_AND_NEWEST[-1]
    found, _ = fetched_by(python, tmp_path / "cache", tmp_path)
    os.truncate(found["uv"]["command"][0], 10)
    os.truncate(found["pip"]["command"][-1], 0)
    again, said = fetched_by(python, tmp_path / "cache", tmp_path)
    assert again == found
    assert "fetched uv" in said
    assert "fetched pip" in said


@pytest.fixture
def interpreter() -> Any:
    """Return the tests' own interpreter, as much of it as tools need."""
    base = os.path.realpath(sys.executable)
    stdlib = os.path.dirname(os.__file__)
    return SimpleNamespace(executable=base, version_info=tuple(sys.version_info[:3]), stdlib=stdlib)


@pytest.fixture
def toolbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boxes:
    """Return a function that makes a tool box on a host where nothing is installed and nothing can be reached."""
    monkeypatch.setattr(
        tools, "_uvs_of_host", lambda: [tools._Candidate([path], path, "PATH") for path in tools._on_path("uv")]
    )
    monkeypatch.delenv("UV", raising=False)

    def make(path: str = "", **variables: str) -> ToolBox:
        monkeypatch.setenv("PATH", path)
        environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", **variables}
        settings = read_index_settings(str(tmp_path), not variables, environ)
        return ToolBox(settings, str(tmp_path / "cache"), Console(-1))

    return make


def fake(directory: Path, name: str, script: str) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(directory)


posix = pytest.mark.skipif(not os.path.exists("/bin/sh"), reason="fakes are sh scripts")


@posix
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo uv 0.1.2", "uv 0.1.2 .* is older than 0.8"),
        ("echo ultraviolet 0.13.0", "does not print `uv X.Y.Z` .*ultraviolet"),
        ("echo uv 0.13.0; exit 3", "exit status 3"),
        ("exec /does/not/exist", "does not print"),
    ],
)
def test_a_uv_that_is_none_is_absent_with_its_reason(toolbox: Boxes, tmp_path: Path, script: str, reason: str) -> None:
    box = toolbox(fake(tmp_path / "bin", "uv", script))
    with pytest.raises(ToolAbsent, match=reason) as absent:
        box.uv()
    assert absent.value.exit_code == 5
    assert "offline" in absent.value.cause


@posix
def test_a_uv_that_hangs_is_absent_after_seconds(
    toolbox: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "SECONDS_TO_PRINT_A_VERSION", 0.5)
    with pytest.raises(ToolAbsent, match="did not print its version within"):
        toolbox(fake(tmp_path / "bin", "uv", "read line; /bin/sleep 60; echo uv 1.0.0")).uv()


@posix
def test_a_good_uv_is_asked_for_its_version_once_until_it_changes(toolbox: Boxes, tmp_path: Path) -> None:
    count = tmp_path / "count"
    path = fake(tmp_path / "bin", "uv", f"echo x >> {count}; echo 'uv 1.2.3 (host)'")
    for _ in range(3):
        tool = toolbox(path).uv()
        assert (tool.version, tool.command) == ("1.2.3", [os.path.join(path, "uv")])
    assert count.read_text() == "x\n"
    fake(tmp_path / "bin", "uv", f"echo x >> {count}; echo 'uv 1.3.0 (changed)'")
    assert toolbox(path).uv().version == "1.3.0"
    assert count.read_text() == "x\nx\n"


@posix
def test_a_broken_uv_variable_is_said_and_not_passed_over(
    toolbox: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = fake(tmp_path / "bin", "uv", "echo uv 1.2.3")
    box = toolbox(good)
    monkeypatch.setenv("UV", str(tmp_path / "missing"))
    with pytest.raises(ToolAbsent, match=r"\$UV: .*missing.* cannot be used"):
        box.uv()
    other = fake(tmp_path / "other", "my-uv", "echo uv 1.4.0")
    box = toolbox(good)
    monkeypatch.setenv("UV", os.path.join(other, "my-uv"))
    assert box.uv().version == "1.4.0"


@posix
def test_neither_our_own_environments_nor_the_working_directory_are_searched(
    toolbox: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = fake(tmp_path / "environment" / "bin", "uv", "echo uv 1.2.3")
    (tmp_path / "environment" / "protoprimer.json").write_text("{}")
    here = fake(tmp_path / "here", "uv", "echo uv 1.2.3")
    monkeypatch.chdir(here)
    with pytest.raises(ToolAbsent):
        toolbox(os.pathsep.join([ours, "", "."])).uv()


@posix
def test_a_virtualenv_on_path_must_still_know_the_target(toolbox: Boxes, tmp_path: Path, interpreter: Any) -> None:
    path = fake(tmp_path / "bin", "virtualenv", "echo virtualenv 20.30.0 from somewhere")
    interpreter.stdlib = str(tmp_path)
    tool = toolbox(path).virtualenv(interpreter)
    assert tool.command == [os.path.join(path, "virtualenv"), "--python", interpreter.executable]
    interpreter.version_info = (3, 6, 15)
    with pytest.raises(ToolAbsent):
        toolbox(path).virtualenv(interpreter)


def test_a_wheel_with_another_hash_is_refused_even_where_another_pip_is_at_hand(
    toolbox: Boxes, interpreter: Any
) -> None:
    (filename,) = pinned_wheels("pip", interpreter.version_info)
    with serving() as index:
        index.files[filename] = b"not what was pinned"
        with pytest.raises(ToolAbsent, match="refused"):
            toolbox(PIP_INDEX_URL=index.url).pip(interpreter)


def test_where_the_wheel_cannot_be_had_the_interpreters_own_pip_serves(toolbox: Boxes, interpreter: Any) -> None:
    python = next((one for one in wild_pythons() if _bundles_pip(one)), None)
    if python is None:
        pytest.skip("no interpreter of this machine has ensurepip with its wheel")
    interpreter.executable, interpreter.stdlib = python.executable, _stdlib(python)
    interpreter.version_info = python.version
    tool = toolbox().pip(interpreter)
    assert "ensurepip" in tool.origin
    assert subprocess.check_output([*tool.command, "--version"], text=True).startswith(f"pip {tool.version}")


def _stdlib(python: WildPython) -> str:
    code = "import os; print(os.path.dirname(os.__file__))"
    return subprocess.check_output([python.executable, "-I", "-c", code], text=True).strip()


def _bundles_pip(python: WildPython) -> bool:
    bundled = os.path.join(_stdlib(python), "ensurepip", "_bundled")
    wheels = [one for one in os.listdir(bundled) if one.startswith("pip-")] if os.path.isdir(bundled) else []
    return any(int(one[4:].split(".")[0]) >= 19 for one in wheels)


@posix
def test_a_pip_that_does_not_run_on_this_python_is_not_taken(toolbox: Boxes, tmp_path: Path) -> None:
    python = wild_pythons()[0]
    bundled = tmp_path / "lib" / "ensurepip" / "_bundled"
    bundled.mkdir(parents=True)
    with zipfile.ZipFile(bundled / "pip-99.0-py3-none-any.whl", "w") as archive:
        archive.writestr("pip/__main__.py", "raise SystemExit('for newer Pythons only')")
    interpreter: Any = SimpleNamespace(
        executable=python.executable, version_info=python.version, stdlib=str(tmp_path / "lib")
    )
    with pytest.raises(ToolAbsent):
        toolbox().pip(interpreter)


@pytest.mark.parametrize(
    ("host", "tag"),
    [
        ("manylinux_2_36_x86_64", "manylinux2014_x86_64"),
        ("manylinux_2_12_x86_64", "musllinux_1_1_x86_64"),
        ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64"),
        ("manylinux_2_28_aarch64", "manylinux_2_28_aarch64"),
        ("manylinux_2_17_aarch64", "manylinux2014_aarch64"),
        ("manylinux2014_aarch64", "manylinux2014_aarch64"),
        ("musllinux_1_2_aarch64", "musllinux_1_1_aarch64"),
        ("manylinux_2_31_armv7l", "armv7l"),
        ("manylinux_2_28_armv6l", "linux_armv6l"),
        ("manylinux_2_31_i686", "manylinux2014_i686"),
        ("manylinux_2_39_riscv64", "riscv64"),
        ("manylinux_2_28_s390x", "s390x"),
        ("manylinux_2_28_ppc64le", "ppc64le"),
        ("macosx_11_0_arm64", "macosx_11_0_arm64"),
        ("macosx_10_9_arm64", "macosx_11_0_arm64"),
        ("macosx_10_9_x86_64", "macosx_10_12_x86_64"),
        ("win_amd64", "win_amd64"),
        ("win_arm64", "win_arm64"),
        ("win32", "win32"),
    ],
)
def test_each_host_has_its_wheel_of_uv(host: str, tag: str) -> None:
    assert tag in (UV.wheel_for(host) or "")


@pytest.mark.parametrize("host", ["manylinux_2_36_mips", "freebsd_14_0_release_amd64"])
def test_a_host_that_uv_does_not_know_has_none(host: str) -> None:
    assert UV.wheel_for(host) is None


def test_pins_are_whole() -> None:
    for name in ("uv", "pip", "virtualenv"):
        for minor in range(6, 20):
            wheels = pinned_wheels(name, (3, minor))
            assert sum(filename.startswith(f"{name}-") for filename in wheels) == (len(wheels) if name == "uv" else 1)
            for filename, digest in wheels.items():
                assert filename.endswith(".whl")
                assert len(digest) == 64
        assert pinned_wheels(name, (4, 0)) == pinned_wheels(name, (3, 19))
        assert pinned_wheels(name, (3, 5)) == {}
    assert shutil.which("sh") is None or UV.wheel_for(tag_of_host())
