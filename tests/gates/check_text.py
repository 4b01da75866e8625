"""No tracked file names a registry's host or a place that exists on one machine only."""

from __future__ import annotations

from pathlib import Path

from gates.sources import tracked_files
from support import ROOT

# In parts, so that this file may be checked like any other.
HOSTS = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "deb.debian" + ".org")
PLACES = ("/ro" + "ot/", "/work" + "/main", "/work" + "/shared", "/wo" + "rk/.", "/tmp" + "/dev/")


def problems() -> list[str]:
    """Return one line for each such name."""
    here = [str(path) for path in (ROOT, Path.home()) if len(path.parts) > 2]
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            found += [
                f"{path.relative_to(ROOT).as_posix()}:{number}: names {text}"
                for text in (*HOSTS, *PLACES, *here)
                if text in line.lower() or text in line
            ]
    return found
