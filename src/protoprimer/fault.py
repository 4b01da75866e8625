"""What kind a failure is of: what code decides by, where people read a sentence."""

from enum import Enum

__all__ = ["MENDED_BY_ANOTHER_BACKEND", "Fault"]


class Fault(Enum):
    """The kinds of failure that something else than a message depends on."""

    # Of what an installer says.
    REQUIREMENTS = "nothing fits the requirements"
    UNRECOGNISED = "an installer failed, and we do not know its words"
    METADATA = "it cannot read the metadata of a package, which others may"
    HASHES = "a file has another hash than it should"
    # Of the host or of the tool, as an installer met it.
    DISK = "a place is full, or over its quota"
    PERMISSION = "a place may not be written"
    MEMORY = "there is too little memory, or no further process is allowed"
    NETWORK = "what it asked did not answer"
    CERTIFICATE = "it does not trust a certificate"
    REFUSED_BY_SERVER = "a server refused it"
    TOOL_BROKE = "it was killed, or broke by itself"
    # Of a tool that is absent.
    TOOL_CHOSEN_BY_VARIABLE = "the one that the user named cannot serve"
    TOOL_NOT_FETCHED = "none of the places that should have it gave it"
    TOOL_UNUSABLE = "there is one that cannot serve"


# The repository has no part in these.
MENDED_BY_ANOTHER_BACKEND = frozenset([
    Fault.METADATA, Fault.DISK, Fault.PERMISSION, Fault.MEMORY, Fault.NETWORK, Fault.CERTIFICATE,
    Fault.REFUSED_BY_SERVER, Fault.TOOL_BROKE,
])  # fmt: skip
