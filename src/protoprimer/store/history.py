"""What earlier builds tell of the next one."""

import os
from typing import Any

from protoprimer.errors import ConfigurationError
from protoprimer.formats.versions import PythonRequest
from protoprimer.project.metadata import METADATA_FILES
from protoprimer.project.plan import Plan
from protoprimer.pythons.choice import interpreter_misfit
from protoprimer.pythons.probe import ORIGIN_OF_WILD, probe_interpreter
from protoprimer.store.fingerprint import Fingerprint, explain_change
from protoprimer.store.generations import GenerationStore, record_of
from protoprimer.store.ready import read_ready
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal

__all__ = ["interpreter_of_last_generation", "reason_to_build", "refuse_what_is_gone"]


def interpreter_of_last_generation(
    store: GenerationStore, request: PythonRequest, cache_directory: str, console: Console
) -> "Interpreter | None":
    """Return what the generation in use was made from, if the same Python is still asked for."""
    record = _last_lasting_record(store)
    known = record.get("interpreter", {})
    executable = str(known.get("executable"))
    if record.get("python") != request.text or not os.path.exists(executable):
        return None
    origin = str(known.get("origin") or "")
    probed = probe_interpreter(executable, cache_directory, console, origin)
    if isinstance(probed, InterpreterRefusal):
        return None
    misfit = interpreter_misfit(probed, request, is_wild=origin == ORIGIN_OF_WILD)
    if misfit is not None:
        return None
    return probed


def _last_lasting_record(store: GenerationStore) -> "dict[str, Any]":
    """Return the record of the generation in use, or of the newest, but of none that was chosen for one run."""
    for record in [_record_in_use(store)] + store.records():
        if not record.get("for_this_run_only"):
            return record
    return {}


def reason_to_build(store: GenerationStore, fingerprint: Fingerprint, from_scratch: bool = False) -> str:
    """Return why there is something to build: `because ...`, or `from scratch ...`."""
    if from_scratch:
        return "from scratch, as asked"
    before = _record_in_use(store)
    if before:
        reason = _difference(store, before, fingerprint)
    else:
        reason = "because nothing was built yet"
    if store.was_interrupted():
        reason += ", and the last build was interrupted"
    return reason


def _record_in_use(store: GenerationStore) -> "dict[str, Any]":
    """Return the record of the generation that `ready` names, else of the newest; an empty one if there is none."""
    used = record_of(read_ready(store.state_directory).get("environment"))
    if used.get("environment") == store.environment_name:
        return used
    for newest in store.records():
        return newest
    return {}


def _difference(store: GenerationStore, before: "dict[str, Any]", fingerprint: Fingerprint) -> str:
    base = str(before.get("interpreter", {}).get("executable") or "")
    if base and not os.path.exists(base):
        return "because its base interpreter %s is gone" % base
    changed = explain_change(before.get("parts", {}), fingerprint.parts)
    if changed:
        return changed
    current = store.newest(fingerprint)
    if current is None:
        return "because the environment is gone"
    faults = current.faults()
    if faults:
        return "because %s" % faults[0]
    return "because it is wanted anew"


def refuse_what_is_gone(plan: Plan, store: GenerationStore) -> None:
    """Refuse to install nothing since a file of the last environment is gone."""
    if plan.steps or plan.is_configured:
        return
    parts = _record_in_use(store).get("parts", {})
    for name in METADATA_FILES + ("requirements.txt",):
        if "file:" + name in parts and not os.path.exists(os.path.join(plan.root, name)):
            cause = "%s, from which the environment was made, is gone, and there is nothing else to install" % name
            raise ConfigurationError(cause, None, "put it back, or say install = [] in the configuration")
