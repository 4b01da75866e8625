"""What pip and uv were told, told again to whichever installer runs (see docs/reference/indexes.md)."""

import os
import re
import sys

from protoprimer.settings.credentials import Credentials, without_credentials
from protoprimer.settings.index_sources import (
    SETTINGS,
    SettingsSource,
    is_false_text,
    is_true_text,
    read_settings_sources,
    settings_source,
    strangers_file,
)
from protoprimer.system.console import mask_urls
from protoprimer.system.files import is_within
from protoprimer.system.paths import owner_of, path_of_file_url

__all__ = ["IndexSettings", "read_index_settings"]

# Only what the kernel itself fetches needs its address, where nothing is configured.
_PUBLIC_INDEX = "https://%s/simple/" % ".".join(("pypi", "org"))
# What uv would count twice, or over its own files, if it were told what it reads there itself.
_READ_BY_UV = ("index-url", "extra-index-url", "find-links", "uploaded-prior-to", "config-settings")
# As `uv sync` and `uv lock` spell them; they do without `--require-hashes` and `--no-deps`.
_BINARY_OPTIONS = {"only-binary": "--no-build", "no-binary": "--no-binary"}
_EXACT_PIN = r"[\w.-]+\s*==\s*[\w.!+]+\Z"
_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


class IndexSettings:
    """Where distributions come from, which are chosen, how they are reached."""

    def __init__(
        self, sources: "list[SettingsSource]", files: "list[str]", offline: bool, environ: "dict[str, str]", root: str
    ) -> None:
        self._sources = sources
        self._environ = environ
        self.root = root
        self.bundle = ""
        self.files = files  # in which pip or uv would be told something, there or not
        self.index_url = self.one("index-url")
        self.extra_index_urls = [url for url in self._values("extra-index-url") if url != self.index_url]
        self.find_links = self._values("find-links")
        self.no_index = is_true_text(self.one("no-index"))
        # Then `file:` indexes and directories still count.
        self.offline = offline or is_true_text(self.one("offline"))
        self.trusted_hosts = self._values("trusted-host")
        self.constraints = self._values("constraint") + self._values("build-constraint")
        self.ca_file = self._of_person("cert", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        self.client_certificate = self._of_person("client-cert", "SSL_CLIENT_CERT")
        told = re.match(r"\d+\.?\d*\Z", self.one("timeout") or self.one("default-timeout") or "")
        self.timeout = float(told.group()) if told else None
        self.uploaded_prior_to = self.one("uploaded-prior-to")
        self.proxies = self._proxies()
        # As with pip that may ask nobody: only if it was chosen.
        uses_keyring = self.one("keyring-provider") in ("auto", "import", "subprocess")
        indexes = list(filter(None, [self.index_url])) + self.extra_index_urls
        others = self.find_links + list(self.proxies.values())
        self.credentials = Credentials(indexes, others, uses_keyring, environ)

    def of_bundle(self, directory: str) -> "IndexSettings":
        told = {"index-url": [], "extra-index-url": [], "find-links": [directory], "no-index": ["1"], "offline": ["1"]}
        sources = [settings_source(False, False, "the bundle", directory, told)]
        for source in self._sources:
            rest = {name: values for name, values in source.values.items() if name not in told}
            sources.append(source._replace(values=rest))
        settings = IndexSettings(sources, self.files, True, self._environ, self.root)
        settings.bundle = directory
        return settings

    def refusal(self, installer: str) -> "str | None":
        """Return why `pip` or `uv` cannot do what a setting asks: none is dropped silently."""
        for name, setting in SETTINGS.items():
            _, refuses, allowed = getattr(setting, installer).partition("refused")
            asked = [value for value in self._values(name) if not is_false_text(value) and value not in allowed.split()]
            if name == "override-dependencies":
                asked = [value for value in asked if not re.match(_EXACT_PIN, value)]
            if refuses and asked and (name != "index-strategy" or self.extra_index_urls):
                return "%s cannot do what %s asks (%s)" % (installer, name, self.place_of(name, asked[0]))
        if installer == "pip" and self.uploaded_prior_to and not self._upload_limit(installer):
            return "pip cannot do what exclude-newer asks: %r" % self.uploaded_prior_to
        foreign = strangers_file(self.root, self._environ) if installer == "uv" else None
        if foreign:
            return "uv would read %s, which belongs to another user (%s)" % (foreign, owner_of(foreign))
        return None

    def facts(self) -> "dict[str, list[str]]":
        """Return what bears on what is installed, without credentials."""
        values = {name: self._values(name) for name, setting in SETTINGS.items() if "what" in setting.kind}
        return {name: list(map(without_credentials, found)) for name, found in values.items() if found}

    def constraint_lines(self) -> "list[str]":
        """Return the constraints of uv's own, and its overrides that pip can have as such."""
        overrides = self._values("override-dependencies")
        return self._values("constraint-dependencies") + [line for line in overrides if re.match(_EXACT_PIN, line)]

    def index_urls(self) -> "list[str]":
        if self.no_index:
            return []
        urls = [self.index_url or _PUBLIC_INDEX] + self.extra_index_urls
        return [url for url in urls if url.startswith("file:")] if self.offline else urls

    def for_pip(self, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables for pip; `locking` leaves out directories that only this host has."""
        index_url, indexes = self.index_url, self._places(self.extra_index_urls, locking)
        if self.offline:
            index_url, *indexes = self.index_urls() or [""]
        is_pre = is_true_text(self.one("pre")) or self.one("prerelease") == "allow"
        env = self._variables(
            "pip",
            {
                "index-url": index_url,
                "extra-index-url": " ".join(indexes),
                "find-links": " ".join(self._places(self.find_links, locking)),
                "no-index": "1" if self.no_index or (self.offline and not index_url) else None,
                "pre": "1" if is_pre else None,
                "prerelease": None,
                "timeout": "%g" % self.timeout if self.timeout else None,
            },
        )
        env.update(PIP_CONFIG_FILE=os.devnull, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
        return self._options("pip"), env

    def for_uv(self, project: bool = False, locking: bool = False) -> "tuple[list[str], dict[str, str]]":
        """Return arguments and variables for what uv does not see in its files; `project` is for its sync and lock."""
        # uv, unlike pip, fails on a directory that is not there.
        links = self._values("find-links", "uv")
        links = [place for place in links if place.startswith("http") or os.path.exists(path_of_file_url(place))]
        # A project's commands write down, or compare, what they are told: no directories.
        indexes = self._places(self._values("extra-index-url", "uv"), locking or project)
        env = self._variables(
            "uv",
            {
                "extra-index-url": " ".join(indexes),
                "find-links": ",".join(self._places(links, locking or project)),
                "timeout": "%d" % max(1, self.timeout) if self.timeout else None,
            },
        )
        own = {name for one in SETTINGS.values() if one.uv == "reads it" for name in one.variables.split()}
        for name, text in self._environ.items():
            if name in own or name == "UV_NO_CONFIG" or re.match(r"UV_INDEX_.*_(USERNAME|PASSWORD)\Z", name):
                env[name] = text
        if self._environ.get("UV_CONFIG_FILE"):
            env["UV_CONFIG_FILE"] = os.path.abspath(self._environ["UV_CONFIG_FILE"])
        if (indexes or not project) and not self.one("index-strategy"):
            env["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        if is_true_text(self.one("pre")) and not self.one("prerelease"):
            env["UV_PRERELEASE"] = "allow"
        if self.offline:
            env["UV_OFFLINE"] = "1"
        return self._options("uv", project), env

    def _variables(self, installer: str, other: "dict[str, str | None]") -> "dict[str, str]":
        """Use variables where the table says so: anybody can read another process's arguments."""
        said = {
            "uploaded-prior-to": self._upload_limit(installer),
            "cert": self.ca_file,
            "client-cert": self.client_certificate,
            "keyring-provider": "subprocess" if self.credentials.uses_keyring else None,
            "default-timeout": None,
        }
        said.update(other)
        # Tools disagree on the case.
        proxies = {name + "_proxy": url for name, url in self.proxies.items()}
        env = dict(proxies, **{name.upper(): url for name, url in proxies.items()})
        for name, setting in SETTINGS.items():
            variable, separator = getattr(setting, installer).partition(",")[0], "," if "binary" in name else " "
            text = said[name] if name in said else separator.join(self._values(name, installer))
            if variable.isupper() and text:
                env[variable] = text
        return env

    def _options(self, installer: str, project: bool = False) -> "list[str]":
        """Use options where the table says so: as variables these would hold for isolated builds, too."""
        args = []  # type: list[str]
        for name, setting in SETTINGS.items():
            option = getattr(setting, installer)
            for value in self._values(name, installer) if option.startswith("--") else []:
                if project and name in _BINARY_OPTIONS:
                    option = _BINARY_OPTIONS[name]
                    args += [option] if value == ":all:" else [option + "-package", value]
                elif "list" in setting.kind:
                    args += [option, value]
                elif is_true_text(value) and not (project and name in ("require-hashes", "no-deps")):
                    args.append(option)
        return args

    def describe(self) -> "list[str]":
        said = [(name, value) for name in SETTINGS for value in self._values(name)]
        lines = ["%s: %s (%s)" % (name, mask_urls(value), self.place_of(name, value)) for name, value in said]
        lines = lines or ["index-url: the public index (nothing is configured)"]
        for url in dict.fromkeys(self.index_urls() + self.find_links):
            found = self.credentials.of_url(url, ask_keyring=False) if "://" in url else None
            if found:
                lines.append("credentials for %s: %s" % (mask_urls(url), found[2]))
        return lines

    def left_out_of_locks(self) -> "list[str]":
        places = self.extra_index_urls + self.find_links
        return [place for place in places if place not in self._places(places, True)]

    def _places(self, places: "list[str]", locking: bool) -> "list[str]":
        if not locking or self.no_index:
            # Without any index these are all there is; what is written names none of their files.
            return places
        return [place for place in places if place.startswith("http") or is_within(path_of_file_url(place), self.root)]

    def _sources_of(self, name: str) -> "list[SettingsSource]":
        return [source for source in self._sources if source.values.get(name)]

    def _values(self, name: str, installer: str = "") -> "list[str]":
        is_list, sources = "list" in SETTINGS[name].kind, self._sources_of(name)
        if installer == "uv" and name in _READ_BY_UV:
            # The strongest source decides, also where it does not count.
            sources = [one for one in (sources if is_list else sources[:1]) if one.is_pips or not one.is_file]
        values = list(dict.fromkeys(value for source in sources for value in source.values[name]))
        return values if is_list else values[:1]

    def one(self, name: str) -> "str | None":
        return next(iter(self._values(name)), None)

    def place_of(self, name: str, value: str) -> str:
        return next(source.place for source in self._sources_of(name) if value in source.values[name])

    def _of_person(self, name: str, *variables: str) -> "str | None":
        """A person's variables, also other tools', go before the host's files."""
        is_of_file = all(source.is_file for source in self._sources_of(name))
        others = [self._environ.get(variable) for variable in variables] if is_of_file else []
        return next(filter(None, others + [self.one(name)]), None)

    def _upload_limit(self, installer: str) -> "str | None":
        text = next(iter(self._values("uploaded-prior-to", installer)), None)
        if text is None or self._sources_of("uploaded-prior-to")[0].is_pips == (installer == "pip"):
            return text
        return _moment_of(text, days=1 if installer == "pip" else 0)

    def _proxies(self) -> "dict[str, str]":
        found = {}
        for name in ("http", "https", "no"):
            variables = [name + "_proxy"] + ["all_proxy"] * (name != "no")
            either_case = [one for variable in variables for one in (variable, variable.upper())]
            text = self._of_person("no-proxy" if name == "no" else "proxy", *either_case)
            if text:
                found[name] = text if "://" in text or name == "no" else "http://" + text
        if not found and (os.name == "nt" or sys.platform == "darwin"):
            from urllib.request import getproxies

            found = {name: url for name, url in getproxies().items() if name in ("http", "https", "no")}
        return found


def read_index_settings(root: str, offline: bool = False, environ: "dict[str, str] | None" = None) -> IndexSettings:
    """Read what pip and uv are told, in this repository too."""
    environ = dict(os.environ) if environ is None else environ
    sources, files = read_settings_sources(root, environ)
    return IndexSettings(sources, files, offline, environ, root)


def _moment_of(text: str, days: int) -> "str | None":
    """Return a date, time or span such as `7 days` as a time; `days` is 1 where a date's end counts (uv), else 0."""
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
