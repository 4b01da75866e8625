"""Users and passwords of indexes: in URLs, in netrc, in the keyring."""

import os
import re
import sys
from contextlib import suppress

from protoprimer.system.children import STATUS_OF_LATE, run_child
from protoprimer.system.console import Console
from protoprimer.system.paths import program_on_path

__all__ = ["Credentials", "home_path", "server_of", "url_credentials", "without_credentials"]

_SHORTEST_SIGNATURE = 8


class Credentials:
    """Users and passwords of indexes, the main one first, and of other URLs."""

    def __init__(
        self, indexes: "list[str]", others: "list[str]", uses_keyring: bool, environ: "dict[str, str]"
    ) -> None:
        self._indexes = indexes
        self._urls = indexes + others
        self._environ = environ
        self.uses_keyring = uses_keyring
        # Why it is asked no more, for the end of a message.
        self.keyring_fault = ""
        self._keyring_answers = {}  # type: dict[tuple[str, str], str]

    def of_url(self, url: str, ask_keyring: bool = True) -> "tuple[str, str, str] | None":
        """Return user, password and source: a URL itself, a configured one on the same host, netrc, the keyring."""
        server, user = server_of(url), ""
        for known in [url] + self._urls:
            found = url_credentials(known)
            if found and server_of(known) == server:
                if found[1]:
                    return found[0], found[1], "the URL"
                user = user or found[0]
        in_netrc = self._of_netrc(url)
        if in_netrc and user in ("", in_netrc[0]):
            return in_netrc
        if user and self.uses_keyring:
            password = self._of_keyring(url, user) if ask_keyring else ""
            if password is not None:
                return user, password, "the command keyring"
        return (user, "", "the URL") if user else None

    def secrets(self) -> "list[str]":
        """Return what nobody is to see, in each way that it may be spelled."""
        words = set()  # type: set[str]
        for url in self._urls:
            words |= _secrets_of_url(url)
        for name, text in self._environ.items():
            if re.match(r"UV_INDEX_.*_PASSWORD\Z", name):
                words.add(text)
        if words:
            from urllib.parse import quote

            words |= {quote(word, safe="") for word in words}
        return sorted(filter(None, words))

    def _of_keyring(self, url: str, user: str) -> "str | None":
        """Ask the command `keyring` as pip does: for the index, then for its host."""
        server, program = server_of(url), program_on_path("keyring")
        services = [without_credentials(one) for one in self._indexes or [url] if server_of(one) == server]
        for service in services + [server.partition("://")[2]]:
            if program and self.uses_keyring and (service, user) not in self._keyring_answers:
                # It may have to be unlocked by whoever sits at the terminal.
                patience = 60.0 if sys.stderr is not None and sys.stderr.isatty() else 10.0
                # A console without a log: what it prints is the password.
                done = run_child([program, "get", service, user], Console(-1), timeout=patience)
                if done.status == STATUS_OF_LATE:
                    self.uses_keyring = False
                    self.keyring_fault = " (keyring did not answer within %d s)" % patience
                self._keyring_answers[service, user] = done.output.rstrip("\r\n") if done.status == 0 else ""
            if self._keyring_answers.get((service, user)):
                return self._keyring_answers[service, user]
        return None

    def _of_netrc(self, url: str) -> "tuple[str, str, str] | None":
        import netrc
        import urllib.parse

        usual = [home_path(self._environ, name) for name in (".netrc", "_netrc")]
        for path in [self._environ.get("NETRC", "")] + usual:
            with suppress(OSError, ValueError, netrc.NetrcParseError):
                host = urllib.parse.urlsplit(url).hostname
                found = netrc.netrc(path).authenticators(host) if host and os.path.isfile(path) else None
                if found:
                    return found[0], found[2] or "", path
        return None


def home_path(environ: "dict[str, str]", *names: str) -> str:
    """Return a path below the user's home directory."""
    return os.path.join(environ.get("HOME") or os.path.expanduser("~"), *names)


def url_credentials(url: str) -> "tuple[str, str] | None":
    """Return the user and password that a URL holds."""
    from urllib.parse import unquote, urlsplit

    with suppress(ValueError):
        parts = urlsplit(url)
        return None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return None


def _secrets_of_url(url: str) -> "set[str]":
    from urllib.parse import unquote_plus, urlsplit

    found = url_credentials(url)
    if found is None and "?" not in url:
        return set()
    words = set()  # type: set[str]
    with suppress(ValueError):
        parts = urlsplit(url)
        if found is not None:
            words.add(found[1] or found[0])
            # As it is written, which may be neither quoted nor plain.
            user, _, password = parts.netloc.rpartition("@")[0].partition(":")
            words.add(password or user)
        # Signed URLs have their secret there, under names of their own.
        words.add(parts.query)
        for pair in parts.query.split("&"):
            value = pair.partition("=")[2]
            # A short one is a word that may stand anywhere.
            if len(value) >= _SHORTEST_SIGNATURE:
                words |= {value, unquote_plus(value)}
    return words


def without_credentials(url: str) -> str:
    """Return a URL, or other text, without its user and password, and without its query, which may be a signature."""
    url = re.sub("(://)[^/]*@", r"\1", url, count=1)
    return re.sub(r"(://[^?#]*)\?[^#]*", r"\1", url, count=1)


def server_of(url: str) -> str:
    """Return a URL's scheme, host and port; what has none as it is."""
    from urllib.parse import urlsplit

    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.netloc:
            return "%s://%s" % (parts.scheme, parts.netloc.rpartition("@")[2].lower())
    return url
