"""The evaluation on real data: what it says of NASDAQ's thrusts is counted again, by hand, from the files."""

import datetime as dt
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from breadthflow_pipelines.evaluation.eligibility import eligible_sessions
from breadthflow_pipelines.evaluation.family import FAMILY
from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines.evaluation.record import records
from breadthflow_pipelines.evaluation.returns import index_levels, member_returns, universe_levels
from breadthflow_pipelines.evaluation.significance import accuracy
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.counts import COUNT_COLUMNS, breadth_state
from breadthflow_pipelines.model.vocabulary import ALL, KEY, NOT_JUDGED, SURVIVES
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.signals.market import market_signals
from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
from breadthflow_pipelines.trust.count_guards import judge_published
from breadthflow_pipelines_tests.indicators.markets import counts_frame, usable_counts

pytestmark = [pytest.mark.market_data, pytest.mark.slow]

SECONDS = 60  # of processor time, which the load of the machine stretches least
RULE, HORIZON = "appel_time_trend", 21


@pytest.fixture(scope="module")
def closes(market: Path) -> dict[dt.date, float]:
    lines = (market / "index" / "NASDAQ_index.csv").read_text().split()
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return {dt.datetime.strptime(day, "%Y%m%d,").date(): float(close) for day, close in pairs}  # noqa: DTZ007


def test_what_followed_nasdaqs_thrusts(market: Path, closes: dict[dt.date, float]) -> None:
    calendar = exchange_calendar("XNYS")
    judged = judge_published(
        read_published_counts(market / "exchange_breadth", "NASDAQ", calendar).counts.with_columns(
            exchange=pl.lit("NASDAQ")
        )
    )
    published = usable_counts(judged).rename({"exchange": "universe"}).with_columns(segment=pl.lit(ALL))
    counts = pl.concat([counts_frame([]), published], how="diagonal_relaxed").select(*KEY, *COUNT_COLUMNS)
    states = breadth_state(counts, 0.5, dt.date(2016, 1, 1)).select(*KEY, "state")
    indicators = breadth_indicators(counts).join(states, on=list(KEY))
    signals = market_signals(counts, indicators)
    index = pl.DataFrame({"universe": "NASDAQ", "session": list(closes), "close": list(closes.values())}).filter(
        pl.col("session").is_in(calendar.between(dt.date(1978, 1, 1), dt.date(2015, 12, 31)))
    )
    followed = windows(index_levels(index), calendar.frame())
    able = eligible_sessions(indicators, signals)

    begun = time.process_time()
    table = accuracy(signals, able, followed)
    known = records(signals, able, followed)
    assert time.process_time() - begun < SECONDS

    row = table.filter(rule=RULE, horizon=HORIZON, era="all").row(0, named=True)
    days = [day for day in calendar.between(min(closes), max(closes)) if day in closes]
    place = {day: i for i, day in enumerate(days)}

    def change(day: dt.date) -> float | None:
        out = place[day] + 1 + HORIZON
        return closes[days[out]] / closes[days[place[day] + 1]] - 1 if out < len(days) else None

    could = [day for day in able.filter(rule=RULE)["session"] if change(day) is not None]
    fired = [day for day in signals.filter(rule=RULE)["session"] if day in set(could)]
    rises = np.array([change(day) > 0 for day in could])  # type: ignore[operator]
    assert (row["events"], row["eligible"]) == (len(fired), len(could))
    assert row["hit_rate"] == pytest.approx(np.mean([change(day) > 0 for day in fired]))  # type: ignore[operator]
    assert row["base_rate"] == pytest.approx(rises.mean())
    at = np.array([could.index(day) for day in fired])
    turned = np.array([rises[(at + shift) % len(could)].mean() for shift in range(len(could))])
    assert row["p_rotation"] == pytest.approx(np.mean(turned >= turned[0] - 1e-12))

    whole = table.filter(era="all")
    assert whole.height == len(FAMILY.horizons) * (len(FAMILY.claims) + 2)
    # Zweig's three thrusts on NASDAQ were all followed by a rise, and three are no record
    zweig = whole.filter(rule="zweig_breadth_thrust", horizon=HORIZON).row(0, named=True)
    assert (zweig["events"], zweig["hit_rate"], zweig["verdict"]) == (3, 1.0, NOT_JUDGED)
    assert SURVIVES not in set(known["verdict"].drop_nulls())


def test_the_members_of_the_sp_500_move_as_its_index(market: Path) -> None:
    bars = pl.read_parquet(market / "sp500_bars.parquet", columns=["symbol", "session", "open", "close"])
    bars = bars.filter(pl.col("close") > 0, pl.col("session") >= dt.date(2012, 1, 1))
    members = pl.read_csv(market / "sp500_membership.csv", try_parse_dates=True)
    ids = {"security_id": pl.col("symbol").rank("dense").cast(pl.Int64)}
    numbered = pl.concat([bars.select("symbol"), members.select("symbol")]).unique().with_columns(**ids)
    sessions = exchange_calendar("XNYS").frame()
    sessions = sessions.with_columns(counted=pl.col("session").is_between(dt.date(2013, 1, 2), dt.date(2017, 11, 10)))
    held = members.join(numbered, on="symbol").with_columns(sector=pl.lit(None, pl.String))
    priced = bars.join(numbered, on="symbol").with_columns(close_adjusted=pl.lit(None, pl.Float64))
    returns = member_returns(priced, held, sessions)
    assert (
        returns["members"] == returns["contributing"] + returns["missing"] + returns["first"] + returns["gap"]
    ).all()
    # the vendor dropped those that were delisted since: of 2013's members it has 87 %
    assert (returns["contributing"] / returns["members"]).min() > 0.87  # type: ignore[operator]

    index = pl.read_csv(market / "index" / "gspc.csv", try_parse_dates=True).select(session="Date", level="Close")
    both = universe_levels(returns).select("session", own="level").join(index, on="session").sort("session")
    moves = both.select(pl.col("own", "level").pct_change()).drop_nulls()
    assert moves.select(pl.corr("own", "level")).item() > 0.97
    years = both.height / 252
    gained = {name: (both[name][-1] / both[name][0]) ** (1 / years) - 1 for name in ("own", "level")}
    # prices adjusted for dividends of some 2 %, of survivors, in equal parts: more than the index, and not by far
    assert 0.0 < gained["own"] - gained["level"] < 0.05
