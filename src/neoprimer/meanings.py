"""What each key of the configuration means, for those who read it: editors, the reference, `configuration_text`."""

from __future__ import annotations

from typing import Any

__all__ = ["MEANINGS", "with_meanings"]

# By the keys that lead there; `[]` stands for what is in a list, or is one of several forms.
MEANINGS = {
    "python": "The Python that is required: a version or a PEP 440 specifier. "
    "Default: .python-version, else requires-python, else any supported one.",
    "python-downloads": "Whether uv may fetch an interpreter that the host lacks.",
    "python-selector": "A file of the repository with select_python(required) -> path or None.",
    "backend": "auto, a backend's name, a list of names in the order to try, or a path to your own.",
    "install": "Ordered steps of what is installed. Default: the root project, editable, with its group dev or uv's "
    "default-groups; else the members of a uv workspace; else requirements.txt.",
    "install[]": "One step: all of it goes to the installer in one command.",
    "install[].projects": "Projects of this repository, as directories, globs such as packages/*, or tables.",
    "install[].projects[]": "A project of this repository: a directory with pyproject.toml, setup.cfg or setup.py.",
    "install[].projects[].path": "Its directory, relative to the root, or a glob of several.",
    "install[].projects[].editable": "Whether its sources stay in place.",
    "install[].projects[].extras": "Extras to install with it.",
    "install[].projects[].groups": "Dependency groups (PEP 735) to install with it.",
    "install[].requirements": "Requirement files, relative to the root.",
    "install[].constraints": "Constraint files, relative to the root.",
    "install[].groups": "Dependency groups of each project of this step, or of the root project if it names none.",
    "install[].extras": "Extras of each project of this step, or of the root project if it names none.",
    "install[].args": "Further requirements, as on an installer's command line.",
    "lock": "The lock file to install from, or false. Default: pylock.toml or uv.lock if present, "
    "and pylock.NAME.toml for an environment NAME with its own `install`.",
    "resolution": "Which versions are taken; the lowest ones ignore the lock, and need the backend uv.",
    "watch": "Further files, or globs, whose change makes the environment stale.",
    "venv-link": "The convenience link to the environment, or false.",
    "state-dir": "Where the clone's state is kept.",
    "keep": "Generations kept per environment.",
    "build-constraints": "Constraint file for isolated builds.",
    "seed-pip": "Whether pip is put into the environment.",
    "lock-timeout": "Seconds to wait for another run. Default: wait, saying for whom.",
    "kernel-update": "What to do when the installed protoprimer is newer than the committed kernel: say so, "
    "write it if it is the one that kernel-sha256 names (auto), or nothing (off).",
    "kernel-sha256": 'The sha256 of the only kernel that kernel-update = "auto" writes.',
    "tools": "Other tools than those that the kernel pins.",
    "tools.uv": "The uv of this repository.",
    "tools.uv.version": "The only version that serves.",
    "tools.uv.hashes": "The sha256 of each wheel that may be fetched, by its file name.",
    "matrix": "What `matrix` runs on: one cell for each combination, less `exclude`, plus `include`.",
    "matrix.python": "Versions, and ranges for each minor version in them that the host has. Default: requires-python.",
    "matrix.env": "Named environments.",
    "matrix.backend": "Backends.",
    "matrix.resolution": "Values of `resolution`.",
    "matrix.groups": "Dependency groups of the first project of `install`, with commas.",
    "matrix.extras": "Extras of that project, with commas.",
    "matrix.include": "Further cells.",
    "matrix.exclude": "Cells to leave out: those that agree.",
    "matrix.jobs": "Cells at once. Default: by cores and memory.",
    "matrix.command": "The command of each cell.",
    "run": "Short names for commands, as a command line or as a list of words: `./prime run NAME`.",
    "env": "Named environments; each overrides the other keys, but state-dir, which is the clone's.",
    "primer.root": "The repository's root, relative to this file.",
    "primer.client": "The client configuration file, relative to this file.",
    "primer.env": "The file of one environment, relative to this file; {env} stands for its name.",
}


def with_meanings(part: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return a schema of which each part that has a meaning says it."""
    told = {}
    for name, value in part.items():
        inner = path if path.endswith("[]") else path + "[]"
        if name == "properties":
            value = {key: with_meanings(one, f"{path}.{key}".lstrip(".")) for key, one in value.items()}
        elif name == "items":
            value = with_meanings(value, inner)
        elif name == "anyOf":
            value = [with_meanings(one, inner) for one in value]
        elif isinstance(value, dict):
            value = with_meanings(value)
        told[name] = value
        # After what it is.
        if name in ("type", "anyOf") and path in MEANINGS and (value == "object" or not path.endswith("[]")):
            told["description"] = MEANINGS[path]
    return told
