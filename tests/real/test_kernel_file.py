"""The kernel file as clones use it: it serves entry scripts, is one itself, and runs only whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import clones
import own_wheel
import support
from protoprimer.authoring import header
from protoprimer.version import VERSION
from samples import sample

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


@pytest.fixture
def clone(new_clone: NewClone) -> clones.Clone:
    """Return a clone with two entry scripts and the kernel file."""
    clone = new_clone()
    clone.kernel = "file"
    clone.write({"protoprimer.toml": 'backend = "venv"\n', "app.py": CLIENT})
    clone.write({"client.py": clones.REPORTING_CLIENT})
    return clone.entry("prime", "app:main", "boot").entry("app", "client:main", "run")


def test_it_makes_the_environment_and_serves_the_client(clone: clones.Clone) -> None:
    told = clone.prime().output
    assert told == f"{clone.root} [] {clone.generations()[0]} StateGraph\n"
    assert clone.report("./app", "x")["prefix"] == str(clone.generations()[0])
    assert clone.prime().output == told
    assert clone.builds() == 1
    assert "--loud" in clone.prime("--help").output
    shown = clone.prime("graph", "--format", "text").output
    for words in ("Of the repository.", "<- root, arguments", "The ready environment: linked"):
        assert words in shown
    assert clone.prime("--nonsense", status=2).output == ""
    assert json.loads(clone.prime("eval", "--json").output)
    assert not list(clone.root.glob("**/proto_kernel*.pyc"))


def test_it_is_an_entry_script_itself(clone: clones.Clone) -> None:
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
    assert 'File "proto_kernel.py", line ' in done.errors
    assert "Traceback" in done.errors


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("def run_main", "def run_mains"), "has been edited since it was written"),
        (lambda text: text[: text.index("# ---- protoprimer.primer_kernel")], "is cut off"),
        (
            lambda text: text.replace('"""The errors', '"""\n<<<<<<< HEAD\nThe errors'),
            "has the marks of a merge conflict",
        ),
    ],
)
@pytest.mark.parametrize("was_used_before", sample([True], [False]))
def test_a_kernel_that_is_not_whole_is_one_sentence(
    clone: clones.Clone, change: Callable[[str], str], said: str, was_used_before: bool
) -> None:
    """Whether or not its compiled form is kept; Python itself reads all of these."""
    kernel = clone.root / "proto_kernel.py"
    if was_used_before:
        assert clone.prime("--version").status == 0
    kernel.write_text(change(kernel.read_text()))
    told = f"error: the kernel {said}\n  where: {kernel}\n  next: restore it from version control\n"
    for command in (["./prime"], ["./app"], ["python3", "proto_kernel.py"], ["python3", "-c", "import proto_kernel"]):
        assert clone.run(*command, status=3) == clones.Done(3, "", told)
    assert clone.builds() == 0


def test_line_ends_of_windows_are_no_damage(clone: clones.Clone) -> None:
    kernel = clone.root / "proto_kernel.py"
    kernel.write_bytes(kernel.read_bytes().replace(b"\n", b"\r\n"))
    assert clone.prime("--version").output == f"protoprimer {VERSION}\n"


def test_two_kernels_of_one_user_keep_what_is_theirs(new_clone: NewClone) -> None:
    """A clone is copied and its kernel is of another version: neither is given what the other has kept."""
    clone = new_clone()
    clone.kernel = "file"
    clone.write({"protoprimer.toml": 'backend = "venv"\n'}).entry("prime", None, "boot")
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


def test_an_older_entry_script_loads_it(new_clone: NewClone) -> None:
    """An entry script of version 0.1 compiles the file itself, under the name proto_kernel."""
    clone = new_clone()
    clone.kernel = "file"
    clone.write({"protoprimer.toml": 'backend = "venv"\n'}).entry("prime", None, "boot")
    program = (
        "import sys; PROTOPRIMER_ENTRY = True; path = sys.argv.pop(1);"
        "k = sys.modules['proto_kernel'] = type(sys)('proto_kernel'); k.__file__ = path;"
        "exec(compile(open(path, 'rb').read(), path, 'exec', dont_inherit=True), vars(k)); k.boot_env(None)"
    )
    script = clone.root / "old"
    script.write_text(program)
    clone.run("python3", "-I", "-S", "old", str(clone.root / "proto_kernel.py"))
    assert clone.builds() == 1


# The kernel file as the author's tool


def kernel_alone(new_clone: NewClone, name: str = "proto_kernel.py") -> clones.Clone:
    """Return a directory with nothing but a kernel file and a project."""
    clone = new_clone().project("demo", module="def main():\n    print('here')\n")
    clone.write({name: clones.generated_kernel()})
    (clone.root / name).chmod(0o755)
    return clone


@pytest.mark.parametrize("version", sample(["3.6", "3.13"], ["3.8"]))
def test_one_file_is_the_whole_adoption(new_clone: NewClone, tmp_path: Path, version: str) -> None:
    """`python3 proto_kernel.py init && ./prime`, with no Python on PATH but this one."""
    python = support.python_of(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    clone = kernel_alone(new_clone)
    clone.environ["PATH"] = str(support.make_toolset(tmp_path / "only", python))
    clone.write({"protoprimer.toml": 'backend = "venv"\n'})
    done = clone.run("sh", "-c", "python3 proto_kernel.py init --main demo:main && ./prime")
    assert done.output == "here\n"
    assert "written:      prime, .gitattributes, .gitignore\n" in done.errors
    verified = clone.run("python3", "proto_kernel.py", "kernel", "verify", "proto_kernel.py")
    assert verified.errors.startswith(f"verified: proto_kernel.py is version {VERSION} with the sha256 ")
    clone.run("python3", "proto_kernel.py", "entry", "serve", "demo:main")
    assert clone.run("./serve") == clones.Done(0, "here\n", "")
    clone.run("rm", "serve")
    clone.run("python3", "proto_kernel.py", "init", "--remove")
    assert not any((clone.root / name).exists() for name in ("prime", "proto_kernel.py", ".venv", ".protoprimer"))


def test_strings_in_a_setup_py_that_can_be_no_paths_are_none(new_clone: NewClone, tmp_path: Path) -> None:
    """Older Pythons refuse some of them as patterns of names."""
    clone = kernel_alone(new_clone)
    clone.environ["PATH"] = str(support.make_toolset(tmp_path / "only", support.wild_pythons()[0]))
    script = (
        "import re, setuptools\nsetuptools.setup(name='old', version=re.sub(r'[z-a]*|[n-\\d]*', 'a\\0b\\ud800', '1'))\n"
    )
    clone.write({"pyproject.toml": "", "setup.py": script})
    assert "inputs:       pyproject.toml, setup.py" in clone.run("python3", "proto_kernel.py", "init").errors


def test_init_leaves_its_own_file_where_and_as_it_is(new_clone: NewClone) -> None:
    clone = kernel_alone(new_clone, "tools/our kernel.py")
    before = clones.snapshot(clone.root / "tools")
    clone.run("python3", "tools/our kernel.py", "init", "--main", "demo:main")
    assert clones.snapshot(clone.root / "tools") == before
    assert not list(clone.root.rglob("proto_kernel.py"))
    assert clone.prime("boot").output == "here\n"


def test_init_elsewhere_and_write_copy_the_file_that_runs(new_clone: NewClone, tmp_path: Path) -> None:
    clone = kernel_alone(new_clone)
    (tmp_path / "other").mkdir()
    clone.run("python3", "proto_kernel.py", "init", str(tmp_path / "other"))
    clone.run("python3", "proto_kernel.py", "kernel", "write", str(tmp_path / "copy.py"))
    for copy in (tmp_path / "other" / "proto_kernel.py", tmp_path / "copy.py"):
        assert copy.read_text(encoding="utf-8") == clones.generated_kernel()
    # The name of a script is one that the kernel may have, too: then there is no other.
    alone = kernel_alone(new_clone, "prime")
    assert "written:      .gitattributes, .gitignore\n" in alone.run("python3", "prime", "init").errors
    assert "takes no main" in alone.run("python3", "prime", "init", "--main", "demo:main", status=2).errors


def test_a_kernel_file_renews_an_older_one_and_is_renewed_by_what_is_offered(new_clone: NewClone) -> None:
    clone = kernel_alone(new_clone)
    kernel, newer = clone.root / "proto_kernel.py", own_wheel.kernel_of_version("99.0")
    clone.write({"old.py": own_wheel.kernel_of_version("0.0.9"), "new.py": newer})
    said = clone.run("python3", "proto_kernel.py", "kernel", "update", "old.py").errors
    assert f"updated the kernel old.py from version 0.0.9 to {VERSION} (sha256 " in said
    assert (clone.root / "old.py").read_text(encoding="utf-8") == clones.generated_kernel()
    update = ["python3", "proto_kernel.py", "kernel", "update", "proto_kernel.py", "--from", "new.py", "--sha256"]
    assert "do not use this file" in clone.run(*update, "0" * 64, status=1).errors
    said = clone.run(*update, hashlib.sha256(newer.encode()).hexdigest()).errors
    assert f"updated the kernel proto_kernel.py from version {VERSION} to 99.0 (sha256 " in said
    assert kernel.read_text(encoding="utf-8") == newer


AUTO = 'backend = "venv"\nkernel-update = "auto"\nkernel-sha256 = "%s"\n'


@pytest.mark.parametrize("how", sample(["has been edited", "not a kernel"], ["is cut off", "is not Python"]))
def test_a_text_that_is_no_whole_kernel_is_never_written_over_the_committed_one(
    new_clone: NewClone, tmp_path: Path, how: str
) -> None:
    given = own_wheel.kernel_of_version("99.0")
    broken = given.replace("\nimport os\n", "\nimport\n", 1)
    texts = {
        "has been edited": given.replace("\nimport os\n", "\nimport os  # not ours\n", 1),
        "is cut off": given[: len(given) // 2],
        "is not Python": broken.replace(header.hash_below(given), header.hash_below(broken), 1),
        "not a kernel": "print('mine now')\n",
    }
    program = f"import sys\nopen(sys.argv[3], 'w').write({texts[how]!r})\n"
    wheel = own_wheel.make_wheel(tmp_path, "99.0", {"protoprimer/__init__.py": "", "protoprimer/__main__.py": program})
    clone = new_clone()
    clone.kernel = "file"
    settings = AUTO % hashlib.sha256(texts[how].encode()).hexdigest()
    clone.write({"protoprimer.toml": settings + f'install = {{ args = ["{tmp_path / wheel}"] }}\n'})
    errors = clone.entry("prime", None, "boot").prime().errors
    assert re.search(f"warning: the kernel was not updated: .*{how}", errors)
    assert (clone.root / "proto_kernel.py").read_text(encoding="utf-8") == clones.generated_kernel()


@pytest.mark.parametrize("is_ours", [False, True])
def test_only_our_installed_package_is_asked_to_renew_the_kernel_and_its_failure_is_a_warning(
    new_clone: NewClone, is_ours: bool
) -> None:
    """The public index has a project of the same name by others, which is not even asked."""
    clone = new_clone()
    clone.kernel = "file"
    program = "import sys\nopen('asked', 'w').close()\nsys.exit('no disk')\n"
    wheel = own_wheel.make_wheel(
        clone.root, "99.0", {"protoprimer/__init__.py": "", "protoprimer/__main__.py": program}, is_ours
    )
    clone.write({"protoprimer.toml": AUTO % ("0" * 64) + f'install = {{ args = ["./{wheel}"] }}\n'})
    errors = clone.entry("prime", None, "boot").prime().errors
    assert ("warning: the kernel was not updated: no disk" in errors) is is_ours
    assert (clone.root / "asked").exists() is is_ours
    assert (clone.root / "proto_kernel.py").read_text(encoding="utf-8") == clones.generated_kernel()


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--select", "ALL", "--isolated"],
        ["ruff", "format", "--check", "--isolated"],
        ["mypy", "--strict", "--no-incremental", "--config-file="],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_tools_leave_it_alone_and_still_know_its_names(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "proto_kernel.py").write_text(clones.generated_kernel(), encoding="utf-8")
    if command[0] == "mypy":
        (tmp_path / "app.py").write_text("from proto_kernel import run_main\n\nrun_main('app:main')\n")
    done = subprocess.run([sys.executable, "-m", *command, "."], cwd=tmp_path, stdout=-1, check=False)
    assert done.returncode == 0, done.stdout


def test_bytecode_of_the_kernel_that_a_full_disk_cut_off_is_not_left_to_the_next_start(
    new_clone: NewClone, tmp_path: Path
) -> None:
    """Up to 3.12, Python keeps as much of it as the disk takes, says nothing, and cannot load that."""
    cache = tmp_path / "cache"
    cache.mkdir()
    clone = new_clone().entry("prime", None, "boot")
    clone.environ["PROTOPRIMER_CACHE"] = str(cache)
    limited = clone.run("/bin/sh", "-c", "ulimit -f 300; ./prime help")
    assert "usage" in limited.output
    assert clone.run("./prime", "help").output == limited.output
    (kept,) = cache.rglob("*.pyc")
    assert kept.stat().st_size > 300 * 512, "and then it is kept whole"
