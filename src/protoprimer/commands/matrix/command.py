"""Running a matrix: each cell is an ordinary run of the entry script, as a child process."""

import json
import os
import sys
import time

from protoprimer.backends.choosing import check_backend_names
from protoprimer.commands.matrix.cells import MatrixCell, expanded_pythons, matrix_cells
from protoprimer.commands.matrix.report import MatrixView, junit_report
from protoprimer.errors import ConfigurationError, InterpreterError, PrimerError, UsageError
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import Plan, check_choices
from protoprimer.pythons.probe import MATRIX_VARIABLE
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import CELL_VARIABLE, Configuration
from protoprimer.states import Invocation, bootstrap_graph
from protoprimer.store.file_lock import disk_failure
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console, print_out
from protoprimer.system.files import write_atomically
from protoprimer.system.platform import usable_cores, usable_memory
from protoprimer.system.processes import options_of_process_group, signal_process_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MatrixRun", "matrix_command"]

_BYTES_OF_MEMORY_PER_JOB = 768 * 1024 * 1024
_BYTES_OF_OUTPUT = 256 * 1024 * 1024
_SECONDS_BETWEEN_LOOKS = 0.02
# What a child is sent to end, and the seconds it then has.
_WAYS_TO_END = (("SIGINT", 5.0), ("SIGTERM", 3.0), ("SIGKILL", 3.0))


def matrix_command(
    invocation: Invocation,
    command_line: CommandLine,
    configuration: Configuration,
    console: Console,
    plan: Plan,
    cache_directory: str,
) -> int:
    """Serve `matrix`; return the exit status, as told in docs/reference/matrix.md."""
    os.environ[MATRIX_VARIABLE] = "%d at %r" % (os.getpid(), time.time())
    line = command_line
    table = configuration.get("matrix") or {}
    place = "--python" if line.has("python") else configuration.place_of("matrix")
    asked = line.text("python") or table.get("python")
    pythons = expanded_pythons(asked, plan, cache_directory, console, not line.has("github"), place)
    cells = matrix_cells(table, line, configuration, pythons, place)
    for name in {cell.axes["env"] for cell in cells}.difference(configuration.environment_names):
        known = "known: " + ", ".join(configuration.environment_names)
        raise ConfigurationError("there is no environment %r" % name, place, known)
    project = next(iter(plan.all_metadata()), None) or read_project(configuration.root)
    for cell in cells:
        check_backend_names((cell.axes["backend"] or "auto").split(","), configuration, "matrix")
        # Another environment may install another project.
        if project and cell.axes["env"] == configuration.environment_name:
            chosen = [list(filter(None, cell.axes[axis].split(","))) for axis in ("extras", "groups")]
            check_choices(configuration, "matrix", project, *chosen)
    if line.has("github"):
        entries = [dict({axis: value for axis, value in cell.axes.items() if value}, cell=cell.name) for cell in cells]
        _print_document({"include": entries})
        return 0
    junit = _junit_path(line)
    run = MatrixRun(cells, line.operands or table.get("command") or [], invocation, configuration, line, console)
    status = run.describe() if line.has("dry-run") else run.run(_wanted_jobs(line, table))
    seconds = time.monotonic() - run.started
    if junit and not line.has("dry-run"):
        write_atomically(junit, junit_report(cells, seconds).encode("utf-8"))
    if line.has("json"):
        facts = {"format": 1, "command": run.command or None, "exit_code": status, "seconds": round(seconds, 3)}
        _print_document(dict(facts, cells=[cell.as_dict() for cell in cells]))
    return status


def _junit_path(line: CommandLine) -> "str | None":
    path = os.path.abspath(line.text("junit") or os.devnull)
    if line.has("junit") and os.path.exists(path) and not os.path.isfile(path):
        # A device would be replaced by the report.
        kind = "a directory" if os.path.isdir(path) else "a pipe or a device"
        raise UsageError("%s is %s" % (path, kind), "--junit", "name a file")
    if not os.path.isdir(os.path.dirname(path)):
        raise UsageError("the directory %s does not exist" % os.path.dirname(path), "--junit", "create it")
    return path if line.has("junit") else None


def _print_document(document: "dict[str, Any]") -> None:
    # On one line, as a GitHub output has to be.
    print_out(json.dumps(document, sort_keys=True))


def _wanted_jobs(line: CommandLine, table: "dict[str, Any]") -> int:
    text = str(line.text("jobs") or table.get("jobs") or "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise UsageError("--jobs must be a number from 1 on, not %r" % text)
    memory = usable_memory() or sys.maxsize
    return int(text) if text else max(1, min(usable_cores(), memory // _BYTES_OF_MEMORY_PER_JOB))


class MatrixRun:
    """Running the cells, some at a time; what is known of each is kept in it.

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
    ) -> None:
        self.started = time.monotonic()
        self.command = command
        self._cells = cells
        self._invocation = invocation
        self._configuration = configuration
        self._line = line
        self._console = console
        self._directory = os.path.join(configuration.state_directory, "log", "matrix")
        self._journal = os.path.join(self._directory, "passed.json")
        self._view = MatrixView(console, cells)
        self._children = {}  # type: dict[MatrixCell, Any]
        self._signals = []  # type: list[int]
        # The environments of the cells that passed in the last run of this command, by name; and in this one.
        self._earlier = {}  # type: dict[str, str]
        self._passed = {}  # type: dict[str, str]

    def run(self, jobs: int) -> int:
        """Run all cells, `jobs` at once; return the exit status."""
        import signal

        try:
            prepare_state_directory(self._configuration.state_directory)
            os.makedirs(self._directory, exist_ok=True)
        except OSError as error:
            raise disk_failure("create the directory of the cells' output", self._directory, error) from error
        self._read_journal()
        numbers = {getattr(signal, name, signal.SIGINT) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")}
        before = {number: signal.signal(number, lambda number, _: self._signals.append(number)) for number in numbers}
        try:
            self._loop(jobs)
        finally:
            self._stop(list(self._children), "the matrix ended")
            for number, handler in before.items():
                signal.signal(number, handler)
        self._view.summary(time.monotonic() - self.started)
        if self._signals:
            return 128 + (self._signals[0] if os.name != "nt" else signal.SIGINT)
        statuses = {cell.status for cell in self._cells}
        for status, code in (("failed", 1), ("unprovisioned", 6), ("missing", InterpreterError.exit_code)):
            if status in statuses:
                return code
        return 0 if "passed" in statuses else InterpreterError.exit_code

    def describe(self) -> int:
        """Tell what would be done: each cell's fingerprint, by which its environment can be cached."""
        for cell in self._cells:
            cell.status = "planned"
            try:
                cell.facts = self._facts_in_advance(cell)
                is_built = ", built" if cell.facts["environment"] else ""
                cell.reason = "fingerprint %s%s" % (cell.facts["fingerprint"], is_built)
            except PrimerError as error:
                cell.reason = str(error)
            self._console.say(cell.line())
        return 0

    def _facts_in_advance(self, cell: MatrixCell) -> "dict[str, Any]":
        """Return what a cell would tell of its environment, which is `None` if it is not there."""
        held, known = dict(os.environ), self._invocation
        try:
            os.environ.update(self._variables(cell), PROTOPRIMER_PYTHON_DOWNLOADS="0")
            run = Invocation(known.entry_path, known.kernel_path, known.program, self._options(cell), None, "boot")
            graph = bootstrap_graph(run)
            values = [graph.evaluate(name) for name in ("interpreter", "fingerprint", "store")]  # type: list[Any]
        finally:
            os.environ.clear()
            os.environ.update(held)
        chosen, fingerprint, store = values
        found = store.find(fingerprint)
        facts = {"interpreter": chosen.version, "executable": chosen.executable, "fingerprint": str(fingerprint)}
        return dict(facts, environment=found.path if found else None)

    def _loop(self, jobs: int) -> None:
        waiting, stops = list(self._cells), ""
        while (waiting or self._children) and not stops:
            while waiting and len(self._children) < jobs:
                self._start(waiting.pop(0))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for cell in list(self._children):
                self._look_at(cell)
            bad = [cell for cell in self._cells if cell.status in ("failed", "unprovisioned", "missing")]
            stops = "--fail-fast" if bad and self._line.has("fail-fast") else ""
            stops = "interrupted" if self._signals else stops
            self._view.tick()
        self._stop(list(self._children), stops)
        for cell in waiting:
            cell.status, cell.reason = "stopped", stops

    def _options(self, cell: MatrixCell) -> "list[str]":
        options = ["--python", cell.axes["python"], "--env", cell.axes["env"], "--color", "never"]
        backend = cell.axes["backend"] or self._line.text("backend")
        options += ["--backend", backend] if backend else []
        options += ["--offline"] if self._configuration.offline else []
        options += ["--bundle", str(self._line.text("bundle"))] if self._line.has("bundle") else []
        return options + ["-v"] * self._line.verbosity()

    def _variables(self, cell: MatrixCell) -> "dict[str, str]":
        told = {"name": cell.name, "note": self._note_of(cell)}
        told.update({axis: cell.axes[axis] for axis in ("extras", "groups")})
        resolution = cell.axes["resolution"]
        return dict(
            {CELL_VARIABLE: json.dumps(told, sort_keys=True)},
            **({"PROTOPRIMER_RESOLUTION": resolution} if resolution else {}),
        )

    def _note_of(self, cell: MatrixCell) -> str:
        return os.path.join(self._directory, "%s.%d.json" % (cell.name, os.getpid()))

    def _start(self, cell: MatrixCell) -> None:
        """Start a cell: one process provisions, and becomes its command."""
        import subprocess

        if self._has_passed_before(cell):
            self._end(cell, "passed", "in the last run", 0)
            return
        cell.log = os.path.join(self._directory, cell.name + ".log")
        cell.started, cell.status = time.monotonic(), "provisioning"
        words = ["run", "--"] + self.command if self.command else ["--target", "environment"]
        arguments = [sys.executable, "-I", "-S", self._invocation.entry_path] + self._options(cell) + words
        try:
            if os.path.lexists(cell.log):
                # An orphan of a killed run may still write there.
                os.unlink(cell.log)
            with open(cell.log, "wb") as stream:
                self._children[cell] = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=dict(os.environ, **self._variables(cell)),
                    **options_of_process_group(),  # type: ignore[call-overload]
                )
        except OSError as error:
            self._end(cell, "unprovisioned", "it could not be started: %s" % error, None)

    def _has_passed_before(self, cell: MatrixCell) -> bool:
        """Tell whether `--resume` may leave a cell out: its environment is still the one that it passed in."""
        if cell.name not in self._earlier:
            return False
        try:
            facts = self._facts_in_advance(cell)
        except PrimerError:
            return False
        cell.is_resumed = facts["environment"] == self._earlier[cell.name]
        cell.facts = dict(facts, built=False) if cell.is_resumed else {}
        return cell.is_resumed

    def _look_at(self, cell: MatrixCell) -> None:
        code = self._children[cell].poll()
        if not cell.facts:
            self._read_note(cell)
        if code is None:
            if os.path.exists(cell.log) and os.path.getsize(cell.log) > _BYTES_OF_OUTPUT:
                self._stop([cell], "it printed more than %d MB" % (_BYTES_OF_OUTPUT >> 20), "failed")
                os.truncate(cell.log, _BYTES_OF_OUTPUT)
            return
        ended = "exit status %d" % code if code >= 0 else "ended by signal %d" % -code
        if cell.facts:
            self._end(cell, "failed" if code else "passed", ended if code else "", code)
        elif code == InterpreterError.exit_code:
            status = "skipped" if self._line.has("skip-missing") else "missing"
            self._end(cell, status, cell.error() or ended, code)
        else:
            self._end(cell, "unprovisioned", cell.error() or ended, code)

    def _read_note(self, cell: MatrixCell) -> None:
        try:
            with open(self._note_of(cell), "rb") as stream:
                cell.facts = json.loads(stream.read().decode("ascii"))
            os.unlink(self._note_of(cell))
        except (OSError, ValueError):
            return
        cell.provisioned, cell.status = time.monotonic(), "running"

    def _end(self, cell: MatrixCell, status: str, reason: str, code: "int | None") -> None:
        self._children.pop(cell, None)
        cell.ended, cell.status, cell.reason, cell.exit_code = time.monotonic(), status, reason, code
        if status == "passed":
            self._passed[cell.name] = str(cell.facts["environment"])
        self._view.tell(cell)
        self._write_journal()

    def _stop(self, cells: "list[MatrixCell]", reason: str, status: str = "stopped") -> None:
        """End children with all their processes: asked, told, killed; a second Ctrl-C kills at once."""
        import signal

        children, signals = [self._children[cell] for cell in cells], len(self._signals)
        for name, seconds in _WAYS_TO_END:
            for child in children:
                # After its leader's end, the rest of a group is killed all the same.
                if child.poll() is None or name == "SIGKILL":
                    signal_process_group(child.pid, getattr(signal, name, signal.SIGTERM), kill=name == "SIGKILL")
            deadline = time.monotonic() + seconds
            while any(child.poll() is None for child in children) and time.monotonic() < deadline:
                if len(self._signals) > max(signals, 1) and name != "SIGKILL":
                    break
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        for cell in cells:
            self._end(cell, status, reason, None)

    def _read_journal(self) -> None:
        """Learn what passed in the last run of the same command, if that is wanted, else say that it could be."""
        try:
            with open(self._journal, encoding="utf-8") as stream:
                found = json.loads(stream.read())
            passed = dict(found["cells"]) if found["command"] == self.command else {}
        except (OSError, ValueError, LookupError, TypeError):
            passed = {}
        if self._line.has("resume"):
            self._earlier = passed
        elif self.command and passed and any(cell.name not in passed for cell in self._cells):
            self._console.say("some of these cells passed in the last run: --resume runs the others only")

    def _write_journal(self) -> None:
        text = json.dumps({"command": self.command, "cells": self._passed}, indent=1, sort_keys=True)
        try:
            write_atomically(self._journal, text.encode("ascii"))
        except OSError as error:
            self._console.detail("could not note what passed: %s" % error)
