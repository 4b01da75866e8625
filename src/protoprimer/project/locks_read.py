"""`pylock.toml` (PEP 751) and `uv.lock`, turned into requirement lines with hashes."""

import functools
import json
import os
import re
import sys
from typing import Callable, NamedTuple

from protoprimer.errors import ConfigurationError, InstallError
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.requirements import Requirement, normalized_name
from protoprimer.formats.toml import TomlTable, load_toml, place_of_key
from protoprimer.formats.versions import InvalidSpecifier, InvalidVersion, SpecifierSet
from protoprimer.project.asked import asked_of_plan, names_overridden
from protoprimer.project.plan import Plan, ProjectToInstall
from protoprimer.project.requirement_files import RequirementLine
from protoprimer.settings.schema import first_violation
from protoprimer.system.children import run_child
from protoprimer.system.console import Console
from protoprimer.system.files import path_at
from protoprimer.system.paths import file_url, path_of_file_url

__all__ = ["LockedPins", "check_lock", "load_lock", "marker_environment", "read_lock"]

_MARKER_PROGRAM = """
import os, platform, sys
def dotted(info):
    return "%d.%d.%d" % info[:3] + ("" if info[3] == "final" else info[3][0] + str(info[4]))
markers = {
    "os_name": os.name, "sys_platform": sys.platform, "platform_machine": platform.machine(), "extra": "",
    "platform_system": platform.system(), "platform_release": platform.release(),
    "platform_version": platform.version(), "platform_python_implementation": platform.python_implementation(),
    "implementation_name": sys.implementation.name, "implementation_version": dotted(sys.implementation.version),
    "python_full_version": dotted(sys.version_info), "python_version": "%d.%d" % sys.version_info[:2],
}
"""
# No tool writes over what it cannot read.
_RESTORE = "restore it, or remove it and run: ./prime lock (for uv.lock: ./prime uv -- lock)"
# By what they are in `IndexSettings.facts`, with the values that say nothing.
_OPTIONS = (
    ("resolution", "resolution-mode", ("", "highest")),
    ("prerelease", "prerelease-mode", ("", "if-necessary", "if-necessary-or-explicit")),
    ("uploaded-prior-to", "exclude-newer", ("",)),
)


# What reading relies on before it begins.
_TEXTS = {"type": "array", "items": {"type": "string"}}
_NAMED = {"required": ["name"], "properties": {"name": {"type": "string"}}, "additionalProperties": True}
_PACKAGES = {"type": "array", "items": dict(_NAMED, type="object")}
_LOCK = {
    "type": "object",
    "properties": {
        "requires-python": {"type": "string"},
        "environments": _TEXTS,
        "supported-markers": _TEXTS,
        "package": _PACKAGES,
        "packages": _PACKAGES,
    },
    "additionalProperties": True,
}


class LockedPins(NamedTuple):
    """Requirement lines; commits of a repository and local directories have no hash.

    :ivar links: directories of this host, as URLs, with files that the lock names by their paths
    """

    hashed: "list[str]"
    unhashed: "list[str]"
    links: "list[str]"

    def lines_with_hashes(self) -> "list[str]":
        """Return what is installed with hashes, and where it is looked for besides the indexes."""
        return ["--find-links " + url for url in self.links] + self.hashed


@functools.lru_cache(maxsize=None)
def marker_environment(python: str, console: Console) -> TomlTable:
    """Return an interpreter's values of the marker variables (PEP 508)."""
    if os.path.realpath(python) == os.path.realpath(sys.executable or ""):
        found: TomlTable = {}
        exec(_MARKER_PROGRAM, found)  # noqa: S102 - our own text
        return dict(found["markers"])
    program = _MARKER_PROGRAM + "import json; print(json.dumps(markers))"
    result = run_child([python, "-I", "-S", "-c", program], console)
    if result.status != 0:
        raise InstallError("%s cannot run" % python, None, "./prime reboot makes the environment anew")
    return json.loads(result.output)  # type: ignore[no-any-return]


def load_lock(path: str) -> TomlTable:
    """Return the document of a lock file; exit code 3 if it is misshapen."""
    document = load_toml(path, _RESTORE, "./prime lock writes it anew, from the pins of the first side")
    version = document.get("version" if os.path.basename(path) == "uv.lock" else "lock-version")
    if version is None:
        raise _malformed_lock(path, "it names no version of its format")
    if str(version).split(".")[0] != "1":
        cause = "the lock's version %s is not known to this kernel" % version
        raise ConfigurationError(cause, path, "update protoprimer, or write the lock anew")
    violation = first_violation(document, _LOCK)
    if violation is not None:
        raise _malformed_lock(path, violation.cause, violation.path)
    try:
        SpecifierSet(document.get("requires-python", ""))
    except InvalidSpecifier as error:
        raise _malformed_lock(path, str(error), ("requires-python",)) from error
    return document


def _malformed_lock(path: str, cause: str, keys: "tuple[str | int, ...]" = ()) -> ConfigurationError:
    place = place_of_key(path, keys) if keys else path
    return ConfigurationError("the lock file is malformed: " + cause, place, _RESTORE)


def check_lock(plan: Plan, markers: Callable[[], TomlTable]) -> None:
    """Refuse as `read_lock`; a `uv.lock` only for its shape and its Pythons."""
    if plan.lock_kind == "uv.lock":
        _load_for_python(plan, markers())
    elif plan.lock:
        read_lock(plan, markers())


def read_lock(plan: Plan, environment: TomlTable) -> LockedPins:
    """Return what the plan's lock file wants installed, apart from the plan's own projects."""
    document = _load_for_python(plan, environment)
    read = _packages_of_uv_lock if plan.lock_kind == "uv.lock" else _packages_of_pylock
    try:
        packages = read(plan, document, environment)
        _refuse_if_stale(plan, packages, environment)
        options = _build_options(plan, environment)
        pins = LockedPins([], [], [])
        for name, package in packages.items():
            _add_pin(plan, name, package, pins, options.get(name, ""))
        _refuse_further_lines(pins.hashed + pins.unhashed)
        return pins
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        cause = "it lacks the key %s" % error if isinstance(error, KeyError) else str(error)
        raise _malformed_lock(plan.lock or "", cause) from error


def _refuse_further_lines(lines: "list[str]") -> None:
    """Refuse what would be further lines of the file that pip is given: an index, another requirement."""
    for line in lines:
        if len(line.splitlines()) > 1:
            raise ValueError("a value has a line break: %r" % line)


def _load_for_python(plan: Plan, environment: TomlTable) -> TomlTable:
    document = load_lock(plan.lock or "")
    wanted, python = document.get("requires-python"), environment["python_full_version"]
    # Else it would be written for the repository's own Python again.
    option = " --python " + environment["python_version"]
    if wanted and not SpecifierSet(wanted).contains(python):
        cause = "the lock is for Python %s, by requires-python, not for %s" % (wanted, python)
        raise _refused_lock(plan, cause, option=option)
    key = "supported-markers" if plan.lock_kind == "uv.lock" else "environments"
    markers = document.get(key, [])
    try:
        is_for_this = not markers or any(marker_holds(marker, environment) for marker in markers)
    except ValueError as error:
        raise _malformed_lock(plan.lock or "", str(error), (key,)) from error
    if not is_for_this:
        cause = "the lock is not for this interpreter, but for: " + "; ".join(markers)
        refused = _refused_lock(plan, cause, option=option)
        if plan.lock_kind == "uv.lock":
            refused.advice = "let environments, in [tool.uv], allow it, then run: " + plan.lock_command
        raise refused
    return document


def _refused_lock(plan: Plan, cause: str, place: "str | None" = None, option: str = "") -> InstallError:
    advice = "write the lock anew: %s (uv's serves every Python and platform, pip's its own)"
    return InstallError(cause, place or plan.lock, advice % (plan.lock_command + option))


def _packages_of_pylock(plan: Plan, document: TomlTable, environment: TomlTable) -> "dict[str, TomlTable]":
    extras = [extra for member in plan.members() for extra in member.extras]
    groups = [group for member in plan.members() for group in member.groups] + document.get("default-groups", [])
    chosen = dict(environment, extras=frozenset(map(normalized_name, extras)))
    chosen["dependency_groups"] = frozenset(map(normalized_name, groups))
    found = {}  # type: dict[str, TomlTable]
    for package in document.get("packages", []):
        if "marker" not in package or marker_holds(package["marker"], chosen):
            _choose(plan, found, normalized_name(package["name"]), package)
    return found


def _choose(plan: Plan, found: "dict[str, TomlTable]", name: str, package: TomlTable) -> None:
    if found.setdefault(name, package) is not package:
        raise _refused_lock(plan, "the lock has more than one %s for this interpreter" % name)


def _packages_of_uv_lock(plan: Plan, document: TomlTable, environment: TomlTable) -> "dict[str, TomlTable]":
    """Return, in PEP 751's form, what the plan's projects lead to."""
    if document.get("conflicts"):
        cause = "uv.lock declares conflicts, which only uv can resolve, with no index set"
        raise InstallError(cause, plan.lock, "set `lock` to a pylock.toml")
    _refuse_other_options(plan, document.get("options", {}))
    pending = [edge for member in plan.members() for edge in _edges_of_member(plan, document, member)]
    chosen, done = {}, set()  # type: dict[str, TomlTable], set[tuple[str, str]]
    while pending:
        edge = pending.pop()
        if "marker" in edge and not marker_holds(edge["marker"], environment):
            continue
        package = _package_of_edge(document, edge, environment)
        _choose(plan, chosen, package["name"], package)
        for extra in [""] + edge.get("extra", []):
            if (package["name"], extra) not in done:
                done.add((package["name"], extra))
                optional = package.get("optional-dependencies", {}).get(extra, [])
                pending += optional if extra else package.get("dependencies", [])
    return {name: _as_pylock(chosen[name]) for name in sorted(chosen)}


def _refuse_other_options(plan: Plan, options: TomlTable) -> None:
    # uv would resolve anew.
    for name, key, usual in _OPTIONS:
        told = "".join(plan.settings.get(name, [])[:1]), str(options.get(key, ""))
        # uv writes no zeros after the second.
        now, then = (re.sub(r"\.\d+(?=Z)", "", one) for one in told)
        is_moment = re.match(r"\d.*T.*Z", now)
        if (now in usual) != (then in usual) or (is_moment and now != then):
            cause = "uv.lock was resolved with another %s: %s, not %s"
            raise _refused_lock(plan, cause % (key, then or "none", now or "none"))


def _package_of_edge(document: TomlTable, edge: TomlTable, environment: TomlTable) -> TomlTable:
    found = []  # type: list[TomlTable]
    for package in document.get("package", []):
        fits = all(edge[key] == package.get(key) for key in ("name", "version", "source") if key in edge)
        markers = [] if "version" in edge else package.get("resolution-markers", [])
        if fits and (not markers or any(marker_holds(one, environment) for one in markers)):
            found.append(package)
    if len(found) != 1:
        raise ValueError("%d packages fit the dependency %s" % (len(found), edge["name"]))
    return found[0]


def _edges_of_member(plan: Plan, document: TomlTable, member: ProjectToInstall) -> "list[TomlTable]":
    base = os.path.dirname(plan.lock or "")
    for package in document.get("package", []):
        place = _place_of_source(package["source"])
        if place is not None and path_at(base, place) == member.path:
            edges = list(package.get("dependencies", []))
            for table, names in (("optional-dependencies", member.extras), ("dev-dependencies", member.groups)):
                known = {normalized_name(name): found for name, found in package.get(table, {}).items()}
                edges += [edge for name in names for edge in known.get(normalized_name(name), [])]
            return edges
    if member.path == base and not member.metadata.has_project_table:
        # The root of a workspace, which is no package itself.
        groups = document.get("manifest", {}).get("dependency-groups", {})
        return [edge for name in member.groups for edge in groups.get(name, [])]
    raise _refused_lock(plan, "the lock knows no project in %s" % member.path)


def _place_of_source(source: TomlTable) -> "str | None":
    return next((str(source[key]) for key in ("editable", "virtual", "directory") if key in source), None)


def _as_pylock(package: TomlTable) -> TomlTable:
    source = package["source"]
    entry = {key: package[key] for key in ("name", "version") if key in package}  # type: TomlTable
    files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
    hashes = [{"hashes": dict([one["hash"].split(":", 1)])} for one in files if "hash" in one]
    if "registry" in source:
        entry["wheels"] = hashes
    elif "git" in source:
        from urllib.parse import parse_qs, urlsplit

        # uv's form is https://host/repository?subdirectory=sub&rev=main#commit
        parts = urlsplit(source["git"])
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        vcs = {"type": "git", "url": parts._replace(query="", fragment="").geturl(), "commit-id": parts.fragment}
        vcs["requested-revision"] = asked.get("rev") or asked.get("tag") or asked.get("branch") or ""
        entry["vcs"] = dict(vcs, subdirectory=asked.get("subdirectory", ""))
    elif "url" in source or "path" in source:
        entry["archive"] = dict(source, hashes=hashes[0]["hashes"] if hashes else {})
    else:
        place = _place_of_source(source)
        entry["directory"] = {"path": place, "editable": "editable" in source, "is-virtual": "virtual" in source}
    return entry


def _refuse_if_stale(plan: Plan, packages: "dict[str, TomlTable]", environment: TomlTable) -> None:
    own = {project.metadata.normal_name for project in plan.projects()} | names_overridden(plan)
    asked = asked_of_plan(plan, environment, projects_only=plan.lock_kind == "uv.lock")
    asked = [(line, wanted) for line, wanted in asked if wanted.normal_name not in own]
    keys = ("override-dependencies", "constraint-dependencies")
    lines = [RequirementLine(text, key, 0, True) for key in keys for text in plan.settings.get(key, [])]
    asked += [(line, wanted) for line in lines for wanted in [line.requirement("")] if wanted]
    for line, wanted in asked:
        name, fault = wanted.normal_name, ""
        if not _is_meant_here(wanted, environment):
            continue
        if name in packages:
            fault = _fault_of_pin(plan, wanted, packages[name])
            hashes = re.findall(r"\bsha\d+:(\w+)", line.text)
            if hashes and not any(one in str(packages[name]) for one in hashes):
                fault = fault or "has no such hash for"
        elif not line.is_constraint:
            fault = "has no pin for"
        if fault:
            cause = "%s does not cover what is asked for: it %s `%s`"
            raise _refused_lock(plan, cause % (os.path.basename(plan.lock or ""), fault, line.text), line.place)


def _is_meant_here(wanted: Requirement, environment: TomlTable) -> bool:
    if not wanted.marker:
        return True
    try:
        return marker_holds(wanted.marker, environment)
    except ValueError:
        # It is no fault of the lock: who wrote that has read the marker.
        return False


def _fault_of_pin(plan: Plan, wanted: Requirement, package: TomlTable) -> str:
    version = package.get("version")
    try:
        if version and not SpecifierSet(wanted.specifier).contains(version):
            return "pins %s %s, which does not satisfy" % (package.get("name", wanted.name), version)
    except (InvalidSpecifier, InvalidVersion):
        pass  # The installer will say so.
    if not wanted.url:
        return ""
    from urllib.parse import unquote, urlsplit

    source, pinned = _source_of_pin(plan, package)
    asked, there = urlsplit(re.sub(r"^\w+\+", "", wanted.url)), urlsplit(pinned)
    place, revision = asked.path, ""
    if "vcs" in package and "@" in place:
        place, revision = place.rsplit("@", 1)
    is_same = (asked.hostname, unquote(place).rstrip("/")) == (there.hostname, unquote(there.path).rstrip("/"))
    if is_same and revision in (source.get("requested-revision", revision), source.get("commit-id")):
        return ""
    return "takes %s from %s instead of" % (wanted.name, pinned or "an index")


def _build_options(plan: Plan, environment: TomlTable) -> "dict[str, str]":
    """Return the settings that requirement files give to builds, by the names of what is built."""
    import shlex

    found = {}  # type: dict[str, str]
    for line, wanted in asked_of_plan(plan, environment):
        for value in line.parts.values("--config-settings"):
            before = found.get(wanted.normal_name, "")
            found[wanted.normal_name] = before + " --config-settings " + shlex.quote(value)
    return found


def _source_of_pin(plan: Plan, package: TomlTable) -> "tuple[TomlTable, str]":
    """Return what a package comes from instead of an index, and its URL."""
    source = package.get("directory") or package.get("vcs") or package.get("archive") or {}
    if not source:
        return source, ""
    base = os.path.dirname(plan.lock or "")
    place = path_at(base, source.get("path") or "")
    if "directory" in package:
        place = path_at(place, source.get("subdirectory") or "")
    if source.get("path") and (os.path.exists(place) or not source.get("url")):
        return source, file_url(place)
    # PDM writes this for the directory of the lock.
    return source, source.get("url", file_url(place)).replace("/${PROJECT_ROOT}", file_url(base)[len("file://") :])


def _add_pin(plan: Plan, name: str, package: TomlTable, pins: LockedPins, options: str) -> None:
    source, url = _source_of_pin(plan, package)
    subdirectory = "#subdirectory=" + source["subdirectory"] if source.get("subdirectory") else ""
    if "directory" in package:
        # The plan's own projects are installed after the pins; what is virtual is not installed.
        if not source.get("is-virtual") and url not in [file_url(member.path) for member in plan.members()]:
            # As a URL: in a requirement file, a path would end at its first space.
            pins.unhashed.append(("-e " if source.get("editable") else name + " @ ") + url + options)
        return
    if "vcs" in package:
        what = "%s @ %s+%s@%s%s" % (name, source["type"], url, source["commit-id"], subdirectory)
        pins.unhashed.append(what + options)
        return
    files = [source] if source else package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
    hashes = ["%s:%s" % pair for one in files for pair in one["hashes"].items()]
    # pip takes these only: a lock may have weaker ones beside them.
    strong = [one for one in dict.fromkeys(hashes) if one.startswith(("sha256:", "sha384:", "sha512:"))]
    if not strong:
        raise _refused_lock(plan, "the lock has no hash for %s" % name)
    if source:
        what = "%s @ %s%s" % (name, url, subdirectory)
    else:
        what = "%s==%s" % (name, _version_of(package, files))
        _add_links(plan, files, pins)
    pins.hashed.append(" ".join([what + options] + ["--hash=" + one for one in strong]))


def _version_of(package: TomlTable, files: "list[TomlTable]") -> str:
    """Return a package's version, which may be told by the names of its files alone."""
    if "version" in package:
        version = str(package["version"])
        # Behind it stand options, and on the next line whatever an installer takes: a lock adds neither.
        if not re.match(r"[\w.!+-]+\Z", version):
            raise ValueError("%r is not a version" % version)
        return version
    for one in files:
        name = one.get("name") or os.path.basename(one.get("path") or one.get("url") or "")
        found = re.match(r"[^-]+-([^-]+)-.*\.whl$", name) or re.match(r".+-([^-]+?)\.(?:tar\.\w+|tgz|zip)$", name)
        if found:
            return found.group(1)
    raise KeyError("version")


def _add_links(plan: Plan, files: "list[TomlTable]", pins: LockedPins) -> None:
    """Add the directories of files that lie on this host: which of them fits, the installer knows."""
    for one in files:
        place = one.get("path") or ""
        if not place and str(one.get("url")).startswith("file:"):
            place = path_of_file_url(one["url"])
        path = path_at(os.path.dirname(plan.lock or ""), place)
        directory = file_url(os.path.dirname(path))
        if place and os.path.isfile(path) and directory not in pins.links:
            pins.links.append(directory)
