"""`./prime gc`: removes what nobody uses any more."""

import os

from protoprimer.fetch.wheels import remove_unused
from protoprimer.graph import StateGraph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.settings.command_line import CommandLine
    from protoprimer.settings.configuration import Configuration

__all__ = ["gc_command"]

_SECONDS_KEPT_UNUSED = 30 * 24 * 3600


def gc_command(graph: StateGraph) -> int:
    """Remove generations that no process uses and wheels that nobody used for a month."""
    line: "CommandLine" = graph.evaluate("command_line")
    configuration: "Configuration" = graph.evaluate("configuration")
    store, console = graph.evaluate("store"), graph.evaluate("console")
    keep = configuration.get("keep")
    if line.has("dry-run"):
        console.say("would keep %d generations of each environment" % keep)
        return 0
    removed = []
    if os.path.lexists(configuration.state_directory):
        with graph.evaluate("lock"):
            removed = store.collect(keep, [])
    console.say("removed %d generation%s" % (len(removed), "" if len(removed) == 1 else "s"))
    cache = graph.evaluate("cache_directory")
    number = sum(remove_unused(os.path.join(cache, name), _SECONDS_KEPT_UNUSED) for name in ("pins",))
    if number:
        console.say("removed %d wheel%s from the cache" % (number, "" if number == 1 else "s"))
    return 0
