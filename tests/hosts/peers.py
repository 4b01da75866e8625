"""What peers make of the same hosts: each as its own documentation begins, with the settings in its own variables."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import support
from hosts.bench import Bench, new_bench
from hosts.rows import HOSTS, Host

FILE = Path(__file__).with_name("peers.json")
SECONDS = 90
_SHOW = "python -c 'import demo; demo.main()'"

# uv has its own names for pip's settings.
_SETTINGS = """
export UV_DEFAULT_INDEX="$PIP_INDEX_URL" UV_KEYRING_PROVIDER="${PIP_KEYRING_PROVIDER:-disabled}"
[ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX
[ -z "$PIP_CERT" ] || export SSL_CERT_FILE="$PIP_CERT"
"""
COMMANDS = {
    "uv": "command -v uv || { python3 -m venv get && get/bin/pip install uv && PATH=$PWD/get/bin:$PATH; }\n"
    f"uv venv made && uv pip install --python made -e . && made/bin/{_SHOW}",
    "venv + pip": f"python3 -m venv made && made/bin/pip install -e . && made/bin/{_SHOW}",
    "tox": "python3 -m venv get && get/bin/pip install tox && get/bin/tox run",
    "pyprojectx": f"python3 pw --install-context main && .pyprojectx/venvs/main-*/bin/{_SHOW}",
}
_TOX = f"[testenv]\npackage = editable\ncommands = {_SHOW}\n"
_PYPROJECTX = '\n[tool.pyprojectx]\nmain = ["-e ."]\n'


class PeersBench(Bench):
    """A bench whose indexes have the peers' distributions too, wherever they have the tools of ours."""

    def wheels(self, *names: str, python: support.WildPython | None = None) -> list[Path]:
        """Return the wheels of the tools, and those of the peers where all are asked for."""
        found = super().wheels(*names, python=python)
        if names:
            return found
        chosen = python or support.default_python()
        directory = self.shared / f"peers for {chosen.name}"
        if not directory.exists():
            for name in ("tox", "pyprojectx"):
                command = [chosen.executable, "-m", "pip", "download", "-q", "-d", str(directory), name]
                subprocess.run(command, check=False, timeout=600)
        return list({path.name: path for path in [*directory.iterdir(), *found]}.values())


def made_by(peer: str, row: Host, shared: Path) -> str:
    """Return `yes`, or the last words of a peer on the host of a row."""
    with new_bench(shared) as plain:
        bench = PeersBench(plain.stack, plain.base, plain.shared, plain.kernel)
        try:
            world = row.build(bench)
        except pytest.skip.Exception as skipped:
            return f"not tried: {skipped}"
        _prepare(world.root, shared)
        if world.user is not None and world.root.stat().st_uid == world.user:
            world.give(world.root)
        command = world.command("sh", "-c", _SETTINGS + COMMANDS[peer])
        try:
            done = subprocess.run(
                command, cwd=world.root, env=world.clone.environ, timeout=SECONDS, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"no answer within {SECONDS} s"
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    said = (lines or ["nothing"])[-1].strip().replace(str(world.base), "…")
    return "yes" if done.returncode == 0 and "demo" in lines else re.sub(r":\d{5}\b", "", said)[:160]


def _prepare(root: Path, shared: Path) -> None:
    """Write what the peers want to find in a repository."""
    (root / "tox.ini").write_text(_TOX)
    with (root / "pyproject.toml").open("a") as stream:
        stream.write(_PYPROJECTX)
    (wheel,) = (shared / f"peers for {support.default_python().name}").glob("pyprojectx-*.whl")
    with tempfile.TemporaryDirectory() as directory:
        shutil.unpack_archive(str(wheel), directory, "zip")
        shutil.copy(Path(directory, "pyprojectx", "wrapper", "pw.py"), root / "pw")


def measure(keys: list[str]) -> None:
    """Try each peer on the named hosts, or on those that were not tried yet, and write down what came out."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    with tempfile.TemporaryDirectory(prefix="peers-") as directory:
        PeersBench(None, Path(directory), Path(directory)).wheels()  # type: ignore[arg-type]
        for row in HOSTS:
            if row.key in keys or (not keys and row.key not in known):
                known[row.key] = {peer: made_by(peer, row, Path(directory)) for peer in COMMANDS}
                print(row.key, known[row.key], file=sys.stderr, flush=True)
                FILE.write_text(json.dumps(known, indent=1) + "\n")
