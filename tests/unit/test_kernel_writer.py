"""Joining modules into the kernel, and noticing that a kernel is not the one that they make."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protoprimer.authoring import joining as kernel_joining
from protoprimer.authoring import kernel as kernel_writer
from protoprimer.authoring.joining import join_modules
from protoprimer.authoring.kernel import (
    KERNEL_MODULES,
    MAXIMUM_KERNEL_BYTES,
    KernelError,
    kernel_drift,
    kernel_text,
    kernel_version,
    write_kernel,
)
from protoprimer.version import VERSION

if TYPE_CHECKING:
    import support

ROOT = Path(__file__).resolve().parents[2]

FIRST = '''\
"""The first.

More of it.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["VERSION", "first"]

VERSION = "1.2"


def first(x: "Any") -> str:
    """Return a text."""
    return os.path.basename(sys.executable)
'''
SECOND = '''\
"""The second."""

import os

from protoprimer.first import (
    VERSION,
    first,
)

__all__ = ["boot_env"]


def boot_env(main: "str | None" = None) -> None:
    # A comment that stays.
    from protoprimer.first import first

    print(os.sep, VERSION, bool(first(0)))
'''


def joined(*texts: str) -> str:
    names = ["protoprimer.first", "protoprimer.second", "protoprimer.third"]
    return join_modules(list(zip(names, texts)), "1.2", plain=True)


def test_modules_become_one_namespace_in_their_order() -> None:
    text = joined(FIRST, SECOND)
    body = text.partition('":"""\n')[2]
    assert text == joined(FIRST, SECOND)
    assert body.index("def first") < body.index("def boot_env")
    assert body.count("import os\n") == 1
    assert '__all__ = [\n    "boot_env",\n]' in body
    assert "# A comment that stays." in body
    for left_out in ("from protoprimer", "TYPE_CHECKING", "import Any", "More of it"):
        assert left_out not in body
    for module in ("first", "second"):
        assert body.count(f"# ---- begin of protoprimer.{module}, sha256 ") == 1
        assert body.count(f"# ---- end of protoprimer.{module}\n") == 1


def test_what_is_joined_runs(tmp_path: Path, wild_python: support.WildPython) -> None:
    kernel = tmp_path / "any name"
    kernel.write_text(joined(FIRST, SECOND))
    done = subprocess.run([wild_python.executable, "-I", str(kernel)], stdout=-1, check=True)
    assert done.stdout.split() == [b"/", b"1.2", b"True"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("__all__ = ['x']\ndef first(): pass", "'first' is defined by protoprimer.first too"),
        ("__all__ = ['x']\nif 1:\n    VERSION = 2", "'VERSION' is defined by protoprimer.first too"),
        ("__all__ = ['x']\nfrom shutil import first", "'first' is defined by protoprimer.first too"),
        ("__all__ = ['x']\nimport platform as os", "'os' is defined by protoprimer.first too"),
        ("__all__ = ['x']\ndef open(): pass", "'open' hides what Python has"),
        ("__all__ = ['x']\nfrom protoprimer.third import x", "imports from protoprimer.third, which is not before it"),
        ("__all__ = ['x']\nfrom protoprimer.first import zzz", "cannot resolve 'zzz' of protoprimer.first"),
        ("__all__ = ['x']\nfrom protoprimer.first import first as other", "cannot resolve 'other'"),
        ("__all__ = ['x']\nfrom .first import first", "imports from .first, which is not before it"),
        ("__all__ = ['x']\nimport protoprimer.first", "imports protoprimer, which is not of the standard library"),
        ("__all__ = ['x']\nfrom os import *", "imports everything from os"),
        ("x = 1", "there is no __all__"),
        ("", "there is no __all__"),
        ("__all__ = ['x']\nif (y := 1): pass", "is not Python 3.6"),
        ("__all__ = ['x']\ndef f(a, /): pass", "is not Python 3.6"),
    ],
)
def test_a_broken_rule_is_refused_with_its_module(text: str, reason: str) -> None:
    with pytest.raises(KernelError) as caught:
        joined(FIRST, text)
    assert reason in str(caught.value)
    assert "protoprimer.second" in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.skipif(not kernel_joining._standard_modules(), reason="this Python does not know its standard modules")
@pytest.mark.parametrize("text", ["import requests", "def f():\n    from yaml import load", "def json(): pass"])
def test_only_the_standard_library_may_be_imported_and_its_names_not_be_taken(text: str) -> None:
    with pytest.raises(KernelError):
        joined(FIRST, "__all__ = ['x']\n" + text)


def test_every_module_is_in_the_kernel_or_known_to_stand_outside() -> None:
    outside = {"__init__", "__main__", "author", "entry_template", "backends.__init__"}
    outside |= {"kernel_joining", "kernel_packing", "kernel_writer"}
    found = {path.stem for path in (ROOT / "src" / "protoprimer").glob("*.py")}
    found |= {"backends." + path.stem for path in (ROOT / "backends").glob("*.py")}
    assert found - outside == {name.partition(".")[2] for name in KERNEL_MODULES}


def test_a_missing_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_writer, "KERNEL_MODULES", (*KERNEL_MODULES, "protoprimer.backends.nowhere"))
    with pytest.raises(KernelError, match=r"protoprimer\.backends\.nowhere of the kernel is missing"):
        kernel_text()


def test_the_kernel_is_always_the_same_and_compiles_everywhere(tmp_path: Path, wild_python: support.WildPython) -> None:
    path = tmp_path / "proto_kernel.py"
    assert write_kernel(str(path)) == path.stat().st_size
    assert path.read_text(encoding="utf-8") == kernel_text()
    assert path.stat().st_mode & 0o111 == 0o111 & ~_umask()
    ast.parse(kernel_text(), feature_version=(3, 6))
    program = (
        "import importlib.util as u, sys; sys.dont_write_bytecode = True;"
        "s = u.spec_from_file_location('proto_kernel', sys.argv[1]); k = u.module_from_spec(s);"
        "sys.modules[s.name] = k; s.loader.exec_module(k);"
        "print(k.run_main.__name__, k.__version__, all(hasattr(k, n) for n in k.__all__))"
    )
    command = [wild_python.executable, "-I", "-S", "-W", "error", "-c", program, str(path)]
    done = subprocess.run(command, stdout=-1, check=True)
    assert done.stdout.decode().split() == ["run_main", VERSION, "True"]


def test_an_unchanged_kernel_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "proto_kernel.py"
    write_kernel(str(path))
    before = path.stat()
    write_kernel(str(path))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_drift_is_told_in_one_line(tmp_path: Path) -> None:
    path, text = tmp_path / "proto_kernel.py", kernel_text()

    def drift(content: str, newline: str = "\n") -> str:
        path.write_bytes(content.replace("\n", newline).encode())
        reason = kernel_drift(str(path)) or ""
        assert "\n" not in reason
        return reason

    assert drift(text) == ""
    # A checkout on Windows may have other line ends.
    assert drift(text, "\r\n") == ""
    assert "has been edited" in drift(text.replace("def bootstrap_graph", "def bootstrap_graphs"))
    assert "has been edited" in drift(text + "\n# more\n")
    assert "has been edited" in drift(text.replace("exit 4", "exit 5"))
    assert "is not a kernel" in drift("print()\n")
    assert "is not a kernel" in drift("")
    assert f"is of version 1.2, this is {VERSION}" in drift(joined(FIRST, SECOND))
    other = join_modules([("protoprimer.first", FIRST), ("protoprimer.second", SECOND)], VERSION)
    assert "written from other sources" in drift(other)
    assert kernel_version(other) == VERSION
    plain = kernel_text(plain=True)
    assert drift(plain) == ""
    assert "has been edited" in drift(plain.replace("def run_main", "def run_mains"))
    path.unlink()
    assert "cannot be read" in str(kernel_drift(str(path)))


def test_the_kernel_is_small() -> None:
    assert len(kernel_text().encode()) <= MAXIMUM_KERNEL_BYTES


def _umask() -> int:
    import os

    mask = os.umask(0o22)
    os.umask(mask)
    return mask
