"""The author's command line: `init`, `entry` and `kernel`, of the package and of the kernel file alike."""

import sys

from protoprimer.authoring.init import add_entry, initialise, refuse_foreign_file, remove_all
from protoprimer.authoring.kernel import update_kernel, verify_kernel, write_kernel
from protoprimer.errors import PrimerError
from protoprimer.system.console import Console, print_out
from protoprimer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

__all__ = ["AUTHOR_COMMANDS", "author_main"]

AUTHOR_COMMANDS = ("init", "entry", "kernel")
_INTERRUPTED = 130


def author_main(program: str, arguments: "list[str]") -> int:
    """Run the command that the arguments name; return the exit status.

    :param program: how it was called, for the help
    """
    console = Console()
    try:
        return _run(_author_parser(program).parse_args(arguments), console)
    except PrimerError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.error("interrupted")
        return _INTERRUPTED


def _author_parser(program: str) -> "ArgumentParser":
    import argparse

    class Parser(argparse.ArgumentParser):
        def _print_message(self, message: str, file: "Any" = None) -> None:
            # Help and version: else a closed pipe, or a full disk, would be a traceback.
            print_out(message, end="") if file is sys.stdout else super()._print_message(message, file)

    parser = Parser(prog=program, description="for authors of repositories")
    parser.add_argument("--version", action="version", version="protoprimer " + VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    # An argument of `add_subparsers` only since Python 3.7.
    commands.required = True
    foreign = "overwrite files of these names that are not ours"
    init = commands.add_parser("init", help="write prime and the kernel into a repository")
    init.add_argument("directory", metavar="DIR", nargs="?", default=".", help="default: this directory")
    init.add_argument("--main", metavar="MODULE:FUNC", help="the function that ./prime runs in the ready environment")
    _add_flags(
        init,
        windows="write prime.cmd, too",
        dry_run="say what would be written, write nothing",
        remove="take away all that init and ./prime have written",
        force=foreign,
    )
    entry = commands.add_parser("entry", help="write another entry script")
    entry.add_argument("path", metavar="PATH")
    entry.add_argument("main", metavar="MODULE:FUNC")
    kind = entry.add_mutually_exclusive_group()
    kind.add_argument("--boot", dest="kind", action="store_const", const="boot", help="with protoprimer's command line")
    kind.add_argument("--start", dest="kind", action="store_const", const="start", help="never provision")
    entry.set_defaults(kind="run")
    entry.add_argument("--kernel", help="default: the nearest one upwards, within the repository")
    _add_flags(entry, force=foreign)
    kernel = commands.add_parser("kernel", help="write the stand-alone kernel, check, or renew one")
    kernel.add_argument("action", choices=["write", "verify", "update"])
    kernel.add_argument("path", metavar="PATH")
    _add_flags(kernel, force="for write: " + foreign, check="for update: only tell whether there is one")
    return parser


def _add_flags(parser: "ArgumentParser", **flags: str) -> None:
    for name, told in flags.items():
        parser.add_argument("--" + name.replace("_", "-"), action="store_true", help=told)


def _run(options: "Namespace", console: Console) -> int:
    if options.command == "init" and options.remove:
        remove_all(options.directory, console, options.dry_run)
    elif options.command == "init":
        initialise(options.directory, console, options.main, options.windows, options.dry_run, options.force)
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
        verify_kernel(options.path)
    return 0
