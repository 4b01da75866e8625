"""An interpreter, and one that cannot serve: what was found out about them, as values."""

from typing import Any, NamedTuple

__all__ = ["Interpreter", "InterpreterRefusal"]


class Interpreter:
    """A Python that can be the base of environments: never one inside an environment, never a link to elsewhere."""

    executable: str  # the one that stands with its standard library
    base_executable: str
    version: str  # in full, such as 3.14.0rc1
    version_info: "tuple[int, int, int]"
    implementation: str  # as sys.implementation.name
    base_prefix: str
    stdlib: str
    platform: str
    libc: str
    free_threaded: bool
    debug: bool
    has_venv: bool
    found_in_environment: bool  # of which it is the base

    def __init__(self, facts: "dict[str, Any]", origin: str) -> None:
        vars(self).update(facts, version_info=tuple(facts["version_info"]))
        self.origin = origin

    def as_dict(self) -> "dict[str, object]":
        known = dict(vars(self), version_info=list(self.version_info))
        # It depends on how it was found.
        del known["found_in_environment"]
        return known

    def __str__(self) -> str:
        kind = {"cpython": "CPython", "pypy": "PyPy"}.get(self.implementation, self.implementation)
        version = self.version
        if self.free_threaded:
            version += "t"
        return "%s %s (%s, %s)" % (kind, version, self.executable, self.origin)


class InterpreterRefusal(NamedTuple):
    """A file that looked like an interpreter, and why it cannot serve."""

    path: str
    reason: str
    version: str = ""
    origin: str = ""
