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


class PlatformTag(NamedTuple):
    """A wheel's platform tag, such as `manylinux`, (2, 28), `x86_64`."""

    family: str
    version: "tuple[int, int]"
    machine: str


def platform_tag(tag: str) -> "PlatformTag | None":
    """Return the parts of a tag, `None` if it is none."""
    tag = re.sub("^manylinux(2014|2010|1)_", lambda found: LEGACY_TAGS[found.group(1)], tag)
    found = re.match(r"(win|linux)_?(\w+)\Z|(macosx|manylinux|musllinux)_(\d+)_(\d+)_(\w+)\Z", tag)
    if found is None:
        return None
    simple, machine, family, major, minor, its_machine = found.groups()
    return PlatformTag(simple or family, (int(major or 0), int(minor or 0)), machine or its_machine)


def tag_of_host() -> str:
    """Return this host's tag, such as `manylinux_2_36_x86_64`."""
    import sysconfig

    machine, libc = machine_of_host(), libc_of_host()
    if not libc:
        return re.sub("[-.]", "_", sysconfig.get_platform()).replace("universal2", machine)
    version = "manylinux_%s_%s" % tuple(re.findall("[0-9]+", libc)[:2]) if libc[:5] == "glibc" else "musllinux_1_2"
    return "%s_%s" % (version, _NARROW_MACHINES.get(machine, machine) if sys.maxsize < 2**32 else machine)


def tags_of_wheel(filename: str) -> "list[str]":
    """Return the platform tags in a wheel's file name."""
    return filename[: -len(".whl")].rsplit("-", 1)[-1].split(".")


def tag_rank(tag: str, host: str) -> int:
    """Return how well a wheel's platform tag suits a host's; negative if it does not run there."""
    wheel, here = platform_tag(tag), platform_tag(host)
    if wheel is None or here is None or wheel.machine not in (here.machine, "universal2"):
        return -1
    if wheel.family == here.family:
        # What a Python for macOS tells is the oldest system that it was built for.
        return 1 + wheel.version[1] if here.family == "macosx" or wheel.version <= here.version else -1
    # uv's of musl are linked statically: they run beside any GNU library.
    suits = wheel.family == "linux" or (wheel.family == "musllinux" and here.family == "manylinux")
    return 0 if suits and here.family.endswith("linux") else -1
