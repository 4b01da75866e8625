"""`./prime env`: the environments of this repository, and which one is chosen in this clone."""

from protoprimer.errors import InstallError, UsageError, nearest_name
from protoprimer.settings.command_line import CommandLine
from protoprimer.settings.configuration import Configuration
from protoprimer.settings.environment_links import environment_link
from protoprimer.store.ready import forget_ready
from protoprimer.store.state_directory import remember_environment
from protoprimer.system.console import Console, print_out

__all__ = ["env_command"]


def env_command(command_line: CommandLine, configuration: Configuration, console: Console) -> int:
    """Print the environments, the chosen one with a mark; or choose one, which the next run makes ready."""
    link = environment_link(configuration)
    names = sorted(link.names) if link else configuration.environment_names
    chosen = link.chosen if link else configuration.environment_name
    if not command_line.operands:
        for name in names:
            print_out("%s %s" % ("*" if name == chosen else " ", name))
        return 0
    wanted = command_line.operands[0]
    if wanted not in names:
        near = nearest_name(wanted, names)
        advice = ("did you mean %r? " % near if near else "") + "known: " + ", ".join(names)
        raise UsageError("there is no environment %r" % wanted, "env", advice)
    if wanted == chosen and not configuration.is_fallback:
        console.say("the environment is %s already" % wanted)
    elif command_line.has("dry-run"):
        console.say("would choose the environment " + wanted)
    elif link:
        try:
            link.choose(wanted)
        except OSError as error:
            raise InstallError("the link cannot be written: %s" % error.strerror, link.path) from None
        console.say("%s leads to %s; ./prime makes it ready" % (link.path, link.names[wanted]))
    else:
        remember_environment(configuration.state_directory, wanted)
        # Else entry scripts would go by what is ready, which is another one.
        forget_ready(configuration.state_directory)
        console.say("the environment is %s from now on; ./prime makes it ready" % wanted)
    return 0
