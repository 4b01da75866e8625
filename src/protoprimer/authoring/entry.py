"""The text of an entry script: the templates `entry.sh`, to Python a docstring, and `entry.py` in one file."""

import os
from shlex import quote

from protoprimer.errors import UsageError
from protoprimer.template_text import template

__all__ = [
    "DEFAULT_STATE_DIRECTORY",
    "KERNEL_PLACE",
    "KINDS",
    "SERVING_CALL",
    "SERVING_FUNCTION",
    "entry_text",
    "names_function",
    "relative_path",
    "sh_half",
]

# By the kinds of entry scripts, the kernel's functions.
KINDS = {"run": "run_main", "boot": "boot_env", "start": "start_app"}
DEFAULT_STATE_DIRECTORY = ".protoprimer"

# What the templates have in the places of the facts.
_TITLE = "Entry script of app.cli:main, written by protoprimer."
_FACTS = "protoprimer_kind=run protoprimer_main=app.cli:main "
_READY_PATH = "/.protoprimer/ready"
KERNEL_PLACE = 'os.path.realpath(__file__ + "/../proto_kernel.py")'
SERVING_FUNCTION = "kernel.run_main"
SERVING_CALL = 'serve("app.cli:main", __file__)'


def entry_text(kind: str, main: "str | None", kernel: str, state_directory: str = DEFAULT_STATE_DIRECTORY) -> str:
    """Return the text of an entry script; the paths are relative to it, with slashes."""
    title = "Entry script of %s, written by protoprimer." % (main or "this repository")
    python = template("entry.py").replace(KERNEL_PLACE, "os.path.realpath(__file__ + %s)" % _literal("/../" + kernel))
    python = python.replace(SERVING_FUNCTION, "kernel." + KINDS[kind])
    python = python.replace(SERVING_CALL, "serve(%s, __file__)" % _literal(main))
    return sh_half(kind, main, state_directory, title) + python


def names_function(main: str) -> bool:
    """Tell whether this is `package.module:function`."""
    module, _, function = main.partition(":")
    return all(part.isidentifier() for part in module.split(".") + [function])


def relative_path(path: str, directory: str) -> str:
    """Return a relative path with slashes, links resolved."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(directory)).replace(os.sep, "/")


def sh_half(kind: str, main: "str | None", state_directory: str, title: str) -> str:
    """Return what sh reads of an entry script."""
    facts = "protoprimer_kind=%s protoprimer_main=%s " % (kind, quote(main) if main else "")
    text = template("entry.sh").replace(_TITLE, title).replace(_FACTS, facts)
    text = text.replace(_READY_PATH, "/" + quote(state_directory + "/ready"))
    inner = text.partition('"""')[2].rpartition('"""')[0]
    if '"""' in inner or any(character in title + (main or "") + state_directory for character in "\\\r\n"):
        cause = "a backslash, a line end or three quotes in a row cannot be in an entry script: %r"
        raise UsageError(cause % [main, state_directory])
    return text


def _literal(text: "str | None") -> str:
    literal = ascii(text)
    return literal if '"' in literal else literal.replace("'", '"')
