"""The states: which texts there are, how many words each has, and the sum, printed."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from protoprimer import Primer, get_config, state


@state
def texts(root: str) -> list[Path]:
    """The texts of this repository."""
    return sorted(Path(root, "texts").glob("*.txt"))


@state
def words(texts: list[Path]) -> dict[str, int]:
    """How many words each text has, counted in processes of their own."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return dict(pool.map(counted, texts))


@state(target="sum")
def sum_told(words: dict[str, int]) -> int:
    """The sum of all words, printed."""
    total = sum(words.values())
    print(total)
    return total


def counted(text: Path) -> tuple[str, int]:
    """Return a text's name, and how many words it has; runs in a process of the pool."""
    name = str(text.relative_to(get_config()["root"])) if text.is_absolute() else text.name
    return name, len(text.read_text(encoding="utf-8").split())


def main(primer: Primer) -> None:
    """Reach the sum."""
    primer.default_target = "sum"
