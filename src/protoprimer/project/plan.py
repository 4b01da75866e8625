"""What is to be installed, in which order, and from which inputs."""

import os

from protoprimer.errors import nearest_name
from protoprimer.formats.requirements import normalized_project_name, read_requirement
from protoprimer.project.build_inputs import add_project_inputs, member_directories
from protoprimer.project.defaults import NothingChosenError, globs_of, projects_below, projects_of_glob
from protoprimer.project.direct_references import with_sources
from protoprimer.project.inputs import Inputs, has_wildcard
from protoprimer.project.metadata import METADATA_FILES, expand_group, read_project
from protoprimer.project.requirement_files import add_requirement_file, add_requirement_line
from protoprimer.settings.configuration import DEFAULT_ENVIRONMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from protoprimer.project.metadata import ProjectMetadata
    from protoprimer.settings.configuration import Configuration

__all__ = [
    "InstallStep",
    "Plan",
    "ProjectToInstall",
    "check_choices",
    "make_plan",
    "requirements_of_member",
]


_NAMES_TOLD = 8


class ProjectToInstall:
    """A project of this repository that is to be installed.

    :param path: its directory
    :param editable: whether its sources stay in place
    :param extras: its extras to install, in the order asked for
    :param groups: its dependency groups (PEP 735) to install
    :param metadata: what its metadata files say
    """

    def __init__(
        self, path: str, editable: bool, extras: "list[str]", groups: "list[str]", metadata: "ProjectMetadata"
    ) -> None:
        self.path = path
        self.editable = editable
        self.extras = list(extras)
        self.groups = list(groups)
        self.metadata = metadata

    def requirement(self) -> str:
        """Return the path with its extras, as installers take it, such as `/clone/[test,docs]`."""
        # So that what a directory's name ends in is no list of extras, and no space at the end of a line.
        return self.path + "/" + ("[%s]" % ",".join(self.extras) if self.extras else "")


class InstallStep:
    """What goes to the installer in one command.

    :param projects: packages of this repository
    :param requirements: requirement files
    :param constraints: constraint files
    :param args: further requirements and options, as written
    :param lines: requirements the kernel expanded from groups, and from projects that are no packages
    :param members: every project named, those that are no packages included
    """

    def __init__(
        self,
        projects: "list[ProjectToInstall]",
        requirements: "list[str]",
        constraints: "list[str]",
        args: "list[str]",
        lines: "list[str]",
        members: "list[ProjectToInstall]",
    ) -> None:
        self.projects = projects
        self.requirements = requirements
        self.constraints = constraints
        self.args = args
        self.lines = lines
        self.members = members


class Plan:
    """What is to be installed, from which pins.

    :param lock: the lock file to install from, or `None`; `lock_kind` is `uv.lock`, `pylock.toml` or `None`
    :ivar lock_to_write: the lock file that `lock` writes, `lock_command` the command line that does
    :param build_constraints: constraint file of isolated builds, or `None`
    :param seed_pip: whether pip is put into the environment
    :param hint: what is left out since it cannot be read, else `None`
    """

    def __init__(
        self,
        root: str,
        steps: "list[InstallStep]",
        lock: "str | None",
        build_constraints: "str | None" = None,
        seed_pip: bool = False,
        hint: "str | None" = None,
    ) -> None:
        self.root = root
        self.steps = steps
        self.lock = lock
        self.lock_kind = _kind_of_lock(lock) if lock else None
        self.build_constraints = build_constraints
        self.seed_pip = seed_pip
        self.hint = hint
        self.lock_to_write = lock or os.path.join(root, "pylock.toml")
        self.lock_command = "./prime lock"
        # Which versions are taken where nothing pins them, as for `uv pip install --resolution`.
        self.resolution = "highest"
        # Whether the configuration says what is to be installed.
        self.is_configured = False
        # Further files, as globs.
        self.watch = []  # type: list[str]
        self.project_patterns = []  # type: list[str]
        self._inputs = None  # type: Inputs | None
        # Whether projects are built although an earlier build would do: for a start from scratch.
        self.rebuild = False

    def from_scratch(self) -> "Plan":
        """Return the same plan, whose projects are built although an earlier build would do."""
        import copy

        anew = copy.copy(self)
        anew.rebuild = True
        return anew

    def projects(self) -> "list[ProjectToInstall]":
        """Return the packages of all steps."""
        return [project for step in self.steps for project in step.projects]

    def all_metadata(self) -> "list[ProjectMetadata]":
        """Return the metadata of every project named, those that are no packages included."""
        return [member.metadata for step in self.steps for member in step.members]

    def summary(self) -> str:
        """Return what is installed in a few words, for the line of the step that does it."""
        parts = [project.metadata.name or os.path.basename(project.path) for project in self.projects()]
        parts += [os.path.relpath(path, self.root) for step in self.steps for path in step.requirements]
        parts += [arg for step in self.steps for arg in step.args if not arg.startswith("-")]
        lines = len([line for step in self.steps for line in step.lines])
        if lines:
            parts.append("%d requirement%s" % (lines, "" if lines == 1 else "s"))
        pins = " from %s" % os.path.relpath(self.lock, self.root) if self.lock else ""
        return (", ".join(parts) or "nothing") + pins

    def told_as_installed(self, distributions: "Iterable[str]") -> str:
        """Return what was installed in a few words: how many distributions, the plan's own projects first."""
        own = [normalized_project_name(project.metadata.name or "") for project in self.projects()]
        names = sorted(distributions, key=lambda name: (name not in own, name))
        told = names[:_NAMES_TOLD] + ["..."] * (len(names) > _NAMES_TOLD)
        count = " (%d package%s)" % (len(names), "" if len(names) == 1 else "s") if names else ""
        pins = " from %s" % os.path.relpath(self.lock, self.root) if self.lock else ""
        return (", ".join(told) or "nothing") + count + pins

    def inputs(self) -> Inputs:
        """Return what the plan is a function of.

        :raises ConfigurationError: a requirement file names one that does not exist (exit 3)
        """
        if self._inputs is None:
            self._inputs = self._found_inputs()
        return self._inputs

    def local_wheels(self) -> "list[str]":
        """Return the wheels in this repository that may have been built anew under the same name."""
        return [path for path in self.inputs().present if path.endswith(".whl")]

    def _found_inputs(self) -> Inputs:
        found = Inputs()
        names = METADATA_FILES + ("pylock.toml", "uv.lock", "requirements.txt")
        found.add(*(os.path.join(self.root, name) for name in names))
        found.add(*(path for path in (self.lock, self.lock_to_write, self.build_constraints) if path))
        members = [member for step in self.steps for member in step.members]
        for member in members:
            add_project_inputs(member.path, member.editable, found)
        root = read_project(self.root)
        for path in member_directories(root, found) if root is not None else []:
            add_project_inputs(path, True, found)
        for step in self.steps:
            for path in step.requirements + step.constraints:
                add_requirement_file(path, self.root, found)
            options = [word + " " for word in step.args if word.startswith("-")]
            for before, word in zip([""] + step.args, step.args):
                add_requirement_line(
                    (before + " " if before + " " in options else "") + word, self.root, self.root, found
                )
        if self.build_constraints:
            add_requirement_file(self.build_constraints, self.root, found)
        for pattern in self.watch + self.project_patterns:
            found.add_matching(self.root, pattern)
        return found


def make_plan(configuration: "Configuration", lock_must_exist: bool = True) -> Plan:
    """Return what the configuration, or without any the repository itself, asks to be installed.

    :param lock_must_exist: false for the command that writes the lock
    :raises ConfigurationError: a file, directory, extra or group that is named does not exist (exit 3)
    """
    root = configuration.root
    configured = configuration.get("install")  # type: Any
    if configured is None:
        steps = _default_steps(root)
    else:
        steps = [_configured_step(configuration, step) for step in configured]
    build_constraints = configuration.text("build-constraints")
    plan = Plan(
        root,
        steps,
        _lock_file(configuration, steps, lock_must_exist),
        _existing_file(configuration, "build-constraints", build_constraints) if build_constraints else None,
        configuration.get("seed-pip"),
        "; ".join(note for step in steps for member in step.members for note in member.metadata.unread_groups) or None,
    )
    plan.resolution = configuration.get("resolution")
    plan.lock_command, plan.lock_to_write = _lock_command(configuration), _lock_to_write(configuration, plan.lock)
    plan.watch = configuration.texts("watch")
    plan.project_patterns = _patterns_of_projects(configuration)
    plan.is_configured = configured is not None
    return plan


def _default_steps(root: str) -> "list[InstallStep]":
    """Return what uv, pdm and poetry would install; without a project the requirement file."""
    metadata = read_project(root)
    if metadata is not None and (metadata.is_package or metadata.dependencies):
        return [_step([_default_project(metadata)])]
    members = member_directories(metadata) if metadata is not None and not metadata.has_project_table else []
    found = [member for member in map(read_project, members) if member is not None and member.directory != root]
    files = [] if found else list(filter(os.path.isfile, [os.path.join(root, "requirements.txt")]))
    found += [metadata] if metadata is not None and metadata.default_groups else []
    below = [] if found or files or (metadata and metadata.has_project_table) else projects_below(root)
    if below:
        cause = "nothing says which of the projects here are to be installed: " + ", ".join(below)
        advice = "write in protoprimer.toml: install = [{ projects = [%s] }] (or install = [], to install nothing)"
        raise NothingChosenError(cause, root, advice % ", ".join(globs_of(below)))
    return [_step(list(map(_default_project, found)), files)] if found or files else []


def _default_project(metadata: "ProjectMetadata") -> ProjectToInstall:
    return ProjectToInstall(metadata.directory, True, [], metadata.default_groups, metadata)


def _configured_step(configuration: "Configuration", step: "dict[str, Any]") -> InstallStep:
    members = []
    for item in step.get("projects") or []:
        members += [_configured_project(configuration, one) for one in _without_globs(configuration, item)]
    files = {
        key: [_existing_file(configuration, "install", path) for path in step.get(key) or []]
        for key in ("requirements", "constraints")
    }
    return _step(members, files["requirements"], files["constraints"], step.get("args") or [])


def _patterns_of_projects(configuration: "Configuration") -> "list[str]":
    """Return patterns of the files by which a further project would appear that a glob of `install` means."""
    items = [item for step in configuration.get("install") or [] for item in step["projects"]]
    paths = [item["path"] for item in items if has_wildcard(item["path"])]
    return [os.path.join(path, name) for path in paths for name in METADATA_FILES]


def _without_globs(configuration: "Configuration", item: "dict[str, Any]") -> "list[dict[str, Any]]":
    if not has_wildcard(item["path"]) or os.path.isdir(configuration.path_of(item["path"])):
        return [item]
    paths = projects_of_glob(configuration.root, item["path"])
    if not paths:
        cause = "no project is found by %s" % item["path"]
        raise configuration.error("install", cause, "correct the pattern, or take it out of `install`")
    return [dict(item, path=path) for path in paths]


def _configured_project(configuration: "Configuration", item: "dict[str, Any]") -> ProjectToInstall:
    path = configuration.path_of(item["path"])
    if not os.path.isdir(path):
        cause = "the project directory %s does not exist" % path
        raise configuration.error("install", cause, "correct `path`, or take the project out of `install`")
    metadata = read_project(path)
    if metadata is None:
        cause = "%s is no project: it has neither pyproject.toml nor setup.py nor setup.cfg" % path
        raise configuration.error("install", cause, "name a project's directory in `path`")
    extras = list(item.get("extras") or [])
    groups = list(item.get("groups") or [])
    if item.get("default-groups"):
        groups = metadata.default_groups + [name for name in groups if name not in metadata.default_groups]
    check_choices(configuration, "install", metadata, extras, groups)
    return ProjectToInstall(path, item.get("editable", True), extras, groups, metadata)


def check_choices(
    configuration: "Configuration", key: str, metadata: "ProjectMetadata", extras: "list[str]", groups: "list[str]"
) -> None:
    """Refuse extras and groups that the project has not.

    :raises ConfigurationError: the value of `key` names such (exit 3)
    """
    known_extras = metadata.extras if metadata.extras_are_static else extras
    for kind, wanted, known in (("extra", extras, known_extras), ("dependency group", groups, metadata.groups)):
        normal = {normalized_project_name(name): name for name in known}
        for name in wanted:
            if normalized_project_name(name) not in normal:
                near = nearest_name(normalized_project_name(name), list(normal))
                advice = "did you mean %s? " % normal[near] if near else ""
                advice += "known %ss: %s" % (kind, ", ".join(sorted(known)) or "none")
                raise configuration.error(
                    key, "the project %s has no %s `%s`" % (metadata.directory, kind, name), advice
                )


def _step(
    members: "list[ProjectToInstall]",
    requirements: "list[str] | None" = None,
    constraints: "list[str] | None" = None,
    args: "list[str] | None" = None,
) -> InstallStep:
    # Groups are expanded here, so that an installer that knows none installs the same as one that does.
    lines = []  # type: list[str]
    for member in members:
        for group in member.groups:
            lines += with_sources(member.metadata, expand_group(member.metadata, group))
    lines = _without_references_to(members, lines)
    for member in members:
        if not member.metadata.is_package:
            lines += with_sources(member.metadata, requirements_of_member(member))
    packages = [member for member in members if member.metadata.is_package]
    return InstallStep(packages, requirements or [], constraints or [], args or [], _unique(lines), members)


def _without_references_to(members: "list[ProjectToInstall]", lines: "list[str]") -> "list[str]":
    """Turn lines such as `proj[test]` into extras of the member `proj`: an index has none, or a foreign one."""
    by_name = {normalized_project_name(member.metadata.name): member for member in members if member.metadata.name}
    kept = []
    for line in lines:
        asked = read_requirement(line)
        member = by_name.get(normalized_project_name(asked.name)) if asked else None
        if asked is None or member is None or asked.specifier or asked.url or asked.marker:
            kept.append(line)
        else:
            member.extras += [extra for extra in asked.extras if extra not in member.extras]
    return kept


def requirements_of_member(member: ProjectToInstall) -> "list[str]":
    """Return the dependencies of a project with those of its extras that are asked for, as its metadata files say."""
    lines = list(member.metadata.dependencies)
    extras = {normalized_project_name(name): found for name, found in member.metadata.extras.items()}
    done = 0
    # An extra may name further extras of its own project: the list grows while it is read.
    while done < len(member.extras):
        lines += _without_references_to([member], extras.get(normalized_project_name(member.extras[done]), []))
        done += 1
    return lines


def _unique(items: "list[str]") -> "list[str]":
    return list(dict.fromkeys(items))


def _existing_file(configuration: "Configuration", key: str, path: str) -> str:
    absolute = configuration.path_of(path)
    if not os.path.isfile(absolute):
        raise configuration.error(key, "the file %s does not exist" % absolute, "create it, or correct its path")
    return absolute


def _kind_of_lock(path: str) -> "str | None":
    name = os.path.basename(path)
    if name == "uv.lock":
        return "uv.lock"
    is_pylock = name == "pylock.toml" or (name.startswith("pylock.") and name.endswith(".toml"))
    return "pylock.toml" if is_pylock else None


def _lock_file(configuration: "Configuration", steps: "list[InstallStep]", must_exist: bool) -> "str | None":
    if configuration.get("lock") is False or configuration.get("resolution") != "highest":
        return None
    configured = configuration.text("lock")
    if configured:
        path = configuration.path_of(configured)
        if _kind_of_lock(path) is None:
            advice = "name it uv.lock, pylock.toml or pylock.NAME.toml"
            raise configuration.error("lock", "%s is no lock file of a known kind" % configured, advice)
        if must_exist and not os.path.isfile(path):
            raise configuration.error(
                "lock", "the lock file %s does not exist" % path, "write it: " + _lock_command(configuration)
            )
        return path
    own, is_same = _lock_of_environment(configuration)
    # uv.lock pins projects: where none is installed it is somebody else's.
    names = [own] + ["pylock.toml"] * is_same + ["uv.lock"] * any(step.members for step in steps)
    paths = [os.path.join(configuration.root, name) for name in names]
    return next((path for path in paths if os.path.isfile(path)), None)


def _lock_of_environment(configuration: "Configuration") -> "tuple[str, bool]":
    """Return the name of the selected environment's own lock, and whether it installs the same as `default`."""
    name = _name_in_configuration(configuration)
    table = configuration.leaps["env"] if name != DEFAULT_ENVIRONMENT else {}
    own = "pylock.%s.toml" % name.replace(".", "-") if {"install", "python"} & set(table) else "pylock.toml"
    return own, table.get("install") in (None, configuration.leaps["client"].get("install"))


def _lock_to_write(configuration: "Configuration", lock: "str | None") -> str:
    if lock and (configuration.text("lock") or os.path.basename(lock) == "uv.lock"):
        return lock
    return os.path.join(configuration.root, _lock_of_environment(configuration)[0])


def _lock_command(configuration: "Configuration") -> str:
    name = _name_in_configuration(configuration)
    return "./prime lock" + (" -e " + name) * (name != DEFAULT_ENVIRONMENT)


def _name_in_configuration(configuration: "Configuration") -> str:
    # A cell of a matrix has a name of its own behind it.
    cell = "." + str((configuration.cell or {}).get("name"))
    name = configuration.environment_name
    return name[: -len(cell)] if name.endswith(cell) else name
