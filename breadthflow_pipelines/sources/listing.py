"""Securities and members of sources that know nothing of either: they have symbols, and the bars of each."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA, SECURITY_SCHEMA
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA, read_instruments

STILL_LISTED = dt.timedelta(days=10)  # a symbol whose last bar is no older than this against the newest is listed


@dataclass(frozen=True)
class Sessions:
    """The days on which there may be a bar: sessions of an exchange through today; without a calendar, any day.

    today: the day at the exchange; its session may not have closed.
    """

    today: dt.date
    calendar: ExchangeCalendar | None = None

    def hold(self, days: Iterable[dt.date | None]) -> bool:
        """Whether each of a few days is one of them."""
        calendar, today = self.calendar, self.today
        return all(day and day <= today and (calendar is None or calendar.is_session(day)) for day in days)

    def include(self, days: pl.Series) -> pl.Series:
        """Whether each of the days, Date, is one of them; never null."""
        if self.calendar is None:
            return (days <= self.today).fill_null(value=False)
        first, known = self._known
        at = days.to_physical().cast(pl.Int64).fill_null(first - 1).to_numpy() - first
        return pl.Series(known[np.clip(at, -1, len(known) - 1)])

    @cached_property
    def _known(self) -> tuple[int, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
        """The first session, in days since 1970, and whether it and each day after it is one; the last one is not."""
        sessions = self.calendar.between(dt.date.min, self.today) if self.calendar else []
        at = np.array(sessions, dtype="datetime64[D]").astype(np.int64)
        known = np.zeros(at[-1] - at[0] + 2, dtype=np.bool_)
        known[at - at[0]] = True
        return int(at[0]), known


def securities_of(symbols: Iterable[str], instruments: Path | None) -> pl.DataFrame:
    """SECURITY_SCHEMA, one row per symbol, valid without limits, the symbol as its key.

    instruments: a file with the names and sectors of some of them.

    Raises:
        RequestError: that file cannot be used.
    """
    known = read_instruments(instruments) if instruments else pl.DataFrame(schema=INSTRUMENT_SCHEMA)
    listed = pl.DataFrame({"symbol": symbols}, schema={"symbol": pl.String})
    never = pl.lit(None, pl.Date)
    return (
        listed.join(known, on="symbol", how="left", maintain_order="left")
        .with_columns(source_key="symbol", valid_from=never, valid_to=never)
        .select(SECURITY_SCHEMA.names())
    )


def members_by_bars(spans: pl.DataFrame) -> pl.DataFrame:
    """MEMBER_SCHEMA: universe ``all``, each symbol from its first bar until the day after its last; open if recent.

    spans: symbol, opened, closed, of parts of its history: the first and the last row that may be a bar, as Sessions
    says; null where there is none. A symbol without any is no member. Prices are not known here: a row whose prices the
    contract rejects counts, so that a member may begin, or be nothing but, such rows. Its sessions lower the coverage.
    """
    gone = pl.col("closed") < pl.col("closed").max() - STILL_LISTED
    return (
        whole_spans(spans)
        .select(
            universe=pl.lit("all"),
            symbol="symbol",
            valid_from="opened",
            valid_to=pl.when(gone).then(pl.col("closed").dt.offset_by("1d")),
        )
        .cast(MEMBER_SCHEMA)
        .sort("symbol")
    )


def reach_of_members(spans: pl.DataFrame) -> dt.date | None:
    """The last row that may be a bar, of any symbol; None where there is none. spans: as of members_by_bars()."""
    newest: dt.date | None = whole_spans(spans)["closed"].max()  # type: ignore[assignment]
    return newest


def whole_spans(spans: pl.DataFrame) -> pl.DataFrame:
    """symbol, opened, closed of whole histories: a row for each symbol that has a row that may be a bar."""
    return spans.group_by("symbol").agg(pl.col("opened").min(), pl.col("closed").max()).drop_nulls()
