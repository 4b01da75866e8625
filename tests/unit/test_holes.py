"""What mutants once survived: small facts that whole boots rest on, each asked in this process."""

from __future__ import annotations

import http.server
import io
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.roads import RoadClosed
from protoprimer.formats.versions import parse_python_request
from protoprimer.pythons import choice
from protoprimer.pythons.probe import wild_interpreter
from protoprimer.settings.index_settings import IndexSettings, read_index_settings
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.files import write_atomically
from protoprimer.system.interpreter import Interpreter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("asked", "admitted", "refused"),
    [
        (">3.14", ["3.15.0", "3.15.2"], ["3.14.0", "3.13.1"]),
        (">=3.14", ["3.14.0", "3.15.0"], ["3.13.9"]),
        ("<3.14", ["3.13.9"], ["3.14.0"]),
        (">3.8,<3.10", ["3.9.1"], ["3.8.0", "3.10.0"]),
    ],
)
def test_a_range_admits_whole_minor_versions(asked: str, admitted: list[str], refused: list[str]) -> None:
    request = parse_python_request(asked)
    assert [version for version in admitted + refused if request.admits(version)] == admitted


def settings_of(home: Path, **variables: str) -> IndexSettings:
    return read_index_settings(str(home), False, {"HOME": str(home), "XDG_CONFIG_DIRS": str(home), **variables})


def test_uv_asks_all_indexes_as_pip_does_unless_the_user_says_how(tmp_path: Path) -> None:
    more = {"UV_INDEX": "https://more.example.test"}
    assert settings_of(tmp_path, **more).for_uv()[1]["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    for strategy in ("first-index", "unsafe-first-match"):
        given = settings_of(tmp_path, UV_INDEX_STRATEGY=strategy, **more).for_uv()[1]
        assert given.get("UV_INDEX_STRATEGY") == strategy


def test_the_base_of_an_environment_is_not_taken_before_others_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {**wild_interpreter().as_dict(), "found_in_environment": False}
    facts.pop("origin")
    wild = Interpreter(facts, "this Python")
    inside = Interpreter({**facts, "found_in_environment": True}, "this Python")
    other = Interpreter(facts, "PATH")
    monkeypatch.setattr(choice, "all_interpreters", lambda *_: [other])
    tools = {"cache_directory": str(tmp_path), "console": Console(-1), "settings": settings_of(tmp_path)}
    toolbox: Any = type("ToolBox", (), tools)()
    request = parse_python_request(".".join(map(str, wild.version_info[:2])))
    monkeypatch.setattr(choice, "wild_interpreter", lambda: wild)
    assert choice.choose_interpreter(request, toolbox) is wild
    assert choice.choose_interpreter(request, toolbox, take_newest=True) is other
    monkeypatch.setattr(choice, "wild_interpreter", lambda: inside)
    assert choice.choose_interpreter(request, toolbox) is other


def test_a_child_runs_off_the_main_thread_and_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    results: list[Any] = []

    def run() -> None:
        results.append(run_child([sys.executable, "-c", "print('done')"], Console(-1)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [(one.status, one.output.strip()) for one in results] == [(0, "done")]
    run()
    assert results[1].status == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_to_last_is_on_the_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def renamed(source: str, target: str) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_atomically(str(tmp_path / "a"), b"1")
    assert steps == ["fsync", "rename"]
    write_atomically(str(tmp_path / "a"), b"2", durable=False)
    assert steps == ["fsync", "rename", "rename"]
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"2"


class NeedsPassword(http.server.BaseHTTPRequestHandler):
    """A proxy that lets nobody through."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_proxy_that_wants_a_password_is_asked_once(tmp_path: Path) -> None:
    NeedsPassword.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NeedsPassword) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        reader = UrlReader(settings_of(tmp_path, http_proxy=proxy, HTTP_PROXY=proxy, PIP_PROXY=proxy), Console(-1))
        for _ in range(2):
            with pytest.raises(RoadClosed) as caught:
                reader.read("http://index.example.test/simple/uv/", io.BytesIO(), is_page=True)
            assert caught.value.kind == "refused"
            assert caught.value.closes_server
        server.shutdown()
    assert len(NeedsPassword.asked) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("term", "draws"), [("xterm", True), ("dumb", False)])
def test_a_dumb_terminal_is_told_lines_and_no_colours(monkeypatch: pytest.MonkeyPatch, term: str, draws: bool) -> None:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", term)
    stream = Terminal()
    console = Console(1, stream=stream)
    console.detail("quiet words")
    assert ("\x1b[" in stream.getvalue()) == draws
