"""Lock files read by the kernel: PEP 751's `pylock.toml` and uv's `uv.lock`, turned into requirement lines with hashes."""

import os

from protoprimer.console import Console
from protoprimer.errors import ConfigurationError, InstallError
from protoprimer.plan import Plan, ProjectToInstall
from protoprimer.projects import normalized_project_name
from protoprimer.process import run_child
from protoprimer.toml import load_toml
from protoprimer.versions import InvalidSpecifier, InvalidVersion, SpecifierSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LockedPins", "marker_environment", "marker_holds", "pylock_text", "read_lock"]

_MARKER_PROGRAM = """
import json, os, platform, sys
version = "%d.%d.%d" % sys.version_info[:3] + ("" if sys.version_info[3] == "final" else sys.version_info[3][0] + str(sys.version_info[4]))
own = sys.implementation.version
print(json.dumps({
    "os_name": os.name, "sys_platform": sys.platform, "platform_machine": platform.machine(),
    "platform_system": platform.system(), "platform_release": platform.release(), "platform_version": platform.version(),
    "platform_python_implementation": platform.python_implementation(), "implementation_name": sys.implementation.name,
    "implementation_version": version if sys.implementation.name == "cpython" else "%d.%d.%d" % own[:3],
    "python_full_version": version, "python_version": "%d.%d" % sys.version_info[:2], "extra": "",
}))
"""
_VERSION_VARIABLES = ("python_version", "python_full_version", "implementation_version", "platform_release")


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
    import json

    result = run_child([python, "-I", "-c", _MARKER_PROGRAM], console)
    if result.status != 0:
        raise InstallError("%s cannot run" % python, None, "./prime reboot makes the environment anew")
    values = json.loads(result.output)  # type: dict[str, Any]
    return values


def marker_holds(marker: str, environment: "dict[str, Any]") -> bool:
    """Evaluate an environment marker (PEP 508; `in extras` and `in dependency_groups` of PEP 751 included).

    :raises ValueError: it is none
    """
    import re

    tokens = re.findall(r"\(|\)|'[^']*'|\"[^\"]*\"|not\s+in\b|[A-Za-z_][\w.]*|[<>=!~]+|\S", marker)
    value = _marker_or(tokens, environment)
    if tokens:
        raise ValueError("not a marker: %s" % marker)
    return value


def _marker_or(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    value = _marker_and(tokens, environment)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        value = _marker_and(tokens, environment) or value
    return value


def _marker_and(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    value = _marker_atom(tokens, environment)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        value = _marker_atom(tokens, environment) and value
    return value


def _marker_atom(tokens: "list[str]", environment: "dict[str, Any]") -> bool:
    if len(tokens) > 2 and tokens[0] == "(":
        tokens.pop(0)
        value = _marker_or(tokens, environment)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("a marker's parenthesis is not closed")
        return value
    if len(tokens) < 3:
        raise ValueError("a marker ends early")
    left, operator, right = tokens.pop(0), " ".join(tokens.pop(0).split()), tokens.pop(0)
    is_version = left in _VERSION_VARIABLES or right in _VERSION_VARIABLES
    if left[0] in "'\"" and operator[0] in "<>":
        # The variable stands on the right: turned around, the comparison means the same.
        left, operator, right = right, operator.translate({60: 62, 62: 60}), left
    values = [_marker_value(token, environment) for token in (left, right)]
    return _marker_compared(values[0], operator, values[1], is_version)


def _marker_value(token: str, environment: "dict[str, Any]") -> "Any":
    if token[0] in "'\"":
        return token[1:-1]
    name = {"python_implementation": "platform_python_implementation"}.get(token, token.replace("os.name", "os_name"))
    if name not in environment:
        raise ValueError("unknown marker variable %s" % token)
    return environment[name]


def _marker_compared(left: "Any", operator: str, right: "Any", is_version: bool) -> bool:
    if operator in ("in", "not in"):
        inside = normalized_project_name(left) in right if isinstance(right, frozenset) else left in right
        return bool(inside) == (operator == "in")
    if is_version:
        try:
            return SpecifierSet(operator + right).contains(left, prereleases=True)
        except (InvalidSpecifier, InvalidVersion):
            pass
    ways = {"==": left == right, "===": left == right, "!=": left != right, "<": left < right, "<=": left <= right,
            ">": left > right, ">=": left >= right}  # fmt: skip
    if operator not in ways:
        raise ValueError("unknown marker operator %s" % operator)
    return ways[operator]


def read_lock(plan: Plan, environment: "dict[str, Any]") -> LockedPins:
    """Return what the plan's lock file wants installed, apart from the plan's own projects.

    :param environment: of `marker_environment`, for the interpreter that is installed for
    :raises ConfigurationError: the file is malformed or of a format this kernel does not know (exit 3)
    :raises InstallError: it is not for this interpreter, or older than the projects' metadata (exit 6)
    """
    path = plan.lock or ""
    document = load_toml(path)
    try:
        if plan.lock_kind == "uv.lock":
            return _UvLock(path, document, environment).pins(plan)
        return _pins_of_pylock(path, document, plan, environment)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        cause = "the lock file is malformed: %s" % (error if isinstance(error, ValueError) else repr(error))
        raise ConfigurationError(cause, path, "write it anew: ./prime lock") from error


def _refuse_lock(path: str, cause: str) -> InstallError:
    return InstallError(cause, path, "write the lock anew: ./prime lock (uv's serves every Python and platform, pip's its own)")


def _pins_of_pylock(path: str, document: "dict[str, Any]", plan: Plan, environment: "dict[str, Any]") -> LockedPins:
    if str(document["lock-version"]).split(".")[0] != "1":
        cause = "the lock's version %s is not known to this kernel" % document["lock-version"]
        raise ConfigurationError(cause, path, "update protoprimer, or write the lock anew")
    python = environment["python_full_version"]
    wanted = document.get("requires-python")
    markers = document.get("environments", [])
    if wanted and not SpecifierSet(wanted).contains(python, prereleases=True):
        raise _refuse_lock(path, "the lock is for Python %s, not for %s" % (wanted, python))
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
    base = os.path.dirname(path)
    if "directory" in package:
        found = package["directory"]
        _add_directory(os.path.normpath(os.path.join(base, found["path"])), found.get("editable", False), plan, pins)
    elif "vcs" in package:
        found = package["vcs"]
        where = found.get("url") or _url_of_path(os.path.join(base, found["path"]))
        subdirectory = "#subdirectory=" + found["subdirectory"] if found.get("subdirectory") else ""
        pins.unhashed.append("%s @ %s+%s@%s%s" % (name, found["type"], where, found["commit-id"], subdirectory))
    elif "archive" in package:
        found = package["archive"]
        pins.hashed.append(_archive_line(path, name, found, found["hashes"], base))
    else:
        files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
        hashes = ["%s:%s" % pair for one in files for pair in one["hashes"].items()]
        if "version" not in package or not hashes:
            raise _refuse_lock(path, "the lock has no version or no hash for %s" % name)
        pins.hashed.append(_hashed_line("%s==%s" % (name, package["version"]), hashes))


def _archive_line(path: str, name: str, found: "dict[str, Any]", hashes: "dict[str, str]", base: str) -> str:
    where = found.get("url") or _url_of_path(os.path.join(base, found["path"]))
    subdirectory = "#subdirectory=" + found["subdirectory"] if found.get("subdirectory") else ""
    if not hashes:
        raise _refuse_lock(path, "the lock has no hash for %s" % name)
    return _hashed_line("%s @ %s%s" % (name, where, subdirectory), ["%s:%s" % pair for pair in hashes.items()])


def _hashed_line(requirement: str, hashes: "list[str]") -> str:
    # pip takes these only: a lock may have weaker ones beside them.
    strong = [one for one in dict.fromkeys(hashes) if one.split(":")[0] in ("sha256", "sha384", "sha512")]
    return " ".join([requirement] + ["--hash=" + one for one in strong])


def _url_of_path(path: str) -> str:
    from urllib.request import pathname2url

    return "file:" + ("//" if os.name != "nt" else "") + pathname2url(os.path.normpath(path))


def _add_directory(directory: str, editable: bool, plan: Plan, pins: LockedPins) -> None:
    # The plan's own projects are installed after the pins.
    if directory not in [member.path for step in plan.steps for member in step.members]:
        pins.unhashed.append(("-e " if editable else "") + directory)


class _UvLock:
    """A walk through `uv.lock` from the plan's projects, over the edges whose markers hold here."""

    def __init__(self, path: str, document: "dict[str, Any]", environment: "dict[str, Any]") -> None:
        if document["version"] != 1:
            cause = "version %s of uv.lock is not known to this kernel" % document["version"]
            raise ConfigurationError(cause, path, "use the backend uv, or update protoprimer")
        if document.get("conflicts"):
            raise InstallError("uv.lock declares conflicts, which only uv can resolve", path, "use the backend uv")
        wanted = document.get("requires-python")
        if wanted and not SpecifierSet(wanted).contains(environment["python_full_version"], prereleases=True):
            raise _refuse_lock(path, "the lock is for Python %s" % wanted)
        self.path = path
        self.environment = environment
        self.packages = {}  # type: dict[str, list[dict[str, Any]]]
        for package in document.get("package", []):
            self.packages.setdefault(package["name"], []).append(package)

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
            self._pin(name, chosen[name], plan, pins)
        return pins

    def _package(self, edge: "dict[str, Any]") -> "dict[str, Any]":
        found = [
            package
            for package in self.packages.get(edge["name"], [])
            if all(edge[key] == package.get(key) for key in ("version", "source") if key in edge)
        ]
        if len(found) > 1:
            markers = [package.get("resolution-markers", []) for package in found]
            found = [one for one, some in zip(found, markers) if any(marker_holds(m, self.environment) for m in some)]
        if len(found) != 1:
            raise ValueError("%d packages fit the dependency %s" % (len(found), edge["name"]))
        return found[0]

    def _edges_of_member(self, member: ProjectToInstall) -> "list[dict[str, Any]]":
        for package in (package for packages in self.packages.values() for package in packages):
            source = package["source"]
            place = source.get("editable") or source.get("virtual") or source.get("directory")
            if place is None or os.path.normpath(os.path.join(os.path.dirname(self.path), place)) != member.path:
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
        import re

        metadata = package.get("metadata", {})
        locked = list(metadata.get("requires-dist", []))
        for group in member.groups:
            locked += metadata.get("requires-dev", {}).get(group, [])
        names = {normalized_project_name(one["name"]) for one in locked}
        for line in member.metadata.dependencies:
            match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;@)]*)", line)
            name = normalized_project_name(match.group(1)) if match else line
            wanted = "".join((match.group(2) if match else "").split())
            pinned = ["".join(str(one.get("specifier", "")).split()) for one in locked if normalized_project_name(one["name"]) == name]
            if name not in names or (wanted and not any(set(wanted.split(",")) == set(one.split(",")) for one in pinned)):
                raise _refuse_lock(self.path, "the lock is older than the dependency `%s` of %s" % (line, member.path))

    def _pin(self, name: str, package: "dict[str, Any]", plan: Plan, pins: LockedPins) -> None:
        base, source = os.path.dirname(self.path), package["source"]
        if "registry" in source:
            files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
            hashes = [one["hash"] for one in files if "hash" in one]
            if not hashes:
                raise _refuse_lock(self.path, "the lock has no hash for %s" % name)
            pins.hashed.append(_hashed_line("%s==%s" % (name, package["version"]), hashes))
        elif "url" in source or "path" in source:
            found = {"url": source.get("url"), "path": source.get("path"), "subdirectory": source.get("subdirectory")}
            files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
            hashes = dict(one["hash"].split(":", 1) for one in files if "hash" in one)
            pins.hashed.append(_archive_line(self.path, name, found, hashes, base))
        elif "git" in source:
            pins.unhashed.append("%s @ git+%s" % (name, _git_reference(source["git"])))
        elif "editable" in source or "directory" in source:
            place = os.path.normpath(os.path.join(base, source.get("editable") or source["directory"]))
            _add_directory(place, "editable" in source, plan, pins)
        elif "virtual" not in source:
            raise _refuse_lock(self.path, "the lock's source of %s is of an unknown kind" % name)


def _git_reference(url: str) -> str:
    """Turn uv's `https://host/repo?subdirectory=sub&rev=main#commit` into pip's form."""
    from urllib.parse import parse_qs, urlsplit

    parts = urlsplit(url)
    subdirectory = parse_qs(parts.query).get("subdirectory", [""])[0]
    plain = parts._replace(query="", fragment="").geturl()
    return "%s@%s%s" % (plain, parts.fragment, "#subdirectory=" + subdirectory if subdirectory else "")


def pylock_text(report: "dict[str, Any]", own: "list[str]", requires_python: "str | None") -> str:
    """Return the `pylock.toml` (PEP 751) of pip's installation report (`pip install --dry-run --report`).

    :param own: directories of the plan's own projects, which a lock leaves out
    """
    import json

    values = report["environment"]
    where = ["%s == '%s'" % (name, values[name]) for name in ("python_version", "sys_platform", "platform_machine")]
    # What pip resolved holds where it ran, and nowhere else: dependencies of other hosts are missing.
    lines = ['lock-version = "1.0"', "environments = [%s]" % json.dumps(" and ".join(where))]
    if requires_python:
        lines.append("requires-python = " + json.dumps(requires_python))
    lines.append('created-by = "protoprimer"')
    for item in sorted(report["install"], key=lambda one: normalized_project_name(one["metadata"]["name"])):
        if "dir_info" not in item["download_info"] or path_of_report(item) not in own:
            lines += [""] + _pylock_package(item)
    return "\n".join(lines) + "\n"


def path_of_report(item: "dict[str, Any]") -> str:
    """Return the local path that an item of pip's report came from."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return os.path.normpath(url2pathname(urlsplit(item["download_info"]["url"]).path))


def _pylock_package(item: "dict[str, Any]") -> "list[str]":
    import json

    info, name = item["download_info"], normalized_project_name(item["metadata"]["name"])
    lines = ["[[packages]]", "name = " + json.dumps(name), "version = " + json.dumps(item["metadata"]["version"])]
    if "vcs_info" in info:
        vcs = info["vcs_info"]
        table = {"type": vcs["vcs"], "url": info["url"], "commit-id": vcs["commit_id"]}
        if info.get("subdirectory"):
            table["subdirectory"] = info["subdirectory"]
        return lines + ["vcs = " + _inline_table(table)]
    if "dir_info" in info:
        editable = ", editable = true" if info["dir_info"].get("editable") else ""
        return lines[:2] + ["directory = { path = %s%s }" % (json.dumps(path_of_report(item)), editable)]
    archive = info["archive_info"]
    hashes = archive.get("hashes") or dict([archive["hash"].split("=", 1)])
    file_name = os.path.basename(info["url"].split("#")[0])
    fields = "url = %s, hashes = %s" % (json.dumps(info["url"].split("#")[0]), _inline_table(hashes))
    if item.get("is_direct"):
        return lines + ["archive = { %s }" % fields]
    fields = "name = %s, %s" % (json.dumps(file_name), fields)
    return lines + [("wheels = [{ %s }]" if file_name.endswith(".whl") else "sdist = { %s }") % fields]


def _inline_table(table: "dict[str, str]") -> str:
    import json

    return "{ %s }" % ", ".join("%s = %s" % (key, json.dumps(value)) for key, value in sorted(table.items()))
