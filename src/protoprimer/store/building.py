"""Building a generation: under the lock, published only when it is whole and still asked for."""

import os
import time
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any, Callable, NamedTuple

from protoprimer.backends.base import Backend
from protoprimer.backends.choosing import select_backend
from protoprimer.backends.declarative import is_declarative
from protoprimer.backends.installed import installed_distributions, metadata_values
from protoprimer.backends.satisfied import unsatisfied_requirement
from protoprimer.errors import BackendError, InstallError
from protoprimer.fault import MENDED_BY_ANOTHER_BACKEND, Fault
from protoprimer.fetch.tools import ToolBox
from protoprimer.project.build_inputs import add_project_inputs
from protoprimer.project.inputs import Inputs
from protoprimer.project.locks_read import marker_environment
from protoprimer.project.plan import Plan, check_choices, prompt_label
from protoprimer.pythons.probe import verify_environment_interpreter
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, Configuration
from protoprimer.store.carried import carry
from protoprimer.store.file_lock import FileLock, disk_failure
from protoprimer.store.fingerprint import Fingerprint, changed_parts, fingerprint_of, input_stamps, path_from
from protoprimer.store.generations import IN_CHECKOUT, Generation, GenerationStore
from protoprimer.store.history import reason_to_build
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, has_file, others_may_not_write, sha256_of, write_atomically
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import owner_of

__all__ = [
    "BuildRequest",
    "InputsChangedError",
    "build_under_lock",
    "environment_lock",
    "is_for_this_run_only",
    "is_made_otherwise",
]


class _NotCreatedError(InstallError):
    """Another backend may be tried."""


class InputsChangedError(InstallError):
    """An input changed after it was read, so this is to be planned anew."""


class BuildRequest(NamedTuple):
    """All that finding or building an environment depends on.

    :param is_second_try: the inputs changed during the first build
    :param planned_again: returns what is asked for by then
    """

    configuration: Configuration
    interpreter: Interpreter
    plan: Plan
    inputs: Inputs
    fingerprint: Fingerprint
    store: GenerationStore
    console: Console
    is_second_try: bool
    planned_again: Callable[[], Any]


def is_for_this_run_only(configuration: Configuration) -> bool:
    """Tell whether this run was asked for another environment than the clone's."""
    return configuration.is_for_once or is_made_otherwise(configuration)


def is_made_otherwise(configuration: Configuration) -> bool:
    """Tell whether this run was asked for another environment than the one that its name stands for."""
    if configuration.cell:
        return True
    # The other options make no other environment.
    asked = {"python", "lock", "resolution", "seed-pip"}.intersection(configuration.leaps["input"])
    return bool(asked)


def environment_lock(configuration: Configuration, console: Console) -> FileLock:
    """Return the lock under which the selected environment is built."""
    directory, name = configuration.state_directory, configuration.environment_name
    path = os.path.join(directory, "lock" if name == DEFAULT_ENVIRONMENT else "lock-" + name)
    return FileLock(
        path, console, configuration.get("lock-timeout"), prepare=lambda: prepare_state_directory(directory)
    )


@others_may_not_write()
def build_under_lock(
    request: BuildRequest, lock: FileLock, backends: "list[type[Backend]]", toolbox: ToolBox
) -> Generation:
    """Return the generation that this run builds, or that another one has built meanwhile."""
    store, known = request.store, request.store.all()
    with lock:
        now = store.newest(request.fingerprint)
        # At what is new, its builder has just looked.
        if now is not None and (now not in known or not (request.plan.rebuild or now.faults())):
            return now
        # Waiting for the lock may have taken minutes.
        _refuse_changed_inputs(request)
        _tell_beforehand(request)
        return _built_by_first_able(request, backends, toolbox)


def _refuse_changed_inputs(request: BuildRequest, is_built: bool = False) -> None:
    inputs, before = request.inputs, request.fingerprint
    files, changed = inputs.stamped(), sorted(filter(os.path.lexists, inputs.absent))
    if not request.is_second_try:
        # They may have had another content meanwhile. The second time the build itself seems to write them.
        changed += [path for path, old, new in zip(files, before.stamps, input_stamps(files)) if old != new]
    if is_built and not changed:
        # What has appeared counts by patterns: scripts also name what they write.
        again = request.planned_again()
        counted = {"file:" + path_from(request.configuration.root, one) for one in again.inputs.matched}
        changed = changed_parts(before.parts, again.fingerprint.parts)
        changed = [name for name in changed if name in before.parts or name in counted]
    if changed:
        names = [name.partition("file:")[2] or name for name in changed[:3]]
        advice = "run again once it no longer changes; remove what the build itself writes, and do not `watch` it"
        raise InputsChangedError("%s changed while the environment was built from it" % ", ".join(names), None, advice)


def _tell_beforehand(request: BuildRequest) -> None:
    configuration, own = request.configuration, request.configuration.own_state_directory
    if request.plan.hint:
        request.console.warn(request.plan.hint)
    if own != configuration.state_directory:
        keeper = owner_of(own if os.path.lexists(own) else configuration.root)
        text = "%s can only be renewed by %s: this environment is kept in %s"
        request.console.say(text % (own, keeper, configuration.state_directory))


def _built_by_first_able(request: BuildRequest, backends: "list[type[Backend]]", toolbox: ToolBox) -> Generation:
    why = reason_to_build(request.store, request.fingerprint, request.plan.rebuild)
    failed = {}  # type: dict[str, str]
    errors = []  # type: list[InstallError]
    while True:
        try:
            backend, why_this = select_backend(
                backends, request.interpreter, request.plan, toolbox, request.console, request.configuration, failed
            )
        except BackendError as error:
            installs = [one for one in errors if not isinstance(one, _NotCreatedError)]
            if not installs:
                raise
            others = [line.strip() for line in error.cause.splitlines()[1:]]
            raise _with_others(installs[0], others) from error
        name = request.configuration.told_environment
        what = "the environment" + name if name else "an environment"
        request.console.say("building %s %s, with %s" % (what, why, why_this))
        try:
            return _built(request, backend)
        except InstallError as error:
            if not _may_another_serve(error):
                raise
            if error.fault is Fault.DISK and backend.leave_full_place():
                continue
            errors.append(error)
            failed[backend.name] = _failure_in_a_line(error)
            if len(backends) == 1:
                raise _with_advice_on_backends(error, request.configuration) from error
            if len(backends) == len(failed):
                raise _with_others(errors[0], list(failed.values())) from error


def _may_another_serve(error: InstallError) -> bool:
    return isinstance(error, _NotCreatedError) or error.fault in MENDED_BY_ANOTHER_BACKEND


def _failure_in_a_line(error: InstallError) -> str:
    line = error.cause.splitlines()[0]
    if error.fault in MENDED_BY_ANOTHER_BACKEND and error.fault is not None:
        line += ": " + error.fault.value
    return line


def _with_others(first: InstallError, others: "list[str]") -> InstallError:
    """Return what one backend met, and in a line each why no other served."""
    lines = [first.cause]
    for one in others:
        if _failure_in_a_line(first) not in one:
            lines.append("  " + one)
    return InstallError("\n".join(lines), first.place, first.advice, first.fault)


def _with_advice_on_backends(error: InstallError, configuration: Configuration) -> InstallError:
    if configuration.get("backend") == "auto":
        return error
    advice = "%s\n  or: take another backend: --backend auto" % error.advice
    return InstallError(error.cause, error.place, advice, error.fault)


def _built(request: BuildRequest, backend: Backend) -> Generation:
    configuration = request.configuration
    path = request.store.begin(request.fingerprint)
    try:
        record = _made(request, backend, path)
        _refuse_changed_inputs(request, is_built=True)
        record.update(
            fingerprint=request.fingerprint.digest,
            parts=request.fingerprint.parts,
            interpreter=request.interpreter.as_dict(),
            python=request.inputs.facts.get("required Python"),
            root=configuration.root,
            kernel=configuration.kernel_path,
            for_this_run_only=is_made_otherwise(configuration),
        )
        return request.store.publish(path, record)
    except BaseException as error:
        request.store.remove(path)
        if isinstance(error, Exception):
            _refuse_changed_inputs(request)
        if isinstance(error, OSError):
            # A full or failing disk is no fault of the code that wrote there.
            raise disk_failure("build the environment", str(error.filename or path), error) from error
        raise


def _made(request: BuildRequest, backend: Backend, path: str) -> "dict[str, object]":
    interpreter, plan, console = request.interpreter, request.plan, request.console
    what = "an environment for %s" % interpreter
    with console.step("creating " + what, "created " + what):
        backend.prompt = prompt_label(request.configuration)
        try:
            backend.create(interpreter, path)
        except InstallError as error:
            raise _NotCreatedError(error.cause, error.place, error.advice, error.fault) from error
        verify_environment_interpreter(path, interpreter, console)
    written = _written_into_checkout(request)
    if written:
        write_atomically(os.path.join(request.store.directory, IN_CHECKOUT), written.encode("ascii"))
    started = time.time()
    with console.step("installing " + plan.summary(), "installed " + plan.summary()) as step:
        backend.install(interpreter, path, plan)
        installed = installed_distributions(path)
        _refuse_unknown_extras(request, installed)
        fault = unsatisfied_requirement(installed, plan, marker_environment(interpreter.executable, console))
        if fault is not None:
            advice = "write the lock anew: " + plan.lock_command if plan.lock else "ask for versions that fit together"
            raise InstallError(fault, plan.lock, advice)
        step.done = "installed " + plan.told_as_installed(installed)
    carried = carry(path, request.configuration, console)
    for project in plan.projects() * bool(written):
        for end in (".py", EXTENSION_SUFFIXES[-1]):
            modules = Inputs().add_matching(project.path, "**/*" + end)
            # The clock that dates files lags.
            carried += [one for one in modules if os.stat(one).st_ctime >= started - 0.02 and content_of(one)]
    return {"backend": backend.name, "in_checkout": written, "carried": carried}


def _refuse_unknown_extras(request: BuildRequest, installed: "dict[str, tuple[str, str]]") -> None:
    # Installers only warn.
    for project in request.plan.projects():
        metadata = project.metadata
        path = installed.get(metadata.normal_name, ("", ""))[1]
        if has_file(path, "METADATA"):
            known = list(metadata.extras) + metadata_values(path, "Provides-Extra")
            check_choices(request.configuration, "install", metadata, project.extras, [], known)


def _written_into_checkout(request: BuildRequest) -> str:
    """Return a name for what builds may write into the checkout, if anything."""
    inputs = Inputs()
    for project in request.plan.projects():
        if project.editable and not is_declarative(project):
            add_project_inputs(project.path, True, inputs)
    parts = fingerprint_of(request.interpreter, inputs, inputs.facts, request.configuration.root).parts
    # Interpreters share it: what is compiled has their names in its own.
    found = sorted(part for part in parts.items() if ":" in part[0])
    return sha256_of(repr(found).encode("utf-8", "surrogateescape"))[:16] if found else ""
