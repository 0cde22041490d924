"""What the embedded server's log says of it: whether it lately ran out of space. The server itself: embedded.py."""

import datetime as dt
from pathlib import Path

from breadthflow_pipelines.observability.disk import says_full

LOG_NAME = "server.log"
RECENT = dt.timedelta(minutes=2)
LOG_TAIL = 16_384  # bytes of the server's log that are looked at


def ran_out_of_space(data: Path) -> bool:
    """Whether the server of that data directory said within the last minutes that it has no space.

    A client that was cut off by that, or cannot connect, is not told the reason.
    """
    try:
        lines = last_lines(data / LOG_NAME)
    except OSError:  # no directory of ours, or one that we may not enter
        return False
    return any(_is_recent(line) for line in lines if says_full(line))


def _is_recent(line: str) -> bool:
    try:
        said = dt.datetime.fromisoformat(line[:23]).replace(tzinfo=dt.UTC)  # log_timezone
    except ValueError:
        return False
    return abs(dt.datetime.now(dt.UTC) - said) < RECENT


def last_lines(log: Path) -> list[str]:
    """The end of a log, at most LOG_TAIL bytes of it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL))
        return file.read().decode(errors="replace").splitlines()
