"""How many events stay: by hand, whole numbers of members at random, and only rules that a variation is about."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.evaluation.stability import (
    STABILITY_SCHEMA,
    beside_published,
    dropouts,
    of_extremes,
    stability,
    with_a_session_less,
    with_kept,
)
from breadthflow_pipelines.indicators.thrusts import Condition, Thrust
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


CROSSING = Thrust("crossing", fires=(Condition("x", "above", 1.0),), quiet=1)
SURE = Thrust("sure", fires=(Condition("x", "above", 1.0), Condition("y", "above", 0.0, or_unknown=True)), quiet=1)


def indicators(*values: float | None, y: float | None = None) -> pl.DataFrame:
    """x of a universe by session, and a y of all of them."""
    rows = [("u", "ALL", day(i), x, y) for i, x in enumerate(values)]
    kinds = {"segment": pl.String, "session": pl.Date, "x": pl.Float64, "y": pl.Float64}
    return pl.DataFrame(rows, schema={"universe": pl.String, **kinds}, orient="row")


def test_published_events_are_compared_where_both_could_fire() -> None:
    counted = indicators(0, 2, 0, 2, 0, 2, 0, 2, 0, 2)  # crosses 1 on days 1, 3, 5, 7 and 9
    published = indicators(None, None, 0, 2, 0, 0, 2, 2, 0, None)  # on days 3 and 6, and says nothing of 0, 1 and 9
    [got] = beside_published(counted, published, [CROSSING]).to_dicts()
    assert (got["universe"], got["rule"], got["variation"], got["reruns"]) == ("u", "crossing", "published", 1)
    assert got["events"] == 3  # 3, 5 and 7
    assert (got["kept"], got["jaccard"]) == (pytest.approx(1 / 3), pytest.approx(1 / 4))  # 3, of 3, 5, 6 and 7
    [same] = beside_published(counted, counted, [CROSSING]).to_dicts()
    assert (same["events"], same["kept"], same["jaccard"]) == (5, 1, 1)


def test_where_published_counts_cannot_tell_nothing_is_compared() -> None:
    counted = indicators(0, 2, 0, 2, y=1.0)
    unknown = indicators(None, None, None, None)
    assert beside_published(counted, unknown, [CROSSING]).equals(STABILITY_SCHEMA.to_frame())
    # What may be unknown when it fires may be unknown here.
    [got] = beside_published(counted, indicators(0, 2, 0, 0), [SURE]).to_dicts()
    assert (got["events"], got["kept"]) == (2, 0.5)


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
