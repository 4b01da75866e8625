"""What the projects of this repository share."""

from __future__ import annotations

from typing import Iterable

from sortedcontainers import SortedDict


def counted(words: Iterable[str]) -> list[tuple[str, int]]:
    """Return each different word, in order, with how often it occurs."""
    counts = SortedDict()
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return list(counts.items())
