"""Running a matrix: each cell is an ordinary run of the entry script, as a child process."""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from protoprimer.backends.choosing import check_backend_names
from protoprimer.commands.matrix.cells import FAULTS_OF_CELLS, MatrixCell, expanded_pythons, matrix_cells
from protoprimer.commands.matrix.report import MatrixView, junit_report
from protoprimer.errors import ConfigurationError, InterpreterError, PrimerError, UsageError, which_are_known
from protoprimer.graph import StateGraph
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import Plan, check_choices
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import CELL_VARIABLE, Configuration
from protoprimer.states import Invocation, bootstrap_graph
from protoprimer.store.file_lock import told_as_disk_failure
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console, print_out
from protoprimer.system.files import content_of, json_table, temporary_name, write_atomically, write_json
from protoprimer.system.platform import usable_cores, usable_memory
from protoprimer.system.processes import options_of_process_group, signal_process_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

__all__ = ["matrix_command", "wanted_cells"]

_BYTES_OF_MEMORY_PER_JOB = 768 * 1024 * 1024
_BYTES_OF_OUTPUT = 256 * 1024 * 1024
_SECONDS_BETWEEN_LOOKS = 0.02
# What a child is sent to end, and the seconds it then has.
_WAYS_TO_END = (("SIGINT", 5.0), ("SIGTERM", 3.0), ("SIGKILL", 3.0))


def matrix_command(graph: StateGraph, command_line: CommandLine, configuration: Configuration, console: Console) -> int:
    """Serve `matrix`, as told in docs/reference/matrix.md."""
    line, table, cells = command_line, configuration.get("matrix") or {}, graph.call(wanted_cells)
    if line.has("github"):
        entries = [dict({axis: value for axis, value in cell.axes.items() if value}, cell=cell.name) for cell in cells]
        # On one line, as a GitHub output has to be.
        print_out(json.dumps({"include": entries}, sort_keys=True))
        return 0
    junit, jobs = _junit_path(line), _wanted_jobs(line, table)
    run = _MatrixRun(graph, cells, line.operands or table.get("command") or [])
    status = run.describe() if line.has("dry-run") else run.run(jobs)
    seconds = time.monotonic() - run.started
    if junit and not line.has("dry-run"):
        write_atomically(junit, junit_report(cells, seconds).encode("utf-8"))
    if line.has("json"):
        facts = {"format": 1, "command": run.command or None, "exit_code": status, "seconds": round(seconds, 3)}
        print_out(json.dumps(dict(facts, cells=[cell.as_dict() for cell in cells]), sort_keys=True))
    return status


def wanted_cells(
    command_line: CommandLine, configuration: Configuration, console: Console, plan: Plan, cache_directory: str
) -> "list[MatrixCell]":
    """Return the cells that are asked for."""
    line, table = command_line, configuration.get("matrix") or {}
    place = "--python" if line.has("python") else configuration.place_of("matrix")
    asked = line.text("python") or table.get("python")
    pythons = expanded_pythons(asked, plan, cache_directory, console, not line.has("github"), place)
    cells = matrix_cells(table, line, configuration, pythons, place)
    _check_cells(cells, configuration, plan, place)
    return cells


def _check_cells(cells: "list[MatrixCell]", configuration: Configuration, plan: Plan, place: str) -> None:
    project = next(iter(plan.all_metadata()), None) or read_project(configuration.root)
    for axes in [cell.axes for cell in cells]:
        if axes["env"] not in configuration.environment_names:
            advice = which_are_known(axes["env"], configuration.environment_names)
            raise ConfigurationError("there is no environment %r" % axes["env"], place, advice)
        check_backend_names((axes["backend"] or "auto").split(","), configuration, "matrix")
        # Another environment may install another project.
        if project and axes["env"] == configuration.environment_name:
            chosen = [list(filter(None, axes[axis].split(","))) for axis in ("extras", "groups")]
            check_choices(configuration, "matrix", project, *chosen)


def _junit_path(line: CommandLine) -> "str | None":
    if not line.has("junit"):
        return None
    path = os.path.abspath(str(line.text("junit")))
    if os.path.exists(path) and not os.path.isfile(path):
        # A device would be replaced by the report.
        raise UsageError("%s is no file" % path, "--junit", "name a file")
    if not os.path.isdir(os.path.dirname(path)):
        raise UsageError("the directory %s does not exist" % os.path.dirname(path), "--junit", "create it")
    return path


def _wanted_jobs(line: CommandLine, table: "dict[str, Any]") -> int:
    text = str(line.text("jobs") or table.get("jobs") or "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise UsageError("--jobs must be 1 or more, not %r" % text)
    memory = usable_memory() or sys.maxsize
    return int(text) if text else max(1, min(usable_cores(), memory // _BYTES_OF_MEMORY_PER_JOB))


class _MatrixRun:
    def __init__(self, graph: StateGraph, cells: "list[MatrixCell]", command: "list[str]") -> None:
        self.started = time.monotonic()
        self.cells = cells
        self.command = command
        self.invocation: Invocation = graph.evaluate("invocation")
        self.line = graph.evaluate("command_line")  # type: CommandLine
        self.configuration = graph.evaluate("configuration")  # type: Configuration
        self.console = graph.evaluate("console")  # type: Console
        self.view = MatrixView(self.console, cells)
        self.directory = os.path.join(self.configuration.state_directory, "log", "matrix")
        # Where each child leaves word of its environment.
        self.notes = {cell: temporary_name(os.path.join(self.directory, cell.name)) for cell in cells}
        self.children: "dict[MatrixCell, subprocess.Popen[bytes]]" = {}
        self.signals = []  # type: list[int]
        # What passed in the last run of this command, with its environment.
        self.journal = os.path.join(self.directory, "passed.json")
        found = json_table(content_of(self.journal))
        self.earlier = found.get("cells", {}) if found.get("command") == command else {}  # type: dict[str, str]

    def describe(self) -> int:
        for cell in self.cells:
            cell.status = "planned"
            self._look_ahead(cell)
            self.console.say(cell.line())
        return 0

    def run(self, jobs: int) -> int:
        prepare_state_directory(self.configuration.state_directory)
        with told_as_disk_failure("create the directory of the cells' output", self.directory):
            os.makedirs(self.directory, exist_ok=True)
        numbers = {getattr(signal, name, signal.SIGINT) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")}
        before = {number: signal.signal(number, lambda number, _: self.signals.append(number)) for number in numbers}
        try:
            self._loop(jobs)
        finally:
            self._stop(list(self.children), "the matrix ended")
            for number, handler in before.items():
                signal.signal(number, handler)
        self.view.summary(time.monotonic() - self.started)
        if self.signals:
            return 128 + (self.signals[0] if os.name != "nt" else signal.SIGINT)
        statuses = {cell.status for cell in self.cells}
        faults = [code for status, code in FAULTS_OF_CELLS.items() if status in statuses]
        return faults[0] if faults else 0 if "passed" in statuses else InterpreterError.exit_code

    def _loop(self, jobs: int) -> None:
        waiting, stops = list(self.cells), ""
        while (waiting or self.children) and not stops:
            while waiting and len(self.children) < jobs:
                self._start(waiting.pop(0))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for cell in list(self.children):
                self._look_at(cell)
            if self.signals:
                stops = "interrupted"
            elif self.line.has("fail-fast") and any(cell.status in FAULTS_OF_CELLS for cell in self.cells):
                stops = "--fail-fast"
            self.view.tick()
        self._stop(list(self.children), stops)
        for cell in waiting:
            cell.status, cell.reason = "stopped", stops

    def _start(self, cell: MatrixCell) -> None:
        import subprocess

        if self.line.has("resume") and cell.name in self.earlier:
            self._look_ahead(cell)
            if cell.facts.get("environment") == self.earlier[cell.name]:
                cell.is_resumed = True
                self._end(cell, "passed", "in the last run", 0)
                return
            cell.facts = {}
        cell.log = os.path.join(self.directory, cell.name + ".log")
        cell.started, cell.status = time.monotonic(), "provisioning"
        words = ["run", "--"] + self.command if self.command else ["--target", "environment"]
        try:
            if os.path.lexists(cell.log):
                # An orphan of a killed run may still write there.
                os.unlink(cell.log)
            with open(cell.log, "wb") as stream:
                self.children[cell] = subprocess.Popen(
                    [sys.executable, "-I", "-S", self.invocation.entry_path] + self._options(cell) + words,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=dict(os.environ, **self._variables(cell)),
                    **options_of_process_group(),  # type: ignore[call-overload]
                )
        except OSError as error:
            self._end(cell, "unprovisioned", "it could not be started: %s" % error)

    def _options(self, cell: MatrixCell) -> "list[str]":
        options = ["--python", cell.axes["python"], "--env", cell.axes["env"]]
        backend = cell.axes["backend"] or self.line.text("backend")
        options += ["--backend", backend] if backend else []
        options += ["--offline"] if self.configuration.offline else []
        options += ["--bundle", str(self.line.text("bundle"))] if self.line.has("bundle") else []
        return options + ["-v"] * self.line.verbosity()

    def _variables(self, cell: MatrixCell) -> "dict[str, str]":
        told = {"name": cell.name, "note": self.notes[cell]}
        told.update({axis: cell.axes[axis] for axis in ("extras", "groups")})
        resolution = {"PROTOPRIMER_RESOLUTION": cell.axes["resolution"]} if cell.axes["resolution"] else {}
        return {CELL_VARIABLE: json.dumps(told, sort_keys=True), **resolution}

    def _look_ahead(self, cell: MatrixCell) -> None:
        variables = dict(os.environ, **self._variables(cell), PROTOPRIMER_PYTHON_DOWNLOADS="0")
        run = self.invocation._replace(
            arguments=self._options(cell), client_main=None, kind="boot", variables=variables
        )
        graph = bootstrap_graph(run)
        try:
            chosen, fingerprint = graph.evaluate("interpreter"), graph.evaluate("fingerprint")
            found = graph.evaluate("store").find(fingerprint)
        except PrimerError as error:
            cell.reason = str(error)
            return
        cell.reason = "fingerprint %s%s" % (fingerprint.digest, ", built" if found else "")
        cell.facts = {"interpreter": chosen.version, "executable": chosen.executable, "fingerprint": fingerprint.digest,
                      "environment": found.path if found else None, "built": False}  # fmt: skip

    def _look_at(self, cell: MatrixCell) -> None:
        code = self.children[cell].poll()
        if not cell.facts and os.path.exists(self.notes[cell]):
            cell.facts = json_table(content_of(self.notes[cell]))
            os.unlink(self.notes[cell])
            cell.provisioned, cell.status = time.monotonic(), "running"
        if code is None:
            if os.path.exists(cell.log) and os.path.getsize(cell.log) > _BYTES_OF_OUTPUT:
                self._stop([cell], "it printed more than %d MB" % (_BYTES_OF_OUTPUT >> 20), "failed")
                os.truncate(cell.log, _BYTES_OF_OUTPUT)
            return
        ended = "exit status %d" % code if code >= 0 else "ended by signal %d" % -code
        if cell.facts:
            self._end(cell, "failed" if code else "passed", ended if code else "", code)
        else:
            missing = "skipped" if self.line.has("skip-missing") else "missing"
            status = missing if code == InterpreterError.exit_code else "unprovisioned"
            self._end(cell, status, cell.error() or ended, code)

    def _end(self, cell: MatrixCell, status: str, reason: str, code: "int | None" = None) -> None:
        self.children.pop(cell, None)
        cell.ended, cell.status, cell.reason, cell.exit_code = time.monotonic(), status, reason, code
        self.view.tell(cell)
        passed = {one.name: one.facts["environment"] for one in self.cells if one.status == "passed"}
        with suppress(OSError):
            write_json(self.journal, {"command": self.command, "cells": passed})

    def _stop(self, cells: "list[MatrixCell]", reason: str, status: str = "stopped") -> None:
        # Asked, told, killed; a second Ctrl-C kills at once.
        children, most = [self.children[cell] for cell in cells], max(len(self.signals), 1)
        for name, seconds in _WAYS_TO_END:
            is_last = name == "SIGKILL"
            for child in children:
                # After its leader's end, the rest of a group is killed all the same.
                if is_last or child.poll() is None:
                    signal_process_group(child.pid, getattr(signal, name, signal.SIGTERM), kill=is_last)
            deadline = time.monotonic() + seconds
            while any(child.poll() is None for child in children) and time.monotonic() < deadline:
                if len(self.signals) > most and not is_last:
                    break
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        for cell in cells:
            self._end(cell, status, reason)
