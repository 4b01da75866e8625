"""What a client's function asks for: the names of its parameters, and what kind of function it is."""

from typing import Any, NamedTuple

__all__ = ["Signature", "signature_inside", "signature_of"]

# As in `inspect`, which takes longer to import than the kernel to start.
_CO_VARARGS = 0x04
_CO_VARKEYWORDS = 0x08
_CO_GENERATOR = 0x20
_CO_COROUTINE = 0x80
_CO_ASYNC_GENERATOR = 0x200


class Signature(NamedTuple):
    """The parameters of a function, those first that may be given by position."""

    function_name: str
    place: str
    positional: "list[str]"
    keyword_only: "list[str]"
    defaults: "dict[str, object]"
    has_unnamed: bool  # `*args`, `**kwargs`, or parameters before a `/`
    is_async: bool
    is_generator: bool

    def names(self) -> "list[str]":
        """Return the names of all its parameters."""
        return self.positional + self.keyword_only

    def required(self) -> "list[str]":
        """Return the names of those without default."""
        return [name for name in self.names() if name not in self.defaults]


def signature_of(function: Any) -> "Signature | None":
    """Return a function's own signature; `None` for what is called but no Python function."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    names_end = code.co_argcount + code.co_kwonlyargcount
    positional = list(code.co_varnames[: code.co_argcount])
    keyword_only = list(code.co_varnames[code.co_argcount : names_end])
    defaults = dict(function.__kwdefaults__ or {})
    # The last ones have the defaults.
    for name, value in zip(reversed(positional), reversed(function.__defaults__ or ())):
        defaults[name] = value
    if getattr(function, "__self__", None) is not None:
        # A bound method has been given its first one.
        positional = positional[1:]
    flags = code.co_flags
    has_positional_only = getattr(code, "co_posonlyargcount", 0) > 0
    return Signature(
        function_name=function.__name__,
        place="%s:%d" % (code.co_filename, code.co_firstlineno),
        positional=positional,
        keyword_only=keyword_only,
        defaults=defaults,
        has_unnamed=has_positional_only or bool(flags & (_CO_VARARGS | _CO_VARKEYWORDS)),
        is_async=bool(flags & (_CO_COROUTINE | _CO_ASYNC_GENERATOR)),
        is_generator=bool(flags & _CO_GENERATOR),
    )


def signature_inside(function: Any) -> "Signature | None":
    """Return the signature of the function that decorators have wrapped, if they tell it as `functools.wraps` does."""
    declared = function
    while hasattr(declared, "__wrapped__"):
        declared = declared.__wrapped__
    return signature_of(declared)
