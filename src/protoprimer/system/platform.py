"""Which kind of host this is, and how much of it may be used."""

import os
import sys

__all__ = [
    "boot_identifier",
    "first_line_of",
    "host_name",
    "is_windows",
    "libc_of_host",
    "machine_identifier",
    "machine_of_host",
    "usable_cores",
    "usable_memory",
]


def is_windows() -> bool:
    """Tell whether this is Windows."""
    return os.name == "nt"


def libc_of_host() -> str:
    """Return the C library, such as `glibc 2.36` or `musl`; empty where that does not matter."""
    if not sys.platform.startswith("linux"):
        return ""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").strip() or "musl"
    except (ValueError, OSError):
        return "musl"


def machine_of_host() -> str:
    """Return the processor's kind, such as `x86_64`."""
    if hasattr(os, "uname"):
        return os.uname().machine
    import platform

    return platform.machine()


def usable_cores() -> int:
    """Return how many processors this process, or its container, may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    # A container's limit: so many microseconds of each period, or the word `max`.
    quota, _, period = first_line_of("/sys/fs/cgroup/cpu.max").partition(" ")
    if not quota.isdigit() or not period.isdigit():
        return cores
    allowed = int(quota) // int(period)
    return max(1, min(cores, allowed))


def usable_memory() -> "int | None":
    """Return the bytes of memory of this host or container."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    limit = first_line_of("/sys/fs/cgroup/memory.max")
    if not limit.isdigit():
        return total
    return min(total, int(limit))


def boot_identifier() -> str:
    """Return what differs from one start of this computer to the next."""
    return first_line_of("/proc/sys/kernel/random/boot_id")


def machine_identifier() -> str:
    """Return what tells this machine from others; without better, its name."""
    return first_line_of("/etc/machine-id") or host_name()


def host_name() -> str:
    """Return this computer's name."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "this host")


def first_line_of(path: str) -> str:
    """Return the first line of a file; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""
