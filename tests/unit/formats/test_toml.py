"""The TOML reader against `tomllib`: the same documents accepted, the same values, on every Python."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import support
from protoprimer.errors import ConfigurationError
from protoprimer.formats.toml import TomlError, TomlReader, load_toml, place_of_key

tomllib = pytest.importorskip("tomllib", reason="the reference is in the standard library from 3.11 on")
# On every Python ours is what TOML 1.0 says.
TAKES_TOML_1_1 = sys.version_info >= (3, 15)

Q = '"""'
L = "'''"

VALID = [
    "", "\n", "\r\n", " \t", "#", "# only a comment", "a=1", "a = 1 # c", " a . b\t= 1 ", "a.'b c'.\"d\\u00e9\" = 1", "'' = 1", '"" = 1',
    "1 = 1", "-_ = 1", "3.14 = 1", "a = 1\r\nb = 2\r\n", "true = false", "inf = inf", "a=[1,2,]", "a=[\n# c\n1 # d\n, # e\n2\n]",
    "a=[[1],['x'],{b=1}]", "a = [1, 'x', 1.5, true, [], {}]", "a={}", "a={ }", "a={b=1,c={d=2}}", "a={b.c=1, b.d=2}", "a={'b'=[\n1\n]}",
    "a = +0", "a = -0", "a = 0", "a = 1_000", "a = 0xDEAD_beef", "a = 0o17", "a = 0b1_0", "a = +1", "a=-17", "a=0x0", "a=0x00ff",
    "a = 1.0", "a = 1e5", "a = 1E+5", "a = 1.5e-7", "a = -0.0", "a = 1_0.0_1e1_0", "a = 1e999", "a = 0e0", "a = 1e06", "a = 99999999999999999999",
    "a = inf", "a = -inf", "a = +inf", "a = nan", "a = +nan", "a = -nan", "a = 9007199254740993", "a = 9007199254740993.0", "a = 0.1",
    "a = 1979-05-27", "a = 1979-05-27T07:32:00", "a = 1979-05-27t07:32:00z", "a = 1979-05-27 07:32:00.5", "a = 1979-05-27T00:32:00.9999999-07:30",
    "a = 07:32:00", "a = 23:59:59.123456789", "a = 1979-05-27T07:32:00+00:00", "a = 1979-05-27T07:32:00+23:59", "a = 2000-02-29", "a = 1979-05-27 # c",
    "a = [1979-05-27 , 07:32:00]", "a = 0001-01-01", "a = 9999-12-31T23:59:59.999999-23:59",
    "a = ''", 'a = ""', "a = 'C:\\x'", r'a = "\b\t\n\f\r\"\\\u0041\U0001F600"', 'a = "\ttab"', "a = '\ttab'", "a = 'é\U0001f600\u2028'", 'a="#"', "a='\x80'",
    f"a = {Q}{Q}", f"a = {Q}\nx\ny{Q}", f"a = {Q}\r\nx\r\ny{Q}", f"a = {Q}x\\\n   \n  y{Q}", f"a = {Q}x\\  \t\n y{Q}", f'a = {Q}""{Q}', f'a = {Q}"x"{Q}', f'a = {Q}x{Q}""',
    f'a = {Q}x{Q}"', f'a = {Q}""\\"{Q}', f"a = {L}{L}", f"a = {L}\n\nx\\{L}", f"a = {L}x{L}''", f"a = {L}''x{L}'", f"a = {L}it's ''{L}", f"a = {Q}\\\n{Q}", f"a = {Q}\\\r\n  x{Q}",
    f"a = {Q}\n\n{Q}", f"a = {Q}x\\\\\n y{Q}", f"a = {L}\r\nx{L}",
    "[a]", "[ a . b ]", "[a]\n[a.b]", "[a.b]\n[a]", "[a.b]\n[a]\nc=1", "['a.b'.\"c\"]", "[a]#c", "[a]\n\n[b]\n", "[[a]]", "[[a]]\nb=1\n[[a]]\nb=2", "[[a]]\n[a.b]\nc=1\n[[a]]\n[a.b]\nc=2",
    "[[a.b]]\n[[a.b]]\n[a.c]", "[[a]]\n[[a.b]]\nc=1\n[[a.b]]\n[[a]]\n[[a.b]]", "[a.b.c]\nz=9\n[a]\nb.d=1", "[a]\nb.c=1\nb.d=2", "a.b=1\na.c=2", "a.b.c=1\na.b.d=2\na.e=3",
    "[a]\nb.c=1\n[a.d]", "[[a]]\nb.c=1\n[[a]]\nb.c=2", "[a.b]\n[a]\n[c]", "[x]\na.b=1\n[y]\na.b=1", "[[a]]\n[a.b.c]\n[a.b]", "[ [a] ]".replace(" ", ""),
]  # fmt: skip

INVALID = [
    "a", "a=", "=1", "a=1 b=2", "a=1,", "a b = 1", "a = 1\ra = 2", "a=1\r", "\ufeffa=1", "é=1", "a.=1", ".a=1", "a..b=1", "a=\n1", "a = x", "a = True", "a=truee", "\x00", "#\x00", "# \x7f", "#\r", "a=1#\x01",
    f"{Q}a{Q} = 1", f"{L}a{L}=1", "'a\nb'=1", "a=1\x0b", "a\u00a0=1", "a =\u00a01",
    "a = 01", "a = +01", "a = 1_", "a = _1", "a = 1__0", "a = 0_0", "a=+0x1", "a=0X1", "a=0x", "a=0x_1", "a=0o8", "a=0b2", "a=1.", "a=.5", "a=1.e5", "a=1e", "a=1e_5", "a=1_.5", "a=1._5", "a=+ 1", "a=--1", "a=٣", "a=Inf", "a=+NaN", "a=infinity", "a=1e5.5",
    "a=0x1_", "a=00", "a=0e", "a=1,000", "a=1979-5-27", "a=1979-13-01", "a=1979-02-30", "a=2001-02-29", "a=0000-01-01", "a=1979-05-27T", "a=1979-05-27T25:00:00", "a=1979-05-27T07:32", "a=07:32", "a=24:00:00", "a=07:32:60",
    "a=07:32:00Z", "a=1979-05-27T07:32:00+24:00", "a=1979-05-27T07:32:00+0700", "a=1979-05-27T07:32:00.", "a=1979-05-27  07:32:00", "a=07:32:00.", "a=1979-05-27Z", "a=19790-05-27",
    "a='", 'a="', 'a="x', "a='x\ny'", 'a="x\ny"', r'a="\x41"', r'a="\e"', r'a="\u004"', r'a="\uD800"', r'a="\uDFFF"', r'a="\U00110000"', r'a="\U0000DC00"', r'a="\U0001F60"', r'a="\ "', 'a="\\\n"', 'a="\x00"', 'a="\x1f"', "a='\x7f'", 'a="\r"', 'a="\\"', r'a="\N"', r'a="\u+041"', r'a="\u00_1"',
    f"a={Q}", f"a={Q}x{Q}{Q}", f"a={Q}x\\ y{Q}", f"a={Q}x\\ {Q}", f"a={Q}\x00{Q}", f"a={Q}x\ry{Q}", f"a={L}x\ry{L}", f"a={L}", f'a={Q}x{Q}"""', f"a={L}x{L}'''", f"a={L}\x01{L}", f"a={Q}\\", f"a={Q}x\\\n", f"a={Q}\\u{Q}", 'a=""""', "a=''''", 'a="" ""',
    "a=[", "a=[1", "a=[1 2]", "a=[,]", "a=[1,,2]", "a=[,1]", "a=[1\n#\x00\n]", "a=]", "a=[1}", "a=[[1]", "a=[1,#", "a=[1#]",
    "a={", "a={b", "a={b=1", "a={b=1,}", "a={,}", "a={b=1\n}", "a={\nb=1}", "a={b=1 c=2}", "a={b=1,,c=2}", "a={b=1,b=2}", "a={b=1,b.c=2}", "a={b.c=1,b=2}", "a={b={},b.c=1}", "a={b={c=1},b.d=2}", "a={b=[],b.c=1}", "a={b=[{}],b.c=1}", "a={#c\n}", "a={b=1#c\n}", "a={b.c=1,b.c=2}",
    "[", "[]", "[a", "[a]]", "[[a]", "[a]b=1", "[a] [b]", "[a.]", "[.a]", "[a..b]", "[a b]", "[a\n]", "[[a] ]", "[ [a]]", "[[]]", "[[a]]]", "[a#b]",
    "[a]\n[a]", "a=1\na=2", "a=1\n'a'=2", "a=1\n[a]", "a=1\n[a.b]", "a=1\n[[a]]", "a=1\na.b=2", "a.b=1\na=2", "a.b=1\n[a]", "a.b.c=1\n[a.b]", "[a]\nb=1\n[a.b]", "a={}\na.b=1", "a={}\n[a]", "a={}\n[a.b]", "a={b={}}\n[a.b.c]", "a=[]\n[[a]]", "a=[{}]\n[[a]]", "a=[]\n[a]", "a=[{}]\n[a.b]", "a=[]\na.b=1",
    "[[a]]\n[a]", "[a]\n[[a]]", "[a.b]\n[[a]]", "[[a]]\na=1\n[[a.a]]", "[[a.b]]\n[[a]]", "[a.b]\n[a]\nb.c=1", "[a.b.c]\n[a]\nb.c.d=1", "[a]\nb.c=1\n[a.b]", "[a]\nb.c.d=1\n[a.b.c]", "[[a]]\nb.c=1\n[a.b]", "[[a]]\n[a.b]\n[a.b]", "[[a.b]]\n[a]\nb.c=1", "a.b=1\n[[a]]", "a.b=1\n[[a.c]]\n[a]", "[a]\nb.c=1\n[a]", "[a.b]\n[a.b.c]\n[a]\n[a.b]",
    "[a]\n[a.b.c]\n[a.b]\n[a]", "[[a]]\nb={}\n[a.b]", "[[a]]\nb=[]\n[[a.b]]", "a=1\n[b]\n[a.c]", "[[a]]\n[[a.b]]\n[a.b]", "[a]\nb=1\nb.c=2", "[a]\nb.c=1\nb.c.d=2", "[b]\n[a]\n[b]",
]  # fmt: skip


def plain(value: object) -> object:
    """Make values comparable between Pythons, and `1`, `1.0`, `True` and `nan` distinct."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return [type(value).__name__, value.isoformat()]
    return [type(value).__name__, repr(value)]


def reference(text: str) -> object:
    try:
        return plain(tomllib.loads(text))
    except ValueError:
        return "invalid"


def ours(text: str) -> object:
    try:
        return plain(TomlReader(text).read())
    except TomlError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert error.message in str(error)
        return "invalid"


@pytest.mark.parametrize("text", VALID)
def test_valid_documents_give_the_values_tomllib_gives(text: str) -> None:
    assert reference(text) != "invalid"
    assert ours(text) == reference(text)


@pytest.mark.parametrize("text", INVALID)
def test_invalid_documents_are_refused_as_tomllib_refuses_them(text: str) -> None:
    assert TAKES_TOML_1_1 or reference(text) == "invalid"
    assert ours(text) == "invalid"


@pytest.mark.parametrize("python", support.wild_pythons(), ids=lambda python: python.name)
def test_the_corpus_reads_the_same_on_every_python_of_this_host(python: support.WildPython) -> None:
    program = """
import sys, json, datetime
sys.path.insert(0, sys.argv[1])
from protoprimer.formats.toml import TomlReader
def plain(value):
    if isinstance(value, dict): return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list): return [plain(inner) for inner in value]
    if isinstance(value, (datetime.date, datetime.time)): return [type(value).__name__, value.isoformat()]
    return [type(value).__name__, repr(value)]
results = []
for text in json.load(sys.stdin):
    try: results.append(plain(TomlReader(text).read()))
    except ValueError as error: results.append(str(error))
print(json.dumps(results))
"""
    corpus = VALID + INVALID
    done = subprocess.run(
        [python.executable, "-I", "-B", "-c", program, str(support.ROOT / "src")],
        input=json.dumps(corpus), stdout=subprocess.PIPE, universal_newlines=True, check=True,
    )  # fmt: skip
    for text, result in zip(corpus, json.loads(done.stdout)):
        if isinstance(result, str):
            with pytest.raises(TomlError) as caught:
                TomlReader(text).read()
            assert str(caught.value) == result
        else:
            assert result == reference(text), text


KEYS = st.sampled_from(["a", "b", "c", "'a'", '"b"', "d", "a.b", "b.a", "a.b.c", "c.a", " a . 'b' ", "b.c.d"])
SCALARS = st.sampled_from(
    [
        "1",
        "-0.5",
        "'x'",
        '"y\\n"',
        "true",
        "nan",
        "1979-05-27",
        "1979-05-27 01:02:03Z",
        "01:02:03.25",
        "0x1f",
        f'{Q}\nm{Q}"',
        "''",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",\n".join(items) + "]")
        | st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{k}={v}" for k, v in items) + "}"
        )
    ),
    max_leaves=5,
)
STATEMENTS = (
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}")
    | KEYS.map(lambda key: f"[{key}]")
    | KEYS.map(lambda key: f"[[{key}]]")
    | st.sampled_from(["", "# comment", "  \t"])
)
DOCUMENTS = st.tuples(st.lists(STATEMENTS, max_size=8), st.sampled_from(["\n", "\r\n"])).map(
    lambda pair: pair[1].join(pair[0])
)
NOISE = st.text(st.sampled_from("\"'\\[]{}=.,#\n\r\t _-+:eETZ01x9abu\x00\x7fé"), max_size=3)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(DOCUMENTS | st.sampled_from(VALID + INVALID))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(NOISE) + text[start + draw(st.integers(0, 3)) :]
    return text


@hypothesis_settings(max_examples=1500, deadline=None)
@given(DOCUMENTS)
@example("[a]\nb.c = 1\n[[a.b]]")
def test_generated_tables_and_keys_are_judged_as_by_tomllib(text: str) -> None:
    assert ours(text) == reference(text)


@pytest.mark.skipif(TAKES_TOML_1_1, reason="the library judges by TOML 1.1 here")
@hypothesis_settings(max_examples=2500, deadline=None)
@given(mutated())
def test_damaged_documents_are_judged_as_by_tomllib(text: str) -> None:
    assert ours(text) == reference(text)


@hypothesis_settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
def test_every_key_and_element_has_a_place(text: str) -> None:
    if ours(text) == "invalid":
        return
    reader = TomlReader(text)
    found: set[tuple[int, str | int]] = set()

    def collect(value: object) -> None:
        for key, inner in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            found.add((id(value), key))
            collect(inner)

    collect(reader.read())
    assert set(reader.offsets) == found
    assert all(0 <= offset < len(reader.text) for offset in reader.offsets.values())


def test_lines_are_those_of_keys_headers_and_elements(tmp_path: Path) -> None:
    text = '[project]\r\nname = "x"\r\n\n[[tool.uv.index]]\nurl = "a"\n[[tool.uv.index]]\nurl = "b"\n[dependency-groups]\ndev = [\n  "x",\n  {include-group = "y"},\n]\n[tool]\nz.y = """\n\n"""\nlast = 1'
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode())
    lines: dict[tuple[str | int, ...], int] = {
        ("project",): 1,
        ("project", "name"): 2,
        ("tool", "uv", "index"): 4,
        ("tool", "uv", "index", 0, "url"): 5,
        ("tool", "uv", "index", 1): 6,
        ("dependency-groups", "dev", 1, "include-group"): 11,
        ("tool",): 13,
        ("tool", "z", "y"): 14,
        ("tool", "last"): 17,
        ("tool", "uv", "absent"): 4,
        ("tool", "absent"): 13,
        ("absent", "name"): 1,
    }
    for keys, line in lines.items():
        shown = ".".join(key for key in keys if isinstance(key, str))
        assert place_of_key(str(path), keys) == f"{path}:{line} ({shown})"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[a]\nb = 1\nb = 2\n", 3, "the key b has two values"),
        ("[a.b]\n\n[a.b]", 3, "the table a.b is declared twice"),
        ("a = [\n1,\n2\n\nb = 1", 5, "line 1"),
        ("a = 'x\nb = 1", 1, "no closing '"),
        ("a = yes", 1, "text needs quotes"),
        ("a = 1 2", 1, "new line"),
        ("\ufeffa = 1", 1, "byte order mark"),
        ('a = "C:\\Users"', 1, "\\U is no escape"),
        ("a = 2023-02-31", 1, "not a date"),
        ("a = " + "[" * 100000, 1, "nested too deeply"),
    ],
)
def test_errors_tell_the_line_and_the_reason(text: str, line: int, words: str) -> None:
    with pytest.raises(TomlError) as caught:
        TomlReader(text).read()
    assert caught.value.line == line
    assert words in caught.value.message


def test_deep_but_reasonable_nesting_is_read() -> None:
    text = "a = " + "[" * 60 + "]" * 60
    assert ours(text) == reference(text)


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "é.toml"
    path.write_bytes("a = 'é'\r\nb = 2020-01-01".encode())
    assert load_toml(str(path)) == {"a": "é", "b": datetime.date(2020, 1, 1)}


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"a = 1\nb = \n", ":2", "a value is expected"),
        (b"a = 1\n\nb = '\xff'\n", ":3", "not UTF-8"),
        (b"\xef\xbb\xbfa = 1\n", ":1", "byte order mark"),
        (b"a = 1\n<<<<<<< HEAD\nb = 1\n=======\nb = 2\n>>>>>>> other\n", ":2", "a merge left conflict marks"),
    ],
)
def test_a_broken_file_is_a_configuration_error_with_its_line(
    tmp_path: Path, content: bytes, line: str, words: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_toml(str(path))
    assert caught.value.place == str(path) + line
    assert words in caught.value.cause
    assert caught.value.exit_code == 3


def test_an_unreadable_file_is_a_configuration_error(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            load_toml(str(path))
        assert caught.value.place == str(path)
