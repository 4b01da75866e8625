"""From any Python into a repository's own environment: one committed file, one command.

What client code uses is here: `state`, `lazy`, `get_config`, `PrimerError`, `run_main`, `boot_env`, `start_app`. Where
this package is not installed, the repository's kernel answers to `import protoprimer` with the same.
"""

from protoprimer.version import VERSION as __version__  # noqa: N811 - what everybody calls it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protoprimer.primer_kernel import (
        Primer,
        PrimerError,
        StateGraph,
        boot_env,
        get_config,
        lazy,
        run_main,
        start_app,
        state,
    )

__all__ = [
    "Primer",
    "PrimerError",
    "StateGraph",
    "__version__",
    "boot_env",
    "get_config",
    "lazy",
    "run_main",
    "start_app",
    "state",
]


def __getattr__(name: str) -> object:
    # Asked for late: the kernel's modules import this package first, and `__version__` alone needs none of them.
    if name in __all__:
        from protoprimer import primer_kernel

        return getattr(primer_kernel, name)
    raise AttributeError("module 'protoprimer' has no attribute %r" % name)
