"""The one error a user sees: a line that names the place, the value, the bound and the remedy."""


class UserError(ValueError):
    """Bad input, found at the boundary.

    The message is one line; the command line prints it alone and exits with code 2.

    Parameters
    ----------
    place : str
        Where the fault is: a file, a path inside it such as ``losses[1].weight``, or a command.
    fault : str
        The value, the bound that it breaks and the remedy.
    """

    def __init__(self, place: str, fault: str) -> None:
        self.place = "".join(c if c.isprintable() else f"{c!r}"[1:-1] for c in place)
        self.fault = " ".join(fault.split())
        super().__init__(f"{place}: {self.fault}" if place else self.fault)

    def inside(self, outer: str) -> "UserError":
        """The same error seen from one level further out: ``outer`` is put before the place."""
        if not self.place:
            return UserError(outer, self.fault)
        joint = "" if self.place.startswith("[") else "."
        return UserError(f"{outer}{joint}{self.place}", self.fault)

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str]]:
        return UserError, (self.place, self.fault)  # survives the way back from a worker


def line_of(error: BaseException, most: int = 500) -> str:
    """What anybody's error says, in one line of at most so many characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:most]
