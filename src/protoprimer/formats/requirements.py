"""Requirement lines (PEP 508): the name of what is required, its extras, and the rest."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

__all__ = ["Requirement", "normalized_project_name", "read_requirement"]

_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[^\]]*)\])?\s*"
    r"(?:@\s*(?P<url>.*?)|(?P<specifier>[(<>=!~][^;@]*)?)\s*(?:;(?P<marker>.*))?\Z"
)


class Requirement:
    """What a line asks for; nothing of it is checked but the name.

    :param name: as written
    :param extras: likewise
    :param specifier: without spaces and parentheses, such as `>=1,<2`; empty admits every version
    :param url: after `@`, or `None`
    :param marker: after `;`, or `None`
    """

    def __init__(self, found: "re.Match[str]") -> None:
        parts = found.groupdict()
        self.name = str(parts["name"])
        self.extras = [extra.strip() for extra in (parts["extras"] or "").split(",") if extra.strip()]
        self.specifier = re.sub(r"[\s()]", "", parts["specifier"] or "")
        self.url = parts["url"]  # type: str | None
        self.marker = parts["marker"]  # type: str | None


def read_requirement(line: str) -> "Requirement | None":
    """Return what a line asks for, or `None` if it is no requirement, such as an option or a path."""
    found = _REQUIREMENT.match(line)
    return Requirement(found) if found else None


def normalized_project_name(name: str) -> str:
    """Return the name of a distribution, extra or group in its normal form (PEP 503)."""
    return re.sub("[-_.]+", "-", name).lower()
