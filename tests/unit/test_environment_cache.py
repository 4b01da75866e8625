"""What of an environment's files depends on its place, and what goes from the cache."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoprimer.store import environment_cache
from protoprimer.store.environment_cache import forget_old_environments

if TYPE_CHECKING:
    from pathlib import Path

HERE = environment_cache._Places("/c/.protoprimer/envs/default-0123456789abcdef", "/c")
THERE = environment_cache._Places("/other/place/envs/a-fedcba9876543210.2", "/other/place")


@pytest.mark.parametrize(
    ("content", "moved"),
    [
        (
            b"#!/c/.protoprimer/envs/default-0123456789abcdef/bin/python\n",
            b"#!/other/place/envs/a-fedcba9876543210.2/bin/python\n",
        ),
        (b"prompt=(default-0123456789abcdef)", b"prompt=(a-fedcba9876543210.2)"),
        (b'{"url": "file:///c"}', b'{"url": "file:///other/place"}'),
        (b"/c/src\n/c\n", b"/other/place/src\n/other/place\n"),
        (b"/etc/c /c-1 /c.d /usr/c /lib/c/x", b"/etc/c /c-1 /c.d /usr/c /lib/c/x"),
        (b"", b""),
        (b"\0\1", b"\0\1"),
    ],
)
def test_a_place_is_exchanged_where_it_is_meant_and_nowhere_else(content: bytes, moved: bytes) -> None:
    assert THERE.put_in(HERE.take_out(content)) == moved


@given(st.lists(st.sampled_from([b"/c", b"/", b"c", b"\n", b"-", b"default-0123456789abcdef", b"/.protoprimer/envs/", b" "])))
def test_what_is_taken_out_can_be_put_in_again(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    assert HERE.put_in(HERE.take_out(content)) == content


def test_a_program_that_names_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="what is no text names /c"):
        HERE.take_out(b"\0/c\0")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('source = { editable = "." }', ["."]),
        ("directory = { path='sub/x', editable = true }", ["sub/x"]),
        ('[packages.directory]\n"path" = "here"\n', ["here"]),
        ('source = { registry = "https://index/simple" }\nname = "pathlib"\n', []),
        ('virtual="a"\neditable=true', ["a"]),
    ],
)
def test_places_on_the_disk_are_found_in_a_lock(tmp_path: Path, text: str, found: list[str]) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text(text)
    assert environment_cache._places_in_lock(str(lock)) == found


def test_the_longest_unused_go_where_there_are_too_many(tmp_path: Path) -> None:
    places = [tmp_path / "environments" / f"{number:032x}" for number in range(40)]
    now = int((tmp_path).stat().st_mtime)
    for age, place in enumerate(places):
        place.mkdir(parents=True)
        (place / "manifest").write_text("")
        os.utime(place, (now - age, now - age))
    assert forget_old_environments(str(tmp_path)) == 8
    assert sorted((tmp_path / "environments").iterdir()) == places[:32]


@pytest.mark.parametrize(("days", "stays"), [(29, True), (31, False)])
def test_what_nobody_used_for_a_month_goes(tmp_path: Path, days: int, stays: bool) -> None:
    (tmp_path / "environments" / "a").mkdir(parents=True)
    (tmp_path / "environments" / "b.once").write_text("")
    then = (tmp_path).stat().st_mtime - days * 24 * 3600
    for name in ("a", "b.once"):
        os.utime(tmp_path / "environments" / name, (then, then))
    assert forget_old_environments(str(tmp_path)) == (0 if stays else 1)
    assert len(list((tmp_path / "environments").iterdir())) == (2 if stays else 0)


def test_a_cache_that_is_not_there_has_nothing_to_forget(tmp_path: Path) -> None:
    assert forget_old_environments(str(tmp_path / "none")) == 0
