"""The kernel imports the standard library and itself, each in the form that the kernel's writer can join."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from gates.sources import kernel_modules
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

# Not of the standard library, and imported only to ask whether the host has them.
PROBED = frozenset({"_winapi", "uv", "virtualenv", "pip"})


def problems() -> list[str]:
    """Return one line for each import that breaks a rule of docs/developers/architecture.md."""
    return [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {what}"
        for path in kernel_modules()
        for line, what in _broken_rules(ast.parse(path.read_text(encoding="utf-8")))
    ]


def _broken_rules(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node, at_top in _imports(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif node.level:
            yield node.lineno, "relative import"
            continue
        else:
            modules = [node.module or ""]
        for module in modules:
            top = module.partition(".")[0]
            if top == "protoprimer":
                if isinstance(node, ast.Import) or any(a.asname or a.name == "*" for a in node.names):
                    yield node.lineno, "our own modules are imported as `from protoprimer.x import name`"
                if not at_top:
                    yield node.lineno, "our own modules are imported at the top"
            elif top not in sys.stdlib_module_names | PROBED:
                yield node.lineno, f"{module} is not in the standard library"


def _imports(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for statement in tree.body:
        if (
            isinstance(statement, ast.If)
            and isinstance(statement.test, ast.Name)
            and statement.test.id == "TYPE_CHECKING"
        ):
            continue
        for node in ast.walk(statement):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield node, node is statement
