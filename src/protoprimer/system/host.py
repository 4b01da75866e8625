"""Everything that differs between operating systems; nothing else asks which one this is."""

import errno
import os
import stat
import sys
import time

from protoprimer.errors import ConfigurationError, OutputLost
from protoprimer.system.waiting import release_waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = [
    "BOOT_IDENTIFIER_FILE",
    "become_command",
    "boot_identifier",
    "content_of",
    "end_process",
    "end_processes",
    "environment_executable",
    "environment_python",
    "first_line_of",
    "is_utf8_path",
    "is_windows",
    "libc_of_host",
    "link_directory",
    "link_target",
    "machine_of_host",
    "options_of_process_group",
    "path_of_file_url",
    "pid_is_alive",
    "print_out",
    "processes_below",
    "quoted_for_sh",
    "refuse_endless",
    "remove_tree",
    "replace_file",
    "replace_process",
    "scripts_directory",
    "sha256_of",
    "signal_module",
    "signal_process_group",
    "usable_cores",
    "usable_memory",
    "user_cache_directory",
    "write_atomically",
]

# The function, once it was found: looking for a module that is not there takes longer than a hash.
_SHA256 = []  # type: list[Any]
BOOT_IDENTIFIER_FILE = "/proc/sys/kernel/random/boot_id"


def is_windows() -> bool:
    """Tell whether this is Windows."""
    return os.name == "nt"


def scripts_directory(environment: str) -> str:
    """Return the directory of the executables of the environment at `environment`."""
    return os.path.join(environment, "Scripts" if is_windows() else "bin")


def environment_executable(environment: str, name: str) -> str:
    """Return where the executable `name` of an environment is, whether or not it exists."""
    return os.path.join(scripts_directory(environment), name + (".exe" if is_windows() else ""))


def environment_python(environment: str) -> str:
    """Return where the interpreter of an environment is, whether or not it exists."""
    return environment_executable(environment, "python")


def is_utf8_path(path: str) -> bool:
    """Tell whether a path is text: in a directory where it is not, no tool can make an environment."""
    raw = os.fsencode(path)
    return raw == raw.decode("utf-8", "ignore").encode("utf-8")


def user_cache_directory(environ: "dict[str, str] | None" = None) -> str:
    """Return protoprimer's directory in the user's cache: `PROTOPRIMER_CACHE`, else XDG or the platform's rule.

    Without a home directory that can be written, as in many containers, it lies in the temporary directory, named by
    the user's id and private to that user.

    :raises ConfigurationError: `PROTOPRIMER_CACHE` is relative: each directory would have its own (exit code 3)
    """
    environ = dict(os.environ) if environ is None else environ
    cache = environ.get("PROTOPRIMER_CACHE")
    if cache:
        if not os.path.isabs(cache):
            raise ConfigurationError(
                "the path %r is relative" % cache, "the variable PROTOPRIMER_CACHE", "name all of it"
            )
        return os.path.normpath(cache)
    if is_windows() and environ.get("LOCALAPPDATA"):
        return os.path.join(environ["LOCALAPPDATA"], "protoprimer", "Cache")
    home = environ.get("HOME") or os.path.expanduser("~")
    usual = os.path.join(home, *(["Library", "Caches"] if sys.platform == "darwin" else [".cache"]))
    if environ.get("XDG_CACHE_HOME", "").startswith("/"):
        usual = environ["XDG_CACHE_HOME"]
    elif home.startswith("~") or home == "/" or not os.path.isdir(home):
        return _private_temporary_cache()
    path = os.path.join(usual, "protoprimer")
    return path if _can_be_made(path) else _private_temporary_cache()


def _can_be_made(directory: str) -> bool:
    while not os.path.lexists(directory) and os.path.dirname(directory) != directory:
        directory = os.path.dirname(directory)
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


def _private_temporary_cache() -> str:
    import tempfile

    owner = os.getuid() if hasattr(os, "getuid") else "user"
    path = os.path.join(tempfile.gettempdir(), "protoprimer-%s" % owner)
    try:
        os.makedirs(path, 0o700)
    except OSError:
        # Somebody else's directory of that name must not feed us tools.
        is_others = hasattr(os, "getuid") and os.lstat(path).st_uid != os.getuid()
        if os.path.islink(path) or not os.path.isdir(path) or is_others:
            path = tempfile.mkdtemp(prefix="protoprimer-")
    return path


def libc_of_host() -> str:
    """Return the C library's name and version, such as `glibc 2.36` or `musl`; empty where that does not matter."""
    if not sys.platform.startswith("linux"):
        return ""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").strip() or "musl"
    except (ValueError, OSError):
        return "musl"


def quoted_for_sh(text: str) -> str:
    """Return `text` as one word of the POSIX shell; `shlex` would load the regular expressions for it."""
    return "'" + text.replace("'", "'\\''") + "'"


def sha256_of(content: bytes) -> str:
    """Return the hexadecimal SHA-256 of a small content; `hashlib` would load all of OpenSSL for it."""
    # What `hashlib` has without OpenSSL: from 3.12 on, and before.
    for name in ("_sha2", "_sha256", "hashlib") if not _SHA256 else ():
        try:
            _SHA256.append(__import__(name).sha256)
            break
        except ImportError:
            continue
    return str(_SHA256[0](content).hexdigest())


def write_atomically(path: str, content: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file so that every reader, and the next run after a crash, sees the old content or the new, whole.

    :param durable: false where a file emptied by a power loss would be noticed or would not matter: the next reader
        then need not wait for the disk
    :raises OSError: the directory is missing or not writable; the old file is then untouched
    """
    temporary = "%s.%d.tmp" % (path, os.getpid())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        try:
            descriptor = os.open(temporary, flags, mode)
        except FileExistsError:
            # Left by a killed process that had this pid: nobody alive can be writing it.
            os.unlink(temporary)
            descriptor = os.open(temporary, flags, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        replace_file(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def replace_file(source: str, target: str) -> None:
    """Rename a file, in one step also over another one, which somebody may be reading.

    :raises OSError: it was not possible; on Windows, not for a second or two
    """
    # Windows renames onto no file that is open, which for a moment it is wherever others read it or come first.
    for pause in (0.01, 0.03, 0.1, 0.2, 0.4, 0.8) if is_windows() else ():
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(source, target)


def remove_tree(path: str) -> None:
    """Remove a directory and all below it, read-only entries included; what cannot be removed stays."""
    import shutil

    def make_writable_and_retry(function: object, failed: str, _error: object) -> None:
        is_directory = os.path.isdir(failed) and not os.path.islink(failed)
        try:
            os.chmod(os.path.dirname(failed), 0o700)
            if is_directory or is_windows():
                # Elsewhere a file's mode does not matter here, and may be shared with a tool's cache by a hard link.
                os.chmod(failed, 0o700)
            os.rmdir(failed) if is_directory else os.unlink(failed)
        except OSError:
            pass

    shutil.rmtree(path, onerror=make_writable_and_retry)


def link_target(path: str) -> "str | None":
    """Return what the link (or Windows junction) at `path` points to, absolute, or `None` if it is no link."""
    try:
        target = os.readlink(path)
    except (OSError, ValueError, AttributeError):
        return None
    if target.startswith("\\\\?\\"):
        target = target[4:]
    return os.path.normpath(os.path.join(os.path.dirname(path), target))


def link_directory(target: str, link: str, staging: "str | None" = None) -> None:
    """Make `link` point to the directory `target`, replacing an earlier link in one step.

    :param staging: a directory of the same file system for the unfinished link; by default the one that `link` is in
    :raises OSError: the host refuses links, or something that is not a link stands at `link`
    """
    if is_windows():
        _junction_directory(target, link)
        return
    # The file systems may be two after all: then the last step fails, and is tried where it cannot.
    beside = os.path.dirname(link)
    for directory in [staging, beside] if staging else [beside]:
        temporary = os.path.join(directory, "%s.%d.tmp" % (os.path.basename(link), os.getpid()))
        if os.path.islink(temporary):
            os.unlink(temporary)
        os.symlink(os.path.relpath(target, beside), temporary)
        try:
            os.replace(temporary, link)
            return
        except OSError as error:
            os.unlink(temporary)
            if error.errno != errno.EXDEV or directory == beside:
                raise


def _junction_directory(target: str, link: str) -> None:
    # A junction, unlike a symbolic link, needs no privilege.
    if link_target(link) is not None:
        os.rmdir(link)
    try:
        # What mklink does; but cmd would take a path with & or % apart, and may be forbidden.
        from _winapi import CreateJunction  # type: ignore[import-not-found,attr-defined,unused-ignore]
    except ImportError:
        CreateJunction = _junction_by_cmd  # noqa: N806 - it stands in for a function of that name
    try:
        CreateJunction(target, link)
    except OSError:
        # A file system that refuses junctions, such as FAT, leaves the directory that was to become one.
        if os.path.isdir(link) and not os.listdir(link):
            os.rmdir(link)
        raise


def _junction_by_cmd(target: str, link: str) -> None:
    import subprocess

    command = ["cmd", "/d", "/c", "mklink", "/J", link, target]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if made.returncode != 0:
        raise OSError(made.stderr.decode("utf-8", "replace").strip() or "mklink failed")


def pid_is_alive(pid: int) -> bool:
    """Tell whether a process with this id exists on this host."""
    if is_windows():
        return _windows_pid_is_alive(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _windows_pid_is_alive(pid: int) -> bool:
    import ctypes

    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    handle = kernel32.OpenProcess(0x00100000, False, pid)
    if not handle:
        return False
    alive = kernel32.WaitForSingleObject(handle, 0) == 0x102
    kernel32.CloseHandle(handle)
    return bool(alive)


def options_of_process_group() -> "dict[str, object]":
    """Return the options of `subprocess.Popen` for a child that leads a process group of its own."""
    return {"creationflags": 0x200} if is_windows() else {"start_new_session": True}


def signal_process_group(leader: int, number: int, kill: bool = False) -> None:
    """Send a signal to all processes of a child's group, or end them at once; those that are gone do not matter."""
    import signal
    import subprocess

    try:
        if not is_windows():
            os.killpg(leader, signal.SIGKILL if kill else number)
        elif kill:
            command = ["taskkill", "/T", "/F", "/PID", str(leader)]
            subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        else:
            os.kill(leader, getattr(signal, "CTRL_BREAK_EVENT", number))
    except OSError:
        pass


def processes_below(ancestor: int) -> "list[int]":
    """Return the ids of the processes that a process has started, and theirs; none where the host does not tell."""
    children = {}  # type: dict[int, list[int]]
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        # proc(5): after the name in parentheses come the state and the parent.
        fields = first_line_of("/proc/%s/stat" % name).rpartition(")")[2].split() if name.isdigit() else []
        if len(fields) > 1:
            children.setdefault(int(fields[1]), []).append(int(name))
    found = children.get(ancestor, [])[:]
    for process in found:
        found += children.get(process, [])
    return found


def machine_of_host() -> str:
    """Return the name of the processor's kind, as `platform.machine` does, such as `x86_64`."""
    if hasattr(os, "uname"):
        return os.uname().machine
    import platform

    return platform.machine()


def content_of(path: str) -> bytes:
    """Return what is in a file, nothing if it cannot be read: another user's, or gone."""
    try:
        refuse_endless(path)
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def refuse_endless(path: str) -> None:
    """Refuse what may be read for ever.

    :raises OSError: it is a pipe, or a device other than the empty one; or it is not there
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or os.path.samefile(path, os.devnull)):
        raise OSError(errno.EINVAL, "it is a pipe or a device")


def signal_module() -> "Any":
    """Return the module `signal`, or what it is made of: its names for numbers take longer to make than to use."""
    try:
        import _signal  # type: ignore[import-not-found,unused-ignore]

        return _signal
    except ImportError:
        import signal

        return signal


def end_processes(processes: "list[int]", gently: bool) -> None:
    """End processes by id; those that are gone do not matter.

    :param gently: interrupt them, as a terminal does, instead of killing them; not on Windows
    """
    import signal

    for process in processes:
        try:
            if not is_windows():
                os.kill(process, signal.SIGINT if gently else signal.SIGKILL)
            elif not gently:
                os.kill(process, signal.SIGTERM)
        except OSError:
            pass


def usable_cores() -> int:
    """Return how many processors this process may use, as its container's quota allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = first_line_of("/sys/fs/cgroup/cpu.max").partition(" ")
    return max(1, min(cores, int(quota) // int(period))) if quota.isdigit() and period.isdigit() else cores


def usable_memory() -> "int | None":
    """Return the bytes of memory of this host or container, or `None` where they cannot be told."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    limit = first_line_of("/sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def boot_identifier() -> str:
    """Return what differs from one start of this computer to the next; empty where the host does not tell."""
    return first_line_of(BOOT_IDENTIFIER_FILE)


def first_line_of(path: str) -> str:
    """Return the first line of a file of the system's, without its end; empty if it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""


def become_command(program: str, arguments: "list[str]", environ: "dict[str, str]") -> None:
    """Become a command of the user's, started as a shell would have started it. Does not return.

    :param program: its absolute path
    :param arguments: what it is given; the first is its name
    :raises OSError: it cannot be started
    """
    import signal

    # This interpreter ignores them, and ignored signals stay so in the program that replaces it.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        replace_process(arguments, environ, program)
    except OSError as error:
        # A script without a first line that names its interpreter is one for sh.
        if error.errno != errno.ENOEXEC or is_windows():
            raise
        replace_process(["sh", program] + arguments[1:], environ, "/bin/sh")


def print_out(text: str, end: str = "\n") -> None:
    """Print what was asked for to stdout; all of it has left this process afterwards.

    :raises OutputLost: the disk is full, or failed (exit code 120); who reads no more has had enough
    """
    stream = sys.stdout
    if stream is None:
        return
    try:
        try:
            stream.write(text + end)
        except UnicodeEncodeError:
            encoding = stream.encoding
            stream.write((text + end).encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        # Python is not to try again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OutputLost("the output is lost: %s" % error) from error


def end_process(status: int) -> "NoReturn":
    """End this process. Where nothing is left to do but to take the interpreter down, that is left to the system.

    :param status: its exit status
    """
    release_waiting()
    threads = sys.modules.get("threading")
    if "atexit" not in sys.modules and (threads is None or threads.active_count() == 1):
        lost = ""
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.write(lost)
                    stream.flush()
            except BrokenPipeError:
                # Who reads no more has had enough.
                pass
            except (OSError, ValueError) as error:
                # The status is that of Python for this.
                status, lost = 120, "error: the output is lost: %s\n" % error
        os._exit(status & 0xFF)
    sys.exit(status)


def _without_percent_signs(text: str) -> str:
    from binascii import unhexlify

    plain, *coded = text.encode("utf-8", "surrogateescape").split(b"%")
    for part in coded:
        try:
            plain += (unhexlify(part[:2]) or b"%") + part[2:]
        except ValueError:
            plain += b"%" + part
    return plain.decode("utf-8", "surrogateescape")


def path_of_file_url(url: str) -> str:
    """Return the path that a `file:` URL means."""
    if os.name != "nt" and url.startswith("file:///") and not set("?#;") & set(url):
        # What the library does too, but that takes longer to import than all that follows.
        return _without_percent_signs(url[len("file://") :])
    from urllib.parse import unquote, urlsplit

    if os.name != "nt":
        return unquote(urlsplit(url).path, errors="surrogateescape")
    # It takes 50 ms to import, and is the same elsewhere.
    from urllib.request import url2pathname

    return url2pathname(urlsplit(url).path)


def replace_process(arguments: "list[str]", environ: "dict[str, str]", program: "str | None" = None) -> None:
    """Become another program: same pid where the host has exec, else a child whose end is ours.

    Does not return.

    :param program: its path; by default `arguments[0]`
    :raises OSError: the program cannot be started
    """
    release_waiting()
    program = program or arguments[0]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if not is_windows():
        os.execve(program, arguments, environ)
    _wait_as_if_replaced([program] + arguments[1:], environ)


def _wait_as_if_replaced(arguments: "list[str]", environ: "dict[str, str]") -> None:
    import signal
    import subprocess

    # The console sends Ctrl-C to the child too, which decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = subprocess.Popen(arguments, env=environ).wait()
    # It is told without a sign there, such as 0xC000013A after Ctrl-C, and taken with one.
    os._exit(status - (1 << 32) if status >= 1 << 31 else status)
