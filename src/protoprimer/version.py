"""The one place where the version stands, and the mark by which this package is told from others of its name."""

__all__ = ["PROTOPRIMER_MARK", "VERSION"]

VERSION = "0.1.0"

# Read as text by `store.carried`, in packages that may be anybody's: this line is never to change.
PROTOPRIMER_MARK = "from any Python into the environment of a repository"
