"""Tells what it was given, with a package that only the environment has."""

import json
import os
import sys

import packaging


def main() -> int:
    """Print where this runs and with which arguments."""
    variables = [name for name in os.environ if name.startswith("PROTOPRIMER_")]
    told = {"prefix": sys.prefix, "arguments": sys.argv[1:], "packaging": packaging.__version__, "variables": variables}
    print(json.dumps(told))
    return 7
