"""Series to judge by: what a universe's members returned, the level of an index, the interest on cash.

Lives here: one number per session. What followed a signal is in outcomes.py. Knows no store and no signals.
"""

import polars as pl

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.indicators.counts import memberships, present
from breadthflow_pipelines.model.vocabulary import ALL, KEY, MIXED_RETURN, PRICE_RETURN, TOTAL_RETURN

YEAR = 252  # sessions
LONGEST_GAP = 21  # sessions, a month; a close older than that is no base, for what resumes is too often another share
PARTS = 10**12  # returns are added up as whole parts of this, so that no mean depends on the order of its members

_KINDS = ("contributing", "missing", "first", "gap")
_WITH_BAR = ("contributing", "first", "gap")
_SUMMED = ("adjusted", "parts", "opened", "intraday_parts")
_PART = ("universe", "session", "sector")
RETURN_COLUMNS = ("return", "intraday", "members", *_KINDS, "adjusted")
LEVEL_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "segment": pl.String(),
        "session": pl.Date(),
        "level": pl.Float64(),
        "intraday": pl.Float64(),  # what one gained from the session's open to its close; null where nobody knows
        "basis": pl.String(),
    }
)


def member_returns(bars: pl.DataFrame, members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The equal-weight return of each universe's members: returns_of the only part there is."""
    return returns_of(partial_returns(bars, members, sessions))


def partial_returns(bars: pl.DataFrame, members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """What these securities add to the returns: universe, session, sector, and sums in whole numbers.

    Parts of disjoint securities add up (``added``), in any order, to the very digits of the whole.

    bars: security_id, session, open and close_adjusted (or null), close, in any order, each security's from one bar
    before the first counted session on, where it has one. members: universe, security_id, sector (or null), valid_from,
    valid_to (first day out; null: still in). sessions: session, ordinal (consecutive), counted (give rows).

    A session's row, for ALL and for each sector, is about those who were members on the session before, as one could
    hold them from its close on, in equal parts. Of the ``members``

    - ``contributing`` have a bar on the session and an earlier one. Their return is that of close_adjusted where both
      bars have it (these are ``adjusted``), else of the price. The return over a gap comes on the session that ends
      it, so that a share that was halted and resumes far lower is not left out.
    - ``missing`` have no bar on the session: halted, not delivered, or delisted. They contribute nothing. A share whose
      last bar was its last day as a going concern leaves at that close: the mean is too high by what was lost after it
      (Shumway, The Delisting Bias in CRSP Data, 1997: some 30 %).
    - ``first`` have their first bar, and ``gap`` their last one more than LONGEST_GAP sessions ago: nothing either.

    Raises:
        BreadthFlowError: a bar lies on a day that is not among the sessions.
    """
    spans = sessions.filter("counted").join(sessions.select(pl.col("ordinal") + 1, held="session"), on="ordinal")
    spans = spans.select("session", "held")
    own = _own_returns(bars, sessions).join(spans, on="session").rename({"session": "on", "held": "session"})
    sums = (
        memberships(own, members)
        .group_by("universe", "sector", session="on")
        .agg(
            *((pl.col("kind") == name).sum().cast(pl.Int64).alias(name) for name in _WITH_BAR),
            *(pl.col(name).sum().cast(pl.Int64) for name in _SUMMED),
        )
    )
    return (
        present(members, spans.get_column("held"))
        .join(spans, left_on="session", right_on="held")
        .select("universe", "sector", "members", session="session_right")
        .join(sums, on=_PART, how="left", nulls_equal=True)
        .with_columns(pl.col(*_WITH_BAR, *_SUMMED).fill_null(0))
        .with_columns(missing=pl.col("members") - pl.sum_horizontal(_WITH_BAR))
        .select(*_PART, "members", *_KINDS, *_SUMMED)
    )


def added(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Two parts, as partial_returns gives them, as one."""
    return pl.concat([one, other]).group_by(_PART).agg(pl.col("members", *_KINDS, *_SUMMED).sum())


def returns_of(parts: pl.DataFrame) -> pl.DataFrame:
    """The returns of each universe, its sectors and the whole: KEY and RETURN_COLUMNS, sorted by KEY.

    parts: of all its securities, added up. A session on which no member has a bar has no row: it is still to come, or
    nobody delivered it. ``return``, a fraction, is the mean of those contributing; null without any.
    ``intraday`` is theirs from the open of the session to its close, for those who enter at an open; null where not all
    opens are known. Trap: a mean rebalanced every session gains on prices that bounce (Blume and Stambaugh 1983): a
    yardstick, and not what a fund earns.
    """
    with_bar = pl.sum_horizontal(_WITH_BAR).sum().over("universe", "session")
    sectors = parts.filter(with_bar > 0).rename({"sector": "segment"})
    summed = pl.col("members", *_KINDS, *_SUMMED).sum()
    whole = sectors.group_by("universe", "session").agg(summed, segment=pl.lit(ALL))
    some, opened = pl.col("contributing") > 0, pl.col("opened") == pl.col("contributing")
    mean = pl.col("parts") / PARTS / pl.col("contributing")
    intraday = pl.col("intraday_parts") / PARTS / pl.col("contributing")
    return (
        pl.concat([whole, sectors.drop_nulls("segment")], how="diagonal")
        .with_columns(pl.when(some).then(mean).alias("return"), intraday=pl.when(some & opened).then(intraday))
        .select(*KEY, *RETURN_COLUMNS)
        .sort(KEY)
    )


def _own_returns(bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """security_id, session, kind, and _SUMMED of every bar; returns are in PARTS, and null unless it contributes."""
    placed = on_sessions(bars, sessions, "bars").sort("security_id", "ordinal")
    before = {name: pl.col(name).shift(1).over("security_id") for name in ("close", "close_adjusted", "ordinal")}
    told = placed.with_columns(value.alias(f"{name}_before") for name, value in before.items())
    adjusted = pl.col("close_adjusted") / pl.col("close_adjusted_before")
    waited = pl.col("ordinal") - pl.col("ordinal_before")
    kind = (
        pl.when(waited.is_null())
        .then(pl.lit("first"))
        .when(waited > LONGEST_GAP)
        .then(pl.lit("gap"))
        .otherwise(pl.lit("contributing"))
    )
    change = pl.coalesce(adjusted, pl.col("close") / pl.col("close_before")) - 1
    contributes = pl.when(kind="contributing")
    return told.with_columns(kind=kind).select(
        "security_id",
        "session",
        "kind",
        parts=contributes.then((change * PARTS).round().cast(pl.Int64)),
        opened=pl.col("open").is_not_null() & (pl.col("kind") == "contributing"),
        intraday_parts=contributes.then(((pl.col("close") / pl.col("open") - 1) * PARTS).round().cast(pl.Int64)),
        adjusted=adjusted.is_not_null() & (pl.col("kind") == "contributing"),
    )


def on_sessions(rows: pl.DataFrame, sessions: pl.DataFrame, what: str) -> pl.DataFrame:
    """Add the ``ordinal`` of each row's session.

    Raises:
        BreadthFlowError: a row lies on a day that is not among the sessions.
    """
    placed = rows.join(sessions.select("session", "ordinal"), on="session", how="left")
    stray = placed.filter(pl.col("ordinal").is_null())
    if stray.height:
        first = stray.select(pl.col("session").min()).item()
        raise BreadthFlowError(
            f"{stray.height} {what} lie on no known session, the first on {first}. "
            f"Pass every session from the first through the last that has {what}."
        )
    return placed


def universe_levels(returns: pl.DataFrame) -> pl.DataFrame:
    """Returns chained up to a level, LEVEL_SCHEMA sorted by KEY: 1 at the close before a series' first return.

    returns: KEY, return, intraday, contributing and adjusted, as member_returns gives them, with the whole history of
    each series. A session without a return has no level.
    """
    known = returns.drop_nulls("return").sort(KEY)
    series = ("universe", "segment")
    adjusted, contributing = (pl.col(name).sum().over(series) for name in ("adjusted", "contributing"))
    basis = pl.when(adjusted == contributing).then(pl.lit(TOTAL_RETURN)).when(adjusted > 0).then(pl.lit(MIXED_RETURN))
    return known.select(
        *KEY,
        (1 + pl.col("return")).cum_prod().over(series).alias("level"),
        "intraday",
        basis.otherwise(pl.lit(PRICE_RETURN)).alias("basis"),
    )


def index_levels(closes: pl.DataFrame) -> pl.DataFrame:
    """The levels of an index as a yardstick of whole universes, LEVEL_SCHEMA sorted by KEY; nobody knows its opens.

    closes: universe, session, close; at most one row per universe and session, sessions without a positive close left
    out. An index has no dividends in it.
    """
    return (
        closes.filter(pl.col("close") > 0)
        .select(
            "universe",
            pl.lit(ALL).alias("segment"),
            "session",
            pl.col("close").alias("level"),
            pl.lit(None, pl.Float64).alias("intraday"),
            pl.lit(PRICE_RETURN).alias("basis"),
        )
        .sort(KEY)
    )


def benchmark_levels(closes: pl.DataFrame) -> pl.DataFrame:
    """Levels of what may be held beside universes, LEVEL_SCHEMA sorted by KEY: 1 at the first close of each.

    closes: universe, session, close, close_adjusted (or null); at most one row per universe and session. Returns are of
    close_adjusted where two closes in a row have it, else of the price.
    """
    known = closes.filter(pl.col("close") > 0).sort("universe", "session")
    before = {name: pl.col(name).shift(1).over("universe") for name in ("close", "close_adjusted")}
    adjusted = pl.col("close_adjusted") / before["close_adjusted"]
    first = before["close"].is_null()
    return universe_levels(
        known.select(
            "universe",
            pl.lit(ALL).alias("segment"),
            "session",
            pl.when(first)
            .then(0.0)
            .otherwise(pl.coalesce(adjusted, pl.col("close") / before["close"]) - 1)
            .alias("return"),
            intraday=pl.lit(None, pl.Float64),
            contributing=(~first).cast(pl.Int64),
            adjusted=adjusted.is_not_null().cast(pl.Int64),
        )
    )


def levels(returns: pl.DataFrame, indexes: pl.DataFrame) -> pl.DataFrame:
    """What each universe is judged by, LEVEL_SCHEMA sorted by KEY: its members' returns, or else its index.

    returns: as universe_levels takes them. indexes: as index_levels takes them.
    """
    counted = universe_levels(returns)
    alone = indexes.filter(~pl.col("universe").is_in(counted["universe"].unique().to_list()))
    return pl.concat([counted, index_levels(alone)]).sort(KEY)


def risk_free(sessions: pl.Series, rates: pl.DataFrame | None = None) -> pl.DataFrame:
    """The interest on cash of each session: session, rate (a fraction, for one session), known; sorted.

    rates: session, rate (per cent a year). A session earns the last rate that was known at the close before it, as
    (1 + rate / 100) ** (1 / YEAR) - 1. Without rates, and before the first of them, it earns nothing and ``known`` is
    false: whoever shows a figure made of it must say so.
    """
    days = pl.DataFrame({"session": sessions.cast(pl.Date)}).sort("session")
    if rates is None:
        return days.with_columns(rate=pl.lit(0.0), known=pl.lit(False))
    given = rates.select("session", yearly=pl.col("rate").cast(pl.Float64)).drop_nulls().sort("session")
    earned = days.join_asof(given, on="session", strategy="backward", allow_exact_matches=False)
    rate = (1 + pl.col("yearly") / 100) ** (1 / YEAR) - 1
    return earned.select("session", rate=rate.fill_null(0.0), known=pl.col("yearly").is_not_null())
