"""The one command line: the same before and after the switch into the environment."""

from typing import Any, NamedTuple, Optional, Tuple

from protoprimer.errors import UsageError, did_you_mean, which_are_known

__all__ = ["COMMANDS", "OPTIONS", "CommandLine", "Option", "help_text", "parse_command_line"]

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


class Option(NamedTuple):
    """An option as the help spells it, the commands that know it (`None`: all), its only values."""

    spelled: str
    meaning: str
    commands: Optional[Tuple[str, ...]] = None
    choices: Optional[Tuple[str, ...]] = None

    @property
    def names(self) -> "list[str]":
        return [word.rstrip(",") for word in reversed(self.spelled.split()) if word.startswith("-")]

    @property
    def key(self) -> str:
        return self.names[0][2:]

    @property
    def metavar(self) -> "str | None":
        last = self.spelled.split()[-1]
        return None if last.startswith("-") else last

    def belongs_to(self, command: str) -> bool:
        return self.commands is None or command in self.commands


OPTIONS = [
    Option("-e, --env NAME", "the named environment; remembered for this clone"),
    Option("--backend NAME", "auto, uv, virtualenv, venv, a list with commas, or a path"),
    Option("--python SPEC", "the Python to use: a version or specifier (matrix: several, with commas)"),
    Option("--offline", "touch no network"),
    Option("--bundle PATH", "take packages and tools from this bundle alone"),
    Option("--dry-run", "say what would be done, do nothing"),
    Option("--target NAME", "stop at this state", ("boot", "reboot", "graph")),
    Option("-v, --verbose", "more words; twice: children's output too"),
    Option("-q, --quiet", "errors only"),
    Option("--color WHEN", "auto, always or never", choices=("auto", "always", "never")),
    Option("-h, --help", "this text"),
    Option("--version", "protoprimer's version"),
    Option("--json", "machine-readable, on stdout", ("eval", "check", "matrix")),
    Option("--upgrade", "resolve all pins anew", ("lock",)),
    Option("--upgrade-package NAME", "resolve one pin anew; may be repeated", ("lock",)),
    Option("--check", "only tell whether the lock has what is asked for (status 1: it has not)", ("lock",)),
    Option("-c, --command CMD", "run this in the shell and leave", ("shell",)),
    Option("--shell NAME", "which shell to start; default: yours", ("shell",)),
    Option("--format NAME", "text, mermaid or dot", ("graph",), ("text", "mermaid", "dot")),
    Option("-j, --jobs N", "how many at once", ("matrix",)),
    Option("--cell NAME", "only this cell; may be repeated", ("matrix",)),
    Option("--github", "print the strategy matrix for fromJSON", ("matrix",)),
    Option("--junit FILE", "write a JUnit report", ("matrix",)),
    Option("--fail-fast", "stop at the first failing cell", ("matrix",)),
    Option("--skip-missing", "a missing interpreter skips its cell", ("matrix",)),
    Option("--resume", "do not run again what passed in the last run", ("matrix",)),
    Option("--platform TAG", "a platform to bundle for; may be repeated", ("bundle",)),
    Option("--with-python", "with interpreters for hosts that lack them", ("bundle",)),
]  # type: list[Option]

_REPEATABLE = ("verbose", "upgrade-package", "platform", "cell")
_OPERANDS = {
    "run": "-- CMD...",
    "matrix": "[-- CMD...]",
    "uv": "[-- ARGS...]",
    "pip": "[-- ARGS...]",
    "bundle": "DIR|FILE",
    "completion": "bash|zsh|fish",
    "env": "[NAME]",
    "help": "[COMMAND]",
}
_CONTRADICTING = (("quiet", "verbose"), ("json", "github"), ("upgrade", "upgrade-package"), ("check", "upgrade"))


class CommandLine:
    """What was asked for, options by their long names: flags are `True`, repeatable ones lists."""

    def __init__(self, program: str, command: str = "boot", client_arguments: "list[str] | None" = None) -> None:
        self.program = program
        self.command = command
        self.options: "dict[str, Any]" = {}
        self.operands = []  # type: list[str]
        self.client_arguments = client_arguments or []

    def has(self, name: str) -> bool:
        return bool(self.options.get(name))

    def text(self, name: str) -> "str | None":
        return self.options.get(name)

    def texts(self, name: str) -> "list[str]":
        return self.options.get(name) or []

    def verbosity(self) -> int:
        return -1 if self.has("quiet") else len(self.texts("verbose"))


def parse_command_line(program: str, arguments: "list[str]", has_client: bool) -> CommandLine:
    """Read the arguments; the unknown are for the client, if there is one, else a `UsageError`."""
    command, rest = _command_among(arguments)
    line, operand = CommandLine(program, command), _OPERANDS.get(command, "")
    carries = has_client and command in ("boot", "reboot")
    while rest:
        word = rest.pop(0)
        is_option = word.startswith("-") and word != "-"
        options = _options_in(word) if is_option else []
        own = [(option, value) for option, value in options if option is not None and option.belongs_to(command)]
        if word == "--" and (carries or command == "completion" or "--" in operand):
            (line.client_arguments if carries else line.operands).extend(rest)
            break
        if is_option and own == options:
            for option, value in own:
                _take_option(line, option, value, rest)
        elif not is_option and command in ("run", "uv", "pip"):
            # Options of the command that is run are its own.
            line.operands += [word] + (rest[1:] if rest[:1] == ["--"] else rest)
            break
        elif not is_option and operand and "--" not in operand and not line.operands:
            line.operands.append(word)
        elif carries:
            line.client_arguments.append(word)
        elif word != "--":
            raise _unknown_word(line, word, [option for option, _ in options])
        elif rest:
            cause = "%s takes no arguments after '--'" % command
            raise UsageError(cause, " ".join(rest), "to run a command: run -- CMD")
    if command == "help":
        # `help COMMAND` is `COMMAND --help`.
        line.command, line.operands, line.options["help"] = (line.operands or ["boot"])[0], [], True
        if line.command not in COMMANDS:
            raise _unknown_word(CommandLine(program), line.command, [])
    _check_command_is_whole(line)
    return line


def _command_among(arguments: "list[str]") -> "tuple[str, list[str]]":
    index = 0
    while index < len(arguments) and arguments[index] not in COMMANDS:
        word = arguments[index]
        option, value = _options_in(word)[-1] if word.startswith("-") and word.strip("-") else (None, None)
        if option is None:
            return "boot", list(arguments)
        index += 2 if option.metavar and value is None else 1
    return "".join(arguments[index : index + 1]) or "boot", arguments[:index] + arguments[index + 1 :]


def _options_in(word: str) -> "list[tuple[Option | None, str | None]]":
    """Return what a word such as `--env=dev`, `-edev` or `-vq` holds."""
    named = {name: option for option in OPTIONS for name in option.names}
    name, equals, value = word.partition("=")
    if word.startswith("--"):
        return [(named.get(name), value if equals else None)]
    option, rest = named.get(word[:2]), word[2:]
    if option is not None and option.metavar and rest:
        return [(option, rest)]
    return [(named.get("-" + letter), None) for letter in word[1:]]


def _take_option(line: CommandLine, option: Option, value: "str | None", rest: "list[str]") -> None:
    name, advice = "option " + option.names[0], "write %s %s" % (option.names[0], option.metavar)
    if not option.metavar:
        if value is not None:
            raise UsageError(name + " takes no value")
        found = True  # type: bool | str
    elif value is None and not rest:
        raise UsageError(name + " needs a value", None, advice)
    else:
        found = rest.pop(0) if value is None else value
        if not found and option.key != "command":
            raise UsageError(name + " has an empty value", None, advice)
        if option.choices and found not in option.choices:
            raise UsageError("%s cannot be %r" % (name, found), None, which_are_known(found, option.choices))
    if option.key in _REPEATABLE:
        line.options.setdefault(option.key, []).append(found)
    elif line.options.setdefault(option.key, found) != found:
        raise UsageError("%s was given twice: keep %s or %s" % (name, line.options[option.key], found))


def _unknown_word(line: CommandLine, word: str, options: "list[Option | None]") -> UsageError:
    foreign = next((option for option in options if option is None or not option.belongs_to(line.command)), None)
    if foreign:
        cause = "%s is not an option of %s" % (foreign.names[0], line.command)
        return UsageError(cause, None, "it belongs to: " + ", ".join(foreign.commands or ()))
    known = [command for command in COMMANDS if command != word]
    if options:
        known = [name for option in OPTIONS if option.belongs_to(line.command) for name in option.names]
        cause = "unknown option " + word
    elif line.command == "boot" and word not in COMMANDS:
        cause = "unknown command %r" % word
    else:
        cause = "%s does not take %r" % (line.command, word)
    return UsageError(cause, None, did_you_mean(word.partition("=")[0], known, "see %s --help" % line.program))


def _check_command_is_whole(line: CommandLine) -> None:
    for one, other in _CONTRADICTING:
        if line.has(one) and line.has(other):
            raise UsageError("--%s and --%s contradict each other" % (one, other), None, "leave one of them out")
    operand = _OPERANDS.get(line.command, "[]")
    if not (line.has("help") or line.operands or operand.startswith("[")):
        cause = "%s needs %s" % (line.command, "a command" if line.command == "run" else "an argument")
        raise UsageError(cause, None, "%s %s %s" % (line.program, line.command, operand))


def help_text(program: str, command: "str | None" = None, client_help: "str | None" = None) -> str:
    """Return the text of `--help`, of all or of one command."""
    is_of_all, command = command in (None, "boot"), command or "boot"
    words = [program, "[COMMAND]" if is_of_all else command, "[OPTIONS]", _OPERANDS.get(command, "")]
    lines = ["usage: " + " ".join(words).rstrip(), ""]
    if is_of_all:
        lines += ["commands:"] + ["  %-12s %s" % pair for pair in COMMANDS.items()]
    else:
        lines.append("%s: %s" % (command, COMMANDS[command]))
    for title, is_of_every_command in (("options:", True), ("options of %s:" % command, False)):
        options = [one for one in OPTIONS if (one.commands is None) is is_of_every_command and one.belongs_to(command)]
        lines += ["", title] if options else []
        lines += ["  %-22s %s" % (option.spelled, option.meaning) for option in options]
    return "\n".join(lines + (["", client_help] if client_help else []))
