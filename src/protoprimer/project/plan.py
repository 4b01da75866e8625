"""What is to be installed, in which order, and from which inputs."""

import json
import os
import re
from contextlib import suppress
from typing import Iterable, NamedTuple, Tuple

from protoprimer.errors import ConfigurationError, first_of, no_such_file, which_are_known
from protoprimer.formats.requirements import normalized_name, read_requirement
from protoprimer.formats.toml import TomlTable, load_toml
from protoprimer.project.build_inputs import add_project_inputs, member_directories
from protoprimer.project.inputs import Inputs, has_wildcard
from protoprimer.project.metadata import METADATA_FILES, ProjectMetadata, expand_group, read_project
from protoprimer.project.requirement_files import (
    RequirementLine,
    add_requirement_lines,
    lines_of_arguments,
    lines_of_file,
)
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT, Configuration
from protoprimer.system.files import has_file, path_at, text_of

__all__ = [
    "NO_STEP",
    "InstallStep",
    "LockChoice",
    "NothingChosenError",
    "Plan",
    "ProjectToInstall",
    "check_choices",
    "globs_of",
    "item_of_glob",
    "lines_of_groups",
    "make_plan",
    "patterns_of",
    "projects_below",
    "prompt_label",
    "requirements_of_member",
]

_NAMES_TOLD = 8
# Projects of others, and test data.
_NOT_OURS = frozenset(["site-packages", "test", "tests"])


class NothingChosenError(ConfigurationError):
    """Nothing says which of the projects below are to be installed."""


class ProjectToInstall(NamedTuple):
    """A project, with the extras and dependency groups that are asked for."""

    path: str
    editable: bool
    extras: "list[str]"
    groups: "list[str]"
    metadata: ProjectMetadata

    def requirement(self) -> str:
        """Return `/clone/[test,docs]`."""
        # The slash: a directory's name may end in what looks like extras, or in a space.
        return self.path + "/" + ("[%s]" % ",".join(self.extras) if self.extras else "")


class InstallStep(NamedTuple):
    """What goes to the installer in one command.

    :param lines: what groups, and members that are no packages, require
    """

    members: "list[ProjectToInstall]"
    requirements: "list[str]"
    constraints: "list[str]"
    args: "list[str]"
    lines: "list[str]"

    @property
    def projects(self) -> "list[ProjectToInstall]":
        """The packages among the members."""
        return [member for member in self.members if member.metadata.is_package]

    def lines_of_files(self, root: str) -> "list[RequirementLine]":
        found = [line for path in self.requirements for line in lines_of_file(path, root)]
        found += [line for path in self.constraints for line in lines_of_file(path, root, is_constraint=True)]
        return found + list(lines_of_arguments(self.args, root))

    def lines_of_projects(self, root: str) -> "list[RequirementLine]":
        places = {}  # type: dict[str, str]
        for one in self.members:
            places.update((text, one.metadata.pyproject) for text in lines_of_groups(one) + requirements_of_member(one))
        texts = [text for one in self.members for text in requirements_of_member(one)] + self.lines
        first = self.members[0].metadata.pyproject if self.members else root
        return [RequirementLine(text, places.get(text, first)) for text in dict.fromkeys(texts)]


NO_STEP = InstallStep([], [], [], [], [])


class LockChoice(NamedTuple):
    """The lock file to install from, if there is one; the command line that writes the one at `to_write`.

    :param looked_for: the files on which the choice depends: the one found, and those that come before it
    """

    path: "str | None"
    to_write: str
    command: str
    looked_for: Tuple[str, ...] = ()


_NO_LOCK = LockChoice(None, "", "./prime lock")


class Plan:
    """What is to be installed, from which pins.

    :param resolution: as for `uv pip install --resolution`
    :param settings: `IndexSettings.facts`
    :param patterns: of further files that count
    :param is_configured: whether the configuration says what is to be installed
    :param rebuild: build projects although an earlier build would do
    """

    def __init__(
        self,
        root: str,
        steps: "list[InstallStep]",
        lock: LockChoice = _NO_LOCK,
        build_constraints: "str | None" = None,
        seed_pip: bool = False,
        resolution: str = "highest",
        settings: "dict[str, list[str]] | None" = None,
        patterns: Iterable[str] = (),
        is_configured: bool = False,
        rebuild: bool = False,
    ) -> None:
        self.root = root
        self.steps = steps
        self.lock, self.lock_to_write, self.lock_command, self._locks_looked_for = lock
        self.build_constraints = build_constraints
        self.seed_pip = seed_pip
        self.resolution = resolution
        self.settings = settings or {}
        self.patterns = patterns
        self.is_configured = is_configured
        self.rebuild = rebuild
        self._inputs = None  # type: Inputs | None
        self._workspace = None  # type: list[ProjectMetadata] | None

    @property
    def lock_kind(self) -> "str | None":
        return self.lock and ("uv.lock" if os.path.basename(self.lock) == "uv.lock" else "pylock.toml")

    def from_scratch(self) -> "Plan":
        from copy import copy

        anew = copy(self)
        anew.rebuild = True
        return anew

    @property
    def hint(self) -> "str | None":
        """What is left out since it cannot be read."""
        return "; ".join(note for one in self.all_metadata() for note in one.unread_groups) or None

    def members(self) -> "list[ProjectToInstall]":
        return [member for step in self.steps for member in step.members]

    def projects(self) -> "list[ProjectToInstall]":
        return [project for step in self.steps for project in step.projects]

    def all_metadata(self) -> "list[ProjectMetadata]":
        return [member.metadata for member in self.members()]

    def workspace(self) -> "list[ProjectMetadata]":
        """What the root's project and the members of its workspace say."""
        if self._workspace is None:
            root = read_project(self.root)
            self._workspace = [one for one in [root] + list(map(read_project, member_directories(root))) if one]
        return self._workspace

    def summary(self) -> str:
        parts = [project.metadata.name or os.path.basename(project.path) for project in self.projects()]
        for step in self.steps:
            parts += step.requirements + [arg for arg in step.args if not arg.startswith("-")]
        parts = first_of(parts, _NAMES_TOLD)
        lines = sum(len(step.lines) for step in self.steps)
        parts += ["%d requirement%s" % (lines, "s" * (lines > 1))] * (lines > 0)
        return self._with_pins(", ".join(parts))

    def told_as_installed(self, distributions: Iterable[str]) -> str:
        """Return a summary of what was installed, the plan's own projects first."""
        own = [project.metadata.normal_name for project in self.projects()]
        names = sorted(distributions, key=lambda name: (name not in own, name))
        told = names[:_NAMES_TOLD] + ["..."] * (len(names) > _NAMES_TOLD)
        count = " (%d package%s)" % (len(names), "s" * (len(names) > 1)) if names else ""
        return self._with_pins(", ".join(told), count)

    def _with_pins(self, told: str, count: str = "") -> str:
        pins = " from %s" % self.lock if self.lock else ""
        return (told or "nothing") + count + pins

    def paths_in_lock(self) -> "list[tuple[str, bool]]":
        """Return what lies on this host, and whether it is editable."""
        lock = self.lock or ""
        text = text_of(lock)
        if self.lock_kind == "uv.lock":
            # uv alone writes it, always in this form; to read it whole takes as long as `uv sync`.
            named = re.findall(r'\b(path|directory|editable) *= *"([^"]+)"(, *editable *= *true)?', text)
            return [(path_at(lock, "..", path), key == "editable" or mark != "") for key, path, mark in named]
        if not re.search(r"\b(path|directory)\b", text):
            return []
        found = []
        # What is wrong with it is told where it is installed from.
        with suppress(ConfigurationError, AttributeError, TypeError):
            for package in load_toml(lock).get("packages", []):
                found += _places_of_package(package, os.path.dirname(lock))
        return found

    def inputs(self) -> Inputs:
        if self._inputs is not None:
            return self._inputs
        found = Inputs()
        found.metadata.update({one.directory: one for one in self.workspace() + self.all_metadata()})
        names = METADATA_FILES + ("requirements.txt",)
        found.add(*(os.path.join(self.root, name) for name in names))
        # The lock of another environment is no input of this one.
        found.add(*self._locks_looked_for)
        for path, editable in self.paths_in_lock() + [(member.path, member.editable) for member in self.members()]:
            add_project_inputs(path, editable, found)
        for path in member_directories(found.metadata.get(self.root), found):
            add_project_inputs(path, True, found)
        for step in self.steps:
            add_requirement_lines(step.lines_of_files(self.root), self.root, found)
        if self.build_constraints:
            add_requirement_lines(lines_of_file(self.build_constraints, self.root), self.root, found)
        for pattern in self.patterns:
            found.add_matching(self.root, pattern)
        self._inputs = found
        return found


def _places_of_package(package: TomlTable, base: str) -> "list[tuple[str, bool]]":
    source = package.get("directory")
    if source is not None:
        place = path_at(base, source.get("path", ""), source.get("subdirectory") or "")
        return [(place, bool(source.get("editable")))]
    files = [package.get("archive", {}), package.get("sdist", {})] + package.get("wheels", [])
    return [(path_at(base, one["path"]), False) for one in files if one.get("path")]


def make_plan(
    configuration: Configuration,
    settings: "dict[str, list[str]] | None" = None,
    lock_must_exist: bool = True,
    rebuild: bool = False,
) -> Plan:
    """Return what the configuration, or without any the repository itself, asks to be installed."""
    configured = configuration.get("install")  # type: list[TomlTable] | None
    asked = _default_steps(configuration) if configured is None else configured
    steps = [_step(configuration, step) for step in asked]
    globs = [item["path"] for step in configured or [] for item in step["projects"] if has_wildcard(item["path"])]
    build_constraints = configuration.text("build-constraints")
    if build_constraints:
        build_constraints = _existing_file(configuration, "build-constraints", build_constraints)
    return Plan(
        configuration.root,
        steps,
        _chosen_lock(configuration, any(step.members for step in steps), lock_must_exist),
        build_constraints=build_constraints,
        seed_pip=configuration.get("seed-pip"),
        resolution=configuration.get("resolution"),
        settings=settings,
        patterns=[os.path.join(one, name) for one in globs for name in METADATA_FILES],
        is_configured=configured is not None,
        rebuild=rebuild,
    )


def _default_steps(configuration: Configuration) -> "list[TomlTable]":
    """Return what uv, pdm and poetry would install; without a project the requirement file."""
    root = configuration.root
    metadata = read_project(root)
    projects, files = [root], []  # type: list[str], list[str]
    if metadata is None or not (metadata.is_package or metadata.dependencies):
        has_table = metadata is not None and metadata.has_project_table
        projects = [path for path in member_directories(metadata) if path != root and not has_table]
        files = [os.path.join(root, "requirements.txt")] * (has_file(root, "requirements.txt") and not projects)
        projects += [root] if metadata is not None and metadata.default_groups else []
        below = [] if projects or files or has_table else projects_below(root)
        if below:
            named = ", ".join(first_of(below, _NAMES_TOLD))
            cause = "the configuration does not say which projects to install: " + named
            advice = "write in %s: install = [{ projects = [%s] }] (or install = [], to install nothing)"
            place = configuration.place_in(*configuration.client)
            raise NothingChosenError(cause, None, advice % (place, ", ".join(globs_of(root, below))))
    defaults = {"editable": True, "extras": [], "groups": [], "default-groups": True}
    items = [dict(defaults, path=path) for path in projects]
    step: TomlTable = {"projects": items, "requirements": files, "constraints": [], "args": []}
    return [step] if items or files else []


def projects_of_glob(root: str, pattern: str) -> "list[str]":
    """Return the projects that a pattern such as `packages/*` means."""
    files = [one for name in METADATA_FILES for one in Inputs().add_matching(root, os.path.join(pattern, name))]
    return sorted(set(map(os.path.dirname, files)))


def projects_below(root: str) -> "list[str]":
    """Return the projects one or two levels below `root`, relative to it."""
    found = []  # type: list[str]
    for path in projects_of_glob(root, "*") + projects_of_glob(root, "*/*"):
        parts = os.path.relpath(path, root).split(os.sep)
        if not _NOT_OURS.intersection(parts) and parts[0] not in found:
            found.append("/".join(parts))
    return sorted(found)


def globs_of(root: str, below: "list[str]") -> "list[str]":
    """Return these projects as items of `install`, a glob for those of one directory."""
    return [item_of_glob(root, path) for path in patterns_of(below)]


def patterns_of(below: "list[str]") -> "list[str]":
    """Return patterns that mean these projects, one for those of one directory."""
    return list(dict.fromkeys(os.path.dirname(path) + "/*" if "/" in path else path for path in below))


def item_of_glob(root: str, path: str) -> str:
    """Return an item of `install`, with the default groups that all of its projects have."""
    # One that cannot be read is told once it is chosen.
    with suppress(ConfigurationError):
        found = list(filter(None, (read_project(os.path.join(root, one)) for one in projects_of_glob(root, path))))
        wanted = dict.fromkeys(group for one in found for group in one.default_groups)
        # A group that one of them lacks would be refused.
        groups = [group for group in wanted if all(group in one.groups for one in found)]
        if groups:
            return '{ path = "%s", groups = %s }' % (path, json.dumps(groups))
    return '"%s"' % path


def _step(configuration: Configuration, step: TomlTable) -> InstallStep:
    members = []
    for item in step["projects"]:
        paths = [item["path"]]
        if has_wildcard(item["path"]) and not os.path.isdir(configuration.path_of(item["path"])):
            paths = projects_of_glob(configuration.root, item["path"])
        if not paths:
            cause = "no project matches %s" % item["path"]
            raise configuration.error("install", cause, "correct the pattern, or take it out of `install`")
        members += [_project(configuration, configuration.path_of(path), item) for path in paths]
    requirements = [_existing_file(configuration, "install", path) for path in step["requirements"]]
    constraints = [_existing_file(configuration, "install", path) for path in step["constraints"]]
    # Expanded here, as older installers know no groups.
    lines = _without_references_to(members, [line for member in members for line in lines_of_groups(member)])
    for member in members:
        lines += [] if member.metadata.is_package else requirements_of_member(member)
    return InstallStep(members, requirements, constraints, step["args"], list(dict.fromkeys(lines)))


def _project(configuration: Configuration, path: str, item: TomlTable) -> ProjectToInstall:
    if not os.path.isdir(path):
        cause = "the project directory %s does not exist" % path
        raise configuration.error("install", cause, "correct `path`, or take the project out of `install`")
    metadata = read_project(path)
    if metadata is None:
        cause = "%s is not a project: it has no pyproject.toml, setup.py or setup.cfg" % path
        raise configuration.error("install", cause, "name a project's directory in `path`")
    check_choices(configuration, "install", metadata, item["extras"], item["groups"])
    groups = (metadata.default_groups if item.get("default-groups") else []) + item["groups"]
    return ProjectToInstall(path, item["editable"], list(item["extras"]), list(dict.fromkeys(groups)), metadata)


def check_choices(
    configuration: Configuration,
    key: str,
    metadata: ProjectMetadata,
    extras: "list[str]",
    groups: "list[str]",
    known_extras: "Iterable[str] | None" = None,
) -> None:
    """Refuse extras and groups that the project has not; a build may know more extras."""
    if known_extras is None:
        known_extras = metadata.extras if metadata.extras_are_static else extras
    for kind, wanted, known in (("extra", extras, known_extras), ("dependency group", groups, metadata.groups)):
        for name in wanted:
            if normalized_name(name) not in map(normalized_name, known):
                cause = "the project %s has no %s `%s`" % (metadata.name or metadata.directory, kind, name)
                raise configuration.error(key, cause, which_are_known(name, known))


def _existing_file(configuration: Configuration, key: str, path: str) -> str:
    absolute = configuration.path_of(path)
    if not os.path.isfile(absolute):
        raise no_such_file(absolute, configuration.place_of(key))
    return absolute


def _without_references_to(members: "list[ProjectToInstall]", lines: "list[str]") -> "list[str]":
    """Turn lines such as `proj[test]` into extras of the member `proj`: an index has none, or a foreign one."""
    by_name = {member.metadata.normal_name: member for member in members}
    kept = []
    for line in lines:
        asked = read_requirement(line)
        member = by_name.get(asked.normal_name) if asked else None
        if asked is None or member is None or asked.specifier or asked.url or asked.marker:
            kept.append(line)
        else:
            member.extras.extend(extra for extra in asked.extras if extra not in member.extras)
    return kept


def lines_of_groups(member: ProjectToInstall) -> "list[str]":
    """Return what the chosen dependency groups of a project require."""
    return [line for group in member.groups for line in expand_group(member.metadata, group)]


def requirements_of_member(member: ProjectToInstall) -> "list[str]":
    """Return the dependencies of a project with those of its chosen extras."""
    lines = list(member.metadata.dependencies)
    extras = {normalized_name(name): found for name, found in member.metadata.extras.items()}
    # An extra may name further extras of its own project: the list grows while it is read.
    for extra in member.extras:
        lines += _without_references_to([member], extras.get(normalized_name(extra), []))
    return lines


def _chosen_lock(configuration: Configuration, has_projects: bool, must_exist: bool) -> LockChoice:
    # A cell of a matrix has a name of its own behind it.
    name, cell = configuration.environment_name, "." + str(configuration.cell.get("name"))
    name = name[: -len(cell)] if name.endswith(cell) else name
    table = configuration.leaps["env"] if name != DEFAULT_ENVIRONMENT else {}
    own = "pylock.%s.toml" % name.replace(".", "-") if {"install", "python"} & set(table) else "pylock.toml"
    path, command = configuration.path_of(own), "./prime lock" + (" -e " + name) * (name != DEFAULT_ENVIRONMENT)
    if configuration.get("lock") is False or configuration.get("resolution") != "highest":
        return LockChoice(None, path, command)
    configured = configuration.text("lock")
    if configured:
        path = configuration.path_of(configured)
        if not re.match(r"(uv\.lock|pylock(\..+)?\.toml)$", os.path.basename(path)):
            cause, advice = "%s is not a lock file of a known kind", "name it uv.lock, pylock.toml or pylock.NAME.toml"
            raise configuration.error("lock", cause % configured, advice)
        if must_exist and not os.path.isfile(path):
            raise configuration.error("lock", "the lock file %s does not exist" % path, "write it: " + command)
        return LockChoice(path, path, command, (path,))
    is_same = table.get("install") in (None, configuration.leaps["client"].get("install"))
    # uv.lock pins projects: where none is installed it is somebody else's.
    names = [own] + ["pylock.toml"] * is_same + ["uv.lock"] * has_projects
    found = None
    looked_for = []
    for candidate in map(configuration.path_of, names):
        looked_for.append(candidate)
        if os.path.isfile(candidate):
            found = candidate
            break
    to_write = path
    if found is not None and found.endswith("uv.lock"):
        to_write = found
    return LockChoice(found, to_write, command, tuple(looked_for))


def prompt_label(configuration: Configuration) -> str:
    """Return what marks a prompt: project and environment."""
    project, name = read_project(configuration.root), configuration.environment_name
    label = (project.name if project else None) or os.path.basename(configuration.root)
    return re.sub(r"[^\w.+@:-]", "_", label + (":" + name if name != DEFAULT_ENVIRONMENT else ""))
