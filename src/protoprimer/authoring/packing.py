"""Making modules small for the kernel file: what a machine does not need left out, and words as numbers in zlib."""

import ast
import base64
import collections
import io
import re
import sys
import tokenize

from protoprimer.authoring.unpacking import packed_word
from protoprimer.errors import PrimerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Place = tuple[int, int]

__all__ = ["KernelError", "packed_lines", "stripped"]

# So many words that one character or two stand for each: see `unpacking.packed_word`.
_SHORT_WORDS, _PAGE, _PAGES = 123, 255, 5
# Words with the spaces that nearly always stand beside them: each of these is a character less.
_WORD = re.compile(
    r":?\n +|, | = |: | [=!]= | [+%] | is (?:not )?None| (?:if|in|for|not|and|or|is|else) |"
    r"(?:if|raise|for|with|import|from|not|elif|def|class|lambda|return) |"
    r"self\.|os\.path\.[a-z]+\(?|%[srd]|[A-Za-z]{2,}"
)
# Each line's end is a byte.
_WIDTH = 500


class KernelError(PrimerError):
    """The modules cannot be joined, or a file is not the kernel that they make: exit code 1."""


def stripped(text: str) -> str:
    """Return a module's text without docstrings, comments, annotations and empty lines, indented by one space.

    Brackets begin and end within lines.

    Two things stay, as the program reads them: the docstrings of functions within functions, which may be states, and
    the annotations of a class' attributes.
    """
    tree = ast.parse(text)
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    lines = text.split("\n")
    strings = [token for token in tokens if "STRING" in tokenize.tok_name[token.type]]
    inside = {row for token in strings for row in range(token.start[0] + 1, token.end[0] + 1)}
    opening = {token.start[0] for token in strings if token.end[0] > token.start[0]}
    comments = [(token.start, token.end, "") for token in tokens if token.type == tokenize.COMMENT]
    for start, end, instead in sorted(_left_out(tree, tokens, lines) + comments, reverse=True):
        lines[start[0] - 1] = lines[start[0] - 1][: start[1]] + instead + lines[end[0] - 1][end[1] :]
        for row in range(start[0] + 1, end[0] + 1):
            lines[row - 1] = ""
            inside.discard(row)
    kept = []
    for row, line in enumerate(lines, 1):
        code = line.lstrip(" ")
        if row in inside:
            kept.append(line)
        elif code.strip() and row not in opening and (code[0] in ")]}" or (kept and kept[-1][-1:] in "([{")):
            kept.append(kept.pop() + code.rstrip())
        elif code.strip():
            code = code if row in opening else code.rstrip()
            kept.append(" " * ((len(line) - len(line.lstrip(" "))) // 4) + code)
    return "\n".join(kept) + "\n"


def _left_out(
    tree: ast.Module, tokens: "list[tokenize.TokenInfo]", lines: "list[str]"
) -> "list[tuple[Place, Place, str]]":
    """Return from where to where text is left out, and what stands there instead."""
    arrows = [token.start for token in tokens if token.string == "->"]

    def place(row: "int | None", offset: "int | None") -> "Place":
        # The parser counts bytes, the tokenizer characters.
        assert row is not None
        return row, len(lines[row - 1].encode("utf-8")[:offset].decode("utf-8"))

    found = []
    waiting = [(tree, tree, False)]  # type: list[tuple[ast.AST, ast.AST, bool]]
    while waiting:
        node, parent, is_within_function = waiting.pop()
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        waiting += [(child, node, is_within_function or is_function) for child in ast.iter_child_nodes(node)]
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = node.body[0] if ast.get_docstring(node) is not None else None
            if text is not None and not (is_function and is_within_function):
                begin, end = place(text.lineno, text.col_offset), place(text.end_lineno, text.end_col_offset)
                found.append((begin, end, "pass" if len(node.body) == 1 else ""))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns:
            row, column = max(arrow for arrow in arrows if arrow < place(node.returns.lineno, node.returns.col_offset))
            begin = row, len(lines[row - 1][:column].rstrip())
            found.append((begin, place(node.returns.end_lineno, node.returns.end_col_offset), ""))
        if isinstance(node, ast.arg) and node.annotation:
            begin = place(node.lineno, node.col_offset + len(node.arg.encode("utf-8")))
            found.append((begin, place(node.annotation.end_lineno, node.annotation.end_col_offset), ""))
        if isinstance(node, ast.AnnAssign) and node.value and not isinstance(parent, ast.ClassDef):
            begin = place(node.target.end_lineno, node.target.end_col_offset)
            found.append((begin, place(node.annotation.end_lineno, node.annotation.end_col_offset), ""))
    return found


def packed_lines(groups: "list[str]") -> str:
    """Return groups of modules in the form that `unpacking.packed_groups` reads, as lines.

    :raises KernelError: exit code 1: this Python has no zlib, or a character cannot be packed
    """
    try:
        import zlib
    except ImportError as error:
        raise KernelError("the kernel cannot be packed: %s" % error, sys.executable, "write it with --plain") from error
    text = "\0".join(groups)
    foreign = [character for character in text if character > "~" or character == "\1"]
    if foreign:
        raise KernelError("%r in the code of a kernel's module cannot be packed" % foreign[0], None, "write its escape")
    words = _frequent_words(text)
    codes = {word: packed_word(number) for number, word in enumerate(words)}
    coded = "\1".join(words) + "\0" + _WORD.sub(lambda found: codes.get(found.group(), found.group()), text)
    # The smallest memory makes the most blocks, each with codes of its own.
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 6)
    packed = base64.b85encode(packer.compress(coded.encode("latin-1")) + packer.flush()).decode("ascii")
    return "".join(packed[at : at + _WIDTH] + "\n" for at in range(0, len(packed), _WIDTH))


def _frequent_words(text: str) -> "list[str]":
    """Return the words that are worth a number, in the order of their numbers."""
    count = collections.Counter(_WORD.findall(text))

    def loss(word: str, size: int) -> "tuple[int, str]":
        return len(word) + 1 - count[word] * (len(word) - size), word

    ranked = sorted(count, key=lambda word: loss(word, 1))
    short, others = ranked[:_SHORT_WORDS], [word for word in ranked[_SHORT_WORDS:] if loss(word, 2)[0] < 0]
    others = sorted(others, key=lambda word: loss(word, 2))[: _PAGE * _PAGES]
    others.sort(key=lambda word: (-count[word], word))
    # Words that begin alike stand together, as far as their numbers' first characters are the same.
    pages = [sorted(others[at : at + _PAGE]) for at in range(0, len(others), _PAGE)]
    return sorted(short) + [word for page in pages for word in page]
