"""Reading pages and files by URL, the way the settings say: proxies, certificates, credentials, patience."""

import os
import sys
import time

from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.console import Console
from protoprimer.system.paths import file_url, path_of_file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any

__all__ = ["UrlReader", "file_url"]

TRIES = 3
SECONDS_TO_CONNECT = 30.0
# PEP 691's negotiation, PEP 503's HTML for indexes that know nothing else.
_ACCEPTED_PAGES = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# Where distributions keep their certificates, for an interpreter that was built to look elsewhere.
_USUAL_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class _TransientError(Exception):
    pass


class UrlReader:
    """Reads URLs the way the settings say; one for the work of a moment."""

    def __init__(self, settings: IndexSettings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._contexts = {}  # type: dict[bool, ssl.SSLContext]

    def links(self, source: str) -> "dict[str, str]":
        """Return file name -> URL for what a directory or page offers; an index without a page offers nothing."""
        from urllib.parse import urljoin

        if source.startswith("file:"):
            path = path_of_file_url(source)
            if os.path.isdir(path):
                if not os.path.isfile(os.path.join(path, "index.html")):
                    return {one: file_url(os.path.join(path, one)) for one in os.listdir(path)}
                source = source.rstrip("/") + "/index.html"
            elif not os.path.exists(path):
                return {}
        content, url, kind = self.read(source, _ACCEPTED_PAGES)
        text = content.decode("utf-8", "replace")
        links = _links_of_json(text) if kind.endswith("json") else _links_of_html(text)
        return {filename: urljoin(url, link) for filename, link in links.items()}

    def read(self, url: str, accept: str = "*/*") -> "tuple[bytes, str, str]":
        """Return content, final URL and media type of a URL; HTTP's 404 is no content.

        :raises OSError: what went wrong, the last time if it was tried again
        """
        for attempt in range(1, TRIES):
            try:
                return self._read_once(url, accept)
            except _TransientError as error:
                self._console.detail("%s: %s (try %d of %d)" % (url, error, attempt, TRIES))
                time.sleep(0.2 * attempt)
        try:
            return self._read_once(url, accept)
        except _TransientError as error:
            raise OSError("%s, tried %d times" % (error, TRIES)) from error

    def _read_once(self, url: str, accept: str) -> "tuple[bytes, str, str]":
        if url.startswith("file:"):
            with open(path_of_file_url(url), "rb") as stream:
                return stream.read(), url, "text/html"
        import http.client
        import socket
        import urllib.error

        try:
            with self._open(url, accept) as response:
                content = self._body(response)
                return content, str(response.geturl()), str(response.headers.get_content_type())
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return b"", url, "text/html"
            needed = {401: ": needs credentials in its URL or in netrc", 403: ": the credentials do not suffice"}
            reason = "HTTP %d %s%s" % (error.code, error.reason, needed.get(error.code, ""))
            raise (_TransientError if error.code >= 500 or error.code in (408, 429) else OSError)(reason) from error
        except urllib.error.URLError as error:
            reason = str(error.reason)
            if "CERTIFICATE_VERIFY_FAILED" in reason:
                against = self._settings.ca_file or "the system's; SSL_CERT_FILE names others"
                reason += " (checked against %s)" % against
            passing = (socket.timeout, ConnectionResetError, ConnectionAbortedError)
            raise (_TransientError if isinstance(error.reason, passing) else OSError)(reason) from error
        except (http.client.HTTPException, ConnectionError, socket.timeout) as error:
            raise _TransientError(str(error) or type(error).__name__) from error

    def _body(self, response: "Any") -> bytes:
        expected = response.headers.get("Content-Length", "")
        content = bytearray()
        while True:
            part = response.read(1 << 18)
            if not part:
                break
            content += part
            self._console.sign_of_life()
        if expected.isdigit() and len(content) < int(expected):
            raise _TransientError("the connection ended after %d of %s bytes" % (len(content), expected))
        if response.headers.get("Content-Encoding") == "gzip":
            import gzip

            return gzip.decompress(bytes(content))
        return bytes(content)

    def _open(self, url: str, accept: str) -> "Any":
        """Open a URL, following redirections by hand: each host is shown its own credentials only."""
        import urllib.error
        from urllib.parse import urljoin

        for _ in range(10):
            try:
                return self._open_one(url, accept)
            except urllib.error.HTTPError as error:
                target = error.headers.get("Location")
                if error.code not in (301, 302, 303, 307, 308) or not target:
                    raise
                error.close()
                if url.startswith("https:") and not urljoin(url, target).startswith("https:"):
                    raise OSError("redirected from HTTPS to %s, refused" % target) from error
                url = urljoin(url, target)
        raise OSError("redirected too often")

    def _open_one(self, url: str, accept: str) -> "Any":
        import base64
        import urllib.request
        from urllib.parse import urlsplit, urlunsplit

        class NoRedirection(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_details: "Any") -> None:
                return None

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise OSError("only http, https and file URLs are read, not %s" % url)
        server = parts.netloc.rpartition("@")[2]
        bare_url = urlunsplit((parts.scheme, server, parts.path, parts.query, ""))
        encoding = "identity" if accept == "*/*" else "gzip"
        headers = {"Accept": accept, "User-Agent": "protoprimer", "Accept-Encoding": encoding}
        request = urllib.request.Request(bare_url, headers=headers)  # noqa: S310 - the scheme was just looked at
        credentials = self._settings.credentials_for(url)
        if credentials:
            token = base64.b64encode(("%s:%s" % credentials).encode("utf-8")).decode("ascii")
            request.add_unredirected_header("Authorization", "Basic " + token)
        proxies = self._settings.proxies
        if urllib.request.proxy_bypass_environment(server, proxies):  # type: ignore[attr-defined]
            proxies = {}
        proxies = {name: url for name, url in proxies.items() if name != "no"}
        handlers = [NoRedirection(), urllib.request.ProxyHandler(proxies)]  # type: list[Any]
        if parts.scheme == "https":
            trusted = bool({server, parts.hostname} & set(self._settings.trusted_hosts))
            context = self._context(trusted)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        return opener.open(request, timeout=self._settings.timeout or SECONDS_TO_CONNECT)

    def _context(self, trusted: bool) -> "ssl.SSLContext":
        if trusted not in self._contexts:
            self._contexts[trusted] = _tls_context(self._settings, trusted)
        return self._contexts[trusted]


def _tls_context(settings: IndexSettings, trusted: bool) -> "ssl.SSLContext":
    try:
        import ssl
    except ImportError as error:
        raise OSError("%s cannot read HTTPS: it was built without ssl" % sys.executable) from error

    bundle = settings.ca_file
    try:
        directory = bundle if bundle and os.path.isdir(bundle) else None
        context = ssl.create_default_context(cafile=None if directory else bundle, capath=directory)
        if not bundle and os.name != "nt" and not ssl.get_default_verify_paths().cafile:
            for usual in filter(os.path.isfile, _USUAL_CA_FILES):
                context.load_verify_locations(usual)
        if settings.client_certificate:
            context.load_cert_chain(settings.client_certificate)
    except OSError as error:
        # ssl does not name the file.
        raise OSError("certificates of %s: %s" % (settings.client_certificate or bundle, error)) from error
    if trusted:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _links_of_json(text: str) -> "dict[str, str]":
    import json

    try:
        return {str(one.get("filename")): str(one.get("url")) for one in json.loads(text).get("files", [])}
    except (AttributeError, TypeError, RecursionError):
        raise ValueError("the page is not what an index answers") from None


def _links_of_html(text: str) -> "dict[str, str]":
    import html
    import re
    from urllib.parse import unquote, urljoin

    # A real parser needs a second for the two megabytes of a large project; the tags of a simple page need none.
    tag = r"<(a|base)\s[^>]*?\bhref\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))"
    found = re.findall(tag, re.sub(r"(?s)<!--.*?-->", "", text), re.IGNORECASE)
    targets = [(kind.lower(), html.unescape("".join(forms)).strip()) for kind, *forms in found]
    base = next((target for kind, target in targets if kind == "base"), "")
    links = [target for kind, target in targets if kind == "a"]
    return {unquote(re.split("[?#]", link)[0].rsplit("/", 1)[-1]): urljoin(base, link) for link in links}
