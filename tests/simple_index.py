"""A real simple index on a loopback port: PEP 503 HTML or PEP 691 JSON, credentials, damage on demand, and a record."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import json
import threading
import urllib.request
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


def make_wheel(
    name: str, version: str, members: dict[str, bytes] | None = None, metadata: str = ""
) -> tuple[str, bytes]:
    """Return file name and content of a pure wheel with a module of its name, and further members; always the same bytes.

    :param metadata: further lines, such as `Requires-Dist: alpha`
    """
    stem = f"{name.replace('-', '_')}-{version}"
    information = f"{stem}.dist-info"
    content = {
        f"{name.replace('-', '_')}.py": f"VERSION = {version!r}\n".encode(),
        **(members or {}),
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}".encode(),
        f"{information}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{one},,\n" for one in content) + f"{information}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in {**content, f"{information}/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return f"{stem}-py3-none-any.whl", buffer.getvalue()


def sha256(content: bytes) -> str:
    """Return the digest that pins hold."""
    return hashlib.sha256(content).hexdigest()


class SimpleIndex:
    """What is served, and what was asked; changed by tests while it runs."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.json = True
        # What a page of HTML says of its links: nobody who knows better may take it for true.
        self.wrong_hashes = True
        self.credentials: tuple[str, str] | None = None
        self.file_host = ""
        # Where the page says that its files are.
        self.leads_to = "../../files"
        self.truncated_answers = 0
        self.failures: list[int] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        """The index as it is configured."""
        return f"{self.scheme}://127.0.0.1:{self.port}/simple/"

    def url_with(self, user: str, password: str) -> str:
        """The index with credentials."""
        return self.url.replace("://", f"://{user}:{password}@")

    def add(
        self, name: str, version: str, members: dict[str, bytes] | None = None, metadata: str = ""
    ) -> tuple[str, str]:
        """Serve a wheel made on the spot and return its file name and sha256."""
        filename, content = make_wheel(name, version, members, metadata)
        self.files[filename] = content
        return filename, sha256(content)

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [path for path, _ in self.requests]

    def _told_hash(self, filename: str) -> str:
        return "0" if self.wrong_hashes else sha256(self.files[filename])

    def page(self, project: str) -> list[str]:
        """Return the files of a project."""
        return [one for one in self.files if one.split("-")[0].lower().replace("_", "-") == project]

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, str, bytes, dict[str, str]]:
        """Return status, media type, content and further headers for a request."""
        self.requests.append((path, headers))
        if self.credentials:
            token = base64.b64encode(":".join(self.credentials).encode()).decode()
            if headers.get("authorization") != f"Basic {token}":
                return 401, "text/plain", b"who are you?", {"WWW-Authenticate": 'Basic realm="test"'}
        if self.failures:
            return self.failures.pop(0), "text/plain", b"not now", {}
        parts = unquote(path).strip("/").split("/")
        if parts[0] == "files" and parts[-1] in self.files:
            if self.file_host:
                return 302, "text/plain", b"", {"Location": f"{self.file_host}/files/{parts[-1]}"}
            return 200, "application/octet-stream", self.files[parts[-1]], {}
        found = self.page(parts[1]) if len(parts) == 2 and parts[0] == "simple" else []
        if not found:
            return 404, "text/html", b"not here", {}
        if self.json and "json" in headers.get("accept", ""):
            hashes = {one: {"sha256": sha256(self.files[one])} for one in found}
            files = [{"filename": one, "url": f"{self.leads_to}/{one}", "hashes": hashes[one]} for one in found]
            body = json.dumps({"meta": {"api-version": "1.0"}, "name": parts[1], "files": files}).encode()
            return 200, "application/vnd.pypi.simple.v1+json", body, {}
        links = "".join(
            f'<a\n class="x" href="{self.leads_to}/{one}#sha256={self._told_hash(one)}" data-requires-python="&gt;=3">{one}</a>\n'
            for one in found
        )
        return 200, "text/html", f"<!DOCTYPE html><html><body>\n{links}</body></html>".encode(), {}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    index: SimpleIndex

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, kind, content, further = self.index.answer(urlsplit(self.path).path, headers)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in further.items():
            self.send_header(name, value)
        self.end_headers()
        if self.index.truncated_answers and kind == "application/octet-stream":
            self.index.truncated_answers -= 1
            content = content[: len(content) // 2]
        if self.command == "GET":
            self.wfile.write(content)

    # uv asks so before it reads a wheel's metadata by ranges.
    do_HEAD = do_GET  # noqa: N815 - the base class finds it by this name

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[SimpleIndex]:
    """Serve an empty index on a free port of 127.0.0.1 while the block runs."""
    index = SimpleIndex()
    handler = type("Handler", (_Handler,), {"index": index})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            index.scheme = "https"
        index.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()


class _ProxyHandler(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        headers = {name: value for name, value in self.headers.items() if name.lower() in {"accept", "authorization"}}
        request = urllib.request.Request(self.path, headers=headers, method=self.command)
        with opener.open(request) as response:
            content = response.read()
            self.send_response(200)
            self.send_header("Content-Type", response.headers["Content-Type"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - the base class finds it by this name

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def proxying() -> Iterator[tuple[str, list[str]]]:
    """Run a real HTTP proxy and give its URL and the list of URLs that it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (_ProxyHandler,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
