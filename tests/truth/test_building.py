"""What is built, and when: sources that a build writes, inputs that change meanwhile, files that are gone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Callable

import pytest

import support
from clones import BUILD_BACKEND, BUILD_SYSTEM
from samples import WITH_UV, sample
from truth.oracle import Place, answer_of, booted, distributions_of, faults_after, go_back, made_ready
from truth.projects import BY_NAME, FLIT, STATIC, TOML, Project, put, rebuilt, swap

if TYPE_CHECKING:
    import clones

pytestmark = [pytest.mark.index, pytest.mark.skipif(os.name != "posix", reason="the place is laid out for POSIX")]

WITH_EFFECTS = sample(["hatch-vcs", "C extension"], ["a hook that generates a source", "setuptools finds packages"])


def as_cloned(place: Place, clone: clones.Clone) -> None:
    """Remove what git does not know, as `git clean -fdx` does; the repository is begun if it is none yet."""
    if not (clone.root / ".git").is_dir():
        support.git("init", "-q", where=clone.root)
        place.commit(clone.root, None)
    support.git("clean", "-fdxq", where=clone.root)


@pytest.mark.parametrize("installer", WITH_UV)
@pytest.mark.parametrize("name", WITH_EFFECTS)
def test_what_a_build_wrote_into_the_checkout_is_built_again_after_git_clean(
    place: Place, name: str, installer: str
) -> None:
    project = BY_NAME[name]
    if project.needs_compiler:
        support.needed_tool("gcc")
    clone = place.clone(project)
    first = booted(clone, project, installer)
    assert first.status == 0, first.said
    assert "Error" not in first.probe
    as_cloned(place, clone)
    assert booted(clone, project, installer) == first
    for path in [*clone.root.glob("*.so"), *clone.root.glob("src/app/_*e*.py")]:
        path.unlink()
    assert booted(clone, project, installer, "reboot") == first


@pytest.mark.parametrize("installer", WITH_UV)
def test_what_a_build_wrote_is_built_under_every_name(place: Place, installer: str) -> None:
    project = BY_NAME["hatch-vcs"]
    clone = place.clone(project)
    swap(TOML, "[build-system]", "[tool.protoprimer.env.other]\nwatch = ['README']\n\n[build-system]")(
        clone.root, place
    )
    first = booted(clone, project, installer)
    (clone.root / "src/app/_version.py").unlink()
    assert booted(clone, project, installer, "-e", "other").probe == first.probe


@pytest.mark.parametrize("link", ["src", "app"])
def test_a_link_to_the_code_that_leads_elsewhere_is_noticed(place: Place, link: str) -> None:
    project = BY_NAME["hatchling finds the package"]
    clone = place.clone(project)
    shutil.rmtree(clone.root / "app")
    below = "app/__init__.py" if link == "src" else "__init__.py"
    clone.write({f"one/{below}": "VALUE = 1\n", f"two/{below}": "VALUE = 2\n"})
    (clone.root / link).symlink_to("one")
    assert booted(clone, project, "uv").probe == "1"
    (clone.root / link).unlink()
    (clone.root / link).symlink_to("two")
    clone.prime("check", "--backend", "uv", status=1)
    assert booted(clone, project, "uv").probe == "2"
    clone.prime("check", "--backend", "uv")


@pytest.mark.parametrize("installer", WITH_UV)
@pytest.mark.parametrize("words", [["boot"], ["reboot"]], ids=["boot", "reboot"])
def test_a_wheel_rebuilt_under_its_name_is_installed_anew(place: Place, installer: str, words: list[str]) -> None:
    project = BY_NAME["a wheel that is watched"]
    clone = place.clone(project)
    assert booted(clone, project, installer).probe == "7"
    rebuilt("wheels/vendored-3-py3-none-any.whl", "3", 8)(clone.root, place)
    assert booted(clone, project, installer, *words).probe == "8"


# Inputs that change while a build runs


SWITCHING = Project(
    "switched",
    {
        TOML: '[project]\nname = "app"\nversion = "1"\n' + BUILD_SYSTEM,
        "builder.py": "import os\nif os.path.exists('switch'):\n    os.rename('switch', 'second.txt')\n"
        + BUILD_BACKEND,
        "app.py": "VALUE = 1\n",
        "protoprimer.toml": 'install = [{ projects = ["."] }, { requirements = ["second.txt"] }]\n',
        "second.txt": "delta\n",
        "switch": "epsilon\n",
    },
    {},
    {},
)


@pytest.mark.parametrize("installer", WITH_UV)
def test_inputs_that_change_while_a_build_runs_are_planned_anew(place: Place, installer: str) -> None:
    """While the first step is built, a branch is switched; later it is switched back."""
    clone = place.clone(SWITCHING)
    assert booted(clone, SWITCHING, installer).names().keys() == {"app", "epsilon"}
    clone.prime("check", "--backend", installer)
    clone.write({"second.txt": "delta\n"})
    assert booted(clone, SWITCHING, installer).names().keys() == {"app", "delta"}
    clone.write({"second.txt": "epsilon\n"})
    assert booted(clone, SWITCHING, installer).names().keys() == {"app", "epsilon"}


APPEARING = Project(
    "a file appears",
    {
        "setup.py": "import glob, os, sys\nfrom setuptools import setup\n"
        "names = sorted(glob.glob('data/*.txt'))\nlate = os.environ['HOME'] + '/late'\n"
        "if 'editable_wheel' in sys.argv and os.path.exists(late):\n    os.rename(late, names[0].replace('a.txt', 'b.txt'))\n"
        "setup(name='app', version='1', py_modules=['app'], install_requires=[open(one).read() for one in names])\n",
        "app.py": "VALUE = 1\n",
        "data/a.txt": "delta\n",
    },
    {},
    {},
)


@pytest.mark.parametrize("installer", WITH_UV)
def test_a_file_that_appears_while_a_build_runs_where_its_script_looks_is_planned_anew(
    place: Place, installer: str
) -> None:
    clone = place.clone(APPEARING)
    (place.base / "home/late").write_text("epsilon\n")
    assert booted(clone, APPEARING, installer).names().keys() == {"app", "delta", "epsilon"}
    assert clone.prime("check", "--backend", installer).status == 0


# Files of the environment


DAMAGES: dict[str, Callable[[str], None]] = {
    "gone": os.unlink,
    "of another size": lambda path: _append(path, b"# more\n"),
}


def _append(path: str, content: bytes) -> None:
    text = b""
    with open(path, "rb") as file:
        text = file.read()
    # The file may be a hard link into an installer's cache.
    os.unlink(path)
    with open(path, "wb") as file:
        file.write(text + content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_names_a_file_of_the_environment_that_is_damaged(place: Place, damage: str) -> None:
    project = BY_NAME["requirements that name others"]
    clone = place.clone(project)
    first = booted(clone, project, "uv")
    (path,) = (clone.root / ".venv").glob("lib/python*/site-packages/delta.py")
    DAMAGES[damage](str(path))
    done = clone.prime("check", "--backend", "uv", status=1)
    assert "delta.py" in done.output + done.errors
    assert "./prime reboot" in done.output + done.errors
    assert booted(clone, project, "uv", "reboot") == first
    clone.prime("check", "--backend", "uv")


def test_check_names_what_was_added_by_hand_which_a_boot_keeps_and_reboot_drops(place: Place) -> None:
    clone = place.clone(BY_NAME["requirements that name others"])
    clone.prime()
    clone.prime("pip", "--", "install", "editables")
    told = clone.prime("check", status=1).output
    assert "environment: changed by hand\n" in told
    assert re.search(r"(?m)^broken: editables-[\d.]+\.dist-info was added by hand$", told)
    assert "next: ./prime reboot makes it anew\n" in told
    clone.prime()
    assert "editables" in distributions_of(clone.root / ".venv")
    clone.prime("check", status=1)
    clone.prime("reboot")
    assert "editables" not in distributions_of(clone.root / ".venv")
    clone.prime("check")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_boot_that_looks_closely_heals_a_damaged_file(place: Place, damage: str) -> None:
    project = BY_NAME["requirements that name others"]
    clone = place.clone(project)
    booted(clone, project, "uv")
    (path,) = (clone.root / ".venv").glob("lib/python*/site-packages/delta.py")
    size = path.stat().st_size
    DAMAGES[damage](str(path))
    # No fast path any more, though nothing has changed.
    os.utime(clone.root / "requirements.txt", (time.time() + 10, time.time() + 10))
    clone.prime("--backend", "uv")
    (path,) = (clone.root / ".venv").glob("lib/python*/site-packages/delta.py")
    assert path.stat().st_size == size


def test_requirements_that_are_gone_are_told_instead_of_installing_nothing(place: Place) -> None:
    project = BY_NAME["requirements that name others"]
    clone = place.clone(project)
    booted(clone, project, "uv")
    (clone.root / "requirements.txt").unlink()
    clone.prime("check", "--backend", "uv", status=None)
    done = clone.prime("--backend", "uv", status=3)
    assert "requirements.txt" in done.errors
    clone.write({"protoprimer.toml": "install = []\n"})
    clone.prime("--backend", "uv")
    assert distributions_of(clone.root / ".venv") == {}


# Inputs are listed


def test_a_project_that_appears_below_a_root_that_installs_nothing_is_told_by_check(place: Place) -> None:
    """Not by a warm start: it would have to look again whenever a client writes a file anywhere near."""
    clone = place.clone(Project("nothing yet", {"README": ""}, {}, {}))
    clone.prime()
    clone.write({"tools/one/app.py": ""})
    clone.prime("check")
    clone.write({"tools/one/pyproject.toml": STATIC + FLIT})
    assert "tools/one" in clone.prime("check", status=1).output
    assert "tools/one" in clone.prime("reboot", status=3).errors
    (clone.root / "tools/one/pyproject.toml").unlink()
    clone.prime()
    clone.write({"protoprimer.toml": "install = []\n"})
    clone.prime()
    clone.write({"tools/one/pyproject.toml": STATIC + FLIT})
    assert clone.prime().errors == ""


def test_check_lists_the_inputs(place: Place) -> None:
    clone = place.clone(BY_NAME["setup.py that reads requirements in a loop"])
    clone.prime("--backend", "uv")
    done = clone.prime("check", "--backend", "uv")
    for name in ("setup.py", os.path.join("requirements", "base.txt")):
        assert name in done.output + done.errors


def test_init_lists_the_inputs(place: Place) -> None:
    clone = place.clone(BY_NAME["setup.py that reads requirements in a loop"])
    (clone.root / "prime").unlink()
    done = clone.run("python3", "proto_kernel.py", "init")
    for name in ("setup.py", "requirements"):
        assert name in done.output + done.errors


def test_watch_takes_globs_and_warns_of_one_that_matches_nothing(place: Place) -> None:
    clone = place.clone(BY_NAME["setuptools"])
    clone.write({"protoprimer.toml": "watch = ['data/**/*.txt', 'nosuch/*.bin']\n", "data/below/one.txt": "1"})
    done = clone.prime("--backend", "uv")
    assert "nosuch/*.bin" in done.errors
    for mutate in (put("data/below/one.txt", "2"), put("data/below/two.txt", "1")):
        clone.prime("check", "--backend", "uv")
        mutate(clone.root, place)
        clone.prime("check", "--backend", "uv", status=1)
        clone.prime("--backend", "uv")


# Why something is built


def test_because_compares_with_the_environment_that_was_in_use(place: Place) -> None:
    project = Project(
        "watched", {"protoprimer.toml": "watch = ['one', 'two']\n", "one": "1", "two": "1"}, {}, {}, probe=""
    )
    clone = place.clone(project)
    for files in ({}, {"one": "2"}, {"one": "1"}):
        clone.write(files)
        booted(clone, project, "uv")
    clone.write({"two": "2"})
    (line,) = [one for one in clone.prime("--backend", "uv").errors.splitlines() if "because" in one]
    assert "two" in line
    assert "one" not in line.replace("environment", "")


def test_where_dates_tell_of_no_change_check_advises_what_helps(place: Place) -> None:
    project = BY_NAME["requirements that name others"]
    clone = place.clone(project)
    booted(clone, project, "uv")
    path = clone.root / "requirements.txt"
    moment = path.stat().st_mtime_ns
    path.write_text(path.read_text() + "epsilon\n")
    os.utime(path, ns=(moment, moment))
    told = clone.prime("check", status=1).output
    assert "next: ./prime reboot makes it anew\n" in told
    clone.prime("reboot", "--backend", "uv")
    clone.prime("check")
    assert "epsilon" in distributions_of(clone.root / ".venv")


def test_check_does_not_call_current_what_is_not_in_use(place: Place) -> None:
    """After a change there and back, the environment is there, and `.venv` leads to another one."""
    project = BY_NAME["requirements that name others"]
    ready = made_ready(place, project, "uv")
    assert faults_after(place, ready, ["another constraint"]) == []
    swap("limits.txt", "alpha<1.5", "alpha<2")(ready.clone.root, place)
    assert answer_of(ready.clone, project) != ready.first
    ready.clone.prime("check", "--backend", "uv", status=1)
    ready.clone.prime("--backend", "uv")
    ready.clone.prime("check", "--backend", "uv")
    assert answer_of(ready.clone, project) == ready.first


def test_the_python_is_not_that_of_an_environment_that_is_out_of_use(place: Place) -> None:
    """Another branch wants 3.12, the next one does not say what it wants: as in a fresh clone, the starter's serves."""
    support.python_of("3.12") or pytest.skip("this host has no Python 3.12")
    project = BY_NAME["a Python version of its own"]
    ready = made_ready(place, project, "uv")
    assert faults_after(place, ready, ["another version"]) == []
    assert go_back(place, ready) == []
    assert faults_after(place, ready, ["the file is gone"]) == []


def test_because_says_that_the_base_interpreter_is_gone(place: Place, tmp_path: os.PathLike[str]) -> None:
    own = support.default_python()
    asked = subprocess.run(
        [own.executable, "-I", "-c", "import sys; print(sys.base_prefix)"], stdout=subprocess.PIPE, check=True
    )
    base = os.fsdecode(asked.stdout).strip()
    skipped = shutil.ignore_patterns("site-packages", "test", "__pycache__", "*.a", "idlelib", "tkinter", "share")
    if base == "/usr":
        pytest.skip("the interpreter's installation cannot be copied")
    upgraded = os.path.join(tmp_path, "upgraded")
    shutil.copytree(base, upgraded, symlinks=True, ignore=skipped)
    clone = place.clone(BY_NAME["nothing but a module"])
    os.makedirs(os.path.join(tmp_path, "bin"))
    os.symlink(os.path.join(upgraded, "bin", f"python{own.name}"), os.path.join(tmp_path, "bin", "python3"))
    path = f"{tmp_path}/bin:{clone.environ['PATH']}"
    clone.prime("--backend", "venv", environ={"PATH": path})
    assert os.path.realpath(clone.root / ".venv" / "bin" / "python").startswith(os.path.realpath(upgraded))
    shutil.rmtree(upgraded)
    done = clone.prime("--backend", "venv")
    assert "base interpreter" in done.errors
    assert "is gone" in done.errors


def test_because_says_that_the_last_build_was_interrupted(place: Place) -> None:
    slow = "import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n"
    files = {**SWITCHING.files, "builder.py": slow + BUILD_BACKEND, "switch": ""}
    clone = place.clone(Project("slow", files, {}, {}))
    process = clone.start("./prime", "--backend", "venv", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (clone.root / "begun").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    clone.write({"go": ""})
    assert "interrupted" in clone.prime("--backend", "venv").errors


def test_an_environment_answers_for_all_that_was_said(place: Place) -> None:
    """What `./prime` says, and what the oracle of these tests reads, are the same environment."""
    project = Project("plain", {TOML: STATIC + FLIT, "app.py": '"""It."""\nVALUE = 3\n'}, {}, {})
    clone = place.clone(project)
    assert booted(clone, project, "uv") == answer_of(clone, project)
