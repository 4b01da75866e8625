"""Simulated hosts that are real: other users, mounts, networks, interpreters that lack modules, file systems without locks.

Most of it needs the privileges of a container's superuser; where they are missing, the test skips and says which.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NOBODY = 65534
WHEELS_OF_DISTRIBUTION = "/usr/share/python-wheels"
# A variable of this name is taken away.
GONE = "\0"


@functools.lru_cache(maxsize=None)
def network_namespace_works() -> bool:
    """Tell whether a process may be started without any network but an own loopback."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-n", "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=60).returncode == 0


@dataclass
class World:
    """A host with one user and one clone.

    :param base: holds all that belongs to this host; other users can pass through it
    :param python: the host's `python3`, if there is one
    :param prelude: shell lines that the superuser runs before each command, in a mount namespace of its own
    :param network: whether there is any network; without, only an own loopback
    :param user: who the user is, if not the one who runs the tests
    :param flock_error: how each system call `flock` fails, such as `ENOLCK`
    :param road: does, to the letter, what is said where there is no road
    """

    base: Path
    clone: clones.Clone
    python: support.WildPython | None
    prelude: list[str] = field(default_factory=list)
    network: bool = True
    user: int | None = None
    flock_error: str = ""
    road: Callable[[], object] | None = None

    @property
    def root(self) -> Path:
        """The clone's root."""
        return self.clone.root

    @property
    def home(self) -> Path:
        """The user's home directory."""
        return self.base / "home"

    @property
    def bin(self) -> Path:
        """The directory that is PATH."""
        return self.base / "bin"

    @property
    def cache(self) -> Path:
        """Where our cache is by default."""
        return self.home / ".cache" / "protoprimer"

    def opened_by(self, road: Callable[[], object]) -> World:
        """Remember what opens a road here."""
        self.road = road
        return self

    def set(self, **variables: str) -> World:
        """Set variables of the user, or take them away."""
        for name, value in variables.items():
            self.clone.environ[name] = value
            if value == GONE:
                del self.clone.environ[name]
        return self

    def impatient(self) -> World:
        """Let nobody wait long for an answer, where there is none to wait for."""
        return self.set(PIP_DEFAULT_TIMEOUT="1", UV_HTTP_TIMEOUT="1")

    def without_network(self) -> World:
        """Take the network away."""
        if not network_namespace_works():
            pytest.skip("no process can be started without network here")
        self.network = False
        return self

    def mount(self, line: str) -> World:
        """Add a shell line that mounts something."""
        if not support.mount_namespace_works():
            pytest.skip("nothing can be mounted here")
        self.prelude.append(line)
        return self

    def hide(self, directory: str) -> World:
        """Put an empty directory over one of the host, if it is there."""
        if os.path.isdir(directory):
            self.mount(f"mount -t tmpfs -o size=16k none {shlex.quote(directory)}")
        return self

    def read_only(self, directory: Path) -> World:
        """Make a directory read-only for everybody."""
        name = shlex.quote(str(directory))
        return self.mount(f"mount --bind {name} {name}; mount -o remount,ro,bind {name}")

    def without_execution(self, directory: Path) -> World:
        """Let nothing below a directory be run."""
        directory.mkdir(parents=True, exist_ok=True)
        name = shlex.quote(str(directory))
        return self.mount(f"mount --bind {name} {name}; mount -o remount,noexec,bind {name}")

    def full(self, directory: Path, kilobytes: int = 64) -> World:
        """Put a tiny file system of its own where a directory is; it is new for each command."""
        directory.mkdir(parents=True, exist_ok=True)
        return self.mount(f"mount -t tmpfs -o size={kilobytes}k,mode=1777 none {shlex.quote(str(directory))}")

    def as_nobody(self) -> World:
        """Let another user run everything; what the host has so far is not theirs unless it is given to them."""
        if not support.other_user_works():
            pytest.skip("this process cannot act as another user")
        self.user = NOBODY
        return self

    def give(self, *paths: Path) -> World:
        """Give files to the other user."""
        for path in paths:
            for parent, names, files in os.walk(path):
                for name in [parent, *(os.path.join(parent, one) for one in names + files)]:
                    os.lchown(name, NOBODY, NOBODY)
        return self

    def refuse_locks(self, error: str) -> World:
        """Let each system call `flock` fail."""
        if not support.strace_works():
            pytest.skip("no process may be traced here")
        self.flock_error = error
        return self

    def program(self, name: str, script: str) -> Path:
        """Put a shell script on PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def command(self, *words: str) -> list[str]:
        """Return the command that runs `words` on this host, from the root of the clone."""
        command = list(words)
        if self.flock_error:
            refused = ["-e", "trace=flock", "-e", f"inject=flock:error={self.flock_error}"]
            command = [support.needed_tool("strace"), "-f", "-qq", "-o", os.devnull, *refused, *command]
        if self.user is not None:
            ids = [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--"]
            command = [support.needed_tool("setpriv"), *ids, *command]
        if self.network and not self.prelude:
            return command
        lines = [] if self.network else ["ip link set lo up"]
        script = "; ".join(
            [
                "set -e; theirs=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                *lines,
                *self.prelude,
                # What the directory was before something was mounted over it is another one.
                'here=$PWD; cd /; cd "$here"; PATH=$theirs; exec "$@"',
            ]
        )
        kinds = (["-m"] if self.prelude else []) + ([] if self.network else ["-n"])
        return [support.needed_tool("unshare"), *kinds, "/bin/sh", "-c", script, "sh", *command]

    def run(self, *words: str, status: int | None = 0, environ: Mapping[str, str] | None = None) -> clones.Done:
        """Run a command in the clone on this host."""
        return self.clone.run(*self.command(*words), status=status, environ=environ)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command in the clone on this host."""
        return self.clone.start(*self.command(*words))

    def prime(self, *arguments: str, status: int | None = 0, environ: Mapping[str, str] | None = None) -> clones.Done:
        """`./prime ARGUMENTS` on this host."""
        return self.run("./prime", *arguments, status=status, environ=environ)

    def check(self) -> dict[str, object]:
        """Return what `./prime check --json` tells."""
        document = json.loads(self.prime("check", "--json", status=None).output)
        assert isinstance(document, dict)
        return document


def make_world(base: Path, python: support.WildPython | None, kernel: str = "file") -> World:
    """Make a host with the tools of POSIX, this Python, no index, and a clone whose project needs nothing.

    :param base: an existing directory that everybody can pass through
    """
    for name in ("home", "a clone", "tmp"):
        (base / name).mkdir()
    (base / "tmp").chmod(0o1777)
    # Through a link from elsewhere, `venv` takes the standard library that a copied interpreter was built for.
    is_copied = python is not None and python.executable.startswith(str(base))
    support.make_toolset(base / "bin", None if is_copied else python)
    environ = {
        "PATH": f"{base}/python/bin:{base}/bin" if is_copied else str(base / "bin"),
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "tmp"),
        "LANG": "C.UTF-8",
        # Whoever has asked an index and got no answer need not wait long here.
        "PIP_DEFAULT_TIMEOUT": "3",
        "UV_HTTP_TIMEOUT": "3",
        # The files of the host that runs the tests are not those of the simulated one.
        "XDG_CONFIG_DIRS": str(base / "home"),
    }
    clone = clones.Clone(base / "a clone", environ, kernel)
    clone.project("demo", module="NAME = 'demo'\n\ndef main():\n    print(NAME)\n").entry("prime", "demo:main", "boot")
    return World(base, clone, python)


def stripped_python(
    python: support.WildPython, directory: Path, *without: str, has: Iterator[Path] | None = None
) -> support.WildPython:
    """Return a copy of an interpreter that lacks modules, among them those that are written in C.

    :param without: such as `ssl`; `_ssl` and everything of it goes too
    :param has: files and directories to link into its site-packages
    """
    question = "import os, sys; print(os.path.realpath(sys.executable)); print(os.path.dirname(os.__file__))"
    answer = subprocess.check_output([python.executable, "-I", "-c", question], text=True)
    executable, stdlib = (Path(line) for line in answer.splitlines())
    name = f"python{python.name}"
    library, programs = directory / "lib" / name, directory / "bin"
    programs.mkdir(parents=True)
    shutil.copy2(executable, programs / name)
    (programs / "python3").symlink_to(name)
    gone = {*without, *("_" + one for one in without)}
    for source, target in ((stdlib, library), (stdlib / "lib-dynload", library / "lib-dynload")):
        target.mkdir(parents=True)
        for path in source.iterdir():
            left_out = path.name.split(".")[0] in gone or path.name in {"lib-dynload", "site-packages", "__pycache__"}
            if not left_out:
                (target / path.name).symlink_to(path)
    (library / "site-packages").mkdir()
    for path in has or ():
        (library / "site-packages" / path.name).symlink_to(path)
    return support.WildPython(python.version, str(programs / name))
