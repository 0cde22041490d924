import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.evaluation.outcomes import (
    OUTCOME_COLUMNS,
    WINDOW_SCHEMA,
    beyond_horizon,
    outcomes,
    revised,
    windows,
)
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.truncation import looks_ahead

CLOSED = pl.col("state") == "closed"


def of(frame: pl.DataFrame, number: int, horizon: int) -> dict[str, object]:
    return frame.row(by_predicate=(pl.col("number") == number) & (pl.col("horizon") == horizon), named=True)


def test_a_window_by_hand() -> None:
    level = [100.0, 80.0, 100.0, 110.0, 88.0, 99.0, 200.0]
    got = of(windows(made.levels(level), made.sessions(9), (3,)), 1, 3)
    assert (got["entry_session"], got["exit_session"], got["state"]) == (made.day(2), made.day(5), "closed")
    assert got["return"] == pytest.approx(99 / 100 - 1)  # and not 99 / 80: the signal's own close cannot be bought
    assert got["drawdown"] == pytest.approx(88 / 110 - 1)  # from 110 on the way, not from the entry
    assert got["trailing"] == pytest.approx(80 / 100 - 1)
    assert got["basis"] == "price"


def test_who_enters_at_the_open_has_the_session_of_the_entry_too() -> None:
    opens = [None, None, 0.25, 0.5, -0.5, 0.1, 0.1]
    got = windows(made.levels([100.0, 80.0, 100.0, 110.0, 88.0, 99.0, 200.0], intraday=opens), made.sessions(9), (3,))
    assert of(got, 1, 3)["return_from_open"] == pytest.approx(99 / 80 - 1)  # session 2 opened at 80 and closed at 100
    assert of(got, 2, 3)["return_from_open"] == pytest.approx(200 / (110 / 1.5) - 1)
    assert of(got, 0, 3)["return_from_open"] is None  # nobody knows the open of session 1
    assert of(got, 0, 3)["return"] == pytest.approx(88 / 80 - 1)
    assert of(got, 4, 3)["return_from_open"] is None  # open: the exit is to come


@pytest.mark.parametrize(
    ("number", "horizon", "state"),
    [
        (6, 2, "closed"),  # in on 7, out on 9, the last level
        (7, 2, "open"),  # out on 10, which is no level yet, though the calendar has it
        (9, 2, "open"),  # not even in
        (3, 2, "unpriced"),  # in on 4, which has no level
        (1, 2, "unpriced"),  # out on 4
        (2, 2, "closed"),  # over 4, which is only passed
    ],
)
def test_states(number: int, horizon: int, state: str) -> None:
    level = made.levels([float(i) for i in range(1, 11)]).filter(pl.col("session") != made.day(4))
    got = of(windows(level, made.sessions(20), (horizon,)), number, horizon)
    assert got["state"] == state
    assert (got["return"] is None) == (got["drawdown"] is None) == (state != "closed")


def test_every_window_is_the_twins() -> None:
    dice = np.random.default_rng(3)
    level = made.walk(dice, 900)
    got = windows(made.levels(level), made.sessions(900), (5, 21))
    assert got.schema == WINDOW_SCHEMA
    assert got.height == 1800
    for horizon in (5, 21):
        closed: list[float] = []
        for number in range(900):
            row = of(got, number, horizon)
            if number + 1 + horizon >= 900:
                assert row["state"] == "open"
                continue
            path = level[number + 1 : number + 2 + horizon]
            change = path[-1] / path[0] - 1
            falls = [path[j] / path[: j + 1].max() - 1 for j in range(len(path))]
            assert row["return"] == pytest.approx(change, abs=1e-12)
            assert row["drawdown"] == pytest.approx(min(falls), abs=1e-12)
            assert row["trailing"] == pytest.approx(level[number] / level[max(0, number - 251) : number + 1].max() - 1)
            if len(closed) < 252:
                assert row["base_return"] is None
            else:
                assert row["base_return"] == pytest.approx(np.mean(closed), abs=1e-12)
                assert row["excess"] == pytest.approx(change - np.mean(closed), abs=1e-12)
            closed.append(change)


def test_a_closed_outcome_never_looks_past_its_horizon() -> None:
    level = made.levels(made.walk(np.random.default_rng(4), 700))
    spoken = made.signals(range(0, 700, 7))

    def compute(history: pl.DataFrame) -> pl.DataFrame:
        return outcomes(spoken, windows(history, made.sessions(700), (5, 63)))

    cuts = [made.day(number) for number in (300, 301, 350, 444, 699)]
    assert compute(level).filter(CLOSED).height > 150
    assert looks_ahead(compute, level, cuts, settled=CLOSED).is_empty()


def test_a_mean_of_the_whole_history_would_be_caught() -> None:
    """The tempting wrong base: it moves with every window that closes later."""
    level = made.levels(made.walk(np.random.default_rng(4), 400))

    def compute(history: pl.DataFrame) -> pl.DataFrame:
        told = windows(history, made.sessions(400), (5,))
        return told.with_columns(excess=pl.col("return") - pl.col("return").mean())

    caught = looks_ahead(compute, level, [made.day(300)], settled=CLOSED)
    assert set(caught["known"]) == {"then"}
    assert caught.height == 295  # every window that had closed by session 300


def test_what_is_right() -> None:
    level = made.walk(np.random.default_rng(5), 600, drift=0.002)
    spoken = pl.concat(
        [made.signals(range(300, 400), action=action, rule=action) for action in ("buy", "sell", "hold")]
    )
    got = outcomes(spoken, windows(made.levels(level), made.sessions(600), (21,)))
    assert got.columns == list(OUTCOME_COLUMNS)
    bought, sold = (got.filter(action=action) for action in ("buy", "sell"))
    assert (bought["hit"] == (bought["return"] > 0)).all()
    assert (sold["hit"] == (sold["excess"] < 0)).all()
    assert sold.filter(pl.col("hit") & (pl.col("return") > 0)).height > 0  # it rose, and fell behind all the same
    assert got.filter(action="hold")["hit"].null_count() == 100


def test_a_signal_of_a_series_without_levels_has_no_outcome() -> None:
    followed = windows(made.levels([1.0, 2.0, 3.0]), made.sessions(3), (1,))
    assert outcomes(made.signals([0], universe="NYSE"), followed).is_empty()


def test_series_do_not_touch() -> None:
    one, other = (made.levels(made.walk(np.random.default_rng(i), 400), universe) for i, universe in enumerate("ab"))
    both = windows(pl.concat([other, one.slice(50)]), made.sessions(400), (5,))
    alone = windows(one.slice(50), made.sessions(400), (5,))
    assert_frame_equal(both.filter(universe="a"), alone, check_exact=True)
    assert alone["number"].min() == 50


def test_a_level_off_the_calendar_is_refused() -> None:
    with pytest.raises(BreadthFlowError, match=r"2 levels lie on no known session, the first on 2000-01-04"):
        windows(made.levels([1.0, 2.0, 3.0]), made.sessions(1))


def three_signals() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "signal_id": ["a", "b", "c"],
            "universe": "NASDAQ",
            "segment": "ALL",
            "session": [made.day(1), made.day(2), made.day(3)],
            "rule": "r",
            "action": "buy",
        }
    )


def test_only_what_a_price_changed_is_revised() -> None:
    level = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]
    told = [
        outcomes(three_signals(), windows(made.levels(one), made.sessions(6), (2,)))
        for one in (level, [*level[:4], 99.0, level[5]])
    ]
    before = told[0].filter(CLOSED).select("signal_id", "horizon", "return", "drawdown", "hit")
    got = revised(before, told[1])
    assert got["signal_id"].to_list() == ["a", "b"]  # a leaves at the price that changed, b falls on its way
    assert got["return_before"].to_list() == pytest.approx([104 / 102 - 1, 105 / 103 - 1])
    assert revised(before, told[0]).is_empty()


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("entry_session", made.day(1), 1),  # at the signal's own close
        ("exit_session", made.day(5), 1),  # a session too late
        ("exit_session", made.day(4), 0),  # as it was
        ("horizon", 1, 1),
    ],
)
def test_what_looks_past_its_horizon_is_found(column: str, value: object, found: int) -> None:
    level = made.levels([100.0, 101.0, 102.0, 103.0, 104.0, 105.0])
    told = outcomes(three_signals()[:1], windows(level, made.sessions(6), (2,)))
    changed = told.with_columns(pl.lit(value, told.schema[column]).alias(column))
    assert beyond_horizon(changed, made.sessions(6), made.day(5)).height == found


def test_a_closed_outcome_of_the_future_is_found() -> None:
    level = made.levels([100.0, 101.0, 102.0, 103.0, 104.0, 105.0])
    told = outcomes(three_signals()[:1], windows(level, made.sessions(6), (2,)))
    assert beyond_horizon(told, made.sessions(6), made.day(3)).height == 1
