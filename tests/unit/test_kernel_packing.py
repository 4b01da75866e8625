"""What is left out of packed modules changes nothing that they do, and what is packed is unpacked as it was."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import re
import subprocess
import tokenize
import zlib
from base64 import b85decode, b85encode
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clones
import support
from protoprimer.authoring import packing as kernel_packing
from protoprimer.authoring.joining import HASH_LINE, PLAIN_MODULES, hash_of_others
from protoprimer.authoring.kernel import (
    KERNEL_MODULES,
    is_same_kernel,
    kernel_drift,
    kernel_text,
    shown_kernel,
    write_kernel,
)
from protoprimer.authoring.packing import KernelError, packed_lines, stripped
from protoprimer.authoring.unpacking import packed_groups, packed_word, unpacked_text
from protoprimer.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''\
"""Of the module."""

import os  # why


class Shape:
    """Of the class."""

    name: "str"
    sides: "int" = 3

    # A comment.
    def area(self, by: "float" = 2.0, *more: "int", key: "str | None" = None, **rest: "object") -> "list[float]":
        """Of the method,

            indented.
        """
        é = "à, not -> an arrow: int"; width: "int" = 4
        text = """first\x20\x20
    # no comment
        "quoted"\x20\x20
"""

        def state(one: "int" = 1) -> int:
            """Of a state."""
            return one

        return [
            by * width,  # a comment with 'quotes
            len(text) + \\
                sum(more),

            state(one=5),
        ]


class Wrong(Exception):
    """Only this."""


def last(
    one: "int",
    # Of the second.
    two: "dict[str, int]" = {},
) -> "dict[str, int]":
    if one:
        "a string that is no docstring"
    return lambda x: x  # noqa: E731
'''


class _WithoutWords(ast.NodeTransformer):
    """Takes from a program what may be missing in a packed one, by another way than the writer does."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign) and node.value:
            return ast.Assign([node.target], node.value)
        return node


def without_words(text: str) -> str:
    return ast.dump(_WithoutWords().visit(ast.parse(text)))


def kept(text: str) -> list[str]:
    """Return what programs read of what could have been left out."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            found += [ast.dump(one) for one in node.body if isinstance(one, ast.AnnAssign)]
        if isinstance(node, ast.FunctionDef):
            inner = [one for one in ast.walk(node) if isinstance(one, ast.FunctionDef) and one is not node]
            found += [f"{one.name}: {ast.get_docstring(one)}" for one in inner]
    return found


def test_only_what_a_machine_does_not_need_is_left_out() -> None:
    short = stripped(MODULE)
    assert without_words(short) == without_words(MODULE)
    assert kept(short) == kept(MODULE)
    assert "Of a state." in short
    assert len(kept(short)) == 3
    for left_out in (
        "Of the",
        "Only this",
        "why",
        "list[float]",
        "object",
        "noqa",
        "a comment",
        "\n\n",
        '"int" = 4',
    ):
        assert left_out not in short
    assert [
        token for token in tokenize.generate_tokens(io.StringIO(short).readline) if token.type == tokenize.COMMENT
    ] == []


def test_the_packed_kernel_is_the_same_program_as_the_plain_one() -> None:
    plain, packed = kernel_text(plain=True), unpacked_text(kernel_text())
    trees = [ast.parse(text) for text in (plain, packed)]
    for tree in trees:
        _WithoutWords().visit(tree)
    only_packed = {"protoprimer_kept", "protoprimer_keep", "PACKED_SHA256"}
    programs = [[ast.dump(node) for node in tree.body if not only_packed & bound_names(node)] for tree in trees]
    assert len(trees[1].body) == len(programs[1]) + len(only_packed)
    assert programs[0] == programs[1]
    assert kept(plain) == kept(packed)
    for name in PLAIN_MODULES:
        module = re.compile(rf"(?s)# ---- begin of {name}, .*# ---- end of {name}\n")
        whole = [module.search(text) for text in (plain, kernel_text())]
        assert whole[0] and whole[1]
        assert whole[0].group() == whole[1].group()


def bound_names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return (
        {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.Assign)
        else set()
    )


def test_every_packed_module_is_named_in_its_place() -> None:
    text = kernel_text()
    names = [name.partition(".")[2] for name in KERNEL_MODULES]
    modules = text[text.index("# ---- begin of protoprimer.authoring.unpacking") :]
    lines = re.findall(r"(?m)^# (?:---- begin of protoprimer\.)?([a-z_., ]+?)(?:, sha256 [0-9a-f]{16}|,)?$", modules)
    assert re.split(", ", ", ".join(lines)) == names
    assert text.isascii()
    assert all(len(line) <= 500 for line in text.rsplit('"""', 2)[1].splitlines())


def test_the_head_of_the_packed_kernel_says_how_to_see_all_of_it() -> None:
    head = kernel_text()[:2000]
    assert "kernel show PATH" in head
    assert "kernel write --plain PATH" in head
    assert "proto_kernel.kernel_source()" in head


def test_every_python_writes_the_same_program(tmp_path: Path, wild_python: support.WildPython) -> None:
    if wild_python.version < (3, 8):
        pytest.skip("the package supports Python 3.8 and newer")
    path = tmp_path / "proto_kernel.py"
    command = [wild_python.executable, "-B", "-m", "protoprimer", "kernel"]
    environ = {**os.environ, "PYTHONPATH": str(support.ROOT / "src")}
    for more, expected in ([], kernel_text()), (["--plain"], kernel_text(plain=True)):
        subprocess.run([*command, "write", *more, str(path)], env=environ, check=True, timeout=60, stderr=-1)
        assert is_same_kernel(path.read_text(encoding="utf-8"), expected)
    subprocess.run([*command, "verify", str(path)], env=environ, check=True, timeout=60, stderr=-1)


@given(
    st.lists(
        st.text(st.characters(min_codepoint=9, max_codepoint=126, exclude_characters="\r")), min_size=1, max_size=3
    )
)
def test_what_is_packed_is_unpacked_as_it_was(groups: list[str]) -> None:
    assert packed_groups('"""\n' + packed_lines(groups) + '"""\n') == groups


def test_all_words_have_their_own_number() -> None:
    limit = kernel_packing._SHORT_WORDS + kernel_packing._PAGE * kernel_packing._PAGES
    words = [packed_word(number) for number in range(limit)]
    assert len(set(words)) == limit
    assert "\0" not in "".join(words)
    groups = [
        " ".join(f"word{'abcdefghij'[a]}{'abcdefghij'[b]}{'abcdefghij'[c]}" for c in range(10)) * 3
        for a in range(10)
        for b in range(10)
    ]
    assert packed_groups('"""\n' + packed_lines(groups) + '"""\n') == groups


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(KernelError, match="cannot be packed"):
        packed_lines(["x = 'é'"])


def repacked(text: str, level: int, more: bytes = b"") -> str:
    """Return a packed kernel as another compressor would have written it, with its own sum, and more in its end."""
    before, data, after = text.rsplit('"""', 2)
    content = zlib.decompress(b85decode(data.replace("\n", ""))) + more
    text = '%s"""\n%s\n"""%s' % (before, b85encode(zlib.compress(content, level)).decode(), after)
    return HASH_LINE.sub(f"# sha256 of the other lines: {hash_of_others(text)}\n", text, count=1)


@pytest.mark.parametrize("level", [0, 1])
def test_how_it_was_compressed_is_no_drift(tmp_path: Path, level: int) -> None:
    path, text = tmp_path / "proto_kernel.py", repacked(kernel_text(), level)
    assert text != kernel_text()
    path.write_text(text)
    path.chmod(0o755)
    assert kernel_drift(str(path)) is None
    write_kernel(str(path))
    assert path.read_text() == text, "a kernel that is there already is left as it is"


def test_what_is_packed_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "proto_kernel.py"
    path.write_text(repacked(kernel_text(), 9, b"print(1)\n"))
    assert kernel_drift(str(path)) == f"{path} was written from other sources of version {VERSION}"
    write_kernel(str(path))
    assert path.read_text() == kernel_text()
    path.write_text(kernel_text().replace("0", "1"))
    assert "has been edited" in str(kernel_drift(str(path)))


def test_showing_tells_what_is_no_kernel_and_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "proto_kernel.py"
    path.write_text(kernel_text())
    assert shown_kernel(str(path)) == unpacked_text(kernel_text())
    path.write_text(kernel_text(plain=True))
    assert shown_kernel(str(path)) == kernel_text(plain=True)
    for text in ("print()\n", kernel_text()[:-200] + '"""\n', damaged(kernel_text())):
        path.write_text(text)
        with pytest.raises(KernelError, match="the kernel cannot be shown"):
            shown_kernel(str(path))


def damaged(text: str) -> str:
    """Return a kernel one of whose packed characters is another one."""
    at = text.rindex('"""\n') - 300
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


# The file as a program


USE = "import proto_kernel as k; print(k.run_main.__name__, k.__version__, all(hasattr(k, n) for n in k.__all__)); "
PLACES = "print(k.ToolBox.__init__.__code__.co_filename.replace(k.__file__, 'K'), k.bootstrap_graph.__code__.co_filename == k.__file__)"
WITHOUT_ZLIB = "import sys; sys.modules['zlib'] = None; "


@pytest.fixture
def kernel_file(tmp_path: Path) -> Path:
    path = tmp_path / "a place" / "proto_kernel.py"
    path.parent.mkdir()
    (tmp_path / "home" / ".cache").mkdir(parents=True)
    path.write_text(clones.generated_kernel(), encoding="utf-8")
    return path


@pytest.fixture(params=[0, -1], ids=["oldest", "newest"])
def python(request: pytest.FixtureRequest) -> support.WildPython:
    end: int = request.param
    return support.wild_pythons()[end]


def run(python: support.WildPython, kernel_file: Path, *arguments: str, status: int = 0, **variables: str) -> list[str]:
    """Return the lines of stdout, or those of stderr where it is to fail."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(kernel_file.parents[1] / "home"), **variables}
    done = subprocess.run(
        [python.executable, *arguments],
        cwd=kernel_file.parent,
        env=environ,
        stdout=-1,
        stderr=-1,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr
    return (done.stderr if status else done.stdout).decode().splitlines()


def kept_files(kernel_file: Path) -> list[Path]:
    return sorted((kernel_file.parents[1] / "home" / ".cache").glob("protoprimer/kernels/*"))


def test_it_is_imported_and_what_is_packed_is_unpacked_once(kernel_file: Path, wild_python: support.WildPython) -> None:
    first = run(wild_python, kernel_file, "-B", "-S", "-W", "error", "-c", USE + PLACES)
    assert first[0].startswith("run_main ")
    assert first[0].endswith(" True")
    assert first[1] == "K/protoprimer/tools.py True"
    (kept_file,) = kept_files(kernel_file)
    assert kept_file.stat().st_mode & 0o777 == 0o600
    inode = kept_file.stat().st_ino
    # The second time nothing has to be unpacked.
    assert run(wild_python, kernel_file, "-B", "-c", WITHOUT_ZLIB + USE + PLACES) == first
    assert kept_files(kernel_file)[0].stat().st_ino == inode
    run(wild_python, kernel_file, "-B", "-OO", "-c", USE)
    assert len(kept_files(kernel_file)) == 1


def test_without_a_place_to_keep_it_it_runs_all_the_same(kernel_file: Path, python: support.WildPython) -> None:
    (kernel_file.parents[1] / "home" / ".cache").rmdir()
    assert run(python, kernel_file, "-B", "-c", USE, HOME="/dev/null/nowhere")
    assert run(python, kernel_file, str(kernel_file), "--version", HOME="")[0].startswith("protoprimer ")
    assert kept_files(kernel_file) == []


def test_what_it_says_of_itself_is_what_runs(kernel_file: Path, wild_python: support.WildPython) -> None:
    show = "import sys, proto_kernel; sys.stdout.write(proto_kernel.kernel_source())"
    shown = run(wild_python, kernel_file, "-B", "-c", show)
    assert "\n".join(shown) + "\n" == shown_kernel(str(kernel_file))
    # The text is a program itself, and so is every line of it: the same objects, from the same names.
    (kernel_file.parent / "shown.py").write_text("\n".join(shown) + "\n")
    names = "print(sorted((n, getattr(v, '__module__', '')) for n, v in vars(m).items() if n[0] != '_' and n not in {'packed_code', 'PACKED_CODES', 'm'}))"
    as_packed = run(wild_python, kernel_file, "-B", "-c", "import proto_kernel as m;" + names)
    as_shown = run(wild_python, kernel_file, "-B", "-c", "import shown as m;" + names)
    assert [line.replace("'shown'", "'proto_kernel'") for line in as_shown] == as_packed
    assert run(wild_python, kernel_file, "shown.py", "--version")[0].startswith("protoprimer ")


@pytest.mark.parametrize("how", ["import proto_kernel", "import runpy; runpy.run_path('proto_kernel.py')"])
def test_a_python_without_zlib_is_one_sentence(kernel_file: Path, python: support.WildPython, how: str) -> None:
    (said,) = run(python, kernel_file, "-B", "-c", WITHOUT_ZLIB + how, status=4)
    assert said.startswith("error: the kernel is packed: ")
    assert python.executable in said


def test_a_damaged_kernel_is_one_sentence(kernel_file: Path, python: support.WildPython) -> None:
    kernel_file.write_text(damaged(kernel_file.read_text()))
    (said,) = run(python, kernel_file, "-B", "-c", "import proto_kernel", status=3)
    assert said == f"error: the kernel is damaged: {kernel_file}; restore it from version control"
    # What does not belong to the text above it is not run either.
    kernel_file.write_text(repacked(clones.generated_kernel(), 9, b"print(1)\n"))
    assert run(python, kernel_file, "-B", "-c", "import proto_kernel", status=3) == [said]


def test_an_edited_text_does_not_get_what_was_kept_before(kernel_file: Path, python: support.WildPython) -> None:
    run(python, kernel_file, "-B", "-c", USE)
    other = clones.generated_kernel().replace(packed_digest(clones.generated_kernel()), hashlib.sha256(b"").hexdigest())
    kernel_file.write_text(other)
    assert run(python, kernel_file, "-B", "-c", USE, status=3)


def packed_digest(text: str) -> str:
    found = re.search(r'PACKED_SHA256 = "([0-9a-f]{64})"', text)
    assert found
    return found.group(1)
