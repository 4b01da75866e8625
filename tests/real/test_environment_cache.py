"""An environment that was built before is linked from the user's cache, where another build would make the same."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones
import own_wheel
import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PYLOCK = 'lock-version = "1.0"\ncreated-by = "a test"\npackages = []\n'
# Its build backend gives the project a script.
BUILDER = clones.BUILD_BACKEND.replace(
    "    if editable:\n",
    '    files[stem + ".dist-info/entry_points.txt"] = "[console_scripts]\\ntell = demo:tell\\n"\n    if editable:\n',
)
MODULE = "NAME = __file__\ndef tell():\n    print(NAME)\n"

pytestmark = [pytest.mark.index, pytest.mark.skipif(os.name == "nt", reason="nothing is kept on Windows")]


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """Return a directory whose path fits into a script's first line with that of an environment below it."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory).resolve()


@pytest.fixture
def user(new_clone: Callable[..., clones.Clone], tmp_path: Path, fetch_tools: Callable[[str], None]) -> clones.Clone:
    """Return the clone of a user with a cache of their own, in which uv is."""
    fetch_tools("uv")
    clone = new_clone()
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    shared = Path(clone.environ["PROTOPRIMER_CACHE"])
    for name in ("tools", "wheels", "interpreters"):
        if (shared / name).is_dir():
            shutil.copytree(shared / name, cache / name, symlinks=True)
    clone.environ["PROTOPRIMER_CACHE"] = str(cache)
    return clone


def filled(clone: clones.Clone, lock: str = "pylock.toml", settings: str = "", more: str = "") -> clones.Clone:
    """Make the clone one of a locked project, and return it."""
    clone.write({"protoprimer.toml": f'lock = "{lock}"\n{settings}', "pylock.toml": PYLOCK})
    return clone.project("demo", ".", more, MODULE).write({"builder.py": BUILDER}).entry("prime", None, "boot")


def at(clone: clones.Clone, root: Path) -> clones.Clone:
    """Return the same user's copy of what is committed, at another place."""
    shutil.copytree(clone.root, root, ignore=shutil.ignore_patterns(".protoprimer", ".venv"))
    return clones.Clone(root, clone.environ, clone.kernel, clone.started)


def kept(clone: clones.Clone) -> list[Path]:
    """Return what is in the cache of environments."""
    place = Path(clone.environ["PROTOPRIMER_CACHE"], "environments")
    return sorted(path for path in place.iterdir() if path.suffix != ".once") if place.is_dir() else []


def built(clone: clones.Clone) -> clones.Clone:
    """Prime a clone as often as it takes until its environment is kept: with uv that is the second time."""
    said = clone.prime("-v").errors
    if "uv has built it for the first time" in said:
        shutil.rmtree(clone.state)
        said = clone.prime("-v").errors
    assert "not kept" not in said
    assert len(kept(clone)) == 1
    return clone


def started_anew(clone: clones.Clone) -> str:
    """Remove all that was made in the clone, start it, and return what it said."""
    shutil.rmtree(clone.state)
    return clone.prime("-v").errors


def children(clone: clones.Clone) -> list[str]:
    """Return the commands that were run, as the only log tells."""
    (log,) = clone.state.glob("log/*.log")
    return [line for line in log.read_text(encoding="utf-8").splitlines() if " $ " in line]


def test_what_was_built_before_is_linked_without_a_process(user: clones.Clone, backend: str) -> None:
    clone = filled(user, settings=f'backend = "{backend}"\n')
    built(clone)
    assert "from the cache" in started_anew(clone)
    assert children(clone) == []
    (generation,) = clone.generations()
    assert json.loads((generation / "protoprimer.json").read_text())["backend"] == backend
    assert clone.run(".venv/bin/python", "-c", "import demo; print(demo.NAME)").output == f"{clone.root}/demo.py\n"
    (place,) = kept(clone)
    (metadata,) = generation.glob("lib/*/site-packages/demo-1.dist-info/METADATA")
    assert metadata.samefile(place / "tree" / metadata.relative_to(generation))


def test_an_environment_linked_into_another_clone_is_that_clone_s(
    user: clones.Clone, backend: str, short_directory: Path
) -> None:
    first = at(filled(user, settings=f'backend = "{backend}"\n'), short_directory / "first")
    built(first)
    second = at(first, short_directory / "the-second.one")
    assert "from the cache" in second.prime("-v").errors
    assert children(second) == []
    assert second.run(".venv/bin/tell").output == f"{second.root}/demo.py\n"
    (generation,) = second.generations()
    in_shell = '. .venv/bin/activate; echo "$VIRTUAL_ENV"; command -v tell'
    assert second.run("sh", "-c", in_shell).output == f"{generation}\n{generation}/bin/tell\n"
    naming = [path for path in generation.rglob("*") if path.is_file() and b"/first" in path.read_bytes()]
    assert naming == []
    packages = next(generation.glob("lib/*/site-packages"))
    for name, digest, size in csv.reader((packages / "demo-1.dist-info" / "RECORD").read_text().splitlines()):
        content = (packages / name).read_bytes()
        found = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert not digest or (found, str(len(content))) == (digest, size), name
    # What the first one has is still its own.
    assert first.run(".venv/bin/tell").output == f"{first.root}/demo.py\n"


def test_a_path_that_is_written_in_several_ways_is_linked_at_its_own_place_only(user: clones.Clone) -> None:
    clone = filled(user)
    assert " " in str(clone.root)
    built(clone)
    assert "from the cache" in started_anew(clone)
    other = at(clone, clone.root.parent / "another clone")
    assert "with backend uv" in other.prime("-v").errors
    for one in (clone, other):
        assert one.run(".venv/bin/tell").output == f"{one.root}/demo.py\n"


def test_an_edit_within_an_environment_does_not_reach_the_next_one(user: clones.Clone) -> None:
    # With uv it would reach uv's own cache, which is linked to as well.
    clone = filled(user, settings='backend = "venv"\n')
    built(clone)
    (metadata,) = clone.generations()[0].glob("lib/*/site-packages/demo-1.dist-info/METADATA")
    before = metadata.read_bytes()
    with metadata.open("ab") as stream:
        stream.write(b"edited\n")
    said = started_anew(clone)
    assert "is not whole" in said
    assert "with backend venv" in said
    (metadata,) = clone.generations()[0].glob("lib/*/site-packages/demo-1.dist-info/METADATA")
    assert metadata.read_bytes() == before
    assert "linked demo" in started_anew(clone)


@pytest.mark.parametrize("damage", ["a file is gone", "the manifest is cut off", "an own text changed", "a tree is gone"])
def test_a_cache_that_is_not_whole_is_passed_over_and_filled_anew(user: clones.Clone, damage: str) -> None:
    clone = filled(user)
    built(clone)
    (place,) = kept(clone)
    if damage == "a file is gone":
        next((place / "tree").glob("lib/*/site-packages/demo-1.dist-info/METADATA")).unlink()
    elif damage == "a tree is gone":
        shutil.rmtree(place / "tree")
    elif damage == "an own text changed":
        script = place / "tree" / "bin" / "tell"
        script.write_bytes(script.read_bytes() + b"#")
    else:
        manifest = place / "manifest"
        manifest.write_bytes(manifest.read_bytes()[:-10])
    assert "with backend uv" in started_anew(clone)
    assert clone.run(".venv/bin/tell").output == f"{clone.root}/demo.py\n"
    assert "linked demo" in started_anew(clone)
    assert len(kept(clone)) == 1


def test_what_others_could_have_written_is_not_used(user: clones.Clone) -> None:
    clone = filled(user)
    built(clone)
    (place,) = kept(clone)
    place.chmod(0o777)
    assert "with backend uv" in started_anew(clone)


def test_reboot_builds_and_what_it_builds_is_kept(user: clones.Clone, short_directory: Path) -> None:
    clone = at(filled(user), short_directory / "clone")
    # The first one writes the lock anew.
    clone.prime("reboot")
    clone.prime("reboot")
    (place,) = kept(clone)
    first = (place / "manifest").stat().st_mtime_ns
    assert "with backend uv" in clone.prime("reboot").errors
    (place,) = kept(clone)
    assert (place / "manifest").stat().st_mtime_ns != first


NOT_KEPT: dict[str, tuple[dict[str, str], str]] = {
    "without a lock": ({"protoprimer.toml": "lock = false\n"}, "changes with the index"),
    "not editable": (
        {"protoprimer.toml": 'lock = "pylock.toml"\ninstall = { projects = [{ path = ".", editable = false }] }\n'},
        "may be built to something else",
    ),
    "computed metadata": (
        {"setup.py": "", "protoprimer.toml": 'lock = "pylock.toml"\n'},
        "may be built to something else",
    ),
    "compiled": (
        {"builder.py": BUILDER.replace("Purelib: true", "Purelib: false")},
        "built from more than its metadata",
    ),
    "cache keys": (
        {"more": '\n[tool.uv]\ncache-keys = [{ file = "native.c" }]\n'},
        "built from more than its metadata",
    ),
}


@pytest.mark.parametrize("what", NOT_KEPT)
def test_what_another_build_could_make_in_another_way_is_not_kept(user: clones.Clone, what: str) -> None:
    clone = filled(user)
    files, why = NOT_KEPT[what]
    project = (clone.root / "pyproject.toml").read_text() + files.get("more", "")
    clone.write({"pyproject.toml": project, **files})
    assert why in clone.prime("-v").errors
    assert kept(clone) == []
    assert "from the cache" not in started_anew(clone)


def test_a_project_beside_the_clone_is_not_kept(user: clones.Clone) -> None:
    clone = filled(user, settings='install = { projects = [".", "../beside"] }\n')
    clones.Clone(clone.root.parent / "beside", clone.environ, clone.kernel).project("beside", ".")
    assert "is outside of the clone" in clone.prime("-v").errors
    assert kept(clone) == []


def test_requirements_beside_uv_lock_are_not_kept(user: clones.Clone) -> None:
    settings = 'install = { projects = ["."], requirements = ["more.txt"] }\n'
    clone = filled(user, "uv.lock", settings)
    clone.write({"more.txt": "iniconfig\n"}).prime("lock")
    assert "not all of it is in the lock" in clone.prime("-v").errors
    assert kept(clone) == []


def test_a_package_that_the_lock_takes_from_the_disk_is_not_kept(user: clones.Clone) -> None:
    clone = filled(user, "uv.lock", more='dependencies = ["beside"]')
    clones.Clone(clone.root / "beside", clone.environ, clone.kernel).project("beside", ".")
    project = clone.root / "pyproject.toml"
    project.write_text(project.read_text() + '[tool.uv.sources]\nbeside = { path = "beside", editable = true }\n')
    clone.prime("lock")
    assert "the lock takes" in clone.prime("-v").errors
    assert kept(clone) == []


def test_what_a_repository_s_own_backend_made_is_not_kept(user: clones.Clone) -> None:
    clone = filled(user, settings='backend = "own.py"\n')
    own = "from protoprimer.backends.uv import UvBackend\n\n\nclass Own(UvBackend):\n    pass\n"
    clone.write({"own.py": own}).prime()
    assert kept(clone) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
def test_a_cache_on_another_file_system_keeps_nothing(user: clones.Clone) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        if os.stat(directory).st_dev == user.root.stat().st_dev:
            pytest.skip("the same file system")
        cache = Path(directory, "cache")
        shutil.move(user.environ["PROTOPRIMER_CACHE"], cache)
        user.environ["PROTOPRIMER_CACHE"] = str(cache)
        clone = filled(user)
        assert "not kept in the cache" in clone.prime("-v").errors
        assert kept(clone) == []
        assert "with backend uv" in started_anew(clone)


def test_gc_forgets_what_is_old_and_what_a_killed_process_left(user: clones.Clone) -> None:
    clone = filled(user)
    built(clone)
    (place,) = kept(clone)
    left = place.with_name(place.name + ".4242.tmp")
    left.mkdir()
    os.utime(left, (1, 1))
    clone.prime("gc")
    assert kept(clone) == [place]
    os.utime(place, (1, 1))
    assert "1 environment from the cache" in clone.prime("gc").errors
    assert kept(clone) == []


def test_what_uv_installs_in_very_many_files_is_left_to_uv_and_counted_once(user: clones.Clone) -> None:
    clone = filled(user)
    kernel = own_wheel.changed_kernel(lambda text: text.replace("_FILES_LEFT_TO_UV = 5000", "_FILES_LEFT_TO_UV = 5"))
    clone.write({"proto_kernel.py": kernel}).prime()
    for _ in range(2):
        assert "uv installs so many files as fast" in started_anew(clone)
        (once,) = Path(clone.environ["PROTOPRIMER_CACHE"], "environments").iterdir()
        assert once.read_text() == "uv installs so many files as fast"


def test_without_an_environment_cache_nothing_is_kept_and_nothing_linked(user: clones.Clone) -> None:
    clone = built(filled(user))
    clone.write({"protoprimer.toml": 'lock = "pylock.toml"\nenvironment-cache = false\n'})
    for _ in range(3):
        assert "with backend uv" in started_anew(clone)
    assert len(kept(clone)) == 1


def test_gc_removes_wheels_that_nobody_used_for_a_month(user: clones.Clone) -> None:
    clone = filled(user, "pylock.toml", 'backend = "venv"\n', 'dependencies = ["iniconfig"]\n')
    clone.prime("lock")
    clone.prime()
    cache = Path(clone.environ["PROTOPRIMER_CACHE"])
    (pin,), (editable,) = (list((cache / name).iterdir()) for name in ("pins", "editables"))
    clone.prime("gc")
    assert pin.is_dir()
    assert editable.is_dir()
    for place in (pin, editable):
        os.utime(place, (1, 1))
    # What is used again is not old.
    clone.prime("reboot", "--env", "default")
    assert pin.stat().st_mtime > 1
    os.utime(pin, (1, 1))
    os.utime(editable, (1, 1))
    assert "removed 2 wheels from the cache" in clone.prime("gc").errors
    assert [list((cache / name).iterdir()) for name in ("pins", "editables")] == [[], []]


def test_twenty_environments_linked_at_once_are_one(user: clones.Clone) -> None:
    clone = filled(user)
    built(clone)
    shutil.rmtree(clone.state)
    processes = [clone.start("./prime") for _ in range(20)]
    assert [clones.finished(process).status for process in processes] == [0] * 20
    assert clone.builds() == 1


@pytest.mark.skipif(not support.strace_works(), reason="no strace")
def test_nothing_is_published_before_all_of_it_is_linked(user: clones.Clone, tmp_path: Path) -> None:
    clone = filled(user)
    built(clone)
    shutil.rmtree(clone.state)
    trace = tmp_path / "trace"
    calls = "trace=link,linkat,rename,renameat,renameat2"
    clone.run(support.needed_tool("strace"), "-f", "-e", calls, "-o", str(trace), "./prime")
    lines = trace.read_text().splitlines()
    published = next(at for at, line in enumerate(lines) if "rename" in line and "protoprimer.json" in line)
    linked = [at for at, line in enumerate(lines) if "link" in line and "METADATA" in line]
    assert linked
    assert max(linked) < published
