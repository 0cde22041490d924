"""Random markets for the tests of indicators and signals, and the brute-force twin of the counts."""

import datetime as dt
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import polars as pl
from hypothesis import strategies as st

from breadthflow_pipelines.model.counts import COUNT_COLUMNS, ISSUES, VOLUMES

FIRST = dt.date(2020, 1, 1)
Row = dict[str, Any]


def day(ordinal: int) -> dt.date:
    return FIRST + dt.timedelta(days=ordinal)


def sessions(count: int, counted: range | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "session": [day(i) for i in range(count)],
            "ordinal": range(count),
            "counted": [counted is None or i in counted for i in range(count)],
        },
        schema={"session": pl.Date, "ordinal": pl.Int32, "counted": pl.Boolean},
    )


def bars_frame(rows: list[Row]) -> pl.DataFrame:
    schema = {"security_id": pl.Int64, "session": pl.Date, "volume": pl.Int64}
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(("high", "low", "close", "close_adjusted"), pl.Float64))


def members_frame(rows: list[Row]) -> pl.DataFrame:
    text, date = pl.String, pl.Date
    schema = {"universe": text, "security_id": pl.Int64, "sector": text, "valid_from": date, "valid_to": date}
    return pl.DataFrame(rows, schema=schema)


def flat_bars(closes: list[float], security_id: int = 1, first: int = 0) -> list[Row]:
    """Bars without a range, one per session."""
    return [
        {"security_id": security_id, "session": day(first + i), "high": c, "low": c, "close": c, "volume": 100}
        for i, c in enumerate(closes)
    ]


def random_bars(dice: random.Random, security_id: int, count: int, absence: float) -> Iterator[Row]:
    """A walk on a grid of 0.25, so that closes, extremes and averages often tie exactly; with holes.

    Some pay dividends, seen as steps of the adjusted close, and of some nobody gives the adjusted close all the time.
    """
    close = float(dice.randint(5, 40))
    still, unadjusted, scale = dice.random(), dice.choice((0.0, 0.0, 0.003)), 0.25
    for ordinal in range(dice.choice((0, 0, 0, 20, 150)), count - dice.choice((0, 0, 0, 30))):
        close = max(1.0, close + (0.0 if dice.random() < still else dice.choice((-0.5, -0.25, 0.25, 0.5))))
        scale *= dice.choice((1.0,) * 99 + (1.25,))
        if dice.random() < absence:
            continue
        yield {
            "security_id": security_id,
            "session": day(ordinal),
            "high": close + dice.choice((0.0, 0.25)),
            "low": close - dice.choice((0.0, 0.25)),
            "close": close,
            "volume": dice.randint(0, 10**6),
            "close_adjusted": None if dice.random() < unadjusted else close * scale,
        }


@st.composite
def markets(draw: st.DrawFn, count: int = 300) -> tuple[list[Row], list[Row], int]:
    """Bars, members and the number of sessions.

    Late listings, delistings, holes, securities that never were members, members without any bar, members of two
    universes, and members that leave, come back and change their sector while away.
    """
    dice = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311
    bars: list[Row] = []
    members: list[Row] = []
    for security_id in range(1, draw(st.integers(1, 4)) + 1):
        if draw(st.booleans()) or security_id == 1:
            bars += random_bars(dice, security_id, count, draw(st.sampled_from((0.0, 0.01, 0.3))))
        for universe in draw(st.sampled_from(((), ("wide",), ("wide", "narrow")))):
            edges = sorted(draw(st.sets(st.integers(-5, count + 5), max_size=4)))
            ends = [*edges[1::2], None] if len(edges) % 2 else edges[1::2]
            for start, end in zip(edges[::2], ends, strict=True):
                span = {"valid_from": day(start), "valid_to": None if end is None else day(end)}
                sector = dice.choice((None, "Energy", "Utilities"))
                members.append({"universe": universe, "security_id": security_id, "sector": sector} | span)
    dice.shuffle(bars)
    return bars, members, count


def twin_counts(bars: list[Row], members: list[Row], count: int) -> list[Row]:
    """What count_breadth must give, bar by bar and without any cleverness; averages in whole quarters."""
    told: dict[tuple[int, dt.date], Row] = {}
    for security_id in {bar["security_id"] for bar in bars}:
        own = sorted((bar for bar in bars if bar["security_id"] == security_id), key=lambda bar: bar["session"])
        for i, bar in enumerate(own):
            told[security_id, bar["session"]] = _twin_bar(own[: i + 1], bar)
    rows = []
    for session in map(day, range(count)):
        present = [
            m for m in members if m["valid_from"] <= session and (m["valid_to"] is None or session < m["valid_to"])
        ]
        for universe in {m["universe"] for m in present}:
            inside = [m for m in present if m["universe"] == universe]
            if not any((m["security_id"], session) in told for m in inside):
                continue
            for segment in {"ALL"} | {m["sector"] for m in inside} - {None}:
                ids = [m["security_id"] for m in inside if segment in ("ALL", m["sector"])]
                marks = [told[i, session] for i in ids if (i, session) in told]
                rows.append({"universe": universe, "segment": segment, "session": session} | _twin_row(len(ids), marks))
    return sorted(rows, key=lambda row: (row["universe"], row["segment"], row["session"]))


AVERAGES = (20, 50, 100, 150, 200)
MOVED = (
    *("advances", "declines", "unchanged", "up_volume", "down_volume", "unchanged_volume"),
    *("up_dollars", "down_dollars", "points_gained", "points_lost"),
)


def _twin_bar(history: list[Row], bar: Row) -> Row:
    mark: Row = dict.fromkeys(COUNT_COLUMNS, 0)
    previous = history[-2] if len(history) > 1 else None
    if previous is None:
        mark["no_prior"] = 1
    elif (bar["session"] - previous["session"]).days > 1:  # every day is a session here
        mark["gap"] = 1
    else:
        move, dollars = bar["close"] - previous["close"], round(bar["close"] * bar["volume"])
        if move > 0:
            mark |= {"advances": 1, "up_volume": bar["volume"], "up_dollars": dollars, "points_gained": move}
        elif move < 0:
            mark |= {"declines": 1, "down_volume": bar["volume"], "down_dollars": dollars, "points_lost": -move}
        else:
            mark |= {"unchanged": 1, "unchanged_volume": bar["volume"]}
    for window in AVERAGES:
        if len(history) >= window:
            mark[f"able_{window}"] = 1
            total = sum(quarters(past["close"]) for past in history[-window:])
            mark[f"above_{window}"] = int(window * quarters(bar["close"]) > total)
    return mark | _twin_extremes(history)


@cache
def quarters(price: float) -> int:
    """A price of random_bars in units of its grid, in which sums are exact."""
    whole = int(price * 4)
    assert whole == price * 4
    return whole


def _twin_extremes(history: list[Row]) -> Row:
    mark = {}
    for window, able, kind in ((252, "able_252", ""), (20, "able_extremes_20", "_20")):
        if len(history) > window:
            prior, bar = history[-window - 1 : -1], history[-1]
            mark[able] = 1
            mark[f"new_highs{kind}"] = int(bar["high"] > max(past["high"] for past in prior))
            mark[f"new_lows{kind}"] = int(bar["low"] < min(past["low"] for past in prior))
    if len(history) > 252 and all(past["close_adjusted"] is not None for past in history[-253:]):
        scaled = [
            [_adjusted(past[name], past["close_adjusted"], past["close"]) for past in history[-253:]]
            for name in ("high", "low")
        ]
        mark["able_252_total_return"] = 1
        mark["new_highs_total_return"] = int(scaled[0][-1] > max(scaled[0][:-1]))
        mark["new_lows_total_return"] = int(scaled[1][-1] < min(scaled[1][:-1]))
    return mark


@cache
def _adjusted(price: float, close_adjusted: float, close: float) -> Fraction:
    return Fraction(price) * Fraction(close_adjusted) / Fraction(close)


def _twin_row(members: int, marks: list[Row]) -> Row:
    row: Row = {name: sum(mark[name] for mark in marks) for name in COUNT_COLUMNS}
    if row["advances"] + row["declines"] + row["unchanged"] == 0:
        row |= dict.fromkeys(MOVED)
    for window in AVERAGES:
        if row[f"able_{window}"] == 0:
            row[f"above_{window}"] = None
    for able, kind in (("able_252", ""), ("able_extremes_20", "_20"), ("able_252_total_return", "_total_return")):
        if row[able] == 0:
            row |= {f"new_highs{kind}": None, f"new_lows{kind}": None}
    known = {"members": members, "priced": len(marks), "coverage": len(marks) / members, "index_close": None}
    return row | known | {"convention": 3}


REAL_COUNTS = ("coverage", "points_gained", "points_lost", "index_close")
COUNTS_SCHEMA = pl.Schema(
    {
        "universe": pl.String,
        "segment": pl.String,
        "session": pl.Date,
        **{name: pl.Float64 if name in REAL_COUNTS else pl.Int64 for name in COUNT_COLUMNS},
    }
)


def counts_frame(rows: list[Row]) -> pl.DataFrame:
    """Counts in their published types; columns that a row does not give are null."""
    return pl.DataFrame(rows, schema=COUNTS_SCHEMA)


def usable_counts(judged: pl.DataFrame) -> pl.DataFrame:
    """What the store's view all_counts gives of judged published counts, volumes in shares."""
    return judged.select(
        "exchange",
        "session",
        *(pl.when("issues_usable").then(name).alias(name) for name in ISSUES),
        *(pl.when("volume_usable").then(pl.col(name) * pl.col("volume_unit")).alias(name) for name in VOLUMES),
        issue_scale=pl.when("issues_usable").then(
            pl.col("usual_issues") / pl.sum_horizontal("advances", "declines", "unchanged")
        ),
    )


def regime_counts(seed: int, length: int, universe: str = "wide", segment: str = "ALL", issues: int = 500) -> list[Row]:
    """Counts of a market that swings between washouts and surges every few weeks, so that events happen."""
    dice = random.Random(seed)  # noqa: S311
    rows = []
    for i in range(length):
        share = 0.5 + 0.28 * math.sin(i / (6 + 3 * math.sin(i / 90))) + dice.uniform(-0.15, 0.15)
        advances = round(min(max(share, 0.01), 0.99) * (issues - 10))
        up, high = round(advances * dice.uniform(0.5, 1.5)) * 1000, dice.randint(0, advances // 5)
        counted = {"advances": advances, "declines": issues - 10 - advances, "unchanged": 10, "no_prior": 0, "gap": 0}
        volume = {"up_volume": up, "down_volume": (issues - 10 - advances) * 1000}
        places = {f"above_{n}": round(advances * dice.uniform(0.8, 1.0)) for n in (20, 50, 200)}
        able = dict.fromkeys(("members", "priced", "able_20", "able_50", "able_200", "able_252"), issues)
        extremes = {"new_highs": high, "new_lows": dice.randint(0, 40), "coverage": 1.0}
        key = {"universe": universe, "segment": segment, "session": day(i)}
        rows.append(key | counted | volume | places | able | extremes)
    return _with_the_rest(rows, seed)


def _with_the_rest(rows: list[Row], seed: int) -> list[Row]:
    """What events and the score do not need: points, dollars, further windows and an index in cents."""
    dice, level = random.Random(seed + 1), 1000.0  # noqa: S311
    for row in rows:
        level = max(1.0, round(level * dice.uniform(0.98, 1.02), dice.choice((0, 2))))
        advances, declines, issues = row["advances"], row["declines"], row["priced"]
        row |= {
            "unchanged_volume": dice.choice((0, 10_000)),
            "up_dollars": row["up_volume"] * dice.randint(10, 90),
            "down_dollars": row["down_volume"] * dice.randint(10, 90),
            "points_gained": round(advances * dice.uniform(0.1, 3.0), 2),
            "points_lost": round(declines * dice.uniform(0.1, 3.0), 2),
            **{f"above_{n}": dice.randint(0, issues) for n in (100, 150)},
            **dict.fromkeys(("able_100", "able_150", "able_extremes_20", "able_252_total_return"), issues),
            **{f"new_highs{kind}": dice.randint(0, advances) for kind in ("_20", "_total_return")},
            **{f"new_lows{kind}": dice.randint(0, declines) for kind in ("_20", "_total_return")},
            "index_close": level,
        }
    return rows


def gappy_counts(seed: int, length: int, nothing: float, unknown: float, universe: str = "wide") -> list[Row]:
    """Regime counts in which some sessions see nothing move and some are not known at all."""
    dice = random.Random(seed)  # noqa: S311
    rows = regime_counts(seed, length, universe)
    for row in rows:
        if dice.random() < nothing:
            row |= dict.fromkeys(("advances", "declines", "up_volume", "down_volume"), 0)
        if dice.random() < unknown:
            row |= dict.fromkeys(COUNT_COLUMNS)
        elif dice.random() < nothing:
            row |= {dice.choice(("up_volume", "down_volume", "declines", "advances")): 0}
    return rows


FROM_BARS_ALONE = (
    *("up_dollars", "down_dollars", "points_gained", "points_lost", "new_highs_20", "new_lows_20", "able_extremes_20"),
    *("new_highs_total_return", "new_lows_total_return", "able_252_total_return", "able_252"),
    *(f"{kind}_{n}" for n in AVERAGES for kind in ("above", "able")),
)


def ragged_counts(seed: int, length: int, odd: float, universe: str = "wide") -> list[Row]:
    """Gappy counts in which any count alone may be 0 or unknown too, with stretches in which all is.

    Stretches of ten weeks in which everything rises, everything falls, nothing is published but issues and volumes, the
    index stands still or repeats itself or is missing, and every share that has a limit is at it.
    """
    dice = random.Random(seed + 2)  # noqa: S311
    rows = gappy_counts(seed, length, odd, odd, universe)
    for row in rows:
        for name in COUNT_COLUMNS:
            if dice.random() < odd / 4:
                row[name] = dice.choice((0, None))
    for start in range(70, length, 70):
        stretch = rows[start : start + dice.randint(1, 60)]
        _STRETCHES[(start // 70 + seed) % len(_STRETCHES)](stretch, rows[start - 70 : start])
    return [row | _not_more_than_able(row) for row in rows]


def _all_one_way(to: int) -> Callable[[list[Row], list[Row]], None]:
    pairs = (
        *(("advances", "declines"), ("up_volume", "down_volume"), ("up_dollars", "down_dollars")),
        *(("points_gained", "points_lost"), ("new_highs", "new_lows"), ("new_highs_20", "new_lows_20")),
    )

    def force(stretch: list[Row], _: list[Row]) -> None:
        for row in stretch:
            row |= {"unchanged": 0, "unchanged_volume": 0}
            row |= {f"above_{n}": row[f"able_{n}"] if to == 0 else 0 for n in AVERAGES}
            for pair in pairs:
                row |= {pair[to]: 490, pair[1 - to]: 0}

    return force


def _published_alone(stretch: list[Row], _: list[Row]) -> None:
    for row in stretch:
        row |= dict.fromkeys((*FROM_BARS_ALONE, "index_close"))


def _index_stands(stretch: list[Row], _: list[Row]) -> None:
    for row in stretch:
        row["index_close"] = 0.1


def _index_repeats(stretch: list[Row], before: list[Row]) -> None:
    for row, past in zip(stretch, before[20:], strict=False):  # fifty sessions earlier
        row["index_close"] = past["index_close"]


def _index_missing(stretch: list[Row], _: list[Row]) -> None:
    for row in stretch:
        row["index_close"] = None


def _at_the_limits(stretch: list[Row], _: list[Row]) -> None:
    for i, row in enumerate(stretch, start=1):
        for up, down in (("up_volume", "down_volume"), ("points_gained", "points_lost")):
            part = i % 7 + 4  # 4 to 10 in 1, 8 or 9 of ten
            row |= {up: (part if part > 4 else 1) * 11, down: (10 - part if part > 4 else 9) * 11}
        row |= {"points_gained": row["points_gained"] / 100, "points_lost": row["points_lost"] / 100}
        row |= {"advances": 1500, "declines": 1400 + i, "unchanged": 100 - i}  # 3,000 issues
        row |= {"new_highs": (66, 67, 84, 85)[i % 4], "new_lows": (66, 67, 33, 85, 42)[i % 5]}


_STRETCHES = (
    *(_all_one_way(0), _all_one_way(1), _published_alone),
    *(_index_stands, _index_repeats, _index_missing, _at_the_limits),
)


def _not_more_than_able(row: Row) -> Row:
    """As counted: none above or at an extreme that could not be, and unknown where nobody could."""
    tells = {f"above_{n}": f"able_{n}" for n in AVERAGES}
    for kind, able in (("", "able_252"), ("_20", "able_extremes_20"), ("_total_return", "able_252_total_return")):
        tells |= {f"new_highs{kind}": able, f"new_lows{kind}": able}
    counts = [row[name] for name in ("advances", "declines", "unchanged")]
    mended: Row = {}
    for name, able in tells.items():
        most = row[able]
        if most is None and able == "able_252" and None not in counts:
            most = sum(counts)
        if row[name] is not None and most is not None:
            mended[name] = min(row[name], most) if most else None
    return mended
