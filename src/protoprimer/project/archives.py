"""Archives of projects, source or wheel, and whose they are."""

import os
import re

from protoprimer.formats.toml import TomlError, TomlReader

__all__ = ["is_archive", "name_in_archive"]

_ARCHIVE = r"(?i)\.(whl|zip|tar|tgz|tbz|txz|tlz|tar\.(gz|bz2|xz|lz|lzma))$"
_METADATA = r"[^/]+/(PKG-INFO|pyproject\.toml)"


def is_archive(path: str) -> bool:
    """Tell by its name whether an installer would take a file for an archive."""
    return re.search(_ARCHIVE, path) is not None


def name_in_archive(path: str) -> "str | None":
    """Return the name of the distribution in an archive, `None` if that is known only once it is built."""
    if path.endswith(".whl"):
        return os.path.basename(path).partition("-")[0]
    texts = _texts_of_metadata(path)
    # Whatever its file is called: archives of a repository have the name of a branch.
    stated = re.search(r"(?im)^Name:[ \t]*(\S+)", texts.get("PKG-INFO", ""))
    if stated:
        return stated.group(1)
    try:
        table = TomlReader(texts.get("pyproject.toml", "")).read().get("project")
    except TomlError:
        return None
    name = table.get("name") if isinstance(table, dict) else None
    return name if isinstance(name, str) else None


def _texts_of_metadata(path: str) -> "dict[str, str]":
    """Return the texts of an archive's own metadata, none if it cannot be read."""
    import tarfile
    import zipfile
    import zlib

    found = {}  # type: dict[str, str]
    try:
        if path.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for name in filter(_is_metadata, archive.namelist()):
                    found[os.path.basename(name)] = archive.read(name).decode("utf-8", "replace")
            return found
        with tarfile.open(path) as packed:
            for member in packed:
                content = packed.extractfile(member) if _is_metadata(member.name) and member.isfile() else None
                if content is not None:
                    found[os.path.basename(member.name)] = content.read().decode("utf-8", "replace")
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, tarfile.TarError):
        # Whoever installs it says what is wrong with it.
        return {}
    return found


def _is_metadata(name: str) -> bool:
    return re.match(_METADATA + "$", name) is not None
