"""Whether an environment is still whole: what can be told by looking for files, without reading or running them."""

import os

from protoprimer.backends.installed import metadata_directories, rows_of_record
from protoprimer.system.paths import environment_python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["environment_faults", "faults_of_files", "interpreter_fault"]


def environment_faults(path: str, distributions: "Sequence[str]", when_new: "Sequence[str]") -> "list[str]":
    """Return what is broken in the environment at `path`, each as a phrase.

    :param distributions: names of the `.dist-info` directories that must be there
    :param when_new: what `faults_of_files` said when the environment was new
    """
    fault = interpreter_fault(path)
    if fault:
        return [fault]
    gone = sorted(set(distributions) - set(metadata_directories(path)))
    broken = ["%s is missing" % name for name in gone] + sorted(set(faults_of_files(path)) - set(when_new))
    return ["%s, in %s" % (one, path) for one in broken]


def interpreter_fault(path: str) -> "str | None":
    """Return why the interpreter of the environment at `path` cannot be started, or `None`."""
    python = environment_python(path)
    settings = {}
    try:
        with open(os.path.join(path, "pyvenv.cfg"), encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _equals, value = line.partition("=")
                settings[key.strip().lower()] = value.strip()
    except OSError:
        return "pyvenv.cfg is missing in " + path
    if not settings.get("home"):
        return "pyvenv.cfg is damaged in " + path
    if not os.path.isfile(python):
        return "its interpreter %s is %s" % (python, "a link to nothing" if os.path.islink(python) else "missing")
    if not os.access(python, os.X_OK) or not os.path.getsize(python):
        return "its interpreter %s cannot be started" % python
    # On Windows the environment has a launcher of its own, which outlives the Python it launches.
    return None if os.path.isdir(settings["home"]) else "the Python it was made from, in %s, is gone" % settings["home"]


def faults_of_files(path: str) -> "list[str]":
    """Return the files of RECORDs (PEP 376, PEP 627) that are not there, or of another size than is recorded."""
    faults = []
    for name, directory in metadata_directories(path).items():
        rows = rows_of_record(os.path.join(directory, name, "RECORD"))
        if not rows:
            faults.append(name + "/RECORD is missing or empty")
        for row in rows:
            # Bytecode comes and goes with the interpreter that runs.
            if not row or row[0].endswith((".pyc", "__pycache__")):
                continue
            try:
                size = os.stat(os.path.join(directory, row[0])).st_size
            except (OSError, ValueError):
                faults.append(row[0] + " is missing")
                continue
            if len(row) > 2 and row[2].isdigit() and size != int(row[2]):
                faults.append("%s has %d bytes instead of %s" % (row[0], size, row[2]))
    return sorted(faults)
