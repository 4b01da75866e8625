"""What the documentation shows is what happens: each section is a repository, its files are written, its commands run."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

import own_wheel
import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clones import Clone

    NewClone = Callable[..., Clone]

PAGES = ("how-to/states", "reference/configuration", "how-to/environments", "reference/neoprimer")
# ```LANGUAGE FILE holds the content of a file, ```console run what a person types after `$` and then sees.
# A line of `...` stands for any lines, `...` within a line for any text, and `(exit status N)` says what is not 0.
BLOCK = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Section(NamedTuple):
    """A part of a page that can be followed from its beginning to its end."""

    page: str
    title: str
    blocks: list[tuple[str, str, str]]


def sections() -> Iterator[Section]:
    for page in PAGES:
        path = support.ROOT / "docs" / f"{page}.md"
        for part in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            blocks = [(match[1], match[2], match[3]) for match in BLOCK.finditer(part)]
            if any(block[:2] == ("console", "run") for block in blocks):
                yield Section(page, part.partition("\n")[0], blocks)


SECTIONS = list(sections())


@pytest.mark.index
@pytest.mark.parametrize("section", SECTIONS, ids=[f"{section.page}: {section.title}" for section in SECTIONS])
def test_a_section_can_be_followed(section: Section, new_clone: NewClone) -> None:
    clone = new_clone(**support.shared_caches())
    has_main = any("def main(" in text for _, name, text in section.blocks if name == "app.py")
    clone.entry("prime", "app:main" if has_main else None, "boot")
    more_tools = clone.root.parent / "more tools"
    more_tools.mkdir()
    # What pre-commit writes for git is run by bash.
    (more_tools / "bash").symlink_to(support.needed_tool("bash"))
    clone.environ["PATH"] += os.pathsep + str(more_tools)
    clone.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        clone.environ.update({f"GIT_{role}_NAME": "reader", f"GIT_{role}_EMAIL": "reader@example.invalid"})
    for language, name, text in section.blocks:
        if language == "console":
            follow(clone, text)
        else:
            clone.write({name: with_own_package(clone, text)})


def with_own_package(clone: Clone, text: str) -> str:
    """Let `protoprimer` be this checkout's: no index is asked for that name."""
    line = r"^protoprimer\[neo\] @ file:///path/to/protoprimer$"
    if not re.search(line, text, re.MULTILINE):
        return text
    wheel = own_wheel.make_own_wheel(clone.root)
    return re.sub(line, f"./{wheel}\n" + "\n".join(own_wheel.NEO), text, flags=re.MULTILINE)


def follow(clone: Clone, text: str) -> None:
    """Run each command of a console block, and compare what it prints with what follows it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        expected = shown.rstrip("\n").split("\n") if shown.strip() else []
        status = 0
        if expected and expected[-1].startswith("(exit status "):
            status = int(expected.pop()[13:-1])
        done = clone.run("sh", "-c", _as_author(command) + " 2>&1", status=None, environ=_author_variables(command))
        lines = done.output.splitlines()
        assert done.status == status, f"{command}: exit status {done.status}\n{done.output}"
        assert _matches(expected, lines), f"{command} printed\n{done.output}\ninstead of\n{shown}"


def _as_author(command: str) -> str:
    return command.replace("python -m protoprimer", f"'{sys.executable}' -m protoprimer")


def _author_variables(command: str) -> dict[str, str]:
    return {"PYTHONPATH": str(support.ROOT / "src")} if "python -m protoprimer" in command else {}


def _matches(expected: list[str], lines: list[str]) -> bool:
    pattern = "".join(
        r"(.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in expected
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


def test_every_page_is_followed() -> None:
    assert {section.page for section in SECTIONS} >= set(PAGES)
