"""`pylock.toml` (PEP 751), written from what pip reports of an installation."""

import json
import os
import re
from typing import Any

from protoprimer.formats.requirements import normalized_name
from protoprimer.formats.toml import TomlTable
from protoprimer.system.paths import path_of_file_url

__all__ = ["pylock_text"]


def pylock_text(report: TomlTable, base: str, own: "list[str]", requires_python: "str | None") -> str:
    """Return the lock that follows from `pip install --dry-run --report`.

    :param base: the directory it is written to
    :param own: directories of projects that it leaves out
    """
    values = report["environment"]
    where = ["%s == '%s'" % (name, values[name]) for name in ("python_version", "sys_platform", "platform_machine")]
    # What pip resolved holds where it ran: dependencies of other hosts are missing.
    head = {"lock-version": "1.0", "environments": [" and ".join(where)], "created-by": "protoprimer"}
    if requires_python:
        head["requires-python"] = requires_python
    blocks = [_fields(head)]
    named = {normalized_name(item["metadata"]["name"]): item for item in report["install"]}
    for name in sorted(named):
        info = named[name]["download_info"]
        path = None
        if "dir_info" in info:
            path = os.path.normpath(os.path.join(path_of_file_url(info["url"]), info.get("subdirectory") or ""))
        if path is None or path not in own:
            if path:
                place = os.path.relpath(path, base).replace(os.sep, "/")
                source = {"directory": {"path": place, "editable": bool(info["dir_info"].get("editable"))}}
            else:
                source = _remote(named[name], info)
            blocks.append(["[[packages]]"] + _fields(dict({"name": name}, **source)))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _remote(item: TomlTable, info: TomlTable) -> TomlTable:
    # A lock is committed: no credentials.
    url = re.sub("//[^/@]*@", "//", info["url"].split("#")[0])
    version = item["metadata"]["version"]
    source = {"subdirectory": info["subdirectory"]} if info.get("subdirectory") else {}
    if "vcs_info" in info:
        vcs = info["vcs_info"]
        source.update({key.replace("_", "-"): vcs[key] for key in ("requested_revision", "commit_id") if key in vcs})
        return {"version": version, "vcs": dict(source, type=vcs["vcs"], url=url)}
    archive = info["archive_info"]
    hashes = archive.get("hashes") or dict([archive["hash"].split("=", 1)])
    if item.get("is_direct"):
        return {"version": version, "archive": dict(source, url=url, hashes=hashes)}
    file = {"name": os.path.basename(url), "url": url, "hashes": hashes}
    return {"version": version, **({"wheels": [file]} if url.endswith(".whl") else {"sdist": file})}


def _fields(table: TomlTable) -> "list[str]":
    return ["%s = %s" % (key, _toml_text(value)) for key, value in table.items()]


def _toml_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{ %s }" % ", ".join(_fields(value))
    return "[%s]" % ", ".join(map(_toml_text, value)) if isinstance(value, list) else json.dumps(value)
