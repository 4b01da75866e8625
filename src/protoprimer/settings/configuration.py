"""The five leaps of configuration: input, primer, client, env, derived; each value with its leap and place."""

import json
import os
import re
from contextlib import suppress
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple, Union

from protoprimer.errors import ConfigurationError, UsageError, no_such_file, which_are_known
from protoprimer.formats.toml import load_toml, place_of_key
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.index_sources import is_false_text, is_true_text
from protoprimer.settings.schema import CLIENT_SCHEMA, ENV_SCHEMA, PRIMER_SCHEMA, default_of_key, first_violation
from protoprimer.system.files import names_in, path_at, read_configured, sha256_of, text_of
from protoprimer.system.paths import can_be_made, is_own, is_utf8_path, user_cache_directory, with_parents

__all__ = [
    "CELL_VARIABLE",
    "DEFAULT_ENVIRONMENT",
    "INPUT_VARIABLES",
    "LEAPS",
    "Configuration",
    "Setting",
    "find_root",
    "is_environment_name",
    "read_configuration",
]

LEAPS = ("input", "primer", "client", "env", "derived")
DEFAULT_ENVIRONMENT = "default"
# Variables by which a person steers a run; the fast path of entry scripts stands aside where one is set.
INPUT_VARIABLES = {
    "PROTOPRIMER_" + key.upper().replace("-", "_"): key
    for key in (
        "env", "python", "python-downloads", "backend", "offline", "lock", "lock-timeout", "resolution", "seed-pip",
        "keep", "kernel-update", "state-dir",
    )
}  # fmt: skip
CELL_VARIABLE = "PROTOPRIMER_CELL"
_CLIENT_FILES = ("protoprimer.toml", "protoprimer.json", "pyproject.toml")
_ROOT_MARKS = _CLIENT_FILES + ("setup.py", "setup.cfg", "requirements.txt", ".git")
_NAMING = "an environment's name is made of at most 64 letters, digits, '.' and '_', not %r"
_INPUT_SCHEMA = dict(
    CLIENT_SCHEMA, properties=dict(CLIENT_SCHEMA["properties"], env={"type": "string"}, offline={"type": "boolean"})
)
_Path = Tuple[Union[str, int], ...]


class Setting(NamedTuple):
    """A value, its leap, its source (a file, an option, a variable, a word), and the keys to it there."""

    value: Any
    leap: str
    source: str
    keys: _Path = ()


class Configuration:
    """What one run goes by; all paths are absolute."""

    def __init__(self, root: str, kernel_path: str) -> None:
        self.root = root
        self.kernel_path = kernel_path
        self.environment_name = DEFAULT_ENVIRONMENT
        # An option or variable selects another one than the clone's; it stands in for one that this branch lacks.
        self.is_for_once = False
        self.is_fallback = False
        self.environment_names = []  # type: list[str]
        self.offline = False
        # What `matrix` says of the cell that this run is, if it is one.
        self.cell = {}  # type: dict[str, str]
        self.settings = {}  # type: dict[str, Setting]
        # Absolute: what was read, and what is not there but would count.
        self.files = []  # type: list[str]
        self.absent_files = []  # type: list[str]
        # The file, and the keys to our table there.
        self.client = ("protoprimer.toml", ())  # type: tuple[str, _Path]
        self.leaps = {leap: {} for leap in LEAPS}  # type: dict[str, dict[str, Any]]
        self._state_directory = None  # type: str | None

    def get(self, key: str) -> Any:
        return self.settings[key].value if key in self.settings else default_of_key(key)

    def text(self, key: str) -> "str | None":
        value = self.get(key)
        return value if isinstance(value, str) else None

    def place_of(self, key: str, *path: "str | int") -> str:
        """Return where `key`, or the part of its value at `path`, was set; empty where it was not."""
        setting = self.settings.get(key)
        return self.place_in(setting.source, setting.keys + path) if setting else ""

    def place_in(self, file: str, keys: _Path = ()) -> str:
        """Return `file:line (key)`, or the file alone; relative to the root where it lies below it."""
        place = file
        if keys and file.endswith(".json"):
            name = '"%s"' % [key for key in keys if isinstance(key, str)][-1]
            lines = enumerate(text_of(file).split("\n"), 1)
            line = next((":%d" % number for number, text in lines if name in text), "")
            place = "%s%s (%s)" % (file, line, ".".join(map(str, keys)))
        elif keys:
            place = place_of_key(file, keys)
        below = os.path.join(self.root, "")
        return place[len(below) :] if place.startswith(below) else place

    def error(self, key: str, cause: str, advice: "str | None" = None) -> ConfigurationError:
        """Return the error that the value of `key` is wrong."""
        return ConfigurationError(cause, self.place_of(key), advice)

    def path_of(self, relative: str) -> str:
        return path_at(self.root, relative)

    @property
    def told_environment(self) -> str:
        """What messages say after `the environment`: a blank and its name, or nothing for the default one."""
        name = self.environment_name
        if self.cell:
            suffix = "." + self.cell["name"]
            if name.endswith(suffix):
                name = name[: -len(suffix)]
        if name == DEFAULT_ENVIRONMENT:
            return ""
        return " " + name

    @property
    def own_state_directory(self) -> str:
        """Where whoever can write the clone keeps its state."""
        return self.path_of(self.get("state-dir"))

    @property
    def state_directory(self) -> str:
        """Where this user keeps the state: in their cache, where they cannot write the clone."""
        if self._state_directory is None:
            own, root = self.own_state_directory, self.root
            name = "%s-%s" % (os.path.basename(root), sha256_of(os.fsencode(own))[:16])
            is_kept_there = can_be_made(own)
            if os.path.lexists(own):
                # It may be another user's, and in the way of one that would be this user's.
                is_kept_there = any(can_be_made(one) and is_own(one) for one in (own, root))
            self._state_directory = own if is_kept_there else os.path.join(user_cache_directory(), "clones", name)
        return self._state_directory

    @property
    def keeps_state_elsewhere(self) -> bool:
        """Whether the state is not where others who use this checkout keep theirs."""
        return "state-dir" in self.leaps["input"] or self.state_directory != self.own_state_directory

    def effective(self) -> "dict[str, Any]":
        values = {key: self.get(key) for key in CLIENT_SCHEMA["properties"] if key != "env"}
        return dict(values, root=self.root, environment=self.environment_name, state=self.state_directory)

    def derive(self, key: str, value: object, source: str) -> None:
        self.settings[key] = Setting(value, "derived", source)


class _Table(NamedTuple):
    data: Dict[str, Any]
    file: str
    keys: Tuple[str, ...]


def read_configuration(
    entry_path: str,
    kernel_path: str,
    command_line: CommandLine,
    environ: "dict[str, str]",
    remembered_environment: "Callable[[str], str | None]",
) -> Configuration:
    """Take the five leaps.

    :param remembered_environment: tells, for a state directory, the environment that was last chosen in this clone
    :raises ConfigurationError: a file, key or value is wrong; nothing has been written
    """
    inputs = _input_leap(command_line, environ)
    config = Configuration(find_root(os.path.dirname(entry_path)), kernel_path)
    config.leaps["input"] = {key: setting.value for key, setting in inputs.items()}
    primer = _primer_leap(config)
    client = _client_leap(config, primer)
    if "state-dir" in inputs:
        config.settings["state-dir"] = inputs["state-dir"]
    _refuse_bad_place(config, "state-dir")
    _select_environment(config, inputs.get("env"), remembered_environment)
    _env_leap(config, client, primer)
    config.settings.update(pair for pair in inputs.items() if pair[0] not in ("env", "offline"))
    config.offline = bool(config.leaps["input"].get("offline"))
    _refuse_bad_place(config, "venv-link")
    install = config.settings.get("install")
    if install:
        steps = install.value if isinstance(install.value, list) else [install.value]
        config.settings["install"] = install._replace(value=list(map(_full_step, steps)))
    if environ.get(CELL_VARIABLE):
        _become_cell(config, environ[CELL_VARIABLE])
    return config


def _input_leap(command_line: CommandLine, environ: "dict[str, str]") -> "dict[str, Setting]":
    given = [(variable, key, environ.get(variable)) for variable, key in INPUT_VARIABLES.items()]
    # To these, `--python` means several.
    options = ("env", "backend") if command_line.command in ("matrix", "bundle") else ("env", "python", "backend")
    given += [("--" + key, key, command_line.text(key)) for key in options]
    given += [("--offline", "offline", "true" if command_line.has("offline") else None)]
    inputs = {key: Setting(_value_from_text(key, text), "input", source) for source, key, text in given if text}
    for key, setting in inputs.items():
        violation = first_violation({key: setting.value}, _INPUT_SCHEMA)
        if violation and setting.source.startswith("--"):
            raise UsageError(violation.cause, setting.source, violation.advice)
        if violation:
            raise ConfigurationError(violation.cause, "the variable " + setting.source, violation.advice)
    return inputs


def _value_from_text(key: str, text: str) -> object:
    # What means nothing stays text, which the schema refuses.
    kind = _INPUT_SCHEMA["properties"][key].get("type")
    if key == "backend" and "," in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind == "boolean" or (key == "lock" and text.lower() == "false"):
        return is_true_text(text) if is_true_text(text) or is_false_text(text) else text
    with suppress(ValueError):
        return {"integer": int, "number": float}.get(kind, str)(text)
    return text


def find_root(entry_directory: str) -> str:
    """Return the nearest directory upwards that looks like the root of a project."""
    marks = (os.path.join(one, mark) for one in with_parents(entry_directory) for mark in _ROOT_MARKS)
    return os.path.dirname(next(filter(os.path.exists, marks), "")) or entry_directory


def _primer_leap(config: Configuration) -> "dict[str, str]":
    directory, name = os.path.split(config.kernel_path)
    # A kernel under another name has a primer file of that name; the usual one serves it too.
    stems = dict.fromkeys([os.path.splitext(name)[0], "proto_kernel"])
    files = _present_files(config, directory, [stem + end for stem in stems for end in (".toml", ".json")])
    tables = [_read_table(config, file, PRIMER_SCHEMA) for file in files]
    _refuse_two(tables)
    primer = tables[0].data if tables else {}
    paths = {key: path_at(directory, path) for key, path in primer.items()}
    root = config.root = paths.get("root", config.root)
    config.leaps["primer"] = dict(primer, root=root, kernel=config.kernel_path)
    if "root" in primer and not os.path.isdir(root):
        raise ConfigurationError(
            "the root %s is not a directory: correct it" % root, config.place_in(files[0], ("root",))
        )
    if "client" in primer and not os.path.isfile(paths["client"]):
        raise no_such_file(paths["client"], config.place_in(files[0], ("client",)))
    return paths


def _client_leap(config: Configuration, primer: "dict[str, str]") -> _Table:
    files = [primer["client"]] if "client" in primer else []
    files = files or _present_files(config, config.root, _CLIENT_FILES)
    tables = [_read_table(config, file, CLIENT_SCHEMA) for file in files]
    # A project's file need not hold ours.
    tables = [table for table in tables if table.data or not table.keys]
    _refuse_two(tables)
    if tables:
        config.client = tables[0][1:]
    tables.append(_Table({}, os.path.join(config.root, "pyproject.toml"), ("tool", "protoprimer")))
    client = tables[0]
    config.leaps["client"] = client.data
    for name in client.data.get("env", {}):
        if not is_environment_name(name):
            place = config.place_in(client.file, client.keys + ("env", name))
            raise ConfigurationError(_NAMING % name, place, "choose another name")
    _apply(config, client, "client")
    return client


def _select_environment(
    config: Configuration, asked: Optional[Setting], remembered: "Callable[[str], str | None]"
) -> None:
    places = (config.state_directory, config.own_state_directory)
    chosen = next(filter(None, map(remembered, places)), DEFAULT_ENVIRONMENT)
    config.environment_name = name = asked.value if asked else chosen
    config.is_for_once = name != chosen
    if not is_environment_name(name):
        raise UsageError(_NAMING % name, asked.source if asked else None)


def is_environment_name(name: str) -> bool:
    """Tell whether an environment can have this name, a part of file names."""
    return re.match(r"[A-Za-z0-9_][A-Za-z0-9._]{0,63}\Z", name) is not None


def _env_leap(config: Configuration, client: _Table, primer: "dict[str, str]") -> None:
    tables, pattern, name = client.data.get("env", {}), primer.get("env", ""), config.environment_name
    found = [_Table(tables[name], client.file, client.keys + ("env", name))] if name in tables else []
    file = pattern.replace("{env}", name)
    if os.path.exists(file):
        found.append(_read_table(config, file, ENV_SCHEMA))
    elif file:
        _refuse_dangling(file)
        config.absent_files.append(file)
    _refuse_two(found)
    names = config.environment_names = sorted({DEFAULT_ENVIRONMENT, *tables, *_names_by_file(pattern)})
    if not found and "env" in config.leaps["input"] and name != DEFAULT_ENVIRONMENT:
        place = "%s [%s]" % (config.place_in(client.file), ".".join(client.keys + ("env",)))
        raise ConfigurationError("there is no environment %r" % name, place, which_are_known(name, names))
    if not found and name != DEFAULT_ENVIRONMENT:
        # A branch may lack it; the choice stays for those that have it.
        config.environment_name, config.is_fallback = DEFAULT_ENVIRONMENT, True
        _env_leap(config, client, primer)
    for table in found:
        config.leaps["env"] = table.data
        _apply(config, table, "env")


def _names_by_file(pattern: str) -> "list[str]":
    directory, file = os.path.split(pattern)
    before, mark, after = map(re.escape, file.partition("{env}"))
    matches = [re.match("%s(.+)%s\\Z" % (before, after), name) for name in names_in(directory)] if mark else []
    return [found.group(1) for found in matches if found]


def _refuse_dangling(file: str) -> None:
    for path in with_parents(file):
        if os.path.islink(path) and not os.path.exists(path):
            cause = "the link leads to %s, which is not there" % os.readlink(path)
            raise ConfigurationError(cause, path, "point it elsewhere")


def _present_files(config: Configuration, directory: str, names: "tuple[str, ...] | list[str]") -> "list[str]":
    paths = [os.path.join(directory, name) for name in names]
    config.absent_files += [path for path in paths if not os.path.lexists(path)]
    return [path for path in paths if os.path.lexists(path)]


def _refuse_two(tables: "list[_Table]") -> None:
    if len(tables) > 1:
        places = [table.file + (" [%s]" % ".".join(table.keys) if table.keys else "") for table in tables]
        cause = "the configuration is in two places: " + " and ".join(places)
        raise ConfigurationError(cause, places[1], "keep one of them")


def _read_table(config: Configuration, file: str, schema: "dict[str, Any]") -> _Table:
    keys = ("tool", "protoprimer") if os.path.basename(file) == "pyproject.toml" else ()  # type: tuple[str, ...]
    data = _load_json(file) if file.endswith(".json") else load_toml(file)
    config.files.append(file)
    for depth, key in enumerate(keys, 1):
        data = data.get(key, {})
        if not isinstance(data, dict):
            name = ".".join(keys[:depth])
            cause = "%s must be a table: write [%s] above its keys" % (name, name)
            raise ConfigurationError(cause, config.place_in(file, keys[:depth]))
    violation = first_violation(data, schema)
    if violation:
        place = config.place_in(file, keys + violation.path)
        raise ConfigurationError(violation.cause, place, violation.advice)
    return _Table(data, file, keys)


def _load_json(path: str) -> "dict[str, Any]":
    try:
        return json.loads(read_configured(path).decode("utf-8"))  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        place = "%s:%d" % (path, getattr(error, "lineno", 1))
        cause = "the file is not valid JSON: %s" % getattr(error, "msg", error)
        raise ConfigurationError(cause, place, "correct the file") from None


def _apply(config: Configuration, table: _Table, leap: str) -> None:
    for key, value in table.data.items():
        earlier = config.get(key) if key in config.settings else None
        # Scalars and lists replace what an earlier leap said; tables merge key by key.
        if isinstance(value, dict) and isinstance(earlier, dict):
            value = dict(earlier, **value)
        if key != "env":
            config.settings[key] = Setting(value, leap, table.file, table.keys + (key,))


def _refuse_bad_place(config: Configuration, key: str) -> None:
    """Refuse a place where files of ours would hide the user's, or no tool can work."""
    root, state = os.path.join(config.root, ""), os.path.join(config.own_state_directory, "")
    value = config.text(key)
    if value is not None:
        path = os.path.join(config.path_of(value), "")
        is_in_state = key == "venv-link" and (path.startswith(state) or state.startswith(path))
        fault = "this is no path" if "\0" in value else "the root lies in it" if root.startswith(path) else ""
        if fault or is_in_state:
            cause = "%s cannot be %r: %s" % (key, value, fault or "it is in the way of the state directory")
            raise config.error(key, cause, "name a place below the root, such as %s" % default_of_key(key))
    for place in filter(lambda one: not is_utf8_path(one), (config.root, config.own_state_directory)):
        # An installer needs both: it would fail in words of its own.
        raise ConfigurationError("no environment can be made for %s: this path is not UTF-8" % place, None, "rename it")


def _full_step(step: "dict[str, Any]") -> "dict[str, Any]":
    full = dict({"projects": [], "requirements": [], "constraints": [], "args": []}, **step)
    of_each = {key: full.pop(key, []) for key in ("extras", "groups")}
    written = full["projects"]
    if not written and any(of_each.values()):
        # So that an environment need not name the project again.
        written = ["."]
    projects = []
    for item in written:
        table = {"path": item} if isinstance(item, str) else item
        project = dict({"editable": True, "extras": [], "groups": []}, **table)
        for key, names in of_each.items():
            project[key] = list(dict.fromkeys(project[key] + names))
        projects.append(project)
    full["projects"] = projects
    return full


def _become_cell(config: Configuration, text: str) -> None:
    try:
        config.cell = cell = {key: str(value) for key, value in json.loads(text).items()}
        config.environment_name += "." + cell["name"]
    except (ValueError, AttributeError, KeyError):
        cause = "%s is set by `matrix` for its children, not by hand" % CELL_VARIABLE
        raise ConfigurationError(cause, None, "unset it") from None
    chosen = {key: [name for name in cell.get(key, "").split(",") if name] for key in ("extras", "groups")}
    if not any(chosen.values()):
        return
    steps = config.get("install") or [_full_step({"projects": [{"path": ".", "default-groups": True}]})]
    first = next((project for step in steps for project in step["projects"]), None)
    if first is None:
        raise config.error("install", "extras and groups of a matrix need a project in `install`")
    for key, names in chosen.items():
        first[key] = list(dict.fromkeys(first[key] + names))
    config.derive("install", steps, "the cell " + cell["name"])
