"""`pylock.toml` (PEP 751), written from what pip reports of an installation."""

import json
import os
import re

from protoprimer.formats.requirements import normalized_project_name
from protoprimer.system.paths import path_of_file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["pylock_text"]


def pylock_text(report: "dict[str, Any]", base: str, own: "list[str]", requires_python: "str | None") -> str:
    """Return the `pylock.toml` (PEP 751) of pip's installation report (`pip install --dry-run --report`).

    :param base: the directory it is written to
    :param own: directories of the plan's own projects, which a lock leaves out
    """
    values = report["environment"]
    where = ["%s == '%s'" % (name, values[name]) for name in ("python_version", "sys_platform", "platform_machine")]
    # What pip resolved holds where it ran, and nowhere else: dependencies of other hosts are missing.
    lines = ['lock-version = "1.0"', "environments = [%s]" % json.dumps(" and ".join(where), sort_keys=True)]
    if requires_python:
        lines.append("requires-python = " + json.dumps(requires_python, sort_keys=True))
    lines.append('created-by = "protoprimer"')
    for item in sorted(report["install"], key=lambda one: normalized_project_name(one["metadata"]["name"])):
        path = _path_of_report(item)
        if path is None or path not in own:
            lines += [
                "",
                "[[packages]]",
                "name = " + json.dumps(normalized_project_name(item["metadata"]["name"]), sort_keys=True),
            ]
            lines += _fields_of_report(item, os.path.relpath(path, base) if path else None)
    return "\n".join(lines) + "\n"


def _path_of_report(item: "dict[str, Any]") -> "str | None":
    if "dir_info" not in item["download_info"]:
        return None
    return os.path.normpath(path_of_file_url(item["download_info"]["url"]))


def _fields_of_report(item: "dict[str, Any]", path: "str | None") -> "list[str]":
    info = item["download_info"]
    if path is not None:
        editable = bool(info["dir_info"].get("editable"))
        return ["directory = " + _inline_table({"path": path.replace(os.sep, "/"), "editable": editable})]
    # A lock is committed: no credentials.
    url = re.sub("//[^/@]*@", "//", info["url"].split("#")[0])
    version = "version = " + json.dumps(item["metadata"]["version"], sort_keys=True)
    extra = {"subdirectory": info["subdirectory"]} if info.get("subdirectory") else {}
    if "vcs_info" in info:
        vcs = info["vcs_info"]
        extra.update({"type": vcs["vcs"], "url": url, "commit-id": vcs["commit_id"]})
        return [version, "vcs = " + _inline_table(extra)]
    archive = info["archive_info"]
    hashes = archive.get("hashes") or dict([archive["hash"].split("=", 1)])
    if item.get("is_direct"):
        return [version, "archive = " + _inline_table(dict(extra, url=url, hashes=hashes))]
    table = _inline_table({"name": os.path.basename(url), "url": url, "hashes": hashes})
    return [version, "wheels = [%s]" % table if url.endswith(".whl") else "sdist = " + table]


def _inline_table(table: "dict[str, Any]") -> str:
    values = [
        _inline_table(value) if isinstance(value, dict) else json.dumps(value, sort_keys=True)
        for value in table.values()
    ]
    return "{ %s }" % ", ".join("%s = %s" % pair for pair in zip(table, values))
