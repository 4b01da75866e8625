"""The one command line: the same before and after the switch into the environment."""

import re
from typing import Any, NamedTuple, Optional, Tuple

from protoprimer.errors import UsageError, did_you_mean, which_are_known

__all__ = ["COMMANDS", "OPTIONS", "CommandLine", "Option", "advice_on_word", "help_text", "parse_command_line"]

COMMANDS = {
    "boot": "prepare the environment, then run your program (the default)",
    "reboot": "rebuild the environment from scratch, keeping the lock",
    "lock": "choose the versions of all packages, and write the lock",
    "run": "run a command in the environment, by itself or by a short name",
    "shell": "open a shell with the environment active",
    "uv": "run the uv that this repository is pinned to",
    "pip": "run pip on this environment",
    "env": "list the environments; with a name, choose that one for this clone",
    "eval": "print each setting, and where it comes from",
    "check": "tell whether the environment is current, and what this host can do",
    "graph": "print the steps of a run, and which of them are done",
    "matrix": "run a command on several Pythons",
    "bundle": "collect everything that a host without network needs",
    "gc": "remove environments and downloads that are no longer needed",
    "completion": "print the completion script for bash, zsh or fish",
    "help": "print this text, or the help of one command",
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
    Option("-e, --env NAME", "use this environment for this command"),
    Option("--backend NAME", "auto, uv, virtualenv, venv, a list with commas, or a path"),
    Option("--python SPEC", "the Python to use: a version or specifier (matrix: several, with commas)"),
    Option("--offline", "use no network"),
    Option("--bundle PATH", "take packages and tools from this bundle alone"),
    Option("--dry-run", "say what would be done, and do nothing"),
    Option("--target NAME", "stop after this step; graph lists them", ("boot", "reboot", "graph")),
    Option("-v, --verbose", "more detail; -vv also shows the tools' output"),
    Option("-q, --quiet", "print errors only"),
    Option("--color WHEN", "auto, always or never", choices=("auto", "always", "never")),
    Option("-h, --help", "print this text"),
    Option("--version", "print protoprimer's version"),
    Option("--json", "print JSON on stdout", ("eval", "check", "matrix")),
    Option("--upgrade", "take the newest versions that fit", ("lock",)),
    Option("--upgrade-package NAME", "take the newest version of this package; may be repeated", ("lock",)),
    Option("--check", "only tell whether the lock is up to date (status 1: it is not)", ("lock",)),
    Option("-c, --command CMD", "run this in the shell, and leave", ("shell",)),
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

# What people type who come from other tools, and what does that here.
_HABITS = {
    "install": "{0} installs what the repository asks for",
    "sync": "{0} brings the environment up to date",
    "update": "{0} lock --upgrade takes newer versions, then {0} installs them",
    "upgrade": "{0} lock --upgrade takes newer versions, then {0} installs them",
    "test": "{0} run -- CMD runs a command, such as {0} run -- pytest; {0} run lists short names",
    "start": "{0} run -- CMD runs a command in the environment",
    "exec": "{0} run -- CMD runs a command in the environment",
    "init": "python3 proto_kernel.py init does that",
    "activate": "{0} shell opens a shell with the environment active",
    "venv": "{0} makes the environment; {0} shell enters it",
    "clean": "{0} gc removes what is no longer needed; {0} reboot rebuilds",
    "info": "{0} check tells about environment and host; {0} eval about settings",
    "version": "{0} --version",
}
_PROGRAMS = ("black", "coverage", "ipython", "jupyter", "mypy", "pyright", "pytest", "pypy", "python", "ruff", "tox")
_WIDTH_OF_HELP = 80

_REPEATABLE = ("verbose", "upgrade-package", "platform", "cell")
_OPERANDS = {
    "run": "[NAME | -- CMD...]",
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
        # Whether the operands stand after `--`.
        self.is_literal = False

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
            line.is_literal = True
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
        return UsageError("unknown command %r" % word, None, advice_on_word(line.program, word))
    else:
        cause = "%s does not take %r" % (line.command, word)
    return UsageError(cause, None, did_you_mean(word.partition("=")[0], known, "see %s --help" % line.program))


def _check_command_is_whole(line: CommandLine) -> None:
    for one, other in _CONTRADICTING:
        if line.has(one) and line.has(other):
            raise UsageError("--%s and --%s contradict each other" % (one, other), None, "leave one of them out")
    operand = _OPERANDS.get(line.command, "[]")
    is_optional = operand.startswith("[")
    if line.command == "run" and line.is_literal:
        is_optional = False
        operand = "-- CMD..."
    if not (line.has("help") or line.operands or is_optional):
        cause = "%s needs %s" % (line.command, "a command" if line.command == "run" else "an argument")
        raise UsageError(cause, None, "%s %s %s" % (line.program, line.command, operand))


def advice_on_word(program: str, word: str) -> str:
    """Return what to type instead of a word that is no command."""
    if word in _HABITS:
        return _HABITS[word].format(program)
    name = re.sub(r"[\d.]+$", "", word)
    if name in _PROGRAMS:
        return "to run it in the environment: %s run -- %s" % (program, word)
    otherwise = "to run a program of the environment: %s run -- %s; all commands: %s help"
    return str(did_you_mean(word, COMMANDS, otherwise % (program, word, program)))


def help_text(program: str, command: "str | None" = None, client_help: "str | None" = None) -> str:
    """Return the text of `--help`, of all or of one command."""
    is_of_all = command in (None, "boot")
    name = command or "boot"
    words = [program, "[COMMAND]" if is_of_all else name, "[OPTIONS]", _OPERANDS.get(name, "")]
    lines = ["usage: " + " ".join(words).rstrip(), ""]
    if is_of_all:
        lines.append("commands:")
        for pair in COMMANDS.items():
            lines += _help_lines(*pair, column=14)
    else:
        lines += _wrapped("%s: %s" % (name, COMMANDS[name]), "")
    of_all = [one for one in OPTIONS if one.commands is None]
    of_this = [one for one in OPTIONS if one.commands is not None and one.belongs_to(name)]
    for title, options in (("options of %s:" % name, of_this), ("options:", of_all)):
        if options:
            lines += ["", title]
        for option in options:
            lines += _help_lines(option.spelled, option.meaning, column=26)
    if client_help:
        lines += ["", client_help]
    return "\n".join(lines)


def _help_lines(name: str, meaning: str, column: int) -> "list[str]":
    lines = _wrapped(meaning, " " * column)
    return [("  " + name).ljust(column) + lines[0][column:]] + lines[1:]


def _wrapped(text: str, indent: str) -> "list[str]":
    import textwrap

    return textwrap.wrap(text, _WIDTH_OF_HELP, initial_indent=indent, subsequent_indent=indent)
