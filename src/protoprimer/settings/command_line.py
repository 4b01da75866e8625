"""The one command line: the same before and after the switch into the environment."""

from protoprimer.errors import UsageError, nearest_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["COMMANDS", "OPTIONS", "CommandLine", "Option", "help_text", "parse_command_line"]


class Option:
    """An option of the command line.

    :param names: its spellings, the long one first
    :param metavar: what its value is called in the help; `None` if it takes none
    :param meaning: one phrase for the help
    :param commands: the commands that know it; `None` is all of them
    :param choices: the only values it takes, if not any
    """

    def __init__(
        self,
        names: "tuple[str, ...]",
        metavar: "str | None",
        meaning: str,
        commands: "tuple[str, ...] | None" = None,
        choices: "tuple[str, ...] | None" = None,
    ) -> None:
        self.names = names
        self.metavar = metavar
        self.meaning = meaning
        self.commands = commands
        self.choices = choices
        self.key = names[0].lstrip("-")

    def belongs_to(self, command: str) -> bool:
        """Tell whether `command` knows this option."""
        return self.commands is None or command in self.commands


COMMANDS = {
    "boot": "ready environment, then the client's main if there is one (the default)",
    "reboot": "the same from scratch, with the pins as they are",
    "lock": "resolve and write the pins",
    "run": "run a command inside the environment",
    "shell": "a shell with the environment active",
    "uv": "the verified uv that this repository is pinned to, as itself",
    "pip": "pip, for this environment",
    "env": "the environments, and which is chosen; with a name: choose it",
    "eval": "the effective configuration, each value with the leap it came from",
    "check": "what this host can do, and the environment's health",
    "graph": "the states and what is done",
    "matrix": "provision and run on many Pythons",
    "bundle": "everything that a host without network needs",
    "gc": "remove generations and cached environments that are not needed",
    "completion": "shell completion for bash, zsh or fish",
    "help": "this text, or that of one command",
}  # type: dict[str, str]

OPTIONS = [
    Option(("--env", "-e"), "NAME", "the named environment; remembered for this clone"),
    Option(("--backend",), "NAME", "auto, uv, virtualenv, venv, a list with commas, or a path"),
    Option(("--python",), "SPEC", "the Python to use: a version or specifier (matrix: several, with commas)"),
    Option(("--offline",), None, "touch no network"),
    Option(("--bundle",), "PATH", "take packages and tools from this bundle alone"),
    Option(("--dry-run",), None, "say what would be done, do nothing"),
    Option(("--target",), "NAME", "stop at this state", ("boot", "reboot", "graph")),
    Option(("--verbose", "-v"), None, "more words; twice: children's output too"),
    Option(("--quiet", "-q"), None, "errors only"),
    Option(("--color",), "WHEN", "auto, always or never", choices=("auto", "always", "never")),
    Option(("--help", "-h"), None, "this text"),
    Option(("--version",), None, "protoprimer's version"),
    Option(("--json",), None, "machine-readable, on stdout", ("eval", "check", "matrix")),
    Option(("--upgrade",), None, "resolve all pins anew", ("lock",)),
    Option(("--upgrade-package",), "NAME", "resolve one pin anew; may be repeated", ("lock",)),
    Option(("--check",), None, "only tell whether the lock has what is asked for (status 1: it has not)", ("lock",)),
    Option(("--command", "-c"), "CMD", "run this in the shell and leave", ("shell",)),
    Option(("--shell",), "NAME", "which shell to start; default: yours", ("shell",)),
    Option(("--format",), "NAME", "text, mermaid or dot", ("graph",), ("text", "mermaid", "dot")),
    Option(("--jobs", "-j"), "N", "how many at once", ("matrix",)),
    Option(("--cell",), "NAME", "only this cell; may be repeated", ("matrix",)),
    Option(("--github",), None, "print the strategy matrix for fromJSON", ("matrix",)),
    Option(("--junit",), "FILE", "write a JUnit report", ("matrix",)),
    Option(("--fail-fast",), None, "stop at the first failing cell", ("matrix",)),
    Option(("--skip-missing",), None, "a missing interpreter skips its cell", ("matrix",)),
    Option(("--resume",), None, "do not run again what passed in the last run", ("matrix",)),
    Option(("--platform",), "TAG", "a platform to bundle for; may be repeated", ("bundle",)),
]  # type: list[Option]

_REPEATABLE = ("verbose", "upgrade-package", "platform", "cell")
_TAKING_THE_REST = ("run", "matrix", "uv", "pip", "completion")
_TAKING_OPERANDS = {"bundle": "DIR|FILE", "completion": "bash|zsh|fish", "env": "[NAME]", "help": "[COMMAND]"}
_CONTRADICTING = (("quiet", "verbose"), ("json", "github"), ("upgrade", "upgrade-package"), ("check", "upgrade"))


class CommandLine:
    """What was asked for.

    :param program: the entry script as it was called
    :param command: one of `COMMANDS`
    :param options: values by the option's long name; flags are `True`, repeatable ones lists
    :param operands: what the command works on: the command of `run`, the directory of `bundle`
    :param client_arguments: what only client code can understand, verbatim and in order
    """

    def __init__(
        self,
        program: str,
        command: str = "boot",
        options: "dict[str, Any] | None" = None,
        operands: "list[str] | None" = None,
        client_arguments: "list[str] | None" = None,
    ) -> None:
        self.program = program
        self.command = command
        self.options = options or {}
        self.operands = operands or []
        self.client_arguments = client_arguments or []

    def has(self, name: str) -> bool:
        """Tell whether the option `name` was given."""
        return bool(self.options.get(name))

    def text(self, name: str) -> "str | None":
        """Return the value of an option that takes one, or `None`."""
        value: "str | None" = self.options.get(name)
        return value

    def texts(self, name: str) -> "list[str]":
        """Return the values of a repeatable option."""
        return self.options.get(name) or []

    def verbosity(self) -> int:
        """Return -1 for quiet, else how often `-v` was given."""
        return -1 if self.has("quiet") else len(self.texts("verbose"))


def parse_command_line(program: str, arguments: "list[str]", has_client: bool) -> CommandLine:
    """Read the arguments after the program's name.

    :param has_client: whether what we do not know is for the client's main to understand
    :raises UsageError: exit code 2
    """
    line = CommandLine(program, _command_among(arguments))
    carries = has_client and line.command in ("boot", "reboot")
    rest, command_taken = list(arguments), False
    while rest:
        word = rest.pop(0)
        if word == "--":
            _take_after_dashes(line, rest, carries)
            break
        if word.startswith("-") and word != "-":
            _take_option(line, word, rest, carries)
        elif word == line.command and not command_taken and not line.client_arguments:
            command_taken = True
        elif line.command in ("run", "uv", "pip"):
            # Options of the command that is run are its own.
            line.operands.extend([word] + (rest[1:] if rest[:1] == ["--"] else rest))
            break
        elif line.command in _TAKING_OPERANDS and not line.operands:
            line.operands.append(word)
        else:
            _take_unknown(line, word, None, carries)
    if line.command == "help":
        _become_help(line)
    _check_command_is_whole(line)
    return line


def _become_help(line: CommandLine) -> None:
    """Let `help COMMAND` be `COMMAND --help`."""
    command = (line.operands or ["boot"])[0]
    if command not in COMMANDS:
        near = nearest_name(command, list(COMMANDS))
        advice = "did you mean %s?" % near if near else "known: " + ", ".join(COMMANDS)
        raise UsageError("unknown command %r" % command, "help", advice)
    line.command, line.operands = command, []
    line.options["help"] = True


def _options_in(word: str) -> "list[tuple[Option | None, str | None, str]]":
    """Return what a word such as `--env=dev`, `-edev` or `-vq` holds: options, their values, how they are spelled."""
    name, equals, value = word.partition("=")
    if word.startswith("--"):
        return [(_option_named(name), value if equals else None, name)]
    option = _option_named(word[:2])
    if option is not None and option.metavar is not None and len(word) > 2:
        return [(option, word[3:] if word[2] == "=" else word[2:], word[:2])]
    return [(_option_named("-" + letter), None, "-" + letter) for letter in word[1:]]


def _command_among(arguments: "list[str]") -> str:
    """Find the command before anything is taken: options may stand on either side of it."""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in COMMANDS:
            return word
        option, value, _ = _options_in(word)[-1] if word.strip("-") and word.startswith("-") else (None, None, "")
        if option is None:
            break
        if option.metavar is not None and value is None and rest:
            rest.pop(0)
    return "boot"


def _take_after_dashes(line: CommandLine, rest: "list[str]", carries: bool) -> None:
    if line.command in _TAKING_THE_REST:
        line.operands.extend(rest)
    elif carries:
        line.client_arguments.extend(rest)
    elif rest:
        cause = "%s takes no arguments after '--'" % line.command
        raise UsageError(cause, " ".join(rest), "to run a command: run -- CMD")


def _take_option(line: CommandLine, word: str, rest: "list[str]", carries: bool) -> None:
    found = _options_in(word)
    for option, _, _ in found:
        if option is None or not option.belongs_to(line.command):
            _take_unknown(line, word, option, carries)
            return
    for option, value, name in found:
        assert option is not None
        if option.metavar is None:
            if value is not None:
                raise UsageError("option %s takes no value" % name, word)
            _store_option(line, option, True)
            continue
        if value is None:
            if not rest:
                raise UsageError("option %s needs a value: %s" % (name, option.metavar), word)
            value = rest.pop(0)
        if not value and option.key != "command":
            raise UsageError("option %s must not be empty" % name, word, "its value: %s" % option.metavar)
        if option.choices and value not in option.choices:
            raise UsageError("option %s cannot be %r" % (name, value), word, "possible: " + ", ".join(option.choices))
        _store_option(line, option, value)


def _take_unknown(line: CommandLine, word: str, option: "Option | None", carries: bool) -> None:
    """Keep for the client what is none of ours, or refuse it.

    :param option: the option that it is, if of another command
    """
    if carries:
        line.client_arguments.append(word)
        return
    if option is not None:
        cause = "%s is not an option of %s" % (option.names[0], line.command)
        raise UsageError(cause, None, "it belongs to: " + ", ".join(option.commands or ()))
    if word.startswith("-"):
        known = [name for option in OPTIONS if option.belongs_to(line.command) for name in option.names]
        near, cause = nearest_name(word.partition("=")[0], known), "unknown option %s" % word
    else:
        near = nearest_name(word, sorted(set(COMMANDS) - {word}))
        is_unknown = line.command == "boot" and word not in COMMANDS
        cause = "unknown command %r" % word if is_unknown else "%s does not take %r" % (line.command, word)
    place = line.command if word.startswith("-") else None
    raise UsageError(cause, place, "did you mean %s?" % near if near else "see %s --help" % line.program)


def _option_named(name: str) -> "Option | None":
    return next((option for option in OPTIONS if name in option.names), None)


def _store_option(line: CommandLine, option: Option, value: object) -> None:
    if option.key in _REPEATABLE:
        line.options.setdefault(option.key, []).append(value)
        return
    earlier_value = line.options.setdefault(option.key, value)
    if earlier_value != value:
        raise UsageError("option %s was given twice: %s and %s" % (option.names[0], earlier_value, value))


def _check_command_is_whole(line: CommandLine) -> None:
    for one, other in _CONTRADICTING:
        if line.has(one) and line.has(other):
            raise UsageError("--%s and --%s contradict each other" % (one, other), None, "leave one of them out")
    if line.has("help"):
        return
    if line.command == "run" and not line.operands:
        raise UsageError("run needs a command", None, "%s run -- CMD" % line.program)
    operand = _TAKING_OPERANDS.get(line.command)
    if operand and not line.operands and not operand.startswith("["):
        advice = "%s %s %s" % (line.program, line.command, operand)
        raise UsageError("%s needs an argument" % line.command, None, advice)


def help_text(program: str, command: "str | None" = None, client_help: "str | None" = None) -> str:
    """Return the text of `--help`: of the whole command line, or of one command.

    :param client_help: the client's own options, known only in the neo runtime
    """
    is_of_all = command in (None, "boot")
    operands = dict(_TAKING_OPERANDS, run="-- CMD...", matrix="[-- CMD...]", uv="-- ARGS...", pip="-- ARGS...").get(
        command or "", ""
    )
    usage = "usage: %s %s [OPTIONS] %s" % (program, "[COMMAND]" if is_of_all else command, operands)
    lines = [usage.rstrip(), ""]
    if is_of_all:
        lines.append("commands:")
        lines.extend("  %-12s %s" % (name, meaning) for name, meaning in COMMANDS.items())
    else:
        lines.append("%s: %s" % (command, COMMANDS[str(command)]))
    for title, options in (
        ("options", [option for option in OPTIONS if option.commands is None]),
        ("options of " + (command or "boot"), [o for o in OPTIONS if o.commands and (command or "boot") in o.commands]),
    ):
        if options:
            lines.extend(["", title + ":"])
            lines.extend("  %-22s %s" % (_spelled(option), option.meaning) for option in options)
    if client_help:
        lines.extend(["", client_help])
    return "\n".join(lines)


def _spelled(option: Option) -> str:
    return ", ".join(reversed(option.names)) + (" " + option.metavar if option.metavar else "")
