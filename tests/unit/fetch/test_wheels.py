"""Wheels are fetched from where the settings say, verified before anything else, and unpacked whole or not at all."""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import ssl
import stat
import subprocess
import sys
import textwrap
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from protoprimer.fetch import wheels
from protoprimer.fetch.downloads import UrlReader
from protoprimer.fetch.wheels import ToolAbsent, fetch_wheel, unpack_wheels, unpacked_is_whole
from protoprimer.settings.index_settings import IndexSettings, read_index_settings
from protoprimer.system.console import Console
from simple_index import SimpleIndex, make_wheel, proxying, serving, sha256
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Reading = Callable[..., IndexSettings]


@pytest.fixture
def index() -> Iterator[SimpleIndex]:
    with serving() as served:
        yield served


@pytest.fixture
def settings_for(tmp_path: Path) -> Reading:
    """Return a function from variables to settings, in a home where nothing is configured."""

    def make(offline: bool = False, **variables: str) -> IndexSettings:
        environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", **variables}
        return read_index_settings(str(tmp_path), offline, environ)

    return make


def fetch(settings: IndexSettings, cache: Path, wheel: tuple[str, str], console: Console | None = None) -> bytes:
    filename, digest = wheel
    path = fetch_wheel(filename, digest, str(cache), UrlReader(settings, console or Console(-1)))
    assert os.path.basename(path) == filename
    with open(path, "rb") as stream:
        return stream.read()


@pytest.mark.parametrize("json_page", [True, False], ids=["json", "html"])
def test_a_wheel_is_fetched_once_and_then_comes_from_the_cache(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path, json_page: bool
) -> None:
    index.json = json_page
    wheel = index.add("sample", "1.0")
    settings = settings_for(PIP_INDEX_URL=index.url)
    assert fetch(settings, tmp_path / "cache", wheel) == index.files[wheel[0]]
    asked = len(index.requests)
    assert fetch(settings, tmp_path / "cache", wheel) == index.files[wheel[0]]
    assert len(index.requests) == asked == 2


def test_a_name_of_several_words_is_asked_for_as_indexes_spell_it(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    filename, digest = index.add("two-words", "2.0")
    settings = settings_for(PIP_INDEX_URL=index.url)
    assert fetch_wheel(filename, digest, str(tmp_path), UrlReader(settings, Console(-1)))
    assert index.paths()[0] == "/simple/two-words/"


def test_a_url_that_is_none_is_told_as_any_that_cannot_be_read(settings_for: Reading, tmp_path: Path) -> None:
    with pytest.raises(ToolAbsent, match=re.escape("http://[::1/simple/sample/: Invalid IPv6 URL")):
        fetch(settings_for(PIP_INDEX_URL="http://[::1/simple"), tmp_path, ("sample-1.0-py3-none-any.whl", "0" * 64))


def test_an_extra_index_without_the_page_is_no_failure(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    (tmp_path / "extra").mkdir()
    wheel = index.add("sample", "1.0")
    extra = (tmp_path / "extra").as_uri()
    assert fetch(settings_for(PIP_INDEX_URL=index.url, PIP_EXTRA_INDEX_URL=extra), tmp_path / "cache", wheel)


@pytest.mark.parametrize("with_page", [True, False], ids=["index page", "listing"])
def test_a_directory_serves_as_index_with_or_without_a_page(
    settings_for: Reading, tmp_path: Path, with_page: bool
) -> None:
    filename, content = make_wheel("sample", "1.0")
    directory = tmp_path / "an index, spaced" / "sample"
    directory.mkdir(parents=True)
    (directory / filename).write_bytes(content)
    if with_page:
        (directory / "index.html").write_text(f"<a href='{filename}'>{filename}</a>")
    settings = settings_for(PIP_INDEX_URL=directory.parent.as_uri())
    assert fetch(settings, tmp_path / "cache", (filename, sha256(content))) == content


@pytest.mark.parametrize("json_page", [True, False], ids=["json", "html"])
def test_a_server_leads_to_no_file_of_this_host(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path, json_page: bool
) -> None:
    index.json = json_page
    wheel = index.add("sample", "1.0")
    index.leads_to = tmp_path.as_uri()
    (tmp_path / wheel[0]).write_bytes(index.files[wheel[0]])
    with pytest.raises(ToolAbsent):
        fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path / "cache", wheel)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this host has no FIFOs")
@pytest.mark.parametrize("name", ["index.html", "sample-1.0-py3-none-any.whl"], ids=["page", "wheel"])
def test_a_fifo_in_a_local_index_is_refused_and_not_waited_for(
    settings_for: Reading, tmp_path: Path, name: str
) -> None:
    directory = tmp_path / "index" / "sample"
    directory.mkdir(parents=True)
    os.mkfifo(directory / name)
    settings = settings_for(PIP_INDEX_URL=directory.parent.as_uri())
    with pytest.raises(ToolAbsent):
        fetch(settings, tmp_path / "cache", ("sample-1.0-py3-none-any.whl", "0" * 64))


def test_find_links_come_first_and_need_no_network(index: SimpleIndex, settings_for: Reading, tmp_path: Path) -> None:
    wheel = index.add("sample", "1.0")
    (tmp_path / "my links").mkdir()
    (tmp_path / "my links" / wheel[0]).write_bytes(index.files[wheel[0]])
    settings = settings_for(PIP_INDEX_URL=index.url, UV_FIND_LINKS=str(tmp_path / "my links"))
    assert fetch(settings, tmp_path / "cache", wheel)
    assert index.requests == []


def test_credentials_in_the_url_are_used_and_never_shown(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    index.credentials = ("someone", "hunter2hunter2")
    wheel = index.add("sample", "1.0")
    assert fetch(settings_for(PIP_INDEX_URL=index.url_with(*index.credentials)), tmp_path / "a", wheel)

    index.failures = [500] * 9
    stream = io.StringIO()
    console = Console(2, stream=stream)
    settings = settings_for(PIP_INDEX_URL=index.url_with(*index.credentials))
    with pytest.raises(ToolAbsent) as refused:
        fetch(settings, tmp_path / "b", wheel, console)
    assert "hunter2hunter2" not in str(refused.value) + stream.getvalue()
    assert "HTTP 500" in str(refused.value)


def test_credentials_in_netrc_are_used(index: SimpleIndex, settings_for: Reading, tmp_path: Path) -> None:
    index.credentials = ("someone", "from-netrc")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1\nlogin someone\npassword from-netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    wheel = index.add("sample", "1.0")
    assert fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path / "cache", wheel)


def test_missing_credentials_are_named_as_the_reason(index: SimpleIndex, settings_for: Reading, tmp_path: Path) -> None:
    index.credentials = ("someone", "secret")
    with pytest.raises(ToolAbsent, match=r"401.*netrc"):
        fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path, index.add("sample", "1.0"))


def test_a_redirection_to_another_host_drops_the_credentials(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    with serving() as elsewhere:
        index.credentials = ("someone", "secret-word")
        wheel = index.add("sample", "1.0")
        elsewhere.files.update(index.files)
        index.file_host = f"http://127.0.0.1:{elsewhere.port}"
        assert fetch(settings_for(PIP_INDEX_URL=index.url_with(*index.credentials)), tmp_path, wheel)
        assert all("authorization" in headers for _, headers in index.requests)
        assert len(elsewhere.requests) == 1
        assert "authorization" not in elsewhere.requests[0][1]


def test_a_file_with_another_hash_is_refused_and_leaves_nothing(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    filename, digest = index.add("sample", "1.0")
    index.files[filename] += b"tampered"
    with pytest.raises(ToolAbsent) as refused:
        fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path / "cache", (filename, digest))
    message = str(refused.value)
    assert digest in message
    assert sha256(index.files[filename]) in message
    assert "is pinned" in message
    assert [record.closed for record in refused.value.records] == ["other bytes"]
    assert refused.value.exit_code == 5
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_truncated_download_is_tried_again(index: SimpleIndex, settings_for: Reading, tmp_path: Path) -> None:
    wheel = index.add("sample", "1.0")
    index.truncated_answers = 1
    assert fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path, wheel) == index.files[wheel[0]]
    assert len(index.requests) == 3


def test_a_packed_page_that_was_cut_off_is_asked_for_again_from_its_beginning(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel, answer, cuts = index.add("sample", "1.0"), index.answer, [60]

    def packed(path: str, headers: dict[str, str]) -> tuple[int, str, bytes, dict[str, str]]:
        status, kind, content, further = answer(path, headers)
        if not kind.endswith("json"):
            return status, kind, content, further
        return status, kind, gzip.compress(content)[: cuts.pop() if cuts else None], {"Content-Encoding": "gzip"}

    monkeypatch.setattr(index, "answer", packed)
    assert fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path, wheel) == index.files[wheel[0]]
    assert ["range" in headers for _, headers in index.requests] == [False] * 3


def test_an_overloaded_index_is_tried_three_times_and_its_words_kept(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    wheel = index.add("sample", "1.0")
    index.failures = [503, 503]
    assert fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path / "a", wheel)
    index.failures = [503] * 3
    with pytest.raises(ToolAbsent, match=r"HTTP 503.*tried 3 times"):
        fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path / "b", wheel)


def test_a_damaged_wheel_in_the_cache_is_fetched_again(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    wheel = index.add("sample", "1.0")
    settings = settings_for(PIP_INDEX_URL=index.url)
    path = fetch_wheel(*wheel, str(tmp_path), UrlReader(settings, Console(-1)))
    with open(path, "wb") as stream:
        stream.write(b"poison")
    assert fetch(settings, tmp_path, wheel) == index.files[wheel[0]]


def test_offline_says_so_and_asks_nobody(index: SimpleIndex, settings_for: Reading, tmp_path: Path) -> None:
    wheel = index.add("sample", "1.0")
    with pytest.raises(ToolAbsent, match="offline"):
        fetch(settings_for(offline=True, PIP_INDEX_URL=index.url), tmp_path, wheel)
    assert index.requests == []


def test_an_index_that_nobody_serves_is_named(settings_for: Reading, tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url
    with pytest.raises(ToolAbsent, match=r"127\.0\.0\.1"):
        fetch(settings_for(PIP_INDEX_URL=url), tmp_path, ("sample-1.0-py3-none-any.whl", "0" * 64))


@pytest.mark.parametrize("variable", ["PIP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_used_and_hosts_without_one_are_not(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path, variable: str
) -> None:
    wheel = index.add("sample", "1.0")
    with proxying() as (url, asked):
        assert fetch(settings_for(PIP_INDEX_URL=index.url, **{variable: url}), tmp_path / "a", wheel)
        assert len(asked) == 2
        no_proxy = {"no_proxy": "127.0.0.1", variable: url}
        assert fetch(settings_for(PIP_INDEX_URL=index.url, **no_proxy), tmp_path / "b", wheel)
        assert len(asked) == 2


@pytest.mark.parametrize("variable", ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_https_is_checked_against_the_configured_authority(
    settings_for: Reading, tmp_path: Path, variable: str
) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with serving(tls) as index:
        wheel = index.add("sample", "1.0")
        assert fetch(settings_for(PIP_INDEX_URL=index.url, **{variable: str(bundle)}), tmp_path / "a", wheel)
        with pytest.raises(ToolAbsent, match="certificate verify failed"):
            fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path / "b", wheel)
        assert fetch(settings_for(PIP_INDEX_URL=index.url, PIP_TRUSTED_HOST="127.0.0.1"), tmp_path / "c", wheel)
        with pytest.raises(ToolAbsent, match=r"missing\.pem cannot be loaded: No such file") as told:
            fetch(settings_for(PIP_INDEX_URL=index.url, PIP_CERT=str(tmp_path / "missing.pem")), tmp_path / "d", wheel)
        assert str(told.value.advice).endswith("PIP_CERT or SSL_CERT_FILE is the path of that file")


def test_processes_that_fetch_and_unpack_at_once_all_succeed(index: SimpleIndex, tmp_path: Path) -> None:
    filename, digest = index.add("sample", "1.0", {"sample_data/big": os.urandom(1 << 20)})
    program = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(ROOT / "src")!r})
        from protoprimer.system.console import Console
        from protoprimer.settings.index_settings import read_index_settings
        from protoprimer.fetch.downloads import UrlReader
        from protoprimer.fetch.wheels import fetch_wheel, unpack_wheels, unpacked_is_whole
        settings = read_index_settings("/", environ={{"PIP_INDEX_URL": {index.url!r}, "PIP_CONFIG_FILE": {os.devnull!r}}})
        path = fetch_wheel({filename!r}, {digest!r}, {str(tmp_path)!r}, UrlReader(settings, Console(-1)))
        directory = unpack_wheels([path], {str(tmp_path / "unpacked")!r})
        assert unpacked_is_whole(directory)
        """
    )

    def run(_number: int) -> int:
        return subprocess.run([sys.executable, "-I", "-c", program], check=False).returncode

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [0, 0, 0, 0]
    assert sorted(os.listdir(tmp_path)) == ["unpacked", "wheels"]


def wheel_file(path: Path, members: dict[str, bytes], mode: int = 0) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            information = zipfile.ZipInfo(name)
            information.external_attr = mode << 16
            archive.writestr(information, content)
    return str(path)


HOSTILE = ["../outside", "/outside", "inside/../../outside", "..\\outside", "C:outside", "inside//../../outside"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_out_of_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    path = wheel_file(tmp_path / "bad.whl", {"fine.py": b"", name: b"evil"})
    with pytest.raises(ToolAbsent, match="unsafe name"):
        unpack_wheels([path], str(tmp_path / "target" / "unpacked"))
    assert os.listdir(tmp_path / "target") == []
    assert not (tmp_path / "outside").exists()


def test_a_symbolic_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    path = wheel_file(tmp_path / "bad.whl", {"link": b"/etc"}, stat.S_IFLNK | 0o777)
    with pytest.raises(ToolAbsent, match="unsafe name"):
        unpack_wheels([path], str(tmp_path / "unpacked"))


def test_something_that_is_no_zip_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "bad.whl").write_bytes(b"<html>sign in first</html>")
    with pytest.raises(ToolAbsent, match="not a usable wheel"):
        unpack_wheels([str(tmp_path / "bad.whl")], str(tmp_path / "unpacked"))


def test_executables_packages_and_modes_land_where_they_belong(tmp_path: Path) -> None:
    members = {
        "tool-1.data/scripts/tool": b"binary",
        "tool-1.data/purelib/pure.py": b"",
        "tool-1.data/platlib/plat/__init__.py": b"",
        "tool-1.data/data/share/x": b"",
        "package/__init__.py": b"",
    }
    first = wheel_file(tmp_path / "one.whl", members)
    second = wheel_file(tmp_path / "two.whl", {"other.sh": b""}, 0o755)
    directory = unpack_wheels([first, second], str(tmp_path / "unpacked"), "print('main')\n")
    for path in ("bin/tool", "pure.py", "plat/__init__.py", "tool-1.data/data/share/x", "package/__init__.py"):
        assert os.path.isfile(os.path.join(directory, path))
    assert os.access(os.path.join(directory, "bin", "tool"), os.X_OK)
    assert os.access(os.path.join(directory, "other.sh"), os.X_OK)
    assert not os.access(os.path.join(directory, "pure.py"), os.X_OK) or os.name == "nt"
    assert subprocess.check_output([sys.executable, "-I", directory]).strip() == b"main"


def test_a_directory_that_lost_content_is_unpacked_again(tmp_path: Path) -> None:
    path = wheel_file(tmp_path / "one.whl", {"module.py": b"VALUE = 1\n"})
    directory = unpack_wheels([path], str(tmp_path / "unpacked"))
    os.truncate(os.path.join(directory, "module.py"), 0)
    assert not unpacked_is_whole(directory)
    unpack_wheels([path], directory)
    assert unpacked_is_whole(directory)
    os.makedirs(os.path.join(directory, "__pycache__"))
    with open(os.path.join(directory, "__pycache__", "x.pyc"), "wb") as stream:
        stream.write(b"what Python writes does not count")
    assert unpacked_is_whole(directory)
    assert sorted(os.listdir(tmp_path)) == ["one.whl", "unpacked"]


def test_what_killed_processes_left_is_removed_but_not_what_is_being_written(tmp_path: Path) -> None:
    path = wheel_file(tmp_path / "one.whl", {"module.py": b"VALUE = 1\n"})
    for name in ("unpacked.7-aa.tmp", "unpacked.8-bb.tmp", "unpacked-too.9-cc.tmp"):
        (tmp_path / name).mkdir()
    for name in ("unpacked.7-aa.tmp", "unpacked-too.9-cc.tmp"):
        os.utime(tmp_path / name, (0, 0))
    unpack_wheels([path], str(tmp_path / "unpacked"))
    assert sorted(os.listdir(tmp_path)) == ["one.whl", "unpacked", "unpacked-too.9-cc.tmp", "unpacked.8-bb.tmp"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this host has no device that is always full")
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wheel_file(tmp_path / "one.whl", {"module.py": b"VALUE = 1\n" * 100_000})
    real_open = open

    def open_on_full_disk(name: str, mode: str = "r", **options: object) -> object:
        return real_open("/dev/full" if "w" in mode else name, mode, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(wheels, "open", open_on_full_disk, raising=False)
    with pytest.raises(OSError, match="No space") as full:
        unpack_wheels([path], str(tmp_path / "unpacked"))
    assert full.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == ["one.whl"]


def test_a_refusal_is_a_matter_of_credentials_only_where_there_are_some(
    index: SimpleIndex, settings_for: Reading, tmp_path: Path
) -> None:
    wheel = index.add("sample", "1.0")
    index.failures = [403, 403]
    with pytest.raises(ToolAbsent, match="HTTP 403 Forbidden: it refuses this file, this program or this host"):
        fetch(settings_for(PIP_INDEX_URL=index.url), tmp_path, wheel)
    index.failures = [403, 403]
    with pytest.raises(ToolAbsent, match="HTTP 403 Forbidden: the credentials do not suffice"):
        fetch(settings_for(PIP_INDEX_URL=index.url_with("alice", "s3cret")), tmp_path, wheel)
