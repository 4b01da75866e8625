"""Each locked-down host as one row: what it has, what `./prime` does there. The table in docs/how-to/locked-down-hosts.md is made from this."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import support
from hosts.index import ONLY_BY_PROXY, Behaviour
from hosts.world import GONE, NOBODY, WHEELS_OF_DISTRIBUTION, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hosts.bench import Bench

HOSTS: list[Host] = []


@dataclass
class Host:
    """A row.

    :param about: what a person would say of this host
    :param item: the numbers of what is protected: a road by which tools come, or a place to write to
    :param backend: which backend serves there; one of these if there are several; empty where none can
    :param said: regular expressions that what `./prime` says must match
    :param fault: why the row fails today
    """

    key: str
    about: str
    build: Callable[[Bench], World]
    backend: str = "uv"
    said: tuple[str, ...] = ()
    fault: str = ""


def host(
    about: str, backend: str = "uv", said: tuple[str, ...] = (), fault: str = ""
) -> Callable[[Callable[[Bench], World]], Callable[[Bench], World]]:
    """Make a row of a function that builds a host."""

    def add(build: Callable[[Bench], World]) -> Callable[[Bench], World]:
        HOSTS.append(Host(build.__name__.replace("_", "-"), about, build, backend, said, fault))
        return build

    return add


# An index that is reached in a special way.


@host("an index with a private certificate authority, user and password")
def authenticated_mirror(bench: Bench) -> World:
    certificates = bench.certificates()
    index = bench.index(Behaviour(basic=("alice", "s3cret")), tls=certificates.good)
    return bench.world().set(PIP_INDEX_URL=index.url_with("alice:s3cret"), PIP_CERT=str(certificates.authority))


@host("an index that wants a token and answers in HTML")
def mirror_with_token(bench: Bench) -> World:
    index = bench.index(Behaviour(form="html", token="t0ken"))
    return bench.world().set(PIP_INDEX_URL=index.url_with("t0ken"))


@host("an index that only a proxy with a password can reach")
def proxy_with_password(bench: Bench) -> World:
    certificates, proxy = bench.certificates(), bench.proxy("bob:pa55")
    index = bench.index(tls=certificates.good)
    index.host = ONLY_BY_PROXY
    settings = {"PIP_INDEX_URL": index.url, "PIP_CERT": str(certificates.authority)}
    return bench.world().set(HTTPS_PROXY=proxy.url_with_password, **settings)


@host("the same proxy without its password, and a Python with ensurepip", "venv", (r"407",))
def proxy_that_refuses(bench: Bench) -> World:
    certificates, proxy = bench.certificates(), bench.proxy("bob:pa55")
    index = bench.index(tls=certificates.good)
    index.host = ONLY_BY_PROXY
    settings = {"PIP_INDEX_URL": index.url, "PIP_CERT": str(certificates.authority)}
    return bench.world().set(HTTPS_PROXY=proxy.url, **settings)


@host("an index whose certificate has expired, and a Python with ensurepip", "venv", (r"(?i)certificate.*expired",))
def expired_certificate(bench: Bench) -> World:
    certificates = bench.certificates()
    index = bench.index(tls=certificates.expired)
    return bench.world().set(PIP_INDEX_URL=index.url, PIP_CERT=str(certificates.authority))


@host("an index whose files are on another host, which is not shown the password")
def files_elsewhere(bench: Bench) -> World:
    files = bench.index()
    # Another name is another host, whatever its address.
    files.host = "localhost"
    index = bench.index(Behaviour(basic=("alice", "s3cret"), redirect_to=files.server))
    return bench.world().set(PIP_INDEX_URL=index.url_with("alice:s3cret"))


@host("an index that asks for patience with 429 and Retry-After")
def busy_index(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(busy=1.5)).url)


@host("an index that fails once with 503, and cuts a file off once")
def unsteady_index(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(failures=[503], cut=1, delay=0.05)).url)


@host("an index whose password only the `keyring` command knows")
def keyring(bench: Bench) -> World:
    index = bench.index(Behaviour(basic=("alice", "p@ss word")))
    world = bench.world().set(PIP_INDEX_URL=index.url_with("alice"), PIP_KEYRING_PROVIDER="subprocess")
    world.program("keyring", '[ "$1" = get ] && [ "$3" = alice ] && echo "p@ss word"')
    return world


# An index that does not give what it lists.


@host(
    "a mirror that lists the tools and answers 404 for their files (quarantine)",
    "venv",
    (r"404|not found",),
)
def quarantine(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(files_status=404)).url)


@host("a mirror that answers 403 for files", "venv", (r"403",))
def forbidden_files(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(files_status=403)).url)


@host("a network that shows a login page instead of each page", "venv", (r"(?i)web page|login",))
def login_page(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(login_pages=True)).url)


@host("a network that shows a login page instead of each file", "venv", (r"(?i)web page|login",))
def login_page_for_files(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(login_files=True)).url)


@host("an index whose uv is not the pinned one", "virtualenv", (r"sha256",))
def another_uv(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(wrong_bytes=("uv-",))).url)


@host("a firewall that drops what goes to the index, and a Python with ensurepip", "venv", (r"timed out",))
def dropping_firewall(bench: Bench) -> World:
    return bench.world().impatient().set(PIP_INDEX_URL=bench.dropping())


@host("an index that accepts connections and stays silent, and a Python with ensurepip", "venv", (r"timed out",))
def silent_index(bench: Bench) -> World:
    return bench.world().impatient().set(PIP_INDEX_URL=bench.empty_index(Behaviour(stall=True)).url)


@host(
    "an index that has virtualenv but neither uv nor pip, and a Python without ensurepip",
    "virtualenv",
)
def index_with_virtualenv_only(bench: Bench) -> World:
    index = bench.empty_index().add_files(
        [path for path in bench.wheels() if not path.name.startswith(("uv-", "pip-"))]
    )
    return bench.world(bench.stripped("ensurepip")).hide(WHEELS_OF_DISTRIBUTION).set(PIP_INDEX_URL=index.url)


# No network at all.


@host("no network, a Python with ensurepip", "venv")
def offline(bench: Bench) -> World:
    return bench.world().without_network()


@host("no network, a Python whose ensurepip is in the distribution's wheels", "venv")
def offline_distribution_wheels(bench: Bench) -> World:
    world = bench.world(bench.stripped("ensurepip")).without_network()
    wheels = bench.base / "wheels of the distribution"
    wheels.mkdir()
    for path in bench.wheels("pip-"):
        (wheels / path.name).write_bytes(path.read_bytes())
    if not os.path.isdir(WHEELS_OF_DISTRIBUTION):
        pytest.skip(f"this host has no {WHEELS_OF_DISTRIBUTION} to mount something over")
    return world.mount(f"mount --bind '{wheels}' {WHEELS_OF_DISTRIBUTION}")


@host("no network, uv on PATH")
def offline_uv(bench: Bench) -> World:
    world = bench.world(bench.stripped("ensurepip", "venv")).without_network().hide(WHEELS_OF_DISTRIBUTION)
    (world.bin / "uv").symlink_to(bench.uv_program())
    return world


@host("no network, no pip anywhere, a virtualenv on PATH", "virtualenv")
def offline_virtualenv(bench: Bench) -> World:
    world = bench.world(bench.stripped("ensurepip")).without_network().hide(WHEELS_OF_DISTRIBUTION)
    (world.bin / "virtualenv").symlink_to(bench.virtualenv_program(support.default_python()))
    return world


@host(
    "no network, no pip anywhere, a virtualenv that is installed in the interpreter",
    "virtualenv",
)
def offline_importable_virtualenv(bench: Bench) -> World:
    library = next((bench.virtualenv_program(support.default_python()).parent.parent / "lib").glob("*/site-packages"))
    python = bench.stripped("ensurepip", has=list(library.iterdir()))
    return bench.world(python).without_network().hide(WHEELS_OF_DISTRIBUTION)


@host("no network, a Python without ctypes", "venv")
def offline_without_ctypes(bench: Bench) -> World:
    return bench.world(bench.stripped("ctypes")).without_network()


# No road at all: what is said opens one. Each has a Python without venv and ensurepip, and no tool of any kind.


def bare(bench: Bench) -> World:
    """Make a host that has nothing but what an index gives."""
    return bench.world(bench.stripped("venv", "ensurepip")).hide(WHEELS_OF_DISTRIBUTION)


def uv_wheel(bench: Bench) -> Path:
    """Return the wheel of uv."""
    (wheel,) = bench.wheels("uv-")
    return wheel


@host("no road: no network; uv is put on PATH", "", (r"next: put uv on PATH",))
def no_road(bench: Bench) -> World:
    world = bare(bench).without_network()
    return world.opened_by(lambda: (world.bin / "uv").symlink_to(bench.uv_program()))


@host(
    "no road: an index that wants a password; it is given in netrc",
    "",
    (r"or: give credentials for http://127\.0\.0\.1:\d+ in its URL, netrc or keyring",),
)
def no_road_without_credentials(bench: Bench) -> World:
    index = bench.index(Behaviour(basic=("alice", "s3cret")))
    world = bare(bench).set(PIP_INDEX_URL=index.url)
    line = f"machine {index.host} login alice password s3cret\n"
    return world.opened_by(lambda: private_file(world.home / ".netrc", line))


@host(
    "no road: a quarantine of files (404); one is put into a directory of find-links",
    "",
    (r"or: let http://127\.0\.0\.1:\d+ serve uv-\S+\.whl, or put that file into a directory of find-links",),
)
def no_road_but_find_links(bench: Bench) -> World:
    world = bare(bench).set(PIP_INDEX_URL=bench.index(Behaviour(files_status=404)).url)
    links = world.base / "links"

    def put() -> None:
        links.mkdir()
        shutil.copy(uv_wheel(bench), links)
        world.set(PIP_FIND_LINKS=str(links))

    return world.opened_by(put)


@host(
    "no road: access to files is refused (403); it is given",
    "",
    (r"or: give credentials .*, or ask for access to uv-\S+\.whl",),
)
def no_road_but_access(bench: Bench) -> World:
    index = bench.index(Behaviour(files_status=403))
    return bare(bench).set(PIP_INDEX_URL=index.url).opened_by(lambda: setattr(index.behaviour, "files_status", 0))


@host(
    "no road: an index with a certificate of an unknown authority; its file is named",
    "",
    (r"or: name the certificates of your authority: PIP_CERT or SSL_CERT_FILE is the path of that file",),
)
def no_road_without_authority(bench: Bench) -> World:
    certificates = bench.certificates()
    index = bench.index(tls=certificates.good)
    world = bare(bench).set(PIP_INDEX_URL=index.url)
    return world.opened_by(lambda: world.set(SSL_CERT_FILE=str(certificates.authority)))


@host(
    "no road: a firewall before the index; another index is named",
    "",
    (r"or: let this host reach http://127\.0\.0\.1:\d+, or set proxy or index-url to what it can reach",),
)
def no_road_through_a_firewall(bench: Bench) -> World:
    world = bare(bench).set(PIP_INDEX_URL=bench.dropping())
    return world.opened_by(lambda: world.set(PIP_INDEX_URL=bench.index().url))


@host(
    "no road: an index that only a proxy reaches; the proxy is set",
    "",
    (r"or: let this host reach https://mirror\.invalid:\d+, or set proxy or index-url",),
)
def no_road_without_proxy(bench: Bench) -> World:
    certificates, proxy = bench.certificates(), bench.proxy()
    index = bench.index(tls=certificates.good)
    index.host = ONLY_BY_PROXY
    world = bare(bench).set(PIP_INDEX_URL=index.url, PIP_CERT=str(certificates.authority))
    return world.opened_by(lambda: world.set(PIP_PROXY=proxy.url))


@host(
    "no road: a login page instead of each page; one has signed in",
    "",
    (r"or: sign in to this network, or correct the URL: http://127\.0\.0\.1:\d+ answers with a page for people",),
)
def no_road_before_signing_in(bench: Bench) -> World:
    index = bench.index(Behaviour(login_pages=True))
    return bare(bench).set(PIP_INDEX_URL=index.url).opened_by(lambda: setattr(index.behaviour, "login_pages", False))


@host(
    "no road: an index with other bytes than the pinned ones; it gets the very file",
    "",
    (r"or: let http://127\.0\.0\.1:\d+ serve the very file that is pinned: uv-\S+\.whl",),
)
def no_road_with_other_bytes(bench: Bench) -> World:
    index = bench.index(Behaviour(wrong_bytes=("uv-", "virtualenv-")))
    return bare(bench).set(PIP_INDEX_URL=index.url).opened_by(lambda: setattr(index.behaviour, "wrong_bytes", ()))


@host(
    "no road: an index that lacks all tools; it gets uv",
    "",
    (r"or: let http://127\.0\.0\.1:\d+ serve uv-\S+\.whl",),
)
def no_road_in_an_empty_index(bench: Bench) -> World:
    index = bench.empty_index()
    return bare(bench).set(PIP_INDEX_URL=index.url).opened_by(lambda: index.add_files([uv_wheel(bench)]))


@host(
    "no road: told to be offline, with an index; it is no longer told so",
    "",
    (r"or: run without --offline, or put uv-\S+\.whl into a directory of find-links",),
)
def no_road_offline(bench: Bench) -> World:
    world = bare(bench).set(PIP_INDEX_URL=bench.index().url, PROTOPRIMER_OFFLINE="1")
    return world.opened_by(lambda: world.set(PROTOPRIMER_OFFLINE=GONE))


@host(
    "no road: only a uv that is too old; uv is put on PATH before it",
    "",
    (r"uv 0\.1\.0 \(PATH: \S+\) is older than \d+\.\d+", r"next: put uv on PATH"),
)
def no_road_but_an_old_uv(bench: Bench) -> World:
    world = bare(bench).without_network()
    world.program("uv", "echo uv 0.1.0")
    newer = world.base / "newer"

    def put() -> None:
        newer.mkdir()
        (newer / "uv").symlink_to(bench.uv_program())
        world.set(PATH=f"{newer}:{world.clone.environ['PATH']}")

    return world.opened_by(put)


@host(
    "no road: a $UV that is not there; the variable is corrected",
    "",
    (r"next: correct the variable UV",),
)
def no_road_by_a_wrong_variable(bench: Bench) -> World:
    world = bare(bench).without_network().set(UV="/nowhere/uv")
    return world.opened_by(lambda: world.set(UV=str(bench.uv_program())))


def private_file(path: Path, text: str) -> None:
    """Write a file that nobody else may read."""
    path.write_text(text)
    path.chmod(0o600)


# What programs may do.


@host("an index with HTTPS, a Python without ssl, and another Python with it")
def python_without_ssl(bench: Bench) -> World:
    certificates = bench.certificates()
    index = bench.index(tls=certificates.good)
    world = bench.world(bench.stripped("ssl"))
    (world.bin / f"python{support.default_python().name}").symlink_to(support.default_python().executable)
    return world.set(PIP_INDEX_URL=index.url, PIP_CERT=str(certificates.authority))


@host("a uv on PATH that prints its version and is then killed", "venv", (r"uv",))
def blocked_uv(bench: Bench) -> World:
    world = bench.world().without_network()
    world.program("uv", 'case "$*" in *--version*) echo uv 0.13.0;; *) kill -9 $$;; esac')
    return world


@host("a cache where nothing may be executed", "virtualenv", (r"uv",))
def cache_without_execution(bench: Bench) -> World:
    world = bench.world().set(PIP_INDEX_URL=bench.index().url)
    return world.without_execution(world.home)


@host("Python 3.6 and an index", "virtualenv")
def python_36(bench: Bench) -> World:
    python = support.python_of("3.6")
    if python is None:
        pytest.skip("this host has no Python 3.6")
    return bench.world(python).set(PIP_INDEX_URL=bench.index(python=python).url)


# Where to write.


@host("a checkout that is read-only", "uv", (r"renewed by",))
def read_only_checkout(bench: Bench) -> World:
    world = bench.world().set(PIP_INDEX_URL=bench.index().url)
    return world.read_only(world.root)


@host("a checkout that belongs to another user", "uv", (r"renewed by root",))
def foreign_checkout(bench: Bench) -> World:
    world = bench.world_for_everybody()
    world.set(PIP_INDEX_URL=bench.index(python=world.python).url)
    return world.as_nobody().give(world.home)


@host("no HOME")
def no_home(bench: Bench) -> World:
    world = bench.world_for_everybody()
    world.set(PIP_INDEX_URL=bench.index(python=world.python).url, HOME=GONE)
    return world.as_nobody().give(world.root)


@host("HOME is the root directory")
def home_is_the_root(bench: Bench) -> World:
    world = bench.world_for_everybody()
    world.set(PIP_INDEX_URL=bench.index(python=world.python).url, HOME="/")
    return world.as_nobody().give(world.root)


@host("a HOME that cannot be written")
def unwritable_home(bench: Bench) -> World:
    world = bench.world_for_everybody()
    world.set(PIP_INDEX_URL=bench.index(python=world.python).url)
    return world.as_nobody().give(world.root)


@host("a cache that belongs to another user", "uv", (r"the cache .* is not yours",))
def foreign_cache(bench: Bench) -> World:
    world = bench.world_for_everybody()
    world.set(PIP_INDEX_URL=bench.index(python=world.python).url)
    world.as_nobody().give(world.root, world.home)
    world.cache.mkdir(parents=True)
    os.chown(world.home / ".cache", NOBODY, NOBODY)
    world.cache.chmod(0o700)
    return world


@host("a home directory that is full", "uv", (r"the cache \S+ is full \(0 MB are free, uv needs about 100 MB\)",))
def full_home(bench: Bench) -> World:
    world = bench.world().set(PIP_INDEX_URL=bench.index().url)
    return world.full(world.home)


@host("a home directory of 30 MB, which fills while uv is unpacked", "uv", (r"the cache \S+ is full",))
def small_home(bench: Bench) -> World:
    world = bench.world().set(PIP_INDEX_URL=bench.index().url)
    return world.full(world.home, kilobytes=30 << 10)


@host(
    "file systems whose locks fail with ENOLCK, as on some NFS",
    "uv|virtualenv|venv",
)
def no_locks(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index().url).refuse_locks("ENOLCK")


@host(
    "file systems whose locks fail with EBADF, as in some containers",
    "uv|virtualenv|venv",
)
def bad_locks(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index().url).refuse_locks("EBADF")


@host("a system without flock (ENOSYS)", "uv|virtualenv|venv")
def unknown_locks(bench: Bench) -> World:
    return bench.world().set(PIP_INDEX_URL=bench.index().url).refuse_locks("ENOSYS")
