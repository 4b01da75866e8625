"""Wheels and kernels of this checkout under any version, made without an index or a build backend."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

import support
from protoprimer.authoring import joining
from protoprimer.version import PROTOPRIMER_MARK, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The extra `neo` of pyproject.toml.
NEO = ("filelock>=3.12", "pre-commit>=3.5", "rich>=13")
_PACKAGES = {"protoprimer": "src/protoprimer", "protoprimer/backends": "backends", "neoprimer": "src/neoprimer"}


def make_own_wheel(directory: Path, version: str = VERSION) -> str:
    """Write the wheel that this checkout's packages make, and return its name."""
    files = {
        f"{package}/{path.relative_to(support.ROOT / where).as_posix()}": _with_version(
            path.read_text(encoding="utf-8"), version
        )
        for package, where in _PACKAGES.items()
        for path in sorted((support.ROOT / where).glob("**/*"))
        if path.is_file() and path.parent.name != "__pycache__"
    }
    return make_wheel(directory, version, files)


def make_wheel(directory: Path, version: str, files: dict[str, str], is_ours: bool = True) -> str:
    """Write a wheel of a project named protoprimer with these files, and return its name.

    :param is_ours: whether its package has our mark
    """
    info = f"protoprimer-{version}.dist-info"
    files = dict(files)
    if is_ours:
        files.setdefault("protoprimer/version.py", f'PROTOPRIMER_MARK = "{PROTOPRIMER_MARK}"\n')
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: protoprimer\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    name = f"protoprimer-{version}-py3-none-any.whl"
    with zipfile.ZipFile(directory / name, "w") as archive:
        for path, text in files.items():
            content = text.encode()
            archive.writestr(path, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(content)}\n"
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return name


def kernel_of_version(version: str) -> str:
    """Return the kernel that this checkout would give if it were of another version."""
    return changed_kernel(lambda text: _with_version(text, version), version)


def changed_kernel(change: Callable[[str], str], version: str = VERSION) -> str:
    """Return the kernel that this checkout would give if `change` were made in each of its modules."""
    sources = joining.module_sources()
    return joining.join_modules(
        [(name, change(sources[name])) for name in joining.in_dependency_order(sources)], version
    )


def _with_version(text: str, version: str) -> str:
    return text.replace(f'VERSION = "{VERSION}"', f'VERSION = "{version}"')
