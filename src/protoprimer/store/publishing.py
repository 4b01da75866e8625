"""Making a generation known: to this clone's memory, its link, and the entry scripts' fast path."""

import os
import sys

from protoprimer.errors import InstallError
from protoprimer.project.plan import Plan
from protoprimer.settings.configuration import Configuration
from protoprimer.store.building import BuildRequest, is_for_this_run_only
from protoprimer.store.generations import Generation, point_link, record_of
from protoprimer.store.in_use import note_use
from protoprimer.store.ready import read_ready, why_not_fresh, write_ready
from protoprimer.store.state_directory import remember_environment
from protoprimer.system.files import link_target, write_atomically
from protoprimer.system.interpreter import Interpreter
from protoprimer.system.paths import environment_python

__all__ = [
    "Environment",
    "announce_generation",
    "environment_facts",
    "environment_of_ready",
    "publish_environment",
    "tell_matrix",
]


class Environment:
    """A ready environment; it can be used as a path.

    :param path: its directory
    :param client_paths: directories from which client modules are imported besides it
    :param built: whether this run has built it
    """

    def __init__(self, path: str, client_paths: "list[str]", built: bool) -> None:
        self.path = path
        self.client_paths = client_paths
        self.built = built

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path


def environment_of_ready(configuration: Configuration) -> "Environment | None":
    """Return the environment that `ready` announces, if nothing has changed since and this run asks for it."""
    for directory in dict.fromkeys((configuration.state_directory, configuration.own_state_directory)):
        facts = read_ready(directory)
        if facts is None or is_for_this_run_only(configuration) or why_not_fresh(directory, facts) is not None:
            continue
        # A generation's directory is named after its environment, whose name has no dash.
        if os.path.basename(facts["environment"]).partition("-")[0] == configuration.environment_name:
            return Environment(facts["environment"], facts["client_paths"], False)
    return None


def environment_facts(configuration: Configuration) -> "dict[str, str | None]":
    """Return path and Python of the environment that this process runs in, else of the ready one; without one, `None`.

    Keys: `environment-path`, `environment-python` (its interpreter), `environment-python-version`.
    """
    here, ready = record_of(sys.prefix), environment_of_ready(configuration)
    path = sys.prefix if here.get("root") == configuration.root else ready.path if ready else None
    record = record_of(path) if path else {}
    return {
        "environment-path": path,
        "environment-python": environment_python(path) if path else None,
        "environment-python-version": record.get("interpreter", {}).get("version"),
    }


def publish_environment(request: BuildRequest, generation: Generation, read_at_ns: int) -> Environment:
    """Make a generation the one in use, as far as this run may say so, and collect what is old.

    :param read_at_ns: as for `write_ready`
    """
    configuration, console = request.configuration, request.console
    client_paths = client_paths_of(configuration, request.plan)
    try:
        if configuration.cell:
            tell_matrix(configuration, request.interpreter, generation)
        else:
            announce_generation(request, generation, client_paths, read_at_ns)
    except (OSError, InstallError) as error:
        # A foreign user or a read-only checkout can use what is there without recording it.
        console.detail("the ready environment could not be recorded: %s" % error)
    if generation.is_new:
        request.store.collect(configuration.get("keep"), [generation.path])
    return Environment(generation.path, client_paths, generation.is_new)


def announce_generation(
    request: BuildRequest, generation: Generation, client_paths: "list[str]", read_at_ns: int
) -> None:
    """Remember the environment, point the link to it, and write `ready`, last.

    A run that was asked for another environment than the clone's leaves link and `ready` as they are.

    :raises OSError: the state directory cannot be written
    :raises InstallError: it is not ours to write (exit code 6)
    """
    configuration, console = request.configuration, request.console
    if not (configuration.is_for_once or configuration.is_fallback):
        remember_environment(configuration.state_directory, configuration.environment_name)
    if is_for_this_run_only(configuration):
        return
    ready = read_ready(configuration.state_directory)
    # The one that is replaced may be about to be started.
    replaced = ready["environment"] if ready is not None else generation.path
    for path in {generation.path, replaced}:
        if os.path.dirname(path) == request.store.directory and os.path.isdir(path):
            note_use(path)
    link = configuration.get("venv-link")
    if isinstance(link, str) and not configuration.keeps_state_elsewhere:
        point_link(configuration.path_of(link), generation, configuration.state_directory, console)
    write_ready(
        configuration.state_directory,
        generation.path,
        request.inputs.present,
        request.inputs.absent,
        client_paths,
        request.interpreter.executable,
        read_at_ns,
        fingerprint=generation.record["fingerprint"],
        links=_links_to_watch(configuration, generation, request.inputs.present),
        looked_at=request.inputs.looked_at,
    )


def tell_matrix(configuration: Configuration, interpreter: Interpreter, generation: Generation) -> None:
    """Leave word for the matrix that this run is a cell of; what the clone has chosen stays."""
    import json

    told = {"interpreter": interpreter.version, "executable": interpreter.executable, "environment": generation.path,
            "built": generation.is_new, "fingerprint": generation.record["fingerprint"]}  # fmt: skip
    write_atomically(configuration.cell["note"], json.dumps(told).encode("ascii"))


def client_paths_of(configuration: Configuration, plan: Plan) -> "list[str]":
    """Return where client modules are besides the environment: the root, unless that is a project to be installed."""
    installed = [os.path.realpath(project.path) for project in plan.projects()]
    return [] if os.path.realpath(configuration.root) in installed else [configuration.root]


def _links_to_watch(
    configuration: Configuration, generation: Generation, inputs: "list[str]"
) -> "list[tuple[str, str]]":
    """Return links with what they must lead to: `.venv`, and inputs reached by a link that may be pointed elsewhere."""
    link, real = configuration.get("venv-link"), {path: os.path.realpath(path) for path in inputs}
    watched = [(path, real[path]) for path in inputs if real[path] != path]
    if isinstance(link, str) and link_target(configuration.path_of(link)) == generation.path:
        watched.append((configuration.path_of(link), generation.path))
    return watched
