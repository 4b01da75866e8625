"""A lock is installed only if it has what is asked for; writing one changes nothing else, and names nothing of this host."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

import simple_index
import support
from samples import WITH_PIP, WITH_UV, sample
from truth.oracle import Place, booted, distributions_of
from truth.projects import APP, BY_NAME, FLIT, HEAD, MODULE, STATIC, TOML, Project, add, put, swap, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import clones

pytestmark = [pytest.mark.index, pytest.mark.skipif(os.name != "posix", reason="the place is laid out for POSIX")]

MORE = '\n[project.optional-dependencies]\nmore = ["delta"]\n\n'
ASKING = "\n[tool.protoprimer]\ninstall = [{ projects = [{ path = '.', editable = true }], requirements = ['more.txt'], args = ['beta'] }]\n"
LOCKED = Project(
    "locked",
    {TOML: STATIC + FLIT + MORE + ASKING, **MODULE, "more.txt": "epsilon\n"},
    {**APP, "beta": "1.1", "epsilon": "1.0"},
    {},
)
# What is asked for after the lock was written, and the requirement that no pin satisfies then.
ASKED_LATER = {
    "a requirement of the project": (swap(TOML, '"alpha<2"', '"alpha<2", "gamma"'), "gamma"),
    "another range": (swap(TOML, '"alpha<2"', '"alpha<1.5"'), "alpha"),
    "an extra": (swap(TOML, "editable = true", "editable = true, extras = ['more']"), "delta"),
    "an extra of a requirement": (swap(TOML, '"alpha<2"', '"alpha<2", "gamma[more]"'), "gamma"),
    "a group": (add(TOML, "\n[dependency-groups]\ndev = ['gamma']\n"), "gamma"),
    "a line of a requirements file": (add("more.txt", "gamma\n"), "gamma"),
    "an argument": (swap(TOML, "'beta'", "'beta', 'gamma'"), "gamma"),
}
SAMPLE = ("a requirement of the project", "an extra", "a line of a requirements file")
GROUPED = ASKING.replace("editable = true", "editable = true, groups = ['dev']")


@pytest.fixture
def moving_index() -> Iterator[simple_index.SimpleIndex]:
    """An index whose packages change in a test."""
    with simple_index.serving() as index:
        index.add("alpha", "1.0")
        index.add("beta", "1.0", metadata="Requires-Dist: alpha\n")
        yield index


def locked(place: Place, installer: str = "uv") -> clones.Clone:
    """Return a ready clone of `LOCKED` with a lock that was just written."""
    clone = place.clone(LOCKED)
    clone.prime("lock", "--backend", installer)
    clone.prime("--backend", installer)
    assert distributions_of(clone.root / ".venv").keys() == LOCKED.installed.keys()
    return clone


def test_a_lock_that_is_for_newer_pythons_names_the_command_that_writes_it_for_the_older_one_too(place: Place) -> None:
    """The repository's own Python would be taken again, and the lock be the same."""
    older, newer = (support.python_of(version) for version in ("3.11", "3.13"))
    if older is None or newer is None:
        pytest.skip("needs two Pythons")
    clone = place.clone(Project("bare", {"requirements.txt": "alpha\n", ".python-version": "3.13\n"}, {}, {}))
    clone.prime("lock", "--backend", "uv")
    refused = clone.prime("--backend", "uv", "--python", "3.11", status=6).errors
    command = re.findall(r"write the lock anew: \./prime (.+?) \(", refused)
    assert command
    clone.prime(*command[0].split(), "--backend", "uv")
    clone.prime("--backend", "uv", "--python", "3.11")


@pytest.mark.parametrize("installer", WITH_UV)
@pytest.mark.parametrize("asked", sample(SAMPLE, [name for name in ASKED_LATER if name not in SAMPLE]))
def test_a_stale_lock_is_refused_with_the_requirement_that_no_pin_satisfies(
    place: Place, asked: str, installer: str
) -> None:
    clone = locked(place, installer)
    mutate, missing = ASKED_LATER[asked]
    if asked == "a group":
        swap(TOML, ASKING, GROUPED)(clone.root, place)
    mutate(clone.root, place)
    clone.prime("check", "--backend", installer, status=1)
    done = clone.prime("--backend", installer, status=6)
    assert missing in done.errors
    assert "./prime lock" in done.errors
    assert "Traceback" not in done.errors
    clone.prime("lock", "--backend", installer)
    clone.prime("--backend", installer)
    assert missing in distributions_of(clone.root / ".venv")


def test_a_lock_of_uv_that_lacks_a_selected_extra_is_refused_by_pip_too(place: Place) -> None:
    clone = place.clone(BY_NAME["uv.lock"])
    add(TOML, MORE + ASKING.replace("editable = true", "editable = true, extras = ['more']"))(clone.root, place)
    clone.write({"more.txt": ""})
    done = clone.prime("--backend", "venv", status=6)
    assert "delta" in done.errors


@pytest.mark.parametrize("installer", WITH_PIP)
def test_a_lock_of_uv_for_other_platforms_is_refused_by_each_backend(place: Place, installer: str) -> None:
    """uv leaves out of it what only this platform needs, and the markers of what is in it."""
    clone = place.clone(BY_NAME["uv.lock"])
    limits = "\n[tool.uv]\nenvironments = [\"sys_platform == 'amiga'\"]\n"
    add(TOML, limits)(clone.root, place)
    clone.prime("lock")
    done = clone.prime("--backend", installer, status=6)
    assert "the lock is not for this interpreter, but for: sys_platform == 'amiga'" in done.errors
    assert "let environments, in [tool.uv], allow it, then run: ./prime lock" in done.errors
    assert clone.builds() == 0, "before anything is built"
    swap(TOML, limits, "")(clone.root, place)
    clone.prime("lock")
    clone.prime("--backend", installer)


@pytest.mark.parametrize("setting", ['exclude-newer = "2020-01-01T00:00:00Z"', 'prerelease = "allow"'])
@pytest.mark.parametrize("installer", WITH_PIP)
def test_a_lock_of_uv_that_was_resolved_by_other_rules_is_refused_by_each_backend(
    place: Place, setting: str, installer: str
) -> None:
    clone = place.clone(BY_NAME["uv.lock"])
    add(TOML, f"\n[tool.uv]\n{setting}\n")(clone.root, place)
    done = clone.prime("--backend", installer, status=6)
    assert "./prime lock" in done.errors
    if setting.startswith("prerelease"):
        clone.prime("lock")
        clone.prime("--backend", installer)


def test_locking_takes_away_what_a_killed_run_left_beside_the_lock(place: Place) -> None:
    clone = place.clone(LOCKED)
    left, other = (clone.root / f"pylock.{name}.toml" for name in ("protoprimer-0123456789abcdef", "other"))
    for path in (left, other):
        path.write_text("")
        os.utime(path, (1, 1))
    clone.prime("lock", "--backend", "uv")
    assert not left.exists()
    assert other.exists()


def test_lock_check_says_whether_the_lock_is_stale_and_changes_nothing(place: Place) -> None:
    clone = locked(place)
    before = (clone.root / "pylock.toml").read_bytes()
    clone.prime("lock", "--check")
    add("more.txt", "gamma\n")(clone.root, place)
    assert "gamma" in clone.prime("lock", "--check", status=1).errors
    assert (clone.root / "pylock.toml").read_bytes() == before


@pytest.mark.parametrize("installer", WITH_UV)
def test_pins_that_do_not_satisfy_each_other_are_refused(place: Place, installer: str) -> None:
    """The project asks for `beta` alone, and `beta` asks for `alpha`, which the lock has not."""
    clone = place.clone(BY_NAME["pylock.toml"])
    swap(TOML, '"alpha<2"', '"beta"')(clone.root, place)
    lock = (clone.root / "pylock.toml").read_text()
    name = next(one for one in place.index.files if one.startswith("beta-1.0"))
    lock = re.sub(r"(?s)\[\[packages\]\].*", "", lock) + (
        f'[[packages]]\nname = "beta"\nversion = "1.0"\nwheels = [{{ name = "{name}", url = "@FILES@/{name}", '
        f'hashes = {{ sha256 = "@SHA:{name}@" }} }}]\n'
    )
    clone.write({"pylock.toml": place.fill(lock)})
    assert "alpha" in clone.prime("--backend", installer, status=6).errors


def test_what_is_said_to_be_installed_is_what_was_installed(place: Place) -> None:
    clone = place.clone(BY_NAME["args"])
    clone.write({"protoprimer.toml": 'install = [{ args = ["--only-binary", "subprocess", "beta", "alpha<2"] }]\n'})
    said = [line for line in clone.prime("--backend", "venv").errors.splitlines() if line.startswith("installed ")]
    assert len(said) == 1
    assert "subprocess" not in said[0]
    assert "alpha" in said[0]
    assert "beta" in said[0]


def test_locking_one_environment_leaves_what_the_others_get(place: Place) -> None:
    clone = place.clone(BY_NAME["setuptools"])
    add(TOML, "\n[tool.protoprimer.env.docs]\ninstall = [{ args = ['delta'] }]\n")(clone.root, place)
    clone.prime("lock", "--backend", "uv", "-e", "docs")
    assert (clone.root / "pylock.docs.toml").is_file()
    assert not (clone.root / "pylock.toml").exists()
    clone.prime("--backend", "uv")
    assert distributions_of(clone.root / ".venv").keys() == {"app", "alpha"}
    clone.prime("env", "docs")
    clone.prime("--backend", "uv")
    assert distributions_of(clone.root / ".venv").keys() == {"delta"}


def test_a_lock_that_is_missing_is_told_with_the_command_that_writes_it(place: Place) -> None:
    clone = place.clone(BY_NAME["setuptools"])
    add(TOML, "\n[tool.protoprimer.env.docs]\ninstall = [{ args = ['delta'] }]\nlock = 'pylock.docs.toml'\n")(
        clone.root, place
    )
    done = clone.prime("--backend", "uv", "-e", "docs", status=3)
    assert "./prime lock -e docs" in done.errors or "./prime lock --env docs" in done.errors
    clone.prime("lock", "--backend", "uv", "-e", "docs")
    clone.prime("--backend", "uv", "-e", "docs")


@pytest.mark.parametrize("installer", WITH_UV)
def test_reboot_keeps_the_pins_and_an_upgrade_says_what_moved(
    place: Place, moving_index: simple_index.SimpleIndex, installer: str
) -> None:
    clone = place.clone(BY_NAME["args"])
    clone.environ["PIP_INDEX_URL"] = moving_index.url
    clone.write({"protoprimer.toml": 'install = [{ args = ["beta"] }]\n'})
    clone.prime("lock", "--backend", installer)
    clone.prime("--backend", installer)
    moving_index.add("alpha", "1.1")
    clone.prime("reboot", "--backend", installer)
    assert distributions_of(clone.root / ".venv")["alpha"]["version"] == "1.0"
    # An index may be kept for some minutes by its clients.
    upgraded = clone.prime(
        "lock", "--upgrade", "--backend", installer, environ={"UV_CACHE_DIR": str(place.base / "new")}
    )
    assert re.search(r"alpha.*1\.0.*1\.1", upgraded.errors)
    assert "beta" not in re.sub(r"pylock\S*|args.*", "", upgraded.errors)


@pytest.mark.parametrize("installer", WITH_UV)
def test_an_upgrade_of_what_is_not_there_is_an_error(place: Place, installer: str) -> None:
    clone = locked(place, installer)
    before = (clone.root / "pylock.toml").read_bytes()
    done = clone.prime("lock", "--backend", installer, "--upgrade-package", "nosuch", status=None)
    assert done.status in {2, 6}
    assert "nosuch" in done.errors
    assert (clone.root / "pylock.toml").read_bytes() == before


@pytest.mark.parametrize("installer", WITH_UV)
def test_no_path_of_this_host_gets_into_a_lock(place: Place, installer: str) -> None:
    clone = place.clone(BY_NAME["args"])
    wheels = clone.root.parent / f"wheels of {clone.root.name}"
    wheels.mkdir()
    for name in ("alpha-1.5-py3-none-any.whl", "delta-1.0-py3-none-any.whl"):
        (wheels / name).write_bytes(place.index.files[name])
    variables = {"PIP_FIND_LINKS": str(wheels)}
    for words in ([], ["--offline"]):
        clone.prime("lock", "--backend", installer, *words, environ=variables, status=None)
        lock = clone.root / "pylock.toml"
        text = lock.read_text() if lock.exists() else ""
        assert "file:" not in text
        assert str(clone.root.parent) not in text


@pytest.mark.parametrize("installer", WITH_UV)
def test_a_directory_of_wheels_in_the_repository_may_be_locked(place: Place, installer: str) -> None:
    settings = '\n[tool.uv]\nfind-links = ["wheels"]\n'
    files = {TOML: HEAD + 'dependencies = ["vendored", "alpha<2"]\n\n' + FLIT + settings, **MODULE}
    project = Project("wheels", files, {}, {}, wheels={"wheels/vendored-3-py3-none-any.whl": wheel("vendored", "3", 7)})
    clone = place.clone(project)
    clone.prime("lock", "--backend", installer)
    text = (clone.root / "pylock.toml").read_text()
    assert "file:" not in text
    assert str(clone.root) not in text
    fresh = place.clone(project)
    fresh.write({"pylock.toml": text})
    for other in ("uv", "venv"):
        assert booted(fresh, project, other).names() == {**APP, "vendored": "3"}


@pytest.mark.parametrize("name", ["pylock.toml", "uv.lock"])
def test_a_lock_with_conflict_marks_is_told_and_written_anew(place: Place, name: str) -> None:
    clone = place.clone(BY_NAME[name])
    text = (clone.root / name).read_text()
    clone.write({name: f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n"})
    done = clone.prime("--backend", "uv", status=None)
    assert done.status in {3, 6}
    assert "conflict" in done.errors
    assert "./prime lock" in done.errors
    clone.prime("lock", "--backend", "uv")
    clone.prime("--backend", "uv")
    assert "<<<<" not in (clone.root / name).read_text()


def test_a_marker_that_compares_oddly_is_judged_as_packaging_does(place: Place) -> None:
    from packaging.markers import Marker, default_environment

    marker = "platform_release ~= '3.8'"
    lock = (
        BY_NAME["pylock.toml"].files["pylock.toml"]
        + f'\n[[packages]]\nname = "delta"\nversion = "1.0"\nmarker = "{marker}"\n'
        + (
            'wheels = [{ name = "delta-1.0-py3-none-any.whl", url = "@FILES@/delta-1.0-py3-none-any.whl", '
            'hashes = { sha256 = "@SHA:delta-1.0-py3-none-any.whl@" } }]\n'
        )
    )
    clone = place.clone(BY_NAME["pylock.toml"])
    put("pylock.toml", lock)(clone.root, place)
    holds = Marker(marker).evaluate(json.loads(json.dumps(default_environment())))
    clone.prime("--backend", "venv")
    assert ("delta" in distributions_of(clone.root / ".venv")) == holds
