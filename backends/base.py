"""The interface of a backend, and what every backend needs: running an installer, checking what it did."""

import json
import os
import shutil

from protoprimer.errors import InstallError
from protoprimer.formats.requirements import normalized_project_name
from protoprimer.project.plan import InstallStep, Plan, ProjectToInstall
from protoprimer.system.children import ChildResult, run_child, scrubbed_environment
from protoprimer.system.console import Console
from protoprimer.system.paths import environment_python, file_url, path_of_file_url
from protoprimer.system.platform import is_windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.fetch.tools import ToolBox
    from protoprimer.settings.index_settings import IndexSettings
    from protoprimer.system.interpreter import Interpreter

__all__ = [
    "Backend",
    "commands_of",
    "fault_of_installed",
    "installed_distributions",
    "path_to_keyring",
    "run_installer",
    "site_packages_of",
]

_LINES_OF_OUTPUT_SHOWN = 40


class Backend:
    """Creates environments and installs into them; nothing else knows which one is in use.

    :param toolbox: where its tools come from
    :param settings: indexes, certificates, proxies: the same for every backend

    A client's own backend is a file with one subclass of this class:

        class Backend(VenvBackend):
            name = "ours"
    """

    name = ""

    def __init__(self, toolbox: "ToolBox", console: Console, settings: "IndexSettings") -> None:
        self.toolbox = toolbox
        self.console = console
        self.settings = settings

    def probe(self, interpreter: "Interpreter", plan: Plan) -> "str | None":
        """Return why this backend cannot serve this interpreter and plan on this host, or `None` if it can."""
        raise NotImplementedError

    def create(self, interpreter: "Interpreter", environment: str) -> None:
        """Create an empty environment, without pip, for `interpreter` in the directory `environment`.

        :raises InstallError: it could not be created (exit 6)
        """
        raise NotImplementedError

    def install(self, interpreter: "Interpreter", environment: str, plan: Plan) -> "dict[str, object]":
        """Install the plan, check what was installed, and return what is worth keeping in `protoprimer.json`.

        :raises InstallError: resolution, build, download or the check failed (exit 6)
        """
        self.install_plan(interpreter, environment, plan)
        fault = fault_of_installed(environment, plan)
        if fault is not None and not plan.rebuild:
            # What the installer's cache remembers of a project no longer fits its sources.
            self.install_plan(interpreter, environment, plan.from_scratch())
            fault = fault_of_installed(environment, plan)
        if plan.seed_pip:
            self._seed_pip(interpreter, environment)
        if fault is not None:
            advice = "check the project's build configuration ([build-system], package discovery), or set `install`"
            raise InstallError("the backend %s succeeded, but %s" % (self.name, fault[1]), fault[0], advice)
        found = installed_distributions(environment)
        distributions = {name: version for name, (version, _directory) in found.items()}
        return {"backend": self.name, "tools": self.tools(interpreter), "distributions": distributions}

    def install_plan(self, interpreter: "Interpreter", environment: str, plan: Plan) -> None:
        """Install the plan; whether that has worked is checked by `install`.

        :raises InstallError: the installer says that it failed (exit 6)
        """
        raise NotImplementedError

    def tools(self, interpreter: "Interpreter") -> "dict[str, str]":
        """Return the versions of the tools it uses, by name."""
        return {}

    def lock(
        self, interpreter: "Interpreter", plan: Plan, output: str, upgrade_all: bool, upgrade_packages: "list[str]"
    ) -> None:
        """Resolve the plan and write the pins to `output` (`uv.lock` or `pylock.toml`), whole or not at all.

        :param upgrade_all: forget earlier pins
        :param upgrade_packages: names whose earlier pins are forgotten
        :raises InstallError: the plan cannot be resolved (exit 6)
        :raises BackendError: this backend cannot write that kind of lock (exit 5)
        """
        raise NotImplementedError

    def _seed_pip(self, interpreter: "Interpreter", environment: str) -> None:
        """Put the pip that the kernel pins into the environment; the same whichever backend it is.

        :raises InstallError: it could not be had (exit 6)
        """
        tool, wheel = self.toolbox.pip(interpreter), self.toolbox.pip_wheel(interpreter)
        arguments = [environment_python(environment)] + tool.command[1:]
        arguments += ["install", "--no-deps", "--no-compile", "--ignore-installed", "pip==" + tool.version]
        environ, cwd = self.settings.for_pip()[1], os.path.dirname(environment)
        if wheel is not None:
            # It runs from this very wheel: no index has to be asked for another one.
            arguments += ["--no-index", "--find-links", file_url(os.path.dirname(wheel))]
            environ = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        run_installer(self.console, self.name, "install pip", arguments, cwd, environ)


def commands_of(plan: Plan) -> "list[tuple[InstallStep, bool]]":
    """Return what is installed in one command each, after the pins if there are any, and whether with dependencies.

    Pins hold all dependencies, so projects come without; `uv.lock` alone knows nothing of requirement files.
    """
    commands = [(step, True) for step in plan.steps] if plan.lock is None else []
    for step in plan.steps if plan.lock else []:
        commands.append((InstallStep(step.projects, [], [], [], [], step.members), False))
        if plan.lock_kind == "uv.lock":
            commands.append((InstallStep([], step.requirements, step.constraints, step.args, [], []), True))
    return [(step, deep) for step, deep in commands if step.projects or step.requirements or step.args or step.lines]


def run_installer(
    console: Console,
    backend: str,
    what: str,
    arguments: "list[str]",
    cwd: str,
    environ: "dict[str, str]",
    input_text: "str | None" = None,
) -> ChildResult:
    """Run an installer's command; `what` completes "could not …" if it fails.

    :raises InstallError: it ended with another status than 0; the end of its output is shown (exit 6)
    """
    result = run_child(arguments, console, cwd=cwd, environ=scrubbed_environment(environ), input_text=input_text)
    if result.status == 0:
        return result
    lines = [line.rstrip() for line in result.everything().splitlines() if line.strip()]
    shown = ["  | " + line for line in lines[-_LINES_OF_OUTPUT_SHOWN:]]
    if len(lines) > len(shown):
        shown.insert(0, "  | ... (%d more lines in the log)" % (len(lines) - len(shown)))
    cause = "the backend %s could not %s (exit status %d)" % (backend, what, result.status)
    raise InstallError("\n".join([cause] + shown), cwd, _advice_on(result.everything()))


def path_to_keyring(python: str) -> "dict[str, str]":
    """Return PATH such that installers find the command `keyring` which an earlier step put beside `python`."""
    directory, path = os.path.dirname(python), os.environ.get("PATH", "")
    return {"PATH": directory + os.pathsep + path} if shutil.which("keyring", path=directory) else {}


_ADVICE = (
    ("no space left|os error 28", "free some disk space, and run again"),
    (
        "failed to symlink|(implemented|permitted|supported): '.*' -> '",
        "this file system has no links, it seems: set state-dir to a directory on another one",
    ),
    (
        "name resolution|dns error|is unreachable|connection refused|newconnection|error sending request|max retries",
        "check the network, the proxy and the index (./prime check shows them), and run again",
    ),
    ("certificate_verify_failed|invalid peer certificate", "give your CA in SSL_CERT_FILE, and run again"),
    (r"\b40[13] |\b40[13]:", "check the index's credentials (URL, netrc), and run again"),
    ("do not match the hashes|hash mismatch", "find out why what is offered is not what was locked, or ./prime lock"),
    ("needs to be updated|not supported by the lockfile", "the lock does not fit (any more): ./prime lock"),
    (
        "no solution found|resolutionimpossible|no matching distribution|not found in the package registry",
        "correct the requirements, or the indexes they are looked up in, and run again",
    ),
    ("failed to build|subprocess-exited-with-error|build backend", "make the project build, and run again"),
)  # the installers' own words, in lower case


def _advice_on(output: str) -> str:
    import re

    found = (advice for words, advice in _ADVICE if re.search(words, output.lower()))
    return next(found, "correct what the output above names, and run again")


def site_packages_of(environment: str) -> "str | None":
    """Return the directory an environment's packages are in, or `None` if there is none."""
    if is_windows():
        candidates = [os.path.join(environment, "Lib", "site-packages"), os.path.join(environment, "site-packages")]
    else:
        library = os.path.join(environment, "lib")
        names = sorted(os.listdir(library)) if os.path.isdir(library) else []
        candidates = [os.path.join(library, name, "site-packages") for name in names]
        # PyPy before 3.8 has it at the top.
        candidates.append(os.path.join(environment, "site-packages"))
    return next(filter(os.path.isdir, candidates), None)


def installed_distributions(environment: str) -> "dict[str, tuple[str, str]]":
    """Return what is installed, found without starting the interpreter: normal name to version and metadata's path."""
    site_packages = site_packages_of(environment)
    found = {}  # type: dict[str, tuple[str, str]]
    for entry in sorted(os.listdir(site_packages)) if site_packages else []:
        stem, extension = os.path.splitext(entry)
        path = os.path.join(site_packages or "", entry)
        if extension == ".dist-info" or (extension == ".egg-info" and "-" in stem):
            name, _, version = stem.partition("-")
            found[normalized_project_name(name)] = (version.split("-py")[0], path)
        elif extension == ".egg-link":
            found[normalized_project_name(stem)] = ("", path)
    return found


def fault_of_installed(environment: str, plan: Plan) -> "tuple[str, str] | None":
    """Return the first project that is not installed as the plan asks, editable from this checkout, and why not.

    An installer's exit status 0 proves neither, nor does a matching version.
    """
    distributions = installed_distributions(environment)
    for project in plan.projects():
        fault = _fault_of_project(project, distributions)
        if fault is not None:
            return project.path, fault
    return None


def _fault_of_project(project: ProjectToInstall, distributions: "dict[str, tuple[str, str]]") -> "str | None":
    if project.metadata.name:
        candidates = {normalized_project_name(project.metadata.name)}
    else:
        # A name computed in setup.py: whichever distribution came from this directory.
        candidates = {name for name, (_, path) in distributions.items() if _is_from(path, project.path)}
    name = next((name for name in candidates if name in distributions), None)
    if name is None:
        what = project.metadata.name or "nothing from %s" % project.path
        unknown = ", having found no name in its metadata" if "unknown" in distributions else ""
        return "%s is %sinstalled%s" % (what, "not " if project.metadata.name else "", unknown)
    path = distributions[name][1]
    if not project.editable:
        return None
    if not _is_from(path, project.path):
        return "%s is not the editable project in this checkout" % name
    return _fault_of_editable_files(name, path)


def _is_from(metadata_path: str, project: str) -> bool:
    """Tell whether a distribution's metadata say that it is this directory's."""
    if metadata_path.endswith(".egg-link"):
        with open(metadata_path, encoding="utf-8") as stream:
            linked = stream.readline().strip()
        return (os.path.realpath(linked) + os.sep).startswith(os.path.realpath(project) + os.sep)
    try:
        with open(os.path.join(metadata_path, "direct_url.json"), encoding="utf-8") as stream:
            origin = json.loads(stream.read())
    except (OSError, ValueError):
        return False
    return os.path.realpath(path_of_file_url(origin.get("url", ""))) == os.path.realpath(project)


def _fault_of_editable_files(name: str, metadata_path: str) -> "str | None":
    """Return what is wrong with the files that put an editable project on the path, or `None`."""
    site_packages = os.path.dirname(metadata_path)
    if metadata_path.endswith(".egg-link"):
        return None
    try:
        with open(os.path.join(metadata_path, "RECORD"), encoding="utf-8") as stream:
            recorded = [line.split(",")[0].strip('"') for line in stream if line.strip()]
    except OSError:
        return "%s has no RECORD of its files" % name
    for entry in recorded:
        path = os.path.join(site_packages, entry)
        if entry.startswith("__editable__") and entry.endswith("_finder.py") and os.path.isfile(path):
            missing = [source for source in _sources_of_finder(path) if not _has_source(source)]
            if missing:
                return "%s expects its sources in %s, which does not exist" % (name, missing[0])
        if not os.path.exists(path) and not entry.endswith(".pyc"):
            return "%s lacks its file %s" % (name, path)
        if entry.endswith(".pth") and "/" not in entry:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                for line in stream.read().splitlines():
                    if os.path.isabs(line) and not os.path.isdir(line):
                        return "%s expects its sources in %s, which does not exist" % (name, line)
    return None


def _has_source(path: str) -> bool:
    """Tell whether a package is at `path`, or a module, whose suffix (`.py`, an extension's) setuptools leaves out."""
    directory, name = os.path.split(path)
    return os.path.isdir(directory) and any(one == name or one.startswith(name + ".") for one in os.listdir(directory))


def _sources_of_finder(path: str) -> "list[str]":
    """Return where setuptools's finder looks for the packages of an editable project."""
    import ast
    import re

    with open(path, encoding="utf-8") as stream:
        mapping = re.search(r"^MAPPING[^=]*= (\{.*\})$", stream.read(), re.MULTILINE)
    return [str(source) for source in ast.literal_eval(mapping.group(1)).values()] if mapping else []
