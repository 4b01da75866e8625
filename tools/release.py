"""Make everything that a release consists of: `python tools/release.py DIRECTORY`.

sdist, wheel, the kernel, a software bill of materials (CycloneDX), and SHA256SUMS of all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def make_release(directory: Path) -> list[Path]:
    """Write the files of a release into an empty directory, and return them."""
    subprocess.run([sys.executable, "-m", "build", "--installer", "uv", "--outdir", directory, ROOT], check=True)
    kernel = directory / "proto_kernel.py"
    command = [sys.executable, "-m", "protoprimer", "kernel", "write", str(kernel)]
    subprocess.run(command, check=True, cwd=ROOT)
    files = sorted(directory.iterdir())
    bill = directory / "sbom.cdx.json"
    bill.write_text(json.dumps(bill_of_materials(files), indent=2) + "\n", encoding="utf-8")
    sums = directory / "SHA256SUMS"
    sums.write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in [*files, bill]), encoding="utf-8")
    return [*files, bill, sums]


def bill_of_materials(files: list[Path]) -> dict[str, object]:
    """Return what is in these files, as CycloneDX: nothing but their own sources, since there are no dependencies."""
    version = _version()
    component = {"type": "application", "name": "protoprimer", "version": version, "bom-ref": "protoprimer"}
    parts = [
        {
            "type": "file",
            "name": path.name,
            "bom-ref": path.name,
            "hashes": [{"alg": "SHA-256", "content": _sha256(path)}],
        }
        for path in files
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**component, "purl": f"pkg:pypi/protoprimer@{version}"}},
        "components": parts,
        "dependencies": [{"ref": "protoprimer", "dependsOn": []}],
    }


def _version() -> str:
    text = (ROOT / "src" / "protoprimer" / "version.py").read_text(encoding="utf-8")
    return re.findall(r'(?m)^VERSION = "(.*)"$', text)[0]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    for made in make_release(Path(sys.argv[1])):
        print(made)
