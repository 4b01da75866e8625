"""Versions and specifiers of PEP 440, and the forms in which people ask for a Python."""

import re
from functools import total_ordering

__all__ = [
    "InvalidSpecifier",
    "InvalidVersion",
    "PythonRequest",
    "SpecifierSet",
    "Version",
    "parse_python_request",
    "poetry_python_range",
    "python_version_line",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


class InvalidVersion(ValueError):
    """Text that is no version of PEP 440."""


class InvalidSpecifier(ValueError):
    """Text that is no specifier of PEP 440, or no request for a Python; the message is a sentence."""


_VERSION_RELEASE = r"v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)"
_VERSION_SUFFIXES = (
    r"(?:[._-]?(alpha|beta|preview|pre|a|b|c|rc)[._-]?([0-9]*))?"
    r"(?:-([0-9]+)|[._-]?(post|rev|r)[._-]?([0-9]*))?"
    r"(?:[._-]?(dev)[._-]?([0-9]*))?"
)
_VERSION_LOCAL = r"(?:\+([a-z0-9]+(?:[._-][a-z0-9]+)*))?"
_PYTHON_IMPLEMENTATIONS = {"cpython": "cpython", "cp": "cpython", "pypy": "pypy", "pp": "pypy"}
_PRE_RELEASE_LETTERS = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


@total_ordering
class Version:
    """A version of PEP 440, ordered as it says.

    :param text: such as `3.14.0rc1`
    :raises InvalidVersion: it is none
    """

    def __init__(self, text: str) -> None:
        found = re.match(r"\s*%s\s*\Z" % (_VERSION_RELEASE + _VERSION_SUFFIXES + _VERSION_LOCAL), text, re.I | re.A)
        if not found:
            raise InvalidVersion("%r is no version of PEP 440" % text)
        epoch, release, letter, number, bare_post, post, post_number, dev, dev_number, local = found.groups()
        letter = letter and letter.lower()
        self.epoch = int(epoch or 0)
        self.release = tuple(map(int, release.split(".")))
        self.pre = (_PRE_RELEASE_LETTERS.get(letter, letter), int(number or 0)) if letter else None
        self.post = int(bare_post or post_number or 0) if bare_post or post else None
        self.dev = int(dev_number or 0) if dev else None
        parts = re.split("[._-]", (local or "").lower())
        self.local = ".".join(str(int(part)) if part.isdigit() else part for part in parts)
        trimmed = self.release
        while len(trimmed) > 1 and not trimmed[-1]:
            trimmed = trimmed[:-1]
        # 1.0.dev1 < 1.0a1.dev1 < 1.0a1 < 1.0a1.post1 < 1.0 < 1.0+local < 1.0.post1.dev1 < 1.0.post1
        alone = self.dev is not None and self.post is None
        pre_key = self.pre or ("" if alone else "z", 0)
        dev_key = float("inf") if self.dev is None else self.dev
        local_key = [(int(part), "") if part.isdigit() else (-1, part) for part in self.local.split(".") if part]
        post_key = -1 if self.post is None else self.post
        self._key = (self.epoch, trimmed, pre_key, post_key, dev_key, local_key)

    @property
    def base(self) -> "tuple[int, tuple[int, ...]]":
        """Epoch and release, comparable: `1.0` and `1.0rc1` share it."""
        return self._key[:2]

    @property
    def is_prerelease(self) -> bool:
        """Whether it precedes a final release."""
        return self.pre is not None or self.dev is not None

    @property
    def public(self) -> str:
        """The version in normal form without its local part."""
        text = "%d!" % self.epoch if self.epoch else ""
        text += ".".join(map(str, self.release))
        text += "%s%d" % self.pre if self.pre else ""
        text += "" if self.post is None else ".post%d" % self.post
        return text + ("" if self.dev is None else ".dev%d" % self.dev)

    def __str__(self) -> str:
        return self.public + ("+" + self.local if self.local else "")

    def __repr__(self) -> str:
        return "Version(%r)" % str(self)

    def __hash__(self) -> int:
        return hash(str(self._key))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: "Version") -> bool:
        return self._key < other._key


class SpecifierSet:
    """Clauses of PEP 440, all of which a version must meet.

    :param text: such as `>=3.8,!=3.9.*`; empty admits every version
    :raises InvalidSpecifier: a clause is none
    """

    def __init__(self, text: str = "") -> None:
        clauses = [clause.strip() for clause in text.split(",")]
        self._clauses = [_specifier_clause(clause) for clause in clauses if clause]

    def __str__(self) -> str:
        return ",".join(operator + version for operator, version, _ in self._clauses)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpecifierSet) and set(self._clauses) == set(other._clauses)

    def __hash__(self) -> int:
        return hash(frozenset(self._clauses))

    @property
    def prereleases(self) -> bool:
        """Whether a clause other than an exclusion names a pre-release."""
        return any(operator != "!=" and named and named.is_prerelease for operator, _, named in self._clauses)

    def contains(self, version: "str | Version", prereleases: "bool | None" = None) -> bool:
        """Tell whether the version meets every clause.

        :param prereleases: whether pre-releases are admitted; `None`: only if a clause names one
        :raises InvalidVersion: the version is none
        """
        candidate = version if isinstance(version, Version) else Version(version)
        if candidate.is_prerelease and not (self.prereleases if prereleases is None else prereleases):
            return False
        return all(_meets_clause(str(version), candidate, *clause) for clause in self._clauses)

    def admits_some_python(self) -> bool:
        """Tell whether a release of Python could meet every clause: a range may contradict itself."""
        minors = ["3.%d" % minor for minor in range(60)] + ["2.%d" % minor for minor in range(8)] + ["4.0"]
        versions = [text.replace(".*", "") for _, text, _ in self._clauses] + [minor + ".0" for minor in minors]
        versions += ["%s.%d" % (minor, patch) for minor in minors for patch in range(1, 40)]
        return any(self.contains(version, prereleases=True) for version in versions)


def _specifier_clause(clause: str) -> "tuple[str, str, Version | None]":
    """Return operator, text and version; of `==3.1.*` the text ends in `.*` and the version is 3.1."""
    operator, text = _split_operator(clause)
    if operator == "===" and not re.search(r"[\s;)]", text):
        try:
            return operator, text, Version(text)
        except InvalidVersion:
            return operator, text, None
    pattern = _VERSION_RELEASE + (r"(?:\.\*|%s)" % (_VERSION_SUFFIXES + _VERSION_LOCAL))
    if operator not in ("==", "!="):
        pattern = _VERSION_RELEASE + _VERSION_SUFFIXES
    if operator and operator != "===" and re.match(pattern + r"\Z", text, re.I | re.A):
        version = Version(text[:-2] if text.endswith(".*") else text)
        if operator != "~=" or len(version.release) > 1:
            return operator, text, version
    if operator and text.endswith(".*"):
        raise InvalidSpecifier("%r is no version specifier: .* goes with == and != only" % clause)
    raise InvalidSpecifier("%r is no version specifier (PEP 440), such as >=3.8 or ==3.11.*" % clause)


def _split_operator(clause: str) -> "tuple[str, str]":
    for operator in ("===", "==", "!=", "~=", "<=", ">=", "<", ">"):
        if clause.startswith(operator):
            return operator, clause[len(operator) :].strip()
    return "", clause


def _meets_clause(written: str, candidate: Version, operator: str, text: str, named: "Version | None") -> bool:
    if operator == "===" or named is None:
        return written.strip().lower() == text.lower()
    public = Version(candidate.public) if candidate.local else candidate
    if operator in ("==", "!="):
        if text.endswith(".*"):
            equal = _shares_release(candidate, named, len(named.release))
        else:
            equal = (candidate if named.local else public) == named
        return equal == (operator == "==")
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
    return candidate.epoch == named.epoch and padded[:parts] == named.release[:parts]


class PythonRequest:
    """What Python is asked for.

    :param text: as written
    :param specifiers: the versions admitted
    :param implementation: `cpython` or `pypy`; `None`: any
    :param free_threaded: whether a build without the GIL is asked for
    :param prereleases: whether pre-releases are admitted; by default if the specifiers name one
    """

    def __init__(
        self,
        text: str,
        specifiers: SpecifierSet,
        implementation: "str | None" = None,
        free_threaded: bool = False,
        prereleases: "bool | None" = None,
    ) -> None:
        self.text = text
        self.specifiers = specifiers
        self.implementation = implementation
        self.free_threaded = free_threaded
        self.prereleases = specifiers.prereleases if prereleases is None else prereleases

    def admits(self, version: str) -> bool:
        """Tell whether an interpreter of this version is asked for, as far as the version goes."""
        return self.specifiers.contains(version, self.prereleases)

    def narrowed(self, ranges: "list[str]") -> "PythonRequest":
        """Return the request for those of the same Pythons that specifiers such as `requires-python` admit as well.

        :raises InvalidSpecifier: one of `ranges` is none
        """
        if not ranges:
            return self
        specifiers = SpecifierSet(",".join(filter(None, [str(self.specifiers)] + ranges)))
        # uv takes a free-threaded request by its own name only.
        text = self.text if self.free_threaded else " and ".join([self.text] + ranges)
        return PythonRequest(text, specifiers, self.implementation, self.free_threaded, self.prereleases)

    def __str__(self) -> str:
        return self.text


def parse_python_request(text: str) -> PythonRequest:
    """Read a request for a Python, as in `python`, `--python` or a line of `.python-version`.

    `3`, `3.11`, `3.11.4`, `3.14rc1`, `3.14-dev`, `>=3.8,<4`, `3.13t`, `cpython@3.12`, `pypy3.10`. What pyenv and uv
    add to the version is ignored: `pypy3.10-7.3.12`, `3.11.7/envs/name`, `cpython-3.12.1-linux-x86_64-gnu`; a plain
    `3.12` admits every implementation, and `any` and `system` every release.

    :raises InvalidSpecifier: it is none of these
    """
    text = text.strip()
    if text.lower() in ("any", "system"):
        return PythonRequest(text, SpecifierSet())
    if _split_operator(text)[0]:
        return PythonRequest(text, SpecifierSet(text))
    if text.startswith(("/", ".", "~/")) or "\\" in text:
        raise InvalidSpecifier("%r is a path, not a version such as 3.11 or a range such as >=3.8,<4" % text)
    for part in text.split("/"):
        request = _request_from_name(text, part)
        if request:
            return request
    raise InvalidSpecifier("%r names no Python: write a version such as 3.11, or a range such as >=3.8,<4" % text)


def _request_from_name(text: str, name: str) -> "PythonRequest | None":
    found = re.match(r"(?:(c?python|cp|pypy|pp)(?:[-@](?=.))?)?(.*)", name, re.I | re.A | re.S)
    implementation, rest = found.groups() if found else (None, name)
    named = _PYTHON_IMPLEMENTATIONS.get((implementation or "").lower())
    if implementation and (not rest or _split_operator(rest)[0]):
        return PythonRequest(text, SpecifierSet(rest), named)
    pattern = r"v?([0-9]+(?:\.[0-9]+)*)(?:((?:a|b|rc)[0-9]+)|(\.[*x])|(-dev))?(t|\+freethreaded)?"
    found = re.match(pattern + (r"(?:-.*)?\Z" if implementation else r"\Z"), rest, re.I | re.A)
    if not found:
        return None
    version, pre, wildcard, dev, free_threaded = found.groups()
    request = _request_of_version(text, version, pre or "", bool(wildcard or dev))
    return PythonRequest(text, request.specifiers, named, bool(free_threaded), bool(pre or dev))


def _request_of_version(text: str, version: str, pre: str = "", is_minor: bool = False) -> "PythonRequest":
    if version[0] in "23" and 1 < len(version) < 4 and version.isdigit():
        version = version[0] + "." + version[1:]  # The 313 of tags such as cp313.
    is_whole = pre or (version.count(".") > 1 and not is_minor)
    return PythonRequest(text, SpecifierSet("==" + version + (pre if is_whole else ".*")))


def python_version_line(content: str) -> "tuple[str, int]":
    """Return the first request in a `.python-version` file, with the number of its line.

    A line may name several versions, as pyenv reads it.
    """
    lines = [line.split("#")[0].strip() for line in content.splitlines()]
    lines = [line.split()[0] if line[:1].isalnum() else line for line in lines]
    return next(((line, number) for number, line in enumerate(lines, 1) if line), ("", 0))


def poetry_python_range(text: str) -> "str | None":
    """Return a constraint of poetry such as `^3.8` as a specifier of PEP 440, or `None` where there is none.

    :raises InvalidSpecifier: it is none of poetry's constraints either
    """
    ranges = []
    for alternative in re.split(r"\|\|?", text):
        clauses = re.findall(r"[^\s,]+", re.sub(r"([<>=!~^])\s+", r"\1", alternative))
        for clause in clauses:
            if not re.match(r"(?:\^|~=?|[<>=!]=?|===)?(?:v?\d|\*)", clause):
                raise InvalidSpecifier("%r is no version constraint of poetry, such as ^3.8 or >=3.8,<4" % clause)
        ranges.append(",".join(filter(None, map(_poetry_clause, clauses))))
    try:
        alternatives = [SpecifierSet(found) for found in ranges]
    except InvalidSpecifier:
        return None
    return min(ranges, key=len) if len(ranges) == 1 or "" in ranges else _union_of_ranges(alternatives)


def _union_of_ranges(ranges: "list[SpecifierSet]") -> "str | None":
    # Clauses that tell whole minor versions apart can be tried on each; Python 2 is none of our concern.
    clauses = ",".join(map(str, ranges)).split(",")
    if not all(re.match(r"(?:(?:>=|<)\d+(\.\d+)?|[=!]=\d+(\.\d+)?\.\*)\Z", clause) for clause in clauses):
        return None
    admitted = [minor for minor in range(100) if any(found.contains("3.%d" % minor) for found in ranges)]
    if not admitted:
        return None
    missing = sorted(set(range(admitted[0], admitted[-1])) - set(admitted))
    text = ">=3.%d" % admitted[0] + "".join(",!=3.%d.*" % minor for minor in missing)
    if admitted[-1] < 99:
        return text + ",<3.%d" % (admitted[-1] + 1)
    return text if any(found.contains("4.0") for found in ranges) else text + ",<4"


def _poetry_clause(clause: str) -> str:
    found = re.match(r"(\^|~|={0,2})v?(\d+(?:\.\d+)*)(\.\*)?\Z", clause)
    if not found:
        return "" if clause == "*" else clause
    operator, version = found.group(1), found.group(2)
    parts = [int(part) for part in version.split(".")]
    if operator == "^":
        changed = next((index for index, part in enumerate(parts) if part), len(parts) - 1)
    elif operator == "~":
        changed = min(1, len(parts) - 1)
    else:
        return "==" + version + (".*" if len(parts) < 3 or found.group(3) else "")
    return ">=%s,<%s" % (version, ".".join(map(str, parts[:changed] + [parts[changed] + 1])))
