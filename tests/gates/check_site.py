"""The documentation site builds without a warning, has no dead link, and loads nothing from elsewhere.

mkdocs is in the environment `docs`: `PROTOPRIMER_ENV=docs ./prime run -- python tests/gates site`. Where it is not
installed, this gate finds nothing.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a browser fetches by itself; a link that a reader follows may lead anywhere.
LINK = re.compile(r"""<(?:a|img|link|script)\b[^>]*?\b(?:src|href)=["']?([^"'\s>]+)""")
LOADED = re.compile(r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")


def problems() -> list[str]:
    """Return one line for each warning of mkdocs, and for each thing that a page would load from another host."""
    if importlib.util.find_spec("mkdocs") is None:
        return []
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", directory]
        environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
        done = subprocess.run(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            return done.stdout.splitlines() or [f"mkdocs ended with {done.returncode}"]
        return [*_loaded_from_elsewhere(Path(directory)), *_dead_links(Path(directory))]


def _loaded_from_elsewhere(site: Path) -> Iterator[str]:
    for page in sorted(site.rglob("*.html")):
        for url in LOADED.findall(page.read_text(encoding="utf-8")):
            yield f"{page.relative_to(site)}: loads {url}"


def _dead_links(site: Path) -> Iterator[str]:
    """Yield what mkdocs lets pass: links to files beside the documentation, which the site does not have."""
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        for link in LINK.findall(text):
            path, _, anchor = link.partition("#")
            # A leading slash, as on the page of errors, means the site's root.
            target = (site if path.startswith("/") else page.parent) / unquote(path.lstrip("/")) if path else page
            if re.match("[a-z]+:", link):
                continue
            if not target.exists():
                yield f"{page.relative_to(site)}: leads to {link}, which is not there"
            elif anchor and target.suffix == ".html" and not _has_anchor(target, anchor):
                yield f"{page.relative_to(site)}: leads to {link}, whose anchor is not there"


@functools.lru_cache(maxsize=None)
def _anchors(page: Path) -> frozenset[str]:
    return frozenset(re.findall(r"""\bid=["']?([^"'\s>]+)""", page.read_text(encoding="utf-8")))


def _has_anchor(page: Path, anchor: str) -> bool:
    return anchor == "__skip" or unquote(anchor) in _anchors(page.resolve())
