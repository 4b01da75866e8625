"""The one settings language of indexes: what pip and uv were told, read once, told again to whichever installer runs.

Sources, strongest first: uv's variables, pip's variables, uv's files (project, user, system), pip's files
(`PIP_CONFIG_FILE`, the interpreter's, the user's, the host's). Of a single value the strongest source counts. Lists
keep each tool's own rule, uv's adding up over its sources and pip's strongest replacing the others; then the two
are joined. Several indexes have equal standing, as pip knows nothing else, unless uv's `index-strategy` is set.
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

# pip's option -> the separator of uv's variables for it (`None`: one value), and these variables.
_UV_VARIABLES = {
    "index-url": (None, ["UV_DEFAULT_INDEX", "UV_INDEX_URL"]),
    "extra-index-url": (None, ["UV_INDEX", "UV_EXTRA_INDEX_URL"]),
    "find-links": (",", ["UV_FIND_LINKS"]),
    "no-index": (None, ["UV_NO_INDEX"]),
    "offline": (None, ["UV_OFFLINE"]),
    "trusted-host": (None, ["UV_INSECURE_HOST"]),
    "constraint": (None, ["UV_CONSTRAINT"]),
    "build-constraint": (None, ["UV_BUILD_CONSTRAINT"]),
    "index-strategy": (None, ["UV_INDEX_STRATEGY"]),
    "exclude-newer": (None, ["UV_EXCLUDE_NEWER"]),
    "system-certs": (None, ["UV_SYSTEM_CERTS", "UV_NATIVE_TLS"]),
    "timeout": (None, ["UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT"]),
}
# uv's name of a setting in its files -> pip's option.
_UV_FILE_KEYS = {
    "index-url": "index-url", "extra-index-url": "extra-index-url", "find-links": "find-links", "no-index": "no-index",
    "offline": "offline", "allow-insecure-host": "trusted-host", "index-strategy": "index-strategy",
    "exclude-newer": "exclude-newer", "native-tls": "system-certs", "system-certs": "system-certs",
    "http-proxy": "http-proxy", "https-proxy": "https-proxy", "no-proxy": "no-proxy",
}  # fmt: skip
_PIP_OPTIONS = ("index-url", "extra-index-url", "find-links", "no-index", "cert", "client-cert", "proxy", "trusted-host",
                "constraint", "build-constraint", "timeout", "default-timeout")  # fmt: skip
_LISTS = ("extra-index-url", "find-links", "trusted-host", "constraint", "build-constraint")
_PLACES = ("index-url", "extra-index-url", "find-links", "constraint", "build-constraint", "cert", "client-cert")


class _SettingsSource:
    """One variable set or file: where it is, whose it is, and its values by pip's names of them."""

    def __init__(self, family: str, is_file: bool, place: str, directory: str) -> None:
        self.family = family
        self.is_file = is_file
        self.place = place
        self.directory = directory
        self.values = {}  # type: dict[str, list[str]]

    def add(self, key: str, values: "list[str]") -> None:
        """Add values; those that are paths become absolute, or `file:` URLs if an installer would split them."""
        values = [value for value in values if value]
        if key in _PLACES:
            values = [_absolute_place(value, self.directory, as_url=key.endswith("index-url")) for value in values]
        if values:
            self.values.setdefault(key, []).extend(values)


class IndexSettings:
    """Where distributions come from, and how they are reached; made by `read_index_settings`.

    :param index_url: the configured index, or `None` where that is the public one
    :param find_links: directories and pages with links to distributions
    :param no_index: only `find_links` count
    :param ca_file: certificates that HTTPS is checked against, `None` for the system's
    :param proxies: scheme -> proxy URL
    :param constraints: files of versions that every installation keeps to
    :param offline: no network at all; `file:` indexes and directories still count
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
        self.client_certificate = self._one("client-cert") or environ.get("SSL_CLIENT_CERT") or None
        bundles = [environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
        self.ca_file = self._one("cert") or next((path for path in bundles if path), None)
        self.index_strategy = self._one("index-strategy")
        self.exclude_newer = self._one("exclude-newer")
        self.timeout = _seconds(self._one("timeout") or self._one("default-timeout"))
        self.proxies = self._proxies()

    def index_urls(self) -> "list[str]":
        """Return every index to look at, the public one if none is configured; only local ones when offline."""
        if self.no_index:
            return []
        urls = [self.index_url or "https://%s/simple/" % ".".join(PUBLIC_INDEX_LABELS)] + self.extra_index_urls
        return [url for url in urls if url.startswith("file:")] if self.offline else urls

    def credentials_for(self, url: str) -> "tuple[str, str] | None":
        """Return user and password for a URL: its own, those of a configured URL on the same host, or netrc's."""
        wanted = _host_and_port(url)
        for known in [url, self.index_url or ""] + self.extra_index_urls + self.find_links:
            found = _url_credentials(known)
            if found and _host_and_port(known) == wanted:
                return found
        return self._netrc_credentials(wanted.rsplit(":", 1)[0]) if wanted else None

    def for_pip(self, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables with which pip uses these settings and no others.

        All of it is variables, since anybody can read another process's arguments but not its variables.

        :param locking: the result will be committed: directories of this host are left out unless there is nothing else
        """
        indexes, links = self._places(self.extra_index_urls, self.find_links, locking)
        if self.offline:
            indexes = self.index_urls()
        env = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        env["PIP_NO_PYTHON_VERSION_WARNING"] = "1"
        if self.no_index or (self.offline and not indexes):
            env["PIP_NO_INDEX"] = "1"
        elif self.offline:
            env["PIP_INDEX_URL"] = indexes.pop(0)
        elif self.index_url:
            env["PIP_INDEX_URL"] = self.index_url
        lists = {"EXTRA_INDEX_URL": indexes, "FIND_LINKS": links, "TRUSTED_HOST": self.trusted_hosts,
                 "CONSTRAINT": self.constraints, "BUILD_CONSTRAINT": self.build_constraints}  # fmt: skip
        env.update(("PIP_" + name, " ".join(values)) for name, values in lists.items() if values)
        if self.ca_file:
            env["PIP_CERT"] = self.ca_file
        if self.client_certificate:
            env["PIP_CLIENT_CERT"] = self.client_certificate
        if self.timeout:
            env["PIP_DEFAULT_TIMEOUT"] = "%g" % self.timeout
        env.update(self._proxy_variables())
        return [], env

    def for_uv(self, project: bool = False, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables with which uv uses these settings.

        :param project: for `uv sync`, `uv lock` and `uv export`: uv reads its own files itself, since `[tool.uv]` also
            says how to resolve, which the lock records; only what it cannot see there is added, and no directory that
            only pip was told of. Otherwise `--no-config` shuts its files out.
        :param locking: as for pip
        """
        extras = self._many("extra-index-url", seen_by_uv=not project)
        links = [place for place in self._many("find-links", seen_by_uv=not project) if _is_there(place)]
        indexes, links = self._places(extras, links, locking or project)
        args = [] if project else ["--no-config"]
        env = {name: value for name, value in self._environ.items() if name.startswith("UV_INDEX_") and value}
        for obsolete in ("UV_INDEX_URL", "UV_INDEX_STRATEGY"):
            env.pop(obsolete, None)
        singles = {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX_STRATEGY": "index-strategy",
                   "UV_EXCLUDE_NEWER": "exclude-newer", "UV_SYSTEM_CERTS": "system-certs"}  # fmt: skip
        for variable, key in singles.items():
            value = self._one(key, seen_by_uv=not project)
            if value:
                env[variable] = value
        if indexes and not self.index_strategy:
            env["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        lists = {"UV_INDEX": indexes, "UV_INSECURE_HOST": self.trusted_hosts, "UV_CONSTRAINT": self.constraints,
                 "UV_BUILD_CONSTRAINT": self.build_constraints}  # fmt: skip
        env.update((name, " ".join(values)) for name, values in lists.items() if values)
        if links:
            env["UV_FIND_LINKS"] = ",".join(links)
        if self.no_index:
            args.append("--no-index")
        if self.offline:
            env["UV_OFFLINE"] = "1"
        if self.ca_file:
            env["SSL_CERT_FILE"] = self.ca_file
        if self.client_certificate:
            env["SSL_CLIENT_CERT"] = self.client_certificate
        if self.timeout:
            env["UV_HTTP_TIMEOUT"] = "%d" % max(1, self.timeout)
        env.update(self._proxy_variables())
        return args, env

    def secrets(self) -> "list[str]":
        """Return what must never be shown, for `Console.add_secret`."""
        from urllib.parse import quote

        urls = [self.index_url or ""] + self.extra_index_urls + self.find_links + list(self.proxies.values())
        passwords = [found[1] or found[0] for found in map(_url_credentials, urls) if found]
        passwords += [value for name, value in self._environ.items() if name.startswith("UV_INDEX_") and name.endswith("_PASSWORD")]
        return sorted({form for word in passwords if word for form in (word, quote(word, safe=""))})

    def describe(self) -> "list[str]":
        """Return a line for each setting in force, with the place it comes from; credentials are left out."""
        lines = []
        for source in self._sources:
            for key, values in sorted(source.values.items()):
                shown = [value for value in values if key not in _LISTS or value in self._many(key)]
                if shown and (key in _LISTS or shown == [self._one(key)]):
                    lines.append("%s: %s (%s)" % (key, " ".join(map(_without_credentials, shown)), source.place))
        return lines or ["index-url: the public index (nothing is configured)"]

    def _one(self, key: str, seen_by_uv: bool = True) -> "str | None":
        for source in self._sources:
            if key in source.values:
                return source.values[key][0] if seen_by_uv or not (source.is_file and source.family == "uv") else None
        return None

    def _many(self, key: str, seen_by_uv: bool = True) -> "list[str]":
        values = []  # type: list[str]
        families = set()
        for source in self._sources:
            if key in source.values and not (source.family == "pip" and "pip" in families):
                families.add(source.family)
                if seen_by_uv or not (source.is_file and source.family == "uv"):
                    values.extend(value for value in source.values[key] if value not in values)
        return values

    def _places(self, indexes: "list[str]", links: "list[str]", locking: bool) -> "tuple[list[str], list[str]]":
        if not locking or self.no_index or self.offline:
            return list(indexes), list(links)
        return [url for url in indexes if not url.startswith("file:")], [place for place in links if place.startswith("http")]

    def _proxies(self) -> "dict[str, str]":
        import urllib.request

        # The process's own variables, or on Windows and macOS the system's settings.
        found = dict(urllib.request.getproxies_environment() if self._environ is not os.environ else urllib.request.getproxies())
        one = self._one("proxy")
        for scheme in ("http", "https"):
            proxy = one or self._one(scheme + "-proxy") or found.get(scheme) or found.get("all")
            if proxy:
                found[scheme] = proxy if "://" in proxy else "http://" + proxy
        if self._one("no-proxy"):
            found["no"] = self._one("no-proxy") or ""
        return found

    def _proxy_variables(self) -> "dict[str, str]":
        return {name + "_proxy": value for name, value in self.proxies.items() if name in ("http", "https", "no")}

    def _netrc_credentials(self, host: str) -> "tuple[str, str] | None":
        import netrc

        home = os.path.expanduser("~")
        for path in [self._environ.get("NETRC") or "", os.path.join(home, ".netrc"), os.path.join(home, "_netrc")]:
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
    sources = [_uv_variables(environ), _pip_variables(environ)]
    sources += [_uv_file(path, environ) for path in _uv_files(root, environ)]
    sources += [_pip_file(path) for path in _pip_files(environ)]
    return IndexSettings([source for source in sources if source.values], offline, environ)


def _uv_variables(environ: "dict[str, str]") -> _SettingsSource:
    source = _SettingsSource("uv", False, "uv's variables", os.getcwd())
    for key, (separator, names) in _UV_VARIABLES.items():
        for name in names:
            values = environ.get(name, "").split(separator)
            source.add(key, [_named_index_url(value, environ) if "index-url" in key else value for value in values])
    return source


def _pip_variables(environ: "dict[str, str]") -> _SettingsSource:
    source = _SettingsSource("pip", False, "pip's variables", os.getcwd())
    for key in _PIP_OPTIONS:
        value = environ.get("PIP_" + key.upper().replace("-", "_"), "")
        source.add(key, value.split() if key in _LISTS else [value.strip()])
    return source


def _named_index_url(text: str, environ: "dict[str, str]") -> str:
    """Return the URL of uv's `name=url`, with the user and password that variables give to that name."""
    name, equals, url = text.partition("=")
    if not equals or "/" in name or ":" in name:
        return text
    return _url_with_credentials(url, name, environ)


def _url_with_credentials(url: str, name: str, environ: "dict[str, str]") -> str:
    from urllib.parse import quote

    prefix = "UV_INDEX_" + "".join(letter if letter.isalnum() else "_" for letter in name.upper())
    user, password = environ.get(prefix + "_USERNAME", ""), environ.get(prefix + "_PASSWORD", "")
    scheme, separator, rest = url.partition("://")
    if not (user or password) or not separator or "@" in rest.split("/", 1)[0]:
        return url
    return "%s://%s:%s@%s" % (scheme, quote(user, safe=""), quote(password, safe=""), rest)


def _uv_files(root: str, environ: "dict[str, str]") -> "list[str]":
    if _is_true(environ.get("UV_NO_CONFIG")):
        return []
    if environ.get("UV_CONFIG_FILE"):
        return [os.path.abspath(environ["UV_CONFIG_FILE"])]
    local = os.path.join(root, "uv.toml")
    files = [local if os.path.isfile(local) else os.path.join(root, "pyproject.toml")]
    if os.name == "nt":
        places = [environ.get("APPDATA", ""), os.path.join(environ.get("SYSTEMDRIVE", "C:") + os.sep, "ProgramData")]
        files += [os.path.join(place, "uv", "uv.toml") for place in places if place]
    else:
        files.append(os.path.join(environ.get("XDG_CONFIG_HOME") or _home(environ, ".config"), "uv", "uv.toml"))
        system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") + ["/etc"]
        files += [path for path in (os.path.join(place, "uv", "uv.toml") for place in system) if os.path.isfile(path)][:1]
    return [path for path in files if os.path.isfile(path)]


def _uv_file(path: str, environ: "dict[str, str]") -> _SettingsSource:
    table = load_toml(path)
    if os.path.basename(path) == "pyproject.toml":
        tools = table.get("tool")
        table = tools.get("uv", {}) if isinstance(tools, dict) else {}
    source = _SettingsSource("uv", True, path, os.path.dirname(path))
    if not isinstance(table, dict):
        return source
    pip_table = table.get("pip")
    tables = [pip_table, table] if isinstance(pip_table, dict) else [table]
    for index in table.get("index", []) if isinstance(table.get("index"), list) else []:
        if isinstance(index, dict) and isinstance(index.get("url"), str) and not index.get("explicit"):
            url = _url_with_credentials(index["url"], str(index.get("name", "")), environ)
            source.add("index-url" if index.get("default") else "extra-index-url", [url])
    for uv_key, key in _UV_FILE_KEYS.items():
        value = next((one[uv_key] for one in tables if uv_key in one), None)  # type: Any
        values = value if isinstance(value, list) else [] if value is None else [value]
        source.add(key, [str(one).lower() if isinstance(one, bool) else str(one) for one in values])
    return source


def _pip_files(environ: "dict[str, str]") -> "list[str]":
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return []
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    files = [chosen, os.path.join(sys.prefix, name)]
    if not (chosen and os.path.exists(chosen)):
        files += _pip_user_files(environ, name)
    if os.name == "nt":
        files.append(os.path.join(environ.get("PROGRAMDATA", "C:\\ProgramData"), "pip", name))
    elif sys.platform == "darwin":
        files.append("/Library/Application Support/pip/pip.conf")
    else:
        files.append("/etc/pip.conf")
        directories = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        files += [os.path.join(place, "pip", name) for place in reversed(directories) if place]
    return [os.path.abspath(path) for path in files if path and os.path.isfile(path)]


def _pip_user_files(environ: "dict[str, str]", name: str) -> "list[str]":
    if os.name == "nt":
        return [os.path.join(environ.get("APPDATA", ""), "pip", name), _home(environ, "pip", name)]
    current = os.path.join(environ.get("XDG_CONFIG_HOME") or _home(environ, ".config"), "pip", name)
    support = _home(environ, "Library", "Application Support", "pip")
    if sys.platform == "darwin" and os.path.isdir(support):
        current = os.path.join(support, name)
    return [current, _home(environ, ".pip", name)]


def _pip_file(path: str) -> _SettingsSource:
    import configparser

    parser = configparser.RawConfigParser()
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            parser.read_file(stream)
    except OSError:
        # Another user's file, as pip sees it: not for us.
        return _SettingsSource("pip", True, path, "")
    except configparser.Error as error:
        advice = "repair this pip configuration file, or set PIP_CONFIG_FILE=%s" % os.devnull
        raise ConfigurationError("not a valid pip configuration: %s" % str(error).splitlines()[0], path, advice) from error
    source = _SettingsSource("pip", True, path, os.getcwd())
    values = {}  # type: dict[str, str]
    for section in ("global", "install"):
        if parser.has_section(section):
            values.update((key.lstrip("-").replace("_", "-"), value) for key, value in parser.items(section))
    for key in _PIP_OPTIONS:
        source.add(key, values.get(key, "").split() if key in _LISTS else [values.get(key, "").strip()])
    return source


def _home(environ: "dict[str, str]", *names: str) -> str:
    return os.path.join(environ.get("HOME") or os.path.expanduser("~"), *names)


def _absolute_place(text: str, directory: str, as_url: bool) -> str:
    if "://" in text or text.startswith("file:"):
        return text
    path = os.path.normpath(os.path.join(directory, os.path.expanduser(text)))
    if as_url or any(letter.isspace() or letter == "," for letter in path):
        from urllib.request import pathname2url

        url = pathname2url(path)
        return "file:" + (url if url.startswith("//") else "//" + url)
    return path


def _is_there(place: str) -> bool:
    """Tell whether find-links can be read: uv, unlike pip, fails on a directory that is not there."""
    from urllib.request import url2pathname

    if place.startswith("http"):
        return True
    return os.path.exists(url2pathname(place[7:]) if place.startswith("file://") else place)


def _host_and_port(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return ""
    return "%s:%s" % (parts.hostname, port) if parts.hostname else ""


def _url_credentials(url: str) -> "tuple[str, str] | None":
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def _without_credentials(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return "%s://****@%s%s%s" % (scheme, host.rpartition("@")[2], slash, path) if separator and "@" in host else text


def _seconds(text: "str | None") -> "float | None":
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _is_true(text: "str | None") -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on", "y", "t")
