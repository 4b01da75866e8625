"""The workflows and actions are valid against the schemas that check-jsonschema ships."""

from __future__ import annotations

import subprocess
import sys

from gates.sources import tracked_files
from support import ROOT


def problems() -> list[str]:
    """Return the checker's words."""
    workflows = [str(path) for path in tracked_files(".github/workflows/*.yml")]
    actions = [str(path) for path in tracked_files(".github/actions/*/action.yml")]
    found = [] if workflows else ["there is no workflow"]
    for schema, files in (("vendor.github-workflows", workflows), ("vendor.github-actions", actions)):
        if not files:
            continue
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False
        )
        found += done.stdout.decode().splitlines() if done.returncode else []
    return found
