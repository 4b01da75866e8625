"""Both forms of the kernel file do the same; what is packed is found whoever loads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import clones
import own_wheel
import support
from protoprimer.authoring.kernel import is_plain, kernel_text, update_kernel
from protoprimer.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    NewClone = Callable[..., clones.Clone]

SILENT = clones.Done(0, "", "")
CLIENT = """\
import sys

def main(primer):
    from protoprimer import state
    from protoprimer.primer_kernel import StateGraph
    import protoprimer.backends.base

    @state(target="own")
    def own(root, arguments):
        \"\"\"Of the repository.\"\"\"
        print(root, arguments, sys.prefix, StateGraph.__name__)
    primer.add_option("--loud", action="store_true", help="be loud")
    primer.default_target = "own"
"""


@pytest.fixture(params=["file", "plain"])
def clone(request: pytest.FixtureRequest, new_clone: NewClone) -> clones.Clone:
    """Return a clone with a kernel of each form, packed and plain."""
    clone = new_clone()
    clone.kernel = request.param
    clone.write({"protoprimer.toml": 'backend = "venv"\n', "app.py": CLIENT})
    clone.write({"client.py": clones.REPORTING_CLIENT})
    clone.entry("prime", "app:main", "boot").entry("app", "client:main", "run")
    assert is_plain((clone.root / "proto_kernel.py").read_text(encoding="utf-8")) == (clone.kernel == "plain")
    return clone


def test_both_make_the_environment_and_serve_the_client(clone: clones.Clone) -> None:
    told = clone.prime().output
    assert told == f"{clone.root} [] {clone.generations()[0]} StateGraph\n"
    assert clone.report("./app", "x")["prefix"] == str(clone.generations()[0])
    assert clone.prime().output == told
    assert clone.builds() == 1
    assert "--loud" in clone.prime("--help").output
    shown = clone.prime("graph", "--format", "text").output
    for docstring in ("Of the repository.", "The repository's root directory.", "The ready environment: remembered"):
        assert docstring in shown
    assert clone.prime("--nonsense", status=2).output == ""
    assert json.loads(clone.prime("eval", "--json").output)
    assert not list(clone.root.glob("**/proto_kernel*.pyc"))


def test_both_are_entry_scripts_of_their_own(clone: clones.Clone) -> None:
    for command in (["python3", "proto_kernel.py"], ["sh", "proto_kernel.py"]):
        assert clone.run(*command, "--version").output == f"protoprimer {VERSION}\n"
    assert clone.run("python3", "proto_kernel.py", "boot").status == 0
    assert clone.run("sh", "proto_kernel.py") == SILENT
    assert clone.run("python3", "proto_kernel.py") == SILENT
    assert clone.builds() == 1


def test_a_failure_nobody_foresaw_names_its_function_and_file(clone: clones.Clone) -> None:
    # An object that no code of ours expects: the kernel is loaded, then one of its functions is broken.
    program = (
        "import sys, proto_kernel as k; sys.modules['proto_kernel'] = k;"
        "k.Plan.summary = k.Plan.inputs = lambda *_: k.toml_error_of_nothing();"
        "sys.argv = ['./prime', '-vv']; k.boot_env(None)"
    )
    done = clone.run("python3", "-c", program, status=6)
    assert "unexpected NameError" in done.errors or "unexpected AttributeError" in done.errors
    assert "in _serve_proto" in done.errors
    place = "proto_kernel.py" if clone.kernel == "plain" else "proto_kernel.py/protoprimer/graph.py"
    assert f'{clone.root}/{place}", line ' in done.errors
    assert "Traceback" in done.errors


def test_renewing_keeps_the_form(tmp_path: Path) -> None:
    for plain in (False, True):
        path = tmp_path / "proto_kernel.py"
        path.write_text(own_wheel.kernel_of_version("0.0.9", plain), encoding="utf-8")
        assert is_plain(path.read_text(encoding="utf-8")) == plain
        assert f"to {VERSION}: commit it" in update_kernel(str(path))
        assert path.read_text(encoding="utf-8") == kernel_text(plain)


def test_two_kernels_of_one_user_keep_what_is_theirs(new_clone: NewClone) -> None:
    """A clone is copied and its kernel is of another version: neither is given what the other has kept."""
    clone = new_clone().write({"protoprimer.toml": 'backend = "venv"\n'}).entry("prime", None, "boot")
    if clone.kernel != "file":
        pytest.skip("the generated file is left out of this run")
    other = clone.root / "other"
    other.mkdir()
    shutil.copy2(clone.root / "prime", other)
    (other / "proto_kernel.py").write_text(own_wheel.kernel_of_version("99.0"), encoding="utf-8")
    for _ in range(2):
        assert clone.prime("--version").output == f"protoprimer {VERSION}\n"
        assert clone.run("other/prime", "--version").output == "protoprimer 99.0\n"
    # A kernel in the place of another, as after a switch of branches.
    os.replace(other / "proto_kernel.py", clone.root / "proto_kernel.py")
    assert clone.prime("--version").output == "protoprimer 99.0\n"


def test_an_older_entry_script_loads_a_packed_kernel(new_clone: NewClone) -> None:
    """A script that was written before kernels were packed compiles the file as it stands."""
    clone = new_clone().write({"protoprimer.toml": 'backend = "venv"\n'}).entry("prime", None, "boot")
    if clone.kernel != "file":
        pytest.skip("the generated file is left out of this run")
    program = (
        "import sys; PROTOPRIMER_ENTRY = True; path = sys.argv.pop(1);"
        "k = sys.modules['proto_kernel'] = type(sys)('proto_kernel'); k.__file__ = path;"
        "exec(compile(open(path, 'rb').read(), path, 'exec', dont_inherit=True), vars(k)); k.boot_env(None)"
    )
    script = clone.root / "old"
    script.write_text(program)
    clone.run("python3", "-I", "-S", "old", str(clone.root / "proto_kernel.py"))
    assert clone.builds() == 1


def test_the_text_is_shown_to_whoever_asks(tmp_path: Path) -> None:
    path = tmp_path / "proto_kernel.py"
    path.write_text(kernel_text(), encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(support.ROOT / "src")}
    command = [support.default_python().executable, "-m", "protoprimer", "kernel", "show"]
    done = subprocess.run([*command, str(path)], stdout=-1, env=environ, timeout=60, check=True)
    assert b"\ndef choose_interpreter(" in done.stdout
    assert b'":"""' in done.stdout
    refused = subprocess.run([*command, __file__], stdout=-1, stderr=-1, env=environ, timeout=60, check=False)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"it is no kernel of protoprimer" in refused.stderr
