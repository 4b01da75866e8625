"""What tests need to know of the machine they run on: interpreters, shells and other capabilities, all discovered."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = ("uv", "virtualenv", "venv")
OLDEST_WILD_PYTHON = (3, 6)

# What a POSIX host has besides Python: enough for entry scripts and for people, and nothing that finds a Python.
TOOLSET = [
    *["basename", "cat", "cp", "cut", "dirname", "env", "expr", "git", "grep", "head", "id", "ln", "ls", "mkdir", "mv"],
    *["printf", "pwd", "readlink", "rm", "sed", "sh", "sleep", "sort", "tail", "test", "touch", "tr", "true", "uname"],
    *["wc"],
]

# How this host reaches an index is the host's business and is kept; everything else that steers Python or uv is not.
_KEPT_VARIABLES = re.compile(
    r"(?i)(pip_(?!require|user|target|prefix|python).*|uv_(index|find_links|default_index|extra).*|.*_proxy"
    r"|ssl_cert_.*|requests_ca_bundle|curl_ca_bundle|netrc|lang|lc_.*|systemroot|comspec|pathext|tmp|temp|tmpdir)\Z"
)


@dataclass(frozen=True)
class WildPython:
    """An interpreter of this machine."""

    version: tuple[int, int, int]
    executable: str

    @property
    def name(self) -> str:
        """`3.9`."""
        return f"{self.version[0]}.{self.version[1]}"


@functools.lru_cache(maxsize=None)
def wild_pythons() -> tuple[WildPython, ...]:
    """Return one CPython of each minor version from 3.6 on that this machine has, oldest first."""
    found: dict[tuple[int, int], WildPython] = {}
    for candidate in _candidate_executables():
        named = re.search(r"python3\.(\d+)\Z", candidate)
        if named and (3, int(named.group(1))) in found:
            continue
        python = _asked(candidate)
        if python is not None and python.version[:2] >= OLDEST_WILD_PYTHON:
            found.setdefault(python.version[:2], python)
    return tuple(found[version] for version in sorted(found))


def python_of(name: str) -> WildPython | None:
    """Return this machine's interpreter of the minor version `3.N`, or `None`."""
    return next((python for python in wild_pythons() if python.name == name), None)


def default_python() -> WildPython:
    """Return the interpreter that most tests start from: the one that runs them, or another of this machine."""
    return python_of(f"{sys.version_info[0]}.{sys.version_info[1]}") or wild_pythons()[-1]


@functools.lru_cache(maxsize=None)
def python_for_everybody() -> WildPython | None:
    """Return an interpreter that other users can run too, as those in somebody's home directory often cannot."""
    for name in ("/usr/bin/python3", "/usr/local/bin/python3"):
        python = _asked(name) if other_user_works() else None
        if python is not None:
            return python
    return None


def python_two() -> str | None:
    """Return this machine's Python 2.7, or `None`."""
    for candidate in _candidate_executables(("2.7",), ("python2.7", "python2")):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run([candidate, "-V"], stderr=subprocess.STDOUT, stdout=subprocess.PIPE, timeout=60)
            if asked.stdout.startswith(b"Python 2.7"):
                return candidate
    return None


def _candidate_executables(
    versions: Sequence[str] = ("3",), names: Sequence[str] = ("python3", "python")
) -> Iterator[str]:
    """Yield paths, real interpreters before shims and links."""
    for root in _pyenv_roots():
        for directory in sorted(root.glob("versions/*"), reverse=True):
            if directory.name.startswith(tuple(versions)):
                yield str(directory / ("python.exe" if os.name == "nt" else "bin/python"))
    if names[0] == "python3":
        yield os.path.realpath(sys.executable) if sys.prefix == sys.base_prefix else _base_executable()
        names = (*(f"python3.{minor}" for minor in range(6, 16)), *names)
    for name in names:
        on_path = shutil.which(name)
        if on_path:
            yield on_path


def _base_executable() -> str:
    return str(getattr(sys, "_base_executable", sys.executable))


def _pyenv_roots() -> Iterator[Path]:
    if os.environ.get("PYENV_ROOT"):
        yield Path(os.environ["PYENV_ROOT"])
    elif shutil.which("pyenv"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, timeout=60, check=True)
            yield Path(os.fsdecode(asked.stdout).strip())


def _asked(executable: str) -> WildPython | None:
    question = (
        "import sys, platform; e = getattr(sys, '_base_executable', sys.executable);"
        "print(platform.python_implementation(), *sys.version_info[:3]); print(e or sys.executable);"
        "print(sys.base_prefix == sys.prefix)"
    )
    try:
        answer = subprocess.run(
            [executable, "-I", "-c", question],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    first, real, is_base = os.fsdecode(answer.stdout).splitlines()
    implementation, major, minor, micro = first.split()
    if implementation != "CPython" or is_base != "True":
        return None
    return WildPython((int(major), int(minor), int(micro)), real)


def needed_tool(name: str) -> str:
    """Return the path of an executable of this host, or skip the test that needs it."""
    import pytest

    path = shutil.which(name)
    if path is None:
        pytest.skip(f"this host has no {name}")
    return path


@functools.lru_cache(maxsize=None)
def strace_works() -> bool:
    """Tell whether a process may be traced here."""
    if shutil.which("strace") is None:
        return False
    traced = subprocess.run(["strace", "-o", os.devnull, "true"], stderr=subprocess.DEVNULL, timeout=60)
    return traced.returncode == 0


@functools.lru_cache(maxsize=None)
def mount_namespace_works() -> bool:
    """Tell whether `unshare -m` may remount a directory read-only here."""
    if shutil.which("unshare") is None:
        return False
    script = (
        'd=$(mktemp -d) && mount --bind "$d" "$d" && mount -o remount,ro,bind "$d" && ! touch "$d/x";'
        'status=$?; umount "$d"; exit $status'
    )
    tried = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60
    )
    return tried.returncode == 0


@functools.lru_cache(maxsize=None)
def other_user_works() -> bool:
    """Tell whether this process may start another one as the user `nobody`."""
    if os.name == "nt" or os.getuid() != 0 or shutil.which("setpriv") is None:
        return False
    tried = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "true"], stderr=subprocess.DEVNULL, timeout=60
    )
    return tried.returncode == 0


def without_privileges() -> list[str]:
    """Return the beginning of a command that is to meet permissions, as the superuser does not; else skip the test."""
    import pytest

    if os.name == "nt":
        pytest.skip("permissions are told otherwise here")
    if os.geteuid() != 0:
        return []
    if not other_user_works():
        pytest.skip("this process cannot give its privileges away")
    return [needed_tool("setpriv"), "--bounding-set=-all", "--inh-caps=-all"]


def make_toolset(directory: Path, python: WildPython | None) -> Path:
    """Make a directory that can be the whole PATH: the tools of a POSIX host and, if given, one `python3`."""
    directory.mkdir(parents=True)
    for tool in TOOLSET:
        where = shutil.which(tool)
        if where:
            (directory / tool).symlink_to(where)
    if python is not None:
        (directory / "python3").symlink_to(python.executable)
    return directory


def clean_environment(path: str, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user who has just logged in: `path`, `home`, and how this host reaches an index."""
    kept = {name: value for name, value in os.environ.items() if _KEPT_VARIABLES.match(name)}
    return {**kept, "PATH": path, "HOME": str(home), **more}


def git(*arguments: str, where: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run git without the user's or the host's settings, and return what it printed."""
    environ = {
        **(os.environ if environment is None else environment),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "tester",
        "GIT_AUTHOR_EMAIL": "tester@example.invalid",
        "GIT_COMMITTER_NAME": "tester",
        "GIT_COMMITTER_EMAIL": "tester@example.invalid",
    }
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    done = subprocess.run(
        command, cwd=where, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False
    )
    text = os.fsdecode(done.stdout)
    if done.returncode != 0:
        raise AssertionError(f"{command} in {where}: {text}")
    return text


@functools.lru_cache(maxsize=None)
def shared_caches() -> dict[str, str]:
    """Return variables that let a clean environment use this user's caches of uv and pip, which saves downloads only."""
    caches = {}
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for variable, default in (("UV_CACHE_DIR", "uv"), ("PIP_CACHE_DIR", "pip")):
        caches[variable] = os.environ.get(variable) or os.path.join(base, default)
    roots = [str(root) for root in _pyenv_roots()]
    return {**caches, **({"PYENV_ROOT": roots[0]} if roots else {})}


def put_kernel(path: Path, kernel: str) -> None:
    """Leave the generated kernel where `init` has put it, or put a loader of this checkout's package in its place."""
    if kernel == "file":
        assert path.is_file()
        return
    path.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT / 'src')!r})\n"
        "import protoprimer\n"
        f"protoprimer.__path__.append({str(ROOT)!r})\n"
        "from protoprimer.primer_kernel import *\n"
        "from protoprimer.primer_kernel import answer_to_import\n",
        encoding="utf-8",
    )
