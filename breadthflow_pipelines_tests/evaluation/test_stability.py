"""How many events stay: by hand, whole numbers of members at random, and only rules that a variation is about."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.evaluation.stability import (
    STABILITY_SCHEMA,
    dropouts,
    of_extremes,
    stability,
    with_a_session_less,
    with_kept,
)
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines_tests.evaluation.made import day

SCHEMA = {"universe": pl.String, "rule": pl.String, "session": pl.Date}


def events(*numbers: int | None, rule: str = "a", universe: str = "u") -> pl.DataFrame:
    rows: list[tuple[str, str, dt.date | None]] = [
        (universe, rule, None if number is None else day(number)) for number in numbers
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def one(own: pl.DataFrame, *reruns: pl.DataFrame) -> dict[str, object]:
    return stability(own, {"dropout": reruns}).row(0, named=True)


@pytest.mark.parametrize(
    ("rerun", "kept", "jaccard"),
    [
        ((10, 50, 90, 130), 1.0, 1.0),  # nothing moved
        ((10, 50), 0.5, 0.5),
        ((), 0.0, 0.0),
        ((11, 50, 91, 131, 170), 0.25, 1 / 8),  # a day later is another event
        (tuple(range(500)), 1.0, 4 / 500),  # keeps all, because it fires every day
    ],
)
def test_what_stays(rerun: tuple[int, ...], kept: float, jaccard: float) -> None:
    got = one(events(10, 50, 90, 130), events(None, *rerun))
    assert (got["kept"], got["jaccard"]) == pytest.approx((kept, jaccard))
    assert (got["events"], got["reruns"], got["kept_least"]) == (4, 1, pytest.approx(kept))


def test_reruns_are_averaged_and_the_worst_is_told() -> None:
    got = one(events(10, 50), events(None, 10, 50), events(None, 10), events(None))
    assert (got["reruns"], got["kept"], got["kept_least"]) == (3, pytest.approx(0.5), 0.0)


def test_lists_are_not_mixed_and_those_that_were_not_rerun_have_no_row() -> None:
    own = pl.concat([events(10), events(50, rule="b"), events(10, universe="v")])
    rerun = pl.concat([events(None, 50), events(None, 50, rule="b"), events(None, 7, rule="c")])
    got = stability(own, {"deadline": iter([rerun]), "closes": []})
    assert got.schema == STABILITY_SCHEMA
    assert got.select("universe", "rule", "variation", "kept").rows() == [
        ("u", "a", "deadline", 0.0),  # that of v was not rerun
        ("u", "b", "deadline", 1.0),  # and c had nothing to keep
    ]
    assert stability(own, {}).is_empty()


def test_records_have_what_stays_in_the_row_of_all_of_history() -> None:
    records = pl.DataFrame(
        {"universe": "u", "rule": ["a", "a", "a", "b"], "era": ["all", "since_decimals", "all", "all"], "horizon": 5}
    )
    kept = pl.DataFrame({"universe": "u", "rule": ["a", "a"], "variation": ["dropout", "closes"], "kept": [0.9, 0.4]})
    got = with_kept(records, kept)
    assert got["kept_dropout"].to_list() == [0.9, None, 0.9, None]
    assert got["kept_closes"].to_list() == [0.4, None, 0.4, None]
    assert got["kept_deadline"].to_list() == got["kept_total_return"].to_list() == [None] * 4
    assert got.select(records.columns).equals(records)


def test_dropouts_are_whole_securities_and_come_again_by_their_seed() -> None:
    members = pl.DataFrame({"security_id": [*range(100), *range(100)], "universe": ["a"] * 100 + ["b"] * 100})
    drawn = list(dropouts(members, draws=6))
    assert [frame.height for frame in drawn] == [10] * 6  # five of a hundred, from both universes
    assert all(frame["security_id"].n_unique() == 5 for frame in drawn)
    assert len({tuple(sorted(set(frame["security_id"]))) for frame in drawn}) == 6
    again = list(dropouts(members.reverse(), draws=6))
    assert [set(frame["security_id"]) for frame in again] == [set(frame["security_id"]) for frame in drawn]


def test_each_variation_is_about_the_rules_that_it_can_change() -> None:
    less = {thrust.name: thrust.deadline for thrust in with_a_session_less()}
    assert less["zweig_breadth_thrust"] == 9  # published as 10
    assert "whaley_adt5" not in less  # it has no such limit
    assert {thrust.name for thrust in of_extremes()} == {
        *("new_high_surge", "record_high_surge", "hindenburg_omen", "hindenburg_omen_28", "hindenburg_omen_confirmed")
    }
    thrust = RULES["zweig_breadth_thrust"].thrust
    assert thrust is not None
    assert thrust.deadline == 10  # the rule itself is as it was
