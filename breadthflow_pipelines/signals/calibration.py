"""Levels for universes without published ones: walk forward, by the published rate of events. Fits no returns.

A level that is rare on NYSE's issues is common on an index's members and fires there ten times as often. So the rate is
transferred, not the level. Only whole universes are fitted: the few issues of a sector move together, and no source
counts events of sectors.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

import polars as pl

from breadthflow_pipelines.indicators.thrusts import EVENT_SCHEMA, Condition, Thrust, session_number, threshold_events
from breadthflow_pipelines.model.vocabulary import ALL, KEY
from breadthflow_pipelines.signals.rules import CALIBRATED, RULES, Rule

# Possible distances of levels from the neutral value, in published distances. Constant, so that no history enters.
# Finer near 1: on NASDAQ's counts, a step of 0.1 there doubled the number of some events.
STRETCHES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5)
YEAR = 252  # sessions
DECADE = 10 * YEAR
EMBARGO = YEAR  # sessions before a year that its sample leaves out: the longest horizon by which signals are judged
MIN_SAMPLE = 5 * YEAR  # sessions; with fewer, a rate of twice a decade means nothing

CHOSEN = {
    "year": pl.Int32,
    "stretch": pl.Float64,
    "sample_from": pl.Date,
    "sample_to": pl.Date,
    "sample_sessions": pl.Int32,  # with a value
    "sample_events": pl.Int32,  # that the chosen stretch had in them
    "sample_allowed": pl.Float64,  # events at the published rate
}

_Choice = tuple[str, str, int, float, dt.date, dt.date, int, int, float]
_Fired = Mapping[tuple[str, str, float], list[int]]  # session numbers, in order, by rule, universe and stretch


def calibrated_events(indicators: pl.DataFrame) -> pl.DataFrame:
    """Events of the rules in CALIBRATED, under their names there: EVENT_SCHEMA and CHOSEN.

    indicators: as threshold_events takes them. Only universes that the rule was not published for have events, and only
    in segment ALL. Each calendar year has the least stretch of the published levels from which on no stretch had more
    events in the sample than the published rate allows; none where the sample is too short or no stretch fits. The
    sample ends EMBARGO sessions before the year, so neither the year nor anything after it influences its levels.
    """
    whole = indicators.filter(segment=ALL)
    grid = [(RULES[name], stretch) for name in CALIBRATED for stretch in STRETCHES]
    labels = pl.DataFrame(
        [(f"{rule.name} {stretch}", CALIBRATED[rule.name].name, stretch) for rule, stretch in grid],
        schema={"label": pl.String, "rule": pl.String, "stretch": pl.Float64},
        orient="row",
    )
    thrusts = [
        replace(stretched(rule, stretch), name=label)
        for (rule, stretch), label in zip(grid, labels["label"], strict=True)
    ]
    fired = (
        threshold_events(whole, thrusts)
        .rename({"rule": "label"})
        .join(labels, on="label")
        .with_columns(year=pl.col("session").dt.year())
    )
    return (
        fired.join(_choices(whole, fired), on=("rule", "universe", "year", "stretch"))
        .select(*EVENT_SCHEMA, *CHOSEN)
        .sort("rule", *KEY)
    )


def stretched(rule: Rule, stretch: float) -> Thrust:
    """The rule's thrust with its levels at ``stretch`` times their published distance from its neutral value."""
    thrust, neutral = rule.thrust, rule.neutral
    if thrust is None or neutral is None:
        raise ValueError(f"{rule.name} has no levels to stretch.")

    def moved(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
        return tuple(replace(c, level=neutral + stretch * (c.level - neutral)) for c in conditions)

    return replace(thrust, fires=moved(thrust.fires), arms=moved(thrust.arms))


def _choices(whole: pl.DataFrame, fired: pl.DataFrame) -> pl.DataFrame:
    """The stretch of every rule, universe and year: rule, universe and CHOSEN."""
    numbers = fired.group_by("rule", "universe", "stretch").agg(pl.col("number").sort())
    by_grid_point = {(rule, universe, stretch): fired for rule, universe, stretch, fired in numbers.iter_rows()}
    choices: list[_Choice] = []
    for rows in whole.with_columns(session_number()).sort(KEY).partition_by("universe"):
        for name in CALIBRATED:
            if rows["universe"][0] not in RULES[name].published_for:
                choices.extend(_by_year(RULES[name], rows, by_grid_point))
    return pl.DataFrame(choices, schema={"rule": pl.String, "universe": pl.String, **CHOSEN}, orient="row")


def _by_year(published: Rule, rows: pl.DataFrame, fired: _Fired) -> Iterator[_Choice]:
    """One universe's choices. rows: its sessions in order."""
    value = published.thrust.fires[0].column if published.thrust else ""
    if value not in rows.columns or published.published_rate is None:
        return
    universe, rule = rows["universe"][0], CALIBRATED[published.name].name
    observed = rows.filter(pl.col(value).is_not_null()).select("number", "session")
    numbers, sessions = observed["number"].to_list(), observed["session"].to_list()
    starts = rows.group_by(year=pl.col("session").dt.year()).agg(pl.col("number").min()).sort("year")
    for year, start in starts.iter_rows():
        last = start - 1 - EMBARGO
        size = bisect_right(numbers, last)
        if size < MIN_SAMPLE:
            continue
        allowed = published.published_rate * size / DECADE
        events = {stretch: bisect_right(fired.get((rule, universe, stretch), []), last) for stretch in STRETCHES}
        chosen = _least(events, allowed)
        if chosen is not None:
            sample = (sessions[0], sessions[size - 1], size, events[chosen], allowed)
            yield (rule, universe, year, chosen, *sample)


def _least(events: Mapping[float, int], allowed: float) -> float | None:
    """The least stretch from which on no stretch has more events than allowed.

    A stretch with few events is not enough: a level so low that the value stays beyond it has few crossings, too.
    """
    enough = list(takewhile(lambda stretch: events[stretch] <= allowed, sorted(events, reverse=True)))
    return enough[-1] if enough else None
