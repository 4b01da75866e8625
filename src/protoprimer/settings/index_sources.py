"""pip's and uv's settings: the table of all that bear on what is installed, and where each tool is told them."""

import json
import os
import re
import sys
from contextlib import suppress
from typing import Any, Dict, List, NamedTuple

from protoprimer.errors import ConfigurationError, no_such_file
from protoprimer.formats.toml import load_toml
from protoprimer.settings.credentials import home_path, url_credentials
from protoprimer.system.files import content_of, path_at, text_of
from protoprimer.system.paths import file_url, is_of_a_stranger, with_parents

__all__ = [
    "SETTINGS",
    "VARIABLES",
    "PackageSetting",
    "SettingsSource",
    "is_false_text",
    "is_true_text",
    "read_settings_sources",
    "settings_source",
    "strangers_file",
    "with_credentials",
]

# Name, uv's variables, uv's names in files, kind, what pip gets, what uv gets. The name is pip's, but of the kind `uv`,
# which pip does not know. `what` bears on what is installed, `how` only on the way there; a `list` has several values.
# `*` is a setting's usual name there, such as UV_FIND_LINKS, find-links, PIP_FIND_LINKS.
# uv reads its own variables and files; what it gets is for pip's settings. Who cannot do what is asked refuses.
_TABLE = """
index-url | UV_DEFAULT_INDEX * | * | what | * | UV_DEFAULT_INDEX
extra-index-url | UV_INDEX * | * | what list | * | UV_INDEX
find-links | * | * | what list | * | *
no-index | * | * | what | * | --no-index
index-strategy | * | * | what uv | refused unless unsafe-best-match | reads it
constraint | * | | what list | * | *
build-constraint | * | | what list | * | *
constraint-dependencies | | * | what list uv | | reads it
override | * | | what list uv | refused | refused
exclude | * | | what list uv | refused | refused
uploaded-prior-to | UV_EXCLUDE_NEWER | exclude-newer | what | * | UV_EXCLUDE_NEWER
exclude-newer-package | * | * | what list uv | refused | reads it
pre | | | what | * | UV_PRERELEASE=allow
all-releases | | | what list | * | refused
only-final | | | what list | * | refused
prerelease | * | * | what uv | PIP_PRE, refused unless allow if-necessary if-necessary-or-explicit | reads it
resolution | * | * | what uv | refused unless highest | reads it
only-binary | UV_NO_BUILD UV_NO_BUILD_PACKAGE | no-build no-build-package * | what list | * | --only-binary
no-binary | * UV_NO_BINARY_PACKAGE | * no-binary-package | what list | * | --no-binary
prefer-binary | | | what | * | refused
require-hashes | * | * | what | --require-hashes | --require-hashes
no-deps | | * | what | --no-deps | --no-deps
config-settings | | * | what list | --config-settings | --config-setting
no-build-isolation | * | * | what | --no-build-isolation | *
no-sources | * | * | what uv | refused | reads it
torch-backend | * | * | what list uv | refused | reads it
target | | * | what uv | | refused
prefix | | * | what uv | | refused
required-version | | * | how uv | | reads it
offline | * | * | how uv | | reads it
trusted-host | UV_INSECURE_HOST | allow-insecure-host | how list | * | UV_INSECURE_HOST
cert | | | how | * | SSL_CERT_FILE
client-cert | | | how | * | SSL_CLIENT_CERT
system-certs | * UV_NATIVE_TLS | * native-tls | how uv | | reads it
proxy | | https-proxy http-proxy | how | http_proxy, https_proxy | http_proxy, https_proxy
no-proxy | | * | how | no_proxy | no_proxy
keyring-provider | * | * | how | * | *
timeout | UV_HTTP_TIMEOUT UV_REQUEST_TIMEOUT | | how | PIP_DEFAULT_TIMEOUT | UV_HTTP_TIMEOUT
default-timeout | | | how | * | UV_HTTP_TIMEOUT
"""
# uv's settings without a variable that pip has nothing like.
_UV_ALONE = """
build-constraint-dependencies override-dependencies exclude-dependencies dependency-metadata prerelease-package
config-settings-package no-build-isolation-package extra-build-dependencies extra-build-variables no-sources-package
python-platform python-version
"""


class PackageSetting(NamedTuple):
    """A row of the table."""

    name: str
    variables: str
    keys: str
    kind: str
    pip: str
    uv: str


def _setting_of_row(row: str) -> PackageSetting:
    name, *cells = (cell.strip() for cell in row.split("|"))
    variable = name.upper().replace("-", "_")
    usual = ("UV_" + variable, name, "", "PIP_" + variable, "UV_" + variable)
    return PackageSetting(name, *[cell.replace("*", own) for cell, own in zip(cells, usual)])


_ROWS = _TABLE.strip().splitlines() + [name + "| | * | what list uv | refused | reads it" for name in _UV_ALONE.split()]
SETTINGS = {setting.name: setting for setting in map(_setting_of_row, _ROWS)}
# What they say bears on what is installed.
VARIABLES = [
    variable
    for setting in SETTINGS.values()
    for variable in ["PIP_" + setting.name.upper().replace("-", "_")] + setting.variables.split()
    if "what" in setting.kind
] + "UV_CONFIG_FILE UV_NO_CONFIG PIP_CONFIG_FILE HOME XDG_CONFIG_HOME XDG_CONFIG_DIRS APPDATA".split()  # noqa: SIM905
_PATHS = ("index-url", "extra-index-url", "find-links", "constraint", "build-constraint", "cert", "client-cert")
_BINARY = ("only-binary", "no-binary")


class SettingsSource(NamedTuple):
    """One tool's variables, or one of its files: values by the names of settings."""

    is_pips: bool
    is_file: bool
    place: str
    values: Dict[str, List[str]]


def settings_source(
    is_pips: bool, is_file: bool, place: str, directory: str, told: "dict[str, list[str]]"
) -> SettingsSource:
    """Return a source with absolute paths, and `:all:` for what it says of all packages."""
    values = {}
    for name, texts in told.items():
        found = [text.strip() for text in texts if text.strip()]
        if name in _PATHS:
            found = [_absolute_place(text, directory, "index" in name) for text in found]
        elif name in _BINARY:
            found = [":all:" if is_true_text(text) else text for text in found if not is_false_text(text)]
        values[name] = found
    return SettingsSource(is_pips, is_file, place, values)


def read_settings_sources(root: str, environ: "dict[str, str]") -> "tuple[list[SettingsSource], list[str]]":
    """Return what pip and uv are told, the strongest first, and all files that would count."""
    uv_files, pip_files, here = _uv_files(root, environ), _pip_files(environ), os.sep
    with suppress(OSError):
        # Where it was deleted under us, nothing relative can be meant.
        here = os.getcwd()
    uvs = [settings_source(False, False, "uv's variables", here, _uv_variables(environ))]
    for path in filter(os.path.isfile, uv_files):
        uvs.append(settings_source(False, True, path, os.path.dirname(path), _uv_file(path, environ)))
    variables = {name: environ.get("PIP_" + name.upper().replace("-", "_"), "") for name in SETTINGS}
    pips = [settings_source(True, False, "pip's variables", here, _pip_values(variables))]
    for path in filter(os.path.isfile, pip_files):
        pips.append(settings_source(True, True, path, here, _pip_file(path)))
    # Of pip's sources the strongest takes the place of the others, also where it has a list.
    for name in SETTINGS:
        for weaker in [source for source in pips if source.values.get(name)][1:]:
            del weaker.values[name]
    return uvs[:1] + pips[:1] + uvs[1:] + pips[1:], uv_files + pip_files


def is_true_text(text: "str | None") -> bool:
    """Tell whether a setting's text means yes."""
    return (text or "").strip().lower() in ("1", "true", "yes", "on", "y", "t")


def is_false_text(text: str) -> bool:
    """Tell whether a setting's text means no."""
    return text.strip().lower() in ("0", "false", "no", "off", "n", "f")


def _split(name: str, text: str) -> "list[str]":
    text = text.replace(",", " ") if name in _BINARY else text
    return text.split(None if "list" in SETTINGS[name].kind else "\n")


def _uv_variables(environ: "dict[str, str]") -> "dict[str, list[str]]":
    told = {}
    for name, setting in SETTINGS.items():
        text = "\n".join(environ.get(variable, "") for variable in setting.variables.split())
        told[name] = text.replace(",", "\n").split("\n") if name == "find-links" else _split(name, text)
    for name in ("index-url", "extra-index-url"):
        for number, text in enumerate(told[name]):
            index, _, url = text.partition("=")
            if url and not set("/:") & set(index):
                told[name][number] = with_credentials(url, index, environ)
    return told


def _pip_values(texts: "dict[str, str]") -> "dict[str, list[str]]":
    of_pip = [name for name, setting in SETTINGS.items() if "uv" not in setting.kind]
    return {name: _split(name, texts[name]) for name in of_pip if name in texts}


def with_credentials(url: str, name: str, environ: "dict[str, str]") -> str:
    """Return a URL with what uv's variables say of the index of this name."""
    from urllib.parse import quote

    prefix = "UV_INDEX_" + re.sub(r"\W", "_", name.upper())
    user, password = (quote(environ.get(prefix + end, ""), safe="") for end in ("_USERNAME", "_PASSWORD"))
    if not (user or password) or url_credentials(url):
        return url
    return url.replace("://", "://%s:%s@" % (user, password), 1)


def _uv_files(root: str, environ: "dict[str, str]") -> "list[str]":
    if is_true_text(environ.get("UV_NO_CONFIG")):
        return []
    chosen = environ.get("UV_CONFIG_FILE")
    if chosen:
        if not os.path.isfile(chosen):
            raise no_such_file(os.path.abspath(chosen), "the variable UV_CONFIG_FILE")
        return [os.path.abspath(chosen)]
    # As uv does it, `uv.toml` goes before; where the root has neither, the next directory above counts.
    nearest = [path for path in _nearest_uv_files(root) if not _is_strangers(path, root)]
    systems = _host_directories(environ) + ["/etc"]
    if os.name == "nt":
        systems = [os.path.join(environ.get("SYSTEMDRIVE", "C:") + os.sep, "ProgramData")]
    user, *systems = (os.path.join(place, "uv", "uv.toml") for place in [_user_directory(environ)] + systems)
    return _to_first_there(nearest) + [user] + _to_first_there(systems)


def strangers_file(root: str, environ: "dict[str, str]") -> "str | None":
    """Return the file above a repository, of somebody else, that uv would read whatever it is told."""
    reads_settings = not is_true_text(environ.get("UV_NO_CONFIG")) and not environ.get("UV_CONFIG_FILE")
    paths = _to_first_there(_nearest_uv_files(root)) if reads_settings else []
    # A workspace above makes the repository a member, with its sources.
    projects = [os.path.join(directory, "pyproject.toml") for directory in with_parents(root)]
    paths += [path for path in projects if b"workspace" in content_of(path)]
    for path in paths:
        if _is_strangers(path, root):
            return path
    return None


def _nearest_uv_files(root: str) -> "list[str]":
    return [os.path.join(one, name) for one in with_parents(root) for name in ("uv.toml", "pyproject.toml")]


def _is_strangers(path: str, root: str) -> bool:
    return os.path.dirname(path) != root and is_of_a_stranger(path, root)


def _to_first_there(paths: "list[str]") -> "list[str]":
    # Those before it would count if they said anything.
    for at, path in enumerate(paths, 1):
        if b"tool.uv" in content_of(path) or (path.endswith("uv.toml") and os.path.isfile(path)):
            return paths[:at]
    return paths


def _user_directory(environ: "dict[str, str]") -> str:
    if os.name == "nt":
        return environ.get("APPDATA", "")
    return environ.get("XDG_CONFIG_HOME") or home_path(environ, ".config")


def _host_directories(environ: "dict[str, str]") -> "list[str]":
    return (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")


def _uv_file(path: str, environ: "dict[str, str]") -> "dict[str, list[str]]":
    table: Any = load_toml(path)
    for name in ("tool", "uv") if os.path.basename(path) == "pyproject.toml" else ():
        table = table.get(name, {}) if isinstance(table, dict) else {}
    told = {name: [] for name in SETTINGS}  # type: dict[str, list[str]]
    if not isinstance(table, dict):
        return told
    indexes = table.get("index", [])
    for index in indexes if isinstance(indexes, list) else []:
        if isinstance(index, dict) and isinstance(index.get("url"), str) and not index.get("explicit"):
            url = with_credentials(index["url"], str(index.get("name", "")), environ)
            kind = "find-links" if index.get("format") == "flat" else "extra-index-url"
            told["index-url" if index.get("default") else kind].append(url)
    if isinstance(table.get("pip"), dict):
        table = dict(table, **table["pip"])
    for name, setting in SETTINGS.items():
        for value in [table[key] for key in setting.keys.split() if key in table]:
            if isinstance(value, dict):
                value = ["%s=%s" % (key, _text_of_value(one)) for key, one in value.items()]
            told[name] += map(_text_of_value, value if isinstance(value, list) else [value])
    return told


def _text_of_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _pip_files(environ: "dict[str, str]") -> "list[str]":
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return []
    name, user, legacy = "pip.conf", os.path.join(_user_directory(environ), "pip"), home_path(environ, ".pip")
    systems = ["/etc"] + [os.path.join(place, "pip") for place in reversed(_host_directories(environ))]
    if os.name == "nt":
        name, legacy = "pip.ini", home_path(environ, "pip")
        systems = [os.path.join(environ.get("PROGRAMDATA", "C:\\ProgramData"), "pip")]
    elif sys.platform == "darwin":
        support = os.path.join("Library", "Application Support", "pip")
        systems = [os.path.join("/", support)]
        user = home_path(environ, support) if os.path.isdir(home_path(environ, support)) else user
    # As pip does it: a chosen file takes the place of the user's.
    files = [os.path.join(directory, name) for directory in [sys.prefix, user, legacy] + systems]
    return files[:1] + [os.path.abspath(chosen)] + files[3:] if chosen and os.path.exists(chosen) else files


def _pip_file(path: str) -> "dict[str, list[str]]":
    import configparser

    parser = configparser.RawConfigParser()
    try:
        # Nothing of another user's file, over which pip passes too.
        parser.read_string(text_of(path), path)
    except configparser.Error as error:
        advice = "repair this pip configuration file, or set PIP_CONFIG_FILE=%s" % os.devnull
        cause = "not a valid pip configuration: %s" % str(error).splitlines()[0]
        raise ConfigurationError(cause, path, advice) from error
    items = [item for one in ("global", "install") if parser.has_section(one) for item in parser.items(one)]
    return _pip_values({key.lstrip("-").replace("_", "-"): value for key, value in items})


def _absolute_place(text: str, directory: str, as_url: bool) -> str:
    if "://" in text or text.startswith("file:"):
        return text
    path = path_at(directory, os.path.expanduser(text))
    # An installer would take such a path apart.
    if not as_url and not any(letter.isspace() or letter == "," for letter in path):
        return path
    return file_url(path)
