"""Choose among the interpreters that pyenv has installed, the newest that fits."""

import os
import re


def select_python(required):
    """Return the path of pyenv's newest version that `required` admits, or None where it has none."""
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser(os.path.join("~", ".pyenv"))
    versions = os.path.join(root, "versions")
    found = []
    for name in os.listdir(versions) if os.path.isdir(versions) else []:
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)\Z", name)
        python = os.path.join(versions, name, "python.exe" if os.name == "nt" else "bin/python")
        if numbers and os.path.isfile(python):
            found.append((tuple(int(number) for number in numbers.groups()), python))
    fitting = [(version, python) for version, python in found if version_fits(version, required)]
    return max(fitting)[1] if fitting else None


def version_fits(version, required):
    """Tell whether a release meets each clause of a specifier such as `>=3.9,<3.13` or `==3.11.*`."""
    return all(clause_is_met(version, clause.strip()) for clause in required.split(",") if clause.strip())


def clause_is_met(version, clause):
    operator, text = re.match(r"([=!<>~]+)\s*(.+)", clause).groups()
    parts = [int(number) for number in re.findall(r"\d+", text)]
    if text.endswith(".*"):
        return (list(version[: len(parts)]) == parts) == (operator == "==")
    named = tuple(parts + [0, 0])[:3]
    if operator == "~=":
        return version >= named and list(version[: len(parts) - 1]) == parts[:-1]
    return {
        "==": version == named,
        "!=": version != named,
        ">=": version >= named,
        "<=": version <= named,
        ">": version > named,
        "<": version < named,
    }[operator]
