"""The one place where the version stands, and the mark by which this package is told from others of its name."""

__all__ = ["MARK_LINE", "PROTOPRIMER_MARK", "VERSION"]

VERSION = "0.1.0"

# Read as text by `store.carried`, in packages that may be anybody's: this line is never to change.
PROTOPRIMER_MARK = "from any Python into the environment of a repository"

# The line above, by which the text of this package and of a kernel is known.
MARK_LINE = 'PROTOPRIMER_MARK = "%s"' % PROTOPRIMER_MARK
