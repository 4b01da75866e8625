"""What only Windows' own library can tell or do of processes, called through `ctypes`."""

from typing import Any

__all__ = ["end_child_with_this_process", "windows_pid_is_alive"]

# From winnt.h and winerror.h.
_SYNCHRONIZE = 0x00100000
_WAIT_TIMEOUT = 0x102
_ERROR_ACCESS_DENIED = 5
_LIMITS_EXTENDED = 9
_KILL_ON_CLOSE = 0x2000
_SILENT_BREAKAWAY = 0x1000
# A JOBOBJECT_EXTENDED_LIMIT_INFORMATION: two times, the flags, what follows them.
_FORM_OF_LIMITS = "@qqINNINII6Q4N"
_NUMBERS_AFTER_FLAGS = 16


def windows_pid_is_alive(pid: int) -> bool:
    """Tell whether a process exists; one that may not be asked, since it is another user's, does."""
    import ctypes

    kernel32 = _kernel32()
    handle = kernel32.OpenProcess(_SYNCHRONIZE, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() == _ERROR_ACCESS_DENIED)  # type: ignore[attr-defined,unused-ignore]
    alive = kernel32.WaitForSingleObject(handle, 0) == _WAIT_TIMEOUT
    kernel32.CloseHandle(handle)
    return bool(alive)


def end_child_with_this_process(child_handle: int) -> bool:
    """Let a child, though not what it starts, end when this process does; tell whether the host could do that."""
    import struct

    kernel32 = _kernel32()
    # The system closes the job's handle with this process, and then ends what is in the job.
    job = kernel32.CreateJobObjectW(None, None)
    if not job:
        return False
    flags = _KILL_ON_CLOSE | _SILENT_BREAKAWAY
    # Nothing else is limited.
    rest = [0] * _NUMBERS_AFTER_FLAGS
    limits = struct.pack(_FORM_OF_LIMITS, 0, 0, flags, *rest)
    if not kernel32.SetInformationJobObject(job, _LIMITS_EXTENDED, limits, len(limits)):
        return False
    return bool(kernel32.AssignProcessToJobObject(job, child_handle))


def _kernel32() -> "Any":
    import ctypes

    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    # A handle is as wide as a pointer; by default a result is taken for an int.
    for name in ("OpenProcess", "CreateJobObjectW"):
        getattr(kernel32, name).restype = ctypes.c_void_p
    handle = ctypes.c_void_p
    number = ctypes.c_uint32
    kernel32.WaitForSingleObject.argtypes = [handle, number]
    kernel32.CloseHandle.argtypes = [handle]
    kernel32.SetInformationJobObject.argtypes = [handle, ctypes.c_int, ctypes.c_char_p, number]
    kernel32.AssignProcessToJobObject.argtypes = [handle, handle]
    return kernel32
