"""Print the table of locked-down hosts for the documentation: `python tests/hosts`. It states what the tests check."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def table() -> str:
    """Return the table in Markdown: each host, and which backend makes the environment there."""
    from hosts.rows import HOSTS

    lines = ["| host | `./prime` |", "|---|---|"]
    for row in HOSTS:
        taken = row.backend.replace("|", " or ") or "exit 5, and what would open a road"
        lines.append(f"| {row.about} | {f'not yet: {row.fault}' if row.fault else taken} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]
    # Not this directory's modules but those of the package `hosts`, so that there is one of each.
    sys.path[:] = [one for one in sys.path if Path(one).resolve() != HERE]
    import protoprimer

    # As in conftest.py: `backends/` stands at the top of the tree.
    protoprimer.__path__.append(str(HERE.parent.parent))
    print(table())
