"""Joins the package's modules into one file, the kernel. The only part of `authoring` that the kernel does without."""

import ast
import builtins
import functools
import os
import sys

from protoprimer.authoring.entry import kernel_head
from protoprimer.authoring.header import KERNEL_END, hash_below
from protoprimer.authoring.kernel import KernelError
from protoprimer.version import VERSION

__all__ = ["in_dependency_order", "join_modules", "joined_kernel", "module_sources"]

OLDEST_SYNTAX = (3, 6)
MODULE_MARK = "# ---- "
# What checks the file that is being loaded comes first; what callers use, last.
_FIRST, _FACADE = "protoprimer.authoring.header", "protoprimer.primer_kernel"
_OUTSIDE = frozenset(["protoprimer.__main__", "protoprimer.authoring.joining"])
# In the place of this line of that module, the kernel has the texts of `templates/`.
_TEMPLATES, _NO_TEMPLATES = "protoprimer.template_text", "EMBEDDED_TEMPLATES = {}  # type: dict[str, str]\n"
_HASH_PLACE = "0" * 64

_HEADER = """\
#!/bin/sh
# The kernel of protoprimer. sha256 of all that follows this line: %s
# version: %s
# It takes any Python into this repository's own environment. Commit this file, and do not edit it.
# It was generated from the modules that begin at the marks "# ----": python -m protoprimer kernel write PATH
# For tools, which leave it alone:
# fmt: off
# isort: skip_file
# ruff: noqa
# ruff: noqa: PGH004
# flake8: noqa
# pylint: skip-file
# mypy: ignore-errors
# for pyright: # type: ignore
"""
_START = """\
import os
import sys

if __name__ == "__main__" and not sys.flags.isolated and os.name == "posix" and sys.executable:
    # Neither this directory nor PYTHONPATH may stand in for the standard library.
    os.execv(sys.executable, [sys.executable, "-I"] + sys.argv)
"""
_CHECK = "refuse_damaged_kernel(os.path.abspath(__file__))"
_TAIL = """\
# ---- what runs where this file is started, and not imported

__version__ = VERSION

if __name__ == "__main__":
    PROTOPRIMER_ENTRY = True
    if sys.argv[1:2] and sys.argv[1] in AUTHOR_COMMANDS:
        keep_only_standard_library_on_path()
        sys.exit(author_main("python3 " + sys.argv[0], sys.argv[1:]))
    boot_env(None)
"""


class _Module:
    """One module on its way into the kernel.

    :param name: its full name
    :param text: its source
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = text.splitlines()
        try:
            # The oldest syntax that the parser can still be told to accept.
            self.tree = ast.parse(text, feature_version=OLDEST_SYNTAX)
        except (SyntaxError, ValueError) as error:
            raise KernelError("%s is not Python %d.%d: %s" % ((name,) + OLDEST_SYNTAX + (error,))) from error
        self.names = {}  # type: dict[str, int]
        self.hoisted = {}  # type: dict[str, str]
        self.typing = set()  # type: set[str]
        self.exported = []  # type: list[str]
        self._dropped = set()  # type: set[int]

    def error(self, node: ast.AST, what: str) -> KernelError:
        return KernelError("%s: %s" % (self.name, what), "line %d" % getattr(node, "lineno", 0))

    def drop(self, node: ast.stmt) -> None:
        """Leave the lines of a statement out, and the empty ones after it."""
        end = node.end_lineno or node.lineno
        while end < len(self.lines) and not self.lines[end].strip():
            end += 1
        self._dropped.update(range(node.lineno - 1, end))

    def replace(self, node: ast.stmt, text: str) -> None:
        """Put `text` in the place of a statement that is not at the top level."""
        self.lines[node.lineno - 1] = self.lines[node.lineno - 1][: node.col_offset] + text
        self._dropped.update(range(node.lineno, node.end_lineno or node.lineno))

    def body(self) -> str:
        kept = [line for number, line in enumerate(self.lines) if number not in self._dropped]
        return MODULE_MARK + self.name + "\n" + "\n".join(kept).strip("\n")


def joined_kernel() -> str:
    """Return the kernel that the modules of this package make.

    :raises KernelError: exit code 1: one of them breaks a rule of kernel modules
    """
    sources = module_sources()
    return join_modules([(name, sources[name]) for name in in_dependency_order(sources)], VERSION)


def module_sources() -> "dict[str, str]":
    """Return the source of each module that belongs into the kernel, by its name."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = _sources_below(package, "protoprimer")
    if not any(name.startswith("protoprimer.backends.") for name in found):
        # In a checkout, backends/ stands at the top of the tree.
        backends = os.path.join(os.path.dirname(os.path.dirname(package)), "backends")
        found.update(_sources_below(backends, "protoprimer.backends"))
    if _TEMPLATES in found:
        found[_TEMPLATES] = found[_TEMPLATES].replace(_NO_TEMPLATES, _templates_literal(package))
    return found


def _templates_literal(package: str) -> str:
    """Return the assignment that puts all templates into the kernel, each readable as it stands."""
    directory, items = os.path.join(package, "templates"), ""
    for name in sorted(name for name in os.listdir(directory) if os.path.isfile(os.path.join(directory, name))):
        with open(os.path.join(directory, name), encoding="utf-8") as stream:
            text = stream.read()
        if "'''" in text or text.endswith(("'", "\\")):
            raise KernelError("this template cannot stand in a raw string", os.path.join(directory, name))
        items += "    \"%s\": r'''%s''',\n" % (name, text)
    return "EMBEDDED_TEMPLATES = {\n%s}\n" % items


def _sources_below(directory: str, package: str) -> "dict[str, str]":
    found = {}
    for entry in sorted(os.listdir(directory)):
        path, name = os.path.join(directory, entry), package + "." + entry.partition(".")[0]
        if os.path.isfile(os.path.join(path, "__init__.py")):
            found.update(_sources_below(path, name))
        elif entry.endswith(".py") and entry != "__init__.py" and name not in _OUTSIDE:
            with open(path, encoding="utf-8") as stream:
                found[name] = stream.read()
    return found


def in_dependency_order(sources: "dict[str, str]") -> "list[str]":
    """Return the modules' names so that each comes after all that it imports, and those of a room stand together.

    :raises KernelError: exit code 1: two modules, or two rooms, import each other
    """
    needs = {name: _imported(text) for name, text in sources.items()}
    rooms = {}  # type: dict[str, set[str]]
    for name in sources:
        rooms.setdefault(_room(name), set()).update(_room(need) for need in needs[name])
    names = [name for room in _sorted_by_needs(rooms) for name in _sorted_by_needs(_within(needs, room))]
    return [name for name in (_FIRST,) if name in names] + [name for name in names if name != _FIRST]


def _within(needs: "dict[str, set[str]]", room: str) -> "dict[str, set[str]]":
    return {name: needed for name, needed in needs.items() if _room(name) == room}


def _sorted_by_needs(needs: "dict[str, set[str]]") -> "list[str]":
    order = []  # type: list[str]

    def visit(name: str, above: "tuple[str, ...]") -> None:
        if name in above:
            raise KernelError("these import each other: %s" % ", ".join(above[above.index(name) :]))
        if name not in order:
            for need in sorted(needs[name] - {name}):
                if need in needs:
                    visit(need, above + (name,))
            order.append(name)

    for name in sorted(needs, key=lambda one: (one in (_FACADE, _room(_FACADE)), one)):
        visit(name, ())
    return order


def _imported(text: str) -> "set[str]":
    tree = ast.parse(text)
    left_out = {id(child) for node in tree.body if _is_type_checking(node) for child in ast.walk(node)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and id(node) not in left_out]
    return {node.module for node in found if node.module and _is_ours(node)}


def _room(name: str) -> str:
    return name.split(".")[1]


def join_modules(sources: "list[tuple[str, str]]", version: str) -> str:
    """Return one file of the modules given as pairs of name and source, in this order.

    :param version: what the header states
    :raises KernelError: exit code 1: a rule of kernel modules is broken, such as a name that two modules define
    """
    modules = []  # type: list[_Module]
    for name, text in sources:
        module = _Module(name, text)
        _check_names(module, modules)
        _prepare(module, modules)
        modules.append(module)
    hoisted = sorted({line for module in modules for line in module.hoisted.values()} - {"import os", "import sys"})
    exported = "".join('    "%s",\n' % name for name in sorted(modules[-1].exported))
    typing = sorted({"    %s\n" % line for module in modules for line in module.typing})
    typing = ["TYPE_CHECKING = False\nif TYPE_CHECKING:\n" + "".join(typing)] if typing else []
    parts = [_START + "\n" + "\n".join(hoisted), *typing, "__all__ = [\n%s]\n" % exported]
    for module in modules:
        parts.append(module.body() + "\n")
        if module.name == _FIRST:
            parts.append(_CHECK + "\n")
    head = _HEADER % (_HASH_PLACE, version)
    start = kernel_head("The kernel is an entry script itself.")
    text = head + start + "\n" + "\n\n".join([*parts, _TAIL, KERNEL_END])
    return text.replace(_HASH_PLACE, hash_below(text), 1)


def _check_names(module: _Module, earlier: "list[_Module]") -> None:
    """Refuse a top-level name that the kernel has already, or that would hide one of Python's."""
    for node in _top_level_nodes(module.tree):
        for name, origin in _bound_names(node):
            for other in earlier:
                if name != "__all__" and name in other.names and (origin is None or other.hoisted.get(name) != origin):
                    raise module.error(node, "%r is defined by %s too" % (name, other.name))
            hides = hasattr(builtins, name) or name in _standard_modules()
            if origin is None and hides and not name.startswith("_"):
                raise module.error(node, "%r hides what Python has under that name" % name)
            module.names[name] = getattr(node, "lineno", 0)
            if origin is not None:
                module.hoisted[name] = origin


def _top_level_nodes(tree: ast.Module) -> "list[ast.stmt]":
    """Return all statements of the module's own namespace, those within `if`, `try`, `for` and `with` included."""
    found = []  # type: list[ast.stmt]
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if _is_type_checking(node):
            continue
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            waiting += [child for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node]
    return found


def _bound_names(node: ast.stmt) -> "list[tuple[str, str | None]]":
    """Return the names that a statement binds, each with the import line that does it, if it is a standard one."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [(node.name, None)]
    if isinstance(node, ast.Import):
        return [((name.asname or name.name).partition(".")[0], _import_line(node, name)) for name in node.names]
    if isinstance(node, ast.ImportFrom):
        if _is_ours(node):
            return []
        return [(name.asname or name.name, _import_line(node, name)) for name in node.names]
    targets = []  # type: list[ast.AST]
    if isinstance(node, ast.Assign):
        targets = list(node.targets)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.For)):
        targets = [node.target]
    elif isinstance(node, ast.With):
        targets = [item.optional_vars for item in node.items if item.optional_vars is not None]
    inner = [child for target in targets for child in ast.walk(target)]
    names = [child.id for child in inner if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)]
    return [(name, None) for name in names if name != "TYPE_CHECKING"]


def _prepare(module: _Module, earlier: "list[_Module]") -> None:
    """Mark what is left out of the kernel, and check every import."""
    for node in module.tree.body:
        assigned = _assigned_name(node)
        is_import = isinstance(node, (ast.Import, ast.ImportFrom))
        if is_import or assigned in ("TYPE_CHECKING", "__all__") or _is_type_checking(node):
            module.drop(node)
        if isinstance(node, ast.Assign) and assigned == "__all__":
            module.exported = list(ast.literal_eval(node.value))
        if _is_type_checking(node):
            module.typing = _typing_lines(node)
    if not module.exported:
        raise module.error(module.tree, "there is no __all__")
    left_out = {id(child) for node in module.tree.body if _is_type_checking(node) for child in ast.walk(node)}
    for child in ast.walk(module.tree):
        if isinstance(child, (ast.Import, ast.ImportFrom)) and id(child) not in left_out:
            _check_import(module, child, earlier)


def _check_import(module: _Module, node: "ast.Import | ast.ImportFrom", earlier: "list[_Module]") -> None:
    if isinstance(node, ast.ImportFrom) and _is_ours(node):
        source = next((other for other in earlier if other.name == node.module and not node.level), None)
        if source is None:
            wanted = "." * node.level + (node.module or "")
            raise module.error(node, "imports from %s, which is not before it" % wanted)
        for name in node.names:
            if name.asname or name.name not in source.names:
                raise module.error(node, "cannot resolve %r of %s" % (name.asname or name.name, source.name))
        if node.col_offset:
            module.replace(node, "pass  # imported above")
        return
    for name in node.names:
        top = (node.module or "" if isinstance(node, ast.ImportFrom) else name.name).partition(".")[0]
        if top == "protoprimer" or (_standard_modules() and top not in _standard_modules()):
            raise module.error(node, "imports %s, which is not of the standard library" % top)
        if name.name == "*":
            raise module.error(node, "imports everything from %s" % top)


def _is_ours(node: ast.ImportFrom) -> bool:
    return bool(node.level) or (node.module or "").partition(".")[0] == "protoprimer"


def _import_line(node: "ast.Import | ast.ImportFrom", name: ast.alias) -> str:
    line = "from %s import %s" % (node.module, name.name) if isinstance(node, ast.ImportFrom) else "import " + name.name
    return line + (" as " + name.asname if name.asname else "")


def _typing_lines(block: ast.stmt) -> "set[str]":
    """Return the standard imports that only a type checker follows: with them editors understand the annotations."""
    found = [node for node in ast.walk(block) if isinstance(node, ast.ImportFrom) and not _is_ours(node)]
    return {_import_line(node, name) for node in found for name in node.names}


def _assigned_name(node: ast.stmt) -> "str | None":
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else None


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@functools.lru_cache(maxsize=None)
def _standard_modules() -> "frozenset[str]":
    """Return the names of all standard modules; nothing before Python 3.10, which cannot tell."""
    names = getattr(sys, "stdlib_module_names", ())
    # It came after Python 3.10.
    return frozenset(names).union(["tomllib"] if names else [])
