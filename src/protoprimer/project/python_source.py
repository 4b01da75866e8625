"""What Python files say, read without running them."""

import os
import re
from typing import Any

from protoprimer.system.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast

__all__ = ["arguments_of_setup", "literals_of", "parsed_source", "paths_in_source"]

# Arguments of setup() that name no files that are read.
_NOT_READ = ("exclude", "keywords", "classifiers", "entry_points", "description", "license")


def parsed_source(path: str) -> "ast.Module | None":
    """Return the tree of a file, `None` if this Python cannot read it."""
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(read_file(path), path)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def literals_of(tree: "ast.Module | None") -> "dict[str, object]":
    """Return the values of names that are set once, to a literal; `None` for other names."""
    import ast

    if tree is None:
        return {}
    found, top = {"__doc__": ast.get_docstring(tree)}, set(tree.body)  # type: dict[str, object], set[Any]
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                name = getattr(target, "id", "")
                # What is assigned twice, or under a condition, is not constant.
                found[name] = _literal_value(node.value) if node in top and name not in found else None
    return found


def _literal_value(node: Any) -> object:
    import ast

    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None


def arguments_of_setup(tree: "ast.Module") -> "dict[str | None, tuple[object, int]]":
    """Return value and line of the arguments of `setup()`; `None` is a computed value, or the name of `**more`."""
    import ast

    constants = literals_of(tree)
    arguments = {}  # type: dict[str | None, tuple[object, int]]
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) == "setup":
            for keyword in call.keywords:
                value = keyword.value
                known = constants.get(value.id) if isinstance(value, ast.Name) else _literal_value(value)
                arguments[keyword.arg] = (known, value.lineno)
    return arguments


def paths_in_source(path: str) -> "set[str]":
    """Return the paths that a script's strings and imports may mean, with `*` for what is computed."""
    import ast

    pending, found = [parsed_source(path)], set()  # type: list[Any], set[str]
    while pending:
        node = pending.pop()
        if node is None or (isinstance(node, ast.keyword) and node.arg in _NOT_READ):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            files = [module.partition(".")[0] + ".py" for module in modules]
            found.update(file for file in files if os.path.isfile(os.path.join(os.path.dirname(path), file)))
        pending += ast.iter_child_nodes(node)
        text = _pattern_of(node)
        # What is before is the directory of the script.
        text = re.sub(r"^(\*/|\./|/(?=\w))+", "", text)
        could_be_path = text.isprintable() and not re.search(r"[\s:<>=]", text)
        if could_be_path and text.strip("*./") and len(text) < 200 and text[0] != "*":
            found.add(text)
    return found


def _pattern_of(node: Any) -> str:
    import ast

    # Before 3.8 a string is a node of its own, whose name alone makes newer Pythons warn.
    if type(node).__name__ in ("Constant", "Str"):
        value = vars(node).get("value", vars(node).get("s"))
        return value if isinstance(value, str) else "*"
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_pattern_of, node.values))
    if isinstance(node, ast.BinOp):
        left = _pattern_of(node.left)
        if isinstance(node.op, ast.Mod):
            return re.sub(r"%\w", "*", left)
        if isinstance(node.op, (ast.Add, ast.Div)):
            return left + ("/" if isinstance(node.op, ast.Div) else "") + _pattern_of(node.right)
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = [_pattern_of(node.func.value)] if isinstance(node.func, ast.Attribute) else []
        if name == "format" and owner:
            return re.sub(r"\{[^}]*\}", "*", owner[0])
        parts = owner * (name == "joinpath") + [_pattern_of(one) for one in node.args]
        if name in ("join", "joinpath", "Path") and parts:
            return "/".join(parts)
    return "*"
