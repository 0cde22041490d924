"""Charts of breadth as small PNGs in Markdown, for asset metadata. Each has one sentence and a small table beside it.

The UI folds Markdown of more than 1,000 characters away, so the words are an entry of their own next to the picture.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import polars as pl

from breadthflow_pipelines.signals.rules import BUY_AT, CONVICTION_AT, RULES, SELL_AT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SESSIONS = 250
YEARS = 10
MEASURES = ("breadth_score", "conviction")  # rules that say something of every session
DOTS_PER_INCH = 80
UP, DOWN, LINE, SOFT = "#2b8a3e", "#c92a2a", "#1c4f9c", "#868e96"

Frame = pl.DataFrame


def indicator_charts(counts: Frame, indicators: Frame, synthetic: Collection[str]) -> dict[str, str]:
    """Markdown by metadata name: advances and declines, McClellan, participation of the freshest universe."""
    universe = freshest(indicators)
    if universe is None:
        return {}
    rows = indicators.join(counts, on=["universe", "segment", "session"])
    last = _whole(rows, universe).tail(SESSIONS)
    title = _title(universe, synthetic)
    return {
        "words": _words(last, title),
        "advances_and_declines": _picture(
            lambda axes: _draw_advances(axes, last), f"{title}: advances, declines, A/D line"
        ),
        "mcclellan": _picture(
            lambda axes: _draw_mcclellan(axes, last), f"{title}: McClellan Oscillator, ratio-adjusted"
        ),
        "participation": _picture(
            lambda axes: _draw_participation(axes, last), f"{title}: % of members above their mean"
        ),
    }


def signal_charts(indicators: Frame, signals: Frame, synthetic: Collection[str]) -> dict[str, str]:
    """Markdown by metadata name: Zweig's average with its events, all thrusts and warnings, score and conviction."""
    universe = freshest(indicators)
    if universe is None:
        return {}
    rows, fired = _whole(indicators, universe), _whole(signals, universe)
    thrusts = fired.filter(rule="zweig_breadth_thrust")
    score = fired.filter(rule="breadth_score").tail(SESSIONS)
    title = _title(universe, synthetic)
    return {
        "words": _signal_words(score, thrusts, title),
        "zweig": _picture(lambda axes: _draw_zweig(axes, rows, thrusts), f"{title}: Zweig's average and its thrusts"),
        "events": _picture(
            lambda axes: _draw_events(axes, fired), f"{title}: thrusts and warnings of {YEARS} years", 4
        ),
        "score": _picture(lambda axes: _draw_score(axes, score), f"{title}: breadth score"),
        "conviction": _picture(lambda axes: _draw_conviction(axes, fired), f"{title}: conviction"),
    }


def freshest(indicators: Frame) -> str | None:
    """The universe that reaches furthest; of several, the first by name."""
    if indicators.is_empty():
        return None
    reach = (
        indicators.group_by("universe")
        .agg(pl.col("session").max())
        .sort("session", "universe", descending=[True, False])
    )
    return str(reach["universe"][0])


def _whole(rows: Frame, universe: str) -> Frame:
    return rows.filter(universe=universe, segment="ALL").sort("session")


def _title(universe: str, synthetic: Collection[str]) -> str:
    return f"{universe} (SYNTHETIC, not real prices)" if universe in synthetic else universe


def _words(rows: Frame, title: str) -> str:
    now = rows.row(-1, named=True)
    table = "\n".join(
        f"| {name} | {_figure(now[column])} |"
        for name, column in (
            ("A/D line", "ad_line"),
            ("McClellan, ratio-adjusted", "mcclellan_oscillator_ratio"),
            ("% above 50-session mean", "pct_above_50"),
            ("net new highs", "net_new_highs"),
        )
    )
    return (
        f"On {now['session']} ({now['state']}) in **{title}**, {_figure(now['advances'])} rose and "
        f"{_figure(now['declines'])} fell.\n\n| indicator | value |\n| --- | --- |\n{table}"
    )


def _signal_words(score: Frame, thrusts: Frame, title: str) -> str:
    last_thrust = thrusts.select(pl.col("session").max()).item() or "none yet"
    if score.is_empty():
        return f"**{title}** has no score yet; Zweig thrusts: {thrusts.height}, last {last_thrust}."
    now = score.row(-1, named=True)
    return (
        f"On {now['session']} the breadth score of **{title}** is {_figure(now['value'])}: {now['action']}.\n\n"
        f"| | |\n| --- | --- |\n| confidence | {_figure(now['confidence'])} |\n"
        f"| Zweig thrusts | {thrusts.height} |\n| last thrust | {last_thrust} |"
    )


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}".removesuffix(".00")


def _picture(draw: Callable[[Axes], None], title: str, height: float = 2.8) -> str:
    # Only here: its import takes a fifth of the time in which definitions are loaded, and few processes draw.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, height), dpi=DOTS_PER_INCH, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(title, loc="left")
        file = io.BytesIO()
        figure.savefig(file, format="png", pil_kwargs={"optimize": True})
    return f"![{title}](data:image/png;base64,{base64.b64encode(file.getvalue()).decode()})"


def _draw_advances(axes: Axes, rows: Frame) -> None:
    axes.bar(rows["session"], rows["advances"].fill_null(0), width=1, color=UP, label="advances")
    axes.bar(rows["session"], -rows["declines"].fill_null(0), width=1, color=DOWN, label="declines")
    axes.legend(loc="upper left", ncols=2, frameon=False)
    line = axes.twinx()
    line.plot(rows["session"], rows["ad_line"], color=LINE, linewidth=1.5)
    line.set_ylabel("A/D line", color=LINE)


def _draw_mcclellan(axes: Axes, rows: Frame) -> None:
    recovery = RULES["mcclellan_oversold_recovery"].thresholds
    oversold = recovery["armed_at_or_below"]
    _levels(axes, oversold, recovery["fires_above"], 0, -oversold)
    axes.plot(rows["session"], rows["mcclellan_oscillator_ratio"], color=LINE, linewidth=1.2)


def _draw_participation(axes: Axes, rows: Frame) -> None:
    _levels(axes, 30, 50, 70)
    for window, colour in ((20, SOFT), (50, LINE), (200, UP)):
        axes.plot(rows["session"], rows[f"pct_above_{window}"], color=colour, linewidth=1.2, label=f"{window} sessions")
    axes.set_ylim(0, 100)
    axes.legend(loc="upper left", ncols=3, frameon=False)


def _draw_zweig(axes: Axes, rows: Frame, thrusts: Frame) -> None:
    _levels(axes, *RULES["zweig_breadth_thrust"].thresholds.values())
    axes.plot(rows["session"], rows["zweig_ema"], color=LINE, linewidth=0.7)
    axes.plot(thrusts["session"], thrusts["value"], "^", color=UP, markersize=8, label=f"{thrusts.height} thrusts")
    axes.legend(loc="upper left", frameon=False)


def _draw_score(axes: Axes, score: Frame) -> None:
    _levels(axes, SELL_AT, BUY_AT)
    axes.plot(score["session"], score["value"], color=LINE, linewidth=1.2)
    axes.set_ylim(0, 100)


def _draw_events(axes: Axes, fired: Frame) -> None:
    """A row for each rule of events, a mark for each event, in the colour of its action."""
    events = fired.filter(~pl.col("rule").is_in(MEASURES))
    if events.height:
        since = events.select(pl.col("session").max().dt.offset_by(f"-{YEARS}y")).item()
        events = events.filter(pl.col("session") >= since)
    rows = {rule: i for i, rule in enumerate(sorted(events["rule"].unique(), reverse=True))}
    for action, colour, mark in (("buy", UP, "^"), ("sell", DOWN, "v"), ("hold", SOFT, "o")):
        own = events.filter(action=action)
        axes.plot(own["session"], [rows[rule] for rule in own["rule"]], mark, color=colour, markersize=4)
    axes.set_yticks(list(rows.values()), labels=list(rows), fontsize=6)
    axes.grid(axis="y", color=SOFT, linewidth=0.3)


def _draw_conviction(axes: Axes, fired: Frame) -> None:
    rows = fired.filter(rule="conviction").tail(SESSIONS)
    _levels(axes, CONVICTION_AT)
    axes.step(rows["session"], rows["value"], color=LINE, linewidth=1.2, where="post")
    axes.set_ylim(0, 4.2)


def _levels(axes: Axes, *levels: float) -> None:
    for level in levels:
        axes.axhline(level, color=SOFT, linewidth=0.8, linestyle="--")
