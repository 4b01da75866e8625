"""What pip and uv were told is read as they read it, and told to each so that both install from the same places."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoprimer.errors import ConfigurationError
from protoprimer.settings.index_settings import IndexSettings, read_index_settings
from protoprimer.system.console import Console, mask_urls
from protoprimer.system.paths import path_of_file_url
from simple_index import SimpleIndex, proxying, serving
from support import wild_pythons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Reading = Callable[..., IndexSettings]

HOST = "https://index.example.test"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    (directory / ".config" / "pip").mkdir(parents=True)
    (directory / ".config" / "uv").mkdir()
    (tmp_path / "system" / "pip").mkdir(parents=True)
    (tmp_path / "system" / "uv").mkdir()
    (tmp_path / "root").mkdir()
    return directory


@pytest.fixture
def read(tmp_path: Path, home: Path) -> Reading:
    """Return a function from variables to settings, with a home and system directories made for the test."""

    def reading(offline: bool = False, **variables: str) -> IndexSettings:
        environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(tmp_path / "system"), **variables}
        return read_index_settings(str(tmp_path / "root"), offline, environ)

    return reading


@pytest.fixture
def index() -> Iterator[SimpleIndex]:
    with serving() as served:
        yield served


def pip_conf(path: Path, **values: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in values.items())
    path.write_text(f"[global]\n{lines}")


def test_nothing_configured_is_the_public_index_and_nothing_is_told(read: Reading) -> None:
    settings = read(PIP_CONFIG_FILE=os.devnull)
    assert settings.index_url is None
    assert len(settings.index_urls()) == 1
    told = {**settings.for_pip()[1], **settings.for_uv()[1]}
    assert not any("INDEX_URL" in name or name in {"UV_INDEX", "UV_DEFAULT_INDEX"} for name in told)
    assert settings.describe() == ["index-url: the public index (nothing is configured)"]


def test_the_strongest_source_of_a_single_value_counts(read: Reading, home: Path, tmp_path: Path) -> None:
    pip_conf(tmp_path / "system" / "pip" / "pip.conf", index_url=f"{HOST}/pip-host")
    pip_conf(home / ".pip" / "pip.conf", index_url=f"{HOST}/pip-legacy")
    assert read().index_url == f"{HOST}/pip-legacy"
    pip_conf(home / ".config" / "pip" / "pip.conf", index_url=f"{HOST}/pip-user")
    assert read().index_url == f"{HOST}/pip-user"
    pip_conf(tmp_path / "chosen.conf", index_url=f"{HOST}/pip-chosen")
    assert read(PIP_CONFIG_FILE=str(tmp_path / "chosen.conf")).index_url == f"{HOST}/pip-chosen"
    (tmp_path / "system" / "uv" / "uv.toml").write_text(f'index-url = "{HOST}/uv-host"')
    assert read().index_url == f"{HOST}/uv-host"
    (home / ".config" / "uv" / "uv.toml").write_text(f'index-url = "{HOST}/uv-user"')
    assert read().index_url == f"{HOST}/uv-user"
    (tmp_path / "root" / "pyproject.toml").write_text(f'[tool.uv]\nindex-url = "{HOST}/pyproject"')
    assert read().index_url == f"{HOST}/pyproject"
    (tmp_path / "root" / "uv.toml").write_text(f'[[index]]\nurl = "{HOST}/uv-root"\ndefault = true')
    assert read().index_url == f"{HOST}/uv-root"
    (tmp_path / "chosen.toml").write_text(f'index-url = "{HOST}/uv-chosen"')
    assert read(UV_CONFIG_FILE=str(tmp_path / "chosen.toml")).index_url == f"{HOST}/uv-chosen"
    assert read(PIP_INDEX_URL=f"{HOST}/pip-variable").index_url == f"{HOST}/pip-variable"
    both = {"PIP_INDEX_URL": f"{HOST}/pip-variable", "UV_INDEX_URL": f"{HOST}/uv-variable"}
    assert read(**both).index_url == f"{HOST}/uv-variable"
    assert read(UV_DEFAULT_INDEX=f"{HOST}/default", **both).index_url == f"{HOST}/default"


def test_lists_add_up_as_uv_does_it_and_replace_as_pip_does_it(read: Reading, home: Path, tmp_path: Path) -> None:
    pip_conf(home / ".config" / "pip" / "pip.conf", extra_index_url=f"\n  {HOST}/b\n  {HOST}/c")
    assert read().extra_index_urls == [f"{HOST}/b", f"{HOST}/c"]
    assert read(PIP_EXTRA_INDEX_URL=f"{HOST}/a").extra_index_urls == [f"{HOST}/a"]
    (home / ".config" / "uv" / "uv.toml").write_text(f'extra-index-url = ["{HOST}/e"]\n[[index]]\nurl = "{HOST}/d"')
    assert read(PIP_EXTRA_INDEX_URL=f"{HOST}/a", UV_INDEX=f"one={HOST}/x {HOST}/y").extra_index_urls == [
        f"{HOST}/x", f"{HOST}/y", f"{HOST}/a", f"{HOST}/d", f"{HOST}/e",
    ]  # fmt: skip


def test_an_explicit_index_is_for_those_who_name_it(read: Reading, tmp_path: Path) -> None:
    text = f'[[tool.uv.index]]\nname = "special"\nurl = "{HOST}/special"\nexplicit = true\n'
    (tmp_path / "root" / "pyproject.toml").write_text(text)
    assert read().extra_index_urls == []


def test_relative_places_count_from_the_file_that_names_them(read: Reading, tmp_path: Path) -> None:
    (tmp_path / "root" / "uv.toml").write_text('find-links = ["./wheels", "odd, place"]\nindex-url = "mirror/simple"')
    settings = read()
    assert settings.index_url == (tmp_path / "root" / "mirror" / "simple").as_uri()
    assert settings.find_links[0] == str(tmp_path / "root" / "wheels")
    # pip's variables are split at spaces, uv's at commas: a URL has neither.
    assert settings.find_links[1].replace("%2C", ",") == (tmp_path / "root" / "odd, place").as_uri().replace("%2C", ",")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser makes others' files")
@pytest.mark.parametrize("name", ["uv.toml", "pyproject.toml", "link"])
def test_a_file_above_the_clone_that_is_another_users_counts_for_nothing(
    read: Reading, tmp_path: Path, name: str
) -> None:
    planted = tmp_path / ("uv.toml" if name == "link" else name)
    text = '[[tool.uv.index]]\nurl = "%s"\n' if name == "pyproject.toml" else '[[index]]\nurl = "%s"\n'
    real = tmp_path / "elsewhere" if name == "link" else planted
    real.write_text(text % HOST)
    if name == "link":
        planted.symlink_to(real)
    assert read().extra_index_urls == [HOST]
    assert read().refusal("uv") is None
    os.chown(planted, 4242, -1, follow_symlinks=False)
    assert read().extra_index_urls == []
    assert read().refusal("uv") == f"uv would read {planted}, which belongs to another user (4242)"
    # Of the repository's owner it is the repository's, such as where a container's superuser works in a mounted clone.
    os.chown(tmp_path / "root", 4242, -1)
    assert read().extra_index_urls == [HOST]
    assert read().refusal("uv") is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser makes others' files")
def test_uv_is_passed_over_only_where_it_would_read_anothers_file(read: Reading, tmp_path: Path) -> None:
    planted = tmp_path / "uv.toml"
    planted.write_text("offline = true\n")
    os.chown(planted, 4242, -1)
    assert read(UV_NO_CONFIG="1").refusal("uv") is None
    (tmp_path / "root" / "uv.toml").write_text("")
    assert read().refusal("uv") is None
    workspace = tmp_path / "pyproject.toml"
    workspace.write_text('[tool.uv.workspace]\nmembers = ["*"]\n')
    os.chown(workspace, 4242, -1)
    assert str(workspace) in str(read(UV_NO_CONFIG="1").refusal("uv"))


def test_what_has_no_bearing_on_indexes_may_hold_anything(read: Reading, tmp_path: Path) -> None:
    (tmp_path / "root" / "pyproject.toml").write_text("[tool]\nuv = 1\n")
    assert read().index_url is None


def test_a_broken_pip_configuration_is_reported_with_its_place(read: Reading, home: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text("index-url = nowhere\n")
    with pytest.raises(ConfigurationError) as refused:
        read()
    assert refused.value.exit_code == 3
    assert refused.value.place == str(home / ".config" / "pip" / "pip.conf")


def test_a_broken_uv_configuration_is_reported_with_its_line(read: Reading, home: Path) -> None:
    (home / ".config" / "uv" / "uv.toml").write_text("offline = true\nindex-url = \n")
    with pytest.raises(ConfigurationError, match=r"uv\.toml:2"):
        read()


@pytest.fixture(scope="session")
def pip_command() -> list[str]:
    """Return a real pip of this machine, not older than its `--report`."""
    for python in [sys.executable, *(one.executable for one in reversed(wild_pythons()))]:
        command = [python, "-I", "-m", "pip"]
        said = subprocess.run([*command, "--version"], capture_output=True, text=True)
        if said.returncode == 0 and int(said.stdout.split()[1].split(".")[0]) >= 22:
            return command
    pytest.skip("no interpreter of this machine has pip 22 or newer")


PIP_CASES = [
    {},
    {"PIP_EXTRA_INDEX_URL": f"{HOST}/from-variable"},
    {"PIP_CONFIG_FILE": os.devnull},
    {"PIP_CONFIG_FILE": "{tmp}/chosen.conf"},
    {"PIP_CONFIG_FILE": "{tmp}/not-there.conf"},
    {"XDG_CONFIG_HOME": "{tmp}/elsewhere"},
]


@pytest.mark.parametrize("variables", PIP_CASES, ids=str)
def test_pip_itself_reads_the_same_files_with_the_same_precedence(
    read: Reading, home: Path, tmp_path: Path, variables: dict[str, str], pip_command: list[str]
) -> None:
    pip_conf(tmp_path / "system" / "pip" / "pip.conf", index_url=f"{HOST}/host", cert="/host.pem", timeout="7")
    pip_conf(home / ".pip" / "pip.conf", index_url=f"{HOST}/legacy", proxy="legacy:1")
    pip_conf(home / ".config" / "pip" / "pip.conf", index_url=f"{HOST}/user", extra_index_url=f"{HOST}/user-extra")
    pip_conf(tmp_path / "chosen.conf", index_url=f"{HOST}/chosen")
    pip_conf(tmp_path / "elsewhere" / "pip" / "pip.conf", index_url=f"{HOST}/elsewhere")
    variables = {name: value.replace("{tmp}", str(tmp_path)) for name, value in variables.items()}
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(tmp_path / "system"), "PATH": os.defpath, **variables}
    command = [pip_command[0], "-m", "pip", "config", "list"]
    said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    lines = [line.partition("=") for line in said.stdout.splitlines()]
    pips = {key.replace("install.", "global."): value.strip("'") for key, _, value in sorted(lines)}
    pips.update(
        {key.replace(":env:", "global"): value.strip("'") for key, _, value in lines if key.startswith(":env:")}
    )
    settings = read(**variables)
    assert settings.index_url == pips.get("global.index-url")
    assert settings.extra_index_urls == pips.get("global.extra-index-url", "").split()
    assert settings.ca_file == pips.get("global.cert")
    assert settings.timeout == (float(pips["global.timeout"]) if "global.timeout" in pips else None)
    assert settings.proxies.get("http", "") == ("http://" + pips["global.proxy"] if "global.proxy" in pips else "")


SECRET = "pa55word/with:signs"


@pytest.mark.parametrize(
    "variables",
    [
        {"PIP_INDEX_URL": "https://me:pa55word%2Fwith%3Asigns@index.example.test/simple"},
        {"UV_DEFAULT_INDEX": f"corp={HOST}/simple", "UV_INDEX_CORP_USERNAME": "me", "UV_INDEX_CORP_PASSWORD": SECRET},
        {
            "UV_INDEX": f"our-corp={HOST}/simple",
            "UV_INDEX_OUR_CORP_USERNAME": "me",
            "UV_INDEX_OUR_CORP_PASSWORD": SECRET,
        },
    ],
    ids=["url", "default name", "name with a hyphen"],
)
def test_credentials_are_found_told_by_variables_and_masked(read: Reading, variables: dict[str, str]) -> None:
    settings = read(**variables)
    assert settings.credentials.of_url(f"{HOST}/files/x.whl") == ("me", SECRET, "the URL")
    assert settings.credentials.of_url("https://elsewhere.example.test/x.whl") is None
    assert settings.credentials.of_url(f"http{HOST[5:]}/simple") is None
    assert SECRET in settings.credentials.secrets()
    console = Console(-1)
    for secret in settings.credentials.secrets():
        console.add_secret(secret)
    for args, env in (settings.for_pip(), settings.for_uv(), settings.for_uv(project=True)):
        assert "pa55word" not in " ".join(args)
        assert "pa55word" not in console.mask(str(env))
    assert "pa55word" not in "\n".join(settings.describe())
    assert "****@" in "\n".join(settings.describe())


SIGNED = "https://me:it's%20a%3Dword@index.example.test/simple/?sig=a%2Fb'c4567&se=2027-01-01"


def test_a_secret_with_signs_and_a_signed_url_are_masked_however_they_are_spelled(read: Reading) -> None:
    settings = read(PIP_INDEX_URL=SIGNED, PIP_FIND_LINKS="https://blob.example.test/w?X-Key=zzyyxxww")
    console = Console(-1)
    for secret in settings.credentials.secrets():
        console.add_secret(secret)
    told = f"cannot read '{SIGNED}', nor \"https://blob.example.test/w?X-Key=zzyyxxww\".\n"
    told += "it's%20a%3Dword it's a=word it%27s%20a%3Dword a%2Fb'c4567 a/b'c4567 zzyyxxww"
    for text in (console.mask(told), str(settings.facts()), "\n".join(settings.describe())):
        for secret in ("%3D", "a=word", "%20", "%2Fb", "a/b", "zzyyxxww"):
            assert secret not in text, text
    assert mask_urls('{"url": "https://h/x?sig=abc&b=c", "n": "https://a\'b@h"}') == (
        '{"url": "https://h/x?sig=****&b=****", "n": "https://****@h"}'
    )


def test_other_settings_are_translated_for_both(read: Reading) -> None:
    settings = read(
        PIP_CERT="/ca.pem", PIP_CLIENT_CERT="/me.pem", PIP_PROXY="proxy:8080", PIP_TRUSTED_HOST="a b", UV_OFFLINE="1",
        PIP_CONSTRAINT="/c.txt", UV_BUILD_CONSTRAINT="/b.txt", UV_EXCLUDE_NEWER="2026-01-01", PIP_TIMEOUT="3",
    )  # fmt: skip
    pip, uv = settings.for_pip()[1], settings.for_uv()[1]
    assert settings.offline
    assert (pip["PIP_CERT"], uv["SSL_CERT_FILE"]) == ("/ca.pem", "/ca.pem")
    assert (pip["PIP_CLIENT_CERT"], uv["SSL_CLIENT_CERT"]) == ("/me.pem", "/me.pem")
    assert pip["https_proxy"] == pip["HTTP_PROXY"] == uv["HTTPS_PROXY"] == "http://proxy:8080"
    assert pip["PIP_TRUSTED_HOST"] == uv["UV_INSECURE_HOST"] == "a b"
    assert (pip["PIP_NO_INDEX"], uv["UV_OFFLINE"]) == ("1", "1")
    assert pip["PIP_CONSTRAINT"] == uv["UV_CONSTRAINT"] == "/c.txt"
    assert pip["PIP_BUILD_CONSTRAINT"] == uv["UV_BUILD_CONSTRAINT"] == "/b.txt"
    # To uv a date is over, to pip it has not begun.
    assert (pip["PIP_UPLOADED_PRIOR_TO"][:19], uv["UV_EXCLUDE_NEWER"]) == ("2026-01-02T00:00:00", "2026-01-01")
    assert (pip["PIP_DEFAULT_TIMEOUT"], uv["UV_HTTP_TIMEOUT"]) == ("3", "3")


def test_variables_of_older_and_newer_spelling_are_the_same(read: Reading) -> None:
    assert read(http_proxy="http://a:1").proxies["http"] == "http://a:1"
    assert read(HTTPS_PROXY="b:2").proxies == {"https": "http://b:2"}
    assert read(ALL_PROXY="http://c:3", NO_PROXY="x").proxies == {
        "http": "http://c:3",
        "https": "http://c:3",
        "no": "x",
    }


def test_a_lock_is_made_without_the_directories_of_this_host(read: Reading, tmp_path: Path) -> None:
    extra = tmp_path.as_uri()
    settings = read(PIP_EXTRA_INDEX_URL=f"{extra} {HOST}/extra", PIP_FIND_LINKS=str(tmp_path))
    for env in (settings.for_pip(locking=True)[1], settings.for_uv(locking=True)[1], settings.for_uv(project=True)[1]):
        assert str(tmp_path) not in str(env)
        assert f"{HOST}/extra" in str(env)
    assert settings.left_out_of_locks() == [extra, str(tmp_path)]
    alone = read(PIP_FIND_LINKS=str(tmp_path), PIP_NO_INDEX="1")
    assert alone.left_out_of_locks() == []
    assert str(tmp_path) in str(alone.for_pip(locking=True)[1])


def test_a_lock_may_take_from_directories_of_the_repository(read: Reading, tmp_path: Path) -> None:
    wheels = tmp_path / "root" / "wheels"
    wheels.mkdir()
    settings = read(PIP_FIND_LINKS=str(wheels))
    assert settings.left_out_of_locks() == []
    assert str(wheels) in settings.for_pip(locking=True)[1]["PIP_FIND_LINKS"]


def test_offline_leaves_local_indexes_in_use(read: Reading, tmp_path: Path) -> None:
    local = tmp_path.as_uri()
    settings = read(offline=True, PIP_INDEX_URL=f"{HOST}/simple", PIP_EXTRA_INDEX_URL=local)
    assert settings.index_urls() == [local]
    assert settings.for_pip()[1]["PIP_INDEX_URL"] == local
    assert "PIP_NO_INDEX" not in settings.for_pip()[1]


def test_uv_reads_its_own_files_and_is_told_only_the_rest(read: Reading, tmp_path: Path) -> None:
    (tmp_path / "root" / "uv.toml").write_text(f'index-url = "{HOST}/of-project"\nextra-index-url = ["{HOST}/more"]')
    for project in (True, False):
        args, env = read(PIP_EXTRA_INDEX_URL=f"{HOST}/of-pip").for_uv(project=project)
        assert args == []
        assert "UV_DEFAULT_INDEX" not in env
        assert env["UV_INDEX"] == f"{HOST}/of-pip"


@pytest.mark.parametrize(
    ("variables", "installer", "named"),
    [
        ({"PIP_PREFER_BINARY": "1"}, "uv", "prefer-binary"),
        ({"UV_PRERELEASE": "disallow"}, "pip", "prerelease"),
        ({"UV_RESOLUTION": "lowest"}, "pip", "resolution"),
        ({"UV_INDEX_STRATEGY": "first-index", "UV_INDEX": f"{HOST}/more"}, "pip", "index-strategy"),
        ({"UV_EXCLUDE_NEWER": "1 month"}, "pip", "exclude-newer"),
        ({"UV_TORCH_BACKEND": "cpu"}, "pip", "torch-backend"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_installer_cannot_do_is_refused_by_name(
    read: Reading, variables: dict[str, str], installer: str, named: str
) -> None:
    settings, other = read(**variables), {"pip": "uv", "uv": "pip"}[installer]
    assert named in str(settings.refusal(installer))
    assert settings.refusal(other) is None
    assert read(PIP_PREFER_BINARY="0", UV_RESOLUTION="highest").refusal(installer) is None


def test_pip_is_told_what_uv_is_told_in_its_own_words(read: Reading, tmp_path: Path) -> None:
    (tmp_path / "root" / "uv.toml").write_text(
        'prerelease = "allow"\nno-build-package = ["a", "b"]\nconstraint-dependencies = ["c<2"]\n'
        'override-dependencies = ["d==1"]\nconfig-settings = { fast = "yes" }\nexclude-newer = "7 days"\n'
    )
    settings = read(UV_NO_BINARY="1")
    args, env = settings.for_pip()
    assert settings.refusal("pip") is None
    assert args == ["--config-settings", "fast=yes"]
    assert (env["PIP_PRE"], env["PIP_ONLY_BINARY"], env["PIP_NO_BINARY"]) == ("1", "a,b", ":all:")
    assert settings.constraint_lines() == ["c<2", "d==1"]
    assert env["PIP_UPLOADED_PRIOR_TO"].endswith("+00:00")


def test_what_chooses_is_told_without_credentials(read: Reading) -> None:
    settings = read(PIP_INDEX_URL="https://me:secret@index.example.test/simple", PIP_CERT="/ca.pem")
    assert settings.facts() == {"index-url": [f"{HOST}/simple"]}


def uv_executable() -> str:
    found = shutil.which("uv", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
    if not found:
        pytest.skip("no uv beside the tests' interpreter or on PATH")
    return found


def resolved_by_pip(settings: IndexSettings, where: Path, pip_command: list[str]) -> dict[str, str]:
    args, env = settings.for_pip()
    command = [*pip_command, "install", "-q", "--dry-run", "--ignore-installed", "--report", "-", *args, "sample"]
    environ = {"PATH": os.defpath, "HOME": str(where), "PIP_CACHE_DIR": str(where / "pip"), **env}
    report = json.loads(subprocess.run(command, env=environ, capture_output=True, check=True).stdout)
    return {one["metadata"]["name"]: one["metadata"]["version"] for one in report["install"]}


def resolved_by_uv(settings: IndexSettings, where: Path) -> dict[str, str]:
    args, env = settings.for_uv()
    command = [uv_executable(), "pip", "compile", "-q", "--no-annotate", "--no-header", *args, "-"]
    environ = {"PATH": os.defpath, "HOME": str(where), "UV_CACHE_DIR": str(where / "uv"), **env}
    said = subprocess.run(command, env=environ, input="sample", cwd=where, capture_output=True, text=True, check=True)
    return dict(line.split("==") for line in said.stdout.split() if "==" in line)


@pytest.mark.parametrize(
    "case", ["credentials", "newest of several", "find-links", "constraint", "proxy", "file index", "gone"]
)
def test_pip_and_uv_resolve_the_same_from_the_same_places(
    read: Reading, index: SimpleIndex, tmp_path: Path, case: str, pip_command: list[str]
) -> None:
    place = tmp_path / "some place"
    place.mkdir()
    filename, _ = index.add("sample", "1.0")
    content = index.files[filename]
    variables = {"PIP_INDEX_URL": index.url, "NO_PROXY": "127.0.0.1"}
    expected = "1.0"
    if case == "credentials":
        index.credentials = ("someone", SECRET)
        variables = {"UV_DEFAULT_INDEX": f"corp={index.url}", "UV_INDEX_CORP_USERNAME": "someone"}
        variables["UV_INDEX_CORP_PASSWORD"] = SECRET
    with serving() as other:
        if case == "newest of several":
            other.add("sample", "0.9")
            variables = {"UV_DEFAULT_INDEX": index.url, "UV_INDEX": other.url}
        elif case == "find-links":
            other.add("sample", "1.1")
            (place / "sample-1.1-py3-none-any.whl").write_bytes(other.files["sample-1.1-py3-none-any.whl"])
            variables["PIP_FIND_LINKS" if os.name == "nt" else "UV_FIND_LINKS"] = str(place)
            expected = "1.1"
        elif case == "constraint":
            index.add("sample", "2.0")
            (tmp_path / "constraints.txt").write_text("sample<2\n")
            variables["PIP_CONSTRAINT"] = str(tmp_path / "constraints.txt")
        elif case == "file index":
            (place / "sample").mkdir()
            (place / "sample" / filename).write_bytes(content)
            (place / "sample" / "index.html").write_text(f'<a href="{filename}">{filename}</a>')
            variables["PIP_INDEX_URL"] = place.as_uri()
            variables["PIP_EXTRA_INDEX_URL"] = (tmp_path / "nothing").as_uri()
        elif case == "gone":
            variables["PIP_FIND_LINKS"] = str(tmp_path / "not-there")
        if case == "proxy":
            with proxying() as (url, asked):
                settings = read(PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL=index.url, PIP_PROXY=url)
                assert resolved_by_pip(settings, tmp_path, pip_command) == {"sample": "1.0"}
                by_pip = len(asked)
                assert resolved_by_uv(settings, tmp_path) == {"sample": "1.0"}
                assert len(asked) > by_pip > 0
            return
        settings = read(PIP_CONFIG_FILE=os.devnull, **variables)
        assert resolved_by_pip(settings, tmp_path, pip_command) == {"sample": expected}
        assert resolved_by_uv(settings, tmp_path) == {"sample": expected}


@given(st.text(alphabet="/a%2fF0\u00e9 +") | st.binary().map(quote_from_bytes))
def test_the_path_of_a_file_url_is_what_the_library_makes_of_it(path: str) -> None:
    # One more slash is a variable that was filled in behind it.
    url = "file:///" + path.lstrip("/")
    assert path_of_file_url(url) == unquote(urlsplit(url).path, errors="surrogateescape")
