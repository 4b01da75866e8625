"""Platform tags of wheels: this host's, and what runs where."""

import re
import sys
from typing import NamedTuple

from protoprimer.system.platform import libc_of_host, machine_of_host

__all__ = ["LEGACY_TAGS", "PlatformTag", "platform_tag", "tag_of_host", "tag_rank", "tags_of_wheel"]

# What older names of tags begin with today.
LEGACY_TAGS = {"2014": "manylinux_2_17_", "2010": "manylinux_2_12_", "1": "manylinux_2_5_"}
# What a 32-bit Python runs on under a 64-bit kernel.
_NARROW_MACHINES = {"x86_64": "i686", "i386": "i686", "aarch64": "armv7l", "armv8l": "armv7l"}


_DOES_NOT_RUN = -1


class PlatformTag(NamedTuple):
    """A wheel's platform tag, such as `manylinux`, (2, 28), `x86_64`."""

    family: str
    version: "tuple[int, int]"
    machine: str


def platform_tag(tag: str) -> "PlatformTag | None":
    """Return the parts of a tag, `None` if it is none."""
    legacy = re.match("manylinux(2014|2010|1)_", tag)
    if legacy is not None:
        tag = LEGACY_TAGS[legacy.group(1)] + tag[legacy.end() :]
    versioned = re.match(r"(macosx|manylinux|musllinux)_(\d+)_(\d+)_(\w+)\Z", tag)
    if versioned is not None:
        family, major, minor, machine = versioned.groups()
        return PlatformTag(family, (int(major), int(minor)), machine)
    plain = re.match(r"(win|linux)_?(\w+)\Z", tag)
    if plain is not None:
        family, machine = plain.groups()
        return PlatformTag(family, (0, 0), machine)
    return None


def tag_of_host() -> str:
    """Return this host's tag, such as `manylinux_2_36_x86_64`."""
    import sysconfig

    machine = machine_of_host()
    libc = libc_of_host()
    if not libc:
        platform = re.sub("[-.]", "_", sysconfig.get_platform())
        return platform.replace("universal2", machine)
    if libc.startswith("glibc"):
        major, minor = re.findall("[0-9]+", libc)[:2]
        family = "manylinux_%s_%s" % (major, minor)
    else:
        family = "musllinux_1_2"
    is_narrow = sys.maxsize < 2**32
    if is_narrow:
        machine = _NARROW_MACHINES.get(machine, machine)
    return "%s_%s" % (family, machine)


def tags_of_wheel(filename: str) -> "list[str]":
    """Return the platform tags in a wheel's file name."""
    stem = filename[: -len(".whl")]
    return stem.rpartition("-")[2].split(".")


def tag_rank(tag: str, host: str) -> int:
    """Return how well a wheel's platform tag suits a host's; negative if it does not run there."""
    wheel = platform_tag(tag)
    here = platform_tag(host)
    if wheel is None or here is None:
        return _DOES_NOT_RUN
    if wheel.machine not in (here.machine, "universal2"):
        return _DOES_NOT_RUN
    if wheel.family == here.family:
        # What a Python for macOS tells is the oldest system that it was built for.
        if here.family == "macosx" or wheel.version <= here.version:
            return 1 + wheel.version[1]
        return _DOES_NOT_RUN
    if wheel.family == "linux" and here.family.endswith("linux"):
        return 0
    # uv's of musl are linked statically: they run beside any GNU library.
    if wheel.family == "musllinux" and here.family == "manylinux":
        return 0
    return _DOES_NOT_RUN
