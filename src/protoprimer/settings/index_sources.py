"""Reading pip's and uv's variables and files: each a source of settings under pip's names for them."""

import configparser
import os
import sys
import urllib.parse

from protoprimer.errors import ConfigurationError
from protoprimer.formats.toml import load_toml
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "INDEX_LISTS",
    "INDEX_SETTINGS",
    "IndexSource",
    "home_path",
    "is_true_text",
    "read_index_sources",
    "url_credentials",
]

# pip's name of a setting: uv's variables for it, uv's names in files.
INDEX_SETTINGS = {
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
    "keyring-provider": ("UV_KEYRING_PROVIDER", "keyring-provider"),
    "system-certs": ("UV_SYSTEM_CERTS UV_NATIVE_TLS", "system-certs native-tls"),
}
INDEX_LISTS = ("extra-index-url", "find-links", "trusted-host", "constraint", "build-constraint")
_PATHS = ("index-url", "extra-index-url", "find-links", "constraint", "build-constraint", "cert", "client-cert")


class IndexSource:
    """One tool's variables, or one of its files: values by pip's name of the setting."""

    def __init__(self, family: str, place: str, directory: str, is_file: bool = True) -> None:
        self.family = family
        self.place = place
        self.is_uv_file = is_file and family == "uv"
        self.values = {}  # type: dict[str, list[str]]
        self._directory = directory

    def add(self, key: str, values: "list[str]") -> None:
        """Add values; paths become absolute."""
        if key in _PATHS:
            values = [_absolute_place(value, self._directory, "index" in key) for value in values if value]
        self.values.setdefault(key, []).extend(value for value in values if value)


def read_index_sources(root: str, environ: "dict[str, str]") -> "list[IndexSource]":
    """Return every variable set and file in which pip or uv is told about indexes, the strongest first.

    :raises ConfigurationError: a file cannot be understood (exit code 3)
    """
    sources = [_uv_variables(environ), _pip_source("pip's variables", False, _pip_variables(environ))]
    sources += [_uv_file(path, environ) for path in _uv_files(root, environ) if os.path.isfile(path)]
    for path in filter(os.path.isfile, _pip_files(environ)):
        sources.append(_pip_source(path, True, _pip_file(path)))
    return sources


def url_credentials(url: str) -> "tuple[str, str] | None":
    """Return the user and password that a URL holds."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return None
    unquote = urllib.parse.unquote
    return None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))


def is_true_text(text: "str | None") -> bool:
    """Tell whether a setting's text means yes."""
    return (text or "").strip().lower() in ("1", "true", "yes", "on", "y", "t")


def _uv_variables(environ: "dict[str, str]") -> IndexSource:
    source = IndexSource("uv", "uv's variables", _working_directory(), is_file=False)
    for key, (names, _) in INDEX_SETTINGS.items():
        for name in names.split():
            text = environ.get(name, "")
            values = text.split("," if key == "find-links" else None) if key in INDEX_LISTS else [text.strip()]
            source.add(key, [_named_index(value, environ) for value in values] if "index-url" in key else values)
    return source


def _pip_variables(environ: "dict[str, str]") -> "dict[str, str]":
    return {key: environ.get("PIP_" + key.upper().replace("-", "_"), "") for key in INDEX_SETTINGS}


def _pip_source(place: str, is_file: bool, texts: "dict[str, str]") -> IndexSource:
    source = IndexSource("pip", place, _working_directory(), is_file)
    for key in INDEX_SETTINGS:
        text = texts.get(key, "")
        source.add(key, text.split() if key in INDEX_LISTS else [text.strip()])
    return source


def _named_index(text: str, environ: "dict[str, str]") -> str:
    """Return the URL of uv's `name=url`."""
    name, _, url = text.partition("=")
    return _with_credentials(url, name, environ) if url and not set("/:") & set(name) else text


def _with_credentials(url: str, name: str, environ: "dict[str, str]") -> str:
    """Return a URL with the user and password that uv's variables give to the index of this name."""
    prefix = "UV_INDEX_" + "".join(letter if letter.isalnum() else "_" for letter in name.upper())
    user, password = (urllib.parse.quote(environ.get(prefix + end, ""), safe="") for end in ("_USERNAME", "_PASSWORD"))
    if not (user or password) or url_credentials(url):
        return url
    return url.replace("://", "://%s:%s@" % (user, password), 1)


def _uv_files(root: str, environ: "dict[str, str]") -> "list[str]":
    if is_true_text(environ.get("UV_NO_CONFIG")):
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
        files.append(os.path.join(environ.get("XDG_CONFIG_HOME") or home_path(environ, ".config"), "uv", "uv.toml"))
    return files + list(filter(os.path.isfile, (os.path.join(place, "uv", "uv.toml") for place in system)))[:1]


def _uv_file(path: str, environ: "dict[str, str]") -> IndexSource:
    source = IndexSource("uv", path, os.path.dirname(path))
    is_project = os.path.basename(path) == "pyproject.toml"
    table: "Any" = load_toml(path)
    for name in ("tool", "uv") if is_project else ():
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
    for key, (_, names) in INDEX_SETTINGS.items():
        for value in [merged[name] for name in names.split() if name in merged]:
            values = value if isinstance(value, list) else [value]
            source.add(key, [str(one).lower() if isinstance(one, bool) else str(one) for one in values])
    return source


def _pip_files(environ: "dict[str, str]") -> "list[str]":
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return []
    user = os.path.join(environ.get("XDG_CONFIG_HOME") or home_path(environ, ".config"), "pip", name)
    legacy = home_path(environ, ".pip", name)
    system = ["/etc/pip.conf"]
    if os.name == "nt":
        user, legacy = os.path.join(environ.get("APPDATA", ""), "pip", name), home_path(environ, "pip", name)
        system = [os.path.join(environ.get("PROGRAMDATA", "C:\\ProgramData"), "pip", name)]
    elif sys.platform == "darwin":
        support = os.path.join("Library", "Application Support", "pip")
        user = home_path(environ, support, name) if os.path.isdir(home_path(environ, support)) else user
        system = [os.path.join("/", support, name)]
    else:
        directories = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        system += [os.path.join(place, "pip", name) for place in reversed(directories)]
    # As pip does it: a chosen file takes the place of the user's.
    users = [os.path.abspath(chosen)] if chosen and os.path.exists(chosen) else [user, legacy]
    return [os.path.join(sys.prefix, name)] + users + system


def _pip_file(path: str) -> "dict[str, str]":
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
    items = [item for one in ("global", "install") if parser.has_section(one) for item in parser.items(one)]
    return {key.lstrip("-").replace("_", "-"): value for key, value in items}


def home_path(environ: "dict[str, str]", *names: str) -> str:
    """Return a path below the user's home directory."""
    return os.path.join(environ.get("HOME") or os.path.expanduser("~"), *names)


def _absolute_place(text: str, directory: str, as_url: bool) -> str:
    """Return a path absolute, and as a URL where an installer would take it apart; a URL as it is."""
    if "://" in text or text.startswith("file:"):
        return text
    path = os.path.normpath(os.path.join(directory, os.path.expanduser(text)))
    if not as_url and not any(letter.isspace() or letter == "," for letter in path):
        return path
    return file_url(path)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        # It was deleted under us; then nothing relative can be meant.
        return os.sep
