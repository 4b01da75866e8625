"""From any Python into a repository's own environment: one committed file, one command."""

__version__ = "0.1.0"
