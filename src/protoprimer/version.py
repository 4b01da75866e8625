"""The one place where the version stands."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
