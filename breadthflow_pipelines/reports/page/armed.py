"""On which sessions a thrust was armed: on one of them it fires, or not at all. The machine: indicators/thrusts.py."""

import polars as pl

from breadthflow_pipelines.indicators.thrusts import Thrust
from breadthflow_pipelines.reports.page.facts import Facts


def armed_sessions(facts: Facts, thrust: Thrust) -> list[bool]:
    """By session, whether the thrust could fire; that of an event is the last one until it is armed again.

    thrust: one that a single arming session arms, with a deadline in sessions or none.
    """
    before = [None, *_last_armed(facts, thrust)[:-1]]
    arming = facts.breadth.select(_arms(thrust)).to_series()
    sessions = []
    for i, (arms, last) in enumerate(zip(arming, before, strict=True)):
        since = i if arms else last
        sessions.append(since is not None and (thrust.deadline is None or i - since <= thrust.deadline))
    return sessions


def is_armed(facts: Facts, thrust: Thrust) -> bool:
    """Whether the thrust can fire on the next session. thrust: as armed_sessions takes it."""
    last = _last_armed(facts, thrust)[-1]
    return last is not None and (thrust.deadline is None or facts.breadth.height - last <= thrust.deadline)


def _last_armed(facts: Facts, thrust: Thrust) -> list[int | None]:
    """After each session, the number of the one that armed the thrust last, or None if it fired since."""
    fired = {event["session"] for event in facts.events if event["rule"] == thrust.name}
    last, found = None, list[int | None]()
    for i, (session, arms) in enumerate(facts.breadth.select("session", _arms(thrust)).iter_rows()):
        last = None if session in fired else i if arms else last
        found.append(last)
    return found


def _arms(thrust: Thrust) -> pl.Expr:
    return pl.all_horizontal(condition.met() for condition in thrust.arms).fill_null(value=False).alias("arms")
