import os
import sys

if sys.version_info < (3, 6):
    sys.stderr.write("error: Python 3.6 or newer is needed; %s is %s\n" % (sys.executable, sys.version.split()[0]))
    sys.exit(4)
if not sys.flags.isolated and os.name == "posix":  # Nothing here or on PYTHONPATH may hide the standard library.
    os.execv(sys.executable, [sys.executable, "-I"] + sys.argv)
from importlib import machinery, util

loader = machinery.SourceFileLoader("proto_kernel", os.path.realpath(__file__ + "/../proto_kernel.py"))
kernel = sys.modules["proto_kernel"] = util.module_from_spec(util.spec_from_loader("proto_kernel", loader))
cache = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}.get(sys.platform, "~/.cache")
cache = os.getenv("PROTOPRIMER_CACHE", os.getenv("XDG_CACHE_HOME", os.path.expanduser(cache)) + "/protoprimer")
try:  # Bytecode of the kernel is kept in the cache of this user, never here.
    sys.dont_write_bytecode, sys.pycache_prefix = sys.version_info < (3, 8) or not os.path.isdir(cache), cache + "/pyc"
    code = loader.get_code("proto_kernel")
    sys.dont_write_bytecode, sys.pycache_prefix = bool(sys.flags.dont_write_bytecode), None
    exec(code, vars(kernel))
    serve = kernel.run_main
except (Exception, KeyboardInterrupt) as error:
    sys.stderr.write("error: cannot load %s (%s: %s); restore it\n" % (loader.path, type(error).__name__, error))
    sys.exit(130 if isinstance(error, KeyboardInterrupt) else 3)
serve("app.cli:main", __file__)
