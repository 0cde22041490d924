"""What one sees before one reads: score, conviction and who took part, as drawings with their figures in words.

Shapes only: colours are in live.css, and no element has a style of its own.
"""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from breadthflow_pipelines.model.vocabulary import BREADTH_SCORE, CONVICTION
from breadthflow_pipelines.reports.page.facts import Facts, Row
from breadthflow_pipelines.reports.page.markup import element
from breadthflow_pipelines.reports.svg import figure
from breadthflow_pipelines.signals.conviction import FULL
from breadthflow_pipelines.signals.explanation import ConvictionEvidence, evidence_of
from breadthflow_pipelines.signals.rules import BUY_AT, DIMENSIONS, SELL_AT

HALF_YEAR = 126
_WIDE, _HIGH = 300, 64  # of a line, in units of its drawing


def dials(facts: Facts) -> Element:
    """Score, conviction, and who rose and fell."""
    return element("div", _score(facts), _conviction(facts), _participation(facts.now), class_="dials")


def spark(values: Sequence[float | None], low: float, high: float) -> Element:
    """A line without axes; what is unknown is a gap. low, high: what lies at its ends. Says nothing to screen readers.

    values: at least one.
    """
    step = _WIDE / max(1, len(values) - 1)
    parts, pen = [], "M"
    for i, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        height = _HIGH * (1 - (min(max(value, low), high) - low) / (high - low))
        parts.append(f"{pen}{i * step:.1f} {height:.1f}")
        pen = "L"
    levels = [
        element("line", x1=0, x2=_WIDE, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="level")
        for level in (SELL_AT, BUY_AT)
        if low < level < high
        for y in [_HIGH * (1 - (level - low) / (high - low))]
    ]
    return element(
        "svg",
        levels,
        element("path", d=" ".join(parts), class_="line"),
        viewBox=f"0 0 {_WIDE} {_HIGH}",
        preserveAspectRatio="none",
        class_="spark",
        aria_hidden="true",
    )


def _dial(title: str, *content: Element | None) -> Element:
    return element("div", element("h2", title), content, class_="dial")


def _big(value: str, of: str, action: str) -> Element:
    said = element("span", action, class_=f"action {action}")
    return element("p", element("b", value), element("span", of, class_="of"), said, class_="big")


def _unknown() -> Element:
    return element("p", element("b", "unknown"), class_="big")


def _none_now(facts: Facts, rule: str, title: str, of: str, never: str) -> Element:
    """That a measure says nothing of the last session, and what it said last. never: why it never spoke."""
    last = facts.measures.get(rule)
    about = f"None of this session; on {last['session']} it was {figure(last['value'])} {of}." if last else never
    return _dial(title, _unknown(), element("p", about, class_="about"))


def _score(facts: Facts) -> Element:
    signal = facts.measured(BREADTH_SCORE)
    if signal is None:
        return _none_now(facts, BREADTH_SCORE, "Breadth score", "of 100", "History is too short.")
    scores = facts.with_measures()[BREADTH_SCORE].tail(HALF_YEAR).to_list()
    return _dial(
        "Breadth score",
        _big(figure(signal["value"]), "of 100", signal["action"]),
        _scale(signal["value"]),
        spark(scores, 0, 100),
        element("p", f"Last {len(scores)} sessions; sell to {SELL_AT:g}, buy from {BUY_AT:g}", class_="about"),
    )


def _scale(value: float) -> Element:
    """Where a score stands between selling and buying."""
    zones = (("sell", 0, SELL_AT), ("hold", SELL_AT, BUY_AT), ("buy", BUY_AT, 100))
    return element(
        "svg",
        (
            element("rect", x=f"{3 * low:g}", y=4, width=f"{3 * (high - low):g}", height=8, class_=f"zone {name}")
            for name, low, high in zones
        ),
        element("rect", x=f"{min(max(3 * value - 2, 0), 296):.1f}", y=0, width=4, height=16, rx=2, class_="mark"),
        viewBox="0 0 300 16",
        preserveAspectRatio="none",
        class_="scale-of-score",
        aria_hidden="true",
    )


def _conviction(facts: Facts) -> Element:
    signal = facts.measured(CONVICTION)
    if signal is None:
        return _none_now(facts, CONVICTION, "Conviction", f"of {FULL}", "Too few dimensions are known.")
    evidence = evidence_of(CONVICTION, signal["evidence"])
    assert isinstance(evidence, ConvictionEvidence)  # noqa: S101 - it is that of conviction
    return _dial(
        "Conviction",
        _big(figure(signal["value"]), f"of {FULL}", signal["action"]),
        element("ul", _dimensions(facts, evidence), class_="dimensions"),
    )


def _dimensions(facts: Facts, evidence: ConvictionEvidence) -> Iterator[Element]:
    for name in DIMENSIONS:
        said, state = "unknown", "unknown"
        if name in evidence.on:
            fired = evidence.on[name].fired
            age = facts.age(fired) if fired in facts.number else None
            said = f"since {fired}" if age is None else _old(age)
            state = "on"
        elif name in evidence.computable:
            said, state = "no recent thrust", "off"
        label = element("span", name.replace("_", " ").capitalize())
        yield element("li", element("i", aria_hidden="true"), label, element("small", said), class_=state)


def _old(sessions: int) -> str:
    return "today" if sessions == 0 else f"{sessions} session{'' if sessions == 1 else 's'} old"


def _participation(now: Row) -> Element:
    """Who rose and fell, and how many stand above their averages."""
    parts = [now[name] for name in ("advances", "unchanged", "declines")]
    if None in parts or not sum(parts):
        return _dial(
            "Who took part", _unknown(), element("p", "The counts of the session are unknown.", class_="about")
        )
    rose, same, fell = parts
    shares = [100 * part / sum(parts) for part in parts]
    starts = [0, shares[0], shares[0] + shares[1]]
    bars = (
        element("rect", x=f"{3 * start:.1f}", y=0, width=f"{3 * share:.1f}", height=16, class_=name)
        for name, start, share in zip(("up", "same", "down"), starts, shares, strict=True)
    )
    lines = [
        ("New highs, new lows", _pair(now["new_highs"], now["new_lows"])),
        *((f"Above {days} days", _per_cent(now[f"pct_above_{days}"])) for days in (20, 50, 200)),
    ]
    told = [element("div", element("dt", name), element("dd", value)) for name, value in lines]
    return _dial(
        "Who took part",
        element(
            "p",
            element("b", f"{rose:,}", class_="up"),
            element("span", "rose", class_="of"),
            element("b", f"{fell:,}", class_="down"),
            element("span", f"fell, {same:,} unchanged" if same else "fell", class_="of"),
            class_="big two",
        ),
        element("svg", bars, viewBox="0 0 300 16", preserveAspectRatio="none", class_="parts", aria_hidden="true"),
        element("dl", told, class_="facts"),
    )


def _pair(first: int | None, second: int | None) -> str:
    return ", ".join("unknown" if value is None else f"{value:,}" for value in (first, second))


def _per_cent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} %"
