"""Lock files, PEP 751's `pylock.toml` and uv's `uv.lock`, turned into requirement lines with hashes."""

import json
import os
from urllib.parse import parse_qs, urlsplit

from protoprimer.errors import ConfigurationError, InstallError
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.requirements import normalized_project_name, read_requirement
from protoprimer.formats.toml import load_toml, place_of_key
from protoprimer.formats.versions import InvalidSpecifier, SpecifierSet
from protoprimer.project.plan import Plan, ProjectToInstall
from protoprimer.settings.schema import first_violation
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from protoprimer.system.interpreter import Interpreter

__all__ = ["LockedPins", "check_lock", "load_lock", "marker_environment", "read_lock"]

_MARKER_PROGRAM = """
import json, os, platform, sys
def dotted(info):
    return "%d.%d.%d" % info[:3] + ("" if info[3] == "final" else info[3][0] + str(info[4]))
print(json.dumps({
    "os_name": os.name, "sys_platform": sys.platform, "platform_machine": platform.machine(), "extra": "",
    "platform_system": platform.system(), "platform_release": platform.release(),
    "platform_version": platform.version(), "platform_python_implementation": platform.python_implementation(),
    "implementation_name": sys.implementation.name, "implementation_version": dotted(sys.implementation.version),
    "python_full_version": dotted(sys.version_info), "python_version": "%d.%d" % sys.version_info[:2],
}))
"""
# No tool writes over what it cannot read.
_ANEW = "restore it, or remove it and lock anew"


def _table(required: "list[str]", **properties: "Any") -> "dict[str, Any]":
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": True}


def _list_of(items: "dict[str, Any]") -> "dict[str, Any]":
    return {"type": "array", "items": items}


_STRING = {"type": "string"}
_EDGES = _list_of(_table(["name"], name=_STRING, marker=_STRING, extra=_list_of(_STRING)))
_FILE = _table([], hash=_STRING, hashes=_table([], sha256=_STRING))
_PINNED_FILE = dict(_FILE, required=["hashes"])
_PACKAGE = {"name": _STRING, "version": _STRING, "marker": _STRING, "dependencies": _EDGES}
_PACKAGE["resolution-markers"] = _list_of(_STRING)
for _key in ("optional-dependencies", "dev-dependencies"):
    _PACKAGE[_key] = {"type": "object", "additionalProperties": _EDGES}
for _key in ("source", "directory", "vcs", "archive"):
    _PACKAGE[_key] = _table([])
# What is read of the two kinds of locks.
_LOCK_PROPERTIES = {
    "requires-python": _STRING,
    "environments": _list_of(_STRING),
    "default-groups": _list_of(_STRING),
    "package": _list_of(_table(["name", "source"], wheels=_list_of(_FILE), sdist=_FILE, **_PACKAGE)),
    "packages": _list_of(_table(["name"], wheels=_list_of(_PINNED_FILE), sdist=_PINNED_FILE, **_PACKAGE)),
}  # type: dict[str, Any]


class LockedPins:
    """What a lock file wants installed here.

    :param hashed: requirement lines, each with the hashes of the files it may be
    :param unhashed: lines of what has no hash by its nature: commits of a repository, local directories
    """

    def __init__(self) -> None:
        self.hashed = []  # type: list[str]
        self.unhashed = []  # type: list[str]


def marker_environment(python: str, console: Console) -> "dict[str, Any]":
    """Return the values of the marker variables (PEP 508) for an interpreter, as it says itself."""
    result = run_child([python, "-I", "-c", _MARKER_PROGRAM], console)
    if result.status != 0:
        raise InstallError("%s cannot run" % python, None, "./prime reboot makes the environment anew")
    values = json.loads(result.output)  # type: dict[str, Any]
    return values


def load_lock(path: str) -> "dict[str, Any]":
    """Return the document of a lock file.

    :raises ConfigurationError: it is no TOML, misshapen, or of no version that this kernel knows (exit 3)
    """
    document = load_toml(path)
    is_pylock = os.path.basename(path) != "uv.lock"
    version = document.get("lock-version" if is_pylock else "version")
    if version is None:
        raise ConfigurationError("the lock file names no version of its format", path, _ANEW)
    if str(version).split(".")[0] != "1":
        cause = "the lock's version %s is not known to this kernel" % version
        raise ConfigurationError(cause, path, "update protoprimer, or write the lock anew")
    violation = first_violation(document, _table([], **_LOCK_PROPERTIES))
    if violation is not None:
        raise _malformed_lock(path, violation.cause, violation.path)
    try:
        SpecifierSet(document.get("requires-python", ""))
    except InvalidSpecifier as error:
        raise _malformed_lock(path, str(error), ("requires-python",)) from error
    return document


def _malformed_lock(path: str, cause: str, keys: "tuple[str | int, ...]" = ()) -> ConfigurationError:
    return ConfigurationError("the lock file is malformed: " + cause, place_of_key(path, keys) if keys else path, _ANEW)


def check_lock(plan: Plan, interpreter: "Callable[[], Interpreter]") -> None:
    """Refuse a lock file from which nothing can be installed, before anything is written.

    :param interpreter: asked only where the lock names a range of Pythons
    :raises ConfigurationError: as `load_lock` (exit 3)
    :raises InstallError: it is not for this interpreter (exit 6)
    """
    if plan.lock:
        document = load_lock(plan.lock)
        if "requires-python" in document:
            _refuse_other_python(plan.lock, document, interpreter().version)


def read_lock(plan: Plan, environment: "dict[str, Any]") -> LockedPins:
    """Return what the plan's lock file wants installed, apart from the plan's own projects.

    :param environment: of `marker_environment`, for the interpreter that is installed for
    :raises ConfigurationError: as `load_lock`, or a marker or an edge in it leads nowhere (exit 3)
    :raises InstallError: it is not for this interpreter, or older than the projects' metadata (exit 6)
    """
    path = plan.lock or ""
    document = load_lock(path)
    _refuse_other_python(path, document, environment["python_full_version"])
    try:
        if plan.lock_kind == "uv.lock":
            return _UvLock(path, document, environment).pins(plan)
        return _pins_of_pylock(path, document, plan, environment)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _malformed_lock(path, str(error) if isinstance(error, ValueError) else repr(error)) from error


def _refuse_lock(path: str, cause: str) -> InstallError:
    advice = "write the lock anew: ./prime lock (uv's serves every Python and platform, pip's its own)"
    return InstallError(cause, path, advice)


def _refuse_other_python(path: str, document: "dict[str, Any]", python: str) -> None:
    wanted = document.get("requires-python")
    if wanted and not SpecifierSet(wanted).contains(python, prereleases=True):
        raise _refuse_lock(path, "the lock is for Python %s, not for %s" % (wanted, python))


def _pins_of_pylock(path: str, document: "dict[str, Any]", plan: Plan, environment: "dict[str, Any]") -> LockedPins:
    markers = document.get("environments", [])
    if markers and not any(marker_holds(marker, environment) for marker in markers):
        raise _refuse_lock(path, "the lock is not for this interpreter, but for: " + "; ".join(markers))
    members = [member for step in plan.steps for member in step.members]
    chosen = dict(environment)
    chosen["extras"] = frozenset(normalized_project_name(extra) for member in members for extra in member.extras)
    groups = [group for member in members for group in member.groups] + document.get("default-groups", [])
    chosen["dependency_groups"] = frozenset(map(normalized_project_name, groups))
    pins, seen = LockedPins(), set()  # type: LockedPins, set[str]
    for package in document.get("packages", []):
        if "marker" in package and not marker_holds(package["marker"], chosen):
            continue
        name = normalized_project_name(package["name"])
        if name in seen:
            raise _refuse_lock(path, "the lock has more than one %s for this interpreter" % name)
        seen.add(name)
        _pin_of_pylock(path, name, package, plan, pins)
    return pins


def _pin_of_pylock(path: str, name: str, package: "dict[str, Any]", plan: Plan, pins: LockedPins) -> None:
    """Add one package, in the form of PEP 751, to the pins."""
    source = package.get("directory") or package.get("vcs") or package.get("archive") or {}
    local = os.path.normpath(os.path.join(os.path.dirname(path), source.get("path") or ""))
    where = source.get("url") or file_url(local)
    subdirectory = "#subdirectory=" + source["subdirectory"] if source.get("subdirectory") else ""
    if "directory" in package:
        # The plan's own projects are installed after the pins.
        if local not in [member.path for step in plan.steps for member in step.members]:
            pins.unhashed.append(("-e " if source.get("editable") else "") + local)
    elif "vcs" in package:
        pins.unhashed.append("%s @ %s+%s@%s%s" % (name, source["type"], where, source["commit-id"], subdirectory))
    else:
        files = [source] if source else package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
        hashes = ["%s:%s" % pair for one in files for pair in one["hashes"].items()]
        # pip takes these only: a lock may have weaker ones beside them.
        strong = [one for one in dict.fromkeys(hashes) if one.split(":")[0] in ("sha256", "sha384", "sha512")]
        if not strong:
            raise _refuse_lock(path, "the lock has no hash for %s" % name)
        what = "%s @ %s%s" % (name, where, subdirectory) if source else "%s==%s" % (name, package["version"])
        pins.hashed.append(" ".join([what] + ["--hash=" + one for one in strong]))


class _UvLock:
    """A walk through `uv.lock` from the plan's projects, over the edges whose markers hold here."""

    def __init__(self, path: str, document: "dict[str, Any]", environment: "dict[str, Any]") -> None:
        if document.get("conflicts"):
            raise InstallError("uv.lock declares conflicts, which only uv can resolve", path, "use the backend uv")
        self.path = path
        self.environment = environment
        self.packages = document.get("package", [])  # type: list[dict[str, Any]]

    def pins(self, plan: Plan) -> LockedPins:
        pending = []  # type: list[dict[str, Any]]
        for step in plan.steps:
            for member in step.members:
                pending += self._edges_of_member(member)
        chosen, done = {}, set()  # type: dict[str, dict[str, Any]], set[tuple[str, str]]
        while pending:
            edge = pending.pop()
            if "marker" in edge and not marker_holds(edge["marker"], self.environment):
                continue
            package = self._package(edge)
            if chosen.setdefault(package["name"], package) is not package:
                raise _refuse_lock(self.path, "the lock has more than one %s for this interpreter" % package["name"])
            for extra in [""] + edge.get("extra", []):
                if (package["name"], extra) not in done:
                    done.add((package["name"], extra))
                    optional = package.get("optional-dependencies", {}).get(extra, [])
                    pending += optional if extra else package.get("dependencies", [])
        pins = LockedPins()
        for name in sorted(chosen):
            if "virtual" not in chosen[name]["source"]:
                _pin_of_pylock(self.path, name, _as_pylock(chosen[name]), plan, pins)
        return pins

    def _package(self, edge: "dict[str, Any]") -> "dict[str, Any]":
        found = []
        for package in (package for package in self.packages if package["name"] == edge["name"]):
            markers = [] if "version" in edge else package.get("resolution-markers", [])
            fits = all(edge[key] == package.get(key) for key in ("version", "source") if key in edge)
            if fits and (not markers or any(marker_holds(one, self.environment) for one in markers)):
                found.append(package)
        if len(found) != 1:
            raise ValueError("%d packages fit the dependency %s" % (len(found), edge["name"]))
        return found[0]

    def _edges_of_member(self, member: ProjectToInstall) -> "list[dict[str, Any]]":
        base = os.path.dirname(self.path)
        for package in self.packages:
            place = _place_of_source(package["source"])
            if place is None or os.path.normpath(os.path.join(base, place)) != member.path:
                continue
            self._refuse_if_stale(member, package)
            edges = list(package.get("dependencies", []))
            for table, names in (("optional-dependencies", member.extras), ("dev-dependencies", member.groups)):
                known = {normalized_project_name(name): found for name, found in package.get(table, {}).items()}
                for name in names:
                    edges += known.get(normalized_project_name(name), [])
            return edges
        raise _refuse_lock(self.path, "the lock knows no project in %s" % member.path)

    def _refuse_if_stale(self, member: ProjectToInstall, package: "dict[str, Any]") -> None:
        """Compare each dependency of `[project]` with what uv saw when it wrote the lock."""
        locked = {}  # type: dict[str, list[set[str]]]
        for one in package.get("metadata", {}).get("requires-dist", []):
            specifier = "".join(str(one.get("specifier", "")).split())
            locked.setdefault(one["name"], []).append(set(specifier.split(",")))
        for line in member.metadata.dependencies:
            required = read_requirement(line)
            pinned = locked.get(normalized_project_name(required.name), []) if required else []
            wanted = set(required.specifier.split(",")) if required else set()
            if not pinned or (wanted != {""} and wanted not in pinned):
                raise _refuse_lock(self.path, "the lock is older than the dependency `%s` of %s" % (line, member.path))


def _place_of_source(source: "dict[str, Any]") -> "str | None":
    return next((str(source[key]) for key in ("editable", "virtual", "directory") if key in source), None)


def _as_pylock(package: "dict[str, Any]") -> "dict[str, Any]":
    """Return a package of `uv.lock` in the form of PEP 751."""
    source = package["source"]
    files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
    hashes = [{"hashes": dict([one["hash"].split(":", 1)])} for one in files if "hash" in one]
    if "registry" in source:
        return {"version": package["version"], "wheels": hashes}
    if "git" in source:
        # uv's form is https://host/repository?subdirectory=sub&rev=main#commit
        parts = urlsplit(source["git"])
        vcs = {"type": "git", "url": parts._replace(query="", fragment="").geturl(), "commit-id": parts.fragment}
        return {"vcs": dict(vcs, subdirectory=parse_qs(parts.query).get("subdirectory", [""])[0])}
    if "url" in source or "path" in source:
        return {"archive": dict(source, hashes=hashes[0]["hashes"] if hashes else {})}
    return {"directory": {"path": _place_of_source(source), "editable": "editable" in source}}
