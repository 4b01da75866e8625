"""The one settings language of indexes: what pip and uv were told, read once, told again to whichever installer runs.

Sources, strongest first: uv's variables, pip's variables, uv's files (project, user, system), pip's files (the
interpreter's, `PIP_CONFIG_FILE`, the user's, the host's). Of a single value the strongest source counts. Lists keep
each tool's own rule, uv's adding up over its sources and pip's strongest replacing the others; then they are joined.
Indexes have equal standing, as pip knows nothing else, unless uv's `index-strategy` is set.
"""

import netrc
import os
import shutil
import sys
import urllib.parse

from protoprimer.settings.index_sources import (
    INDEX_LISTS,
    INDEX_SETTINGS,
    IndexSource,
    home_path,
    is_true_text,
    read_index_sources,
    url_credentials,
)
from protoprimer.system.children import STATUS_OF_LATE, run_child
from protoprimer.system.console import Console, mask_urls
from protoprimer.system.paths import path_of_file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

__all__ = ["IndexSettings", "read_index_settings"]

# The public index serves when nothing is configured, and only what the kernel itself fetches needs its address.
# A keyring may have to be unlocked by whoever sits at the terminal.
_SECONDS_OF_KEYRING = {False: 10.0, True: 60.0}
PUBLIC_INDEX_LABELS = ("pypi", "org")


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

    def __init__(self, sources: "list[IndexSource]", offline: bool, environ: "dict[str, str]") -> None:
        self._sources = sources
        self._environ = environ
        self.index_url = self._one("index-url")
        self.extra_index_urls = [url for url in self._many("extra-index-url") if url != self.index_url]
        self.find_links = self._many("find-links")
        self.no_index = is_true_text(self._one("no-index"))
        self.offline = offline or is_true_text(self._one("offline"))
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
        # As with pip that may ask nobody: only if it was chosen.
        self.uses_keyring = self._one("keyring-provider") in ("auto", "import", "subprocess")
        self._keyring_answers = {}  # type: dict[tuple[str, ...], str]
        self.keyring_fault = ""

    def index_urls(self) -> "list[str]":
        """Return every index to look at, the public one if none is configured; only local ones when offline."""
        if self.no_index:
            return []
        urls = [self.index_url or "https://%s/simple/" % ".".join(PUBLIC_INDEX_LABELS)] + self.extra_index_urls
        return [url for url in urls if url.startswith("file:")] if self.offline else urls

    def credentials_for(self, url: str) -> "tuple[str, str] | None":
        """Return user and password for a URL, where they are known or can be had from the keyring."""
        found = self._credentials(url, self._keyring_password)
        return found and found[:2]

    def _credentials(self, url: str, ask_keyring: "Callable[[str, str], str | None]") -> "tuple[str, str, str] | None":
        """Return user, password and source: a URL itself, a configured one on the same host, netrc, the keyring."""
        server, user = _server(url), ""
        for known in [url, self.index_url or ""] + self.extra_index_urls + self.find_links:
            found = url_credentials(known)
            if found and _server(known) == server:
                if found[1]:
                    return found[0], found[1], "the URL"
                user = user or found[0]
        in_netrc = self._netrc_credentials(server[1]) if server else None
        if in_netrc and user in ("", in_netrc[0]):
            return in_netrc
        password = ask_keyring(url, user) if user and self.uses_keyring else None
        if password is not None:
            return user, password, "the command keyring"
        return (user, "", "the URL") if user else None

    def _keyring_password(self, url: str, user: str) -> "str | None":
        """Return what the command `keyring` knows, asked as pip asks it: for the index, then for its host."""
        server, program = _server(url), shutil.which("keyring")
        indexes = [one for one in [self.index_url or url] + self.extra_index_urls if _server(one) == server]
        for service in [_without_credentials(one) for one in indexes] + [
            urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
        ]:
            command = (program or "", "get", service, user)
            if program and command not in self._keyring_answers and not self.keyring_fault:
                patience = _SECONDS_OF_KEYRING[sys.stderr is not None and sys.stderr.isatty()]
                # A console without a log: what it prints is the password.
                done = run_child(list(command), Console(-1), timeout=patience)
                if done.status == STATUS_OF_LATE:
                    self.keyring_fault = " (keyring did not answer within %d s)" % patience
                self._keyring_answers[command] = done.output.rstrip("\r\n") if done.status == 0 else ""
            if self._keyring_answers.get(command):
                return self._keyring_answers[command]
        return None

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
            "PIP_KEYRING_PROVIDER": self._keyring_provider(),
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
            "UV_KEYRING_PROVIDER": self._keyring_provider(),
            "SSL_CERT_FILE": self.ca_file,
            "SSL_CLIENT_CERT": self.client_certificate,
            "UV_HTTP_TIMEOUT": "%d" % max(1, self.timeout) if self.timeout else None,
        }
        env.update((name, value) for name, value in told.items() if value)
        env.update(self._proxy_variables())
        return args, env

    def secrets(self) -> "list[str]":
        """Return what must never be shown, for `Console.add_secret`."""
        urls = [self.index_url or ""] + self.extra_index_urls + self.find_links + list(self.proxies.values())
        words = [found[1] or found[0] for found in map(url_credentials, urls) if found]
        words += [
            text for one, text in self._environ.items() if one.startswith("UV_INDEX_") and one.endswith("_PASSWORD")
        ]
        return sorted(set(filter(None, words)) | {urllib.parse.quote(word, safe="") for word in words if word})

    def describe(self) -> "list[str]":
        """Return a line for each setting in force, with the place it comes from; credentials are left out."""
        lines = []
        for key in INDEX_SETTINGS:
            for value in self._many(key) if key in INDEX_LISTS else [self._one(key)]:
                if value:
                    place = next(one.place for one in self._sources if value in one.values.get(key, ()))
                    lines.append("%s: %s (%s)" % (key, mask_urls(value), place))
        lines = lines or ["index-url: the public index (nothing is configured)"]
        for url in dict.fromkeys(self.index_urls() + self.find_links):
            found = self._credentials(url, lambda _url, _user: "") if "://" in url else None
            if found:
                lines.append("credentials for %s: %s" % (mask_urls(url), found[2]))
        return lines

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

    def left_out_of_locks(self) -> "list[str]":
        """Return this host's directories, which a lock that is committed cannot name."""
        indexes, links = self._places(self.extra_index_urls, self.find_links, True)
        return [one for one in self.extra_index_urls + self.find_links if one not in indexes + links]

    def _places(self, indexes: "list[str]", links: "list[str]", locking: bool) -> "tuple[list[str], list[str]]":
        if not locking or self.no_index or self.offline:
            return list(indexes), list(links)
        return [url for url in indexes if not url.startswith("file:")], [one for one in links if one.startswith("http")]

    def _keyring_provider(self) -> "str | None":
        return "subprocess" if self.uses_keyring and not self.keyring_fault else None

    def _proxy_variables(self) -> "dict[str, str]":
        # Tools disagree on which case counts.
        names = [(name + "_proxy", value) for name, value in self.proxies.items()]
        return dict(names + [(name.upper(), value) for name, value in names])

    def _netrc_credentials(self, host: str) -> "tuple[str, str, str] | None":
        usual = [home_path(self._environ, name) for name in (".netrc", "_netrc")]
        for path in [self._environ.get("NETRC", "")] + usual:
            try:
                found = netrc.netrc(path).authenticators(host) if path and os.path.isfile(path) else None
            except (OSError, ValueError, netrc.NetrcParseError):
                continue
            if found:
                return found[0], found[2] or "", path
        return None


def read_index_settings(root: str, offline: bool = False, environ: "dict[str, str] | None" = None) -> IndexSettings:
    """Read every variable and file in which pip or uv is told about indexes.

    :param root: the client's root directory, whose `uv.toml` or `[tool.uv]` counts
    :raises ConfigurationError: a file cannot be understood (exit code 3)
    """
    environ = dict(os.environ) if environ is None else environ
    return IndexSettings(read_index_sources(root, environ), offline, environ)


def _is_there(place: str) -> bool:
    """Tell whether find-links can be read: uv, unlike pip, fails on a directory that is not there."""
    if place.startswith("http"):
        return True
    return os.path.exists(path_of_file_url(place) if place.startswith("file://") else place)


def _without_credentials(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _server(url: str) -> "tuple[str, str, int | None] | None":
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _proxies(proxy: "str | None", no_proxy: "str | None", environ: "dict[str, str]") -> "dict[str, str]":
    found = {}  # type: dict[str, str]
    for name in ("http", "https", "no"):
        text = (no_proxy if name == "no" else proxy) or ""
        for variable in [name + "_proxy"] + (["all_proxy"] if name != "no" else []):
            text = text or environ.get(variable, "") or environ.get(variable.upper(), "")
        if text:
            found[name] = text if "://" in text or name == "no" else "http://" + text
    if not found and (os.name == "nt" or sys.platform == "darwin"):
        from urllib.request import getproxies

        # The system's settings.
        found = {name: url for name, url in getproxies().items() if name in ("http", "https", "no")}
    return found


def _seconds(text: "str | None") -> "float | None":
    try:
        return float(text) if text else None
    except ValueError:
        return None
