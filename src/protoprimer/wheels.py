"""Fetching a pinned wheel from wherever the settings say, verifying it before anything else, and unpacking it."""

import os
import stat
import time

from protoprimer.console import Console
from protoprimer.errors import BackendError
from protoprimer.host import remove_tree, write_atomically
from protoprimer.indexes import IndexSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    import urllib.request
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

    def __init__(self, cause: str, place: "str | None" = None, advice: "str | None" = None, tampered: bool = False) -> None:
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
    for source in _wheel_sources(name, settings):
        try:
            for filename, url in _links_of_source(source, settings, console).items():
                if filename in hashes:
                    content = _read_with_retries(url, settings, console)[0]
                    found = _sha256(content)
                    if found == hashes[filename]:
                        return _store_wheel(cache_directory, filename, found, content)
                    tampered = True
                    reason = "%s has sha256 %s where %s is pinned, refused" % (url, found, hashes[filename])
                    reasons.append(console.mask(reason))
                    break
            else:
                reasons.append("%s does not list %s" % (console.mask(source), " or ".join(hashes)))
        except (OSError, ValueError) as error:
            reasons.append(console.mask("%s: %s" % (source, str(error) or type(error).__name__)))
    if settings.offline:
        reasons.append("offline, and not in the cache %s" % cache_directory)
    cause = "%s %s could not be had: %s" % (name, version, "; ".join(reasons) or "no index and no find-links to look at")
    raise WheelError(cause, None, "check index-url, find-links, proxy and certificates (`check` shows them)", tampered)


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
            write_atomically(os.path.join(temporary, "__main__.py"), main_module.encode("utf-8"))
            size += len(main_module)
        write_atomically(os.path.join(temporary, _SIZE_FILE), b"%d" % size)
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
    write_atomically(path, content)
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
    pages = [url.rstrip("/") + "/" + name + "/" for url in settings.index_urls()]
    links = [place if "://" in place else _file_url(place) for place in settings.find_links]
    sources = [place for place in links if place.startswith("file:") or not settings.offline] + pages
    return [url for url in sources if url.startswith("file:")] + [url for url in sources if not url.startswith("file:")]


def _file_url(path: str) -> str:
    from urllib.request import pathname2url

    url = pathname2url(os.path.abspath(path))
    return "file:" + (url if url.startswith("//") else "//" + url)


def _file_path(url: str) -> str:
    from urllib.request import url2pathname

    return url2pathname(url[5:].split("#", 1)[0].replace("//localhost/", "/").replace("///", "/", 1))


def _links_of_source(source: str, settings: IndexSettings, console: Console) -> "dict[str, str]":
    """Return file name -> URL for what a directory or page offers; nothing if an index has no page for the name."""
    from urllib.parse import urljoin

    if source.startswith("file:"):
        path = _file_path(source)
        page = os.path.join(path, "index.html")
        if os.path.isdir(path) and not os.path.isfile(page):
            return {one: _file_url(os.path.join(path, one)) for one in os.listdir(path)}
        if not os.path.exists(path):
            return {}
        source = source if os.path.isfile(path) else urljoin(source.rstrip("/") + "/", "index.html")
    content, url, kind = _read_with_retries(source, settings, console, _ACCEPTED_PAGES)
    text = content.decode("utf-8", "replace")
    links = _links_of_json(text) if kind.endswith("+json") else _links_of_html(text)
    return {filename: urljoin(url, link) for filename, link in links.items()}


def _links_of_json(text: str) -> "dict[str, str]":
    import json

    return {str(one.get("filename")): str(one.get("url")) for one in json.loads(text).get("files", [])}


def _links_of_html(text: str) -> "dict[str, str]":
    import html
    import re
    from urllib.parse import unquote, urljoin

    # A real parser needs a second for the two megabytes of a large project; tags of a simple page need none.
    base = ""
    links = {}
    tag = r"<(a|base)\s[^>]*?\bhref\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))"
    for kind, double, single, bare in re.findall(tag, re.sub(r"(?s)<!--.*?-->", "", text), re.IGNORECASE):
        target = html.unescape(double or single or bare).strip()
        if kind.lower() == "base":
            base = base or target
        else:
            links[unquote(target.split("#", 1)[0].split("?", 1)[0].rsplit("/", 1)[-1])] = target
    return {filename: urljoin(base, target) for filename, target in links.items()}


def _read_with_retries(url: str, settings: IndexSettings, console: Console, accept: str = "*/*") -> "tuple[bytes, str, str]":
    """Return content, final URL and media type of a URL.

    :raises OSError: what went wrong, the last time if it was tried again
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _read_url(url, settings, console, accept)
        except _TransientError as error:
            console.detail("%s: %s (try %d of %d)" % (url, error, attempt, TRIES))
            if attempt == TRIES:
                raise OSError("%s, %d times" % (error, TRIES)) from error
            time.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


def _read_url(url: str, settings: IndexSettings, console: Console, accept: str) -> "tuple[bytes, str, str]":
    import http.client
    import socket
    import ssl
    import urllib.error

    if url.startswith("file:"):
        with open(_file_path(url), "rb") as stream:
            return stream.read(), url, "text/html"
    try:
        with _open_url(url, settings, accept) as response:
            content = _read_body(response, console)
            kind = str(response.headers.get_content_type())
            if response.headers.get("Content-Encoding") == "gzip":
                import gzip

                content = gzip.decompress(content)
            return content, str(response.geturl()), kind
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return b"", url, "text/html"
        reason = "HTTP %d %s" % (error.code, error.reason)
        if error.code in (401, 403, 407):
            reason += " (credentials: in the URL, in netrc%s)" % (" of the proxy" if error.code == 407 else "")
        if error.code in (408, 429) or error.code >= 500:
            raise _TransientError(reason) from error
        raise OSError(reason) from error
    except urllib.error.URLError as error:
        final = isinstance(error.reason, (ssl.SSLError, socket.gaierror, ConnectionRefusedError, str))
        raise (OSError if final else _TransientError)(_connection_failure(error.reason, settings)) from error
    except (http.client.HTTPException, ConnectionError, socket.timeout) as error:
        raise _TransientError(str(error) or type(error).__name__) from error


def _connection_failure(reason: "Any", settings: IndexSettings) -> str:
    text = str(reason)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        text += " (checked against %s; SSL_CERT_FILE names another file)" % (settings.ca_file or "the system's certificates")
    return text


def _read_body(response: "Any", console: Console) -> bytes:
    expected = response.headers.get("Content-Length")
    parts = []
    received = 0
    while True:
        part = response.read(1 << 18)
        if not part:
            break
        parts.append(part)
        received += len(part)
        console.sign_of_life()
    if expected and expected.isdigit() and received < int(expected):
        raise _TransientError("the connection ended after %d of %s bytes" % (received, expected))
    return b"".join(parts)


def _open_url(url: str, settings: IndexSettings, accept: str) -> "Any":
    import urllib.request

    class Redirection(urllib.request.HTTPRedirectHandler):
        """Each host is shown its own credentials only."""

        def redirect_request(self, req: "Any", fp: "Any", code: "Any", msg: "Any", headers: "Any", newurl: "Any") -> "Any":
            if req.full_url.startswith("https:") and not newurl.startswith("https:"):
                raise OSError("redirected from HTTPS to %s, refused" % newurl)
            return _request_with_credentials(newurl, settings, accept)

    class Proxy(urllib.request.ProxyHandler):
        """Proxies of the settings, and hosts without one of the settings."""

        def proxy_open(self, req: "Any", proxy: "Any", type: "Any") -> "Any":
            if urllib.request.proxy_bypass_environment(req.host, settings.proxies):  # type: ignore[attr-defined]
                return None
            return super().proxy_open(req, proxy, type)  # type: ignore[misc]

    proxies = {scheme: value for scheme, value in settings.proxies.items() if scheme in ("http", "https")}
    opener = urllib.request.build_opener(Proxy(proxies), Redirection(), _https_handler(settings))
    return opener.open(_request_with_credentials(url, settings, accept), timeout=settings.timeout or SECONDS_TO_CONNECT)


def _request_with_credentials(url: str, settings: IndexSettings, accept: str) -> "urllib.request.Request":
    import base64
    import urllib.request

    credentials = settings.credentials_for(url)
    scheme, separator, rest = url.split("#", 1)[0].partition("://")
    host, slash, path = rest.partition("/")
    if scheme not in ("http", "https"):
        raise OSError("only http, https and file URLs are read, not %s" % url)
    headers = {"Accept": accept, "User-Agent": "protoprimer", "Accept-Encoding": "identity" if accept == "*/*" else "gzip"}
    request = urllib.request.Request(scheme + separator + host.rpartition("@")[2] + slash + path, headers=headers)
    if credentials:
        token = base64.b64encode(("%s:%s" % credentials).encode("utf-8")).decode("ascii")
        request.add_unredirected_header("Authorization", "Basic " + token)
    return request


def _https_handler(settings: IndexSettings) -> "urllib.request.BaseHandler":
    import http.client
    import urllib.request

    class Https(urllib.request.HTTPSHandler):
        """Certificates are checked, except for the hosts the user calls trusted."""

        def https_open(self, req: "Any") -> "Any":
            host = getattr(req, "_tunnel_host", None) or req.host
            trusted = host in settings.trusted_hosts or host.split(":")[0] in settings.trusted_hosts
            return self.do_open(http.client.HTTPSConnection, req, context=_tls_context(settings, trusted))  # type: ignore[arg-type]

    return Https()


def _tls_context(settings: IndexSettings, trusted: bool) -> "ssl.SSLContext":
    import ssl

    bundle = settings.ca_file
    try:
        if bundle and os.path.isdir(bundle):
            context = ssl.create_default_context(capath=bundle)
        else:
            context = ssl.create_default_context(cafile=bundle or None)
        if not bundle and not os.path.exists(ssl.get_default_verify_paths().cafile or "") and os.name != "nt":
            for usual in filter(os.path.isfile, _USUAL_CA_FILES):
                context.load_verify_locations(usual)
        if settings.client_certificate:
            context.load_cert_chain(settings.client_certificate)
    except OSError as error:
        # urllib would wrap this into a reason without the file's name.
        raise OSError("certificates in %s: %s" % (settings.client_certificate or bundle, error)) from error
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
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name or kind == stat.S_IFLNK:
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
