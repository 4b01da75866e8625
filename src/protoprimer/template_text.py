"""The texts of what protoprimer generates: entry scripts, `ready`, `launch.py`.

Each is a file in `templates/`, so that linters and shellcheck read it as what it is. None has three single quotes in a
row, nor a backslash at its end: the kernel's writer puts them as raw strings into the kernel's `EMBEDDED_TEMPLATES`.
"""

import os

__all__ = ["EMBEDDED_TEMPLATES", "template"]

EMBEDDED_TEMPLATES = {}  # type: dict[str, str]


def template(name: str) -> str:
    """Return the text of the file `name` in `templates/`."""
    if name in EMBEDDED_TEMPLATES:
        return EMBEDDED_TEMPLATES[name]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates", name)
    with open(path, encoding="utf-8") as stream:
        return stream.read()
