"""What can go wrong for a user, and the exit status each kind ends with. Says nothing about how it is shown."""


class BreadthFlowError(Exception):
    """One or two lines that say what was wrong, where, and what to do next."""

    exit_status = 1


class RequestError(BreadthFlowError):
    """The request or the settings are wrong; asking again the same way fails again."""

    exit_status = 2


class DiskFullError(BreadthFlowError):
    """A disk is full; the message names what lies on it. Trying again helps only after somebody has made room."""


class UnreachableError(BreadthFlowError):
    """A source or the database cannot be reached now; a later attempt may succeed."""

    exit_status = 3


class SourceError(UnreachableError):
    """A source cannot give what it was asked for; the message names the file or the address."""


class DatabaseError(UnreachableError):
    """The database cannot be reached, or refuses the connection."""
