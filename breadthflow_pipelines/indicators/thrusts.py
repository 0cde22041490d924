"""Threshold events: a value that fell to one level and came back through another, fired once. Knows no actions."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from breadthflow_pipelines.indicators.counts import KEY


@dataclass(frozen=True)
class Recovery:
    """A fall that arms and a rise that fires.

    value: the indicator's column. arms_at is the arming level and counts as reached when the value is below it, or at
    it where ``arms_on_touch``. Fires on the first value strictly above fires_above, at most ``deadline`` sessions after
    the last arming session (None: however late).
    """

    value: str
    arms_at: float
    arms_on_touch: bool
    fires_above: float
    deadline: int | None = None

    def arms(self, value: float) -> bool:
        """Whether this value arms."""
        return value <= self.arms_at if self.arms_on_touch else value < self.arms_at


ZWEIG_SESSIONS = 10
ZWEIG_BREADTH_THRUST = Recovery(
    # Martin Zweig, Winning on Wall Street, 1986, for NYSE issues. Sessions are counted after the low day, so 10 is in:
    # in 2013 NYSE's average came through two sessions late (Tom McClellan, July 2013).
    value="zweig_ema",
    arms_at=0.40,
    arms_on_touch=False,
    fires_above=0.615,
    deadline=ZWEIG_SESSIONS,
)
MCCLELLAN_OVERSOLD_RECOVERY = Recovery(
    # Oversold at -100, turned up at -70: Stocks & Commodities, Traders' Tips 1993, for NYSE issues. No deadline is
    # published, so it stays armed until it fires.
    value="mcclellan_oscillator_ratio",
    arms_at=-100.0,
    arms_on_touch=True,
    fires_above=-70.0,
)

EVENT_SCHEMA = pl.Schema(
    {
        "universe": pl.String,
        "segment": pl.String,
        "session": pl.Date,
        "armed_session": pl.Date,
        "gap": pl.Int32,
        "low": pl.Float64,
        "margin": pl.Float64,
        "value": pl.Float64,
    }
)


class Event(NamedTuple):
    """A recovery that fired at the close of ``session``."""

    session: dt.date
    armed_session: dt.date  # the last session at the arming level
    gap: int  # sessions from there to the event
    low: float  # the lowest value since it was armed
    margin: float  # how far above the firing level
    value: float


def run(rule: Recovery, series: Iterable[tuple[dt.date, int, float | None]]) -> list[Event]:
    """The events of one series of (session, session number, value), in order.

    Disarmed at first; armed by a value at the arming level; disarmed by the event, so that it fires once, or by the
    deadline. A null value changes nothing, but its session counts towards the deadline.
    """
    events: list[Event] = []
    armed: tuple[dt.date, int, float] | None = None  # last session at the arming level, its number, the low so far
    for session, number, value in series:
        if armed and rule.deadline is not None and number - armed[1] > rule.deadline:
            armed = None
        if value is None:
            continue
        if rule.arms(value):
            armed = session, number, min(value, armed[2]) if armed else value
        elif armed and value > rule.fires_above:
            events.append(Event(session, armed[0], number - armed[1], armed[2], value - rule.fires_above, value))
            armed = None
    return events


def threshold_events(indicators: pl.DataFrame, rule: Recovery) -> pl.DataFrame:
    """All events of the rule, in EVENT_SCHEMA, sorted by universe, segment and session.

    indicators: KEY and the rule's value column, in any order, with the whole history. Sessions are numbered by the rows
    that the universe has in any segment, so a sector without a row on some session does not shorten its gaps.
    """
    number = pl.col("session").rank("dense").over("universe").cast(pl.Int32)
    numbered = indicators.select(*KEY, number.alias("number"), rule.value).sort(KEY)
    events = [
        (*group, *event)
        for group, rows in numbered.group_by("universe", "segment", maintain_order=True)
        for event in run(rule, rows.select("session", "number", rule.value).iter_rows())
    ]
    return pl.DataFrame(events, schema=EVENT_SCHEMA, orient="row")
