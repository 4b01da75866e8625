"""The application: it prints where everything is."""

import importlib.util
import json
import os
import sys

import iniconfig

from protoprimer import get_config


def main() -> None:
    """Print what the configuration says, as data."""
    effective = get_config()
    report = {
        "root": effective["root"],
        "environment": effective["environment"],
        "state": effective["state"],
        "kernel": get_config("primer")["kernel"],
        "env leap": get_config("env"),
        "prefix": sys.prefix,
        "cwd": os.getcwd(),  # noqa: PTH109 - as the process sees it
        "source": __file__,
        "iniconfig": iniconfig.__file__,
        "has tables": importlib.util.find_spec("sortedcontainers") is not None,
        "leaked": sorted(name for name in os.environ if name.startswith("PROTOPRIMER_")),
    }
    print(json.dumps(report, indent=2))
