"""`./prime eval`: the effective configuration, each value with the leap it came from."""

import json
import os

from protoprimer.project.plan import Plan
from protoprimer.pythons.required_python import RequiredPython
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import LEAPS, Configuration
from protoprimer.settings.schema import CLIENT_SCHEMA
from protoprimer.store.publishing import environment_facts
from protoprimer.system.console import print_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["eval_command"]


def eval_command(
    command_line: CommandLine, configuration: Configuration, plan: Plan, required_python: RequiredPython
) -> int:
    """Print the configuration, as TOML with the origin of each value or as JSON."""
    if "python" not in configuration.settings:
        configuration.derive("python", required_python.request.text, str(required_python))
    if "lock" not in configuration.settings and plan.lock:
        configuration.derive("lock", os.path.relpath(plan.lock, configuration.root), "present")
    if "install" not in configuration.settings and plan.steps:
        configuration.derive("install", [_described_step(step, configuration.root) for step in plan.steps], "the root")
    values, facts = _effective_values(configuration), environment_facts(configuration)
    if command_line.has("json"):
        document = {
            "root": configuration.root,
            "kernel": configuration.kernel_path,
            "state": configuration.state_directory,
            "environment": configuration.environment_name,
            "environments": configuration.environment_names,
            **facts,
            "values": values,
        }
        print_out(json.dumps(document, indent=2, sort_keys=True))
        return 0
    print_out("root %s, environment %s" % (configuration.root, configuration.environment_name))
    if facts["environment-path"]:
        told = (facts["environment-path"], facts["environment-python-version"], facts["environment-python"])
        print_out("ready in %s, Python %s: %s" % told)
    print_out("")
    said = [(key, _as_toml_line(one["value"]), one) for key, one in values.items() if key in configuration.settings]
    widths = [max([len(key) for key, _, _ in said] or [0]), min(60, max([len(value) for _, value, _ in said] or [0]))]
    for key, value, one in said:
        print_out("%-*s = %-*s  # %s: %s" % (widths[0], key, widths[1], value, one["leap"], one["place"]))
    rest = {key: one["value"] for key, one in values.items() if key not in configuration.settings}
    defaults = ["%s = %s" % (key, _as_toml_line(value)) for key, value in rest.items() if value is not None]
    print_out("\n".join(([""] if said else []) + ["# by default:"] + defaults))
    print_out("# not set: " + ", ".join(key for key, value in rest.items() if value is None))
    return 0


def _described_step(step: "Any", root: str) -> "dict[str, list[str]]":
    return {
        "projects": [os.path.relpath(project.path, root) for project in step.projects],
        "requirements": [os.path.relpath(path, root) for path in step.requirements],
    }


def _as_toml_line(value: object) -> str:
    """Return a value as TOML on one line, less what is empty or as it would be anyway."""
    if isinstance(value, dict):
        left_out = [("editable", True)]
        parts = [pair for pair in sorted(value.items()) if pair[1] not in ([], None) and pair not in left_out]
        return "{ %s }" % ", ".join("%s = %s" % (key, _as_toml_line(part)) for key, part in parts)
    if isinstance(value, list):
        return "[%s]" % ", ".join(_as_toml_line(part) for part in value)
    return json.dumps(value, sort_keys=True)


def _effective_values(configuration: Configuration) -> "dict[str, dict[str, object]]":
    values = {}  # type: dict[str, dict[str, object]]
    for key in CLIENT_SCHEMA["properties"]:
        if key == "env":
            continue
        setting = configuration.settings.get(key)
        values[key] = {
            "value": configuration.get(key),
            "leap": setting.leap if setting else LEAPS[-1],
            "place": configuration.place_of(key),
        }
    return values
