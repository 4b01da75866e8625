"""One place for each worker of a run: an index on this machine with tiny packages, and with the wheels of build backends."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Callable

import pytest
from filelock import FileLock

from truth.oracle import Place, download_build_backends, embedded_pip, placed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def build_backends(shared_directory: Path) -> Path:
    """Return a directory with the wheels of build backends, downloaded once in a run."""
    wheels = shared_directory / "build backends"
    with FileLock(str(shared_directory / "build backends.lock")):
        if not wheels.exists():
            download_build_backends(shared_directory / "being downloaded", embedded_pip())
            (shared_directory / "being downloaded").rename(wheels)
    return wheels


@pytest.fixture(scope="session")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    shared_directory: Path,
    build_backends: Path,
    fetch_tools: Callable[[str], None],
) -> Iterator[Place]:
    """Return where the projects of the table are made and booted."""
    for backend in ("uv", "virtualenv", "venv"):
        fetch_tools(backend)
    base = tmp_path_factory.mktemp("truth")
    with placed(base, shared_directory / "cache", build_backends) as made:
        yield made
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def index_as_it_was(place: Place) -> Iterator[None]:
    """Take out of the index what a test has put there."""
    served = dict(place.index.files)
    yield
    place.index.files.clear()
    place.index.files.update(served)
