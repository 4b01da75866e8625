"""`./prime gc`."""

import os

from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.store.cache import collect_cache
from protoprimer.store.file_lock import FileLock
from protoprimer.store.generations import GenerationStore
from protoprimer.system.console import Console

__all__ = ["gc_command"]


def gc_command(
    command_line: CommandLine,
    configuration: Configuration,
    store: GenerationStore,
    lock: FileLock,
    cache_directory: str,
    console: Console,
) -> int:
    """Remove what is no longer used."""
    keep = configuration.get("keep")
    if command_line.has("dry-run"):
        console.say("would keep the newest of each environment: %d" % keep)
        return 0
    removed = []
    if os.path.lexists(configuration.state_directory):
        with lock:
            removed = store.collect(keep, [])
    console.say("removed %d generation%s" % (len(removed), "s" * (len(removed) != 1)))
    number = collect_cache(cache_directory)
    if number:
        console.say("removed from the cache: %d" % number)
    return 0
