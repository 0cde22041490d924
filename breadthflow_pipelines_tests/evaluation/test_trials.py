import datetime as dt

import numpy as np
import polars as pl
import pytest

from breadthflow_pipelines.evaluation.family import Claim
from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines.evaluation.trials import trials
from breadthflow_pipelines_tests.evaluation import made

BUY = Claim(made.RULE, "buy")


def test_a_part_of_a_trial_is_the_same_sessions_of_all_its_rows() -> None:
    whole = made.trial(made.walk(np.random.default_rng(1), 60), [3, 30], 5)
    part = whole.between(made.day(10), made.day(40))
    assert part.number.tolist() == list(range(11, 41))  # after the one day, through the other
    assert part.events.tolist() == [30]
    assert part.change.tolist() == whole.change[11:41].tolist()
    assert (part.claim, part.horizon, part.basis) == (whole.claim, whole.horizon, whole.basis)


@pytest.mark.parametrize(
    ("day", "last"),
    [
        (20, 13),  # in on 14, out on 19: known the evening before
        (19, 12),  # one that closes on the day itself is not known before it
    ],
)
def test_what_was_known_before_a_day(day: int, last: int) -> None:
    known = made.trial(made.walk(np.random.default_rng(1), 60), [3], 5).known_before(made.day(day))
    assert known.number.tolist() == list(range(last + 1))


def test_every_claim_has_a_trial_in_every_universe_and_horizon() -> None:
    level = made.levels(made.walk(np.random.default_rng(1), 60))
    said = pl.concat([made.signals([3, 4, 58]), made.signals([5], universe="NYSE")])
    sold = Claim("hindenburg_omen", "sell")
    got = list(trials(said, made.everywhere(60), windows(level, made.sessions(60)), (BUY, sold), (5, 21)))
    assert len(got) == 2 * 2 * 2
    found = {(one.universe, one.claim, one.horizon): one for one in got}
    own = found["NASDAQ", BUY, 21]
    assert (own.events.tolist(), own.open, own.left_out) == ([3, 4], 1, 0)
    assert own.number.tolist() == list(range(38))
    assert own.session[0] == np.datetime64(made.FIRST)
    assert (own.exit - own.session).astype(int).tolist() == [22] * 38
    abroad = found["NYSE", BUY, 5]
    assert (abroad.basis, abroad.left_out, len(abroad.number)) == ("", 1, 0)
    assert not len(found["NASDAQ", sold, 5].number)  # on no session could it speak


def test_only_what_is_said_of_the_whole_counts() -> None:
    level = made.levels(made.walk(np.random.default_rng(1), 60))
    said = made.signals([3]).with_columns(segment=pl.lit("Energy"))
    (got,) = trials(said, made.everywhere(60), windows(level, made.sessions(60)), (BUY,), (5,))
    assert not got.event.any()
    assert got.left_out == 0
    assert isinstance(got.session[0].item(), dt.date)
