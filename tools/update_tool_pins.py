"""Write `src/protoprimer/fetch/pins.py` anew from an index: `./prime run -- python tools/update_tool_pins.py`.

An author's script; `.github/workflows/pins.yml` runs it once a week. Needs `packaging`. Asks the configured index.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "src"))

from protoprimer.settings.index_settings import read_index_settings  # noqa: E402

TARGET = REPOSITORY / "src" / "protoprimer" / "fetch" / "pins.py"
# The lowest interpreter of each band; a band ends where the next begins.
PIP_BANDS = ("3.10", "3.9", "3.8", "3.7", "3.6")
VIRTUALENV_BANDS = ("3.9", "3.8", "3.7", "3.6")


def project_files(name: str) -> list[dict[str, object]]:
    """Return the files of a project's simple page that were not withdrawn."""
    url = read_index_settings(str(REPOSITORY)).index_urls()[0].rstrip("/")
    request = urllib.request.Request(f"{url}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        files = json.load(response)["files"]
    return [one for one in files if not one.get("yanked")]


def newest_wheels(name: str, python: str, version: str | None = None) -> tuple[str, dict[str, str]]:
    """Return the newest final version that supports `python`, and file name -> sha256 of its wheels."""
    found: dict[Version, dict[str, str]] = {}
    for one in project_files(name):
        try:
            release = parse_wheel_filename(str(one["filename"]))[1]
        except InvalidWheelFilename:
            continue
        if release.is_prerelease or (version and release != Version(version)):
            continue
        if SpecifierSet(str(one.get("requires-python") or "")).contains(python):
            found.setdefault(release, {})[str(one["filename"])] = one["hashes"]["sha256"]  # type: ignore[index]
    newest = max(found)
    return str(newest), dict(sorted(found[newest].items()))


def virtualenv_wheels(python: str) -> dict[str, str]:
    """Return file name -> sha256 of virtualenv and all that it needs on `python`."""
    uv = [str(REPOSITORY / "prime"), "uv", "--"]
    command = [*uv, "pip", "compile", "-q", "--no-header", "--no-annotate", "--python-version", python, "-"]
    environ = {**os.environ, **read_index_settings(str(REPOSITORY)).for_uv()[1]}
    resolved = subprocess.run(command, input="virtualenv", capture_output=True, text=True, check=True, env=environ)
    wheels: dict[str, str] = {}
    for line in resolved.stdout.split():
        name, _, version = line.partition("==")
        wheels.update(newest_wheels(name, python, version)[1])
    return dict(sorted(wheels.items()))


def literal(wheels: dict[str, str], indent: str) -> str:
    """Return a dict display with one wheel a line."""
    return "{\n" + "".join(f'{indent}    "{name}": "{digest}",\n' for name, digest in wheels.items()) + indent + "}"


def band(python: str) -> str:
    """Return a version as the tuple it is compared as."""
    return "(" + ", ".join(python.split(".")) + ")"


def main() -> None:
    """Ask the index and write the module."""
    version, uv_wheels = newest_wheels("uv", "3.13")
    lines = [
        "# ruff: noqa: E501 - names of wheels are as long as they are",
        '"""The pinned wheels of the tools, by file name with sha256; written by `tools/update_tool_pins.py`."""',
        "",
        '__all__ = ["PIP_WHEELS", "UV_VERSION", "UV_WHEELS", "VIRTUALENV_WHEELS"]',
        "",
        f'UV_VERSION = "{version}"',
        f"UV_WHEELS = {literal(uv_wheels, '')}",
        "",
        "# The lowest Python that a set serves, newest first.",
        "PIP_WHEELS = [",
        *(f"    ({band(python)}, {literal(newest_wheels('pip', python)[1], '    ')})," for python in PIP_BANDS),
        "]",
        "VIRTUALENV_WHEELS = [",
        *(f"    ({band(python)}, {literal(virtualenv_wheels(python), '    ')})," for python in VIRTUALENV_BANDS),
        "]",
    ]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
