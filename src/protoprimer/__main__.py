"""`python -m protoprimer` and the console script `protoprimer`: the author's command line."""

import os
import sys

if "protoprimer.backends" not in sys.modules and not os.path.isdir(os.path.join(os.path.dirname(__file__), "backends")):
    # In a checkout, backends/ stands at the top of the tree.
    __import__("protoprimer").__path__.append(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    )

from protoprimer.authoring.author import author_main

__all__ = ["main"]


def main() -> int:
    """Run the command that this process' arguments name; return the exit status."""
    is_module = os.path.basename(sys.argv[0]) == "__main__.py"
    return author_main("python -m protoprimer" if is_module else "protoprimer", sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
