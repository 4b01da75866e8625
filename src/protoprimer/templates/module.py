"""What `import protoprimer` gives in this environment: the kernel of the repository that the environment is for.

Written by protoprimer into each environment that has no package of this name.
"""

import os
import sys
from importlib import machinery, util

KERNEL, CACHE = "proto_kernel.py", ""


def _loaded_kernel():
    """Return the kernel as a module: the one that is loaded already, or else from its file."""
    found = sys.modules.get("proto_kernel")
    if found is not None and os.path.realpath(getattr(found, "__file__", None) or "") == os.path.realpath(KERNEL):
        return found
    loader = machinery.SourceFileLoader("proto_kernel", KERNEL)
    kernel = sys.modules["proto_kernel"] = util.module_from_spec(util.spec_from_loader("proto_kernel", loader))
    kept = sys.dont_write_bytecode, getattr(sys, "pycache_prefix", None)
    # As in entry scripts: its bytecode is kept in the user's cache, never in the checkout.
    is_lasting = sys.version_info >= (3, 8) and os.path.isdir(CACHE)
    sys.dont_write_bytecode, sys.pycache_prefix = not is_lasting, CACHE + "/pyc"
    try:
        code = loader.get_code("proto_kernel")
    except (OSError, SyntaxError) as error:
        del sys.modules["proto_kernel"]
        raise ImportError("the kernel of this environment cannot be loaded: %s; run ./prime" % error) from None
    finally:
        sys.dont_write_bytecode, sys.pycache_prefix = kept
    exec(code, vars(kernel))
    return kernel


# A kernel that only loads the package from a checkout brings that; then it answers instead of this module.
_this = sys.modules.pop(__name__)
primer_kernel = _loaded_kernel()
if sys.modules.setdefault(__name__, _this) is _this:
    primer_kernel.answer_to_import()
    __all__ = list(primer_kernel.__all__)
    __version__ = primer_kernel.__version__
    globals().update({name: getattr(primer_kernel, name) for name in __all__})
