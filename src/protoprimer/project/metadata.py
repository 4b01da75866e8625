"""What a project's metadata files say, read without running them."""

import os
import re
from typing import Any

from protoprimer.errors import ConfigurationError, which_are_known
from protoprimer.formats.requirements import normalized_name, read_requirement
from protoprimer.formats.toml import TomlPath, TomlTable, load_toml, place_of_key
from protoprimer.formats.versions import InvalidSpecifier, SpecifierSet, poetry_python_range
from protoprimer.project.python_source import arguments_of_setup, parsed_source
from protoprimer.system.files import content_of, has_file, read_configured

__all__ = ["METADATA_FILES", "ProjectMetadata", "expand_group", "read_project"]

METADATA_FILES = ("pyproject.toml", "setup.cfg", "setup.py")


class ProjectMetadata:
    """What the metadata files of one directory say; what they do not say is empty.

    :ivar requires_python_note: why a range of Pythons that is there could not be read
    :ivar is_package: whether an installer can install it; else only its dependencies can be
    :ivar groups: dependency groups as written, and development groups of other tools
    :ivar unread_groups: a sentence for each group that could not be read
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.pyproject = os.path.join(directory, "pyproject.toml")
        self.has_pyproject = os.path.isfile(self.pyproject)
        self.data = load_toml(self.pyproject) if self.has_pyproject else {}
        self.has_project_table = "project" in self.data
        self.has_build_system = "build-system" in self.data
        self.build_backend = self.text("build-system", "build-backend") or "setuptools"
        self.build_requires = self.strings("build-system", "requires")
        self.name = self.text("project", "name")
        self.dynamic = self.strings("project", "dynamic")
        self.dependencies = self.strings("project", "dependencies")
        extras = ("project", "optional-dependencies")
        self.extras = {extra: self.strings(*extras, extra) for extra in self.table(*extras)}
        scripts = dict(self.table("tool", "poetry", "scripts"), **self.table("project", "scripts"))
        self.scripts = {name: entry for name, entry in scripts.items() if isinstance(entry, str)}
        self.groups = dict(self.table("dependency-groups"))
        self.default_groups = []  # type: list[str]
        self.unread_groups = []  # type: list[str]
        self.uv_sources = self.table("tool", "uv", "sources")
        self.requires_python = None  # type: str | None
        self.requires_python_note = None  # type: str | None
        self._range_place = None  # type: tuple[str, ...] | str | None
        self.is_package = False
        self.module = ""
        self.places_of_code = []  # type: list[str]
        self.setup_cfg = _setup_cfg_sections(os.path.join(directory, "setup.cfg"))
        self.has_setup_py = has_file(directory, "setup.py")
        computed = {"dependencies", "optional-dependencies"} & set(self.dynamic)
        self.has_dynamic_dependencies = bool(computed) or not self.has_project_table
        is_static = self.has_project_table or "poetry" in self.table("tool")
        self.extras_are_static = is_static and "optional-dependencies" not in computed

    @property
    def normal_name(self) -> str:
        return normalized_name(self.name or "")

    @property
    def requires_python_place(self) -> "str | None":
        return self.place(*self._range_place) if isinstance(self._range_place, tuple) else self._range_place

    def take_range(self, text: "str | None", place: "tuple[str, ...] | str") -> None:
        """Take a range of Pythons unless an earlier file told one."""
        if text is not None and self.requires_python is None and self.requires_python_note is None:
            self.requires_python, self._range_place = text.strip(), place

    def place(self, *keys: "str | int") -> str:
        return place_of_key(self.pyproject, keys) if self.has_pyproject else self.directory

    def error(self, cause: str, keys: TomlPath, advice: str = "correct the key") -> ConfigurationError:
        return ConfigurationError(cause, self.place(*keys), advice)

    def table(self, *keys: str) -> TomlTable:
        """Return a table of `pyproject.toml`, empty if absent."""
        found = self.data  # type: Any
        for end, key in enumerate(keys, 1):
            found = found.get(key, {})
            if not isinstance(found, dict):
                raise self.error("a table is expected", keys[:end])
        return found  # type: ignore[no-any-return]

    def strings(self, *keys: str) -> "list[str]":
        found = self.table(*keys[:-1]).get(keys[-1], [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.error("a list of strings is expected", keys)
        return found

    def text(self, *keys: str) -> "str | None":
        found = self.table(*keys[:-1]).get(keys[-1])
        if found is not None and not isinstance(found, str):
            raise self.error("a string is expected", keys, "put it in quotes")
        return found


def read_project(directory: str) -> "ProjectMetadata | None":
    """Return what the metadata files in `directory` say, `None` without any."""
    if not any(has_file(directory, name) for name in METADATA_FILES):
        return None
    project = ProjectMetadata(directory)
    project.take_range(project.text("project", "requires-python"), ("project", "requires-python"))
    _read_poetry(project)
    _read_development_groups(project)
    _read_setup_cfg(project)
    if project.has_setup_py and (project.name is None or project.requires_python is None):
        _read_setup_py(project)
    project.is_package = _is_package(project)
    try:
        SpecifierSet(project.requires_python or "")
    except InvalidSpecifier as error:
        raise ConfigurationError(str(error), project.requires_python_place) from None
    return project


def _read_poetry(project: ProjectMetadata) -> None:
    project.name = project.name or project.text("tool", "poetry", "name")
    for extra in project.table("tool", "poetry", "extras"):
        project.extras.setdefault(extra, project.strings("tool", "poetry", "extras", extra))
    keys = ("tool", "poetry", "dependencies", "python")
    wanted = project.table(*keys[:-1]).get("python")
    wanted = wanted.get("version") if isinstance(wanted, dict) else wanted
    if isinstance(wanted, str) and project.requires_python is None:
        try:
            translated = poetry_python_range(wanted)
        except InvalidSpecifier as error:
            raise project.error(str(error), keys) from None
        project.take_range(translated, keys)
        if translated is None:
            project.requires_python_note = "%r in %s has no equal in PEP 440" % (wanted, project.place(*keys))


def _read_development_groups(project: ProjectMetadata) -> None:
    keys = ("tool", "poetry", "group")
    found = [("uv", "dev", project.strings("tool", "uv", "dev-dependencies"))]  # type: list[tuple[str, str, Any]]
    found += [("pdm", name, entries) for name, entries in project.table("tool", "pdm", "dev-dependencies").items()]
    found += [("poetry", name, project.table(*keys, name).get("dependencies")) for name in project.table(*keys)]
    found.append(("poetry", "dev", project.table("tool", "poetry").get("dev-dependencies")))
    defaults = [name for name in project.groups if normalized_name(name) == "dev"]
    for tool, name, entries in found:
        if not entries:
            continue
        if isinstance(entries, dict):
            lines: TomlTable = {key: _poetry_requirement(key, value) for key, value in entries.items()}
        else:
            lines = {str(one): one for one in (entries if isinstance(entries, list) else [[entries]])}
        odd = [key for key, line in lines.items() if not (isinstance(line, str) and read_requirement(line))]
        if odd:
            text = "the group %s of %s is not installed, since its entry %s has no equal in PEP 508"
            project.unread_groups.append(text % (name, tool, odd[0]))
            continue
        project.groups[name] = list(project.groups.get(name, [])) + list(lines.values())
        if tool != "poetry" or not project.table(*keys, name).get("optional"):
            defaults.append(name)
    uv = project.table("tool", "uv")
    if uv.get("default-groups") == "all":
        defaults = list(project.groups)
    elif "default-groups" in uv:
        defaults = project.strings("tool", "uv", "default-groups")
    project.default_groups = list(dict.fromkeys(defaults))


def _poetry_requirement(name: str, wanted: Any) -> "str | None":
    """Return poetry's form of a requirement in PEP 508's, if that can say the same."""
    wanted = {"version": wanted} if isinstance(wanted, str) else wanted
    if not isinstance(wanted, dict) or set(wanted) - {"version", "extras", "markers"} or "version" not in wanted:
        return None
    version = str(wanted["version"])
    # Of a Python, "3.8" means each 3.8; of a package, just that version.
    try:
        versions = "==" + version if version[:1].isdigit() and "," not in version else poetry_python_range(version)
    except InvalidSpecifier:
        return None
    extras = "[%s]" % ",".join(wanted["extras"]) if wanted.get("extras") else ""
    marker = "; %s" % wanted["markers"] if wanted.get("markers") else ""
    return None if versions is None or "|" in version else name + extras + versions + marker


def _setup_cfg_sections(path: str) -> "dict[str, dict[str, str]]":
    """Return the sections, none if all of them are other tools' than setuptools."""
    if not os.path.isfile(path):
        return {}
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        text = read_configured(path).decode("utf-8", "replace")
        if "[metadata]" in text or "[options]" in text:
            parser.read_string(text, path)
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or getattr(error, "errors", [(1, "")])[0][0]
        cause = "the file is not valid: `key = value` or `[section]` is expected"
        raise ConfigurationError(cause, "%s:%d" % (path, line), "correct the file") from None
    return {name: {key.replace("-", "_"): value for key, value in parser.items(name)} for name in parser.sections()}


def _read_setup_cfg(project: ProjectMetadata) -> None:
    name = project.setup_cfg.get("metadata", {}).get("name")
    project.name = project.name or (name if name and ":" not in name else None)
    wanted = project.setup_cfg.get("options", {}).get("python_requires")
    if wanted:
        path = os.path.join(project.directory, "setup.cfg")
        line = re.split(rb"(?m)^python[-_]requires", content_of(path))[0].count(b"\n") + 1
        project.take_range(wanted, "%s:%d (options.python_requires)" % (path, line))
    told = project.setup_cfg.get("options.entry_points", {}).get("console_scripts", "")
    project.scripts = dict(re.findall(r"(\S+?)\s*=\s*(\S.*)", told), **project.scripts)


def _read_setup_py(project: ProjectMetadata) -> None:
    path = os.path.join(project.directory, "setup.py")
    tree = parsed_source(path)
    if tree is None:
        if project.requires_python is None:
            project.requires_python_note = "%s cannot be read by this Python" % path
        return
    arguments = arguments_of_setup(tree)
    name, (wanted, line) = arguments.get("name", (None, 0))[0], arguments.get("python_requires", (None, 0))
    project.name = project.name or (name if isinstance(name, str) else None)
    if isinstance(wanted, str):
        project.take_range(wanted, "%s:%d (python_requires)" % (path, line))
    elif project.requires_python is None and (None in arguments or b"python_requires" in content_of(path)):
        project.requires_python_note = "python_requires in %s is computed" % path


def _is_package(project: ProjectMetadata) -> bool:
    """Decide as pip and uv do; where they differ, by whether the code is where setuptools looks."""
    module = project.module = re.sub("[-.]", "_", project.name or "src")
    places = ["src", module, module.lower(), module + ".py"]
    project.places_of_code = [one + end for one in places for end in ("", "/*.py", "/*/*.py")]
    explicit = project.table("tool", "uv").get("package", project.table("tool", "poetry").get("package-mode"))
    if isinstance(explicit, bool) and (project.has_project_table or "poetry" in project.table("tool")):
        return explicit
    is_for_setuptools = project.build_backend.startswith("setuptools")
    if project.has_setup_py or (project.has_build_system and (project.has_project_table or not is_for_setuptools)):
        return True
    if not project.has_project_table:
        return project.has_pyproject and bool(project.setup_cfg)
    found = any(os.path.exists(os.path.join(project.directory, place)) for place in places)
    return found or bool(project.table("tool", "setuptools"))


def expand_group(
    project: ProjectMetadata, group: str, above: "tuple[str, ...]" = (), keys: TomlPath = ("dependency-groups",)
) -> "list[str]":
    """Return the requirements of a dependency group (PEP 735).

    :param above: the groups that include it; `keys` lead to where they do
    """
    names = {}  # type: dict[str, str]
    for name in project.groups:
        first = names.setdefault(normalized_name(name), name)
        if first != name:
            cause = "the dependency groups %s and %s have the same normal name" % (first, name)
            raise project.error(cause, ("dependency-groups", name), "rename one of them")
    name = names.get(normalized_name(group), "")
    if not name:
        raise project.error("there is no dependency group " + group, keys, which_are_known(group, names.values()))
    if name in above:
        cycle = " -> ".join(above[above.index(name) :] + (name,))
        raise project.error("dependency groups include each other: " + cycle, keys, "take one inclusion out")
    entries, keys = project.groups[name], ("dependency-groups", name)
    if not isinstance(entries, list):
        raise project.error("a dependency group is a list", keys, 'write %s = ["package"]' % name)
    requirements = []
    for index, entry in enumerate(entries):
        if isinstance(entry, str) and read_requirement(entry):
            requirements.append(entry)
            continue
        included = entry.get("include-group") if isinstance(entry, dict) and len(entry) == 1 else None
        if not isinstance(included, str):
            cause = "the entry %r of a dependency group is invalid" % (entry,)
            raise project.error(cause, keys + (index,), 'write "package>=1" or {include-group = "name"}')
        requirements += expand_group(project, included, above + (name,), keys + (index,))
    return requirements
