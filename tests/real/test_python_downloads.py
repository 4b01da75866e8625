"""A Python that the host lacks comes through the real uv, here from a loopback server that has one of this machine's."""

from __future__ import annotations

import io
import json
import platform
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import support
from simple_index import SimpleIndex, serving, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import clones

CLIENT = "import sys\n\ndef main():\n    print('%d.%d' % sys.version_info[:2], sys.base_prefix)\n"
# What an interpreter starts without.
LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "__pycache__", "site-packages", "share"}


def packed(python: support.WildPython) -> bytes:
    """Return the installation of this Python as an archive of the form that uv unpacks."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        names = member.name.split("/")
        is_left_out = LEFT_OUT.intersection(names) or any(name.startswith("config-") for name in names)
        return None if is_left_out or member.name.endswith((".a", ".pyc")) else member

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        archive.add(Path(python.executable).parent.parent, "python", filter=kept)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def archive() -> tuple[support.WildPython, bytes]:
    """A Python with an installation of its own, which can be packed, and the archive of it."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        pytest.skip("what is packed here is an interpreter for Linux with glibc")
    for python in reversed(support.wild_pythons()):
        is_its_own = not python.executable.startswith(("/usr/", "/bin/"))
        if is_its_own and python.version >= (3, 8) and python != support.default_python():
            return python, packed(python)
    pytest.skip("this machine has no second Python that can be packed")


@pytest.fixture
def offered(archive: tuple[support.WildPython, bytes]) -> Iterator[SimpleIndex]:
    """A server of that archive, and of the list that uv reads to find it."""
    python, content = archive
    with serving() as server:
        key = "cpython-%d.%d.%d-linux-%s-gnu" % (*python.version, platform.machine())
        told = {
            "name": "cpython",
            "arch": {"family": platform.machine(), "variant": None},
            "os": "linux",
            "libc": "gnu",
            **dict(zip(("major", "minor", "patch"), python.version)),
            "prerelease": "",
            "url": f"http://127.0.0.1:{server.port}/files/python.tar.gz",
            "sha256": sha256(content),
            "variant": None,
            "build": "20260101",
        }
        server.files = {"python.tar.gz": content, "list.json": json.dumps({key: told}).encode()}
        yield server


def clone_that_wants(
    python: support.WildPython, new_clone: Callable[..., clones.Clone], server: SimpleIndex, more: str = ""
) -> clones.Clone:
    clone = new_clone(UV_PYTHON_DOWNLOADS_JSON_URL=f"http://127.0.0.1:{server.port}/files/list.json")
    clone.write({"client.py": CLIENT, "protoprimer.toml": f'python = "{python.name}"\n{more}'})
    return clone.entry("prime", "client:main", "boot")


def test_a_python_that_the_host_lacks_is_fetched_once_and_used(
    archive: tuple[support.WildPython, bytes], offered: SimpleIndex, new_clone: Callable[..., clones.Clone]
) -> None:
    python, _ = archive
    clone = clone_that_wants(python, new_clone, offered)
    managed = str(Path(clone.environ["HOME"], ".local", "share", "uv", "python"))
    done = clone.prime()
    version, base_prefix = done.output.split()
    assert version == python.name
    assert base_prefix.startswith(managed)
    assert f"fetched cpython=={python.name}.* through uv" in done.errors
    assert offered.paths().count("/files/python.tar.gz") == 1
    assert not Path(clone.environ["HOME"], ".local", "bin").exists()

    asked = len(offered.requests)
    assert clone.prime().output == done.output
    assert len(offered.requests) == asked
    clone.prime("reboot")
    assert offered.paths().count("/files/python.tar.gz") == 1


def test_every_clone_of_this_user_finds_the_python_that_one_has_fetched(
    archive: tuple[support.WildPython, bytes], offered: SimpleIndex, new_clone: Callable[..., clones.Clone]
) -> None:
    python, _ = archive
    clone_that_wants(python, new_clone, offered).prime()
    other = new_clone("another clone")
    other.write({"client.py": CLIENT, "protoprimer.toml": f'python = "{python.name}"\n'})
    done = other.entry("prime", "client:main", "boot").prime("--offline", "--backend", "venv")
    assert done.output.split()[0] == python.name
    assert offered.paths().count("/files/python.tar.gz") == 1


def test_a_python_whose_hash_is_wrong_is_never_used(
    archive: tuple[support.WildPython, bytes], offered: SimpleIndex, new_clone: Callable[..., clones.Clone]
) -> None:
    python, content = archive
    offered.files["python.tar.gz"] = content[:-1] + bytes([content[-1] ^ 1])
    clone = clone_that_wants(python, new_clone, offered)
    told = clone.prime(status=4).errors
    assert f"no interpreter for {python.name} (from protoprimer.toml:1" in told
    assert "  download through uv: error: Failed to install cpython-" in told
    assert "Hash mismatch" in told
    assert clone.generations() == []
    offered.files["python.tar.gz"] = content
    assert clone.prime().output.split()[0] == python.name


def test_nothing_is_fetched_where_downloads_are_switched_off(
    archive: tuple[support.WildPython, bytes], offered: SimpleIndex, new_clone: Callable[..., clones.Clone]
) -> None:
    clone = clone_that_wants(archive[0], new_clone, offered, "python-downloads = false\n")
    assert "not tried: python-downloads is false" in clone.prime(status=4).errors
    assert offered.requests == []
