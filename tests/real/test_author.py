"""`python -m protoprimer init|entry|kernel`, as an author runs them."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import clones
import support
from protoprimer.authoring import init, kernel
from protoprimer.authoring.author import author_main

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """\
[project]
name = "demo"
version = "1"
requires-python = ">=3.9,!=3.11.1"
dependencies = ["six"]
[project.scripts]
demo = "demo.app:main"
[dependency-groups]
test = []
docs = []
"""
BUILD = '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'


@pytest.fixture(autouse=True)
def kernel_generated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all commands of these tests write the same text: generating it takes half a second."""
    for module in (init, kernel):
        monkeypatch.setattr(module, "kernel_text", clones.generated_kernel)


def author(*arguments: str, where: Path, status: int = 0) -> str:
    """Run the author's command line in this process and return its words."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as here, redirect_stdout(output), redirect_stderr(errors):
        here.chdir(where)
        for name in [name for name in os.environ if name.startswith("PROTOPRIMER_")]:
            here.delenv(name)
        done = author_main("python -m protoprimer", list(arguments))
    assert done == status, errors.getvalue()
    assert output.getvalue() == ""
    return errors.getvalue()


def author_as_a_process(*arguments: str, where: Path, status: int = 0) -> str:
    """Run the author's command line as an author does, and return its words."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROTOPRIMER_")}
    done = subprocess.run(
        [sys.executable, "-m", "protoprimer", *arguments],
        cwd=where,
        env={**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    words = done.stderr.decode()
    assert done.returncode == status, words
    assert done.stdout == b""
    assert "Traceback" not in words
    return words


def test_init_writes_two_executable_files_and_tells_what_it_found(git_repository: Path) -> None:
    (git_repository / "pyproject.toml").write_text(PROJECT)
    (git_repository / "uv.lock").write_text("")
    words = author_as_a_process("init", where=git_repository)
    for told in (
        "demo\n",
        ">=3.9,!=3.11.1, from",
        "pyproject.toml:4",
        "uv.lock",
        "docs (not installed), test (not installed)",
    ):
        assert told in words
    assert "script:       demo; for an entry script of it: python -m protoprimer entry demo demo.app:main\n" in words
    assert "program to run: none\n" in words, "a console script is not the main unless --main says so"
    if os.name != "nt":
        assert words.splitlines()[-2:] == [
            "next:         git add prime proto_kernel.py .gitattributes .gitignore",
            "              ./prime",
        ]
        modes = support.git("add", "-A", where=git_repository) + support.git("ls-files", "-s", where=git_repository)
        assert sorted(re.findall(r"(\d+) .*\t(\S+)", modes)) == [
            ("100644", ".gitattributes"),
            ("100644", ".gitignore"),
            ("100644", "pyproject.toml"),
            ("100644", "uv.lock"),
            ("100755", "prime"),
            ("100755", "proto_kernel.py"),
        ]
    assert (git_repository / ".gitignore").read_text() == "/.venv\n"
    author("kernel", "verify", "proto_kernel.py", where=git_repository)
    assert "nothing, all of it is there already" in author("init", where=git_repository)
    assert support.git("diff", where=git_repository) == ""


def test_init_tells_what_is_not_installed_and_the_one_thing_to_decide(tmp_path: Path) -> None:
    """The line is taken as it is told, and then the tests can run."""
    files = (
        "requirements-old.txt",
        "requirements/test.txt",
        "requirements/constraints.txt",
        "packages/one/setup.py",
        "poetry.lock",
        ".venv/pyvenv.cfg",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    text = PROJECT.replace("test = []", 'dev = ["six"]\ntest = ["pytest"]')
    (tmp_path / "pyproject.toml").write_text(text + '[project.optional-dependencies]\nfast = ["six"]\n' + BUILD)
    (tmp_path / "src").mkdir()
    words = author("init", where=tmp_path)
    for told in (
        "decide:       the group test brings what runs the tests, and is not installed; to install it:\n",
        "groups:       dev (installed), docs (not installed), test (not installed)\n",
        "extras:       fast (not installed)\n",
        "files:        requirements-old.txt (not installed), requirements/test.txt (not installed)\n",
        "below:        packages/one (not installed)\n",
        "lock:         poetry.lock is not read; ./prime lock",
        ".venv:        is another tool's environment",
    ):
        assert told in words
    assert words.index("decide:") < words.index("inputs:")
    follow(words, tmp_path)
    words = author("init", where=tmp_path)
    assert "decide:" not in words
    assert "groups:       dev (installed), docs (not installed), test (installed)\n" in words
    # A file of the repository's that ./prime reads is committed too.
    assert "git add prime proto_kernel.py .gitattributes .gitignore protoprimer.toml\n" in words


def follow(words: str, where: Path) -> None:
    command = re.findall(r"(echo 'install = .*); git add protoprimer.toml", words)
    assert len(command) == 1, words
    subprocess.run(["sh", "-c", *command], cwd=where, check=True)


def test_init_offers_no_second_configuration(tmp_path: Path) -> None:
    text = '[tool.protoprimer]\npython = ">=3.6"\n'
    (tmp_path / "pyproject.toml").write_text(PROJECT + BUILD + text)
    words = author("init", where=tmp_path)
    assert "docs (not installed)" in words
    assert "protoprimer.toml" not in words
    (tmp_path / "one").mkdir()
    (tmp_path / "pyproject.toml").replace(tmp_path / "one" / "pyproject.toml")
    (tmp_path / "pyproject.toml").write_text(text)
    words = author("init", where=tmp_path)
    assert 'next:         write in pyproject.toml:1 (tool.protoprimer): install = [{ projects = ["one"] }]' in words
    assert "protoprimer.toml" not in words


@pytest.mark.parametrize(
    ("arguments", "is_told"),
    [("", True), ("        args: [--maxkb=800]\n", False), ("exclude: ^proto_kernel\\.py$\n", False)],
)
def test_init_tells_of_a_hook_that_would_refuse_the_kernel(tmp_path: Path, arguments: str, is_told: bool) -> None:
    """Else the first commit after the adoption fails, with words of another tool."""
    hooks = "repos:\n  - repo: local\n    hooks:\n      - id: check-added-large-files\n" + arguments
    (tmp_path / ".pre-commit-config.yaml").write_text(hooks)
    words = author("init", where=tmp_path)
    assert ("pre-commit:   check-added-large-files refuses the kernel" in words) == is_told


def test_init_names_projects_below_and_writes_its_files_all_the_same(tmp_path: Path) -> None:
    for name in ("packages/one", "packages/two"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "pyproject.toml").write_text(PROJECT + BUILD)
    words = author("init", where=tmp_path)
    assert (
        "installs:     the configuration does not say which projects to install: packages/one, packages/two\n" in words
    )
    # Without that file ./prime would end with 3.
    assert "next:         python -m protoprimer init --install 'packages/*'\n" in words
    assert "git add prime proto_kernel.py .gitattributes .gitignore protoprimer.toml\n" in words
    assert (tmp_path / "prime").exists()
    assert "no project matches pack*" in author("init", "--install", "pack*", where=tmp_path, status=2)
    words = author("init", "--install", "packages/*", where=tmp_path)
    assert (tmp_path / "protoprimer.toml").read_text() == 'install = [{ projects = ["packages/*"] }]\n'
    assert "installs:     demo" in words
    assert "written:      protoprimer.toml\n" in words
    assert "git add prime proto_kernel.py .gitattributes .gitignore protoprimer.toml\n" in words
    author("init", "--install", "packages/*", where=tmp_path)
    again = author("init", "--install", "packages/one", where=tmp_path, status=2)
    assert "this repository has a configuration already" in again
    assert 'write in protoprimer.toml: install = [{ projects = ["packages/one"] }]' in again


@pytest.mark.skipif(os.name == "nt", reason="the scripts are started through their first line")
def test_what_init_wrote_runs(git_repository: Path, tmp_path: Path) -> None:
    author("init", str(git_repository), where=tmp_path)
    for name in ("prime", "proto_kernel.py"):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = support.clean_environment(path, tmp_path)
        done = subprocess.run([str(git_repository / name), "--version"], env=environ, stdout=-1, stderr=-1, check=False)
        assert (done.returncode, done.stdout.split()[0]) == (0, b"protoprimer"), done.stderr
    status = support.git("status", "--porcelain", where=git_repository).splitlines()
    assert sorted(status) == ["?? .gitattributes", "?? .gitignore", "?? prime", "?? proto_kernel.py"]


@pytest.fixture(scope="session")
def written_kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that `kernel write` made."""
    path = tmp_path_factory.mktemp("written") / "prime"
    author("kernel", "write", str(path), where=path.parent)
    return path


@pytest.mark.skipif(os.name == "nt", reason="sh reads the first half of the kernel")
@pytest.mark.parametrize("name", ["prime", "pro to_kernel.py"])
def test_the_kernel_alone_is_an_entry_script(
    tmp_path: Path, written_kernel: Path, name: str, wild_python: support.WildPython
) -> None:
    clone = tmp_path / "a clone"
    clone.mkdir()
    kernel = Path(shutil.copy(written_kernel, clone / name))
    tools = support.make_toolset(tmp_path / "bin", wild_python)
    environ = support.clean_environment(str(tools), tmp_path, PROTOPRIMER_CACHE=str(tmp_path / "cache"))
    for command in ([str(kernel)], ["sh", str(kernel)], [wild_python.executable, str(kernel)]):
        done = subprocess.run([*command, "--nonsense"], env=environ, stdout=-1, stderr=-1, cwd="/", check=False)
        assert done.returncode == 2, done.stderr
        assert b"--nonsense" in done.stderr
        assert b"Traceback" not in done.stderr
    assert os.listdir(clone) == [name]


def test_init_without_a_project_or_with_what_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / ".python-version").write_text("3.12\n")
    (tmp_path / "requirements.txt").write_text("")
    words = author("init", where=tmp_path)
    for told in (
        "none in this directory",
        "3.12, from",
        "requirements.txt",
        "program to run: none",
    ):
        assert told in words


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "/.venv\n"),
        ("*.pyc", "*.pyc\n/.venv\n"),
        (".venv/\n", ".venv/\n/.venv\n"),
        ("!.venv\n", "!.venv\n/.venv\n"),
        (".venv\n", ".venv\n"),
        ("# x\n/.venv  \n", "# x\n/.venv  \n"),
        (".venv*\n", ".venv*\n"),
    ],
)
def test_gitignore_leaves_out_a_link(tmp_path: Path, before: str | None, after: str) -> None:
    if before is not None:
        (tmp_path / ".gitignore").write_text(before)
    author("init", where=tmp_path)
    assert (tmp_path / ".gitignore").read_text() == after


ATTRIBUTES = "text eol=lf"
# A kernel is folded in reviews; entry scripts are to be read.
OF_KERNEL = ATTRIBUTES + " linguist-generated"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"/prime {ATTRIBUTES}\n/proto_kernel.py {OF_KERNEL}\n"),
        ("*.py text eol=lf", f"*.py text eol=lf\n/prime {ATTRIBUTES}\n/proto_kernel.py {OF_KERNEL}\n"),
        (f"/prime {OF_KERNEL}\n", f"/prime {ATTRIBUTES}\n/proto_kernel.py {OF_KERNEL}\n"),
        ("# ours\nprime -text\n", f"# ours\nprime -text\n/proto_kernel.py {OF_KERNEL}\n"),
    ],
)
def test_git_keeps_the_line_ends_that_sh_needs(git_repository: Path, before: str | None, after: str) -> None:
    there = git_repository / ".gitattributes"
    if before is not None:
        there.write_text(before)
    for _again in range(2):
        author("init", where=git_repository)
        assert there.read_text() == after
    (git_repository / "cmd").mkdir()
    author("entry", "cmd/ser ve", "app:main", where=git_repository)
    checked = support.git("check-attr", "eol", "linguist-generated", "--", "cmd/ser ve", where=git_repository)
    assert checked == "cmd/ser ve: eol: lf\ncmd/ser ve: linguist-generated: unspecified\n"


def test_a_dry_run_says_what_init_would_write_and_writes_nothing(tmp_path: Path) -> None:
    words = author("init", "--dry-run", where=tmp_path)
    assert "would write:  prime, proto_kernel.py, .gitattributes, .gitignore\n" in words
    assert os.listdir(tmp_path) == []


def test_only_the_option_names_a_main(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    assert "program to run: demo.app:other\n" in author("init", "--main", "demo.app:other", where=tmp_path)
    assert "program to run: demo.app:other\n" in author("init", where=tmp_path), "and init keeps it"
    assert "MODULE:FUNC" in author("init", "--main", "demo", where=tmp_path, status=2)


def test_the_links_of_named_environments_are_ignored_and_their_lines_removed(git_repository: Path) -> None:
    table = "[tool.protoprimer.env.docs]\nvenv-link = '.venv-docs'\n[tool.protoprimer.env.ci]\nvenv-link = false\n"
    (git_repository / "pyproject.toml").write_text(PROJECT + table)
    author("init", where=git_repository)
    assert (git_repository / ".gitignore").read_text() == "/.venv\n/.venv-docs\n"
    author("init", "--remove", where=git_repository)
    assert not (git_repository / ".gitignore").exists()


def test_remove_takes_away_what_init_and_prime_wrote_and_nothing_else(git_repository: Path) -> None:
    files = {"pyproject.toml": PROJECT, ".gitignore": "*.pyc\n/.venv/\n"}
    for name, text in files.items():
        (git_repository / name).write_text(text)
    author("init", "--windows", where=git_repository)
    assert (git_repository / "prime.cmd").read_bytes().startswith(b"@echo off\r\n")
    attributes = support.git("check-attr", "eol", "--", "prime.cmd", where=git_repository)
    assert attributes == "prime.cmd: eol: crlf\n"
    state = git_repository / ".protoprimer"
    (state / "envs" / "default-0").mkdir(parents=True)
    (state / "CACHEDIR.TAG").write_text("")
    (git_repository / ".venv").symlink_to(state / "envs" / "default-0")
    # Of an environment that is gone, and is no longer configured.
    (git_repository / ".venv-docs").symlink_to(".protoprimer/envs/docs-0123456789abcdef")
    words = author("init", "--remove", "--dry-run", where=git_repository)
    assert (
        "would remove: prime, proto_kernel.py, prime.cmd, .venv, .venv-docs, .protoprimer, lines of .gitattributes, lines of .git"
        in words
    )
    assert (git_repository / "prime").exists()
    author("init", "--remove", where=git_repository)
    assert {path.name: path.read_text() for path in git_repository.iterdir() if path.name != ".git"} == files
    assert "nothing: there is nothing of ours" in author("init", "--remove", where=git_repository)


def test_remove_leaves_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "prime").write_text("mine")
    (tmp_path / "proto_kernel.py").write_text("mine")
    (tmp_path / ".venv").symlink_to(tmp_path)
    (tmp_path / ".protoprimer").mkdir()
    assert "nothing of ours" in author("init", "--remove", where=tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".protoprimer", ".venv", "prime", "proto_kernel.py"]


@pytest.mark.parametrize("name", ["prime", "proto_kernel.py"])
def test_a_foreign_file_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("#!/bin/sh\nmine\n")
    words = author("init", where=tmp_path, status=3)
    assert name in words
    assert "--force" in words
    assert os.listdir(tmp_path) == [name]
    author("init", "--force", where=tmp_path)
    assert "\nmine\n" not in (tmp_path / name).read_text()


def test_a_directory_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prime").mkdir()
    assert "what is no file is in the way" in author("init", "--force", where=tmp_path, status=3)


def test_our_own_files_are_refreshed_and_keep_their_main(tmp_path: Path) -> None:
    author("init", where=tmp_path)
    author("entry", "prime", "demo.other:main", "--boot", where=tmp_path)
    prime, kernel = tmp_path / "prime", tmp_path / "proto_kernel.py"
    prime.write_text(prime.read_text().replace("# Shims come last", "# Shims come first"))
    kernel.write_text(kernel.read_text().replace("VERSION", "EDITED"))
    assert "has been edited" in author("kernel", "verify", str(kernel), where=tmp_path, status=1)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    assert "demo.other:main" in author("init", where=tmp_path)
    assert '"demo.other:main"' in prime.read_text()
    author("kernel", "verify", str(kernel), where=tmp_path)


def test_a_newer_kernel_is_not_replaced(tmp_path: Path) -> None:
    author("init", where=tmp_path)
    kernel = tmp_path / "proto_kernel.py"
    newer = re.sub(r"(?m)^# version: .*$", "# version: 999.1", kernel.read_text(), count=1)
    kernel.write_text(newer)
    assert "of version 999.1" in author("init", where=tmp_path, status=3)
    assert kernel.read_text() == newer


def test_a_kernel_is_written_over_no_file_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "setup.py"
    file.write_bytes(b"import setuptools  # \xff\n")
    words = author("kernel", "write", "setup.py", where=tmp_path, status=3)
    assert "a file that is not protoprimer's is in the way" in words
    assert "--force" in words
    assert file.read_bytes() == b"import setuptools  # \xff\n"
    author("kernel", "write", "--force", "setup.py", where=tmp_path)
    author("kernel", "verify", "setup.py", where=tmp_path)
    # Ours: an entry script becomes a kernel that is one itself.
    author("entry", "prime", "demo.app:main", "--kernel", "setup.py", where=tmp_path)
    author("kernel", "write", "prime", where=tmp_path)
    author("kernel", "verify", "prime", where=tmp_path)
    newer = re.sub(r"(?m)^# version: .*$", "# version: 999.1", file.read_text(), count=1)
    file.write_text(newer)
    assert "of version 999.1" in author("kernel", "write", "setup.py", where=tmp_path, status=3)
    assert file.read_text() == newer
    assert "what is no file is in the way" in author("kernel", "write", ".", where=tmp_path, status=3)
    assert "what is no file is in the way" in author("entry", ".", "demo.app:main", where=tmp_path, status=3)


@pytest.mark.parametrize("command", ["verify", "update", "write"])
def test_what_is_no_file_is_neither_read_nor_written_over(tmp_path: Path, command: str) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this host has no named pipes")
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", os.devnull, "."):
        words = author("kernel", command, name, where=tmp_path, status=3)
        assert words.startswith("error: what is no file is in the way\n  where: ")
        assert words.endswith("\n  next: move it away\n")
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_kernel_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").symlink_to("elsewhere.py")
    author("kernel", "write", "kernel.py", where=tmp_path)
    assert (tmp_path / "kernel.py").is_symlink()
    author("kernel", "verify", "elsewhere.py", where=tmp_path)


BLOCKING = {
    "a directory for .gitignore": ([".gitignore/"], "what is no file is in the way", ".gitignore"),
    "a directory for .gitattributes": ([".gitattributes/"], "what is no file is in the way", ".gitattributes"),
    "a directory for the script": (["prime/"], "what is no file is in the way", "prime"),
    "a file where a directory is needed": (
        ["tools", "one.py", "pyproject.toml"], "what is no directory is in the way", "tools",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("names", "says", "place"), BLOCKING.values(), ids=BLOCKING.keys())
def test_init_writes_nothing_where_it_cannot_write_all(tmp_path: Path, names: list[str], says: str, place: str) -> None:
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("")
    if "pyproject.toml" in names:
        (tmp_path / "pyproject.toml").write_text(
            '[project]\nname = "one"\nversion = "1"\n[build-system]\nrequires = []\n'
        )
    before = sorted(os.listdir(tmp_path))
    words = author("init", where=tmp_path, status=3)
    assert says in words
    assert f"where: {place}\n" in words
    assert sorted(os.listdir(tmp_path)) == before


def test_init_writes_nothing_where_the_users_ignore_file_may_not_be_changed(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    (tmp_path / ".gitignore").chmod(0o444)
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*support.without_privileges(), sys.executable, "-m", "protoprimer", "init"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 3
    assert b"cannot be written\n  where: .gitignore\n" in done.stderr
    assert os.listdir(tmp_path) == [".gitignore"]


def test_bad_places_and_bad_metadata_are_told(tmp_path: Path) -> None:
    assert "there is no directory" in author("init", "nowhere", where=tmp_path, status=2)
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert "pyproject.toml:1" in author("init", where=tmp_path, status=3)
    assert os.listdir(tmp_path) == ["pyproject.toml"]
    author_as_a_process("nonsense", where=tmp_path, status=2)
    author("kernel", "write", "no/where.py", where=tmp_path, status=3)
    author("kernel", "verify", "nowhere.py", where=tmp_path, status=3)


def test_an_unwritable_directory_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "cannot be written" in author("init", "closed", where=tmp_path, status=3)


def test_entry_finds_the_kernel_upwards_within_the_repository(git_repository: Path) -> None:
    inner = git_repository / "tools" / "deep"
    inner.mkdir(parents=True)
    assert "there is no proto_kernel.py" in author("entry", "tools/serve", "a.b:c", where=git_repository, status=2)
    author("init", where=git_repository)
    author("entry", "tools/deep/serve", "a.b:c", "--start", where=git_repository)
    text = (inner / "serve").read_text()
    assert '"/../../../proto_kernel.py"' in text
    assert "/../../.protoprimer/ready" in text
    assert "serve = kernel.start_app\n" in text
    assert 'serve("a.b:c", __file__)' in text
    assert os.access(inner / "serve", os.X_OK)
    author("entry", "tools/run", "a:c", "--kernel", "proto_kernel.py", where=git_repository)
    assert 'serve("a:c", __file__)' in (git_repository / "tools" / "run").read_text()


def test_entry_refuses_what_is_no_function(tmp_path: Path) -> None:
    author("init", where=tmp_path)
    for main in ("a.b", "a:b:c", "a b:c", ":c", "a:", "a.b:c.d", "1a:b"):
        assert "MODULE:FUNC" in author("entry", "serve", main, where=tmp_path, status=2)
        assert not (tmp_path / "serve").exists()


def test_entry_refuses_foreign_files_and_missing_places(tmp_path: Path) -> None:
    author("init", where=tmp_path)
    (tmp_path / "mine").write_text("mine")
    author("entry", "mine", "a:b", where=tmp_path, status=3)
    author("entry", "no/where", "a:b", where=tmp_path, status=2)
    author("entry", "serve", "a:b", "--kernel", "nowhere.py", where=tmp_path, status=2)
    author("entry", "mine", "a:b", "--force", where=tmp_path)


def test_entry_follows_a_configured_state_directory(tmp_path: Path) -> None:
    (tmp_path / "protoprimer.toml").write_text('state-dir = "build/state"\n')
    author("init", where=tmp_path)
    assert "/build/state/ready" in (tmp_path / "prime").read_text()


# Where a build could take the kernel for a module of the project, and where it could not.
MORE_LAYOUTS: list[tuple[dict[str, str | None], str]] = [
    ({"demo.py": "", "tests/__init__.py": "", "pyproject.toml": PROJECT + BUILD}, "tools/proto_kernel.py"),
    ({"demo/__init__.py": "", "pyproject.toml": PROJECT + BUILD}, "proto_kernel.py"),
    ({"src/demo.py": "", "pyproject.toml": PROJECT + BUILD}, "proto_kernel.py"),
    (
        {"demo.py": "", "pyproject.toml": PROJECT + BUILD + '[tool.setuptools]\npy-modules = ["demo"]\n'},
        "proto_kernel.py",
    ),
    ({"demo.py": "", "setup.py": "from setuptools import setup\nsetup(py_modules=['demo'])\n"}, "proto_kernel.py"),
]


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"demo.py": "", "pyproject.toml": PROJECT + BUILD}, "tools/proto_kernel.py"),
        ({"demo.py": "", "pyproject.toml": PROJECT + BUILD, "proto_kernel.py": None}, "proto_kernel.py"),
        ({"demo.py": "", "requirements.txt": ""}, "proto_kernel.py"),
        *(pytest.param(*row, marks=pytest.mark.thorough) for row in MORE_LAYOUTS),
    ],
)
def test_init_lays_the_kernel_where_no_build_takes_it_for_a_module(
    tmp_path: Path, files: dict[str, str | None], place: str
) -> None:
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        if text is None:
            author("kernel", "write", str(file), where=tmp_path)
        else:
            file.write_text(text)
    words = author("init", where=tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("proto_kernel.py")] == [place]
    assert f"git add prime {place}" in words
    is_told = "/" in place or files.get("proto_kernel.py", "") is None
    assert ("kernel:  " in words) == is_told
    assert "nothing, all of it is there already" in author("init", where=tmp_path)
    (tmp_path / "cmd").mkdir()
    author("entry", "cmd/serve", "demo:main", where=tmp_path)
    assert place in (tmp_path / "cmd" / "serve").read_text()


def test_a_project_of_one_module_is_primed_from_what_init_wrote(tmp_path: Path) -> None:
    project = PROJECT.replace("demo.app:main", "demo:main").replace('"six"', "") + BUILD
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "demo.py").write_text("def main():\n    print('here')\n")
    author("init", "--main", "demo:main", where=tmp_path)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PROTOPRIMER_")}
    done = subprocess.run(
        [sys.executable, "prime"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "here\n", done.stderr
