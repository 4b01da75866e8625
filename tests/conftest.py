"""Fixtures for every test: the package from this checkout, guards against leaks, interpreters, repositories."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
for _directory in (ROOT / "tests", ROOT / "src"):
    if str(_directory) not in sys.path:
        sys.path.insert(0, str(_directory))

import protoprimer  # noqa: E402 - the path is completed above

# `backends/` stands at the top of the tree and is `protoprimer.backends` once installed.
if str(ROOT) not in protoprimer.__path__:
    protoprimer.__path__.append(str(ROOT))

import clones  # noqa: E402 - as above
import suite_report  # noqa: E402 - as above
import support  # noqa: E402 - as above


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("protoprimer")
    group.addoption(
        "--kernel",
        choices=["package", "file", "both"],
        help="what behavioural tests put into client repositories: a loader of this checkout's package, the generated "
        "stand-alone file, or one after the other; default: the file, which is what repositories have, and both with "
        "--thorough",
    )
    group.addoption("--wild", metavar="3.N,3.N", help="only these Pythons as wild ones (default: all this machine has)")
    group.addoption("--backends", metavar="NAME,NAME", help="only these backends (default: all)")
    group.addoption("--messages", metavar="FILE", help="keep what failures say, for tools/write_messages.py")
    group.addoption(
        "--thorough",
        action="store_true",
        help="run everything; without, tests that are marked `thorough` are left out, since others of their kind are run",
    )
    group.addoption(
        "--keep-durations", action="store_true", help="write what each module takes in this run to tests/durations.json"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell the clones where to keep messages, and have the run reported by the process that the workers report to."""
    _let_children_meet_signals()
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(suite_report.SuiteReport(config.getoption("--keep-durations")))
    if config.getoption("--messages"):
        clones.MESSAGES[:] = [Path(config.invocation_params.dir, config.getoption("--messages"))]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let pytest-rerunfailures tell the first process of each test at once.

    It sends two messages, and the second one would wait for the receipt of the first: 40 ms for each test.
    """
    database = getattr(session.config, "failures_db", None)
    connection = getattr(database, "sock", None)
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker say how many tests it has left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = session.config.stash.get(suite_report.LEFT_OUT, 0)


def _let_children_meet_signals() -> None:
    """See to it that what tests start meets signals as from a terminal, though this run was started by `nohup … &`.

    What is ignored here would be ignored there. What is handled here has its default effect there.
    """
    for name in ("SIGHUP", "SIGINT", "SIGQUIT"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, _go_on)


def _go_on(_number: int, _frame: object) -> None:
    """Do nothing about a signal."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the fixtures `wild_python`, `backend` and `kernel` their values."""
    if "wild_python" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--wild")
        pythons = [python for python in support.wild_pythons() if not wanted or python.name in wanted.split(",")]
        metafunc.parametrize("wild_python", pythons, ids=[python.name for python in pythons])
    if "backend" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--backends")
        metafunc.parametrize("backend", wanted.split(",") if wanted else support.BACKENDS)
    if "kernel" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--kernel")
        metafunc.parametrize("kernel", ["package", "file"] if wanted in ("both", None) else [wanted])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, unless asked for, what costs most and tells least: what every Python repeats, what is `thorough`."""
    is_thorough = config.getoption("--thorough")
    # Whoever names a kernel wants it with everything.
    is_some = config.getoption("--kernel") is None
    # Whoever names some of them wants these.
    in_turn = not (is_thorough or config.getoption("--wild") or config.getoption("--backends"))
    repeated = [item for item in items if is_some and _is_repeated_between(item)]
    sampled = [
        item
        for item in items
        if (is_some and not is_thorough and _has_package_as_kernel(item))
        or (not is_thorough and _is_thorough(item))
        or (in_turn and _is_out_of_turn(item))
    ]
    left_out = {*repeated, *sampled}
    # What is repeated is not run by `--thorough` either.
    config.stash[suite_report.LEFT_OUT] = len(left_out.difference(repeated))
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
    suite_report.start_costliest_first(items)


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


def _is_between(wild: object) -> bool:
    """Tell whether this is a wild Python, and neither the oldest nor the newest."""
    return isinstance(wild, support.WildPython) and wild not in (support.wild_pythons()[0], support.wild_pythons()[-1])


def _has_package_as_kernel(item: pytest.Item) -> bool:
    return _parameters(item).get("kernel") == "package"


def _is_repeated_between(item: pytest.Item) -> bool:
    parameters = _parameters(item)
    is_costly = item.get_closest_marker("costly") is not None
    repeats = [is_costly, _has_package_as_kernel(item), _is_between(parameters.get("wild_python"))]
    return sum(repeats) > 1


def _is_thorough(item: pytest.Item) -> bool:
    return item.get_closest_marker("thorough") is not None


def _is_out_of_turn(item: pytest.Item) -> bool:
    """Tell whether another backend has its turn with this Python; uv has it where the Python is always the same one."""
    parameters = _parameters(item)
    if item.get_closest_marker("backends_in_turn") is None:
        return False
    wild, turn = parameters.get("wild_python"), 0
    if isinstance(wild, support.WildPython):
        is_costly = item.get_closest_marker("costly") is not None
        if not _has_package_as_kernel(item) and not _is_between(wild) and not is_costly:
            return False
        turn = wild.version[1] % len(support.BACKENDS)
    return parameters["backend"] != support.BACKENDS[turn]


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail a test that leaves another working directory or environment behind, and undo it for the next one."""
    directory, environment = os.getcwd(), dict(os.environ)
    yield
    changed = {
        name
        for name in {*environment, *os.environ} - {"PYTEST_CURRENT_TEST"}
        if environment.get(name) != os.environ.get(name)
    }
    moved = os.getcwd() != directory
    os.chdir(directory)
    for name in changed:
        if name in environment:
            os.environ[name] = environment[name]
        else:
            del os.environ[name]
    assert not moved, "the test changed the working directory"
    assert not changed, f"the test changed environment variables: {sorted(changed)}"


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one directory for all workers of this run, such as for protoprimer's cache."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    shared = base / "shared"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture
def git_repository(tmp_path: Path) -> Path:
    """Return an empty git repository in a directory whose name has a space, a quote and a non-ASCII letter."""
    directory = tmp_path / "it's a répository"
    directory.mkdir()
    support.git("init", "-q", where=directory)
    return directory


@pytest.fixture(scope="session")
def toolset(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that gives a PATH of a POSIX host's tools and one Python, or none, made once."""
    made: dict[support.WildPython | None, str] = {}

    def path(python: support.WildPython | None) -> str:
        if python not in made:
            made[python] = str(support.make_toolset(tmp_path_factory.mktemp("tools") / "bin", python))
        return made[python]

    return path


@pytest.fixture(scope="session")
def fetch_tools(
    tmp_path_factory: pytest.TempPathFactory, shared_directory: Path, toolset: Callable[..., str]
) -> Callable[[str], None]:
    """Return a function that sees to it that the shared cache has the tools of a backend, for tests without index.

    They are fetched by one worker, and the others wait for it.
    """
    fetched: set[str] = set()

    def fetch(backend: str) -> None:
        if backend in fetched:
            return
        done = shared_directory / f"tools of {backend} fetched"
        with FileLock(f"{done}.lock"):
            if not done.exists():
                home = tmp_path_factory.mktemp("tools of " + backend)
                cache = str(shared_directory / "cache")
                environ = support.clean_environment(toolset(support.default_python()), home, PROTOPRIMER_CACHE=cache)
                clone = clones.Clone(home, environ, "package").entry("prime", None, "boot")
                clone.project("demo").prime("--backend", backend)
                done.touch()
        fetched.add(backend)

    return fetch


@pytest.fixture
def new_clone(
    request: pytest.FixtureRequest, tmp_path: Path, shared_directory: Path, toolset: Callable[..., str]
) -> Iterator[Callable[..., clones.Clone]]:
    """Return a function that makes an empty repository whose user has one Python on PATH, and no other tool for it.

    Its kernel is that of the fixture `kernel` where the test asks for it, else the generated file. Tools are fetched
    once in a run, into a shared cache.
    """
    if "kernel" in request.fixturenames:
        kernel = request.getfixturevalue("kernel")
    elif request.config.getoption("--kernel") == "package":
        kernel = "package"
    else:
        kernel = "file"
    made: list[clones.Clone] = []

    def make(directory: str = "a clone", python: support.WildPython | None = None, **variables: str) -> clones.Clone:
        root, home = tmp_path / directory, tmp_path / "home"
        for needed in (root, home):
            needed.mkdir(exist_ok=True)
        path = toolset(python or support.default_python())
        cache = str(shared_directory / "cache")
        environ = support.clean_environment(path, home, PROTOPRIMER_CACHE=cache, **variables)
        made.append(clones.Clone(root, environ, kernel))
        return made[-1]

    yield make
    for clone in made:
        clone.end()
