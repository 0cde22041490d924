import polars as pl
import pytest

from breadthflow_pipelines.evaluation.stability import STABILITY_SCHEMA, dropouts, stability
from breadthflow_pipelines_tests.evaluation import made


def events(*numbers: int, rule: str = made.RULE) -> pl.DataFrame:
    return made.signals(list(numbers), rule)


def one(own: pl.DataFrame, *reruns: pl.DataFrame) -> dict[str, object]:
    return stability(own, {"v": reruns}, made.sessions(500)).row(0, named=True)


@pytest.mark.parametrize(
    ("rerun", "kept", "near", "jaccard"),
    [
        ((10, 50, 90, 130), 1.0, 1.0, 1.0),  # nothing moved
        ((10, 50), 0.5, 0.5, 0.5),
        ((), 0.0, 0.0, 0.0),
        ((11, 55, 96, 130), 0.25, 0.75, 1 / 7),  # moved by 1 and by 5 is near, by 6 is another
        (tuple(range(500)), 1.0, 1.0, 4 / 500),  # keeps all, because it fires every day
    ],
)
def test_what_stays(rerun: tuple[int, ...], kept: float, near: float, jaccard: float) -> None:
    got = one(events(10, 50, 90, 130), events(*rerun))
    assert (got["kept"], got["kept_near"], got["jaccard"]) == pytest.approx((kept, near, jaccard))
    assert (got["events"], got["reruns"], got["kept_least"]) == (4, 1, pytest.approx(kept))


def test_reruns_are_averaged_and_the_worst_is_told() -> None:
    got = one(events(10, 50), events(10, 50), events(10), events())
    assert (got["reruns"], got["kept"], got["kept_least"]) == (3, pytest.approx(0.5), 0.0)


def test_lists_are_not_mixed() -> None:
    own = pl.concat([events(10, rule="a"), events(50, rule="b"), made.signals([10], "a", "sell")])
    rerun = pl.concat([events(50, rule="a"), events(50, rule="b"), made.signals([10], "a", "sell", "NYSE")])
    variations = {"first": iter([rerun]), "second": (own for _ in range(2))}
    got = stability(own, variations, made.sessions(100))
    assert got.schema == STABILITY_SCHEMA
    kept = {(row["rule"], row["action"], row["variation"]): row["kept"] for row in got.to_dicts()}
    assert kept == {
        ("a", "buy", "first"): 0.0,
        ("b", "buy", "first"): 1.0,
        ("a", "sell", "first"): 0.0,
        **dict.fromkeys([("a", "buy", "second"), ("b", "buy", "second"), ("a", "sell", "second")], 1.0),
    }


def test_without_reruns_there_is_nothing_to_say() -> None:
    assert stability(events(10), {}, made.sessions(20)).is_empty()
    assert stability(events(), {"v": [events(10)]}, made.sessions(20)).is_empty()


def test_dropouts_lose_whole_securities_and_come_again_by_their_seed() -> None:
    members = pl.DataFrame({"security_id": [*range(100), *range(100)], "universe": ["a"] * 100 + ["b"] * 100})
    drawn = list(dropouts(members, draws=6))
    assert [frame.height for frame in drawn] == [190] * 6
    assert all(frame["security_id"].n_unique() == 95 for frame in drawn)
    assert len({tuple(sorted(set(frame["security_id"]))) for frame in drawn}) == 6
    again = list(dropouts(members.reverse(), draws=6))
    assert [set(frame["security_id"]) for frame in again] == [set(frame["security_id"]) for frame in drawn]
