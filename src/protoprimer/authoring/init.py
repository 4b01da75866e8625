"""What an author runs: `init` puts the entry script and the kernel into a repository, `entry` another script."""

import os
from shlex import quote
from typing import NamedTuple, Sequence

from protoprimer.authoring.entry import KINDS, entry_text, names_function, relative_path
from protoprimer.authoring.findings import findings, finds_modules_itself
from protoprimer.authoring.header import kernel_version
from protoprimer.authoring.kernel import author_program, kernel_text, running_kernel
from protoprimer.authoring.repository_files import RepositoryFile, repository_text, with_attributes, with_ignored
from protoprimer.errors import ConfigurationError, UsageError
from protoprimer.formats.versions import Version
from protoprimer.project.plan import item_of_glob, projects_of_glob
from protoprimer.settings.command_line import parse_command_line
from protoprimer.settings.configuration import Configuration, read_configuration
from protoprimer.store.generations import is_our_link
from protoprimer.system.console import Console
from protoprimer.system.files import link_target, paths_in, remove_tree
from protoprimer.system.paths import with_parents
from protoprimer.system.platform import is_windows
from protoprimer.template_text import template
from protoprimer.version import VERSION

__all__ = ["InitOptions", "add_entry", "initialise", "refuse_foreign_file", "remove_all"]

ENTRY_NAME = "prime"
COMMAND_NAME = "prime.cmd"
KERNEL_NAME = "proto_kernel.py"
CONFIGURATION_NAME = "protoprimer.toml"
# The second where the build would take the first for a module of the project.
_KERNEL_PLACES = (KERNEL_NAME, "tools/" + KERNEL_NAME)
# For sh a script must keep LF, on Windows too.
_ATTRIBUTES = "text eol=lf"
# Entry scripts are short, and a reviewer is to see each change of them.
_KERNEL_ATTRIBUTES = "text eol=lf linguist-generated"


class _Adoption:
    """Where protoprimer's files are, or are to be, in a repository."""

    def __init__(self, directory: str) -> None:
        self.directory = directory = _existing(os.path.abspath(directory))
        self.kernel_name = _kernel_place(directory)
        self.entry, self.kernel = self.path(ENTRY_NAME), self.path(self.kernel_name)
        self.configuration = _configuration(self.entry, self.kernel)
        self.links = _configured_links(self.configuration)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, *name.split("/"))

    def name_of(self, path: str) -> str:
        return os.path.relpath(path, self.directory).replace(os.sep, "/")

    def text(self, name: str) -> str:
        return repository_text(self.path(name)) or ""

    def attributes(self, windows: bool) -> "dict[str, str]":
        found = {ENTRY_NAME: _ATTRIBUTES}
        # Where the kernel is the entry script itself, it is a kernel.
        found[self.kernel_name] = _KERNEL_ATTRIBUTES
        if windows:
            found[COMMAND_NAME] = "text eol=crlf"
        return found

    def files(self, main: "str | None", windows: bool) -> "list[RepositoryFile]":
        files = [RepositoryFile(self.kernel, kernel_text(), is_script=True)]
        if self.kernel != self.entry:
            state = relative_path(self.configuration.own_state_directory, self.directory)
            files.insert(0, RepositoryFile(self.entry, entry_text("boot", main, self.kernel_name, state), True))
        texts = {COMMAND_NAME: template(COMMAND_NAME).replace("\n", "\r\n")} if windows else {}
        texts[".gitattributes"] = with_attributes(self._attributes_that_count(), self.attributes(windows))
        texts[".gitignore"] = self._with_links_ignored(self.text(".gitignore"))
        return files + [RepositoryFile(self.path(name), text) for name, text in texts.items()]

    def our_paths(self) -> "list[str]":
        texts = {path: repository_text(path) or "" for path in (self.entry, self.kernel)}
        paths = [path for path, text in texts.items() if _is_entry(text) or kernel_version(text)]
        if self.text(COMMAND_NAME).replace("\r\n", "\n") == template(COMMAND_NAME):
            paths.append(self.path(COMMAND_NAME))
        state = self.configuration.own_state_directory
        links = {self.configuration.path_of(link) for link in [".venv"] + self.links}
        # Those of environments that are no longer configured, too.
        links.update(paths_in(self.directory))
        paths += [link for link in sorted(links) if is_our_link(link, state)]
        is_our_state = link_target(state) is None and os.path.isfile(os.path.join(state, "CACHEDIR.TAG"))
        return paths + [state] * is_our_state

    def _attributes_that_count(self) -> str:
        """Return the text of `.gitattributes` without the lines of 0.1, which hid entry scripts from reviewers."""
        lines = self.text(".gitattributes").splitlines(True)
        return "".join(line for line in lines if line not in self._former_attributes())

    def _former_attributes(self) -> "list[str]":
        if self.kernel == self.entry:
            return []
        former = {ENTRY_NAME: _KERNEL_ATTRIBUTES, COMMAND_NAME: "text eol=crlf linguist-generated"}
        return with_attributes("", former).splitlines(True)

    def files_without_our_lines(self) -> "list[RepositoryFile]":
        ours = with_attributes("", self.attributes(True)) + self._with_links_ignored("")
        ours += "".join(self._former_attributes())
        files = []
        for name in (".gitattributes", ".gitignore"):
            kept = [line for line in self.text(name).splitlines(True) if line not in ours.splitlines(True)]
            if "".join(kept) != self.text(name):
                files.append(RepositoryFile(self.path(name), "".join(kept)))
        return files

    def _with_links_ignored(self, text: str) -> str:
        for link in self.links:
            text = with_ignored(text, link)
        return text


def _configured_links(configuration: Configuration) -> "list[str]":
    """Return the names of the links to the environments of a clone, each once."""
    found = [configuration.text("venv-link")]
    for table in configuration.leaps["client"].get("env", {}).values():
        found.append(table.get("venv-link"))
    return list(dict.fromkeys(link for link in found if isinstance(link, str)))


class InitOptions(NamedTuple):
    """What `init` was asked for.

    :param main: the client's function; without one, `prime` keeps the one it has
    :param install: projects, or patterns of projects, that a new `protoprimer.toml` names
    """

    main: "str | None"
    windows: bool = False
    dry_run: bool = False
    force: bool = False
    install: "Sequence[str]" = ()


def initialise(directory: str, console: Console, options: InitOptions) -> None:
    """Write `prime` and the kernel into a repository, and tell what is there."""
    main = options.main
    if main is not None:
        _check_main(main)
    here = _Adoption(directory)
    console.root = here.directory
    refuse_foreign_file(here.kernel, options.force)
    if here.kernel != here.entry:
        refuse_foreign_file(here.entry, options.force, by_kernel=False)
        main = main or here.text(ENTRY_NAME).partition('\nserve("')[2].partition('"')[0] or None
    elif main is not None:
        cause = "the kernel itself is %s, which takes no main" % ENTRY_NAME
        raise UsageError(cause, "--main", "give the kernel another name")
    chosen = _file_of_choice(here, options.install)
    if chosen is not None and not options.dry_run:
        _write_missing([chosen], dry_run=False)
        # What is found follows from it.
        here = _Adoption(directory)
    found = findings(here.configuration) + _findings_of_kernel(here)
    found.append(("program to run", main or "none"))
    files = here.files(main, options.windows or os.path.isfile(here.path(COMMAND_NAME)))
    written = [here.name_of(file.path) for file in _write_missing(files, options.dry_run)]
    if chosen is not None:
        written.insert(0, here.name_of(chosen.path))
    told = ", ".join(written) or "nothing, all of it is there already"
    found.append(("would write" if options.dry_run else "written", told))
    if not options.dry_run:
        steps = [text for label, text in found if label == "next"]
        steps += _steps_to_commit(here, files, found)
        found = [one for one in found if one[0] != "next"] + list(zip(["next"] + [""] * len(steps), steps))
    for label, value in found:
        console.say(_told_line(label, value))


def _file_of_choice(here: _Adoption, patterns: "Sequence[str]") -> "RepositoryFile | None":
    """Return the configuration file that names these projects, if there are any."""
    if not patterns:
        return None
    configuration = here.configuration
    items = []
    for pattern in patterns:
        if not projects_of_glob(configuration.root, pattern):
            advice = "name a directory, or a pattern of several"
            raise UsageError("no project matches %s" % pattern, "--install", advice)
        items.append(item_of_glob(configuration.root, pattern))
    line = "install = [{ projects = [%s] }]" % ", ".join(items)
    path = os.path.join(configuration.root, CONFIGURATION_NAME)
    text = repository_text(path)
    if configuration.leaps["client"] or text:
        if (text or "").strip() == line:
            return None
        place = configuration.place_in(*configuration.client)
        raise UsageError("this repository has a configuration already", "--install", "write in %s: %s" % (place, line))
    return RepositoryFile(path, line + "\n")


def _findings_of_kernel(here: _Adoption) -> "list[tuple[str, str]]":
    found = []
    if "/" in here.kernel_name and running_kernel() is None:
        found.append(("kernel", "in tools, as the build would take one beside it for a module of the project"))
    elif "/" not in here.kernel_name and finds_modules_itself(here.directory):
        told = "the build takes it for a module of the project: move it to tools, and run init with that one"
        found.append(("kernel", told))
    hooks = here.text(".pre-commit-config.yaml").replace("\\", "")
    if "check-added-large-files" in hooks and "maxkb" not in hooks and here.kernel_name not in hooks:
        told = "check-added-large-files refuses the kernel, which has more than 500 KB: add args: [--maxkb=800]"
        found.append(("pre-commit", told))
    return found


def _steps_to_commit(
    here: _Adoption, files: "list[RepositoryFile]", found: "list[tuple[str, str]]"
) -> "list[str]":
    """Return the commands that commit all that a clone needs, and then start it."""
    names = [here.name_of(file.path) for file in files]
    configurations = [here.name_of(path) for path in here.configuration.files]
    if any(label == "next" and "--install" in text for label, text in found):
        # It is to be written first.
        configurations.append(CONFIGURATION_NAME)
    names += [name for name in dict.fromkeys(configurations) if name not in names and name != "pyproject.toml"]
    steps = ["git add " + " ".join(map(quote, names)), "./" + ENTRY_NAME]
    if is_windows():
        scripts = " ".join(here.name_of(file.path) for file in files if file.is_script)
        steps = ["git add --chmod=+x " + scripts, steps[0], "python " + ENTRY_NAME]
    return steps


def _told_line(label: str, value: str) -> str:
    if not label:
        return " " * 14 + value
    return (label + ":").ljust(14) + ("" if len(label) < 13 else " ") + value


def remove_all(directory: str, console: Console, dry_run: bool) -> None:
    """Take away what `init` and `./prime` have written."""
    here = _Adoption(directory)
    console.root = here.directory
    paths, changed = here.our_paths(), here.files_without_our_lines()
    told = ", ".join(paths + ["lines of " + file.path for file in changed]) or "nothing: there is nothing of ours"
    if dry_run:
        console.say("would remove: " + told)
        return
    for path in paths:
        if path == here.configuration.own_state_directory:
            remove_tree(path)
        else:
            # A junction of Windows is a directory.
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    for file in changed:
        file.write() if file.text else os.unlink(file.path)
    console.say("removed:      " + told)


def add_entry(path: str, main: str, kind: str, console: Console, kernel: "str | None", force: bool) -> None:
    """Write another entry script, by default for the nearest kernel upwards."""
    _check_main(main)
    path = os.path.abspath(path)
    directory, name = os.path.split(path)
    _existing(directory)
    refuse_foreign_file(path, force, by_kernel=False)
    if kernel is None:
        kernel = _nearest_kernel(directory)
    elif not os.path.isfile(kernel):
        raise UsageError("there is no kernel %s" % kernel, "--kernel", "write it with: %s init" % author_program())
    state = relative_path(_configuration(path, os.path.abspath(kernel)).own_state_directory, directory)
    attributes = os.path.join(directory, ".gitattributes")
    script = RepositoryFile(path, entry_text(kind, main, relative_path(kernel, directory), state), is_script=True)
    text = with_attributes(repository_text(attributes) or "", {name: _ATTRIBUTES})
    _write_missing([script, RepositoryFile(attributes, text)], dry_run=False)
    console.say("written: %s, which serves %s through %s; and its line in .gitattributes" % (path, main, KINDS[kind]))


def refuse_foreign_file(path: str, force: bool, by_kernel: bool = True) -> None:
    """Refuse to write over what is not ours, a kernel over a newer one, or a script over any kernel."""
    text = repository_text(path)
    if force or not text:
        return
    version = kernel_version(text)
    if by_kernel and version is not None:
        if Version(version) > Version(VERSION):
            advice = "upgrade protoprimer, or go back with --force"
            raise ConfigurationError("the kernel there is of version %s, this is %s" % (version, VERSION), path, advice)
    elif not _is_entry(text):
        advice = "move it away, or overwrite it with --force"
        raise ConfigurationError("a file that is not protoprimer's is in the way", path, advice)


def _write_missing(files: "list[RepositoryFile]", dry_run: bool) -> "list[RepositoryFile]":
    missing = [file for file in files if not file.is_there()]
    # All are checked before any is written, so that no half of them is left.
    for file in missing:
        file.refuse_unwritable()
    for file in [] if dry_run else missing:
        os.makedirs(os.path.dirname(file.path), exist_ok=True)
        file.write()
    return missing


def _existing(directory: str) -> str:
    if not os.path.isdir(directory):
        raise UsageError("there is no directory %s" % directory, None, "name the repository's directory")
    return directory


def _configuration(entry: str, kernel: str) -> Configuration:
    line = parse_command_line(ENTRY_NAME, [], False)
    return read_configuration(entry, kernel, line, {}, lambda _state_directory: None)


def _kernel_place(directory: str) -> str:
    """Return where a repository's kernel lies, or is to; one that runs this stays where it is."""
    running = running_kernel()
    own = relative_path(running, directory) if running is not None else ".."
    if not own.startswith("..") and not os.path.isabs(own):
        return own
    return _kernel_in(directory) or _KERNEL_PLACES[finds_modules_itself(directory)]


def _kernel_in(directory: str) -> "str | None":
    return next((place for place in _KERNEL_PLACES if os.path.isfile(os.path.join(directory, place))), None)


def _nearest_kernel(directory: str) -> str:
    for here in with_parents(directory):
        name = _kernel_in(here)
        if name is not None:
            return os.path.join(here, name)
        if os.path.exists(os.path.join(here, ".git")):
            break
    advice = "write it with '%s init', or name it with --kernel" % author_program()
    raise UsageError("there is no %s from %s up to %s" % (KERNEL_NAME, directory, here), None, advice)


def _check_main(main: str) -> None:
    if not names_function(main):
        cause = "the function must be named as MODULE:FUNC, not %r" % main
        raise UsageError(cause, "MODULE:FUNC", "such as app.cli:main")


def _is_entry(text: str) -> bool:
    return text.startswith("#!/bin/sh\n") and "written by protoprimer" in text[:300]
