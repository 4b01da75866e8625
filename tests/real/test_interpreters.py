"""Choosing among the real interpreters of this machine, each of them also as the one that starts us."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import support
from protoprimer.errors import InstallError, InterpreterError
from protoprimer.formats.versions import parse_python_request
from protoprimer.pythons.choice import choose_interpreter
from protoprimer.pythons.probe import probe_interpreter, verify_environment_interpreter
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal

QUIET = Console(verbosity=-1, stream=io.StringIO())
ODD_NAME = "it's an\nödd place"

# What another process does with the package of this checkout: an audit hook (3.8) counts what it starts.
PREAMBLE = """
import json, os, sys, types
sys.path.insert(0, {source!r})
started = []
if hasattr(sys, "addaudithook"):
    sys.addaudithook(lambda event, _: started.append(event) if event in ("subprocess.Popen", "os.posix_spawn") else None)
from protoprimer.system.console import Console
from protoprimer.pythons.choice import choose_interpreter
from protoprimer.pythons.probe import probe_interpreter, wild_interpreter
from protoprimer.formats.versions import parse_python_request
def box(cache, root):
    return types.SimpleNamespace(
        console=Console(-1), cache_directory=cache, settings=types.SimpleNamespace(root=root, offline=False, bundle="", for_uv=lambda: ([], dict()))
    )
""".format(source=str(support.ROOT / "src"))


def probed(path: object, tmp_path: Path) -> Interpreter:
    answer = probe_interpreter(str(path), str(tmp_path / "cache"), QUIET)
    assert isinstance(answer, Interpreter), answer.reason
    return answer


def same(one: Interpreter, other: Interpreter) -> bool:
    return dict(one.as_dict(), origin="") == dict(other.as_dict(), origin="")


def told_by(python: str, text: str, **environ: str) -> Any:
    """Run text after the preamble, isolated, and return what it printed as JSON."""
    done = subprocess.run(
        [python, "-I", "-c", PREAMBLE + text],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)


def bare_environment(python: str, environment: Path, *options: str) -> Path:
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", *options, str(environment)], timeout=120, check=True)
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def choose(text: str, tmp_path: Path, toolbox: Any = None, downloads: bool = False, **more: Any) -> Interpreter:
    tools: Any = toolbox or SimpleNamespace()
    tools.console, tools.cache_directory = QUIET, str(tmp_path / "cache")
    tools.settings = SimpleNamespace(root=str(tmp_path), offline=False, bundle="", for_uv=lambda: ([], {}))
    return choose_interpreter(parse_python_request(text), tools, downloads, **more)


def test_probe_and_the_process_itself_say_the_same(wild_python: support.WildPython, tmp_path: Path) -> None:
    itself = told_by(wild_python.executable, "print(json.dumps([wild_interpreter().as_dict(), started]))")
    probe = probed(wild_python.executable, tmp_path)
    assert probe.version_info == wild_python.version
    assert itself == [dict(probe.as_dict(), version_info=list(wild_python.version), origin="this Python"), []]
    assert os.path.isfile(os.path.join(probe.stdlib, "os.py"))


def test_inside_an_environment_it_is_the_base(wild_python: support.WildPython, tmp_path: Path) -> None:
    base = probed(wild_python.executable, tmp_path)
    for options in ((), ("--copies",)):
        python = bare_environment(wild_python.executable, tmp_path / "-".join(("env", *options)), *options)
        inside = probed(python, tmp_path)
        assert same(inside, base)
        assert inside.found_in_environment
        itself = told_by(str(python), "print(json.dumps([wild_interpreter().executable, started]))")
        assert itself == [base.executable, []]


def test_through_links_it_is_where_its_standard_library_is(wild_python: support.WildPython, tmp_path: Path) -> None:
    base = probed(wild_python.executable, tmp_path)
    place = tmp_path / ODD_NAME if os.name != "nt" else tmp_path / "an ödd place"
    place.mkdir()
    link = place / os.path.basename(base.executable)
    link.symlink_to(wild_python.executable)
    (tmp_path / "second").symlink_to(link)
    assert same(probed(link, tmp_path), base)
    assert same(probed(tmp_path / "second", tmp_path), base)


def test_lone_copy_is_its_original_or_refused(wild_python: support.WildPython, tmp_path: Path) -> None:
    base = probed(wild_python.executable, tmp_path)
    copy = tmp_path / "copied" / os.path.basename(base.executable)
    copy.parent.mkdir()
    shutil.copy2(base.executable, str(copy))
    answer = probe_interpreter(str(copy), str(tmp_path / "cache"), QUIET)
    if isinstance(answer, Interpreter):
        assert same(answer, base)
    else:
        assert answer.reason.startswith(("it failed with", "it was ended", "its standard library"))


def test_copy_without_standard_library_is_refused_with_pythons_words(
    wild_python: support.WildPython, tmp_path: Path
) -> None:
    base = probed(wild_python.executable, tmp_path)
    number = "%d.%d" % base.version_info[:2]
    copy = tmp_path / "broken" / "bin" / ("python" + number)
    library = tmp_path / "broken" / "lib" / ("python" + number)
    copy.parent.mkdir(parents=True)
    shutil.copy2(base.executable, str(copy))
    (library / "lib-dynload").mkdir(parents=True)
    # The landmark makes it look for its library here, where all else is missing.
    (library / "os.py").write_text("")
    answer = probe_interpreter(str(copy), str(tmp_path / "cache"), QUIET)
    assert isinstance(answer, InterpreterRefusal)
    assert "encodings" in answer.reason


def test_whole_copy_stands_on_its_own(tmp_path: Path) -> None:
    base = probed(support.wild_pythons()[0].executable, tmp_path)
    prefix = tmp_path / "moved pythön"
    library = os.path.relpath(base.stdlib, base.base_prefix)
    shutil.copytree(
        base.stdlib,
        str(prefix / library),
        ignore=shutil.ignore_patterns("test", "site-packages", "__pycache__", "config-*"),
    )
    (prefix / "bin").mkdir()
    copy = shutil.copy2(base.executable, str(prefix / "bin"))
    moved = probed(copy, tmp_path)
    assert (moved.executable, moved.base_prefix, moved.version) == (str(copy), str(prefix), base.version)


def test_environment_whose_base_has_gone_is_refused(tmp_path: Path) -> None:
    python = support.wild_pythons()[-1].executable
    home = tmp_path / "home"
    home.mkdir()
    (home / "python3").symlink_to(python)
    environment = tmp_path / "env" / "bin" / "python"
    environment.parent.mkdir(parents=True)
    environment.symlink_to(home / "python3")
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = %s\n" % home)
    assert probed(environment, tmp_path).found_in_environment
    shutil.rmtree(str(home))
    answer = probe_interpreter(str(environment), str(tmp_path / "cache"), QUIET)
    assert isinstance(answer, InterpreterRefusal)
    assert answer.reason == "it is a dangling link"


def test_python_two_is_refused_with_its_version(tmp_path: Path) -> None:
    ancient = support.python_two()
    if ancient is None:
        pytest.skip("this machine has no Python 2.7")
    answer = probe_interpreter(ancient, str(tmp_path / "cache"), QUIET)
    assert isinstance(answer, InterpreterRefusal)
    assert answer.version.startswith("2.7.")
    assert answer.reason == "older than 3.6, the oldest that can serve"


def test_probe_is_not_steered_by_the_directory_or_the_environment(
    wild_python: support.WildPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for module in ("os", "sysconfig", "json", "encodings", "sitecustomize", "venv"):
        (trap / (module + ".py")).write_text("raise SystemExit('trapped')\n")
    monkeypatch.chdir(trap)
    for name, value in (
        ("PYTHONPATH", str(trap)),
        ("PYTHONHOME", str(trap)),
        ("PYTHONSTARTUP", "x"),
        ("PYTHONOPTIMIZE", "2"),
    ):
        monkeypatch.setenv(name, value)
    assert probed(wild_python.executable, tmp_path).version_info == wild_python.version


def test_one_that_fits_and_runs_us_is_taken_and_nothing_started(
    wild_python: support.WildPython, tmp_path: Path
) -> None:
    text = "chosen = choose_interpreter(parse_python_request('>=3.6'), box(%r, %r))\n" % (
        str(tmp_path / "cache"),
        str(tmp_path),
    )
    chosen, started = told_by(wild_python.executable, text + "print(json.dumps([chosen.version_info, started]))")
    assert tuple(chosen) == wild_python.version
    assert started == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.skipif(sys.version_info < (3, 8), reason="audit hooks are 3.8's")
def test_second_choice_starts_nothing(wild_python: support.WildPython, tmp_path: Path) -> None:
    starter = next((python for python in reversed(support.wild_pythons()) if python.name != wild_python.name), None)
    if starter is None or starter.version < (3, 8):
        pytest.skip("this machine has no second Python with audit hooks")
    text = "chosen = choose_interpreter(parse_python_request(%r), box(%r, %r))\n" % (
        wild_python.name,
        str(tmp_path / "cache"),
        str(tmp_path),
    )
    text += "print(json.dumps([chosen.version_info[:2], len(started)]))"
    first, second = (told_by(starter.executable, text) for _ in range(2))
    assert first[0] == second[0] == list(wild_python.version[:2])
    assert first[1] >= 1
    assert second[1] == 0


def test_started_inside_an_environment_a_range_gives_the_newest(tmp_path: Path) -> None:
    pythons = support.wild_pythons()
    if len(pythons) < 2:
        pytest.skip("this machine has one Python only")
    python = bare_environment(pythons[0].executable, tmp_path / "env")
    text = (
        "chosen = choose_interpreter(parse_python_request(%r), box(%r, %r))\n"
        "print(json.dumps([chosen.version_info[:2], chosen.found_in_environment]))"
    )
    where = (str(tmp_path / "cache"), str(tmp_path))
    assert told_by(str(python), text % (">=3.6", *where)) == [list(pythons[-1].version[:2]), False]
    assert told_by(str(python), text % (pythons[0].name, *where))[0] == list(pythons[0].version[:2])


def test_each_version_is_found_by_name(wild_python: support.WildPython, tmp_path: Path) -> None:
    chosen = choose(wild_python.name, tmp_path)
    assert chosen.version_info[:2] == wild_python.version[:2]
    exact = choose("==%d.%d.%d" % wild_python.version, tmp_path)
    assert exact.version_info == wild_python.version


def test_refusal_lists_all_that_this_machine_has(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError) as refused:
        choose(">=3.99", tmp_path, place="--python")
    told = str(refused.value)
    assert told.startswith("no interpreter for >=3.99\n  not >=3.99:\n")
    for python in support.wild_pythons():
        assert "    %d.%d.%d " % python.version in told


def test_download_that_fails_is_one_more_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Path(sys.executable).parent / ("uv.exe" if os.name == "nt" else "uv")
    if not program.exists():
        pytest.skip("this environment has no uv")
    absent = [name for name in ("3.14", "3.15", "3.13", "3.12") if support.python_of(name) is None]
    if not absent:
        pytest.skip("this host has every Python that uv could fetch")

    class RealUv:
        def __init__(self) -> None:
            self.command = [str(program)]
            self.environment: dict[str, str] = {}

        def uv(self) -> RealUv:
            return self

    # Nobody listens on port 9 of this host.
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(InterpreterError) as refused:
        choose(f"=={absent[0]}.*", tmp_path, toolbox=RealUv(), downloads=True)
    assert f"  download through uv: error: Failed to install cpython-{absent[0]}." in str(refused.value)


def test_environment_is_verified(wild_python: support.WildPython, tmp_path: Path) -> None:
    interpreter = probed(wild_python.executable, tmp_path)
    environment = tmp_path / "an énv"
    python = bare_environment(wild_python.executable, environment)
    verify_environment_interpreter(str(environment), interpreter, QUIET)

    (environment / "pyvenv.cfg").unlink()
    with pytest.raises(InstallError, match="its prefix is") as told:
        verify_environment_interpreter(str(environment), interpreter, QUIET)
    assert told.value.place == str(python)

    python.unlink()
    with pytest.raises(InstallError, match="there is no such file"):
        verify_environment_interpreter(str(environment), interpreter, QUIET)


def test_environment_of_another_version_is_not_taken(tmp_path: Path) -> None:
    pythons = support.wild_pythons()
    if len(pythons) < 2:
        pytest.skip("this machine has one Python only")
    bare_environment(pythons[0].executable, tmp_path / "env")
    wanted = probed(pythons[-1].executable, tmp_path)
    with pytest.raises(InstallError, match="it is cpython %d.%d.%d" % pythons[0].version):
        verify_environment_interpreter(str(tmp_path / "env"), wanted, QUIET)
