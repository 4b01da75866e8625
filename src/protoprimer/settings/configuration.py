"""The five leaps of configuration: input, primer, client, env, derived; each value with its leap and place."""

import json
import os
import re

from protoprimer.errors import ConfigurationError, UsageError, nearest_name
from protoprimer.formats.toml import load_toml, place_of_key
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.schema import CLIENT_SCHEMA, ENV_SCHEMA, PRIMER_SCHEMA, default_of_key, first_violation
from protoprimer.system.files import read_file, sha256_of
from protoprimer.system.paths import can_be_made, is_own, is_utf8_path, user_cache_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

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
    "PROTOPRIMER_ENV": "env",
    "PROTOPRIMER_PYTHON": "python",
    "PROTOPRIMER_PYTHON_DOWNLOADS": "python-downloads",
    "PROTOPRIMER_BACKEND": "backend",
    "PROTOPRIMER_OFFLINE": "offline",
    "PROTOPRIMER_LOCK": "lock",
    "PROTOPRIMER_LOCK_TIMEOUT": "lock-timeout",
    "PROTOPRIMER_RESOLUTION": "resolution",
    "PROTOPRIMER_SEED_PIP": "seed-pip",
    "PROTOPRIMER_KEEP": "keep",
    "PROTOPRIMER_KERNEL_UPDATE": "kernel-update",
    "PROTOPRIMER_STATE_DIR": "state-dir",
}  # type: dict[str, str]
CELL_VARIABLE = "PROTOPRIMER_CELL"
_ROOT_MARKS = (
    "pyproject.toml", "protoprimer.toml", "protoprimer.json", "setup.py", "setup.cfg", "requirements.txt", ".git",
)  # fmt: skip
_CLIENT_FILES = ("protoprimer.toml", "protoprimer.json")
_NAMING = "an environment's name is made of letters, digits, '.' and '_', not %r"


class Setting:
    """A value with where it came from.

    :param value: the value itself
    :param leap: one of `LEAPS`
    :param source: the file, the option, the variable, or the word `default`
    :param path: the keys that lead to it within a file
    """

    def __init__(self, value: object, leap: str, source: str, path: "tuple[str | int, ...]" = ()) -> None:
        self.value = value
        self.leap = leap
        self.source = source
        self.path = path


class Configuration:
    """What one run goes by.

    :param root: the repository's root, absolute
    :param kernel_path: the kernel file, absolute
    :param environment_name: the selected environment's name
    :param is_for_once: whether a variable selects it, which is not the one of this clone
    :param is_fallback: whether it stands in for the one of this clone, which this branch does not have
    :param settings: every key that has a value
    :param files: configuration files that were read, absolute
    :param absent_files: configuration files that are not there but would count, absolute
    :param leaps: the data of each leap as plain tables
    """

    def __init__(self, root: str, kernel_path: str) -> None:
        self.root = root
        self.kernel_path = kernel_path
        self.environment_name = DEFAULT_ENVIRONMENT
        self.is_for_once = False
        self.is_fallback = False
        self.environment_names = []  # type: list[str]
        self.offline = False
        # What `matrix` says of the cell that this run is, if it is one.
        self.cell = {}  # type: dict[str, str]
        self.settings = {}  # type: dict[str, Setting]
        self.files = []  # type: list[str]
        self.absent_files = []  # type: list[str]
        self.leaps = {leap: {} for leap in LEAPS}  # type: dict[str, dict[str, Any]]
        self._state_directory = None  # type: str | None

    def get(self, key: str) -> "Any":
        """Return the effective value of `key`, its default where nothing sets it."""
        return self.settings[key].value if key in self.settings else default_of_key(key)

    def text(self, key: str) -> "str | None":
        """Return the effective value of a key that is a string or unset."""
        value = self.get(key)
        return value if isinstance(value, str) else None

    def texts(self, key: str) -> "list[str]":
        """Return the effective value of a key that is a list of strings."""
        return list(self.get(key) or [])

    def place_of(self, key: str, *path: "str | int") -> str:
        """Return where the value of `key`, or the part of it at `path`, was set."""
        setting = self.settings.get(key)
        return self._place(setting.source, setting.path + path) if setting else "default"

    def error(self, key: str, cause: str, advice: "str | None" = None) -> ConfigurationError:
        """Return the error (exit code 3) that the value of `key` is wrong, with its place."""
        return ConfigurationError(cause, self.place_of(key), advice)

    def path_of(self, relative: str) -> str:
        """Return a configured path as an absolute one; relative ones count from the root."""
        return os.path.normpath(os.path.join(self.root, relative))

    @property
    def own_state_directory(self) -> str:
        """Where the state of this clone is kept by whoever can write it."""
        return self.path_of(self.get("state-dir"))

    @property
    def state_directory(self) -> str:
        """Where this user keeps the state of this clone: in the user's cache, where the clone cannot be written."""
        if self._state_directory is None:
            own = self.own_state_directory
            name = "%s-%s" % (os.path.basename(self.root), sha256_of(os.fsencode(own))[:16])
            is_own = _can_keep_state(own, self.root)
            self._state_directory = own if is_own else os.path.join(user_cache_directory(), "clones", name)
        return self._state_directory

    @property
    def keeps_state_elsewhere(self) -> bool:
        """Whether the state is not kept where others who use this checkout keep theirs."""
        return "state-dir" in self.leaps["input"] or self.state_directory != self.own_state_directory

    def effective(self) -> "dict[str, Any]":
        """Return the effective value of every key, and what the leaps before decided."""
        values = {key: self.get(key) for key in CLIENT_SCHEMA["properties"] if key != "env"}
        return dict(values, root=self.root, environment=self.environment_name, state=self.state_directory)

    def derive(self, key: str, value: object, source: str) -> None:
        """Set what the run has computed itself."""
        self.settings[key] = Setting(value, "derived", source)

    def _place(self, source: str, path: "tuple[str | int, ...]") -> str:
        return place_in_file(source, path, self.root)


def place_in_file(file: str, path: "tuple[str | int, ...]", root: str) -> str:
    """Return `file:line (key)`, the file relative to `root` where it lies below it; without keys the file alone."""
    if file.endswith(".json") and path:
        place = _place_in_json(file, path)
    else:
        place = place_of_key(file, path) if path else file
    prefix = os.path.join(root, "")
    return place[len(prefix) :] if place.startswith(prefix) else place


def _place_in_json(file: str, path: "tuple[str | int, ...]") -> str:
    name = [part for part in path if isinstance(part, str)][-1]
    with open(file, encoding="utf-8") as stream:
        line = next((":%d" % number for number, line in enumerate(stream, 1) if '"%s"' % name in line), "")
    return "%s%s (%s)" % (file, line, ".".join(map(str, path)))


def find_root(entry_directory: str) -> str:
    """Return the nearest directory, from the entry script's upwards, that looks like the root of a project."""
    directory = entry_directory
    while True:
        if any(os.path.exists(os.path.join(directory, mark)) for mark in _ROOT_MARKS):
            return directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return entry_directory
        directory = parent


def read_configuration(
    entry_path: str,
    kernel_path: str,
    command_line: CommandLine,
    environ: "dict[str, str]",
    remembered_environment: "Callable[[str], str | None]",
) -> Configuration:
    """Take the five leaps.

    :param remembered_environment: tells, for a state directory, the environment that was last chosen in this clone
    :raises ConfigurationError: exit code 3: a file, key, type or value is wrong; nothing has been written
    """
    inputs = _input_leap(command_line, environ)
    primer, primer_file = _primer_leap(kernel_path)
    root = find_root(os.path.dirname(entry_path))
    if "root" in primer:
        root = os.path.normpath(os.path.join(os.path.dirname(kernel_path), primer["root"]))
    configuration = Configuration(root, kernel_path)
    _note_primer_file(configuration, primer, primer_file)
    client, client_file, prefix = _client_leap(configuration, primer)
    environments = client.pop("env", {})
    wrong = next((name for name in environments if not is_environment_name(name)), None)
    if wrong is not None:
        place = place_in_file(client_file, prefix + ("env", wrong), configuration.root)
        raise ConfigurationError(_NAMING % wrong, place, "name it otherwise")
    _apply(configuration, client, "client", client_file, prefix)
    configuration.leaps["input"] = {key: setting.value for key, setting in inputs.items()}
    if "state-dir" in inputs:
        configuration.settings["state-dir"] = inputs["state-dir"]
    _refuse_bad_place(configuration, "state-dir")
    _select_environment(configuration, inputs, remembered_environment)
    _env_leap(configuration, environments, primer, client_file, prefix)
    for key, setting in inputs.items():
        if key not in ("env", "offline"):
            configuration.settings[key] = setting
    configuration.offline = "offline" in inputs and bool(inputs["offline"].value)
    _refuse_bad_place(configuration, "venv-link")
    _derive_shapes(configuration)
    if environ.get(CELL_VARIABLE):
        _become_cell(configuration, environ[CELL_VARIABLE])
    return configuration


def _can_keep_state(path: str, root: str) -> bool:
    """Tell whether a state directory is this user's to write, or is in the way of one that would be."""
    if not os.path.lexists(path):
        return can_be_made(path)
    return any(can_be_made(one) and is_own(one) for one in (path, root))


def _refuse_bad_place(configuration: Configuration, key: str) -> None:
    """Refuse a state directory or link where files of ours would hide, or be, the user's, or no tool can work."""
    root, state = os.path.join(configuration.root, ""), os.path.join(configuration.own_state_directory, "")
    value = configuration.text(key)
    path = os.path.join(configuration.path_of(value), "") if value is not None else None
    is_in_state = path is not None and key == "venv-link" and (path.startswith(state) or state.startswith(path))
    if value is not None and ("\0" in value or root.startswith(str(path)) or is_in_state):
        cause = "%s cannot be %r: no path, or in the way of the root or the state directory" % (key, value)
        raise configuration.error(key, cause, "name a place below the root, such as %s" % default_of_key(key))
    if not is_utf8_path(state):
        cause = "no environment can be made where the path is not UTF-8"
        raise ConfigurationError(cause, state, "rename it, or set state-dir")


def _become_cell(configuration: Configuration, text: str) -> None:
    """Take on what `matrix` says of this cell: its own generations, its extras and groups."""
    try:
        configuration.cell = cell = {key: str(value) for key, value in json.loads(text).items()}
        configuration.environment_name += "." + cell["name"]
    except (ValueError, AttributeError, KeyError):
        cause = "%s is set by `matrix` for its children, not by hand" % CELL_VARIABLE
        raise ConfigurationError(cause, "the variable " + CELL_VARIABLE, "unset it") from None
    chosen = {key: [name for name in cell.get(key, "").split(",") if name] for key in ("extras", "groups")}
    if not any(chosen.values()):
        return
    steps = configuration.get("install") or [_full_step({"projects": [{"path": ".", "default-groups": True}]})]
    first = next((project for step in steps for project in step["projects"]), None)
    if first is None:
        raise configuration.error("install", "extras and groups of a matrix need a project in `install`")
    for key, names in chosen.items():
        first[key] = list(dict.fromkeys(first[key] + names))
    configuration.derive("install", steps, "the cell " + cell["name"])


def _input_leap(command_line: CommandLine, environ: "dict[str, str]") -> "dict[str, Setting]":
    inputs = {}
    for variable, key in INPUT_VARIABLES.items():
        if environ.get(variable):
            value = _value_from_text(key, environ[variable], variable)
            inputs[key] = Setting(value, "input", variable)
    for key in ("env", "python", "backend"):
        text = command_line.text(key)
        if text is not None and not (key == "python" and command_line.command in ("matrix", "bundle")):
            inputs[key] = Setting(_value_from_text(key, text, "--" + key), "input", "--" + key)
    for key, setting in inputs.items():
        violation = first_violation({key: setting.value}, CLIENT_SCHEMA) if key not in ("env", "offline") else None
        if violation:
            raise _bad_input(setting.source, violation.cause, violation.advice)
    if command_line.has("offline"):
        inputs["offline"] = Setting(True, "input", "--offline")
    return inputs


def _value_from_text(key: str, text: str, source: str) -> object:
    kind = "boolean" if key == "offline" else CLIENT_SCHEMA["properties"].get(key, {}).get("type")
    try:
        if kind == "boolean":
            return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False,
                    "off": False}[text.lower()]  # fmt: skip
        if kind in ("integer", "number"):
            return int(text) if kind == "integer" else float(text)
    except KeyError:
        raise _bad_input(source, "%s must be true or false, not %r" % (source, text)) from None
    except ValueError:
        raise _bad_input(source, "%s must be a number, not %r" % (source, text)) from None
    if key == "lock" and text.lower() == "false":
        return False
    if key == "backend" and "," in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    if not text:
        raise _bad_input(source, "%s must not be empty" % source)
    return text


def _bad_input(source: str, cause: str, advice: "str | None" = None) -> "ConfigurationError | UsageError":
    if source.startswith("--"):
        return UsageError(cause, source, advice)
    return ConfigurationError(cause, "the variable " + source, advice)


def _primer_files(kernel_path: str) -> "list[str]":
    # A kernel under another name has a primer file of that name; the usual one serves it too.
    directory, name = os.path.split(kernel_path)
    stems = dict.fromkeys([os.path.splitext(name)[0], "proto_kernel"])
    return [os.path.join(directory, stem + end) for stem in stems for end in (".toml", ".json")]


def _primer_leap(kernel_path: str) -> "tuple[dict[str, Any], str | None]":
    found = [path for path in _primer_files(kernel_path) if os.path.lexists(path)]
    _refuse_two(found)
    if not found:
        return {}, None
    data = _load_configuration_file(found[0])
    _check_document(data, PRIMER_SCHEMA, found[0], (), os.path.dirname(found[0]))
    return data, found[0]


def _note_primer_file(configuration: Configuration, primer: "dict[str, Any]", file: "str | None") -> None:
    root = configuration.root
    configuration.leaps["primer"] = dict(primer, root=root, kernel=configuration.kernel_path)
    if file is None:
        configuration.absent_files.extend(_primer_files(configuration.kernel_path))
        return
    configuration.files.append(file)
    if not os.path.isdir(root):
        raise ConfigurationError("the root %s is not a directory" % root, place_in_file(file, ("root",), root))


def _client_leap(
    configuration: Configuration, primer: "dict[str, Any]"
) -> "tuple[dict[str, Any], str, tuple[str, ...]]":
    """Return the client's table, the file that it is in, and the keys that lead to it there."""
    root, prefix = configuration.root, ("tool", "protoprimer")  # type: str, tuple[str, ...]
    if "client" in primer:
        file = os.path.normpath(os.path.join(os.path.dirname(configuration.kernel_path), primer["client"]))
        if not os.path.isfile(file):
            place = place_in_file(configuration.files[0], ("client",), root)
            raise ConfigurationError("the file %s does not exist" % file, place, "create it, or correct its path")
        found = [file]
    else:
        candidates = [os.path.join(root, name) for name in _CLIENT_FILES + ("pyproject.toml",)]
        found = [path for path in candidates if os.path.lexists(path)]
        configuration.absent_files.extend(path for path in candidates if path not in found)
    configuration.files.extend(found)
    tables = []
    for file in found:
        data = _load_configuration_file(file)
        if os.path.basename(file) == "pyproject.toml":
            data = _table_at(data, prefix, file, root)
            if data or len(found) == 1:
                tables.append((data, file, prefix))
        else:
            tables.append((data, file, ()))
    _refuse_two([file + (" [tool.protoprimer]" if keys else "") for _, file, keys in tables])
    data, file, prefix = tables[0] if tables else ({}, os.path.join(root, "pyproject.toml"), prefix)
    _check_document(data, CLIENT_SCHEMA, file, prefix, root)
    configuration.leaps["client"] = data
    return dict(data), file, prefix


def _select_environment(
    configuration: Configuration, inputs: "dict[str, Setting]", remembered: "Callable[[str], str | None]"
) -> None:
    places = (configuration.state_directory, configuration.own_state_directory)
    chosen = next(filter(None, map(remembered, places)), DEFAULT_ENVIRONMENT)
    name = str(inputs["env"].value) if "env" in inputs else chosen
    configuration.environment_name = name
    configuration.is_for_once = name != chosen and not inputs["env"].source.startswith("--")
    if not is_environment_name(name):
        raise UsageError(_NAMING % name, inputs["env"].source if "env" in inputs else None)


def is_environment_name(name: str) -> bool:
    """Tell whether an environment can have this name, which becomes a part of file names."""
    return re.match(r"[A-Za-z0-9_][A-Za-z0-9._]{0,63}\Z", name) is not None


def _env_leap(
    configuration: Configuration,
    environments: "dict[str, dict[str, Any]]",
    primer: "dict[str, Any]",
    client_file: str,
    prefix: "tuple[str, ...]",
) -> None:
    name = configuration.environment_name
    table = environments.get(name)
    source, path = client_file, prefix + ("env", name)
    pattern, names = primer.get("env"), {DEFAULT_ENVIRONMENT}.union(environments)
    if pattern is not None:
        pattern = os.path.normpath(os.path.join(os.path.dirname(configuration.kernel_path), pattern))
        names.update(_names_by_file(pattern))
        file = pattern.replace("{env}", name)
        if os.path.exists(file):
            if table is not None:
                _refuse_two([file, "%s [%s]" % (client_file, ".".join(path))])
            table, source, path = _load_configuration_file(file), file, ()
            _check_document(table, ENV_SCHEMA, file, (), configuration.root)
            configuration.files.append(file)
        else:
            _refuse_dangling(file)
            configuration.absent_files.append(file)
    configuration.environment_names = sorted(names)
    if table is None and name != DEFAULT_ENVIRONMENT:
        if "env" in configuration.leaps["input"]:
            near = nearest_name(name, configuration.environment_names)
            known = ", ".join(configuration.environment_names)
            raise ConfigurationError(
                "there is no environment %r" % name,
                "%s [%s]" % (os.path.relpath(client_file, configuration.root), ".".join(prefix + ("env",))),
                ("did you mean %r? " % near if near else "") + "known: " + known,
            )
        # A branch may lack it; the choice stays for those that have it.
        configuration.environment_name, configuration.is_fallback = DEFAULT_ENVIRONMENT, True
        _env_leap(configuration, environments, primer, client_file, prefix)
        return
    if table is None:
        return
    configuration.leaps["env"] = table
    _apply(configuration, table, "env", source, path)


def _names_by_file(pattern: str) -> "list[str]":
    directory, file = os.path.split(pattern)
    before, mark, after = file.partition("{env}")
    if not mark or not os.path.isdir(directory):
        return []
    found = [name for name in os.listdir(directory) if name.startswith(before) and name.endswith(after)]
    return [name[len(before) : len(name) - len(after)] for name in found]


def _apply(
    configuration: Configuration, table: "dict[str, Any]", leap: str, file: str, prefix: "tuple[str, ...]"
) -> None:
    for key, value in table.items():
        earlier = configuration.settings.get(key)
        # Scalars and lists replace what an earlier leap said; tables merge key by key.
        if isinstance(value, dict) and earlier is not None and isinstance(earlier.value, dict):
            value = dict(earlier.value, **value)
        configuration.settings[key] = Setting(value, leap, file, prefix + (key,))


def _derive_shapes(configuration: Configuration) -> None:
    """Bring short forms into their one full form."""
    install = configuration.settings.get("install")
    if install is None:
        return
    steps = install.value if isinstance(install.value, list) else [install.value]
    install.value = [_full_step(step) for step in steps]  # type: ignore[arg-type]


def _full_step(step: "dict[str, Any]") -> "dict[str, Any]":
    full = {"projects": [], "requirements": [], "constraints": [], "args": []}  # type: dict[str, Any]
    full.update(step)
    full["projects"] = [
        dict({"editable": True, "extras": [], "groups": []}, **({"path": item} if isinstance(item, str) else item))
        for item in full["projects"]
    ]
    return full


def _load_configuration_file(path: str) -> "dict[str, Any]":
    if not path.endswith(".json"):
        return load_toml(path)
    try:
        data = json.loads(read_file(path).decode("utf-8"))
    except OSError as error:
        raise ConfigurationError("%s cannot be read: %s" % (path, error.strerror), path) from None
    except (ValueError, RecursionError) as error:
        place = "%s:%d" % (path, getattr(error, "lineno", 1))
        raise ConfigurationError("invalid JSON: %s" % getattr(error, "msg", error), place) from None
    if not isinstance(data, dict):
        raise ConfigurationError("the document must be a table", path)
    return data


def _table_at(data: "dict[str, Any]", prefix: "tuple[str, ...]", file: str, root: str) -> "dict[str, Any]":
    for depth, key in enumerate(prefix, 1):
        part = data.get(key, {})
        if not isinstance(part, dict):
            place = place_in_file(file, prefix[:depth], root)
            raise ConfigurationError("%s must be a table" % ".".join(prefix[:depth]), place)
        data = part
    return data


def _check_document(
    data: "dict[str, Any]", schema: "dict[str, Any]", file: str, prefix: "tuple[str, ...]", root: str
) -> None:
    violation = first_violation(data, schema)
    if violation:
        raise ConfigurationError(violation.cause, place_in_file(file, prefix + violation.path, root), violation.advice)


def _refuse_dangling(file: str) -> None:
    directory = file
    while directory != os.path.dirname(directory):
        if os.path.islink(directory) and not os.path.exists(directory):
            target = os.readlink(directory)
            cause = "the link leads to %s, which is not there" % target
            raise ConfigurationError(cause, directory, "point it elsewhere")
        directory = os.path.dirname(directory)


def _refuse_two(files: "list[str]") -> None:
    if len(files) > 1:
        raise ConfigurationError(
            "the configuration is in two places: %s" % " and ".join(files), files[1], "keep one of them"
        )
