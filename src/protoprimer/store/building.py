"""Building a generation: under the lock, through one backend, published only when it is whole and still asked for."""

import os

from protoprimer.backends.base import Backend
from protoprimer.backends.choosing import select_backend
from protoprimer.backends.installed import installed_distributions
from protoprimer.backends.satisfied import unsatisfied_requirement
from protoprimer.errors import InstallError
from protoprimer.fetch.tools import ToolBox
from protoprimer.project.inputs import Inputs
from protoprimer.project.locks_read import marker_environment
from protoprimer.project.plan import Plan
from protoprimer.pythons.probe import verify_environment_interpreter
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, Configuration
from protoprimer.store.carried import carry_module
from protoprimer.store.file_lock import FileLock, disk_failure
from protoprimer.store.fingerprint import Fingerprint, changed_parts, fingerprint_of, input_stamps
from protoprimer.store.generations import Generation, GenerationStore
from protoprimer.store.history import reason_to_build
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import owner_of

__all__ = [
    "BuildRequest",
    "InputsChangedError",
    "NotCreatedError",
    "build_under_lock",
    "environment_lock",
    "find_generation",
    "fingerprint_now",
    "is_for_this_run_only",
]

# Grows when this kernel builds other environments from the same inputs.
KERNEL_FORMAT = 3


class NotCreatedError(InstallError):
    """A backend could not even create an empty environment, so another one may be tried: exit code 6."""


class InputsChangedError(InstallError):
    """What an environment is made from changed after it was read, so that it is to be planned anew: exit code 6."""


class BuildRequest:
    """An environment that is asked for: everything that finding or building it depends on.

    :param is_second_try: whether this was planned anew, since the inputs changed during the first build
    """

    def __init__(
        self,
        configuration: Configuration,
        interpreter: Interpreter,
        plan: Plan,
        inputs: Inputs,
        fingerprint: Fingerprint,
        store: GenerationStore,
        console: Console,
        is_second_try: bool,
    ) -> None:
        self.configuration = configuration
        self.interpreter = interpreter
        self.plan = plan
        self.inputs = inputs
        self.fingerprint = fingerprint
        self.store = store
        self.console = console
        self.is_second_try = is_second_try

    def changed_inputs(self) -> "list[str]":
        """Return the inputs that are not what they were when the fingerprint was taken.

        Files that were written anew with the same content may have had another one meanwhile, as when a branch was
        switched back and forth. The second time they are taken for files that the build itself writes.
        """
        appeared = [path for path in self.inputs.absent if os.path.lexists(path)]
        files = self.inputs.stamped()
        stamps = zip(files, self.fingerprint.stamps, input_stamps(files))
        touched = [path for path, before, now in stamps if before != now]
        if touched and self.is_second_try:
            now = fingerprint_now(self.configuration, self.interpreter, self.inputs)
            return appeared + changed_parts(self.fingerprint.parts, now.parts)
        return appeared + touched

    def refuse_changed_inputs(self) -> None:
        """Refuse to go on with a plan of what is no longer so.

        :raises InputsChangedError: an input has changed
        """
        changed = self.changed_inputs()
        if changed:
            names = [name.partition("file:")[2] or os.path.relpath(name, self.configuration.root) for name in changed]
            advice = "keep it still and run again; if the build itself writes it, it cannot be an input (`watch`)"
            cause = "%s changed while the environment was built from it" % ", ".join(names[:3])
            raise InputsChangedError(cause, self.configuration.root, advice)


def is_for_this_run_only(configuration: Configuration) -> bool:
    """Tell whether this run was asked for another environment than the clone's: it speaks for itself only."""
    # The other inputs make no other environment; which backend makes it does not matter either.
    asked = {"python", "lock", "resolution", "seed-pip"}.intersection(configuration.leaps["input"])
    return bool(asked or configuration.cell or configuration.is_for_once)


def environment_lock(configuration: Configuration, console: Console) -> FileLock:
    """Return the lock under which the selected environment is built: different ones can be built at once."""
    directory = configuration.state_directory
    name, seconds = configuration.environment_name, configuration.get("lock-timeout")
    path = os.path.join(directory, "lock" if name == DEFAULT_ENVIRONMENT else "lock-" + name)
    return FileLock(path, console, seconds, prepare=lambda: prepare_state_directory(directory))


def fingerprint_now(configuration: Configuration, interpreter: Interpreter, inputs: Inputs) -> Fingerprint:
    """Return the fingerprint of what the inputs are at this moment."""
    settings = {
        key: configuration.get(key) for key in ("install", "lock", "resolution", "seed-pip", "build-constraints")
    }
    settings.update(inputs.facts)
    return fingerprint_of(interpreter, inputs, settings, configuration.root, KERNEL_FORMAT)


def find_generation(request: BuildRequest) -> "Generation | None":
    """Return the whole generation of what is asked for, if there is one and it is not to be built from scratch."""
    return None if request.plan.rebuild else request.store.find(request.fingerprint)


def build_under_lock(
    request: BuildRequest, lock: FileLock, backends: "list[type[Backend]]", toolbox: ToolBox
) -> Generation:
    """Return the generation that this run builds, or that another one has built while this one waited.

    :raises InstallError: that failed, or an input changed meanwhile; nothing is published (exit code 6)
    """
    store, before = request.store, request.store.find(request.fingerprint)
    with lock:
        now = store.find(request.fingerprint)
        is_others = now is not None and (before is None or now.path != before.path)
        if now is not None and (is_others or not request.plan.rebuild):
            return now
        # Waiting for the lock may have taken minutes.
        request.refuse_changed_inputs()
        _tell_beforehand(request)
        why = reason_to_build(store, request.fingerprint, request.plan.rebuild)
        return _built_by_first_able(request, why, backends, toolbox)


def _tell_beforehand(request: BuildRequest) -> None:
    configuration, console = request.configuration, request.console
    if request.plan.hint:
        console.warn(request.plan.hint)
    own = configuration.own_state_directory
    if own != configuration.state_directory:
        keeper = owner_of(own if os.path.lexists(own) else configuration.root)
        text = "%s can only be renewed by %s: this environment is kept in %s"
        console.say(text % (own, keeper, configuration.state_directory))


def _built_by_first_able(
    request: BuildRequest, why: str, backends: "list[type[Backend]]", toolbox: ToolBox
) -> Generation:
    """Return what the first backend has built that can create an environment on this host."""
    failed = {}  # type: dict[str, str]
    while True:
        backend, why_this = select_backend(
            backends, request.interpreter, request.plan, toolbox, request.console, request.configuration, failed
        )
        request.console.say("building an environment %s, with %s" % (why, why_this))
        try:
            return _built(request, backend)
        except NotCreatedError as error:
            if len(backends) == len(failed) + 1:
                raise
            failed[backend.name] = error.cause.splitlines()[0]


def _built(request: BuildRequest, backend: Backend) -> Generation:
    """Make, fill, check and publish a new generation; what fails is removed, and the error raised again."""
    path = request.store.begin(request.fingerprint)
    try:
        record = _made(request, backend, path)
        request.refuse_changed_inputs()
        record.update(
            fingerprint=request.fingerprint.digest,
            parts=request.fingerprint.parts,
            interpreter=request.interpreter.as_dict(),
            root=request.configuration.root,
            kernel=request.configuration.kernel_path,
            for_this_run_only=is_for_this_run_only(request.configuration),
        )
        return request.store.publish(path, record)
    except BaseException as error:
        request.store.remove(path)
        if isinstance(error, OSError):
            # Whichever file it was: a full or failing disk is no fault of the code that wrote there.
            raise disk_failure("build the environment", str(error.filename or path), error) from error
        raise


def _made(request: BuildRequest, backend: Backend, path: str) -> "dict[str, object]":
    interpreter, console = request.interpreter, request.console
    with console.step("creating an environment for %s" % interpreter, "created an environment for %s" % interpreter):
        try:
            backend.create(interpreter, path)
        except InstallError as error:
            raise NotCreatedError(error.cause, error.place, error.advice) from error
        verify_environment_interpreter(path, interpreter, console)
    plan = request.plan
    with console.step("installing " + plan.summary(), "installed " + plan.summary()) as step:
        record = dict(backend.install(interpreter, path, plan))
        markers = marker_environment(interpreter.executable, console)
        fault = unsatisfied_requirement(path, plan, markers, backend.settings.facts())
        if fault is not None:
            advice = "write the lock anew: " + plan.lock_command if plan.lock else "correct what is asked for"
            raise InstallError(fault, plan.lock or plan.root, advice)
        step.done = "installed " + plan.told_as_installed(installed_distributions(path))
    carry_module(path, request.configuration.kernel_path, console)
    return record
