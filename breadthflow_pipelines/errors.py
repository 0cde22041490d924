"""What can go wrong for a user, and the exit status of each kind. How errors are shown is in cli/."""

import re

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


INTERRUPTED = "interrupted by Ctrl-C, or because its process was ended"
_FOREIGN = re.compile(r"(?:[a-z_]\w*\.)+([A-Z]\w*)(?:: (.*))?", re.DOTALL)


def in_words(recorded: str) -> str:
    """What people read of an error of others that was recorded as ``module.Class: message``, or as Dagster tells it.

    The message, without a class that only programmers know; an interrupt has none, and is told as what it is. Python's
    own errors, as in KeyError: 'name', keep theirs: without it the message says nothing.
    """
    text = recorded.strip()
    if re.fullmatch(r"[\w.]*Interrupt\w*:?", text) or "Execution was interrupted unexpectedly" in text:
        return INTERRUPTED
    found = _FOREIGN.fullmatch(text)
    if found is None:
        return text
    return (found[2] or "").strip() or f"it failed without saying why ({found[1]})"


def printable(text: str) -> str:
    """The text without characters that break a terminal, a database or JSON: NUL, control characters, surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _WRITTEN.get(char, "?") for char in text)


_WRITTEN = {"\0": "\\0", "\t": " ", "\n": "\\n", "\r": "\\r"}
