"""A Python that the host lacks comes through the real uv, here from a loopback server that has one of this machine's."""

from __future__ import annotations

import io
import json
import platform
import re
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import support
from hosts.index import private_certificates
from hosts.index import serving as serving_index
from protoprimer.fetch.platform_tags import tag_of_host
from real.test_bundle import without_network
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
        server.files = {"python.tar.gz": content, "for-windows.tar.gz": for_windows()}
        hosts = [
            (platform.machine(), "linux", "gnu", "python.tar.gz"),
            ("x86_64", "windows", "none", "for-windows.tar.gz"),
        ]
        told = {
            "cpython-%d.%d.%d-%s-%s-%s" % (*python.version, system, machine, libc): {
                "name": "cpython",
                "arch": {"family": machine, "variant": None},
                "os": system,
                "libc": libc,
                **dict(zip(("major", "minor", "patch"), python.version)),
                "prerelease": "",
                "url": f"http://127.0.0.1:{server.port}/files/{name}",
                "sha256": sha256(server.files[name]),
                "variant": None,
                "build": "20260101",
            }
            for machine, system, libc, name in hosts
        }
        server.files["list.json"] = json.dumps(told).encode()
        yield server


def for_windows() -> bytes:
    """Return an archive that is formed as one of an interpreter for Windows is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("python/python.exe", "python/Lib/os.py"):
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


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


def test_a_python_comes_with_the_certificates_that_pip_alone_was_told(
    archive: tuple[support.WildPython, bytes],
    offered: SimpleIndex,
    new_clone: Callable[..., clones.Clone],
    tmp_path: Path,
) -> None:
    certificates = private_certificates(tmp_path)
    with serving_index(tls=certificates.good) as index:
        clone = clone_that_wants(archive[0], new_clone, offered)
        listed = offered.files["list.json"].replace(f"http://127.0.0.1:{offered.port}".encode(), index.server.encode())
        index.files.update({"python.tar.gz": archive[1], "list.json": listed})
        clone.environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = f"{index.server}/files/list.json"
        assert "certificate" in clone.prime(status=4).errors
        assert clone.prime(environ={"PIP_CERT": str(certificates.authority)}).output.split()[0] == archive[0].name


def test_a_home_that_cannot_be_written_has_the_fetched_python_in_the_cache(
    archive: tuple[support.WildPython, bytes],
    offered: SimpleIndex,
    new_clone: Callable[..., clones.Clone],
    tmp_path: Path,
) -> None:
    clone = clone_that_wants(archive[0], new_clone, offered)
    # Nobody can make a directory below a file, the superuser neither.
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.write_text("")
    clone.environ.update(XDG_DATA_HOME=str(data), PROTOPRIMER_CACHE=str(cache))
    version, base_prefix = clone.prime().output.split()
    assert version == archive[0].name
    assert base_prefix.startswith(str(cache))
    clone.prime("reboot", "--offline", "--backend", "venv")
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
    assert f"no interpreter for {python.name}\n" in told
    assert "\n  where: protoprimer.toml:1" in told
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


def bundled(
    python: support.WildPython, new_clone: Callable[..., clones.Clone], server: SimpleIndex, bundle: Path, *more: str
) -> clones.Clone:
    """Let a clone with network write a bundle with an interpreter; return a clone on a host that has neither."""
    clone = clone_that_wants(python, new_clone, server)
    clone.prime("bundle", str(bundle), "--with-python", *more, environ=support.shared_caches())
    server.files.clear()
    host = new_clone("a host without network")
    host.write({"client.py": CLIENT, "protoprimer.toml": f'python = "{python.name}"\n'})
    home = Path(clone.environ["HOME"]).with_name("another-home")
    home.mkdir()
    host.environ.update(HOME=str(home))
    host.environ.pop("XDG_CACHE_HOME", None)
    return host.entry("prime", "client:main", "boot")


@pytest.mark.parametrize("name", ["bundle", "one.protoprimer-bundle"])
def test_a_bundle_with_python_serves_a_host_that_has_neither_network_nor_that_python(
    archive: tuple[support.WildPython, bytes],
    offered: SimpleIndex,
    new_clone: Callable[..., clones.Clone],
    tmp_path: Path,
    name: str,
) -> None:
    bundle = tmp_path / "brought" / name
    host = bundled(archive[0], new_clone, offered, bundle)
    asked = len(offered.requests)
    done = host.run(*without_network(), str(host.root / "prime"), "--bundle", str(bundle))
    version, base_prefix = done.output.split()
    assert version == archive[0].name
    assert base_prefix.startswith(f"{host.environ['PROTOPRIMER_CACHE']}/pythons/")
    assert len(offered.requests) == asked
    # It stays, without the bundle, for this clone: others have not been told to trust the bundle.
    again = host.prime("reboot", "--offline", "--backend", "venv").output
    assert again.startswith(f"{version} {host.environ['PROTOPRIMER_CACHE']}/pythons/")
    other = (
        new_clone("another clone").write({"protoprimer.toml": f'python = "{version}"\n'}).entry("prime", None, "boot")
    )
    assert "pythons" not in other.prime("check", "--offline", status=None, environ=host.environ).output


def test_an_interpreter_of_a_bundle_is_verified_as_all_of_it_is(
    archive: tuple[support.WildPython, bytes],
    offered: SimpleIndex,
    new_clone: Callable[..., clones.Clone],
    tmp_path: Path,
) -> None:
    host = bundled(archive[0], new_clone, offered, tmp_path / "brought")
    (packed_python,) = (tmp_path / "brought").glob("*.tar.gz")
    with packed_python.open("ab") as stream:
        stream.write(b"more")
    errors = host.prime("--bundle", str(tmp_path / "brought"), status=3).errors
    assert f"{packed_python.name}: damaged" in errors
    assert not Path(host.environ["HOME"], ".local").exists()


def test_a_bundle_for_another_platform_holds_that_platforms_interpreter(
    archive: tuple[support.WildPython, bytes],
    offered: SimpleIndex,
    new_clone: Callable[..., clones.Clone],
    tmp_path: Path,
) -> None:
    python = archive[0].name
    clone = clone_that_wants(archive[0], new_clone, offered)
    options = ["--with-python", "--platform", "win_amd64", "--platform", tag_of_host()]
    clone.prime("bundle", str(tmp_path / "new"), *options, environ=support.shared_caches())
    files = json.loads((tmp_path / "new" / "bundle.json").read_text())["files"]
    for_whom = {name.partition("-")[2]: one["for"] for name, one in files.items() if name.endswith(".tar.gz")}
    assert for_whom == {
        "for-windows.tar.gz": [f"{python} on win_amd64"],
        "python.tar.gz": [f"{python} on {tag_of_host()}"],
    }
    assert len(json.loads((tmp_path / "new" / "pythons.json").read_text())) == 2
    errors = clone.prime(
        *["bundle", str(tmp_path / "none"), "--with-python", "--platform", "macosx_14_0_arm64"],
        environ=support.shared_caches(),
        status=4,
    ).errors
    assert re.search(r"uv has no archive of cpython-==[\d.*,=]+-macos-arm64-none: error: No download found", errors), (
        errors
    )
    offered.files["for-windows.tar.gz"] = b"other bytes"
    command = ["bundle", str(tmp_path / "none"), "--with-python", "--platform", "win_amd64"]
    errors = clone.prime(*command, environ=support.shared_caches(), status=4).errors
    assert re.search(r"error: uv has no archive of cpython-\S+: error: Failed to install cpython-", errors), errors
    assert "next: name a mirror by UV_PYTHON_INSTALL_MIRROR, or bundle without --with-python\n" in errors
    assert not (tmp_path / "none").exists()


def test_a_bundle_without_an_interpreter_tells_how_to_make_one_with_it(
    archive: tuple[support.WildPython, bytes],
    offered: SimpleIndex,
    new_clone: Callable[..., clones.Clone],
    tmp_path: Path,
) -> None:
    clone = clone_that_wants(archive[0], new_clone, offered)
    clone.prime("bundle", str(tmp_path / "new"), environ=support.shared_caches())
    host = new_clone("a host")
    host.write({"client.py": CLIENT, "protoprimer.toml": f'python = "{archive[0].name}"\n'})
    home = tmp_path / "another-home"
    home.mkdir()
    errors = (
        host.entry("prime", "client:main", "boot")
        .prime("--bundle", str(tmp_path / "new"), status=4, environ={"HOME": str(home)})
        .errors
    )
    assert "not tried: the bundle was made without --with-python" in errors
