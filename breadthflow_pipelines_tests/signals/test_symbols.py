import math
from collections.abc import Mapping

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.exceptions import ComputeError
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.relative import median_returns, relative_strength
from breadthflow_pipelines.indicators.technical import TECHNICAL_COLUMNS, technical_indicators
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES, SYMBOL_SIGNAL_COLUMNS, VOTE_COLUMNS, symbol_signals
from breadthflow_pipelines_tests.indicators.markets import Row, bars_frame, day
from breadthflow_pipelines_tests.indicators.test_technical import walk

KEY = ["universe", "security_id", "session"]
# A row on which every rule can vote and every vote is 0.
STILL: Row = {
    **dict.fromkeys(TECHNICAL_COLUMNS, 0.0),
    "close": 100.0,
    "sma_50": 100.0,
    "sma_200": 100.0,
    "atr_14": 2.0,
    "rsi_14": 50.0,
    "pct_from_high_252": -30.0,
    "pct_from_low_252": 30.0,
    "volume_ratio_20": 1.0,
    "relative_strength": 0.0,
}
# What makes one rule vote in full for buying, and what for selling.
FULL: Mapping[str, tuple[Row, Row]] = {
    "trend": ({"close": 130.0, "sma_50": 120.0}, {"close": 70.0, "sma_50": 80.0}),
    "momentum": ({"macd_histogram": 1.0}, {"macd_histogram": -1.0}),
    "rsi": ({"rsi_14": 15.0}, {"rsi_14": 85.0}),
    "breakout": ({"pct_from_high_252": 0.0}, {"pct_from_low_252": 0.0}),
    "relative_strength": ({"relative_strength": 50.0}, {"relative_strength": -50.0}),
    "volume_confirmation": ({"roc_10": 5.0, "volume_ratio_20": 3.0}, {"roc_10": -5.0, "volume_ratio_20": 3.0}),
}
BLIND: Mapping[str, Row] = {
    "trend": {"sma_200": None},
    "momentum": {"macd_histogram": None},
    "rsi": {"rsi_14": None},
    "breakout": {"pct_from_high_252": None},
    "relative_strength": {"relative_strength": None},
    "volume_confirmation": {"roc_10": None},
}


def frame(rows: list[Row]) -> pl.DataFrame:
    keys = {"universe": pl.String, "security_id": pl.Int64, "session": pl.Date}
    values = dict.fromkeys(("close", *TECHNICAL_COLUMNS, "relative_strength"), pl.Float64)
    named = [{"universe": "u", "security_id": i, "session": day(0)} | row for i, row in enumerate(rows)]
    return pl.DataFrame(named, schema=keys | values)


def scores(values: Mapping[str, float | None]) -> pl.DataFrame:
    """One score for each universe, on the first session."""
    rows = [{"universe": universe, "session": day(0), "score": score} for universe, score in values.items()]
    return pl.DataFrame(rows, schema={"universe": pl.String, "session": pl.Date, "score": pl.Float64})


def signal(changes: Row, score: float | None = 50.0) -> Row:
    return symbol_signals(frame([STILL | changes]), scores({"u": score})).row(0, named=True)


def full(names: tuple[str, ...], side: int = 0) -> Row:
    return {column: value for name in names for column, value in FULL[name][side].items()}


def market() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Indicators of five securities in two universes, and scores that are sometimes unknown."""
    bars = bars_frame([bar for i in range(1, 6) for bar in walk(i, 300, security_id=i)])
    single = technical_indicators(bars).join(
        bars.select("security_id", "session", "close"), on=["security_id", "session"]
    )
    members = pl.DataFrame({"universe": ["wide"] * 5 + ["narrow"] * 2, "security_id": [1, 2, 3, 4, 5, 1, 2]})
    rows = members.join(single, on="security_id")
    regime = [
        {"universe": universe, "session": day(i), "score": None if i % 7 == 0 else 50 + 30 * math.sin(i / 9)}
        for universe in ("wide", "narrow")
        for i in range(300)
        if i % 11
    ]
    return relative_strength(rows, median_returns(rows)), pl.DataFrame(regime)


@pytest.mark.parametrize(
    ("rule", "row", "vote"),
    [
        ("trend", {"close": 110.0, "sma_50": 103.0}, 0.35),  # by hand: (10 / 20 + 3 / 15) / 2
        ("trend", {"close": 150.0, "sma_50": 97.0}, 0.4),  # (1 - 3 / 15) / 2: a leap ahead of its averages
        ("trend", {"close": 60.0, "sma_50": 80.0}, -1.0),  # below both by more than a full vote
        ("trend", {"sma_200": None}, None),  # too young for 200 bars
        ("trend", {"sma_50": None}, None),  # half a vote is none
        ("momentum", {"macd_histogram": 0.35}, 0.5),  # 0.35 / 2 is half of 0.35 ranges
        ("momentum", {"macd_histogram": -5.0}, -1.0),  # clipped
        ("momentum", {"macd_histogram": 0.35, "atr_14": 0.0}, None),  # never had a range
        ("rsi", {"rsi_14": 30.0}, 0.0),  # at Wilder's level, not beyond
        ("rsi", {"rsi_14": 25.0}, 0.5),
        ("rsi", {"rsi_14": 12.0}, 1.0),
        ("rsi", {"rsi_14": 70.0}, 0.0),
        ("rsi", {"rsi_14": 78.0}, -0.8),
        ("rsi", {"rsi_14": None}, None),  # a price that never moved
        ("breakout", {"pct_from_high_252": 0.0}, 1.0),
        ("breakout", {"pct_from_high_252": -4.0}, 0.6),
        ("breakout", {"pct_from_high_252": 0.01}, 1.0),  # a close a hair above its own high, as vendors round
        ("breakout", {"pct_from_low_252": 2.5}, -0.75),
        ("breakout", {"pct_from_high_252": -3.0, "pct_from_low_252": 1.0}, -0.2),  # a narrow year: 0.7 - 0.9
        ("breakout", {"pct_from_low_252": None}, None),
        ("relative_strength", {"relative_strength": -5.0}, -0.25),
        ("relative_strength", {"relative_strength": 90.0}, 1.0),
        ("relative_strength", {"relative_strength": None}, None),
        ("volume_confirmation", {"roc_10": -3.0, "volume_ratio_20": 1.4}, -0.4),  # falls on volume
        ("volume_confirmation", {"roc_10": 3.0, "volume_ratio_20": 0.5}, 0.0),  # rises, and nobody is there
        ("volume_confirmation", {"roc_10": 0.0, "volume_ratio_20": 9.0}, 0.0),  # a surge that leads nowhere
        ("volume_confirmation", {"roc_10": 3.0, "volume_ratio_20": None}, None),  # not traded for twenty bars
    ],
)
def test_votes_by_hand(rule: str, row: Row, vote: float | None) -> None:
    got = signal(row)
    assert got[f"vote_{rule}"] == (None if vote is None else pytest.approx(vote, abs=1e-6))
    others = [name for name in VOTE_COLUMNS if name != f"vote_{rule}"]
    assert [got[name] for name in others] == [0.0] * 5


def test_weights_are_shares_and_every_rule_says_where_it_comes_from() -> None:
    assert sum(rule.weight for rule in SYMBOL_RULES) == pytest.approx(1)
    assert [rule.name for rule in SYMBOL_RULES] == list(FULL)
    assert all(rule.about and rule.source and rule.weight > 0 for rule in SYMBOL_RULES)


@pytest.mark.parametrize(
    ("changes", "score", "expected"),
    [
        # action, gated, strength, confidence
        ({}, 50.0, ("hold", False, 0.0, 0.0)),  # nothing speaks
        (full(("trend", "breakout")), 50.0, ("buy", False, 0.4, 0.4)),  # 0.25 + 0.15
        (full(("trend",)) | {"relative_strength": 10.0}, 50.0, ("buy", False, 0.35, 0.35)),  # at the level itself
        (full(("trend",)), 50.0, ("hold", False, 0.25, 0.25)),  # one voice is not enough
        (full(("trend", "breakout"), 1), 50.0, ("sell", False, -0.4, 0.4)),
        (full(("trend",), 1) | {"relative_strength": -10.0}, 50.0, ("sell", False, -0.35, 0.35)),
        (full(("trend", "breakout")), 40.0, ("hold", True, 0.4, 0.4)),  # breadth sells, from 40 down
        (full(("trend", "breakout")), 40.01, ("buy", False, 0.4, 0.4)),
        (full(("trend", "breakout")), 90.0, ("buy", False, 0.4, 0.4)),  # breadth agrees
        (full(("trend", "breakout"), 1), 60.0, ("hold", True, -0.4, 0.4)),  # breadth buys, from 60 up
        (full(("trend", "breakout"), 1), 59.99, ("sell", False, -0.4, 0.4)),
        (full(("trend", "breakout"), 1), 10.0, ("sell", False, -0.4, 0.4)),
        ({}, 10.0, ("hold", False, 0.0, 0.0)),  # what holds anyway is not held back
        (full(("trend", "breakout")), None, ("buy", False, 0.4, 0.2)),  # unknown: not held back, half as sure
        (full(("trend", "breakout"), 1), None, ("sell", False, -0.4, 0.2)),
    ],
)
def test_actions_by_hand(changes: Row, score: float | None, expected: tuple[str, bool, float, float]) -> None:
    got = signal(changes, score)
    assert (got["action"], got["gated"], got["strength"], got["confidence"]) == expected
    assert got["regime"] == score


def test_a_session_or_universe_without_a_score_is_an_unknown_regime() -> None:
    rows = frame([STILL | full(("trend", "breakout")) | place for place in ({"universe": "v"}, {"session": day(1)})])
    got = symbol_signals(rows, scores({"u": 10.0}))
    assert got.select("action", "regime", "gated", "confidence").rows() == [("buy", None, False, 0.2)] * 2


@pytest.mark.parametrize(
    ("blind", "expected"),
    [
        (("volume_confirmation",), (0.25 / 0.9, 0.25)),  # the weights that are there count for all
        (("momentum", "rsi", "relative_strength"), (0.5, 0.25)),  # 0.25 + 0.15 + 0.10 is half, and enough
        (("momentum", "rsi", "relative_strength", "volume_confirmation"), None),  # 0.40 is not
        (tuple(name for name in FULL if name != "trend"), None),
        (tuple(FULL), None),
    ],
)
def test_rules_that_cannot_tell_are_left_out_and_half_the_weight_must_be_there(
    blind: tuple[str, ...], expected: tuple[float, float] | None
) -> None:
    row = STILL | full(("trend",)) | {column: None for name in blind for column in BLIND[name]}
    got = symbol_signals(frame([row]), scores({"u": 50.0}))
    assert got.select("strength", "confidence").rows() == (
        [] if expected is None else [pytest.approx(expected, abs=1e-6)]
    )


numbers = st.floats(-1, 1)
VOTES = st.fixed_dictionaries(dict.fromkeys(FULL, st.none() | numbers))


def voting(votes: Mapping[str, float | None]) -> Row:
    """A row on which the rules vote so, for votes from -1 to 1."""
    row = dict(STILL)
    for name, vote in votes.items():
        row |= BLIND[name] if vote is None else _voting(name, vote)
    return row


def _voting(name: str, vote: float) -> Row:
    size = abs(vote)
    return {
        "trend": {"close": 100 + 20 * vote, "sma_50": 100 + 15 * vote},
        "momentum": {"macd_histogram": 0.7 * vote},
        "rsi": {"rsi_14": 30 - 10 * vote if vote > 0 else 70 - 10 * vote},
        "breakout": {"pct_from_high_252": -10 + 10 * size} if vote > 0 else {"pct_from_low_252": 10 - 10 * size},
        "relative_strength": {"relative_strength": 20 * vote},
        "volume_confirmation": {"roc_10": vote, "volume_ratio_20": 1 + size},
    }[name]


@given(votes=VOTES, rule=st.sampled_from(list(FULL)), raised=numbers, score=st.none() | st.floats(0, 100))
def test_raising_one_vote_never_lowers_the_strength_nor_turns_a_buy_into_less(
    votes: dict[str, float | None], rule: str, raised: float, score: float | None
) -> None:
    lower, higher = sorted((votes[rule] or 0.0, raised))
    rows = frame([voting(votes | {rule: lower}), voting(votes | {rule: higher})])
    got = symbol_signals(rows, scores({"u": score}))
    if got.height:
        assert got["strength"].is_sorted()
        order = {"sell": -1, "hold": 0, "buy": 1}
        assert got["action"].replace_strict(order).is_sorted()


@given(st.lists(VOTES, min_size=2, max_size=6), st.none() | st.floats(0, 100))
def test_strength_and_confidence_follow_from_the_votes_that_are_stored(
    drawn: list[dict[str, float | None]], score: float | None
) -> None:
    got = symbol_signals(frame([voting(votes) for votes in drawn]), scores({"u": score}))
    weights = {f"vote_{rule.name}": rule.weight for rule in SYMBOL_RULES}
    for row in got.rows(named=True):
        cast = {name: weight for name, weight in weights.items() if row[name] is not None}
        there = sum(cast.values())
        assert there >= 0.5 - 1e-9
        assert row["strength"] == pytest.approx(sum(w * row[name] for name, w in cast.items()) / there, abs=1e-6)
        known = 0.5 if score is None else 1.0
        assert row["confidence"] == pytest.approx(abs(row["strength"]) * there * known, abs=1e-6)
        assert all(-1 <= row[name] <= 1 for name in (*cast, "strength"))
        assert 0 <= row["confidence"] <= 1


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(FULL, numbers)), min_size=2, max_size=8), st.floats(0, 100))
def test_confidence_rises_with_the_strength_whatever_becomes_of_it(
    drawn: list[dict[str, float | None]], score: float
) -> None:
    got = symbol_signals(frame([voting(votes) for votes in drawn]), scores({"u": score}))
    by_strength = got.sort(pl.col("strength").abs())
    assert by_strength["confidence"].is_sorted()


def test_signals_of_a_market_have_their_columns_and_say_something() -> None:
    rows, regime = market()
    got = symbol_signals(rows, regime)
    assert got.columns == list(SYMBOL_SIGNAL_COLUMNS)
    assert got.equals(got.sort(KEY))
    assert set(got["action"]) == {"buy", "sell", "hold"}
    assert got["gated"].any()
    assert set(got.filter("gated")["action"]) == {"hold"}
    assert got["convention"].unique().to_list() == [CONVENTION]
    assert got.select(*KEY, "action", "confidence", "strength", "gated").null_count().sum_horizontal().item() == 0
    types = {"convention": pl.Int32, "gated": pl.Boolean, "action": pl.String, "regime": pl.Float64}
    assert got.schema == got.schema | types | dict.fromkeys(("confidence", "strength", *VOTE_COLUMNS), pl.Float64)
    # Until bar 63 only momentum, rsi and volume can vote, 0.40 of the weight.
    assert got.group_by("universe", "security_id").agg(pl.col("session").min())["session"].unique().to_list() == [
        day(63)
    ]


def test_history_cut_at_any_session_gives_the_same_signals() -> None:
    rows, regime = market()
    whole = symbol_signals(rows, regime)
    for cut in (30, 64, 201, 260):
        known = symbol_signals(*(part.filter(pl.col("session") < day(cut)) for part in (rows, regime)))
        assert_frame_equal(known, whole.filter(pl.col("session") < day(cut)), check_exact=True)


def test_the_order_of_rows_changes_nothing() -> None:
    rows, regime = market()
    shuffled = (part.sample(fraction=1, shuffle=True, seed=3) for part in (rows, regime))
    assert_frame_equal(symbol_signals(*shuffled), symbol_signals(rows, regime), check_exact=True)


def test_no_rows_give_no_signals_but_all_columns() -> None:
    empty = symbol_signals(frame([]), scores({}))
    assert empty.is_empty()
    assert empty.schema == symbol_signals(frame([STILL]), scores({"u": 1.0})).schema


def test_two_scores_of_one_session_are_refused() -> None:
    twice = pl.concat([scores({"u": 10.0}), scores({"u": 90.0})])
    with pytest.raises(ComputeError, match="m:1"):
        symbol_signals(frame([STILL]), twice)


def test_what_the_score_has_beyond_hundredths_changes_no_signal() -> None:
    assert signal({}, 56.791323) == signal({}, 56.79)
    assert signal({}, 56.7951)["regime"] == 56.80
