"""What is packed at the end of the kernel file, unpacked; stands as text before all that it unpacks."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    Codes = list[list[CodeType]]

__all__ = ["EXEC_LINES", "LOAD_LINE", "MODULE_MARK", "kernel_source", "packed_codes", "packed_word", "unpacked_text"]

# What of a packed kernel's text is only there to run what is packed.
LOAD_LINE = "\nPACKED_CODES = packed_codes(os.path.abspath(__file__), PACKED_SHA256, protoprimer_kept)\n"
# Where a group of packed modules has its place in the file.
EXEC_LINES = "\nfor packed_code in PACKED_CODES.pop(0):\n    exec(packed_code)\n"
MODULE_MARK = "# ---- begin of "
_SHORT_WORDS = 123


def kernel_source() -> str:
    """Return the whole program of this kernel file as text: what is packed in it unpacked, the rest as it stands."""
    with open(__file__, encoding="utf-8") as stream:
        return unpacked_text(stream.read())


def unpacked_text(text: str) -> str:
    """Return the text of a kernel file with each group of packed modules in its place; a plain one as it is.

    :raises ValueError: what is packed is damaged
    """
    if LOAD_LINE not in text:
        return text
    program, _, rest = text.rsplit('"""', 2)
    pieces, groups = program.replace(LOAD_LINE, "\n").split(EXEC_LINES), packed_groups(text)
    if len(pieces) != len(groups) + 1:
        raise ValueError("it has %d packed groups, and places for %d" % (len(groups), len(pieces) - 1))
    return "".join("%s\n%s\n" % pair for pair in zip(pieces, groups)) + pieces[-1] + rest


def packed_groups(text: str) -> "list[str]":
    """Return the groups of modules that a kernel file's text has packed in its last string, each as one text.

    That string is base85 of zlib. In it come the words that are frequent; then the groups, words as their numbers.

    :raises ValueError: what is packed is damaged
    """
    import re
    import zlib
    from base64 import b85decode

    try:
        packed = b85decode("".join(text.rsplit('"""', 2)[1].split()))
        table, *groups = zlib.decompress(packed).decode("latin-1").split("\0")
        words = {packed_word(number): word for number, word in enumerate(table.split("\1"))}
        return [re.sub("(?s)[\x80-\xfa]|[\xfb-\xff].", lambda found: words[found.group()], group) for group in groups]
    except (LookupError, zlib.error) as error:
        raise ValueError("it cannot be unpacked: %r" % error) from error


def packed_word(number: int) -> str:
    """Return what stands for the word of this number: the first in one character, all others in two."""
    page, place = divmod(number - _SHORT_WORDS, 255)
    return chr(0x80 + number) if page < 0 else chr(0x80 + _SHORT_WORDS + page) + chr(1 + place)


def packed_codes(path: str, digest: str, kept: "Callable[[str, tuple[str], Callable[[], Codes]], Codes]") -> "Codes":
    """Return the compiled modules of each group, from what is kept for this user or from the file itself.

    :param path: of the kernel file, absolute
    :param digest: sha256 of what is packed, unpacked
    :param kept: remembers for a name and facts what a function returns
    """

    def compiled() -> "Codes":
        groups = _groups_of_file(path, digest)
        return [[_compiled_module(path, text) for text in group.split(MODULE_MARK)[1:]] for group in groups]

    return kept(os.path.join(path, "protoprimer"), (digest,), compiled)


def _groups_of_file(path: str, digest: str) -> "list[str]":
    try:
        import hashlib

        with open(path, encoding="utf-8") as stream:
            groups = packed_groups(stream.read())
        if hashlib.sha256("\0".join(groups).encode("latin-1")).hexdigest() == digest:
            return groups
    except ImportError as error:
        sys.stderr.write("error: the kernel is packed: %s in %s; take another Python\n" % (error, sys.executable))
        sys.exit(4)
    except (OSError, ValueError):
        pass
    sys.stderr.write("error: the kernel is damaged: %s; restore it from version control\n" % path)
    sys.exit(3)


def _compiled_module(path: str, text: str) -> "CodeType":
    # Tracebacks name a module as if the kernel were its directory, as they do for modules within a zip file.
    place = os.path.join(path, *text.partition("\n")[0].split(".")) + ".py"
    return compile("# " + text, place, "exec", dont_inherit=True)
