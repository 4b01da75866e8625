"""Bad input is answered by one clear message, the place and what to do; nothing on disk changes, and no traceback is ours."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

import clones
import simple_index
import support
from samples import EACH_INSTALLER, in_turn

if TYPE_CHECKING:
    from collections.abc import Callable

    NewClone = Callable[..., clones.Clone]

pytestmark = pytest.mark.costly


@dataclass
class Bad:
    """Files of a repository, what was typed, and what has to be answered.

    :param says: parts of the message, in order
    """

    files: dict[str, str | bytes]
    status: int
    says: list[str]
    arguments: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)


def table(text: str) -> dict[str, str | bytes]:
    return {"pyproject.toml": "[tool.protoprimer]\n" + text}


CONFIGURATION = {
    "invalid TOML": Bad({"pyproject.toml": "[tool\nx = 1\n"}, 3, ["pyproject.toml:1"]),
    "invalid TOML of our own": Bad({"protoprimer.toml": 'python = "3\n'}, 3, ["protoprimer.toml:1"]),
    "TOML that is not UTF-8": Bad({"pyproject.toml": b"x = '\xff'\n"}, 3, ["UTF-8", "pyproject.toml"]),
    "invalid JSON": Bad({"protoprimer.json": '{"python": }'}, 3, ["JSON", "protoprimer.json:1"]),
    "a list for a document": Bad({"protoprimer.json": "[]"}, 3, ["must be a table, not []", "protoprimer.json"]),
    "an unknown key": Bad(table('# one\npyton = "3.9"\n'), 3, ["pyton", "pyproject.toml:3", "python"]),
    "an unknown key of an environment": Bad(
        table('[tool.protoprimer.env.ci]\nbakend = "uv"\n'), 3, ["bakend", "pyproject.toml:3", "backend"]
    ),
    "an unknown key of a step": Bad(table('install = [{ project = ["."] }]\n'), 3, ["project", ":2", "projects"]),
    "a wrong type": Bad(table("keep = 'three'\n"), 3, ["keep", "pyproject.toml:2"]),
    "a number for a version": Bad(table("python = 3.9\n"), 3, ["python", "pyproject.toml:2"]),
    "a value out of range": Bad(table("keep = 0\n"), 3, ["keep", "pyproject.toml:2"]),
    "a table for [tool]": Bad({"pyproject.toml": "tool = 1\n"}, 3, ["tool", "table", "pyproject.toml:1"]),
    "a string for [tool.protoprimer]": Bad(
        {"pyproject.toml": "[tool]\nprotoprimer = ''\n"}, 3, ["table", "pyproject.toml:2"]
    ),
    "an impossible specifier": Bad(table('python = ">=3.x"\n'), 3, ["3.x", "pyproject.toml:2"]),
    "an impossible requires-python": Bad(
        {"pyproject.toml": '[project]\nname = "a"\nversion = "1"\nrequires-python = "=>3.8"\n'},
        3,
        ["=>3.8", "pyproject.toml:4"],
    ),
    "an impossible .python-version": Bad({".python-version": "three\n"}, 3, ["three", ".python-version:1"]),
    "a root for the state directory": Bad(
        table('state-dir = "."\n'), 3, ["state-dir cannot be '.': the root lies in it\n", "pyproject.toml:2"]
    ),
    "a state directory that is no path": Bad(table('state-dir = "a\\u0000b"\n'), 3, ["no path", "pyproject.toml:2"]),
    "a link that holds the root": Bad(table('venv-link = ".."\n'), 3, ["venv-link", "root", "pyproject.toml:2"]),
    "a link in the state directory": Bad(
        table('venv-link = ".protoprimer/venv"\n'), 3, ["venv-link", "in the way of", "pyproject.toml:2"]
    ),
    "a link that is the state directory": Bad(
        table('state-dir = "var"\nvenv-link = "./var"\n'), 3, ["venv-link", "in the way of", "pyproject.toml:3"]
    ),
    "true for a link": Bad(table("venv-link = true\n"), 3, ["a string or false, not true", "pyproject.toml:2"]),
    "true for a lock": Bad(table("lock = true\n"), 3, ["a string or false, not true", "pyproject.toml:2"]),
    "a cache wherever one stands": Bad(
        {},
        3,
        ["'cache'", "relative", "PROTOPRIMER_CACHE"],
        [],
        {"PROTOPRIMER_CACHE": "cache", "XDG_CACHE_HOME": os.path.dirname(__file__)},
    ),
    "an unknown backend of a matrix": Bad(
        table('[tool.protoprimer.matrix]\npython = ["3"]\nbackend = ["uv", "virtualenf"]\n'),
        3,
        ["virtualenf", "virtualenv", "pyproject.toml:2"],
        ["matrix"],
    ),
    "a backend file of a matrix that is not there": Bad(
        table('[tool.protoprimer.matrix]\ninclude = [{ python = "3", backend = "./ours.py" }]\n'),
        3,
        ["./ours.py does not exist", "pyproject.toml:2"],
        ["matrix"],
    ),
    "an unknown group of a matrix": Bad(
        {
            "pyproject.toml": "[project]\nname = 'a'\nversion = '1'\n[dependency-groups]\ntests = []\n"
            '[tool.protoprimer.matrix]\npython = ["3"]\ngroups = ["", "tests,test"]\n'
        },
        3,
        ["dependency group `test`", "pyproject.toml:6", "did you mean 'tests'? known: "],
        ["matrix"],
    ),
    "an unknown extra of a matrix": Bad(
        {"pyproject.toml": "[project]\nname = 'a'\nversion = '1'\n[tool.protoprimer.matrix]\nextras = ['x']\n"},
        3,
        ["extra `x`", "pyproject.toml:4"],
        ["matrix", "--python", "3"],
    ),
    "a time-out that is no number": Bad(table("lock-timeout = nan\n"), 3, ["lock-timeout", "pyproject.toml:2"]),
    "a number without end": Bad(table(f"keep = {'9' * 5000}\n"), 3, ["number", "pyproject.toml:2"]),
    "JSON nested without end": Bad({"protoprimer.json": "[" * 100000}, 3, ["JSON", "protoprimer.json"]),
    "a missing selector": Bad(table('python-selector = "no.py"\n'), 3, ["no.py", "does not exist", "pyproject.toml:2"]),
    "a group that is not there": Bad(
        {
            "pyproject.toml": "[project]\nname = 'a'\nversion = '1'\n[dependency-groups]\ntests = []\n[tool.protoprimer]\n"
            "install = { projects = [{ path = '.', groups = ['test'] }] }\n"
        },
        3,
        ["test", "pyproject.toml:7", "did you mean 'tests'? known: "],
    ),
    "a missing project directory": Bad(
        table('install = [{ projects = [{ path = "there" }] }]\n'), 3, ["there", "does not exist", "pyproject.toml:2"]
    ),
    "a directory that is no project": Bad(
        {**table('install = [{ projects = ["sub"] }]\n'), "sub/readme": ""},
        3,
        ["sub is not a project", "pyproject.toml:2"],
    ),
    "a missing requirement file": Bad(
        table('install = [{ requirements = ["dev.txt"] }]\n'), 3, ["dev.txt", "does not exist", "pyproject.toml:2"]
    ),
    "a requirement file that names a missing one": Bad(
        {"requirements.txt": "# first\n-r more.txt\n"}, 3, ["more.txt", "does not exist", "requirements.txt:2"]
    ),
    "an unknown group": Bad(
        {
            "pyproject.toml": '[project]\nname = "a"\nversion = "1"\n[dependency-groups]\ntest = []\n'
            '[tool.protoprimer]\ninstall = [{ projects = [{ path = ".", groups = ["tests"] }] }]\n'
        },
        3,
        ["tests", "test"],
    ),
    "an unknown extra": Bad(
        {
            "pyproject.toml": '[project]\nname = "a"\nversion = "1"\n[tool.protoprimer]\n'
            'install = [{ projects = [{ path = ".", extras = ["x"] }] }]\n'
        },
        3,
        ["extra", "x", "pyproject.toml:5"],
    ),
    "an unknown backend": Bad(table('backend = "virtualenf"\n'), 3, ["virtualenf", "virtualenv", "pyproject.toml:2"]),
    "a backend file that is not there": Bad(table('backend = "./ours.py"\n'), 3, ["ours.py", "pyproject.toml:2"]),
    "a lock that is not there": Bad(table('lock = "uv.lock"\n'), 3, ["uv.lock", "does not exist", "pyproject.toml:2"]),
    "a lock of an unknown kind": Bad(table('lock = "poetry.lock"\n'), 3, ["poetry.lock", "pyproject.toml:2"]),
    "two configuration files": Bad(
        {**table("keep = 2\n"), "protoprimer.toml": "keep = 3\n"},
        3,
        ["two places", "pyproject.toml", "protoprimer.toml"],
    ),
    "two files of the primer": Bad({"proto_kernel.toml": "", "proto_kernel.json": "{}"}, 3, ["two places"]),
    "a root that is not there": Bad({"proto_kernel.toml": 'root = "below"\n'}, 3, ["below", "proto_kernel.toml:1"]),
    "a client configuration that is not there": Bad(
        {"proto_kernel.toml": 'client = "x.toml"\n'}, 3, ["x.toml", "proto_kernel.toml:1"]
    ),
    "a directory that is watched": Bad(
        {**table('watch = ["pyproject.toml", "sub"]\n'), "sub/file": ""},
        3,
        ["directory", "pyproject.toml:2", "files in it"],
    ),
    "a name of an environment that no file can have": Bad(
        table("[tool.protoprimer.env.'\u00e9']\nkeep = 2\n"), 3, ["letters", "\u00e9", "pyproject.toml:2"]
    ),
    "a name of an environment that is too long": Bad(
        table(f"[tool.protoprimer.env.{'a' * 65}]\nkeep = 2\n"), 3, ["a" * 65, "pyproject.toml:2"]
    ),
    "a matrix with an environment that is not there": Bad(
        table('[tool.protoprimer.matrix]\npython = ["3"]\nenv = ["no"]\n'),
        3,
        ["no environment 'no'", "pyproject.toml:2", "default"],
        ["matrix"],
    ),
    "a matrix with a cell for no Python": Bad(
        table('[tool.protoprimer.matrix]\npython = ["3"]\ninclude = [{ python = "three" }]\n'),
        3,
        ["three", "pyproject.toml:2"],
        ["matrix"],
    ),
    "a number of jobs that is none": Bad(
        {}, 2, ["--jobs must be 1 or more, not"], ["matrix", "--python", "3", "--jobs", "\u00b2"]
    ),
    "a report that is a directory": Bad(
        {}, 2, ["is no file\n", "where: --junit\n", "next: name a file\n"], ["matrix", "--python", "3", "--junit", "."]
    ),
    "an environment that is not there": Bad(
        table("[tool.protoprimer.env.test]\nkeep = 2\n"), 3, ["tets", "test"], ["--env", "tets"]
    ),
    "an unknown backend on the command line": Bad({}, 3, ["vemv", "venv", "--backend"], ["--backend", "vemv"]),
    "an impossible Python on the command line": Bad({}, 3, ["three", "--python"], ["--python", "three"]),
    "a variable that is no number": Bad({}, 3, ["PROTOPRIMER_KEEP", "many"], [], {"PROTOPRIMER_KEEP": "many"}),
    "an unknown option": Bad({}, 2, ["--ofline", "--offline"], ["--ofline"]),
    "an unknown command": Bad({}, 2, ["rebot", "reboot"], ["rebot"]),
    "an empty value of an option": Bad({}, 2, ["--python has an empty value", "SPEC"], ["matrix", "--python", ""]),
    "an empty value after =": Bad({}, 2, ["--cell has an empty value", "NAME"], ["matrix", "--cell="]),
    "an option without its value": Bad({}, 2, ["--env", "value"], ["--env"]),
    "an unknown target": Bad({}, 2, ["environmet", "environment"], ["--target", "environmet"]),
    "run without a command": Bad({}, 2, ["run needs a command"], ["run"]),
}


@pytest.mark.parametrize("bad", CONFIGURATION.values(), ids=CONFIGURATION.keys())
def test_bad_configuration_is_named_with_its_place_and_changes_nothing(new_clone: NewClone, bad: Bad) -> None:
    clone = new_clone().write(bad.files).entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    done = clone.prime(*bad.arguments, status=bad.status, environ=bad.environ)
    assert_one_clear_message(done, bad.says)
    assert clones.snapshot(clone.root) == before


UV_LOCK = """version = 1
revision = 3
requires-python = ">=3.6"

[[package]]
name = "demo"
version = "1"
source = { editable = "." }
dependencies = [
    { name = "lib" },
]

[package.metadata]
requires-dist = [{ name = "lib" }]

[[package]]
name = "lib"
version = "1"
source = { registry = "r" }
wheels = [
    { url = "u/lib-1-py3-none-any.whl", hash = "sha256:00", size = 9 },
]
"""
PYLOCK = """# as exported
lock-version = "1.0"
created-by = "test"
requires-python = ">=3.6"

[[packages]]
name = "lib"
version = "1"
wheels = [{ url = "u/lib-1-py3-none-any.whl", upload-time = 2024-01-01T00:00:00Z, hashes = { sha256 = "00" } }]
"""
# What is changed in a sound lock, and what has to be answered.
LOCKS = {
    "a conflict of a merge": (UV_LOCK, "revision = 3", "<<<<<<< HEAD\nrevision = 3", 3, ["valid TOML", "uv.lock:2"]),
    "an end too early": (UV_LOCK, " size = 9 },\n]\n", "", 3, ["valid TOML", "uv.lock:"]),
    "a comma that is missing": (UV_LOCK, '.whl", hash', '.whl" hash', 3, ["valid TOML", "uv.lock:21"]),
    "a quote that is missing": (PYLOCK, '"test"', '"test', 3, ["valid TOML", "pylock.toml:3"]),
    "a word that is no value": (PYLOCK, 'version = "1"\n', "version = one\n", 3, ["valid TOML", "pylock.toml:8"]),
    "a file that is not UTF-8": (PYLOCK, "test", "t\udcffst", 3, ["UTF-8", "pylock.toml:3"]),
    "an empty file": (UV_LOCK, UV_LOCK, "", 3, ["names no version", "uv.lock"]),
    "an unknown version of uv.lock": (UV_LOCK, "version = 1\n", "version = 9\n", 3, ["version 9", "uv.lock"]),
    "an unknown version of pylock.toml": (PYLOCK, '"1.0"', '"9.0"', 3, ["version 9.0", "pylock.toml"]),
    "a package without name": (
        UV_LOCK,
        'name = "lib"\nversion',
        "version",
        3,
        ["malformed: package[1] needs the key 'name'", "uv.lock:16 (package)"],
    ),
    "a number for a name": (
        PYLOCK,
        '"lib"',
        "3",
        3,
        ["malformed: packages[0].name must be a string, not 3", "pylock.toml:7 (packages.name)"],
    ),
    "a number for the packages": (
        PYLOCK,
        PYLOCK[PYLOCK.index("[[") :],
        "packages = 3\n",
        3,
        ["must be a list", "pylock.toml:6"],
    ),
    "a range that is none": (UV_LOCK, '">=3.6"', '"three"', 3, ["malformed", "three", "uv.lock:3 (requires-python)"]),
    "another Python in uv.lock": (
        UV_LOCK,
        '">=3.6"',
        '"<3"',
        6,
        ["for Python <3, by requires-python, not for 3.", "uv.lock", "prime lock"],
    ),
    "another Python in pylock.toml": (
        PYLOCK,
        '">=3.6"',
        '"<3"',
        6,
        ["for Python <3, by requires-python, not for 3.", "prime lock"],
    ),
}


READERS_OF_LOCKS = [["--backend", "uv"], ["--backend", "venv"], ["--dry-run"], ["bundle", "new"]]


@pytest.mark.parametrize(("case", "arguments"), in_turn(LOCKS, {" ".join(words): words for words in READERS_OF_LOCKS}))
def test_a_bad_lock_is_told_before_anything_is_written(
    new_clone: NewClone, case: tuple[str, str, str, int, list[str]], arguments: list[str]
) -> None:
    sound, old, new, status, says = case
    assert old in sound
    clone = new_clone().project("demo", more='dependencies = ["lib"]').entry("prime", None, "boot")
    text = sound.replace(old, new, 1).encode("utf-8", "surrogateescape")
    clone.write({"pylock.toml" if sound == PYLOCK else "uv.lock": text})
    before = clones.snapshot(clone.root)
    assert_one_clear_message(clone.prime(*arguments, status=status), says)
    assert clones.snapshot(clone.root) == before


@pytest.fixture
def clone_in_latin_1(new_clone: NewClone) -> clones.Clone:
    """Return a clone in a directory whose name is no UTF-8, where the file system has such."""
    clone = new_clone()
    clone.root = clone.root / os.fsdecode(b"caf\xe9")
    try:
        clone.root.mkdir()
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    return clone


def test_a_path_in_which_no_environment_can_be_is_told_before_anything_is_written(
    clone_in_latin_1: clones.Clone,
) -> None:
    clone = clone_in_latin_1.project("demo").entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    assert_one_clear_message(clone.prime(status=3), ["caf", "not UTF-8", "rename it"])
    elsewhere = {"PROTOPRIMER_STATE_DIR": str(clone.root.parent / "state")}
    assert_one_clear_message(clone.prime(status=3, environ=elsewhere), ["caf", "not UTF-8", "rename it"])
    assert clones.snapshot(clone.root) == before


@pytest.mark.parametrize("command", ["lock", "reboot"])
def test_a_lock_that_no_tool_can_read_is_not_written_over(new_clone: NewClone, command: str) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot").write({"uv.lock": "version = \n"})
    before = clones.snapshot(clone.root)
    says = [
        "valid TOML",
        "uv.lock:1",
        "restore it, or remove it and run: ./prime lock (for uv.lock: ./prime uv -- lock)",
    ]
    assert_one_clear_message(clone.prime(command, status=3), says)
    assert clones.snapshot(clone.root) == before


def assert_one_clear_message(done: clones.Done, says: list[str]) -> None:
    """One error: cause, perhaps `where:`, perhaps `next:`; every part said; no traceback, no placeholder left open."""
    assert done.output == ""
    assert done.errors.startswith("error: ")
    assert done.errors.count("error: ") == 1
    assert "Traceback" not in done.errors
    assert not re.search(r"%[srd]|\bNone\b|\{\}", done.errors)
    position = 0
    for part in says:
        found = done.errors.find(part)
        assert found >= 0, f"{part!r} is not in {done.errors!r}"
        position = max(position, found)


@pytest.mark.parametrize("step", ["{}", '{ projects = ["."] }'])
@pytest.mark.parametrize("each_backend", EACH_INSTALLER)
def test_a_step_with_nothing_in_it_installs_nothing(
    new_clone: NewClone, fetch_tools: Callable[[str], None], each_backend: str, step: str
) -> None:
    fetch_tools(each_backend)
    clone = new_clone().write(table(f"install = [{step}]\n")).entry("prime", None, "boot")
    clone.prime("--backend", each_backend)
    assert clone.prime() == clones.Done(0, "", "")


def test_a_directory_in_the_place_of_an_input_is_none(new_clone: NewClone) -> None:
    clone = new_clone().write({"requirements.txt/notes": "", "uv.lock/notes": ""}).entry("prime", None, "boot")
    clone.prime("--backend", "venv")
    assert clone.prime() == clones.Done(0, "", "")


@pytest.mark.parametrize(
    ("selector", "says"),
    [("raise SystemExit(0)", "SystemExit: 0"), ("def select_python(required): return 'a\\0b'", "which is no path")],
)
def test_a_bad_selector_is_told_before_anything_is_written(new_clone: NewClone, selector: str, says: str) -> None:
    clone = new_clone().write({**table('python-selector = "s.py"\n'), "s.py": selector}).entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    errors = clone.prime(status=3).errors
    assert says in errors
    assert "s.py" in errors
    assert errors.endswith(", or None\n" if "return" in selector else "returns a path or None\n")
    assert clones.snapshot(clone.root) == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("print('at work')\nraise SystemExit(0)\n", ["ours.py:2", "SystemExit: 0"]),
        ("import missing_one\n", ["ours.py:1", "missing_one"]),
        ("def probe(:\n", ["ours.py:1", "SyntaxError"]),
        ("", ["ours.py", "0 subclasses"]),
    ],
)
def test_a_bad_backend_file_is_told_before_anything_is_written(
    new_clone: NewClone, kernel: str, content: str, says: list[str]
) -> None:
    clone = new_clone().write({**table('backend = "./ours.py"\n'), "ours.py": content}).entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    done = clone.prime(status=3)
    errors = done.errors.replace("at work\n", "")
    assert_one_clear_message(clones.Done(3, done.output, errors), [*says, "pyproject.toml:2"])
    assert clones.snapshot(clone.root) == before


@pytest.mark.parametrize(("method", "status"), [("probe", 5), ("create", 6), ("install", 6), ("install_plan", 6)])
def test_an_exception_in_the_repositorys_backend_is_told_as_its_own(
    new_clone: NewClone, kernel: str, method: str, status: int
) -> None:
    text = f"""\
from dataclasses import dataclass
from protoprimer.backends.venv import VenvBackend

class Ours(VenvBackend):
    name = "ours"
    def {method}(self, *arguments):
        print("at work")
        raise FileNotFoundError("the wheelhouse")

@dataclass
class House:
    path: "str"
"""
    clone = new_clone().write({**table('backend = "./ours.py"\n'), "ours.py": text}).entry("prime", None, "boot")
    done = clone.prime(status=status)
    assert done.output == ""
    assert "at work" in done.errors
    assert "error: the repository's backend ours failed in " in done.errors
    assert "FileNotFoundError: the wheelhouse" in done.errors
    assert "ours.py:8" in done.errors
    assert "Traceback" not in done.errors
    assert "fault of ours" not in done.errors
    assert not list(clone.root.glob("__pycache__"))


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["pyproject.toml", "protoprimer.toml", "protoprimer.json", "proto_kernel.toml"])
def test_a_pipe_or_a_device_is_not_read_as_configuration(new_clone: NewClone, name: str, kind: str) -> None:
    if not os.path.exists("/dev/zero"):
        pytest.skip("this host has no such devices")
    clone = new_clone().entry("prime", None, "boot")
    path = clone.root / name
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    assert_one_clear_message(
        clone.prime("eval", status=3), ["cannot be read: it is a pipe or a device", name, "a file that you can read"]
    )
    path.unlink()
    # The empty device is how some take a file away.
    path.symlink_to(os.devnull)
    errors = clone.prime("eval", status=3 if name.endswith("json") else 0).errors
    assert errors == "" or "not valid JSON" in errors


def test_a_pipe_remembers_no_environment_and_a_directory_is_no_lock(new_clone: NewClone) -> None:
    clone = new_clone().entry("prime", None, "boot")
    clone.prime("--backend", "venv")
    os.mkfifo(clone.state / "environment")
    clone.prime("check")
    (clone.state / "lock").unlink()
    (clone.state / "lock").mkdir()
    assert_one_clear_message(clone.prime("gc", status=6), ["the lock file is no regular file", "remove it"])


LOOKING = [
    ["check"], ["check", "--json"], ["--dry-run"], ["reboot", "--dry-run"], ["lock", "--dry-run"], ["lock", "--check"],
    ["eval"], ["graph"], ["env"], ["--version"], ["help"], ["completion", "words", "--", "--b"],
]  # fmt: skip


def test_whoever_looks_runs_no_code_of_the_repository(new_clone: NewClone, kernel: str) -> None:
    steering = 'watch = ["\\u001b]0;title*"]\n'
    settings = table('backend = ["./ours.py", "venv"]\npython-selector = "s.py"\n' + steering)
    lock = 'lock-version = "1.0"\ncreated-by = "a test"\npackages = []\n'
    files = {"ours.py": "open('ran', 'w')\n", "s.py": "open('ran', 'w')\n", "pylock.toml": lock}
    clone = new_clone().write({**settings, **files}).entry("prime", None, "boot")
    said = ""
    for command in LOOKING:
        done = clone.prime(*command, status=None)
        assert "Traceback" not in done.errors, command
        assert not (clone.root / "ran").exists(), command
        assert "\x1b" not in done.output + done.errors, "what reaches a terminal is printable"
        said += done.output + done.errors
    assert "would ask the python-selector s.py which Python to take; a run that only looks does not\n" in said
    assert r"\u001b]0;title*" in said
    # Without a selector there is more to tell.
    clone.write(table('backend = ["./ours.py", "venv"]\n'))
    shown = clone.prime("check", status=1).output
    assert "backend: ./ours.py: not asked: it is the repository's own code, which ./prime runs\n" in shown
    assert "would build " in clone.prime("--dry-run").errors
    assert "pylock.toml has what is asked for" in clone.prime("lock", "--check").errors
    assert not (clone.root / "ran").exists()


def test_check_tells_that_the_lock_is_broken(new_clone: NewClone) -> None:
    clone = new_clone().project("demo").write({"uv.lock": "version = \n"}).entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    told = clone.prime("check", "--json", status=1).json()["environment"]
    assert "valid TOML" in told
    assert "uv.lock:1" in told
    assert clones.snapshot(clone.root) == before


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": "[project]\nname = 'a'\nversion = '1'\nrequires-python = '>=3.99'\n"},
        table("install = [{ projects = [{ path = 'there' }] }]\n"),
    ],
    ids=["no Python", "a wrong path"],
)
def test_check_tells_once_why_there_can_be_no_environment_and_asks_no_administrator(
    new_clone: NewClone, files: dict[str, str | bytes]
) -> None:
    clone = new_clone().write(files).entry("prime", None, "boot")
    output = clone.prime("check", status=1).output
    assert output.count("  next: ") == 1, output
    for misleading in ("administrator", "./prime makes it ready"):
        assert misleading not in output
    assert clone.prime("check", "--json", status=1).json()["backends"] == {}


def test_an_empty_directory_gives_an_empty_environment(new_clone: NewClone, kernel: str) -> None:
    clone = new_clone().entry("prime", None, "boot")
    done = clone.prime("--backend", "venv")
    assert "installed nothing" in done.errors
    assert clone.prime("run", "--", "python", "-c", "import sys; print(sys.prefix)").output.strip() == str(
        clone.generations()[0]
    )


def test_projects_below_a_root_that_is_none_are_named_with_the_key_to_set(new_clone: NewClone) -> None:
    clone = new_clone().project("one", "libraries-one").entry("prime", None, "boot")
    done = clone.prime("--backend", "venv", status=3)
    assert_one_clear_message(
        done, ["libraries-one", "protoprimer.toml", 'install = [{ projects = ["libraries-one"] }]']
    )


@pytest.mark.parametrize("is_package", [True, False])
def test_requires_python_that_contradicts_the_version_file_names_both(new_clone: NewClone, is_package: bool) -> None:
    python = support.default_python()
    clone = new_clone().project("demo", more='requires-python = ">=3.99"').entry("prime", None, "boot")
    if not is_package:
        clone.write({"pyproject.toml": '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.99"\n'})
    # With the mark that editors on Windows write.
    clone.write({".python-version": "\ufeff" + python.name + "\n"})
    done = clone.prime("--backend", "venv", status=4, environ={"PROTOPRIMER_PYTHON_DOWNLOADS": "no"})
    assert_one_clear_message(done, [">=3.99", ".python-version", "pyproject.toml:4"])


@pytest.mark.parametrize("arguments", [["--backend", "venv"], ["--dry-run"], ["lock"], ["bundle", "new"]], ids=" ".join)
def test_no_interpreter_that_fits_lists_those_found_and_why_not(new_clone: NewClone, arguments: list[str]) -> None:
    clone = new_clone().write(table('python = ">=3.99"\npython-downloads = false\n')).entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    done = clone.prime(*arguments, status=4)
    why = "this run only looks" if "--dry-run" in arguments else "python-downloads is false"
    assert_one_clear_message(
        done, [f"not tried: {why}\n", "3.99", "pyproject.toml:2", support.default_python().executable]
    )
    assert clones.snapshot(clone.root) == before


def test_an_interpreter_that_cannot_be_fetched_leaves_nothing(
    new_clone: NewClone, fetch_tools: Callable[[str], None]
) -> None:
    fetch_tools("uv")
    clone = new_clone().write(table('python = ">=3.99"\n')).entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    errors = clone.prime(status=4).errors
    assert "fetching cpython>=3.99 through uv failed" in errors
    assert "error: no interpreter for >=3.99" in errors
    assert clones.snapshot(clone.root) == before


@pytest.mark.parametrize("wanted", ["present>=2", "persent"])
@pytest.mark.parametrize("backend_with_index", EACH_INSTALLER)
def test_an_unresolvable_requirement_shows_what_the_installer_said_and_where_it_is_to_be_corrected(
    new_clone: NewClone, fetch_tools: Callable[[str], None], backend_with_index: str, wanted: str
) -> None:
    fetch_tools(backend_with_index)
    with simple_index.serving() as index:
        index.add("present", "1.0")
        clone = new_clone(PIP_INDEX_URL=index.url, UV_DEFAULT_INDEX=index.url).entry("prime", None, "boot")
        clone.environ = {name: value for name, value in clone.environ.items() if name != "PIP_FIND_LINKS"}
        clone.write({"requirements.txt": wanted + "\n"})
        first = clone.prime("--backend", backend_with_index, status=6)
        assert wanted in first.errors.replace(" ", "")
        assert first.errors.count("error: ") >= 1
        assert "Traceback" not in first.errors
        assert re.search(r"^  log: .+\.log$", first.errors, re.MULTILINE)
        assert "\n  where: requirements.txt:1\n  next: correct " in first.errors
        assert clone.generations() == []
        assert not (clone.state / "ready").exists()
        assert not os.path.lexists(clone.root / ".venv")
        locking = clone.prime("lock", "--backend", backend_with_index, status=6).errors
        assert "\n  where: requirements.txt:1\n  next: correct " in locking
        clone.write({"requirements.txt": "present\n"})
        clone.prime("--backend", backend_with_index)
        assert clone.prime() == clones.Done(0, "", "")


def test_a_file_that_may_not_be_read_is_named(new_clone: NewClone) -> None:
    clone = new_clone().write(table("")).entry("prime", None, "boot")
    (clone.root / "pyproject.toml").chmod(0)
    done = clone.run(*support.without_privileges(), "./prime", status=3)
    assert_one_clear_message(done, ["cannot be read", "pyproject.toml"])


def assert_lost_output_is_told_and_output_that_nobody_reads_is_not(clone: clones.Clone, *command: str) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this host has no device that is always full")
    with open("/dev/full", "wb") as full:
        done = clone.run(*command, status=120, stdout=full)
    assert re.fullmatch("error: the output is lost: .+\n", done.errors)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert clone.run(*command, stdout=writing) == clones.Done(0, "", "")
    finally:
        os.close(writing)


PRINTING = [["eval"], ["graph"], ["check"], ["completion", "bash"], ["--version"], ["--help"], ["lock", "--help"]]
PRINTING += [["matrix", "--github", "--python", "3"]]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(["./prime"], id="the script"),
        pytest.param(["python3", "prime"], id="its Python half", marks=pytest.mark.thorough),
        pytest.param(["python3", "proto_kernel.py"], id="the kernel", marks=pytest.mark.thorough),
    ],
)
def test_output_that_is_lost_is_told_and_output_that_nobody_reads_is_not(new_clone: NewClone, start: list[str]) -> None:
    clone = new_clone().write(table("")).entry("prime", None, "boot")
    clone.write({"proto_kernel.py": clones.generated_kernel()}).prime("--backend", "venv")
    clone.prime("check")
    for command in PRINTING:
        assert_lost_output_is_told_and_output_that_nobody_reads_is_not(clone, *start, *command)
        # With stdout closed there is nothing to print to.
        assert clone.run("/bin/sh", "-c", '"$@" >&-', "sh", *start, *command) == clones.Done(0, "", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("main", ["def main(primer): primer.add_option('--fast')\n", "def main(): pass\n"])
def test_output_of_the_neo_runtime_that_is_lost_is_told(
    new_clone: NewClone, kernel: str, main: str, unbuffered: str
) -> None:
    clone = new_clone(PYTHONUNBUFFERED=unbuffered).write({"client.py": main}).entry("prime", "client:main", "boot")
    clone.prime("--backend", "venv")
    for command in (["--help"], ["graph"], ["graph", "--format", "dot"]):
        assert_lost_output_is_told_and_output_that_nobody_reads_is_not(clone, "./prime", *command)
        assert clone.run("/bin/sh", "-c", './prime "$@" >&-', "sh", *command) == clones.Done(0, "", "")


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["init", "--help"]])
def test_output_of_the_authors_command_line_that_is_lost_is_told(new_clone: NewClone, command: list[str]) -> None:
    clone = new_clone(PYTHONPATH=str(support.ROOT / "src"), PYTHONUNBUFFERED="1")
    assert_lost_output_is_told_and_output_that_nobody_reads_is_not(clone, sys.executable, "-m", "protoprimer", *command)


@pytest.mark.parametrize("arguments", [[], ["--python", "3"], ["reboot"], ["lock"], ["run", "true"]], ids=" ".join)
def test_a_host_on_which_no_backend_can_serve_is_told_and_no_environment_is_left(
    new_clone: NewClone, kernel: str, arguments: list[str]
) -> None:
    clone = (
        new_clone(UV="/no/uv").write({**table('backend = "uv"\n'), "requirements.txt": ""}).entry("prime", None, "boot")
    )
    done = clone.prime(*arguments, status=5)
    assert_one_clear_message(done, ["no backend can serve", "$UV: /no/uv", "correct the variable UV"])
    assert "log:" not in done.errors
    assert not list(clone.state.glob("envs/*"))


def test_gc_makes_no_state_directory(new_clone: NewClone) -> None:
    clone = new_clone().entry("prime", None, "boot")
    # What else it removes is of the cache, which all tests share.
    assert clone.prime("gc").errors.splitlines()[0] == "removed 0 generations"
    assert not clone.state.exists()


KINDS = {kind: kind for kind in ("run", "boot", "start")}
CLIENTS = {
    "a module that is not there": Bad({}, 6, ["'client'", "is not in the environment", "install"]),
    "a function that is not there": Bad({"client.py": "def mian(): pass\n"}, 6, ["'main'", "client:main", "mian"]),
    "a module that another one needs": Bad(
        {"client.py": "import os\nimport missing_one\n"}, 6, ["missing_one", "client.py:2", "dependencies"]
    ),
    "a name that another one has not": Bad(
        {"client.py": "from os import nothing_of_that_name\n"}, 6, ["nothing_of_that_name", "client.py:1"]
    ),
    "something that is no function": Bad({"client.py": "main = 3\n"}, 3, ["client:main", "not a function: name one"]),
    "an async function": Bad(
        {"client.py": "\nasync def main(): pass\n"}, 3, ["awaits or yields", "client.py:2", "asyncio.run"]
    ),
    "an async generator": Bad({"client.py": "async def main(): yield\n"}, 3, ["awaits or yields", "client.py:1"]),
    "a generator": Bad({"client.py": "def main(): yield\n"}, 3, ["awaits or yields", "client.py:1"]),
}


@pytest.mark.parametrize(("bad", "kind"), in_turn(CLIENTS, KINDS))
def test_a_client_that_cannot_be_imported_is_explained(new_clone: NewClone, kernel: str, bad: Bad, kind: str) -> None:
    clone = new_clone().write(bad.files).entry("prime", None, "boot").entry("app", "client:main", kind)
    clone.prime("--backend", "venv")
    for _start in ("by the kernel", "by the shell"):
        assert_one_clear_message(clone.run("./app", status=bad.status), bad.says)
    assert clone.builds() == 1


FAILING = {
    "an exception at import": (
        "import sys\n\ndef work():\n    raise ValueError('for the test')\n\nwork()\n",
        "in work",
    ),
    "an exception in main": (
        "def main():\n    return work()\n\ndef work():\n    raise ValueError('for the test')\n",
        "in work",
    ),
    "a syntax error": ("def main(:\n", "def main(:"),
    "a SystemExit of a subclass": (
        "class Stop(ValueError): pass\ndef main():\n    raise Stop('for the test')\n",
        "in main",
    ),
}


@pytest.mark.parametrize(("failing", "kind"), in_turn(FAILING, KINDS))
def test_a_clients_own_exception_keeps_its_traceback_without_our_frames(
    new_clone: NewClone, kernel: str, failing: tuple[str, str], kind: str
) -> None:
    module, frame = failing
    clone = new_clone().write({"client.py": module}).entry("prime", None, "boot").entry("app", "client:main", kind)
    clone.prime("--backend", "venv")
    # From the third start on nothing of the kernel runs; before, all of it may.
    for _start in range(2):
        done = clone.run("./app", status=1)
        assert frame in done.errors
        files = set(re.findall(r'File "([^"]+)"', done.errors))
        assert files == {str(clone.root / "client.py")}
        assert done.errors.count("Traceback (most recent call last)") == (0 if "Syntax" in done.errors else 1)


@pytest.mark.parametrize("python", [support.wild_pythons()[0], support.wild_pythons()[-1]], ids=["oldest", "newest"])
def test_a_glob_that_is_no_regular_expression_matches_nothing(
    new_clone: NewClone, kernel: str, python: support.WildPython
) -> None:
    """Before 3.10, Python's `fnmatch` fails on a range that runs backwards."""
    clone = new_clone().entry("prime", None, "boot").project("one", "packages/one")
    members = {"pyproject.toml": "[tool.uv.workspace]\nmembers = ['packages/[z-a]*']\nexclude = ['[a--b]*']\n"}
    for files, status in (
        ({"protoprimer.toml": "install = [{ projects = ['packages/[z-a]*'] }]\n"}, 3),
        ({"protoprimer.toml": "watch = ['data/[z-a]*', '[[a]*', '[a--b]*']\ninstall = []\n"}, 0),
        ({**members, "protoprimer.toml": ""}, 3),
    ):
        done = clone.write(files).run(python.executable, "prime", "--dry-run", status=status)
        assert "packages" in done.errors or "data/[z-a]* in" in done.errors
        assert "Traceback" not in done.errors
        assert "Warning" not in done.errors
