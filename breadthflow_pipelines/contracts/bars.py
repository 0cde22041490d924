"""What a daily bar must be before it is stored. What a source gives is in sources/protocol.py."""

import pandera.polars as pa
import polars as pl

from breadthflow_pipelines.contracts.verdict import REASONS, Verdict, contract, judge
from breadthflow_pipelines.model.vocabulary import (
    BAR_VALUES,
    LEAST_PRICE,
    MOST_ADJUSTED,
    MOST_PRICE,
    MOST_VOLUME,
    PRICES,
    ROUNDING,
)
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA, UNREAD_SCHEMA

_KEY = ["symbol", "session"]


def bar_contract(calendar: ExchangeCalendar) -> pa.DataFrameSchema:
    """The contract of bars whose symbols were resolved: BAR_SCHEMA and ``security_id``.

    One row per security and session: of equal rows the first is kept, of differing ones none, since nobody can tell
    which is right.
    """
    sessions = pl.Series(calendar.between(calendar.first, calendar.last_closed()), dtype=pl.Date)
    inside = [
        pl.col(price).is_between(pl.col("low") * (1 - ROUNDING), pl.col("high") * (1 + ROUNDING))
        for price in ("open", "close")
    ]
    prices_known = pl.all_horizontal(_finite(price) for price in PRICES)
    rules = {
        "price missing or not finite": prices_known,
        "price not positive": pl.all_horizontal(pl.col(price).fill_nan(None).fill_null(1) > 0 for price in PRICES),
        "price beyond any market": pl.all_horizontal(_priced(price) for price in PRICES),
        "high below low": ~prices_known | (pl.col("high") >= pl.col("low")),
        "open outside the bar": ~prices_known | (pl.col("high") < pl.col("low")) | inside[0],
        "close outside the bar": ~prices_known | (pl.col("high") < pl.col("low")) | inside[1],
        "volume missing or not finite": _finite("volume"),
        "volume beyond any market": ~_finite("volume") | (pl.col("volume") <= MOST_VOLUME),
        "volume negative": pl.col("volume").fill_nan(None).fill_null(0) >= 0,
        "session missing": pl.col("session").is_not_null(),
        not_a_session(calendar): pl.col("session").is_null() | pl.col("session").is_in(sessions.implode()),
        "symbol belongs to no security": pl.col("security_id").is_not_null(),
        "another row of the session differs": pl.col("session").is_null() | (_distinct_rows() == 1),
        "repeated row": pl.col("session").is_null() | (_distinct_rows() > 1) | pl.struct(_KEY).is_first_distinct(),
    }
    return contract("bars", {**BAR_SCHEMA, "security_id": pl.Int64}, rules)


def not_a_session(calendar: ExchangeCalendar) -> str:
    """The rule that bars of days without a session break, and of sessions that are not over."""
    return f"no closed session of {calendar.name}"


def with_usable_adjusted(bars: pl.DataFrame) -> pl.DataFrame:
    """Sound bars with an adjusted close that is null where nobody can use it: zero, negative, not finite, or absurd.

    Absurd is more than MOST_ADJUSTED times the close, or less than that part of it. Everything else of such a bar is
    right: vendors give it where special dividends were more than the price.
    """
    factor = pl.col("close_adjusted") / pl.col("close")
    usable = factor.is_between(1 / MOST_ADJUSTED, MOST_ADJUSTED)  # of NaN and infinity it is false
    return bars.with_columns(close_adjusted=pl.when(usable).then("close_adjusted"))


def _priced(column: str) -> pl.Expr:
    """Whether a price, where it is positive and finite, is one that a share can have."""
    price = pl.col(column)
    return ~(_finite(column) & (price > 0)) | price.is_between(LEAST_PRICE, MOST_PRICE)


def judge_bars(schema: pa.DataFrameSchema, bars: pl.DataFrame) -> Verdict:
    """Part resolved bars by their contract, and by whether their source could read them.

    bars: the contract's columns, perhaps UNREAD_SCHEMA's as well. A row with a ``fault`` is rejected for that reason
    alone, and takes no other row with it: nobody knows whether it differs. rejected has the column ``raw``.
    """
    lacking = [pl.lit(None, kind).alias(name) for name, kind in UNREAD_SCHEMA.items() if name not in bars.columns]
    bars = bars.with_columns(lacking)
    read = bars.filter(pl.col("fault").is_null()).drop("fault")
    unread = bars.filter(pl.col("fault").is_not_null()).rename({"fault": REASONS})
    verdict = judge(schema, read.drop("raw"), beside=read.select("raw"))
    unread = unread.with_columns(pl.concat_list(REASONS)).select(verdict.rejected.columns)
    return Verdict(verdict.good.drop("raw"), pl.concat([verdict.rejected, unread]))


def _finite(column: str) -> pl.Expr:
    return pl.col(column).is_not_null() & pl.col(column).is_finite().fill_null(value=False)


def _distinct_rows() -> pl.Expr:
    """How many different rows this row's symbol and session have."""
    values = pl.struct([*_KEY, *BAR_VALUES])
    return values.hash().n_unique().over(_KEY)  # ten times faster than comparing the values themselves
