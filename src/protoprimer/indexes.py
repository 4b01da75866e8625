"""The one settings language of indexes: what pip and uv were told, read once, told again to whichever installer runs.

Sources, strongest first: uv's variables, pip's variables, uv's files (project, user, system), pip's files (the
interpreter's, `PIP_CONFIG_FILE`, the user's, the host's). Of a single value the strongest source counts. Lists keep
each tool's own rule, uv's adding up over its sources and pip's strongest replacing the others; then they are joined.
Indexes have equal standing, as pip knows nothing else, unless uv's `index-strategy` is set.
"""

import os
import sys

from protoprimer.errors import ConfigurationError
from protoprimer.toml import load_toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["IndexSettings", "read_index_settings"]

# The public index serves when nothing is configured, and only what the kernel itself fetches needs its address.
PUBLIC_INDEX_LABELS = ("pypi", "org")

# pip's name of a setting: uv's variables for it, uv's names in files.
_SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX UV_INDEX_URL", "index-url"),
    "extra-index-url": ("UV_INDEX UV_EXTRA_INDEX_URL", "extra-index-url"),
    "find-links": ("UV_FIND_LINKS", "find-links"),
    "no-index": ("UV_NO_INDEX", "no-index"),
    "offline": ("UV_OFFLINE", "offline"),
    "trusted-host": ("UV_INSECURE_HOST", "allow-insecure-host"),
    "constraint": ("UV_CONSTRAINT", ""),
    "build-constraint": ("UV_BUILD_CONSTRAINT", ""),
    "cert": ("", ""),
    "client-cert": ("", ""),
    "proxy": ("", "https-proxy http-proxy"),
    "no-proxy": ("", "no-proxy"),
    "timeout": ("UV_HTTP_TIMEOUT UV_REQUEST_TIMEOUT", ""),
    "default-timeout": ("", ""),
    "index-strategy": ("UV_INDEX_STRATEGY", "index-strategy"),
    "uploaded-prior-to": ("UV_EXCLUDE_NEWER", "exclude-newer"),
    "system-certs": ("UV_SYSTEM_CERTS UV_NATIVE_TLS", "system-certs native-tls"),
}
_LISTS = ("extra-index-url", "find-links", "trusted-host", "constraint", "build-constraint")
_PATHS = ("index-url", "extra-index-url", "find-links", "constraint", "build-constraint", "cert", "client-cert")


class _SettingsSource:
    """One tool's variables, or one of its files: values by pip's name of the setting."""

    def __init__(self, family: str, place: str, directory: str, is_file: bool = True) -> None:
        self.family = family
        self.place = place
        self.is_uv_file = is_file and family == "uv"
        self.values = {}  # type: dict[str, list[str]]
        self._directory = directory

    def add(self, key: str, values: "list[str]") -> None:
        if key in _PATHS:
            values = [_absolute_place(value, self._directory, "index" in key) for value in values if value]
        self.values.setdefault(key, []).extend(value for value in values if value)


class IndexSettings:
    """Where distributions come from and how they are reached; made by `read_index_settings`.

    :param index_url: the configured index, or `None` where that is the public one
    :param find_links: directories and pages with links to distributions
    :param no_index: only `find_links` count
    :param ca_file: certificates that HTTPS is checked against, `None` for the system's
    :param proxies: `http`, `https` -> URL; `no` -> hosts without one
    :param constraints: files of versions that every installation keeps to
    :param offline: no network at all; `file:` indexes and directories still count
    :param uploaded_prior_to: uv's `exclude-newer`
    """

    def __init__(self, sources: "list[_SettingsSource]", offline: bool, environ: "dict[str, str]") -> None:
        self._sources = sources
        self._environ = environ
        self.index_url = self._one("index-url")
        self.extra_index_urls = [url for url in self._many("extra-index-url") if url != self.index_url]
        self.find_links = self._many("find-links")
        self.no_index = _is_true(self._one("no-index"))
        self.offline = offline or _is_true(self._one("offline"))
        self.trusted_hosts = self._many("trusted-host")
        self.constraints = self._many("constraint")
        self.build_constraints = self._many("build-constraint")
        bundles = [environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
        self.ca_file = self._one("cert") or next((path for path in bundles if path), None)
        self.client_certificate = self._one("client-cert") or environ.get("SSL_CLIENT_CERT") or None
        self.timeout = _seconds(self._one("timeout") or self._one("default-timeout"))
        self.index_strategy = self._one("index-strategy")
        self.uploaded_prior_to = self._one("uploaded-prior-to")
        self.proxies = _proxies(self._one("proxy"), self._one("no-proxy"), environ)

    def index_urls(self) -> "list[str]":
        """Return every index to look at, the public one if none is configured; only local ones when offline."""
        if self.no_index:
            return []
        urls = [self.index_url or "https://%s/simple/" % ".".join(PUBLIC_INDEX_LABELS)] + self.extra_index_urls
        return [url for url in urls if url.startswith("file:")] if self.offline else urls

    def credentials_for(self, url: str) -> "tuple[str, str] | None":
        """Return user and password for a URL: its own, those of a configured URL on the same host, or netrc's."""
        server = _server(url)
        for known in [url, self.index_url or ""] + self.extra_index_urls + self.find_links:
            found = _url_credentials(known)
            if found and _server(known) == server:
                return found
        return self._netrc_credentials(server[1]) if server else None

    def for_pip(self, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables with which pip uses these settings and no others.

        Variables only, since anybody can read another process's arguments.

        :param locking: the result will be committed: this host's directories are left out, unless there is nothing else
        """
        env = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        indexes, links = self._places(self.extra_index_urls, self.find_links, locking)
        index_url = self.index_url
        if self.offline:
            indexes = self.index_urls()
            index_url = indexes.pop(0) if indexes else None
        if self.no_index or (self.offline and not index_url):
            env["PIP_NO_INDEX"] = "1"
        told = {
            "PIP_INDEX_URL": index_url,
            "PIP_EXTRA_INDEX_URL": " ".join(indexes),
            "PIP_FIND_LINKS": " ".join(links),
            "PIP_CERT": self.ca_file,
            "PIP_CLIENT_CERT": self.client_certificate,
            "PIP_UPLOADED_PRIOR_TO": self.uploaded_prior_to,
            "PIP_CONSTRAINT": " ".join(self.constraints),
            "PIP_BUILD_CONSTRAINT": " ".join(self.build_constraints),
            "PIP_TRUSTED_HOST": " ".join(self.trusted_hosts),
            "PIP_DEFAULT_TIMEOUT": "%g" % self.timeout if self.timeout else None,
        }
        env.update((name, value) for name, value in told.items() if value)
        env.update(self._proxy_variables())
        return [], env

    def for_uv(self, project: bool = False, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables with which uv uses these settings; the arguments suit what resolves.

        :param project: for `uv sync`, `uv lock` and `uv export`. There uv reads its own files itself, since `[tool.uv]`
            also says how to resolve, which the lock records; what it cannot see there is added, except directories,
            whose paths the lock would hold. Otherwise `--no-config` shuts its files out.
        :param locking: as for pip
        """
        links = [place for place in self._many("find-links", project) if _is_there(place)]
        indexes, links = self._places(self._many("extra-index-url", project), links, locking or project)
        args = ([] if project else ["--no-config"]) + (["--no-index"] if self.no_index else [])
        ends = ("_USERNAME", "_PASSWORD")
        env = {one: text for one, text in self._environ.items() if one.startswith("UV_INDEX_") and one.endswith(ends)}
        strategy = "unsafe-best-match" if indexes and not self.index_strategy else self._one("index-strategy", project)
        told = {
            "UV_DEFAULT_INDEX": self._one("index-url", project),
            "UV_INDEX": " ".join(indexes),
            "UV_FIND_LINKS": ",".join(links),
            "UV_INDEX_STRATEGY": strategy,
            "UV_OFFLINE": "1" if self.offline else None,
            "UV_EXCLUDE_NEWER": self._one("uploaded-prior-to", project),
            "UV_SYSTEM_CERTS": self._one("system-certs", project),
            "UV_CONSTRAINT": " ".join(self.constraints),
            "UV_BUILD_CONSTRAINT": " ".join(self.build_constraints),
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
            "SSL_CERT_FILE": self.ca_file,
            "SSL_CLIENT_CERT": self.client_certificate,
            "UV_HTTP_TIMEOUT": "%d" % max(1, self.timeout) if self.timeout else None,
        }
        env.update((name, value) for name, value in told.items() if value)
        env.update(self._proxy_variables())
        return args, env

    def secrets(self) -> "list[str]":
        """Return what must never be shown, for `Console.add_secret`."""
        from urllib.parse import quote

        urls = [self.index_url or ""] + self.extra_index_urls + self.find_links + list(self.proxies.values())
        words = [found[1] or found[0] for found in map(_url_credentials, urls) if found]
        words += [
            text for one, text in self._environ.items() if one.startswith("UV_INDEX_") and one.endswith("_PASSWORD")
        ]
        return sorted({form for word in words if word for form in (word, quote(word, safe=""))})

    def describe(self) -> "list[str]":
        """Return a line for each setting in force, with the place it comes from; credentials are left out."""
        import re

        lines = []
        for key in _SETTINGS:
            for value in self._many(key) if key in _LISTS else [self._one(key)]:
                if value:
                    place = next(one.place for one in self._sources if value in one.values.get(key, ()))
                    lines.append("%s: %s (%s)" % (key, re.sub(r"://[^/@]*@", "://****@", value), place))
        return lines or ["index-url: the public index (nothing is configured)"]

    def _one(self, key: str, not_from_uv_files: bool = False) -> "str | None":
        for source in self._sources:
            if source.values.get(key):
                return None if not_from_uv_files and source.is_uv_file else source.values[key][0]
        return None

    def _many(self, key: str, not_from_uv_files: bool = False) -> "list[str]":
        found = []  # type: list[str]
        pip_has_it = False
        for source in self._sources:
            values = source.values.get(key, [])
            if source.family == "pip" and values:
                values, pip_has_it = [] if pip_has_it else values, True
            if not (not_from_uv_files and source.is_uv_file):
                found.extend(value for value in values if value not in found)
        return found

    def _places(self, indexes: "list[str]", links: "list[str]", locking: bool) -> "tuple[list[str], list[str]]":
        if not locking or self.no_index or self.offline:
            return list(indexes), list(links)
        return [url for url in indexes if not url.startswith("file:")], [one for one in links if one.startswith("http")]

    def _proxy_variables(self) -> "dict[str, str]":
        # Tools disagree on which case counts.
        names = [(name + "_proxy", value) for name, value in self.proxies.items()]
        return dict(names + [(name.upper(), value) for name, value in names])

    def _netrc_credentials(self, host: str) -> "tuple[str, str] | None":
        import netrc

        for path in [self._environ.get("NETRC", ""), _home(self._environ, ".netrc"), _home(self._environ, "_netrc")]:
            try:
                found = netrc.netrc(path).authenticators(host) if path and os.path.isfile(path) else None
            except (OSError, ValueError, netrc.NetrcParseError):
                continue
            if found:
                return found[0], found[2] or ""
        return None


def read_index_settings(root: str, offline: bool = False, environ: "dict[str, str] | None" = None) -> IndexSettings:
    """Read every variable and file in which pip or uv is told about indexes.

    :param root: the client's root directory, whose `uv.toml` or `[tool.uv]` counts
    :raises ConfigurationError: a file cannot be understood (exit code 3)
    """
    environ = dict(os.environ) if environ is None else environ
    sources = [_uv_variables(environ), _pip_source("pip's variables", False, _pip_variables(environ))]
    sources += [_uv_file(path, environ) for path in _uv_files(root, environ) if os.path.isfile(path)]
    for path in _pip_files(environ):
        if os.path.isfile(path):
            sources.append(_pip_source(path, True, _pip_file(path)))
    return IndexSettings(sources, offline, environ)


def _uv_variables(environ: "dict[str, str]") -> _SettingsSource:
    source = _SettingsSource("uv", "uv's variables", os.getcwd(), is_file=False)
    for key, (names, _) in _SETTINGS.items():
        for name in names.split():
            text = environ.get(name, "")
            values = text.split("," if key == "find-links" else None) if key in _LISTS else [text.strip()]
            source.add(key, [_named_index(value, environ) for value in values] if "index-url" in key else values)
    return source


def _pip_variables(environ: "dict[str, str]") -> "dict[str, str]":
    return {key: environ.get("PIP_" + key.upper().replace("-", "_"), "") for key in _SETTINGS}


def _pip_source(place: str, is_file: bool, texts: "dict[str, str]") -> _SettingsSource:
    source = _SettingsSource("pip", place, os.getcwd(), is_file)
    for key in _SETTINGS:
        text = texts.get(key, "")
        source.add(key, text.split() if key in _LISTS else [text.strip()])
    return source


def _named_index(text: str, environ: "dict[str, str]") -> str:
    """Return the URL of uv's `name=url`."""
    name, _, url = text.partition("=")
    return _with_credentials(url, name, environ) if url and not set("/:") & set(name) else text


def _with_credentials(url: str, name: str, environ: "dict[str, str]") -> str:
    """Return a URL with the user and password that uv's variables give to the index of this name."""
    from urllib.parse import quote

    prefix = "UV_INDEX_" + "".join(letter if letter.isalnum() else "_" for letter in name.upper())
    user, password = (quote(environ.get(prefix + end, ""), safe="") for end in ("_USERNAME", "_PASSWORD"))
    if not (user or password) or _url_credentials(url):
        return url
    return url.replace("://", "://%s:%s@" % (user, password), 1)


def _uv_files(root: str, environ: "dict[str, str]") -> "list[str]":
    if _is_true(environ.get("UV_NO_CONFIG")):
        return []
    if environ.get("UV_CONFIG_FILE"):
        return [os.path.abspath(environ["UV_CONFIG_FILE"])]
    local = os.path.join(root, "uv.toml")
    files = [local if os.path.isfile(local) else os.path.join(root, "pyproject.toml")]
    if os.name == "nt":
        system = [os.path.join(environ.get("SYSTEMDRIVE", "C:") + os.sep, "ProgramData")]
        files.append(os.path.join(environ.get("APPDATA", ""), "uv", "uv.toml"))
    else:
        system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") + ["/etc"]
        files.append(os.path.join(environ.get("XDG_CONFIG_HOME") or _home(environ, ".config"), "uv", "uv.toml"))
    return files + list(filter(os.path.isfile, (os.path.join(place, "uv", "uv.toml") for place in system)))[:1]


def _uv_file(path: str, environ: "dict[str, str]") -> _SettingsSource:
    source = _SettingsSource("uv", path, os.path.dirname(path))
    table: "Any" = load_toml(path)
    for name in ("tool", "uv") if os.path.basename(path) == "pyproject.toml" else ():
        table = table.get(name, {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict):
        return source
    indexes = table.get("index", [])
    for index in indexes if isinstance(indexes, list) else []:
        if isinstance(index, dict) and isinstance(index.get("url"), str) and not index.get("explicit"):
            url = _with_credentials(index["url"], str(index.get("name", "")), environ)
            source.add("index-url" if index.get("default") else "extra-index-url", [url])
    pip_table = table.get("pip")
    merged = dict(table, **pip_table) if isinstance(pip_table, dict) else table
    for key, (_, names) in _SETTINGS.items():
        for value in [merged[name] for name in names.split() if name in merged]:
            values = value if isinstance(value, list) else [value]
            source.add(key, [str(one).lower() if isinstance(one, bool) else str(one) for one in values])
    return source


def _pip_files(environ: "dict[str, str]") -> "list[str]":
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return []
    user = os.path.join(environ.get("XDG_CONFIG_HOME") or _home(environ, ".config"), "pip", name)
    legacy = _home(environ, ".pip", name)
    system = ["/etc/pip.conf"]
    if os.name == "nt":
        user, legacy = os.path.join(environ.get("APPDATA", ""), "pip", name), _home(environ, "pip", name)
        system = [os.path.join(environ.get("PROGRAMDATA", "C:\\ProgramData"), "pip", name)]
    elif sys.platform == "darwin":
        support = os.path.join("Library", "Application Support", "pip")
        user = _home(environ, support, name) if os.path.isdir(_home(environ, support)) else user
        system = [os.path.join("/", support, name)]
    else:
        directories = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        system += [os.path.join(place, "pip", name) for place in reversed(directories)]
    # As pip does it: a chosen file takes the place of the user's.
    users = [os.path.abspath(chosen)] if chosen and os.path.exists(chosen) else [user, legacy]
    return [os.path.join(sys.prefix, name)] + users + system


def _pip_file(path: str) -> "dict[str, str]":
    import configparser

    parser = configparser.RawConfigParser()
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            parser.read_file(stream)
    except OSError:
        # Another user's file: pip passes over it too.
        return {}
    except configparser.Error as error:
        advice = "repair this pip configuration file, or set PIP_CONFIG_FILE=%s" % os.devnull
        cause = "not a valid pip configuration: %s" % str(error).splitlines()[0]
        raise ConfigurationError(cause, path, advice) from error
    sections = [parser.items(one) for one in ("global", "install") if parser.has_section(one)]
    return {key.lstrip("-").replace("_", "-"): value for items in sections for key, value in items}


def _home(environ: "dict[str, str]", *names: str) -> str:
    return os.path.join(environ.get("HOME") or os.path.expanduser("~"), *names)


def _absolute_place(text: str, directory: str, as_url: bool) -> str:
    """Return a path absolute, and as a URL where an installer would take it apart; a URL as it is."""
    if "://" in text or text.startswith("file:"):
        return text
    path = os.path.normpath(os.path.join(directory, os.path.expanduser(text)))
    if not as_url and not any(letter.isspace() or letter == "," for letter in path):
        return path
    from urllib.request import pathname2url

    return "file://" + pathname2url(path).replace("///", "/", 1)


def _is_there(place: str) -> bool:
    """Tell whether find-links can be read: uv, unlike pip, fails on a directory that is not there."""
    from urllib.parse import unquote

    return place.startswith("http") or os.path.exists(unquote(place[7:]) if place.startswith("file://") else place)


def _server(url: str) -> "tuple[str, str, int | None] | None":
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _url_credentials(url: str) -> "tuple[str, str] | None":
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))


def _proxies(proxy: "str | None", no_proxy: "str | None", environ: "dict[str, str]") -> "dict[str, str]":
    found = {}  # type: dict[str, str]
    for name in ("http", "https", "no"):
        text = (no_proxy if name == "no" else proxy) or ""
        for variable in [name + "_proxy"] + (["all_proxy"] if name != "no" else []):
            text = text or environ.get(variable, "") or environ.get(variable.upper(), "")
        if text:
            found[name] = text if "://" in text or name == "no" else "http://" + text
    if not found and (os.name == "nt" or sys.platform == "darwin"):
        import urllib.request

        # The system's settings.
        found = {name: url for name, url in urllib.request.getproxies().items() if name in ("http", "https", "no")}
    return found


def _seconds(text: "str | None") -> "float | None":
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _is_true(text: "str | None") -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on", "y", "t")
