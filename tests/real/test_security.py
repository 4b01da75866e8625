"""What a hostile file, link, variable or mode could do, and does not: see docs/explanation/security.md."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    NewClone = Callable[..., clones.Clone]

SETTINGS = 'backend = "{}"\ninstall = [{{ projects = [{{ path = "piece", editable = false }}] }}]\n'
PYTHON_TRAPS = [
    *["json", "os", "site", "sitecustomize", "usercustomize", "pip", "uv", "virtualenv", "venv", "encodings/__init__"],
    *["subprocess", "hashlib", "ensurepip/__init__", "protoprimer", "proto_kernel_", "distutils/__init__", "zipfile"],
]
PROGRAM_TRAPS = ["uv", "python3", "python", "pip", "virtualenv", "sh", "git", "env"]


@pytest.fixture
def clone(new_clone: NewClone) -> clones.Clone:
    """Return a clone with one project to install and a client that has no part in what follows."""
    clone = (
        new_clone()
        .project("piece", "piece")
        .write({"own/client.py": "import piece\ndef main():\n    print(piece.NAME)\n"})
    )
    return clone.entry("prime", None, "boot").entry("app", "client:main", "run")


def test_a_hostile_file_in_the_working_directory_is_not_executed(
    clone: clones.Clone, fetch_tools: Callable[[str], None], backend: str
) -> None:
    """Started there, with that directory on PATH in all the ways in which people have it."""
    fetch_tools(backend)
    clone.write({"protoprimer.toml": SETTINGS.format(backend)})
    place = clone.root.parent / "downloads"
    mark = clone.root.parent / "executed"
    hostile = clones.Clone(place, clone.environ, clone.kernel)
    python = f"import os\nopen({str(mark)!r}, 'a').write(__file__)\nraise SystemExit('hostile code was run')\n"
    program = f"#!/bin/sh\necho \"$0\" >> '{mark}'\nexit 99\n"
    hostile.write({f"{name}.py": python for name in PYTHON_TRAPS})
    hostile.write(dict.fromkeys(PROGRAM_TRAPS, program))
    hostile.write({f".venv/bin/{name}": program for name in PROGRAM_TRAPS})
    hostile.write({".venv/pyvenv.cfg": "home = /nowhere\n", ".venv/lib/site-packages/sitecustomize.py": python})
    configuration = "[global]\nindex-url = https://hostile.invalid/simple\ntarget = /nowhere\n"
    hostile.write({"pip.conf": configuration, "pip.ini": configuration, "setup.cfg": "[easy_install]\nindex-url = x\n"})
    for planted in place.rglob("*"):
        planted.chmod(0o755)
    usual = clone.environ["PATH"]
    for path in (usual, f".:{usual}", f":{usual}", f"{usual}:"):
        done = clone.run(str(clone.root / "prime"), cwd=place, environ={"PATH": path, "PWD": str(place)})
        assert not mark.exists(), mark.read_text()
        assert "hostile.invalid" not in done.errors
        assert "hostile code" not in done.errors
        clone.run(str(clone.root / "prime"), "reboot", "--dry-run", cwd=place, environ={"PATH": path})
        assert not mark.exists(), mark.read_text()
    assert len(clone.generations()) == 1


def test_the_repositorys_own_foreign_environment_is_not_executed(clone: clones.Clone) -> None:
    """Somebody has committed a `.venv`."""
    mark = clone.root.parent / "executed"
    program = f"#!/bin/sh\necho \"$0\" >> '{mark}'\nexit 99\n"
    clone.write({"protoprimer.toml": SETTINGS.format("venv"), ".venv/pyvenv.cfg": "home = /nowhere\n"})
    clone.write({f".venv/bin/{name}": program for name in PROGRAM_TRAPS})
    for path in (clone.root / ".venv" / "bin").iterdir():
        path.chmod(0o755)
    for _start in ("cold", "warm"):
        clone.prime()
    clone.prime("run", "--", "python", "-c", "import piece")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["stamps", "log"])
def test_a_planted_link_in_the_state_directory_leads_nowhere(clone: clones.Clone, name: str) -> None:
    """A repository can hold a link; what it leads to is neither written in nor deleted in."""
    clone.write({"protoprimer.toml": SETTINGS.format("venv"), "../precious/123": "data", "../precious/notes": "data"})
    clone.state.mkdir()
    (clone.state / name).symlink_to("../../precious")
    before = clones.snapshot(clone.root.parent / "precious")
    clone.prime()
    clone.prime("reboot")
    assert clone.prime() == clones.Done(0, "", "")
    assert clones.snapshot(clone.root.parent / "precious") == before


def test_planted_links_at_the_names_of_files_are_replaced_and_never_written_through(clone: clones.Clone) -> None:
    clone.write({"protoprimer.toml": SETTINGS.format("venv"), "../precious": "of nobody's concern"})
    clone.state.mkdir()
    for name in ("ready", "environment", ".gitignore", "CACHEDIR.TAG"):
        (clone.state / name).symlink_to("../../precious")
    clone.prime()
    assert (clone.root.parent / "precious").read_text() == "of nobody's concern"
    assert not (clone.state / "ready").is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_nobody_else_may_write_in_state_and_cache_whatever_the_umask(clone: clones.Clone, tmp_path: Path) -> None:
    clone.write({"protoprimer.toml": SETTINGS.format("venv")})
    cache = tmp_path / "a cache"
    open_umask = os.umask(0)
    try:
        clone.prime(environ={"PROTOPRIMER_CACHE": str(cache)})
    finally:
        os.umask(open_umask)
    # What a Python compiles while the client runs is made within the user's umask, as anywhere.
    paths = [clone.state, *(path for path in clone.state.rglob("*") if path.name != "__pycache__")]
    writable = [str(path) for path in paths if stat.S_IMODE(path.lstat().st_mode) & 0o022 and not path.is_symlink()]
    assert writable == []
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="elsewhere the temporary directory is the user's own")
def test_without_a_home_the_cache_is_no_directory_that_somebody_else_has_prepared(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"protoprimer-{os.getuid()}").symlink_to("theirs")
    code = "from protoprimer.system.paths import user_cache_directory; print(user_cache_directory())"
    environ = {
        "PYTHONPATH": str(support.ROOT / "src"),
        "TMPDIR": str(tmp_path),
        "PATH": os.defpath,
        "HOME": "/nonexistent",
    }
    found = subprocess.run([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True, check=True)
    path = found.stdout.strip()
    assert os.path.realpath(path) != str(tmp_path / "theirs")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
