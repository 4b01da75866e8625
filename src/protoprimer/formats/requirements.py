"""Requirement lines (PEP 508): the name of what is required, its extras, and the rest."""

import re
from typing import List, NamedTuple, Optional

__all__ = ["Requirement", "normalized_name", "read_requirement"]

_REQUIREMENT = (
    r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[^\]]*)\])?\s*"
    r"(?:@\s*(?P<url>.*?)|(?P<specifier>[(<>=!~][^;@]*)?)\s*(?:;(?P<marker>.*))?\Z"
)


class Requirement(NamedTuple):
    """What a line asks for; nothing of it is checked but the name. An empty specifier admits every version."""

    name: str
    extras: List[str]
    specifier: str
    url: Optional[str]
    marker: Optional[str]

    @property
    def normal_name(self) -> str:
        return normalized_name(self.name)

    @property
    def name_with_extras(self) -> str:
        return self.name + ("[%s]" % ",".join(self.extras) if self.extras else "")


def read_requirement(line: str) -> "Requirement | None":
    """Return what a line asks for, `None` if it is an option, a path or the like."""
    found = re.match(_REQUIREMENT, line)
    if not found:
        return None
    name, extras, url, specifier, marker = found.groups()
    extras = [extra.strip() for extra in (extras or "").split(",") if extra.strip()]
    return Requirement(name, extras, re.sub(r"[\s()]", "", specifier or ""), url, marker)


def normalized_name(name: str) -> str:
    """Return the normal form (PEP 503) of the name of a distribution, extra or group."""
    return re.sub("[-_.]+", "-", name).lower()
