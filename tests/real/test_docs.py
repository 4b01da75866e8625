"""What the documentation shows is what happens: files that a page shows are written, and its commands are run."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

import own_wheel
import support
from clones import generated_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clones import Clone

    NewClone = Callable[..., Clone]

# Each section of these is a repository that has an entry script and a kernel.
PAGES = ("how-to/states", "reference/configuration", "how-to/environments", "reference/neoprimer")
# Each of these is followed from its first line to its last, from an empty directory with a kernel in it.
WHOLE_PAGES = [
    pytest.param("tutorial/first-repository"),
    pytest.param("how-to/library"),
    pytest.param("how-to/application"),
    pytest.param("how-to/monorepo"),
    pytest.param("how-to/setup-py"),
]
# ```LANGUAGE title="FILE" holds the content of a file, ```console what a person types after `$` and then sees.
# A line of `...` stands for any lines, `...` within a line for any text, and `(exit status N)` says what is not 0.
BLOCK = re.compile(r'^```(\w+)(?: title="(\S+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Section(NamedTuple):
    """A part of a page that can be followed from its beginning to its end."""

    page: str
    title: str
    blocks: list[tuple[str, str | None, str]]


def sections() -> Iterator[Section]:
    for page in PAGES:
        for part in re.split(r"^## ", text_of(page), flags=re.MULTILINE)[1:]:
            blocks = blocks_of(part)
            if any(language == "console" for language, _, _ in blocks):
                yield Section(page, part.partition("\n")[0], blocks)


def text_of(page: str) -> str:
    return (support.ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")


def blocks_of(text: str) -> list[tuple[str, str | None, str]]:
    """Return what is to be written or run; other blocks only show something."""
    found = [(match[1], match[2], match[3]) for match in BLOCK.finditer(text)]
    return [block for block in found if block[0] == "console" or block[1]]


SECTIONS = list(sections())


@pytest.mark.index
@pytest.mark.parametrize("section", SECTIONS, ids=[f"{section.page}: {section.title}" for section in SECTIONS])
def test_a_section_can_be_followed(section: Section, new_clone: NewClone) -> None:
    clone = new_clone(**support.shared_caches())
    has_main = any("def main(" in text for _, name, text in section.blocks if name == "app.py")
    clone.entry("prime", "app:main" if has_main else None, "boot")
    follow_all(clone, section.blocks)


@pytest.mark.index
@pytest.mark.parametrize("page", WHOLE_PAGES)
def test_a_page_can_be_followed_from_its_beginning(page: str, new_clone: NewClone) -> None:
    clone = new_clone(**support.shared_caches())
    follow_all(clone.write({"proto_kernel.py": generated_kernel()}), blocks_of(text_of(page)))


def follow_all(clone: Clone, blocks: list[tuple[str, str | None, str]]) -> None:
    more_tools = clone.root.parent / "more tools"
    more_tools.mkdir()
    # What pre-commit writes for git is run by bash.
    (more_tools / "bash").symlink_to(support.needed_tool("bash"))
    clone.environ["PATH"] += os.pathsep + str(more_tools)
    clone.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        clone.environ.update({f"GIT_{role}_NAME": "reader", f"GIT_{role}_EMAIL": "reader@example.invalid"})
    for _, name, text in blocks:
        if name is None:
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
    if "def initialise(" not in generated_kernel():
        # Until the kernel carries the author's commands.
        command = command.replace("python3 proto_kernel.py", "python -m protoprimer")
    return command.replace("python -m protoprimer", f"'{sys.executable}' -m protoprimer")


def _author_variables(command: str) -> dict[str, str]:
    return {"PYTHONPATH": str(support.ROOT / "src")} if sys.executable in _as_author(command) else {}


def _matches(expected: list[str], lines: list[str]) -> bool:
    pattern = "".join(
        r"(.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in expected
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


def test_every_page_is_followed() -> None:
    assert {section.page for section in SECTIONS} >= set(PAGES)


def test_what_a_page_shows_as_typed_on_a_console_is_run() -> None:
    followed = {*PAGES, *(parameter.values[0] for parameter in WHOLE_PAGES)}
    for path in sorted((support.ROOT / "docs").rglob("*.md")):
        page = path.relative_to(support.ROOT / "docs").with_suffix("").as_posix()
        assert page in followed or "```console" not in path.read_text(encoding="utf-8"), page


def test_each_block_says_what_it_is_in_a_form_that_the_site_reads() -> None:
    for path in sorted((support.ROOT / "docs").rglob("*.md")):
        for head in re.findall(r"^ *```([^\n`]+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.fullmatch(r'\w+( title="\S+")?', head), f"{path}: {head}"
