"""An application without packaging: this file, and `requirements.txt`."""

import json
import os
import sys

import click
import iniconfig


def main() -> None:
    """Print the sections of the ini files named as arguments, and the facts of this process, as JSON."""
    report = {
        "sections": {path: [section.name for section in iniconfig.IniConfig(path)] for path in sys.argv[1:]},
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
        "modules": {"click": click.__file__, "iniconfig": iniconfig.__file__},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
