"""The author's command line: `python -m protoprimer init|entry|kernel`."""

import argparse
import os
import sys

if "protoprimer.backends" not in sys.modules and not os.path.isdir(os.path.join(os.path.dirname(__file__), "backends")):
    # In a checkout, backends/ stands at the top of the tree.
    __import__("protoprimer").__path__.append(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    )

from protoprimer.authoring.init import add_entry, initialise, refuse_foreign_file
from protoprimer.authoring.kernel import kernel_drift, update_kernel, write_kernel
from protoprimer.errors import PrimerError
from protoprimer.system.console import Console, print_out
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: "Any" = None) -> None:
        # Else a closed pipe would be a traceback.
        if file is not None and file is sys.stdout:
            print_out(message, end="")
        else:
            super()._print_message(message, file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m protoprimer", description="for authors of repositories")
    parser.add_argument("--version", action="version", version="protoprimer " + VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    init = commands.add_parser("init", help="write prime and the kernel into a repository")
    init.add_argument("directory", metavar="DIR", nargs="?", default=".")
    init.add_argument("--force", action="store_true", help="overwrite files of these names that are not ours")
    entry = commands.add_parser("entry", help="write another entry script")
    entry.add_argument("path", metavar="PATH")
    entry.add_argument("main", metavar="MODULE:FUNC")
    kind = entry.add_mutually_exclusive_group()
    kind.add_argument("--boot", dest="kind", action="store_const", const="boot", help="with protoprimer's command line")
    kind.add_argument("--start", dest="kind", action="store_const", const="start", help="never provision")
    entry.set_defaults(kind="run")
    entry.add_argument("--kernel", help="default: the nearest one upwards, within the repository")
    entry.add_argument("--force", action="store_true", help="overwrite a file that is not ours")
    kernel = commands.add_parser("kernel", help="write the stand-alone kernel, check, or renew one")
    kernel.add_argument("action", choices=["write", "verify", "update"])
    kernel.add_argument("path", metavar="PATH")
    kernel.add_argument("--force", action="store_true", help="for write: overwrite a file that is not ours")
    kernel.add_argument("--check", action="store_true", help="for update: only tell whether there is one")
    return parser


def _run(options: argparse.Namespace, console: Console) -> int:
    if options.command == "init":
        initialise(options.directory, console, options.force)
    elif options.command == "entry":
        add_entry(options.path, options.main, options.kind, console, options.kernel, options.force)
    elif options.action == "write":
        refuse_foreign_file(options.path, options.force)
        console.say("written: %s, %d KB" % (options.path, -(-write_kernel(options.path) // 1000)))
    elif options.action == "update":
        told = update_kernel(options.path, options.check)
        if told:
            print_out(told)
    else:
        drift = kernel_drift(options.path)
        if drift is not None:
            console.error(drift)
            return 1
    return 0


def main() -> int:
    """Run the command that the arguments name; return the exit status."""
    console = Console()
    try:
        return _run(_parser().parse_args(), console)
    except PrimerError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.error("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
