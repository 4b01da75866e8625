"""What was moved, copied, damaged, switched or left by others is noticed and healed, or refused, and never lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable

    NewClone = Callable[..., clones.Clone]

pytestmark = pytest.mark.costly

SILENT = clones.Done(0, "", "")


@pytest.fixture
def clone(new_clone: NewClone, kernel: str) -> clones.Clone:
    """Return a clone with nothing to install and a client that reports."""
    clone = new_clone().write({"client.py": clones.REPORTING_CLIENT, "protoprimer.toml": 'backend = "venv"\n'})
    return clone.entry("prime", None, "boot").entry("app", "client:main", "run")


def prefix_of_app(clone: clones.Clone) -> Path:
    return Path(clone.report("./app")["prefix"])


# What may lie at .venv


def test_a_foreign_environment_at_the_link_is_neither_used_nor_touched(clone: clones.Clone) -> None:
    python = support.default_python().executable
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", str(clone.root / ".venv")], check=True)
    before = clones.snapshot(clone.root / ".venv")
    done = clone.prime()
    assert "warning: .venv is not protoprimer's: left alone" in done.errors
    assert clones.snapshot(clone.root / ".venv") == before
    assert prefix_of_app(clone) == clone.generations()[0]
    assert clone.builds() == 1


@pytest.mark.parametrize(
    "kind", ["file", "directory with files", "link to a directory", "link to nothing", "broken environment"]
)
def test_what_is_not_ours_at_the_link_stays(clone: clones.Clone, kind: str) -> None:
    link, elsewhere = clone.root / ".venv", clone.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("data")
    if kind == "file":
        link.write_text("mine")
    elif kind == "directory with files":
        shutil.copytree(elsewhere, link)
    elif kind == "broken environment":
        (link / "bin").mkdir(parents=True)
        (link / "pyvenv.cfg").write_text("home = /nowhere\n")
        (link / "bin" / "python").symlink_to("/nowhere/python")
    else:
        link.symlink_to(elsewhere if kind == "link to a directory" else elsewhere / "gone")
    before = clones.snapshot(clone.root.parent, without=["a clone", "home"]), os.lstat(link).st_ino
    content = clones.snapshot(link) if link.is_dir() and not link.is_symlink() else None
    done = clone.prime()
    assert "left alone" in done.errors
    assert "venv-link" in done.errors
    assert (clones.snapshot(clone.root.parent, without=["a clone", "home"]), os.lstat(link).st_ino) == before
    if content is not None:
        assert clones.snapshot(link) == content
    assert prefix_of_app(clone) == clone.generations()[0]
    # It was said once, when the environment was made; a warm start says nothing.
    assert clone.prime() == SILENT


def test_an_empty_directory_and_links_of_ours_at_the_link_are_replaced(clone: clones.Clone) -> None:
    link = clone.root / ".venv"
    link.mkdir()
    clone.prime()
    assert os.path.realpath(link) == str(clone.generations()[0])
    link.unlink()
    # Such as a clone that was moved has.
    link.symlink_to(clone.root.parent / "was/.protoprimer/envs/default-0123456789abcdef")
    assert clone.prime().status == 0
    assert os.path.realpath(link) == str(clone.generations()[0])
    link.unlink()
    clone.prime()
    assert os.path.realpath(link) == str(clone.generations()[0])
    assert clone.builds() == 1


def test_the_link_is_made_once_what_is_not_ours_is_moved_away(clone: clones.Clone) -> None:
    link = clone.root / ".venv"
    clone.write({".venv/precious": "data"})
    assert "to have the link, move it away" in clone.prime().errors
    assert clone.prime() == SILENT
    link.rename(clone.root / "moved")
    for _ in range(2):
        clone.prime()
        assert os.path.realpath(link) == str(clone.generations()[0])
        assert clone.prime() == SILENT
        link.unlink()
    assert clone.builds() == 1


def test_the_link_can_be_named_otherwise_or_done_without(clone: clones.Clone) -> None:
    clone.write({"protoprimer.toml": 'backend = "venv"\nvenv-link = "build/env"\n'})
    clone.prime()
    assert os.path.realpath(clone.root / "build/env") == str(clone.generations()[0])
    clone.write({"protoprimer.toml": 'backend = "venv"\nvenv-link = false\n'})
    clone.prime()
    assert not os.path.lexists(clone.root / ".venv")


# What may lie in the state directory


@pytest.mark.parametrize("name", [".protoprimer", ".protoprimer/envs"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_not_ours_in_the_place_of_the_state_is_refused_and_stays(
    clone: clones.Clone, name: str, kind: str
) -> None:
    place, elsewhere = clone.root / name, clone.root.parent / "elsewhere"
    elsewhere.mkdir()
    place.parent.mkdir(exist_ok=True)
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(elsewhere)
    before = clones.snapshot(clone.root)
    done = clone.prime(status=6)
    assert done.errors.startswith("error: the state directory ")
    assert f"where: {name}\n" in done.errors
    assert "Traceback" not in done.errors
    assert clones.snapshot(clone.root) == before
    assert list(elsewhere.iterdir()) == []


GARBAGE = {
    "empty": b"",
    "text": b"what is this\n",
    "a NUL and more": b"\0\xff\n$(touch touched)\n",
    "json": b"[1, 2]\n",
}


@pytest.mark.parametrize("name", ["ready", "environment", "lock", "envs/default.last.json"])
@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_in_a_file_of_the_state_costs_no_more_than_a_look(
    clone: clones.Clone, name: str, content: bytes
) -> None:
    clone.prime()
    (clone.state / name).write_bytes(content)
    assert clone.prime() == SILENT
    assert prefix_of_app(clone) == clone.generations()[0]
    assert not (clone.root / "touched").exists()
    assert clone.builds() == 1


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_generation_whose_record_is_garbage_is_built_anew(clone: clones.Clone, content: bytes) -> None:
    clone.prime()
    (clone.generations()[0] / "protoprimer.json").write_bytes(content)
    (clone.state / "ready").unlink()
    assert "building" in clone.prime().errors
    assert prefix_of_app(clone) == clone.generations()[0]
    assert clone.prime() == SILENT


def test_a_ready_fragment_cut_off_anywhere_decides_nothing(clone: clones.Clone) -> None:
    clone.prime()
    whole = (clone.state / "ready").read_bytes()
    expected = clone.generations()[0]
    for length in range(0, len(whole), max(1, len(whole) // 12)):
        (clone.state / "ready").write_bytes(whole[:length])
        assert prefix_of_app(clone) == expected
    assert clone.builds() == 1


def test_files_where_directories_of_the_state_belong_do_not_end_in_a_traceback(clone: clones.Clone) -> None:
    clone.prime()
    for name in ("stamps", "log"):
        shutil.rmtree(clone.state / name)
        (clone.state / name).write_text("mine")
    clone.write({"protoprimer.toml": 'backend = "venv"  # changed\n'})
    done = clone.prime()
    assert "Traceback" not in done.errors
    assert prefix_of_app(clone) == clone.generations()[-1]
    assert [(clone.state / name).read_text() for name in ("stamps", "log")] == ["mine", "mine"]


def test_somebodys_own_files_among_the_generations_stay(clone: clones.Clone) -> None:
    theirs = {
        ".protoprimer/envs/mine/precious": "data",
        ".protoprimer/notes": "data",
        ".protoprimer/envs/a-b/x": "data",
    }
    clone.write(theirs)
    clone.prime()
    clone.prime("reboot")
    clone.prime("gc")
    for name in theirs:
        assert (clone.root / name).read_text() == "data"


def test_the_environment_gone_in_whole_or_in_part_is_built_anew(clone: clones.Clone) -> None:
    clone.prime()
    damages: list[Callable[[Path], object]] = [
        shutil.rmtree,
        lambda path: shutil.rmtree(path / "bin"),
        lambda path: (path / "bin" / "python").unlink(),
        lambda path: (path / "pyvenv.cfg").unlink(),
        lambda path: (path / "pyvenv.cfg").write_text(""),
        lambda path: (path / "protoprimer.json").unlink(),
    ]
    for count, damage in enumerate(damages, 2):
        damage(clone.generations()[-1])
        assert "building an environment because" in clone.prime().errors, count
        assert prefix_of_app(clone) == clone.generations()[-1]
        assert clone.prime() == SILENT
        assert clone.builds() == count


def test_the_whole_state_deleted_is_built_anew(clone: clones.Clone) -> None:
    clone.prime()
    shutil.rmtree(clone.state)
    assert prefix_of_app(clone) == clone.generations()[0]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a module deleted": lambda packages: (packages / "piece.py").unlink(),
    "a module emptied": lambda packages: (packages / "piece.py").write_bytes(b""),
    "metadata deleted": lambda packages: shutil.rmtree(next(packages.glob("piece-*.dist-info"))),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_an_installed_package_that_lost_files_is_healed(clone: clones.Clone, damage: Callable[[Path], object]) -> None:
    piece = "def say():\n    print('whole')\n"
    clone.project("piece", "piece", module=piece).write(
        {
            "protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = [{ path = "piece", editable = false }] }]\n',
            "client.py": "from piece import say as main\n",
        }
    )
    assert clone.run("./app").output == "whole\n"
    damage(next(clone.generations()[0].glob("lib/python*/site-packages")))
    done = clone.run("./app")
    assert done.output == "whole\n"
    assert "Traceback" not in done.errors
    # Whether the client's import or the look at the directory told of it, it was built once, and is right again.
    assert clone.run("./app") == clones.Done(0, "whole\n", "")
    assert clone.builds() == 2


def test_sources_of_an_editable_project_that_are_gone_are_missed(clone: clones.Clone) -> None:
    clone.project("piece").write({"src/piece.py": "", "client.py": "def main():\n    print('served')\n"})
    built = clones.BUILD_BACKEND.replace("os.getcwd()", "os.getcwd() + '/src'")
    clone.write({"builder.py": built, "protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = ["."] }]\n'})
    clone.prime()
    assert clone.prime() == SILENT
    shutil.rmtree(clone.root / "src")
    # What was code is an input by its place.
    assert "packages in src changed: piece.py became none" in clone.prime("check", status=1).output
    assert "the sources in src are gone" in clone.prime(status=6).errors


def test_start_app_in_a_damaged_environment_tells_to_run_prime_which_then_heals(clone: clones.Clone) -> None:
    clone.project("piece", "piece", module="def say():\n    print('whole')\n").write(
        {
            "protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = [{ path = "piece", editable = false }] }]\n',
            "client.py": "from piece import say as main\n",
        }
    )
    clone.entry("service", "client:main", "start").prime()
    assert clone.run("./service").output == "whole\n"
    next(clone.generations()[0].glob("lib/python*/site-packages/piece.py")).write_bytes(b"")
    done = clone.run("./service", status=8)
    assert "piece.py has 0 bytes instead of" in done.errors
    assert "next: run ./prime" in done.errors
    assert clone.builds() == 1
    assert "because piece.py has 0 bytes" in clone.prime().errors
    assert clone.run("./service").output == "whole\n"


# Moving, copying, switching


def test_a_moved_clone_is_built_anew_for_its_place_and_a_copy_for_its_own(clone: clones.Clone) -> None:
    clone.prime()
    moved = clones.Clone(clone.root.parent / "moved", clone.environ, clone.kernel, clone.started)
    os.rename(clone.root, moved.root)
    assert str(prefix_of_app(moved)).startswith(str(moved.root))
    assert os.path.realpath(moved.root / ".venv").startswith(str(moved.root))
    assert moved.prime() == SILENT
    copy = clones.Clone(clone.root.parent / "copy", clone.environ, clone.kernel, clone.started)
    shutil.copytree(moved.root, copy.root, symlinks=True)
    assert str(prefix_of_app(copy)).startswith(str(copy.root))
    assert os.path.realpath(copy.root / ".venv").startswith(str(copy.root))
    assert str(prefix_of_app(moved)).startswith(str(moved.root))
    assert copy.prime() == SILENT
    # Back at its first place, what was built there first is still right.
    os.rename(moved.root, clone.root)
    builds = clone.builds()
    assert str(prefix_of_app(clone)).startswith(str(clone.root))
    assert clone.builds() == builds


def test_a_clone_reached_through_a_link_is_the_same_clone(clone: clones.Clone) -> None:
    clone.prime()
    link = clone.root.parent / "link"
    link.symlink_to(clone.root)
    for command in ([str(link / "app")], [str(clone.root / "app")]):
        assert clone.root / clone.report(*command)["prefix"] == clone.generations()[0]
    assert clone.run(str(link / "prime"), cwd=link) == SILENT
    assert clone.builds() == 1


def test_going_back_to_another_branch_is_a_swap_of_the_link(clone: clones.Clone) -> None:
    variants = [
        'backend = "venv"\n',
        'backend = "venv"\nseed-pip = false\nwatch = ["data"]\n',
        'backend = "venv" # third\n',
    ]
    homes = []
    for variant in variants:
        clone.write({"protoprimer.toml": variant})
        homes.append(prefix_of_app(clone))
    assert clone.builds() == len(set(homes))
    for variant, home in list(zip(variants, homes)) * 2:
        clone.write({"protoprimer.toml": variant})
        done = clone.prime()
        assert "created" not in done.errors
        assert os.path.realpath(clone.root / ".venv") == str(home)
        assert prefix_of_app(clone) == home
    assert clone.builds() == len(set(homes))


def test_an_edit_is_seen_whatever_its_time_says(clone: clones.Clone) -> None:
    clone.prime()
    earlier = (clone.root / "protoprimer.toml").stat()
    clone.write({"protoprimer.toml": 'backend = "venv" # changed\n'})
    os.utime(clone.root / "protoprimer.toml", ns=(earlier.st_atime_ns, earlier.st_mtime_ns - 10**12))
    assert "because protoprimer.toml changed" in clone.prime().errors
    # Long ago, and in the future.
    for number, moment in enumerate((0, 1, 4 * 10**9)):
        clone.write({"protoprimer.toml": f'backend = "venv" # {number}\n'})
        os.utime(clone.root / "protoprimer.toml", (moment, moment))
        assert "because protoprimer.toml changed" in clone.prime().errors
        assert clone.prime() == SILENT


def test_a_change_of_times_alone_builds_nothing_and_is_forgotten_after_one_look(clone: clones.Clone) -> None:
    clone.prime()
    # Not of just now: a file that may have changed while it was read is looked at once more, on purpose.
    moment = (clone.state / "ready").stat().st_mtime_ns - 10**9
    os.utime(clone.root / "protoprimer.toml", ns=(moment, moment))
    assert clone.prime() == SILENT
    before = (clone.state / "ready").stat().st_ino
    assert clone.prime() == SILENT
    assert (clone.state / "ready").stat().st_ino == before
    assert clone.builds() == 1


@pytest.mark.parametrize("name", ["requirements.txt", "setup.cfg", "pyproject.toml", ".python-version", "pylock.toml"])
def test_an_input_that_appears_or_vanishes_is_seen(clone: clones.Clone, name: str) -> None:
    clone.prime()
    content = {
        ".python-version": support.default_python().name + "\n",
        "pylock.toml": 'lock-version = "1.0"\ncreated-by = "test"\npackages = []\n',
        "setup.cfg": "[flake8]\nmax-line-length = 100\n",
    }
    clone.write({name: content.get(name, "")})
    done = clone.prime()
    assert f"because {name} appeared" in done.errors
    assert clone.prime() == SILENT
    (clone.root / name).unlink()
    assert "created" not in clone.prime().errors
    assert os.path.realpath(clone.root / ".venv") == str(clone.generations()[0])
    assert clone.builds() == 2


def test_a_watched_file_counts(clone: clones.Clone) -> None:
    clone.write({"protoprimer.toml": 'backend = "venv"\nwatch = ["native/code.c"]\n'})
    clone.prime()
    clone.write({"native/code.c": "int x;\n"})
    assert "native/code.c appeared" in clone.prime().errors
    clone.write({"native/code.c": "int y;\n"})
    assert "native/code.c changed" in clone.prime().errors
    assert clone.builds() == 3


# The interpreter


@pytest.fixture
def copied_python(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes an installation of its own, as an upgrade would bring or take away."""
    python = support.default_python()
    base = subprocess.run(
        [python.executable, "-I", "-c", "import sys; print(sys.base_prefix)"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    if not os.access(os.path.join(base, "lib"), os.W_OK) and not os.path.isdir(os.path.join(base, "lib")):
        pytest.skip("the interpreter's installation cannot be copied")

    def make(name: str) -> Path:
        skipped = shutil.ignore_patterns("site-packages", "test", "__pycache__", "*.a", "idlelib", "tkinter", "share")
        shutil.copytree(base, tmp_path / name, symlinks=True, ignore=skipped)
        return tmp_path / name / "bin" / f"python{python.name}"

    return make


def test_an_interpreter_that_was_removed_is_replaced_by_another_one(
    clone: clones.Clone, copied_python: Callable[[str], Path]
) -> None:
    python = copied_python("upgraded")
    path = clone.root.parent / "bin"
    path.mkdir()
    (path / "python3").symlink_to(python)
    usual = clone.environ["PATH"]
    first = clone.report("./app", environ={"PATH": f"{path}:{usual}"})
    assert first["base_prefix"] == str(python.parent.parent)
    # While it is there it stays, whoever starts.
    assert clone.report("./app")["prefix"] == first["prefix"]
    shutil.rmtree(python.parent.parent)
    second = clone.report("./app")
    assert second["prefix"] != first["prefix"]
    assert second["base_prefix"] != first["base_prefix"]
    assert clone.run("./prime") == SILENT
    assert clone.builds() == 2


def test_an_interpreter_replaced_in_place_by_one_of_equal_version_is_looked_at_and_kept(
    clone: clones.Clone, copied_python: Callable[[str], Path]
) -> None:
    python = copied_python("upgraded")
    path = clone.root.parent / "bin"
    path.mkdir()
    (path / "python3").symlink_to(python)
    clone.environ["PATH"] = f"{path}:{clone.environ['PATH']}"
    first = clone.report("./app")
    os.utime(python.resolve(), (1, 1))
    assert clone.report("./app")["prefix"] == first["prefix"]
    assert clone.builds() == 1


def test_a_link_that_leads_to_another_interpreter_of_the_same_date_is_seen(clone: clones.Clone, tmp_path: Path) -> None:
    """Archives of interpreters have one date for all files, and version managers lead to the chosen one by a link."""
    first, *_, last = [python for python in support.wild_pythons() if python.name not in {"3.6", "3.7"}]
    if first == last:
        pytest.skip("this machine has no two Pythons")
    for python in (first, last):
        command = [python.executable, "-I", "-c", "import os, sys; print(os.__file__, sys.base_prefix)"]
        library = Path(subprocess.check_output(command, text=True).split()[0]).parent
        made = tmp_path / python.name / "bin" / "python3"
        made.parent.mkdir(parents=True)
        shutil.copy(os.path.realpath(python.executable), made)
        os.utime(made, (1, 1))
        (tmp_path / python.name / "lib").mkdir()
        (tmp_path / python.name / "lib" / library.name).symlink_to(library)
    current = tmp_path / "current"
    current.symlink_to(first.name)
    clone.environ["PATH"] = f"{current / 'bin'}:{clone.environ['PATH']}"
    clone.prime()
    assert clone.run("./prime") == SILENT
    current.unlink()
    current.symlink_to(last.name)
    assert "because the interpreter changed: cpython " in clone.prime().errors
    assert clone.run("./prime") == SILENT


# Killing


MOMENTS = {
    "before anything": "home",
    "the state is prepared": "a clone/.protoprimer",
    "the lock is held": "a clone/.protoprimer/lock",
    "a build has begun": "a clone/.protoprimer/envs/*.building",
    "the interpreter is there": "a clone/.protoprimer/envs/default-*/bin/python",
    "something is installed": "a clone/.protoprimer/envs/default-*/lib/python*/site-packages/*.dist-info",
    "it is published": "a clone/.protoprimer/envs/default-*/protoprimer.json",
    "it is announced": "a clone/.protoprimer/ready",
}
ALIKE = ("the state is prepared", "the lock is held", "it is announced")


# A few of them tell what the others tell: nothing is built yet, or all is.
@pytest.mark.parametrize(
    "moment",
    [pytest.param(MOMENTS[name], id=name, marks=pytest.mark.thorough if name in ALIKE else ()) for name in MOMENTS],
)
def test_killed_at_any_moment_the_next_run_succeeds(clone: clones.Clone, moment: str) -> None:
    """The process is killed, and what it had started goes on as an orphan, or is killed with it."""
    clone.project("piece", "piece").write(
        {
            "protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = ["piece"] }]\n',
            "client.py": clones.REPORTING_CLIENT + "import piece\n",
        }
    )
    for whole_group in (False, True):
        process = clone.start("./prime", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(clone.root.parent.glob(moment)):
            pass
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        report = clone.report("./app")
        home = clone.root / report["prefix"]
        assert json.loads((home / "protoprimer.json").read_text())["distributions"]
        assert report["modules"]["piece"] == str(clone.root / "piece" / "piece.py")
        assert clone.prime() == SILENT
        shutil.rmtree(clone.state)
        (clone.root / ".venv").unlink()


def test_interrupted_by_the_terminal_says_so_and_leaves_nothing_half_done(clone: clones.Clone) -> None:
    clone.project("piece", "piece").write(
        {"protoprimer.toml": 'backend = "venv"\ninstall = [{ projects = ["piece"] }]\n'}
    )
    process = clone.start("./prime")
    while process.poll() is None and not list(clone.state.glob("envs/default-*/bin/python")):
        pass
    os.killpg(process.pid, signal.SIGINT)
    done = clones.finished(process)
    assert done.status == 130
    assert "error: interrupted" in done.errors
    assert "Traceback" not in done.errors
    assert clone.generations() == []
    clone.prime()
    assert len(clone.generations()) == 1


# What we add to each environment


@pytest.mark.parametrize("lost", ["protoprimer", "protoprimer/__init__.py", "bin/pip"])
@pytest.mark.parametrize("damage", ["removed", "emptied"])
def test_the_carried_module_and_pip_are_missed_and_come_back(clone: clones.Clone, lost: str, damage: str) -> None:
    clone.prime()
    generation = clone.generations()[0]
    path = generation / lost if lost.startswith("bin") else next(generation.glob("lib/*/site-packages")) / lost
    if path.is_dir():
        shutil.rmtree(path)
        path = path / "__init__.py"
    else:
        path.unlink()
    if damage == "emptied":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    told = clone.prime("check", status=1).output
    assert f"{path.name} is missing or empty" in told
    assert "./prime reboot makes it anew" in told
    # A boot that looks at all, as every one does after a change of an input's time.
    (clone.root / ".protoprimer" / "ready").unlink()
    clone.prime()
    assert clone.prime("check").output.startswith("environment: current\n")
    script = "import protoprimer; print(protoprimer.get_config()['root'])"
    assert clone.prime("run", "--", "python", "-c", script).output == f"{clone.root}\n"
    assert clone.builds() == 2
