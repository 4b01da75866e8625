"""The matrix with this machine's real interpreters: what ran, what was said, and what was left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from junitparser import JUnitXml

import support
from protoprimer.authoring.entry import entry_text
from protoprimer.authoring.kernel import write_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.skipif(len(support.wild_pythons()) < 2, reason="a matrix needs two Pythons")

SCHEMA = support.ROOT / "docs" / "reference" / "schemas" / "matrix.json"
NAMES = [python.name for python in support.wild_pythons()]
OLD, NEW = NAMES[-2:]
TWO = f"{OLD},{NEW}"


class Repository:
    """A client repository that installs nothing, so that no test here needs an index."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.state = root / ".protoprimer"
        (root / "prime").write_text(entry_text("boot", None, "proto_kernel.py"), encoding="utf-8")
        (root / "prime").chmod(0o755)
        support.put_kernel(root / "proto_kernel.py", "package")
        self.configure("")
        kept = {**support.shared_caches(), "PROTOPRIMER_CACHE": str(cache)}
        self.environment = support.clean_environment(os.environ["PATH"], root, **kept)

    def configure(self, matrix: str, more: str = "") -> None:
        text = f'backend = "venv"\npython-downloads = false\n{more}\n[matrix]\n{matrix}\n'
        (self.root / "protoprimer.toml").write_text(text, encoding="utf-8")

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["./prime", "matrix", *arguments],
            cwd=self.root,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
        )

    def run(self, *arguments: str, status: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        child = self.start(*arguments, **more)
        output, errors = child.communicate(timeout=300)
        assert child.returncode == status, f"{arguments}: {child.returncode}\n{output}\n{errors}"
        return subprocess.CompletedProcess(arguments, child.returncode, output, errors)

    def report(self, *arguments: str, status: int = 0) -> dict[str, dict[str, Any]]:
        """The cells of `--json` by name; the document is held to the published schema."""
        document = json.loads(self.run("--json", *arguments, status=status).stdout)
        jsonschema = pytest.importorskip("jsonschema")
        jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
        assert document["exit_code"] == status
        return {cell["name"]: cell for cell in document["cells"]}


@pytest.fixture
def repository(git_repository: Path, shared_directory: Path) -> Repository:
    return Repository(git_repository, shared_directory / "cache")


def python_code(code: str) -> list[str]:
    return ["--", "python", "-c", code]


def test_every_interpreter_of_this_machine_runs_the_command_in_its_own_environment(repository: Repository) -> None:
    code = "import sys, os; print('%d.%d' % sys.version_info[:2], sys.prefix, os.environ.get('PROTOPRIMER_CELL'))"
    cells = repository.report(*python_code(code))
    assert list(cells) == [f"py{name}" for name in NAMES]
    for name, cell in zip(NAMES, cells.values()):
        output = (repository.state / "log" / "matrix" / f"py{name}.log").read_text()
        assert f"{name} {cell['environment']} None" in output
        assert cell["status"] == "passed"
        assert cell["built"] is True
        assert cell["interpreter"].startswith(name + ".")


def test_a_second_run_builds_nothing_and_the_clone_keeps_its_own_environment(repository: Repository) -> None:
    subprocess.run(
        ["./prime", "--python", NEW], cwd=repository.root, env=repository.environment, check=True, timeout=120
    )
    before = {path.name: os.readlink(path) if path.is_symlink() else "" for path in repository.root.iterdir()}
    ready = [(path.name, path.read_bytes()) for path in repository.state.iterdir() if path.is_file()]
    first = repository.report("--python", TWO)
    second = repository.report("--python", TWO)
    assert [cell["built"] for cell in first.values()] == [True, True]
    assert [cell["built"] for cell in second.values()] == [False, False]
    assert {path.name: os.readlink(path) if path.is_symlink() else "" for path in repository.root.iterdir()} == before
    assert [(name, (repository.state / name).read_bytes()) for name, _ in ready] == ready


def test_one_failing_cell_stops_no_other_and_its_output_is_shown(repository: Repository) -> None:
    code = f"import sys; print('seen by a person'); sys.exit('%d.%d' % sys.version_info[:2] == '{OLD}' and 7)"
    done = repository.run("--python", TWO, *python_code(code), status=1)
    assert f"py{OLD} failed" in done.stderr
    assert "exit status 7" in done.stderr
    assert done.stderr.count("seen by a person") == 1
    assert "1 failed, 1 passed" in done.stderr
    assert done.stdout == ""


def test_fail_fast_stops_what_runs_and_what_waits(repository: Repository) -> None:
    code = f"import sys, time; '%d.%d' % sys.version_info[:2] == '{OLD}' and sys.exit(3); time.sleep(600)"
    cells = repository.report(
        "--python", ",".join([OLD, NEW, NAMES[0]]), "--fail-fast", "-j2", *python_code(code), status=1
    )
    assert cells[f"py{OLD}"]["exit_code"] == 3
    assert {cell["status"] for name, cell in cells.items() if name != f"py{OLD}"} == {"stopped"}


def test_a_missing_interpreter_fails_its_cell_with_every_candidate(repository: Repository) -> None:
    done = repository.run("--python", f"{NEW},3.99", "--", "python", "-V", status=4)
    assert re.search(r"py3\.99 missing .* no interpreter for 3\.99", done.stderr)
    for python in support.wild_pythons():
        assert "%d.%d.%d" % python.version in done.stderr
    assert f"py{NEW} passed" in done.stderr


def test_a_missing_interpreter_is_skipped_only_when_asked_and_all_skipped_is_no_success(repository: Repository) -> None:
    cells = repository.report("--python", f"{NEW},3.99", "--skip-missing", "--", "python", "-V")
    assert [cell["status"] for cell in cells.values()] == ["passed", "skipped"]
    assert repository.report("--python", "3.99", "--skip-missing", status=4)["py3.99"]["status"] == "skipped"


def test_a_cell_that_cannot_be_provisioned_is_told_from_one_that_failed(repository: Repository) -> None:
    (repository.root / "pyproject.toml").write_text(
        '[project]\nname = "unbuildable"\nversion = "1"\nrequires-python = ">=3.6"\n'
        '[build-system]\nrequires = []\nbuild-backend = "none"\nbackend-path = ["."]\n'
    )
    cells = repository.report("--python", TWO, status=6)
    assert [cell["status"] for cell in cells.values()] == ["unprovisioned", "unprovisioned"]
    assert all("could not install (exit status 1): Failed to build" in cell["reason"] for cell in cells.values())
    assert [path.name for path in (repository.state / "envs").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--python", "3.12,3.12"], 3, "two cells of the matrix are the same"),
        (["--python", "3.12,cpython3.12"], 3, "two cells of the matrix are the same"),
        (["--python", "bananas"], 3, "names no Python"),
        (["--python", "3.12", "--cell", "py3.21"], 2, "did you mean 'py3.12'?"),
        (["--python", "3.12", "--jobs", "0"], 2, "--jobs must be 1 or more"),
        (["--python", ">=4"], 4, "this host has no interpreter for >=4"),
        (["--junit", "no/such/report.xml", "--python", "3.12"], 2, "does not exist"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_run(
    repository: Repository, arguments: list[str], status: int, words: str
) -> None:
    done = repository.run(*arguments, "--", "false", status=status)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (repository.state / "log" / "matrix").exists()


def test_a_command_that_is_not_found_is_named(repository: Repository) -> None:
    done = repository.run("--python", NEW, "--", "no-such-command-here", status=1)
    assert "there is no command 'no-such-command-here'" in done.stderr


def test_output_that_is_not_utf_8_is_shown_and_kept_byte_for_byte(repository: Repository) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe\x00\x1b[31m<&>]]>'); sys.exit(1)"
    done = repository.run("--python", NEW, "--junit", "report.xml", *python_code(code), status=1)
    assert r"\xff\xfe" in done.stderr
    assert rb"\xff" not in (repository.state / "log" / "matrix" / f"py{NEW}.log").read_bytes()
    failure = ElementTree.parse(repository.root / "report.xml").getroot().find(".//failure")
    assert failure is not None
    assert "]]>" in str(failure.text)


def test_endless_output_ends_its_cell_only(repository: Repository) -> None:
    code = f"""
import sys
while '%d.%d' % sys.version_info[:2] == '{OLD}':
    sys.stdout.write('endless\\n' * 100000)
"""
    cells = repository.report("--python", TWO, *python_code(code), status=1)
    assert "printed more than" in cells[f"py{OLD}"]["reason"]
    assert cells[f"py{NEW}"]["status"] == "passed"


def test_an_interpreter_that_crashes_or_lies_is_refused_and_said(repository: Repository) -> None:
    for name, text in (("3.98.1", "kill -SEGV $$"), ("3.97.1", f'exec {shlex.quote(sys.executable)} "$@"')):
        fake = repository.root / "pyenv" / "versions" / name / "bin" / f"python{name[:4]}"
        fake.parent.mkdir(parents=True)
        fake.write_text(f"#!/bin/sh\n{text}\n")
        fake.chmod(0o755)
    repository.environment["PYENV_ROOT"] = str(repository.root / "pyenv")
    done = repository.run("--python", f"3.98,3.97,{support.wild_pythons()[-1].name}", status=4)
    assert re.search(r"py3\.98 missing", done.stderr)
    assert re.search(r"py3\.97 missing", done.stderr)
    assert " pyenv/versions/3.98.1/" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_processes_and_resume_redoes_the_unfinished(repository: Repository, number: int) -> None:
    mark = repository.root / "go"
    code = f"""
import os, subprocess, sys, time
if '%d.%d' % sys.version_info[:2] == '{NEW}' and not os.path.exists({str(mark)!r}):
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
    print('pids', os.getpid(), child.pid, flush=True)
    child.wait()
"""
    matrix = repository.start("--python", TWO, "--jobs", "1", *python_code(code))
    log = repository.state / "log" / "matrix" / f"py{NEW}.log"
    found = None
    while found is None:
        assert matrix.poll() is None
        found = re.search(r"pids (\d+) (\d+)\n", log.read_text()) if log.exists() else None
    matrix.send_signal(number)
    _, errors = matrix.communicate(timeout=60)
    assert matrix.returncode == 128 + number
    assert f"py{NEW} stopped" in errors
    for pid in found.groups():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    mark.touch()
    cells = repository.report("--python", TWO, "--resume", *python_code(code))
    assert [cell["status"] for cell in cells.values()] == ["passed", "passed"]
    assert [cell["built"] for cell in cells.values()] == [False, False]
    assert [cell["resumed"] for cell in cells.values()] == [True, False]
    again = repository.report("--python", TWO, *python_code("print('ran')"))
    assert [cell["resumed"] for cell in again.values()] == [False, False]


def test_killed_while_building_the_next_run_builds_only_the_rest(repository: Repository) -> None:
    repository.report("--python", OLD)
    matrix = repository.start("--python", TWO)
    envs = repository.state / "envs"
    while not any(path.name.startswith(f"default.py{NEW}-") for path in envs.iterdir()) and matrix.poll() is None:
        pass
    matrix.kill()
    matrix.communicate(timeout=60)
    cells = repository.report("--python", TWO)
    assert cells[f"py{OLD}"]["built"] is False
    assert cells[f"py{NEW}"]["status"] == "passed"


def test_github_gets_folded_groups_and_a_strategy(repository: Repository) -> None:
    done = repository.run("--python", TWO, *python_code("print('hello')"), GITHUB_ACTIONS="true", CI="true")
    assert len(re.findall(r"(?ms)^::group::py\S+ passed on .*?hello\n::endgroup::$", done.stderr)) == 2
    strategy = json.loads(repository.run("--python", ">=3.10,<3.13", "--github").stdout)
    assert [entry["python"] for entry in strategy["include"]] == ["3.10", "3.11", "3.12"]
    assert strategy["include"][0] == {"cell": "py3.10", "env": "default", "python": "3.10"}


def test_axes_make_the_product_less_exclude_plus_include(repository: Repository) -> None:
    repository.configure(
        f'python = ["{OLD}", "{NEW}"]\nenv = ["default", "dev"]\ncommand = ["python", "-V"]\n'
        f'exclude = [{{ python = "{OLD}", env = "dev" }}]\n'
        f'include = [{{ python = "{NEW}", backend = "virtualenv" }}]\n',
        "[env.dev]\nseed-pip = false\n",
    )
    listed = json.loads(repository.run("--github").stdout)["include"]
    assert [entry["cell"] for entry in listed] == [f"py{OLD}", f"py{NEW}", f"py{NEW}-dev", f"py{NEW}-virtualenv"]
    cells = repository.report("--cell", f"py{NEW}-dev", "--cell", f"py{OLD}")
    assert {name: cell["status"] for name, cell in cells.items()} == {f"py{OLD}": "passed", f"py{NEW}-dev": "passed"}
    names = sorted(path.name for path in (repository.state / "envs").iterdir() if path.is_dir())
    assert [name.rpartition("-")[0] for name in names] == [f"default.py{OLD}", f"dev.py{NEW}-dev"]


def test_a_dry_run_tells_fingerprints_and_does_nothing(repository: Repository) -> None:
    done = repository.run("--python", TWO, "--dry-run", "--json", "--junit", "junit.xml")
    assert re.search(r"planned on .*: fingerprint [0-9a-f]{16}\n", done.stderr)
    assert not (repository.root / "junit.xml").exists()
    planned = {cell["name"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert {cell["status"] for cell in planned.values()} == {"planned"}
    assert not (repository.state / "envs").exists()
    built = repository.report("--python", TWO)
    for name, cell in planned.items():
        assert built[name]["environment"].endswith("-" + cell["fingerprint"])


def test_junit_counts_every_kind(repository: Repository) -> None:
    code = f"import sys; sys.exit('%d.%d' % sys.version_info[:2] == '{OLD}')"
    repository.run("--python", f"{TWO},3.99", "--junit", "report.xml", *python_code(code), status=1)
    suite = ElementTree.parse(repository.root / "report.xml").getroot().find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "1", "errors": "1", "skipped": "0",
    }  # fmt: skip
    # As a CI service's reader of the format sees it.
    read = [case for suite in JUnitXml.fromfile(str(repository.root / "report.xml")) for case in suite]
    assert sorted(type(result).__name__ for case in read for result in case.result) == ["Error", "Failure"]
    assert len({case.name for case in read}) == 3


def read_terminal(command: Sequence[str], cwd: Path, environment: dict[str, str]) -> str:
    leader, follower = pty.openpty()
    child = subprocess.Popen(command, cwd=cwd, env=environment, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(leader)
    assert child.wait(timeout=60) == 0
    return seen.decode("utf-8", "replace")


def test_a_terminal_shows_a_table_that_is_gone_at_the_end(repository: Repository) -> None:
    environment = {**repository.environment, "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("CI", None)
    command = ["./prime", "matrix", "--python", TWO, "--", "python", "-c", "import time; time.sleep(1)"]
    seen = read_terminal(command, repository.root, environment)
    assert re.search(rf"py{re.escape(NEW)} +{re.escape(NEW)}\.\d+ +running +\d s", seen)
    assert seen.rindex("\033[J") < seen.rindex("2 passed")


def test_a_cache_of_environments_by_fingerprint_is_used_in_the_same_place(repository: Repository) -> None:
    built = repository.report("--python", NEW)[f"py{NEW}"]
    kept = repository.root / "kept"
    os.rename(built["environment"], kept)
    shutil.rmtree(repository.state)
    planned = json.loads(repository.run("--python", NEW, "--dry-run", "--json").stdout)["cells"][0]
    assert planned["fingerprint"] == built["fingerprint"]
    assert planned["environment"] is None
    (repository.state / "envs").mkdir(parents=True)
    os.rename(kept, built["environment"])
    assert repository.report("--python", NEW)[f"py{NEW}"]["built"] is False


def test_a_full_disk_ends_one_cell_with_its_reason(repository: Repository) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this host has no /dev/full")
    code = f"import sys; '%d.%d' % sys.version_info[:2] == '{OLD}' and open('/dev/full', 'w').write('x' * 9999999)"
    cells = repository.report("--python", TWO, *python_code(code), status=1)
    assert [cell["status"] for cell in cells.values()] == ["failed", "passed"]
    assert "No space left on device" in (repository.state / "log" / "matrix" / f"py{OLD}.log").read_text()


@pytest.mark.index
def test_the_example_library_passes_with_the_lowest_and_the_highest_versions(
    repository: Repository, shared_directory: Path
) -> None:
    if "3.12" not in NAMES:
        pytest.skip("the example's Pythons are not here")
    clone = repository.root / "library"
    shutil.copytree(support.ROOT / "examples" / "matrix-library", clone)
    library = Repository(clone, shared_directory / "cache")
    (clone / "protoprimer.toml").unlink()
    cells = library.report("--cell", "py3.12", "--cell", "py3.12-lowest-direct")
    assert {cell["status"] for cell in cells.values()} == {"passed"}
    pattern = "lib/*/site-packages/packaging-20.5.dist-info"
    lowest = {name: bool(list(Path(cell["environment"]).glob(pattern))) for name, cell in cells.items()}
    assert lowest == {"py3.12": False, "py3.12-lowest-direct": True}


@pytest.mark.parametrize("selector", ["pyenv.py", "uv_managed.py", "fixed_path.py"])
def test_each_shipped_selector_serves_from_the_oldest_python(selector: str, repository: Repository) -> None:
    path = support.ROOT / "examples" / "selectors" / selector
    home = repository.root / "pythons"
    for name in ("3.8.2", "3.11.4", "3.11.12", "3.12.1"):
        minor = name.rpartition(".")[0]
        for place in (home / "versions" / name / "bin" / "python", home / f"python{minor}" / "bin" / f"python{minor}"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    environment = {**repository.environment, "PYENV_ROOT": str(home), "PYTHONS_ROOT": str(home)}
    code = (
        f"exec(compile(open({str(path)!r}).read(), 'selector', 'exec')); import sys; print(select_python(sys.argv[1]))"
    )

    def selected(required: str) -> str:
        command = [support.wild_pythons()[0].executable, "-I", "-c", code, required]
        return subprocess.check_output(command, env=environment, encoding="utf-8", timeout=60).strip()

    expected = {
        "pyenv.py": {"==3.11.*": "versions/3.11.12/", ">=3.8,<3.11": "versions/3.8.2/", ">=4": "None", "": "versions/3.12.1/",
                     "!=3.12.*": "versions/3.11.12/", "~=3.11.3": "versions/3.11.12/", "~=3.8": "versions/3.12.1/"},
        "uv_managed.py": {">=4": "None"},
        "fixed_path.py": {"==3.11.*": "python3.11", "==3.11.4": "python3.11", ">=3.9": "python3.12", "==3.7.*": "None"},
    }[selector]  # fmt: skip
    for required, found in expected.items():
        assert found in selected(required)


def test_the_kernel_as_the_only_file_runs_a_matrix_from_the_oldest_python(repository: Repository) -> None:
    for name in ("prime", "proto_kernel.py"):
        (repository.root / name).unlink()
    write_kernel(str(repository.root / "prime"))
    command = [
        support.wild_pythons()[0].executable,
        "-I",
        "prime",
        "matrix",
        "--python",
        TWO,
        "--json",
        "--",
        "python",
        "-V",
    ]
    done = subprocess.run(
        command, cwd=repository.root, env=repository.environment, stdout=subprocess.PIPE, timeout=300, check=True
    )
    assert [cell["status"] for cell in json.loads(done.stdout)["cells"]] == ["passed", "passed"]


def run_step(file: str, job: str | None, step: str, repository: Repository, **variables: str) -> tuple[int, str]:
    """Run one step's script of a workflow or an action as a runner does; return its status and what it set."""
    document = pytest.importorskip("yaml").safe_load((support.ROOT / ".github" / file).read_text(encoding="utf-8"))
    steps = document["jobs"][job]["steps"] if job else document["runs"]["steps"]
    (script,) = [one["run"] for one in steps if one.get("id") == step and "if" not in one]
    told = repository.root / "github-output"
    told.write_text("")
    environment = {**repository.environment, "ENTRY": "./prime", "GITHUB_OUTPUT": str(told), **variables}
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    status = subprocess.run(bash, cwd=repository.root, env=environment, check=False, timeout=300).returncode
    return status, told.read_text()


def test_the_workflow_fails_where_the_listing_does(repository: Repository) -> None:
    status, told = run_step("workflows/matrix.yml", "cells", "list", repository, PYTHONS=OLD)
    assert (status, json.loads(told.partition("strategy=")[2])["include"][0]["python"]) == (0, OLD)
    status, told = run_step("workflows/matrix.yml", "cells", "list", repository, PYTHONS="three")
    assert (status, told) == (3, "")


@pytest.mark.parametrize("cell", ["", f"py{OLD}"])
def test_the_action_caches_the_environment_that_will_be_built_with_and_without_a_cell(
    repository: Repository, cell: str
) -> None:
    repository.configure(f'python = ["{OLD}"]')
    status, told = run_step("actions/prime/action.yml", None, "plan", repository, CELL=cell, PYTHON="")
    assert status == 0
    found = re.fullmatch("fingerprint=([0-9a-f]{16})\n", told)
    assert found is not None
    assert not repository.state.exists()
    if cell:
        repository.run("--cell", cell)
    else:
        subprocess.run(["./prime", "-q"], cwd=repository.root, env=repository.environment, check=True)
    assert list((repository.state / "envs").glob(f"*-{found.group(1)}*")), "what actions/cache is told to keep"
