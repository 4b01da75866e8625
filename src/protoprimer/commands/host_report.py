"""What an administrator wants to know of a host: system, user, directories, and which servers answer."""

import os
import sys
import time
from typing import Any

from protoprimer.fetch.downloads import UrlReader
from protoprimer.runtime.foreign_programs import forbids_execution
from protoprimer.settings.index_settings import IndexSettings
from protoprimer.system.console import mask_urls
from protoprimer.system.files import content_of
from protoprimer.system.paths import can_be_made, can_lock_in
from protoprimer.system.platform import libc_of_host, machine_of_host

__all__ = ["directory_report", "host_report", "network_report"]


def host_report() -> "dict[str, Any]":
    """Return what kind of host this is, and who asks."""
    import getpass
    import platform

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "without a name"
    number = " (%d)" % os.getuid() if hasattr(os, "getuid") else ""
    system = (platform.system(), platform.release(), machine_of_host(), libc_of_host())
    return {"system": " ".join(filter(None, system)), "user": user + number}


def directory_report(name: str, path: str) -> "dict[str, Any]":
    """Return what can be done in a directory, or where it would be made."""
    there = path
    while not os.path.isdir(there) and os.path.dirname(there) != there:
        there = os.path.dirname(there)
    return {
        "name": name,
        "path": path,
        "writable": can_be_made(path),
        "executable": not forbids_execution(there),
        "file system": _file_system(there),
        "lockable": can_lock_in(path),
    }


def _file_system(path: str) -> "str | None":
    real, found = os.path.join(os.path.realpath(path), ""), [("", "")]
    for line in content_of("/proc/self/mountinfo").decode("utf-8", "replace").split("\n")[:-1]:
        before, after = line.split(" - ")
        mounted = os.path.join(before.split()[4].replace("\\040", " "), "")
        found += [(mounted, after.split()[0])] if real.startswith(mounted) else []
    return max(found, key=lambda pair: len(pair[0]))[1] or None


def network_report(settings: IndexSettings, reader: "UrlReader | None") -> "dict[str, Any]":
    """Return each index with its answer, if there is a reader to ask it, the proxies and the certificates."""
    indexes = []
    for url in settings.index_urls():
        started, answer = time.monotonic(), "not asked: offline"
        try:
            if reader is not None:
                answer = "answers, and lists %d files of pip" % len(reader.links(url.rstrip("/") + "/pip/"))
        except (OSError, ValueError) as error:
            is_without_pip = getattr(error, "kind", "") == "not found"
            answer = "answers, and has no pip" if is_without_pip else mask_urls(str(error))
        indexes.append({"url": mask_urls(url), "answer": answer, "seconds": round(time.monotonic() - started, 3)})
    proxies = ["%s through %s" % (name, mask_urls(one)) for name, one in settings.proxies.items() if name != "no"]
    if proxies and settings.proxies.get("no"):
        proxies.append("none for " + settings.proxies["no"])
    return {"indexes": indexes, "proxy": "; ".join(proxies) or "none", "certificates": _certificates(settings.ca_file)}


def _certificates(ca_file: "str | None") -> str:
    if ca_file:
        return ca_file + ("" if os.path.exists(ca_file) else " (which is not there)")
    try:
        import ssl
    except ImportError:
        return "none, since %s was built without ssl" % sys.executable
    paths = ssl.get_default_verify_paths()
    return "the system's: %s" % (paths.cafile or paths.capath or "its own store")
