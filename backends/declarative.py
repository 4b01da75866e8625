"""Which projects an installer's cache may be trusted with.

uv keeps what it has built until a file of the metadata has another date; a build may read more, or write.
"""

import os

from protoprimer.formats.requirements import read_requirement
from protoprimer.project.plan import ProjectToInstall

__all__ = ["is_declarative"]

# Each with its distribution and the tables that make it do more than `[project]` says.
_BUILD_BACKENDS = {
    "flit_core.buildapi": ("flit-core", []),
    "hatchling.build": ("hatchling", [("hatch", "build"), ("hatch", "metadata"), ("hatch", "version")]),
    "pdm.backend": ("pdm-backend", [("pdm", "build"), ("pdm", "version")]),
    "poetry.core.masonry.api": ("poetry-core", [("poetry",)]),
    "setuptools.build_meta": ("setuptools", [("setuptools",)]),
    "uv_build": ("uv-build", [("uv", "build-backend")]),
}  # type: dict[str, tuple[str, list[tuple[str, ...]]]]
_FURTHER_FILES = ("setup.py", "setup.cfg", "MANIFEST.in", "hatch.toml", "pdm_build.py")


def is_declarative(project: ProjectToInstall) -> bool:
    """Tell whether a build certainly writes nothing into the project, and depends on its metadata alone."""
    metadata = project.metadata
    table, system = metadata.table("project"), metadata.table("build-system")
    if not project.editable or "version" not in table or table.get("dynamic") or "backend-path" in system:
        return False
    distribution, tables = _BUILD_BACKENDS.get(str(system.get("build-backend")), ("", []))
    required = {asked and asked.normal_name for asked in map(read_requirement, metadata.build_requires)}
    code = [place + metadata.module + end for place in ("", "src/") for end in (".py", "/__init__.py")]
    # Without a `src`, setuptools writes down which packages it has found; others refuse what they miss.
    code = {"setuptools": ["src"], "uv-build": code[3:]}.get(distribution, code)
    # A plug-in works by being required.
    return (
        bool(distribution)
        and required <= {distribution, "wheel"}
        and not any(os.path.exists(os.path.join(project.path, name)) for name in _FURTHER_FILES)
        and sum(os.path.exists(os.path.join(project.path, name)) for name in code) == 1
        and not any(metadata.table("tool", *keys) for keys in tables)
    )
