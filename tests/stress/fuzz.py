"""Feed whatever bytes to everything that reads a file or page that somebody else may have written.

Each target states what it may raise and what must hold; where a reference exists (tomllib, packaging), the two must
agree. With atheris (`pip install atheris`) the search follows coverage; without it, seeds are mutated at random, which is
what the unit tests do for some hundred inputs each.
"""

from __future__ import annotations

import argparse
import base64
import copy
import functools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS: dict[str, list[bytes]] = {
    "toml": [
        b'a = 1\n[b.c]\n"d e" = [1, 2.5, "x", {f = true}]\n[[g]]\nh = 1979-05-27T07:32:00Z\n',
        b"s = '''\nlines'''\nt = \"\"\"a\\\n  b\"\"\"\nn = -0x1\nm = +inf\nk = 0o17\nl = 07:32:00.5\n",
        b"a.b = 1\na.c = {x = 1, y.z = 2}\n[a.d]\n",
    ],
    "versions": [
        b"1.2.3rc1.post2.dev3+local",
        b">=3.8,<4,!=3.9.*",
        b"~=3.10.2",
        b"3.11t",
        b"===x",
        b"^3.8 || >=2,<1",
        b"1!2.0",
    ],
    "pages": [
        b'<a href="../a-1-py3-none-any.whl#sha256=00">a</a>',
        b'{"files": [{"filename": "a.whl", "url": "a", "hashes": {}}], "meta": {"api-version": "1.0"}}',
    ],
    "wheels": [b"a/b.py\na-1.data/scripts/x\na-1.dist-info/RECORD", b"../x\n/etc/y\nC:\\z\na/../../b", b"a\na/b\n\n."],
    "markers": [b'python_version >= "3.8" and (os_name == "posix" or extra == "x")', b"'a' not in sys_platform"],
    "pip.conf": [
        b"[global]\nindex-url = https://u:p@host/simple\ntrusted-host = a b\n[install]\nfind-links =\n  a\n  b\n"
    ],
    "environment": [b"default\n", b"a.b-c_d"],
    # What follows is JSON that is changed by its structure too.
    "ready": [
        b'{"moment": 1, "work": false, "inputs": [], "links": [["/", "/"]], "absent": ["/nowhere"]}',
        b'{"moment": 1, "boot": "b", "work": false, "inputs": [["/a", 1]], "links": [["/l", "/t"]]}',
    ],
    "lock": [b'{"pid": 1, "host": "h", "boot": "b", "namespace": "n", "start": "1", "since": "2026", "what": "x"}'],
    "records": [
        (
            b'{"fingerprint": "0123456789abcdef", "environment": "default", "parts": {"a": "1"}, "serial": 1, "interpreter":'
            b' {"executable": "/x", "version": "3"}, "distributions": ["a.dist-info"], "faults_when_new": ["x"],'
            b' "host": "h", "built_seconds": 1, "boot": "b"}'
        ),
    ],
    "probes": [
        b'{"format": 1, "stamps": {"/x": [1, 2, 3]}, "facts": {"version": "3.11.7", "version_info": [3, 11, 7]}}'
    ],
}
WORDS = [
    b'"',
    b"'",
    b"\\",
    b"\n",
    b"\r\n",
    b"\0",
    b"[",
    b"]",
    b"{",
    b"}",
    b"#",
    b"=",
    b".",
    b",",
    b"-",
    b"\xff",
    b"\xe2\x80\xa8",
]
WORDS += [
    b"../",
    b"1e999",
    b"99999999999999999999",
    b"_",
    b"\\u0000",
    b"\\uD800",
    b"true",
    b"null",
    b'"""',
    b"'''",
    b" ",
    b"::",
]
ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5,
    float("inf"),
    "",
    "\0",
    "\ud800",
    "../..",
    [],
    {},
    [None],
    [[1]],
    {"": 1},
    "x" * 5000,
]


class FindingError(AssertionError):
    """Something does not hold."""


def fuzz_toml(data: bytes) -> None:
    """The reader here and the standard library's refuse the same texts, and understand the others alike."""
    import tomllib  # type: ignore[import-not-found,unused-ignore]

    from protoprimer.formats.toml import TomlError, TomlReader

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return
    try:
        expected: Any = tomllib.loads(text)
    except (ValueError, RecursionError):
        expected = None
    try:
        found: Any = TomlReader(text).read()
    except TomlError:
        found = None
    if repr(found) != repr(expected):
        raise FindingError(f"{text!r}: {found!r}, expected {expected!r}")


def fuzz_versions(data: bytes) -> None:
    """What is a version or specifier here is one for packaging, and the other way round."""
    from packaging import specifiers, version

    from protoprimer.formats.versions import (
        InvalidSpecifier,
        InvalidVersion,
        SpecifierSet,
        Version,
        parse_python_request,
    )

    text = data.decode("utf-8", "replace")
    # The standard has ASCII digits and letters, and what control characters around them mean is nobody's concern.
    is_comparable = text.isascii() and text.isprintable() and "===" not in text
    found = _or_none(lambda: Version(text), InvalidVersion)
    expected = _or_none(lambda: str(version.Version(text)), version.InvalidVersion)
    if is_comparable and (found is None if expected else found is not None):
        raise FindingError(f"version {text!r}: {found!r}, expected {expected!r}")
    if is_comparable and expected is not None and found != Version(expected):
        raise FindingError(f"version {text!r}: {found!r}, expected {expected!r}")
    ours = _or_none(lambda: SpecifierSet(text), InvalidSpecifier)
    theirs = _or_none(lambda: specifiers.SpecifierSet(text), specifiers.InvalidSpecifier)
    if is_comparable and (ours is None) != (theirs is None):
        raise FindingError(f"specifier {text!r}: {ours}, expected {theirs}")
    if is_comparable and ours is not None and theirs is not None:
        for one in ("2.7", "3.8.1", "3.10rc1", "3.11", "4!1", "3.12.0.post1", "3.13.dev0"):
            if ours.contains(one, prereleases=True) != theirs.contains(one, prereleases=True):
                raise FindingError(f"{one} in {text!r}: {ours.contains(one, prereleases=True)}")
    _or_none(lambda: parse_python_request(text), InvalidSpecifier)


def fuzz_pages(data: bytes) -> None:
    """An index's page is links, or a `ValueError` that becomes one more reason."""
    from protoprimer.fetch.downloads import _links_of_html, _links_of_json

    text = data.decode("utf-8", "replace")
    for read in (_links_of_html, _links_of_json):
        links = _or_none(functools.partial(read, text), ValueError)
        if links is not None and not all(isinstance(part, str) for pair in links.items() for part in pair):
            raise FindingError(f"{text!r}: {links!r}")


def fuzz_wheels(data: bytes) -> None:
    """Whatever the members of a wheel are named, nothing lands outside of the directory."""
    from protoprimer.fetch.wheels import ToolAbsent, unpack_wheels

    with tempfile.TemporaryDirectory() as base:
        wheel, inside = os.path.join(base, "a-1-py3-none-any.whl"), os.path.join(base, "deep", "in")
        os.mkdir(os.path.dirname(inside))
        with zipfile.ZipFile(wheel, "w") as archive:
            for number, name in enumerate(data.decode("utf-8", "replace").split("\n")):
                info = zipfile.ZipInfo("x")
                info.filename = name
                info.external_attr = (0o120777 if number % 5 == 4 else 0o644) << 16
                try:
                    archive.writestr(info, "content")
                except (ValueError, UserWarning):
                    return
        _or_none(lambda: unpack_wheels([wheel], inside), (ToolAbsent, OSError))
        found = sorted(os.listdir(base)) + sorted(os.listdir(os.path.dirname(inside)))
        if set(found) - {"a-1-py3-none-any.whl", "deep", "in"}:
            raise FindingError(f"{data!r} left {found}")


def fuzz_markers(data: bytes) -> None:
    from protoprimer.formats.markers import marker_holds

    environment = {"python_version": "3.11", "os_name": "posix", "sys_platform": "linux", "extra": ""}
    _or_none(lambda: marker_holds(data.decode("utf-8", "replace"), environment), ValueError)


def fuzz_pip_conf(data: bytes) -> None:
    from protoprimer.errors import ConfigurationError
    from protoprimer.settings.index_sources import read_settings_sources

    with tempfile.TemporaryDirectory() as base:
        path = Path(base, "pip.conf")
        path.write_bytes(data)
        _or_none(lambda: read_settings_sources(base, {"PIP_CONFIG_FILE": str(path), "HOME": base}), ConfigurationError)


def fuzz_environment(data: bytes) -> None:
    from protoprimer.store.state_directory import remembered_environment

    with tempfile.TemporaryDirectory() as base:
        Path(base, "environment").write_bytes(data)
        name = remembered_environment(base)
        if name is not None and ("/" in name or name.startswith(".") or "\0" in name):
            raise FindingError(repr(name))


def fuzz_ready(data: bytes) -> None:
    """The fragment is believed only if it is what its facts give, and whatever these are, the answer is a reason."""
    from protoprimer.store.ready import _ready_text, is_fresh, read_ready
    from protoprimer.system.platform import boot_identifier

    with tempfile.TemporaryDirectory() as base:
        facts: Any = {"state": base, "environment": base, "client_paths": [],
                      "exact": [], "absent": [], "stamps": True}  # fmt: skip
        content = data
        try:
            facts.update(
                {name: value for name, value in json.loads(data).items() if name not in ("state", "environment")}
            )
            # Else the first look would end it.
            facts["boot"] = boot_identifier()
            content = _ready_text(facts)
        except (ArithmeticError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
            # Then the bytes themselves are the fragment.
            content = data
        Path(base, "protoprimer.json").write_text("{}")
        Path(base, "ready").write_bytes(content)
        is_fresh(base, read_ready(base))


def fuzz_lock(data: bytes) -> None:
    """Whatever a lock file says of its holder, the lock is had, and a timeout has its words."""
    from protoprimer.errors import LockTimeoutError
    from protoprimer.store.file_lock import FileLock, this_process
    from protoprimer.system.console import Console

    with tempfile.TemporaryDirectory() as base:
        here = this_process()
        try:
            told = {**json.loads(data), **{name: here[name] for name in ("host", "boot", "namespace")}}
            contents = [data, b" " + json.dumps(told).encode()]
        except (ValueError, TypeError):
            contents = [data]
        for content in contents:
            path = os.path.join(base, "lock")
            Path(path).write_bytes(content)
            held = FileLock(path, Console(-1), timeout=0, system_lock=lambda _descriptor: False)
            try:
                held.acquire()
                raise FindingError("a lock that is held was had")
            except LockTimeoutError as error:
                str(error)
            with FileLock(path, Console(-1), timeout=0):
                pass


def fuzz_records(data: bytes) -> None:
    """Whatever a generation's record says, it is one or none, and a reason to build is a sentence."""
    from protoprimer.store.fingerprint import Fingerprint
    from protoprimer.store.generations import GenerationStore
    from protoprimer.store.history import reason_to_build
    from protoprimer.system.console import Console

    with tempfile.TemporaryDirectory() as base:
        home = Path(base, "envs", "default-0123456789abcdef")
        (home / "bin").mkdir(parents=True)
        (home / "pyvenv.cfg").write_text("home = /usr/bin\n")
        (home / "bin" / "python").symlink_to(sys.executable)
        (home / "protoprimer.json").write_bytes(data)
        Path(base, "envs", "default.last.json").write_bytes(data)
        store = GenerationStore(base, "default", Console(-1))
        wanted = Fingerprint("0123456789abcdef", {"a": "2"})
        for generation in store.all():
            generation.faults()
        store.find(wanted)
        if not reason_to_build(store, wanted).startswith("because "):
            raise FindingError(reason_to_build(store, wanted))
        store.begin(wanted)
        store.collect(1, [])


def fuzz_probes(data: bytes) -> None:
    from protoprimer.pythons.probe import _remembered_facts
    from protoprimer.system.files import json_table

    _remembered_facts(json_table(data))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "toml": fuzz_toml,
    "versions": fuzz_versions,
    "pages": fuzz_pages,
    "wheels": fuzz_wheels,
    "markers": fuzz_markers,
    "pip.conf": fuzz_pip_conf,
    "environment": fuzz_environment,
    "ready": fuzz_ready,
    "lock": fuzz_lock,
    "records": fuzz_records,
    "probes": fuzz_probes,
}


def _or_none(call: Callable[[], Any], allowed: Any) -> Any:
    try:
        return call()
    except allowed:
        return None


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """Return a seed after some random changes, of its JSON structure where it has one."""
    content = seed
    if seed[:1] in b"{[" and chance.random() < 0.6:
        try:
            document = json.loads(seed)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            for _ in range(chance.randint(1, 3)):
                _change_a_value(document, chance)
            return json.dumps(document).encode("utf-8")
    for _ in range(chance.randint(0, 4)):
        place = chance.randrange(len(content) + 1)
        end = min(len(content), place + chance.choice([0, 0, 1, 2, 8]))
        piece = chance.choice(
            [chance.choice(WORDS), bytes([chance.randrange(256)]), content[place:end] * 2, b"", b"[" * 300]
        )
        content = content[:place] + piece + content[end:]
    return content


def _change_a_value(document: Any, chance: random.Random) -> None:
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                collect(value[key])

    collect(document)
    if places:
        container, key = chance.choice(places)
        container[key] = copy.deepcopy(chance.choice(ODD_VALUES))


def run_random(name: str, count: int | None = None, seconds: float | None = None, seed: int = 0) -> int:
    """Feed a target with mutated seeds, and return how many; the first failure is raised with its input."""
    chance = random.Random(f"{name} {seed}")
    pool = list(SEEDS[name])
    started, done = time.monotonic(), 0
    while (count is None or done < count) and (seconds is None or time.monotonic() - started < seconds):
        data = mutated(chance.choice(pool), chance) if done >= len(SEEDS[name]) else SEEDS[name][done]
        try:
            TARGETS[name](data)
        except Exception as error:
            raise FindingError(
                f"{name}: {type(error).__name__}: {error}: {data!r} ({base64.b64encode(data).decode()})"
            ) from error
        if chance.random() < 0.1 and len(data) < 2000:
            pool.append(data)
        done += 1
    return done


def run_atheris(name: str, seconds: int, corpus: Path) -> None:
    """Search along coverage; does not return."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["protoprimer"]):
        for module in (
            "toml",
            "versions",
            "downloads",
            "wheels",
            "pylock",
            "index_sources",
            "generations",
            "ready",
            "locking",
        ):
            __import__(f"protoprimer.{module}")
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = ["".join("\\x%02x" % byte for byte in word) for word in WORDS]
    (corpus.parent / f"{name}.words").write_text("".join(f'"{word}"\n' for word in words))
    options = [f"-max_total_time={seconds}", f"-dict={corpus.parent / name}.words", "-max_len=4096", "-verbosity=0"]
    options += [f"-artifact_prefix={corpus.parent}/{name}-", "-print_final_stats=1", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


def main(words: list[str]) -> int:
    """Serve `python tests/stress fuzz`."""
    parser = argparse.ArgumentParser(prog="python tests/stress fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="where atheris keeps what it has found; default: nowhere")
    parser.add_argument("--engine", choices=["random", "atheris"], help="default: atheris if it is installed")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    engine = asked.engine or ("atheris" if _has_atheris() else "random")
    corpus = asked.corpus or Path(tempfile.mkdtemp(prefix="corpus-"))
    if asked.alone:
        run_atheris(asked.target[0], asked.seconds, corpus / asked.target[0])
    print("| target | engine | seconds | inputs | corpus | outcome |\n|---|---|---:|---:|---:|---|")
    wrong = 0
    for name in asked.target or TARGETS:
        outcome, kept = "nothing found", len(SEEDS[name])
        if engine == "random":
            try:
                inputs = run_random(name, seconds=asked.seconds, seed=asked.seed)
            except FindingError as finding:
                outcome, inputs = str(finding), 0
        else:
            command = [sys.executable, *sys.orig_argv[1 : -len(words)], "--alone", "--target", name]
            command += ["--seconds", str(asked.seconds), "--corpus", str(corpus)]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
            numbers = [line.split()[-1] for line in done.stdout.splitlines() if "number_of_executed_units" in line]
            inputs, kept = int(numbers[-1]) if numbers else 0, len(os.listdir(corpus / name))
            if done.returncode != 0:
                outcome = done.stdout[-3000:]
        wrong += outcome != "nothing found"
        print(f"| {name} | {engine} | {asked.seconds} | {inputs} | {kept} | {outcome} |", flush=True)
    return 1 if wrong else 0


def _has_atheris() -> bool:
    from importlib.util import find_spec

    return find_spec("atheris") is not None
