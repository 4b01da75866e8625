"""Take each version from one fixed place, as where an administrator has put approved builds."""

import os

# The places, with {version} for such as 3.11; PYTHONS_ROOT lets one machine have its own.
PLACE = os.path.join(os.environ.get("PYTHONS_ROOT", "/opt/pythons"), "python{version}", "bin", "python{version}")
# Those that are approved, the one to prefer first.
VERSIONS = ("3.12", "3.11", "3.10")


def select_python(required):
    """Return the first approved interpreter that is there and named by `required`, or None for the usual search."""
    for version in VERSIONS:
        path = PLACE.format(version=version)
        # "==3.11.*" and "==3.11.4" name one; a range names none, and takes the one to prefer.
        named = "==" not in required or "==" + version + "." in required
        if named and os.path.isfile(path):
            return path
    return None
