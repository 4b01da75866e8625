"""Whether an environment is still whole: what can be told by looking for files, without reading or running them."""

import os

from protoprimer.system.paths import environment_python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["environment_fault", "interpreter_fault", "metadata_directories", "missing_files"]


def environment_fault(path: str, distributions: "Sequence[str]", never_installed: "Sequence[str]") -> "str | None":
    """Return what is broken in the environment at `path`, or `None`.

    :param distributions: names of the `.dist-info` directories that must be there
    :param never_installed: what `missing_files` said when the environment was new
    """
    fault = interpreter_fault(path)
    if fault:
        return fault
    gone = set(distributions) - set(metadata_directories(path))
    missing = sorted(gone) or sorted(set(missing_files(path)) - set(never_installed))
    return "%s is missing or empty in %s" % (missing[0], path) if missing else None


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


def metadata_directories(path: str) -> "dict[str, str]":
    """Return the names of the `.dist-info` directories of an environment, each with the directory it is in."""
    libraries = [os.path.join(path, name) for name in ("lib", "Lib", "lib64")]
    libraries = [library for library in libraries if os.path.isdir(library)]
    nested = [os.path.join(library, name) for library in libraries for name in sorted(os.listdir(library))]
    found = {}  # type: dict[str, str]
    for directory in libraries + nested:
        packages = os.path.join(directory, "site-packages")
        if os.path.isdir(packages):
            for name in os.listdir(packages):
                if name.endswith(".dist-info"):
                    # lib64 may be a link to lib, and Lib the same as lib.
                    found.setdefault(name, packages)
    return found


def missing_files(path: str) -> "list[str]":
    """Return the files that RECORDs (PEP 376, PEP 627) list and that are not there, or empty and should not be."""
    missing = []
    directories = metadata_directories(path)
    opened = _opened(set(directories.values()))
    for name, directory in directories.items():
        rows = _rows_of_record(os.path.join(directory, name, "RECORD"))
        if not rows:
            missing.append(name + "/RECORD")
        near = opened.get(directory)
        for row in rows:
            # Bytecode comes and goes with the interpreter that runs.
            if not row or row[0].endswith((".pyc", "__pycache__")):
                continue
            try:
                is_empty = os.stat(row[0] if near else directory + "/" + row[0], dir_fd=near).st_size == 0
            except (OSError, ValueError):
                missing.append(row[0])
                continue
            if is_empty and len(row) > 2 and row[2] not in ("", "0"):
                missing.append(row[0])
    for descriptor in opened.values():
        os.close(descriptor)
    return sorted(missing)


def _opened(directories: "set[str]") -> "dict[str, int]":
    """Return descriptors of those that can be opened: from there a file is found in half the time."""
    opened = {}  # type: dict[str, int]
    for directory in directories if os.stat in os.supports_dir_fd else ():
        try:
            opened[directory] = os.open(directory, os.O_RDONLY)
        except OSError:
            pass
    return opened


def _rows_of_record(path: str) -> "list[list[str]]":
    """Return the rows of a RECORD, none if it cannot be read."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            text = stream.read()
    except (OSError, ValueError):
        return []
    if '"' not in text:
        return [line.rstrip("\r").rsplit(",", 2) for line in text.split("\n") if line.strip()]
    import csv

    try:
        return list(csv.reader(line + "\n" for line in text.split("\n")))
    except csv.Error:
        return []
