"""Write docs/reference/messages.md: what failures say, as the tests that provoke them have seen it.

./prime run -- pytest --messages said.jsonl
./prime run -- python tools/write_messages.py said.jsonl
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "messages.md"
_HEAD = """# Messages

What protoprimer says when it fails, by exit code. Each message names what is wrong, where, and what to do next.
The tests provoke every one of them, and `tools/write_messages.py` writes this page from what they saw. Paths, versions
and names are examples.
"""
_TITLES = {
    1: "A state of the repository refused, or `kernel verify` found something",
    2: "The command line is wrong",
    3: "A configuration file, key or value is wrong",
    4: "No suitable interpreter",
    5: "No usable backend",
    6: "Creation, resolution, installation or the client's import failed",
    7: "The lock was not free in time",
    8: "There is no ready environment",
    120: "What was printed is lost",
    130: "Interrupted",
}
# What differs from one machine and run to the next, and what stands for it.
_EXAMPLES = (
    (r"/[^\s'\"]*/versions/(\d\.\d+)\.\d+(?:-\w+)?/bin/python[\d.]*", r"/usr/bin/python\1"),
    (
        r"/(?:tmp|var)/\S*?(?:pytest-of-\w+/pytest-\d+/(?:popen-gw\d+/)?|host-\w+/)(?:test_\w+/|truth\d+/)?",
        "/home/you/",
    ),
    (r"/[^\s'\"]*/versions/(\d\.\d+)\.\d+/lib/", "/usr/lib/"),
    (r"\b127\.0\.0\.1:\d+|\bpypi\.[a-z]+", "packages.example"),
    (r"/opt/wheels\b", "/srv/wheels"),
    (r"\blocalhost:\d+", "files.example"),
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    (r"\b[0-9a-f]{16,32}\b", "<fingerprint>"),
    (r"\b\d{8}T\d{6}-[0-9a-f]{8}\b", "<run>"),
    (r"\bpid \d+ on [\w.-]+", "pid 4711 on laptop"),
)
_LINES_SHOWN = 12


def messages(file: Path) -> dict[int, list[str]]:
    """Return by exit code the different messages in what the tests kept."""
    found: dict[int, dict[str, str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        text = _example(said["errors"], said["root"])
        if text and not text.startswith("unexpected ") and said["status"] in _TITLES:
            found.setdefault(said["status"], {}).setdefault(_kind(text), text)
    return {status: sorted(texts.values()) for status, texts in sorted(found.items())}


def _example(errors: str, root: str) -> str:
    """Return the last message of a run, without what is of this machine."""
    text = re.split(r"^error: ", re.sub(r"\x1b\[[\d;]*m", "", errors), flags=re.MULTILINE)[-1]
    text = text.partition("\n  log: ")[0].rstrip()
    text = text.replace(root + "/", "").replace(root, "/home/you/repository")
    for pattern, example in _EXAMPLES:
        text = re.sub(pattern, example, text)
    lines = text.splitlines()
    if len(lines) > _LINES_SHOWN:
        lines[_LINES_SHOWN - 2 : -2] = ["  ..."]
    return "\n".join(lines)


def _kind(text: str) -> str:
    """Return what messages have in common that differ in names and numbers only."""
    cause = re.sub(r"'[^']*'|`[^`]*`|\"[^\"]*\"|\S*[/\\]\S*|[\w.]*\d[\w.]*", "*", text.splitlines()[0])
    return re.sub(r"\W+", " ", " ".join(cause.split()[:7]))


def page(found: dict[int, list[str]]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for status, texts in found.items():
        parts.append(f"## {status}: {_TITLES[status]}\n")
        parts += [f"```text\n{text}\n```\n" for text in texts]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(messages(Path(sys.argv[1]))), encoding="utf-8")
