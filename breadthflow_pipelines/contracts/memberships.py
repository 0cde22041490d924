"""Memberships made by the bars of a source, joined with the stored ones: what it no longer has was there all the same.

Pure. For sources whose members are those that they have rows of (sources/protocol.MembersByBars); a list of members is
taken as it is. A membership here is universe, security_id, valid_from, valid_to (null: open), symbol; those of one
security in one universe do not overlap.
"""

import datetime as dt

import polars as pl

from breadthflow_pipelines.sources.listing import STILL_LISTED

WHOSE = ("universe", "security_id")


def reaching_beyond(given: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The stored memberships that reach beyond what is given of their security, before it or after it.

    Adds begins and ends, of what is given: begins is null where nothing is, ends where that is open.
    """
    closed = pl.col("valid_to").is_not_null().all()
    hull = given.group_by(WHOSE).agg(
        begins=pl.col("valid_from").min(), ends=pl.when(closed).then(pl.col("valid_to").max())
    )
    return stored.join(hull, on=WHOSE, how="left").filter(pl.col("begins").is_null() | _before() | _after())


def joined(
    given: pl.DataFrame, beyond: pl.DataFrame, bars: pl.DataFrame, newest: dt.date, since: dt.date
) -> pl.DataFrame:
    """The given memberships, and of the stored ones what bars are stored of.

    beyond: as reaching_beyond. bars: security_id, first, last: the ends of the stored bars of those securities.
    newest: the last day of which the source has a row. since: the first day that is ever counted.

    What meets a given membership makes it longer; what does not stands beside it. An open one that the source no longer
    gives ends the day after its last bar, unless that is recent: the source may only have lost it for an evening. One
    without a bar is gone, as it was made of rows that were rejected, or never read.
    """
    begins, ends, opened = pl.col("begins"), pl.col("ends"), pl.col("valid_from")
    first, last, until = pl.col("first"), pl.col("last"), pl.col("until")
    gone = last < newest - STILL_LISTED
    known = beyond.join(bars, on="security_id", how="left").with_columns(
        until=pl.coalesce("valid_to", pl.when(gone).then(last.dt.offset_by("1d"))),
        apart=(begins.is_null() | (pl.col("valid_to") < begins) | (opened > ends)).fill_null(value=False),
    )
    # A beginning before anything is counted has no bars, and moving it would compute all of history again.
    earlier = _before() & ((first < begins) | (begins <= since))
    later = _after() & (last >= ends)
    longer = (
        known.filter(~pl.col("apart"))
        .group_by(WHOSE)
        .agg(
            earlier=opened.filter(earlier).min(),
            later=until.filter(later).max(),
            stays_open=until.filter(later).is_null().any(),
        )
    )
    has_bars = (last >= opened) & (pl.col("valid_to").is_null() | (first < pl.col("valid_to")))
    beside = known.filter(pl.col("apart") & has_bars).with_columns(valid_to="until")
    is_first, is_last = opened == opened.min().over(WHOSE), opened == opened.max().over(WHOSE)
    made_longer = given.join(longer, on=WHOSE, how="left").with_columns(
        valid_from=pl.when(is_first).then(pl.min_horizontal("valid_from", "earlier")).otherwise("valid_from"),
        valid_to=pl.when(is_last & pl.col("stays_open"))
        .then(None)
        .when(is_last)
        .then(pl.max_horizontal("valid_to", "later"))
        .otherwise("valid_to"),
    )
    both = [made_longer.select(given.columns), beside.select(given.columns)]
    return pl.concat(both).sort(*WHOSE, "valid_from")


def _before() -> pl.Expr:
    return pl.col("valid_from") < pl.col("begins")


def _after() -> pl.Expr:
    still = pl.col("valid_to").is_null()
    return pl.col("ends").is_not_null() & (still | (pl.col("valid_to") > pl.col("ends")))
