"""Runs a client's function in this clone's environment: launch.py KIND MODULE:FUNCTION SCRIPT [ARGUMENT...].

Written by protoprimer. `ready` and the kernel start it. Python compiles it each time, so it is short.
"""

import os
import sys

# No client code and no child sees these; `get_config` still has to know them.
PROTOPRIMER_HELD = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PROTOPRIMER_")}
kind, main = sys.argv[1:3]
# The rest is as if the entry script itself ran here: what it is called, its arguments, its path.
del sys.argv[:3]
__file__ = os.path.realpath(sys.argv[0])
# By this name, processes that multiprocessing spawns do not run the main script again.
__spec__ = type(sys.__spec__)("__main__", globals().get("__loader__"))
sys.path += filter(None, PROTOPRIMER_HELD.get("PROTOPRIMER_PATH", "").split(os.pathsep))
try:
    function = None
    if PROTOPRIMER_HELD.get("PROTOPRIMER_READY") == sys.prefix and (kind != "boot" or not sys.argv[1:]):
        module, _, name = main.partition(":")
        try:
            __import__(module)
            function = getattr(sys.modules[module], name, None)
        except ImportError:
            pass
    code = getattr(function, "__code__", None)
    if code:
        wanted = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        has_required = len(wanted) > len(function.__defaults__ or ()) + len(function.__kwdefaults__ or ())
        # Inside a decorator may be a function that asks for the primer.
        may_want = "primer" in wanted or (kind == "boot" and hasattr(function, "__wrapped__"))
        # These bits of co_flags mark generators, coroutines and asynchronous generators.
        if may_want or has_required or code.co_flags & 0x2A0:
            function = None
    if callable(function):
        sys.exit(function())
    # It is missing, or wants something: that is for the kernel, which the entry script loads.
    os.environ.update(PROTOPRIMER_HELD)
    kernel = sys.modules.get("proto_kernel")
    if kernel:
        # The client has imported it: a second one would know nothing of the states that were declared.
        getattr(kernel, {"run": "run_main", "boot": "boot_env", "start": "start_app"}[kind])(main, __file__)
    with open(__file__, "rb") as script:
        text = script.read()
    exec(compile(text, __file__, "exec"))
except (Exception, KeyboardInterrupt) as error:
    if hasattr(error, "exit_code") and hasattr(error, "advice"):
        # A PrimerError of the client's: its text is the whole message.
        sys.stderr.write("error: %s\n" % error)
        sys.exit(error.exit_code)
    if sys.excepthook is sys.__excepthook__:
        # Without the frame of this file, which is the first.
        sys.excepthook = lambda kind, error, trace: sys.__excepthook__(kind, error.with_traceback(trace.tb_next), None)
    raise
