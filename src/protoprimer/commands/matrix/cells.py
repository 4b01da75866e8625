"""Which cells a matrix has."""

import itertools
import os
import re
import time
from typing import Any

from protoprimer.errors import ConfigurationError, InterpreterError, UsageError, which_are_known
from protoprimer.formats.versions import InvalidSpecifier, PythonRequest, parse_python_request
from protoprimer.project.plan import Plan
from protoprimer.pythons.choice import all_interpreters, interpreter_misfit
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, Configuration
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter

__all__ = ["FAULTS_OF_CELLS", "MATRIX_AXES", "MatrixCell", "expanded_pythons", "matrix_cells"]

MATRIX_AXES = ("python", "env", "backend", "resolution", "groups", "extras")
# The exit status of a matrix with such a cell, the first that there is.
FAULTS_OF_CELLS = {"failed": 1, "unprovisioned": 6, "missing": InterpreterError.exit_code}
# To say so is to say nothing.
_USUAL_VALUES = {"backend": "auto", "resolution": "highest"}
# For a matrix of other machines, which have other interpreters than this one.
_RELEASED_MINORS = ["3.%d" % minor for minor in range(6, 16)]
_RANGE = r"[<>=!~][^,]*"
_BYTES_SHOWN = 256 * 1024


class MatrixCell:
    """One environment, and what became of it (docs/reference/matrix.md); its child told the `facts`."""

    def __init__(self, name: str, axes: "dict[str, str]") -> None:
        self.name = name
        self.axes = axes
        self.status = "waiting"
        self.reason = self.log = ""
        self.exit_code = None  # type: int | None
        self.started = self.provisioned = self.ended = 0.0
        self.facts = {}  # type: dict[str, Any]
        self.is_resumed = False

    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started if self.started else 0.0

    def line(self) -> str:
        text = "%s %s" % (self.name, self.status)
        text += " on " + self.facts["interpreter"] if self.facts else ""
        text += " in %.2f s" % self.seconds() if self.started else ""
        text += " (built in %.2f s)" % (self.provisioned - self.started) if self.facts.get("built") else ""
        return text + (": " + self.reason if self.reason else "")

    def output(self) -> str:
        try:
            with open(self.log, "rb") as stream:
                left_out = max(0, stream.seek(0, os.SEEK_END) - _BYTES_SHOWN)
                stream.seek(left_out)
                text = stream.read().decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        except OSError as error:
            return "its output cannot be read: %s" % error
        return ("[%d bytes before this are in %s]\n" % (left_out, self.log) if left_out else "") + text

    def error(self) -> str:
        """Return the child's words on why it could not provision, and its installer's last ones."""
        found = re.findall(r"(?im)^(?:  \| +)?error: (.+)$", self.output())
        return ": ".join(word.strip() for word in found[:1] + found[1:][-1:])

    def as_dict(self) -> "dict[str, object]":
        told = ("interpreter", "executable", "environment", "fingerprint", "built")
        return {
            **{axis: value or None for axis, value in self.axes.items()},
            **{key: self.facts.get(key) for key in told},
            "name": self.name,
            "status": self.status,
            "exit_code": self.exit_code,
            "reason": self.reason or None,
            "log": self.log or None,
            "resumed": self.is_resumed,
            "seconds": round(self.seconds(), 3),
            "provision_seconds": round(self.provisioned - self.started, 3) if self.facts else None,
        }


def matrix_cells(
    table: "dict[str, Any]", line: CommandLine, configuration: Configuration, pythons: "list[str]", place: str
) -> "list[MatrixCell]":
    """Return the product of the axes, less exclusions, plus inclusions."""
    usual = dict(dict.fromkeys(MATRIX_AXES, ""), env=configuration.environment_name)
    values = [table.get(axis) or [usual[axis]] for axis in MATRIX_AXES]
    values[0] = pythons
    if "env" in configuration.leaps["input"]:
        values[1] = [configuration.environment_name]
    found = [dict(zip(MATRIX_AXES, combination)) for combination in itertools.product(*values)]
    for entry in table.get("exclude") or []:
        found = [axes for axes in found if not entry or not entry.items() <= axes.items()]
    for entry in table.get("include") or []:
        if "python" not in entry:
            raise configuration.error("matrix", "a cell of `include` needs the key `python`")
        if not line.has("python") or entry["python"] in pythons:
            found.append(dict(usual, **entry))
    if not found:
        raise ConfigurationError("the matrix has no cells", place, "name a version in `python`, or exclude less")
    cells = {}  # type: dict[str, MatrixCell]
    seen = {}  # type: dict[object, str]
    for axes in found:
        _add_cell(axes, cells, seen, place)
    for name in line.texts("cell"):
        if name not in cells:
            raise UsageError("the matrix has no cell %r" % name, "--cell", which_are_known(name, cells))
    return [cell for name, cell in cells.items() if name in (line.texts("cell") or cells)]


def _add_cell(axes: "dict[str, str]", cells: "dict[str, MatrixCell]", seen: "dict[object, str]", place: str) -> None:
    for axis, usual in _USUAL_VALUES.items():
        axes[axis] = "" if axes[axis] == usual else axes[axis]
    words = [axes["python"] if axes["python"][:1].isalpha() else "py" + axes["python"]]
    words += [axes["env"]] if axes["env"] != DEFAULT_ENVIRONMENT else []
    words += [os.path.basename(axes[axis]) for axis in MATRIX_AXES[2:] if axes[axis]]
    # It becomes a part of file names, after the environment's own.
    name = re.sub("[^A-Za-z0-9.-]+", "_", "-".join(words))[:48].strip("._-")
    request = _request_for(axes["python"], place)
    python = (str(request.specifiers), request.implementation or "cpython", request.free_threaded)
    described = " ".join("%s=%s" % (axis, value) for axis, value in axes.items() if value)
    key = python + tuple(axes[axis] for axis in MATRIX_AXES[1:])
    if key in seen:
        cause = "two cells of the matrix are the same: %s, and %s" % (seen[key], described)
        raise ConfigurationError(cause, place, "name it once")
    seen[key] = described
    name = _name_not_taken(name, cells)
    cells[name] = MatrixCell(name, axes)


def _name_not_taken(name: str, cells: "dict[str, MatrixCell]") -> str:
    """Return a name that no other cell has: two backends may be files of one name in two directories."""
    free = name
    number = 1
    while free in cells:
        number += 1
        free = "%s-%d" % (name, number)
    return free


def expanded_pythons(
    asked: "list[str] | str | None", plan: Plan, cache_directory: str, console: Console, here: bool, place: str
) -> "list[str]":
    """Return what is asked for, each range as its minor versions, on this host or all released."""
    if asked is None:
        stated = [metadata.requires_python for metadata in plan.all_metadata() if metadata.requires_python]
        asked = [",".join(stated) or ">=3.6"]
    pythons = []  # type: list[str]
    # A range has commas of its own: `3.8,>=3.10,<3.13` is two.
    texts = re.findall(r"%s(?:,[,\s]*%s)*|[^,\s][^,]*" % (_RANGE, _RANGE), asked) if isinstance(asked, str) else asked
    for text in map(str.strip, texts):
        request = _request_for(text, place)
        if not re.match(_RANGE, text):
            pythons.append(text)
        elif here:
            pythons += _minors_of_host(request, cache_directory, console, place)
        else:
            admits = request.admits
            pythons += [one for one in _RELEASED_MINORS if any(admits("%s.%d" % (one, patch)) for patch in range(30))]
    return pythons


def _request_for(text: str, place: str) -> PythonRequest:
    try:
        return parse_python_request(text)
    except InvalidSpecifier as error:
        raise ConfigurationError(str(error), place) from None


def _minors_of_host(request: PythonRequest, cache_directory: str, console: Console, place: str) -> "list[str]":
    wanted = request._replace(implementation="cpython", free_threaded=False)
    known = [one for one in all_interpreters(cache_directory, console) if isinstance(one, Interpreter)]
    found = sorted({one.version_info[:2] for one in known if interpreter_misfit(one, wanted) is None})
    if not found:
        cause = "this host has no interpreter for %s, but %s" % (request.text, ", ".join(map(str, known)))
        raise InterpreterError(cause, place, "name versions, which can be fetched: --python 3.12,3.13")
    return ["%d.%d" % minor for minor in found]
