"""Options that several commands share, and the parsing of days, timestamps, names and locations."""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from breadthflow_pipelines.errors import NEXT_LINE, RequestError
from breadthflow_pipelines.locations import location
from breadthflow_pipelines.model import vocabulary
from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.moments import check_days, utc_moment
from breadthflow_pipelines.spelling import did_you_mean


class Action(StrEnum):
    """What a signal says."""

    BUY = vocabulary.BUY
    SELL = vocabulary.SELL
    HOLD = vocabulary.HOLD


class Format(StrEnum):
    """How rows are written to stdout."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Day = Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")]
From = Annotated[dt.datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")]
To = Annotated[dt.datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")]
Universe = Annotated[str | None, typer.Option(help="Name of a universe; all of them without it.")]
Segment = Annotated[str | None, typer.Option(help="ALL or a sector; every segment without it.")]
DecidedSymbol = Annotated[str | None, typer.Argument(help="Whose bar, by its symbol on that day.")]
DecidedDate = Annotated[dt.datetime | None, typer.Argument(formats=["%Y-%m-%d"], help="Its session.")]
DecidedReason = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]
DecidedRule = Annotated[str | None, typer.Option("--rule", help="With --proposals: only this rule's.")]
DecidedBy = Annotated[str | None, typer.Option("--by", help="Who decides; the user of this computer without it.")]
Proposals = Annotated[bool, typer.Option("--proposals", help="Every proposed bar instead of one.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="TIMESTAMP", help="What the store said then, as in 2024-03-01T22:00; UTC without a zone."
    ),
]
Shape = Annotated[Format, typer.Option("--format", help="How to write the rows.")]


def names_in(
    text: str | None, known: Sequence[str], what: str, help_: str, to_come: Callable[[], set[str]] = set
) -> list[str]:
    """The names in a list like A,B; empty if it is not given. to_come: names that the next run will add."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if text is not None and not names:
        raise RequestError(f"{text!r} names no {what}; there are {listed(known)}: {help_}.")
    for name in names:
        if name not in known and name in to_come():
            raise RequestError(f"{name} is not computed in this store yet.{NEXT_LINE}breadthflow run")
        if name not in known:
            raise RequestError(f"{name} is not a known {what}; {help_}.{did_you_mean(name, known)}")
    return list(dict.fromkeys(names))


def moment_of(text: str | None) -> dt.datetime | None:
    """The timestamp of --as-of, in UTC.

    Raises:
        RequestError: it is invalid, or in the future.
    """
    if text is None:
        return None
    try:
        return utc_moment(text)
    except ValueError as error:
        raise RequestError(f"--as-of cannot be used: {error}.") from None


def as_known_at(moment: dt.datetime | None) -> str:
    """What a title adds for the moment of --as-of."""
    return f", as known at {moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def check_finite(numbers: Mapping[str, float | None]) -> None:
    """Refuse ``nan`` and ``inf``, which pass any bounds. numbers: by option; None where it is not given."""
    for option, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise RequestError(f"{option} {number} cannot be used: write a number, as in {option} 5.")


def day_range(start: dt.datetime | None, end: dt.datetime | None) -> tuple[dt.date | None, dt.date | None]:
    """The days of --from and --to; a range that ends before it begins is refused."""
    first, last = day_of(start), day_of(end)
    check_days(first, last)
    return first, last


def location_of(option: str, text: str) -> Path | str:
    """The path or the address that an option names."""
    try:
        return location(text)
    except ValueError as error:
        raise RequestError(f"{option} cannot be used: {error}.") from None


def day_of(moment: dt.datetime | None) -> dt.date | None:
    """The day, which typer parses as a timestamp."""
    return moment.date() if moment is not None else None
