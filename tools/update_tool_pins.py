"""Write the tables of `src/protoprimer/fetch/pins.py` anew from an index.

Run it by `./prime run -- python tools/update_tool_pins.py`; `.github/workflows/pins.yml` does so once a week. Needs
`packaging`. Asks the configured index.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "src"))

from protoprimer.fetch.platform_tags import tags_of_wheel  # noqa: E402
from protoprimer.settings.index_settings import read_index_settings  # noqa: E402

TARGET = REPOSITORY / "src" / "protoprimer" / "fetch" / "pins.py"
# The lowest minor version of Python 3 in each band; a band ends where the next begins.
BANDS = {"pip": (10, 9, 8, 7, 6), "virtualenv": (9, 6)}


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
    resolved = subprocess.run(command, input="virtualenv", stdout=subprocess.PIPE, text=True, check=True, env=environ)
    wheels: dict[str, str] = {}
    for line in resolved.stdout.split():
        name, _, version = line.partition("==")
        wheels.update(newest_wheels(name, python, version)[1])
    return dict(sorted(wheels.items()))


def without_twins(wheels: dict[str, str]) -> dict[str, str]:
    """Leave out a wheel all of whose platforms another one has too, and more."""
    tags = {name: set(tags_of_wheel(name)) for name in wheels}
    return {name: digest for name, digest in wheels.items() if not any(tags[name] < other for other in tags.values())}


def table(form: str, bands: dict[int, dict[str, str]]) -> str:
    """Return the form of the file names, and a line for each wheel: its `*`, sha256, its bands' lowest versions."""
    begin, end = form.split("*")
    minors: dict[str, list[str]] = {}
    for minor, wheels in bands.items():
        for name, digest in wheels.items():
            if not (name.startswith(begin) and name.endswith(end)):
                raise SystemExit(f"{name} is not of the form {form}")
            minors.setdefault(f"{name[len(begin) : -len(end)]} {digest}", []).append(str(minor))
    lines = [f"{wheel} {' '.join(lowest)}" for wheel, lowest in sorted(minors.items())]
    return "".join(line + "\n" for line in [form, *lines])


def write_pins(tables: dict[str, str]) -> None:
    """Write the tables of the tools into the module."""
    text = TARGET.read_text(encoding="utf-8")
    for tool, lines in tables.items():
        text = re.sub(rf'(?s)("{tool}": """\\\n).*?(?=""")', lambda found: found.group(1) + lines, text)  # noqa: B023
    TARGET.write_text(text, encoding="utf-8")


def main() -> None:
    """Ask the index and write the tables."""
    version, wheels = newest_wheels("uv", "3.13")
    pips = {minor: newest_wheels("pip", f"3.{minor}")[1] for minor in BANDS["pip"]}
    virtualenvs = {minor: virtualenv_wheels(f"3.{minor}") for minor in BANDS["virtualenv"]}
    write_pins(
        {
            "uv": table(f"uv-{version}-py3-none-*.whl", {BANDS["pip"][-1]: without_twins(wheels)}),
            "pip": table("pip-*-py3-none-any.whl", pips),
            "virtualenv": table("*-none-any.whl", virtualenvs),
        }
    )


if __name__ == "__main__":
    main()
