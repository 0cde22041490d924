"""Which security a symbol meant on a day: symbols are names that move, securities are the companies behind them.

A universe and a source may spell one symbol in two ways (spelling.py): the same spelling wins, another one is taken
where there is only one. Pure; the tables behind it are read and written in warehouse/security_store.py.
"""

import polars as pl

from breadthflow_pipelines.contracts.verdict import contract
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA, SECURITY_SCHEMA
from breadthflow_pipelines.spelling import spelled

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


def as_listed(members: pl.DataFrame, symbols: pl.DataFrame) -> pl.DataFrame:
    """Members with ``listed``: their symbol as the symbols of the time of their membership spell it.

    symbols: symbol, valid_from, valid_to. The member's own spelling where one of them has it, or where several others
    or none could be meant.

    Raises:
        RequestError: one share would be a member of a universe twice at a time, under two spellings; names both.
    """
    rows = members.with_row_index("row").with_columns(spelling=_spelling("symbol"))
    known = symbols.select(_spelling("symbol").alias("spelling"), "valid_from", "valid_to", other="symbol")
    at_its_time = rows.join(known, on="spelling", suffix="_other").filter(
        _overlap("valid_from_other", "valid_to_other")
    )
    found = at_its_time.group_by("row").agg(
        known=(pl.col("other") == pl.col("symbol")).any(), others=pl.col("other").unique()
    )
    only = found.filter(~pl.col("known") & (pl.col("others").list.len() == 1))
    listed = rows.join(
        only.select("row", listed=pl.col("others").list.first()), on="row", how="left", maintain_order="left"
    ).with_columns(pl.coalesce("listed", "symbol"))
    _refuse_twice(listed)
    return listed.drop("row", "spelling")


def _refuse_twice(listed: pl.DataFrame) -> None:
    ordered = listed.sort("universe", "listed", "valid_from").with_columns(
        before=pl.col("symbol").shift(1).over("universe", "listed"),
        ended=pl.col("valid_to").shift(1).over("universe", "listed"),
    )
    still_in = pl.col("before").is_not_null() & (pl.col("ended").is_null() | (pl.col("ended") > pl.col("valid_from")))
    twice = ordered.filter(still_in & (pl.col("before") != pl.col("symbol")))
    if twice.height:
        universe, one, other = twice.select("universe", "before", "symbol").row(0)
        raise RequestError(f"{one} and {other} in {universe} are one share and overlap: remove one of them.")


def _overlap(start: str, end: str) -> pl.Expr:
    """Whether a membership (valid_from, valid_to) and another interval have a day in common; null: open."""
    return (pl.col(start) < pl.col("valid_to")).fill_null(value=True) & (pl.col("valid_from") < pl.col(end)).fill_null(
        value=True
    )


def _spelling(column: str) -> pl.Expr:
    """spelling.spelled of a column; there are few symbols, however many rows."""
    return pl.col(column).map_elements(spelled, pl.String)


def with_unlisted(listing: pl.DataFrame, members: pl.DataFrame, instruments: pl.DataFrame) -> pl.DataFrame:
    """The listing, and a security for every member that it does not know.

    instruments: symbol, name, sector, of those that somebody said something of.

    Members without bars are what coverage is measured against, so they need a place too: most are companies that a
    vendor dropped when they were delisted.
    """
    members = as_listed(members, listing).with_columns(symbol="listed")
    intervals = listing.select("symbol", from_="valid_from", to_="valid_to")
    listed = members.join(intervals, on="symbol").filter(_overlap("from_", "to_"))
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


def with_descriptions(listing: pl.DataFrame, instruments: pl.DataFrame) -> pl.DataFrame:
    """The listing with names and sectors that instruments give under another spelling, where the source has none."""
    said = instruments.select(_spelling("symbol").alias("spelling"), name_said="name", sector_said="sector")
    said = said.filter(pl.len().over("spelling") == 1)
    described = listing.with_columns(spelling=_spelling("symbol")).join(
        said, on="spelling", how="left", maintain_order="left"
    )
    filled = (pl.coalesce(name, f"{name}_said").alias(name) for name in ("name", "sector"))
    return described.with_columns(filled).select(listing.columns)


def number_securities(listing: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The listing with ``security_id``: that of ``known`` (security_key, security_id), or the next free one.

    A key that is a symbol is also known under another spelling, as after a change of the source, and stays what it was.
    """
    listing = listing.with_columns(source_key=_as_known(listing, known))
    keys = listing.select(pl.col("source_key").unique().sort())
    numbered = keys.join(known, left_on="source_key", right_on="security_key", how="left")
    highest = known["security_id"].max() if known.height else 0
    fresh = pl.col("security_id").is_null()
    numbered = numbered.with_columns(
        security_id=pl.when(fresh).then(pl.lit(highest, pl.Int64) + fresh.cum_sum()).otherwise("security_id")
    )
    return listing.join(numbered, on="source_key")


def _as_known(listing: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """The keys of a listing, those that are symbols in the spelling in which they are known, where that is one."""
    told, held = set(listing["source_key"]), set(known["security_key"])
    by_spelling: dict[str, list[str]] = {}
    for key in held - told:
        by_spelling.setdefault(spelled(key), []).append(key)
    symbols = set(listing.filter(pl.col("source_key") == pl.col("symbol"))["source_key"]) - held
    news: dict[str, list[str]] = {}
    for key in symbols:
        news.setdefault(spelled(key), []).append(key)
    same = {
        keys[0]: by_spelling[spelling][0]
        for spelling, keys in news.items()
        if len(keys) == 1 and len(by_spelling.get(spelling, ())) == 1
    }
    return listing["source_key"].replace(same)


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

    Returns universe, security_id, valid_from, valid_to, symbol (as the members spell it).
    """
    renamed = symbols.select("security_id", listed="symbol", from_="valid_from", to_="valid_to")
    return (
        as_listed(members, symbols)
        .join(renamed, on="listed")
        .with_columns(
            valid_from=pl.max_horizontal("valid_from", "from_"),
            valid_to=pl.min_horizontal("valid_to", "to_"),
        )
        .filter((pl.col("valid_from") < pl.col("valid_to")).fill_null(value=True))
        .select("universe", "security_id", "valid_from", "valid_to", "symbol")
        .sort("universe", "security_id", "valid_from")
    )
