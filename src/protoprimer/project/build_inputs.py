"""What the build of a project reads."""

import os
import re
from typing import Any, Iterator

from protoprimer.formats.requirements import normalized_name
from protoprimer.project.inputs import Inputs
from protoprimer.project.metadata import METADATA_FILES, ProjectMetadata, read_project
from protoprimer.project.python_source import literals_of, parsed_source, paths_in_source
from protoprimer.system.files import has_file, is_within, names_in, path_at, text_of
from protoprimer.system.paths import with_parents
from protoprimer.system.platform import first_line_of
from protoprimer.version import MARK_LINE

__all__ = ["add_project_inputs", "local_sources", "member_directories"]

_TEXT_FILE = r"[\w./-]+\.(txt|in|toml|cfg|ini|json|py)\Z"
# Who takes a version from the repository's tags.
_VERSION_FROM_TAGS = r"[-_](vcs|scm|versioning)\b|\b(pbr|dunamai|versioneer|versioningit)\b|[\"']git[\"' ]"
_COMPILED = (
    r"(?!.*[/\\]target[/\\]).*(\.(c|cc|cmake|cpp|cxx|cu|f90|h|hh|hpp|hxx|pxd|pxi|pyx|rs)"
    r"|[/\\](CMakeLists\.txt|Cargo\.toml|meson(\.build|\.options|_options\.txt)))"
)

_IS_COMPILED = r"(ext|cffi).modules|cythonize|Extension\(|maturin|'(CMakeLists.txt|Cargo.toml|meson.build)'"
_OF_CARGO = ("Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/config.toml")


def add_project_inputs(path: str, editable: bool, inputs: Inputs) -> None:
    """Add what decides how a project and its sources are built."""
    if os.path.isfile(path) or (path.endswith((".whl", ".tar.gz", ".zip")) and not os.path.isdir(path)):
        inputs.add(path)
        return
    if (path, editable) in inputs.projects:
        return
    inputs.projects.add((path, editable))
    inputs.add(*(os.path.join(path, name) for name in METADATA_FILES))
    metadata = inputs.metadata[path] if path in inputs.metadata else read_project(path)
    if metadata is None:
        return
    if not editable:
        inputs.add_matching(path, "**")
    _add_named_by_metadata(metadata, inputs)
    _add_read_by_scripts(metadata, editable, inputs)
    _add_cache_keys(metadata, inputs)
    _add_version(metadata, inputs)
    _add_packages(metadata, inputs)
    for source, is_editable in local_sources(metadata):
        add_project_inputs(source, is_editable, inputs)
    for member in member_directories(metadata, inputs):
        add_project_inputs(member, True, inputs)


def member_directories(metadata: "ProjectMetadata | None", inputs: "Inputs | None" = None) -> "list[str]":
    """Return the directories of the members of the workspace whose root this project is."""
    if metadata is None or not metadata.table("tool", "uv", "workspace"):
        return []
    found = []
    for key, noted in (("members", inputs or Inputs()), ("exclude", Inputs())):
        patterns = [os.path.join(one, "pyproject.toml") for one in metadata.strings("tool", "uv", "workspace", key)]
        files = [path for one in patterns for path in noted.add_matching(metadata.directory, one)]
        found.append(list(dict.fromkeys(map(os.path.dirname, files))))
    return [path for path in found[0] if path not in found[1]]


def local_sources(metadata: ProjectMetadata) -> "Iterator[tuple[str, bool]]":
    """Yield the paths of dependencies, and whether these are editable."""
    for table in (metadata.uv_sources, metadata.table("tool", "poetry", "dependencies")):
        for source in (one for entry in table.values() for one in (entry if isinstance(entry, list) else [entry])):
            if isinstance(source, dict) and isinstance(source.get("path"), str):
                yield path_at(metadata.directory, source["path"]), bool(source.get("editable"))
    for path in re.findall("{root:uri}/([^\"'; ]+)", str(metadata.data)):
        yield path_at(metadata.directory, path), False


def _add_named_by_metadata(metadata: ProjectMetadata, inputs: Inputs) -> None:
    named = {"file": [], "attr": []}  # type: dict[str, list[str]]
    builders = normalized_name(" ".join(metadata.build_requires) or "setuptools")
    for tool, table in metadata.table("tool").items():
        if normalized_name(tool) in builders and isinstance(table, dict):
            version = table.get("version")
            path = version.get("path") if isinstance(version, dict) else None
            if isinstance(path, str) and not re.search("pattern|expression|'code'", str(version)):
                _add_value(os.path.join(metadata.directory, path), ("__version__", "VERSION"), inputs)
                table = dict(table, version=None)
            named["file"] += [one for one in _strings_under(table) if not one.endswith(".py")]
            named["file"] += _strings_under(table, "file", "path")
            named["attr"] += [one.replace(":", ".") for one in _strings_under(table, "attr", "getter")]
    for value in [value for section in metadata.setup_cfg.values() for value in section.values()]:
        kind, colon, rest = value.strip().partition(":")
        if colon and kind in named:
            named[kind] += filter(None, map(str.strip, re.split(r"[,\n]", rest)))
    for name in named["attr"]:
        _add_attribute(metadata, name, inputs)
    for name in named["file"]:
        path = path_at(metadata.directory, name)
        if os.path.isfile(path) or re.match(_TEXT_FILE, name):
            inputs.add(path)


def _strings_under(value: Any, *keys: str, key: str = "") -> "list[str]":
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else [(key, one) for one in value]
        return [found for inner, one in items for found in _strings_under(one, *keys, key=inner)]
    return [value] if isinstance(value, str) and (key in keys or not keys) else []


def _add_attribute(metadata: ProjectMetadata, name: str, inputs: Inputs) -> None:
    # Such as `package.module.__version__`.
    module, _, attribute = name.strip().rpartition(".")
    path = module.replace(".", os.sep)
    for base in ("", "src", "lib"):
        for one in (path + ".py", os.path.join(path, "__init__.py")):
            file = os.path.join(metadata.directory, base, one)
            if module and os.path.isfile(file):
                _add_value(file, (attribute,), inputs)


def _add_value(file: str, names: "tuple[str, ...]", inputs: Inputs) -> None:
    """Add the value of the first of these names, all of the module where that is computed."""
    values = literals_of(parsed_source(file))
    name = next((name for name in names if name in values), names[0])
    if values.get(name) is None:
        inputs.add(file)
    else:
        inputs.add_fact("%s in %s" % (name, file), repr(values[name]), file)


def _add_read_by_scripts(metadata: ProjectMetadata, editable: bool, inputs: Inputs) -> None:
    directory = metadata.directory
    names = ["setup.py", "hatch_build.py", "pdm_build.py"]
    names += _strings_under(metadata.table("tool", "poetry").get("build"), "build", "script", key="build")
    names += _strings_under(metadata.table("tool", "hatch"), "path")
    paths = [os.path.join(directory, name) for name in names]
    for one in metadata.strings("build-system", "backend-path"):
        paths += inputs.add_matching(os.path.join(directory, one), "*.py" if one in (".", "") else "**/*.py")
    inputs.add(*paths)
    # A kernel beside a build's scripts: what its strings name is no part of the build.
    scripts = [path for path in paths if os.path.isfile(path) and MARK_LINE not in text_of(path).splitlines()]
    for path in scripts:
        reading = str(re.findall(".*(?:environ|getenv).*", text_of(path).replace('"', "'")))
        for named in paths_in_source(path):
            _add_named(directory, named, editable, inputs)
            # They differ between terminals.
            if named.isupper() and "'%s'" % named in reading and named not in ("PATH", "VIRTUAL_ENV"):
                inputs.add_variable(named)
    scripts.append(metadata.pyproject)
    if re.search(_IS_COMPILED, "".join(map(text_of, scripts)) + str(names_in(directory))):
        _add_compiled(directory, scripts, inputs)


def _add_compiled(directory: str, scripts: "list[str]", inputs: Inputs) -> None:
    # Named nowhere; what lies beside the project is named by `../`.
    places = [directory]
    for place in places:
        files = Inputs().add_matching(place, "**")
        generated = [file[:-3] + end for file in files if file.endswith(".pyx") for end in ("c", "cpp", "h")]
        found = set(filter(re.compile(_COMPILED).fullmatch, files)).difference(generated)
        inputs.add(*found)
        crates = [one for one in with_parents(place) if has_file(one, "Cargo.toml")]
        inputs.add(*(os.path.join(one, name) for one in crates for name in _OF_CARGO))
        for file in found.union(scripts):
            for named in re.findall(r"(?:\.\./)+\w[\w./-]*", text_of(file)):
                path = path_at(file, "..", named)
                if os.path.isfile(path):
                    inputs.add(path)
                    path = os.path.dirname(path)
                is_known = any(is_within(path, one) for one in places) or is_within(directory, path)
                places += [path] * (os.path.isdir(path) and not is_known)


def _add_named(directory: str, named: str, editable: bool, inputs: Inputs) -> None:
    path = path_at(directory, named)
    if "*" in named:
        inputs.add_matching(directory, named, skips_packages=editable)
    elif os.path.isdir(path):
        if is_within(path, directory) and path != directory:
            files = Inputs().add_matching(path, "**", skips_packages=editable)
            # A module counts where it is imported.
            inputs.add(*(file for file in files if not (editable and file.endswith(".py"))))
            inputs.matched.update(files)
            inputs.look_at(path)
    elif os.path.isfile(path) or (re.match(_TEXT_FILE, named) and is_within(path, directory)):
        inputs.add(path)


def _add_cache_keys(metadata: ProjectMetadata, inputs: Inputs) -> None:
    keys = metadata.table("tool", "uv").get("cache-keys", [])
    for key in keys if isinstance(keys, list) else []:
        for kind, value in key.items() if isinstance(key, dict) else [("file", key)]:
            path = os.path.join(metadata.directory, str(value))
            if kind == "git" and value:
                _add_commit(metadata.directory, inputs)
            elif kind == "file":
                inputs.add_matching(metadata.directory, str(value))
            elif kind == "dir":
                inputs.add_fact("the directory " + path, names_in(path), path)
            elif kind == "env":
                inputs.add_variable(str(value))


def _add_version(metadata: ProjectMetadata, inputs: Inputs) -> None:
    scripts = [text_of(metadata.directory, name) for name in METADATA_FILES[1:]]
    words = metadata.build_requires + list(metadata.table("tool")) + scripts
    is_from_tags = re.search(_VERSION_FROM_TAGS, " ".join(words))
    if is_from_tags or metadata.table("tool", "pdm", "version").get("source") == "scm":
        _add_commit(metadata.directory, inputs)
        told = "SETUPTOOLS_SCM_PRETEND_VERSION"
        for name in (told, "%s_FOR_%s" % (told, metadata.normal_name.replace("-", "_").upper()), "PBR_VERSION"):
            inputs.add_variable(name)
    if metadata.build_backend.startswith("flit") and metadata.dynamic:
        module = metadata.table("tool", "flit", "module").get("name") or metadata.module
        for name in ("__doc__", "__version__"):
            _add_attribute(metadata, "%s.%s" % (module, name), inputs)


def _add_commit(directory: str, inputs: Inputs) -> None:
    places = [os.path.join(one, ".git") for one in with_parents(directory)]
    place = next(filter(os.path.exists, places), places[-1])
    if os.path.isfile(place):
        # A worktree's.
        place = path_at(place, "..", first_line_of(place).partition("gitdir:")[2].strip())
    head = os.path.join(place, "HEAD")
    common = path_at(place, first_line_of(os.path.join(place, "commondir")))
    reference = os.path.join(common, first_line_of(head).partition("ref:")[2].strip())
    inputs.add(head, os.path.join(common, "packed-refs"), reference, os.path.join(directory, ".git_archival.txt"))
    for one in ("refs/tags", "reftable"):
        inputs.add_matching(os.path.join(common, one), "**")


def _add_packages(metadata: ProjectMetadata, inputs: Inputs) -> None:
    # An editable project leads to its code; setuptools may list packages.
    lists_all = metadata.is_package and metadata.build_backend.startswith("setuptools")
    for place in [".", "src"] + _strings_under(metadata.table("tool", "setuptools"), "where"):
        path, found, files = path_at(metadata.directory, place), Inputs(), []
        for pattern in ["*/*.py", "*/*/*.py"] if lists_all else metadata.places_of_code:
            files += found.add_matching(path, pattern)
        packages = {os.path.relpath(file, path).split(os.sep)[0]: file for file in reversed(files)}
        inputs.kept.update(packages.values())
        behind_links = set(map(os.path.realpath, packages.values())).difference(packages.values())
        found.looked_at -= set(map(os.path.dirname, files))
        inputs.add_fact(
            "the packages in " + path, sorted(packages) + sorted(behind_links), *found.looked_at, *found.absent
        )
