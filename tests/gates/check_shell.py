"""shellcheck over the templates that sh reads."""

from __future__ import annotations

import shutil
import subprocess

from support import ROOT

TEMPLATES = ("entry.sh", "ready.sh")
EXCLUDED = (
    "SC2034",  # what one of the files sets, the other reads
    "SC2154",  # as above, and what `ready` states as facts
    "SC3013",  # -nt, -ot and -ef are POSIX's since 2024, and in every shell that is tested
)


def problems() -> list[str]:
    """Return shellcheck's words, nothing where it is not installed."""
    if shutil.which("shellcheck") is None:
        return []
    files = [f"src/protoprimer/templates/{name}" for name in TEMPLATES]
    command = ["shellcheck", "--shell=sh", "--format=gcc", "--exclude", ",".join(word for word in EXCLUDED), *files]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    return done.stdout.decode().splitlines() if done.returncode else []
