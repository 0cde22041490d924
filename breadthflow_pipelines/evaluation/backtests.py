"""The backtests that are kept: of every registered rule in every universe, and why there is none. One: backtest.py."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import polars as pl

from breadthflow_pipelines.evaluation.backtest import COST, Backtest, backtest, earned_on_cash, plan_of
from breadthflow_pipelines.evaluation.family import FAMILY
from breadthflow_pipelines.evaluation.figures import FIGURES
from breadthflow_pipelines.evaluation.random_entries import CHANCE_FIGURES
from breadthflow_pipelines.evaluation.walk_forward import THRESHOLDS, walk_forward
from breadthflow_pipelines.model.vocabulary import BENCHMARK, FIXED, FOLLOWED, WALK_FORWARD

REGISTERED = tuple(dict.fromkeys(claim.rule for claim in FAMILY.claims))
DAYS = ("first_session", "last_session", "peak_session", "trough_session", "recovered_session")
CHANCE = {
    f"{figure}_{name}": (figure, column)
    for figure in CHANCE_FIGURES
    for name, column in (("p05", "p05"), ("random", "median"), ("p95", "p95"), ("as_good", "share_as_good"))
}
"""Columns that say what random entries made of the same trades; by name, figure and column of Backtest.chance."""

FIGURES_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("universe", "rule", "thresholds", "portfolio"), pl.String),
        "cost": pl.Float64,
        **dict.fromkeys(("held", "basis", "cash"), pl.String),
        **dict.fromkeys(DAYS[:2], pl.Date),
        "trades": pl.Int32,
        **dict.fromkeys(("exposure", "turnover", *FIGURES), pl.Float64),
        **dict.fromkeys(DAYS[2:], pl.Date),
        **dict.fromkeys(CHANCE, pl.Float64),
        "reason": pl.String,
    }
)
TRADES_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("universe", "rule", "thresholds"), pl.String),
        **dict.fromkeys(("entry_session", "exit_session"), pl.Date),
        "sessions": pl.Int32,
        **dict.fromkeys(("weight", "market", "return"), pl.Float64),
        "signal_id": pl.String,
        "signals": pl.Int32,
    }
)
YEARS_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("universe", "rule"), pl.String),
        "year": pl.Int32,
        "threshold": pl.Float64,
        **dict.fromkeys(("sample_from", "sample_to"), pl.Date),
        **dict.fromkeys(("in_sample", "out_of_sample"), pl.Float64),
    }
)


SIDE_BY_SIDE = 2  # rules tested at a time: NumPy leaves Python's lock while it follows the random runs


@dataclass(frozen=True)
class Backtests:
    """What is kept of all backtests.

    figures: FIGURES_SCHEMA, a row for each portfolio and cost: ``held`` and ``basis``, what it holds and what returns
        are made of; ``cash``, what is earned outside the market; CHANCE and ``trades`` only of the rule at its own
        cost. A rule that cannot be tested has one row with the ``reason``. trades: TRADES_SCHEMA. years: YEARS_SCHEMA,
        the thresholds that walk-forward chose: ``in_sample`` is of the years before, and is no result.
    """

    figures: pl.DataFrame
    trades: pl.DataFrame
    years: pl.DataFrame


def backtests(
    signals: pl.DataFrame,
    levels: pl.DataFrame,
    benchmarks: pl.DataFrame,
    rates: pl.DataFrame | None = None,
) -> Backtests:
    """Follow every registered rule in every universe with signals or levels; scores also by chosen thresholds.

    signals: signal_id, universe, session, rule, action, value, of universes as a whole. levels: universe, session,
    level, basis, held, of what is traded. benchmarks: the same of what is held beside. rates: as of ``backtest``.

    Kept are long or flat alone. Overlays, other costs, thresholds and days are computed where somebody asks for them.
    """
    universes = sorted({*signals["universe"], *levels["universe"]})

    def kept(one: tuple[str, str]) -> list[tuple[pl.DataFrame, ...]]:
        """Figures, trades and years of each kind of thresholds; no trades and years where there is no backtest."""
        universe, rule = one
        level, benchmark, said = (rows.filter(universe=universe) for rows in (levels, benchmarks, signals))
        own, found = {"universe": universe, "rule": rule}, list[tuple[pl.DataFrame, ...]]()
        for kind, tested, chosen in _tested(rule, said.filter(rule=rule).sort("session"), level, benchmark, rates):
            key = {**own, "thresholds": kind}
            if isinstance(tested, str):
                none = pl.DataFrame([{**key, "portfolio": FOLLOWED, "cost": COST, "reason": tested}])
                found.append((none, TRADES_SCHEMA.to_frame(), YEARS_SCHEMA.to_frame()))
            else:
                figures = _named(_figures(tested, level, benchmark, rates), key)
                found.append((figures, _named(tested.trades, key), _named(chosen, own)))
        return found

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = [parts for of_rule in pool.map(kept, product(universes, REGISTERED)) for parts in of_rule]
    figures, trades, years = zip(*found, strict=True) if found else ((), (), ())
    return Backtests(_of(FIGURES_SCHEMA, figures), _of(TRADES_SCHEMA, trades), _of(YEARS_SCHEMA, years))


_Tested = tuple[str, Backtest | str, pl.DataFrame]


def _tested(
    rule: str, said: pl.DataFrame, level: pl.DataFrame, benchmark: pl.DataFrame, rates: pl.DataFrame | None
) -> Iterator[_Tested]:
    """By kind of thresholds, the backtest of a rule, or why there is none, and the thresholds that were chosen."""
    none = pl.DataFrame(schema=YEARS_SCHEMA)
    beside = None if benchmark.is_empty() else benchmark
    reason = "no index, and no returns of members" if level.height < 2 else "no signal" if said.is_empty() else None
    yield FIXED, reason or backtest(said, level, plan_of(rule), rates=rates, benchmark=beside), none
    if rule in THRESHOLDS and reason is None:
        chosen, followed = walk_forward(said, level, THRESHOLDS[rule], rates=rates, benchmark=beside)
        yield WALK_FORWARD, followed or "fewer than five years to choose from", chosen


def _figures(
    tested: Backtest, level: pl.DataFrame, benchmark: pl.DataFrame, rates: pl.DataFrame | None
) -> pl.DataFrame:
    """Backtest.figures with what is held, and beside the rule at its own cost its trades and what chance gives."""
    own = (pl.col("portfolio") == FOLLOWED) & (pl.col("cost") == COST)
    chance = {row["figure"]: row for row in tested.chance.iter_rows(named=True)}
    beside = {name: chance[figure][column] if chance else None for name, (figure, column) in CHANCE.items()}
    held = {
        name: pl.when(pl.col("portfolio") == BENCHMARK)
        .then(pl.lit(benchmark[name].first() if benchmark.height else None, pl.String))
        .otherwise(pl.lit(level[name].first()))
        for name in ("held", "basis")
    }
    return tested.figures.with_columns(
        **held,
        cash=pl.lit(earned_on_cash(tested.daily, rates)),
        trades=pl.when(own).then(pl.lit(tested.trades.height)),
        **{name: pl.when(own).then(pl.lit(value, pl.Float64)) for name, value in beside.items()},
    )


def _named(rows: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    return rows.with_columns(pl.lit(value).alias(name) for name, value in names.items())


def _of(schema: pl.Schema, parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """All rows; a column that some of them lack is null there."""
    whole = pl.concat([pl.DataFrame(schema=schema), *parts], how="diagonal_relaxed")
    return whole.select(schema.names()).cast(schema)
