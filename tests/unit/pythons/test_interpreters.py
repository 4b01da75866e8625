"""Choosing the interpreter, with small programs that answer the probe as rare or broken Pythons would."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.errors import ConfigurationError, InterpreterError, PrimerError
from protoprimer.formats.versions import parse_python_request
from protoprimer.pythons import probe
from protoprimer.pythons.candidates import interpreter_candidates
from protoprimer.pythons.choice import (
    all_interpreters,
    choose_interpreter,
    interpreter_misfit,
    selected_interpreter,
)
from protoprimer.pythons.probe import probe_interpreter, wild_interpreter
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs that answer are shell scripts")

QUIET = Console(verbosity=-1, stream=io.StringIO())
# A major version that no host has: what the tests choose among is theirs alone.
FAR = 7


def facts_of(prefix: Path, version: str, executable: Path, **more: Any) -> dict[str, Any]:
    numbers = [int(part.split("rc")[0]) for part in version.split(".")]
    return {
        "version": version, "version_info": numbers, "implementation": "cpython", "executable": str(executable),
        "base_executable": str(executable), "base_prefix": str(prefix), "platform": "linux-x86_64",
        "libc": "glibc 2.36", "free_threaded": False, "debug": False, "has_venv": True,
        "stdlib": str(prefix / "lib"), "found_in_environment": False, **more,
    }  # fmt: skip


def make_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def make_python(prefix: Path, version: str, name: str = "python", **more: Any) -> Path:
    """Make a program that answers the probe as such an interpreter would, and notes each start beside itself."""
    program = prefix / "bin" / name
    answer = json.dumps(facts_of(prefix, version, program, **more))
    return make_program(program, f"echo started >> '{prefix}/starts'\necho 'protoprimer-probe:{answer}'\n")


def starts_of(prefix: Path) -> int:
    noted = prefix / "starts"
    return len(noted.read_text().splitlines()) if noted.exists() else 0


class NoTools:
    def uv(self) -> Any:
        raise PrimerError("this host has no uv")


class Uv:
    def __init__(self, program: Path) -> None:
        self.command = [str(program)]
        self.environment: dict[str, str] = {}

    def uv(self) -> Uv:
        return self


class Host:
    """A host whose home and PATH are the test's."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "repository"
        self.root.mkdir()
        self.cache = directory / "cache"
        self.home = directory / "home"
        self.home.mkdir()
        self.pyenv = self.home / ".pyenv"

    def has(self, version: str, name: str = "python", directory: str | None = None, **more: Any) -> Path:
        """Install an interpreter under pyenv and return its prefix."""
        prefix = self.pyenv / "versions" / (directory or version)
        make_python(prefix, version, name, **more)
        return prefix

    def choose(
        self, text: str, toolbox: Any = None, selector: str | None = None, offline: bool = False, **more: Any
    ) -> Interpreter:
        request = parse_python_request(text)
        tools: Any = toolbox or NoTools()
        tools.console, tools.cache_directory = QUIET, str(self.cache)
        tools.settings = SimpleNamespace(root=str(self.root), offline=offline, bundle="", for_uv=lambda: ([], {}))
        if selector:
            selected = selected_interpreter(selector, request, str(self.root), str(self.cache), QUIET)
            if selected is not None:
                return selected
        return choose_interpreter(request, tools, **more)

    def refuse(self, text: str, **more: Any) -> str:
        with pytest.raises(InterpreterError) as refused:
            self.choose(text, **more)
        return str(refused.value)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    for name in list(os.environ):
        if name.startswith(("PYENV", "UV_", "ASDF", "MISE", "XDG_")):
            monkeypatch.delenv(name)
    host = Host(tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("HOME", str(host.home))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return host


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[..., str]:
    def reason_of(path: Path) -> str:
        probed = probe_interpreter(str(path), str(tmp_path / "cache"), QUIET)
        assert isinstance(probed, InterpreterRefusal)
        assert not (tmp_path / "cache").exists() or probed.version
        return probed.reason

    return reason_of


class TestWhatCannotServeIsRefusedWithItsReason:
    def test_crash(self, tmp_path: Path, refusal: Callable[..., str]) -> None:
        program = make_program(
            tmp_path / "python3", "echo 'Fatal Python error: no codec' >&2; echo '<no frame>' >&2; exit 3"
        )
        assert refusal(program) == "it failed with exit status 3: Fatal Python error: no codec"

    def test_signal(self, tmp_path: Path, refusal: Callable[..., str]) -> None:
        assert (
            refusal(make_program(tmp_path / "python3", "kill -SEGV $$")) == "it was ended by signal %d" % signal.SIGSEGV
        )

    @pytest.mark.parametrize("wrapper", ["", "trap '' INT TERM; "])
    def test_hang_of_a_wrapper_leaves_nothing_behind_that_it_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Callable[..., str], wrapper: str
    ) -> None:
        monkeypatch.setattr(probe, "PROBE_SECONDS", 0.5)
        # The child has a pipe of the test's: its end is the end of all who hold that.
        pipe = tmp_path / "held"
        os.mkfifo(pipe)
        listening = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        program = make_program(tmp_path / "python3", f"{wrapper}exec 9> '{pipe}'; echo x >&9; sleep 60 & wait\n")
        try:
            assert refusal(program) == "it did not answer within 0.5 s"
            os.set_blocking(listening, True)
            assert os.read(listening, 10) == b"x\n"
            assert os.read(listening, 10) == b""
        finally:
            os.close(listening)

    @pytest.mark.parametrize(
        "output",
        [
            "hello", "", "Python 3.12.1", "protoprimer-probe:", "protoprimer-probe:[]", 'protoprimer-probe:{"version": 3}',
            'protoprimer-probe:{"version": "3.9.1", "version_info": [3, 9, "1"]}',
            'protoprimer-probe:{"version": "3.9.1", "version_info": [3, 9, 1]}',
        ],
    )  # fmt: skip
    def test_garbage(self, tmp_path: Path, refusal: Callable[..., str], output: str) -> None:
        program = make_program(tmp_path / "python3", f"echo '{output}'")
        assert refusal(program) == "what it answered is not what a Python answers"

    def test_no_file_and_no_program(self, tmp_path: Path, refusal: Callable[..., str]) -> None:
        assert refusal(tmp_path / "python3") == "there is no such file"
        (tmp_path / "python").symlink_to("gone")
        assert refusal(tmp_path / "python") == "it is a dangling link"
        (tmp_path / "python3").write_bytes(b"\x7fELF but not really")
        (tmp_path / "python3").chmod(0o755)
        assert refusal(tmp_path / "python3").startswith("could not start")

    def test_too_old(self, tmp_path: Path, refusal: Callable[..., str]) -> None:
        program = make_program(
            tmp_path / "python", """echo 'protoprimer-probe:{"version": "2.7.18", "version_info": [2, 7, 18]}'"""
        )
        assert refusal(program) == "older than 3.6, the oldest that can serve"

    def test_copy_whose_standard_library_is_of_another_version(
        self, tmp_path: Path, refusal: Callable[..., str]
    ) -> None:
        make_python(tmp_path / "real", "3.9.2", "python3.9")
        make_python(tmp_path / "copy", "3.9.1", "python3.9", base_prefix=str(tmp_path / "real"))
        reason = refusal(tmp_path / "copy" / "bin" / "python3.9")
        assert reason.startswith("its standard library is that of ")
        assert reason.endswith("which is 3.9.2")


class TestAnswersAreRemembered:
    @pytest.fixture
    def probe(self, tmp_path: Path) -> Callable[[], Interpreter]:
        def probe() -> Interpreter:
            probed = probe_interpreter(str(tmp_path / "bin" / "python3.9"), str(tmp_path / "cache"), QUIET, "here")
            assert isinstance(probed, Interpreter)
            return probed

        make_python(tmp_path, "3.9.1", "python3.9")
        return probe

    def memory(self, tmp_path: Path) -> Path:
        (file,) = (tmp_path / "cache" / "interpreters").iterdir()
        return file

    def test_second_time_starts_nothing(self, tmp_path: Path, probe: Callable[[], Interpreter]) -> None:
        first, second = probe(), probe()
        assert first.as_dict() == second.as_dict()
        assert starts_of(tmp_path) == 1

    def test_replaced_in_place_is_noticed(self, tmp_path: Path, probe: Callable[[], Interpreter]) -> None:
        assert probe().version == "3.9.1"
        make_python(tmp_path, "3.9.20", "python3.9")
        assert probe().version == "3.9.20"

    @pytest.mark.parametrize("file", ["pyvenv.cfg", "bin/pyvenv.cfg", "lib/os.py"])
    def test_what_decides_the_answer_is_watched(
        self, tmp_path: Path, probe: Callable[[], Interpreter], file: str
    ) -> None:
        probe()
        (tmp_path / "lib").mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
        probe()
        assert starts_of(tmp_path) == 2

    @pytest.mark.parametrize(
        "content",
        ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "stamps": {"x": 0}, "facts": {"version": 1}}', "\xff"],
    )
    def test_corrupt_memory_is_ignored_and_rewritten(
        self, tmp_path: Path, probe: Callable[[], Interpreter], content: str
    ) -> None:
        probe()
        good = self.memory(tmp_path).read_bytes()
        self.memory(tmp_path).write_bytes(content.encode("latin-1"))
        assert probe().version == "3.9.1"
        assert self.memory(tmp_path).read_bytes() == good

    def test_memory_that_cannot_be_written_is_no_error(self, tmp_path: Path, probe: Callable[[], Interpreter]) -> None:
        (tmp_path / "cache").write_text("a file where a directory should be")
        assert probe().version == probe().version
        assert starts_of(tmp_path) == 2

    def test_failures_are_not_remembered(self, tmp_path: Path) -> None:
        program = make_program(tmp_path / "bin" / "python3", "exit 1")
        cache = str(tmp_path / "cache")
        assert isinstance(probe_interpreter(str(program), cache, QUIET), InterpreterRefusal)
        make_python(tmp_path, "3.9.1", "python3")
        assert isinstance(probe_interpreter(str(program), cache, QUIET), Interpreter)


class TestCandidates:
    def paths(self) -> list[str]:
        return [path for path, _ in interpreter_candidates(wild_interpreter(), QUIET)]

    def test_shims_are_skipped_for_what_stands_behind_them(
        self, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manager = tmp_path / "opt" / "pyenv"
        shim = make_program(manager / "shims" / "python3.9", "exec pyenv exec python3.9")
        (tmp_path / "bin" / "python3").symlink_to(shim)
        make_program(tmp_path / "bin" / "python3.9", 'exec "/opt/pyenv/libexec/pyenv" exec "${0##*/}" "$@"')
        make_program(tmp_path / "bin" / "python3.10", 'exec /opt/asdf/bin/asdf exec "python3.10" "$@"')
        make_program(tmp_path / "opt" / "mise", "exit 1")
        (tmp_path / "bin" / "python3.11").symlink_to(tmp_path / "opt" / "mise")
        make_python(manager / "versions" / "3.9.1", "3.9.1")
        monkeypatch.setenv("PATH", "%s:%s/shims" % (tmp_path / "bin", manager))
        assert [path for path in self.paths() if path.startswith(str(tmp_path))] == [
            str(manager / "versions" / "3.9.1" / "bin" / "python")
        ]

    def test_current_directory_and_relative_entries_are_never_searched(
        self, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_python(tmp_path / "here", "3.9.1", "python3")
        make_python(tmp_path / "here", "3.9.1", "python3.9")
        monkeypatch.chdir(tmp_path / "here" / "bin")
        monkeypatch.setenv("PATH", ":.:../bin::")
        assert not [path for path in self.paths() if "here" in path]

    def test_places_and_their_order(self, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = host.home / ".local" / "share"
        prefixes = [
            host.home / "elsewhere" / "versions" / "3.9.1",
            host.pyenv / "versions" / "3.9.1",
            data / "uv" / "python" / "cpython-3.9.1-linux-x86_64-gnu",
            host.home / ".asdf" / "installs" / "python" / "3.9.1",
            data / "mise" / "installs" / "python" / "3.9.1",
            tmp_path,
        ]
        for prefix in reversed(prefixes):
            make_python(prefix, "3.9.1")
        monkeypatch.setenv("PYENV_ROOT", str(host.home / "elsewhere"))
        found = [path for path in self.paths() if path.startswith(str(tmp_path))]
        assert found == [str(prefix / "bin" / "python") for prefix in prefixes]
        assert self.paths()[0] == wild_interpreter().executable

    def test_each_real_file_once_and_no_tools_named_like_pythons(self, host: Host, tmp_path: Path) -> None:
        make_python(tmp_path, "3.9.1", "python3.9")
        for name in ("python3", "python"):
            (tmp_path / "bin" / name).symlink_to("python3.9")
        for name in ("python3-config", "python3.9-config", "pythonw", "python.sh", "mypython", "pypyjit"):
            make_program(tmp_path / "bin" / name, "exit 1")
        (tmp_path / "bin" / "python3.8").write_text("not executable")
        (tmp_path / "bin" / "python3.7").symlink_to("gone")
        found = [os.path.basename(path) for path in self.paths() if path.startswith(str(tmp_path))]
        assert found == ["python"]

    def test_all_are_told_each_once(self, host: Host, tmp_path: Path) -> None:
        prefix = host.has("%d.1.0" % FAR, "python%d.1" % FAR)
        make_program(tmp_path / "bin" / "python", f"exec '{prefix}/bin/python{FAR}.1' \"$@\"")
        make_program(tmp_path / "bin" / "python3", "exit 9")
        told = all_interpreters(str(host.cache), QUIET)
        ours = [
            one
            for one in told
            if (one.path if isinstance(one, InterpreterRefusal) else one.executable).startswith(str(tmp_path))
        ]
        assert [one.version for one in ours] == ["%d.1.0" % FAR, ""]
        assert told[0].origin in ("this Python", "the base of this environment")


class TestPreference:
    def test_newest_that_fits(self, host: Host) -> None:
        for minor in (1, 9, 10, 11):
            host.has(f"{FAR}.{minor}.2")
        assert host.choose(f">={FAR},<{FAR}.11").version == f"{FAR}.10.2"

    def test_what_it_answers_counts_and_not_its_name(self, host: Host) -> None:
        host.has(f"{FAR}.5.1", name=f"python{FAR}.1", directory=f"{FAR}.1.0")
        assert host.choose(f"{FAR}.5").version == f"{FAR}.5.1"
        assert f"{FAR}.5.1" in host.refuse(f"{FAR}.1")

    def test_first_place_among_equals(self, host: Host, tmp_path: Path) -> None:
        prefix = host.has(f"{FAR}.1.0")
        make_python(tmp_path, f"{FAR}.1.0", "python")
        assert host.choose(f"{FAR}.1").executable == str(prefix / "bin" / "python")

    @pytest.mark.parametrize(
        ("request_text", "version", "more", "reason"),
        [
            (f"{FAR}.1", f"{FAR}.1.0rc1", {}, "a pre-release"),
            (f"{FAR}.1", f"{FAR}.1.0", {"free_threaded": True}, "free-threaded, which was not asked for"),
            (f"{FAR}.1t", f"{FAR}.1.0", {}, "not free-threaded"),
            (f"{FAR}.1", f"{FAR}.1.0", {"debug": True}, "a debug build"),
            (f"{FAR}.1", f"{FAR}.1.0", {"implementation": "pypy"}, "pypy, which is used only where it is asked for"),
            (f"pypy{FAR}.1", f"{FAR}.1.0", {}, "cpython, not pypy"),
            (f"{FAR}.2", f"{FAR}.1.0", {}, f"not {FAR}.2"),
        ],
    )
    def test_rare_builds_only_by_name(
        self, host: Host, request_text: str, version: str, more: dict[str, Any], reason: str
    ) -> None:
        prefix = host.has(version, **more)
        told = host.refuse(request_text)
        assert reason in told
        assert f"{version:10} {prefix}/bin/python (pyenv)" in told

    @pytest.mark.parametrize(
        ("request_text", "version", "more"),
        [
            (f"{FAR}.1.0rc1", f"{FAR}.1.0rc1", {}),
            (f"{FAR}.1t", f"{FAR}.1.0", {"free_threaded": True}),
            (f"pypy{FAR}.1", f"{FAR}.1.0", {"implementation": "pypy"}),
        ],
    )
    def test_rare_builds_by_name(self, host: Host, request_text: str, version: str, more: dict[str, Any]) -> None:
        directory = ("pypy" if "implementation" in more else "") + version
        host.has(version, directory=directory, **more)
        assert host.choose(request_text).version == version

    def test_pypy_that_runs_us_serves_a_range(self, tmp_path: Path) -> None:
        wild = Interpreter(facts_of(tmp_path, "3.10.14", tmp_path / "pypy3", implementation="pypy"), "this Python")
        assert interpreter_misfit(wild, parse_python_request(">=3.8"), is_wild=True) is None
        assert interpreter_misfit(wild, parse_python_request("cpython3.10"), is_wild=True)


class TestNothingFits:
    def test_every_candidate_is_listed_and_readable_with_thirty(self, host: Host) -> None:
        for minor in range(30):
            host.has(f"{FAR}.{minor}.0")
        make_program(host.pyenv / "versions" / "broken" / "bin" / "python", "echo 'Error: no stdlib' >&2; exit 1")
        told = host.refuse(f">={FAR + 1}", place="pyproject.toml:3 (requires-python)").splitlines()
        assert told[0] == f"no interpreter for >={FAR + 1}"
        assert told[1] == f"  not >={FAR + 1}:"
        assert f"    {FAR}.29.0 " in told[2]
        assert sum(f"    {FAR}." in line for line in told) == 30
        at = told.index("  it failed with exit status 1: Error: no stdlib:")
        assert told[at + 1].split() == ["?", str(host.pyenv / "versions/broken/bin/python"), "(pyenv)"]
        assert told[-3:] == [
            "  download through uv: this host has no uv",
            "  where: pyproject.toml:3 (requires-python)",
            "  next: install such a Python, or change what is asked for",
        ]

    def test_no_download_where_it_is_not_allowed(self, host: Host, tmp_path: Path) -> None:
        uv = Uv(make_program(tmp_path / "uv", f"touch '{tmp_path}/started'"))
        assert "not tried: offline" in host.refuse(f"{FAR}.1", toolbox=uv, offline=True)
        assert "not tried: python-downloads is false" in host.refuse(f"{FAR}.1", toolbox=uv, downloads=False)
        assert not (tmp_path / "started").exists()

    def test_download_through_uv(self, host: Host, tmp_path: Path) -> None:
        python = make_python(tmp_path / "uv-managed", f"{FAR}.1.3", f"python{FAR}.1")
        uv = make_program(
            tmp_path / "uv", f"echo \"$*\" >> '{tmp_path}/asked'; [ \"$2\" = install ] || echo '{python}'"
        )
        chosen = host.choose(f"{FAR}.1", toolbox=Uv(uv))
        assert (chosen.executable, chosen.origin) == (str(python), "uv")
        assert (tmp_path / "asked").read_text().splitlines() == [
            f"python install cpython=={FAR}.1.*",
            f"python find --managed-python cpython=={FAR}.1.*",
        ]

    def test_download_of_what_does_not_fit(self, host: Host, tmp_path: Path) -> None:
        python = make_python(tmp_path / "uv-managed", f"{FAR}.2.3", f"python{FAR}.2")
        uv = make_program(tmp_path / "uv", f"echo '{python}'")
        assert f"download through uv: {python} is not {FAR}.1" in host.refuse(f"{FAR}.1", toolbox=Uv(uv))


class TestSelector:
    def write(self, host: Host, text: str) -> str:
        (host.root / "choose.py").write_text(text)
        return "choose.py"

    def test_its_choice_is_taken(self, host: Host) -> None:
        prefix = host.has(f"{FAR}.1.0rc1", directory="team")
        text = f"def select_python(required):\n    print(required)\n    return {str(prefix / 'bin' / 'python')!r}\n"
        chosen = host.choose(f">={FAR}", selector=self.write(host, text))
        assert chosen.version == f"{FAR}.1.0rc1"
        assert os.listdir(host.root) == ["choose.py"]

    def test_it_is_told_the_specifier_and_leaves_stdout_alone(
        self, host: Host, capsys: pytest.CaptureFixture[str]
    ) -> None:
        host.has(f"{FAR}.1.0")
        selector = self.write(host, "def select_python(required):\n    print('asked for', required)\n")
        assert host.choose(f"{FAR}.1", selector=selector).version == f"{FAR}.1.0"
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == f"asked for =={FAR}.1.*\n"

    @pytest.mark.parametrize("version", [f"{FAR}.2.0", None])
    def test_what_it_chose_is_verified(self, host: Host, version: str | None) -> None:
        prefix = host.has(version, directory="team") if version else host.root
        selector = self.write(host, f"def select_python(required):\n    return {str(prefix / 'bin' / 'python')!r}\n")
        told = host.refuse(f"{FAR}.1", selector=selector)
        assert told.startswith("select_python chose ")
        assert str(prefix / "bin" / "python") in told
        assert f"where: {host.root / 'choose.py'}" in told

    @pytest.mark.parametrize(
        ("text", "line", "said"),
        [
            (
                "def select_python(required):\n    raise RuntimeError('the lab is closed')\n",
                2,
                "RuntimeError: the lab is closed",
            ),
            ("import sys\n\nsys.exit('no')\n", 3, "SystemExit: no"),
            ("def select_python(required):\n    return int('x')\n", 2, "ValueError: invalid literal"),
            ("def select_python(:\n", 1, "SyntaxError"),
            ("x = 1\n", None, "no attribute 'select_python'"),
            ("def select_python(required): return 3\n", None, "returned 3, which is no path"),
            ("def select_python(): return None\n", None, "TypeError"),
            (None, None, "FileNotFoundError"),
        ],
    )
    def test_its_mistakes_are_told_with_their_place(
        self, host: Host, text: str | None, line: int | None, said: str
    ) -> None:
        selector = self.write(host, text) if text else "choose.py"
        with pytest.raises(ConfigurationError, match=said) as told:
            host.choose("3", selector=selector)
        assert told.value.exit_code == 3
        assert told.value.place == str(host.root / "choose.py") + (f":{line}" if line else "")

    def test_its_module_has_a_spec_without_which_python_3_15_warns_in_tracebacks(self, host: Host) -> None:
        host.has(f"{FAR}.1.0")
        selector = self.write(host, "told = __spec__.loader.name\ndef select_python(required): print(told)\n")
        assert host.choose(f"{FAR}.1", selector=selector).version == f"{FAR}.1.0"

    def test_its_module_stays_out_of_the_way(self, host: Host) -> None:
        before = set(sys.modules)
        with pytest.raises(InterpreterError):
            host.choose(f"{FAR}.1", selector=self.write(host, "def select_python(required): return None\n"))
        assert not [name for name in set(sys.modules) - before if "selector" in name]
