"""Lock files, PEP 751's `pylock.toml` and uv's `uv.lock`, turned into requirement lines with hashes."""

import json
import os
import re
from urllib.parse import parse_qs, unquote, urlsplit

from protoprimer.errors import ConfigurationError, InstallError
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.requirements import Requirement, normalized_project_name
from protoprimer.formats.toml import load_toml, place_of_key
from protoprimer.formats.versions import InvalidSpecifier, InvalidVersion, SpecifierSet
from protoprimer.project.asked import asked_of_plan
from protoprimer.project.plan import Plan, ProjectToInstall
from protoprimer.settings.schema import first_violation
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.paths import file_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["LockedPins", "check_lock", "has_conflict_marks", "load_lock", "marker_environment", "read_lock"]

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
_MARKERS_OF = {}  # type: dict[str, str]
_MARKS_OF_CONFLICT = re.compile(rb"^(<<<<<<<|=======|>>>>>>>)( |\r?$)", re.MULTILINE)
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
    if python not in _MARKERS_OF:
        result = run_child([python, "-I", "-c", _MARKER_PROGRAM], console)
        if result.status != 0:
            raise InstallError("%s cannot run" % python, None, "./prime reboot makes the environment anew")
        _MARKERS_OF[python] = result.output
    values = json.loads(_MARKERS_OF[python])  # type: dict[str, Any]
    return values


def load_lock(path: str) -> "dict[str, Any]":
    """Return the document of a lock file.

    :raises ConfigurationError: it is no TOML, misshapen, or of no version that this kernel knows (exit 3)
    """
    if has_conflict_marks(path):
        advice = "./prime lock writes it anew, from the pins of the first side"
        raise ConfigurationError("the lock file has the conflict marks of a merge", path, advice)
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


def has_conflict_marks(path: str) -> bool:
    """Tell whether a merge has left both sides in a file."""
    try:
        with open(path, "rb") as stream:
            return len(set(_MARKS_OF_CONFLICT.findall(stream.read()))) > 2
    except OSError:
        return False


def check_lock(plan: Plan, markers: "Callable[[], dict[str, Any]]") -> None:
    """Refuse a lock file that cannot be installed from, before anything is written.

    :param markers: returns those of the interpreter; asked only where there is a lock
    :raises ConfigurationError: as `load_lock` (exit 3)
    :raises InstallError: as `read_lock` (exit 6); of a `uv.lock` only that it is not for this interpreter
    """
    if plan.lock and plan.lock_kind == "uv.lock":
        _refuse_other_python(plan, load_lock(plan.lock), markers)
    elif plan.lock:
        read_lock(plan, markers())


def read_lock(plan: Plan, environment: "dict[str, Any]") -> LockedPins:
    """Return what the plan's lock file wants installed, apart from the plan's own projects.

    :param environment: of `marker_environment`, for the interpreter that is installed for
    :raises ConfigurationError: as `load_lock`, or a marker or an edge in it leads nowhere (exit 3)
    :raises InstallError: it is not for this interpreter, or has not all that the plan asks for (exit 6)
    """
    path = plan.lock or ""
    document = load_lock(path)
    _refuse_other_python(plan, document, lambda: environment)
    try:
        if plan.lock_kind == "uv.lock":
            packages = _UvLock(plan, document, environment).packages_for(plan)
        else:
            packages = _packages_of_pylock(plan, document, environment)
        _refuse_if_stale(plan, packages, environment)
        pins = LockedPins()
        for name, package in packages.items():
            _add_pin(plan, name, package, pins)
        return pins
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _malformed_lock(path, str(error) if isinstance(error, ValueError) else repr(error)) from error


def _refuse_lock(plan: Plan, cause: str, place: "str | None" = None) -> InstallError:
    advice = "write the lock anew: %s (uv's serves every Python and platform, pip's its own)" % plan.lock_command
    return InstallError(cause, place or plan.lock, advice)


def _refuse_other_python(plan: Plan, document: "dict[str, Any]", markers: "Callable[[], dict[str, Any]]") -> None:
    wanted = document.get("requires-python")
    python = markers()["python_full_version"] if wanted else ""
    if wanted and not SpecifierSet(wanted).contains(python, prereleases=True):
        raise _refuse_lock(plan, "the lock is for Python %s, not for %s" % (wanted, python))


def _packages_of_pylock(
    plan: Plan, document: "dict[str, Any]", environment: "dict[str, Any]"
) -> "dict[str, dict[str, Any]]":
    markers = document.get("environments", [])
    if markers and not any(marker_holds(marker, environment) for marker in markers):
        raise _refuse_lock(plan, "the lock is not for this interpreter, but for: " + "; ".join(markers))
    members = [member for step in plan.steps for member in step.members]
    chosen = dict(environment)
    chosen["extras"] = frozenset(normalized_project_name(extra) for member in members for extra in member.extras)
    groups = [group for member in members for group in member.groups] + document.get("default-groups", [])
    chosen["dependency_groups"] = frozenset(map(normalized_project_name, groups))
    found = {}  # type: dict[str, dict[str, Any]]
    for package in document.get("packages", []):
        if "marker" in package and not marker_holds(package["marker"], chosen):
            continue
        if found.setdefault(normalized_project_name(package["name"]), package) is not package:
            raise _refuse_lock(plan, "the lock has more than one %s for this interpreter" % package["name"])
    return found


def _refuse_if_stale(plan: Plan, packages: "dict[str, dict[str, Any]]", environment: "dict[str, Any]") -> None:
    """Refuse a lock in which something that is asked for here has no pin, or one that does not satisfy it."""
    own = {normalized_project_name(project.metadata.name or "") for project in plan.projects()}
    lock = os.path.basename(plan.lock or "")
    for asked in asked_of_plan(plan, environment, projects_only=lock == "uv.lock"):
        wanted, name = asked.requirement, normalized_project_name(asked.requirement.name)
        if name in own or (wanted.marker and not marker_holds(wanted.marker, environment)):
            continue
        if name in packages:
            fault = _fault_of_pin(os.path.dirname(plan.lock or ""), wanted, packages[name])
        else:
            fault = "" if asked.is_constraint else "has no pin for"
        if fault:
            raise _refuse_lock(
                plan, "%s is older than what it is for: it %s `%s`" % (lock, fault, asked.line), asked.place
            )


def _fault_of_pin(base: str, wanted: Requirement, package: "dict[str, Any]") -> str:
    version = package.get("version")
    try:
        if version and not SpecifierSet(wanted.specifier).contains(version, prereleases=True):
            return "pins %s %s, which does not satisfy" % (package.get("name", wanted.name), version)
    except (InvalidSpecifier, InvalidVersion):
        pass  # The installer will say so.
    if not wanted.url:
        return ""
    source = package.get("directory") or package.get("vcs") or package.get("archive") or {}
    pinned = source.get("url") or file_url(os.path.normpath(os.path.join(base, source["path"]))) if source else ""
    parts = urlsplit(re.sub(r"^\w+\+", "", wanted.url))
    place, revision = parts.path, ""
    if "vcs" in package and "@" in place:
        place, revision = place.rsplit("@", 1)
    there = urlsplit(pinned)
    is_same = (parts.hostname, unquote(place).rstrip("/")) == (there.hostname, unquote(there.path).rstrip("/"))
    if is_same and revision in (source.get("requested-revision", revision), source.get("commit-id")):
        return ""
    return "takes %s from %s instead of" % (wanted.name, pinned or "an index")


def _add_pin(plan: Plan, name: str, package: "dict[str, Any]", pins: LockedPins) -> None:
    """Add one package, in the form of PEP 751, to the pins."""
    source = package.get("directory") or package.get("vcs") or package.get("archive") or {}
    local = os.path.normpath(os.path.join(os.path.dirname(plan.lock or ""), source.get("path") or ""))
    where = source.get("url") or file_url(local)
    subdirectory = "#subdirectory=" + source["subdirectory"] if source.get("subdirectory") else ""
    if "directory" in package:
        # The plan's own projects are installed after the pins.
        if local not in [member.path for step in plan.steps for member in step.members] + source.get("virtual", []):
            # As a URL: in a requirement file, a path would end at its first space.
            pins.unhashed.append(("-e " if source.get("editable") else name + " @ ") + where)
    elif "vcs" in package:
        pins.unhashed.append("%s @ %s+%s@%s%s" % (name, source["type"], where, source["commit-id"], subdirectory))
    else:
        files = [source] if source else package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
        hashes = ["%s:%s" % pair for one in files for pair in one["hashes"].items()]
        # pip takes these only: a lock may have weaker ones beside them.
        strong = [one for one in dict.fromkeys(hashes) if one.split(":")[0] in ("sha256", "sha384", "sha512")]
        if not strong:
            raise _refuse_lock(plan, "the lock has no hash for %s" % name)
        what = "%s @ %s%s" % (name, where, subdirectory) if source else "%s==%s" % (name, package["version"])
        pins.hashed.append(" ".join([what] + ["--hash=" + one for one in strong]))


class _UvLock:
    """A walk through `uv.lock` from the plan's projects, over the edges whose markers hold here."""

    def __init__(self, plan: Plan, document: "dict[str, Any]", environment: "dict[str, Any]") -> None:
        if document.get("conflicts"):
            raise InstallError("uv.lock declares conflicts, which only uv can resolve", plan.lock, "use the backend uv")
        self.plan = plan
        self.environment = environment
        self.groups_of_root = document.get("manifest", {}).get("dependency-groups", {})
        self.packages = document.get("package", [])  # type: list[dict[str, Any]]

    def packages_for(self, plan: Plan) -> "dict[str, dict[str, Any]]":
        pending = [edge for step in plan.steps for member in step.members for edge in self._edges_of_member(member)]
        chosen, done = {}, set()  # type: dict[str, dict[str, Any]], set[tuple[str, str]]
        while pending:
            edge = pending.pop()
            if "marker" in edge and not marker_holds(edge["marker"], self.environment):
                continue
            package = self._package(edge)
            if chosen.setdefault(package["name"], package) is not package:
                raise _refuse_lock(plan, "the lock has more than one %s for this interpreter" % package["name"])
            for extra in [""] + edge.get("extra", []):
                if (package["name"], extra) not in done:
                    done.add((package["name"], extra))
                    optional = package.get("optional-dependencies", {}).get(extra, [])
                    pending += optional if extra else package.get("dependencies", [])
        return {name: _as_pylock(chosen[name], self.plan.root) for name in sorted(chosen)}

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
        base = os.path.dirname(self.plan.lock or "")
        for package in self.packages:
            place = _place_of_source(package["source"])
            if place is None or os.path.normpath(os.path.join(base, place)) != member.path:
                continue
            edges = list(package.get("dependencies", []))
            for table, names in (("optional-dependencies", member.extras), ("dev-dependencies", member.groups)):
                known = {normalized_project_name(name): found for name, found in package.get(table, {}).items()}
                for name in names:
                    edges += known.get(normalized_project_name(name), [])
            return edges
        if member.path == base and not member.metadata.has_project_table:
            # The root of a workspace, which is no package itself.
            return [edge for name in member.groups for edge in self.groups_of_root.get(name, [])]
        raise _refuse_lock(self.plan, "the lock knows no project in %s" % member.path)


def _place_of_source(source: "dict[str, Any]") -> "str | None":
    return next((str(source[key]) for key in ("editable", "virtual", "directory") if key in source), None)


def _as_pylock(package: "dict[str, Any]", root: str) -> "dict[str, Any]":
    """Return a package of `uv.lock` in the form of PEP 751."""
    source = package["source"]
    entry = {key: package[key] for key in ("name", "version") if key in package}  # type: dict[str, Any]
    files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
    hashes = [{"hashes": dict([one["hash"].split(":", 1)])} for one in files if "hash" in one]
    if "registry" in source:
        entry["wheels"] = hashes
    elif "git" in source:
        # uv's form is https://host/repository?subdirectory=sub&rev=main#commit
        parts = urlsplit(source["git"])
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        vcs = {"type": "git", "url": parts._replace(query="", fragment="").geturl(), "commit-id": parts.fragment}
        vcs["requested-revision"] = asked.get("rev") or asked.get("tag") or asked.get("branch") or ""
        entry["vcs"] = dict(vcs, subdirectory=asked.get("subdirectory", ""))
    elif "url" in source or "path" in source:
        entry["archive"] = dict(source, hashes=hashes[0]["hashes"] if hashes else {})
    else:
        # What is virtual is not installed, like the plan's own projects.
        path = _place_of_source(source) or ""
        virtual = [os.path.normpath(os.path.join(root, path))] if "virtual" in source else []
        entry["directory"] = {"path": path, "editable": "editable" in source, "virtual": virtual}
    return entry
