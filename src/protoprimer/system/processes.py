"""Processes: whether one lives, ending it with all that it started, becoming another program."""

import errno
import os
import signal
import sys
from contextlib import suppress

from protoprimer.errors import UsageError
from protoprimer.system.files import names_in
from protoprimer.system.platform import first_line_of, is_windows
from protoprimer.system.windows import end_child_with_this_process, windows_pid_is_alive

__all__ = [
    "become_command",
    "end_processes",
    "options_of_process_group",
    "pid_is_alive",
    "processes_below",
    "replace_process",
    "signal_process_group",
]


# CREATE_NEW_PROCESS_GROUP of winbase.h, which `subprocess` has on Windows only.
_NEW_PROCESS_GROUP = 0x200
# Where a status of Windows has its sign.
_HIGHEST_BIT = 1 << 31


def pid_is_alive(pid: int) -> bool:
    """Tell whether a process exists on this host."""
    if is_windows():
        return windows_pid_is_alive(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # It is another user's.
    return True


def options_of_process_group() -> "dict[str, object]":
    """Return `subprocess.Popen`'s options for a leader of a process group."""
    if is_windows():
        return {"creationflags": _NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def signal_process_group(leader: int, number: int, kill: bool = False) -> None:
    """Send a signal to a child's group, or kill it; one that is gone does not matter."""
    with suppress(OSError):
        if is_windows() and kill:
            import subprocess

            command = ["taskkill", "/T", "/F", "/PID", str(leader)]
            subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elif is_windows():
            # The only one that a group there can be sent.
            os.kill(leader, getattr(signal, "CTRL_BREAK_EVENT", number))
        elif kill:
            os.killpg(leader, signal.SIGKILL)
        else:
            os.killpg(leader, number)


def processes_below(ancestor: int) -> "list[int]":
    """Return the ids of all that a process and its children have started, where the host tells."""
    children = _children_by_parent()
    found = []  # type: list[int]
    to_ask = [ancestor]
    while to_ask:
        of_one = children.get(to_ask.pop(0), [])
        found += of_one
        to_ask += of_one
    return found


def _children_by_parent() -> "dict[int, list[int]]":
    children = {}  # type: dict[int, list[int]]
    for name in names_in("/proc"):
        if not name.isdigit():
            continue
        # proc(5): after the name in parentheses come the state and the parent.
        fields = first_line_of("/proc/%s/stat" % name).rpartition(")")[2].split()
        if len(fields) > 1:
            parent = int(fields[1])
            children.setdefault(parent, []).append(int(name))
    return children


def end_processes(processes: "list[int]", gently: bool) -> None:
    """Kill processes, or `gently` interrupt them (not on Windows); those that are gone do not matter."""
    for process in processes:
        with suppress(OSError):
            if is_windows():
                if not gently:
                    # Whatever the signal, Windows ends it at once.
                    os.kill(process, signal.SIGTERM)
            elif gently:
                os.kill(process, signal.SIGINT)
            else:
                os.kill(process, signal.SIGKILL)


def become_command(program: str, arguments: "list[str]", environ: "dict[str, str]") -> None:
    """Become a command as a shell would start it. Does not return."""
    # This interpreter ignores them, and ignored signals stay so in the program that replaces it.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        replace_process(arguments, environ, program)
    except OSError as error:
        # A script without a first line that names its interpreter is one for sh.
        if error.errno != errno.ENOEXEC or is_windows():
            raise UsageError("%s cannot be started: %s" % (program, error.strerror)) from None
        replace_process(["sh", program] + arguments[1:], environ, "/bin/sh")


def replace_process(arguments: "list[str]", environ: "dict[str, str]", program: "str | None" = None) -> None:
    """Become another program: same pid where the host has exec, else a child whose end is ours. Does not return."""
    program = program or arguments[0]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if not is_windows():
        os.execve(program, arguments, environ)
    import subprocess

    # The console sends Ctrl-C to the child too, which decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen([program] + arguments[1:], env=environ)
    # Else it would go on where only this process is ended, as by a task manager.
    end_child_with_this_process(int(child._handle))  # type: ignore[attr-defined,unused-ignore] # noqa: SLF001
    status = child.wait()
    # It is told without a sign there, such as 0xC000013A after Ctrl-C, and taken with one.
    if status >= _HIGHEST_BIT:
        status -= 2 * _HIGHEST_BIT
    os._exit(status)
