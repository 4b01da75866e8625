"""`./prime gc`: removes what nobody uses any more."""

import os

from protoprimer.fetch.wheels import remove_unused
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.store.file_lock import FileLock
from protoprimer.store.generations import GenerationStore
from protoprimer.system.console import Console

__all__ = ["gc_command"]

_SECONDS_KEPT_UNUSED = 30 * 24 * 3600


def gc_command(
    command_line: CommandLine,
    configuration: Configuration,
    store: GenerationStore,
    lock: FileLock,
    cache_directory: str,
    console: Console,
) -> int:
    """Remove generations that no process uses and wheels that nobody used for a month."""
    keep = configuration.get("keep")
    if command_line.has("dry-run"):
        console.say("would keep %d generations of each environment" % keep)
        return 0
    removed = []
    if os.path.lexists(configuration.state_directory):
        with lock:
            removed = store.collect(keep, [])
    console.say("removed %d generation%s" % (len(removed), "" if len(removed) == 1 else "s"))
    number = sum(remove_unused(os.path.join(cache_directory, name), _SECONDS_KEPT_UNUSED) for name in ("pins",))
    if number:
        console.say("removed %d wheel%s from the cache" % (number, "" if number == 1 else "s"))
    return 0
