"""What an index serves by mistake or by malice is refused: nothing is left of it, and the next road is taken."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

import own_wheel
from hosts.index import Behaviour
from samples import sample
from simple_index import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from hosts.bench import Bench
    from hosts.world import World

pytestmark = pytest.mark.index


def world_that_pins(bench: Bench, content: bytes) -> World:
    """Return a host with an index whose file of uv is `content`, which the kernel has pinned."""
    (wheel,) = bench.wheels("uv-")
    index = bench.index()
    index.files[wheel.name] = content
    pinned = sha256(wheel.read_bytes())
    world = bench.world().set(PIP_INDEX_URL=index.url)
    kernel = own_wheel.changed_kernel(lambda text: text.replace(pinned, sha256(content)))
    world.clone.write({"proto_kernel.py": kernel})
    return world


def archive(write: Callable[[zipfile.ZipFile], object]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
        opened.writestr("uv-0.13.9.data/scripts/uv", "#!/bin/sh\necho uv 0.13.9\n")
        write(opened)
    return buffer.getvalue()


def link(opened: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("uv/link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened.writestr(member, "/etc/passwd")


def bomb(opened: zipfile.ZipFile) -> None:
    with opened.open("uv/zeros", "w", force_zip64=True) as stream:
        for _ in range(64):
            stream.write(bytes(1 << 24))


def check_refused(world: World, said: str) -> None:
    """Check that the next road was taken, that the reason is told, and that nothing of uv is left."""
    done = world.prime()
    assert done.output == "demo\n"
    assert re.search(said, done.errors), done.errors
    assert "Traceback" not in done.errors
    assert "with backend virtualenv (not uv: " in done.errors
    left = [path for path in world.cache.rglob("*") if "tools" in path.parts and path.name.startswith("uv-")]
    assert not left
    assert not list(world.base.rglob("*.tmp*"))


def test_a_wrong_hash_leaves_nothing(bench: Bench) -> None:
    index = bench.index(Behaviour(wrong_bytes=("uv-",)))
    world = bench.world().set(PIP_INDEX_URL=index.url)
    check_refused(world, "its sha256 is [0-9a-f]+, [0-9a-f]+ is pinned")
    assert not list((world.cache / "wheels").rglob("uv-*"))


def test_a_truncated_download_leaves_nothing(bench: Bench) -> None:
    index = bench.index(Behaviour(cut=99))
    world = bench.world().set(PIP_INDEX_URL=index.url)
    done = world.prime()
    assert "with backend venv" in done.errors
    assert re.search(r"ended after \d+ of \d+ bytes", done.errors), done.errors
    assert not list((world.cache / "wheels").rglob("*.whl"))


def test_a_corrupt_archive_that_keeps_its_hash_leaves_nothing(bench: Bench) -> None:
    content = archive(lambda opened: opened.writestr("uv/x", b"x" * 10000))
    check_refused(world_that_pins(bench, content[: len(content) // 2]), "not a usable wheel")


def test_a_member_that_does_not_keep_its_checksum_leaves_nothing(bench: Bench) -> None:
    content = bytearray(archive(lambda opened: opened.writestr("uv/x", b"x", zipfile.ZIP_STORED)))
    content[content.index(b"uv/xx") + 4] ^= 1
    check_refused(world_that_pins(bench, bytes(content)), "not a usable wheel")


@pytest.mark.parametrize(
    "name", sample(["../../outside"], ["/tmp/absolute", "uv/../../outside", "C:/windows", "uv\\..\\outside"])
)
def test_a_path_that_leads_out_of_the_archive_is_refused(bench: Bench, name: str) -> None:
    content = archive(lambda opened: opened.writestr(name, "x"))
    check_refused(world_that_pins(bench, content), "unsafe name")


def test_a_link_in_an_archive_is_refused(bench: Bench) -> None:
    check_refused(world_that_pins(bench, archive(link)), "unsafe name")


def test_a_zip_bomb_is_refused(bench: Bench) -> None:
    check_refused(world_that_pins(bench, archive(bomb)), r"would unpack to \d+ MB")


def test_an_index_that_never_ends_is_given_up(bench: Bench) -> None:
    world = bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(endless=True)).url)
    done = world.prime()
    assert "with backend venv" in done.errors
    assert re.search(r"more than \d+ MB", done.errors), done.errors
