"""The author's command line: `init`, `entry` and `kernel`, of the package and of the kernel file alike."""

import sys
from typing import Any

from protoprimer.authoring.init import InitOptions, add_entry, initialise, refuse_foreign_file, remove_all
from protoprimer.authoring.kernel import offered_kernel, update_kernel, verify_kernel, write_kernel
from protoprimer.errors import PrimerError
from protoprimer.system.console import Console, print_out
from protoprimer.version import VERSION

__all__ = ["AUTHOR_COMMANDS", "author_main"]

AUTHOR_COMMANDS = ("init", "entry", "kernel")
_INTERRUPTED = 130


def author_main(program: str, arguments: "list[str]") -> int:
    """Run the command that the arguments name; return the exit status."""
    console = Console()
    try:
        _run(_author_parser(program).parse_args(arguments), console)
    except PrimerError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.error("interrupted")
        return _INTERRUPTED
    return 0


def _author_parser(program: str) -> Any:
    import argparse

    class Parser(argparse.ArgumentParser):
        def _print_message(self, message: str, file: Any = None) -> None:
            # Else a closed pipe, or a full disk, would be a traceback.
            print_out(message, end="") if file is sys.stdout else super()._print_message(message, file)

        def add_flag(self, name: str, told: str) -> None:
            self.add_argument(name, action="store_true", help=told)

    parser = Parser(prog=program, description="for authors of repositories")
    # Python 3.14 would paint its help; we print what is plain.
    parser.color = False  # type: ignore[attr-defined,unused-ignore]
    parser.add_argument("--version", action="version", version="protoprimer " + VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    # An argument of `add_subparsers` only since Python 3.7.
    commands.required = True
    foreign = "overwrite files of these names that are not ours"
    init = commands.add_parser("init", help="write prime and the kernel into a repository")
    init.add_argument("directory", metavar="DIR", nargs="?", default=".", help="default: this directory")
    init.add_argument("--main", metavar="MODULE:FUNC", help="the function that ./prime runs in the ready environment")
    told = "write protoprimer.toml, which installs these projects; may be repeated"
    init.add_argument("--install", metavar="GLOB", action="append", default=[], help=told)
    init.add_flag("--windows", "write prime.cmd, too")
    init.add_flag("--dry-run", "say what would be written, write nothing")
    init.add_flag("--remove", "take away all that init and ./prime have written")
    init.add_flag("--force", foreign)
    entry = commands.add_parser("entry", help="write another entry script")
    entry.add_argument("path", metavar="PATH")
    entry.add_argument("main", metavar="MODULE:FUNC")
    kind = entry.add_mutually_exclusive_group()
    kind.add_argument("--boot", dest="kind", action="store_const", const="boot", help="with protoprimer's command line")
    kind.add_argument("--start", dest="kind", action="store_const", const="start", help="never provision")
    entry.set_defaults(kind="run")
    entry.add_argument("--kernel", help="default: the nearest one upwards, within the repository")
    entry.add_flag("--force", foreign)
    kernel = commands.add_parser("kernel", help="write the stand-alone kernel, check, or renew one")
    kernel.add_argument("action", choices=["write", "verify", "update"])
    kernel.add_argument("path", metavar="PATH")
    kernel.add_flag("--force", "for write: " + foreign)
    kernel.add_flag("--check", "for update: only tell whether there is one")
    kernel.add_argument("--from", dest="offered", metavar="FILE", help="for update: the newer kernel; it is not run")
    kernel.add_argument("--sha256", metavar="HASH", help="for verify and --from: what the release states")
    return parser


def _run(options: Any, console: Console) -> None:
    if options.command == "init" and options.remove:
        remove_all(options.directory, console, options.dry_run)
    elif options.command == "init":
        chosen = InitOptions(options.main, options.windows, options.dry_run, options.force, options.install)
        initialise(options.directory, console, chosen)
    elif options.command == "entry":
        add_entry(options.path, options.main, options.kind, console, options.kernel, options.force)
    elif options.action == "write":
        refuse_foreign_file(options.path, options.force)
        console.say("written: %s, %.0f KB" % (options.path, write_kernel(options.path) / 1000))
    elif options.action == "update":
        newer = offered_kernel(options.offered, options.sha256) if options.offered else None
        console.say(update_kernel(options.path, options.check, newer))
    else:
        console.say(verify_kernel(options.path, options.sha256))
