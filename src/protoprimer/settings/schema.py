"""The table of configuration keys: a JSON Schema that the reader checks against."""

from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple, Union

from protoprimer.errors import did_you_mean, which_are_known

__all__ = ["CLIENT_SCHEMA", "ENV_SCHEMA", "PRIMER_SCHEMA", "SchemaViolation", "default_of_key", "first_violation"]

_Schema = Dict[str, Any]
_Keys = Tuple[Union[str, int], ...]


def _list_of(items: _Schema, **more: object) -> _Schema:
    return dict({"type": "array", "items": items}, **more)


def _closed(properties: _Schema, **more: object) -> _Schema:
    return dict({"type": "object", "additionalProperties": False, "properties": properties}, **more)


_TEXT = {"type": "string"}  # type: _Schema
_FALSE = {"type": "boolean", "enum": [False]}
_NO_TEXTS = _list_of(_TEXT, default=[])
_RESOLUTION = {"type": "string", "enum": ["highest", "lowest-direct", "lowest"]}
_PROJECT = _closed(
    {"path": _TEXT, "editable": {"type": "boolean", "default": True}, "extras": _NO_TEXTS, "groups": _NO_TEXTS},
    required=["path"],
)
_INSTALL_STEP = _closed(
    {
        "projects": _list_of({"anyOf": [_TEXT, _PROJECT]}, default=[]),
        "requirements": _NO_TEXTS,
        "constraints": _NO_TEXTS,
        "args": _NO_TEXTS,
        "groups": _NO_TEXTS,
        "extras": _NO_TEXTS,
    }
)
_AXES = dict(
    dict.fromkeys(("python", "env", "backend", "resolution", "groups", "extras"), _TEXT), resolution=_RESOLUTION
)
_MATRIX = _closed(
    dict(
        {name: _list_of(kind) for name, kind in _AXES.items()},
        include=_list_of(_closed(_AXES)),
        exclude=_list_of(_closed(_AXES)),
        jobs={"type": "integer", "minimum": 1},
        command=_list_of(_TEXT),
    )
)
_UV = _closed(
    {"version": _TEXT, "hashes": {"type": "object", "additionalProperties": _TEXT}}, required=["version", "hashes"]
)
# `neoprimer.meanings` says what each of them means.
_KEYS = {
    "python": _TEXT,
    "python-downloads": {"type": "boolean", "default": True},
    "python-selector": _TEXT,
    "backend": {"anyOf": [_TEXT, _list_of(_TEXT, minItems=1)], "default": "auto"},
    "install": {"anyOf": [_INSTALL_STEP, _list_of(_INSTALL_STEP)]},
    "lock": {"anyOf": [_TEXT, _FALSE]},
    "resolution": dict(_RESOLUTION, default="highest"),
    "watch": _NO_TEXTS,
    "venv-link": {"anyOf": [_TEXT, _FALSE], "default": ".venv"},
    "state-dir": dict(_TEXT, default=".protoprimer"),
    "keep": {"type": "integer", "minimum": 1, "default": 3},
    "build-constraints": _TEXT,
    "seed-pip": {"type": "boolean", "default": False},
    "lock-timeout": {"type": "number", "minimum": 0},
    "kernel-update": {"type": "string", "enum": ["auto", "check", "off"], "default": "check"},
    "kernel-sha256": _TEXT,
    "tools": _closed({"uv": _UV}),
    "matrix": _MATRIX,
    "run": {"type": "object", "additionalProperties": {"anyOf": [_TEXT, _list_of(_TEXT, minItems=1)]}},
}

ENV_SCHEMA = _closed({key: part for key, part in _KEYS.items() if key != "state-dir"})
CLIENT_SCHEMA = _closed(dict(_KEYS, env={"type": "object", "additionalProperties": ENV_SCHEMA}))
PRIMER_SCHEMA = _closed(dict.fromkeys(("root", "client", "env"), _TEXT))

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
    """The first thing wrong in a document: what leads to it, one sentence, what was expected."""

    path: _Keys
    cause: str
    advice: Optional[str]


def default_of_key(key: str) -> object:
    """Return a key's default, `None` where it is computed."""
    default = _KEYS[key].get("default")
    return list(default) if isinstance(default, list) else default


def first_violation(value: object, schema: _Schema) -> Optional[SchemaViolation]:
    """Check a value against the part of JSON Schema that our tables use."""
    return next(_violations(value, schema, ()), None)


def _violations(value: Any, schema: _Schema, path: _Keys) -> Iterator[SchemaViolation]:
    kinds = schema.get("anyOf", [schema])
    fitting = [one for one in kinds if _has_type(value, one["type"]) and not (one == _FALSE and value)]
    if not fitting:
        expected = " or ".join("false" if one == _FALSE else _TYPES[one["type"]][1] for one in kinds)
        shown = str(value).lower() if isinstance(value, bool) else repr(value)[:60]
        yield _violation(path, "must be %s, not %s" % (expected, shown))
        return
    schema = fitting[0]
    allowed, minimum = schema.get("enum", [value]), schema.get("minimum")
    if value not in allowed:
        yield _violation(path, "cannot be %r" % value, which_are_known(str(value), allowed))
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
            advice = did_you_mean(str(key), list(known), which_are_known(str(key), known))
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
