"""Building a generation: under the lock, through one backend, published only when it is whole."""

import os

from protoprimer.backends.base import Backend
from protoprimer.errors import InstallError
from protoprimer.formats.versions import PythonRequest
from protoprimer.project.plan import Plan
from protoprimer.pythons.choice import interpreter_misfit
from protoprimer.pythons.probe import (
    ORIGIN_OF_WILD,
    probe_interpreter,
    verify_environment_interpreter,
)
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, Configuration
from protoprimer.store.carried import carry_module
from protoprimer.store.file_lock import FileLock, disk_failure
from protoprimer.store.fingerprint import Fingerprint, fingerprint_of, input_stamps
from protoprimer.store.generations import Generation, GenerationStore
from protoprimer.store.state_directory import prepare_state_directory
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NotCreatedError",
    "build_generation",
    "environment_lock",
    "fingerprint_now",
    "interpreter_of_last_generation",
    "is_steered",
]

KERNEL_FORMAT = 2


class NotCreatedError(InstallError):
    """A backend could not even create an empty environment, so another one may be tried: exit code 6."""


def is_steered(configuration: Configuration) -> bool:
    """Tell whether this run was asked for another environment than the clone's: it speaks for itself only."""
    # The other inputs make no other environment; which backend makes it does not matter either.
    asked = {"python", "lock", "resolution", "seed-pip"}.intersection(configuration.leaps["input"])
    return bool(asked or configuration.cell or configuration.is_for_once)


def interpreter_of_last_generation(
    store: GenerationStore, request: PythonRequest, cache_directory: str, console: Console
) -> "Interpreter | None":
    """Return what the last generation was made from, if it is still there and is what is asked for."""
    records = [store.last_record()] + [generation.record for generation in reversed(store.all())]
    known = next((record.get("interpreter") for record in records if record and not record.get("steered")), None)
    if not isinstance(known, dict) or not os.path.exists(str(known.get("executable"))):
        return None
    probed = probe_interpreter(str(known["executable"]), cache_directory, console, str(known.get("origin") or ""))
    if isinstance(probed, InterpreterRefusal):
        return None
    return probed if interpreter_misfit(probed, request, probed.origin == ORIGIN_OF_WILD) is None else None


def environment_lock(configuration: Configuration, console: Console) -> FileLock:
    """Return the lock under which the selected environment is built: different ones can be built at once."""
    directory = configuration.state_directory
    name, seconds = configuration.environment_name, configuration.get("lock-timeout")
    path = os.path.join(directory, "lock" if name == DEFAULT_ENVIRONMENT else "lock-" + name)
    return FileLock(path, console, seconds, prepare=lambda: prepare_state_directory(directory))


def fingerprint_now(
    configuration: Configuration, interpreter: Interpreter, inputs: "tuple[list[str], list[str]]"
) -> Fingerprint:
    """Return the fingerprint of what the inputs are at this moment."""
    settings = {
        key: configuration.get(key) for key in ("install", "lock", "resolution", "seed-pip", "build-constraints")
    }
    return fingerprint_of(interpreter, inputs[0], settings, configuration.root, KERNEL_FORMAT)


def build_generation(
    configuration: Configuration,
    interpreter: Interpreter,
    plan: Plan,
    inputs: "tuple[list[str], list[str]]",
    fingerprint: Fingerprint,
    store: GenerationStore,
    backend: Backend,
    console: Console,
) -> Generation:
    """Make, fill, check and publish a new generation; what fails is removed and raised again (exit codes 5 and 6).

    :raises NotCreatedError: the backend failed before anything was installed
    """

    def make(path: str) -> "dict[str, object]":
        with console.step("created an environment for %s" % interpreter):
            try:
                backend.create(interpreter, path)
            except InstallError as error:
                raise NotCreatedError(error.cause, error.place, error.advice) from error
            verify_environment_interpreter(path, interpreter, console)
        with console.step("installed %s" % plan.summary()):
            facts = backend.install(interpreter, path, plan)
        carry_module(path, configuration.kernel_path, console)
        return facts

    return _published(configuration, interpreter, inputs, fingerprint, store, make)


def _published(
    configuration: Configuration,
    interpreter: Interpreter,
    inputs: "tuple[list[str], list[str]]",
    fingerprint: Fingerprint,
    store: GenerationStore,
    make: "Callable[[str], dict[str, object]]",
) -> Generation:
    path = store.begin(fingerprint)
    try:
        facts = make(path)
        # A build that changes its own inputs would be repeated for ever: the store tells such a fault by these parts.
        is_same = input_stamps(inputs[0]) == fingerprint.stamps
        after = fingerprint if is_same else fingerprint_now(configuration, interpreter, inputs)
        record = dict(facts, fingerprint=fingerprint.digest, parts=fingerprint.parts, parts_after=after.parts)
        record.update(interpreter=interpreter.as_dict(), root=configuration.root, kernel=configuration.kernel_path)
        record.update(steered=is_steered(configuration))
        return store.publish(path, record)
    except BaseException as error:
        store.abandon(path)
        if isinstance(error, OSError):
            # Whichever file it was: a full or failing disk is no fault of the code that wrote there.
            raise disk_failure("build the environment", str(error.filename or path), error) from error
        raise
