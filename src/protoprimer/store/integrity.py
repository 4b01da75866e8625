"""Whether an environment is still whole, told by looking for its files."""

import os
import re

from protoprimer.backends.installed import metadata_directories, rows_of_record
from protoprimer.system.files import content_of
from protoprimer.system.paths import environment_python

__all__ = ["faults_of_files", "interpreter_fault"]


def interpreter_fault(path: str) -> "str | None":
    """Return why an environment's interpreter cannot be started, or `None`."""
    python, settings = environment_python(path), content_of(os.path.join(path, "pyvenv.cfg"))
    home = re.search(r"(?im)^[ \t]*home[ \t]*=[ \t]*(\S.*?)\s*$", settings.decode("utf-8", "replace"))
    if home is None:
        return "pyvenv.cfg is missing in %s, or damaged" % path
    if not os.path.isfile(python):
        return "its interpreter %s is missing, or a link to nothing" % python
    if not os.access(python, os.X_OK) or not os.path.getsize(python):
        return "its interpreter %s cannot be started" % python
    # The launcher on Windows outlives the Python it launches.
    return None if os.path.isdir(home.group(1)) else "the Python it was made from, in %s, is gone" % home.group(1)


def faults_of_files(path: str) -> "list[str]":
    """Return the files of RECORDs (PEP 376, PEP 627) that are missing or of another size."""
    faults = []
    for name, directory in metadata_directories(path).items():
        rows = rows_of_record(os.path.join(directory, name, "RECORD"))
        if not rows:
            faults.append(name + "/RECORD is missing or empty")
        # Bytecode comes and goes.
        for row in [row for row in rows if not row[0].endswith((".pyc", "__pycache__"))]:
            try:
                size = os.stat(os.path.join(directory, row[0])).st_size
            except (OSError, ValueError):
                faults.append(row[0] + " is missing")
                continue
            if len(row) > 2 and row[2].isdigit() and size != int(row[2]):
                faults.append("%s has %d bytes instead of %s" % (row[0], size, row[2]))
    return sorted(faults)
