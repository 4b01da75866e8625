"""Joins the kernel's modules into one readable file, always the same, and tells whether a file still is that one."""

import ast
import builtins
import functools
import hashlib
import os
import re
import sys

from protoprimer.entry_template import kernel_head
from protoprimer.errors import ConfigurationError, PrimerError
from protoprimer.host import write_atomically
from protoprimer.version import VERSION
from protoprimer.versions import Version

__all__ = [
    "KERNEL_MODULES",
    "MAXIMUM_KERNEL_BYTES",
    "KernelError",
    "join_modules",
    "kernel_drift",
    "kernel_text",
    "kernel_version",
    "update_kernel",
    "write_kernel",
]

# In the order of docs/architecture.md: each imports only from those before it.
KERNEL_MODULES = (
    "protoprimer.version",
    "protoprimer.errors",
    "protoprimer.host",
    "protoprimer.console",
    "protoprimer.process",
    "protoprimer.toml",
    "protoprimer.versions",
    "protoprimer.graph",
    "protoprimer.cli",
    "protoprimer.schema",
    "protoprimer.configuration",
    "protoprimer.projects",
    "protoprimer.index_sources",
    "protoprimer.indexes",
    "protoprimer.downloads",
    "protoprimer.wheels",
    "protoprimer.tool_pins",
    "protoprimer.tools",
    "protoprimer.probe",
    "protoprimer.candidates",
    "protoprimer.interpreters",
    "protoprimer.plan",
    "protoprimer.pylock",
    "protoprimer.locking",
    "protoprimer.fingerprints",
    "protoprimer.intact",
    "protoprimer.generations",
    "protoprimer.ready",
    "protoprimer.backends.base",
    "protoprimer.backends.editables",
    "protoprimer.backends.uv_sources",
    "protoprimer.backends.pip_engine",
    "protoprimer.backends.uv",
    "protoprimer.backends.virtualenv",
    "protoprimer.backends.venv",
    "protoprimer.selection",
    "protoprimer.switch",
    "protoprimer.shells",
    "protoprimer.completion",
    "protoprimer.required",
    "protoprimer.building",
    "protoprimer.announcing",
    "protoprimer.states",
    "protoprimer.kernel_update",
    "protoprimer.pictures",
    "protoprimer.client",
    "protoprimer.matrix_cells",
    "protoprimer.matrix_report",
    "protoprimer.matrix",
    "protoprimer.bundle",
    "protoprimer.commands",
    "protoprimer.primer_kernel",
)
MAXIMUM_KERNEL_BYTES = 150 * 1024
OLDEST_SYNTAX = (3, 6)

_HEADER = """\
protoprimer, the kernel: from any Python into this repository's own environment. Commit it; do not edit it.
# version: %s
# sha256 of the other lines: %s
# written by: python -m protoprimer kernel write PATH\
"""
_VERSION_LINE = re.compile(r"^# version: (\S+)$", re.MULTILINE)
_HASH_LINE = re.compile(r"^# sha256 of the other lines: ([0-9a-f]{64})\n", re.MULTILINE)

_TAIL = """
__version__ = VERSION

if __name__ == "__main__":
    if not sys.flags.isolated and os.name == "posix" and sys.executable:
        # Neither this directory nor PYTHONPATH may stand in for the standard library.
        os.execv(sys.executable, [sys.executable, "-I"] + sys.argv)
    PROTOPRIMER_ENTRY = True
    boot_env(None)
"""


class KernelError(PrimerError):
    """The modules cannot be joined, or a file is not the kernel that they make: exit code 1."""


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

    def body(self) -> str:
        return "\n".join(line for number, line in enumerate(self.lines) if number not in self._dropped).strip("\n")


def kernel_text() -> str:
    """Return the kernel that this package's modules make.

    :raises KernelError: exit code 1: a module is missing, or breaks a rule of kernel modules
    """
    return join_modules([(name, _source_of(name)) for name in KERNEL_MODULES], VERSION)


def write_kernel(path: str) -> int:
    """Write the kernel to `path`, executable, unless it is there already; return its size in bytes.

    :raises KernelError: exit code 1: it cannot be made
    :raises ConfigurationError: exit code 3: it cannot be written there
    """
    content = kernel_text().encode("utf-8")
    try:
        with open(path, "rb") as stream:
            is_there = stream.read() == content
    except OSError:
        is_there = False
    try:
        if not is_there:
            write_atomically(path, content, 0o755)
        if not os.access(path, os.X_OK):
            os.chmod(path, 0o755)  # noqa: S103 - a script that everybody may start
    except OSError as error:
        raise ConfigurationError("the kernel cannot be written: %s" % error.strerror, path) from error
    return len(content)


def kernel_drift(path: str) -> "str | None":
    """Return in one line why the file is not the kernel that this package makes, or `None` if it is."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, ValueError) as error:
        return "%s cannot be read: %s" % (path, error)
    version, stated = kernel_version(text), _HASH_LINE.search(text)
    if version is None or stated is None:
        return "%s is not a kernel of protoprimer" % path
    if _hash_of(_HASH_LINE.sub("", text, count=1)) != stated.group(1):
        return "%s has been edited since it was written" % path
    if version != VERSION:
        return "%s is of version %s, this is %s" % (path, version, VERSION)
    if text != kernel_text():
        return "%s was written from other sources of version %s" % (path, version)
    return None


def update_kernel(path: str, check_only: bool = False) -> str:
    """Renew an older kernel file of ours; return what to tell of it, empty if there is nothing to.

    One that is as new, newer, or no kernel at all (such as a loader of a checkout) is left as it is.

    :param check_only: tell, and write nothing
    :raises KernelError: exit code 1: the file has been edited since it was written, so it is left as it is
    :raises ConfigurationError: exit code 3: it cannot be read or written
    """
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        mode = os.stat(path).st_mode & 0o7777
    except (OSError, ValueError) as error:
        raise ConfigurationError("the kernel cannot be read: %s" % error, path) from error
    version, stated = kernel_version(text), _HASH_LINE.search(text)
    if version is None or Version(version) >= Version(VERSION):
        return ""
    if stated is None or _hash_of(_HASH_LINE.sub("", text, count=1)) != stated.group(1):
        raise KernelError(
            "the kernel of version %s has been edited, so it is not updated to %s" % (version, VERSION),
            path,
            "take your changes elsewhere, then: python -m protoprimer kernel write PATH",
        )
    if check_only:
        told = "the kernel %s is of version %s, protoprimer %s is installed; to update it: " % (path, version, VERSION)
        return told + "python -m protoprimer kernel write PATH"
    try:
        write_atomically(path, kernel_text().encode("utf-8"), mode)
    except OSError as error:
        raise ConfigurationError("the kernel cannot be updated: %s" % error.strerror, path) from error
    return "updated the kernel %s from version %s to %s: commit it" % (path, version, VERSION)


def kernel_version(text: str) -> "str | None":
    """Return the version that a kernel's header states, or `None` if `text` is no kernel."""
    found = _VERSION_LINE.search(text[:2000])
    return found.group(1) if found and text.startswith("#!") and "protoprimer, the kernel" in text[:200] else None


def join_modules(sources: "list[tuple[str, str]]", version: str) -> str:
    """Return one file of the modules given as pairs of name and source, in this order.

    :raises KernelError: exit code 1: a rule of kernel modules is broken, such as a name that two modules define
    """
    modules = []  # type: list[_Module]
    for name, text in sources:
        module = _Module(name, text)
        _check_names(module, modules)
        _prepare(module, modules)
        modules.append(module)
    facade = modules[-1]
    hoisted = sorted({line for module in modules for line in module.hoisted.values()})
    parts = ["\n".join(hoisted), "__all__ = [\n%s]" % "".join('    "%s",\n' % name for name in sorted(facade.exported))]
    for module in modules:
        digest = hashlib.sha256(module.text.encode("utf-8")).hexdigest()
        parts.append("\n# ---- begin of %s, sha256 %s" % (module.name, digest[:16]))
        parts += [module.body(), "# ---- end of %s" % module.name]
    body = "\n\n".join(parts) + "\n" + _TAIL
    with_mark = kernel_head(_HEADER % (version, "0" * 64)) + "\n" + body
    digest = _hash_of(_HASH_LINE.sub("", with_mark, count=1))
    return with_mark.replace("0" * 64, digest, 1)


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _source_of(name: str) -> str:
    """Return the source of a module: of the installed package, or of a checkout, where backends stand at the top."""
    package = os.path.dirname(os.path.abspath(__file__))
    parts = name.split(".")[1:]
    places = [os.path.join(package, *parts) + ".py"]
    if parts[0] == "backends":
        places.append(os.path.join(os.path.dirname(os.path.dirname(package)), *parts) + ".py")
    for place in places:
        if os.path.isfile(place):
            with open(place, encoding="utf-8") as stream:
                return stream.read()
    raise KernelError("the module %s of the kernel is missing" % name, places[0])


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
    return frozenset(getattr(sys, "stdlib_module_names", ()))
