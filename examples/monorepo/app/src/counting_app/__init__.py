"""The application: counts the words of its arguments."""

import json
import os
import sys
from importlib.util import find_spec

import counting_lib


def main() -> None:
    """Print the counts of the arguments, and the facts of this process, as JSON."""
    names = ("counting_app", "counting_lib", "sortedcontainers", "click", "iniconfig", "typing_extensions")
    specs = {name: find_spec(name) for name in names}
    report = {
        "counted": counting_lib.counted(sys.argv[1:]),
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "argv": sys.argv,
        "pid": os.getpid(),
        "cwd": os.getcwd(),  # noqa: PTH109 - as the process sees it
        "leaked": sorted(name for name in os.environ if name.startswith("PROTOPRIMER_")),
        "environ": {name: os.environ.get(name) for name in ("PATH", "HOME", "VIRTUAL_ENV", "PYTHONPATH")},
        "source": os.path.abspath(__file__),  # noqa: PTH100 - as above
        "modules": {name: spec.origin for name, spec in specs.items() if spec is not None},
    }
    print(json.dumps(report, indent=2))
