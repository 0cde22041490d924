"""Which security a symbol meant on a day: symbols are names that move, securities are the companies behind them.

Pure; the tables behind it are read and written in warehouse/market.py.
"""

import polars as pl

from breadthflow_pipelines.contracts.verdict import contract
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA, SECURITY_SCHEMA

_INTERVAL = {"ends before it begins": (pl.col("valid_to") > pl.col("valid_from")).fill_null(value=True)}

LISTING = contract(
    "securities of a source",
    SECURITY_SCHEMA,
    {"key or symbol missing": pl.all_horizontal(pl.col("source_key", "symbol").is_not_null()), **_INTERVAL},
)

MEMBERS = contract(
    "members of a universe",
    MEMBER_SCHEMA,
    {
        "universe, symbol or first day missing": pl.all_horizontal(
            pl.col("universe", "symbol", "valid_from").is_not_null()
        ),
        **_INTERVAL,
    },
)


def with_unlisted(listing: pl.DataFrame, members: pl.DataFrame, instruments: pl.DataFrame) -> pl.DataFrame:
    """The listing, and a security for every member that it does not know.

    instruments: symbol, name, sector, of those that somebody said something of.

    Members without bars are what coverage is measured against, so they need a place too: most are companies that a
    vendor dropped when they were delisted.
    """
    intervals = listing.select("symbol", from_="valid_from", to_="valid_to")
    listed = members.join(intervals, on="symbol").filter(
        (pl.col("from_") < pl.col("valid_to")).fill_null(value=True)
        & (pl.col("valid_from") < pl.col("to_")).fill_null(value=True)
    )
    missing = members.join(listed, on=["universe", "symbol", "valid_from"], how="anti")
    # The symbol may be somebody else's at other times: theirs is the gap between those.
    gaps = (
        missing.join(intervals, on="symbol", how="left")
        .group_by("universe", "symbol", "valid_from")
        .agg(
            since=pl.col("to_").filter(pl.col("to_") <= pl.col("valid_from")).max(),
            until=pl.col("from_").filter(pl.col("from_") > pl.col("valid_from")).min(),
        )
    )
    unlisted = gaps.select("symbol", "since", "until").unique().sort("symbol", "since")
    key = pl.concat_str(
        "symbol",
        pl.format(" since {}", "since").fill_null(""),
        pl.format(" until {}", "until").fill_null(""),
    )
    alone = pl.col("since").is_null() & pl.col("until").is_null()  # else it is the other company that is described
    described = unlisted.join(instruments, on="symbol", how="left", maintain_order="left").with_columns(
        pl.when(alone).then(column).alias(column) for column in ("name", "sector")
    )
    columns = {"source_key": key, "valid_from": pl.col("since"), "valid_to": pl.col("until")}
    return pl.concat([listing, described.with_columns(**columns).select(listing.columns)])


def number_securities(listing: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The listing with ``security_id``: that of ``known`` (security_key, security_id), or the next free one."""
    keys = listing.select(pl.col("source_key").unique().sort())
    numbered = keys.join(known, left_on="source_key", right_on="security_key", how="left")
    highest = known["security_id"].max() if known.height else 0
    fresh = pl.col("security_id").is_null()
    numbered = numbered.with_columns(
        security_id=pl.when(fresh).then(pl.lit(highest, pl.Int64) + fresh.cum_sum()).otherwise("security_id")
    )
    return listing.join(numbered, on="source_key")


def resolve_bars(bars: pl.DataFrame, symbols: pl.DataFrame) -> pl.DataFrame:
    """Bars with the ``security_id`` whose symbol it was on their session, null where it was nobody's.

    symbols: security_id, symbol, valid_from, valid_to; intervals of one symbol do not overlap.
    """
    numbered = bars.with_row_index("row")
    found = (
        numbered.select("row", "symbol", "session")
        .join(symbols, on="symbol")
        .filter(
            (pl.col("valid_from").is_null() | (pl.col("session") >= pl.col("valid_from")))
            & (pl.col("valid_to").is_null() | (pl.col("session") < pl.col("valid_to")))
        )
        .select("row", "security_id")
    )
    return numbered.join(found, on="row", how="left", maintain_order="left").drop("row")


def resolve_members(members: pl.DataFrame, symbols: pl.DataFrame) -> pl.DataFrame:
    """Members by ``security_id``: each interval cut to where the symbol was that security's.

    Returns universe, security_id, valid_from, valid_to, symbol.
    """
    renamed = symbols.select("security_id", "symbol", from_="valid_from", to_="valid_to")
    return (
        members.join(renamed, on="symbol")
        .with_columns(
            valid_from=pl.max_horizontal("valid_from", "from_"),
            valid_to=pl.min_horizontal("valid_to", "to_"),
        )
        .filter((pl.col("valid_from") < pl.col("valid_to")).fill_null(value=True))
        .select("universe", "security_id", "valid_from", "valid_to", "symbol")
        .sort("universe", "security_id", "valid_from")
    )
