"""Which projects an installer's cache may be trusted with: those whose build follows from `pyproject.toml` alone.

uv keeps what it has built of a directory until its `pyproject.toml`, `setup.py` or `setup.cfg` has another date. That
is wrong where a build reads more than these, or writes into the checkout: a version from tags, generated modules,
compiled extensions, a list of the packages that are there. Such a project is built in every environment.
"""

import os
import re

from protoprimer.formats.requirements import normalized_project_name
from protoprimer.project.plan import ProjectToInstall

__all__ = ["is_declarative"]

# Each build backend that is known to do no more than `[project]` says unless it is told to: what is to be installed
# for it, and the tables that tell it to.
_BUILD_BACKENDS = {
    "flit_core.buildapi": ("flit-core", []),
    "hatchling.build": ("hatchling", [("hatch", "build"), ("hatch", "metadata"), ("hatch", "version")]),
    "pdm.backend": ("pdm-backend", [("pdm", "build"), ("pdm", "version")]),
    "poetry.core.masonry.api": ("poetry-core", [("poetry",)]),
    "setuptools.build_meta": ("setuptools", [("setuptools",)]),
    "uv_build": ("uv-build", []),
}  # type: dict[str, tuple[str, list[tuple[str, ...]]]]
# Files that say more to some build backend, or run when it builds.
_FURTHER_FILES = ("setup.py", "setup.cfg", "MANIFEST.in", "hatch.toml", "hatch_build.py", "pdm_build.py", "build.py")


def is_declarative(project: ProjectToInstall) -> bool:
    """Tell whether building this project writes nothing into it, and gives the same while its metadata are the same.

    Whatever is not known to be so is built again. A copy of the sources is never so, as it depends on all of them.
    """
    metadata = project.metadata
    table, system = metadata.table("project"), metadata.table("build-system")
    backend = _BUILD_BACKENDS.get(str(system.get("build-backend")))
    if backend is None or not project.editable or "version" not in table or table.get("dynamic"):
        return False
    requirement, tables = backend
    named = {_name_of(line) for line in metadata.build_requires}
    # A plug-in works by being installed.
    if "backend-path" in system or not named <= {requirement, "wheel"}:
        return False
    if any(os.path.exists(os.path.join(project.path, name)) for name in _FURTHER_FILES):
        return False
    # Without a `src`, setuptools writes down which packages it has found.
    has_src = requirement != "setuptools" or os.path.isdir(os.path.join(project.path, "src"))
    return has_src and not any(metadata.table("tool", *keys) for keys in tables)


def _name_of(requirement: str) -> str:
    return normalized_project_name(re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0])
