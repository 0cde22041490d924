"""How far a run has come: the assets report it, and the command line draws it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, float, str], None]

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def advance(stage: str, done: float, note: str = "") -> None:
    """Report that ``stage`` has come to ``done`` (0 to 1)."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(stage, done, note)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Report the progress made in this block to ``watcher``."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
