"""Pictures as SVG text: of sessions lines, areas, marks and rows of events, and curves of one number by another.

They are written here and not by a plotting library because each is stored with a run: a few thousand characters, sharp
at any size, on a ground of its own that follows the reader's light or dark scheme (docs/decisions/charts.md). What they
show, and in which words, is in charts.py.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TypeVar
from urllib.parse import quote

from breadthflow_pipelines.reports.thinning import Values, thinned

Value = TypeVar("Value")

WIDTH, HEIGHT = 1200, 260  # pixels as shown; coordinates are twice as fine
UP, DOWN, FIRST, SECOND, SOFT = "#2f9e44", "#e03131", "#3b7ddd", "#e8890c", "#868e96"

# From few to most: orange, grey, blue, which people who confuse red and green can tell apart.
_HEAT = ("#b35806", "#e08214", "#fdb863", "#fee0b6", "#d9dde3", "#bcd7ee", "#74add1", "#4575b4", "#2c4f8f")
_SHADE = "#868e9655"
_GRID = 2
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 170, 40, 28
_LINE_HEIGHT = 17
_CHARACTER = 7.3  # pixels of the widest letters of row names
_SCHEME = (
    "text{font:13px sans-serif;fill:#3e4c59}.h{font-weight:600;font-size:15px}.b{fill:#fff}.g{stroke:#dde2e7}"
    "@media(prefers-color-scheme:dark){text{fill:#c3cbd4}.b{fill:#14171c}.g{stroke:#353c45}}"
)
_PLAIN = "/:=,;'-_.+@"  # what an address in Markdown may hold as it is


@dataclass(frozen=True)
class Line:
    """A value for each session; null breaks the line. ``end`` is written where it ends."""

    end: str
    values: Values
    colour: str = FIRST


@dataclass(frozen=True)
class Area:
    """As a line, filled down or up to zero, session by session."""

    end: str
    values: Values
    colour: str


@dataclass(frozen=True)
class Marks:
    """Triangles at some sessions, which are given by their number."""

    points: Sequence[tuple[int, float]]
    colour: str


@dataclass(frozen=True)
class Shade:
    """A ground, from top to bottom, of the sessions for which it is true."""

    sessions: Sequence[bool]


Layer = Line | Area | Marks | Shade


@dataclass(frozen=True)
class Interval:
    """A row of shares: a value and its interval, beside a level that it is held to. ``end`` is written to its right."""

    name: str
    value: float
    low: float
    high: float
    level: float
    end: str
    colour: str


@dataclass(frozen=True)
class Curve:
    """Points (across, up), each with a dot, joined in their order. ``end`` is written beside the last one."""

    end: str
    points: Sequence[tuple[float, float]]
    colour: str = FIRST
    dashed: bool = False  # without dots


def chart(
    title: str,
    sessions: Sequence[dt.date],
    layers: Sequence[Layer],
    *,
    levels: Sequence[float] = (),
    within: tuple[float, float] | None = None,
) -> str:
    """SVG of these layers over sessions. levels: dashed lines; within: the least range of values that is shown."""
    known = [value for layer in layers for value in _values(layer) if value is not None]
    low, high = _range([*known, *levels, *(within or ())], zero=any(isinstance(layer, Area) for layer in layers))
    frame = _Frame(len(sessions), low, high, _LEFT, HEIGHT)
    parts = [*_axis(frame, sessions), *(_level(frame, level) for level in levels)]
    parts += [_drawn(frame, layer) for layer in layers]
    return _picture(title, HEIGHT, parts + _ends(frame, layers))


def curves(title: str, drawn: Sequence[Curve], across: str, *, zero: bool = False) -> str:
    """SVG of curves over one axis. across: what the axis across is, written below it; zero: it is in sight."""
    points = [point for curve in drawn for point in curve.points] or [(0.0, 0.0)]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = _range([y for _, y in points], zero=zero)
    frame = _Frame(1, low, high, _LEFT, HEIGHT)

    def at(x: float) -> float:
        return (x - left) / ((right - left) or 1.0) - 0.5

    ticks = [tick for tick in _ticks(left, right) if left <= tick <= right] if right > left else [left]
    y = HEIGHT - _BOTTOM / 2
    parts = [_text(frame.x(at(tick)) / _GRID, y, figure(tick), anchor="middle") for tick in ticks]
    parts += [*_axis(frame, ()), _text(WIDTH - _RIGHT + 30, y, across)]
    for curve in drawn:
        placed = [(frame.x(at(x)), frame.y(value)) for x, value in curve.points]
        rest = " stroke-dasharray='10 8'" if curve.dashed else " stroke-linejoin='round'"
        parts.append(_path(_joined(placed), stroke=curve.colour, width=3, rest=rest))
        if not curve.dashed:
            dots = "".join(f"M{x},{y}h1" for x, y in placed)
            parts.append(_path(dots, stroke=curve.colour, width=12, rest=" stroke-linecap='round'"))
    ends = [(frame.y(curve.points[-1][1]) / _GRID, curve.end, curve.colour) for curve in drawn if curve.points]
    return _picture(title, HEIGHT, parts + _apart(ends))


def event_rows(title: str, sessions: Sequence[dt.date], rows: Mapping[str, Sequence[tuple[dt.date, str]]]) -> str:
    """SVG with a row for each name and a mark for each (session, colour); how many there are is written at its end."""
    height = _TOP + _BOTTOM + _LINE_HEIGHT * max(1, len(rows))
    left = int(20 + max((len(name) for name in rows), default=0) * _CHARACTER)
    frame = _Frame(len(sessions), 0, 1, left, height)
    number = {session: i for i, session in enumerate(sessions)}
    parts = _months(frame, sessions)
    for i, (name, events) in enumerate(rows.items()):
        y = _TOP + _LINE_HEIGHT * (i + 0.5)
        parts.append(_path(f"M{_at(left)},{_at(y)}H{_at(WIDTH - _RIGHT)}", css="g"))
        parts.append(_text(left - 8, y, name, anchor="end"))
        for colour in dict.fromkeys(colour for _, colour in events):
            dots = "".join(f"M{frame.x(number[day])},{_at(y)}h1" for day, of in events if of == colour)
            parts.append(_path(dots, stroke=colour, width=14, rest=" stroke-linecap='round'"))
        parts.append(_text(WIDTH - _RIGHT + 12, y, f"{len(events)}, last {max(day for day, _ in events)}"))
    return _picture(title, height, parts)


def heat(title: str, sessions: Sequence[dt.date], rows: Mapping[str, Values]) -> str:
    """SVG with a row for each name and in it the colour of each session's value, of 0 to 100; none of an unknown one.

    The last value is written at the end of the row.
    """
    height = _TOP + _BOTTOM + _LINE_HEIGHT * max(1, len(rows))
    left = int(20 + max((len(name) for name in rows), default=0) * _CHARACTER)
    frame = _Frame(len(sessions), 0, 1, left, height)
    parts, stretches = _months(frame, sessions), dict[int, str]()
    for i, (name, values) in enumerate(rows.items()):
        y = _TOP + _LINE_HEIGHT * (i + 0.5)
        told = "unknown" if not values or values[-1] is None else f"{values[-1]:.0f} %"
        parts += [_text(left - 8, y, name, anchor="end"), _text(WIDTH - _RIGHT + 12, y, told)]
        for band, start, end in _stretches(map(_band, values)):
            if band is not None:
                across = frame.x(end - 0.5) - frame.x(start - 0.5)
                stretches[band] = stretches.get(band, "") + f"M{frame.x(start - 0.5)},{_at(y)}h{across}"
    parts += [_path(data, stroke=_HEAT[band], width=_GRID * _LINE_HEIGHT - 2) for band, data in stretches.items()]
    return _picture(title, height, parts)


def _band(value: float | None) -> int | None:
    """Which of _HEAT a value of 0 to 100 has."""
    return None if value is None else min(int(value * len(_HEAT) / 100), len(_HEAT) - 1)


def intervals(title: str, rows: Sequence[Interval]) -> str:
    """SVG with a row for each interval from 0 to 1: the line is the interval, the dot the value, the tick the level."""
    height = _TOP + _BOTTOM + _LINE_HEIGHT * max(1, len(rows))
    left = int(20 + max((len(row.name) for row in rows), default=0) * _CHARACTER)
    width = WIDTH - left - _RIGHT

    def x(share: float) -> float:
        return left + width * min(1, max(0, share))

    ticks = (0, 0.25, 0.5, 0.75, 1)
    bottom = height - _BOTTOM
    parts = [_path("".join(f"M{_at(x(tick))},{_at(_TOP)}V{_at(bottom)}" for tick in ticks), css="g")]
    parts += [_text(x(tick), height - _BOTTOM / 2, f"{tick:.0%}", anchor="middle") for tick in ticks]
    for i, row in enumerate(rows):
        y = _TOP + _LINE_HEIGHT * (i + 0.5)
        parts.append(_text(left - 8, y, row.name, anchor="end"))
        parts.append(_path(f"M{_at(x(row.low))},{_at(y)}H{_at(x(row.high))}", stroke=row.colour, width=4))
        parts.append(_path(f"M{_at(x(row.level))},{_at(y - 6)}V{_at(y + 6)}", stroke=SOFT, width=5))
        dot = f"M{_at(x(row.value))},{_at(y)}h1"
        parts.append(_path(dot, stroke=row.colour, width=16, rest=" stroke-linecap='round'"))
        parts.append(_text(WIDTH - _RIGHT + 12, y, row.end))
    return _picture(title, height, parts)


def sparkline(values: Values, levels: Sequence[float], last: str, width: int = 600) -> str:
    """SVG of one line without frame or ground, so short that Dagster's UI shows it without a click."""
    known = [value for value in values if value is not None]
    low, high = _range([*known, *levels], zero=False)
    scale = 76 / (high - low)
    step = width / max(1, len(values) - 1)
    points = [None if v is None else (round(i * step), round(4 + (high - v) * scale)) for i, v in enumerate(values)]
    dashes = "".join(f"M0,{round(4 + (high - level) * scale)}h{width}" for level in levels)
    end = next((point[1] for point in reversed(points) if point), 42)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width + 60}' height='84' font-family='sans-serif'>"
        f"<g fill='none' stroke='{SOFT}'><path d='{dashes}'/>"
        f"<path stroke='{FIRST}' stroke-width='2' d='{_joined(points)}'/></g>"
        f"<text x='{width + 6}' y='{max(14, end + 5)}' fill='{SOFT}'>{escape(last)}</text></svg>"
    )


def markdown(about: str, svg: str) -> str:
    """The picture in Markdown, as Dagster's UI shows it."""
    about = re.sub(r"([\\\[\]])", r"\\\1", about)
    return f"![{about}](data:image/svg+xml;charset=utf-8,{quote(svg, safe=_PLAIN)})"


@dataclass(frozen=True)
class _Frame:
    """Where sessions and values lie, in half pixels."""

    sessions: int
    low: float
    high: float
    left: int
    height: int

    def x(self, session: float) -> int:
        return _at(self.left + (WIDTH - self.left - _RIGHT) * (session + 0.5) / max(1, self.sessions))

    def y(self, value: float) -> int:
        return _at(_TOP + (self.height - _TOP - _BOTTOM) * (self.high - value) / (self.high - self.low))


def _picture(title: str, height: int, parts: Sequence[str]) -> str:
    """Paths are in half pixels, texts in whole ones."""
    paths = [part for part in parts if part.startswith("<path")]
    texts = [part for part in parts if not part.startswith("<path")]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' "
        f"viewBox='0 0 {WIDTH} {height}'><style>{_SCHEME}</style><rect class='b' width='100%' height='100%'/>"
        f"<text class='h' x='12' y='24'>{escape(title)}</text>{''.join(texts)}"
        f"<g fill='none' transform='scale(.5)'>{''.join(paths)}</g></svg>"
    )


def _path(data: str, *, stroke: str = "", css: str = "", width: float = 0, fill: str = "", rest: str = "") -> str:
    given = {"class": css, "stroke": stroke, "stroke-width": width and f"{width:g}", "fill": fill}
    attributes = "".join(f" {name}='{value}'" for name, value in given.items() if value)
    return f"<path d='{data}'{attributes}{rest}/>"


def _text(x: float, y: float, text: str, *, anchor: str = "", colour: str = "") -> str:
    """A line of text whose middle is at ``y``."""
    placed = f" text-anchor='{anchor}'" if anchor else ""
    inked = f" style='fill:{colour}'" if colour else ""
    return f"<text x='{x:g}' y='{y + 4.5:g}'{placed}{inked}>{escape(text)}</text>"


def _axis(frame: _Frame, sessions: Sequence[dt.date]) -> list[str]:
    ticks = _ticks(frame.low, frame.high)
    lines = "".join(f"M{_at(frame.left)},{frame.y(tick)}H{_at(WIDTH - _RIGHT)}" for tick in ticks)
    names = [_text(frame.left - 8, frame.y(tick) / _GRID, figure(tick), anchor="end") for tick in ticks]
    return [_path(lines, css="g"), *names, *_months(frame, sessions)]


def _months(frame: _Frame, sessions: Sequence[dt.date]) -> list[str]:
    """The first sessions of months, or of every third month, or of years, as many as fit."""
    firsts = [i for i in range(1, len(sessions)) if sessions[i].month != sessions[i - 1].month]
    every = next((n for n in (1, 3, 12, 24, 60, 120) if len(firsts) <= 13 * n), 240)
    shown = [i for i in firsts if (sessions[i].year * 12 + sessions[i].month - 1) % every == 0]
    months = [f"{sessions[i]:%Y}" if every >= 12 else f"{sessions[i]:%b %Y}" for i in shown]
    y = frame.height - _BOTTOM / 2
    names = [_text(frame.x(i) / _GRID, y, name, anchor="middle") for i, name in zip(shown, months, strict=True)]
    lines = "".join(f"M{frame.x(i)},{_at(_TOP)}V{_at(frame.height - _BOTTOM)}" for i in shown)
    return [_path(lines, css="g"), *names] if shown else []


def _level(frame: _Frame, level: float) -> str:
    line = f"M{_at(frame.left)},{frame.y(level)}H{_at(WIDTH - _RIGHT)}"
    return _path(line, stroke=SOFT, width=2, rest=" stroke-dasharray='10 8'")


def _drawn(frame: _Frame, layer: Layer) -> str:
    if isinstance(layer, Marks):
        triangles = "".join(f"M{frame.x(i)},{frame.y(v)}l-12,22h24z" for i, v in layer.points)
        return _path(triangles, fill=layer.colour)
    if isinstance(layer, Area):
        return _path(_steps(frame, layer.values), fill=layer.colour)
    if isinstance(layer, Shade):
        return _path(_ground(frame, layer.sessions), fill=_SHADE)
    points = [None if v is None else (frame.x(i), frame.y(v)) for i, v in thinned(layer.values)]
    return _path(_joined(points), stroke=layer.colour, width=3, rest=" stroke-linejoin='round'")


def _ground(frame: _Frame, sessions: Sequence[bool]) -> str:
    """The outline of each stretch of sessions that are true, from top to bottom."""
    data, bottom = "", _at(frame.height - _BOTTOM)
    for shaded, start, end in _stretches(sessions):
        if shaded:
            data += f"M{frame.x(start - 0.5)},{_at(_TOP)}H{frame.x(end - 0.5)}V{bottom}H{frame.x(start - 0.5)}z"
    return data


def _stretches(values: Iterable[Value]) -> Iterator[tuple[Value, int, int]]:
    """Each run of equal values: what they are, the place of the first one, and the place behind the last."""
    start = 0
    for value, same in groupby(values):
        end = start + len(list(same))
        yield value, start, end
        start = end


def _steps(frame: _Frame, values: Values) -> str:
    """The outline of an area: along zero where there is no value."""
    edges = [frame.x(i - 0.5) for i in range(len(values) + 1)]
    zero = before = frame.y(0)
    data = f"M{edges[0]},{zero}"
    for i, value in enumerate(values):
        y = zero if value is None else frame.y(value)
        data += f"v{y - before}h{edges[i + 1] - edges[i]}"
        before = y
    return f"{data}V{zero}z"


def _joined(points: Sequence[tuple[int, int] | None]) -> str:
    """A path through points, as differences, which are shorter; it breaks where there is none."""
    data, before = [], None
    for point in points:
        if point is not None and before is None:
            data.append(f"M{point[0]},{point[1]}l0,0")
        elif point is not None and before is not None:
            across, down = point[0] - before[0], point[1] - before[1]
            data.append(("" if across < 0 else ",") + f"{across}" + ("" if down < 0 else ",") + f"{down}")
        before = point
    return "".join(data)


def _ends(frame: _Frame, layers: Sequence[Layer]) -> list[str]:
    """What is written to the right of where lines and areas end."""
    wanted = []
    for layer in layers:
        if isinstance(layer, Line | Area):
            last = next((value for value in reversed(layer.values) if value is not None), None)
            y = frame.height / 2 if last is None else frame.y(last) / _GRID
            wanted.append((y, layer.end, layer.colour))
    return _apart(wanted)


def _apart(wanted: Sequence[tuple[float, str, str]]) -> list[str]:
    """Texts (height, text, colour) at the right edge, moved apart where they would overlap."""
    placed, free = [], 0.0
    for y, end, colour in sorted(wanted):
        free = max(y, free + _LINE_HEIGHT)
        placed.append(_text(WIDTH - _RIGHT + 10, free, end, colour=colour))
    return placed


def figure(value: float) -> str:
    """A number in as few digits as tell it: whole from 100 on, one decimal from 10 on, two below."""
    digits = 0 if abs(value) >= 100 or value == round(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _values(layer: Layer) -> Values:
    if isinstance(layer, Shade):
        return ()
    return [value for _, value in layer.points] if isinstance(layer, Marks) else layer.values


def _range(values: Sequence[float], *, zero: bool) -> tuple[float, float]:
    seen = [*values, 0.0] if zero or not values else values
    low, high = min(seen), max(seen)
    spare = (high - low) * 0.04 or 1.0
    return low - spare, high + spare


def _ticks(low: float, high: float) -> list[float]:
    """Round values, three to seven of them."""
    rough = (high - low) / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough)
    return [round(n * step, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _at(pixels: float) -> int:
    return round(pixels * _GRID)
