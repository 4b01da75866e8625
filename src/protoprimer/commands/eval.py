"""`./prime eval`."""

import json
from typing import Any

from protoprimer.project.plan import Plan
from protoprimer.pythons.required_python import RequiredPython
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import LEAPS, Configuration
from protoprimer.settings.schema import CLIENT_SCHEMA
from protoprimer.store.fingerprint import path_from
from protoprimer.store.publishing import environment_facts
from protoprimer.system.console import print_out

__all__ = ["eval_command"]


def eval_command(
    command_line: CommandLine, configuration: Configuration, plan: Plan, required_python: RequiredPython
) -> int:
    """Print the configuration with the origin of each value."""
    root, settings = configuration.root, configuration.settings
    if "python" not in settings:
        configuration.derive("python", required_python.request.text, str(required_python))
    if "lock" not in settings and plan.lock:
        configuration.derive("lock", path_from(root, plan.lock), "present")
    if "install" not in settings and plan.steps:
        steps = [
            {
                "projects": [path_from(root, project.path) for project in step.projects],
                "requirements": [path_from(root, path) for path in step.requirements],
            }
            for step in plan.steps
        ]
        configuration.derive("install", steps, "the root")
    facts = environment_facts(configuration)
    values: "dict[str, dict[str, Any]]" = {}
    for key in [key for key in CLIENT_SCHEMA["properties"] if key != "env"]:
        leap = settings[key].leap if key in settings else LEAPS[-1]
        values[key] = {"value": configuration.get(key), "leap": leap, "place": configuration.place_of(key) or "default"}
    if command_line.has("json"):
        document = {
            "root": root,
            "kernel": configuration.kernel_path,
            "state": configuration.state_directory,
            "environment": configuration.environment_name,
            "environments": configuration.environment_names,
            **facts,
            "values": values,
        }
        print_out(json.dumps(document, indent=2, sort_keys=True))
        return 0
    print_out("root %s, environment %s" % (root, configuration.environment_name))
    if facts["environment-path"]:
        print_out(
            "ready in %(environment-path)s, Python %(environment-python-version)s: %(environment-python)s" % facts
        )
    lines = {key: _as_toml_line(one["value"]) for key, one in values.items()}
    rows = [(key, lines[key], one["leap"], one["place"]) for key, one in values.items() if key in settings]
    widths = [min(60, max([len(row[column]) for row in rows] or [0])) for column in (0, 1)]
    print_out("")
    for key, line, leap, place in rows:
        print_out("%-*s = %-*s  # %s: %s" % (widths[0], key, widths[1], line, leap, place))
    rest = {key: one["value"] for key, one in values.items() if key not in settings}
    defaults = ["%s = %s" % (key, lines[key]) for key, value in rest.items() if value is not None]
    print_out("\n".join(([""] if rows else []) + ["# by default:"] + defaults))
    print_out("# not set: " + ", ".join(key for key, value in rest.items() if value is None))
    return 0


def _as_toml_line(value: object) -> str:
    if isinstance(value, dict):
        told = [pair for pair in sorted(value.items()) if pair[1] not in ([], None) and pair != ("editable", True)]
        return "{ %s }" % ", ".join("%s = %s" % (key, _as_toml_line(part)) for key, part in told)
    if isinstance(value, list):
        return "[%s]" % ", ".join(map(_as_toml_line, value))
    return json.dumps(value, sort_keys=True)
