import datetime as dt
import json
import random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.contracts.breadth import SIGNALS
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.counts import breadth_state
from breadthflow_pipelines.indicators.score import COMPONENTS
from breadthflow_pipelines.model.vocabulary import MARKET_SIGNAL
from breadthflow_pipelines.signals.market import changed_signals, market_signals, signal_id
from breadthflow_pipelines.signals.rules import CALIBRATED, RULES
from breadthflow_pipelines_tests.indicators.markets import Row, counts_frame, day, gappy_counts, regime_counts
from breadthflow_pipelines_tests.signals import values

SCORES = pl.col("rule") == "breadth_score"
EVENTS = ~pl.col("rule").is_in(["breadth_score", "conviction"])
FIRST_TWO = pl.col("rule").is_in(["zweig_breadth_thrust", "mcclellan_oversold_recovery"])


def signals(rows: list[Row], revisable_from: int = 10**5) -> pl.DataFrame:
    counts = counts_frame(rows)
    states = breadth_state(counts, gate=0.5, revisable_from=day(revisable_from))
    keys = ["universe", "segment", "session"]
    indicators = breadth_indicators(counts).join(states.select(*keys, "state"), on=keys)
    return market_signals(counts, indicators)


def wild_keys(rows: list[values.Row]) -> list[Row]:
    return [{name: row[name] for name in ("universe", "segment", "session")} for row in rows]


def every_rule(rows: list[values.Row], coverage: float | None = 1.0) -> pl.DataFrame:
    """The signals of invented indicators, on which every rule fires."""
    indicators = values.frame(rows).with_columns(settled=pl.lit(True), state=pl.lit("final"))
    known = [row | {"coverage": coverage} for row in wild_keys(rows)]
    return market_signals(counts_frame(known), indicators)


@pytest.fixture(scope="module")
def wild() -> list[values.Row]:
    """Nine years of two universes and a sector."""
    return [
        row
        for seed, universe, segment in ((1, "NYSE", "ALL"), (2, "NYSE", "Energy"), (3, "wide", "ALL"))
        for row in values.values(seed, 2300, universe, segment, step=1)
    ]


@pytest.fixture(scope="module")
def market() -> list[Row]:
    return gappy_counts(11, 700, 0.01, 0.01) + regime_counts(12, 600, "wide", "Energy", issues=60)


def test_signals_have_their_columns_and_stay_in_bounds(market: list[Row]) -> None:
    got = signals(market)
    assert got.columns == list(MARKET_SIGNAL)
    assert got["confidence"].is_between(0, 1).all()
    assert got.drop("signal_id").null_count().sum_horizontal().item() == 0
    assert got["signal_id"].is_unique().all()
    always = {"zweig_breadth_thrust", "mcclellan_oversold_recovery", "breadth_score", "conviction"}
    assert always <= set(got["rule"]) <= set(RULES)
    assert got.equals(got.sort("universe", "segment", "session", "rule"))


def test_history_cut_at_any_signal_gives_the_same_signal(market: list[Row]) -> None:
    whole = signals(market)
    events = whole.filter(EVENTS)["session"].unique().sort().to_list()
    assert len(events) > 20
    for cut in [*events[::12], day(300), day(500)]:
        known = signals([row for row in market if row["session"] <= cut])
        assert_frame_equal(known, whole.filter(pl.col("session") <= cut), check_exact=True)


def test_every_rule_makes_signals_that_the_contract_takes(wild: list[values.Row]) -> None:
    got = every_rule(wild)
    fired, fittable = set(got["rule"]), {rule.name for rule in CALIBRATED.values()}
    assert fired | fittable == set(RULES)
    assert fired & fittable  # not all: at twice a decade, a rule may well be silent in the year that follows a sample
    assert require(SIGNALS, got).height == got.height
    for row in got.filter(EVENTS).iter_rows(named=True):
        rule = RULES[row["rule"]]
        fitted = rule.name.endswith("_calibrated")
        assert row["action"] == rule.action
        assert row["calibrated"] == (fitted or (row["universe"] in rule.published_for and row["segment"] == "ALL"))
        assert row["universe"] not in rule.published_for or not fitted
        assert 0.25 <= row["confidence"] <= 1  # at least half for having fired, and half of that if uncalibrated
        assert row["calibrated"] or row["confidence"] <= 0.5


@pytest.mark.slow
def test_history_cut_anywhere_gives_the_same_signals_of_every_rule(wild: list[values.Row]) -> None:
    whole = every_rule(wild)
    fitted = whole.filter(pl.col("rule").str.ends_with("_calibrated"))["session"].to_list()
    assert len(fitted) > 5
    for cut in (fitted[0], fitted[-1], dt.date(2025, 12, 31), dt.date(2026, 1, 1), day(500)):
        known = every_rule([row for row in wild if row["session"] <= cut])  # type: ignore[operator]
        assert_frame_equal(known, whole.filter(pl.col("session") <= cut), check_exact=True)


@pytest.mark.slow
def test_order_and_other_universes_do_not_matter(wild: list[values.Row]) -> None:
    whole = every_rule(wild)
    assert_frame_equal(every_rule(random.Random(5).sample(wild, len(wild))), whole, check_exact=True)  # noqa: S311
    alone = every_rule([row for row in wild if row["universe"] == "wide"])
    assert_frame_equal(alone, whole.filter(universe="wide"), check_exact=True)


@pytest.mark.slow
def test_coverage_lowers_the_confidence_of_every_rule(wild: list[values.Row]) -> None:
    full, thin = every_rule(wild)["confidence"], every_rule(wild, coverage=0.8)["confidence"]
    assert thin.to_list() == pytest.approx((full * 0.8).to_list(), abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "columns", "confidence"),
    [
        # Zweig: 0.5, 0.25 * (10 - 1) / 9 for coming at once, 0.25 * 0.025 / 0.05 for the margin
        ("zweig_breadth_thrust", {"zweig_ema": [0.39, 0.64]}, 0.875),
        # on the last session allowed, with a full margin
        ("zweig_breadth_thrust", {"zweig_ema": [0.39, *[0.5] * 9, 0.7]}, 0.75),
        # no session is too late: half of full depth, and to the zero line
        ("mcclellan_oversold_recovery", {"mcclellan_oscillator_ratio": [-150.0, 0.0]}, 0.875),
        # not armed, so clearance alone: 1.25 of 5 points give a quarter of the other half
        ("whaley_adt5", {"whaley_adt5": [50.0, 74.91]}, 0.625),
        # downwards, the margin is below the level
        ("whaley_adt5_capitulation", {"whaley_adt5": [50.0, 16.55]}, 0.75),
        # yes or no is neither deep nor clear
        ("hindenburg_omen_confirmed", {"hindenburg_omen": [1.0, 1.0], "index_trend_50": [1.0, 1.0]}, 0.5),
        # and prompt: 0.25 * (30 - 1) / 29
        ("ninety_percent_reversal", {"day_90": [-1.0, -1.0, 1.0]}, 0.75),
    ],
)
def test_confidence_by_hand(rule: str, columns: dict[str, list[float]], confidence: float) -> None:
    rows = [
        {"universe": "NYSE", "segment": "ALL", "session": day(i)} | dict(zip(columns, row, strict=True))
        for i, row in enumerate(zip(*columns.values(), strict=True))
    ]
    event = every_rule(rows).row(by_predicate=pl.col("rule") == rule, named=True)
    assert event["confidence"] == pytest.approx(confidence)
    assert event["session"] == rows[-1]["session"]


@pytest.mark.parametrize(
    ("trend", "unknown"),
    [
        (1.0, None),  # known to rise
        (None, ["index_trend_50"]),  # passed for want of an index, and says so
    ],
)
def test_what_nobody_knew_is_named_in_the_evidence(trend: float | None, unknown: list[str] | None) -> None:
    row = {"universe": "NYSE", "segment": "ALL", "session": day(0), "hindenburg_omen": 1.0, "index_trend_50": trend}
    event = every_rule([row]).row(0, named=True)
    assert (event["rule"], event["action"]) == ("hindenburg_omen", "sell")
    evidence = json.loads(event["evidence"])
    assert evidence.get("unknown") == unknown
    assert evidence["levels"] == {"fires_at_or_above": 1, "index_trend_50_at_or_above": 1}
    assert "armed_session" not in evidence


def test_events_are_bought_on_their_session_only_and_explain_themselves(market: list[Row]) -> None:
    events = signals(market).filter(FIRST_TWO)
    assert set(events["action"]) == {"buy"}
    for row in events.iter_rows(named=True):
        evidence = json.loads(row["evidence"])
        assert set(evidence) == {"armed_session", "gap", "extreme", "margin", "levels"}
        assert evidence["armed_session"] < row["session"].isoformat()
        assert evidence["margin"] == pytest.approx(row["value"] - row["threshold"], abs=1e-6)
        assert evidence["levels"]["fires_above"] == row["threshold"] < row["value"]
        assert evidence["gap"] >= 1


def test_the_score_decides_by_its_levels(market: list[Row]) -> None:
    scores = signals(market).filter(SCORES)
    assert set(scores["action"]) == {"buy", "hold", "sell"}
    for value, action, threshold in scores.select("value", "action", "threshold").iter_rows():
        assert action == ("buy" if value >= 60 else "sell" if value <= 40 else "hold")
        assert threshold == (60 if value >= 50 else 40)


def as_stored(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON as PostgreSQL orders it."""
    return dict(sorted(pairs, key=lambda pair: (len(pair[0]), pair[0])))


def test_the_evidence_of_a_score_adds_up_to_it(market: list[Row]) -> None:
    for value, text in signals(market).filter(SCORES).select("value", "evidence").iter_rows():
        evidence = json.loads(text)
        assert set(evidence["components"]) == set(COMPONENTS)
        parts = [part for part in evidence["components"].values() if part["z"] is not None]
        total = sum(part["weight"] for part in parts)
        assert evidence["weight"] == pytest.approx(total)
        mean = sum(part["weight"] * part["z"] for part in parts) / total
        assert value == pytest.approx(50 + 50 * mean / 3, abs=1e-3)
        assert text == json.dumps(json.loads(text, object_pairs_hook=as_stored))


def test_confidence_of_a_score_grows_with_its_distance_from_neutral() -> None:
    scores = signals(regime_counts(12, 600)).filter(SCORES, pl.col("evidence").str.starts_with('{"weight": 1.0,'))
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
    assert set(got.filter(FIRST_TWO)["calibrated"]) == {calibrated}
    assert set(got.filter(~EVENTS)["calibrated"]) == {False}  # their levels are published for no market
    known = signals(regime_counts(12, 600, "NYSE")).filter(FIRST_TWO)["confidence"]
    expected = known if calibrated else known / 2
    assert got.filter(FIRST_TWO)["confidence"].to_list() == pytest.approx(expected.to_list(), abs=1e-6)


def test_coverage_lowers_confidence_and_unknown_coverage_does_not() -> None:
    rows = regime_counts(12, 600)
    full = signals(rows)["confidence"]
    for coverage, factor in ((0.8, 0.8), (None, 1.0)):
        got = signals([row | {"coverage": coverage} for row in rows])["confidence"]
        assert got.to_list() == pytest.approx((full * factor).to_list(), abs=1e-6)


def test_signals_hold_on_a_session_that_lost_a_part_of_the_market(wild: list[values.Row]) -> None:
    full = every_rule(wild, coverage=0.9)
    spoken = full.filter((pl.col("action") != "hold") & (pl.col("session") > day(100)))
    universe, segment, session = spoken.filter(EVENTS).select("universe", "segment", "session").row(0)
    lost = (pl.col("universe") == universe) & (pl.col("segment") == segment) & (pl.col("session") == session)
    indicators = values.frame(wild).with_columns(settled=pl.lit(True), state=pl.lit("final"))
    coverage = pl.when(lost).then(0.8).otherwise(0.9)  # 0.8 is less than 0.9 of 0.9
    counts = counts_frame(wild_keys(wild)).with_columns(coverage=coverage)
    got = market_signals(counts, indicators)
    there = got.filter(lost)
    assert set(there["action"]) == {"hold"}
    assert there.height == full.filter(lost).height
    assert [json.loads(text)["held_back"] for text in there["evidence"]] == full.filter(lost)["action"].to_list()
    assert_frame_equal(got.filter(~lost), full.filter(~lost))
    slightly = market_signals(counts.with_columns(coverage=pl.when(lost).then(0.82).otherwise(0.9)), indicators)
    assert slightly["action"].to_list() == full["action"].to_list()


def said(*rows: tuple[int, str, str, str]) -> pl.DataFrame:
    """Signals of one universe: session, rule, action, state."""
    schema = {"universe": pl.String, "segment": pl.String, "session": pl.Date}
    schema |= {"rule": pl.String, "action": pl.String, "value": pl.Float64, "state": pl.String}
    frame = [("u", "ALL", day(session), rule, action, 50.0, state) for session, rule, action, state in rows]
    return pl.DataFrame(frame, schema=schema, orient="row")


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        ([(1, "score", "hold", "final"), (2, "score", "buy", "final"), (3, "score", "hold", "final")], []),
        ([(1, "score", "sell", "final"), (2, "score", "buy", "final")], [(1, "hold", "sell")]),  # turned
        ([(1, "score", "hold", "final")], [(2, "buy", None)]),  # went
        (
            [(1, "score", "hold", "final"), (1, "thrust", "buy", "final"), (2, "score", "buy", "provisional")],
            [(1, None, "buy")],  # came
        ),
        ([(0, "score", "buy", "final"), (1, "score", "hold", "final"), (2, "score", "buy", "final")], []),  # more past
    ],
)
def test_signals_of_final_sessions_that_came_went_or_turned(
    after: list[tuple[int, str, str, str]], changes: list[tuple[int, str | None, str | None]]
) -> None:
    before = said((1, "score", "hold", "final"), (2, "score", "buy", "final"), (3, "score", "buy", "provisional"))
    got = changed_signals(before, said(*after)).select("session", "action_before", "action")
    assert got.rows() == [(day(session), old, new) for session, old, new in changes]


def test_a_signal_is_final_when_its_row_is_and_its_seed_has_faded() -> None:
    got = signals(regime_counts(12, 600), revisable_from=580)
    final = (got["session"] >= day(270)) & (got["session"] < day(580))
    assert got["state"].to_list() == ["final" if is_final else "provisional" for is_final in final]
    assert got.filter(pl.col("session") < day(270)).height > 0


def test_a_prompt_deep_and_clear_event_is_stronger() -> None:
    events = signals(regime_counts(12, 600, "NYSE")).filter(FIRST_TWO)
    said = events.with_columns(
        gap=pl.col("evidence").str.json_path_match("$.gap").cast(pl.Int64),
        extreme=pl.col("evidence").str.json_path_match("$.extreme").cast(pl.Float64),
        margin=pl.col("evidence").str.json_path_match("$.margin").cast(pl.Float64),
    )
    columns = ("rule", "gap", "extreme", "margin", "confidence")
    for rule, gap, low, margin, confidence in said.select(columns).iter_rows():
        if rule == "zweig_breadth_thrust":
            expected = 0.5 + 0.25 * (10 - gap) / 9 + 0.25 * min(margin / 0.05, 1)
        else:
            expected = 0.5 + 0.25 * min((-100 - low) / 100, 1) + 0.25 * min(margin / 70, 1)
        assert confidence == pytest.approx(expected, abs=1e-5)


def test_signal_id_is_fixed_for_ever() -> None:
    # printf %s 'zweig_breadth_thrust|NYSE|ALL|2015-10-08' | b2sum -l 64
    assert signal_id("zweig_breadth_thrust", "NYSE", "ALL", dt.date(2015, 10, 8)) == "7e91e81264109641"


def test_nothing_gives_no_signals() -> None:
    assert signals([]).columns == list(MARKET_SIGNAL)
    assert signals(gappy_counts(1, 300, nothing=0.0, unknown=1.0)).is_empty()
