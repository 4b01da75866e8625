"""The table of configuration keys: a JSON Schema that the reader checks against and that editors are given."""

from protoprimer.errors import nearest_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CLIENT_SCHEMA", "ENV_SCHEMA", "PRIMER_SCHEMA", "SchemaViolation", "default_of_key", "first_violation"]


def _list_of_items(items: "dict[str, Any]", description: str, **more: "Any") -> "dict[str, Any]":
    return dict({"type": "array", "items": items, "description": description}, **more)


def _strings(description: str, **more: "Any") -> "dict[str, Any]":
    return _list_of_items({"type": "string"}, description, **more)


def _text(description: str, **more: "Any") -> "dict[str, Any]":
    return dict({"type": "string", "description": description}, **more)


def _flag(default: bool, description: str) -> "dict[str, Any]":
    return {"type": "boolean", "default": default, "description": description}


def _table_of(description: str, properties: "dict[str, Any]", **more: "Any") -> "dict[str, Any]":
    table = {"type": "object", "description": description, "additionalProperties": False, "properties": properties}
    return dict(table, **more)


def _or_false(description: str, **more: "Any") -> "dict[str, Any]":
    kinds = [{"type": "string"}, {"type": "boolean", "enum": [False]}]
    return dict({"anyOf": kinds, "description": description}, **more)


_PROJECT = _table_of(
    "A project of this repository: a directory with pyproject.toml, setup.cfg or setup.py.",
    {
        "path": _text("Its directory, relative to the root, or a glob of several."),
        "editable": _flag(True, "Whether its sources stay in place."),
        "extras": _strings("Extras to install with it.", default=[]),
        "groups": _strings("Dependency groups (PEP 735) to install with it.", default=[]),
    },
    required=["path"],
)

_INSTALL_STEP = _table_of(
    "One step: all of it goes to the installer in one command.",
    {
        "projects": _list_of_items(
            {"anyOf": [{"type": "string"}, _PROJECT]},
            "Projects of this repository, as directories, globs such as packages/*, or tables.",
            default=[],
        ),
        "requirements": _strings("Requirement files, relative to the root.", default=[]),
        "constraints": _strings("Constraint files, relative to the root.", default=[]),
        "args": _strings("Further requirements, as on an installer's command line.", default=[]),
    },
)

_RESOLUTION = {"type": "string", "enum": ["highest", "lowest-direct", "lowest"]}  # type: dict[str, Any]

_MATRIX_AXES = {
    "python": "Versions, and ranges for each minor version in them that the host has. Default: requires-python.",
    "env": "Named environments.",
    "backend": "Backends.",
    "resolution": "Values of `resolution`.",
    "groups": "Dependency groups of the first project of `install`, with commas.",
    "extras": "Extras of that project, with commas.",
}
_MATRIX_CELL = {
    "type": "object",
    "additionalProperties": False,
    "properties": dict({name: {"type": "string"} for name in _MATRIX_AXES}, resolution=_RESOLUTION),
}  # type: dict[str, Any]
_MATRIX = _table_of(
    "What `matrix` runs on: one cell for each combination, less `exclude`, plus `include`.",
    dict(
        {name: _strings(meaning) for name, meaning in _MATRIX_AXES.items()},
        resolution=_list_of_items(_RESOLUTION, _MATRIX_AXES["resolution"]),
        include=_list_of_items(_MATRIX_CELL, "Further cells."),
        exclude=_list_of_items(_MATRIX_CELL, "Cells to leave out: those that agree."),
        jobs={"type": "integer", "minimum": 1, "description": "Cells at once. Default: by cores and memory."},
        command=_strings("The command of each cell."),
    ),
)

_UV = _table_of(
    "The uv of this repository.",
    {
        "version": _text("The only version that serves."),
        "hashes": {
            "type": "object",
            "description": "The sha256 of each wheel that may be fetched, by its file name.",
            "additionalProperties": {"type": "string"},
        },
    },
    required=["version", "hashes"],
)

_KEYS = {
    "python": _text(
        "The Python that is required: a version or a PEP 440 specifier. "
        "Default: .python-version, else requires-python, else any supported one."
    ),
    "python-downloads": _flag(True, "Whether uv may fetch an interpreter that the host lacks."),
    "python-selector": _text("A file of the repository with select_python(required) -> path or None."),
    "backend": {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        "default": "auto",
        "description": "auto, a backend's name, a list of names in the order to try, or a path to your own.",
    },
    "install": {
        "anyOf": [_INSTALL_STEP, {"type": "array", "items": _INSTALL_STEP}],
        "description": "Ordered steps of what is installed. "
        "Default: the root project, editable, with its group dev or uv's default-groups; "
        "else the members of a uv workspace; else requirements.txt.",
    },
    "lock": _or_false(
        "The lock file to install from, or false. Default: pylock.toml or uv.lock if present, "
        "and pylock.NAME.toml for an environment NAME with its own `install`."
    ),
    "resolution": dict(
        _RESOLUTION,
        default="highest",
        description="Which versions are taken; the lowest ones ignore the lock, and need the backend uv.",
    ),
    "watch": _strings("Further files, or globs, whose change makes the environment stale.", default=[]),
    "venv-link": _or_false("The convenience link to the environment, or false.", default=".venv"),
    "state-dir": _text("Where the clone's state is kept.", default=".protoprimer"),
    "keep": {"type": "integer", "minimum": 1, "default": 3, "description": "Generations kept per environment."},
    "build-constraints": _text("Constraint file for isolated builds."),
    "seed-pip": _flag(False, "Whether pip is put into the environment."),
    "lock-timeout": {
        "type": "number",
        "minimum": 0,
        "description": "Seconds to wait for another run. Default: wait, saying for whom.",
    },
    "kernel-update": _text(
        "What to do when the installed protoprimer is newer than the committed kernel.",
        enum=["auto", "check", "off"],
        default="auto",
    ),
    "tools": _table_of("Other tools than those that the kernel pins.", {"uv": _UV}),
    "matrix": _MATRIX,
}  # type: dict[str, dict[str, Any]]

ENV_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {key: part for key, part in _KEYS.items() if key != "state-dir"},
}  # type: dict[str, Any]

CLIENT_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Configuration of protoprimer: [tool.protoprimer], protoprimer.toml or protoprimer.json",
    "type": "object",
    "additionalProperties": False,
    "properties": dict(
        _KEYS,
        env={
            "type": "object",
            "description": "Named environments; each overrides the other keys, but state-dir, which is the clone's.",
            "additionalProperties": ENV_SCHEMA,
        },
    ),
}  # type: dict[str, Any]

PRIMER_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Where a kernel's root and configuration are: proto_kernel.toml or proto_kernel.json",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "root": {"type": "string", "description": "The repository's root, relative to this file."},
        "client": {"type": "string", "description": "The client configuration file, relative to this file."},
        "env": {
            "type": "string",
            "description": "The file of one environment, relative to this file; {env} stands for its name.",
        },
    },
}  # type: dict[str, Any]

# To Python, but not to JSON, a boolean is a number.
_TYPES = {
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "string": (str, "a string"),
    "array": (list, "a list"),
    "object": (dict, "a table"),
}  # type: dict[str, tuple[Any, str]]


class SchemaViolation:
    """The first thing wrong in a document.

    :param path: the keys (and list indexes) that lead to it
    :param cause: one sentence
    :param advice: the nearest known name, or what was expected
    """

    def __init__(self, path: "tuple[str | int, ...]", cause: str, advice: "str | None" = None) -> None:
        self.path = path
        self.cause = cause
        self.advice = advice


def default_of_key(key: str) -> object:
    """Return a key's default value, `None` where it is computed."""
    default = _KEYS[key].get("default")
    return list(default) if isinstance(default, list) else default


def first_violation(
    value: object, schema: "dict[str, Any]", path: "tuple[str | int, ...]" = ()
) -> "SchemaViolation | None":
    """Check `value` against the part of JSON Schema that our tables use; return what is wrong, or `None`."""
    kinds = schema.get("anyOf", [schema])
    fitting = [one for one in kinds if _has_type(value, one["type"]) and (one.get("enum") != [False] or not value)]
    if not fitting:
        expected = " or ".join("false" if one.get("enum") == [False] else _TYPES[one["type"]][1] for one in kinds)
        return SchemaViolation(path, "%s must be %s, not %s" % (_dotted(path), expected, _described(value)))
    return _violation_of_value(value, fitting[0], path)


def _violation_of_value(
    value: "Any", schema: "dict[str, Any]", path: "tuple[str | int, ...]"
) -> "SchemaViolation | None":
    allowed, minimum = schema.get("enum", [value]), schema.get("minimum")
    if value not in allowed:
        near = nearest_name(str(value), allowed)
        advice = ("did you mean %r? " % near if near else "") + "possible: " + ", ".join(allowed)
        return SchemaViolation(path, "%s cannot be %r" % (_dotted(path), value), advice)
    if minimum is not None and not value >= minimum:  # nan is neither
        return SchemaViolation(path, "%s must be at least %s, not %s" % (_dotted(path), minimum, value))
    if value == [] and schema.get("minItems"):
        return SchemaViolation(path, "%s must not be empty" % _dotted(path))
    known = schema.get("properties", {})
    for key, item in enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else []:
        part = schema["items"] if isinstance(value, list) else known.get(key) or schema.get("additionalProperties")
        if part is True:
            continue
        if not part:
            near = nearest_name(str(key), sorted(known))
            advice = "did you mean %r?" % near if near else "known keys: " + ", ".join(sorted(known))
            return SchemaViolation(path + (key,), "unknown key %r" % key, advice)
        violation = first_violation(item, part, path + (key,))
        if violation:
            return violation
    missing = [key for key in schema.get("required", []) if key not in value]
    return SchemaViolation(path, "%s needs the key %r" % (_dotted(path), missing[0])) if missing else None


def _has_type(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name][0]) and (name == "boolean" or not isinstance(value, bool))


def _described(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    is_shown = isinstance(value, (int, float, str))
    return (
        repr(value)
        if is_shown
        else next((told for kind, told in _TYPES.values() if isinstance(value, kind)), type(value).__name__)
    )


def _dotted(path: "tuple[str | int, ...]") -> str:
    text = "".join("[%d]" % part if isinstance(part, int) else "." + part for part in path)
    return text.lstrip(".") or "the document"
