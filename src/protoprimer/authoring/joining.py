"""Joins modules into one file: readable throughout, or packed but for those that tell the flow."""

import ast
import builtins
import functools
import hashlib
import itertools
import re
import sys
import textwrap

from protoprimer.authoring.entry import kernel_head, kernel_keeper
from protoprimer.authoring.packing import KernelError, packed_lines, stripped
from protoprimer.authoring.unpacking import EXEC_LINES, LOAD_LINE, MODULE_MARK

__all__ = ["HASH_LINE", "hash_of_others", "join_modules"]

# What a packed kernel has as text: what unpacks the rest, and the table of contents.
PLAIN_MODULES = frozenset(["protoprimer.authoring.unpacking", "protoprimer.states"])
OLDEST_SYNTAX = (3, 6)
HASH_PLACE = "0" * 64
HASH_LINE = re.compile(r"^# sha256 of the other lines: ([0-9a-f]{64})\n", re.MULTILINE)

_HEADER = """\
protoprimer, the kernel: from any Python into this repository's own environment. Commit it; do not edit it.
# version: %s
# sha256 of the other lines: %s
# written by: python -m protoprimer kernel write %s\
"""
_PACKED_HEADER = """
# As text there are these lines for sh, what unpacks the rest, and the flow (protoprimer.states). The other modules are
# packed in the last lines, and named in their places.
# To read all of it without running any of it: python -m protoprimer kernel show PATH
# or, running it: python3 -c "import proto_kernel; print(proto_kernel.kernel_source())"
# To have it as text throughout: python -m protoprimer kernel write --plain PATH\
"""
_START = """\
if __name__ == "__main__" and not sys.flags.isolated and os.name == "posix" and sys.executable:
    # Neither this directory nor PYTHONPATH may stand in for the standard library.
    os.execv(sys.executable, [sys.executable, "-I"] + sys.argv)
"""
_TAIL = """
__version__ = VERSION

if __name__ == "__main__":
    PROTOPRIMER_ENTRY = True
    boot_env(None)
"""
_PACKED_TAIL = '''
# The packed modules: base85 of zlib, in which frequent words are numbers; `packed_groups` reads it.
"""
%s"""
'''


class _Module:
    """One module on its way into the kernel.

    :param name: its full name
    :param text: its source
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.lines = text.splitlines()
        try:
            # The oldest syntax that the parser can still be told to accept.
            self.tree = ast.parse(text, feature_version=OLDEST_SYNTAX)
        except (SyntaxError, ValueError) as error:
            raise KernelError("%s is not Python %d.%d: %s" % ((name,) + OLDEST_SYNTAX + (error,))) from error
        self.names = {}  # type: dict[str, int]
        self.hoisted = {}  # type: dict[str, str]
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

    def as_text(self) -> "list[str]":
        digest = hashlib.sha256(self.text.encode("utf-8")).hexdigest()[:16]
        begin = "\n" + MODULE_MARK + "%s, sha256 %s" % (self.name, digest)
        return [begin, self.body(), "# ---- end of %s" % self.name]

    def body(self) -> str:
        return "\n".join(line for number, line in enumerate(self.lines) if number not in self._dropped).strip("\n")


def join_modules(sources: "list[tuple[str, str]]", version: str, plain: bool = False) -> str:
    """Return one file of the modules given as pairs of name and source, in this order.

    :param plain: all of them as text; else all but `PLAIN_MODULES` are packed
    :raises KernelError: exit code 1: a rule of kernel modules is broken, such as a name that two modules define
    """
    modules = []  # type: list[_Module]
    for name, text in sources:
        module = _Module(name, text)
        _check_names(module, modules)
        _prepare(module, modules)
        modules.append(module)
    hoisted = sorted({line for module in modules for line in module.hoisted.values()})
    exported = "".join('    "%s",\n' % name for name in sorted(modules[-1].exported))
    parts = ["\n".join(hoisted), _START.rstrip(), "__all__ = [\n%s]" % exported]
    parts += _plain_parts(modules) if plain else _packed_parts(modules)
    header = _HEADER % (version, HASH_PLACE, "--plain PATH" if plain else "PATH" + _PACKED_HEADER)
    with_mark = kernel_head(header, not plain) + "\n" + "\n\n".join(parts)
    return with_mark.replace(HASH_PLACE, hash_of_others(with_mark), 1)


def _plain_parts(modules: "list[_Module]") -> "list[str]":
    return [part for module in modules for part in module.as_text()] + [_TAIL]


def _packed_parts(modules: "list[_Module]") -> "list[str]":
    parts, groups = [kernel_keeper().rstrip()], []  # type: list[str], list[str]
    runs = itertools.groupby(modules, lambda module: module.name in PLAIN_MODULES)
    for is_plain, run in runs:
        if is_plain:
            parts += [part for module in run for part in module.as_text()]
            continue
        packed = list(run)
        groups.append("".join(MODULE_MARK + one.name + "\n" + stripped(one.body() + "\n") for one in packed))
        names = ", ".join(module.name.partition(".")[2] for module in packed)
        announced = textwrap.fill(names, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        parts.append("\n# ---- packed, in this order:\n%s\n%s" % (announced, EXEC_LINES.rstrip()))
    digest = hashlib.sha256("\0".join(groups).encode("latin-1", "replace")).hexdigest()
    first = next(number for number, part in enumerate(parts) if part.endswith(EXEC_LINES.rstrip()))
    parts.insert(first, '\nPACKED_SHA256 = "%s"%s' % (digest, LOAD_LINE.rstrip()))
    return [*parts, _TAIL + _PACKED_TAIL % packed_lines(groups)]


def hash_of_others(text: str) -> str:
    """Return the sha256 of all lines of a kernel but the one that states it."""
    return hashlib.sha256(HASH_LINE.sub("", text, count=1).encode("utf-8")).hexdigest()


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
    docstring = module.tree.body[0] if ast.get_docstring(module.tree) is not None else None
    for node in module.tree.body:
        assigned = _assigned_name(node)
        is_import = isinstance(node, (ast.Import, ast.ImportFrom))
        if node is docstring or is_import or assigned in ("TYPE_CHECKING", "__all__") or _is_type_checking(node):
            module.drop(node)
        if isinstance(node, ast.Assign) and assigned == "__all__":
            module.exported = list(ast.literal_eval(node.value))
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
