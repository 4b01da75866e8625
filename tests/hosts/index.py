"""An index on a loopback port that behaves as the mirrors, proxies and firewalls of locked-down hosts do.

What it does wrong is a `Behaviour`; what it was asked is counted. A test may change the behaviour while it runs.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from simple_index import make_wheel, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A name that only our proxy can resolve.
ONLY_BY_PROXY = "mirror.invalid"
LOGIN_PAGE = b"<!DOCTYPE html><html><body><form action='/login'><input name='password'></form></body></html>"
WHEEL, JSON, HTML, TEXT = (
    "application/octet-stream",
    "application/vnd.pypi.simple.v1+json",
    "text/html",
    "text/plain",
)


@dataclass
class Behaviour:
    """How an index answers.

    :param form: of its pages: `json` (where the client accepts it) or `html`
    :param basic: user and password that it wants
    :param token: token that it wants, as a user without password or as the password of `__token__`
    :param delay: seconds before each answer
    :param stall: it accepts connections and never says anything
    :param cut: so many answers with a file end half-way
    :param hold: each answer with a file stops half-way, and the connection stays open
    :param files_status: what it answers instead of each file, such as 404 by the quarantine of a mirror
    :param busy: for so many seconds from the first request on it answers 429 with `Retry-After`
    :param failures: statuses that it answers first, one for each request
    :param redirect_to: URL of another index that has the files
    :param login_pages: every page is a login page with status 200
    :param login_files: every file is a login page with status 200
    :param endless: every page goes on for ever
    :param wrong_bytes: the starts of names of files whose content is altered
    """

    form: str = "json"
    basic: tuple[str, str] | None = None
    token: str | None = None
    delay: float = 0.0
    stall: bool = False
    cut: int = 0
    hold: bool = False
    files_status: int = 0
    busy: float = 0.0
    failures: list[int] = field(default_factory=list)
    redirect_to: str = ""
    login_pages: bool = False
    login_files: bool = False
    endless: bool = False
    wrong_bytes: tuple[str, ...] = ()


@dataclass
class Request:
    """A request that arrived, its headers' names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0


class Index:
    """What is served, how, and what was asked."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.files: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.scheme = "http"
        self.host = "127.0.0.1"
        self.port = 0
        self.ended = threading.Event()
        self._first_request = 0.0

    @property
    def server(self) -> str:
        """Where it is, as a URL without a path."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The index as it is configured."""
        return f"{self.server}/simple/"

    def url_with(self, credentials: str) -> str:
        """The index with `user:password`, or a token, in its URL."""
        return self.url.replace("://", f"://{credentials}@")

    def add(self, name: str, version: str, members: dict[str, bytes] | None = None) -> tuple[str, str]:
        """Serve a wheel made on the spot and return its file name and sha256."""
        filename, content = make_wheel(name, version, members)
        self.files[filename] = content
        return filename, sha256(content)

    def add_files(self, paths: list[Path]) -> Index:
        """Serve files of the disk."""
        for path in paths:
            self.files[path.name] = path.read_bytes()
        return self

    def asked_for(self, part: str) -> list[Request]:
        """Return the requests whose path holds `part`."""
        return [one for one in self.requests if part in one.path]

    def answer(self, request: Request) -> tuple[int, str, bytes, dict[str, str]]:
        """Return status, media type, content and further headers."""
        self.requests.append(request)
        behaviour, now = self.behaviour, time.monotonic()
        self._first_request = self._first_request or now
        if behaviour.failures:
            return behaviour.failures.pop(0), TEXT, b"not now", {}
        left = self._first_request + behaviour.busy - now
        if left > 0:
            return 429, TEXT, b"too many requests", {"Retry-After": str(max(1, round(left + 0.5)))}
        refused = self._refused(request)
        if refused:
            return refused
        parts = unquote(urlsplit(request.path).path).strip("/").split("/")
        return self._file(parts[-1], request) if parts[0] == "files" else self._page(parts, request)

    def _refused(self, request: Request) -> tuple[int, str, bytes, dict[str, str]] | None:
        known = [":".join(self.behaviour.basic)] if self.behaviour.basic else []
        if self.behaviour.token:
            known += [f"{self.behaviour.token}:", f"__token__:{self.behaviour.token}"]
        shown = request.headers.get("authorization", "")
        if not known or shown in {"Basic " + base64.b64encode(one.encode()).decode() for one in known}:
            return None
        # A user without a password has shown nothing yet: the answer lets pip ask its keyring.
        if shown and not base64.b64decode(shown.rpartition(" ")[2]).endswith(b":"):
            return 403, TEXT, b"these are not enough", {}
        return 401, TEXT, b"who are you?", {"WWW-Authenticate": 'Basic realm="test"'}

    def _file(self, name: str, request: Request) -> tuple[int, str, bytes, dict[str, str]]:
        behaviour = self.behaviour
        if behaviour.redirect_to:
            return 302, TEXT, b"", {"Location": f"{behaviour.redirect_to}/files/{name}"}
        if behaviour.files_status:
            return behaviour.files_status, TEXT, b"held back", {}
        if behaviour.login_files:
            return 200, HTML, LOGIN_PAGE, {}
        if name not in self.files:
            return 404, HTML, b"not here", {}
        content = self.files[name]
        if name.startswith(behaviour.wrong_bytes or ("?",)):
            content = b"altered " + content[8:]
        wanted = request.headers.get("range", "")
        if wanted.startswith("bytes=") and wanted.endswith("-") and wanted[6:-1].isdigit():
            start = int(wanted[6:-1])
            told = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return 206, WHEEL, content[start:], {"Content-Range": told, "Accept-Ranges": "bytes"}
        return 200, WHEEL, content, {"Accept-Ranges": "bytes", "ETag": f'"{sha256(content)[:16]}"'}

    def _page(self, parts: list[str], request: Request) -> tuple[int, str, bytes, dict[str, str]]:
        if self.behaviour.login_pages:
            return 200, HTML, LOGIN_PAGE, {}
        project = parts[1] if len(parts) == 2 and parts[0] == "simple" else ""
        found = [one for one in self.files if one.split("-")[0].lower().replace("_", "-") == project]
        if not found:
            return 404, HTML, b"not here", {}
        hashes = {one: sha256(self.files[one]) for one in found}
        if self.behaviour.form == "json" and "json" in request.headers.get("accept", ""):
            files = [{"filename": one, "url": f"../../files/{one}", "hashes": {"sha256": hashes[one]}} for one in found]
            return 200, JSON, json.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": files}).encode(), {}
        links = "".join(f'<a href="../../files/{one}#sha256={hashes[one]}">{one}</a>\n' for one in found)
        return 200, HTML, f"<!DOCTYPE html><html><body>\n{links}</body></html>".encode(), {}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    index: Index

    def do_GET(self) -> None:
        behaviour = self.index.behaviour
        request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        if behaviour.stall:
            self.index.requests.append(request)
            self.index.ended.wait(60)
            return
        time.sleep(behaviour.delay)
        request.status, kind, content, further = self.index.answer(request)
        self.send_response(request.status)
        self.send_header("Content-Type", kind)
        if behaviour.endless and kind in (JSON, HTML):
            self.end_headers()
            self._go_on_for_ever()
            return
        self.send_header("Content-Length", str(len(content)))
        for name, value in further.items():
            self.send_header(name, value)
        self.end_headers()
        if kind == WHEEL and (behaviour.cut or behaviour.hold):
            behaviour.cut -= not behaviour.hold
            content = content[: len(content) // 2]
        if self.command == "GET":
            with contextlib.suppress(OSError):
                self.wfile.write(content)
                if kind == WHEEL and behaviour.hold:
                    self.index.ended.wait(60)

    # uv asks so before it reads a wheel's metadata by ranges.
    do_HEAD = do_GET  # noqa: N815 - the base class finds it by this name

    def _go_on_for_ever(self) -> None:
        with contextlib.suppress(OSError):
            # Whoever has read so much of a page will not stop by itself.
            for _ in range(64):
                if self.index.ended.is_set():
                    return
                self.wfile.write(b"<a href='x'>x</a>\n" * (1 << 16))

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    index: Index
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        self.index.connections += 1
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *_details: Any) -> None:
        """Keep quiet: a client that refuses our certificate is what a test is about."""


@contextlib.contextmanager
def serving(behaviour: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Index]:
    """Serve an empty index on a free port of 127.0.0.1 while the block runs."""
    index = Index(behaviour or Behaviour())
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": index}))
    server.index, server.context = index, tls
    index.scheme, index.port = "https" if tls else "http", server.server_port
    with _running(server):
        yield index
        index.ended.set()


@contextlib.contextmanager
def _running(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        # Not `server.close()`: a stalled request would be waited for.
        server.socket.close()


@contextlib.contextmanager
def dropping() -> Iterator[str]:
    """Give the URL of an index behind a firewall that drops packets: nobody's connection is ever made or refused."""
    held = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # A full queue of connections that nobody accepts: the system lets further ones wait.
        listening.listen(0)
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(listening.getsockname())
            held.append(client)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/simple/"
        for client in held:
            client.close()


@dataclass
class Certificates:
    """A private authority and what it signs.

    :param authority: path of its certificate
    """

    authority: Path
    good: ssl.SSLContext
    expired: ssl.SSLContext


def private_certificates(directory: Path) -> Certificates:
    """Make an authority that no system trusts, a certificate of 127.0.0.1 by it, and one that has expired."""
    import datetime

    import pytest

    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    path = directory / "private-ca.pem"
    authority.cert_pem.write_to_path(str(path))
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    contexts = []
    for expires in (None, past):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        further = {"not_before": datetime.datetime(2019, 1, 1, tzinfo=datetime.timezone.utc)} if expires else {}
        authority.issue_cert("127.0.0.1", ONLY_BY_PROXY, not_after=expires, **further).configure_cert(context)
        contexts.append(context)
    return Certificates(path, *contexts)


@dataclass
class Proxy:
    """A proxy that works for whoever knows its password.

    :param asked: what was asked of it: URLs, and `host:port` of tunnels
    """

    port: int
    password: str = ""
    asked: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        """How it is configured; without its password."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url_with_password(self) -> str:
        """How it is configured by who knows `user:password`."""
        return self.url.replace("://", f"://{self.password}@")


class _ProxyHandler(http.server.BaseHTTPRequestHandler):
    proxy: Proxy

    def _is_refused(self) -> bool:
        known = "Basic " + base64.b64encode(self.proxy.password.encode()).decode()
        if self.proxy.password and self.headers.get("Proxy-Authorization") != known:
            self.proxy.refused += 1
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return True
        self.proxy.asked.append(self.path)
        return False

    def do_CONNECT(self) -> None:
        if self._is_refused():
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((_address(host), int(port)), timeout=30) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(upstream, self.connection), daemon=True)
            back.start()
            _copy(self.connection, upstream)
            back.join(30)

    def do_GET(self) -> None:
        if self._is_refused():
            return
        parts = urlsplit(self.path)
        connection = http.client.HTTPConnection(_address(str(parts.hostname)), parts.port, timeout=30)
        kept = {name: value for name, value in self.headers.items() if name.lower() in {"accept", "authorization"}}
        connection.request(self.command, parts.path, headers=kept)
        response = connection.getresponse()
        content = response.read()
        self.send_response(response.status)
        for name in ("Content-Type", "WWW-Authenticate", "Location"):
            if response.getheader(name):
                self.send_header(name, str(response.getheader(name)))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - the base class finds it by this name

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


def _address(host: str) -> str:
    return "127.0.0.1" if host == ONLY_BY_PROXY else host


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for part in iter(lambda: source.recv(1 << 16), b""):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxying(password: str = "") -> Iterator[Proxy]:
    """Run a proxy for HTTP and, by CONNECT, for HTTPS.

    :param password: `user:password` that it wants, empty if it works for everybody
    """
    proxy = Proxy(0, password)
    server = _Server(("127.0.0.1", 0), type("Handler", (_ProxyHandler,), {"proxy": proxy}))
    server.index = Index(Behaviour())
    proxy.port = server.server_port
    with _running(server):
        yield proxy
