"""Write this repository's own `prime`: the entry script that clients get, with the kernel from source.

To be run after the entry script's template has changed: `./prime run -- python tools/write_prime.py`.
"""

from __future__ import annotations

from pathlib import Path

from protoprimer.authoring.entry import entry_text

ROOT = Path(__file__).resolve().parent.parent


def own_prime() -> str:
    """Return what `prime` should be."""
    title = "Entry script of protoprimer itself; its kernel is the source. Written by tools/write_prime.py."
    usual = "Entry script of this repository, written by protoprimer."
    return entry_text("boot", None, "src/source_kernel.py").replace(usual, title)


if __name__ == "__main__":
    (ROOT / "prime").write_text(own_prime(), encoding="utf-8")
    (ROOT / "prime").chmod(0o755)
