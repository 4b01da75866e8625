"""The files that an environment is a function of."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Inputs"]


class Inputs:
    """Files whose content counts, and files whose appearance would.

    :param present: absolute paths of those that are there
    :param absent: absolute paths of those that are not
    """

    def __init__(self, present: "Iterable[str]", absent: "Iterable[str]") -> None:
        self.present = sorted(set(present))
        self.absent = sorted(set(absent))
