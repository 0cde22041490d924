"""What cannot be used of what lies outside: one kind of error, and the words for it. Reads nothing itself."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TypeVar

import polars as pl

from breadthflow_pipelines.errors import BreadthFlowError, printable

WORDS = 200  # characters of a reason; a header of another kind of file may have millions

T = TypeVar("T")

# Polars panics, instead of raising an Exception, on some of what it cannot do.
_WHATEVER = (Exception, pl.exceptions.PanicException)


class UnreadableError(Exception):
    """A file, or a part of an archive, that can be opened but not used; the message is the reason."""


@contextmanager
def noting_failure(key: T, problems: MutableMapping[T, str]) -> Iterator[None]:
    """Whatever goes wrong inside becomes the reason why ``key`` is not used, and ends nothing else.

    What a file may hold has no list, and neither have the errors of those who read it. Errors of our own, which name a
    wrong request, pass through.
    """
    try:
        yield
    except BreadthFlowError:
        raise
    except _WHATEVER as error:
        problems[key] = reason(error)


class refusing:  # noqa: N801 - a context like those of contextlib
    """Whatever goes wrong inside is the ``error`` that ``what`` cannot be read, for the reason that there was."""

    def __init__(self, what: str, error: type[BreadthFlowError]) -> None:
        self._what, self._error = what, error

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _WHATEVER) and not isinstance(error, BreadthFlowError):
            raise self._error(f"{self._what} cannot be read: {reason(error)}.") from None


def reason(error: BaseException) -> str:
    """The first line of what went wrong, without the stop at its end."""
    said = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    return shortened(said.strip().split("\n", 1)[0].rstrip(".") or type(error).__name__, WORDS)


def shortened(text: str, most: int) -> str:
    """The beginning of a text, printable, and how long it was where it is cut."""
    return printable(text) if len(text) <= most else f"{printable(text[:most])}... ({len(text):,} characters)"
