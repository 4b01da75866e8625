"""The text of an entry script: POSIX sh and Python in one file, put together from the pieces below.

To sh, the first lines are comments and the docstring's opening is the command `:`; what follows ends in an `exec`.
To Python, all of that is the module's docstring. So the sh half has no backslash and no three quotes in a row, and
the Python half can be parsed by Python 2.7, which gets a sentence, not a traceback. See
docs/reference/entry-scripts.md.
"""

import os

from protoprimer.errors import UsageError
from protoprimer.settings.configuration import INPUT_VARIABLES
from protoprimer.store.ready import READY_FORMAT

__all__ = ["KINDS", "entry_main", "entry_text", "kernel_head", "kernel_keeper", "relative_path"]

# Kind of entry script to the kernel's function that serves it.
KINDS = {"run": "run_main", "boot": "boot_env", "start": "start_app"}
DEFAULT_STATE_DIRECTORY = ".protoprimer"

# Names begin with protoprimer_, so that no exported variable of the user's is overwritten.
_SH_HALF = """\
#!/bin/sh
# coding: utf-8
\""":"
# @TITLE@
# sh reads down to the last exec; to Python, all of that is a string.
[ -z "${ZSH_VERSION-}" ] || emulate sh
unset PROTOPRIMER_READY PROTOPRIMER_PATH PROTOPRIMER_HOPS PROTOPRIMER_WAIT
protoprimer_script=$0 protoprimer_fresh=
case $0 in -*) protoprimer_script=./$0 ;; esac
[ -f "$protoprimer_script" ] || protoprimer_script=$(command -v -- "$0")
case $protoprimer_script in */*) ;; *) protoprimer_script=./$protoprimer_script ;; esac

# Where nothing has changed since the environment was made ready, its interpreter starts at once.
protoprimer_ready=${protoprimer_script%/*}/@STATE@/ready
protoprimer_look() {
    IFS= read -r protoprimer_format < "$protoprimer_ready" || :
    [ "$protoprimer_format" = '@FORMAT@' ] || return 0
    # yash would end with a file that is cut off: there a subshell reads it first.
    [ -z "${YASH_VERSION-}" ] || (. "$protoprimer_ready") 2> /dev/null || return 0
    command . "$protoprimer_ready" 2> /dev/null || :
}
if @FAST@[ -r "$protoprimer_ready" ] && ! [ -h "$protoprimer_script" ]; then
    protoprimer_look
fi
@ENTER@
# Else the first Python on PATH decides. Shims come last: there may be no Python behind them.
protoprimer_find() {
    protoprimer_rest=${PATH-}:
    while [ -n "$protoprimer_rest" ]; do
        protoprimer_python=${protoprimer_rest%%:*}/$1
        protoprimer_rest=${protoprimer_rest#*:}
        case $protoprimer_python in $3) continue ;; $2) ;; *) continue ;; esac
        if [ -f "$protoprimer_python" ] && [ -x "$protoprimer_python" ]; then return 0; fi
    done
    return 1
}
protoprimer_search() {
    for protoprimer_name in 3 @NAMES@; do
        if protoprimer_find "python$protoprimer_name" '/*' '*/shims/*'; then return 0; fi
    done
    protoprimer_find python3 '/*/shims/*' ''
}
protoprimer_flags='-I -S'
if ! protoprimer_search; then
    # This one may be Python 2, which has no -I.
    protoprimer_flags=
    if ! protoprimer_find python '/*' ''; then
        echo "error: no Python was found on PATH; install Python 3.6 or newer" >&2
        exit 4
    fi
fi
"""

_SH_ENTER = """\
if [ "$protoprimer_fresh" = yes ]; then
@IDLE@    protoprimer_enter @START@@ARGUMENTS@
fi

"""

# The FIFO was made by Python on an earlier run; who has it open as descriptor 9 is the first of many. Redirections of
# `exec` and `:` would end the shell where they fail, those of `command exec` and `true` do not.
_SH_WAIT = """\
# Of many that come at once the first leads, and makes it ready. The others wait until it says so, or has ended.
if @ALONE@! [ -e "$protoprimer_ready" ] && ! [ -h "$protoprimer_script" ] &&
    @UNSTEERED@; then
    protoprimer_wait=${HOME-}/.cache
    [ ! -d "${HOME-}/Library/Caches/protoprimer" ] || protoprimer_wait=$HOME/Library/Caches
    case ${XDG_CACHE_HOME-} in /*) protoprimer_wait=$XDG_CACHE_HOME ;; esac
    protoprimer_wait=${PROTOPRIMER_CACHE:-$protoprimer_wait/protoprimer}/waits
    case $protoprimer_script in
        /*) protoprimer_wait=$protoprimer_wait$protoprimer_script ;;
        *) protoprimer_wait=$protoprimer_wait${PWD-}/${protoprimer_script#./} ;;
    esac
    case $protoprimer_wait in */../*) protoprimer_wait= ;; /*) ;; *) protoprimer_wait= ;; esac
    export PROTOPRIMER_WAIT="$protoprimer_wait"
    protoprimer_wait=$protoprimer_wait.fifo
    if [ -p "$protoprimer_wait" ] && [ -O "$protoprimer_wait" ] && ! [ -h "$protoprimer_wait" ] &&
        ! { true <&9 || true >&9; } 2> /dev/null && { command exec 9<> "$protoprimer_wait"; } 2> /dev/null; then
        set -C
        if { true > "$PROTOPRIMER_WAIT.claim"; } 2> /dev/null; then
            PROTOPRIMER_WAIT=9$PROTOPRIMER_WAIT
        else
            # Closed, as it would be waiting for itself.
            { exec 9>&- && read -r protoprimer_rest; } 2> /dev/null < "$protoprimer_wait" || exec 9>&-
            [ ! -r "$protoprimer_ready" ] || protoprimer_look
        fi
        set +C
    fi
    if [ "$protoprimer_fresh" = yes ]; then
@IDLE_LATER@        protoprimer_enter @START@@ARGUMENTS@
    fi
fi

"""

_SH_START = """\
@LEAD@exec "$protoprimer_python" $protoprimer_flags @START@ "$@"
":\"""
"""

# Some shells keep a descriptor to themselves that is not named here.
_SH_LEAD = """\
case ${PROTOPRIMER_WAIT-} in
    9*) exec "$protoprimer_python" $protoprimer_flags @START@ "$@" 9<&9 ;;
esac
"""

# Python 2.7 reads as far as this, so it is written for both.
_VERSION_CHECK = """\
if sys.version_info < (3, 6):
    sys.stderr.write("error: Python 3.6 or newer is needed; %s is %s\\n" % (sys.executable, sys.version.split()[0]))
    sys.exit(4)
"""

# Without single quotes: the kernel's own head carries it as a quoted argument.
_KEEPER = """\
def protoprimer_kept(path, facts, make):
    # Compiled once for each user, never into the checkout; what others could have written there is not used.
    import gc
    import marshal
    from binascii import crc32

    user = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}.get(sys.platform, "~/.cache")
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(user)
    place = os.environ.get("PROTOPRIMER_CACHE") or os.path.join(user, "protoprimer")
    place = os.path.join(place, "kernels")
    head = ascii((path,) + facts + (sys.version, sys.flags.optimize)).encode() + b" "
    compiled = os.path.join(place, "%08x-%s" % (crc32(os.fsencode(path)), sys.implementation.cache_tag))
    is_collecting = gc.isenabled()
    # Nothing of this is garbage, which a collector finds out again and again.
    gc.disable()
    try:
        with open(compiled, "rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read()
        body = memoryview(content)[len(head) + 8 :]
        is_ours = os.name == "nt" or (status.st_uid == os.geteuid() and not status.st_mode & 0o22)
        if is_ours and os.path.isabs(place) and content.startswith(head + b"%08x" % crc32(body)):
            return marshal.loads(body)
    except (OSError, ValueError, EOFError, TypeError):
        pass
    finally:
        if is_collecting:
            gc.enable()
    code = make()
    @KEEP@(compiled, head, marshal.dumps(code), os.path.dirname(user))
    return code
"""
_KEEP = """

def protoprimer_keep(compiled, head, body, user):
    from binascii import crc32

    place, unfinished = os.path.dirname(compiled), "%s.%d" % (compiled, os.getpid())
    try:
        if os.path.isabs(place) and os.path.isdir(user):
            for directory in (os.path.dirname(place), place):
                os.makedirs(directory, 0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as stream:
                stream.write(head + b"%08x" % crc32(body) + body)
            os.replace(unfinished, compiled)
    except OSError:
        pass
"""
_LOADER = """

def protoprimer_code(path):
    def compiled():
        with open(path, "rb") as stream:
            return compile(stream.read(), path, "exec", dont_inherit=True)

    status = os.stat(path)
    return protoprimer_kept(path, (status.st_mtime_ns, status.st_size, status.st_ino), compiled)


def protoprimer_kernel(path):
    if "proto_kernel" in sys.modules:
        return sys.modules["proto_kernel"]
    if not os.path.isfile(path):
        sys.stderr.write("error: the kernel is missing: %s; restore it from version control\\n" % path)
        sys.exit(3)
    kernel = sys.modules["proto_kernel"] = type(sys)("proto_kernel")
    kernel.__file__ = path
    exec(protoprimer_code(path), vars(kernel))
    return kernel
"""

# What a warm start does not run, what one that waits for another does not, and what no usual start does. They are
# strings in the entry script, since compiling them takes longer than running them.
_LATE = (
    _VERSION_CHECK
    + """
PROTOPRIMER_ENTRY = True
PROTOPRIMER_KERNEL = os.path.normpath(PROTOPRIMER_KERNEL)
PROTOPRIMER_WAIT = ""
# What has functions here is in a circle of references, which only the collector undoes at the end.
getattr(sys.modules.get("gc"), "unfreeze", int)()


def protoprimer_late(name, *arguments):
    while name not in globals():
        exec(PROTOPRIMER_LATER.pop(0), globals())
    return globals()[name](*arguments)


def protoprimer_start():
    # The kernel makes the environment ready, reports what is missing in it, or passes what the function asks for.
    os.environ.update(PROTOPRIMER_HELD)
    if os.environ.get("PROTOPRIMER_READY") == sys.prefix:
        protoprimer_late("protoprimer_hook")
    elif not sys.flags.isolated and os.name == "posix" and os.access(sys.executable or "", os.X_OK):
        # Neither this directory nor PYTHONPATH may stand in for the standard library.
        os.execv(sys.executable, [sys.executable, "-I"] + sys.argv)
@WAIT@    return protoprimer_late("protoprimer_kernel", PROTOPRIMER_KERNEL)


def protoprimer_lead():
    # The path where others wait in sh; after a 9 in the first of them, which has the FIFO there open.
    global PROTOPRIMER_WAIT
    PROTOPRIMER_WAIT = os.environ.pop("PROTOPRIMER_WAIT", "")
    if PROTOPRIMER_WAIT[:1] == "9":
        try:
            os.set_inheritable(9, False)
        except OSError:
            protoprimer_release()  # Whoever has started this has closed it.


def protoprimer_release():
    # Those that wait in sh for this process go on: it is done, or what follows may take long.
    global PROTOPRIMER_WAIT
    wait, PROTOPRIMER_WAIT = PROTOPRIMER_WAIT, PROTOPRIMER_WAIT.lstrip("9")
    if wait[:1] == "9":
        try:
            os.close(9)
        except OSError:
            pass
        try:
            os.unlink(PROTOPRIMER_WAIT + ".claim")
            # Who has started this may have it open, too: then a line for each makes up for the end of the file.
            fifo = os.open(PROTOPRIMER_WAIT + ".fifo", os.O_WRONLY | os.O_NONBLOCK)
            os.write(fifo, b"\\n" * 4096)
            os.close(fifo)
        except OSError:
            pass


def protoprimer_wait(ready, patience):
    # Of many that come at once one makes the environment; for a while the others wait here, where it costs the least.
    try:
        import fcntl
        import time

        # Kept open, and so locked, until this process ends or becomes another.
        lock = os.open(PROTOPRIMER_SCRIPT, os.O_RDONLY)
        end, pause, is_mine = time.monotonic() + patience, 0.001, False
        while not is_mine and time.monotonic() < end:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_mine = True
            except BlockingIOError:
                protoprimer_release()
                time.sleep(pause)
                pause = min(2 * pause, 0.01)
            if os.path.exists(ready):
                os.execv("/bin/sh", ["/bin/sh"] + sys.argv)
    except (ImportError, OSError):
        pass  # The kernel has a lock of its own.
"""
)
_LOAD = _KEEPER.replace("@KEEP@(", 'protoprimer_late("protoprimer_keep", ') + _LOADER
_RARE = (
    _KEEP
    + """

def protoprimer_failed():
    # Tells whether the present exception is the client's to show, or else the kernel's to explain.
    error = sys.exc_info()[1]
    if not callable(client) if "client" in globals() else isinstance(error, ImportError):
        return False
    if hasattr(error, "exit_code") and hasattr(error, "advice"):
        # A PrimerError of the client's: its text is the whole message.
        sys.stderr.write("error: %s\\n" % error)
        sys.exit(error.exit_code)
    protoprimer_hook()
    return True


def protoprimer_asks():
    # Tells whether the client's function has to be handed something.
    names = client.__code__.co_varnames[: client.__code__.co_argcount]
    return "primer" in names or len(names) > len(client.__defaults__ or ())


def protoprimer_returned(status):
    # Of what an async function or a generator does, nothing has been done.
    codes = [getattr(status, name) for name in ("cr_code", "ag_code", "gi_code") if hasattr(status, name)]
    if codes:
        getattr(status, "close", str)()
        sys.stderr.write("error: the client's main returned a %s, which nobody runs\\n" % type(status).__name__)
        sys.stderr.write("  where: %s:%d\\n" % (codes[0].co_filename, codes[0].co_firstlineno))
        sys.stderr.write("  next: make it a plain function, with asyncio.run inside where it awaits\\n")
        sys.exit(3)


def protoprimer_hook():
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = protoprimer_excepthook


def protoprimer_excepthook(kind, error, trace):
    while trace and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


class ProtoprimerImport:
    @staticmethod
    def create_module(spec):
        return protoprimer_late("protoprimer_kernel", PROTOPRIMER_KERNEL)

    @staticmethod
    def exec_module(module):
        module.answer_to_import()


def protoprimer_spec():
    from importlib.machinery import ModuleSpec

    return ModuleSpec("protoprimer", ProtoprimerImport)
"""
)
# Where sh would not have gone by what is ready, there is nothing to wait for.
_WAIT = """\
    else:
        protoprimer_lead()
        ready = os.path.join(os.path.dirname(PROTOPRIMER_SCRIPT), @STATE@, "ready")
        steering = [name for name in os.environ if name[:12] == "PROTOPRIMER_" and name != "PROTOPRIMER_CACHE"]
        if not (steering or @ASKED@os.path.exists(ready)):
            protoprimer_wait(ready, 1.5)
"""
# To Python, each name and each call in what follows costs microseconds at every start.
_PYTHON_HALF = (
    """\

import os
import sys

PROTOPRIMER_SCRIPT = os.path.realpath(__file__)
PROTOPRIMER_KERNEL = PROTOPRIMER_SCRIPT + "/../" + @KERNEL@
PROTOPRIMER_HELD = {}
# Strings, as a warm start has no time to compile what it does not run. The first has the function that gets the others.
PROTOPRIMER_LATE = r\"""
"""
    + _LATE
    + """\
\"""
PROTOPRIMER_LATER = [
    r\"""
"""
    + _LOAD
    + """\
\""",
    r\"\"\""""
    + _RARE
    + """\
\""",
]
protoprimer_late = None
@CALL@
    exec(PROTOPRIMER_LATE)
    sys.exit(protoprimer_late("protoprimer_start").@FUNCTION@(@MAIN@))
"""
)
_ONLY_KERNEL = """
if __name__ == "__main__":\
"""
_CALL = """
if __name__ == "__main__":
    try:
        if os.environ.get("PROTOPRIMER_READY") == sys.prefix@CONDITION@:
            for name in list(os.environ):
                if name.startswith("PROTOPRIMER_"):
                    PROTOPRIMER_HELD[name] = os.environ.pop(name)
            if "PROTOPRIMER_PATH" in PROTOPRIMER_HELD:
                sys.path += PROTOPRIMER_HELD["PROTOPRIMER_PATH"].split(os.pathsep)
            import gc

            # What is there by now stays to the end, when looking through it would take longer than all of this.
            getattr(gc, "freeze", int)()
            @IMPORT@
@ENTER@
    except SystemExit:
        raise
    except BaseException:
        exec(PROTOPRIMER_LATE)
        if protoprimer_late("protoprimer_failed"):
            raise\
"""
_ENTER_CLIENT = """
            def protoprimer_find(name, path=None, target=None):
                # Answers a late "import protoprimer" where the environment has no package of that name.
                if name == "protoprimer":
                    exec(PROTOPRIMER_LATE, globals())
                    return protoprimer_late("protoprimer_spec")

            sys.meta_path.append(type(sys.implementation)(find_spec=protoprimer_find))
            # This module holds no function that holds it, so without the collector all of it goes at the end.
            del protoprimer_find
            status = client()
            if not (status is None or isinstance(status, int)):
                exec(PROTOPRIMER_LATE)
                protoprimer_late("protoprimer_returned", status)
            sys.exit(status)\
"""
_ENTER_BOOT = """\
            code = getattr(client, "__code__", None)
            if code and code.co_argcount:
                exec(PROTOPRIMER_LATE)
            if code and not (code.co_argcount and protoprimer_late("protoprimer_asks")):\
""" + _ENTER_CLIENT.replace("\n    ", "\n        ")

# The kernel itself, as an entry script. One that is packed has the keeper among its functions; the head reads it there.
_KERNEL_PROGRAM = (
    """
import os
import sys
"""
    + _VERSION_CHECK
    + """\
if not sys.flags.isolated:
    os.execv(sys.executable, [sys.executable, "-I"] + sys.argv[1:])
PROTOPRIMER_ENTRY = True
@KEEPER@"""
    + _LOADER
    + """\
del sys.argv[0]
sys.exit(protoprimer_kernel(os.path.realpath(sys.argv[0])).boot_env(None))
"""
)
_KEEPER_MARK = "# ---- the head reads this, too"
_READ_KEEPER = """\
with open(sys.argv[1], encoding="utf-8") as stream:
    exec(stream.read().split("# ---- " "%s")[1])
""" % _KEEPER_MARK[7:]


def entry_text(
    kind: str, main: "str | None", kernel: str, state_directory: str = DEFAULT_STATE_DIRECTORY, title: str = ""
) -> str:
    """Return the text of an entry script.

    :param kind: one of `KINDS`
    :param main: the client's function as `package.module:function`; `None` only for `boot`
    :param kernel: path of the kernel relative to the script's directory, with slashes
    :param state_directory: path of the state directory relative to the script's directory, with slashes
    :raises UsageError: exit code 2: a name that cannot be written into a script
    """
    for text in (kernel, state_directory, main or "", title):
        if any(character in text for character in "\"'\\\r\n"):
            raise UsageError("a quote, backslash or line end cannot be in an entry script: %r" % text)
    title = title or "Entry script of %s, written by protoprimer." % (main or "this repository")
    text = _sh_half(kind, main, state_directory, title, '"$protoprimer_script"') + _PYTHON_HALF
    for name, value in (
        ("@WAIT@", "" if kind == "start" else _WAIT),
        ("@STATE@", _python_literal(state_directory)),
        ("@ASKED@", "sys.argv[1:] or " if kind == "boot" else ""),
        ("@CALL@", _ONLY_KERNEL if main is None else _CALL),
        ("@CONDITION@", " and len(sys.argv) == 1" if kind == "boot" else ""),
        ("@IMPORT@", _client_import(main or "")),
        ("@ENTER@", _ENTER_BOOT if kind == "boot" else _ENTER_CLIENT),
        ("@KERNEL@", _python_literal(kernel)),
        ("@FUNCTION@", KINDS[kind]),
        ("@MAIN@", _python_literal(main)),
    ):
        text = text.replace(name, value)
    return text


def entry_main(text: str) -> "str | None":
    """Return the client's function that an entry script of ours names."""
    _, _, after = text.rpartition('sys.exit(protoprimer_late("protoprimer_start").')
    literal = after.partition("(")[2].partition(")")[0]
    return literal[1:-1] if literal[:1] == '"' else None


def kernel_head(title: str, is_packed: bool = False) -> str:
    """Return the lines that make the kernel itself an entry script: of kind `boot`, without a client's function.

    :param is_packed: what comes after them has `kernel_keeper` in it
    """
    start = '-c "$protoprimer_program" "$protoprimer_script"'
    program = _KERNEL_PROGRAM.replace("@KEEPER@", _READ_KEEPER if is_packed else _whole_keeper())
    return _sh_half("boot", None, DEFAULT_STATE_DIRECTORY, title, start, "protoprimer_program='%s'\n" % program)


def kernel_keeper() -> str:
    """Return the functions of a packed kernel that keep compiled code, `protoprimer_kept` first, between marks."""
    return "%s\n%s%s\n" % (_KEEPER_MARK, _whole_keeper(), _KEEPER_MARK)


def _whole_keeper() -> str:
    return _KEEPER.replace("@KEEP@", "protoprimer_keep") + _KEEP


def relative_path(path: str, directory: str) -> str:
    """Return `path` relative to `directory`, with slashes, links resolved in both."""
    found = os.path.relpath(os.path.realpath(path), os.path.realpath(directory))
    return found.replace(os.sep, "/")


def _sh_half(kind: str, main: "str | None", state: str, title: str, start: str, program: str = "") -> str:
    is_boot = kind == "boot"
    is_idle = is_boot and main is None
    waits = kind != "start" and not program
    text = _SH_HALF.replace("@ENTER@\n", program + _SH_ENTER + (_SH_WAIT if waits else "")) + _SH_START
    for name, value in (
        ("@TITLE@", title),
        ("@STATE@", state),
        ("@FORMAT@", READY_FORMAT),
        # Some that are not out yet: an entry script is older than the host it comes to.
        ("@NAMES@", " ".join(["3.%d" % minor for minor in range(18, 5, -1)] + ["3.15t", "3.14t", "3.13t"])),
        ("@FAST@", '{ [ $# -eq 0 ] || [ "$*" = boot ]; } && ' if is_boot else ""),
        ("@ALONE@", "[ $# -eq 0 ] && " if is_boot else ""),
        ("@UNSTEERED@", _unset_for_sh(sorted(INPUT_VARIABLES))),
        ("@IDLE_LATER@", "    @IDLE@" if is_idle else ""),
        ("@IDLE@", '    [ -n "$protoprimer_work" ] || exit 0\n' if is_idle else ""),
        ("@LEAD@", _SH_LEAD if waits else ""),
        ("@START@", start),
        ("@ARGUMENTS@", "" if is_boot else ' "$@"'),
    ):
        text = text.replace(name, value)
    return text


def _unset_for_sh(names: "list[str]") -> str:
    """Return the condition that none of these variables is set, in lines that are not too long."""
    lines = ["".join("${%s-}" % name for name in names[start : start + 4]) for start in range(0, len(names), 4)]
    return " &&\n    ".join('[ -z "%s" ]' % line for line in lines)


def _client_import(main: str) -> str:
    """Return the lines that import the client's function; the usual ones are compiled faster."""
    from keyword import iskeyword

    module, _, name = main.partition(":")
    words = module.split(".") + [name]
    if ascii(main) == repr(main) and not any(iskeyword(word) or not word.isidentifier() for word in words):
        return "from %s import %s as client" % (module, name)
    lines = "__import__(%s)\n            client = getattr(sys.modules[%s], %s, None)"
    return lines % (_python_literal(module), _python_literal(module), _python_literal(name))


def _python_literal(text: "str | None") -> str:
    return ascii(text).replace("'", '"')
