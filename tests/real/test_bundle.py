"""`./prime bundle`: what it writes is all that a host without network, cache and tools needs."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

import simple_index
import support
from samples import WITH_PIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from clones import Clone

# A name that no other index has.
LEAF = "leafofbundletests"
MAIN = f"import json, sys, {LEAF}\n\ndef main():\n    print(json.dumps([{LEAF}.VERSION, list(sys.version_info[:2])]))\n"
PLATFORM = "win_amd64"


@functools.lru_cache(maxsize=None)
def without_network() -> tuple[str, ...]:
    """Return the beginning of a command that sees no network, empty where this host has none."""
    command = ("unshare", "--net")
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode:
        return ()
    return (str(shutil.which("unshare")), "--net")


@pytest.fixture
def index() -> Iterator[simple_index.SimpleIndex]:
    """Return an index with one package, beside the one that this host has."""
    with simple_index.serving() as served:
        served.wrong_hashes = False
        served.add(LEAF, "1.0")
        yield served


def repository(new_clone: Callable[..., Clone], python: str, index: simple_index.SimpleIndex | None) -> Clone:
    """Return a clone whose project needs `leaf`, and is built by what only an index has."""
    variables = {"PIP_EXTRA_INDEX_URL": index.url} if index else {}
    clone = new_clone("online" if index else "a host", support.python_of(python), **variables)
    clone.project("demo", more=f'dependencies = ["{LEAF}"]', module=MAIN).entry("prime", "demo:main", "boot")
    text = (clone.root / "pyproject.toml").read_text(encoding="utf-8")
    return clone.write({"pyproject.toml": text.replace("requires = []", f'requires = ["{LEAF}>=1"]')})


def cut_off(clone: Clone, tmp_path: Path) -> dict[str, str]:
    """Take from a clone's user all that could come from anywhere but the bundle."""
    empty = tmp_path / "an empty home"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()
    for name in [name for name in clone.environ if name.upper().startswith(("PIP_", "UV_"))]:
        del clone.environ[name]
    return {"HOME": str(empty), "PROTOPRIMER_CACHE": str(empty / "cache")}


def names_in(bundle: Path) -> set[str]:
    return {path.name.split("-")[0] for path in bundle.glob("*.whl")}


def oldest_and_newest() -> tuple[str, str]:
    pythons = support.wild_pythons()
    return pythons[0].name, pythons[-1].name


def test_a_bundle_serves_hosts_without_network_cache_and_tools(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex
) -> None:
    oldest, newest = oldest_and_newest()
    bundle = tmp_path / "bundle"
    online = repository(new_clone, newest, index)
    said = online.prime("bundle", str(bundle), "--python", f"{oldest},{newest}", environ=support.shared_caches())
    note = json.loads((bundle / "bundle.json").read_text())
    assert note["pythons"] == [oldest, newest]
    assert set(note["files"]) == {path.name for path in bundle.iterdir()} - {"bundle.json"}, said
    assert names_in(bundle) >= {LEAF, "uv", "pip", "virtualenv", "filelock"}
    asked = len(index.requests)
    for python, backend in ((newest, "uv"), (oldest, "venv")):
        host = repository(new_clone, python, None)
        environ = cut_off(host, tmp_path)
        shutil.rmtree(host.state, ignore_errors=True)
        command = (*without_network(), os.path.join(host.root, "prime"), "--bundle", str(bundle), "--backend", backend)
        done = host.run(*command, environ=environ)
        assert json.loads(done.output) == ["1.0", [int(part) for part in python.split(".")]], (backend, done)
    assert len(index.requests) == asked, "an offline run asked the index"


def test_a_bundle_holds_a_lock_s_own_versions_and_another_platform_s_uv(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex
) -> None:
    newest = oldest_and_newest()[1]
    bundle = tmp_path / "bundle"
    online = repository(new_clone, newest, index)
    online.prime("lock", "--backend", "venv", environ=support.shared_caches())
    index.add(LEAF, "2.0")
    text = (online.root / "pylock.toml").read_text(encoding="utf-8")
    assert 'version = "1.0"' in text
    # Build requirements are no part of a lock: of those the newest is taken.
    online.prime("bundle", str(bundle), environ=support.shared_caches())
    assert {path.name.split("-")[1] for path in bundle.glob(f"{LEAF}-*")} == {"1.0", "2.0"}
    host = repository(new_clone, newest, None).write({"pylock.toml": text})
    command = (*without_network(), os.path.join(host.root, "prime"), "--bundle", str(bundle), "--backend", "uv")
    done = host.run(*command, environ=cut_off(host, tmp_path))
    assert json.loads(done.output)[0] == "1.0", done
    # The lock's hashes hold for what a bundle brings.
    note = json.loads((bundle / "bundle.json").read_text())
    (leaf,) = bundle.glob(f"{LEAF}-1.0-*")
    content = leaf.read_bytes()
    with zipfile.ZipFile(leaf, "a") as archive:
        archive.writestr(f"{LEAF}_planted.py", "")
    note["files"][leaf.name]["sha256"] = simple_index.sha256(leaf.read_bytes())
    (bundle / "bundle.json").write_text(json.dumps(note))
    assert "hash" in host.run(*command, "reboot", environ=cut_off(host, tmp_path), status=6).errors.lower()
    leaf.write_bytes(content)
    note["files"][leaf.name]["sha256"] = simple_index.sha256(content)
    (bundle / "bundle.json").write_text(json.dumps(note))
    # Renewed for other hosts: what no longer belongs to it goes. This lock was pip's, and for this platform alone.
    (online.root / "pylock.toml").unlink()
    online.prime("bundle", str(bundle), "--platform", PLATFORM, environ=support.shared_caches())
    assert [path.name.split("-")[1] for path in bundle.glob(f"{LEAF}-*")] == ["2.0"]
    assert [path.name.endswith(f"-{PLATFORM}.whl") for path in bundle.glob("uv-*")] == [True]


def test_what_a_build_backend_asks_for_by_its_hook_is_in_it(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex, backend: str
) -> None:
    bundle, newest = tmp_path / "bundle", oldest_and_newest()[1]
    hook = f"\ndef get_requires_for_build_editable(settings=None):\n    return ['{LEAF}>=1']\n"
    for name, variables in (("online", {"PIP_EXTRA_INDEX_URL": index.url}), ("a host", {})):
        clone = new_clone(name, support.python_of(newest), **variables).project("demo").entry("prime", None, "boot")
        builder = (clone.root / "builder.py").read_text(encoding="utf-8")
        clone.write({"builder.py": builder + hook})
        if variables:
            clone.prime("bundle", str(bundle), environ=support.shared_caches())
    command = (*without_network(), os.path.join(clone.root, "prime"), "--bundle", str(bundle), "--backend", backend)
    clone.run(*command, environ=cut_off(clone, tmp_path))
    assert LEAF in names_in(bundle)


def test_nothing_is_written_where_something_else_is_nor_on_a_dry_run(
    new_clone: Callable[..., Clone], tmp_path: Path
) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    done = clone.prime("bundle", str(mine), status=3)
    assert "this is neither a bundle nor empty: nothing was written\n" in done.errors
    assert os.listdir(mine) == ["letter.txt"]
    for below in ("", "/a", "/a/b"):
        errors = clone.prime("bundle", f"{mine}/letter.txt{below}", status=3).errors
        assert f"this is not a directory: nothing was written\n  where: {mine}/letter.txt\n" in errors
        assert "name a directory that is new" in errors
    assert "is not a platform tag" in clone.prime("bundle", str(tmp_path / "new"), "--platform", "win", status=2).errors
    done = clone.prime("bundle", str(tmp_path / "new"), "--dry-run")
    assert "would bundle" in done.output + done.errors
    assert not (tmp_path / "new").exists()


def test_a_place_where_no_bundle_can_be_is_told_with_what_helps(
    new_clone: Callable[..., Clone], tmp_path: Path
) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    if os.path.isdir("/proc/self"):
        errors = clone.prime("bundle", "/proc/x", status=6).errors
        assert "cannot write the bundle" in errors
        assert "next: name a directory that you can create or write\n" in errors
    (tmp_path / "closed").mkdir(0o555)
    command = [*support.without_privileges(), "./prime", "bundle"]
    errors = clone.run(*command, str(tmp_path / "closed/x"), status=6).errors
    assert "next: name a directory that you can create or write\n" in errors
    errors = clone.run(*command, str(tmp_path / "closed"), status=3).errors
    assert "error: you may not read and write this directory\n" in errors


def test_no_bundle_is_written_into_an_environment(new_clone: Callable[..., Clone]) -> None:
    clone = new_clone().entry("prime", None, "boot")
    assert "state directory" in clone.prime("bundle", ".protoprimer/new", status=3).errors
    assert not clone.state.exists()
    clone.prime("--backend", "venv")
    (generation,) = clone.generations()
    before = set(os.listdir(generation))
    done = clone.prime("bundle", ".venv/new", status=3)
    assert "next: name another place" in done.errors
    assert set(os.listdir(generation)) == before


def test_a_bundle_that_fails_leaves_nothing(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex
) -> None:
    clone = repository(new_clone, oldest_and_newest()[1], index)
    index.files.clear()
    done = clone.prime("bundle", str(tmp_path / "new"), status=6, environ=support.shared_caches())
    assert LEAF in done.errors
    assert "Traceback" not in done.errors
    assert not (tmp_path / "new").exists()


def source(name: str, requires: str, more: str = "") -> bytes:
    """Return a source distribution that its own module builds, with what that asks for."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": f"[build-system]\nrequires = [{requires}]\nbuild-backend = 'own'\nbackend-path = ['.']\n",
        "own.py": BACKEND.replace("NAME", name) + more,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.0/{file}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


BACKEND = f"""
import os, zipfile, {LEAF}
def build_wheel(directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(os.path.join(directory, "NAME-1.0-py3-none-any.whl"), "w") as archive:
        archive.writestr("NAME.py", "VERSION = '1.0'")
        archive.writestr("NAME-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: NAME\\nVersion: 1.0\\n")
        tag = "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr("NAME-1.0.dist-info/WHEEL", tag)
        archive.writestr("NAME-1.0.dist-info/RECORD", "")
    return "NAME-1.0-py3-none-any.whl"
"""


def locked_source(clone: Clone, index: simple_index.SimpleIndex, content: bytes) -> Clone:
    """Let a clone ask for a distribution that is published as source only, and lock it."""
    index.files["rootofbundletests-1.0.tar.gz"] = content
    main = "import rootofbundletests\n\ndef main():\n    print(rootofbundletests.VERSION)\n"
    clone.project("demo", more='dependencies = ["rootofbundletests"]', module=main).entry("prime", "demo:main", "boot")
    sha256 = simple_index.sha256(content)
    url = f"{index.url}../files/rootofbundletests-1.0.tar.gz"
    lock = f"""lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "rootofbundletests"
version = "1.0"
sdist = {{ name = "rootofbundletests-1.0.tar.gz", url = "{url}", hashes = {{ sha256 = "{sha256}" }} }}
"""
    return clone.write({"pylock.toml": lock})


@pytest.mark.parametrize("installer", WITH_PIP)
def test_a_locked_source_is_built_from_what_the_bundle_has(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex, installer: str
) -> None:
    clone = locked_source(
        repository(new_clone, oldest_and_newest()[1], index), index, source("rootofbundletests", f"'{LEAF}'")
    )
    bundle = tmp_path / "b.protoprimer-bundle"
    clone.prime("bundle", str(bundle), environ=support.shared_caches())
    environ = cut_off(clone, tmp_path)
    command = (*without_network(), os.path.join(clone.root, "prime"), "--bundle", str(bundle), "--backend", installer)
    assert clone.run(*command, environ=environ).output == "1.0\n"


def test_a_source_that_needs_more_to_be_built_is_refused_when_the_bundle_is_made(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex
) -> None:
    more = "\ndef get_requires_for_build_wheel(config_settings=None):\n    return ['otherofbundletests']\n"
    index.add("otherofbundletests", "1.0")
    content = source("rootofbundletests", f"'{LEAF}'", more)
    clone = locked_source(repository(new_clone, oldest_and_newest()[1], index), index, content)
    done = clone.prime("bundle", str(tmp_path / "new"), status=6, environ=support.shared_caches())
    assert "otherofbundletests" in done.errors
    assert "from the bundle alone" in done.errors
    assert not (tmp_path / "new").exists()


def small_bundle(bundle: Path, **files: list[str]) -> Path:
    """Write a bundle of wheels by hand, each for these targets."""
    bundle.mkdir()
    note: dict[str, Any] = {"format": 2, "kernel": "0", "lock": None, "files": {}}
    for tags, whom in files.items():
        name = f"leaf-1.0-{tags.replace('__', '-')}.whl"
        (bundle / name).write_bytes(b"a wheel")
        note["files"][name] = {"sha256": simple_index.sha256(b"a wheel"), "for": whom}
    (bundle / "bundle.json").write_text(json.dumps(note))
    return bundle


def test_a_bundle_for_others_is_refused_file_by_file(new_clone: Callable[..., Clone], tmp_path: Path) -> None:
    python = oldest_and_newest()[1]
    clone = new_clone("a host", support.python_of(python)).project("demo").entry("prime", None, "boot")
    other = small_bundle(tmp_path / "other", py3__none__any=["2.7 on win_amd64"])
    errors = clone.prime("--bundle", str(other), status=3).errors
    assert f"does not serve Python {python}" in errors
    assert "leaf-1.0-py3-none-any.whl: for Python 2.7 on win_amd64" in errors
    mixed = {"py3__none__any": [f"{python} on win_amd64"], "cp3__cp3__win_amd64": [f"{python} on win_amd64"]}
    errors = clone.prime("--bundle", str(small_bundle(tmp_path / "mixed", **mixed)), status=3).errors
    assert f"leaf-1.0-cp3-cp3-win_amd64.whl: for Python {python} on win_amd64" in errors
    assert "none-any" not in errors
    assert not clone.generations()


def test_what_a_bundle_does_not_know_is_refused_and_one_that_nobody_named_is_not_used(
    new_clone: Callable[..., Clone], tmp_path: Path
) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    bundle = small_bundle(clone.root / "bundle", py3__none__any=["2.7 on win_amd64"])
    shutil.copytree(str(bundle), str(clone.root.parent / "bundle"))
    assert "bundle" not in clone.prime().errors, "what lies in a clone or beside it is not named"
    shutil.rmtree(str(clone.state))
    named = f"bundle#sha256={simple_index.sha256((bundle / 'bundle.json').read_bytes())}"
    assert "does not serve Python" in clone.prime("--bundle", named, status=3).errors
    # Of a shell's variable that is not set, an empty one is left.
    for sha256 in ("", "1234"):
        errors = clone.prime("--bundle", f"bundle#sha256={sha256}", status=2).errors
        assert "what follows #sha256= is not a sha256" in errors
    (bundle / "pip-99-py3-none-any.whl").write_bytes(b"planted")
    assert "pip-99-py3-none-any.whl: unknown to bundle.json" in clone.prime("--bundle", "bundle", status=3).errors
    note = json.loads((bundle / "bundle.json").read_text())
    note["files"]["pip-99-py3-none-any.whl"] = {"sha256": simple_index.sha256(b"planted"), "for": []}
    (bundle / "bundle.json").write_text(json.dumps(note))
    assert "this is not the bundle that was named" in clone.prime("--bundle", named, status=3).errors
    (clone.root / "a.protoprimer-bundle").write_bytes(b"torn")
    torn = str(clone.root / "a.protoprimer-bundle")
    assert "could not be unpacked" in clone.prime("--bundle", torn, status=3).errors
    assert "this is not a bundle: nothing was written" in clone.prime("bundle", torn, status=3).errors
    assert "this is not a bundle that" in clone.prime("--bundle", str(tmp_path / "nowhere"), status=3).errors


def test_an_environment_from_a_bundle_stays_current_without_it(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex
) -> None:
    clone = repository(new_clone, oldest_and_newest()[1], index)
    clone.prime("bundle", str(tmp_path / "brought"), environ=support.shared_caches())
    environ = cut_off(clone, tmp_path)
    clone.prime(environ=dict(environ, PROTOPRIMER_BUNDLE=str(tmp_path / "brought")))
    os.utime(clone.root / "pyproject.toml")
    assert not clone.prime("-v", environ=environ).errors.count("install")
    assert len(clone.generations()) == 1


def test_what_a_killed_bundle_leaves_is_passed_over_and_removed_by_the_next_one(
    new_clone: Callable[..., Clone], tmp_path: Path
) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    bundle = tmp_path / "new"
    process = clone.start("./prime", "bundle", str(bundle), environ=support.shared_caches())
    while not list(bundle.glob(".bundle.*.tmp/now/*.whl")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (left,) = bundle.glob(".bundle.*.tmp")
    clone.prime("bundle", str(bundle), environ=support.shared_caches())
    assert left.exists(), "its writer may still be at work"
    clone.prime("--bundle", str(bundle))
    os.utime(left, (0, 0))
    clone.prime("bundle", str(bundle), environ=support.shared_caches())
    assert not left.exists()


def test_dependencies_that_only_a_build_tells_are_left_out_for_another_platform_with_a_word(
    new_clone: Callable[..., Clone], tmp_path: Path, index: simple_index.SimpleIndex
) -> None:
    clone = repository(new_clone, oldest_and_newest()[1], index)
    text = (
        (clone.root / "pyproject.toml").read_text().replace(f'dependencies = ["{LEAF}"]', 'dynamic = ["dependencies"]')
    )
    clone.write({"pyproject.toml": text})
    options = ["--platform", PLATFORM]
    said = clone.prime("bundle", str(tmp_path / "new"), *options, environ=support.shared_caches()).errors
    assert f"warning: not bundled for {PLATFORM}, as only a build tells them: the dependencies of {clone.root} " in said
    said = clone.prime("bundle", str(tmp_path / "here"), environ=support.shared_caches()).errors
    assert "only a build tells" not in said
