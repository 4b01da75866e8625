"""Which Python the repository wants, and where it says so."""

import os
from typing import Iterable, Iterator, NamedTuple

from protoprimer.errors import ConfigurationError, no_such_file
from protoprimer.formats.versions import InvalidSpecifier, PythonRequest, parse_python_request, python_version_line
from protoprimer.project.metadata import ProjectMetadata
from protoprimer.project.plan import Plan
from protoprimer.settings.configuration import Configuration
from protoprimer.system.paths import is_of_a_stranger, with_parents

__all__ = ["RequiredPython", "required_python_of"]

OLDEST_SUPPORTED_PYTHON = ">=3.6"


class RequiredPython(NamedTuple):
    """What the repository wants; its `str()` is where it says so, empty where it does not."""

    request: PythonRequest
    # Within the range of each project that is installed: an installer would refuse others.
    narrowed: PythonRequest
    sources: "list[str | ProjectMetadata]"
    files: "list[str]"
    absent_files: "list[str]"
    # Why a project's own statement could not be taken.
    note: "str | None"

    def __str__(self) -> str:
        return _places_of(self.sources)


def required_python_of(config: Configuration, plan: Plan) -> RequiredPython:
    """Return what is asked for: by `python`, `.python-version`, the projects' ranges, in this order.

    :raises ConfigurationError: that is no Python, or there is no such selector
    """
    selector = config.text("python-selector")
    if selector and not os.path.isfile(config.path_of(selector)):
        raise no_such_file(selector, config.place_of("python-selector"))
    files = _version_files(config.root)
    present = next(filter(os.path.isfile, files), None)
    # One that appears nearer than the first counts from then on.
    absent = files[: files.index(present)] if present else files
    members = plan.workspace()
    asking = plan.all_metadata() + (members if len(members) > 1 else [])
    projects = asking or members
    text, sources = _python_that_is_asked_for(config, projects, present)
    note = next((project.requires_python_note for project in projects if not sources), None)
    try:
        request = parse_python_request(text)
        ranges = [*_ranges_of(asking).items(), *_ranges_of_groups(plan)]
        narrowing = {text: source for text, source in ranges if text not in request.text}
        sources += narrowing.values()
        narrowed = request.narrowed(list(narrowing))
    except InvalidSpecifier as error:
        raise ConfigurationError(str(error), _places_of(sources)) from None
    if not request.specifiers.admits_some_python():
        cause = "the range %s contradicts itself: no Python is in it" % request.text
        raise ConfigurationError(cause, _places_of(sources), "write a range such as >=3.8,<4")
    return RequiredPython(request, narrowed, sources, [present] if present else [], absent, note)


def _version_files(root: str) -> "list[str]":
    # It counts up to the repository's root, and up to home; the nearest first.
    home, directories = os.path.realpath(os.path.expanduser("~")), with_parents(root)
    ends = [one for one in directories if os.path.exists(os.path.join(one, ".git"))] + [root]
    last = home if home in directories else ends[0]
    files = [os.path.join(one, ".python-version") for one in directories[: directories.index(last) + 1]]
    return files[:1] + [path for path in files[1:] if not is_of_a_stranger(path, root)]


def _python_that_is_asked_for(
    config: Configuration, projects: "list[ProjectMetadata]", version_file: "str | None"
) -> "tuple[str, list[str | ProjectMetadata]]":
    if config.get("python"):
        return config.get("python"), [config.place_of("python")]
    if version_file is not None:
        with open(version_file, encoding="utf-8-sig", errors="replace") as stream:
            asked, number = python_version_line(stream.read())
        if asked:
            return asked, ["%s:%d" % (config.place_in(version_file), number)]
    ranges = _ranges_of(projects)
    return (",".join(ranges), list(ranges.values())) if ranges else (OLDEST_SUPPORTED_PYTHON, [])


def _ranges_of(projects: "Iterable[ProjectMetadata]") -> "dict[str, str | ProjectMetadata]":
    return {project.requires_python: project for project in projects if project.requires_python}


def _ranges_of_groups(plan: Plan) -> "Iterator[tuple[str, str | ProjectMetadata]]":
    for member in plan.members():
        groups = list(member.groups)
        # It grows while it is read.
        for group in groups:
            keys = ("tool", "uv", "dependency-groups", group)
            text = member.metadata.text(*keys, "requires-python")
            if text:
                yield text, member.metadata.place(*keys)
            groups += [one["include-group"] for one in member.metadata.groups[group] if isinstance(one, dict)]


def _places_of(sources: "list[str | ProjectMetadata]") -> str:
    told = [str(one if isinstance(one, str) else one.requires_python_place) for one in sources]
    return ", ".join(dict.fromkeys(told))
