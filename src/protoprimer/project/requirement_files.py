"""Requirement files: their lines, and the files and projects that they lead to."""

import os
import re

from protoprimer.errors import ConfigurationError
from protoprimer.formats.requirements import read_requirement
from protoprimer.project.build_inputs import add_project_inputs
from protoprimer.project.inputs import Inputs
from protoprimer.system.paths import file_url, path_of_file_url

__all__ = [
    "NESTED_FILE",
    "add_requirement_file",
    "add_requirement_line",
    "lines_without_hashes",
    "local_path",
    "requirement_lines",
]

NESTED_FILE = re.compile(r"(-r|-c|--requirements?|--constraints?)[=\s]*(.+)")


def add_requirement_file(path: str, root: str, inputs: Inputs) -> None:
    """Add a requirement file, and all files and local projects that it leads to.

    :param root: where relative paths of projects count from; those of nested files count from the including file
    :raises ConfigurationError: a nested file does not exist (exit 3)
    """
    inputs.add(path)
    for number, line in requirement_lines(path):
        add_requirement_line(line, os.path.dirname(path), root, inputs, "%s:%d" % (path, number))


def add_requirement_line(line: str, directory: str, root: str, inputs: Inputs, place: str = "install.args") -> None:
    """Add what one line of such a file leads to.

    :param directory: where the file is
    :param place: `file:line`
    :raises ConfigurationError: a nested file does not exist (exit 3)
    """
    nested = NESTED_FILE.match(line)
    if nested:
        target = nested.group(2).strip().strip("\"'")
        if "://" in target and not target.startswith("file:"):
            return
        path = os.path.normpath(os.path.join(directory, local_path(target)))
        if not os.path.isfile(path):
            raise ConfigurationError("the file %s does not exist" % path, place, "create it, or correct its path")
        if path not in inputs.present:
            add_requirement_file(path, root, inputs)
        return
    editable = re.match(r"(?:-e|--editable)[=\s]*(.+)$", line)
    target = (editable.group(1) if editable else line).strip().strip("\"'")
    required = read_requirement(target)
    reference = required.url if required and (required.url or "").startswith("file:") else None
    target = re.sub(r"\[[^\]]*\]$", "", local_path((reference or target).split(";")[0].strip()))
    if not target or target.startswith("-") or "://" in target:
        return
    # pip counts from where it is started, the root; a file that means itself is met too.
    for local in {os.path.normpath(os.path.join(base, target)) for base in (root, directory)}:
        looks_like_path = editable or reference or "/" in target or os.sep in target or target in (".", "..")
        if looks_like_path and os.path.isdir(local):
            add_project_inputs(local, editable is not None, inputs)
        elif local.endswith((".whl", ".tar.gz", ".zip")) and os.path.isfile(local):
            inputs.add(local)


def local_path(target: str) -> str:
    """Return the path that a `file:` URL means, anything else as it is."""
    return path_of_file_url(target) if target.startswith("file:") else target


def requirement_lines(path: str) -> "list[tuple[int, str]]":
    """Return the logical lines of a requirement file with their numbers: joined, uncommented, variables expanded."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            text = stream.read()
    except OSError as error:
        raise ConfigurationError("cannot read %s: %s" % (path, error.strerror), path) from error
    lines, number = [], 1
    # A comment line ends a continuation, as it does for pip.
    for logical in re.findall(r"(?:(?!\s*#).*\\\n)*.*\n?", text + "\n")[:-1]:
        line = re.sub(r"(^|\s)#.*$", "", logical.replace("\\\n", "").rstrip("\n")).strip()
        if line:
            line = re.sub(r"\$\{([A-Z0-9_]+)\}", lambda match: os.environ.get(match.group(1)) or match.group(0), line)
            lines.append((number, line))
        number += logical.count("\n")
    return lines


def lines_without_hashes(path: str) -> "list[str] | None":
    """Return the lines of a requirement file, and of those that it includes, without their hashes.

    `None` if none has a hash. So it is with the hash of a URL, which would be fetched again without it.
    """
    lines = _with_included_lines(path, [])
    hashed = [line for line in lines if re.search(r"\s--hash[=\s]", line)]
    if not hashed or "://" in "".join(hashed):
        return None
    return [re.sub(r"\s+--hash[=\s]\s*\S+", "", line) for line in lines if line != "--require-hashes"]


def _with_included_lines(path: str, seen: "list[str]") -> "list[str]":
    found = []  # type: list[str]
    for _, line in requirement_lines(path):
        nested = NESTED_FILE.match(line)
        target = local_path(nested.group(2).strip().strip("\"'")) if nested else ""
        included = os.path.normpath(os.path.join(os.path.dirname(path), target))
        if nested is None or "://" in target:
            found.append(line)
        elif nested.group(1).lstrip("-").startswith("c"):
            found.append("-c " + file_url(included))
        elif included not in seen:
            found += _with_included_lines(included, seen + [path, included])
    return found
