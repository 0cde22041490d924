"""Thresholds chosen by the past alone."""

import datetime as dt

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from breadthflow_pipelines.evaluation.walk_forward import MIN_SAMPLE, walk_forward
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day


def test_history_to_come_changes_no_day_and_no_choice() -> None:
    dice = np.random.default_rng(11)
    count = MIN_SAMPLE + 4 * 366
    level, score = made.levels(made.walk(dice, count)), made.scores(list(dice.normal(50, 10, count)))
    cut = day(count - 400).replace(month=12, day=31)
    known = pl.col("session") <= cut
    levels_asked = [45.0, 50.0, 55.0]
    choices, after = walk_forward(score, level, levels_asked, horizon=63)
    early, before = walk_forward(score.filter(known), level.filter(known), levels_asked, horizon=63)
    assert after is not None
    assert before is not None
    assert early.height >= 2
    assert_frame_equal(choices.filter(pl.col("year") <= cut.year), early, check_exact=True)
    assert_frame_equal(after.daily.filter(known), before.daily, check_exact=True)


def test_a_threshold_is_chosen_by_the_years_before_and_judged_by_its_own() -> None:
    """The score says which days rise, but only above 70; in the last year it is the other way round."""
    dice = np.random.default_rng(12)
    count = MIN_SAMPLE + 2 * 366
    value = dice.uniform(0, 100, count)
    last = (dt.date(day(count - 1).year, 1, 1) - made.FIRST).days
    change = dice.normal(0, 0.005, count)
    change[2:] += np.where(value[:-2] > 70, 0.01, -0.01)
    change[last:] *= -1
    level = made.levels(np.exp(np.cumsum(change)))
    choices, after = walk_forward(made.scores(value.tolist()), level, [30.0, 70.0], horizon=63, cost=0.0)
    assert after is not None
    assert set(choices["threshold"]) == {70.0}
    final = choices.row(-1, named=True)
    assert final["in_sample"] > 3 > 0 > final["out_of_sample"]
    for row in choices.iter_rows(named=True):
        first_of_year = (dt.date(row["year"], 1, 1) - made.FIRST).days
        # day 0 has no return; the last of the sample lies 63 sessions before the last of the year before
        assert (row["sample_from"], row["sample_to"]) == (day(1), day(first_of_year - 64))
    assert after.daily["session"].min() == dt.date(choices["year"][0], 1, 1)


def test_too_short_a_past_chooses_nothing() -> None:
    dice = np.random.default_rng(13)
    choices, after = walk_forward(made.scores([50.0] * 400), made.levels(made.walk(dice, 400)), [50.0], horizon=63)
    assert choices.is_empty()
    assert choices.columns == ["year", "threshold", "sample_from", "sample_to", "in_sample", "out_of_sample"]
    assert after is None
