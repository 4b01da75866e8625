"""Which interpreter an environment was made from the last time, so that another wild Python changes nothing."""

import os

from protoprimer.formats.versions import PythonRequest
from protoprimer.pythons.choice import interpreter_misfit
from protoprimer.pythons.probe import ORIGIN_OF_WILD, probe_interpreter
from protoprimer.store.generations import GenerationStore
from protoprimer.system.console import Console
from protoprimer.system.interpreter import Interpreter, InterpreterRefusal

__all__ = ["interpreter_of_last_generation"]


def interpreter_of_last_generation(
    store: GenerationStore, request: PythonRequest, cache_directory: str, console: Console
) -> "Interpreter | None":
    """Return what the last generation was made from, if it is still there and is what is asked for."""
    records = [store.last_record()] + [generation.record for generation in reversed(store.all())]
    own = (record for record in records if record and not record.get("for_this_run_only"))
    known = next((record.get("interpreter") for record in own), None)
    if not isinstance(known, dict) or not os.path.exists(str(known.get("executable"))):
        return None
    probed = probe_interpreter(str(known["executable"]), cache_directory, console, str(known.get("origin") or ""))
    if isinstance(probed, InterpreterRefusal):
        return None
    return probed if interpreter_misfit(probed, request, probed.origin == ORIGIN_OF_WILD) is None else None
