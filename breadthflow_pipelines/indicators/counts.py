"""Counts of the members of a universe on each session: how many rose, fell and so on, and whether a count is final.

Counts are sums over securities: they can be computed by month, by universe or by parts of the securities. What a
single security did is in price.py, what follows from the counts in breadth_catalogue.py.
"""

import datetime as dt

import polars as pl

from breadthflow_pipelines.indicators import price
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.model.counts import COUNT_COLUMNS, COUNTS, DIRECTED, DIRECTIONS, ISSUES
from breadthflow_pipelines.model.vocabulary import ALL, AVERAGES, FINAL, KEY, PROVISIONAL

LARGEST = 2**63 - 1  # that a count can be

OUTAGE_SHARE = 0.9  # of the usual coverage: with less than that, a part of the bars has not come in
OUTAGE_SESSIONS = 21  # prior sessions, one month, whose median is the usual coverage

_rose, _fell = pl.col("direction") == 1, pl.col("direction") == -1
MOST_DOLLARS = 1e17  # close * volume of one bar; all exchanges of the world together trade less in a session
_paid = pl.col("close") * pl.col("volume")
_dollars = pl.when((pl.col("close") <= price.MOST_SUMMED) & (_paid <= MOST_DOLLARS)).then(_paid).round().cast(pl.Int64)

# Volumes, dollars and points of those that moved or stayed.
_MOVED = tuple(count.name for count in COUNTS if count.able == DIRECTED and count.name not in DIRECTIONS)
_WIDE = tuple(count.name for count in COUNTS if count.name in _MOVED and count.whole)

# What one bar adds to each count. All are whole numbers, so that no sum depends on the order of its parts.
_MARKS = {
    "priced": pl.col("security_id").is_not_null(),
    "advances": _rose,
    "declines": _fell,
    "unchanged": pl.col("direction") == 0,
    "no_prior": pl.col("no_prior"),
    "gap": pl.col("gap"),
    "up_volume": pl.when(_rose).then("volume"),
    "down_volume": pl.when(_fell).then("volume"),
    "unchanged_volume": pl.when(pl.col("direction") == 0).then("volume"),
    "up_dollars": pl.when(_rose).then(_dollars),
    "down_dollars": pl.when(_fell).then(_dollars),
    "points_gained": pl.when(_rose).then("points"),
    "points_lost": pl.when(_fell).then("points"),
    **{f"{kind}_{window}": pl.col(f"{kind}_{window}") for window in AVERAGES for kind in ("above", "able")},
    "new_highs": pl.col("new_high"),
    "new_lows": pl.col("new_low"),
    "able_252": pl.col("able_252"),
    "new_highs_20": pl.col("new_high_20"),
    "new_lows_20": pl.col("new_low_20"),
    "able_extremes_20": pl.col("able_extremes_20"),
    "new_highs_total_return": pl.col("new_high_total_return"),
    "new_lows_total_return": pl.col("new_low_total_return"),
    "able_252_total_return": pl.col("able_252_total_return"),
}

# Volumes and dollars of a session may exceed the range of a count, so they are summed in twice the width.
_SUMMED_AS = {count.name: pl.Int128 if count.name in _MOVED else pl.Int64 for count in COUNTS if count.name in _MARKS}

# By count, the number of members that could have added to it: where that is zero, the count is null.
_ABLE = {count.name: count.able for count in COUNTS if count.able is not None}
_PART = ("universe", "session", "sector")
NO_INDEX = pl.DataFrame(schema={"universe": pl.String, "session": pl.Date, "index_close": pl.Float64})


def count_breadth(
    bars: pl.DataFrame, members: pl.DataFrame, sessions: pl.DataFrame, index: pl.DataFrame = NO_INDEX
) -> pl.DataFrame:
    """Count breadth per universe, segment and session: breadth_of the only part there is."""
    return breadth_of(partial_counts(bars, members, sessions), index)


def partial_counts(bars: pl.DataFrame, members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """What these securities add to the counts: universe, session, sector, ``members`` and the sum of each mark.

    bars: security_id, session, high, low, close, volume (shares), close_adjusted (or null), in any order, with
    price.WARM_UP_BARS own bars of each security before the first counted session, where it has them. members: universe,
    security_id, sector (or null), valid_from, valid_to (first day out; null: still in). sessions: session, ordinal
    (consecutive), counted (give rows), without a hole from the first bar through the last.

    Everything is computed on a security's whole history and masked by membership only here, so a joining member needs
    no burn-in. Parts of disjoint securities add up (``added``), in any order, to the very digits of the whole.

    Raises:
        BreadthFlowError: a bar lies on a day that is not among the sessions.
    """
    moves = price.with_extremes(price.with_participation(price.with_direction(price.own_bars(bars, sessions))))
    marks = moves.select("security_id", "session", "counted", **_MARKS)
    part, numbered = _numbered(members)
    sums = pl.concat([_sums(marks, intervals) for intervals in _one_by_one(numbered)])
    days = sessions.filter("counted").get_column("session")
    added_up = sums.group_by("part", "session").agg(pl.col(*_MARKS).sum()).join(part, on="part").drop("part")
    return (
        present(members, days)
        .join(added_up, on=_PART, how="left", nulls_equal=True)
        .select(*_PART, "members", pl.col(*_MARKS).fill_null(0))
    )


def _numbered(members: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The universes and sectors that there are, each with a number, ``part``; and the members with that of theirs."""
    parts = members.select("universe", "sector").unique().with_row_index("part")
    return parts, members.join(parts, on=["universe", "sector"], nulls_equal=True)


def _one_by_one(members: pl.DataFrame) -> list[pl.DataFrame]:
    """The intervals of membership in lists that have each security at most once; the first has all securities."""
    numbered = members.with_columns(number=pl.int_range(pl.len()).over("security_id"))
    return numbered.partition_by("number", include_key=False) or [members]


def _sums(marks: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """The sum of each mark by part and session, of bars within these intervals, of which a security has one at most.

    Bars outside are summed apart, as nobody's: that costs less than to copy those inside.
    """
    if 2 * intervals.height < marks.get_column("security_id").n_unique():
        marks = marks.join(intervals, on="security_id", how="semi", maintain_order="left")
    interval = intervals.select("security_id", "part", "valid_from", "valid_to")
    of_bar = marks.select("security_id", "session", "counted").join(
        interval, on="security_id", how="left", maintain_order="left"
    )
    part = of_bar.select(part=pl.when(pl.col("counted") & _belongs()).then("part")).get_column("part")
    return (
        marks.with_columns(part)
        .group_by("part", "session")
        .agg(pl.col(name).cast(_SUMMED_AS[name]).sum() for name in _MARKS)
        .drop_nulls("part")
    )


def present(members: pl.DataFrame, days: pl.Series) -> pl.DataFrame:
    """universe, sector, session and how many ``members``, on these days; without those on which there are none."""
    import numpy as np  # here, because commands that list indicators import this module

    days, (parts, numbered) = days.sort(), _numbered(members)
    part = numbered.get_column("part").to_numpy()
    came = days.search_sorted(numbered.get_column("valid_from")).to_numpy()
    gone = days.search_sorted(numbered.get_column("valid_to").fill_null(dt.date.max)).to_numpy()
    changes = np.zeros((parts.height, days.len() + 1), dtype=np.int64)
    np.add.at(changes, (part, came), 1)
    np.add.at(changes, (part, gone), -1)
    counted = changes.cumsum(axis=1)
    where = counted[:, :-1].nonzero()
    return parts[where[0]].select(
        "universe", "sector", session=days.gather(where[1]), members=pl.Series(counted[where])
    )


def added(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Two parts, as partial_counts gives them, as one."""
    return pl.concat([one, other]).group_by(_PART).agg(pl.col("members", *_MARKS).sum())


def breadth_of(parts: pl.DataFrame, index: pl.DataFrame = NO_INDEX) -> pl.DataFrame:
    """The counts of each universe, its sectors and the whole, from the parts of all its securities, added up.

    index: universe, session, index_close: the level of an index of the universe, where there is one.

    Gives ``universe, segment, session``, COUNT_COLUMNS and ``convention``, sorted: segment ALL and each sector that has
    members, for counted sessions on which any member of the universe is priced. Counts are issues (Int64), volumes
    shares and dollars close * shares (Int64), points price units (Float64), coverage is priced/members; index_close
    is given for ALL only. Null where it is unknown: directions, volumes and points with no member that advanced,
    declined or stayed; above_N and new extremes with no able member; a sum beyond LARGEST. A bar above
    price.MOST_SUMMED or MOST_DOLLARS counts like any other, but adds nothing to points and dollars.
    """
    sectors = parts.rename({"sector": "segment"})
    whole = sectors.group_by("universe", "session").agg(pl.col("members", *_MARKS).sum(), segment=pl.lit(ALL))
    seen = whole.filter(pl.col("priced") > 0).select("universe", "session")
    return (
        pl.concat([whole, sectors.drop_nulls("segment")], how="diagonal")
        .join(seen, on=["universe", "session"], how="semi")
        .with_columns(coverage=pl.col("priced") / pl.col("members"), **{DIRECTED: pl.sum_horizontal(DIRECTIONS)})
        .with_columns(pl.when(pl.col(able) > 0).then(name).alias(name) for name, able in _ABLE.items())
        .with_columns(pl.col("points_gained", "points_lost").cast(pl.Float64) / price.TICK_PARTS)
        .with_columns(pl.when(pl.col(name) <= LARGEST).then(name).cast(pl.Int64).alias(name) for name in _WIDE)
        .join(index.with_columns(segment=pl.lit(ALL)), on=KEY, how="left")
        .select(*KEY, *COUNT_COLUMNS, convention=pl.lit(CONVENTION, pl.Int32))
        .sort(KEY)
    )


def without(counts: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """The counts of whole universes that are left when the securities which these parts count are taken out.

    counts: KEY, COUNT_COLUMNS and whatever else, of segment ALL. parts: as partial_counts gives them, of any sessions.
    A session on which nobody is left has no row.
    """
    gone = parts.group_by("universe", "session").agg(pl.col("members", *_MARKS).sum().name.suffix("_gone"))
    less = {name: pl.col(name) - pl.col(f"{name}_gone").fill_null(0) for name in ("members", *_MARKS)}
    points = {
        name: pl.col(name) - pl.col(f"{name}_gone").fill_null(0) / price.TICK_PARTS
        for name in ("points_gained", "points_lost")
    }
    return (
        counts.join(gone, on=["universe", "session"], how="left")
        .with_columns(**(less | points))
        .filter(pl.col("priced") > 0)
        .with_columns(coverage=pl.col("priced") / pl.col("members"), **{DIRECTED: pl.sum_horizontal(DIRECTIONS)})
        .with_columns(pl.when(pl.col(able) > 0).then(name).alias(name) for name, able in _ABLE.items())
        .select(pl.col(name).cast(kind) for name, kind in counts.schema.items())
    )


def breadth_state(counts: pl.DataFrame, gate: float, revisable_from: dt.date) -> pl.DataFrame:
    """Add ``state``: "provisional" where a count may still change or its coverage is too low, else "final".

    counts: KEY and coverage (priced/members; null for published counts, which pass), with the whole history of each
    universe and segment, in any order. The result is sorted by KEY. A row is provisional

    - with a coverage below ``gate``,
    - with less than OUTAGE_SHARE of the median coverage of the prior OUTAGE_SESSIONS rows (only where those are full),
    - on a session from ``revisable_from`` on, whose bars the source may still change.
    """
    too_thin = (pl.col("coverage") < gate) | coverage_lost().over("universe", "segment")
    provisional = too_thin.fill_null(False) | (pl.col("session") >= revisable_from)
    state = pl.when(provisional).then(pl.lit(PROVISIONAL)).otherwise(pl.lit(FINAL))
    return counts.sort(KEY).with_columns(state=state)


def coverage_lost() -> pl.Expr:
    """Whether a row's coverage is far below the usual coverage of its series, in order of sessions."""
    usual = pl.col("coverage").rolling_median(OUTAGE_SESSIONS).shift(1)
    return pl.col("coverage") < OUTAGE_SHARE * usual


def memberships(rows: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Rows of security_id and session, once for each universe that it was in that day, with its sector there."""
    told = rows.join(members.select("security_id", "universe", "sector", "valid_from", "valid_to"), on="security_id")
    return told.filter(_belongs()).drop("valid_from", "valid_to")


def roster(members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The members of each universe and sector on each session: universe, sector, session, security_id."""
    everyone = members.lazy().join(sessions.lazy(), how="cross").filter(_belongs())
    return everyone.select("universe", "sector", "session", "security_id").collect()


def _belongs() -> pl.Expr:
    """Whether a session lies within the interval of a membership."""
    return (pl.col("valid_from") <= pl.col("session")) & (
        pl.col("valid_to").is_null() | (pl.col("session") < pl.col("valid_to"))
    )


def comparable(counts: pl.DataFrame) -> pl.DataFrame:
    """The same counts, with ISSUES (Float64) of rows that count another list scaled to the usual list.

    counts: ISSUES and, where there are published counts among them, ``issue_scale``: the usual total over the row's
    own, null where they are one. Shares such as A / (A + D) stay what they were; sums and differences over sessions
    are in issues of one list.
    """
    if "issue_scale" not in counts.columns:
        return counts
    scale = pl.col("issue_scale").fill_null(1.0)
    return counts.with_columns(pl.col(name).cast(pl.Float64) * scale for name in ISSUES)
