"""What a row of the table builds its host from: indexes, proxies, interpreters, and the pinned wheels of the tools."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

import support
from hosts import index as indexes
from hosts import world as worlds
from protoprimer.fetch.platform_tags import tag_of_host
from protoprimer.fetch.tools import ToolBox
from protoprimer.settings.index_settings import read_index_settings
from protoprimer.system.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bench:
    """Makes hosts, and ends what they run.

    :param shared: a directory for what all hosts of this run may use, such as fetched wheels
    """

    def __init__(self, stack: contextlib.ExitStack, base: Path, shared: Path, kernel: str = "file") -> None:
        self.stack = stack
        self.base = base
        self.shared = shared
        self.kernel = kernel

    def world(self, python: support.WildPython | None = None) -> worlds.World:
        """Make a host without any index that has this Python, or the one of most tests."""
        made = worlds.make_world(self.base, python or support.default_python(), self.kernel)
        self.stack.callback(made.clone.end)
        return made

    def world_for_everybody(self) -> worlds.World:
        """Make a host whose Python can be run by other users too."""
        python = support.python_for_everybody()
        if python is None:
            pytest.skip("no interpreter here can be run by another user")
        # A copy: the host's own may have tools that this one is not to have.
        return self.world(worlds.stripped_python(python, self.base / "python"))

    def stripped(self, *without: str, has: list[Path] | None = None) -> support.WildPython:
        """Return an interpreter that lacks modules."""
        return worlds.stripped_python(support.default_python(), self.base / "python", *without, has=iter(has or []))

    def wheels(self, *names: str, python: support.WildPython | None = None) -> list[Path]:
        """Return the pinned wheels of the tools whose names start so, or all of them."""
        found = pinned_wheels(self.shared, (python or support.default_python()).version)
        return [path for path in found if path.name.startswith(names or ("",))]

    def index(
        self, behaviour: indexes.Behaviour | None = None, *, tls: Any = None, python: support.WildPython | None = None
    ) -> indexes.Index:
        """Serve an index that has the wheels of the tools."""
        served = self.stack.enter_context(indexes.serving(behaviour, tls))
        return served.add_files(self.wheels(python=python))

    def empty_index(self, behaviour: indexes.Behaviour | None = None) -> indexes.Index:
        """Serve an index that has nothing yet."""
        return self.stack.enter_context(indexes.serving(behaviour))

    def dropping(self) -> str:
        """Give the URL of an index behind a firewall that drops packets."""
        return self.stack.enter_context(indexes.dropping())

    def proxy(self, password: str = "") -> indexes.Proxy:
        """Run a proxy."""
        return self.stack.enter_context(indexes.proxying(password))

    def certificates(self) -> indexes.Certificates:
        """Make a private authority."""
        return indexes.private_certificates(self.base)

    def uv_program(self) -> Path:
        """Return the path of the pinned uv, as somebody has installed it."""
        directory = self.base / "installed uv"
        subprocess.run(["unzip", "-q", str(self.wheels("uv-")[0]), "-d", str(directory)], check=True)
        (path,) = directory.glob("*.data/scripts/uv")
        path.chmod(0o755)
        return path

    def virtualenv_program(self, python: support.WildPython) -> Path:
        """Return the path of a virtualenv that was installed for itself, with another interpreter than the host's."""
        directory = self.base / "installed-virtualenv"
        subprocess.run([python.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
        (library,) = directory.glob("lib/python*/site-packages")
        for path in self.wheels(*VIRTUALENV_S_WHEELS, python=python):
            shutil.unpack_archive(str(path), str(library), "zip")
        program = directory / "bin" / "virtualenv"
        program.write_text(
            f"#!{directory}/bin/python3\nimport sys\nfrom virtualenv.__main__ import run_with_catch\nrun_with_catch()\n"
        )
        program.chmod(0o755)
        return program


VIRTUALENV_S_WHEELS = (
    *["virtualenv", "distlib", "filelock", "platformdirs", "packaging", "python_discovery", "typing_extensions"],
    *["importlib", "zipp"],
)


@functools.lru_cache(maxsize=None)
def pinned_wheels(shared: Path, version: tuple[int, int, int]) -> tuple[Path, ...]:
    """Return the verified wheels of pip and virtualenv for a Python, and of uv for this host; fetched once in a run."""
    settings = read_index_settings(str(support.ROOT))
    box = ToolBox(settings, str(shared / "cache"), Console(-1))
    interpreter: Any = SimpleNamespace(executable=os.devnull, version_info=version)
    with FileLock(str(shared / "pinned wheels.lock")):
        return tuple(Path(path) for path in box.pinned_wheels(interpreter, box.uv_pin.wheel_for(tag_of_host())))


@contextlib.contextmanager
def new_bench(shared: Path, kernel: str = "file") -> Iterator[Bench]:
    """Give a bench in a directory that other users can pass through, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="host-") as directory, contextlib.ExitStack() as stack:
        os.chmod(directory, 0o755)
        yield Bench(stack, Path(directory), shared, kernel)
