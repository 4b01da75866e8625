"""Versions and specifiers against `packaging`, and the forms in which people ask for a Python."""

from __future__ import annotations

import itertools
import json
import subprocess

import pytest
from hypothesis import assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from packaging import specifiers as reference_specifiers
from packaging import version as reference_version

import support
from protoprimer.formats.versions import (
    InvalidSpecifier,
    InvalidVersion,
    SpecifierSet,
    Version,
    parse_python_request,
    python_version_line,
)

NUMBERS = st.sampled_from(["0", "1", "2", "3", "9", "10", "14", "00", "01", "2026"])
RELEASES = st.lists(NUMBERS, min_size=1, max_size=4).map(".".join)
SEPARATORS = st.sampled_from(["", ".", "-", "_"])
OPTIONAL_NUMBERS = st.just("") | NUMBERS


def suffix(*words: str) -> st.SearchStrategy[str]:
    return st.just("") | st.tuples(SEPARATORS, st.sampled_from(words), SEPARATORS, OPTIONAL_NUMBERS).map("".join)


PRE = suffix("a", "b", "c", "rc", "alpha", "beta", "pre", "preview", "RC", "Alpha")
POST = suffix("post", "rev", "r", "POST") | NUMBERS.map(lambda number: "-" + number)
DEV = suffix("dev", "Dev")
LOCAL = st.just("") | st.lists(st.sampled_from(["1", "10", "a", "ubuntu", "0", "x1", "A"]), min_size=1, max_size=3).map(
    lambda parts: "+" + ".".join(parts)
)
EPOCHS = st.sampled_from(["", "", "", "0!", "1!"])
PUBLIC = st.tuples(st.sampled_from(["", "", "v", "V"]), EPOCHS, RELEASES, PRE, POST, DEV).map("".join)
VERSIONS = st.tuples(PUBLIC, LOCAL).map("".join)
# A small world, in which specifiers and versions meet often.
NEAR = st.tuples(
    st.sampled_from(["3", "3.0", "3.1", "3.1.0", "3.1.1", "3.14", "3.14.0", "3.14.1", "4", "1!3.14"]),
    st.sampled_from(["", "", "a1", "rc1", "rc2"]),
    st.sampled_from(["", "", ".post1"]),
    st.sampled_from(["", "", ".dev1"]),
).map("".join)
NEAR_LOCAL = st.tuples(NEAR, st.sampled_from(["", "", "+x", "+1"])).map("".join)
CLAUSES = st.one_of(
    st.tuples(st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "~=", "=== ", ">= "]), NEAR).map("".join),
    st.tuples(st.sampled_from(["==", "!="]), NEAR_LOCAL).map("".join),
    st.tuples(st.sampled_from(["==", "!=", ">="]), RELEASES | NEAR, st.just(".*")).map("".join),
    st.tuples(st.sampled_from(["", "=", "==", "~=", "<", "^", "===", "=>"]), PUBLIC).map("".join),
)
CLAUSE_LISTS = st.lists(CLAUSES, max_size=3).map(",".join) | st.sampled_from(
    ["", ",", ">=3,", " >= 3 , <4 ", ">=3 <4", "*"]
)


def ours_or_none(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def reference_or_none(text: str) -> reference_version.Version | None:
    try:
        return reference_version.Version(text)
    except reference_version.InvalidVersion:
        return None


@hypothesis_settings(max_examples=1500, deadline=None)
@given(VERSIONS | st.text("0123.abcrdevpost!+-_ *v", max_size=10))
@example(" 1.0 \n")
@example("1.0-1.dev")
@example("1.po\u017ft1")
def test_versions_are_read_as_packaging_does(text: str) -> None:
    ours, reference = ours_or_none(text), reference_or_none(text)
    assert (ours is None) == (reference is None)
    if ours is None or reference is None:
        return
    assert ours == Version(str(reference))
    assert (ours.release, ours.base[0]) == (reference.release, reference.epoch)
    assert (ours.is_prerelease, ours.pre, ours.post, ours.dev) == (
        reference.is_prerelease,
        reference.pre,
        reference.post,
        reference.dev,
    )


@hypothesis_settings(max_examples=1500, deadline=None)
@given(st.tuples(VERSIONS | NEAR_LOCAL, VERSIONS | NEAR_LOCAL))
def test_versions_are_ordered_as_packaging_orders_them(pair: tuple[str, str]) -> None:
    first, second = map(Version, pair)
    a, b = map(reference_version.Version, pair)
    assert (first < second, first <= second, first == second, first >= second, first > second) == (
        a < b,
        a <= b,
        a == b,
        a >= b,
        a > b,
    )
    if a == b:
        assert hash(first) == hash(second)


def test_the_example_order_of_pep_440_holds() -> None:
    texts = "1.0.dev1 1.0a1.dev1 1.0a1 1.0a1.post1 1.0b2 1.0rc1 1.0 1.0+abc 1.0+abc.5 1.0+5 1.0.post1.dev1 1.0.post1 1.1 1!0.1"
    versions = [Version(text) for text in texts.split()]
    assert sorted([*versions[7:], *versions[:7]]) == versions
    assert all(first < second and first != second for first, second in itertools.combinations(versions, 2))
    assert Version("1.0") != "1.0"


@hypothesis_settings(max_examples=3000, deadline=None)
@given(CLAUSE_LISTS, NEAR_LOCAL | VERSIONS)
@example("==3.14.*", "3.14rc1")
@example("==3.0.0.*", "3rc1")
@example("<3.14", "3.14.dev1")
@example(">3.14", "3.14+x")
@example(">3.14.dev1", "3.14.dev1+x")
@example("===3.14", "3.14.0")
@example("~=3", "3")
def test_specifiers_admit_what_packaging_admits(text: str, version: str) -> None:
    try:
        reference = reference_specifiers.SpecifierSet(text)
    except reference_specifiers.InvalidSpecifier:
        with pytest.raises(InvalidSpecifier):
            SpecifierSet(text)
        return
    ours = SpecifierSet(text)
    assert ours.contains(version, prereleases=True) == reference.contains(version, prereleases=True)
    assert ours.contains(version, prereleases=False) == reference.contains(version, prereleases=False)
    assert str(SpecifierSet(str(ours))) == str(ours)


@hypothesis_settings(max_examples=500, deadline=None)
@given(st.lists(NEAR, min_size=1, max_size=3), st.sampled_from(["==", "<=", ">=", "~=", "!="]), NEAR)
def test_a_pre_release_is_admitted_only_where_a_clause_names_one(named: list[str], operator: str, version: str) -> None:
    text = ",".join(operator + name for name in named)
    try:
        ours = SpecifierSet(text)
    except InvalidSpecifier:
        assume(False)
    assert ours.prereleases == bool(reference_specifiers.SpecifierSet(text).prereleases)
    request = parse_python_request(text)
    allowed = operator != "!=" and any(reference_version.Version(name).is_prerelease for name in named)
    assert request.admits(version) == ours.contains(version, prereleases=allowed)


@pytest.mark.parametrize(
    ("specifier", "admitted", "refused"),
    [
        (">=3.8", "3.8.0 3.14.1", "3.7.16 3.14.0rc1 3.15.0a1"),
        (">=3.14.0rc1", "3.14.0rc1 3.14.0rc2 3.14.0 3.15.0a1", "3.14.0b4"),
        (">=3.12,!=3.14.1", "3.12.0 3.14.0 3.14.2", "3.14.1 3.11.9"),
        (">=2.7,!=3.0.*,!=3.1.*", "2.7.18 3.2.0", "3.0.1 3.1.0"),
        ("~=3.8", "3.8.0 3.99.0", "4.0.0 3.7.9"),
        ("==3.11.*", "3.11.0 3.11.7", "3.1.1 3.12.0 3.11.0rc1"),
        ("", "2.7.18 3.13.0", "3.14.0a1"),
    ],
)
def test_ranges_of_real_projects(specifier: str, admitted: str, refused: str) -> None:
    found = SpecifierSet(specifier)
    assert [version for version in admitted.split() if not found.contains(version, found.prereleases)] == []
    assert [version for version in refused.split() if found.contains(version, found.prereleases)] == []


REQUESTS = [
    ("3", "==3.*", None, False, False),
    ("3.11", "==3.11.*", None, False, False),
    (" 3.11\n", "==3.11.*", None, False, False),
    ("3.11.4", "==3.11.4", None, False, False),
    ("v3.11.4", "==3.11.4", None, False, False),
    ("3.11.*", "==3.11.*", None, False, False),
    ("3.11.x", "==3.11.*", None, False, False),
    (">=3.8,<4", ">=3.8,<4", None, False, False),
    ("==3.12.*", "==3.12.*", None, False, False),
    ("~=3.12", "~=3.12", None, False, False),
    (">=3.14.0rc1", ">=3.14.0rc1", None, False, True),
    ("3.13t", "==3.13.*", None, True, False),
    ("3.13.1t", "==3.13.1", None, True, False),
    ("3.14rc1t", "==3.14rc1", None, True, True),
    ("3.13+freethreaded", "==3.13.*", None, True, False),
    ("cpython@3.12", "==3.12.*", "cpython", False, False),
    ("cpython-3.12", "==3.12.*", "cpython", False, False),
    ("CPython3.12", "==3.12.*", "cpython", False, False),
    ("cpython", "", "cpython", False, False),
    ("cpython>=3.12,<3.13", ">=3.12,<3.13", "cpython", False, False),
    ("cpython-3.12.1-linux-x86_64-gnu", "==3.12.1", "cpython", False, False),
    ("cpython-3.13.0+freethreaded-linux-x86_64-gnu", "==3.13.0", "cpython", True, False),
    ("python3.12", "==3.12.*", None, False, False),
    ("python-3.12.3", "==3.12.3", None, False, False),
    ("pypy3.10", "==3.10.*", "pypy", False, False),
    ("pypy@3.10", "==3.10.*", "pypy", False, False),
    ("pypy", "", "pypy", False, False),
    ("pypy3.9-7.3.11", "==3.9.*", "pypy", False, False),
    ("3.14rc1", "==3.14rc1", None, False, True),
    ("3.14.0a7", "==3.14.0a7", None, False, True),
    ("3.14-dev", "==3.14.*", None, False, True),
    ("3.11.7/envs/myenv", "==3.11.7", None, False, False),
    ("myenv/3.11", "==3.11.*", None, False, False),
    ("system", "", None, False, False),
    ("any", "", None, False, False),
]


@pytest.mark.parametrize(("text", "specifier", "implementation", "free_threaded", "prereleases"), REQUESTS)
def test_requests_are_understood(
    text: str, specifier: str, implementation: str | None, free_threaded: bool, prereleases: bool
) -> None:
    request = parse_python_request(text)
    assert str(request.specifiers) == specifier
    assert request.implementation == implementation
    assert request.free_threaded is free_threaded
    assert request.prereleases is prereleases
    assert request.text == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "  ", "latest", "myenv", "3.", "three", "^3.8", "~3.8", ">=3.8.*", ">=three", ">=3.8 <4", "=>3.8", "/usr/bin/python3.11", "./venv", "C:\\Python311",
     "miniconda3-4.7.12", "graalpy-24.0", "3.11-slim", "3.11.7+local", "3.13tt", "cpython@", "cpython@x", "python3.12foo", "3,4", "3.11 3.12", "~/python3.11"],
)  # fmt: skip
def test_what_is_no_request_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidSpecifier) as caught:
        parse_python_request(text)
    assert "%r" % text.strip() in str(caught.value) or "specifier" in str(caught.value)


def test_a_request_admits_pre_releases_only_if_it_names_one() -> None:
    assert parse_python_request("3.14-dev").admits("3.14.0rc1")
    assert parse_python_request("3.14rc1").admits("3.14.0rc1")
    assert not parse_python_request("3.14").admits("3.14.0rc1")
    assert parse_python_request("3.14").admits("3.14.2")
    assert not parse_python_request("system").admits("3.15.0a1")
    assert parse_python_request("system").admits("3.6.15")


@hypothesis_settings(max_examples=500, deadline=None)
@given(st.text("cpythony@-/3.1t0*xrabcdev<>=~!, +", max_size=14))
def test_a_request_is_understood_or_refused_never_worse(text: str) -> None:
    try:
        request = parse_python_request(text)
    except InvalidSpecifier:
        return
    assert isinstance(request.admits("3.12.1"), bool)


@pytest.mark.parametrize(
    ("content", "line", "number"),
    [
        ("3.11.7\n", "3.11.7", 1),
        ("# why\n\n3.12 # pinned\r\n3.11\n", "3.12", 3),
        ("", "", 0),
        ("#\n \n", "", 0),
        ("pypy3.9-7.3.11", "pypy3.9-7.3.11", 1),
        ("3.11.7 3.9.18\n", "3.11.7", 1),
        (">=3.9, <4\n", ">=3.9, <4", 1),
    ],
)
def test_the_first_line_of_a_python_version_file_counts(content: str, line: str, number: int) -> None:
    assert python_version_line(content) == (line, number)


@pytest.mark.parametrize("python", support.wild_pythons(), ids=lambda python: python.name)
def test_requests_are_understood_by_every_python_of_this_host(python: support.WildPython) -> None:
    program = """
import sys, json
sys.path.insert(0, sys.argv[1])
from protoprimer.formats.versions import parse_python_request
found = [parse_python_request(text) for text in json.load(sys.stdin)]
print(json.dumps([[str(r.specifiers), r.implementation, r.free_threaded, r.prereleases, r.admits("3.12.1")] for r in found]))
"""
    texts = [request[0] for request in REQUESTS]
    done = subprocess.run(
        [python.executable, "-I", "-B", "-c", program, str(support.ROOT / "src")],
        input=json.dumps(texts), stdout=subprocess.PIPE, universal_newlines=True, check=True,
    )  # fmt: skip
    expected = [[*request[1:], parse_python_request(request[0]).admits("3.12.1")] for request in REQUESTS]
    assert json.loads(done.stdout) == expected
