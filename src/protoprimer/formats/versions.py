"""Versions and specifiers of PEP 440, and the forms in which people ask for a Python."""

import re
from functools import total_ordering
from itertools import chain
from typing import NamedTuple

__all__ = [
    "InvalidSpecifier",
    "InvalidVersion",
    "PythonRequest",
    "SpecifierSet",
    "Version",
    "parse_python_request",
    "poetry_python_range",
    "python_version_line",
    "version_numbers",
]


class InvalidVersion(ValueError):
    """Text that is not a version (PEP 440)."""


class InvalidSpecifier(ValueError):
    """Text that is no specifier of PEP 440, or no request for a Python."""


_VERSION = r"""(?aix)
    \s* v? (?:(\d+)!)? (\d+(?:\.\d+)*)
    (?: [._-]? (alpha|beta|preview|pre|a|b|c|rc) [._-]? (\d*) )?
    (?: -(\d+) | [._-]? (?:post|rev|r) [._-]? (\d*) )?
    (?: [._-]? dev [._-]? (\d*) )?
    (?: \+ ([a-z0-9]+(?:[._-][a-z0-9]+)*) )? \s* \Z
    """
_PRE_RELEASE_LETTERS = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


@total_ordering
class Version:
    """A version of PEP 440, ordered as it says; other text raises `InvalidVersion`."""

    def __init__(self, text: str) -> None:
        found = re.match(_VERSION, text)
        if not found:
            raise InvalidVersion("%r is not a version (PEP 440)" % text)
        epoch, release, letter, number, bare_post, post, dev, local = found.groups()
        post, letter = bare_post or post, (letter or "").lower()
        self.local = local
        self.release = tuple(map(int, release.split(".")))
        self.pre = (_PRE_RELEASE_LETTERS.get(letter, letter), int(number or 0)) if letter else None
        self.post = None if post is None else int(post or 0)
        self.dev = None if dev is None else int(dev or 0)
        self.is_prerelease = self.pre is not None or self.dev is not None
        # 1.0 is 1.
        trimmed = tuple(map(int, re.sub(r"(?:\.0+)*\Z", "", release).split(".")))
        # 1.0.dev1 < 1.0a1.dev1 < 1.0a1 < 1.0a1.post1 < 1.0 < 1.0+local < 1.0.post1.dev1 < 1.0.post1
        last = "" if self.post is None and self.dev is not None else "z"
        parts = re.split("[._-]", local.lower()) if local else []
        local_key = tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
        self.base = (int(epoch or 0), trimmed)
        post_key = -1 if self.post is None else self.post
        dev_key = float("inf") if self.dev is None else self.dev
        self._key = (self.base, self.pre or (last, 0), post_key, dev_key, local_key)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: "Version") -> bool:
        return self._key < other._key


class SpecifierSet:
    """Clauses such as `>=3.8,!=3.9.*`, all of which a version must meet; other text raises `InvalidSpecifier`."""

    def __init__(self, text: str = "") -> None:
        clauses = [clause.strip() for clause in text.split(",")]
        self._clauses = [_specifier_clause(clause) for clause in clauses if clause]

    def __str__(self) -> str:
        return ",".join(operator + text for operator, text, _ in self._clauses)

    @property
    def prereleases(self) -> bool:
        return any(operator != "!=" and named and named.is_prerelease for operator, _, named in self._clauses)

    def contains(self, version: str, prereleases: bool = True) -> bool:
        candidate = Version(version)
        if candidate.is_prerelease and not prereleases:
            return False
        return all(_meets_clause(version, candidate, *clause) for clause in self._clauses)

    def admits_some_python(self) -> bool:
        """Tell whether a Python could meet every clause: a range may contradict itself."""
        named = [text.replace(".*", "") for _, text, named in self._clauses if named] + ["4.0"]
        known = ("%d.%d.%d" % (major, minor, patch) for major in (3, 2) for minor in range(60) for patch in range(40))
        return any(map(self.contains, chain(named, known)))


def _specifier_clause(clause: str) -> "tuple[str, str, Version | None]":
    """Of `==3.1.*` the version is 3.1."""
    found = re.match(r"(===|[=!~<>]=|[<>])\s*([^\s;)]*?)(\.\*)?\Z", clause)
    operator, stem, wildcard = found.groups() if found else ("", clause, None)
    try:
        named = Version(stem)  # type: Version | None
    except InvalidVersion:
        named = None
    is_equality = operator in ("==", "!=")
    if operator == "===" or named is None:
        is_valid = operator == "==="
    elif wildcard:
        is_valid = is_equality and not stem.strip("vV0123456789!.")
    else:
        is_valid = (not named.local or is_equality) and (operator != "~=" or len(named.release) > 1)
    if not (operator and is_valid):
        raise InvalidSpecifier("%r is not a version specifier (PEP 440), such as >=3.8 or ==3.11.*" % clause)
    return operator, stem + (wildcard or ""), named


def _meets_clause(written: str, candidate: Version, operator: str, text: str, named: "Version | None") -> bool:
    if operator == "===" or named is None:
        return written.strip().lower() == text.lower()
    public = Version(written.partition("+")[0])
    if text.endswith(".*"):
        return _shares_release(candidate, named, len(named.release)) == (operator == "==")
    if operator in ("==", "!="):
        return ((candidate if named.local else public) == named) == (operator == "==")
    if operator == "~=":
        return public >= named and _shares_release(candidate, named, len(named.release) - 1)
    if operator in (">=", "<="):
        return public >= named if operator == ">=" else public <= named
    # <3.14 excludes 3.14's own pre-releases, >3.14 its post-releases and local versions, unless named themselves.
    if operator == "<":
        return candidate < (named if named.is_prerelease else Version(text + ".dev0"))
    follows = candidate.base == named.base and candidate.pre == named.pre and candidate.post is not None
    return public > named and not (follows and named.post is None and named.dev is None)


def _shares_release(candidate: Version, named: Version, parts: int) -> bool:
    padded = candidate.release + (0,) * parts
    return candidate.base[0] == named.base[0] and padded[:parts] == named.release[:parts]


class PythonRequest(NamedTuple):
    """What Python is asked for; without an implementation, any."""

    text: str
    specifiers: SpecifierSet
    implementation: "str | None"
    free_threaded: bool
    prereleases: bool

    def admits(self, version: str) -> bool:
        return self.specifiers.contains(version, self.prereleases)

    def narrowed(self, ranges: "list[str]") -> "PythonRequest":
        """Return the request for those of the same Pythons that these specifiers admit as well."""
        specifiers = SpecifierSet(",".join([str(self.specifiers)] + ranges))
        # uv takes a free-threaded request by its own name only.
        text = self.text if self.free_threaded else " and ".join([self.text] + ranges)
        return self._replace(text=text, specifiers=specifiers)


_PYTHON_NAME = r"""(?aisx)
    (?: (c?python|pypy) (?:[-@](?=.))? | (?=.) )
    (?: ([<>=!~].*) | v?(\d+(?:\.\d+)*) (?:((?:a|b|rc)\d+)|(\.[*x]|-dev))? (t|\+freethreaded)? (-.*)? )? \Z
    """


def parse_python_request(text: str) -> PythonRequest:
    """Read a request: `3`, `3.11.4`, `3.14rc1`, `3.14-dev`, `>=3.8,<4`, `3.13t`, `cpython@3.12`, `pypy3.10`, `any`.

    What pyenv and uv add is ignored: `pypy3.10-7.3.12`, `3.11.7/envs/name`, `cpython-3.12.1-linux-x86_64-gnu`.
    """
    text = text.strip()
    if text.lower() in ("any", "system"):
        return PythonRequest(text, SpecifierSet(), None, False, False)
    is_path = text.startswith(("/", ".", "~/")) or "\\" in text
    for name in [] if is_path else text.split("/"):
        found = re.match(_PYTHON_NAME, name)
        implementation, wanted, version, pre, wildcard, threads, rest = found.groups() if found else (None,) * 7
        if found and (implementation or not rest):
            if version:
                is_whole = pre or (version.count(".") > 1 and not wildcard)
                wanted = "==" + version + (pre or "") + ("" if is_whole else ".*")
            specifiers = SpecifierSet(wanted or "")
            prereleases = specifiers.prereleases or wildcard in ("-dev", "-DEV")
            named = (implementation or "").lower()
            wanted = named if named in ("cpython", "pypy") else None
            return PythonRequest(text, specifiers, wanted, threads is not None, prereleases)
    raise InvalidSpecifier("%r names no Python: write a version such as 3.11, or a range such as >=3.8,<4" % text)


def version_numbers(text: str) -> "tuple[int, ...]":
    """Return the first three numbers in a text."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def python_version_line(content: str) -> "tuple[str, int]":
    """Return the first request in a `.python-version` file, and the number of its line."""
    for number, line in enumerate(content.splitlines(), 1):
        asked = line.split("#")[0].strip()
        if asked:
            return asked.split()[0] if asked[0].isalnum() else asked, number
    return "", 0


def poetry_python_range(text: str) -> "str | None":
    """Return poetry's `^3.8` and the like in the form of PEP 440, if it has one; `InvalidSpecifier` if it is none."""
    ranges = []
    for alternative in re.split(r"\|\|?", text):
        clauses = re.findall(r"[^\s,]+", re.sub(r"([<>=!~^])\s+", r"\1", alternative))
        # Of `~2.7 || ^3.5` the second counts.
        if alternative == text or not re.match(r"[\s~^=>]*2(?!\d)", alternative):
            ranges.append(",".join(filter(None, map(_poetry_clause, clauses))))
    try:
        SpecifierSet(",".join(ranges))
    except InvalidSpecifier:
        return None
    # Other alternatives cannot be said in one range.
    return ranges[0] if len(ranges) == 1 else None


def _poetry_clause(clause: str) -> str:
    if not re.match(r"(?:\^|~=?|[<>=!]=?|===)?(?:v?\d|\*)", clause):
        raise InvalidSpecifier("%r is no version constraint of poetry, such as ^3.8 or >=3.8,<4" % clause)
    found = re.match(r"(\^|~|={0,2})v?(\d+(?:\.\d+)*)(\.\*)?\Z", clause)
    if not found:
        return "" if clause == "*" else clause
    operator, version, wildcard = found.groups()
    parts = [int(part) for part in version.split(".")]
    if operator not in ("^", "~"):
        return "==" + version + (".*" if len(parts) < 3 or wildcard else "")
    last = len(parts) - 1
    changed = min(1, last) if operator == "~" else next((index for index, part in enumerate(parts) if part), last)
    return ">=%s,<%s" % (version, ".".join(map(str, parts[:changed] + [parts[changed] + 1])))
