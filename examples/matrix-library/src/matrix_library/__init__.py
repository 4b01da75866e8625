"""Which of some releases of a project is the one to install."""

import attr
from packaging.version import Version

__all__ = ["Release", "newest_release"]


@attr.s(frozen=True)
class Release:
    """A release of a project.

    :param version: as in PEP 440
    :param yanked: whether its author took it back
    """

    version = attr.ib(converter=Version)
    yanked = attr.ib(default=False)


def newest_release(releases: "list[Release]") -> "Release | None":
    """Return the newest release that is neither taken back nor a pre-release, or `None`."""
    fitting = [one for one in releases if not one.yanked and not one.version.is_prerelease]
    return max(fitting, key=lambda one: one.version, default=None)
