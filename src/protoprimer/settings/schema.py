"""The table of configuration keys: a JSON Schema that the reader checks against and that editors are given."""

from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple, Union

from protoprimer.errors import nearest_name

__all__ = ["CLIENT_SCHEMA", "ENV_SCHEMA", "PRIMER_SCHEMA", "SchemaViolation", "default_of_key", "first_violation"]

_Schema = Dict[str, Any]
_Keys = Tuple[Union[str, int], ...]
_DRAFT = "http://json-schema.org/draft-07/schema#"
_TEXT = {"type": "string"}  # type: _Schema


_FALSE = {"type": "boolean", "enum": [False]}


def _value(kind: "str | list[_Schema]", description: str, **more: object) -> _Schema:
    return dict({"type" if isinstance(kind, str) else "anyOf": kind, "description": description}, **more)


def _list(description: str, items: _Schema = _TEXT, **more: object) -> _Schema:
    return _value("array", description, items=items, **more)


def _closed(properties: _Schema, **more: object) -> _Schema:
    return dict(more, type="object", additionalProperties=False, properties=properties)


_PROJECT = _closed(
    {
        "path": _value("string", "Its directory, relative to the root, or a glob of several."),
        "editable": _value("boolean", "Whether its sources stay in place.", default=True),
        "extras": _list("Extras to install with it.", default=[]),
        "groups": _list("Dependency groups (PEP 735) to install with it.", default=[]),
    },
    description="A project of this repository: a directory with pyproject.toml, setup.cfg or setup.py.",
    required=["path"],
)
_INSTALL_STEP = _closed(
    {
        "projects": _list(
            "Projects of this repository, as directories, globs such as packages/*, or tables.",
            {"anyOf": [_TEXT, _PROJECT]},
            default=[],
        ),
        "requirements": _list("Requirement files, relative to the root.", default=[]),
        "constraints": _list("Constraint files, relative to the root.", default=[]),
        "args": _list("Further requirements, as on an installer's command line.", default=[]),
    },
    description="One step: all of it goes to the installer in one command.",
)
_RESOLUTION = {"type": "string", "enum": ["highest", "lowest-direct", "lowest"]}
_AXES = {
    "python": "Versions, and ranges for each minor version in them that the host has. Default: requires-python.",
    "env": "Named environments.",
    "backend": "Backends.",
    "resolution": "Values of `resolution`.",
    "groups": "Dependency groups of the first project of `install`, with commas.",
    "extras": "Extras of that project, with commas.",
}
_AXIS_VALUES = dict(dict.fromkeys(_AXES, _TEXT), resolution=_RESOLUTION)
_MATRIX = _closed(
    dict(
        {name: _list(meaning, _AXIS_VALUES[name]) for name, meaning in _AXES.items()},
        include=_list("Further cells.", _closed(_AXIS_VALUES)),
        exclude=_list("Cells to leave out: those that agree.", _closed(_AXIS_VALUES)),
        jobs=_value("integer", "Cells at once. Default: by cores and memory.", minimum=1),
        command=_list("The command of each cell."),
    ),
    description="What `matrix` runs on: one cell for each combination, less `exclude`, plus `include`.",
)
_UV = _closed(
    {
        "version": _value("string", "The only version that serves."),
        "hashes": _value(
            "object", "The sha256 of each wheel that may be fetched, by its file name.", additionalProperties=_TEXT
        ),
    },
    description="The uv of this repository.",
    required=["version", "hashes"],
)
_KEYS = {
    "python": _value(
        "string",
        "The Python that is required: a version or a PEP 440 specifier. "
        "Default: .python-version, else requires-python, else any supported one.",
    ),
    "python-downloads": _value("boolean", "Whether uv may fetch an interpreter that the host lacks.", default=True),
    "python-selector": _value("string", "A file of the repository with select_python(required) -> path or None."),
    "backend": _value(
        [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}],
        "auto, a backend's name, a list of names in the order to try, or a path to your own.",
        default="auto",
    ),
    "install": _value(
        [_INSTALL_STEP, {"type": "array", "items": _INSTALL_STEP}],
        "Ordered steps of what is installed. Default: the root project, editable, with its group dev or uv's "
        "default-groups; else the members of a uv workspace; else requirements.txt.",
    ),
    "lock": _value(
        [_TEXT, _FALSE],
        "The lock file to install from, or false. Default: pylock.toml or uv.lock if present, "
        "and pylock.NAME.toml for an environment NAME with its own `install`.",
    ),
    "resolution": dict(
        _RESOLUTION,
        default="highest",
        description="Which versions are taken; the lowest ones ignore the lock, and need the backend uv.",
    ),
    "watch": _list("Further files, or globs, whose change makes the environment stale.", default=[]),
    "venv-link": _value([_TEXT, _FALSE], "The convenience link to the environment, or false.", default=".venv"),
    "state-dir": _value("string", "Where the clone's state is kept.", default=".protoprimer"),
    "keep": _value("integer", "Generations kept per environment.", minimum=1, default=3),
    "build-constraints": _value("string", "Constraint file for isolated builds."),
    "seed-pip": _value("boolean", "Whether pip is put into the environment.", default=False),
    "lock-timeout": _value("number", "Seconds to wait for another run. Default: wait, saying for whom.", minimum=0),
    "kernel-update": _value(
        "string",
        "What to do when the installed protoprimer is newer than the committed kernel.",
        enum=["auto", "check", "off"],
        default="auto",
    ),
    "tools": _closed({"uv": _UV}, description="Other tools than those that the kernel pins."),
    "matrix": _MATRIX,
}

ENV_SCHEMA = _closed({key: part for key, part in _KEYS.items() if key != "state-dir"})

CLIENT_SCHEMA = dict(
    {
        "$schema": _DRAFT,
        "title": "Configuration of protoprimer: [tool.protoprimer], protoprimer.toml or protoprimer.json",
    },
    **_closed(
        dict(
            _KEYS,
            env=_value(
                "object",
                "Named environments; each overrides the other keys, but state-dir, which is the clone's.",
                additionalProperties=ENV_SCHEMA,
            ),
        )
    ),
)  # type: _Schema

PRIMER_SCHEMA = dict(
    {"$schema": _DRAFT, "title": "Where a kernel's root and configuration are: proto_kernel.toml or proto_kernel.json"},
    **_closed(
        {
            "root": _value("string", "The repository's root, relative to this file."),
            "client": _value("string", "The client configuration file, relative to this file."),
            "env": _value("string", "The file of one environment, relative to this file; {env} stands for its name."),
        }
    ),
)  # type: _Schema

# To Python, but not to JSON, a boolean is a number.
_TYPES = {
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "string": (str, "a string"),
    "array": (list, "a list"),
    "object": (dict, "a table"),
}  # type: dict[str, tuple[Any, str]]


class SchemaViolation(NamedTuple):
    """The first thing wrong in a document: the keys and indexes that lead to it, one sentence, what was expected."""

    path: _Keys
    cause: str
    advice: Optional[str]


def default_of_key(key: str) -> object:
    """Return a key's default value, `None` where it is computed."""
    default = _KEYS[key].get("default")
    return list(default) if isinstance(default, list) else default


def first_violation(value: object, schema: _Schema) -> Optional[SchemaViolation]:
    """Check `value` against the part of JSON Schema that our tables use; return what is wrong, or `None`."""
    return next(_violations(value, schema, ()), None)


def _violations(value: Any, schema: _Schema, path: _Keys) -> Iterator[SchemaViolation]:
    kinds = schema.get("anyOf", [schema])
    fitting = [one for one in kinds if _has_type(value, one["type"]) and not (one == _FALSE and value)]
    if not fitting:
        expected = " or ".join("false" if one == _FALSE else _TYPES[one["type"]][1] for one in kinds)
        yield _violation(path, "must be %s, not %s" % (expected, _described(value)))
        return
    schema = fitting[0]
    allowed, minimum = schema.get("enum", [value]), schema.get("minimum")
    if value not in allowed:
        near = nearest_name(str(value), allowed)
        advice = ("did you mean %r? " % near if near else "") + "possible: " + ", ".join(allowed)
        yield _violation(path, "cannot be %r" % value, advice)
    if minimum is not None and not value >= minimum:  # nan is neither
        yield _violation(path, "must be at least %s, not %s" % (minimum, value))
    if value == [] and schema.get("minItems"):
        yield _violation(path, "must not be empty")
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _violations(item, schema["items"], path + (number,))
    elif isinstance(value, dict):
        yield from _violations_in_table(value, schema, path)


def _violations_in_table(table: _Schema, schema: _Schema, path: _Keys) -> Iterator[SchemaViolation]:
    known = schema.get("properties", {})
    for key, item in table.items():
        part = known.get(key, schema.get("additionalProperties"))
        if not part:
            near = nearest_name(str(key), sorted(known))
            advice = "did you mean %r?" % near if near else "known keys: " + ", ".join(sorted(known))
            yield SchemaViolation(path + (key,), "unknown key %r" % key, advice)
        elif part is not True:
            yield from _violations(item, part, path + (key,))
    for key in schema.get("required", []):
        if key not in table:
            yield _violation(path, "needs the key %r" % key)


def _violation(path: _Keys, cause: str, advice: Optional[str] = None) -> SchemaViolation:
    name = "".join("[%d]" % part if isinstance(part, int) else "." + part for part in path)
    return SchemaViolation(path, "%s %s" % (name.lstrip(".") or "the document", cause), advice)


def _has_type(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name][0]) and (name == "boolean" or not isinstance(value, bool))


def _described(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, str)):
        return repr(value)
    return next((told for kind, told in _TYPES.values() if isinstance(value, kind)), type(value).__name__)
