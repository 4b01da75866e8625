"""What an author runs once: `init` puts the entry script and the kernel into a repository, `entry` another script."""

import fnmatch
import os
import re

from protoprimer.authoring.entry import KINDS, entry_main, entry_text, relative_path
from protoprimer.authoring.header import kernel_version
from protoprimer.authoring.kernel import kernel_text
from protoprimer.errors import ConfigurationError, UsageError
from protoprimer.formats.versions import Version
from protoprimer.project.metadata import console_entry, read_project
from protoprimer.project.plan import make_plan
from protoprimer.pythons.required_python import RequiredPython, required_python_of
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import Configuration, read_configuration
from protoprimer.system.console import Console
from protoprimer.system.files import write_atomically
from protoprimer.system.platform import is_windows
from protoprimer.version import VERSION

__all__ = ["add_entry", "initialise", "refuse_foreign_file"]

ENTRY_NAME = "prime"
KERNEL_NAME = "proto_kernel.py"
# Where a kernel lies that must not be taken for a module of the project.
_ASIDE = "tools"
# Directories that setuptools takes for no package of a project, as its documentation lists them.
_NO_PACKAGES = frozenset(
    [
        "ci", "bin", "debian", "doc", "docs", "documentation", "manpages", "news", "newsfragments", "changelog", "test",
        "tests", "unit_test", "unit_tests", "example", "examples", "scripts", "tools", "util", "utils", "python",
        "build", "benchmark", "benchmarks", "exercise", "exercises", "htmlcov", "tasks",
    ]
)  # fmt: skip
# Patterns that leave out a link as well as a directory; `.venv/` matches directories only.
_IGNORING_LINK = frozenset([".venv", "/.venv", "**/.venv", ".venv*", "/.venv*", ".*", "/.*"])
_PERMISSION_ADVICE = "check who may write there"
_FORCE_ADVICE = "move it away, or overwrite it with --force"


def initialise(directory: str, console: Console, force: bool = False) -> None:
    """Write `prime` and the kernel into the repository at `directory`, and tell what was found there.

    :param force: overwrite files of these names that are not ours
    :raises UsageError: exit code 2: there is no such directory
    :raises ConfigurationError: exit code 3: a file stands in the way, cannot be written, or says nonsense
    """
    directory = os.path.abspath(directory)
    if not os.path.isdir(directory):
        raise UsageError("there is no directory %s" % directory, None, "name the repository's directory")
    entry, kernel_name = os.path.join(directory, ENTRY_NAME), _kernel_place(directory)
    kernel = os.path.join(directory, *kernel_name.split("/"))
    configuration = _configuration(entry, kernel)
    found, main = _description(directory, configuration)
    if "/" in kernel_name:
        found.append(("kernel", "in %s, as the build would take one beside it for a module of the project" % _ASIDE))
    kept = _earlier_entry(entry, force)
    _refuse_other_kernel(kernel, force)
    main = (entry_main(kept) if kept else None) or main
    state = relative_path(configuration.state_directory, directory)
    scripts = [(ENTRY_NAME, entry_text("boot", main, kernel_name, state))]
    scripts.append((kernel_name, kernel_text()))
    found += [("line ends", told) for told in [_line_ends_to_keep(entry)] if told]
    ignored = [] if _ignores_link(os.path.join(directory, ".gitignore")) else [".gitignore"]
    for name in [ENTRY_NAME, kernel_name, *ignored]:
        # All of it before any is written: what fails halfway leaves a repository with half of it.
        _refuse_unwritable(os.path.join(directory, name))
    written = [name for name, content in scripts if _write_script(os.path.join(directory, name), content)]
    for name in ignored:
        _ignore_link(os.path.join(directory, name))
    written += ignored
    for label, value in found + [("main", main or "none: ./prime only makes the environment ready")]:
        console.say("%-14s%s" % (label + ":", value))
    console.say("%-14s%s" % ("written:", ", ".join(written) or "nothing, all of it is there already"))
    steps = ["git add " + " ".join([ENTRY_NAME, kernel_name, *ignored])]
    if is_windows():
        steps = ["git add --chmod=+x %s %s" % (ENTRY_NAME, kernel_name)] + ["git add " + name for name in ignored]
    steps.append("python " + ENTRY_NAME if is_windows() else "./" + ENTRY_NAME)
    for label, step in zip(["next:"] + [""] * len(steps), steps):
        console.say("%-14s%s" % (label, step))


def _kernel_place(directory: str) -> str:
    """Return where a repository's kernel lies, with `/`: where one is, else in the root unless that breaks a build.

    setuptools, and pdm, look for modules themselves where no package and no list of them is there. A kernel beside the
    only module of a project makes two, which setuptools refuses; alone it would be built into the wheel.
    """
    aside = _ASIDE + "/" + KERNEL_NAME
    places = [place for place in (KERNEL_NAME, aside) if os.path.isfile(os.path.join(directory, *place.split("/")))]
    return places[0] if places else aside if _finds_modules_itself(directory) else KERNEL_NAME


def _finds_modules_itself(directory: str) -> bool:
    project = read_project(directory)
    if project is None or not project.is_package:
        return False
    backend = project.text("build-system", "build-backend") or "setuptools"
    if not backend.startswith(("setuptools", "pdm")) or os.path.isdir(os.path.join(directory, "src")):
        return False
    listed = {"packages", "py-modules", "py_modules"}.intersection(project.table("tool", "setuptools"))
    texts = [_text_of(os.path.join(directory, name)) or "" for name in ("setup.cfg", "setup.py")]
    if listed or any(re.search(r"\b(packages|py_modules)\b", text) for text in texts):
        return False
    with os.scandir(directory) as entries:
        names = [one.name for one in entries if one.is_dir() and one.name not in _NO_PACKAGES]
    return not any(os.path.isfile(os.path.join(directory, name, "__init__.py")) for name in names)


def add_entry(
    path: str, main: str, kind: str, console: Console, kernel: "str | None" = None, force: bool = False
) -> None:
    """Write another entry script.

    :param path: where to; its directory exists
    :param main: the client's function as `package.module:function`
    :param kind: one of `KINDS`
    :param kernel: the kernel it runs; by default the nearest one upwards, within the repository
    :raises UsageError: exit code 2: `main` is not of that form, or the directory or kernel is not there
    :raises ConfigurationError: exit code 3: a file stands in the way, or cannot be written
    """
    if not re.match(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*\Z", main):
        raise UsageError(
            "the function must be named as MODULE:FUNC, not %r" % main, "MODULE:FUNC", "such as app.cli:main"
        )
    path = os.path.abspath(path)
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise UsageError("there is no directory %s" % directory, "PATH", "make it first")
    _earlier_entry(path, force)
    if kernel is None:
        kernel = _nearest_kernel(directory)
    elif not os.path.isfile(kernel):
        raise UsageError("there is no kernel %s" % kernel, "--kernel", "write it with: python -m protoprimer init")
    state = relative_path(_configuration(path, os.path.abspath(kernel)).state_directory, directory)
    told = _line_ends_to_keep(path)
    _write_script(path, entry_text(kind, main, relative_path(kernel, directory), state))
    console.say("written: %s, which serves %s through %s" % (path, main, KINDS[kind]))
    if told:
        console.say("line ends: " + told)


def _configuration(entry: str, kernel: str) -> Configuration:
    line = parse_command_line(ENTRY_NAME, [], False)
    return read_configuration(entry, kernel, line, {}, lambda _state_directory: None)


def _description(directory: str, configuration: Configuration) -> "tuple[list[tuple[str, str]], str | None]":
    """Return what is there as lines with labels, and the project's own console function, if it has one."""
    project = read_project(directory)
    plan = make_plan(configuration, lock_must_exist=False)
    required = required_python_of(configuration, plan)
    lines = [
        ("project", (project.name if project else None) or "none in this directory"),
        ("Python", "any, since nothing requires one" if required.place == "default" else _asked_python(required)),
        ("", required.note or ""),
        ("installs", plan.summary()),
        ("", plan.hint or ""),
    ]
    if project is not None and project.groups and configuration.get("install") is None:
        lines.append(("groups", ", ".join(sorted(project.groups)) + " (to install one, name it in 'install')"))
    main = console_entry(project) if project is not None else None
    told = [(label, text) for label, text in lines if text]
    return told, main if main and "." not in main.partition(":")[2] else None


def _asked_python(required: RequiredPython) -> str:
    return "%s, from %s" % (required.request.text, required.place)


def _earlier_entry(path: str, force: bool) -> "str | None":
    """Return the text of an entry script of ours that is at `path` already; refuse anything else there."""
    text = _text_of(path)
    if text is None or _is_entry(text):
        return text
    if not force:
        raise ConfigurationError("a file that is not protoprimer's is in the way", path, _FORCE_ADVICE)
    return None


def refuse_foreign_file(path: str, force: bool) -> None:
    """Refuse to write a kernel over what is neither a kernel, nor an entry script of ours, nor empty.

    :param force: do not
    :raises ConfigurationError: exit code 3: such a file, a directory or a newer kernel is at `path`
    """
    if not _is_entry(_text_of(path) or ""):
        _refuse_other_kernel(path, force)


def _refuse_other_kernel(path: str, force: bool) -> None:
    text = _text_of(path)
    if not text or force:
        return
    version = kernel_version(text)
    if version is None:
        raise ConfigurationError("a file that is not protoprimer's kernel is in the way", path, _FORCE_ADVICE)
    if Version(version) > Version(VERSION):
        advice = "upgrade protoprimer, or go back with --force"
        raise ConfigurationError("the kernel there is of version %s, this is %s" % (version, VERSION), path, advice)


def _is_entry(text: str) -> bool:
    return text.startswith("#!/bin/sh\n") and "written by protoprimer" in text[:300]


def _text_of(path: str) -> "str | None":
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "a directory" if os.path.isdir(path) else "a pipe or a device"
        raise ConfigurationError(kind + " is in the way", path, "move it away")
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError("cannot be read: %s" % error.strerror, path, "check who may read it") from None


def _nearest_kernel(directory: str) -> str:
    here = directory
    while True:
        for place in ((), (_ASIDE,)):
            kernel = os.path.join(here, *place, KERNEL_NAME)
            if os.path.isfile(kernel):
                return kernel
        parent = os.path.dirname(here)
        if parent == here or os.path.exists(os.path.join(here, ".git")):
            advice = "write it with 'python -m protoprimer init', or name it with --kernel"
            raise UsageError("there is no %s from %s up to %s" % (KERNEL_NAME, directory, here), None, advice)
        here = parent


def _write_script(path: str, text: str) -> bool:
    """Write an executable file unless it is there already; tell whether it was written."""
    content = text.encode("utf-8")
    try:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            with open(path, "rb") as stream:
                if stream.read() == content:
                    return False
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(os.path.realpath(path), content, 0o755)
    except OSError as error:
        raise ConfigurationError("cannot be written: %s" % error.strerror, path, _PERMISSION_ADVICE) from None
    return True


def _refuse_unwritable(path: str) -> None:
    """Refuse a file that cannot be written: a directory for it can be made, and what is appended to may be changed."""
    place = os.path.dirname(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    is_file = os.path.basename(path) == ".gitignore" and os.path.exists(path)
    if not os.path.isdir(place):
        raise ConfigurationError("what is no directory is in the way", place, "move it away")
    if not (os.access(path, os.W_OK) if is_file else os.access(place, os.W_OK | os.X_OK)):
        raise ConfigurationError("cannot be written", path if is_file else place, _PERMISSION_ADVICE)


def _line_ends_to_keep(script: str) -> "str | None":
    """Return what to tell where git may give a script the line ends of Windows, with which no sh can read it."""
    root = directory = os.path.dirname(script)
    while root != os.path.dirname(root) and not os.path.exists(os.path.join(root, ".git")):
        root = os.path.dirname(root)
    if not os.path.exists(os.path.join(root, ".git")):
        return None
    name, here = relative_path(script, root), directory
    while True:
        for line in (_text_of(os.path.join(here, ".gitattributes")) or "").splitlines():
            pattern, *attributes = line.split() or ["#"]
            base = relative_path(script, here) if "/" in pattern.rstrip("/") else os.path.basename(script)
            if fnmatch.fnmatch(base, pattern.lstrip("/")) and {"eol=lf", "-text", "binary"}.intersection(attributes):
                return None
        if here == root:
            line = "/%s text eol=lf" % name.replace(" ", "?")
            return "a checkout on Windows may break %s for sh: keep LF by `%s` in .gitattributes" % (name, line)
        here = os.path.dirname(here)


def _ignores_link(path: str) -> bool:
    """Tell whether a `.gitignore` has git leave the link to the environment out."""
    return any(line.strip() in _IGNORING_LINK for line in (_text_of(path) or "").splitlines())


def _ignore_link(path: str) -> None:
    text = _text_of(path) or ""
    end = "" if not text or text.endswith("\n") else "\n"
    try:
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(end + "/.venv\n")
    except OSError as error:
        raise ConfigurationError("cannot be written: %s" % error.strerror, path, "add the line /.venv") from None
