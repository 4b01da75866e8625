"""What uv reads of requirement files in another way than pip, or not at all."""

import os
import re

from protoprimer.formats.requirement_lines import (
    LineOptions,
    LogicalLine,
    decoded_requirements,
    encoding_of_requirements,
    logical_lines,
    options_of_line,
    with_variables,
)
from protoprimer.project.requirement_files import RequirementLine
from protoprimer.system.files import content_of, path_at

__all__ = ["what_uv_cannot_read"]

_OPTIONS_OF_UV = (
    "-c|--constraint|-e|--editable|--extra-index-url|-f|--find-links|-i|--index-url|--no-binary|--no-index"
    "|--only-binary|--pre|--prefer-binary|-r|--requirement|--require-hashes|--trusted-host|--use-feature"
)


def what_uv_cannot_read(path: str, root: str) -> "tuple[str, str] | None":
    """Return what in a requirement file uv would refuse, or read as something else, and the place."""
    content = content_of(path)
    encoding = encoding_of_requirements(content)
    if encoding == "utf-32" or not encoding.startswith("utf"):
        return "the encoding %s" % encoding, path
    text = decoded_requirements(content)
    if text.splitlines() != re.split("\r\n|\r|\n", text)[: len(text.splitlines())]:
        return "a line that ends in something else than a line feed", path
    for logical in logical_lines(text):
        told = _what_of_line(logical, path, root)
        if told is not None:
            return told, "%s:%d" % (path, logical.number)
    return None


def _what_of_line(logical: LogicalLine, path: str, root: str) -> "str | None":
    text = with_variables(logical.text, dict({"PROJECT_ROOT": root}, **os.environ))
    parts = options_of_line(text)
    line = RequirementLine(text, path, logical.number)
    if line.target:
        return _what_of_requirement(logical, line, root)
    if len(parts.options) > 1:
        return "more than one option on a line"
    return _what_of_option(text, parts, path)


def _what_of_requirement(logical: LogicalLine, line: RequirementLine, root: str) -> "str | None":
    for name, _ in line.parts.options:
        if name not in ("--hash", "--editable"):
            return name + " on the line of a requirement"
    first, *more = logical.written.split("\n")
    if more and re.search(r"(^|\s)#", first):
        return "a comment that ends in \\"
    if more and not line.is_editable and line.target not in first:
        return "a requirement on more than one line"
    if line.is_editable and not re.match(_followed(_OPTIONS_OF_UV), line.text):
        return line.text.split()[0]
    if re.match(r"(hg|svn|bzr)\+", line.target) or (line.is_editable and re.match(r"(?!file:)[\w+]+://", line.target)):
        return line.target
    if "subdirectory=" in line.target and any(os.path.isdir(place) for place in line.local_paths(root)):
        return "a subdirectory of a directory"
    return None


def _what_of_option(text: str, parts: LineOptions, path: str) -> "str | None":
    if not re.match(_followed(_OPTIONS_OF_UV), text):
        return re.split(r"[=\s]", text)[0]
    links = parts.value("--find-links")
    if links is not None and "://" not in links and not os.path.exists(path_at(os.path.dirname(path), links)):
        return "--find-links with a directory that is not beside the file"
    return None


def _followed(names: str) -> str:
    return r"(%s)(?=[=\s]|$)" % names
