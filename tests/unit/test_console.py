"""Words for a person: how they are printed."""

import io

from protoprimer.errors import PrimerError
from protoprimer.system.children import _figures_of
from protoprimer.system.console import Console


def _said(text: str, root: str = "/home/you/repo") -> str:
    stream = io.StringIO()
    console = Console(stream=stream)
    console.root = root
    console.say(text)
    return stream.getvalue().rstrip("\n")


def test_paths_of_the_repository_are_relative() -> None:
    assert _said("the file /home/you/repo/x.txt does not exist") == "the file x.txt does not exist"
    assert _said("'/home/you/repo/a b/c', /home/you/repo/d:3 (e)") == "'a b/c', d:3 (e)"
    assert _said("--with=/home/you/repo/x") == "--with=x"


def test_paths_beside_the_repository_and_urls_stay_whole() -> None:
    for text in (
        "/home/you/repository/x",
        "file:///home/you/repo/x",
        "/mnt/home/you/repo/x",
        "in /home/you/repo",
        "https://x",
    ):
        assert _said(text) == text
        assert _said(text, root="/") == text


def test_a_command_to_run_has_the_whole_path() -> None:
    failure = PrimerError(
        "not yours", "/home/you/repo/.protoprimer", "run: sudo chown -R 1 '/home/you/repo/.protoprimer'"
    )
    assert _said(str(failure)).splitlines()[1:] == ["  where: .protoprimer", "  next: " + str(failure.advice)]


def test_one_package_is_no_figure() -> None:
    assert _figures_of("Collecting one\n") == ""
    assert _figures_of("Collecting one\nCollecting two\n") == "2 packages"
    assert _figures_of("Resolved 95 packages in 1 s\nBuilt one\nBuilt two\nmore\n") == "2 of 95 packages"
