"""Choose among the interpreters that uv has installed itself, never the system's; uv judges which one fits."""

import shutil
import subprocess


def select_python(required):
    """Return the path of uv's newest managed interpreter that `required` admits, or None where it has none."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    command = [uv, "python", "find", "--managed-python", "--no-python-downloads", "--no-project", "--no-config"]
    found = subprocess.run(
        command + [required or ">=3.6"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        universal_newlines=True,
        check=False,
    )
    return found.stdout.strip() or None if found.returncode == 0 else None
