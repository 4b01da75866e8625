"""Which environment a clone has: chosen by name, by a link of the clone's, or the default where a branch lacks it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import clones

    NewClone = Callable[..., clones.Clone]

TWO = "[env.dev]\nseed-pip = true\n[env.docs]\nkeep = 2\n"
has_links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")


@pytest.fixture
def linked(new_clone: NewClone) -> clones.Clone:
    """Return a clone whose environment is chosen by a link to a directory; git gave all files one time."""
    clone = new_clone().entry("prime", None, "boot")
    clone.write({"proto_kernel.toml": 'env = "lconf/env.toml"\n', "requirements.txt": ""})
    clone.write({"conf/a/env.toml": "keep = 1\n", "conf/b/env.toml": "seed-pip = true\n", "conf/c/other.toml": ""})
    (clone.root / "lconf").symlink_to("conf/a")
    for parent, _, files in os.walk(clone.root):
        for name in files:
            os.utime(os.path.join(parent, name), ns=(10**18, 10**18))
    return clone


def has_pip(clone: clones.Clone) -> bool:
    """Tell whether the environment that `./prime run` takes is the one with pip."""
    return clone.prime("run", "--", "python", "-c", "import pip", status=None).status == 0


@has_links
def test_a_link_to_another_environment_is_noticed_where_all_files_have_one_time(linked: clones.Clone) -> None:
    assert not has_pip(linked)
    for target, expected in (("conf/b", True), ("conf/a", False), ("conf/b", True)):
        (linked.root / "lconf").unlink()
        (linked.root / "lconf").symlink_to(target)
        assert has_pip(linked) is expected


@has_links
def test_env_lists_what_the_link_can_lead_to_and_lets_it_lead_there(linked: clones.Clone) -> None:
    assert linked.prime("env").output == "* a\n  b\n"
    linked.prime()
    linked.prime("env", "b", "--dry-run")
    assert os.readlink(linked.root / "lconf") == "conf/a"
    assert "lconf leads to conf/b" in linked.prime("env", "b").errors
    assert os.readlink(linked.root / "lconf") == "conf/b"
    assert has_pip(linked)
    assert linked.prime("env").output == "  a\n* b\n"
    assert "there is no environment 'c'" in linked.prime("env", "c", status=2).errors
    assert "known: a, b" in linked.prime("env", "zzz", status=2).errors


@has_links
def test_a_link_to_a_file_is_chosen_in_the_same_way(new_clone: NewClone) -> None:
    clone = new_clone().entry("prime", None, "boot")
    clone.write({"proto_kernel.toml": 'env = "chosen.toml"\n', "requirements.txt": "", "README.toml": "x = 1"})
    clone.write({"hosts/laptop.toml": "keep = 1\n", "hosts/farm.toml": "seed-pip = true\n", "hosts/notes.txt": ""})
    (clone.root / "chosen.toml").symlink_to("hosts/laptop.toml")
    assert clone.prime("env").output == "  farm\n* laptop\n"
    assert not has_pip(clone)
    clone.prime("env", "farm")
    assert has_pip(clone)


def test_env_lists_the_named_environments_and_chooses_one(new_clone: NewClone) -> None:
    clone = new_clone().entry("prime", None, "boot").write({"protoprimer.toml": TWO})
    assert clone.prime("env").output == "* default\n  dev\n  docs\n"
    assert not clone.state.exists(), "looking around leaves nothing"
    assert not has_pip(clone)
    assert "./prime makes it ready" in clone.prime("env", "dev").errors
    assert clone.prime("env").output == "  default\n* dev\n  docs\n"
    assert has_pip(clone)
    clone.prime("env", "default")
    assert not has_pip(clone)
    assert "did you mean 'docs'" in clone.prime("env", "dcs", status=2).errors
    assert "is default from now on" in clone.prime("env", "default").errors


def test_a_branch_without_the_chosen_environment_takes_the_default_one_with_one_line(new_clone: NewClone) -> None:
    clone = new_clone().entry("prime", None, "boot").write({"protoprimer.toml": TWO})
    clone.prime("env", "dev")
    clone.prime()
    clone.write({"protoprimer.toml": "[env.docs]\nkeep = 2\n"})
    done = clone.prime()
    assert [line for line in done.errors.splitlines() if "no environment 'dev'" in line] == [
        "this branch has no environment 'dev', which this clone has chosen: taking default"
    ]
    assert not has_pip(clone)
    assert os.path.basename(os.readlink(clone.root / ".venv")).startswith("default-")
    # Back on a branch that has it, it is the chosen one still.
    clone.write({"protoprimer.toml": TWO})
    assert has_pip(clone)
    clone.write({"protoprimer.toml": ""})
    clone.prime("env", "default")
    clone.write({"protoprimer.toml": TWO})
    assert not has_pip(clone)
    # One that is asked for by name is no matter of the branch.
    assert "there is no environment 'dve'" in clone.prime("-e", "dve", status=3).errors


def test_check_finds_an_edit_whose_time_was_set_back(new_clone: NewClone) -> None:
    clone = new_clone().entry("prime", None, "boot").write({"requirements.txt": "# one\n"})
    clone.prime()
    assert clone.prime("check").output.startswith("environment: current\n")
    before = (clone.root / "requirements.txt").stat()
    clone.write({"requirements.txt": "# two\n"})
    os.utime(clone.root / "requirements.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "not built for what the repository asks now" in clone.prime("check", status=1).output


def test_a_python_version_file_of_a_parent_directory_counts_up_to_the_repositorys_root_and_home(
    new_clone: NewClone, tmp_path: Path
) -> None:
    wild = [python.name for python in support.wild_pythons()]
    if len(wild) < 3:
        pytest.skip("needs three Pythons")
    first, second, third = wild[-1], wild[-2], wild[-3]
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    support.git("init", "-q", str(home / "repository"), where=tmp_path)
    (home / "repository" / "sub").mkdir()
    clone = new_clone("home/repository/sub/project").write({"requirements.txt": ""}).entry("prime", None, "boot")

    def asked() -> str:
        return str(clone.prime("eval", "--json").json()["values"]["python"]["place"])

    outside = tmp_path / ".python-version"
    outside.write_text(third + "\n")
    assert asked() == "default", "above home is nobody's"
    (home / ".python-version").write_text(second + "\n")
    assert asked().endswith("home/.python-version:1")
    (home / "repository" / ".python-version").write_text(first + "\n")
    assert asked().endswith("repository/.python-version:1")
    clone.write({".python-version": second + "\n"})
    assert asked() == ".python-version:1"


def test_a_python_version_file_that_appears_above_is_noticed(new_clone: NewClone, tmp_path: Path) -> None:
    wild = [python.name for python in support.wild_pythons()]
    support.git("init", "-q", str(tmp_path / "repository"), where=tmp_path)
    clone = new_clone("repository/project").write({"requirements.txt": ""}).entry("prime", None, "boot")
    clone.prime()
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    for version in (wild[-1], wild[-2]):
        (tmp_path / "repository" / ".python-version").write_text(version + "\n")
        environ = {**support.shared_caches()}
        assert clone.prime("run", "--", "python", "-c", script, environ=environ).output == version + "\n"
