"""What an author runs: `init` puts the entry script and the kernel into a repository, `entry` another script."""

import os
import re

from protoprimer.authoring.entry import KINDS, entry_main, entry_text, relative_path
from protoprimer.authoring.header import kernel_version
from protoprimer.authoring.kernel import author_program, kernel_text, running_kernel
from protoprimer.authoring.repository_files import RepositoryFile, repository_text, with_attributes, with_ignored
from protoprimer.errors import ConfigurationError, UsageError
from protoprimer.formats.versions import Version
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import make_plan
from protoprimer.pythons.required_python import RequiredPython, required_python_of
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import Configuration, read_configuration
from protoprimer.system.console import Console
from protoprimer.system.files import link_target, remove_tree
from protoprimer.system.platform import is_windows
from protoprimer.template_text import template
from protoprimer.version import VERSION

__all__ = ["add_entry", "initialise", "refuse_foreign_file", "remove_all"]

ENTRY_NAME = "prime"
# For cmd and PowerShell, which know `./prime` by it.
COMMAND_NAME = "prime.cmd"
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
_FORCE_ADVICE = "move it away, or overwrite it with --force"
# For sh a script must keep LF, on Windows too; and nobody reviews line by line what was generated.
_ATTRIBUTES = "text eol=lf linguist-generated"
_WINDOWS_ATTRIBUTES = "text eol=crlf linguist-generated"


def initialise(directory: str, console: Console, main: "str | None", windows: bool, dry_run: bool, force: bool) -> None:
    """Write `prime` and the kernel into the repository at `directory`, and tell what was found there.

    :param main: the client's function as `package.module:function`; without one, `prime` keeps the one it has
    :param windows: write `prime.cmd`, too
    :param dry_run: tell, and write nothing
    :param force: overwrite files of these names that are not ours
    :raises UsageError: exit code 2: there is no such directory, or `main` is not of that form
    :raises ConfigurationError: exit code 3: a file stands in the way, cannot be written, or says nonsense
    """
    directory = _existing(os.path.abspath(directory))
    if main is not None:
        _check_main(main)
    kernel_name = _kernel_place(directory)
    entry, kernel = os.path.join(directory, ENTRY_NAME), os.path.join(directory, *kernel_name.split("/"))
    if main is not None and kernel == entry:
        raise UsageError("the kernel itself is %s, which has no main" % ENTRY_NAME, "--main", "give it another name")
    _refuse_other_kernel(kernel, force)
    kept = None if kernel == entry else _earlier_entry(entry, force)
    main = main or (entry_main(kept) if kept else None)
    configuration = _configuration(entry, kernel)
    found = _findings(directory, configuration)
    if "/" in kernel_name and running_kernel() is None:
        found.append(("kernel", "in %s, as the build would take one beside it for a module of the project" % _ASIDE))
    found.append(("main", main or "none: ./prime only makes the environment ready"))
    files = _files(directory, configuration, kernel_name, main, windows)
    for file in files:
        # All of them before any is written: what fails halfway leaves a repository with half of it.
        file.refuse_unwritable()
    missing = [file for file in files if not file.is_there()]
    for file in missing if not dry_run else []:
        file.write()
    names = ", ".join(file.name for file in missing)
    found.append(("would write" if dry_run else "written", names or "nothing, all of it is there already"))
    _tell(found + ([] if dry_run else _next_steps([file.name for file in files], kernel_name)), console)


def _existing(directory: str) -> str:
    if not os.path.isdir(directory):
        raise UsageError("there is no directory %s" % directory, None, "name the repository's directory")
    return directory


def _files(
    directory: str, configuration: Configuration, kernel_name: str, main: "str | None", windows: bool
) -> "list[RepositoryFile]":
    state = relative_path(configuration.own_state_directory, directory)
    files = [RepositoryFile(directory, kernel_name, kernel_text(), is_script=True)]
    if kernel_name != ENTRY_NAME:
        text = entry_text("boot", main, kernel_name, state)
        files.insert(0, RepositoryFile(directory, ENTRY_NAME, text, is_script=True))
    attributes = repository_text(os.path.join(directory, ".gitattributes")) or ""
    attributes = with_attributes(attributes, {file.name: _ATTRIBUTES for file in files})
    if windows:
        files.append(RepositoryFile(directory, COMMAND_NAME, _windows_script()))
        attributes = with_attributes(attributes, {COMMAND_NAME: _WINDOWS_ATTRIBUTES})
    files.append(RepositoryFile(directory, ".gitattributes", attributes))
    ignored = repository_text(os.path.join(directory, ".gitignore")) or ""
    files.append(RepositoryFile(directory, ".gitignore", with_ignored(ignored, configuration.text("venv-link"))))
    return files


def _windows_script() -> str:
    return template(COMMAND_NAME).replace("\n", "\r\n")


def _next_steps(names: "list[str]", kernel_name: str) -> "list[tuple[str, str]]":
    steps = ["git add " + " ".join(names)]
    if is_windows():
        scripts = [name for name in names if name in (ENTRY_NAME, kernel_name)]
        steps.insert(0, "git add --chmod=+x " + " ".join(scripts))
    steps.append("python " + ENTRY_NAME if is_windows() else "./" + ENTRY_NAME)
    return list(zip(["next"] + [""] * len(steps), steps))


def _tell(lines: "list[tuple[str, str]]", console: Console) -> None:
    for label, value in lines:
        console.say("%-14s%s" % (label + ":" if label else "", value))


def remove_all(directory: str, console: Console, dry_run: bool) -> None:
    """Take away what `init` and `./prime` have written: files, lines of git's files, environments and their link.

    :param dry_run: tell, and remove nothing
    :raises UsageError: exit code 2: there is no such directory
    :raises ConfigurationError: exit code 3: something cannot be read or written, or the configuration says nonsense
    """
    directory = _existing(os.path.abspath(directory))
    kernel_name = _kernel_place(directory)
    entry, kernel = os.path.join(directory, ENTRY_NAME), os.path.join(directory, *kernel_name.split("/"))
    configuration = _configuration(entry, kernel)
    removed = [path for path in (entry, kernel) if _is_ours(repository_text(path) or "")]
    removed = removed[: 1 if entry == kernel else 2]
    command = os.path.join(directory, COMMAND_NAME)
    if (repository_text(command) or "").replace("\r\n", "\n") == template(COMMAND_NAME):
        removed.append(command)
    state, link = configuration.own_state_directory, configuration.path_of(configuration.text("venv-link") or ".venv")
    is_our_state = link_target(state) is None and os.path.isfile(os.path.join(state, "CACHEDIR.TAG"))
    if _leads_into(link, os.path.join(state, "envs")):
        removed.append(link)
    changed = _without_our_lines(directory, kernel_name, configuration.text("venv-link"))
    names = [os.path.relpath(path, directory) for path in removed + [state] * is_our_state]
    names += ["lines of " + file.name for file in changed]
    if not dry_run:
        for path in removed:
            # A junction of Windows is a directory.
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        for file in changed:
            file.write() if file.content else os.unlink(file.path)
        if is_our_state:
            remove_tree(state)
    _tell(
        [("would remove" if dry_run else "removed", ", ".join(names) or "nothing: there is nothing of ours")], console
    )


def _leads_into(link: str, directory: str) -> bool:
    target = link_target(link)
    return target is not None and os.path.realpath(os.path.dirname(target)) == os.path.realpath(directory)


def _without_our_lines(directory: str, kernel_name: str, link: "str | None") -> "list[RepositoryFile]":
    """Return git's files that have lines of ours, as they are without them."""
    ours = {".gitattributes": with_attributes("", dict.fromkeys((ENTRY_NAME, kernel_name), _ATTRIBUTES))}
    ours[".gitattributes"] += with_attributes("", {COMMAND_NAME: _WINDOWS_ATTRIBUTES})
    ours[".gitignore"] = with_ignored("", link)
    changed = []
    for name, lines in ours.items():
        text = repository_text(os.path.join(directory, name)) or ""
        kept = "".join(line for line in text.splitlines(True) if line not in lines.splitlines(True))
        if kept != text:
            changed.append(RepositoryFile(directory, name, kept))
    return changed


def _kernel_place(directory: str) -> str:
    """Return where a repository's kernel lies, with `/`: where one is, else in the root unless that breaks a build.

    The kernel that runs this stays where it is, under its own name.

    setuptools, and pdm, look for modules themselves where no package and no list of them is there. A kernel beside the
    only module of a project makes two, which setuptools refuses; alone it would be built into the wheel.
    """
    running = running_kernel()
    own = relative_path(running, directory) if running is not None else ".."
    if not own.startswith("..") and not os.path.isabs(own):
        return own
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
    texts = [repository_text(os.path.join(directory, name)) or "" for name in ("setup.cfg", "setup.py")]
    if listed or any(re.search(r"\b(packages|py_modules)\b", text) for text in texts):
        return False
    with os.scandir(directory) as entries:
        names = [one.name for one in entries if one.is_dir() and one.name not in _NO_PACKAGES]
    return not any(os.path.isfile(os.path.join(directory, name, "__init__.py")) for name in names)


def add_entry(path: str, main: str, kind: str, console: Console, kernel: "str | None", force: bool) -> None:
    """Write another entry script.

    :param path: where to; its directory exists
    :param main: the client's function as `package.module:function`
    :param kind: one of `KINDS`
    :param kernel: the kernel it runs; by default the nearest one upwards, within the repository
    :raises UsageError: exit code 2: `main` is not of that form, or the directory or kernel is not there
    :raises ConfigurationError: exit code 3: a file stands in the way, or cannot be written
    """
    _check_main(main)
    path = os.path.abspath(path)
    directory = _existing(os.path.dirname(path))
    _earlier_entry(path, force)
    if kernel is None:
        kernel = _nearest_kernel(directory)
    elif not os.path.isfile(kernel):
        raise UsageError("there is no kernel %s" % kernel, "--kernel", "write it with: %s init" % author_program())
    state = relative_path(_configuration(path, os.path.abspath(kernel)).own_state_directory, directory)
    text = entry_text(kind, main, relative_path(kernel, directory), state)
    files = [RepositoryFile(directory, os.path.basename(path), text, is_script=True)]
    attributes = with_attributes(
        repository_text(os.path.join(directory, ".gitattributes")) or "", {files[0].name: _ATTRIBUTES}
    )
    files.append(RepositoryFile(directory, ".gitattributes", attributes))
    for file in files:
        file.refuse_unwritable()
    for file in files:
        if not file.is_there():
            file.write()
    console.say("written: %s, which serves %s through %s; and its line in .gitattributes" % (path, main, KINDS[kind]))


def _check_main(main: str) -> None:
    if not re.match(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*\Z", main):
        cause = "the function must be named as MODULE:FUNC, not %r" % main
        raise UsageError(cause, "MODULE:FUNC", "such as app.cli:main")


def _configuration(entry: str, kernel: str) -> Configuration:
    line = parse_command_line(ENTRY_NAME, [], False)
    return read_configuration(entry, kernel, line, {}, lambda _state_directory: None)


def _findings(directory: str, configuration: Configuration) -> "list[tuple[str, str]]":
    """Return what is there, as lines with labels."""
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
    for name, target in sorted(project.scripts.items()) if project is not None else []:
        lines.append(
            ("script", "%s; for an entry script of it: %s entry %s %s" % (name, author_program(), name, target))
        )
    return [(label, text) for label, text in lines if text]


def _asked_python(required: RequiredPython) -> str:
    return "%s, from %s" % (required.request.text, required.place)


def _earlier_entry(path: str, force: bool) -> "str | None":
    """Return the text of an entry script of ours that is at `path` already; refuse anything else there."""
    text = repository_text(path)
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
    if not _is_entry(repository_text(path) or ""):
        _refuse_other_kernel(path, force)


def _refuse_other_kernel(path: str, force: bool) -> None:
    text = repository_text(path)
    if not text or force:
        return
    version = kernel_version(text.replace("\r\n", "\n"))
    if version is None:
        raise ConfigurationError("a file that is not protoprimer's kernel is in the way", path, _FORCE_ADVICE)
    if Version(version) > Version(VERSION):
        advice = "upgrade protoprimer, or go back with --force"
        raise ConfigurationError("the kernel there is of version %s, this is %s" % (version, VERSION), path, advice)


def _is_ours(text: str) -> bool:
    return _is_entry(text) or kernel_version(text.replace("\r\n", "\n")) is not None


def _is_entry(text: str) -> bool:
    return text.startswith("#!/bin/sh\n") and "written by protoprimer" in text[:300]


def _nearest_kernel(directory: str) -> str:
    here = directory
    while True:
        for place in ((), (_ASIDE,)):
            kernel = os.path.join(here, *place, KERNEL_NAME)
            if os.path.isfile(kernel):
                return kernel
        parent = os.path.dirname(here)
        if parent == here or os.path.exists(os.path.join(here, ".git")):
            advice = "write it with '%s init', or name it with --kernel" % author_program()
            raise UsageError("there is no %s from %s up to %s" % (KERNEL_NAME, directory, here), None, advice)
        here = parent
