"""A warm start: nothing is said, spawned, locked, fetched or written, whoever starts it and wherever it lies."""

from __future__ import annotations

import os
import re
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    NewClone = Callable[..., clones.Clone]

pytestmark = pytest.mark.costly

ENTRIES = {"run": "app", "boot": "tool", "start": "service"}


def warm_clone(new_clone: NewClone, **settings: Any) -> clones.Clone:
    clone = new_clone(**settings).write({"client.py": clones.REPORTING_CLIENT}).entry("prime", None, "boot")
    for kind, name in ENTRIES.items():
        clone.entry(name, "client:main", kind)
    clone.prime("--backend", "venv")
    return clone


def test_prime_says_nothing_when_nothing_is_to_be_done(new_clone: NewClone, kernel: str) -> None:
    clone = warm_clone(new_clone)
    before = clones.snapshot(clone.root)
    for command in (["./prime"], ["./prime", "boot"]):
        assert clone.run(*command) == clones.Done(0, "", "")
    assert clones.snapshot(clone.root) == before


def test_a_variable_that_chooses_what_is_installed_is_looked_at(new_clone: NewClone, kernel: str) -> None:
    clone = warm_clone(new_clone)
    limits = clone.root / "limits.txt"
    limits.write_text("alpha<2\n")
    for name, value in (("PIP_ONLY_BINARY", ":all:"), ("UV_CONSTRAINT", str(limits)), ("PIP_INDEX_URL", "http://one/")):
        before = clone.builds()
        for environ in ({name: value}, {}):
            done = clone.prime("--backend", "venv", environ=environ)
            assert clone.run("./prime", environ=environ) == clones.Done(0, "", "")
            setting = name.partition("_")[2].lower().replace("_", "-")
            is_told = f"because {setting} changed" in done.errors
            # Without the variable, the first environment is still there.
            assert is_told == (environ != {}), done
        assert clone.builds() == before + 1


def test_a_variable_with_credentials_is_not_kept_in_ready(new_clone: NewClone, kernel: str) -> None:
    clone = warm_clone(new_clone)
    secret = {"PIP_EXTRA_INDEX_URL": "http://me:one-secret@localhost:1/a http://me:other-secret@localhost:1/b"}
    clone.prime("--backend", "venv", environ=secret)
    before = clones.snapshot(clone.root)
    assert clone.run("./prime", environ=secret) == clones.Done(0, "", "")
    assert clones.snapshot(clone.root) == before
    assert b"secret" not in (clone.state / "ready").read_bytes()
    assert clone.builds() == 2


@pytest.mark.parametrize("kind", ENTRIES)
def test_the_client_has_the_pid_that_the_shell_started(new_clone: NewClone, kernel: str, kind: str) -> None:
    clone = warm_clone(new_clone)
    process = clone.start("./" + ENTRIES[kind])
    done = clones.finished(process)
    assert (done.errors, done.json()["pid"]) == ("", process.pid)


def traced(clone: clones.Clone, trace: Path, *command: str) -> str:
    done = clone.run(support.needed_tool("strace"), "-f", "-o", str(trace), *command)
    assert done.errors == ""
    return trace.read_text(encoding="utf-8", errors="replace")


def writes_of(trace: str, root: Path) -> list[str]:
    """Return the calls that create, change or remove a file, that of a terminal or null device apart."""
    opened = re.compile(r"(?:openat|open|creat)\(.*O_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND)")
    other = r"(?:mkdir|rmdir|unlink|rename|link|symlink|chmod|chown|utime|truncate|ftruncate|mknod|setxattr)"
    changing = re.compile(rf"\d+ +f?l?{other}[a-z0-9]*\(")
    return [
        line for line in trace.splitlines() if (opened.search(line) and "/dev/" not in line) or changing.match(line)
    ]


CALLS = re.compile(r"^\d+ +(\w+)\(")
SPAWNING = {"clone", "clone3", "fork", "vfork"}
LOCKING = {"flock", "lockf"}


@pytest.mark.skipif(not support.strace_works(), reason="no process may be traced here")
@pytest.mark.parametrize("entry", ["prime", *ENTRIES.values()])
def test_a_warm_start_spawns_locks_writes_and_asks_nobody(
    new_clone: NewClone, kernel: str, tmp_path: Path, entry: str
) -> None:
    """One exec for sh, one for the environment's interpreter where there is a client, and none else."""
    clone = warm_clone(new_clone)
    clone.write({"client.py": "def main():\n    pass\n"})
    # The interpreter of the environment writes the client's bytecode once; that is no part of a start.
    clone.run("./" + entry)
    trace = traced(clone, tmp_path / "trace", "./" + entry)
    called = [match.group(1) for match in map(CALLS.match, trace.splitlines()) if match]
    assert called.count("execve") == (1 if entry == "prime" else 2)
    assert not SPAWNING.intersection(called)
    assert not LOCKING.intersection(called)
    assert not re.search(r"fcntl\(.*F_(OFD_)?SETLK", trace)
    assert not {"connect", "sendto"}.intersection(called)
    assert writes_of(trace, clone.root) == []


@pytest.mark.skipif(not support.mount_namespace_works(), reason="nothing can be mounted read-only here")
@pytest.mark.parametrize("entry", ["prime", *ENTRIES.values()])
def test_a_warm_start_works_on_a_read_only_mount(new_clone: NewClone, kernel: str, entry: str) -> None:
    clone = warm_clone(new_clone)
    script = (
        'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && ! touch x 2>&- && shift && exec "$@"'
    )
    path = os.environ["PATH"]
    done = clone.run("env", "PATH=" + path, "unshare", "-m", "sh", "-c", script, str(clone.root), "--", "./" + entry)
    assert done.errors == ""
    if entry != "prime":
        assert done.json()["cwd"] == str(clone.root)


@pytest.mark.skipif(not support.mount_namespace_works(), reason="nothing can be mounted read-only here")
def test_the_python_half_finds_the_environment_on_a_read_only_mount_too(new_clone: NewClone, kernel: str) -> None:
    """Times changed and contents did not, and that cannot be recorded: it is found by hash, each time."""
    clone = warm_clone(new_clone)
    os.utime(clone.root / "proto_kernel.py")
    clone.write({"requirements.txt": ""})
    clone.prime()
    os.utime(clone.root / "requirements.txt", (1, 1))
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && ./prime && ./app'
    done = clone.run("env", "PATH=" + os.environ["PATH"], "unshare", "-m", "sh", "-c", script, str(clone.root))
    assert done.errors == ""
    assert done.json()["prefix"].startswith(str(clone.state))


@pytest.fixture
def clone_for_everybody(new_clone: NewClone) -> Iterator[clones.Clone]:
    """Return a clone that other users can reach, made ready by this one."""
    python = support.python_for_everybody()
    if python is None:
        pytest.skip("no interpreter here can be run by another user")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield warm_clone(new_clone, directory=directory, python=python)


@pytest.mark.parametrize("entry", ["prime", *ENTRIES.values()])
def test_a_warm_start_works_as_another_user(clone_for_everybody: clones.Clone, kernel: str, entry: str) -> None:
    done = as_nobody(clone_for_everybody, "./" + entry)
    assert done.errors == ""
    if entry != "prime":
        assert done.json()["prefix"] == str(clone_for_everybody.generations()[0])


def test_another_user_keeps_what_is_built_for_somebody_elses_clone_elsewhere(
    clone_for_everybody: clones.Clone, kernel: str
) -> None:
    clone_for_everybody.write({"requirements.txt": ""})
    before = clones.snapshot(clone_for_everybody.root)
    done = as_nobody(clone_for_everybody, "./prime")
    assert "can only be renewed by" in done.errors
    assert "requirements.txt appeared" in done.errors
    assert clones.snapshot(clone_for_everybody.root) == before


def as_nobody(clone: clones.Clone, *command: str, status: int = 0) -> clones.Done:
    user = ["--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o777)
        variables = {"HOME": home, "PROTOPRIMER_CACHE": home, "PATH": os.defpath}
        return clone.run(support.needed_tool("setpriv"), *user, *command, status=status, environ=variables)


def test_a_configuration_of_uv_that_appears_above_the_root_is_noticed(new_clone: NewClone) -> None:
    clone = new_clone().write({"requirements.txt": ""}).entry("prime", None, "boot")
    clone.prime()
    assert clone.prime().errors == ""
    (clone.root.parent / "uv.toml").write_text('constraint-dependencies = ["anything<2"]\n')
    assert "building an environment because" in clone.prime().errors
    assert clone.prime().errors == ""
