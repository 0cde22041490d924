"""On which sessions a thrust was armed: on one of them it fires, or not at all. The machine: indicators/thrusts.py."""

import polars as pl

from breadthflow_pipelines.indicators.thrusts import Thrust
from breadthflow_pipelines.reports.page.facts import Facts


def armed_sessions(facts: Facts, thrust: Thrust) -> list[bool]:
    """By session, whether the thrust could fire; that of an event is the last one until it is armed again.

    thrust: one that a single arming session arms, with a deadline in sessions or none.
    """
    fired = {event["session"] for event in facts.events if event["rule"] == thrust.name}
    arms = pl.all_horizontal(condition.met() for condition in thrust.arms).fill_null(value=False)
    last, sessions = None, []
    for i, (session, arming) in enumerate(facts.breadth.select("session", arms.alias("arms")).iter_rows()):
        if arming:
            last = i
        sessions.append(last is not None and (thrust.deadline is None or i - last <= thrust.deadline))
        if session in fired:
            last = None
    return sessions


def is_armed(facts: Facts, thrust: Thrust) -> bool:
    """Whether the thrust can fire on the next session."""
    fired = any(event["rule"] == thrust.name and event["session"] == facts.now["session"] for event in facts.events)
    return armed_sessions(facts, thrust)[-1] and not fired
