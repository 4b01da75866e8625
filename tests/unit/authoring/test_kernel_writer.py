"""Joining modules into the kernel, and noticing that a kernel is not the one that they make."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones
import support
from protoprimer.authoring import joining
from protoprimer.authoring.header import hash_below, kernel_damage, kernel_version
from protoprimer.authoring.joining import in_dependency_order, join_modules, module_sources
from protoprimer.authoring.kernel import (
    KernelError,
    kernel_text,
    refuse_bad_kernel,
    update_kernel,
    verify_kernel,
    write_kernel,
)
from protoprimer.errors import ConfigurationError
from protoprimer.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable


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
    print(os.sep, VERSION, bool(first(0)))
'''


def joined(*texts: str) -> str:
    names = ["protoprimer.first", "protoprimer.second", "protoprimer.third"]
    return join_modules(list(zip(names, texts)), "1.2")


def test_modules_become_one_namespace_in_their_order() -> None:
    text = joined(FIRST, SECOND)
    body = text.partition('exit 4 # """\n')[2]
    assert text == joined(FIRST, SECOND)
    assert body.index("def first") < body.index("def boot_env")
    assert body.count("import os\n") == 1
    assert '__all__ = ["boot_env"]' in body
    assert "# A comment that stays." in body
    assert body.count("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Any\n") == 1
    assert "from protoprimer" not in body
    for module, docstring in (("first", "The first.\n\nMore of it.\n"), ("second", "The second.")):
        assert body.count(f'# ---- protoprimer.{module}\n"""{docstring}"""\n') == 1


def test_imports_from_one_module_share_a_line_and_words_to_checkers_are_left_out() -> None:
    first = FIRST.replace("import sys\n", "import sys\nfrom shlex import quote  # noqa: F401\n", 1)
    second = SECOND.replace("import os\n", "import os\nfrom shlex import split\n", 1)
    second = second.replace("bool(first(0)))", "bool(first(0)), '# noqa')  # type: ignore[misc]")
    body = joined(first, second).partition('exit 4 # """\n')[2]
    assert "from shlex import quote, split\n" in body
    assert "    print(os.sep, VERSION, bool(first(0)), '# noqa')\n" in body


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
        ("__all__ = ['x']\ndef f():\n    from protoprimer.first import first", "belongs to the top of the module"),
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


@pytest.mark.skipif(not joining.STANDARD_MODULES, reason="this Python does not know its standard modules")
@pytest.mark.parametrize("text", ["import requests", "def f():\n    from yaml import load", "def json(): pass"])
def test_only_the_standard_library_may_be_imported_and_its_names_not_be_taken(text: str) -> None:
    with pytest.raises(KernelError):
        joined(FIRST, "__all__ = ['x']\n" + text)


def test_modules_come_after_what_they_import_and_rooms_stand_together() -> None:
    sources = {
        "protoprimer.primer_kernel": "from protoprimer.b.two import x",
        "protoprimer.b.two": "from protoprimer.b.zero import x\nimport os\n",
        "protoprimer.b.one": "",
        "protoprimer.b.zero": "def f():\n    from protoprimer.c.late import x\n",
        "protoprimer.c.late": "from protoprimer.d import x",
        "protoprimer.c.early": "if TYPE_CHECKING:\n    from protoprimer.primer_kernel import x",
        "protoprimer.d": "",
        "protoprimer.authoring.header": "",
        "protoprimer.z": "",
    }
    order = ["authoring.header", "d", "c.early", "c.late", "b.one", "b.zero", "b.two", "z", "primer_kernel"]
    assert in_dependency_order(sources) == ["protoprimer." + name for name in order]


@pytest.mark.parametrize("names", [("a.x", "a.y"), ("a.x", "b.y")])
def test_who_import_each_other_are_named(names: tuple[str, str]) -> None:
    first, second = ("protoprimer." + name for name in names)
    with pytest.raises(KernelError, match="import each other: "):
        in_dependency_order({first: f"from {second} import x", second: f"from {first} import x"})


def test_every_module_of_the_package_is_in_the_kernel() -> None:
    found = {
        ".".join((name, *path.relative_to(folder).with_suffix("").parts))
        for name, folder in (
            ("protoprimer", support.ROOT / "src" / "protoprimer"),
            ("protoprimer.backends", support.ROOT / "backends"),
        )
        for path in folder.rglob("*.py")
        if path.name != "__init__.py" and path.parent.name != "templates"
    }
    assert found - set(module_sources()) == joining._OUTSIDE
    text = kernel_text()
    assert all(text.count(f"# ---- {name}\n") == 1 for name in module_sources())


def test_the_kernel_is_always_the_same_and_within_the_syntax_of_3_6(tmp_path: Path) -> None:
    path = tmp_path / "proto_kernel.py"
    assert write_kernel(str(path)) == path.stat().st_size
    assert path.read_text(encoding="utf-8") == kernel_text()
    assert path.stat().st_mode & 0o111 == 0o111 & ~_umask()
    ast.parse(kernel_text(), feature_version=(3, 6))


def test_the_kernel_compiles_everywhere(tmp_path: Path, wild_python: support.WildPython) -> None:
    path = tmp_path / "proto_kernel.py"
    path.write_text(clones.generated_kernel(), encoding="utf-8")
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
        try:
            verify_kernel(str(path))
        except KernelError as error:
            assert "\n" not in error.cause
            return error.cause
        return ""

    assert drift(text) == ""
    # A checkout on Windows may have other line ends.
    assert drift(text, "\r\n") == ""
    # To sh, but not to Python, a CR within a line begins nothing.
    assert "has been edited" in drift(text.replace("\n# It was", "\r# It was", 1))
    assert "has been edited" in drift(text.replace("\nimport os\n", "\nimport os\r\n", 1))
    assert "has been edited" in drift(text.replace("def bootstrap_graph", "def bootstrap_graphs"))
    assert "is cut off" in drift(text[:-1])
    assert "has been edited" in drift(text.replace("exit 4", "exit 5"))
    assert "not a kernel" in drift("print()\n")
    assert "not a kernel" in drift("")
    assert f"is of version 1.2, this is {VERSION}" in drift(joined(FIRST, SECOND))
    other = join_modules([("protoprimer.first", FIRST), ("protoprimer.second", SECOND)], VERSION)
    assert "written from other sources" in drift(other)
    assert kernel_version(other) == VERSION
    path.unlink()
    with pytest.raises(ConfigurationError, match="no such file"):
        verify_kernel(str(path))


def test_verify_and_update_say_what_they_found_and_what_they_did(tmp_path: Path) -> None:
    path, text, older = tmp_path / "kernel.py", kernel_text(), joined_of_version("0.0.9")
    digest = hashlib.sha256(text.encode()).hexdigest()

    def updated(content: str) -> str:
        path.write_text(content, encoding="utf-8")
        try:
            return update_kernel(str(path), check_only=False)
        except KernelError as error:
            assert path.read_text(encoding="utf-8") == content
            return "refused: " + error.cause

    assert updated(text) == f"the kernel {path} is up to date: version {VERSION} with the sha256 {digest}"
    assert verify_kernel(str(path)) == f"verified: {path} is version {VERSION} with the sha256 {digest}"
    assert updated("print(1)\n") == "refused: this is not a kernel of protoprimer"
    assert "refused: the kernel of version" in updated(text + "\n")
    assert f"refused: the kernel is another build of version {VERSION}" in updated(joined_of_version(VERSION))
    assert "refused: the kernel is version 999.0" in updated(joined_of_version("999.0"))
    assert updated(older) == f"updated the kernel {path} from version 0.0.9 to {VERSION} (sha256 {digest}): commit it"
    path.write_text(older, encoding="utf-8")
    other = hashlib.sha256(older.encode()).hexdigest()
    assert "version 0.0.9" in verify_kernel(str(path), other.upper())
    with pytest.raises(KernelError, match=f"has the sha256 {other}, not {digest}"):
        verify_kernel(str(path), digest)


def joined_of_version(version: str) -> str:
    return join_modules([("protoprimer.first", FIRST), ("protoprimer.second", SECOND)], version)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "is cut off"),
        (lambda text: text[: text.index("# ---- protoprimer.primer_kernel")], "is cut off"),
        (lambda text: text.replace("\n\n\n", "\n<<<<<<< HEAD\n\n", 1), "has the marks of a merge conflict"),
        (lambda text: text.replace("def run_main", "def run_mains"), "has been edited"),
        (lambda text: text.replace(f"# version: {VERSION}", "# version: 999"), "has been edited"),
    ],
)
def test_what_happened_to_a_kernel_is_told_and_nobody_takes_it(change: Callable[[str], str], said: str) -> None:
    text = change(kernel_text())
    assert said in str(kernel_damage(text))
    with pytest.raises(KernelError, match=said):
        refuse_bad_kernel(text, "there")


def test_the_kernel_is_of_letters_that_are_read_and_hashed_in_half_the_time() -> None:
    assert kernel_text().isascii()


def test_what_is_whole_and_no_python_is_not_taken_for_a_kernel() -> None:
    text = kernel_text() + "def"
    text = text.replace(text.splitlines()[1][-64:], hash_below(text), 1)
    with pytest.raises(KernelError, match="is not Python"):
        refuse_bad_kernel(text, "there")
    with pytest.raises(KernelError, match="not a kernel of protoprimer"):
        refuse_bad_kernel("print()", "there")


def test_one_line_of_the_standard_library_verifies_it(tmp_path: Path) -> None:
    write_kernel(str(tmp_path / "proto_kernel.py"))
    page = (support.ROOT / "docs" / "explanation" / "kernel-file.md").read_text(encoding="utf-8")
    is_whole, of_all = [line for line in page.splitlines() if line.startswith('python3 -c "import hashlib')]
    for more, answer in ("", b"True\n"), ("#", b"False\n"):
        with (tmp_path / "proto_kernel.py").open("a") as stream:
            stream.write(more)
        assert subprocess.run(is_whole, shell=True, cwd=tmp_path, stdout=-1, check=True).stdout == answer
        digest = hashlib.sha256((tmp_path / "proto_kernel.py").read_bytes()).hexdigest()
        assert subprocess.run(of_all, shell=True, cwd=tmp_path, stdout=-1, check=True).stdout.decode() == digest + "\n"


def _umask() -> int:
    import os

    mask = os.umask(0o22)
    os.umask(mask)
    return mask
