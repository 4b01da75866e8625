"""Markers as `packaging` evaluates them, and locks turned into requirement lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker, default_environment

from protoprimer.errors import ConfigurationError, InstallError
from protoprimer.formats.markers import marker_holds
from protoprimer.formats.toml import TomlReader
from protoprimer.project.locks_read import marker_environment, read_lock
from protoprimer.project.locks_written import pylock_text
from protoprimer.project.metadata import read_project
from protoprimer.project.plan import InstallStep, LockChoice, Plan, ProjectToInstall
from protoprimer.system.console import Console

if TYPE_CHECKING:
    from pathlib import Path

HERE: dict[str, Any] = {**default_environment(), "extra": ""}

VALUES = {
    "python_version": ["3.6", "3.8", "3.10", "3.11.*", "4"],
    "python_full_version": ["3.8.0", "3.10.0rc1", "3.11.7", "3.13"],
    "implementation_version": ["3.9"],
    "sys_platform": ["linux", "win32", "darwin"],
    "os_name": ["posix", "nt"],
    "platform_machine": ["x86_64", "arm64"],
    "platform_python_implementation": ["CPython", "PyPy"],
}


@st.composite
def markers(draw: st.DrawFn, depth: int = 2) -> str:
    if depth and draw(st.booleans()):
        left, right = draw(markers(depth - 1)), draw(markers(depth - 1))
        joined = f"{left} {draw(st.sampled_from(['and', 'or']))} {right}"
        return f"({joined})" if draw(st.booleans()) else joined
    name = draw(st.sampled_from(sorted(VALUES)))
    value = draw(st.sampled_from(VALUES[name]))
    operators = (
        ["==", "!="]
        if "*" in value or name not in VALUES or not name.endswith("version")
        else ["==", "!=", "<", "<=", ">", ">="]
    )
    operator = draw(st.sampled_from(operators if name.endswith("version") else [*operators, "in", "not in"]))
    quote = draw(st.sampled_from("'\""))
    return f"{name} {operator} {quote}{value}{quote}"


@given(markers())
def test_markers_mean_what_packaging_says(marker: str) -> None:
    environment = {
        **HERE,
        "python_version": "3.10",
        "python_full_version": "3.10.4",
        "implementation_version": "3.10.4",
    }
    assert marker_holds(marker, environment) == Marker(marker).evaluate(environment)


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("'3.9' <= python_version", True),
        ("'3.9' > python_version", False),
        ("python_full_version == '3.10.*'", True),
        ("python_version not  in '3.6, 3.7'", True),
        ("sys_platform == 'linux' or sys_platform == 'win32' and os_name == 'nothing'", True),
        ("'Te_st' in extras", True),
        ("'docs' in extras or 'dev' in dependency_groups", True),
        ("'docs' not in extras", True),
        ("'docs' in extras", False),
        ("sys.platform == 'linux' and 'linux' == sys.platform", True),
        ("python_implementation == 'CPython'", True),
        ("platform.python_implementation == 'CPython'", True),
        ("os.name == 'posix' and platform.machine != '' and platform.version != 'x'", True),
    ],
)
def test_markers_of_locks(marker: str, holds: bool) -> None:
    chosen = {"extras": frozenset(["te-st"]), "dependency_groups": frozenset(["dev"])}
    here = {**HERE, "python_version": "3.10", "python_full_version": "3.10.4", "sys_platform": "linux", **chosen}
    here.update(os_name="posix", platform_machine="x86_64", platform_python_implementation="CPython")
    assert marker_holds(marker, here) is holds


@pytest.mark.parametrize(
    "marker",
    [
        "",
        "python_version",
        "python_version >= ",
        "(os_name == 'posix'",
        "nothing == 'x'",
        "os_name == 'x' os_name",
        "'a' == 'a'",
        "os_name == 'posix",
        "os_name == '",
    ],
)
def test_what_is_no_marker_is_an_error(marker: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words
        marker_holds(marker, HERE)


def test_interpreter_tells_the_marker_variables_as_packaging_does() -> None:
    assert marker_environment(sys.executable, Console(-1)) == HERE


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
def test_another_interpreter_tells_its_marker_variables_itself(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\" | sed 's/{HERE['platform_release']}/9.9/'\n")
    other.chmod(0o755)
    assert marker_environment(str(other), Console(-1)) == {**HERE, "platform_release": "9.9"}


def plan_with(
    lock: Path,
    *,
    extras: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    lines: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
) -> Plan:
    (lock.parent / "setup.cfg").write_text("[metadata]\nname = demo\n", encoding="utf-8")
    metadata = read_project(str(lock.parent))
    assert metadata is not None
    metadata.groups.update({group: [] for group in groups})
    member = ProjectToInstall(str(lock.parent), True, list(extras), list(groups), metadata)
    chosen = LockChoice(str(lock), str(lock), "./prime lock")
    return Plan(str(lock.parent), [InstallStep([member], [], [], list(arguments), list(lines))], chosen)


def lock_of(directory: Path, text: str, name: str = "pylock.toml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


HEAD = 'lock-version = "1.0"\ncreated-by = "test"\n'


def test_every_source_of_pep_751_becomes_a_line(tmp_path: Path) -> None:
    text = HEAD + (
        '[[packages]]\nname = "A.b"\nversion = "1"\n'
        'sdist = { url = "https://x/a.tar.gz", hashes = { sha256 = "0a", md5 = "00" } }\n'
        'wheels = [{ url = "https://x/a.whl", hashes = { sha256 = "0b" } }]\n'
        '[[packages]]\nname = "c"\narchive = { path = "dist/c.zip", hashes = { sha256 = "0c" }, subdirectory = "s" }\n'
        '[[packages]]\nname = "d"\nvcs = { type = "git", url = "https://x/d", commit-id = "abc" }\n'
        '[[packages]]\nname = "e"\ndirectory = { path = "e", editable = true }\n'
        '[[packages]]\nname = "demo"\ndirectory = { path = "." }\n'
        '[[packages]]\nname = "f"\nversion = "1"\nmarker = "\'dev\' in dependency_groups"\nwheels = [{ hashes = { sha256 = "0f" } }]\n'
    )
    pins = read_lock(plan_with(lock_of(tmp_path, text)), HERE)
    archive = (tmp_path / "dist" / "c.zip").as_uri()
    assert pins.hashed == ["a-b==1 --hash=sha256:0b --hash=sha256:0a", f"c @ {archive}#subdirectory=s --hash=sha256:0c"]
    assert pins.unhashed == ["d @ git+https://x/d@abc", f"-e {(tmp_path / 'e').as_uri()}"]
    assert len(read_lock(plan_with(tmp_path / "pylock.toml", groups=("dev",)), HERE).hashed) == 3


def test_default_groups_of_a_lock_are_always_wanted(tmp_path: Path) -> None:
    text = 'default-groups = ["default"]\n[[packages]]\nname = "f"\nversion = "1"\nmarker = "\'default\' in dependency_groups"\n'
    lock = lock_of(tmp_path, HEAD + text + 'wheels = [{ hashes = { sha256 = "0f" } }]\n')
    assert read_lock(plan_with(lock), HERE).hashed == ["f==1 --hash=sha256:0f"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + 'requires-python = "<3"\n', "the lock is for Python <3, by requires-python, not for "),
        (
            HEAD + "environments = [\"sys_platform == 'amiga'\"]\n",
            "not for this interpreter, but for: sys_platform == 'amiga'",
        ),
        (HEAD + '[[packages]]\nname = "a"\nversion = "1"\nwheels = [{ hashes = { md5 = "0" } }]\n', "no hash for a"),
        (
            HEAD + 2 * '[[packages]]\nname = "a"\nversion = "1"\nwheels = [{ hashes = { sha256 = "0" } }]\n',
            "more than one a",
        ),
    ],
)
def test_lock_that_cannot_be_honoured_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InstallError) as caught:
        read_lock(plan_with(lock_of(tmp_path, text)), HERE)
    assert words in caught.value.cause
    assert "./prime lock" in (caught.value.advice or "")
    # A project's own range comes back in each new lock.
    assert ("requires-python" in caught.value.cause) == ("requires-python" in text)


PACKAGE = """[[packages]]
name = "six"
version = "%s"
[packages.%s]
url = "%s"
hashes = { sha256 = "%s" }
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "pylock.toml"),
        ('lock-version = "2.0"\n', "pylock.toml"),
        (HEAD + "[[packages]]\nversion = '1'\n", "pylock.toml"),
        (HEAD + "packages = [1]\n", "pylock.toml"),
        (HEAD + "environments = ['nonsense']\n", "pylock.toml"),
        (HEAD + PACKAGE % (r"1\n--index-url https://x", "sdist", "https://x.test/six-1.zip", "ab" * 32), "pylock.toml"),
        (HEAD + PACKAGE % ("1 --pre", "sdist", "https://x.test/six-1.zip", "ab" * 32), "pylock.toml"),
        (HEAD + PACKAGE % ("1", "archive", r"https://x.test/six-1.zip\n--pre", "ab" * 32), "pylock.toml"),
        (HEAD + PACKAGE % ("1", "archive", "https://x.test/six-1.zip", r"ab\n--pre"), "pylock.toml"),
        ("", "uv.lock"),
        ("version = 9\n", "uv.lock"),
        ("version = 1\n[[package]]\nname = 'x'\n", "uv.lock"),
    ],
)
def test_malformed_lock_is_a_configuration_error(tmp_path: Path, text: str, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_lock(plan_with(lock_of(tmp_path, text, name)), HERE)
    assert caught.value.place
    assert caught.value.advice


UV_LOCK = """version = 1
[[package]]
name = "demo"
version = "1"
source = { editable = "." }
dependencies = [
    { name = "lib", version = "1", source = { registry = "r" }, marker = "sys_platform == 'amiga'" },
    { name = "lib", version = "2", source = { registry = "r" }, marker = "sys_platform != 'amiga'" },
    { name = "forked", extra = ["x"] },
]
optional-dependencies.More-X = [{ name = "git" }, { name = "member" }]
dev-dependencies.dev = [{ name = "direct" }]
metadata.requires-dist = [{ name = "lib", specifier = ">=1" }]
[[package]]
name = "lib"
version = "1"
source = { registry = "r" }
wheels = [{ hash = "sha256:01" }]
[[package]]
name = "lib"
version = "2"
source = { registry = "r" }
wheels = [{ hash = "sha256:02" }]
[[package]]
name = "forked"
version = "1"
source = { registry = "r" }
resolution-markers = ["python_version < '3'"]
[[package]]
name = "forked"
version = "3"
source = { registry = "r" }
resolution-markers = ["python_version >= '3'"]
sdist = { hash = "sha256:03" }
optional-dependencies.x = [{ name = "deep" }]
[[package]]
name = "deep"
version = "1"
source = { registry = "r" }
sdist = { hash = "sha256:04" }
dependencies = [{ name = "forked" }]
[[package]]
name = "git"
version = "1"
source = { git = "https://x/git?subdirectory=sub&rev=main#abc" }
[[package]]
name = "direct"
version = "1"
source = { url = "https://x/direct.whl" }
wheels = [{ url = "https://x/direct.whl", hash = "sha256:05" }]
[[package]]
name = "member"
version = "1"
source = { editable = "parts/member" }
"""


MISSHAPEN = {
    "no hashes": "wheels = [{ url = 'u' }]",
    "a text for files": "wheels = 'u'",
    "a text for a directory": "directory = '.'",
    "a marker of no kind": "marker = 3\nwheels = []",
}


@pytest.mark.parametrize("text", MISSHAPEN.values(), ids=MISSHAPEN.keys())
def test_malformed_lock_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    lock = lock_of(tmp_path, f"# as exported\nlock-version = '1.0'\n[[packages]]\nname = 'a'\n{text}\n")
    with pytest.raises(
        ConfigurationError, match=f"the lock file is malformed: .+\n  where: {lock}\n  next: restore it"
    ):
        read_lock(plan_with(lock), HERE)


def test_a_package_without_a_name_is_told_with_its_line(tmp_path: Path) -> None:
    lock = lock_of(tmp_path, "lock-version = '1.0'\n[[packages]]\nname = 3\n")
    with pytest.raises(
        ConfigurationError, match=r"packages\[0\].name must be a string, not 3\n  where: .*pylock.toml:3 "
    ):
        read_lock(plan_with(lock), HERE)


def test_uv_lock_is_walked_over_the_edges_that_hold_here(tmp_path: Path) -> None:
    lock = lock_of(tmp_path, UV_LOCK, "uv.lock")
    plain = read_lock(plan_with(lock), HERE)
    assert plain.hashed == ["deep==1 --hash=sha256:04", "forked==3 --hash=sha256:03", "lib==2 --hash=sha256:02"]
    assert plain.unhashed == []
    pins = read_lock(plan_with(lock, extras=("more_x",), groups=("dev",)), HERE)
    assert "direct @ https://x/direct.whl --hash=sha256:05" in pins.hashed
    assert pins.unhashed == [
        "git @ git+https://x/git@abc#subdirectory=sub",
        f"-e {(tmp_path / 'parts' / 'member').as_uri()}",
    ]


GIT = 'vcs = { type = "git", url = "https://x/d.git", commit-id = "abc", requested-revision = "v1" }\n'
PINNED = {
    "d": '[[packages]]\nname = "d"\n' + GIT,
    "w": '[[packages]]\nname = "w"\narchive = { path = "dist/w-1-py3-none-any.whl", hashes = { sha256 = "0c" } }\n',
    "lib": '[[packages]]\nname = "lib"\nversion = "2rc1"\nwheels = [{ hashes = { sha256 = "01" } }]\n',
}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("lib", None),
        ("Lib>=1,<3", None),
        ("lib>=2", "pins lib 2rc1"),
        ("lib>=3; sys_platform == 'amiga'", None),
        ("lib>=3; os.name == 'amiga'", None),
        ("lib>=3; nobody.knows == 'this'", None),
        ("lib>=3; sys.platform != 'amiga'", "pins lib 2rc1"),
        ("more", "has no pin for `more`"),
        ("d @ git+https://x/d.git@v1", None),
        ("d @ git+https://me@x/d.git@abc", None),
        ("d @ git+https://x/d.git@v2", "takes d from https://x/d.git"),
        ("d @ git+https://x/d.git", "takes d from https://x/d.git"),
        ("d @ git+https://x/other.git@v1", "takes d from https://x/d.git"),
        ("w @ https://x/w-1-py3-none-any.whl", "takes w from file:"),
        ("lib @ https://x/lib-1-py3-none-any.whl", "takes lib from an index"),
    ],
)
def test_a_pin_satisfies_name_version_and_place(tmp_path: Path, line: str, fault: str | None) -> None:
    lock = lock_of(tmp_path, HEAD + "".join(PINNED.values()))
    if fault is None:
        read_lock(plan_with(lock, lines=(line,)), HERE)
        return
    with pytest.raises(InstallError) as caught:
        read_lock(plan_with(lock, lines=(line,)), HERE)
    assert fault in caught.value.cause
    assert f"`{line}`" in caught.value.cause
    assert caught.value.place == str(tmp_path / "pyproject.toml")


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("--only-binary", "more", "--index-url=u", "lib"), None),
        (("-r", "asked.txt"), "third"),
        (("--pre", "more"), "more"),
        (("-c", "asked.txt"), None),
        (("./dist/w-1-py3-none-any.whl",), None),
        (("./dist/other-1-py3-none-any.whl",), "other"),
    ],
)
def test_arguments_are_requirements_files_and_values_of_options(
    tmp_path: Path, arguments: tuple[str, ...], missing: str | None
) -> None:
    lock = lock_of(tmp_path, HEAD + "".join(PINNED.values()))
    (tmp_path / "asked.txt").write_text("# first\nlib  # second\nthird==1 --hash=sha256:00\n")
    (tmp_path / "dist").mkdir()
    for name in ("w-1-py3-none-any.whl", "other-1-py3-none-any.whl"):
        (tmp_path / "dist" / name).touch()
    if missing is None:
        read_lock(plan_with(lock, arguments=arguments), HERE)
    else:
        with pytest.raises(InstallError, match=missing):
            read_lock(plan_with(lock, arguments=arguments), HERE)


def test_uv_lock_that_was_resolved_up_to_the_same_moment_is_taken_however_that_is_written(tmp_path: Path) -> None:
    """uv leaves out the zeros after the second."""
    text = (
        'version = 1\n[options]\nexclude-newer = "2026-10-01T00:00:00Z"\n'
        '[[package]]\nname = "demo"\nversion = "1"\nsource = { editable = "." }\n'
    )
    plan = plan_with(lock_of(tmp_path, text, "uv.lock"))
    for moment in ("2026-10-01T00:00:00Z", "2026-10-01T00:00:00.000Z"):
        plan.settings = {"uploaded-prior-to": [moment]}
        assert read_lock(plan, HERE).hashed == []
    plan.settings = {"uploaded-prior-to": ["2026-10-02T00:00:00Z"]}
    with pytest.raises(InstallError, match="resolved with another exclude-newer"):
        read_lock(plan, HERE)


def test_uv_lock_with_conflicts_is_left_to_uv(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="only uv can resolve"):
        read_lock(plan_with(lock_of(tmp_path, "version = 1\nconflicts = [[]]\n", "uv.lock")), HERE)


def test_report_of_pip_becomes_a_lock_without_own_projects_and_credentials(tmp_path: Path) -> None:
    def item(name: str, **info: Any) -> dict[str, Any]:
        direct = info.pop("is_direct", False)
        return {"metadata": {"name": name, "version": "1"}, "is_direct": direct, "download_info": info}

    hashes = {"hashes": {"sha256": "0a"}}
    install = [
        item("Z_z", url="https://me:secret@x/z-1-py3-none-any.whl", archive_info=hashes),
        item("s", url="https://x/s-1.tar.gz", archive_info={"hash": "sha256=0b"}),
        item("direct", url="https://x/d.zip", archive_info=hashes, is_direct=True),
        item("git", url="https://x/git", vcs_info={"vcs": "git", "commit_id": "abc"}, subdirectory="sub"),
        item("demo", url=tmp_path.as_uri(), dir_info={"editable": True}),
        item("other", url=(tmp_path / "other").as_uri(), dir_info={"editable": True}),
    ]
    environment = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x86_64"}
    text = pylock_text({"environment": environment, "install": install}, str(tmp_path), [str(tmp_path)], ">=3.8")
    document = TomlReader(text).read()
    assert "secret" not in text
    assert str(tmp_path) not in text
    packages = {package["name"]: package for package in document["packages"]}
    assert list(packages) == ["direct", "git", "other", "s", "z-z"]
    assert packages["z-z"]["wheels"][0]["name"] == "z-1-py3-none-any.whl"
    assert packages["s"]["sdist"]["hashes"] == {"sha256": "0b"}
    assert packages["other"]["directory"] == {"path": "other", "editable": True}
    assert document["environments"] == [
        "python_version == '3.11' and sys_platform == 'linux' and platform_machine == 'x86_64'"
    ]
    lock = lock_of(tmp_path, text)
    pins = read_lock(plan_with(lock), {**HERE, **environment, "python_full_version": "3.11.7"})
    assert pins.unhashed == [
        "git @ git+https://x/git@abc#subdirectory=sub",
        "-e " + (tmp_path / "other").as_uri(),
    ]
    assert len(pins.hashed) == 3


def test_a_directory_of_a_lock_may_have_a_subdirectory_however_its_keys_are_written(tmp_path: Path) -> None:
    for name in ("mono/sub", "plain"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "setup.py").touch()
    text = HEAD + (
        "[[packages]]\nname = 'sub'\n[packages.directory]\n'path' = 'mono'\neditable = true\nsubdirectory = \"sub\"\n"
        "[[packages]]\nname = 'plain'\ndirectory = {\"path\" = 'plain', subdirectory = ''}\n"
    )
    plan = plan_with(lock_of(tmp_path, text))
    sub, plain = tmp_path / "mono/sub", tmp_path / "plain"
    assert read_lock(plan, HERE).unhashed == [f"-e {sub.as_uri()}", f"plain @ {plain.as_uri()}"]
    assert plan.paths_in_lock() == [(str(sub), True), (str(plain), False)]
    assert {str(sub / "setup.py"), str(plain / "setup.py")} <= plan.inputs().present


@pytest.mark.parametrize("text", ["path = [", HEAD + "packages = 1 # path", HEAD + "packages = [1] # path"])
def test_a_broken_lock_is_no_fault_of_the_inputs(tmp_path: Path, text: str) -> None:
    plan = plan_with(lock_of(tmp_path, text))
    assert plan.paths_in_lock() == []
    assert plan.inputs().present


def test_files_of_a_lock_are_taken_from_where_they_lie_and_may_tell_the_version(tmp_path: Path) -> None:
    (tmp_path / "vend").mkdir()
    for name in ("a-1.5-py3-none-any.whl", "c.zip"):
        (tmp_path / "vend" / name).touch()
    text = HEAD + (
        '[[packages]]\nname = "a"\nwheels = [{ path = "vend/a-1.5-py3-none-any.whl", hashes = { sha256 = "0a" } }]\n'
        '[[packages]]\nname = "b"\nsdist = { url = "https://x/b-2.0.tar.gz", hashes = { sha256 = "0b" } }\n'
        '[[packages]]\nname = "c"\narchive = { path = "vend/c.zip", url = "https://x/c.zip", hashes = { sha256 = "0c" } }\n'
        '[[packages]]\nname = "d"\narchive = { path = "gone.zip", url = "https://x/d.zip", hashes = { sha256 = "0d" } }\n'
        '[[packages]]\nname = "e"\narchive = { url = "file:///${PROJECT_ROOT}/e.zip", hashes = { sha256 = "0e" } }\n'
    )
    pins = read_lock(plan_with(lock_of(tmp_path, text)), HERE)
    assert pins.links == [(tmp_path / "vend").as_uri()]
    assert pins.lines_with_hashes() == [
        f"--find-links {(tmp_path / 'vend').as_uri()}",
        "a==1.5 --hash=sha256:0a",
        "b==2.0 --hash=sha256:0b",
        f"c @ {(tmp_path / 'vend/c.zip').as_uri()} --hash=sha256:0c",
        "d @ https://x/d.zip --hash=sha256:0d",
        f"e @ {(tmp_path / 'e.zip').as_uri()} --hash=sha256:0e",
    ]


def test_settings_of_a_build_go_with_its_pin(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/setup.cfg").write_text("[metadata]\nname = pkg\n", encoding="utf-8")
    (tmp_path / "requirements.txt").write_text('./pkg -C "key=a b"\n', encoding="utf-8")
    lock = lock_of(tmp_path, HEAD + '[[packages]]\nname = "pkg"\ndirectory = { path = "pkg" }\n')
    pins = read_lock(plan_with(lock, arguments=("-r", "requirements.txt")), HERE)
    assert pins.unhashed == [f"pkg @ {(tmp_path / 'pkg').as_uri()} --config-settings 'key=a b'"]
