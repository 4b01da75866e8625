"""The workflows and actions are valid against the schemas that check-jsonschema ships, and give nobody more than they need."""

from __future__ import annotations

import re
import subprocess
import sys

from gates.sources import tracked_files
from support import ROOT

_USES = re.compile(r"\buses:\s*(\S+)(.*)")
_BY_COMMIT = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}\Z")
_JOB = re.compile(r"^  (?=[\w-]+:$)", re.MULTILINE)
# What is installed without a lock, or was just fetched.
_RUNS_TOOLS = re.compile(r"run:.*(\./prime|\bpip |\buvx? )")


def problems() -> list[str]:
    """Return the checker's words, and what a job may that it should not."""
    workflows = tracked_files(".github/workflows/*.yml")
    actions = tracked_files(".github/actions/*/action.yml")
    found = [] if workflows else ["there is no workflow"]
    for schema, files in (("vendor.github-workflows", workflows), ("vendor.github-actions", actions)):
        if not files:
            continue
        paths = [str(path) for path in files]
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *paths]
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False
        )
        found += done.stdout.decode().splitlines() if done.returncode else []
    for path in [*workflows, *actions]:
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(ROOT)}: {one}" for one in problems_of_actions(text)]
    for path in workflows:
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(ROOT)}: {one}" for one in problems_of_permissions(text)]
    return found


def problems_of_actions(text: str) -> list[str]:
    """Return which actions are not named by a commit and a version: a tag can be moved."""
    found = []
    for action, rest in _USES.findall(text):
        if action.startswith("./"):
            continue
        if not _BY_COMMIT.match(action) or not re.match(r" # v\d+\.\d+\.\d+\Z", rest):
            found.append(f"{action} is not named by its commit, with its version as a comment")
    return found


def problems_of_permissions(text: str) -> list[str]:
    """Return which jobs may write and run tools as well, and whether a workflow says what its jobs may."""
    before, _, jobs = text.partition("\njobs:\n")
    found = []
    if "\npermissions:\n  contents: read\n" not in before + "\n":
        found.append("its jobs may more than read")
    for job in _JOB.split(jobs):
        if re.search(r"^ +[\w-]+: write\b", job, re.MULTILINE) and _RUNS_TOOLS.search(job):
            found.append(f"the job {job.partition(':')[0]} may write, and runs tools that no lock names")
    return found
