"""Build repositories from many forms of requirement files, and compare each with what the reference reads there.

The reference is pip (`pip install --dry-run --report`), or uv where pip cannot read what uv can.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import clones
import simple_index
import support


@dataclass
class Form:
    """One repository: its requirement files, and which files of it a build depends on."""

    name: str
    text: str | bytes
    reads: list[str] = field(default_factory=list)
    files: dict[str, str | bytes] = field(default_factory=dict)
    reference: str = "pip"


DEV = "reqs/dev.txt"
PKG = ["pkg/pyproject.toml"]

FORMS = [
    # Names.
    Form("a name", "alpha\n"),
    Form("a specifier", "alpha==1.0\n"),
    Form("spaces around a specifier", "alpha >= 1.0 , < 2\n"),
    Form("parentheses", "alpha (>=1.0)\n"),
    Form("extras", "alpha[x] == 1.0\n"),
    Form("a marker", "alpha==1.0 ; python_version >= '3.0'\nbeta; python_version < '3'\n"),
    Form("a marker of PEP 345", "alpha; os.name == 'posix'\n"),
    Form("a comment behind a name", "alpha # beta\n"),
    Form("continued", "alpha \\\n  ==1.0\n"),
    Form("a comment that ends in a backslash", "alpha # x \\\nbeta\n"),
    Form("a comment line that ends in a backslash", "alpha\n# x \\\nbeta\n"),
    Form("a comment line within a continuation", "alpha \\\n# x\n==1.0\nbeta\n"),
    Form("a form feed", "alpha\x0cbeta\n"),
    Form("latin-1, declared", "# coding: latin-1\nalpha # \xe9\n".encode("latin-1")),
    Form("UTF-8 with a mark", "\ufeffalpha\n".encode()),
    Form("UTF-16", "alpha\n".encode("utf-16")),
    Form("UTF-16 with a variable", "./${DIRECTORY}\n".encode("utf-16"), PKG),
    Form("UTF-32 with a nested file", "-r reqs/dev.txt\n".encode("utf-32"), [DEV], {DEV: "alpha\n"}),
    Form("CRLF", b"alpha\r\n-r reqs/dev.txt\r\n", [DEV], {DEV: b"beta\r\n"}),
    # Paths.
    Form("a directory", "./pkg\n", PKG),
    Form("a directory with a slash", "pkg/\n", PKG),
    Form("a directory with extras", "./pkg[x]\n", PKG),
    Form("a directory whose name begins with a dot", ".pkg\n", [".pkg/pyproject.toml"]),
    Form("a directory with settings", "./pkg -C key=value\n", PKG),
    Form("a directory with long settings", "./pkg --config-settings key=value\n", PKG),
    Form("a directory with a marker", "./pkg ; python_version >= '3'\n", PKG),
    Form("editable", "-e ./pkg\n", PKG),
    Form("editable, long", "--editable=./pkg\n", PKG),
    Form("editable without a space", "-e./pkg\n", PKG),
    Form("editable with a fragment", "-e ./pkg#egg=pkg\n", PKG),
    Form("editable by URL with a subdirectory", "-e file://${ROOT}/mono#egg=sub&subdirectory=sub\n", ["mono/sub/pyproject.toml"]),
    Form("a URL with a subdirectory", "sub @ file://${ROOT}/mono#subdirectory=sub\n", ["mono/sub/pyproject.toml"]),
    Form("name @ URL", "pkg @ file://${ROOT}/pkg\n", PKG),
    Form("name @ localhost", "pkg @ file://localhost${ROOT}/pkg\n", PKG),
    Form("name @ relative", "pkg @ ./pkg\n", PKG, reference="uv"),
    Form("name @ file: relative", "pkg @ file:pkg\n", PKG),
    Form("file: relative", "file:pkg\n", PKG),
    Form("name @ PROJECT_ROOT", "pkg @ file:///${PROJECT_ROOT}/pkg\n", PKG, reference="uv"),
    Form("-r PROJECT_ROOT", "-r ${PROJECT_ROOT}/reqs/dev.txt\n", [DEV], {DEV: "alpha\n"}, reference="uv"),
    Form("a bare wheel", "alpha-1.0-py3-none-any.whl\n", ["alpha-1.0-py3-none-any.whl"]),
    Form("a bare wheel with extras", "alpha-1.0-py3-none-any.whl[x]\n", ["alpha-1.0-py3-none-any.whl"]),
    Form("a bare source archive", "gamma-1.0.tar.gz\n", ["gamma-1.0.tar.gz"]),
    Form("a bare zip", "master.zip\n", ["master.zip"]),
    Form("a wheel in a directory", "./vend/alpha-1.0-py3-none-any.whl\n", ["vend/alpha-1.0-py3-none-any.whl"]),
    Form("an archive of another name", "./vend/master.zip\n", ["vend/master.zip"]),
    Form("a wheel with a hash", "./vend/alpha-1.0-py3-none-any.whl --hash=sha256:{alpha}\n", ["vend/alpha-1.0-py3-none-any.whl"]),
    Form("a name with a hash", "alpha==1.0 --hash=sha256:{alpha}\n"),
    Form("a hash on the next line", "alpha==1.0 \\\n    --hash=sha256:{alpha}\n"),
    Form("hashes required", "--require-hashes\nalpha==1.0 --hash=sha256:{alpha}\n"),
    # Nested files.
    Form("nested", "-r reqs/dev.txt\n", [DEV], {DEV: "alpha\n"}),
    Form("nested without a space", "-rreqs/dev.txt\n", [DEV], {DEV: "alpha\n"}),
    Form("nested with an equals sign", "--requirement=reqs/dev.txt\n", [DEV], {DEV: "alpha\n"}),
    Form("nested, quoted", '-r "reqs/my dev.txt"\n', ["reqs/my dev.txt"], {"reqs/my dev.txt": "alpha\n"}),
    Form("nested, escaped", "-r reqs/my\\ dev.txt\n", ["reqs/my dev.txt"], {"reqs/my dev.txt": "alpha\n"}),
    Form("nested, unquoted space", "-r reqs/my dev.txt\n", [], {"reqs/my dev.txt": "alpha\n"}),
    Form("two on a line", "-r reqs/dev.txt -r b.txt\n", [DEV], {DEV: "alpha\n", "b.txt": "beta\n"}),
    Form("nested beside an option", "--no-index -r reqs/dev.txt\n", [], {DEV: "alpha\n"}),
    Form("nested, abbreviated", "--requirem reqs/dev.txt\n", [DEV], {DEV: "alpha\n"}),
    Form("constraint", "alpha\n-c reqs/dev.txt\n", [DEV], {DEV: "alpha==1.0\n"}),
    Form("constraint, abbreviated", "alpha\n--constr reqs/dev.txt\n", [DEV], {DEV: "alpha==1.0\n"}),
    Form("nested in a nested one", "-r reqs/dev.txt\n", [DEV, "reqs/more.txt"], {DEV: "-r more.txt\n", "reqs/more.txt": "alpha\n"}),
    Form("a path in a nested file", "-r reqs/dev.txt\n", PKG, {DEV: "./pkg\n"}),
    Form("a URL of a nested file", "-r file://${ROOT}/reqs/dev.txt\n", [DEV], {DEV: "alpha\n"}),
    Form("a circle", "-r reqs/dev.txt\nalpha\n", [DEV], {DEV: "-r ../requirements.txt\nbeta\n"}),
    # Options.
    Form("--pre", "--pre\nalpha\n"),
    Form("--no-index --pre on a line", "--no-index --pre\nalpha\n"),
    Form("find-links", "--no-index\n-f more\ndelta\n"),
    Form("find-links in a nested file", "-r reqs/dev.txt\n", [DEV], {DEV: "--no-index\n-f more\ndelta\n"}),
    Form("find-links, with an equals sign", "--find-links=more\ndelta\n"),
    Form("--no-binary", "--no-binary gamma\ngamma\n"),
    Form("--only-binary", "--only-binary=:all:\nalpha\n"),
    Form("--prefer-binary", "--prefer-binary\nalpha\n"),
    Form("--trusted-host", "--trusted-host example.invalid\nalpha\n"),
    Form("--use-feature", "--use-feature=fast-deps\nalpha\n"),
    Form("--global-option", "./pkg --global-option=x\n", PKG),
    Form("--all-releases", "--all-releases alpha\nalpha\n"),
    Form("two options", "--no-index --prefer-binary\nalpha\n"),
    # What is no requirement.
    Form("an unknown option", "--nosuch\nalpha\n"),
    Form("a broken specifier", "alpha=1.0\n"),
    Form("a broken name", "al pha\n"),
    Form("a marker with an open quote", "alpha; os_name == 'posix\n"),
    Form("a file that is not there", "./gone\n"),
    Form("nothing", "# nothing\n\n"),
]  # fmt: skip


class World:
    """What the forms name: wheels, archives, projects; and the tools that read them."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.links = base / "links"
        self.links.mkdir(parents=True)
        self.hashes: dict[str, str] = {}
        path = support.make_toolset(base / "tools", support.default_python())
        (base / "home").mkdir()
        links = str(self.links)
        found = support.clean_environment(str(path), base / "home", **support.shared_caches())
        for name in [one for one in found if one.upper().startswith(("PIP_", "UV_INDEX", "UV_EXTRA", "UV_DEFAULT"))]:
            if "CACHE" not in name:
                del found[name]
        found.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=links, UV_NO_INDEX="1", UV_FIND_LINKS=links, DIRECTORY="pkg")
        found.update(PIP_DISABLE_PIP_VERSION_CHECK="1")
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        found["PROTOPRIMER_CACHE"] = os.environ.get("PROTOPRIMER_CACHE") or os.path.join(cache, "protoprimer")
        self.environ = found
        for version in ("1.0", "2.0", "3.0a1"):
            self._put_wheel(self.links, "alpha", version)
        self._put_wheel(self.links, "beta", "1.0")

    def _put_wheel(self, directory: Path, name: str, version: str) -> Path:
        filename, content = simple_index.make_wheel(name, version)
        directory.mkdir(exist_ok=True)
        (directory / filename).write_bytes(content)
        return directory / filename

    def repository(self, number: int, form: Form, kernel: str) -> clones.Clone:
        """Make the repository of a form."""
        root = self.base / f"r{number}"
        root.mkdir()
        clone = clones.Clone(root, dict(self.environ, ROOT=str(root)), kernel)
        for name, where in (("pkg", "pkg"), ("hidden", ".pkg"), ("sub", "mono/sub"), ("mono", "mono")):
            clone.project(name, where, "[project.optional-dependencies]\nx = []" if name == "pkg" else "")
        wheel = self._put_wheel(root, "alpha", "1.0")
        (root / "vend").mkdir()
        shutil.copy(wheel, root / "vend")
        self._put_wheel(root / "more", "delta", "1.0")
        clone.project("gamma", "gamma-1.0")
        archive = shutil.make_archive(str(root / "gamma-1.0"), "gztar", root, "gamma-1.0")
        for directory in (root, root / "vend"):
            shutil.make_archive(str(directory / "master"), "zip", root, "gamma-1.0")
        if not (self.links / "gamma-1.tar.gz").exists():
            shutil.copy(archive, self.links / "gamma-1.tar.gz")
        shutil.rmtree(root / "gamma-1.0")
        digest = simple_index.sha256(wheel.read_bytes())
        text = form.text.replace("{alpha}", digest) if isinstance(form.text, str) else form.text
        clone.write({"requirements.txt": text, **form.files})
        return clone.entry("prime", None, "boot")


def reference_of(clone: clones.Clone, form: Form, world: World) -> dict[str, str] | str:
    """Return names and versions that the reference would install, or what it says against it."""
    python = support.default_python().executable
    environ = clone.environ
    if form.reference == "uv":
        (uv,) = sorted(Path(environ["PROTOPRIMER_CACHE"]).glob("tools/uv-*/bin/uv"))[-1:]
        target = world.base / "target"
        words = [str(uv), "pip", "install", "--python", python, "--target", str(target), "-r", "requirements.txt"]
        done = subprocess.run(words, cwd=clone.root, env=environ, capture_output=True, text=True, check=False)
        found = dict(one.name[: -len(".dist-info")].split("-", 1) for one in target.glob("*.dist-info"))
        shutil.rmtree(target, ignore_errors=True)
        return found if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    (pip,) = sorted(Path(environ["PROTOPRIMER_CACHE"]).glob("tools/pip-*"))[-1:]
    words = [python, str(pip_program(pip)), "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    done = subprocess.run(
        [*words, "-r", "requirements.txt"], cwd=clone.root, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed"
    items = [one["metadata"] for one in json.loads(done.stdout)["install"]]
    return {one["name"]: one["version"] for one in items}


def pip_program(directory: Path) -> Path:
    """Return what starts the cached pip."""
    return next(iter(directory.rglob("pip/__main__.py"))).parent


def difference_of(clone: clones.Clone, form: Form, world: World, backend: str, lock: bool) -> list[str]:
    """Build a form, and return what differs from the reference, and which changes go unnoticed."""
    expected = reference_of(clone, form, world)
    if lock:
        locked = clone.prime("lock", "--backend", backend, status=None)
        if locked.status != 0:
            return [] if isinstance(expected, str) else [f"lock: {locked.errors.strip()[-300:]}"]
    done = clone.prime("boot", "--backend", backend, status=None)
    if isinstance(expected, str):
        return [] if done.status in (3, 6) else [f"exit {done.status}, but the reference says: {expected}"]
    if done.status == 6 and form.reference == "uv" and backend not in ("auto", "uv"):
        return []
    if done.status != 0:
        return [f"exit {done.status}: {done.errors.strip()[-400:]}"]
    (environment,) = clone.generations()[-1:]
    found = {}
    for one in environment.rglob("*.dist-info"):
        name, _, version = one.name[: -len(".dist-info")].partition("-")
        found[name] = version
    found = {name: version for name, version in found.items() if name != "protoprimer"}
    wrong = [] if found == expected else [f"{found} instead of {expected}"]
    for path in ["requirements.txt", *form.reads]:
        file = clone.root / path
        before = file.read_bytes()
        file.write_bytes(before + b"\n# x\n")
        status = clone.prime("check", "--backend", backend, status=None).status
        file.write_bytes(before)
        if status != 1:
            wrong.append(f"a change of {path} is not noticed (exit {status})")
    return wrong


def main(words: list[str]) -> int:
    """Serve `python tests/stress requirements`."""
    parser = argparse.ArgumentParser(prog="python tests/stress requirements", description=__doc__)
    parser.add_argument("--only", metavar="WORDS", help="only forms whose names contain this")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--lock", action="store_true", help="lock first")
    parser.add_argument("--kernel", choices=["file", "package"], default="package")
    asked = parser.parse_args(words)
    base = Path(tempfile.mkdtemp(prefix="requirements-")).resolve()
    started, wrong, count = time.monotonic(), 0, 0
    try:
        world = World(base)
        for number, form in enumerate(FORMS):
            if asked.only and asked.only not in form.name:
                continue
            count += 1
            clone = world.repository(number, form, asked.kernel)
            found = difference_of(clone, form, world, asked.backend, asked.lock)
            shutil.rmtree(clone.root)
            wrong += bool(found)
            for one in found:
                print(f"{form.name}: {one}", flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(f"{count} forms, {wrong} differ, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
