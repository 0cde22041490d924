"""The contracts of counts, indicators, signals and published counts: each rule by one row that breaks it alone.

What a contract lets through the store must take, or a run ends with words that no user understands.
"""

import datetime as dt

import pandera.polars as pa
import polars as pl
import pytest

from breadthflow_pipelines.contracts.breadth import COUNTS, INDICATORS, PUBLISHED, SIGNALS
from breadthflow_pipelines.contracts.verdict import judge
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
    "above_200": None,
    "able_200": 0,
    "new_highs": 1,
    "new_lows": 0,
    "able_252": 4,
    "convention": 1,
}
INDICATED = {
    **KEY,
    **dict.fromkeys(tables.INDICATORS, 0.5),
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
ISSUED = {"exchange": "X", "session": dt.date(2024, 1, 2), **dict.fromkeys(tables.PUBLISHED, 5)}
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
            },
        ),  # a sector that rests
        (INDICATORS, INDICATED),
        (INDICATORS, INDICATED | dict.fromkeys(tables.INDICATORS)),  # burn-in
        (INDICATORS, INDICATED | {"zweig_ema": 1.0, "rana": -1000.0, "pct_above_50": 100.0, "trin": 0.0}),
        (SIGNALS, SIGNALLED),
        (SIGNALS, SIGNALLED | {"confidence": 0.0, "action": "hold", "value": -1e9}),
        (PUBLISHED, ISSUED),
        (PUBLISHED, ISSUED | dict.fromkeys(tables.PUBLISHED)),  # a series that ends early
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
        ({"zweig_ema": 1.01}, "a share outside 0 to 1"),
        ({"up_volume_share": -0.01}, "a share outside 0 to 1"),
        ({"pct_above_20": 100.1}, "a percentage outside 0 to 100"),
        ({"pct_above_200": -0.1}, "a percentage outside 0 to 100"),
        ({"rana": 1000.1}, "rana outside -1000 to 1000"),
        ({"trin": -0.1}, "trin negative"),
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


@pytest.mark.parametrize("series", tables.PUBLISHED)
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
        (INDICATORS, tables.breadth_indicators),
        (SIGNALS, tables.market_signals),
        (PUBLISHED, tables.exchange_breadth),
    ],
)
def test_a_contract_has_the_columns_that_its_table_is_given(contract: pa.DataFrameSchema, table: object) -> None:
    given = {c.name for c in table.columns if c.server_default is None} - {"run_id"}  # type: ignore[attr-defined]
    assert set(contract.columns) == given
