"""Reading pages and files by URL, the way the settings say: proxies, certificates, credentials, patience."""

import functools
import importlib.util
import io
import json
import os
import re
import sys
import time
from typing import Any, BinaryIO

from protoprimer.fetch.roads import RoadClosed
from protoprimer.settings.credentials import server_of
from protoprimer.settings.index_settings import IndexSettings, read_index_settings
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.files import paths_in
from protoprimer.system.paths import directories_on_path, file_url, path_of_file_url

__all__ = ["UrlReader", "read_for_another_python"]

TRIES = 3
SECONDS_TO_CONNECT = 30.0
MOST_SECONDS_TO_WAIT = 60.0
# The largest page of the public index has some 30 MB, the largest tool 30 MB.
MOST_BYTES_OF_PAGE = 64 << 20
MOST_BYTES_OF_FILE = 256 << 20
_ENDS_OF_FILES = (".whl", ".gz", ".zip", ".egg", ".bz2", ".xz", ".tgz")
# PEP 691's negotiation, PEP 503's HTML for indexes that know nothing else.
_ACCEPTED_PAGES = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# For an interpreter that was built to look elsewhere.
_USUAL_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

# This file is a module of the package or the joined kernel.
_READ_FOR_ANOTHER = """\
import os, runpy, sys
sys.path.append(os.path.join(os.path.dirname(sys.argv[1]), "..", ".."))
runpy.run_path(sys.argv[1])["read_for_another_python"]()
"""


class _TransientError(Exception):
    """Worth another try, after `pause` seconds if the server asks for that."""

    pause = None  # type: float | None


class UrlReader:
    """Reads URLs the way the settings say; one for a whole run, as it remembers which servers do not answer."""

    def __init__(self, settings: IndexSettings, console: Console) -> None:
        self.settings = settings
        # Then files are asked for by HEAD.
        self.only_looks = False
        self._console = console
        self._context = functools.lru_cache(None)(functools.partial(_tls_context, settings))
        self._closed_servers = {}  # type: dict[str, RoadClosed]

    def links(self, source: str) -> "dict[str, str]":
        """Return file name -> URL for what a directory or page offers; an `OSError` if it lists no files."""
        from urllib.parse import urljoin

        directory = path_of_file_url(source)
        if os.path.isdir(directory):
            source = file_url(os.path.join(directory, "index.html"))
            if not os.path.isfile(path_of_file_url(source)):
                return {one: file_url(os.path.join(directory, one)) for one in os.listdir(directory)}
        page = io.BytesIO()
        kind, url = self.read(source, page, True)
        text = page.getvalue().decode("utf-8", "replace")
        links = _links_of_json(text) if kind.endswith("json") else _links_of_html(text)
        if not source.startswith("file:") and not any(name.endswith(_ENDS_OF_FILES) for name in links):
            raise RoadClosed("web page", "a web page that lists no files")
        found = {filename: urljoin(url, link) for filename, link in links.items()}
        if not source.startswith("file:"):
            # A server chooses no file of this host.
            found = {filename: link for filename, link in found.items() if not link.startswith("file:")}
        return found

    def read(self, url: str, target: BinaryIO, is_page: bool = False) -> "tuple[str, str]":
        """Write a URL's content to `target`, which is empty; return media type and final URL, or raise an `OSError`.

        A transfer that was cut off goes on where it ended, if the server can do that.
        """
        import shutil

        if url.startswith("file:"):
            path = path_of_file_url(url)
            # A FIFO would be waited for, a device read without end.
            if os.path.exists(path) and not os.path.isfile(path):
                raise RoadClosed("refused", "not a regular file")
            try:
                with open(path, "rb") as stream:
                    shutil.copyfileobj(stream, target)
            except FileNotFoundError as error:
                raise RoadClosed("not found", "not found") from error
            return "", url
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._read_once(url, target, is_page)
            except _TransientError as error:
                if attempt == TRIES:
                    raise RoadClosed("", "%s, tried %d times" % (error, TRIES)) from error
                self._console.detail("%s: %s (try %d of %d)" % (url, error, attempt, TRIES))
                time.sleep(0.2 * attempt if error.pause is None else min(error.pause, MOST_SECONDS_TO_WAIT))

    def _read_by_another_python(self, url: str, target: BinaryIO, is_page: bool) -> "tuple[str, str]":
        import shutil
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="protoprimer-") as content:
            asked = json.dumps([self.settings.root, url, content.name, is_page, self.only_looks])
            paths = [path for directory in directories_on_path() for path in paths_in(directory)]
            for python in filter(re.compile(r".*[/\\]python3(\.\d+)?(\.exe)?\Z").match, paths):
                command = [python, "-I", "-c", _READ_FOR_ANOTHER, os.path.abspath(__file__)]
                # The variables say where the indexes are.
                done = run_child(command, self._console, environ=dict(os.environ), input_text=asked)
                if done.status == 0:
                    answer = json.loads(done.output)
                    if len(answer) == 3:
                        raise RoadClosed(*answer)
                    shutil.copyfileobj(content, target)
                    return answer[0], answer[1]
        raise RoadClosed("TLS", "%s cannot read HTTPS: it was built without ssl, as all on PATH" % sys.executable)

    def _read_once(self, url: str, target: BinaryIO, is_page: bool, redirections: int = 10) -> "tuple[str, str]":
        server = server_of(url)
        if server in self._closed_servers:
            raise self._closed_servers[server]
        try:
            if url.startswith("https:") and importlib.util.find_spec("_ssl") is None:
                return self._read_by_another_python(url, target, is_page)
            kind, moved = self._answer(url, target, is_page, redirections)
        except RoadClosed as closed:
            closed.server = server
            if closed.closes_server:
                self._closed_servers[server] = closed
            raise
        return (kind, url) if moved is None else self._read_once(moved, target, is_page, redirections - 1)

    def _answer(self, url: str, target: BinaryIO, is_page: bool, redirections: int) -> "tuple[str, str | None]":
        import http.client
        import socket
        import zlib
        from urllib.error import URLError
        from urllib.parse import urljoin

        try:
            with self._open(url, is_page, target.tell()) as response:
                if response.status in (200, 206):
                    if is_page or not self.only_looks:
                        self._receive(response, target, MOST_BYTES_OF_PAGE if is_page else MOST_BYTES_OF_FILE)
                    return str(response.headers.get_content_type()), None
                if response.status not in (301, 302, 303, 307, 308) or not redirections:
                    raise self._error_of_status(url, response)
                moved = urljoin(url, response.headers.get("Location") or "")
        except (URLError, socket.timeout) as error:
            raise self._error_of_connection(getattr(error, "reason", error)) from error
        except (http.client.HTTPException, ConnectionError, EOFError, zlib.error) as error:
            raise _TransientError(str(error) or type(error).__name__) from error
        if url.startswith("https:") and not moved.startswith("https:"):
            raise RoadClosed("refused", "redirected from HTTPS to %s, refused" % moved)
        return "", moved

    def _error_of_status(self, url: str, response: Any) -> Exception:
        status, reason = response.status, "HTTP %d %s" % (response.status, response.reason)
        if status >= 500 or status in (408, 429):
            transient, pause = _TransientError(reason), response.headers.get("Retry-After", "")
            transient.pause = float(pause) if pause.isdigit() else None
            return transient
        if status in (404, 410):
            return RoadClosed("not found", reason)
        if status == 401:
            reason += ": needs credentials in its URL, netrc or keyring" + self.settings.credentials.keyring_fault
        elif status == 403 and self.settings.credentials.of_url(url):
            reason += ": the credentials do not suffice" + self.settings.credentials.keyring_fault
        elif status == 403:
            reason += ": it refuses this file, this program or this host" + self.settings.credentials.keyring_fault
        return RoadClosed("refused", reason, closes_server=status == 407)

    def _error_of_connection(self, reason: "str | BaseException") -> Exception:
        import socket

        kind, said = "blocked", str(reason)
        if isinstance(reason, (ConnectionResetError, ConnectionAbortedError)):
            return _TransientError(said)
        if isinstance(reason, socket.timeout):
            kind = said = "timed out"
        elif "CERTIFICATE_VERIFY_FAILED" in said:
            kind, against = "TLS", self.settings.ca_file or "the system's; SSL_CERT_FILE names others"
            said += " (checked against %s)" % against
        elif "SSL" in type(reason).__name__:
            kind = "TLS"
        elif "407" in said:
            kind, said = "refused", "the proxy wants a password: " + said
        return RoadClosed(kind, said, closes_server=True)

    def _receive(self, response: Any, target: BinaryIO, most: int) -> None:
        import gzip

        start = target.tell()
        if start and response.status != 206:
            start = 0
            target.seek(0)
            target.truncate()
        is_packed = response.headers.get("Content-Encoding") == "gzip"
        length = response.headers.get("Content-Length", "")
        received, since = 0, time.monotonic()
        expected = int(length) if length.isdigit() and not is_packed else 0
        source = gzip.GzipFile(fileobj=response) if is_packed else response
        for part in iter(lambda: source.read(1 << 18), b""):
            received += len(part)
            if start + received > most:
                raise RoadClosed("web page", "more than %d MB, which it cannot be" % (most >> 20))
            target.write(part)
            self._console.transferred(received, expected, since)
        if received < expected:
            raise _TransientError("the connection ended after %d of %d bytes" % (received, expected))

    def _open(self, url: str, is_page: bool, start: int) -> Any:
        """Follow no redirection: each host has its own credentials, proxy and trust."""
        import base64
        import urllib.parse
        import urllib.request

        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise OSError("only http, https and file URLs are read, not %s" % url)
        server, proxies = parts.netloc.rpartition("@")[2], self.settings.proxies
        headers = {"User-Agent": "protoprimer"}
        if is_page:
            headers.update({"Accept": _ACCEPTED_PAGES, "Accept-Encoding": "gzip"})
        elif start:
            headers["Range"] = "bytes=%d-" % start
        credentials = self.settings.credentials.of_url(url)
        if credentials:
            token = base64.b64encode(("%s:%s" % credentials[:2]).encode("utf-8")).decode("ascii")
            headers["Authorization"] = "Basic " + token
        bare_url = parts._replace(netloc=server, fragment="").geturl()
        method = "HEAD" if self.only_looks and not is_page else "GET"
        request = urllib.request.Request(bare_url, headers=headers, method=method)  # noqa: S310 - the scheme was just looked at
        is_direct = urllib.request.proxy_bypass_environment(server, proxies)  # type: ignore[attr-defined]
        proxies = {} if is_direct else {name: one for name, one in proxies.items() if name != "no"}
        opener = urllib.request.OpenerDirector()
        opener.add_handler(urllib.request.ProxyHandler(proxies))
        opener.add_handler(urllib.request.HTTPHandler())
        if parts.scheme == "https":
            trusted = bool({server, parts.hostname} & set(self.settings.trusted_hosts))
            opener.add_handler(urllib.request.HTTPSHandler(context=self._context(trusted)))
        return opener.open(request, timeout=self.settings.timeout or SECONDS_TO_CONNECT)


def read_for_another_python() -> None:
    """Read what stdin asks for, as JSON, into a file; print media type and URL, or what a `RoadClosed` is made of."""
    import ssl  # noqa: F401 - whoever has not is not asked again

    root, url, path, is_page, only_looks = json.load(sys.stdin)
    answer = ()  # type: tuple[object, ...]
    try:
        with open(path, "w+b") as target:
            reader = UrlReader(read_index_settings(root), Console(-1))
            reader.only_looks = only_looks
            answer = reader.read(url, target, is_page)
    except OSError as error:
        answer = (getattr(error, "kind", ""), str(error), getattr(error, "closes_server", False))
    print(json.dumps(answer))


def _tls_context(settings: IndexSettings, trusted: bool) -> Any:
    import ssl

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
        said = "the certificates of %s cannot be loaded: %s" % (settings.client_certificate or bundle, error.strerror)
        raise RoadClosed("TLS", said) from error
    if trusted:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _links_of_json(text: str) -> "dict[str, str]":
    try:
        return {str(one.get("filename")): str(one.get("url")) for one in json.loads(text).get("files", [])}
    except (AttributeError, TypeError, RecursionError):
        raise ValueError("the page is not what an index answers") from None


def _links_of_html(text: str) -> "dict[str, str]":
    import html
    from urllib.parse import unquote

    # A real parser needs a second for the two megabytes of a large project.
    found = re.findall(r"(?is)<a\s[^>]*?\bhref\s*=\s*([\"'])(.*?)\1", text)
    links = [html.unescape(link).strip() for _, link in found]
    return {unquote(re.split("[?#]", link)[0].rsplit("/", 1)[-1]): link for link in links}
