"""Threshold events: a state machine that arms, fires once, arms again and merges repeats. Knows no rules, no actions.

Published levels and their sources are in signals/rules.py, the confidence of an event in signals/market.py.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, NamedTuple

import polars as pl

from breadthflow_pipelines.model.vocabulary import KEY

Relation = Literal["above", "below", "at_or_above", "at_or_below"]


@dataclass(frozen=True)
class Condition:
    """A level, in the units of its column, and the side of it on which the condition holds.

    or_unknown: a null passes, and the event names it; otherwise a null neither meets nor fails the condition.
    """

    column: str
    relation: Relation
    level: float
    or_unknown: bool = False

    @property
    def upward(self) -> bool:
        """Whether higher values hold."""
        return self.relation in ("above", "at_or_above")

    def met(self) -> pl.Expr:
        """Whether it holds; null where the value is unknown."""
        value = pl.col(self.column)
        compared = {"above": value.gt, "below": value.lt, "at_or_above": value.ge, "at_or_below": value.le}
        met = compared[self.relation](self.level)
        return met.fill_null(True) if self.or_unknown else met

    def beyond(self, value: pl.Expr) -> pl.Expr:
        """How far the value is beyond the level, in its units; 0 and above where the condition holds."""
        return value - self.level if self.upward else self.level - value


@dataclass(frozen=True)
class Thrust:
    """What arms an event, what fires it, and when it may recur. Sessions are those of the universe.

    fires: must hold together; the first gives the event its value and its threshold, so it cannot pass unknown. arms:
    must hold together on a session before; none: always armed. The event disarms, and so does a timeout: more than
    ``deadline`` sessions or ``deadline_days`` calendar days since the last arming session (None: no limit). arms_times:
    arming sessions needed since the last event, none of them later than the deadline after the one before. quiet: the
    known sessions right before that must not have met the firing conditions; 1 is a crossing. merge: an event at most
    so many sessions after a reported one is a repeat: it disarms but is not reported.
    """

    name: str
    fires: tuple[Condition, ...]
    arms: tuple[Condition, ...] = ()
    arms_times: int = 1
    deadline: int | None = None
    deadline_days: int | None = None
    quiet: int = 0
    merge: int = 0

    def __post_init__(self) -> None:
        if any(conditions[0].or_unknown for conditions in (self.fires, self.arms) if conditions):
            raise ValueError(f"{self.name}: the first condition gives the event's value, so it cannot pass unknown.")

    @property
    def columns(self) -> set[str]:
        """The indicators that it reads."""
        return {condition.column for condition in (*self.fires, *self.arms)}


EVENT_SCHEMA = pl.Schema(
    {
        "rule": pl.String(),
        "universe": pl.String(),
        "segment": pl.String(),
        "session": pl.Date(),
        "number": pl.Int32(),  # of the session, among those of the universe
        "armed_session": pl.Date(),  # the last session at the arming level
        "gap": pl.Int32(),  # sessions from there to the event
        "extreme": pl.Float64(),  # the value furthest beyond the arming level since it was armed
        "depth": pl.Float64(),  # how far beyond
        "margin": pl.Float64(),  # how far the value is beyond the threshold
        "value": pl.Float64(),
        "threshold": pl.Float64(),
        "unknown": pl.List(pl.String()),  # columns that were null and passed
    }
)


def threshold_events(indicators: pl.DataFrame, thrusts: Iterable[Thrust]) -> pl.DataFrame:
    """All events of all thrusts, in EVENT_SCHEMA, sorted by rule (as given), universe, segment and session.

    indicators: KEY and the thrusts' columns (Float64), in any order, with the whole history; a column that is not there
    is unknown on every session. Sessions are numbered by the rows that the universe has in any segment, so a sector
    without a row on some session does not shorten its gaps. A null leaves the machine as it was, but its session counts
    towards deadlines. Whether a session fires is judged before whether it arms, so one session can end one event and
    begin the next. armed_session, gap, extreme and depth are null where the thrust does not arm.
    """
    thrusts = tuple(thrusts)
    columns = sorted(set().union(*(thrust.columns for thrust in thrusts)))
    rows = (
        indicators.with_columns(
            pl.lit(None, pl.Float64).alias(name) for name in columns if name not in indicators.columns
        )
        .select(*KEY, session_number(), *columns)
        .sort(KEY)
        .with_columns(series=pl.struct("universe", "segment").rle_id())
    )
    turns = pl.collect_all([_turns(rows.lazy(), thrust) for thrust in thrusts])  # at once: each is small
    return pl.concat([EVENT_SCHEMA.to_frame(), *map(_events, repeat(rows), thrusts, turns)])


def session_number() -> pl.Expr:
    """``number``, from 1: which of the universe's sessions, in any segment, a row belongs to."""
    return pl.col("session").rank("dense").over("universe").cast(pl.Int32).alias("number")


def _events(rows: pl.DataFrame, thrust: Thrust, turns: pl.DataFrame) -> pl.DataFrame:
    first = thrust.fires[0]
    worst = (thrust.arms or thrust.fires)[0]
    fired = list(_run(thrust, map(_Turn._make, turns.iter_rows())))
    at = rows[[event.row for event in fired]]
    armed = rows.select("session", "number")[
        pl.Series([event.armed.row if event.armed else None for event in fired], dtype=pl.UInt32)
    ]
    extremes = pl.Series("extreme", [event.armed.extreme if event.armed else None for event in fired], pl.Float64)
    passed = [c.column for c in thrust.fires if c.or_unknown]
    unknown = pl.concat_list(
        pl.lit(None, pl.String), *(pl.when(pl.col(name).is_null()).then(pl.lit(name)) for name in passed)
    )
    return at.select(
        pl.lit(thrust.name).alias("rule"),
        *KEY,
        "number",
        armed["session"].alias("armed_session"),
        (pl.col("number") - armed["number"]).alias("gap"),
        extremes,
        worst.beyond(pl.lit(extremes)).alias("depth"),
        first.beyond(pl.col(first.column)).alias("margin"),
        pl.col(first.column).alias("value"),
        pl.lit(first.level, pl.Float64).alias("threshold"),
        unknown.list.drop_nulls().alias("unknown"),
    )


class _Turn(NamedTuple):
    """A row on which something arms or fires; all others leave the machine unchanged."""

    row: int
    series: int
    number: int
    day: int
    arms: bool
    fires: bool
    value: float  # of the first arming condition


def _turns(rows: pl.LazyFrame, thrust: Thrust) -> pl.LazyFrame:
    """The turns of a thrust: the fields of _Turn."""
    met = pl.all_horizontal(condition.met() for condition in thrust.fires)
    arms = pl.all_horizontal(condition.met() for condition in thrust.arms) if thrust.arms else pl.lit(False)
    # Known sessions until this one, and until the last one that met the conditions; those in between did not.
    known = pl.col("known")
    seen = pl.when("met").then(known).forward_fill().shift(1).over("series").fill_null(0)
    turns = (
        rows.select(
            "series",
            "number",
            day=pl.col("session").to_physical(),
            arms=arms.fill_null(False),
            met=met.fill_null(False),
            known=met.is_not_null().cast(pl.Int32).cum_sum().over("series"),
            value=(thrust.arms or thrust.fires)[0].column,
        )
        .with_row_index("row")
        .filter(pl.col("arms") | pl.col("met"))
        .with_columns(fires=pl.col("met") & (known - seen > thrust.quiet))
        .filter(pl.col("arms") | pl.col("fires"))
    )
    if thrust.arms:
        # Without an arming session in between, a row cannot fire if the one before did not.
        waits = ~pl.col("arms")
        turns = turns.filter(~(waits & waits.shift(1).over("series").fill_null(False)))
    return turns.select(_Turn._fields)


class _Armed(NamedTuple):
    row: int
    number: int
    day: int
    times: int
    extreme: float


class _Fired(NamedTuple):
    row: int
    armed: _Armed | None


def _run(thrust: Thrust, turns: Iterable[_Turn]) -> Iterable[_Fired]:
    """The reported events, in order."""
    series, armed, reported = -1, None, -math.inf
    for turn in turns:
        if turn.series != series:
            series, armed, reported = turn.series, None, -math.inf
        if armed and _lapsed(thrust, armed, turn):
            armed = None
        if turn.fires and (not thrust.arms or (armed and armed.times >= thrust.arms_times)):
            if turn.number - reported > thrust.merge:
                yield _Fired(turn.row, armed)
                reported = turn.number
            armed = None
        if turn.arms:
            armed = _arm(thrust, armed, turn)


def _lapsed(thrust: Thrust, armed: _Armed, turn: _Turn) -> bool:
    late = thrust.deadline is not None and turn.number - armed.number > thrust.deadline
    return late or (thrust.deadline_days is not None and turn.day - armed.day > thrust.deadline_days)


def _arm(thrust: Thrust, before: _Armed | None, turn: _Turn) -> _Armed:
    if before is None:
        return _Armed(turn.row, turn.number, turn.day, 1, turn.value)
    further = max if thrust.arms[0].upward else min
    return _Armed(turn.row, turn.number, turn.day, before.times + 1, further(before.extreme, turn.value))
