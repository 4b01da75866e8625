"""The kernel that this repository's own `prime` loads: the package, from source, in place of a generated file."""

import os
import sys

_SOURCES = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _SOURCES)

import protoprimer  # noqa: E402 - the path is completed above

protoprimer.__path__.append(os.path.dirname(_SOURCES))

from protoprimer.primer_kernel import boot_env, get_config, run_main, start_app  # noqa: E402 - as above

__all__ = ["boot_env", "get_config", "run_main", "start_app"]
