"""The contracts of counts, indicators, signals and published counts: each rule by one row that breaks it alone.

What a contract lets through the store must take, or a run ends with words that no user understands.
"""

import datetime as dt

import pandera.polars as pa
import polars as pl
import pytest

from breadthflow_pipelines.contracts.breadth import (
    COUNTS,
    PUBLISHED,
    SIGNALS,
    Bounds,
    indicators,
    price_indicators,
    symbol_signals,
)
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.model import counts
from breadthflow_pipelines.warehouse import tables

NAN, INFINITE = float("nan"), float("inf")
KEY = {"universe": "u", "segment": "ALL", "session": dt.date(2024, 1, 2)}

COUNTED = {
    **KEY,
    "members": 10,
    "priced": 8,
    "coverage": 0.8,
    "advances": 3,
    "declines": 2,
    "unchanged": 1,
    "no_prior": 1,
    "gap": 1,
    "up_volume": 5,
    "down_volume": 4,
    "above_20": 1,
    "able_20": 8,
    "above_50": 1,
    "able_50": 6,
    **dict.fromkeys(("above_100", "above_150", "above_200", "index_close"), None),
    **dict.fromkeys(("able_100", "able_150", "able_200"), 0),
    "new_highs": 1,
    "new_lows": 0,
    "able_252": 4,
    "new_highs_20": 2,
    "new_lows_20": 0,
    "able_extremes_20": 8,
    **{f"new_{extreme}_total_return": None for extreme in ("highs", "lows")},
    "able_252_total_return": 0,
    **dict.fromkeys(("unchanged_volume", "up_dollars", "down_dollars"), 3),
    **dict.fromkeys(("points_gained", "points_lost"), 0.25),
    "convention": 1,
}
BOUNDS: Bounds = {
    **dict.fromkeys(("ad_line", "mcclellan_summation_ratio"), (None, None)),
    **dict.fromkeys(("zweig_ema", "up_volume_share"), (0, 1)),
    **dict.fromkeys(("pct_above_20", "pct_above_50", "pct_above_200"), (0, 100)),
    "rana": (-1000, 1000),
    "trin": (0, None),
}
INDICATORS = indicators(BOUNDS)
PRICE = price_indicators({"rsi_14": (0, 100), "macd": (None, None)})
SYMBOLS = symbol_signals({"vote_trend": (-1, 1)})
INDICATED = {
    **KEY,
    **dict.fromkeys(BOUNDS, 0.5),
    "state": "final",
    "settled": True,
    "convention": 1,
}
SIGNALLED = {
    "signal_id": "i",
    **KEY,
    "rule": "score",
    "action": "buy",
    "confidence": 0.5,
    "value": 61.0,
    "threshold": 60.0,
    "calibrated": True,
    "state": "provisional",
    "convention": 1,
    "evidence": "{}",
}
ISSUED = {
    "exchange": "X",
    "session": dt.date(2024, 1, 2),
    **dict.fromkeys(counts.PUBLISHED, 5),
    "index_close": 99.5,
    "volume_unit": 1000,
    "doubts": [],
    "issues_usable": True,
    "volume_usable": True,
}
MEMBER = {"universe": "u", "session": dt.date(2024, 1, 2), "security_id": 1}
PRICED = MEMBER | {"rsi_14": 50.0, "macd": -0.5, "convention": 1}
VOTED = MEMBER | {
    "action": "buy",
    "confidence": 0.5,
    "strength": 0.5,
    "regime": 50.0,
    "gated": False,
    "vote_trend": 0.5,
    "convention": 1,
}
NO_MOVE = {"advances": None, "declines": None, "unchanged": None, "up_volume": None, "down_volume": None}


def schema_of(contract: pa.DataFrameSchema) -> dict[str, pl.DataType]:
    return {name: column.dtype.type for name, column in contract.columns.items()}


def reasons(contract: pa.DataFrameSchema, *rows: dict[str, object]) -> list[list[str]]:
    return judge(contract, pl.DataFrame(list(rows), schema=schema_of(contract))).rejected["reasons"].to_list()


@pytest.mark.parametrize(
    ("contract", "row"),
    [
        (COUNTS, COUNTED),
        (COUNTS, COUNTED | NO_MOVE | {"no_prior": 8, "gap": 0}),  # the first session: nobody has a prior close
        (
            COUNTS,
            COUNTED
            | NO_MOVE
            | {
                "segment": "Energy",
                "priced": 0,
                "coverage": 0.0,
                "no_prior": 0,
                "gap": 0,
                **{f"{k}_{n}": 0 for k in ("above", "able") for n in (20, 50)},
                "new_highs": None,
                "new_lows": None,
                "able_252": 0,
                "new_highs_20": None,
                "new_lows_20": None,
                "able_extremes_20": 0,
            },
        ),  # a sector that rests
        (INDICATORS, INDICATED),
        (INDICATORS, INDICATED | dict.fromkeys(BOUNDS)),  # burn-in
        (INDICATORS, INDICATED | {"zweig_ema": 1.0, "rana": -1000.0, "pct_above_50": 100.0, "trin": 0.0}),
        (SIGNALS, SIGNALLED),
        (SIGNALS, SIGNALLED | {"confidence": 0.0, "action": "hold", "value": -1e9}),
        (PUBLISHED, ISSUED),
        (PUBLISHED, ISSUED | dict.fromkeys(counts.PUBLISHED)),  # a series that ends early
        (PUBLISHED, ISSUED | {"doubts": ["volume far from its level"], "volume_usable": False}),
        (PUBLISHED, ISSUED | {"volume_unit": None, "volume_usable": False}),  # no volume, so no unit to doubt
        (PRICE, PRICED),
        (PRICE, PRICED | {"rsi_14": None, "macd": None}),  # burn-in
        (SYMBOLS, VOTED),
        (SYMBOLS, VOTED | {"action": "hold", "gated": True, "regime": 35.0}),
        (SYMBOLS, VOTED | {"regime": None, "vote_trend": None}),
    ],
)
def test_rows_that_make_sense_are_kept(contract: pa.DataFrameSchema, row: dict[str, object]) -> None:
    assert reasons(contract, row) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"universe": None}, "key missing"),
        ({"segment": None}, "key missing"),
        ({"session": None}, "key missing"),
        ({"up_volume": -1}, "a count is negative"),
        ({"new_lows": -1}, "a count is negative"),
        ({"members": 7, "coverage": 8 / 7}, "priced members not between none and all"),
        ({"coverage": 0.5}, "coverage is not priced / members"),
        ({"coverage": NAN}, "coverage is not priced / members"),
        ({"coverage": None}, "coverage is not priced / members"),
        ({"gap": 2}, "a priced member is not counted exactly once"),
        ({"advances": 2}, "a priced member is not counted exactly once"),
        ({"no_prior": None}, "a priced member is not counted exactly once"),
        ({"above_50": 7}, "more members above a mean than able"),
        ({"above_200": 1}, "more members above a mean than able"),
        ({"new_highs": 5}, "more new highs or lows than able"),
        ({"new_lows": 5}, "more new highs or lows than able"),
        ({"advances": None, "no_prior": 4}, "moves known in part"),  # those that are known would add up
        ({"able_20": None, "above_20": None}, "able members not between none and all priced"),
        ({"able_252": 9}, "able members not between none and all priced"),
        ({"able_100": 9}, "able members not between none and all priced"),
        ({"new_lows_20": 9}, "more new highs or lows than able"),
        ({"new_highs_total_return": 1}, "more new highs or lows than able"),
        ({"points_lost": -0.1}, "a count is negative"),
        ({"up_dollars": -1}, "a count is negative"),
        ({"points_gained": INFINITE}, "points or index not finite"),
        ({"index_close": NAN}, "points or index not finite"),
        ({"convention": None}, "convention missing"),
    ],
)
def test_each_fault_of_counts_is_called_by_its_own_name_only(change: dict[str, object], reason: str) -> None:
    assert reasons(COUNTS, COUNTED | {"session": dt.date(2024, 1, 3)}, COUNTED | change) == [[reason]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"universe": None}, "key missing"),
        ({"ad_line": INFINITE}, "a value is not finite"),
        ({"mcclellan_summation_ratio": NAN}, "a value is not finite"),
        ({"zweig_ema": 1.01}, "a value outside its bounds"),
        ({"up_volume_share": -0.01}, "a value outside its bounds"),
        ({"pct_above_20": 100.1}, "a value outside its bounds"),
        ({"pct_above_200": -0.1}, "a value outside its bounds"),
        ({"rana": 1000.1}, "a value outside its bounds"),
        ({"trin": -0.1}, "a value outside its bounds"),
        ({"state": "perhaps"}, "state unknown"),
        ({"state": None}, "state unknown"),
        ({"settled": None}, "settled or convention missing"),
        ({"convention": None}, "settled or convention missing"),
    ],
)
def test_each_fault_of_indicators_is_called_by_its_own_name_only(change: dict[str, object], reason: str) -> None:
    assert reasons(INDICATORS, INDICATED | {"session": dt.date(2024, 1, 3)}, INDICATED | change) == [[reason]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segment": None}, "key missing"),
        ({"rule": None}, "key missing"),
        ({"signal_id": None}, "signal_id missing or repeated"),
        ({"action": "panic"}, "action unknown"),
        ({"action": None}, "action unknown"),
        ({"confidence": 1.5}, "confidence outside 0 to 1"),
        ({"confidence": NAN}, "confidence outside 0 to 1"),
        ({"confidence": None}, "confidence outside 0 to 1"),
        ({"value": NAN}, "value or threshold not finite"),
        ({"threshold": None}, "value or threshold not finite"),
        ({"state": "draft"}, "state unknown"),
        ({"convention": None}, "calibrated, convention or evidence missing"),
        ({"calibrated": None}, "calibrated, convention or evidence missing"),
        ({"evidence": None}, "calibrated, convention or evidence missing"),
    ],
)
def test_each_fault_of_signals_is_called_by_its_own_name_only(change: dict[str, object], reason: str) -> None:
    other = SIGNALLED | {"signal_id": "j", "session": dt.date(2024, 1, 3)}
    assert reasons(SIGNALS, other, SIGNALLED | change) == [[reason]]


@pytest.mark.parametrize(
    ("contract", "row", "change", "reason"),
    [
        (PRICE, PRICED, {"security_id": None}, "key missing"),
        (PRICE, PRICED, {"rsi_14": 100.5}, "a value outside its bounds"),
        (PRICE, PRICED, {"macd": NAN}, "a value is not finite"),
        (PRICE, PRICED, {"convention": None}, "convention missing"),
        (SYMBOLS, VOTED, {"action": "panic"}, "action unknown"),
        (SYMBOLS, VOTED, {"confidence": 1.1}, "confidence outside 0 to 1"),
        (SYMBOLS, VOTED, {"strength": None}, "strength outside -1 to 1"),
        (SYMBOLS, VOTED, {"regime": 101.0}, "regime outside 0 to 100"),
        (SYMBOLS, VOTED, {"gated": True}, "gated but not on hold"),
        (SYMBOLS, VOTED, {"vote_trend": -1.1}, "a value outside its bounds"),
        (SYMBOLS, VOTED, {"convention": None}, "gated or convention missing"),
        (PUBLISHED, ISSUED, {"index_close": 0.0}, "index not a positive number"),
        (PUBLISHED, ISSUED, {"issues_usable": False}, "left out without a doubt"),
        (PUBLISHED, ISSUED, {"volume_usable": False}, "left out without a doubt"),
    ],
)
def test_each_fault_of_members_and_publications_is_called_by_its_own_name_only(
    contract: pa.DataFrameSchema, row: dict[str, object], change: dict[str, object], reason: str
) -> None:
    assert reasons(contract, row | {"session": dt.date(2024, 1, 3)}, row | change) == [[reason]]


@pytest.mark.parametrize("series", counts.PUBLISHED)
def test_a_negative_published_count_is_refused(series: str) -> None:
    assert reasons(PUBLISHED, ISSUED | {series: -1}) == [["a count is negative"]]


@pytest.mark.parametrize("missing", ["exchange", "session"])
def test_a_published_count_without_a_key_is_refused(missing: str) -> None:
    assert reasons(PUBLISHED, ISSUED | {missing: None}) == [["key missing"]]


@pytest.mark.parametrize(("contract", "row"), [(COUNTS, COUNTED), (INDICATORS, INDICATED), (PUBLISHED, ISSUED)])
def test_two_rows_for_one_key_are_both_refused(contract: pa.DataFrameSchema, row: dict[str, object]) -> None:
    assert reasons(contract, row, row) == [["more than one row for the key"]] * 2


def test_two_signals_of_one_rule_and_session_or_with_one_name_are_refused() -> None:
    assert reasons(SIGNALS, SIGNALLED, SIGNALLED | {"signal_id": "j"}) == [["more than one row for the key"]] * 2
    assert reasons(SIGNALS, SIGNALLED, SIGNALLED | {"rule": "other"}) == [["signal_id missing or repeated"]] * 2


@pytest.mark.parametrize(
    ("contract", "table"),
    [
        (COUNTS, tables.breadth_counts),
        (indicators({}), tables.breadth_indicators),
        (price_indicators({}), tables.price_indicators),
        (symbol_signals({}), tables.symbol_signals),
        (SIGNALS, tables.market_signals),
        (PUBLISHED, tables.exchange_breadth),
    ],
)
def test_a_contract_has_the_columns_that_its_table_is_given(contract: pa.DataFrameSchema, table: object) -> None:
    stamps = {"run_id", "ingested_at", "computed_at"}  # put there by the store and by who writes
    assert set(contract.columns) == {c.name for c in table.columns} - stamps  # type: ignore[attr-defined]
