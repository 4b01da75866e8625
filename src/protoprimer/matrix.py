"""The matrix: which cells there are, and running them, each an ordinary run of the entry script as a child process."""

import os
import sys
import time

from protoprimer.cli import CommandLine
from protoprimer.configuration import CELL_VARIABLE, DEFAULT_ENVIRONMENT, Configuration
from protoprimer.console import Console
from protoprimer.errors import ConfigurationError, InterpreterError, PrimerError, UsageError, nearest_name
from protoprimer.graph import StateGraph
from protoprimer.host import (
    options_of_process_group,
    signal_process_group,
    usable_cores,
    usable_memory,
    write_atomically,
)
from protoprimer.interpreters import all_interpreters, interpreter_misfit
from protoprimer.matrix_report import MATRIX_AXES, MatrixCell, MatrixView, junit_report, matrix_document
from protoprimer.probe import Interpreter
from protoprimer.schema import CLIENT_SCHEMA
from protoprimer.states import OLDEST_SUPPORTED_PYTHON, Invocation, bootstrap_graph
from protoprimer.switch import leave_protoprimer_variables
from protoprimer.versions import InvalidSpecifier, PythonRequest, SpecifierSet, parse_python_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen
    from typing import IO, Any

__all__ = ["matrix_command"]

# What `--github` takes a range for: it speaks of machines that have other interpreters than this one.
_NEWEST_RELEASED_MINOR = 14
_BYTES_OF_MEMORY_PER_JOB = 768 * 1024 * 1024
_MAXIMUM_BYTES_OF_OUTPUT = 256 * 1024 * 1024
_SECONDS_BETWEEN_LOOKS = 0.03
# What a child is sent to end, and how many seconds it has before the next.
_WAYS_TO_END = (("SIGINT", 5.0), ("SIGTERM", 3.0), ("SIGKILL", 3.0))
_STATUS_OF_MISSING = InterpreterError.exit_code
_NEVER_EQUAL = {"resolution": "highest", "backend": "auto"}


def matrix_command(graph: "StateGraph") -> int:
    """Serve `matrix`; return 0 if all cells passed, else 1, 4 or 6: see docs/matrix.md."""
    line, configuration, console = (graph.evaluate(name) for name in ("command_line", "configuration", "console"))
    invocation = graph.evaluate("invocation")
    assert isinstance(line, CommandLine) and isinstance(configuration, Configuration)
    assert isinstance(console, Console) and isinstance(invocation, Invocation)
    table = configuration.get("matrix") or {}
    assert isinstance(table, dict)
    cells = _wanted_cells(line, planned_cells(graph, table, line, configuration))
    command = line.operands or table.get("command") or []
    if line.has("github"):
        _print_strategy(cells)
        return 0
    if line.has("dry-run"):
        _print_plan(cells, invocation, configuration, line, command)
        return 0
    junit = os.path.abspath(str(line.text("junit"))) if line.text("junit") else None
    if junit and not os.path.isdir(os.path.dirname(junit)):
        raise UsageError("the directory %s does not exist" % os.path.dirname(junit), "--junit", "create it")
    run = MatrixRun(cells, command, invocation, configuration, line, console, _wanted_jobs(line, table))
    status = run.run()
    seconds = time.monotonic() - run.started
    if junit:
        write_atomically(junit, junit_report(cells, seconds).encode("utf-8"))
    if line.has("json"):
        import json

        print(json.dumps(matrix_document(cells, command, status, seconds), indent=2))
    return status


def planned_cells(
    graph: "StateGraph", table: "dict[str, Any]", line: CommandLine, configuration: Configuration
) -> "list[MatrixCell]":
    """Return the cells: the product of the axes, less what is excluded, plus what is included.

    :raises ConfigurationError: exit code 3: a value is wrong, two cells are the same, or none is left
    """
    import itertools

    place = "--python" if line.text("python") else configuration.place_of("matrix")
    asked = _split_pythons(line.text("python") or "") or table.get("python")
    axes = {axis: [value or "" for value in table.get(axis) or [""]] for axis in MATRIX_AXES}
    axes["python"] = _expanded_pythons(graph, asked, line.has("github"), place)
    if "env" not in table or "env" in configuration.leaps["input"]:
        axes["env"] = [str(configuration.cell.get("env") or configuration.environment_name)]
    found = [dict(zip(MATRIX_AXES, values)) for values in itertools.product(*(axes[axis] for axis in MATRIX_AXES))]
    excluded = table.get("exclude") or []
    found = [axes for axes in found if not any(_agrees(axes, entry) for entry in excluded)]
    for entry in table.get("include") or []:
        if "python" not in entry:
            raise configuration.error("matrix", "a cell of `include` needs the key `python`")
        if not line.text("python") or entry["python"] in axes["python"]:
            defaults = dict.fromkeys(MATRIX_AXES, "")
            found.append(dict(defaults, env=configuration.environment_name, **entry))
    if not found:
        raise ConfigurationError("the matrix has no cells", place, "name a version in `python`, or exclude less")
    _refuse_unknown_values(found, configuration, place)
    return _named_cells(found, place)


def _split_pythons(text: str) -> "list[str]":
    """Split at commas, but not between the clauses of one range: `3.8,>=3.10,<3.13` is two."""
    parts = []  # type: list[str]
    for part in (part.strip() for part in text.split(",") if part.strip()):
        if _is_python_range(part) and parts and _is_python_range(parts[-1]):
            parts[-1] += "," + part
        else:
            parts.append(part)
    return parts


def _is_python_range(text: str) -> bool:
    return text.strip()[:1] in "<>=!~" and bool(text.strip())


def _expanded_pythons(graph: "StateGraph", asked: "list[str] | None", elsewhere: bool, place: str) -> "list[str]":
    plan = graph.evaluate("plan")  # type: Any
    if asked is None:
        stated = [metadata.requires_python for metadata in plan.all_metadata() if metadata.requires_python]
        asked = [",".join(stated) or OLDEST_SUPPORTED_PYTHON]
    pythons = []  # type: list[str]
    for text in asked:
        try:
            request = parse_python_request(text)
        except InvalidSpecifier as error:
            raise ConfigurationError("%r is not a Python version or range: %s" % (text, error), place) from None
        pythons += _minors_in_range(graph, request, elsewhere) if _is_python_range(text) else [text.strip()]
    return pythons


def _minors_in_range(graph: "StateGraph", request: PythonRequest, elsewhere: bool) -> "list[str]":
    """Return the minor versions of a range that this host has, oldest first, or `elsewhere` all that are known.

    :raises InterpreterError: exit code 4: there is none
    """
    if elsewhere:
        minors = [(3, minor) for minor in range(6, _NEWEST_RELEASED_MINOR + 1)]
        releases = {minor: ["%d.%d.%d" % (minor + (patch,)) for patch in range(30)] for minor in minors}
        return ["%d.%d" % minor for minor in minors if any(map(request.admits, releases[minor]))]
    cache, console = graph.evaluate("cache_directory"), graph.evaluate("console")
    probed = all_interpreters(cache, console)  # type: ignore[arg-type]
    request = PythonRequest(request.text, request.specifiers, "cpython", False, request.prereleases)
    lines, found = [], set()  # type: tuple[list[str], set[tuple[int, ...]]]
    for one in probed:
        reason = interpreter_misfit(one, request) if isinstance(one, Interpreter) else one.reason
        if reason is None:
            assert isinstance(one, Interpreter)
            found.add(tuple(one.version_info[:2]))
        else:
            lines.append("  %s: %s" % (one.executable if isinstance(one, Interpreter) else one.path, reason))
    if not found:
        cause = "\n".join(["this host has no interpreter for %s" % request.text] + lines)
        raise InterpreterError(cause, None, "name the versions, so that they can be fetched: --python 3.12,3.13")
    return ["%d.%d" % minor for minor in sorted(found)]


def _agrees(axes: "dict[str, str]", entry: "dict[str, str]") -> bool:
    return bool(entry) and all(axes[axis] == value for axis, value in entry.items())


def _refuse_unknown_values(found: "list[dict[str, str]]", configuration: Configuration, place: str) -> None:
    properties = CLIENT_SCHEMA["properties"]  # type: Any
    # A file of an environment may be found by its name alone: those are for the child to judge.
    known = {"resolution": properties["resolution"]["enum"]}
    for axis, names in known.items():
        for value in {axes[axis] for axes in found} - {""}:
            if value not in names:
                near = nearest_name(value, names)
                advice = ("did you mean %r? " % near if near else "") + "possible: " + ", ".join(names)
                raise ConfigurationError("%s cannot be %r" % (axis, value), place, advice)


def _named_cells(found: "list[dict[str, str]]", place: str) -> "list[MatrixCell]":
    cells = []  # type: list[MatrixCell]
    keys = {}  # type: dict[object, MatrixCell]
    for axes in found:
        for axis, default in _NEVER_EQUAL.items():
            axes[axis] = "" if axes[axis] == default else axes[axis]
        cell = MatrixCell(_name_of_cell(axes), axes)
        request = parse_python_request(axes["python"])
        python = (request.specifiers, request.implementation or "cpython", request.free_threaded)
        for key in (cell.name, (python,) + tuple(axes[axis] for axis in MATRIX_AXES[1:])):
            if keys.setdefault(key, cell) is not cell:
                cause = "two cells of the matrix are the same: %s and %s" % (_described_axes(keys[key].axes), _described_axes(axes))
                raise ConfigurationError(cause, place, "name each once")
        cells.append(cell)
    return cells


def _described_axes(axes: "dict[str, str]") -> str:
    return " ".join("%s=%s" % (axis, value) for axis, value in axes.items() if value)


def _name_of_cell(axes: "dict[str, str]") -> str:
    import re

    python = axes["python"]
    words = [python if python[:1].isalpha() else "py" + python]
    words += [axes["env"]] if axes["env"] != DEFAULT_ENVIRONMENT else []
    words += [os.path.basename(axes[axis]) for axis in MATRIX_AXES[2:] if axes[axis]]
    return re.sub("[^A-Za-z0-9.-]+", "_", "-".join(words))[:40].strip("._-")


def _wanted_cells(line: CommandLine, cells: "list[MatrixCell]") -> "list[MatrixCell]":
    names = [cell.name for cell in cells]
    for name in line.texts("cell"):
        if name not in names:
            near = nearest_name(name, names)
            advice = "did you mean %s?" % near if near else "known: " + ", ".join(names)
            raise UsageError("the matrix has no cell %r" % name, "--cell", advice)
    wanted = line.texts("cell") or names
    return [cell for cell in cells if cell.name in wanted]


def _wanted_jobs(line: CommandLine, table: "dict[str, Any]") -> int:
    text = line.text("jobs")
    if text is not None:
        if not text.isdigit() or int(text) < 1:
            raise UsageError("--jobs must be a number from 1 on, not %r" % text)
        return int(text)
    memory = usable_memory()
    by_memory = memory // _BYTES_OF_MEMORY_PER_JOB if memory else usable_cores()
    return int(table.get("jobs") or max(1, min(usable_cores(), by_memory)))


def _print_strategy(cells: "list[MatrixCell]") -> None:
    import json

    entries = [dict({axis: value for axis, value in cell.axes.items() if value}, cell=cell.name) for cell in cells]
    print(json.dumps({"include": entries}, sort_keys=True))


def _print_plan(
    cells: "list[MatrixCell]", invocation: Invocation, configuration: Configuration, line: CommandLine, command: "list[str]"
) -> None:
    """Print what would be done: each cell with its fingerprint, which is what a cache of environments goes by."""
    import json

    entries = []
    for cell in cells:
        entry = dict(cell.as_dict(), fingerprint=None)
        entry["status"] = "planned"
        held = dict(os.environ)
        try:
            os.environ.update(_cell_variables(cell, ""), PROTOPRIMER_PYTHON_DOWNLOADS="0")
            words = _cell_options(cell, line, configuration) + ["run", "--", "true"]
            planned = Invocation(invocation.entry_path, invocation.kernel_path, invocation.program, words, None, True)
            graph = bootstrap_graph(planned)
            entry["fingerprint"] = str(graph.evaluate("fingerprint"))
            chosen, store = graph.evaluate("interpreter"), graph.evaluate("store")  # type: Any, Any
            entry["interpreter"] = {"version": chosen.version, "path": chosen.executable}
            standing = store.find(graph.evaluate("fingerprint"))
            entry["environment"] = standing.path if standing else None
        except PrimerError as error:
            entry["reason"] = str(error)
        finally:
            for name in set(os.environ) - set(held):
                del os.environ[name]
            os.environ.update(held)
        entries.append(entry)
    if line.has("json"):
        print(json.dumps({"format": 1, "command": command or None, "exit_code": 0, "seconds": 0, "cells": entries}, indent=2))
        return
    for entry in entries:
        print("%s: %s" % (entry["name"], entry["reason"] or "fingerprint %s" % entry["fingerprint"]))


def _cell_variables(cell: MatrixCell, note: str) -> "dict[str, str]":
    import json

    # The environment's own name comes first in its generations' names already.
    told = {"name": cell.name, "note": note, "extras": cell.axes["extras"], "groups": cell.axes["groups"]}
    variables = {CELL_VARIABLE: json.dumps(told)}
    if cell.axes["resolution"]:
        variables["PROTOPRIMER_RESOLUTION"] = cell.axes["resolution"]
    return variables


def _cell_options(cell: MatrixCell, line: CommandLine, configuration: Configuration) -> "list[str]":
    options = ["--python", cell.axes["python"], "--env", cell.axes["env"], "--color", "never"]
    backend = cell.axes["backend"] or line.text("backend")
    options += ["--backend", backend] if backend else []
    options += ["--offline"] if configuration.offline else []
    return options + ["-v"] * max(0, line.verbosity())


class MatrixRun:
    """Running the cells, some at a time; what is known of them is kept in the cells.

    :param command: what each cell runs; nothing: they are only provisioned
    """

    def __init__(
        self,
        cells: "list[MatrixCell]",
        command: "list[str]",
        invocation: Invocation,
        configuration: Configuration,
        line: CommandLine,
        console: Console,
        jobs: int,
    ) -> None:
        self.started = time.monotonic()
        self._cells = cells
        self._command = command
        self._invocation = invocation
        self._configuration = configuration
        self._line = line
        self._console = console
        self._jobs = jobs
        self._directory = os.path.join(configuration.state_directory, "log", "matrix")
        self._view = MatrixView(console, cells)
        self._children = {}  # type: dict[MatrixCell, Popen[bytes]]
        self._signals = []  # type: list[int]
        self._earlier = self._read_journal()

    def run(self) -> int:
        """Run all cells; return the exit status."""
        import signal

        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, lambda number, _frame: self._signals.append(number)) for number in numbers}
        try:
            self._prepare()
            self._loop()
        finally:
            self._stop(list(self._children), "the matrix was stopped")
            for number, handler in before.items():
                signal.signal(number, handler)
        self._view.summary(self._cells, time.monotonic() - self.started)
        return self._exit_status()

    def _loop(self) -> None:
        waiting = list(self._cells)
        while waiting or self._children:
            while waiting and len(self._children) < self._jobs and not self._signals:
                self._start(waiting.pop(0))
            for cell in list(self._children):
                self._look_at(cell)
            stops = "the matrix was interrupted" if self._signals else ""
            if self._line.has("fail-fast") and any(cell.is_bad for cell in self._cells):
                stops = stops or "another cell failed"
            if stops:
                self._stop(list(self._children), stops)
                for cell in waiting:
                    cell.status, cell.reason = "stopped", stops
                return
            self._view.tick()
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _prepare(self) -> None:
        from protoprimer.generations import prepare_state_directory
        from protoprimer.locking import disk_failure

        prepare_state_directory(self._configuration.state_directory)
        try:
            os.makedirs(self._directory, exist_ok=True)
        except OSError as error:
            raise disk_failure("create the directory of the cells' output", self._directory, error) from error
        earlier = self._earlier
        if not self._line.has("resume"):
            self._earlier = {}
        passed = [name for name in earlier if name in {cell.name for cell in self._cells}]
        if passed and not self._earlier and len(passed) < len(self._cells) and self._command:
            self._console.say("the last run was not finished; with --resume, what passed in it is not run again")
        self._write_journal()

    def _start(self, cell: MatrixCell) -> None:
        """Start a cell: provisioning and its command are one child, the latter by exec."""
        import subprocess

        cell.log = os.path.join(self._directory, cell.name + ".log")
        cell.started, cell.status = cell.started or time.monotonic(), "provisioning"
        cell.is_resumed = not cell.is_resumed and cell.name in self._earlier
        # Without its command, the child says which environment is the current one.
        words = ["--target", "environment"] if cell.is_resumed or not self._command else ["run", "--"] + self._command
        arguments = [sys.executable, "-I", "-S", self._invocation.entry_path]
        arguments += _cell_options(cell, self._line, self._configuration) + words
        environ = leave_protoprimer_variables(dict(os.environ))
        kept = ("PROTOPRIMER_CACHE", "PROTOPRIMER_BACKEND", "PROTOPRIMER_LOCK", "PROTOPRIMER_PYTHON_DOWNLOADS",
                "PROTOPRIMER_SEED_PIP", "PROTOPRIMER_KEEP", "PROTOPRIMER_RESOLUTION", "PROTOPRIMER_LOCK_TIMEOUT")  # fmt: skip
        environ.update({name: os.environ[name] for name in kept if name in os.environ})
        environ.update(_cell_variables(cell, self._note_of(cell)))
        try:
            with self._fresh_output(cell) as stream:
                self._children[cell] = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environ,
                    **options_of_process_group()  # type: ignore[call-overload]
                )
        except OSError as error:
            self._end(cell, "unprovisioned", "it could not be started: %s" % error, None)

    def _fresh_output(self, cell: MatrixCell) -> "IO[bytes]":
        # Not truncated but new: an orphan of a killed run may still write to the old one.
        try:
            os.unlink(cell.log)
        except OSError:
            pass
        return open(cell.log, "wb")

    def _note_of(self, cell: MatrixCell) -> str:
        return os.path.join(self._directory, "%s.%d.json" % (cell.name, os.getpid()))

    def _look_at(self, cell: MatrixCell) -> None:
        code = self._children[cell].poll()
        if not cell.facts:
            self._read_note(cell)
        if code is None:
            if _size_of_file(cell.log) > _MAXIMUM_BYTES_OF_OUTPUT:
                self._stop([cell], "")
                os.truncate(cell.log, _MAXIMUM_BYTES_OF_OUTPUT)
                self._end(cell, "failed", "it printed more than %d MB" % (_MAXIMUM_BYTES_OF_OUTPUT >> 20), None)
            return
        del self._children[cell]
        if code < 0:
            signalled = "ended by signal %d" % -code
        if cell.facts and code == 0:
            if cell.is_resumed and cell.facts["environment"] != self._earlier.get(cell.name):
                # Not the environment it passed in: its command has to run after all.
                cell.facts = {}
                self._start(cell)
                return
            self._end(cell, "passed", "passed before" if cell.is_resumed else "", code)
        elif cell.facts:
            self._end(cell, "failed", signalled if code < 0 else "exit status %d" % code, code)
        elif code == _STATUS_OF_MISSING:
            status = "skipped" if self._line.has("skip-missing") else "missing"
            self._end(cell, status, _error_in_output(cell) or "no such interpreter", code)
        else:
            reason = _error_in_output(cell) or (signalled if code < 0 else "exit status %d" % code)
            self._end(cell, "unprovisioned", reason, code)

    def _read_note(self, cell: MatrixCell) -> None:
        import json

        path = self._note_of(cell)
        try:
            with open(path, "rb") as stream:
                cell.facts = json.loads(stream.read().decode("utf-8"))
            os.unlink(path)
        except (OSError, ValueError):
            return
        cell.provisioned, cell.status = time.monotonic(), "running"

    def _end(self, cell: MatrixCell, status: str, reason: str, code: "int | None") -> None:
        self._children.pop(cell, None)
        cell.ended, cell.status, cell.reason, cell.exit_code = time.monotonic(), status, reason, code
        self._view.tell(cell)
        if status == "passed":
            self._earlier[cell.name] = str(cell.facts["environment"])
        else:
            self._earlier.pop(cell.name, None)
        self._write_journal()

    def _stop(self, cells: "list[MatrixCell]", reason: str) -> None:
        """End children with all their processes: first asked, then told, then killed; a second Ctrl-C kills at once."""
        import signal

        asked_before = len(self._signals)
        for name, patience in _WAYS_TO_END:
            alive = [self._children[cell] for cell in cells if self._children[cell].poll() is None]
            for child in alive:
                signal_process_group(child.pid, getattr(signal, name, signal.SIGTERM), kill=name == "SIGKILL")
            deadline = time.monotonic() + patience
            while any(child.poll() is None for child in alive) and time.monotonic() < deadline:
                if len(self._signals) > max(1, asked_before):
                    break
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        for cell in cells:
            # The leader is gone; what it left behind in its group is not.
            signal_process_group(self._children[cell].pid, signal.SIGTERM, kill=True)
            if reason:
                self._end(cell, "stopped", reason, None)

    def _exit_status(self) -> int:
        import signal

        if self._signals:
            return 128 + (self._signals[0] if self._signals[0] != getattr(signal, "SIGBREAK", None) else 2)
        statuses = {cell.status for cell in self._cells}
        if "failed" in statuses:
            return 1
        if "unprovisioned" in statuses:
            return 6
        return _STATUS_OF_MISSING if "missing" in statuses or "passed" not in statuses else 0

    def _journal(self) -> str:
        return os.path.join(self._directory, "passed.json")

    def _read_journal(self) -> "dict[str, str]":
        """Return the environments that the cells passed in, as far as the last run of the same command got."""
        import json

        try:
            with open(self._journal(), encoding="utf-8") as stream:
                found = json.load(stream)
            return dict(found["cells"]) if found["command"] == self._command else {}
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    def _write_journal(self) -> None:
        import json

        document = {"command": self._command, "cells": self._earlier}
        try:
            write_atomically(self._journal(), json.dumps(document, indent=1, sort_keys=True).encode("ascii"))
        except OSError as error:
            self._console.detail("could not note what passed: %s" % error)


def _size_of_file(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _error_in_output(cell: MatrixCell) -> str:
    """Return the child's own words on why it could not provision."""
    found = [line[len("error: ") :] for line in cell.output().splitlines() if line.startswith("error: ")]
    return found[-1].strip() if found else ""
