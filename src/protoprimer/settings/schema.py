"""The table of configuration keys: a JSON Schema that the reader checks against and that editors are given."""

from protoprimer.errors import nearest_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CLIENT_SCHEMA", "ENV_SCHEMA", "PRIMER_SCHEMA", "SchemaViolation", "default_of_key", "first_violation"]

_STRINGS = {"type": "array", "items": {"type": "string"}}  # type: dict[str, Any]

_PROJECT = {
    "type": "object",
    "description": "A project of this repository: a directory with pyproject.toml, setup.cfg or setup.py.",
    "additionalProperties": False,
    "required": ["path"],
    "properties": {
        "path": {"type": "string", "description": "Its directory, relative to the root."},
        "editable": {"type": "boolean", "default": True, "description": "Whether its sources stay in place."},
        "extras": dict(_STRINGS, default=[], description="Extras to install with it."),
        "groups": dict(_STRINGS, default=[], description="Dependency groups (PEP 735) to install with it."),
    },
}  # type: dict[str, Any]

_INSTALL_STEP = {
    "type": "object",
    "description": "One step: all of it goes to the installer in one command.",
    "additionalProperties": False,
    "properties": {
        "projects": {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, _PROJECT]},
            "default": [],
            "description": "Projects of this repository, as directories or tables.",
        },
        "requirements": dict(_STRINGS, default=[], description="Requirement files, relative to the root."),
        "constraints": dict(_STRINGS, default=[], description="Constraint files, relative to the root."),
        "args": dict(_STRINGS, default=[], description="Further requirements, as on an installer's command line."),
    },
}  # type: dict[str, Any]

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

_MATRIX = {
    "type": "object",
    "description": "What `matrix` runs on: one cell for each combination, less `exclude`, plus `include`.",
    "additionalProperties": False,
    "properties": dict(
        {name: dict(_STRINGS, description=meaning) for name, meaning in _MATRIX_AXES.items()},
        resolution={"type": "array", "items": _RESOLUTION, "description": _MATRIX_AXES["resolution"]},
        include={"type": "array", "items": _MATRIX_CELL, "description": "Further cells."},
        exclude={"type": "array", "items": _MATRIX_CELL, "description": "Cells to leave out: those that agree."},
        jobs={"type": "integer", "minimum": 1, "description": "Cells at once. Default: by cores and memory."},
        command=dict(_STRINGS, description="The command of each cell."),
    ),
}  # type: dict[str, Any]

_TOOLS = {
    "type": "object",
    "description": "Other tools than those that the kernel pins.",
    "additionalProperties": False,
    "properties": {
        "uv": {
            "type": "object",
            "description": "The uv of this repository.",
            "additionalProperties": False,
            "required": ["version", "hashes"],
            "properties": {
                "version": {"type": "string", "description": "The only version that serves."},
                "hashes": {
                    "type": "object",
                    "description": "The sha256 of each wheel that may be fetched, by its file name.",
                    "additionalProperties": {"type": "string"},
                },
            },
        },
    },
}  # type: dict[str, Any]

_KEYS = {
    "python": {
        "type": "string",
        "description": "The Python that is required: a version or a PEP 440 specifier. "
        "Default: .python-version, else requires-python, else any supported one.",
    },
    "python-downloads": {
        "type": "boolean",
        "default": True,
        "description": "Whether uv may fetch an interpreter that the host lacks.",
    },
    "python-selector": {
        "type": "string",
        "description": "A file of the repository with select_python(required) -> path or None.",
    },
    "backend": {
        "anyOf": [{"type": "string"}, dict(_STRINGS, minItems=1)],
        "default": "auto",
        "description": "auto, a backend's name, a list of names in the order to try, or a path to your own.",
    },
    "install": {
        "anyOf": [_INSTALL_STEP, {"type": "array", "items": _INSTALL_STEP}],
        "description": "Ordered steps of what is installed. "
        "Default: the root project, editable, if there is one; else requirements.txt.",
    },
    "lock": {
        "anyOf": [{"type": "string"}, {"type": "boolean", "enum": [False]}],
        "description": "The lock file to install from, or false. Default: pylock.toml or uv.lock if present.",
    },
    "resolution": dict(
        _RESOLUTION,
        default="highest",
        description="Which versions are taken; the lowest ones ignore the lock, and need the backend uv.",
    ),
    "watch": dict(_STRINGS, default=[], description="Further files whose change makes the environment stale."),
    "venv-link": {
        "anyOf": [{"type": "string"}, {"type": "boolean", "enum": [False]}],
        "default": ".venv",
        "description": "The convenience link to the environment, or false.",
    },
    "state-dir": {"type": "string", "default": ".protoprimer", "description": "Where the clone's state is kept."},
    "keep": {"type": "integer", "minimum": 1, "default": 3, "description": "Generations kept per environment."},
    "build-constraints": {"type": "string", "description": "Constraint file for isolated builds."},
    "seed-pip": {"type": "boolean", "default": False, "description": "Whether pip is put into the environment."},
    "lock-timeout": {
        "type": "number",
        "minimum": 0,
        "description": "Seconds to wait for another run. Default: wait, saying for whom.",
    },
    "kernel-update": {
        "type": "string",
        "enum": ["auto", "check", "off"],
        "default": "auto",
        "description": "What to do when the installed protoprimer is newer than the committed kernel.",
    },
    "tools": _TOOLS,
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

_TYPE_NAMES = {
    "object": "a table",
    "array": "a list",
    "string": "a string",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}


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
    alternatives = schema.get("anyOf")
    if alternatives:
        return _violation_of_all(value, alternatives, path)
    if not _has_schema_type(value, schema["type"]):
        return SchemaViolation(path, "%s must be %s, not %s" % (_dotted(path), _expected(schema), _described(value)))
    allowed = schema.get("enum")
    if allowed and value not in allowed:
        return _bad_choice(value, [str(choice) for choice in allowed], path)
    minimum = schema.get("minimum")
    if minimum is not None and not value >= minimum:  # nan is neither
        return SchemaViolation(path, "%s must be at least %s, not %s" % (_dotted(path), minimum, value))
    if isinstance(value, list):
        return _violation_in_list(value, schema, path)
    if isinstance(value, dict):
        return _violation_in_table(value, schema, path)
    return None


def _violation_of_all(
    value: object, alternatives: "list[dict[str, Any]]", path: "tuple[str | int, ...]"
) -> "SchemaViolation | None":
    fitting = [
        schema
        for schema in alternatives
        if _has_schema_type(value, schema["type"]) and value in schema.get("enum", [value])
    ]
    if not fitting:
        expected = " or ".join(_expected(schema) for schema in alternatives)
        return SchemaViolation(path, "%s must be %s, not %s" % (_dotted(path), expected, _described(value)))
    return first_violation(value, fitting[0], path)


def _violation_in_list(
    value: "list[object]", schema: "dict[str, Any]", path: "tuple[str | int, ...]"
) -> "SchemaViolation | None":
    if not value and schema.get("minItems"):
        return SchemaViolation(path, "%s must not be empty" % _dotted(path))
    items = schema["items"]
    for index, item in enumerate(value):
        violation = first_violation(item, items, path + (index,))
        if violation:
            return violation
    return None


def _violation_in_table(
    value: "dict[str, Any]", schema: "dict[str, Any]", path: "tuple[str | int, ...]"
) -> "SchemaViolation | None":
    properties = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    for key, item in value.items():
        part = properties.get(key, others)
        if part is True:
            continue
        if not isinstance(part, dict):
            near = nearest_name(key, sorted(properties))
            advice = "did you mean %r?" % near if near else "known keys: " + ", ".join(sorted(properties))
            return SchemaViolation(path + (key,), "unknown key %r" % key, advice)
        violation = first_violation(item, part, path + (key,))
        if violation:
            return violation
    for key in schema.get("required") or []:
        if key not in value:
            return SchemaViolation(path, "%s needs the key %r" % (_dotted(path), key))
    return None


def _bad_choice(value: object, allowed: "list[str]", path: "tuple[str | int, ...]") -> SchemaViolation:
    near = nearest_name(str(value), allowed)
    advice = ("did you mean %r? " % near if near else "") + "possible: " + ", ".join(allowed)
    return SchemaViolation(path, "%s cannot be %r" % (_dotted(path), value), advice)


def _has_schema_type(value: object, name: str) -> bool:
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    # To Python, but not to JSON, a boolean is a number.
    return isinstance(value, types[name]) and (name == "boolean" or not isinstance(value, bool))  # type: ignore[arg-type]


def _expected(schema: "dict[str, Any]") -> str:
    if schema.get("enum") == [False]:
        return "false"
    return _TYPE_NAMES[schema["type"]]


def _described(value: object) -> str:
    for name in ("boolean", "integer", "number", "string", "array", "object"):
        if _has_schema_type(value, name):
            if name == "boolean":
                return "true" if value else "false"
            return repr(value) if name not in ("array", "object") else _TYPE_NAMES[name]
    return type(value).__name__


def _dotted(path: "tuple[str | int, ...]") -> str:
    text = ""
    for part in path:
        text += "[%d]" % part if isinstance(part, int) else ("." if text else "") + part
    return text or "the document"
