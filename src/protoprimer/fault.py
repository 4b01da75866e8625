"""What kind a failure is of: what code decides by, where people read a sentence."""

from enum import Enum

__all__ = ["Fault"]


class Fault(Enum):
    """The kinds of failure that something else than a message depends on."""

    # Of what an installer says.
    REQUIREMENTS = "nothing fits the requirements"
    UNRECOGNISED = "an installer failed, and we do not know its words"
    # Of a tool that is absent.
    TOOL_CHOSEN_BY_VARIABLE = "the one that the user named cannot serve"
    TOOL_NOT_FETCHED = "none of the places that should have it gave it"
    TOOL_UNUSABLE = "there is one that cannot serve"
