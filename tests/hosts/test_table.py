"""The table of hosts in the documentation is what the tests check, and in no row a peer does more than `./prime`."""

from __future__ import annotations

import json

from hosts.__main__ import PAGE, page_with, table
from hosts.peers import COMMANDS, FILE
from hosts.rows import HOSTS


def test_the_documentation_has_the_table_of_the_tests() -> None:
    assert PAGE.read_text() == page_with(table())


def test_every_peer_was_tried_on_every_host() -> None:
    peers = json.loads(FILE.read_text())
    assert [row.key for row in HOSTS if set(peers.get(row.key, {})) != set(COMMANDS)] == []
    assert set(peers) == {row.key for row in HOSTS}
    assert not [key for key, told in peers.items() if any(one.startswith("not tried") for one in told.values())]


def test_on_no_host_a_peer_makes_an_environment_and_prime_does_not() -> None:
    peers = json.loads(FILE.read_text())
    assert [row.key for row in HOSTS if "yes" in peers[row.key].values() and (row.fault or not row.backend)] == []
