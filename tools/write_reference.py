"""Write what follows from the tables of keys, commands and options: `docs/reference/schemas/*.json`, tables in `docs/`.

An author's script, `./prime run -- python tools/write_reference.py`; a test calls `drifted` and wants nothing.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "src"))

import protoprimer  # noqa: E402 - the path is completed above

if str(REPOSITORY) not in protoprimer.__path__:
    # backends/ stands at the top of the tree.
    protoprimer.__path__.append(str(REPOSITORY))

from neoprimer.meanings import with_meanings  # noqa: E402 - as above
from protoprimer import errors, primer_kernel  # noqa: E402 - as above
from protoprimer.settings.command_line import COMMANDS, OPTIONS, parse_command_line  # noqa: E402 - the path is completed above
from protoprimer.settings.configuration import INPUT_VARIABLES, LEAPS, read_configuration  # noqa: E402 - as above
from protoprimer.settings.index_sources import SETTINGS  # noqa: E402 - as above
from protoprimer.settings.schema import CLIENT_SCHEMA, PRIMER_SCHEMA  # noqa: E402 - as above

Schema = Dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
TEXT: Schema = {"type": "string"}
CLIENT, PRIMER = with_meanings(CLIENT_SCHEMA), with_meanings(PRIMER_SCHEMA, "primer")
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def closed(properties: Schema, **more: object) -> Schema:
    """Return the schema of a table that has all of these keys and no other."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
        **more,
    }


# What `eval` and `check` say of the environment where one is ready.
ENVIRONMENT: Schema = {
    "environment-path": TEXT_OR_NULL,
    "environment-python": TEXT_OR_NULL,
    "environment-python-version": TEXT_OR_NULL,
}


def eval_schema() -> Schema:
    """Return the schema of what `./prime eval --json` prints."""
    keys = {key: part for key, part in CLIENT["properties"].items() if key != "env"}
    values = {
        key: closed(
            {
                "value": {
                    "anyOf": [part, {"type": "null"}],
                    "description": "null: nothing sets it, and it has no default.",
                },
                "leap": {"enum": list(LEAPS)},
                "place": {"type": "string", "description": "file:line (key), an option, a variable, or default."},
            }
        )
        for key, part in copy.deepcopy(keys).items()
    }
    named = {name: {"type": "string"} for name in ("root", "kernel", "state", "environment")}
    names = {"type": "array", "items": TEXT, "description": "All that this repository knows."}
    return {
        "$schema": DRAFT,
        "title": "What `./prime eval --json` prints",
        **closed({**named, "environments": names, **ENVIRONMENT, "values": closed(values)}),
    }


def schemas() -> dict[str, Schema]:
    """Return every published schema by the name of its file."""
    return {
        "protoprimer.json": {
            "$schema": DRAFT,
            "title": "Configuration of protoprimer: [tool.protoprimer], protoprimer.toml or protoprimer.json",
            **CLIENT,
        },
        "proto_kernel.json": {
            "$schema": DRAFT,
            "title": "Where a kernel's root and configuration are: proto_kernel.toml or proto_kernel.json",
            **PRIMER,
        },
        "eval.json": eval_schema(),
    }


def keys_table(schema: Schema) -> str:
    """Return a table of the keys with type, default and meaning."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, part in schema["properties"].items():
        default = f"`{json.dumps(part['default'])}`" if "default" in part else ""
        rows.append(f"| `{key}` | {kind_of(part)} | {default} | {part['description']} |")
    return "\n".join(rows)


def kind_of(part: Schema) -> str:
    """Return in words what a key takes."""
    if "anyOf" in part:
        return " or ".join(kind_of(one) for one in part["anyOf"])
    if part.get("enum") == [False]:
        return "`false`"
    if "enum" in part:
        return ", ".join(f"`{choice}`" for choice in part["enum"])
    if part["type"] == "array":
        return f"list of {kind_of(part['items']).replace('string', 'strings').replace('table', 'tables')}"
    names = {"object": "table", "boolean": "true or false", "integer": "whole number"}
    return names.get(part["type"], part["type"])


def variables_table() -> str:
    """Return a table of the variables of the input leap."""
    options = {"env": "`--env`", "python": "`--python`", "backend": "`--backend`", "offline": "`--offline`"}
    rows = ["| variable | key | option |", "|---|---|---|"]
    rows += [f"| `{name}` | `{key}` | {options.get(key, '')} |" for name, key in INPUT_VARIABLES.items()]
    return "\n".join(rows)


# What a key is, the key, and what each leap says of it: in TOML, and as the variable of the input leap.
OVERRIDING = [
    ("a scalar", "keep", {"client": "4", "env": "5", "input": "6"}),
    ("a scalar", "keep", {"client": "4", "env": "5"}),
    ("a scalar", "keep", {"client": "4"}),
    ("a scalar", "keep", {}),
    ("a list", "watch", {"client": '["a", "b"]', "env": '["c"]'}),
    ("a list", "watch", {"client": '["a"]', "env": "[]"}),
    ("a table", "install", {"client": '{ projects = ["."], args = ["x"] }', "env": '{ args = ["y"] }'}),
    ("a list of tables", "install", {"client": '[{ args = ["x"] }]', "env": '[{ args = ["y"] }]'}),
    ("a table, then a list", "install", {"client": '{ args = ["x"] }', "env": '[{ args = ["y"] }]'}),
    ("a table", "matrix", {"client": '{ python = ["3.9"], jobs = 2 }', "env": "{ jobs = 1 }"}),
    ("a list, then a scalar", "backend", {"client": '["uv", "venv"]', "env": '"venv"', "input": "uv,virtualenv"}),
]


def overriding_table() -> str:
    """Return a table of what overrides what, by reading such configurations."""
    rows = ["| is | key | client | env | input | in force |", "|---|---|---|---|---|---|"]
    for kind, key, said in OVERRIDING:
        cells = [f"`{said[leap]}`" if leap in said else "" for leap in ("client", "env", "input")]
        rows.append(f"| {kind} | `{key}` | {' | '.join(cells)} | `{json.dumps(in_force(key, said))}` |")
    return "\n".join(rows)


def in_force(key: str, said: dict[str, str]) -> object:
    """Return what is in force of a key, less what an installation step leaves empty."""
    variables = {name: said["input"] for name, one in INPUT_VARIABLES.items() if one == key and "input" in said}
    with tempfile.TemporaryDirectory() as directory:
        text = "".join(f"{key} = {said['client']}\n" for _ in [0] if "client" in said) + "[env.default]\n"
        text += "".join(f"{key} = {said['env']}\n" for _ in [0] if "env" in said)
        Path(directory, "protoprimer.toml").write_text(text, encoding="utf-8")
        entry, kernel = str(Path(directory, "prime")), str(Path(directory, "proto_kernel.py"))
        line = parse_command_line("./prime", [], has_client=False)
        value = read_configuration(entry, kernel, line, variables, lambda _directory: None).get(key)
    if key == "install" and isinstance(value, list):
        value = [{name: part for name, part in step.items() if part} for step in value]
        for step in value:
            if "projects" in step:
                step["projects"] = [project["path"] for project in step["projects"]]
    return value


def commands_table() -> str:
    """Return a table of the commands with the options that only they have."""
    rows = ["| command | does | its own options |", "|---|---|---|"]
    for command, meaning in COMMANDS.items():
        own = [f"`{option.spelled}`" for option in OPTIONS if option.commands and command in option.commands]
        rows.append(f"| `{command}` | {meaning} | {', '.join(own)} |")
    return "\n".join(rows)


def options_table(common: bool) -> str:
    """Return a table of the options: those that every command has, or the others."""
    rows = ["| option | meaning |", "|---|---|"]
    rows += [f"| `{option.spelled}` | {option.meaning} |" for option in OPTIONS if (option.commands is None) == common]
    return "\n".join(rows)


# What the kernel's own table does not say, since nothing depends on it.
WITH_PIP = {
    "constraint-dependencies": "further constraints",
    "override-dependencies": "exact pins are constraints, others refused",
    "uploaded-prior-to": "PIP_UPLOADED_PRIOR_TO, as a moment",
    "target": "its environment is given",
    "prefix": "its environment is given",
    "required-version": "has no uv",
    "offline": "PIP_NO_INDEX, but for local indexes",
    "system-certs": "has them anyway",
}


def settings_table() -> str:
    """Return a table of pip's and uv's settings, and of what pip and uv get of each."""
    rows = ["| setting | uv's variables | uv's keys | with pip | with uv |", "|---|---|---|---|---|"]
    for one in SETTINGS.values():
        names = [", ".join(f"`{name}`" for name in cell.split()) for cell in (one.variables, one.keys)]
        rows.append(f"| `{one.name}` | {' | '.join(names)} | {WITH_PIP.get(one.name, one.pip)} | {one.uv} |")
    return "\n".join(rows)


def exit_codes_table() -> str:
    """Return a table of the exit codes: those of the errors, and the few that no error has."""
    meanings = {
        0: "Done.",
        1: "`check`: there is work to do. `matrix`: a command failed.",
        primer_kernel.INTERRUPTED: "Interrupted, as by Ctrl-C.",
    }
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.PrimerError) and error.exit_code not in meanings:
            meanings[error.exit_code] = error.__doc__ or ""
    return "\n".join(
        ["| code | means |", "|---|---|", *(f"| {code} | {meanings[code]} |" for code in sorted(meanings))]
    )


def api_text() -> str:
    """Return the description of everything that client code may import from `protoprimer`."""
    parts = []
    for name in [*API, *sorted(set(primer_kernel.__all__) - set(API))]:
        thing = getattr(primer_kernel, name)
        parts.append(f"## `{name}`\n\n" + (described(name, thing) if callable(thing) else inspect.getdoc(thing) or ""))
        if isinstance(thing, type):
            members = [(key, value) for key, value in vars(thing).items() if callable(value) and key[0] != "_"]
            parts += [described(f"{name}.{key}", value) for key, value in members if value.__doc__]
    return "\n\n".join(parts)


# In the order in which a reader needs them; whatever else is public comes after these.
API = ["run_main", "boot_env", "start_app", "get_config", "state", "lazy", "Primer", "PrimerError", "StateGraph"]


def described(name: str, thing: Any) -> str:
    """Return the signature and the docstring of a function, method or class, its fields as a list."""
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(thing)))
    signature = re.sub(
        r"\b(?:protoprimer|typing)\.(?:\w+\.)*", "", signature.replace("(self, ", "(").replace("(self)", "()")
    )
    text, *fields = re.split(r"^:(?=param|raises)", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    if isinstance(thing, type):
        signature = signature.partition(" -> ")[0]
    lines = [re.sub(r"^(?:param|raises) (\w+):", r"* `\1`:", field) for field in fields]
    return f"```python\n{name}{signature}\n```\n\n{text.rstrip()}" + ("\n\n" + "".join(lines).rstrip() if lines else "")


PAGES = {
    "reference/exit-codes.md": {"exit codes": exit_codes_table},
    "reference/indexes.md": {"settings": settings_table},
    "reference/api.md": {"names": api_text},
    "reference/configuration.md": {
        "keys": lambda: keys_table(CLIENT),
        "primer keys": lambda: keys_table(PRIMER),
        "variables": variables_table,
        "overriding": overriding_table,
    },
    "reference/commands.md": {
        "commands": commands_table,
        "common options": lambda: options_table(common=True),
        "other options": lambda: options_table(common=False),
    },
}


def wanted() -> dict[Path, str]:
    """Return every file that follows from the tables, with its text."""
    files = {
        REPOSITORY / "docs" / "reference" / "schemas" / name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas().items()
    }
    return {**files, **{REPOSITORY / "docs" / name: page_with_tables(name) for name in PAGES}}


def page_with_tables(name: str) -> str:
    """Return a page of `docs/` with each of its tables as it should be."""
    text = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    for title, table in PAGES[name].items():
        begin, end = f"<!-- {title}: written by tools/write_reference.py -->\n", f"<!-- end of {title} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + "\n" + table() + "\n\n" + end + rest.partition(end)[2]
    return text


def drifted() -> list[str]:
    """Return the names of the files that are not what the tables make of them."""
    return [
        path.name for path, text in wanted().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


if __name__ == "__main__":
    for target, content in wanted().items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
