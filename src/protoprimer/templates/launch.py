"""Runs a client's function in this clone's environment: launch.py KIND MODULE:FUNCTION SCRIPT [ARGUMENT...].

Written by protoprimer; `ready` beside it starts this, and so does the kernel.
"""

import os
import sys

PROTOPRIMER_LAUNCH = __file__
# No client code and no child sees these; `get_config` still has to know them.
PROTOPRIMER_HELD = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PROTOPRIMER_")}
KIND, MAIN = sys.argv[1:3]
# The rest is as if the entry script itself ran here: what it is called, its path, and its arguments.
del sys.argv[:3]
__file__ = os.path.realpath(sys.argv[0])
# By this name, processes that multiprocessing spawns do not run the main script again.
__spec__ = type(sys.__spec__)("__main__", globals().get("__loader__"))
sys.path += filter(None, PROTOPRIMER_HELD.get("PROTOPRIMER_PATH", "").split(os.pathsep))


def client_main():
    """Return the client's function, or nothing where the kernel has to look: it is missing, or wants more."""
    module, _, name = MAIN.partition(":")
    try:
        __import__(module)
    except ImportError:
        return None
    function = getattr(sys.modules[module], name, None)
    code = getattr(function, "__code__", None)
    if code is None:
        return function if callable(function) else None
    wanted = code.co_varnames[: code.co_argcount]
    # In these three bits of co_flags, Python marks generators, coroutines and asynchronous generators.
    is_plain = len(wanted) <= len(function.__defaults__ or ()) and "primer" not in wanted and not code.co_flags & 0x2A0
    return function if is_plain else None


def show_error(kind, error, trace):
    """Show an exception without the frames of this file."""
    while trace is not None and trace.tb_frame.f_code.co_filename == PROTOPRIMER_LAUNCH:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def run():
    """Call the client's function, or let the entry script load the kernel, and end with the status."""
    is_here = PROTOPRIMER_HELD.get("PROTOPRIMER_READY") == sys.prefix
    function = client_main() if is_here and not (KIND == "boot" and sys.argv[1:]) else None
    if function is not None:
        sys.exit(function())
    os.environ.update(PROTOPRIMER_HELD)
    kernel = sys.modules.get("proto_kernel")
    if kernel is not None:
        # The client has imported it: a second one would know nothing of the states that were declared.
        getattr(kernel, {"run": "run_main", "boot": "boot_env", "start": "start_app"}[KIND])(MAIN, __file__)
    with open(__file__, "rb") as script:
        text = script.read()
    exec(compile(text, __file__, "exec"), globals())


if __name__ == "__main__":
    try:
        run()
    except (Exception, KeyboardInterrupt) as error:
        if hasattr(error, "exit_code") and hasattr(error, "advice"):
            # A PrimerError of the client's: its text is the whole message.
            sys.stderr.write("error: %s\n" % error)
            sys.exit(error.exit_code)
        if sys.excepthook is sys.__excepthook__:
            sys.excepthook = show_error
        raise
