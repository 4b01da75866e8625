"""From nothing to a ready environment, and the commands and options on the way, as a user types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones
import simple_index
import support

if TYPE_CHECKING:
    from collections.abc import Callable

    NewClone = Callable[..., clones.Clone]
    FetchTools = Callable[[str], None]

SILENT = clones.Done(0, "", "")


@pytest.fixture
def clone(new_clone: NewClone, kernel: str) -> clones.Clone:
    """Return a clone with nothing to install and a client that reports."""
    clone = new_clone().write({"client.py": clones.REPORTING_CLIENT, "protoprimer.toml": 'backend = "venv"\n'})
    return clone.entry("prime", None, "boot").entry("app", "client:main", "run")


# From nothing


@pytest.mark.index
@pytest.mark.backends_in_turn
def test_one_old_python_on_path_and_no_tool_is_enough(
    new_clone: NewClone, wild_python: support.WildPython, backend: str
) -> None:
    clone = new_clone(python=wild_python)
    clone.project("piece", more='requires-python = ">=3.6"', module=clones.REPORTING_CLIENT)
    clone.entry("prime", None, "boot").entry("app", "piece:main", "run")
    if backend == "uv" and wild_python.version < (3, 7):
        refused = clone.prime("--backend", backend, status=5)
        assert "cannot install an editable project into Python 3.6" in refused.errors
        clone.write({"protoprimer.toml": 'install = [{ projects = [{ path = ".", editable = false }] }]\n'})
    clone.prime("--backend", backend)
    report = clone.report("./app")
    assert report["python"] == list(wild_python.version)
    assert report["prefix"] == str(clone.generations()[0])
    if not (clone.root / "protoprimer.toml").exists():
        assert report["modules"]["piece"] == str(clone.root / "piece.py")
    record = json.loads((clone.generations()[0] / "protoprimer.json").read_text())
    assert record["backend"] == backend
    assert "pip" not in record["distributions"]
    assert clone.prime() == SILENT
    assert clone.builds() == 1


@pytest.mark.index
@pytest.mark.backends_in_turn
def test_the_oldest_python_starts_a_repository_that_wants_a_newer_one(
    new_clone: NewClone, kernel: str, backend: str
) -> None:
    oldest, newest = support.wild_pythons()[0], support.wild_pythons()[-1]
    if oldest == newest:
        pytest.skip("this machine has one Python only")
    clone = new_clone(python=oldest, **support.shared_caches())
    clone.project("piece", more=f'requires-python = ">={newest.name}"', module=clones.REPORTING_CLIENT)
    report = clone.entry("app", "piece:main", "run").report("./app", environ={"PROTOPRIMER_BACKEND": backend})
    assert report["python"] == list(newest.version)


def test_no_python_at_all_is_one_sentence(clone: clones.Clone, toolset: Callable[..., str]) -> None:
    done = clone.prime(status=4, environ={"PATH": toolset(None)})
    assert done.errors == "error: no Python 3.6 or newer is on PATH; install one\n"


def test_the_kernel_itself_is_an_entry_script(new_clone: NewClone) -> None:
    clone = new_clone().write({"protoprimer.toml": 'backend = "venv"\n'}).entry("prime", None, "boot")
    if clone.kernel != "file":
        pytest.skip("the generated file is left out of this run")
    clone.run("python3", "proto_kernel.py")
    assert clone.run("python3", "proto_kernel.py") == SILENT
    assert clone.run("sh", "proto_kernel.py", "--version").output.startswith("protoprimer ")
    assert clone.builds() == 1


# Options


def test_another_python_can_be_asked_for_one_run_only(clone: clones.Clone) -> None:
    others = [python for python in support.wild_pythons() if python != support.default_python()]
    if not others:
        pytest.skip("this machine has one Python only")
    clone.environ.update(support.shared_caches())
    usual = clone.report("./app")
    asked = clone.prime("--python", others[-1].name, "run", "--", "python", "-c", "import sys; print(sys.version)")
    assert asked.output.startswith(others[-1].name)
    assert clone.report("./app")["prefix"] == usual["prefix"]
    assert os.path.realpath(clone.root / ".venv") == usual["prefix"]
    again = clone.report("./app", environ={"PROTOPRIMER_PYTHON": others[-1].name})
    assert again["python"] == list(others[-1].version)
    assert clone.builds() == 2


def test_a_selector_that_changes_its_mind_is_followed(clone: clones.Clone) -> None:
    first, second = [python.executable for python in support.wild_pythons() if python.version >= (3, 8)][:2]
    clone.write({"protoprimer.toml": 'python-selector = "choose.py"\nbackend = "venv"\n'})
    for chosen in (first, second):
        clone.write({"choose.py": f"def select_python(required):\n    return {chosen!r}\n"})
        clone.prime()
        record = json.loads((clone.root / ".venv" / "protoprimer.json").read_text())
        assert record["interpreter"]["origin"] == "choose.py"
        assert os.path.samefile(record["interpreter"]["executable"], chosen)
    clone.write({"choose.py": "def select_python(required):\n    return None\n"})
    clone.prime()
    left = json.loads((clone.root / ".venv" / "protoprimer.json").read_text())
    assert os.path.samefile(left["interpreter"]["executable"], second)


def test_a_named_environment_is_for_one_command_unless_the_clone_chooses_it(clone: clones.Clone) -> None:
    clone.project("piece", "piece").write(
        {"protoprimer.toml": 'backend = "venv"\ninstall = []\n[env.test]\ninstall = [{ projects = ["piece"] }]\n'}
    )
    default = clone.report("./app")["prefix"]
    said = clone.prime("--env", "test").errors
    assert "building the environment test because nothing was built yet" in said
    assert clone.report("./app")["prefix"] == default == os.path.realpath(clone.root / ".venv")
    clone.prime("env", "test")
    test = clone.report("./app")["prefix"]
    assert os.path.basename(test).startswith("test-")
    assert os.path.realpath(clone.root / ".venv") == test
    for name, prefix in (("default", default), ("test", test)):
        clone.prime("env", name)
        assert clone.prime().status == 0
        assert clone.report("./app")["prefix"] == prefix
        assert os.path.realpath(clone.root / ".venv") == prefix
    assert clone.report("./app", environ={"PROTOPRIMER_ENV": "default"})["prefix"] == default
    assert clone.builds() == 2


def test_variables_steer_the_runs_that_see_them_and_no_other(clone: clones.Clone) -> None:
    clone.write({"protoprimer.toml": 'backend = "venv"\n[env.test]\nwatch = ["other"]\n'})
    default = clone.report("./app")["prefix"]
    for name, value in (("PROTOPRIMER_ENV", "test"), ("PROTOPRIMER_SEED_PIP", "true")):
        other = clone.report("./app", environ={name: value})["prefix"]
        assert other != default
        assert clone.report("./app")["prefix"] == default == os.path.realpath(clone.root / ".venv")
        assert clone.report("./app", environ={name: value})["prefix"] == other
    assert clone.builds() == 3


def test_lock_tells_of_a_name_that_is_not_there_and_of_directories_that_it_leaves_out(
    clone: clones.Clone, tmp_path: Path
) -> None:
    clone.project("piece", ".", 'requires-python = ">=3.8"\n')
    with simple_index.serving() as index:
        environ = {"PIP_INDEX_URL": index.url, "PIP_FIND_LINKS": str(tmp_path), "PIP_EXTRA_INDEX_URL": index.url}
        said = clone.prime("lock", "--upgrade-package", "Pice", environ=environ, status=2).errors
        assert "pylock.toml has no package Pice" in said
        clone.write({"requirements.txt": "piece-that-nobody-has\n"})
        clone.write({"protoprimer.toml": 'backend = "venv"\ninstall = { requirements = ["requirements.txt"] }\n'})
        said = clone.prime("lock", environ=environ, status=6).errors
        assert f"a lock leaves this host's directories out: {tmp_path}" in said


def test_an_environment_that_is_remembered_and_no_longer_configured_is_said(clone: clones.Clone) -> None:
    clone.write({"protoprimer.toml": 'backend = "venv"\n[env.test]\nkeep = 2\n'}).prime("env", "test")
    clone.write({"protoprimer.toml": 'backend = "venv"\n'})
    said = "this branch has no environment 'test', which this clone has chosen: taking default\n"
    assert clone.prime().errors.startswith(said)
    clone.prime("--env", "test", status=3)
    clone.prime("env", "default")
    assert clone.prime() == SILENT


def test_reboot_builds_from_scratch_and_gc_keeps_what_is_wanted(clone: clones.Clone) -> None:
    clone.write({"protoprimer.toml": 'backend = "venv"\nkeep = 2\n'})
    for _build in range(4):
        assert "from scratch" in clone.prime("reboot").errors
    assert clone.builds() == 4
    assert len(clone.generations()) == 2
    prefix = clone.report("./app")["prefix"]
    assert prefix == str(clone.generations()[-1])
    clone.write({"protoprimer.toml": 'backend = "venv"\nkeep = 1\n'})
    clone.prime("reboot")
    (clone.state / "envs" / "default-0123456789abcdef").mkdir()
    clone.age_marks()
    assert "removed" in clone.prime("gc").errors
    assert [path.name for path in clone.generations()] == [os.path.basename(clone.report("./app")["prefix"])]
    assert not (clone.state / "envs" / "default-0123456789abcdef").exists()


def test_gc_spares_what_a_process_uses(clone: clones.Clone) -> None:
    clone.write(
        {
            "protoprimer.toml": 'backend = "venv"\nkeep = 1\n',
            "slow.py": "import sys\ndef main():\n    print('here', flush=True)\n    sys.stdin.read()\n",
        }
    )
    clone.entry("slow", "slow:main", "run").prime()
    process = clone.start("./slow", stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    clone.prime("reboot")
    clone.age_marks()
    clone.prime("gc")
    assert len(clone.generations()) == 2
    clones.finished(process)
    clone.prime("gc")
    assert len(clone.generations()) == 1


@pytest.mark.parametrize("is_built", [False, True])
def test_a_dry_run_changes_nothing(clone: clones.Clone, is_built: bool) -> None:
    clone.write({"protoprimer.toml": 'backend = "venv"\n[env.test]\nkeep = 2\n'})
    if is_built:
        clone.prime()
    before = clones.snapshot(clone.root)
    for command in ([], ["boot"], ["reboot"], ["lock"], ["gc"], ["run", "--", "true"], ["--env", "test"]):
        done = clone.prime("--dry-run", *command)
        assert (done.output, done.errors.count("\n")) == ("", 1), command
        assert clones.snapshot(clone.root) == before, command


# Without network


@pytest.mark.index
@pytest.mark.parametrize("tool", ["uv", "virtualenv"])
def test_offline_works_with_what_the_cache_has_and_else_says_what_is_missing(
    new_clone: NewClone, fetch_tools: FetchTools, tmp_path: Path, tool: str
) -> None:
    fetch_tools(tool)
    clone = new_clone().project("piece").entry("prime", None, "boot")
    with simple_index.serving() as index:
        clone.environ.update(PIP_INDEX_URL=index.url, UV_DEFAULT_INDEX=index.url)
        clone.environ.pop("PIP_FIND_LINKS", None)
        cold = clone.prime(
            "--offline", "--backend", tool, status=5, environ={"PROTOPRIMER_CACHE": str(tmp_path / "cold")}
        )
        assert tool in cold.errors
        assert "offline" in cold.errors
        assert "Traceback" not in cold.errors
        assert clone.generations() == []
        clone.prime("--offline", "--backend", tool)
        assert len(clone.generations()) == 1
        assert index.requests == []


def test_offline_with_a_requirement_that_is_nowhere_names_it(
    new_clone: NewClone, fetch_tools: FetchTools, backend: str
) -> None:
    fetch_tools(backend)
    clone = new_clone().write({"requirements.txt": "nowhere-at-all\n"}).entry("prime", None, "boot")
    with simple_index.serving() as index:
        clone.environ.update(PIP_INDEX_URL=index.url, UV_DEFAULT_INDEX=index.url)
        clone.environ.pop("PIP_FIND_LINKS", None)
        done = clone.prime("--offline", "--backend", backend, status=6)
        assert "nowhere-at-all" in done.errors
        assert index.requests == []


# What is printed


def test_json_is_all_of_stdout(clone: clones.Clone) -> None:
    for built in (False, True):
        configured = clone.prime("eval", "--json").json()
        assert configured["values"]["backend"] == {
            "value": "venv",
            "leap": "client",
            "place": "protoprimer.toml:1 (backend)",
        }
        assert configured["root"] == str(clone.root)
        checked = clone.prime("check", "--json", status=0 if built else 1).json()
        assert os.path.realpath(support.default_python().executable) in {
            os.path.realpath(one["path"]) for one in checked["interpreters"]
        }
        assert checked["backends"]["venv"] is True
        assert (checked["environment"] == "current") == built
        assert clone.builds() == built
        if not built:
            clone.prime()


def test_eval_tells_the_leap_of_each_value(clone: clones.Clone) -> None:
    clone.write({"protoprimer.toml": 'backend = "venv"\nkeep = 5\n[env.test]\nkeep = 6\n', ".python-version": "3\n"})
    done = clone.prime("eval", "--json", "--env", "test", environ={"PROTOPRIMER_SEED_PIP": "yes"})
    values = done.json()["values"]
    assert (values["keep"]["value"], values["keep"]["leap"]) == (6, "env")
    assert (values["seed-pip"]["value"], values["seed-pip"]["place"]) == (True, "PROTOPRIMER_SEED_PIP")
    assert (values["python"]["value"], values["python"]["place"]) == ("3", ".python-version:1")
    assert not clone.state.exists()


def test_quiet_says_nothing_and_verbose_says_more(clone: clones.Clone) -> None:
    assert clone.prime("-q") == SILENT
    plain = clone.prime("reboot").errors
    verbose = clone.prime("reboot", "-v").errors
    loud = clone.prime("reboot", "-vv").errors
    assert plain.count("\n") <= verbose.count("\n") < loud.count("\n")
    assert re.search(r"^created an environment for .* in \d+\.\d\d s$", plain, re.MULTILINE)
    clone.write({"requirements.txt": "-r nowhere.txt\n"})
    failed = clone.prime("-q", status=3)
    assert failed.errors.startswith("error: ")


def test_colour_is_for_terminals_that_want_it(clone: clones.Clone) -> None:
    pexpect = pytest.importorskip("pexpect")
    for variables, is_coloured in (
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"CI": "1"}, False),
    ):
        environ = {**clone.environ, "TERM": "xterm", **variables}
        terminal = pexpect.spawn("./prime", ["reboot"], cwd=str(clone.root), env=environ, encoding="utf-8", timeout=120)
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
        assert ("\033[3" in terminal.before) == is_coloured, variables
    assert "\033" not in clone.prime("reboot").errors
    assert "\033[3" in clone.prime("reboot", "--color", "always").errors


def test_the_log_has_what_a_failure_needs_and_failures_name_it(clone: clones.Clone) -> None:
    clone.project("piece", "piece").write(
        {"protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = ["piece"] }]\n'}
    )
    clone.write({"piece/builder.py": "def build_editable(*_):\n    raise RuntimeError('the builder is broken')\n"})
    done = clone.prime(status=6)
    assert "the builder is broken" in done.errors
    assert str(clone.root) not in re.sub(r"(?m)^  \| .*", "", done.errors)
    log = (clone.root / re.findall(r"^  log: (.+)$", done.errors, re.MULTILINE)[0]).read_text(encoding="utf-8")
    assert "the builder is broken" in log
    # Whoever reads it later may be elsewhere.
    assert str(clone.root) in log
    assert clone.generations() == []


def test_the_checkout_stays_clean(clone: clones.Clone) -> None:
    clone.write({".gitignore": "__pycache__\n/.venv\n"})
    support.git("init", "-q", where=clone.root)
    support.git("add", "-A", where=clone.root)
    clone.prime()
    clone.report("./app")
    status = support.git("status", "--porcelain", "--untracked-files=all", where=clone.root)
    assert [line for line in status.splitlines() if not line.startswith("A  ")] == []


def test_help_and_version_need_no_environment(clone: clones.Clone) -> None:
    assert "usage: ./prime" in clone.prime("--help").output
    assert clone.prime("--version").output.startswith("protoprimer ")
    assert "--upgrade-package" in clone.prime("lock", "--help").output
    assert not clone.state.exists()


def test_a_target_ends_the_way_there(clone: clones.Clone) -> None:
    clone.prime("--target", "configuration")
    assert not clone.state.exists()
    clone.prime("--target", "environment")
    assert clone.builds() == 1


# Odd places


def test_a_path_of_any_letters_in_any_locale_is_one_clone(new_clone: NewClone, kernel: str) -> None:
    """Before 3.7 Python took paths of the C locale for ASCII; the fingerprint must not tell the difference."""
    oldest = support.wild_pythons()[0]
    clone = new_clone('it\'s a r\u00e9po $HOME `x` "q" 100%s;\n&', python=oldest)
    clone.write({"client.py": clones.REPORTING_CLIENT, "protoprimer.toml": 'backend = "venv"\n'})
    clone.entry("prime", None, "boot").entry("app", "client:main", "run")
    clone.environ = {name: value for name, value in clone.environ.items() if not name.startswith(("LANG", "LC_"))}
    for locale in ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {}):
        assert "Traceback" not in clone.run("./app", environ=locale).errors
        os.utime(clone.root / "protoprimer.toml", (1, 1))
        assert clone.run("./app", environ=locale).errors == ""
    assert clone.builds() == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_obstacle(clone: clones.Clone, closed: str) -> None:
    clone.write({"client.py": "def main():\n    open('ran', 'w').close()\n"})
    for _start in ("cold", "warm"):
        done = clone.run("sh", "-c", f"exec ./app {closed}")
        assert "Traceback" not in done.errors
        (clone.root / "ran").unlink()


def test_a_working_directory_that_is_gone_is_no_obstacle(clone: clones.Clone, tmp_path: Path) -> None:
    clone.write({"client.py": "def main():\n    print('ran')\n"})
    script = f'cd "$1" && rm -r "$1" && PATH={clone.environ["PATH"]} && exec "$0"'
    for number, _start in enumerate(("cold", "warm")):
        gone = tmp_path / f"gone {number}"
        gone.mkdir()
        done = clone.run("sh", "-c", script, str(clone.root / "app"), str(gone))
        assert done.output == "ran\n"
        assert "Traceback" not in done.errors


@pytest.mark.parametrize("home", [None, "/nowhere", "read-only"])
def test_a_home_that_is_absent_or_not_writable_is_no_obstacle(clone: clones.Clone, home: str | None) -> None:
    """So it is in many containers. The cache is then a private temporary one."""
    clone.project("piece", "piece").write(
        {"protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = ["piece"] }]\n'}
    )
    for name in ("HOME", "PROTOPRIMER_CACHE", "XDG_CACHE_HOME"):
        clone.environ.pop(name, None)
    temporary = clone.root.parent / "temporary"
    temporary.mkdir()
    clone.environ["TMPDIR"] = str(temporary)
    command = ["./prime"]
    if home == "read-only":
        home = str(clone.root.parent / "read-only")
        os.mkdir(home, 0o555)
        command = [*support.without_privileges(), *command]
    if home is not None:
        clone.environ["HOME"] = home
    clone.run(*command)
    assert clone.report("./app")["prefix"] == str(clone.generations()[0])


@pytest.mark.skipif(not support.mount_namespace_works(), reason="nothing can be mounted here")
@pytest.mark.parametrize("kilobytes", [8, 16, 32, 48])
def test_a_full_disk_is_named_and_once_there_is_room_the_next_run_succeeds(clone: clones.Clone, kilobytes: int) -> None:
    (clone.root / ".protoprimer").mkdir()
    tools = clone.environ["PATH"]
    script = (
        f"mount -t tmpfs -o size={kilobytes}k none .protoprimer || exit 99; PATH={tools} ./prime 2>&1; echo status $?;"
        f"mount -o remount,size=64m .protoprimer; PATH={tools} ./prime; PATH={tools} ./prime; exec .venv/bin/python -V"
    )
    done = clone.run("env", "PATH=" + os.environ["PATH"], "unshare", "-m", "sh", "-c", script)
    assert "No space left on device" in done.output
    assert "status 6" in done.output
    assert "Traceback" not in done.output
    assert done.errors.count("created an environment") == 1
    assert "Python 3." in done.output
