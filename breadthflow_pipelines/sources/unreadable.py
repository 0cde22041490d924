"""Input that cannot be read: the error for it, contexts that handle it, and its wording. Reads nothing itself."""

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
    """A file, or a member of an archive, that can be opened but not used; the message is the reason."""


@contextmanager
def noting_failure(key: T, problems: MutableMapping[T, str]) -> Iterator[None]:
    """Any error inside is noted in ``problems`` as the reason why ``key`` is not used; the caller continues.

    A file may hold anything, so the errors of its readers cannot be listed. Our own errors, which name a wrong request,
    pass through.
    """
    try:
        yield
    except BreadthFlowError:
        raise
    except _WHATEVER as error:
        problems[key] = reason(error)


class refusing:  # noqa: N801 - a context like those of contextlib
    """Any error inside becomes the ``error`` that ``what`` cannot be read, with the reason."""

    def __init__(self, what: str, error: type[BreadthFlowError]) -> None:
        self._what, self._error = what, error

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _WHATEVER) and not isinstance(error, BreadthFlowError):
            raise self._error(f"{self._what} cannot be read: {reason(error)}.") from None


def reason(error: BaseException) -> str:
    """The first line of an error's message, without a full stop."""
    said = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    return shortened(said.strip().split("\n", 1)[0].rstrip(".") or type(error).__name__, WORDS)


def shortened(text: str, most: int) -> str:
    """A text, printable; where it is longer than ``most``, its beginning and its length."""
    return printable(text) if len(text) <= most else f"{printable(text[:most])}... ({len(text):,} characters)"
