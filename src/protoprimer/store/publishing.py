"""Making a generation known to the clone and its entry scripts."""

import os
import sys

from protoprimer.backends.installed import editable_sources
from protoprimer.errors import InstallError
from protoprimer.settings.configuration import Configuration
from protoprimer.store.building import BuildRequest, is_for_this_run_only, is_made_otherwise
from protoprimer.store.generations import Generation, point_link, record_of
from protoprimer.store.in_use import note_use
from protoprimer.store.ready import is_fresh, read_ready, write_ready
from protoprimer.system.files import link_target, write_json
from protoprimer.system.paths import environment_python

__all__ = ["Environment", "environment_facts", "environment_of_ready", "publish_environment"]


class Environment:
    """A ready environment, which can be used as a path, and whence client modules are imported besides it."""

    def __init__(self, path: str, client_paths: "list[str]", built: bool) -> None:
        self.path = path
        self.client_paths = client_paths
        self.built = built

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path


def environment_of_ready(configuration: Configuration) -> "Environment | None":
    """Return the environment that `ready` announces, if that is current and what this run asks for."""
    if is_for_this_run_only(configuration):
        return None
    for directory in dict.fromkeys((configuration.state_directory, configuration.own_state_directory)):
        facts = read_ready(directory)
        # A generation's directory is named after its environment, whose name has no dash.
        name = os.path.basename(facts.get("environment", "")).partition("-")[0]
        if name == configuration.environment_name and is_fresh(directory, facts):
            return Environment(facts["environment"], facts["client_paths"], False)
    return None


def environment_facts(configuration: Configuration) -> "dict[str, str | None]":
    """Return path and Python of this process' environment, else of the ready one."""
    ready = environment_of_ready(configuration)
    path = sys.prefix if record_of(sys.prefix).get("root") == configuration.root else ready.path if ready else None
    return {
        "environment-path": path,
        "environment-python": environment_python(path) if path else None,
        "environment-python-version": record_of(path).get("interpreter", {}).get("version"),
    }


def publish_environment(request: BuildRequest, generation: Generation, read_at_ns: int) -> Environment:
    """Make a generation the one in use, and collect what is old."""
    configuration = request.configuration
    # The root, unless that is a project to be installed.
    installed = [os.path.realpath(project.path) for project in request.plan.projects()]
    client_paths = [] if os.path.realpath(configuration.root) in installed else [configuration.root]
    environment = Environment(generation.path, client_paths, generation.is_new)
    try:
        if configuration.cell:
            told = {
                "interpreter": request.interpreter.version,
                "executable": request.interpreter.executable,
                "environment": generation.path,
                "built": generation.is_new,
                "fingerprint": request.fingerprint.digest,
            }
            write_json(configuration.cell["note"], told, durable=False)
        else:
            _announce(request, environment, read_at_ns)
    except (OSError, InstallError) as error:
        # As a foreign user, or in a read-only checkout.
        request.console.detail("the ready environment could not be recorded: %s" % error)
    if generation.is_new:
        request.store.collect(configuration.get("keep"), [generation.path])
    return environment


def _announce(request: BuildRequest, environment: Environment, read_at_ns: int) -> None:
    configuration, path = request.configuration, environment.path
    directory = configuration.state_directory
    if is_for_this_run_only(configuration):
        _point_own_link(request, path)
        return
    announced = read_ready(directory)
    if announced.get("environment") == path and is_fresh(directory, announced):
        # By whoever built it while this run waited.
        return
    # The one that is replaced may be about to be started.
    for used in {path, announced.get("environment", path)}:
        if os.path.dirname(used) == request.store.directory and os.path.isdir(used):
            note_use(used)
    # A link may be pointed anew.
    reached = [request.interpreter.executable, *request.inputs.present]
    links = [(one, os.path.realpath(one)) for one in reached if os.path.realpath(one) != one]
    name = configuration.text("venv-link")
    if name is not None:
        link = configuration.path_of(name)
        if not configuration.keeps_state_elsewhere:
            point_link(link, path, directory, request.console)
        if os.path.exists(link):
            # What is not ours counts too: where it is taken away, the link is made.
            links.append((link, path if link_target(link) == path else link))
    kept = filter(os.path.exists, [*editable_sources(path), *request.inputs.kept])
    links += [(one, os.path.realpath(one)) for one in kept]
    python, paths = request.interpreter.executable, environment.client_paths
    write_ready(directory, path, request.inputs, paths, python, read_at_ns, links)


def _point_own_link(request: BuildRequest, path: str) -> None:
    """Let the link that this environment alone has lead to it; that of the clone stays."""
    configuration = request.configuration
    setting = configuration.settings.get("venv-link")
    if setting is None or setting.leap != "env" or configuration.keeps_state_elsewhere:
        return
    if isinstance(setting.value, str) and not is_made_otherwise(configuration):
        point_link(configuration.path_of(setting.value), path, configuration.state_directory, request.console)
