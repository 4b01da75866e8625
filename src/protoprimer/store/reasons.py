"""Why there is something to build, told against the environment that was in use."""

import os

from protoprimer.errors import ConfigurationError
from protoprimer.project.metadata import METADATA_FILES
from protoprimer.project.plan import Plan
from protoprimer.store.fingerprint import Fingerprint, explain_change
from protoprimer.store.generations import GenerationStore
from protoprimer.store.ready import read_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["reason_to_build", "refuse_what_is_gone"]


def reason_to_build(store: GenerationStore, fingerprint: Fingerprint, from_scratch: bool = False) -> str:
    """Return in one line why there is something to build, beginning with `because` or `from scratch`."""
    if from_scratch:
        return "from scratch, as asked"
    interrupted = store.was_interrupted(fingerprint)
    before = _record_in_use(store)
    if not before:
        return "because the last build was interrupted" if interrupted else "because nothing was built yet"
    reason = _difference(store, before, fingerprint)
    return reason + (", and the last build was interrupted" if interrupted else "")


def _record_in_use(store: GenerationStore) -> "dict[str, Any]":
    """Return the record of the environment that this clone used until now, else of the one that was built last."""
    ready = read_ready(store.state_directory)
    used = store.record_of(ready["environment"], ready["fingerprint"]) if ready is not None else {}
    return used or store.last_record()


def _difference(store: GenerationStore, before: "dict[str, Any]", fingerprint: Fingerprint) -> str:
    base = str(before.get("interpreter", {}).get("executable") or "")
    if base and not os.path.exists(base):
        return "because its base interpreter %s is gone" % base
    changed = explain_change(before["parts"], fingerprint.parts)
    if changed:
        return changed
    current = store.newest(fingerprint)
    fault = store.is_intact(current) if current is not None else "the environment is gone"
    return "because %s" % (fault or "it is wanted anew")


def refuse_what_is_gone(plan: Plan, store: GenerationStore) -> None:
    """Refuse to install nothing where that is because a file is gone that the environment was made from.

    :raises ConfigurationError: exit code 3
    """
    if plan.steps or plan.is_configured:
        return
    parts = _record_in_use(store).get("parts", {})
    for name in METADATA_FILES + ("requirements.txt",):
        if "file:" + name in parts and not os.path.exists(os.path.join(plan.root, name)):
            cause = "%s is gone, from which the environment was made, and there is nothing else to install" % name
            raise ConfigurationError(cause, plan.root, "put it back, or say install = [] in the configuration")
