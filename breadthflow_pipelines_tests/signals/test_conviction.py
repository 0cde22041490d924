import datetime as dt
import json
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.signals.conviction import conviction, conviction_evidence
from breadthflow_pipelines.signals.rules import EVENTS, RULES
from breadthflow_pipelines_tests.examples import examples
from breadthflow_pipelines_tests.indicators.markets import day
from breadthflow_pipelines_tests.signals.values import frame, values

# A column that makes its dimension computable, and a rule of that dimension.
KNOWN = {
    "advances": ("zweig_ema", "zweig_breadth_thrust"),
    "highs": ("net_new_highs_pct", "new_high_surge"),
    "participation": ("pct_above_50", "surge_above_50"),
    "up_volume": ("whaley_udt5", "whaley_udt5"),
}


def market(length: int, *dimensions: str) -> pl.DataFrame:
    """Sessions on which the values of these dimensions are known."""
    known = {KNOWN[dimension][0]: 0.5 for dimension in dimensions}
    return frame([{"universe": "a", "segment": "ALL", "session": day(i), **known} for i in range(length)])


def fired(*events: tuple[str, int]) -> pl.DataFrame:
    rows = [(rule, "a", "ALL", day(row)) for rule, row in events]
    schema = {"rule": pl.String, "universe": pl.String, "segment": pl.String, "session": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def evidence(scored: pl.DataFrame) -> list[str]:
    return conviction_evidence(scored.with_columns(held_back=pl.lit(None, pl.String))).to_list()


def test_a_dimension_is_on_for_sixty_sessions_from_its_thrust() -> None:
    got = conviction(market(70, *KNOWN), fired(("zweig_breadth_thrust", 3)))["conviction"].to_list()
    assert got == [0.0] * 3 + [1.0] * 60 + [0.0] * 7


def test_a_later_thrust_renews_it_and_names_itself() -> None:
    got = conviction(market(70, *KNOWN), fired(("zweig_breadth_thrust", 3), ("whaley_adt5", 9), ("whaley_adt20", 9)))
    assert got["conviction"].to_list() == [0.0] * 3 + [1.0] * 66 + [0.0]
    texts = evidence(got)
    said = [json.loads(text)["on"] for text in texts]
    assert said[2] == {}
    assert said[8] == {"advances": {"fired": day(3).isoformat(), "rules": ["zweig_breadth_thrust"]}}
    assert said[68] == {"advances": {"fired": day(9).isoformat(), "rules": ["whaley_adt20", "whaley_adt5"]}}
    assert all(list(json.loads(text)) == ["on", "computable"] for text in texts)  # as the store orders them


@pytest.mark.parametrize(
    ("known", "rules", "expected"),
    [
        (KNOWN, ["zweig_breadth_thrust", "whaley_adt5", "two_to_one_thrust"], 1.0),  # three rules, one fact
        (KNOWN, ["zweig_breadth_thrust", "whaley_udt5"], 2.0),
        (KNOWN, ["zweig_breadth_thrust", "whaley_udt5", "new_high_surge", "surge_above_50"], 4.0),
        (KNOWN, ["hindenburg_omen", "whaley_adt5_capitulation"], 0.0),  # no buys
        (["advances", "highs", "up_volume"], ["zweig_breadth_thrust", "whaley_udt5"], 8 / 3),  # as of published counts
        (
            ["advances", "highs", "up_volume"],
            ["zweig_breadth_thrust", "surge_above_50"],
            4 / 3,
        ),  # what is not known now
        (["advances", "up_volume"], ["zweig_breadth_thrust"], 2.0),
        (["advances"], ["zweig_breadth_thrust"], None),  # one dimension would be that rule under another name
        ([], [], None),
    ],
)
def test_conviction_is_the_share_of_known_dimensions_that_are_on(
    known: Any, rules: list[str], expected: float | None
) -> None:
    scored = conviction(market(5, *known), fired(*((rule, 1) for rule in rules)))
    got = scored.row(-1, named=True)
    assert got["conviction"] == (None if expected is None else pytest.approx(expected))
    assert got["computable"] == len(known)
    assert json.loads(evidence(scored)[-1])["computable"] == sorted(known)


def test_levels_without_an_event_keep_nothing_on() -> None:
    strong = frame(
        [
            {"universe": "a", "segment": "ALL", "session": day(i), "whaley_adt5": 90.0, "whaley_udt5": 90.0}
            for i in range(5)
        ]
    )
    assert conviction(strong, threshold_events(strong, EVENTS))["conviction"].to_list() == [0.0] * 5


def test_a_sectors_missing_sessions_count() -> None:
    sector = market(2, *KNOWN).with_columns(segment=pl.lit("Energy"), session=pl.Series([day(3), day(63)]))
    thrust = fired(("zweig_breadth_thrust", 3)).with_columns(segment=pl.lit("Energy"))
    got = conviction(pl.concat([market(70), sector]), thrust).filter(segment="Energy")
    assert got["conviction"].to_list() == [1.0, 0.0]  # sixty sessions of the universe later


def test_nothing_gives_nothing() -> None:
    assert conviction(frame([]), fired()).height == 0


@pytest.mark.slow
@examples(25)
@given(st.integers(0, 2**32), st.integers(1, 150))
def test_conviction_is_its_twin_session_by_session(seed: int, length: int) -> None:
    rows = values(seed, length, "a") + values(seed + 1, length // 2, "a", "Energy", step=2)
    random.Random(seed).shuffle(rows)  # noqa: S311
    indicators = frame(rows)
    events = threshold_events(indicators, EVENTS)
    sessions = sorted({row["session"] for row in rows})  # type: ignore[type-var]
    last: dict[tuple[str, str], dt.date] = {}
    scored = conviction(indicators, events)
    for row, got, text in zip(
        sorted(rows, key=lambda row: (row["segment"], row["session"])),  # type: ignore[arg-type, return-value]
        scored.iter_rows(named=True),
        evidence(scored),
        strict=True,
    ):
        here = events.filter(segment=row["segment"], session=row["session"])["rule"]
        for rule in here:
            last[str(row["segment"]), str(RULES[rule].dimension)] = row["session"]  # type: ignore[assignment]
        known = {
            rule.dimension
            for rule in RULES.values()
            if rule.dimension and rule.thrust and row[rule.thrust.fires[0].column] is not None
        }
        now = sessions.index(row["session"])
        on = [d for d in known if (then := last.get((str(row["segment"]), d))) and now - sessions.index(then) < 60]
        assert got["session"] == row["session"]
        assert sorted(json.loads(text)["on"]) == sorted(on)
        assert got["conviction"] == (pytest.approx(4 * len(on) / len(known)) if len(known) > 1 else None)
