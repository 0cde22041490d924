"""What assets show of breadth and signals: a sentence, a small table, a sparkline, and the charts.

The UI shows Markdown of fewer than 1,000 characters directly and anything longer after a click: sentence, table and
sparkline are short, and all charts of an asset are behind one click. Drawing is in svg.py.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from breadthflow_pipelines.model.vocabulary import ALL, BREADTH_SCORE, BUY, CONVICTION, HOLD, KEY, SELL, SESSION_RULES
from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.svg import Area, Line, Marks, figure
from breadthflow_pipelines.signals.rules import BUY_AT, CONVICTION_AT, RULES, SELL_AT

SESSIONS = 250
RECENT = 60  # sessions of the sparkline
YEARS = 10
MCCLELLAN = "mcclellan_oscillator_ratio"
_COLOURS = {BUY: svg.UP, SELL: svg.DOWN, HOLD: svg.SOFT}

Frame = pl.DataFrame
Row = Mapping[str, Any]


def indicator_charts(counts: Frame, indicators: Frame, synthetic: Collection[str]) -> dict[str, str]:
    """Markdown by metadata name: the last session of the freshest universe, and charts of its last year."""
    universe = freshest(indicators, synthetic)
    if universe is None:
        return {}
    title = named(universe, synthetic)
    whole = _whole(indicators.join(counts, on=KEY), universe)
    rows, now = whole.tail(SESSIONS), whole.row(-1, named=True)
    parts = [f"{_text(now['advances'])} rose, {_text(now['declines'])} fell", *_trend(now)]
    shown = {
        "advances less declines": _less(now["advances"], now["declines"]),
        "A/D line": now["ad_line"],
        "McClellan, ratio-adjusted": now[MCCLELLAN],
        "new highs less new lows": now["net_new_highs"],
        **{f"% above {window} days": now[f"pct_above_{window}"] for window in (20, 50, 200)},
    }
    drawings = [_advances, _ad_line, _mcclellan, _participation]
    return {
        "now": _words(title, now, parts, shown),
        "mcclellan_lately": _sparkline(f"{title}, McClellan Oscillator", whole[MCCLELLAN], (0, *_oversold())),
        "charts": "\n\n".join(draw(rows, title) for draw in drawings),
    }


def signal_charts(indicators: Frame, signals: Frame, synthetic: Collection[str]) -> dict[str, str]:
    """Markdown by metadata name: the signals of the freshest universe's last session, and charts of past signals."""
    universe = freshest(indicators, synthetic)
    if universe is None:
        return {}
    title = named(universe, synthetic)
    rows, fired = _whole(indicators, universe), _whole(signals, universe)
    now = rows.row(-1, named=True)
    score, conviction = (_signal_of(fired, rule, now["session"]) for rule in SESSION_RULES)
    thrusts = fired.filter(rule="zweig_breadth_thrust")
    parts = [f"score {_text(score['value'])}, {score['action']}" if score else "no score yet", *_trend(now)]
    shown = {
        "score, 0 to 100": score and score["value"],
        "conviction, 0 to 4": conviction and conviction["value"],
        "McClellan, ratio-adjusted": now[MCCLELLAN],
        "Zweig thrusts": f"{thrusts.height}, last {thrusts['session'][-1]}" if thrusts.height else "none",
        "last event": _last_event(fired),
    }
    measured = {rule: _measured(rows, fired, rule) for rule in SESSION_RULES}
    return {
        "now": _words(title, now, parts, shown),
        "score_lately": _sparkline(f"{title}, breadth score", measured[BREADTH_SCORE]["value"], (SELL_AT, BUY_AT)),
        "charts": "\n\n".join(
            [
                _score(measured[BREADTH_SCORE], title),
                _conviction(measured[CONVICTION], title),
                _events(rows, fired, title),
                _zweig(rows, thrusts, title),
            ]
        ),
    }


def freshest(indicators: Frame, synthetic: Collection[str]) -> str | None:
    """The universe with the latest session; of several, real before synthetic ones, then the first by name."""
    if indicators.is_empty():
        return None
    reach = indicators.group_by("universe").agg(pl.col("session").max())
    invented = pl.col("universe").is_in(list(synthetic)).alias("invented")
    return str(
        reach.with_columns(invented).sort("session", "invented", "universe", descending=[True, False, False])[
            "universe"
        ][0]
    )


def named(universe: str, synthetic: Collection[str]) -> str:
    """The universe as titles name it; a synthetic one is always marked."""
    return f"{universe} (SYNTHETIC, not real prices)" if universe in synthetic else universe


def _whole(rows: Frame, universe: str) -> Frame:
    return rows.filter(universe=universe, segment=ALL).sort("session")


def _signal_of(fired: Frame, rule: str, session: dt.date) -> Row | None:
    found = fired.filter(rule=rule, session=session)
    return found.row(0, named=True) if found.height else None


def _last_event(fired: Frame) -> str:
    events = fired.filter(~pl.col("rule").is_in(SESSION_RULES))
    if events.is_empty():
        return "none"
    last = events.row(-1, named=True)
    return f"{last['session']} {last['rule']}, {last['action']}"


def _measured(rows: Frame, fired: Frame, rule: str) -> Frame:
    """The last sessions, each with the rule's value, null where it has none."""
    sessions = rows.select("session").tail(SESSIONS)
    return sessions.join(fired.filter(rule=rule).select("session", "value"), on="session", how="left")


def _trend(now: Row) -> list[str]:
    """The parts of the sentence about the trend, as far as it is known."""
    oscillator, participation = now[MCCLELLAN], now["pct_above_50"]
    parts = [] if oscillator is None else [f"McClellan {figure(oscillator)}"]
    return parts if participation is None else [*parts, f"{figure(participation)} % above 50 days"]


def _words(title: str, now: Row, parts: Sequence[str], shown: Mapping[str, float | str | None]) -> str:
    table = "\n".join(f"| {name} | {_text(value)} |" for name, value in shown.items())
    sentence = f"**{title}**, {now['session']}: {'; '.join([*parts, now['state']])}."
    return f"{sentence}\n\n| {now['state']} | {now['session']} |\n| --- | --- |\n{table}"


def _text(value: float | str | None) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else figure(value)


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _sparkline(about: str, values: pl.Series, levels: Sequence[float]) -> str:
    recent = values.tail(RECENT)
    end = _text(recent[-1]) if recent.len() else "unknown"
    return svg.markdown(f"{about}, {_counted(recent.len(), 'session')}", svg.sparkline(recent.to_list(), levels, end))


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}" + ("" if number == 1 else "s")


def _span(sessions: pl.Series) -> str:
    """The time that these sessions cover: in years from three on, in months from two on, else their number."""
    days = (sessions[-1] - sessions[0]).days if sessions.len() else 0
    months, years = round(days / 30.44), f"{days / 365.25:.1f}".removesuffix(".0")
    if months < 2:
        return _counted(sessions.len(), "session")
    return f"{months} months" if months < 36 else f"{years} years"


def picture(title: str, what: str, rows: Frame, layers: Sequence[svg.Layer], **options: Any) -> str:
    """Layers over the sessions of these rows, under a title that says which span they cover. options: of svg.chart."""
    heading = heading_of(title, what, rows["session"])
    return svg.markdown(heading, svg.chart(heading, rows["session"].to_list(), layers, **options))


def heading_of(title: str, what: str, sessions: pl.Series) -> str:
    """What a picture shows, and over which time."""
    return f"{title}: {what}, over {_span(sessions)}"


def _line(name: str, values: pl.Series, colour: str = svg.FIRST) -> Line:
    return Line(f"{name} {_text(values[-1])}", values.to_list(), colour)


def _advances(rows: Frame, title: str) -> str:
    ends = {name: f"{_text(rows[name][-1])} {name}" for name in ("advances", "declines")}
    layers = [
        Area(ends["advances"], rows["advances"].to_list(), svg.UP),
        Area(ends["declines"], (-rows["declines"]).to_list(), svg.DOWN),
    ]
    return picture(title, "advances and declines", rows, layers)


def _ad_line(rows: Frame, title: str) -> str:
    return picture(title, "A/D line", rows, [_line("A/D line", rows["ad_line"])])


def _mcclellan(rows: Frame, title: str) -> str:
    levels = (*_oversold(), 0, -_oversold()[0])
    return picture(title, "McClellan Oscillator, ratio-adjusted", rows, [_line("", rows[MCCLELLAN])], levels=levels)


def _oversold() -> tuple[float, float]:
    """The levels at which the rule of its recovery is armed and fires."""
    levels = RULES["mcclellan_oversold_recovery"].thresholds
    return levels["armed_at_or_below"], levels["fires_above"]


def _participation(rows: Frame, title: str) -> str:
    windows = ((20, svg.SOFT), (50, svg.FIRST), (200, svg.SECOND))
    lines = [_line(f"{window} days", rows[f"pct_above_{window}"], colour) for window, colour in windows]
    return picture(title, "% of members above their mean", rows, lines, levels=(30, 50, 70), within=(0, 100))


def _score(rows: Frame, title: str) -> str:
    line = _line("", rows["value"])
    what = f"breadth score, buy from {figure(BUY_AT)}, sell to {figure(SELL_AT)}"
    return picture(title, what, rows, [line], levels=(SELL_AT, BUY_AT), within=(0, 100))


def _conviction(rows: Frame, title: str) -> str:
    what = f"conviction, buy from {figure(CONVICTION_AT)} of 4"
    return picture(
        title,
        what,
        rows,
        [Area(_text(rows["value"][-1]), rows["value"].to_list(), svg.FIRST)],
        levels=(CONVICTION_AT,),
        within=(0, 4),
    )


def _zweig(rows: Frame, thrusts: Frame, title: str) -> str:
    number = {session: i for i, session in enumerate(rows["session"])}
    points = [(number[session], value) for session, value in thrusts.select("session", "value").iter_rows()]
    layers: list[svg.Layer] = [_line("", rows["zweig_ema"]), Marks(points, svg.UP)]
    what = f"Zweig's average and {_counted(len(points), 'thrust')}"
    return picture(title, what, rows, layers, levels=tuple(RULES["zweig_breadth_thrust"].thresholds.values()))


def _events(rows: Frame, fired: Frame, title: str) -> str:
    """A row for each rule of events, a mark for each event, in the colour of its action."""
    events = fired.filter(~pl.col("rule").is_in(SESSION_RULES))
    recent = rows.filter(pl.col("session") >= pl.col("session").max().dt.offset_by(f"-{YEARS}y"))
    events = events.filter(pl.col("session") >= recent["session"][0])
    by_rule = {
        str(rule): [(session, _COLOURS[action]) for session, action in own.select("session", "action").iter_rows()]
        for (rule,), own in sorted(events.group_by("rule", maintain_order=True), key=lambda part: str(part[0]))
    }
    heading = f"{title}: thrusts and warnings (green buys, red sells, grey holds), over {_span(recent['session'])}"
    return svg.markdown(heading, svg.event_rows(heading, recent["session"].to_list(), by_rule))
