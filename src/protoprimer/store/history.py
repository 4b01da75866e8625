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
    records = [_record_in_use(store)] + store.records()
    record = next((one for one in records if not one.get("for_this_run_only")), {})
    known = record.get("interpreter", {})
    if record.get("python") != request.text or not os.path.exists(str(known.get("executable"))):
        return None
    probed = probe_interpreter(str(known["executable"]), cache_directory, console, str(known.get("origin") or ""))
    if isinstance(probed, InterpreterRefusal) or interpreter_misfit(probed, request, probed.origin == ORIGIN_OF_WILD):
        return None
    return probed


def reason_to_build(store: GenerationStore, fingerprint: Fingerprint, from_scratch: bool = False) -> str:
    """Return why there is something to build: `because ...`, or `from scratch ...`."""
    if from_scratch:
        return "from scratch, as asked"
    before = _record_in_use(store)
    reason = _difference(store, before, fingerprint) if before else "because nothing was built yet"
    return reason + ", and the last build was interrupted" * store.was_interrupted()


def _record_in_use(store: GenerationStore) -> "dict[str, Any]":
    used = record_of(read_ready(store.state_directory).get("environment"))
    return used if used.get("environment") == store.environment_name else next(iter(store.records()), {})


def _difference(store: GenerationStore, before: "dict[str, Any]", fingerprint: Fingerprint) -> str:
    base = str(before.get("interpreter", {}).get("executable") or "")
    if base and not os.path.exists(base):
        return "because its base interpreter %s is gone" % base
    changed = explain_change(before.get("parts", {}), fingerprint.parts)
    if changed:
        return changed
    current = store.newest(fingerprint)
    faults = current.faults() if current is not None else ["the environment is gone"]
    return "because %s" % (faults[0] if faults else "it is wanted anew")


def refuse_what_is_gone(plan: Plan, store: GenerationStore) -> None:
    """Refuse to install nothing since a file of the last environment is gone."""
    if plan.steps or plan.is_configured:
        return
    parts = _record_in_use(store).get("parts", {})
    for name in METADATA_FILES + ("requirements.txt",):
        if "file:" + name in parts and not os.path.exists(os.path.join(plan.root, name)):
            cause = "%s, from which the environment was made, is gone, and there is nothing else to install" % name
            raise ConfigurationError(cause, None, "put it back, or say install = [] in the configuration")
