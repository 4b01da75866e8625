"""What passes through the switch into the client's code, and what does not, on the first start and on warm ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable

    NewClone = Callable[..., clones.Clone]

ENTRIES = {"run": "app", "boot": "tool", "start": "service"}
# A fresh clone runs the kernel, a warm one the environment's interpreter at once, and one with a touched input the
# kernel's proof by hash.
STARTS = ("cold", "warm", "touched")


@pytest.fixture
def clone(new_clone: NewClone, kernel: str) -> clones.Clone:
    """Return a clone with an entry script of each kind for a client that reports what it was given."""
    clone = new_clone().write({"client.py": clones.REPORTING_CLIENT})
    clone.write({"protoprimer.toml": 'backend = "venv"\n'}).entry("prime", None, "boot")
    for kind, name in ENTRIES.items():
        clone.entry(name, "client:main", kind)
    return clone


def prepare(clone: clones.Clone, kind: str, start: str) -> str:
    """Bring a clone into the state of one of `STARTS`, and return the entry script of a kind."""
    if start != "cold" or kind == "start":
        clone.prime()
    if start == "touched":
        os.utime(clone.root / "protoprimer.toml", (1, 1))
    return "./" + ENTRIES[kind]


ALL_STARTS = pytest.mark.parametrize(
    ("kind", "start"), [(kind, start) for kind in ENTRIES for start in STARTS if (kind, start) != ("start", "cold")]
)


@ALL_STARTS
def test_arguments_of_any_bytes_pass(clone: clones.Clone, kind: str, start: str) -> None:
    script = prepare(clone, kind, start)
    words = [b"", b"two words", b"a\nb", b"\xff\xfe", "é".encode(), b"$HOME `x` \"'\\", b"*", b"-x", b"--env", b"--"]
    if kind == "boot":
        # These are for protoprimer's own command line; the client's stand after `--`.
        words.insert(0, b"--")
    report = clone.report(script, *words)
    assert [bytes.fromhex(word) for word in report["argv"]] == (words[1:] if kind == "boot" else words)
    assert report["program"] == script


@ALL_STARTS
def test_directory_umask_and_stdin_pass(clone: clones.Clone, kind: str, start: str) -> None:
    script = prepare(clone, kind, start)
    clone.write(
        {
            "client.py": clones.REPORTING_CLIENT
            + "\ndef main():\n    print(json.dumps(dict(report(), stdin=sys.stdin.read())))\n"
        }
    )
    elsewhere = clone.root.parent / "home"
    old = os.umask(0o027)
    try:
        report = clone.report(str(clone.root / script), stdin=b"line\nline without end", cwd=elsewhere)
    finally:
        os.umask(old)
    assert (report["cwd"], report["umask"], report["stdin"]) == (str(elsewhere), 0o027, "line\nline without end")


STATUSES: dict[str, tuple[str, int, str, str]] = {
    "nothing": ("pass", 0, "", ""),
    "zero": ("return 0", 0, "", ""),
    "a number": ("return 7", 7, "", ""),
    "a number above 255": ("return 256 + 9", 9, "", ""),
    "true": ("return True", 1, "", ""),
    "a text": ("return 'what went wrong'", 1, "", "what went wrong\n"),
    "SystemExit": ("raise SystemExit", 0, "", ""),
    "SystemExit with a number": ("raise SystemExit(5)", 5, "", ""),
    "SystemExit with a text": ("raise SystemExit('words')", 1, "", "words\n"),
    "sys.exit in a finally": ("\n    try:\n        return 3\n    finally:\n        print('done')", 3, "done\n", ""),
    "os._exit": ("import os; os._exit(12)", 12, "", ""),
    "death by a signal": ("import os; os.kill(os.getpid(), 15)", -15, "", ""),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_the_clients_end_is_the_entry_scripts_end(clone: clones.Clone, kind: str) -> None:
    clone.prime()
    # Bytecode is told to be old by whole seconds and the size.
    clone.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name, (body, status, output, errors) in STATUSES.items():
        clone.write({"client.py": f"def main():\n    {body}\n"})
        assert clone.run("./" + ENTRIES[kind], status=status) == clones.Done(status, output, errors), name
        # Once more through the kernel, which a change of the times alone asks.
        os.utime(clone.root / "protoprimer.toml", (1, 1))
        assert clone.run("./" + ENTRIES[kind], status=status) == clones.Done(status, output, errors), name


@pytest.mark.parametrize("kind", ENTRIES)
def test_a_signal_reaches_the_client_and_its_status_the_caller(clone: clones.Clone, kind: str) -> None:
    clone.prime()
    clone.write({"client.py": "import time\ndef main():\n    print('here', flush=True)\n    time.sleep(300)\n"})
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
        process = clone.start("./" + ENTRIES[kind])
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        done = clones.finished(process)
        assert done.status == -number
        assert ("KeyboardInterrupt" in done.errors) == (number == signal.SIGINT)
        assert "proto_kernel" not in done.errors


def test_a_client_may_handle_its_signals(clone: clones.Clone) -> None:
    clone.prime()
    clone.write(
        {
            "client.py": "import signal, time, sys\ndef main():\n"
            "    signal.signal(signal.SIGTERM, lambda *_: sys.exit(33))\n    print('here', flush=True)\n    time.sleep(300)\n"
        }
    )
    for name in ENTRIES.values():
        process = clone.start("./" + name)
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.terminate()
        assert clones.finished(process).status == 33


def test_an_ignored_signal_stays_ignored(clone: clones.Clone) -> None:
    """`nohup ./app` relies on it."""
    clone.write(
        {"client.py": "import signal\ndef main():\n    print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)\n"}
    )
    for _start in ("cold", "warm"):
        assert clone.run("sh", "-c", "trap '' HUP; exec ./app").output == "True\n"


@ALL_STARTS
def test_no_variable_of_ours_reaches_the_client_or_its_children(clone: clones.Clone, kind: str, start: str) -> None:
    script = prepare(clone, kind, start)
    clone.write(
        {"client.py": "import os, subprocess\ndef main():\n    print(dict(os.environ))\n    subprocess.call(['env'])\n"}
    )
    done = clone.run(script)
    assert "PATH=" in done.output
    assert "PROTOPRIMER" not in done.output.upper().replace("/.PROTOPRIMER/", "")


FOREIGN = {
    "VIRTUAL_ENV": "/nowhere/venv",
    "VIRTUAL_ENV_PROMPT": "(nowhere)",
    "PYTHONPATH": "/nowhere/path",
    "PYTHONHOME": "/nowhere/home",
    "PYTHONEXECUTABLE": "/nowhere/python",
    "__PYVENV_LAUNCHER__": "/nowhere/python",
}


@ALL_STARTS
def test_what_a_foreign_environment_left_does_not_leak(clone: clones.Clone, kind: str, start: str) -> None:
    script = prepare(clone, kind, start)
    path = "/nowhere/venv/bin:" + clone.environ["PATH"]
    report = clone.report(script, environ={**FOREIGN, "PATH": path, "KEPT": "1"})
    here = str(clone.generations()[0])
    assert not (set(FOREIGN) - {"VIRTUAL_ENV"}).intersection(report["environ"])
    assert report["environ"]["PATH"] == f"{here}/bin:{clone.environ['PATH']}"
    assert report["environ"]["VIRTUAL_ENV"] == here
    assert report["environ"]["KEPT"] == "1"
    assert not [path for path in report["path"] if "nowhere" in path]
    assert report["prefix"] == str(clone.generations()[0])


@pytest.mark.parametrize("kind", ENTRIES)
def test_started_inside_a_foreign_activated_environment(
    clone: clones.Clone, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    """Its python3 is the first on PATH; the environment is made from that one's base, and holds nothing of it."""
    foreign = tmp_path_factory.mktemp("foreign") / "venv"
    python = support.default_python()
    subprocess.run([python.executable, "-I", "-m", "venv", "--without-pip", str(foreign)], check=True)
    packages = next(foreign.glob("lib/*/site-packages"))
    (packages / "client.py").write_text("def main(): print('the foreign one')\n")
    (packages / "sitecustomize.py").write_text("raise SystemExit('foreign code was run')\n")
    variables = {"VIRTUAL_ENV": str(foreign), "PATH": f"{foreign / 'bin'}:{clone.environ['PATH']}"}
    if kind == "start":
        clone.prime(environ=variables)
    for _start in ("cold", "warm"):
        report = clone.report("./" + ENTRIES[kind], environ=variables)
        assert report["prefix"] == str(clone.generations()[0])
        assert os.path.realpath(report["base_prefix"]) == os.path.dirname(
            os.path.dirname(os.path.realpath(python.executable))
        )
        assert report["environ"]["VIRTUAL_ENV"] == report["prefix"]
    assert clone.builds() == 1


@pytest.mark.parametrize("kind", ENTRIES)
def test_started_by_a_python_of_the_users_choice(clone: clones.Clone, kind: str) -> None:
    """`python3 prime`, the environment's own python, and both of them again when warm."""
    clone.prime()
    for interpreter in ("python3", ".venv/bin/python", str(clone.generations()[0] / "bin" / "python")):
        for start in ("warm", "touched"):
            if start == "touched":
                os.utime(clone.root / "protoprimer.toml", (1, 1))
            report = clone.report(interpreter, ENTRIES[kind])
            assert report["prefix"] == str(clone.generations()[0])
            assert report["program"] == ENTRIES[kind]
    assert clone.builds() == 1


def test_started_inside_its_own_activated_environment(clone: clones.Clone) -> None:
    clone.prime()
    here = str(clone.generations()[0])
    variables = {"VIRTUAL_ENV": here, "PATH": f"{here}/bin:{clone.environ['PATH']}"}
    for start in STARTS[1:]:
        report = clone.report(prepare(clone, "run", start), environ=variables)
        assert report["prefix"] == here
        assert report["environ"]["VIRTUAL_ENV"] == here
    # A change that needs another environment, asked for from inside the present one.
    clone.write({"protoprimer.toml": 'backend = "venv"  # changed\n'})
    report = clone.report("./app", environ=variables)
    assert report["prefix"] == str(clone.generations()[1])
    assert clone.builds() == 2


@ALL_STARTS
def test_flags_that_users_set_by_variable_are_honoured(clone: clones.Clone, kind: str, start: str) -> None:
    script = prepare(clone, kind, start)
    for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE", "PYTHONWARNINGS"):
        clone.environ.pop(name, None)
    wanted = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "x",
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error::DeprecationWarning,ignore::ResourceWarning",
    }
    report = clone.report(script, environ=wanted)
    assert report["flags"] == {"isolated": 1, "dont_write_bytecode": 1, "optimize": 2}
    assert report["warnoptions"] == ["error::DeprecationWarning", "ignore::ResourceWarning"]
    assert report["write_through"] is not False
    for name, value in wanted.items():
        assert report["environ"][name] == value
    plain = clone.report(script)
    assert plain["flags"] == {"isolated": 1, "dont_write_bytecode": 0, "optimize": 0}
    assert plain["warnoptions"] == []
    assert plain["write_through"] is not True


def test_nothing_beside_the_script_or_in_the_directory_shadows_the_standard_library(clone: clones.Clone) -> None:
    trap = "raise SystemExit('shadowed')\n"
    clone.write({f"{name}.py": trap for name in ("json", "os", "re", "subprocess", "shutil", "site", "argparse")})
    for start in STARTS:
        clone.report(prepare(clone, "run", start))
        clone.report("python3", "app")


def test_start_app_without_an_environment_says_what_to_run_and_builds_nothing(clone: clones.Clone) -> None:
    before = clones.snapshot(clone.root)
    done = clone.run("./service", status=8)
    assert done.output == ""
    assert done.errors.startswith("error: the environment is not ready\n")
    assert "next: run ./prime\n" in done.errors
    assert clones.snapshot(clone.root) == before


def test_start_app_runs_a_stale_environment_with_one_warning(clone: clones.Clone) -> None:
    clone.prime()
    clone.write({"protoprimer.toml": 'backend = "venv"  # changed\n'})
    # The interpreter writes the client's bytecode at its first import.
    clone.run("./service")
    before = clones.snapshot(clone.root)
    for _start in range(2):
        done = clone.run("./service")
        assert done.json()["prefix"] == str(clone.generations()[0])
        assert done.errors.count("warning: ") == 1
        assert "./prime" in done.errors
    assert clones.snapshot(clone.root) == before
    clone.prime()
    assert clone.run("./service").errors == ""


EXTENDING_CLIENT = """\
import json, sys

def main():
    held = sorted(name for name in sys.modules if "kernel" in name)
    from protoprimer import get_config, state
    import protoprimer
    from protoprimer.primer_kernel import StateGraph
    @state
    def greeting():
        return "hello"
    print(json.dumps({
        "held": held,
        "file": protoprimer.__file__,
        "config": get_config(),
        "primer": sorted(get_config("primer")),
    }))
"""


@ALL_STARTS
def test_a_client_can_import_protoprimer_without_declaring_it(clone: clones.Clone, kind: str, start: str) -> None:
    script = prepare(clone, kind, start)
    clone.write({"client.py": EXTENDING_CLIENT})
    report = clone.report(script)
    assert report["config"]["root"] == str(clone.root)
    assert report["config"]["backend"] == "venv"
    assert report["primer"] == ["kernel", "root"]
    if start == "warm":
        assert report["held"] == [], "the kernel is loaded by who asks for it only"


@ALL_STARTS
def test_a_client_can_import_protoprimer_at_its_top_too(clone: clones.Clone, kind: str, start: str) -> None:
    script = prepare(clone, kind, start)
    head = "from protoprimer import get_config, state\nfrom protoprimer.primer_kernel import StateGraph\n"
    clone.write({"client.py": head + "def main():\n    print(get_config()['root'])\n"})
    assert clone.run(script).output == f"{clone.root}\n"


def test_one_repositorys_run_inside_anothers_disturbs_neither(clone: clones.Clone, new_clone: NewClone) -> None:
    inner = new_clone("inner").write({"client.py": clones.REPORTING_CLIENT}).entry("app", "client:main", "run")
    inner.write({"protoprimer.toml": 'backend = "venv"\n'})
    clone.write(
        {"client.py": f"import subprocess\ndef main():\n    return subprocess.call([{str(inner.root / 'app')!r}])\n"}
    )
    for _start in ("cold", "warm"):
        report = clone.report("./app")
        assert report["prefix"] == str(inner.generations()[0])
    assert (clone.builds(), inner.builds()) == (1, 1)


def test_an_interpreter_that_does_not_enter_its_environment_ends_with_a_message(clone: clones.Clone) -> None:
    clone.prime()
    generation = clone.generations()[0]
    python = generation / "bin" / "python"
    python.unlink()
    # A wrapper that forgets by which name it was started, as some distributions have had.
    python.write_text(f'#!/bin/sh\nexec {support.default_python().executable} "$@"\n')
    python.chmod(0o755)
    done = clone.run("./app", status=None)
    assert "Traceback" not in done.errors
    assert done.status in (0, 6)


def test_boot_hands_the_primer_to_a_main_that_asks_for_it(clone: clones.Clone) -> None:
    clone.write(
        {
            "client.py": "def main(primer):\n    primer.add_option('--who')\n"
            "    print(primer.options.who, primer.root, primer.environment)\n"
        }
    )
    clone.prime()
    for start in STARTS[1:]:
        script = prepare(clone, "boot", start)
        done = clone.run(script, "--who", "me")
        assert done.output == f"me {clone.root} {clone.generations()[0]}\n"
        refused = clone.run(script, "--whom", "me", status=2)
        assert "--whom" in refused.errors
        assert "Traceback" not in refused.errors


def test_an_unknown_option_is_refused_at_once_without_a_client(clone: clones.Clone) -> None:
    before = clones.snapshot(clone.root)
    assert "--whom" in clone.prime("--whom", "me", status=2).errors
    assert clones.snapshot(clone.root) == before


def test_run_becomes_the_command(clone: clones.Clone) -> None:
    process = clone.start("./prime", "run", "--", "sh", "-c", "echo $$; command -v python; env; exit 9")
    done = clones.finished(process)
    pid, python, *variables = done.output.splitlines()
    assert (done.status, int(pid)) == (9, process.pid)
    assert python == str(clone.generations()[0] / "bin" / "python")
    assert "VIRTUAL_ENV=" + str(clone.generations()[0]) in variables
    assert not [line for line in variables if line.startswith("PROTOPRIMER")]
    missing = clone.prime("run", "--", "no-such-command", status=2)
    assert "no-such-command" in missing.errors


OLD_SCRIPTS = Path(__file__).parent


def test_entry_scripts_of_version_0_1_go_on_working_with_a_new_kernel(clone: clones.Clone) -> None:
    """Their text as `init` and `entry` wrote it then; they leave `ready` alone, and start the kernel each time."""
    for name in ("app", "prime"):
        script = clone.root / name
        script.write_text((OLD_SCRIPTS / f"entry_0_1_{name}.txt").read_text(encoding="utf-8"), encoding="utf-8")
        script.chmod(0o755)
    for _start in ("cold", "warm"):
        report = clone.report("./app", "a b")
        assert report["prefix"] == str(clone.generations()[0])
        assert report["argv"] == ["a b".encode().hex()]
        assert not [name for name in report["environ"] if name.startswith("PROTOPRIMER_")]
        assert clone.prime().status == 0
    assert clone.prime("run", "--", "python", "-c", "print(6 * 7)").output == "42\n"
    assert clone.builds() == 1


def test_a_package_of_the_same_name_by_others_is_left_alone(clone: clones.Clone) -> None:
    """It is told of once, never called by the kernel, and what a client imports by that name."""
    clone.project("protoprimer", "foreign", module="word = 'theirs'\n")
    clone.write({"protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = ["foreign"] }]\n'})
    done = clone.prime()
    assert done.errors.count("is not ours") == 1
    clone.write({"client.py": "import protoprimer\ndef main():\n    print(protoprimer.word)\n"})
    for start in ("warm", "touched"):
        assert clone.run(prepare(clone, "run", start)).output == "theirs\n"
        assert clone.run(prepare(clone, "boot", start)).output == "theirs\n"


@pytest.mark.parametrize("words", [["./app"], ["./tool"], ["./tool", "--", "x"], ["./service"]])
def test_an_interrupt_ends_a_client_by_the_signal(clone: clones.Clone, words: list[str]) -> None:
    clone.write({"client.py": "import time\ndef main():\n    print('up', flush=True)\n    time.sleep(60)\n"})
    clone.prime()
    process = clone.start(*words)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    done = clones.finished(process)
    assert done.status == -signal.SIGINT
    assert "launch.py" not in done.errors
    assert "proto_kernel" not in done.errors


def test_it_works_from_a_directory_that_is_gone(clone: clones.Clone) -> None:
    clone.write({"client.py": "import sys\ndef main():\n    print(sys.prefix)\n"})
    gone = clone.root / "gone"
    for start in STARTS:
        gone.mkdir()
        script = os.path.abspath(clone.root / prepare(clone, "run", start))
        leave = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.argv[1], sys.argv[1:])"
        done = clone.run(sys.executable, "-I", "-c", leave, script, cwd=gone)
        assert done.output == f"{clone.generations()[0]}\n"
        assert "Traceback" not in done.errors


@pytest.mark.skipif(os.name == "nt", reason="no directory in use can be removed there")
def test_a_script_named_relative_to_a_directory_that_is_gone_says_so_in_one_sentence(
    clone: clones.Clone, kernel: str
) -> None:
    clone.write({"client.py": "def main():\n    print('ran')\n"})
    clone.prime()
    gone = clone.root / "gone"
    # Only as a file of its own is the kernel an entry script, too.
    for name in ["app", "prime"] + ["proto_kernel.py"] * (kernel == "file"):
        gone.mkdir()
        leave = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.argv[1], sys.argv[1:])"
        done = clone.run(sys.executable, "-I", "-c", leave, "/bin/sh", "../" + name, cwd=gone, status=3)
        # Some shells have a word of their own on it.
        assert done.errors.splitlines()[-1] == "error: this directory is gone"
        assert "Traceback" not in done.errors
