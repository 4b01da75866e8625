"""A repository as its author has committed it and a user has cloned it, for tests that start real processes in it."""

from __future__ import annotations

import functools
import json
import os
import py_compile
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

import support
from protoprimer.authoring.entry import entry_text
from protoprimer.authoring.kernel import kernel_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A client that tells what it was given; `main(primer)` is for entry scripts of kind `boot`.
REPORTING_CLIENT = """\
import json, os, sys

def report():
    umask = os.umask(0)
    os.umask(umask)
    return {
        "argv": [os.fsencode(word).hex() for word in sys.argv[1:]],
        "program": sys.argv[0],
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "python": list(sys.version_info[:3]),
        "environ": dict(os.environ),
        "cwd": os.getcwd(),
        "umask": umask,
        "pid": os.getpid(),
        "flags": {name: getattr(sys.flags, name) for name in ("isolated", "dont_write_bytecode", "optimize")},
        "warnoptions": sys.warnoptions,
        "write_through": sys.stdout.write_through if sys.version_info >= (3, 7) else None,
        "path": sys.path,
        "modules": {name: getattr(module, "__file__", None) for name, module in sys.modules.items()},
    }

def main():
    print(json.dumps(report()))
"""

# A build backend of the standard library, so that installing a project needs neither an index nor a build requirement.
BUILD_BACKEND = """\
import base64, hashlib, os, re, zipfile

def build(directory, editable):
    text = open("pyproject.toml", encoding="utf-8").read()
    name, version = (re.search("^" + key + r' = "(.*?)"', text, re.M).group(1) for key in ("name", "version"))
    needs = re.search(r"^dependencies = (\\[.*?\\])$", text, re.M)
    module, stem = name.replace("-", "_"), "%s-%s" % (name.replace("-", "_"), version)
    lines = ["Metadata-Version: 2.1", "Name: " + name, "Version: " + version]
    lines += ["Requires-Dist: " + need for need in (eval(needs.group(1)) if needs else [])]
    files = {
        stem + ".dist-info/METADATA": "\\n".join(lines) + "\\n",
        stem + ".dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    if editable:
        files["__editable__.%s.pth" % stem] = os.getcwd() + "\\n"
    else:
        files[module + ".py"] = open(module + ".py", encoding="utf-8").read()
    record = ""
    with zipfile.ZipFile(os.path.join(directory, stem + "-py3-none-any.whl"), "w") as archive:
        for path, content in sorted(files.items()):
            archive.writestr(path, content.encode("utf-8"))
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode("utf-8")).digest()).rstrip(b"=").decode()
            record += "%s,sha256=%s,%d\\n" % (path, digest, len(content.encode("utf-8")))
        archive.writestr(stem + ".dist-info/RECORD", record + stem + ".dist-info/RECORD,,\\n")
    return stem + "-py3-none-any.whl"

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return build(wheel_directory, False)

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return build(wheel_directory, True)
"""
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "builder"\nbackend-path = ["."]\n'


# When all generated kernels were written, in seconds since 1970.
KERNEL_DATE = 1_700_000_000
# The file that `--messages` names: what was said of failures is kept there, one JSON document a line.
MESSAGES: list[Path] = []


@dataclass
class Done:
    """How a process ended; what it printed as text, undecodable bytes as `\\udcXX`."""

    status: int
    output: str
    errors: str

    def json(self) -> dict[str, Any]:
        """Return the document that is all of stdout."""
        document = json.loads(self.output)
        assert isinstance(document, dict)
        return document


@functools.lru_cache(maxsize=None)
def generated_kernel() -> str:
    """Return the stand-alone kernel that this checkout's package gives."""
    return kernel_text()


def give_bytecode(kernel: Path, cache: Path) -> None:
    """Put the bytecode of the generated kernel where the entry script looks for it, as after an earlier start.

    A short test would spend most of its time on compiling the kernel. `tests/hosts` has caches of its own and compiles.
    """
    if os.name != "posix" or not cache.is_dir():
        # No bytecode is kept where there is no cache.
        return
    # Python takes bytecode whose source has this date and this size.
    os.utime(kernel, (KERNEL_DATE, KERNEL_DATE))
    compiled = cache.parent / "kernel.pyc"
    with FileLock(f"{compiled}.lock"):
        if not compiled.exists():
            py_compile.compile(str(kernel), str(compiled), doraise=True)
    place = Path(f"{cache}/pyc{kernel.parent.resolve()}", f"{kernel.stem}.{sys.implementation.cache_tag}.pyc")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(compiled, place)


@dataclass
class Clone:
    """A clone, and the variables of the user who works in it.

    :param kernel: `package` or `file`: see `--kernel`
    """

    root: Path
    environ: dict[str, str]
    kernel: str
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / ".protoprimer"

    def write(self, files: Mapping[str, str | bytes]) -> Clone:
        """Write files below the root."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def project(self, name: str, where: str = ".", more: str = "", module: str = "") -> Clone:
        """Write a project that can be installed without an index; `more` ends its `[project]` table."""
        head = f'[project]\nname = "{name}"\nversion = "1"\n{more}\n'
        prefix = "" if where == "." else where + "/"
        return self.write(
            {
                prefix + "pyproject.toml": head + BUILD_SYSTEM,
                prefix + "builder.py": BUILD_BACKEND,
                f"{prefix}{name.replace('-', '_')}.py": module or f"NAME = {name!r}\n",
            }
        )

    def entry(self, name: str, main: str | None, kind: str = "run") -> Clone:
        """Write an entry script, and the kernel if it is not there."""
        up = "../" * name.count("/")
        script = self.root / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(entry_text(kind, main, up + "proto_kernel.py", up + ".protoprimer"), encoding="utf-8")
        script.chmod(0o755)
        kernel = self.root / "proto_kernel.py"
        if not kernel.exists():
            if self.kernel == "package":
                support.put_kernel(kernel, self.kernel)
            else:
                kernel.write_text(generated_kernel(), encoding="utf-8")
                if "PROTOPRIMER_CACHE" in self.environ:
                    give_bytecode(kernel, Path(self.environ["PROTOPRIMER_CACHE"]))
        return self

    def start(
        self, *command: str | bytes, environ: Mapping[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[bytes]:
        """Start a command in the root, in a process group of its own, and remember to end it."""
        settings: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        variables = {**self.environ, **(environ or {})}
        process = subprocess.Popen(
            command, **{"cwd": self.root, "env": variables, "start_new_session": True, **settings, **more}
        )
        self.started.append(process)
        return process

    def run(
        self,
        *command: str | bytes,
        status: int | None = 0,
        stdin: bytes | None = None,
        environ: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Done:
        """Run a command in the root to its end, and check its exit status unless `status` is `None`."""
        if stdin is not None:
            more["stdin"] = subprocess.PIPE
        done = finished(self.start(*command, environ=environ, **more), stdin)
        if MESSAGES and "error: " in done.errors:
            _keep_message(self.root, done)
        assert status is None or done.status == status, f"{command}: {done}"
        return done

    def prime(self, *arguments: str, status: int | None = 0, **more: Any) -> Done:
        """`./prime ARGUMENTS`."""
        return self.run("./prime", *arguments, status=status, **more)

    def report(self, *command: str | bytes, **more: Any) -> dict[str, Any]:
        """Run a script whose client is `REPORTING_CLIENT`."""
        return self.run(*command, **more).json()

    def builds(self) -> int:
        """Return how many environments were begun in this clone, as its logs tell."""
        logs = [path.read_text(encoding="utf-8") for path in self.state.glob("log/*.log")]
        return sum(log.count(" begin: creating an environment ") + log.count(" begin: linked ") for log in logs)

    def generations(self) -> list[Path]:
        """Return the published environments, the oldest first."""
        found = [
            (json.loads(path.read_text())["serial"], path.parent) for path in self.state.glob("envs/*/protoprimer.json")
        ]
        return [path for _, path in sorted(found)]

    def age_marks(self, hours: float = 2) -> None:
        """Let the environments have been made current or replaced some hours ago, so that they may be collected."""
        for mark in self.state.glob("envs/*.used-*"):
            moment = mark.stat().st_mtime - hours * 3600
            os.utime(mark, (moment, moment))

    def end(self) -> None:
        """End what is left of the processes that were started."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
            # Not read to their ends: an orphan may hold them.
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def _keep_message(root: Path, done: Done) -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    said = {"test": test, "root": str(root), "status": done.status, "errors": done.errors}
    with MESSAGES[0].open("a", encoding="utf-8", errors="replace") as stream:
        stream.write(json.dumps(said) + "\n")


def finished(process: subprocess.Popen[bytes], stdin: bytes | None = None) -> Done:
    """Wait for a process and return how it ended."""
    output, errors = process.communicate(stdin, timeout=300)
    return Done(
        process.returncode,
        os.fsdecode(output or b"").replace("\r\n", "\n"),
        os.fsdecode(errors or b"").replace("\r\n", "\n"),
    )


def snapshot(directory: Path, without: Sequence[str] = ()) -> dict[str, tuple[object, ...]]:
    """Return everything below a directory: kind and mode, time, and content or target of each entry."""
    found: dict[str, tuple[object, ...]] = {}
    for parent, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in without]
        for name in [".", *names, *files]:
            path = Path(parent, name)
            status = path.lstat()
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            found[str(path.relative_to(directory))] = (status.st_mode, status.st_mtime_ns, content)
    return found
