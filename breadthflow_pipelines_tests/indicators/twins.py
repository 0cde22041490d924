"""A brute-force twin of every breadth indicator: plain Python over one series, row by row, with None for unknown.

Written from the published formulas, not from the expressions. Shares that are held against a limit are exact fractions.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from breadthflow_pipelines_tests.indicators.markets import AVERAGES, Row

Column = list[float | None]
Twin = Callable[[list[Row]], Column]


def each(formula: Callable[..., float | None], *names: str) -> Twin:
    """The formula of each session's own counts: None where one is unknown, or where it divides by zero."""

    def column(rows: list[Row]) -> Column:
        return [_applied(formula, [row[name] for name in names]) for row in rows]

    return column


def _applied(formula: Callable[..., float | None], values: list[float | None]) -> float | None:
    if None in values:
        return None
    try:
        return formula(*values)
    except ZeroDivisionError:
        return None


def of(formula: Callable[..., float | None], *twins: Twin) -> Twin:
    """The formula of other columns, session by session."""

    def column(rows: list[Row]) -> Column:
        return [_applied(formula, list(values)) for values in zip(*(twin(rows) for twin in twins), strict=True)]

    return column


def running(twin: Twin) -> Twin:
    def column(rows: list[Row]) -> Column:
        total, out = 0.0, []
        for value in twin(rows):
            total += value or 0.0
            out.append(None if value is None else total)
        return out

    return column


def trend(twin: Twin, alpha: float) -> Twin:
    """Begins with the first value; published once that weighs no more than a thousandth."""

    def column(rows: list[Row]) -> Column:
        state, weight, out = None, 1.0, []
        for value in twin(rows):
            if value is None:
                out.append(None)
                continue
            if state is None:
                state = value
            else:
                state += alpha * (value - state)
                weight *= 1 - alpha
            out.append(state if weight <= 0.001 else None)
        return out

    return column


def window(formula: Callable[..., float], length: int, *twins: Twin) -> Twin:
    """The formula of the last ``length`` sessions on which all columns are known, each column as a tuple."""

    def column(rows: list[Row]) -> Column:
        known: list[tuple[float, ...]] = []
        out: Column = []
        for values in zip(*(twin(rows) for twin in twins), strict=True):
            if None in values:
                out.append(None)
                continue
            known.append(values)
            full = len(known) >= length
            out.append(_applied(formula, list(zip(*known[-length:], strict=True))) if full else None)
        return out

    return column


def mean(values: tuple[float, ...]) -> float:
    return math.fsum(values) / len(values)


def share_of_sums(part: tuple[float, ...], rest: tuple[float, ...]) -> float:
    return 100 * sum(part) / (sum(part) + sum(rest))


def trin(advances: float, declines: float, up: float, down: float) -> float | None:
    return (advances / declines) / (up / down) if 0 not in (advances, declines, up, down) else None


def _trin_of_sums(*parts: tuple[float, ...]) -> float | None:
    return trin(*map(sum, parts))


def one_sided(least: str, unit: int, up: str, down: str) -> Twin:
    """``unit``: how many parts of one are whole numbers."""

    def side(gained: float, lost: float) -> float:
        parts = Fraction(round(gained * unit)), Fraction(round(lost * unit))
        limit = Fraction(least) * sum(parts)
        if not sum(parts):
            raise ZeroDivisionError
        return 1.0 if parts[0] >= limit else -1.0 if parts[1] >= limit else 0.0

    return each(side, up, down)


def agreed(least: str) -> Twin:
    return of(lambda volume, points: volume if volume == points else 0.0, day_volume(least), day_points(least))


def day_volume(least: str) -> Twin:
    return one_sided(least, 1, "up_volume", "down_volume")


def day_points(least: str) -> Twin:
    return one_sided(least, 10**6, "points_gained", "points_lost")


def issues_able(row: Row) -> float | None:
    """Those that could make a new extreme; where nobody says, all issues."""
    if row["able_252"] is not None:
        return row["able_252"]
    counts = [row[name] for name in ("advances", "declines", "unchanged")]
    return None if None in counts else sum(counts)


def omen(least: str) -> Twin:
    def column(rows: list[Row]) -> Column:
        return [_omen(row, known, Fraction(least)) for row, known in zip(rows, oscillator(rows), strict=True)]

    return column


def _omen(row: Row, below_zero: float | None, least: Fraction) -> float | None:
    high, low = row["new_highs"], row["new_lows"]
    counts = [row[name] for name in ("advances", "declines", "unchanged")]
    total = None if None in counts else sum(counts)
    legs = [
        None if high is None or not total else Fraction(high, total) > least,
        None if low is None or not total else Fraction(low, total) > least,
        None if high is None or low is None else high <= 2 * low,
        None if below_zero is None else below_zero < 0,
    ]
    if False in legs:
        return 0.0
    return None if None in legs else 1.0


def _levels(rows: list[Row]) -> Column:
    """The level of the index, where it has one."""
    return [row["index_close"] or None for row in rows]


def index_rises(rows: list[Row]) -> Column:
    past: list[Decimal] = []
    out: Column = []
    for level in _levels(rows):
        if level is None:
            out.append(None)
            continue
        past.append(Decimal(str(level)))
        out.append(float(sum(past[-50:]) > sum(past[-51:-1])) if len(past) > 50 else None)
    return out


def coppock(rows: list[Row]) -> Column:
    """Months without any close are not there."""
    months: dict[tuple[int, int], float] = {}
    out: Column = []
    for row, level in zip(rows, _levels(rows), strict=True):
        if level is None:
            out.append(None)
            continue
        months[row["session"].year, row["session"].month] = level
        closes = list(months.values())
        out.append(_coppock(closes) if len(closes) >= 24 else None)
    return out


def _coppock(closes: list[float]) -> float:
    """Of monthly closes, the last one being the newest."""
    rates = [
        100 * (closes[i] - closes[i - 14]) / closes[i - 14] + 100 * (closes[i] - closes[i - 11]) / closes[i - 11]
        for i in range(len(closes) - 10, len(closes))
    ]
    return sum(weight * rate for weight, rate in enumerate(rates, start=1)) / 55


AD, UPDOWN = ("advances", "declines"), ("up_volume", "down_volume")
ALL_ISSUES, EXTREMES = (*AD, "unchanged"), ("new_highs", "new_lows")
A, D, UV, DV = (each(lambda count: count, name) for name in (*AD, *UPDOWN))

net = each(lambda a, d: a - d, *AD)
net_share = each(lambda a, d, u: (a - d) / (a + d + u), *ALL_ISSUES)
advance_share = each(lambda a, d: a / (a + d), *AD)
both = (each(lambda a, _: a, *AD), each(lambda _, d: d, *AD))  # of sessions on which the two are known
rana = each(lambda a, d: 1000 * (a - d) / (a + d), *AD)
absolute_pct = each(lambda a, d, u: 100 * abs(a - d) / (a + d + u), *ALL_ISSUES)
net_volume = each(lambda up, down: up - down, *UPDOWN)
net_highs = each(lambda high, low: high - low, *EXTREMES)
record_high = each(lambda high, low: 100 * high / (high + low), *EXTREMES)
lesser = each(min, *EXTREMES)
up_share = (lambda up, down: up / (up + down),)


def able(rows: list[Row]) -> Column:
    return [issues_able(row) for row in rows]


def mcclellan(of_what: Twin, slow: float, fast: float, base: float = 0.0) -> Twin:
    return of(lambda t5, t10: base + slow * t5 + fast * t10, trend(of_what, 0.05), trend(of_what, 0.10))


oscillator = mcclellan(net, -1, 1)
logic = of(lambda least, all_: 100 * least / all_, lesser, able)

TWINS: dict[str, Twin] = {
    "net_advances": net,
    "ad_percent": of(lambda share: 100 * share, net_share),
    "ad_ratio": each(lambda a, d: a / d, *AD),
    "ad_ratio_10": window(lambda a, d: sum(a) / sum(d), 10, A, D),
    "ad_line": running(net),
    "ad_line_ratio": running(net_share),
    "hughes": window(mean, 10, net_share),
    "rana": rana,
    "absolute_breadth": each(lambda a, d: abs(a - d), *AD),
    "absolute_breadth_pct": absolute_pct,
    "absolute_breadth_50": window(mean, 50, absolute_pct),
    "stix": trend(of(lambda share: 100 * share, advance_share), 0.09),
    "zweig_ema": trend(advance_share, 2 / 11),
    "zweig_sma": window(mean, 10, advance_share),
    "zweig_pooled": of(lambda up, down: up / (up + down), *(trend(side, 2 / 11) for side in both)),
    "whaley_adt5": window(share_of_sums, 5, A, D),
    "whaley_adt20": window(share_of_sums, 20, A, D),
    "mcclellan_oscillator": oscillator,
    "mcclellan_summation": mcclellan(net, 19, -9, 1000),
    "mcclellan_oscillator_ratio": mcclellan(rana, -1, 1),
    "mcclellan_summation_ratio": mcclellan(rana, 19, -9),
    "mcclellan_volume_oscillator": mcclellan(net_volume, -1, 1),
    "mcclellan_volume_summation": mcclellan(net_volume, 19, -9),
    "mcclellan_unchanged_at": mcclellan(net, -1, 2),
    "mcclellan_zero_at": mcclellan(net, 19, -18),
    "up_volume_share": each(*up_share, *UPDOWN),
    "up_volume_share_of_all": each(lambda up, down, still: up / (up + down + still), *UPDOWN, "unchanged_volume"),
    "up_dollar_share": each(*up_share, "up_dollars", "down_dollars"),
    "points_share": each(*up_share, "points_gained", "points_lost"),
    "volume_line": running(each(lambda up, down: (up - down) / (up + down), *UPDOWN)),
    "trin": each(trin, *AD, *UPDOWN),
    "trin_open_10": window(_trin_of_sums, 10, A, D, UV, DV),
    "whaley_udt2": window(share_of_sums, 2, UV, DV),
    "whaley_udt5": window(share_of_sums, 5, UV, DV),
    "day_90": agreed("0.9"),
    "day_90_volume": day_volume("0.9"),
    "day_80": agreed("0.8"),
    "day_80_volume": day_volume("0.8"),
    "net_new_highs": net_highs,
    "net_new_highs_pct": of(lambda more, all_: 100 * more / all_, net_highs, able),
    "net_new_highs_line": running(net_highs),
    "net_new_highs_total_return": each(lambda h, low: h - low, "new_highs_total_return", "new_lows_total_return"),
    "record_high_pct": record_high,
    "high_low_index": window(mean, 10, record_high),
    "high_low_logic": logic,
    "high_low_logic_50": trend(logic, 2 / 51),
    "net_new_highs_20": each(lambda high, low: high - low, "new_highs_20", "new_lows_20"),
    "net_new_highs_20_pct": each(
        lambda high, low, all_: 100 * (high - low) / all_, "new_highs_20", "new_lows_20", "able_extremes_20"
    ),
    **{f"pct_above_{n}": each(lambda up, all_: 100 * up / all_, f"above_{n}", f"able_{n}") for n in AVERAGES},
    "pct_at_20_high": each(lambda high, all_: 100 * high / all_, "new_highs_20", "able_extremes_20"),
    "hindenburg_omen": omen("0.022"),
    "hindenburg_omen_28": omen("0.028"),
    "index_trend_50": index_rises,
    "coppock": coppock,
}


def settled(rows: list[Row]) -> list[bool]:
    """Whether more than 270 sessions had something that moved."""
    seen, out = 0, []
    for value in rana(rows):
        seen += value is not None
        out.append(seen > 270)
    return out
