"""On each locked-down host of the table `./prime` takes the road that is open, and says the one that would be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hosts.rows import HOSTS, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hosts.bench import Bench


# Each is much like one that is always run.
THOROUGH = {
    "bad-locks", "unknown-locks",  # no-locks, with another number
    "mirror-with-token", "proxy-that-refuses", "busy-index", "forbidden-files", "login-page-for-files", "silent-index",
    "offline-importable-virtualenv", "home-is-the-root", "unwritable-home", "foreign-checkout", "no-road-without-proxy",
    "no-road-but-find-links", "no-road-but-access", "no-road-in-an-empty-index", "no-road-by-a-wrong-variable",
    "no-road-through-a-firewall", "expired-certificate", "login-page", "index-with-virtualenv-only", "proxy-with-password",
    "offline-without-ctypes", "no-road-without-authority", "no-road-before-signing-in", "no-road-with-other-bytes",
    "no-road-offline", "small-home",
}  # fmt: skip


def _rows() -> Iterator[object]:
    for row in HOSTS:
        marks = [pytest.mark.xfail(strict=True, reason=row.fault)] if row.fault else []
        if row.key in THOROUGH:
            marks.append(pytest.mark.thorough)
        yield pytest.param(row, id=row.key, marks=[*marks, pytest.mark.index])


@pytest.mark.parametrize("row", list(_rows()))
def test_a_host_of_the_table(row: Host, bench: Bench) -> None:
    world = row.build(bench)
    done = world.prime(status=None)
    words = done.errors.replace("\n", " ")
    assert "Traceback" not in done.errors, done.errors
    assert "s3cret" not in done.errors
    for pattern in row.said:
        assert re.search(pattern, words), done.errors
    if not row.backend:
        assert done.status == 5, done
        assert world.road is not None, "what it says is tried, too"
        world.road()
        assert world.prime().output == "demo\n"
        return
    assert (done.status, done.output) == (0, "demo\n"), done
    # The last one that is told: where one fails to create an environment, another follows.
    assert re.fullmatch(row.backend, re.findall(r"with backend (\w+)", words)[-1]), done.errors
