"""What closed a road to a tool, and what would open it."""

from typing import NamedTuple

from protoprimer.fault import Fault
from protoprimer.settings.credentials import server_of
from protoprimer.system.console import mask_urls

__all__ = ["Absence", "RoadClosed", "RoadRecord", "road_record"]

_REACH = "let this host reach %(server)s, or set proxy or index-url to what it can reach"
# By the kind of a closed road; `%(server)s` is whom we asked, `%(file)s` what for.
_OPENS = {
    "not found": "let %(server)s serve %(file)s, or put that file into a directory of find-links",
    "web page": "sign in to this network, or correct the URL: %(server)s answers with a page for people",
    "refused": "give credentials for %(server)s in its URL, netrc or keyring, or ask for access to %(file)s",
    "blocked": _REACH,
    "timed out": _REACH,
    "TLS": "name the certificates of your authority: PIP_CERT or SSL_CERT_FILE is the path of that file",
    "other bytes": "let %(server)s serve the very file that is pinned: %(file)s",
    "offline": "run without --offline, or put %(file)s into a directory of find-links",
}


class RoadClosed(OSError):
    """Something could not be read; `kind` is a key of the table above, or empty."""

    def __init__(self, kind: str, detail: str, closes_server: bool = False) -> None:
        super().__init__("%s (%s)" % (detail, kind) if kind and kind not in detail else detail)
        self.kind = kind
        # Then there is no use in asking this server for anything else.
        self.closes_server = closes_server
        # Who closed it, where we were redirected.
        self.server = ""


class RoadRecord(NamedTuple):
    """One place that was tried in vain, as `check --json` tells it."""

    tool: str
    tried: str
    closed: str
    detail: str
    opens: str


def road_record(tool: str, filename: str, tried: str, error: Exception) -> RoadRecord:
    """Return the record of an error at a URL or directory, without credentials."""
    asked = server_of(tried)
    server = asked
    closed = ""
    if isinstance(error, RoadClosed):
        closed = error.kind
        if error.server:
            server = error.server
    said = str(error) or type(error).__name__
    if server == asked:
        detail = "%s: %s" % (tried, said)
    else:
        detail = "%s (redirected to %s): %s" % (tried, server, said)
    opens = _OPENS.get(closed, "") % {"server": server, "file": filename}
    return RoadRecord(tool, mask_urls(tried), closed, mask_urls(detail), opens)


class Absence(NamedTuple):
    """One reason why a tool is absent; in short where another one serves."""

    fault: Fault
    told: str
    in_short: str
