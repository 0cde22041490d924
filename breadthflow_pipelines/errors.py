"""What can go wrong for a user, and the exit status of each kind. How errors are shown is in cli/."""

NEXT_LINE = "\nNext: "  # before the command that helps, where a message has a line of its own for it


class BreadthFlowError(Exception):
    """One or two lines that say what was wrong, where, and what to do next; always printable."""

    exit_status = 1

    def __str__(self) -> str:
        return "\n".join(printable(line) for line in super().__str__().split("\n"))


class HeldError(BreadthFlowError):
    """Something holds what was requested: the message says what, and in a second line the command that helps."""


class RequestError(BreadthFlowError):
    """The request or the settings are wrong; asking again the same way fails again."""

    exit_status = 2


class DiskFullError(BreadthFlowError):
    """A disk is full; the message names what lies on it. Trying again helps only after space was freed."""


class UnreachableError(BreadthFlowError):
    """A source or the database cannot be reached now; a later attempt may succeed."""

    exit_status = 3


class SourceError(UnreachableError):
    """A source cannot deliver what was requested; the message names the file or the address."""


class DatabaseError(UnreachableError):
    """The database cannot be reached, or refuses the connection."""


class BusyError(UnreachableError):
    """The database has too much to do at the moment, or with this question; the message says what helps."""


def printable(text: str) -> str:
    """The text without characters that break a terminal, a database or JSON: NUL, control characters, surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _WRITTEN.get(char, "?") for char in text)


_WRITTEN = {"\0": "\\0", "\t": " ", "\n": "\\n", "\r": "\\r"}
