"""The first screen: today's state in a sentence and a table, with what would change it."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from xml.etree.ElementTree import Element

from breadthflow_pipelines.indicators.planning import mcclellan_ratio_needs, zweig_needs
from breadthflow_pipelines.model.vocabulary import BREADTH_SCORE, BUY, CONVICTION, FINAL, HOLD, SELL
from breadthflow_pipelines.reports.page.armed import is_armed
from breadthflow_pipelines.reports.page.facts import Facts, Row
from breadthflow_pipelines.reports.page.markup import Child, element, signal_link
from breadthflow_pipelines.reports.records import record_line
from breadthflow_pipelines.reports.svg import figure
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.rules import (
    BUY_AT,
    CONVICTION_AT,
    CONVICTION_SESSIONS,
    OMEN_REPEATS,
    RULES,
    SELL_AT,
)

_STRENGTH: Mapping[str, str] = {BUY: "strong", HOLD: "neutral", SELL: "weak"}
_WARNINGS = "warnings"


def today(facts: Facts) -> Element:
    """Today's state of the universe."""
    rows: dict[str, list[Child]] = {
        "Breadth score": _measure(facts, BREADTH_SCORE, f"of 100; buy from {BUY_AT:g}, sell to {SELL_AT:g}"),
        "Conviction": _measure(facts, CONVICTION, f"of 4; buy from {CONVICTION_AT:g}"),
        "Active thrusts": _listed(list(_thrusts(facts)), "none in the last quarter"),
        "What would change it": _listed([element("li", line) for line in changes(facts)], "not known yet"),
        "State": [_state(facts)],
        "Coverage": [_coverage(facts.now)],
        "As of": [
            f"the close of {facts.now['session']}, as known since "
            f"{facts.known_at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
        ],
    }
    body = [element("tr", element("th", name, scope="row"), element("td", cell)) for name, cell in rows.items()]
    return element(
        "section",
        element("p", sentence(facts), class_="lead"),
        element("p", late, class_="overdue") if (late := overdue(facts)) else None,
        element("table", element("caption", "Today", class_="hidden"), element("tbody", body), class_="today"),
        id="today",
        aria_label="Today",
    )


def overdue(facts: Facts) -> str:
    """That sessions have closed which the page does not have; empty where it has all."""
    last = facts.now["session"]
    if facts.due is None or last >= facts.due:
        return ""
    return f"This is not the last session: {facts.due} had closed when this page was made, and nothing of it had come."


def sentence(facts: Facts) -> str:
    """Today's state in one sentence."""
    now, score = facts.now, facts.measured(BREADTH_SCORE)
    head = f"Breadth of {facts.universe} is {_STRENGTH[score['action']]}" if score else f"{facts.universe} has no score"
    parts = [*_told(facts, BREADTH_SCORE, "score", "of 100"), *_told(facts, CONVICTION, "conviction", "of 4")]
    if None not in (now["advances"], now["declines"]):
        parts.append(f"{now['advances']:,} rose and {now['declines']:,} fell")
    day: dt.date = now["session"]
    return f"{head} at the close of {day:%A} {day.day} {day:%B %Y}: {'; '.join([*parts, now['state']])}."


def _told(facts: Facts, rule: str, name: str, scale: str) -> Iterator[str]:
    """What a measure says of the last session, or what it said last, with the day; nothing where it never spoke."""
    if now := facts.measured(rule):
        yield f"{name} {figure(now['value'])} {scale}, {now['action']}"
    elif last := facts.measures.get(rule):
        yield f"the last {name}, of {last['session']}, was {figure(last['value'])} {scale}"


def _measure(facts: Facts, rule: str, scale: str) -> list[Child]:
    signal = facts.measures.get(rule)
    if signal is None:
        return ["not known yet: history is too short"]
    when = "" if signal["session"] == facts.now["session"] else f", of {signal['session']}"
    action = element("strong", signal["action"], class_=f"action {signal['action']}")
    record = record_line(signal)
    known = f" Record then: {record}." if record else ""
    note = f" {scale}{when}; confidence {text(signal['confidence'])}.{known} "
    return [action, f" {text(signal['value'])}", note, signal_link(signal["signal_id"], "Evidence")]


def _listed(items: list[Element], none: str) -> list[Child]:
    return [element("ul", items)] if items else [none]


def _thrusts(facts: Facts) -> Iterator[Element]:
    """Of each dimension the newest thrust that still counts, and the warnings of the last month."""
    newest: dict[str, list[Row]] = {}
    for event in facts.events:
        dimension = RULES[event["rule"]].dimension or (_WARNINGS if event["action"] == SELL else None)
        most = OMEN_REPEATS if dimension == _WARNINGS else CONVICTION_SESSIONS
        if dimension is not None and facts.age(event["session"]) < most:
            same = newest.setdefault(dimension, [])
            if same and same[-1]["session"] != event["session"]:
                same.clear()
            same.append(event)
    for dimension, events in sorted(newest.items(), key=lambda pair: (pair[0] == _WARNINGS, pair[0])):
        age = facts.age(events[0]["session"])
        left = CONVICTION_SESSIONS - 1 - age
        more = "" if dimension == _WARNINGS else f", counts for {left} more"
        when = "today" if age == 0 else f"{age} session{'' if age == 1 else 's'} ago"
        links: list[Child] = []
        for event in events:
            links += [", " if links else None, signal_link(event["signal_id"], event["rule"])]
        records = [record for record in map(record_line, events) if record]
        known = f". Record then: {'; '.join(records)}" if records else ""
        yield element("li", links, f" ({dimension.replace('_', ' ')}): {when}{more}{known}")


def changes(facts: Facts) -> Iterator[str]:
    """What the next session would have to bring, as far as a formula can be solved for it."""
    now = facts.now
    oscillator, stays, zero = (now[f"mcclellan_{name}"] for name in ("oscillator", "unchanged_at", "zero_at"))
    if None not in (oscillator, stays, zero):
        yield (
            f"McClellan Oscillator, now {text(oscillator)}: stays there with net advances of {stays:+,.0f}, reaches "
            f"zero with {zero:+,.0f}{_of_issues(now)}"
        )
    ratio, summation, average = (
        now[name] for name in ("mcclellan_oscillator_ratio", "mcclellan_summation_ratio", "zweig_ema")
    )
    if None not in (ratio, summation):
        shares = partial(mcclellan_ratio_needs, ratio, summation)
        yield _next_step(facts, "mcclellan_oversold_recovery", f"McClellan, ratio-adjusted, now {text(ratio)}", shares)
    if average is not None:
        shares = partial(zweig_needs, average)
        yield _next_step(facts, "zweig_breadth_thrust", f"Zweig's average, now {text(average)}", shares)


def _of_issues(now: Row) -> str:
    """How many issues there are: no session can bring more net advances than that."""
    counted = [now[name] for name in ("advances", "declines", "unchanged")]
    return "" if None in counted else f", of {sum(counted):,} issues"


def _next_step(facts: Facts, rule: str, what: str, share_for: Callable[[float], float]) -> str:
    """What fires a rule, or arms it where it is not armed. share_for: the share of advances that reaches a level."""
    thrust = RULES[rule].thrust
    assert thrust is not None  # noqa: S101 - both are rules of events
    armed = is_armed(facts, thrust)
    step = thrust.fires[0] if armed else thrust.arms[0]
    share = share_for(step.level)
    how = f"with {100 * share:.1f} % of the issues that move advancing" if 0 <= share <= 1 else "not within one session"
    return f"{what}: {rule} {'fires' if armed else 'is armed'} {step.relation.replace('_', ' ')} {step.level:g}, {how}"


def _state(facts: Facts) -> str:
    if facts.now["state"] == FINAL:
        return "final"
    finals = facts.breadth.filter(state=FINAL)["session"]
    last = f"; the last final session is {finals[-1]}" if finals.len() else ""
    return f"provisional: its bars may still change, or too few have arrived{last}"


def _coverage(now: Row) -> str:
    if now["members"] is None:
        issues = [now[name] for name in ("advances", "declines", "unchanged")]
        counted = f"{sum(issues):,} issues" if None not in issues else "an unknown number of issues"
        return f"counts that the exchange publishes, of {counted}"
    return f"{now['priced']:,} of {now['members']:,} members have a bar ({100 * now['coverage']:.1f} %)"
