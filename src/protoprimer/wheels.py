"""Fetching a pinned wheel from wherever the settings say, verifying it before anything else, and unpacking it."""

import os
import stat
import time

from protoprimer.console import Console
from protoprimer.errors import BackendError
from protoprimer.host import remove_tree
from protoprimer.indexes import IndexSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any

__all__ = ["WheelError", "fetch_wheel", "unpack_wheels", "unpacked_is_whole"]

TRIES = 3
SECONDS_TO_CONNECT = 30.0
# PEP 691's negotiation, PEP 503's HTML for indexes that know nothing else.
_ACCEPTED_PAGES = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# Where distributions keep their certificates, for an interpreter that was built to look elsewhere.
_USUAL_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_SIZE_FILE = ".unpacked-size"


class WheelError(BackendError):
    """A wheel could not be had or used: exit code 5.

    :param tampered: something was served that is not what was pinned
    """

    def __init__(
        self, cause: str, place: "str | None" = None, advice: "str | None" = None, tampered: bool = False
    ) -> None:
        super().__init__(cause, place, advice)
        self.tampered = tampered


class _TransientError(Exception):
    pass


def fetch_wheel(
    name: str, version: str, hashes: "dict[str, str]", settings: IndexSettings, cache_directory: str, console: Console
) -> str:
    """Return the path of a verified wheel, fetched into the cache unless it is there.

    Looked at in order: the cache, find-links, local indexes, other indexes.

    :param hashes: file name -> sha256 (hex) of the wheels that will do, best first
    :raises WheelError: none could be had (exit code 5); the message holds what each source said
    """
    for filename, sha256 in hashes.items():
        path = _cached_wheel_path(cache_directory, filename, sha256)
        if _file_sha256(path) == sha256:
            return path
    reasons = []  # type: list[str]
    tampered = False
    reader = _Reader(settings, console)
    for source in _wheel_sources(name, settings):
        try:
            links = reader.links(source)
            wanted = [one for one in hashes if one in links]
            if not wanted:
                reasons.append("%s does not list %s" % (source, " or ".join(hashes)))
                continue
            filename = wanted[0]
            content = reader.read(links[filename])[0]
        except (OSError, ValueError) as error:
            reasons.append("%s: %s" % (source, str(error) or type(error).__name__))
            continue
        found = _sha256(content)
        if found == hashes[filename]:
            return _store_wheel(cache_directory, filename, found, content)
        tampered = True
        reasons.append("%s has sha256 %s where %s is pinned, refused" % (links[filename], found, hashes[filename]))
    if settings.offline:
        reasons.append("offline, and not in the cache %s" % cache_directory)
    said = console.mask("; ".join(reasons)) or "no index and no find-links to look at"
    advice = "check index-url, find-links, proxy and certificates (`check` shows them)"
    raise WheelError("%s %s could not be had: %s" % (name, version, said), None, advice, tampered)


def unpack_wheels(paths: "list[str]", directory: str, main_module: str = "") -> str:
    """Unpack verified wheels into one directory, which appears whole or not at all; an existing one is kept.

    Packages land in `directory` itself, executables in its `bin`.

    :param main_module: text of a `__main__.py`, so that an interpreter can run the directory
    :raises WheelError: a wheel is no zip file, or names a file outside of the directory (exit code 5)
    :raises OSError: the disk is full or not writable; nothing is left
    """
    import zipfile

    if unpacked_is_whole(directory):
        return directory
    temporary = "%s.%d.tmp" % (directory, os.getpid())
    remove_tree(temporary)
    try:
        os.makedirs(temporary)
        size = 0
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                size += sum(_unpack_member(archive, member, temporary) for member in archive.infolist())
        if main_module:
            with open(os.path.join(temporary, "__main__.py"), "w") as stream:
                size += stream.write(main_module)
        with open(os.path.join(temporary, _SIZE_FILE), "w") as stream:
            stream.write("%d" % size)
        _publish_directory(temporary, directory)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise WheelError("not a usable wheel: %s" % error, " ".join(paths)) from error
    finally:
        remove_tree(temporary)
    return directory


def unpacked_is_whole(directory: str) -> bool:
    """Tell whether a directory holds all that `unpack_wheels` wrote: a power loss can empty files after their rename."""
    try:
        with open(os.path.join(directory, _SIZE_FILE), "rb") as stream:
            expected = int(stream.read())
        found = 0
        for place, directories, names in os.walk(directory):
            directories[:] = [one for one in directories if one != "__pycache__"]
            found += sum(os.path.getsize(os.path.join(place, one)) for one in names if one != _SIZE_FILE)
    except (OSError, ValueError):
        return False
    return found == expected


def _cached_wheel_path(cache_directory: str, filename: str, sha256: str) -> str:
    return os.path.join(cache_directory, "wheels", sha256[:16], filename)


def _store_wheel(cache_directory: str, filename: str, sha256: str, content: bytes) -> str:
    path = _cached_wheel_path(cache_directory, filename, sha256)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = "%s.%d.tmp" % (path, os.getpid())
    try:
        # Not synchronised to the disk: its hash is taken again before each use.
        with open(temporary, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return path


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _file_sha256(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return _sha256(stream.read())
    except OSError:
        return ""


def _wheel_sources(name: str, settings: IndexSettings) -> "list[str]":
    """Return URLs of pages and directories, the local ones first since they cost nothing."""
    links = [place if "://" in place else _file_url(place) for place in settings.find_links]
    sources = [place for place in links if place.startswith("file:") or not settings.offline]
    sources += [url.rstrip("/") + "/" + name + "/" for url in settings.index_urls()]
    return sorted(sources, key=lambda url: not url.startswith("file:"))


def _file_url(path: str) -> str:
    from urllib.request import pathname2url

    return "file://" + pathname2url(os.path.abspath(path)).replace("///", "/", 1)


def _file_path(url: str) -> str:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return url2pathname(urlsplit(url).path)


def _links_of_json(text: str) -> "dict[str, str]":
    import json

    return {str(one.get("filename")): str(one.get("url")) for one in json.loads(text).get("files", [])}


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


class _Reader:
    """Reads URLs the way the settings say: proxies, certificates, credentials, patience."""

    def __init__(self, settings: IndexSettings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._contexts = {}  # type: dict[bool, ssl.SSLContext]

    def links(self, source: str) -> "dict[str, str]":
        """Return file name -> URL for what a directory or page offers; an index without a page offers nothing."""
        from urllib.parse import urljoin

        if source.startswith("file:"):
            path = _file_path(source)
            if os.path.isdir(path):
                if not os.path.isfile(os.path.join(path, "index.html")):
                    return {one: _file_url(os.path.join(path, one)) for one in os.listdir(path)}
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
            with open(_file_path(url), "rb") as stream:
                return stream.read(), url, "text/html"
        import http.client
        import socket
        import urllib.error

        try:
            with self._open(url, accept) as response:
                content = self._body(response)
                return content, str(response.geturl()), str(response.headers.get_content_type())
        except urllib.error.HTTPError as error:
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
            handlers.append(urllib.request.HTTPSHandler(context=self._context(trusted)))
        opener = urllib.request.build_opener(*handlers)
        return opener.open(request, timeout=self._settings.timeout or SECONDS_TO_CONNECT)

    def _context(self, trusted: bool) -> "ssl.SSLContext":
        if trusted not in self._contexts:
            self._contexts[trusted] = _tls_context(self._settings, trusted)
        return self._contexts[trusted]


def _tls_context(settings: IndexSettings, trusted: bool) -> "ssl.SSLContext":
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
        raise OSError("certificates of %s: %s" % (settings.client_certificate or bundle, error)) from error
    if trusted:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _unpack_member(archive: "Any", member: "Any", directory: str) -> int:
    """Unpack one file of a wheel and return its size; a name that leads elsewhere is refused."""
    import shutil

    name = member.filename
    parts = name.split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if ".." in parts or not parts[0] or set(name) & set("\\:\0") or kind == stat.S_IFLNK:
        raise WheelError("the wheel holds an unsafe name, nothing was unpacked: %r" % name, archive.filename)
    if name.endswith("/"):
        return 0
    mode = 0o755 if (member.external_attr >> 16) & 0o111 else 0o644
    if len(parts) > 2 and parts[0].endswith(".data"):
        mode = 0o755 if parts[1] == "scripts" else mode
        parts = {"scripts": ["bin"], "purelib": [], "platlib": []}.get(parts[1], parts[:2]) + parts[2:]
    path = os.path.join(directory, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with archive.open(member) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    os.chmod(path, mode)
    return int(member.file_size)


def _publish_directory(temporary: str, directory: str) -> None:
    try:
        os.rename(temporary, directory)
    except OSError:
        if unpacked_is_whole(directory):
            return
        # What stands there was damaged; it is moved away in one step, in case somebody looks at it now.
        damaged = temporary + ".damaged"
        os.rename(directory, damaged)
        try:
            os.rename(temporary, directory)
        finally:
            remove_tree(damaged)
