"""Write the table of locked-down hosts into the documentation: `python tests/hosts write`. It states what the tests check.

`python tests/hosts measure [HOST…]` tries the peers on these hosts, and keeps what came out in `peers.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


PAGE = HERE.parent.parent / "docs" / "how-to" / "locked-down-hosts.md"
MARKS = ("<!-- hosts: written by `python tests/hosts write` -->\n", "<!-- /hosts -->\n")


def page_with(text: str) -> str:
    """Return the page of the documentation with this between the marks."""
    before, rest = PAGE.read_text().split(MARKS[0])
    return before + MARKS[0] + text + "\n" + MARKS[1] + rest.split(MARKS[1])[1]


def table() -> str:
    """Return the table in Markdown: each host, which backend makes the environment there, and which peers make one."""
    from hosts.peers import COMMANDS, FILE
    from hosts.rows import HOSTS

    peers = json.loads(FILE.read_text()) if FILE.exists() else {}
    lines = [f"| host | `./prime` | {' | '.join(COMMANDS)} |", "|---|---|" + "---|" * len(COMMANDS)]
    for row in HOSTS:
        taken = row.backend.replace("|", " or ") or "exit 5, and what opens a road"
        told = peers.get(row.key, {})
        answers = [{"yes": "yes", "": "not tried"}.get(told.get(one, ""), "no") for one in COMMANDS]
        lines.append(f"| {row.about} | {f'not yet: {row.fault}' if row.fault else taken} | {' | '.join(answers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]
    # Not this directory's modules but those of the package `hosts`, so that there is one of each.
    sys.path[:] = [one for one in sys.path if Path(one).resolve() != HERE]
    import protoprimer

    # As in conftest.py: `backends/` stands at the top of the tree.
    protoprimer.__path__.append(str(HERE.parent.parent))
    if sys.argv[1:2] == ["measure"]:
        from hosts.peers import measure

        measure(sys.argv[2:])
    elif sys.argv[1:2] == ["write"]:
        PAGE.write_text(page_with(table()))
    else:
        print(table())
