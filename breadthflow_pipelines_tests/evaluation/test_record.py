"""What a reader could have known of a rule's record on the day of its signal."""

import datetime as dt
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from breadthflow_pipelines.evaluation.family import Claim, Family
from breadthflow_pipelines.evaluation.outcomes import outcomes, windows
from breadthflow_pipelines.evaluation.record import RECORD_HORIZON, RECORD_SCHEMA, of_signals, records
from breadthflow_pipelines.evaluation.significance import accuracy
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day
from breadthflow_pipelines_tests.evaluation.truncation import looks_ahead

SELL = "hindenburg_omen"
SMALL = Family(
    version=0,
    registered=dt.date(2000, 1, 1),
    claims=(Claim(made.RULE, "buy"), Claim(SELL, "sell")),
    horizons=(5, RECORD_HORIZON),
    universes=("NASDAQ",),
)
COUNT = 1_500


@pytest.fixture(scope="module")
def level() -> pl.DataFrame:
    return made.levels(made.walk(np.random.default_rng(1), COUNT))


@pytest.fixture(scope="module")
def said() -> pl.DataFrame:
    dice = np.random.default_rng(2)
    lists = [np.sort(dice.choice(COUNT, 60, replace=False)) for _ in range(2)]
    return pl.concat(
        [
            made.signals(lists[0]),
            made.signals(lists[1], SELL, "sell"),
            made.signals([700], "breadth_score", "hold"),
            made.signals([700]).with_columns(segment=pl.lit("Energy")),
        ]
    )


ELIGIBLE = pl.concat([made.everywhere(COUNT), made.everywhere(COUNT, SELL)])


def recorded(level: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    return records(said, ELIGIBLE, windows(level, made.sessions(COUNT), SMALL.horizons), SMALL)


def test_a_record_is_what_the_closed_outcomes_say(level: pl.DataFrame, said: pl.DataFrame) -> None:
    got = recorded(level, said)
    assert got.schema == RECORD_SCHEMA
    followed = windows(level, made.sessions(COUNT), (RECORD_HORIZON,))
    whole = said.filter(segment="ALL")
    assert got.height == whole.filter(pl.col("action") != "hold").height
    every = pl.concat([made.signals(range(COUNT)), made.signals(range(COUNT), SELL, "sell")])
    all_windows = outcomes(every, followed).drop_nulls("hit")
    own = outcomes(whole, followed).drop_nulls("hit")
    first = None
    for row in got.iter_rows(named=True):
        closed = (pl.col("rule") == row["rule"]) & (pl.col("exit_session") < row["session"])
        past, base = own.filter(closed), all_windows.filter(closed)
        numbers = [(session - made.FIRST).days for session in past["session"].sort()]
        groups = bool(numbers) + sum(b - a > 20 for a, b in pairwise(numbers))
        if groups < 5:
            assert row["record_n"] is row["record_hit_rate"] is row["record_base_rate"] is row["verdict"] is None
            continue
        first = first or row
        assert row["record_n"] == past.height
        assert row["record_hit_rate"] == pytest.approx(past["hit"].mean())
        assert row["record_base_rate"] == pytest.approx(base["hit"].mean())
        assert row["verdict"] is not None
    assert first is not None


def test_a_record_knows_nothing_of_what_came_later(level: pl.DataFrame, said: pl.DataFrame) -> None:
    """Of the signal's own session neither: an outcome that closes with it is not known before it."""
    cuts = said.filter(segment="ALL")["session"].sort().to_list()[30::12]
    assert (
        looks_ahead(lambda history: recorded(history, said), level, cuts)
        .filter(pl.col("session") <= pl.col("cut"))
        .filter(pl.col("known") == "then")
        .is_empty()
    )
    whole = recorded(level, said)
    for cut in cuts:
        yesterday = recorded(level.filter(pl.col("session") < cut), said).filter(pl.col("session") <= cut)
        assert yesterday.equals(whole.filter(pl.col("session") <= cut), null_equal=True)


def test_the_verdict_is_that_of_the_eve_of_the_year(level: pl.DataFrame, said: pl.DataFrame) -> None:
    got = recorded(level, said).drop_nulls("verdict")
    for year in got["session"].dt.year().unique().to_list():
        known = level.filter(pl.col("session") < dt.date(year, 1, 1))
        table = accuracy(said, ELIGIBLE, windows(known, made.sessions(COUNT), SMALL.horizons), SMALL)
        for rule in (made.RULE, SELL):
            eve = table.filter(rule=rule, horizon=RECORD_HORIZON, era="all")["verdict"].item()
            of_year = got.filter((pl.col("session").dt.year() == year) & (pl.col("rule") == rule))
            assert set(of_year["verdict"]) <= {eve}


def test_a_signal_without_a_record_has_no_row_and_one_of_a_sector_has_none_either() -> None:
    key = {"universe": ["u"] * 3, "session": [day(1), day(2), day(2)], "rule": ["r"] * 3, "action": ["buy"] * 3}
    signals = pl.DataFrame({"signal_id": ["a", "b", "c"], **key, "segment": ["ALL", "ALL", "Energy"]})
    known = pl.DataFrame(
        {
            **{name: values[:2] for name, values in key.items()},
            "record_hit_rate": [None, 0.7],
            "record_base_rate": [None, 0.6],
            "record_n": [None, 9],
            "verdict": [None, "suggestive"],
        }
    )
    assert of_signals(signals, known).rows() == [("b", "u", day(2), 0.7, 0.6, 9, "suggestive")]
