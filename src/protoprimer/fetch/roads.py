"""What closed a road to a tool, told by kind, and what would open it."""

from protoprimer.system.console import mask_urls

__all__ = ["RoadClosed", "RoadRecord", "server_of"]

# What opens each kind of closed road; `%(server)s` is whom we asked, `%(file)s` what for.
_OPENS = {
    "not found": "let %(server)s serve %(file)s, or put that file into a directory of find-links",
    "web page": "sign in to this network, or correct the URL: %(server)s answers with a page for people",
    "refused": "give credentials for %(server)s in its URL, netrc or keyring, or ask for access to %(file)s",
    "blocked": "let this host reach %(server)s, or set proxy or index-url to what it can reach",
    "TLS": "name the certificates of your authority: PIP_CERT or SSL_CERT_FILE is the path of that file",
    "other bytes": "let %(server)s serve the very file that is pinned: %(file)s",
    "offline": "run without --offline, or put %(file)s into a directory of find-links",
}


class RoadClosed(OSError):
    """Something could not be read, and why.

    :param kind: a key of the table above; empty where nothing better is known
    :param closes_server: whether there is no use in asking this server for anything else
    """

    def __init__(self, kind: str, detail: str, closes_server: bool = False) -> None:
        super().__init__("%s (%s)" % (detail, kind) if kind and kind not in detail else detail)
        self.kind = kind
        self.closes_server = closes_server


class RoadRecord:
    """One place that was tried for a file in vain.

    :param tool: name of the distribution
    :param filename: what was wanted of it
    :param tried: URL or directory; it is kept without its credentials, as the error is
    :param error: what happened there
    """

    def __init__(self, tool: str, filename: str, tried: str, error: Exception) -> None:
        self.tool = tool
        self.tried = mask_urls(tried)
        self.closed = str(getattr(error, "kind", ""))
        self.detail = mask_urls("%s: %s" % (tried, str(error) or type(error).__name__))
        opens = _OPENS.get(self.closed.replace("timed out", "blocked"), "")
        self.opens = opens % {"server": server_of(tried), "file": filename}

    def as_document(self) -> "dict[str, str]":
        """Return the record as `check --json` tells it."""
        return dict(vars(self))


def server_of(url: str) -> str:
    """Return scheme, host and port of a URL, without credentials; a directory as it is."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return "%s://%s" % (parts.scheme, parts.netloc.rpartition("@")[2]) if parts.netloc else url
