"""The compiled form of the kernel: kept once for each user, never in the checkout, and never believed when in doubt."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import support
from protoprimer.authoring.entry import entry_text

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = """\
import sys

def run_main(main):
    word = "genuine"
    print(word, main, sys._getframe().f_code.co_filename == __file__)
"""
GENUINE = "genuine client:main True\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose kernel is a few lines, for a user with a home."""
    (tmp_path / "home" / ".cache").mkdir(parents=True)
    root = tmp_path / "check öut"
    root.mkdir()
    (root / "app").write_text(entry_text("run", "client:main", "proto_kernel.py"), encoding="utf-8")
    (root / "proto_kernel.py").write_text(KERNEL, encoding="utf-8")
    return root


def run(python: str, checkout: Path, **more: str) -> str:
    environ = support.clean_environment("/usr/bin:/bin", checkout.parent / "home", LC_ALL="C.UTF-8", **more)
    done = subprocess.run(
        [python, "-I", "-S", str(checkout / "app")],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert done.stderr == b""
    assert sorted(os.listdir(checkout)) == ["app", "proto_kernel.py"]
    return done.stdout.decode()


def compiled(checkout: Path) -> Path:
    (found,) = (checkout.parent / "home" / ".cache" / "protoprimer" / "kernels").iterdir()
    return found


def plant(checkout: Path, say: str) -> Path:
    """Put another code of the same Python under the head that is expected, with the right checksum."""
    python = support.default_python().executable
    path = compiled(checkout)
    code = (
        "import binascii, marshal, sys; path = sys.argv[1]; old = open(path, 'rb').read();"
        "head = old[:old.index(b', 0) ') + 5];"
        f"new = marshal.dumps(compile({KERNEL.replace('genuine', say)!r}, 'x', 'exec'));"
        "open(path, 'wb').write(head + b'%08x' % binascii.crc32(new) + new)"
    )
    subprocess.run([python, "-I", "-S", "-c", code, str(path)], check=True, timeout=60)
    return path


def test_it_is_compiled_once_by_every_python(checkout: Path, wild_python: support.WildPython) -> None:
    assert run(wild_python.executable, checkout) == GENUINE
    first = compiled(checkout).stat()
    assert first.st_mode & 0o777 == 0o600
    assert run(wild_python.executable, checkout, PYTHONDONTWRITEBYTECODE="1") == GENUINE
    assert compiled(checkout).stat() == first or compiled(checkout).stat().st_ino == first.st_ino


def test_what_is_kept_is_used(checkout: Path) -> None:
    python = support.default_python().executable
    run(python, checkout)
    plant(checkout, "kept")
    assert run(python, checkout).startswith("kept")


def test_a_changed_kernel_is_compiled_anew(checkout: Path) -> None:
    python = support.default_python().executable
    run(python, checkout)
    (checkout / "proto_kernel.py").write_text(KERNEL.replace("genuine", "renewed"), encoding="utf-8")
    assert run(python, checkout).startswith("renewed")
    assert compiled(checkout).is_file()


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_what_others_can_write_is_not_used(checkout: Path, mode: int) -> None:
    python = support.default_python().executable
    run(python, checkout)
    plant(checkout, "planted").chmod(mode)
    assert run(python, checkout) == GENUINE
    assert compiled(checkout).stat().st_mode & 0o777 == 0o600


def test_what_another_user_owns_is_not_used(checkout: Path) -> None:
    if not support.other_user_works():
        pytest.skip("this process cannot act as two users")
    python = support.default_python().executable
    run(python, checkout)
    os.chown(plant(checkout, "planted"), 65534, 65534)
    assert run(python, checkout) == GENUINE
    assert compiled(checkout).stat().st_uid == os.getuid()


@pytest.mark.parametrize("keep", [0, 1, 50, -1, -40])
def test_what_was_cut_off_is_not_used(checkout: Path, keep: int) -> None:
    python = support.default_python().executable
    run(python, checkout)
    path = compiled(checkout)
    path.write_bytes(path.read_bytes()[:keep])
    assert run(python, checkout) == GENUINE


def test_what_a_power_loss_emptied_is_not_used(checkout: Path) -> None:
    python = support.default_python().executable
    run(python, checkout)
    path = compiled(checkout)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    assert run(python, checkout) == GENUINE


def test_without_a_place_for_it_the_kernel_runs_all_the_same(checkout: Path) -> None:
    python = support.default_python().executable
    (checkout.parent / "home" / ".cache" / "protoprimer").write_text("a file")
    assert run(python, checkout) == GENUINE
    (checkout.parent / "home" / ".cache" / "protoprimer").unlink()
    (checkout.parent / "home" / ".cache").rmdir()
    (checkout.parent / "home").rmdir()
    assert run(python, checkout) == GENUINE
    assert not (checkout.parent / "home").exists()


def test_what_lies_in_the_working_directory_is_not_used(checkout: Path) -> None:
    python = support.default_python().executable
    run(python, checkout)
    kept = plant(checkout, "planted")
    (checkout.parent / "kernels").mkdir()
    shutil.copy2(kept, checkout.parent / "kernels")
    environ = support.clean_environment("/usr/bin:/bin", checkout.parent / "home", PROTOPRIMER_CACHE=".")
    done = subprocess.run([python, "-I", "-S", str(checkout / "app")], cwd=checkout.parent, env=environ, stdout=-1)
    assert done.stdout.decode() == GENUINE
