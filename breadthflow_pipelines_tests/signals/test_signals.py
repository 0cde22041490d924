import datetime as dt
import json

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.breadth import breadth_indicators
from breadthflow_pipelines.indicators.counts import breadth_state
from breadthflow_pipelines.indicators.score import COMPONENTS
from breadthflow_pipelines.signals.signals import SIGNAL_COLUMNS, market_signals, signal_id
from breadthflow_pipelines_tests.indicators.markets import Row, counts_frame, day, gappy_counts, regime_counts

EVENTS = pl.col("rule") != "breadth_score"


def signals(rows: list[Row], revisable_from: int = 10**5) -> pl.DataFrame:
    counts = counts_frame(rows)
    states = breadth_state(counts, gate=0.5, revisable_from=day(revisable_from))
    keys = ["universe", "segment", "session"]
    indicators = breadth_indicators(counts).join(states.select(*keys, "state"), on=keys)
    return market_signals(counts, indicators)


@pytest.fixture(scope="module")
def market() -> list[Row]:
    return gappy_counts(11, 700, 0.01, 0.01) + regime_counts(12, 600, "wide", "Energy", issues=60)


def test_signals_have_their_columns_and_stay_in_bounds(market: list[Row]) -> None:
    got = signals(market)
    assert got.columns == list(SIGNAL_COLUMNS)
    assert got["confidence"].is_between(0, 1).all()
    assert got.drop("signal_id").null_count().sum_horizontal().item() == 0
    assert got["signal_id"].is_unique().all()
    assert set(got["rule"]) == {"zweig_breadth_thrust", "mcclellan_oversold_recovery", "breadth_score"}
    assert got.equals(got.sort("universe", "segment", "session", "rule"))


def test_history_cut_at_any_signal_gives_the_same_signal(market: list[Row]) -> None:
    whole = signals(market)
    events = whole.filter(EVENTS)["session"].unique().sort().to_list()
    assert len(events) > 20
    for cut in [*events[::4], day(300), day(500)]:
        known = signals([row for row in market if row["session"] <= cut])
        assert_frame_equal(known, whole.filter(pl.col("session") <= cut), check_exact=True)


def test_events_are_bought_on_their_session_only_and_explain_themselves(market: list[Row]) -> None:
    events = signals(market).filter(EVENTS)
    assert set(events["action"]) == {"buy"}
    for row in events.iter_rows(named=True):
        evidence = json.loads(row["evidence"])
        assert set(evidence) == {"armed_session", "gap", "low", "margin", "levels"}
        assert evidence["armed_session"] < row["session"].isoformat()
        assert evidence["margin"] == pytest.approx(row["value"] - row["threshold"], abs=1e-6)
        assert evidence["levels"]["fires_above"] == row["threshold"] < row["value"]
        assert evidence["gap"] >= 1


def test_the_score_decides_by_its_levels(market: list[Row]) -> None:
    scores = signals(market).filter(~EVENTS)
    assert set(scores["action"]) == {"buy", "hold", "sell"}
    for value, action, threshold in scores.select("value", "action", "threshold").iter_rows():
        assert action == ("buy" if value >= 60 else "sell" if value <= 40 else "hold")
        assert threshold == (60 if value >= 50 else 40)


def test_the_evidence_of_a_score_adds_up_to_it(market: list[Row]) -> None:
    for value, text in signals(market).filter(~EVENTS).select("value", "evidence").iter_rows():
        evidence = json.loads(text)
        assert set(evidence["components"]) == set(COMPONENTS)
        parts = [part for part in evidence["components"].values() if part["z"] is not None]
        total = sum(part["weight"] for part in parts)
        assert evidence["weight"] == pytest.approx(total)
        mean = sum(part["weight"] * part["z"] for part in parts) / total
        assert value == pytest.approx(50 + 50 * mean / 3, abs=1e-3)
        assert text == json.dumps(evidence, sort_keys=True)


def test_confidence_of_a_score_grows_with_its_distance_from_neutral() -> None:
    scores = signals(regime_counts(12, 600)).filter(~EVENTS, pl.col("evidence").str.contains('"weight": 1.0}'))
    far = scores.select(far=(pl.col("value") - 50).abs(), confidence="confidence").sort("far")
    assert far.height > 100
    assert far["confidence"].is_sorted()


@pytest.mark.parametrize(
    ("universe", "segment", "calibrated"),
    [
        ("NYSE", "ALL", True),  # what Zweig and the McClellans wrote about
        ("NYSE", "Energy", False),  # a sector of it is another set of issues
        ("NASDAQ", "ALL", False),  # another exchange
        ("sp500", "ALL", False),  # an index: fires ten times as often
    ],
)
def test_only_the_published_universe_is_calibrated(universe: str, segment: str, calibrated: bool) -> None:
    got = signals(regime_counts(12, 600, universe, segment))
    assert set(got.filter(EVENTS)["calibrated"]) == {calibrated}
    assert set(got.filter(~EVENTS)["calibrated"]) == {False}  # its levels are published for no market
    known = signals(regime_counts(12, 600, "NYSE")).filter(EVENTS)["confidence"]
    expected = known if calibrated else known / 2
    assert got.filter(EVENTS)["confidence"].to_list() == pytest.approx(expected.to_list(), abs=1e-6)


def test_coverage_lowers_confidence_and_unknown_coverage_does_not() -> None:
    rows = regime_counts(12, 600)
    full = signals(rows)["confidence"]
    for coverage, factor in ((0.8, 0.8), (None, 1.0)):
        got = signals([row | {"coverage": coverage} for row in rows])["confidence"]
        assert got.to_list() == pytest.approx((full * factor).to_list(), abs=1e-6)


def test_a_signal_is_final_when_its_row_is_and_its_seed_has_faded() -> None:
    got = signals(regime_counts(12, 600), revisable_from=580)
    final = (got["session"] >= day(270)) & (got["session"] < day(580))
    assert got["state"].to_list() == ["final" if is_final else "provisional" for is_final in final]
    assert got.filter(pl.col("session") < day(270)).height > 0


def test_a_prompt_deep_and_clear_event_is_stronger() -> None:
    events = signals(regime_counts(12, 600, "NYSE")).filter(EVENTS)
    said = events.with_columns(
        gap=pl.col("evidence").str.json_path_match("$.gap").cast(pl.Int64),
        low=pl.col("evidence").str.json_path_match("$.low").cast(pl.Float64),
        margin=pl.col("evidence").str.json_path_match("$.margin").cast(pl.Float64),
    )
    for rule, gap, low, margin, confidence in said.select("rule", "gap", "low", "margin", "confidence").iter_rows():
        if rule == "zweig_breadth_thrust":
            expected = 0.5 + 0.25 * (10 - gap) / 9 + 0.25 * min(margin / 0.05, 1)
        else:
            expected = 0.5 + 0.25 * min((-100 - low) / 100, 1) + 0.25 * min(margin / 70, 1)
        assert confidence == pytest.approx(expected, abs=1e-5)


def test_signal_id_is_fixed_for_ever() -> None:
    # printf %s 'zweig_breadth_thrust|NYSE|ALL|2015-10-08' | b2sum -l 64
    assert signal_id("zweig_breadth_thrust", "NYSE", "ALL", dt.date(2015, 10, 8)) == "7e91e81264109641"


def test_nothing_gives_no_signals() -> None:
    assert signals([]).columns == list(SIGNAL_COLUMNS)
    assert signals(regime_counts(1, 20)).is_empty()
