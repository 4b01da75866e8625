"""Imports run downwards: a module imports only from its own room or from the rooms below it (docs/developers/architecture.md)."""

from __future__ import annotations

import ast

from gates.sources import package_files

# From the top to the ground.
ROOMS = (
    "__main__",
    "primer_kernel",
    "commands",
    "runtime",
    "states",
    "authoring",
    "store",
    "backends",
    "pythons",
    "fetch",
    "project",
    "settings",
    "formats",
    "graph_picture",
    "graph",
    "signatures",
    "system",
    "errors",
    "fault",
    "template_text",
    "version",
)


def problems() -> list[str]:
    """Return one line for each import that runs upwards, or between modules that import each other."""
    found = []
    for name, path in sorted(package_files().items()):
        if (
            "/templates/" in name
            or not name.startswith("protoprimer/")
            or not name.endswith(".py")
            or name == "protoprimer/__init__.py"
        ):
            continue
        own = _room(name[: -len(".py")].replace("/", "."))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("protoprimer."):
                other = _room(node.module or "")
                if own not in ROOMS or other not in ROOMS:
                    found.append(f"{name}:{node.lineno}: {own if own not in ROOMS else other} is no room")
                elif ROOMS.index(other) < ROOMS.index(own):
                    found.append(f"{name}:{node.lineno}: imports upwards, from {node.module}")
    return found


def _room(module: str) -> str:
    return module.split(".")[1]
