"""From any Python into a repository's own environment: one committed file, one command."""

from protoprimer.version import VERSION as __version__

__all__ = ["__version__"]
