"""Joins the package's modules into one file, the kernel, which does without this."""

import ast
import builtins
import io
import os
import re
import sys
import textwrap
import tokenize
from typing import Iterable, Iterator, NamedTuple

from protoprimer.authoring.entry import DEFAULT_STATE_DIRECTORY, KERNEL_PLACE, SERVING_CALL, SERVING_FUNCTION, sh_half
from protoprimer.authoring.header import KERNEL_END, hash_below
from protoprimer.authoring.kernel import KernelError
from protoprimer.template_text import template
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
_WIDTH = 120
# Nothing before Python 3.10, which cannot tell; tomllib came after it.
STANDARD_MODULES = {*getattr(sys, "stdlib_module_names", ()), "tomllib"} if sys.version_info >= (3, 10) else set()


class _Module(NamedTuple):
    """One module on its way into the kernel.

    :param names: what it binds at its top level; for what it imports, the line that does it
    :param typing: imports that only a type checker follows: with them editors understand the annotations
    """

    name: str
    body: str
    names: "dict[str, str | None]"
    typing: "set[str]"
    exported: "list[str]"


def joined_kernel() -> str:
    """Return the kernel that the modules of this package make; KernelError (exit code 1) where one breaks a rule."""
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
    """Return the modules' names so that each comes after all that it imports, and those of a room stand together."""
    needs = {name: _imported(text) for name, text in sources.items()}
    rooms = {}  # type: dict[str, set[str]]
    for name in sources:
        rooms.setdefault(_room(name), set()).update(map(_room, needs[name]))
    names = [name for name in (_FIRST,) if name in needs]
    for room in _sorted_by_needs(rooms):
        names += _sorted_by_needs({name: needed for name, needed in needs.items() if _room(name) == room})
    return list(dict.fromkeys(names))


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
    return {_origin(node) for node in _imports(ast.parse(text).body) if _is_ours(node)}


def _room(name: str) -> str:
    return name.split(".")[1]


def join_modules(sources: "list[tuple[str, str]]", version: str) -> str:
    """Return one file of the modules given as pairs of name and source, in this order, of this version."""
    modules = []  # type: list[_Module]
    for name, text in sources:
        modules.append(_joinable(name, text, modules))
    imports = {line for module in modules for line in module.names.values() if line} - {"import os", "import sys"}
    exported = ", ".join('"%s"' % name for name in sorted(modules[-1].exported))
    typing = sorted({"    %s\n" % line for module in modules for line in module.typing})
    typing = ["TYPE_CHECKING = False\nif TYPE_CHECKING:\n" + "".join(typing)] if typing else []
    parts = [_START + "\n" + "\n".join(_grouped(imports)) + "\n", *typing, "__all__ = [%s]\n" % exported]
    for module in modules:
        parts.append(MODULE_MARK + module.name + "\n" + module.body)
        if module.name == _FIRST:
            parts.append(_CHECK + "\n")
    start = _kernel_head("The kernel is an entry script itself.")
    text = _HEADER % (_HASH_PLACE, version) + start + "\n" + "\n".join([*parts, _TAIL, KERNEL_END])
    return text.replace(_HASH_PLACE, hash_below(text), 1)


def _kernel_head(title: str) -> str:
    """Return the lines, after `#!`, that make the kernel an entry script itself."""
    # Python would compile the whole file each time, so what entry scripts have for Python is a program of its own,
    # without what sh has seen to: the version, and that it is isolated.
    _, start, rest = template("entry.py").partition("from importlib")
    program = "import os\nimport sys\n\nsys.argv.pop(0)\n" + start + rest
    program = program.replace(KERNEL_PLACE, "os.path.realpath(sys.argv[0])")
    program = program.replace(SERVING_FUNCTION, "kernel.boot_env").replace(SERVING_CALL, "serve(None, sys.argv[0])")
    text = sh_half("boot", None, DEFAULT_STATE_DIRECTORY, title).partition("\n")[2]
    start, rest = '"$protoprimer_script" "$@"', "\nset -f"
    text = text.replace(rest, "\nprotoprimer_program='%s'%s" % (program, rest))
    before, _, after = text.rpartition(start)
    return before + '-c "$protoprimer_program" ' + start + after


def _grouped(imports: "Iterable[str]") -> "list[str]":
    """Return import lines in order, one for all that comes from the same module."""
    names = {}  # type: dict[str, list[str]]
    for line in sorted(imports):
        origin, _, name = line.partition(" import ")
        names.setdefault(origin, []).append(name)
    lines = []
    for origin, found in names.items():
        line = ("%s import %s" % (origin, ", ".join(found))) if found[0] else origin
        if len(line) > _WIDTH:
            told = textwrap.fill(", ".join(found), _WIDTH, initial_indent="    ", subsequent_indent="    ")
            line = "%s import (\n%s,\n)" % (origin, told)
        lines.append(line)
    return lines


def _joinable(name: str, text: str, earlier: "list[_Module]") -> _Module:
    """Return a module without what the kernel has once for all, if it breaks no rule."""

    def refusal(node: ast.AST, what: str) -> KernelError:
        return KernelError("%s: %s" % (name, what), "line %d" % getattr(node, "lineno", 0))

    try:
        # The oldest syntax that the parser can still be told to accept.
        tree = ast.parse(text, feature_version=OLDEST_SYNTAX)
    except (SyntaxError, ValueError) as error:
        raise KernelError("%s is not Python %d.%d: %s" % ((name,) + OLDEST_SYNTAX + (error,))) from error
    names, typing, exported = {}, set(), []  # type: dict[str, str | None], set[str], list[str]
    for node, bound, line in _bindings(tree.body):
        for other in earlier:
            if bound in other.names and (line is None or other.names[bound] != line):
                raise refusal(node, "%r is defined by %s too" % (bound, other.name))
        if line is None and not bound.startswith("_") and (hasattr(builtins, bound) or bound in STANDARD_MODULES):
            raise refusal(node, "%r hides what Python has under that name" % bound)
        names[bound] = line
    for node in _imports(tree.body):
        fault = _fault_of_import(node, {other.name: other for other in earlier})
        if fault is not None:
            raise refusal(node, fault)
    lines, dropped = _without_directives(text), set()  # type: list[str], set[int]
    for statement in tree.body:
        assigned = _assigned_name(statement)
        if _is_type_checking(statement):
            for node in ast.walk(statement):
                typing.update(_import_lines(node).values() if isinstance(node, ast.ImportFrom) else ())
        elif assigned == "__all__":
            exported += ast.literal_eval(statement.value)  # type: ignore[attr-defined]
        elif assigned != "TYPE_CHECKING" and not isinstance(statement, (ast.Import, ast.ImportFrom)):
            continue
        end = statement.end_lineno or statement.lineno
        while end < len(lines) and not lines[end].strip():
            end += 1
        dropped.update(range(statement.lineno - 1, end))
    if not exported:
        raise refusal(tree, "there is no __all__")
    body = "\n".join(line for number, line in enumerate(lines) if number not in dropped).strip("\n")
    return _Module(name, body, names, typing, exported)


def _without_directives(text: str) -> "list[str]":
    """Return the lines without what is said to tools: the kernel's head sends all of them away."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and re.match("# (ruff: noqa|noqa|type: |fmt: skip)", token.string):
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return lines


def _bindings(statements: "Iterable[ast.AST]") -> "Iterator[tuple[ast.AST, str, str | None]]":
    """Yield each name that these statements bind, those within `if`, `try`, `for` and `with` included.

    With it comes the import line that binds it, if there is one. What comes from our own modules is bound by those.
    """
    for node in statements:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node, node.name, None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for name, line in _import_lines(node).items():
                yield node, name, line
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id not in ("TYPE_CHECKING", "__all__"):
                yield node, node.id, None
        elif not _is_type_checking(node) and not isinstance(
            node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
        ):
            yield from _bindings(ast.iter_child_nodes(node))


def _imports(statements: "Iterable[ast.AST]") -> "Iterator[ast.Import | ast.ImportFrom]":
    """Yield the imports that are executed, wherever they stand."""
    for statement in statements:
        for node in ast.walk(statement) if not _is_type_checking(statement) else ():
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield node


def _fault_of_import(node: "ast.Import | ast.ImportFrom", earlier: "dict[str, _Module]") -> "str | None":
    origin, names = _origin(node), [alias.name for alias in node.names]
    if _is_ours(node):
        if origin not in earlier:
            return "imports from %s, which is not before it" % origin
        if node.col_offset:
            return "imports from %s, which belongs to the top of the module" % origin
        for alias in node.names:
            if alias.asname or alias.name not in earlier[origin].names:
                return "cannot resolve %r of %s" % (alias.asname or alias.name, origin)
        return None
    for top in (module.partition(".")[0] for module in ([origin] if origin else names)):
        if top == "protoprimer" or (STANDARD_MODULES and top not in STANDARD_MODULES):
            return "imports %s, which is not of the standard library" % top
    return "imports everything from %s" % origin if names == ["*"] else None


def _origin(node: "ast.Import | ast.ImportFrom") -> str:
    """Return what stands after `from`, nothing of a plain `import`."""
    return "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else ""


def _is_ours(node: "ast.Import | ast.ImportFrom") -> bool:
    return _origin(node).partition(".")[0] in ("protoprimer", "") and isinstance(node, ast.ImportFrom)


def _import_lines(node: "ast.Import | ast.ImportFrom") -> "dict[str, str]":
    """Return by each name that an import of the standard library binds the line that does it."""
    origin, lines = _origin(node), {}
    for alias in [] if _is_ours(node) else node.names:
        line = ("from %s import " % origin if origin else "import ") + alias.name
        lines[(alias.asname or alias.name).partition(".")[0]] = line + (" as " + alias.asname if alias.asname else "")
    return lines


def _assigned_name(node: ast.stmt) -> "str | None":
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else None


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
