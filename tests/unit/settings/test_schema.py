"""The table of keys is what the reader checks by, what is published, and what JSON Schema's own validator agrees with."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped,unused-ignore]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import support
from neoprimer.meanings import MEANINGS, with_meanings
from protoprimer.settings.schema import CLIENT_SCHEMA, ENV_SCHEMA, PRIMER_SCHEMA, default_of_key, first_violation

if TYPE_CHECKING:
    from types import ModuleType

PROPERTIES: Any = CLIENT_SCHEMA["properties"]
CLIENT, PRIMER = with_meanings(CLIENT_SCHEMA), with_meanings(PRIMER_SCHEMA, "primer")


def load_tool() -> ModuleType:
    path = support.ROOT / "tools" / "write_reference.py"
    specification = importlib.util.spec_from_file_location("write_reference", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_what_is_published_follows_from_the_table() -> None:
    assert load_tool().drifted() == [], "run: ./prime run -- python tools/write_reference.py"


@pytest.mark.parametrize("name", ["protoprimer", "proto_kernel", "eval", "check"])
def test_published_schemas_are_schemas(name: str) -> None:
    text = (support.ROOT / "docs" / "reference" / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    jsonschema.Draft7Validator.check_schema(json.loads(text))


def test_every_key_says_what_it_is_and_defaults_are_of_its_type() -> None:
    for key, part in {**CLIENT["properties"], **PRIMER["properties"]}.items():
        assert part["description"].endswith("."), key
        if "default" in part:
            assert first_violation(part["default"], part) is None
    assert default_of_key("watch") == []
    assert default_of_key("watch") is not default_of_key("watch")


def test_every_meaning_is_that_of_a_key() -> None:
    published = json.dumps([CLIENT, PRIMER])
    assert [path for path, meaning in MEANINGS.items() if json.dumps(meaning) not in published] == []


def test_an_environment_takes_all_keys_but_those_of_the_clone() -> None:
    assert set(PROPERTIES) - set(ENV_SCHEMA["properties"]) == {"env", "state-dir"}


KEYS = st.sampled_from([*sorted(PROPERTIES), "unknown", "path", "projects", "args", "editable", "jobs"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 5)
    | st.floats(allow_nan=False, width=16)
    | st.sampled_from(["", "auto", "off", "x"])
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


# On a loaded machine a document may take seconds; that says nothing about the check.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(KEYS, DOCUMENTS, max_size=4))
def test_our_check_agrees_with_json_schema(document: dict[str, Any]) -> None:
    ours = first_violation(document, CLIENT_SCHEMA)
    theirs = STRICT_VALIDATOR(CLIENT_SCHEMA).is_valid(document)
    assert (ours is None) == theirs, ours and ours.cause


# A whole number with a fraction of zero is a float in TOML, though not to JSON Schema.
STRICT_VALIDATOR = jsonschema.validators.extend(
    jsonschema.Draft7Validator,
    type_checker=jsonschema.Draft7Validator.TYPE_CHECKER.redefine(
        "integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


@pytest.mark.parametrize(
    ("document", "path", "cause", "advice"),
    [
        ({"kep": 1}, ("kep",), "unknown key 'kep'", "did you mean 'keep'?"),
        ({"keep": "3"}, ("keep",), "keep must be a whole number, not '3'", None),
        ({"keep": True}, ("keep",), "keep must be a whole number, not true", None),
        ({"keep": 0}, ("keep",), "keep must be at least 1, not 0", None),
        ({"backend": []}, ("backend",), "backend must not be empty", None),
        ({"lock": True}, ("lock",), "lock must be a string or false, not true", None),
        (
            {"kernel-update": "atuo"},
            ("kernel-update",),
            "kernel-update cannot be 'atuo'",
            "did you mean 'auto'? known: auto, check, off",
        ),
        (
            {"install": {"projects": [{"editable": True}]}},
            ("install", "projects", 0),
            "install.projects[0] needs the key 'path'",
            None,
        ),
        (
            {"install": [{"project": ["."]}]},
            ("install", 0, "project"),
            "unknown key 'project'",
            "did you mean 'projects'?",
        ),
        ({"install": "."}, ("install",), "install must be a table or a list, not '.'", None),
        (
            {"env": {"dev": {"watch": [1]}}},
            ("env", "dev", "watch", 0),
            "env.dev.watch[0] must be a string, not 1",
            None,
        ),
        ({"env": {"dev": {"state-dir": "x"}}}, ("env", "dev", "state-dir"), "unknown key 'state-dir'", None),
    ],
)
def test_a_violation_has_its_path_a_sentence_and_advice(
    document: dict[str, Any], path: tuple[object, ...], cause: str, advice: str | None
) -> None:
    found = first_violation(document, CLIENT_SCHEMA)
    assert found is not None
    assert (found.path, found.cause) == (path, cause)
    assert advice is None or found.advice == advice
