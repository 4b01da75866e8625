"""What pip and uv were told, read once, and told again to whichever installer runs.

Sources, strongest first: uv's variables, pip's variables, uv's files (project, user, system), pip's files (the
interpreter's, `PIP_CONFIG_FILE`, the user's, the host's). Of a single value the strongest source counts. Lists keep
each tool's own rule, uv's adding up over its sources and pip's strongest replacing the others; then they are joined.
Indexes have equal standing, as pip knows nothing else, unless uv's `index-strategy` is set.
"""

import os
import re
import sys
from copy import copy

from protoprimer.settings.credentials import Credentials, without_credentials
from protoprimer.settings.index_sources import (
    SETTINGS,
    PackageSetting,
    SettingsSource,
    is_false_text,
    is_true_text,
    read_settings_sources,
)
from protoprimer.system.console import mask_urls
from protoprimer.system.files import is_within
from protoprimer.system.paths import path_of_file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IndexSettings", "moment_of", "read_index_settings"]

# The public index serves when nothing is configured, and only what the kernel itself fetches needs its address.
PUBLIC_INDEX_LABELS = ("pypi", "org")
_EXACT_PIN = re.compile(r"[\w.-]+\s*==\s*[\w.!+]+\Z")
_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


class IndexSettings:
    """Where distributions come from, which are chosen, and how they are reached; made by `read_index_settings`.

    :param files: every file in which pip or uv would be told something, whether it is there or not
    :param index_url: the configured index, or `None` where that is the public one
    :param find_links: directories and pages with links to distributions
    :param no_index: only `find_links` count
    :param ca_file: certificates that HTTPS is checked against, `None` for the system's
    :param proxies: `http`, `https` -> URL; `no` -> hosts without one
    :param constraints: files of versions that every installation keeps to
    :param offline: no network at all; `file:` indexes and directories still count
    """

    def __init__(
        self,
        sources: "list[SettingsSource]",
        files: "list[str]",
        offline: bool,
        environ: "dict[str, str]",
        root: str = "",
    ) -> None:
        self._sources = sources
        self.root = root
        self._environ = environ
        self.files = files
        self.index_url = self._one("index-url")
        self.extra_index_urls = [url for url in self._many("extra-index-url") if url != self.index_url]
        self.find_links = self._many("find-links")
        self.no_index = is_true_text(self._one("no-index"))
        self.offline = offline or is_true_text(self._one("offline"))
        self.trusted_hosts = self._many("trusted-host")
        self.constraints = self._many("constraint")
        self.build_constraints = self._many("build-constraint")
        # A person's variables go before the host's files.
        bundles = [environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
        of_variable = [self._one("cert", _is_variable)] + bundles
        self.ca_file = next(filter(None, of_variable), None) or self._one("cert")
        of_variable = [self._one("client-cert", _is_variable), environ.get("SSL_CLIENT_CERT")]
        self.client_certificate = next(filter(None, of_variable), None) or self._one("client-cert")
        self.timeout = _seconds(self._one("timeout") or self._one("default-timeout"))
        self.uploaded_prior_to = self._one("uploaded-prior-to")
        self.proxies = self._proxies()
        # As with pip that may ask nobody: only if it was chosen.
        uses_keyring = self._one("keyring-provider") in ("auto", "import", "subprocess")
        indexes = list(filter(None, [self.index_url])) + self.extra_index_urls
        others = self.find_links + list(self.proxies.values())
        self.credentials = Credentials(indexes, others, uses_keyring, environ)

    def of_bundle(self, directory: str) -> "IndexSettings":
        """Return the same settings, but that packages come from this directory alone."""
        told = {"index-url": [], "extra-index-url": [], "find-links": [directory], "no-index": ["1"], "offline": ["1"]}
        bundle, others = SettingsSource(False, False, "the bundle", directory), list(map(copy, self._sources))
        for name, values in told.items():
            bundle.add(name, values)
        for source in others:
            source.values = {name: values for name, values in source.values.items() if name not in told}
        return IndexSettings([bundle] + others, self.files, True, self._environ, self.root)

    def refusal(self, installer: str) -> "str | None":
        """Return why `pip` or `uv` cannot do what a setting asks, or `None`: no setting is dropped silently."""
        for setting in SETTINGS.values():
            _, refuses, allowed = getattr(setting, installer).partition("refused")
            values = [value for value in self._values(setting) if not is_false_text(value)]
            if setting.name == "override-dependencies":
                values = [value for value in values if not _EXACT_PIN.match(value)]
            if setting.name == "index-strategy" and not self.extra_index_urls:
                values = []
            if refuses and set(values) - set(allowed.split()):
                return "%s cannot do what %s asks (%s)" % (
                    installer,
                    setting.name,
                    self._place(setting.name, values[0]),
                )
        if installer == "pip" and self.uploaded_prior_to and not self._upload_limit(is_for_pip=True):
            return "pip cannot do what exclude-newer asks: %r" % self.uploaded_prior_to
        return None

    def facts(self) -> "dict[str, list[str]]":
        """Return what bears on what is installed, without credentials, by the names of the settings."""
        values = {setting.name: self._values(setting) for setting in SETTINGS.values() if "what" in setting.kind}
        return {name: list(map(without_credentials, found)) for name, found in values.items() if found}

    def constraint_lines(self) -> "list[str]":
        """Return the constraints that no file of pip's can say: uv's own, and what it overrides with one version."""
        overrides = self._many("override-dependencies")
        return self._many("constraint-dependencies") + [line for line in overrides if _EXACT_PIN.match(line)]

    def index_urls(self) -> "list[str]":
        """Return every index to look at, the public one if none is configured; only local ones when offline."""
        if self.no_index:
            return []
        urls = [self.index_url or "https://%s/simple/" % ".".join(PUBLIC_INDEX_LABELS)] + self.extra_index_urls
        return [url for url in urls if url.startswith("file:")] if self.offline else urls

    def credentials_for(self, url: str) -> "tuple[str, str] | None":
        """Return user and password for a URL, where they are known or can be had from the keyring."""
        found = self.credentials.of_url(url)
        return found and found[:2]

    def for_pip(self, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables with which pip uses these settings and no others.

        Variables only, since anybody can read another process's arguments.

        :param locking: the result will be committed: directories that only this host has are left out
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
            "PIP_UPLOADED_PRIOR_TO": self._upload_limit(is_for_pip=True),
            "PIP_PRE": "1" if self._is_set("pre") or self._one("prerelease") == "allow" else None,
            "PIP_KEYRING_PROVIDER": self._keyring_provider(),
            "PIP_DEFAULT_TIMEOUT": "%g" % self.timeout if self.timeout else None,
        }
        for name in ("constraint", "build-constraint", "trusted-host", "prefer-binary"):
            told[SETTINGS[name].pip] = " ".join(self._values(SETTINGS[name]))
        for name in ("only-binary", "no-binary"):
            told[SETTINGS[name].pip] = ",".join(self._many(name))
        env.update((name, value) for name, value in told.items() if value)
        env.update(self._proxy_variables())
        # As variables these would hold for isolated builds, too.
        names = ("require-hashes", "no-deps", "no-build-isolation")
        args = ["--" + name for name in names if self._is_set(name)]
        return args + [word for one in self._many("config-settings") for word in ("--config-settings", one)], env

    def for_uv(self, project: bool = False, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables with which uv uses these settings; the arguments suit what resolves.

        uv reads its own files itself, and its variables; what it cannot see there is added.

        :param project: for `uv sync` and `uv lock`, which write down, or compare, what they are told: no directories
        :param locking: as for pip
        """
        links = [place for place in self._many("find-links", _is_for_uv) if _is_there(place)]
        indexes, links = self._places(self._many("extra-index-url", _is_for_uv), links, locking or project)
        extra = indexes if project else self.extra_index_urls
        ends, chosen = ("_USERNAME", "_PASSWORD"), self._environ.get("UV_CONFIG_FILE")
        own = {name for one in SETTINGS.values() if one.uv == "reads it" for name in one.variables.split()}
        env = {
            name: text
            for name, text in self._environ.items()
            if name in own or name == "UV_NO_CONFIG" or (name.startswith("UV_INDEX_") and name.endswith(ends))
        }
        told = {
            "UV_CONFIG_FILE": os.path.abspath(chosen) if chosen else None,
            "UV_DEFAULT_INDEX": self._one("index-url", _is_for_uv),
            "UV_INDEX": " ".join(indexes),
            "UV_FIND_LINKS": ",".join(links),
            "UV_INDEX_STRATEGY": "unsafe-best-match" if extra and not self._one("index-strategy") else None,
            "UV_OFFLINE": "1" if self.offline else None,
            "UV_EXCLUDE_NEWER": self._upload_limit(is_for_pip=False),
            "UV_PRERELEASE": "allow" if self._is_set("pre") and not self._one("prerelease") else None,
            "UV_NO_BUILD_ISOLATION": "1" if self._is_set("no-build-isolation") else None,
            "UV_KEYRING_PROVIDER": self._keyring_provider(),
            "UV_CONSTRAINT": " ".join(self.constraints),
            "UV_BUILD_CONSTRAINT": " ".join(self.build_constraints),
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
            "SSL_CERT_FILE": self.ca_file,
            "SSL_CLIENT_CERT": self.client_certificate,
            "UV_HTTP_TIMEOUT": "%d" % max(1, self.timeout) if self.timeout else None,
        }
        env.update((name, value) for name, value in told.items() if value)
        env.update(self._proxy_variables())
        args = ["--no-index"] if self.no_index else []
        args += ["--" + name for name in ("require-hashes", "no-deps") if self._is_set(name) and not project]
        args += [word for one in self._many("config-settings", _is_for_uv) for word in ("--config-setting", one)]
        for name, of_project in (("only-binary", "--no-build"), ("no-binary", "--no-binary")):
            for value in self._many(name):
                if project:
                    args += [of_project] if value == ":all:" else [of_project + "-package", value]
                else:
                    args += ["--" + name, value]
        return args, env

    def describe(self) -> "list[str]":
        """Return a line for each setting in force, with the place it comes from; credentials are left out."""
        lines = [
            "%s: %s (%s)" % (setting.name, mask_urls(value), self._place(setting.name, value))
            for setting in SETTINGS.values()
            for value in self._values(setting)
        ]
        lines = lines or ["index-url: the public index (nothing is configured)"]
        for url in dict.fromkeys(self.index_urls() + self.find_links):
            found = self.credentials.of_url(url, lambda _url, _user: "") if "://" in url else None
            if found:
                lines.append("credentials for %s: %s" % (mask_urls(url), found[2]))
        return lines

    def _values(self, setting: PackageSetting) -> "list[str]":
        return self._many(setting.name) if "list" in setting.kind else list(filter(None, [self._one(setting.name)]))

    def _place(self, name: str, value: str) -> str:
        return next(one.place for one in self._sources if value in one.values.get(name, ()))

    def _source(self, name: str, counts: "Callable[[SettingsSource], bool]") -> "SettingsSource | None":
        # The strongest source decides, also where it does not count.
        found = next((source for source in self._sources if source.values.get(name)), None)
        return found if found is not None and counts(found) else None

    def _one(self, name: str, counts: "Callable[[SettingsSource], bool] | None" = None) -> "str | None":
        source = self._source(name, counts or _is_any)
        return source.values[name][0] if source is not None else None

    def _upload_limit(self, is_for_pip: bool) -> "str | None":
        source = self._source("uploaded-prior-to", _is_any if is_for_pip else _is_for_uv)
        text = source.values["uploaded-prior-to"][0] if source is not None else None
        if text and source is not None and source.is_pips != is_for_pip:
            return moment_of(text, days=1 if is_for_pip else 0)
        return text

    def _is_set(self, name: str) -> bool:
        return is_true_text(self._one(name))

    def _many(self, name: str, counts: "Callable[[SettingsSource], bool] | None" = None) -> "list[str]":
        found = []  # type: list[str]
        pip_has_it = False
        for source in self._sources:
            values = source.values.get(name, [])
            if source.is_pips and values:
                values, pip_has_it = [] if pip_has_it else values, True
            if counts is None or counts(source):
                found.extend(value for value in values if value not in found)
        return found

    def left_out_of_locks(self) -> "list[str]":
        """Return this host's directories, which a lock that is committed cannot name."""
        indexes, links = self._places(self.extra_index_urls, self.find_links, True)
        return [one for one in self.extra_index_urls + self.find_links if one not in indexes + links]

    def _places(self, indexes: "list[str]", links: "list[str]", locking: bool) -> "tuple[list[str], list[str]]":
        if not locking or self.no_index:
            # Without any index these are all there is; what is written names none of their files.
            return list(indexes), list(links)
        return list(filter(self._is_for_all, indexes)), list(filter(self._is_for_all, links))

    def _is_for_all(self, place: str) -> bool:
        """Tell whether every clone has a place: in the network, or in the repository."""
        path = path_of_file_url(place) if place.startswith("file:") else place
        return place.startswith("http") or bool(self.root and is_within(path, self.root))

    def _proxies(self) -> "dict[str, str]":
        found = {}  # type: dict[str, str]
        for name, setting in (("http", "proxy"), ("https", "proxy"), ("no", "no-proxy")):
            variables = [name + "_proxy"] + (["all_proxy"] if name != "no" else [])
            of_person = [self._environ.get(one) or self._environ.get(one.upper()) for one in variables]
            text = self._one(setting, _is_variable) or next(filter(None, of_person), None) or self._one(setting)
            if text:
                found[name] = text if "://" in text or name == "no" else "http://" + text
        if not found and (os.name == "nt" or sys.platform == "darwin"):
            from urllib.request import getproxies

            # The system's settings.
            found = {name: url for name, url in getproxies().items() if name in ("http", "https", "no")}
        return found

    def _keyring_provider(self) -> "str | None":
        return "subprocess" if self.credentials.uses_keyring and not self.credentials.keyring_fault else None

    def _proxy_variables(self) -> "dict[str, str]":
        # Tools disagree on which case counts.
        names = [(name + "_proxy", value) for name, value in self.proxies.items()]
        return dict(names + [(name.upper(), value) for name, value in names])


def read_index_settings(root: str, offline: bool = False, environ: "dict[str, str] | None" = None) -> IndexSettings:
    """Read every variable and file in which pip or uv is told something.

    :param root: the client's root directory, whose `uv.toml` or `[tool.uv]` counts
    :raises ConfigurationError: a file cannot be understood (exit code 3)
    """
    environ = dict(os.environ) if environ is None else environ
    sources, files = read_settings_sources(root, environ)
    return IndexSettings(sources, files, offline, environ, root)


def moment_of(text: str, days: int) -> "str | None":
    """Return a date, a time or a span such as `7 days` as a time; `None` where it is none of these.

    :param days: what a date means: 0 that it has not begun (as for pip), 1 that it is over (as for uv)
    """
    import datetime as dt

    if re.match(r"\d{4}-\d\d-\d\d[Tt ]\d", text):
        return text
    if re.match(r"\d{4}-\d\d-\d\d\Z", text):
        date = dt.datetime.strptime(text, "%Y-%m-%d").astimezone() + dt.timedelta(days=days)
        return date.isoformat()
    spans = re.findall(r"(\d+)\s*([a-z]+)", re.sub(r"^p|t(?=\d)", " ", text.lower()))
    if not spans or any(unit[0] not in _SECONDS or unit.startswith("mo") for _, unit in spans):
        return None
    past = dt.timedelta(seconds=sum(int(count) * _SECONDS[unit[0]] for count, unit in spans))
    return (dt.datetime.now(dt.timezone.utc) - past).isoformat(timespec="seconds")


def _is_any(source: SettingsSource) -> bool:
    return True


def _is_variable(source: SettingsSource) -> bool:
    return not source.is_file


def _is_for_uv(source: SettingsSource) -> bool:
    # Its own files it reads itself.
    return source.is_pips or not source.is_file


def _is_there(place: str) -> bool:
    """Tell whether find-links can be read: uv, unlike pip, fails on a directory that is not there."""
    if place.startswith("http"):
        return True
    return os.path.exists(path_of_file_url(place) if place.startswith("file://") else place)


def _seconds(text: "str | None") -> "float | None":
    try:
        return float(text) if text else None
    except ValueError:
        return None
