"""What pages and exports hold of a universe: frames of one moment, and since when the store says so.

Frames for notebooks: frame_listing.py.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from breadthflow_pipelines.model.gates import EVERY
from breadthflow_pipelines.model.vocabulary import ALL, FIXED, LAPSED, SHOWN_RULE, WHOLE
from breadthflow_pipelines.warehouse import standing
from breadthflow_pipelines.warehouse.breadth_listing import breadth_columns
from breadthflow_pipelines.warehouse.bulk import Statement, fetch_together
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.frame_listing import JUDGED
from breadthflow_pipelines.warehouse.rejections import members_symbols
from breadthflow_pipelines.warehouse.signal_listing import evidence_shown, signals_query
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

SECTOR_SHARE = "pct_above_50"  # an indicator; a store that no run has brought up to this program may lack it


@dataclass(frozen=True)
class UniverseContents:
    """What the store holds of a universe.

    breadth: the columns of the view ``breadth``. signals: MARKET_SIGNAL, evidence as JSON text, and SIGNAL_RECORD. Both
    by segment and session. known_at: since when the store says exactly this. convention: the version of the
    definitions, of the newest row. synthetic: whether its companies are invented.
    """

    breadth: pl.DataFrame
    signals: pl.DataFrame
    known_at: dt.datetime
    convention: int
    synthetic: bool


@dataclass(frozen=True)
class ExportContents(UniverseContents):
    """What an export holds: the universe as a whole, or every segment.

    judged: by their names, what JUDGED lists, as the store has it. segments: every one that the store has, sorted.
    """

    judged: Mapping[str, pl.DataFrame]
    segments: Sequence[str]


@dataclass(frozen=True)
class PageContents(UniverseContents):
    """What a page shows: the universe as a whole, with evidence of all events and of the last session's measures.

    sectors: segment, session, pct_above_50. faults: kind, what, rows, first, last: what is left out, doubted, revised
    or held. records: of each rule, side and horizon, what followed over the whole history. returns: universe, segment,
    session, return, intraday, contributing, adjusted of the members. index: universe, session, close, as published.
    backtests, trades, years: as the store has them, of whom trades are of SHOWN_RULE with fixed thresholds.
    """

    sectors: pl.DataFrame
    faults: pl.DataFrame
    records: pl.DataFrame
    returns: pl.DataFrame
    index: pl.DataFrame
    backtests: pl.DataFrame
    trades: pl.DataFrame
    years: pl.DataFrame


def universes(database: Database) -> list[str]:
    """The universes that have breadth, by name."""
    return [row["universe"] for row in rows_of(database, "SELECT DISTINCT universe FROM breadth_indicators ORDER BY 1")]


def universe_contents(database: Database, universe: str, *, sectors: bool = False) -> ExportContents:
    """Everything of a universe as a whole, or with its sectors.

    Raises:
        RequestError: nothing of the universe is stored; says which there are, or what helps.
    """
    standing.check_universe(database, universe)
    of = () if sectors else (ALL,)
    judged = [_of(universe, of if what.of_sectors else (), what.query) for what in JUDGED.values()]
    breadth, signals, known, segments, *rest = fetch_together(
        database,
        [
            _of(universe, of, _breadth),
            _of(universe, of, signals_query),
            _known(universe),
            ("SELECT DISTINCT segment FROM breadth_indicators WHERE universe = $1 ORDER BY 1", (universe,)),
            *judged,
        ],
    )
    known_at, convention = known.row(0)
    synthetic = universe in synthetic_universes(database)
    named = {name: rows.drop("computed_at") for name, rows in zip(JUDGED, rest, strict=True)}
    return ExportContents(breadth, signals, known_at, convention, synthetic, named, segments["segment"].to_list())


def page_contents(database: Database, universe: str) -> PageContents:
    """What the page of a universe shows.

    Raises:
        RequestError: nothing of the universe is stored; says which there are, or what helps.
    """
    standing.check_universe(database, universe)
    share = SECTOR_SHARE if SECTOR_SHARE in breadth_columns(database) else f"NULL::double precision AS {SECTOR_SHARE}"
    evidence = evidence_shown("universe = $1 AND segment = $2")
    breadth, signals, known, *rest = fetch_together(
        database,
        [
            _of(universe, [ALL], _breadth),
            _of(universe, [ALL], partial(signals_query, evidence=evidence)),
            _known(universe),
            (
                f"SELECT segment, session, {share} FROM breadth_indicators "
                "WHERE universe = $1 AND segment <> $2 ORDER BY segment, session",
                (universe, ALL),
            ),
            (_FAULTS, (universe,)),
            (_RECORDS, (universe,)),
            (_RETURNS, (universe, ALL)),
            (_INDEX, (universe,)),
            (_BACKTESTS, (universe,)),
            (_TRADES, (universe, SHOWN_RULE, FIXED)),
            (_YEARS, (universe,)),
        ],
    )
    known_at, convention = known.row(0)
    synthetic = universe in synthetic_universes(database)
    return PageContents(breadth, signals, known_at, convention, synthetic, *rest)


def _of(universe: str, segments: Sequence[str], query: Callable[[str], str]) -> Statement:
    """The query for a universe's rows, of one segment where it is named. query: from a condition."""
    return query("universe = $1" + (" AND segment = $2" if segments else "")), (universe, *segments)


def _breadth(where: str) -> str:
    return f"SELECT * FROM breadth WHERE {where} ORDER BY segment, session"


def _known(universe: str) -> Statement:
    """The moment of the last change to anything of the universe, removals included; and the convention."""
    return (
        "SELECT greatest((SELECT max(computed_at) FROM breadth_counts WHERE universe = $1), "
        "(SELECT max(ingested_at) FROM exchange_breadth WHERE exchange = $1), "
        "(SELECT max(computed_at) FROM breadth_indicators WHERE universe = $1), "
        "(SELECT max(computed_at) FROM market_signals WHERE universe = $1), "
        "(SELECT max(known_to) FROM breadth_revisions WHERE universe = $1), "
        "(SELECT max(known_to) FROM signal_revisions WHERE universe = $1)) AS known_at, "
        "(SELECT max(convention) FROM breadth_indicators WHERE universe = $1) AS convention",
        (universe,),
    )


_RECORDS = (
    "SELECT rule, action, horizon, events, episodes, hit_rate, base_rate, lift, p_rotation, p_family, verdict, reason "
    f"FROM signal_accuracy WHERE universe = $1 AND era = '{WHOLE}' ORDER BY rule, action, horizon"
)
_RETURNS = (
    "SELECT universe, segment, session, return, intraday, contributing, adjusted FROM universe_returns "
    "WHERE universe = $1 AND segment = $2 ORDER BY session"
)
_INDEX = (
    "SELECT exchange AS universe, session, index_close AS close FROM exchange_breadth "
    "WHERE exchange = $1 AND index_close IS NOT NULL ORDER BY session"
)
_BACKTESTS = "SELECT * FROM backtests WHERE universe = $1 ORDER BY rule, thresholds, portfolio, cost"
_TRADES = "SELECT * FROM backtest_trades WHERE universe = $1 AND rule = $2 AND thresholds = $3 ORDER BY entry_session"
_YEARS = "SELECT * FROM backtest_years WHERE universe = $1 ORDER BY rule, year"
_OF_MEMBERS = "security_id IN (SELECT security_id FROM universe_members WHERE universe = $1)"
_COUNTED = "count(*) AS rows, min(session) AS first, max(session) AS last"
_FAULTS = f"""
SELECT 'rejected bar' AS kind, reason AS what, {_COUNTED}
  FROM rejected_bars, unnest(reasons) AS reason
 WHERE gone_at IS NULL AND symbol IN ({members_symbols("$1")})
 GROUP BY reason
UNION ALL
SELECT 'rejected line', reason, {_COUNTED} FROM rejected_counts WHERE exchange = $1 GROUP BY reason
UNION ALL
SELECT status || ' bar', rule, {_COUNTED} FROM quarantined_bars
 WHERE status <> '{LAPSED}' AND {_OF_MEMBERS} GROUP BY status, rule
UNION ALL
SELECT 'doubted session', reason, {_COUNTED} FROM exchange_breadth, unnest(doubts) AS reason
 WHERE exchange = $1 GROUP BY reason
UNION ALL
SELECT 'revised bar', coalesce(kind, 'unknown cause'), {_COUNTED} FROM bar_revisions
 WHERE {_OF_MEMBERS} GROUP BY kind
UNION ALL
SELECT 'revised session', 'counts or indicators said something else before', count(DISTINCT session), min(session),
       max(session) FROM breadth_revisions WHERE universe = $1 AND segment = '{ALL}' HAVING count(*) > 0
UNION ALL
SELECT 'held session', said, {_COUNTED} FROM holding
 WHERE universe = $1 OR universe = '{EVERY}'
   AND synthetic IN (SELECT synthetic FROM securities WHERE {_OF_MEMBERS}) GROUP BY said
UNION ALL
SELECT 'accepted hole', gate || ': ' || reason, {_COUNTED} FROM accepted_holes
 WHERE universe = $1 OR universe = '{EVERY}'
   AND synthetic IN (SELECT synthetic FROM securities WHERE {_OF_MEMBERS}) GROUP BY gate, reason
 ORDER BY 1, 3 DESC, 2
"""
