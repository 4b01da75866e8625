"""What the build of a project reads: each of it is an input of every environment that has the project."""

import glob
import os
import re
import sys

from protoprimer.project.inputs import Inputs
from protoprimer.project.metadata import METADATA_FILES, ProjectMetadata, read_project, setup_cfg_sections
from protoprimer.system.files import is_within, names_in
from protoprimer.version import PROTOPRIMER_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator
    from typing import Any

__all__ = ["add_project_inputs", "member_directories"]

# Keys whose values in tables of build backends, and in setup.cfg, name what is read.
_NAMING_KEYS = ("file", "path", "attr")
_TEXT_FILE = re.compile(r"[\w./-]+\.(txt|in|toml|cfg|ini|json|py)\Z")
# Arguments of setup() that name what is not read.
_NOT_READ = ("exclude", "keywords", "classifiers", "entry_points", "description", "license")


def add_project_inputs(
    directory: str, editable: bool, inputs: Inputs, seen: "set[tuple[str, bool]] | None" = None
) -> None:
    """Add what decides how this project, and those that are its sources, are built and installed.

    :param editable: else all its files count
    :raises ConfigurationError: metadata cannot be read (exit code 3)
    """
    seen = set() if seen is None else seen
    if (directory, editable) in seen:
        return
    seen.add((directory, editable))
    inputs.add(*(os.path.join(directory, name) for name in METADATA_FILES))
    metadata = read_project(directory)
    if metadata is None:
        return
    if not editable:
        inputs.add_matching(directory, "**")
    _add_named_by_metadata(metadata, inputs)
    _add_read_by_scripts(metadata, editable, inputs)
    _add_cache_keys(metadata, inputs)
    _add_version(metadata, inputs)
    _add_packages(metadata, inputs)
    for path, is_editable in _sources(metadata):
        if path.endswith((".whl", ".tar.gz", ".zip")):
            inputs.add(path)
        else:
            add_project_inputs(path, is_editable, inputs, seen)
    for member in member_directories(metadata, inputs):
        add_project_inputs(member, True, inputs, seen)


def member_directories(metadata: ProjectMetadata, inputs: "Inputs | None" = None) -> "list[str]":
    """Return the directories of the members of a uv workspace whose root this project is.

    :param inputs: what is looked at for that is noted there
    """
    table, root = metadata.table("tool", "uv", "workspace"), metadata.directory
    members = metadata.strings("tool", "uv", "workspace", "members") if table else []
    excluded = metadata.strings("tool", "uv", "workspace", "exclude") if table else []
    without = {os.path.normpath(path) for one in excluded for path in _globbed(root, one)}
    found = (inputs or Inputs()).add_matching
    files = [path for one in members for path in found(root, os.path.join(one, "pyproject.toml"))]
    return [path for path in dict.fromkeys(map(os.path.dirname, files)) if path not in without]


def _globbed(directory: str, pattern: str) -> "list[str]":
    return sorted(glob.glob(os.path.join(glob.escape(directory), pattern), recursive=True))


def _sources(metadata: ProjectMetadata) -> "Iterator[tuple[str, bool]]":
    """Return what `[tool.uv.sources]` and Poetry name in this repository, and whether it is editable there."""
    poetry = metadata.table("tool", "poetry").get("dependencies", {})
    tables = [metadata.uv_sources] + [poetry] * isinstance(poetry, dict)
    for entry in (entry for table in tables for entry in table.values()):
        for source in entry if isinstance(entry, list) else [entry]:
            if isinstance(source, dict) and isinstance(source.get("path"), str):
                path = os.path.normpath(os.path.join(metadata.directory, source["path"]))
                yield path, bool(source.get("editable") or source.get("develop"))


def _add_named_by_metadata(metadata: ProjectMetadata, inputs: Inputs) -> None:
    """Add the files that tables of build backends and setup.cfg name."""
    directory, named = metadata.directory, []  # type: str, list[tuple[str, str]]
    for tool, table in metadata.table("tool").items():
        if tool not in ("uv", "poetry", "protoprimer") and isinstance(table, dict):
            version = table.get("version")
            version = version if isinstance(version, dict) else {}
            path = version.get("path")
            if (
                isinstance(path, str)
                and not {"pattern", "expression"} & set(version)
                and version.get("source") != "code"
            ):
                _add_literal(metadata, os.path.join(directory, path), ["__version__", "VERSION"], inputs)
                table = dict(table, version=None)
            named += _strings_under(table, _NAMING_KEYS)
    for section in setup_cfg_sections(directory).values():
        for value in section.values():
            kind, colon, rest = value.strip().partition(":")
            if colon and kind in ("file", "attr"):
                named += [(kind, one.strip()) for one in re.split(r"[,\n]", rest) if one.strip()]
    for kind, name in named:
        if kind == "attr":
            _add_attribute(metadata, name, inputs)
        elif os.path.isfile(os.path.join(directory, name)) or _TEXT_FILE.match(name):
            inputs.add(os.path.normpath(os.path.join(directory, name)))


def _strings_under(value: "Any", keys: "tuple[str, ...]", key: str = "") -> "list[tuple[str, str]]":
    """Return each string that one of these keys has somewhere in a table, with the key."""
    if isinstance(value, dict):
        return [found for inner, one in value.items() for found in _strings_under(one, keys, inner)]
    if isinstance(value, list):
        return [found for one in value for found in _strings_under(one, keys, key)]
    return [(key, value)] if isinstance(value, str) and key in keys else []


def _add_attribute(metadata: ProjectMetadata, name: str, inputs: Inputs) -> None:
    """Add what `package.module.NAME` is; all of the module where that is computed."""
    module, _, attribute = name.strip().rpartition(".")
    path = module.replace(".", os.sep)
    for base in ("", "src", "lib"):
        for one in (path + ".py", os.path.join(path, "__init__.py")):
            file = os.path.join(metadata.directory, base, one)
            if module and os.path.isfile(file):
                _add_literal(metadata, file, [attribute], inputs)


def _add_literal(metadata: ProjectMetadata, file: str, names: "list[str]", inputs: Inputs) -> None:
    import ast

    tree = _parsed(file)
    body = tree.body if tree is not None else []
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(one, ast.Name) and one.id in names for one in targets):
            try:
                value = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            except (ValueError, TypeError, SyntaxError, AttributeError):
                break
            shown = os.path.relpath(file, metadata.directory)
            inputs.add_fact("%s in %s" % (names[0], shown), repr(value), file)
            return
    inputs.add(file)


def _parsed(path: str) -> "ast.Module | None":
    import ast
    import warnings

    try:
        with open(path, "rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(stream.read(), path)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _add_read_by_scripts(metadata: ProjectMetadata, editable: bool, inputs: Inputs) -> None:
    """Add the scripts that run in the build, and the files and directories that their strings name."""
    directory = metadata.directory
    backend, poetry = (
        metadata.text("build-system", "build-backend") or "",
        metadata.table("tool", "poetry").get("build"),
    )
    scripts = ["setup.py"]
    scripts += ["hatch_build.py"] * backend.startswith("hatchling") + ["pdm_build.py"] * backend.startswith("pdm")
    scripts += [one for _, one in _strings_under(poetry, ("build", "script"), "build")]
    scripts += [name for key, name in _strings_under(metadata.table("tool", "hatch"), ("path",))]
    paths = [os.path.join(directory, name) for name in scripts]
    for one in metadata.strings("build-system", "backend-path"):
        paths += inputs.add_matching(os.path.join(directory, one), "*.py" if one in (".", "") else "**/*.py")
    for path in paths:
        inputs.add(path)
        for named in _named_in_code(path):
            _add_named(directory, named, editable, inputs)


def _add_named(directory: str, named: str, editable: bool, inputs: Inputs) -> None:
    path = os.path.normpath(os.path.join(directory, named))
    is_inside = is_within(path, directory)
    if "*" in named:
        inputs.add_matching(directory, named, skips_packages=editable)
    elif os.path.isdir(path):
        if is_inside and path != directory:
            for file in Inputs().add_matching(path, "**", skips_packages=editable):
                # A module counts where it is imported.
                inputs.add(*([] if editable and file.endswith(".py") else [file]))
            inputs.look_at(path)
    elif os.path.isfile(path) or (is_inside and _TEXT_FILE.match(named)):
        inputs.add(path)


def _named_in_code(path: str) -> "set[str]":
    """Return the paths, relative or with `*` for what is computed, that strings of a script may mean."""
    import ast

    tree, found = _parsed(path), set()  # type: ast.Module | None, set[str]
    pending = [tree] if tree is not None else []  # type: list[ast.AST]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.keyword) and node.arg in _NOT_READ:
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in (module.partition(".")[0] for module in modules):
                local = os.path.join(os.path.dirname(path), module + ".py")
                found |= {module + ".py"} if module and os.path.isfile(local) else set()
        pending += ast.iter_child_nodes(node)
        text = _pattern_of(node)
        if text == PROTOPRIMER_MARK:
            # A kernel that lies beside a build's scripts: what its strings name is no part of the build.
            return set()
        # What is before is the directory of the script.
        text = re.sub(r"^(\*/|\./|/(?=\w))+", "", text)
        could_be_path = text.isprintable() and not re.search(r"[\s:<>=]", text)
        if could_be_path and text.strip("*./") and len(text) < 200 and text[0] != "*":
            found.add(text)
    return found


def _pattern_of(node: "ast.AST") -> str:
    """Return what an expression of strings and paths is, with `*` for whatever is not written there."""
    import ast

    # Before 3.8 a string is a node of its own. Newer Pythons warn when its name is only looked up.
    if isinstance(node, ast.Constant if sys.version_info >= (3, 8) else ast.Str):
        value = node.value if sys.version_info >= (3, 8) else node.s
        return value if isinstance(value, str) else "*"
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
        return _pattern_of(node.left) + ("/" if isinstance(node.op, ast.Div) else "") + _pattern_of(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return re.sub(r"%\w", "*", _pattern_of(node.left))
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_pattern_of, node.values))
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        parts = [_pattern_of(one) for one in node.args]
        if name == "joinpath" and isinstance(node.func, ast.Attribute):
            parts.insert(0, _pattern_of(node.func.value))
        if name in ("join", "joinpath", "Path") and parts:
            return "/".join(parts)
        if name == "format" and isinstance(node.func, ast.Attribute):
            return re.sub(r"\{[^}]*\}", "*", _pattern_of(node.func.value))
    return "*"


def _add_cache_keys(metadata: ProjectMetadata, inputs: Inputs) -> None:
    keys = metadata.table("tool", "uv").get("cache-keys", [])
    for key in keys if isinstance(keys, list) else []:
        key = {"file": key} if isinstance(key, str) else key
        if not isinstance(key, dict):
            continue
        if isinstance(key.get("file"), str):
            inputs.add_matching(metadata.directory, key["file"])
        if isinstance(key.get("dir"), str):
            path = os.path.join(metadata.directory, key["dir"])
            inputs.add_fact("the directory %s" % key["dir"], names_in(path), path)
        if isinstance(key.get("env"), str):
            inputs.add_fact("the variable %s" % key["env"], os.environ.get(key["env"]))
        if key.get("git"):
            _add_commit(metadata.directory, inputs)


def _add_version(metadata: ProjectMetadata, inputs: Inputs) -> None:
    """Add where a version that is not in the metadata comes from: a module, or the tags of the repository."""
    directory, backend = metadata.directory, metadata.text("build-system", "build-backend") or ""
    plugins = " ".join(metadata.build_requires) + " " + " ".join(map(str, metadata.table("tool")))
    if re.search(r"\b(hatch-vcs|\w*[-_]scm|versioneer|versioningit|\w*[-_]?dynamic[-_]versioning|dunamai)\b", plugins):
        _add_commit(directory, inputs)
    if metadata.table("tool", "pdm", "version").get("source") == "scm":
        _add_commit(directory, inputs)
    if backend.startswith("flit") and metadata.dynamic:
        name = str(metadata.table("tool", "flit", "module").get("name") or metadata.name or "").replace("-", "_")
        for base in ("", "src"):
            for one in (name + ".py", os.path.join(name, "__init__.py")):
                file = os.path.join(directory, base, one)
                if os.path.isfile(file):
                    import ast

                    tree = _parsed(file)
                    inputs.add_fact("the docstring of " + one, tree and ast.get_docstring(tree), file)
                    _add_literal(metadata, file, ["__version__"], inputs)


def _add_commit(directory: str, inputs: Inputs) -> None:
    """Add which commit is checked out, and the tags that there are."""
    top = directory
    while not os.path.exists(os.path.join(top, ".git")) and top != os.path.dirname(top):
        top = os.path.dirname(top)
    place = os.path.join(top, ".git")
    if os.path.isfile(place):
        # A worktree's.
        place = os.path.normpath(os.path.join(top, _line(place).partition("gitdir:")[2].strip()))
    common = os.path.normpath(os.path.join(place, _line(os.path.join(place, "commondir")) or "."))
    head = _line(os.path.join(place, "HEAD"))
    reference = head.partition("ref:")[2].strip()
    inputs.add(os.path.join(place, "HEAD"), os.path.join(common, "packed-refs"))
    if reference:
        inputs.add(os.path.join(common, *reference.split("/")))
    inputs.add_matching(os.path.join(common, "refs", "tags"), "**")


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""


def _add_packages(metadata: ProjectMetadata, inputs: Inputs) -> None:
    """Add the names of the packages that setuptools finds: what it makes of an editable project lists them."""
    backend = metadata.text("build-system", "build-backend") or "setuptools"
    if not backend.startswith("setuptools") or not metadata.is_package:
        return
    where = metadata.table("tool", "setuptools").get("packages")
    find = where.get("find", {}) if isinstance(where, dict) else {}
    places = find.get("where", ["."]) if isinstance(find, dict) else ["."]
    for place in [one for one in places if isinstance(one, str)]:
        path = os.path.normpath(os.path.join(metadata.directory, place))
        names = names_in(path)
        packages = [name for name in names if os.path.isfile(os.path.join(path, name, "__init__.py"))]
        inputs.add_fact("the packages in %s" % place, packages, path)
