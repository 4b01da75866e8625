"""What lies at the edges of locks and settings: one index for one package, overrides, options in files, other encodings."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import support
from samples import WITH_PIP, WITH_UV
from truth.oracle import Place, booted, distributions_of
from truth.projects import APP, FLIT, HEAD, MODULE, STATIC, TOML, Project, add, swap, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import clones

pytestmark = [
    pytest.mark.index,
    pytest.mark.skipif(os.name != "posix", reason="the place is laid out for POSIX"),
    pytest.mark.usefixtures("index_as_it_was"),
]

OTHER = '\n[[tool.uv.index]]\nname = "other"\nurl = "@OTHER@"\nexplicit = true\n'
FROM_OTHER = '\n[tool.uv.sources]\nalpha = { index = "other" }\n' + OTHER


def made(place: Place, dependencies: str, more: str = "", files: dict[str, str] | None = None) -> clones.Clone:
    """Return a clone of a project with these dependencies."""
    text = HEAD + f"dependencies = [{dependencies}]\n\n" + FLIT + more
    return place.clone(Project("edges", {TOML: text, **MODULE, **(files or {})}, {}, {}))


def versions(clone: clones.Clone) -> dict[str, str]:
    """Return what is installed beside the project itself."""
    found = distributions_of(clone.root / ".venv")
    return {name: one["version"] for name, one in found.items() if name != "app"}


@pytest.mark.parametrize("installer", WITH_PIP)
def test_what_comes_from_one_index_is_never_taken_from_another_one(place: Place, installer: str) -> None:
    """Else whoever publishes a newer release elsewhere gets in, once something requires it."""
    place.index.add("greedy", "1.0", metadata="Requires-Dist: alpha>=2\n")
    clone = made(place, '"alpha", "greedy"', FROM_OTHER)
    done = clone.prime("--backend", installer, status=6)
    assert "alpha" in done.errors
    swap(TOML, '"alpha", "greedy"', '"alpha", "beta"')(clone.root, place)
    clone.prime("--backend", installer)
    assert versions(clone)["alpha"] == "1.7"


@pytest.mark.parametrize("installer", WITH_UV)
def test_what_a_group_takes_from_one_index_is_never_taken_from_another_one(place: Place, installer: str) -> None:
    place.index.add("greedy", "1.0", metadata="Requires-Dist: alpha>=2\n")
    clone = made(place, '"greedy"', FROM_OTHER + '\n[dependency-groups]\ndev = ["alpha"]\n')
    assert "alpha" in clone.prime("--backend", installer, status=6).errors


@pytest.mark.parametrize("installer", WITH_PIP)
def test_constraints_of_uv_that_came_after_the_lock_make_it_stale(place: Place, installer: str) -> None:
    clone = made(place, '"beta"', '\n[tool.uv]\nconstraint-dependencies = ["alpha<2"]\n')
    clone.prime("lock", "--backend", installer)
    clone.prime("--backend", installer)
    assert versions(clone)["alpha"] == "1.5"
    swap(TOML, "alpha<2", "alpha<1.2")(clone.root, place)
    for words, status in ((["lock", "--check"], 1), (["check"], 1), ([], 6)):
        clone.prime(*words, "--backend", installer, status=status)
    done = clone.prime("--backend", installer, status=6)
    assert "alpha<1.2" in done.errors
    assert "./prime lock" in done.errors
    clone.prime("lock", "--backend", installer)
    clone.prime("--backend", installer)
    assert versions(clone)["alpha"] == "1.0"


@pytest.mark.parametrize(
    ("setting", "later", "wanted"),
    [
        ('override-dependencies = ["alpha==1.0"]', 'override-dependencies = ["alpha==1.7rc1"]', {"alpha": "1.0"}),
        ('exclude-dependencies = ["alpha"]', "", {}),
    ],
    ids=["override", "exclude"],
)
def test_a_lock_serves_where_uv_overrides_what_is_required(
    place: Place, setting: str, later: str, wanted: dict[str, str]
) -> None:
    clone = made(place, '"beta", "alpha>=1.5"', f"\n[tool.uv]\n{setting}\n")
    for lock in ("pylock.toml", "uv.lock"):
        clone.write({"protoprimer.toml": f'lock = "{lock}"\n'})
        clone.prime("lock", "--backend", "uv")
        clone.prime("lock", "--check", "--backend", "uv")
        clone.prime("--backend", "uv")
        assert versions(clone) == {"beta": "1.1", **wanted}
        (clone.root / lock).unlink()
    if later:
        clone.write({"protoprimer.toml": ""})
        clone.prime("lock", "--backend", "uv")
        swap(TOML, setting, later)(clone.root, place)
        assert "alpha==1.7rc1" in clone.prime("--backend", "uv", status=6).errors


@pytest.mark.parametrize("installer", WITH_PIP)
def test_requirements_in_utf_16_are_read(place: Place, installer: str) -> None:
    """Windows' shell writes them so. uv cannot read them, and says so."""
    clone = made(place, '"alpha<2"')
    clone.write({"protoprimer.toml": "install = [{ projects = ['.'], requirements = ['needs.txt'] }]\n"})
    clone.write({"needs.txt": "delta\n"})
    clone.prime("lock", "--backend", installer)
    (clone.root / "needs.txt").write_bytes("delta\nepsilon\n".encode("utf-16"))
    assert "epsilon" in clone.prime("--backend", installer, status=6).errors
    (clone.root / "pylock.toml").unlink()
    if installer == "venv":
        clone.prime("--backend", installer)
        assert versions(clone).keys() == {"alpha", "delta", "epsilon"}


@pytest.mark.parametrize("installer", WITH_PIP)
def test_a_flat_index_serves_each_backend(place: Place, installer: str) -> None:
    text = STATIC + FLIT + '\n[[tool.uv.index]]\nname = "flat"\nurl = "wheels"\nformat = "flat"\n'
    wheels = {"wheels/alpha-1.9-py3-none-any.whl": wheel("alpha", "1.9", 9)}
    project = Project("flat", {TOML: text, **MODULE}, {}, {}, wheels=wheels)
    assert booted(place.clone(project), project, installer).names() == {**APP, "alpha": "1.9"}


@pytest.mark.parametrize("installer", WITH_UV)
def test_indexes_in_arguments_and_files_serve_a_lock_too(place: Place, installer: str) -> None:
    """The best version of all indexes wins: `alpha` of the first one, `zeta` of the other."""
    for step in (
        "args = ['--extra-index-url', '@OTHER@', '--only-binary', 'zeta', 'zeta']",
        "requirements = ['needs.txt']",
    ):
        clone = made(place, '"alpha>=1.6"', files={"needs.txt": "--extra-index-url @OTHER@\nzeta\n"})
        add("protoprimer.toml", f"install = [{{ projects = ['.'], {step} }}]\n")(clone.root, place)
        clone.prime("--backend", installer)
        assert versions(clone) == {"alpha": "2.0", "zeta": "1.0"}
        clone.prime("lock", "--backend", installer)
        for other in ("uv", "venv"):
            clone.prime("--backend", other)
            assert versions(clone) == {"alpha": "2.0", "zeta": "1.0"}


def test_a_lock_with_an_index_for_one_package_serves_each_backend(place: Place) -> None:
    clone = made(place, '"alpha", "delta"', FROM_OTHER)
    for lock in ("pylock.toml", "uv.lock"):
        clone.write({"protoprimer.toml": f'lock = "{lock}"\n'})
        clone.prime("lock", "--backend", "uv")
        for installer in ("uv", "venv"):
            clone.prime("--backend", installer)
            assert versions(clone) == {"alpha": "1.7", "delta": "1.0"}
        (clone.root / lock).unlink()


def test_a_lock_with_conflicts_is_refused_with_what_helps(place: Place) -> None:
    """uv alone reads it, and only without an index of the host's."""
    extras = '\n[project.optional-dependencies]\na = ["beta==1.0"]\nb = ["beta==1.1"]\n'
    conflicts = '\n[tool.uv]\nconflicts = [[{ extra = "a" }, { extra = "b" }]]\n'
    clone = made(place, '"alpha"', extras + conflicts)
    install = 'install = [{ projects = [{ path = ".", extras = ["a"] }] }]\n'
    clone.write({"protoprimer.toml": f'lock = "uv.lock"\n{install}'})
    clone.prime("lock", "--backend", "uv")
    for installer in ("uv", "venv"):
        assert "set `lock` to a pylock.toml" in clone.prime("--backend", installer, status=6).errors
    clone.write({"protoprimer.toml": f'lock = "pylock.toml"\n{install}'})
    assert "./prime lock" in clone.prime(status=3).errors
    clone.prime("lock", "--backend", "uv")
    for installer in ("uv", "venv"):
        clone.prime("--backend", installer)
        assert versions(clone)["beta"] == "1.0"


@pytest.mark.parametrize(
    ("line", "version"), [("--index-url @OTHER@", "1.7"), ("-i @OTHER@", "1.7"), ("--pre", "3.0rc1")]
)
def test_what_uv_does_not_heed_in_a_requirement_file_is_left_to_pip(place: Place, line: str, version: str) -> None:
    """uv takes the host's index before the file's, and says of other options only that it ignores them."""
    clone = place.clone(Project("lines", {"requirements.txt": f"-r more.txt\n{line}\n", "more.txt": "alpha\n"}, {}, {}))
    done = clone.prime("--backend", "uv", status=5)
    assert f"uv cannot do what {line.partition(' ')[0]} asks (requirements.txt:2)" in done.errors
    clone.prime()
    assert versions(clone) == {"alpha": version}
    clone.prime("check")


def test_uv_serves_where_a_requirement_file_names_the_hosts_own_index(place: Place) -> None:
    files = {"requirements.txt": "--index-url @INDEX@\nalpha\n"}
    clone = place.clone(Project("lines", files, {}, {}))
    clone.prime("--backend", "uv")
    assert versions(clone) == {"alpha": "2.0"}
    clone.environ["PIP_EXTRA_INDEX_URL"] = place.other.url
    assert "--index-url" in clone.prime("--backend", "uv", status=5).errors


def test_what_a_build_takes_from_the_repository_is_never_taken_from_an_index(place: Place) -> None:
    """uv heeds the sources of what builds require; pip would run what a stranger has put on the index under that name."""
    backend = "import flit_core.buildapi as flit\nbuild_wheel, build_editable = flit.build_wheel, flit.build_editable\n"
    place.index.add("builder", "99", {"builder.py": b"raise SystemExit('a stranger')\n"})
    build = '[build-system]\nrequires = ["flit-core", "builder"]\nbuild-backend = "builder"\n'
    files = {
        "tools/pyproject.toml": HEAD.replace('"app"', '"builder"') + FLIT,
        "tools/builder.py": '"""It."""\n' + backend,
    }
    text = STATIC + build + '\n[tool.uv.sources]\nbuilder = { path = "tools" }\n'
    clone = place.clone(Project("builder", {TOML: text, **MODULE, **files}, {}, {}))
    clone.prime("--backend", "uv")
    assert versions(clone) == {"alpha": "1.5"}
    done = clone.prime("reboot", "--backend", "venv", status=5)
    assert "pip cannot take builder, which a build requires, from [tool.uv.sources]" in done.errors


@pytest.mark.parametrize("installer", WITH_UV)
def test_a_hash_that_changed_after_the_lock_makes_it_stale(place: Place, installer: str) -> None:
    line = "alpha==1.5 --hash=sha256:@SHA:alpha-{}-py3-none-any.whl@\n"
    clone = place.clone(Project("hashes", {"requirements.txt": line.format("1.5")}, {}, {}))
    clone.prime("lock", "--backend", installer)
    clone.prime("--backend", installer)
    clone.write({"requirements.txt": place.fill(line.format("1.0"))})
    done = clone.prime("--backend", installer, status=6)
    assert "no such hash" in done.errors
    clone.write({"requirements.txt": place.fill(line.format("1.5"))})
    clone.prime("lock", "--check", "--backend", installer)


@pytest.mark.parametrize("installer", WITH_PIP)
def test_another_revision_of_a_repository_makes_the_lock_stale(place: Place, installer: str) -> None:
    with serving_repository(place) as url:
        clone = made(place, f'"fromgit @ git+{url}@v1"')
        clone.prime("lock", "--backend", installer)
        clone.prime("--backend", installer)
        assert versions(clone) == {"fromgit": "1.0"}
        swap(TOML, "@v1", "@v2")(clone.root, place)
        assert "@v2" in clone.prime("--backend", installer, status=6).errors
        clone.prime("lock", "--backend", installer)
        clone.prime("--backend", installer)
        assert versions(clone) == {"fromgit": "2.0"}


@pytest.mark.parametrize("installer", WITH_UV)
def test_a_repository_that_only_this_host_has_is_not_locked(place: Place, installer: str) -> None:
    clone = made(place, '"fromgit @ git+@GIT@@v1"')
    assert "only this host has" in clone.prime("lock", "--backend", installer, status=6).errors
    assert not (clone.root / "pylock.toml").exists()


@contextlib.contextmanager
def serving_repository(place: Place) -> Iterator[str]:
    """Serve the git repository of the place by HTTP; give its URL."""
    with tempfile.TemporaryDirectory(dir=place.base) as directory:
        support.git("clone", "-q", "--bare", str(place.base / "repository"), "r.git", where=Path(directory))
        support.git("update-server-info", where=Path(directory) / "r.git")
        handler = functools.partial(_QuietHandler, directory=directory)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/r.git"
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@pytest.mark.parametrize("installer", WITH_PIP)
def test_another_revision_of_a_repository_moves_no_other_pin(place: Place, installer: str) -> None:
    with serving_repository(place) as url:
        clone = made(place, f'"fromgit @ git+{url}@v1", "delta"')
        clone.prime("lock", "--backend", installer)
        place.index.add("delta", "1.1")
        swap(TOML, "@v1", "@v2")(clone.root, place)
        # An index may be kept for some minutes by its clients.
        clone.prime("lock", "--backend", installer, environ={"UV_CACHE_DIR": str(place.base / "another")})
        clone.prime("--backend", installer)
        assert versions(clone) == {"fromgit": "2.0", "delta": "1.0"}
