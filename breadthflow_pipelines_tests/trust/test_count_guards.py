"""Guards on published counts: each rule by hand, all by a twin in plain Python, and what they find at NASDAQ."""

import datetime as dt
import math
import random
import statistics
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.contracts.breadth import PUBLISHED
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.counts import comparable
from breadthflow_pipelines.indicators.thrusts import Condition, Thrust, threshold_events
from breadthflow_pipelines.model.counts import COUNT_COLUMNS, ISSUES, VOLUMES
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
from breadthflow_pipelines.trust.count_guards import (
    ISSUES_COPIED,
    SHARES_SWAPPED,
    TOTAL_FAR,
    VOLUME_FAR,
    VOLUMES_CONTRARY,
    VOLUMES_COPIED,
    first_unit,
    judge_published,
    scope_stretches,
    shares_swapped,
    unit_stretches,
)
from breadthflow_pipelines_tests.indicators.markets import usable_counts

Row = dict[str, Any]
Verdict = tuple[int | None, list[str], bool, bool]
SCHEMA = {"exchange": pl.String, "session": pl.Date, **dict.fromkeys((*ISSUES[:3], *VOLUMES, *ISSUES[3:]), pl.Int64)}
FIRST = dt.date(1965, 3, 1)


def frame(rows: list[Row], exchange: str = "X") -> pl.DataFrame:
    return pl.DataFrame(
        [{"exchange": exchange, "session": FIRST + dt.timedelta(days=i), **row} for i, row in enumerate(rows)], SCHEMA
    )


def judged(rows: list[Row]) -> list[Verdict]:
    return judge_published(frame(rows)).select("volume_unit", "doubts", "issues_usable", "volume_usable").rows()


def doubts(rows: list[Row]) -> dict[int, list[str]]:
    """The rows that are doubted, by number."""
    return {i: verdict[1] for i, verdict in enumerate(judged(rows)) if verdict[1]}


def others(rows: list[Row]) -> dict[int, float]:
    """The rows of another list of issues, by number, and the usual total that they are held against."""
    return {i: usual for i, usual in enumerate(judge_published(frame(rows))["usual_issues"]) if usual is not None}


def plain(n: int, total: int = 2000, unit: int = 1000) -> list[Row]:
    """n ordinary rows, no two alike, of 2,000 issues (a quarter unchanged) and 8 million shares in that unit.

    Up volume falls and rises with advances, as on every market.
    """
    return [
        {
            "advances": total // 2 - 7 * (i % 53),
            "declines": total // 4 + 7 * (i % 53),
            "unchanged": total // 4,
            "up_volume": (4_000_000 - 9_000 * (i % 53)) // unit,
            "down_volume": (4_000_000 + 700 * (i % 61)) // unit,
            "unchanged_volume": 1_000_000 // unit,
            "new_highs": 40,
            "new_lows": 20,
        }
        for i in range(n)
    ]


def scaled(row: Row, factor: float, *names: str) -> Row:
    return row | {name: round(row[name] * factor) for name in names}


def swapped(row: Row) -> Row:
    return row | {"up_volume": row["down_volume"], "down_volume": row["up_volume"]}


def market(n: int, seed: int, start: int, end: int, noise: float = 0.35) -> list[Row]:
    """An honest exchange: totals grow slowly, thrusts come in runs, volume is lognormal and follows the issues.

    Every 60th session is half a day with a tenth fewer issues and a quarter of the volume; every 1,000th steps up by a
    twelfth for good, as when a class of issues is let in. noise: of the log odds of volume. The issues move them by
    1.05, so that the correlation is 0.95; with a noise of 2.1 it is 0.45.
    """
    chance = random.Random(seed)  # noqa: S311
    rows: list[Row] = []
    step, mood, pace = 1.0, 0.0, 0.0
    for i in range(n):
        step *= 13 / 12 if i % 1000 == 999 else 1
        mood = 0.8 * mood + chance.gauss(0, 0.45)
        pace = 0.9 * pace + chance.gauss(0, 0.08)
        half = i % 60 == 59
        total = round((start + (end - start) * i / n) * step * chance.uniform(0.97, 1.03) * (0.9 if half else 1))
        unchanged = round(total * chance.uniform(0.12, 0.24))
        advances = round((total - unchanged) / (1 + math.exp(-mood)))
        volume = 4_000 * 1.0004**i * math.exp(pace) * (0.25 if half else 1)
        up_share = 1 / (1 + math.exp(-1.4 * mood - chance.gauss(0, noise)))
        rows.append(
            {
                "advances": advances,
                "declines": total - unchanged - advances,
                "unchanged": unchanged,
                "up_volume": round(volume * up_share),
                "down_volume": round(volume * (1 - up_share)),
                "unchanged_volume": round(volume * 0.15),
                "new_highs": round(total * 0.03),
                "new_lows": round(total * 0.02),
            }
        )
    return rows


def spoilt(n: int = 900, seed: int = 5) -> list[Row]:
    """The honest exchange with every fault there is, some without a full window before them, and holes."""
    rows = market(n, seed, 1300, 1500)
    for i in (3, 7, 200, 201, 420):
        rows[i] = scaled(rows[i], 2, "advances", "declines", "unchanged")
    for i in (*range(445, 470), 600, *range(790, 900)):  # of another list; the last ones until it is the usual one
        rows[i] = scaled(rows[i], 1.27, *ISSUES)
    for i, j in ((40, 39), (41, 40), (300, 280), (500, 478)):
        rows[i] = dict(rows[j])
    for i, j in ((540, 400), (700, 600)):
        rows[i] |= {name: rows[j][name] for name in VOLUMES}
    for i in (*range(250, n, 13), *range(650, 695)):
        rows[i] = swapped(rows[i])
    for i in (10, 520):
        rows[i] = scaled(rows[i], 0.01, *VOLUMES)
    for i in (*range(560, n), 150):
        rows[i] = scaled(rows[i], 1000, *VOLUMES)
    for i, name in ((0, "advances"), (60, "unchanged"), (61, "up_volume"), (330, "declines"), (640, "unchanged")):
        rows[i][name] = None
    rows[90] |= {"up_volume": 0, "down_volume": 0}
    return rows


# --- The twin: the rules once more, in plain Python, each from all rows before and nothing else. ---


def sum_of(row: Row, *names: str) -> int | None:
    return None if any(row[name] is None for name in names) else sum(row[name] for name in names)


def off(rows: list[Row], i: int, names: tuple[str, ...], low: float, high: float) -> bool:
    now = sum_of(rows[i], *names)
    before = [v for row in rows[max(0, i - 21) : i] if (v := sum_of(row, *names)) is not None]
    return now is not None and len(before) >= 5 and not low <= now / statistics.median(before) <= high


def twin_totals(rows: list[Row]) -> list[tuple[float | None, bool]]:
    """The usual total on rows of another list, and whether a total is far."""
    out: list[tuple[float | None, bool]] = []
    level: list[int | None] = []  # of the usual list, with gaps
    told: list[tuple[int, str]] = []

    def near(a: float, b: float) -> float:
        return max(a / b, b / a)

    for i, row in enumerate(rows):
        total = sum_of(row, *ISSUES[:3])
        known = [value for value in level[-21:] if value is not None]
        kind, usual = "usual", None
        if total is None:
            far = row["unchanged"] is None and off(rows, i, ISSUES[:2], 0.4, 2.5)
            level.append(None)
            out.append((None, far))
            continue
        if len(known) >= 5:
            usual = statistics.median(known)
            year = told[-252:]
            if 5 / 6 <= total / usual <= 6 / 5:
                rivals = [near(total, value) for value, which in year if which == "other"]
                kind = "other" if rivals and min(rivals) <= 1.035 and min(rivals) < near(total, usual) else "usual"
            else:
                alike = [which for value, which in year if near(total, value) <= 1.035 and which != "usual"]
                kind = (
                    "other" if 5 / 9 <= total / usual <= 9 / 5 and len(alike) >= (1 if total > usual else 5) else "far"
                )
        told.append((total, kind))
        if kind != "other":
            level.append(total)
        out.append((usual if kind == "other" else None, kind == "far"))
        if [which for _, which in told[-126:]].count("other") > 63:
            level = [value for value, which in told[-252:] if which == "other"]
            told = [(value, {"usual": "other", "other": "usual", "far": "far"}[which]) for value, which in told]
    return out


def twin_copies(rows: list[Row], i: int) -> tuple[bool, bool]:
    def same(j: int, names: tuple[str, ...]) -> bool:
        return all(rows[i][name] == rows[j][name] for name in names)

    row = rows[i]
    told = min(row["up_volume"] or 0, row["down_volume"] or 0) >= 1000
    volumes = told and any(same(j, VOLUMES[:2]) for j in range(max(0, i - 252), i))
    alike = [j for j in range(max(0, i - 21), i) if sum_of(row, *ISSUES[:2]) is not None and same(j, ISSUES[:3])]
    many = sum(row[name] or 0 for name in ISSUES[:3]) >= 1000
    return bool(alike) and (many or (told and any(same(j, VOLUMES) for j in alike))), volumes


def twin_units(rows: list[Row]) -> list[tuple[int | None, bool]]:
    levels: list[float] = []
    out: list[tuple[int | None, bool]] = []
    unit = None
    for row in rows:
        volume, issues = sum_of(row, "up_volume", "down_volume"), sum_of(row, "advances", "declines")
        if not volume or (not levels and not issues):
            out.append((None, False))
        elif not levels:
            assert issues
            unit = 1 if volume / issues >= 100 else 1000 if volume / issues >= 0.1 else 1_000_000
            levels.append(volume * unit)
            out.append((unit, False))
        else:
            usual = statistics.median(levels[-21:])
            ratios = {one: volume * one / usual for one in (1, 1000, 1_000_000)}
            best = min(ratios, key=lambda one: max(ratios[one], 1 / ratios[one]))
            generous = 8 if best == unit else 4
            fits = 1 / generous <= ratios[best] <= generous
            unit = best if fits else unit
            if 1 / 1000**0.5 <= ratios[best] <= 1000**0.5:
                levels.append(volume * best)
            out.append((unit, not fits))
    return out


def point(row: Row, doubted: bool) -> tuple[float, float] | None:
    """The log odds of issues and volume of a row that both can be learnt from."""
    if doubted or not all(row[name] for name in ("advances", "declines", "up_volume", "down_volume")):
        return None
    return math.log(row["advances"] / row["declines"]), math.log(row["up_volume"] / row["down_volume"])


def twin_contrary(rows: list[Row], doubted: list[bool]) -> list[bool]:
    past: list[tuple[float, float]] = []
    contrary, out = False, []

    def agreement(of: int) -> float:
        return statistics.correlation(*zip(*past[-of:], strict=True))

    for row, others_doubt in zip(rows, doubted, strict=True):
        if now := point(row, others_doubt):
            past.append(now)
            if len(past) >= 10 and abs(agreement(21)) >= 0.4:
                contrary = agreement(21) < 0
            else:
                contrary = len(past) >= 21 and agreement(63) <= 0
        out.append(contrary and (row["up_volume"], row["down_volume"]) != (None, None))
    return out


def twin_swaps(rows: list[Row], doubted: list[bool]) -> list[bool]:
    points: list[tuple[float, float] | None] = []
    misses: list[float | None] = []
    out = []
    for i, row in enumerate(rows):
        points.append(point(row, doubted[i]))
        past = [point for point in points[max(0, i - 252) : i] if point]
        spreads = [miss for miss in misses[max(0, i - 252) : i] if miss is not None]
        misses.append(None)
        out.append(False)
        now = points[i]
        if now is None or len(past) < 63:
            continue
        slope, intercept = statistics.linear_regression([p[0] for p in past], [p[1] for p in past])
        if slope <= 0:
            continue
        expected = intercept + slope * now[0]
        miss = misses[i] = abs(now[1] - expected)
        if len(spreads) >= 63:
            spread = 1.4826 * statistics.median(spreads)
            out[i] = miss > 4 * spread and abs(-now[1] - expected) <= 2 * spread
    return out


def twin(rows: list[Row]) -> list[Verdict]:
    units, totals = twin_units(rows), twin_totals(rows)
    plain_rules = [(totals[i][1], *twin_copies(rows, i), units[i][1]) for i in range(len(rows))]
    contrary = twin_contrary(rows, [any(rules) for rules in plain_rules])
    swaps = twin_swaps(rows, [any(rules) or runs for rules, runs in zip(plain_rules, contrary, strict=True)])
    out = []
    for (unit, _), rules, *of_shares in zip(units, plain_rules, contrary, swaps, strict=True):
        names = (TOTAL_FAR, ISSUES_COPIED, VOLUMES_COPIED, VOLUME_FAR, VOLUMES_CONTRARY, SHARES_SWAPPED)
        failed = [name for name, fails in zip(names, (*rules, *of_shares), strict=True) if fails]
        issues = not {TOTAL_FAR, ISSUES_COPIED} & set(failed)
        volumes = unit is not None and not set(failed) - {ISSUES_COPIED}
        out.append((unit, failed, issues, volumes))
    return out


@pytest.mark.parametrize("seed", [5, 6, 7])  # three markets, so that the faults meet other neighbours
def test_the_twin_agrees_on_every_row_and_every_rule_fires(seed: int) -> None:
    rows = spoilt(seed=seed)
    got = judged(rows)
    assert got == twin(rows)
    found = {name for _, names, _, _ in got for name in names}
    assert found == {TOTAL_FAR, ISSUES_COPIED, VOLUMES_COPIED, VOLUME_FAR, VOLUMES_CONTRARY, SHARES_SWAPPED}
    assert others(rows) == {i: usual for i, (usual, _) in enumerate(twin_totals(rows)) if usual is not None}
    assert others(rows).keys() > {450, 600, 830}
    assert not others(rows).keys() & set(range(870, 890))  # by then the other list is the usual one


@pytest.mark.parametrize(
    ("factor", "found"),
    [
        (1.0, []),
        (0.85, []),  # fewer than any honest day of NASDAQ had
        (1.18, []),  # more than any honest day had
        (0.81, [TOTAL_FAR]),  # NASDAQ 2014-10-14
        (1.22, [TOTAL_FAR]),  # NASDAQ 1987-06-02
        (0.5, [TOTAL_FAR]),  # half the rows were counted
        (2.0, [TOTAL_FAR]),  # all were counted twice
        (0.0, [TOTAL_FAR]),  # nothing was
    ],
)
def test_total_issues_are_held_against_their_level(factor: float, found: list[str]) -> None:
    rows = plain(40)
    rows[30] = scaled(rows[30], factor, "advances", "declines", "unchanged")
    assert doubts(rows) == ({30: found} if found else {})
    assert judged(rows)[30][2:] == (not found, not found)


def test_a_step_to_twice_the_total_is_accepted_after_eleven_rows() -> None:
    rows = plain(40) + plain(80, total=4000)[40:]
    assert list(doubts(rows)) == list(range(40, 51))  # 11 of 21 rows are the median
    assert others(rows) == {}


def nyse(n: int, other: Collection[int] = ()) -> list[Row]:
    """n rows of 3,000 issues, no two in sight of each other alike; those of another list are the same of 3,750.

    By hand, k being the row's number modulo 41: A 1,600 - 8k, D 1,000 + 8k, U 400; of the other list 5/4 of each. Up
    volume is 4,000 - 20k of both.
    """
    rows = []
    for i in range(n):
        k = i % 41
        issues = {"advances": 1600 - 8 * k, "declines": 1000 + 8 * k, "unchanged": 400}
        issues |= {"new_highs": 80 + 4 * (i % 7), "new_lows": 40}
        listed = {name: count * 5 // 4 if i in other else count for name, count in issues.items()}
        volumes = {"up_volume": 4_000 - 20 * k, "down_volume": 4_000 + 2 * (i % 61)}
        rows.append(plain(i + 1)[i] | listed | volumes)
    return rows


def test_a_total_that_recurs_within_a_year_is_that_of_another_list_of_issues() -> None:
    stretches = {*range(60, 64), 90, *range(120, 140)}
    rows = nyse(400, other=stretches)
    assert doubts(rows) == {60: [TOTAL_FAR]}  # nothing has recurred yet
    assert others(rows) == dict.fromkeys(sorted(stretches - {60}), 3000.0)
    assert all(verdict[2:] == (True, True) for i, verdict in enumerate(judged(rows)) if i != 60)
    assert scope_stretches(judge_published(frame(rows))).rows() == [
        ("X", FIRST + dt.timedelta(days=61), FIRST + dt.timedelta(days=63), 3, 3750.0, 3000.0),
        ("X", FIRST + dt.timedelta(days=90), FIRST + dt.timedelta(days=90), 1, 3750.0, 3000.0),
        ("X", FIRST + dt.timedelta(days=120), FIRST + dt.timedelta(days=139), 20, 3750.0, 3000.0),
    ]


@pytest.mark.parametrize(
    ("second", "factor", "recurs"),
    [
        (252, 1.0, True),  # a year after the first
        (253, 1.0, False),
        (30, 1.034, True),  # as far apart as the totals of NYSE's other list
        (30, 1.036, False),  # NASDAQ's two faults of 1987 are farther apart
        (30, 1 / 1.034, True),
        (30, 1 / 1.036, False),
    ],
)
def test_a_level_recurs_within_a_year_and_a_narrow_band(second: int, factor: float, recurs: bool) -> None:
    rows = nyse(400, other={60})
    rows[60 + second] = scaled(rows[60 + second], 1.25 * factor, "advances", "declines", "unchanged")
    assert (60 + second in others(rows)) == recurs
    assert list(doubts(rows)) == ([60] if recurs else [60, 60 + second])


@pytest.mark.parametrize(
    ("factor", "kept"),
    [
        (0.5, False),  # halves recur, too: half of what was to be counted
        (2.0, False),  # NASDAQ 1980-11-17 and 1980-11-25
        (2.08, False),  # as they are
        (0.47, False),  # NASDAQ 1985-08-08
        (1.7, True),
        (0.75, False),  # NASDAQ 1997-07-03, 1997-12-31 and 1998-03-12: less may be what was left of a row
    ],
)
def test_what_recurs_thrice_is_a_list_only_if_it_is_no_half_or_double_or_rest(factor: float, kept: bool) -> None:
    rows = nyse(400)
    for i in (60, 90, 120):
        rows[i] = scaled(rows[i], factor, "advances", "declines", "unchanged")
    assert list(doubts(rows)) == ([60] if kept else [60, 90, 120])


def test_a_shorter_list_is_known_from_its_sixth_row_on() -> None:
    rows = nyse(300)
    for i in range(60, 80):
        rows[i] = scaled(rows[i], 0.75, "advances", "declines", "unchanged")
    assert list(doubts(rows)) == [60, 61, 62, 63, 64]
    assert list(others(rows)) == list(range(65, 80))


def test_a_row_at_the_edge_of_the_band_is_of_the_list_that_it_is_nearer_to() -> None:
    rows = nyse(200, other=range(60, 70))
    rows[80] = scaled(rows[80], 1.19, "advances", "declines", "unchanged")  # 3,570: 19 % from one, 5 % from the other
    assert 80 not in others(rows)
    rows[75] = scaled(rows[75], 1.21, "advances", "declines", "unchanged")  # 3,630, which leads over to it
    assert 75 in others(rows)
    assert 80 in others(rows)
    assert 80 not in others(nyse(60) + rows[80:81])  # where no other list is known, 3,570 is 3,000 on a good day


def test_a_list_that_stays_is_the_usual_one_after_half_of_half_a_year() -> None:
    rows = nyse(400, other=range(100, 400))
    assert list(doubts(rows)) == [100]
    assert list(others(rows)) == list(range(101, 165))  # 64 of 126
    back = nyse(400, other=range(100, 300))
    assert list(doubts(back)) == [100]  # the old list was the usual one within a year
    assert {i: usual for i, usual in others(back).items() if i >= 300} == dict.fromkeys(range(300, 364), 3750.0)


def values_of(rows: list[Row]) -> pl.DataFrame:
    """All indicators of these published counts."""
    usable = usable_counts(judge_published(frame(rows))).rename({"exchange": "universe"})
    unknown = [pl.lit(None, pl.Int64).alias(name) for name in COUNT_COLUMNS if name not in usable.columns]
    return breadth_indicators(usable.with_columns(*unknown, segment=pl.lit("ALL")))


def test_indicators_of_another_list_are_those_of_the_usual_one() -> None:
    other = {*range(200, 206), *range(230, 250), 300}
    got = values_of(nyse(500, other=other))
    alone = nyse(500)
    alone[200] |= dict.fromkeys(ISSUES)  # its list was not known yet
    of_volume = ("volume", "trin", "udt", "day_")
    issues = [name for name in got.columns if not any(part in name for part in of_volume)]
    assert_frame_equal(got.select(issues), values_of(alone).select(issues), rel_tol=1e-12)
    # By hand, of row 231, k = 26: the other list has 1,740 up and 1,510 down; the usual one had 1,392 and 1,208.
    row = got.row(231, named=True)
    assert row["net_advances"] == pytest.approx(1392 - 1208)
    assert row["rana"] == pytest.approx(1000 * (1740 - 1510) / (1740 + 1510))
    assert got["ad_line"][231] - got["ad_line"][230] == pytest.approx(184)
    assert got["net_advances"][200] is None


def test_the_oscillator_takes_one_step_of_scaled_net_advances() -> None:
    """A thrust day of another list, by hand: of 3,750 issues 3,100 up and 400 down are 2,480 and 320 of 3,000."""
    rows = nyse(400, other=(300, 350))
    rows[350] |= {"advances": 3100, "declines": 400, "unchanged": 250}
    before, after = (values_of(rows).row(i, named=True) for i in (349, 350))
    # T' = T + alpha * (n - T), n = 2,160; what the day before needed for an oscillator that stays tells T10 and T5.
    t5 = before["mcclellan_unchanged_at"] - 2 * before["mcclellan_oscillator"]
    t10 = t5 + before["mcclellan_oscillator"]
    assert after["mcclellan_oscillator"] == pytest.approx((t10 + 0.1 * (2160 - t10)) - (t5 + 0.05 * (2160 - t5)))
    assert after["mcclellan_oscillator"] - before["mcclellan_oscillator"] == pytest.approx(
        0.05 * 2160 - 0.1 * t10 + 0.05 * t5
    )


def test_counts_of_one_list_are_left_as_they_are() -> None:
    counts = usable_counts(judge_published(frame(nyse(60))))
    assert_frame_equal(comparable(counts).select(ISSUES), counts.select(pl.col(ISSUES).cast(pl.Float64)))
    assert comparable(counts.drop("issue_scale")).equals(counts.drop("issue_scale"))  # counted from bars


def test_totals_are_not_judged_by_fewer_than_five_rows() -> None:
    doubled = [scaled(row, 2, "advances", "declines", "unchanged") for row in plain(6)]
    assert doubts([*plain(4), doubled[4]]) == {}
    assert doubts([*plain(5), doubled[5]]) == {5: [TOTAL_FAR]}


def test_rows_without_unchanged_are_held_against_advances_and_declines_alone() -> None:
    rows = plain(60)
    rows[30]["unchanged"] = None  # 1,500 are no three quarters of a total; that was not published
    rows[40] = scaled(rows[40], 3, "advances", "declines") | {"unchanged": None}
    assert doubts(rows) == {40: [TOTAL_FAR]}


def test_an_exchange_that_begins_to_publish_unchanged_is_not_doubted_for_it() -> None:
    rows = plain(60)
    for row in rows[:30]:
        row["unchanged"] = None
    assert doubts(rows) == {}


@pytest.mark.parametrize(
    ("back", "names", "found"),
    [
        (1, (*ISSUES, *VOLUMES), [ISSUES_COPIED, VOLUMES_COPIED]),  # NASDAQ 2001-07-31
        (1, ISSUES, [ISSUES_COPIED]),  # NASDAQ 1986-05-02: the volumes are its own
        (21, ISSUES, [ISSUES_COPIED]),  # a month back; NASDAQ 1986-03-11 is 20 back
        (22, ISSUES, []),  # the farther back, the likelier is chance
        (1, ("advances", "declines"), []),  # unchanged is its own, so it was counted
        (252, ("up_volume", "down_volume"), [VOLUMES_COPIED]),  # a year back
        (253, ("up_volume", "down_volume"), []),
        (5, ("up_volume",), []),  # one number alone may be chance
    ],
)
def test_the_later_of_two_equal_rows_is_doubted(back: int, names: tuple[str, ...], found: list[str]) -> None:
    rows = plain(300)
    rows[280] |= {name: rows[280 - back][name] for name in names}
    if names == ("advances", "declines"):
        rows[280]["unchanged"] += 1
    assert doubts(rows) == ({280: found} if found else {})
    assert judged(rows)[280][2:] == (ISSUES_COPIED not in found, VOLUMES_COPIED not in found)


def test_each_further_copy_is_doubted_too() -> None:
    rows = plain(30)
    rows[21] = rows[22] = rows[20]
    assert list(doubts(rows)) == [21, 22]


def test_a_holiday_between_the_copy_and_its_original_changes_nothing() -> None:
    rows = plain(30)
    rows[20] = rows[19]
    counts = frame(rows).with_columns(
        session=pl.when(pl.col("session") >= FIRST + dt.timedelta(days=20))
        .then(pl.col("session").dt.offset_by("4d"))
        .otherwise("session")
    )
    assert judge_published(counts).filter(pl.col("doubts").list.len() > 0)["session"].to_list() == [
        FIRST + dt.timedelta(days=24)
    ]


@pytest.mark.parametrize(
    ("volume", "found"),
    [
        (12, {}),  # few issues, few shares: an honest day may come again
        (4321, {20: [ISSUES_COPIED, VOLUMES_COPIED]}),  # the volumes show that the row is a copy
    ],
)
def test_a_small_exchange_may_repeat_itself(volume: int, found: dict[int, list[str]]) -> None:
    rows = plain(30, total=80)
    rows[19] |= dict.fromkeys(VOLUMES, volume)
    rows[18] |= dict.fromkeys(VOLUMES, volume + 1)
    rows[20] = rows[19]
    assert {i: names for i, names in doubts(rows).items() if i == 20} == found


def test_a_copy_is_not_doubted_where_nothing_was_published() -> None:
    nothing: Row = dict.fromkeys((*ISSUES, *VOLUMES))
    assert judged([nothing] * 30) == [(None, [], True, False)] * 30


def test_swapped_volumes_of_a_strong_day_are_found_and_cost_the_issues_nothing() -> None:
    rows = market(400, seed=1, start=1300, end=1400)
    strong = next(i for i in range(300, 400) if rows[i]["advances"] > 3 * rows[i]["declines"])
    assert doubts(rows) == {}
    rows[strong] = swapped(rows[strong])
    assert doubts(rows) == {strong: [SHARES_SWAPPED]}
    assert judged(rows)[strong] == (1000, [SHARES_SWAPPED], True, False)


def test_volume_that_goes_against_the_issues_is_honest_unless_it_fits_when_swapped() -> None:
    rows = market(400, seed=1, start=1300, end=1400)
    strong = next(i for i in range(300, 400) if rows[i]["advances"] > 3 * rows[i]["declines"])
    volume = rows[strong]["up_volume"] + rows[strong]["down_volume"]
    rows[strong] |= {"up_volume": volume // 2 - 9, "down_volume": volume // 2 + 9}  # NASDAQ 1989-10-16 was of that kind
    assert doubts(rows) == {}


def test_nothing_is_learnt_from_issues_that_never_change_their_share() -> None:
    rows = [row | {"advances": 1000 + 2 * i, "declines": 500 + i} for i, row in enumerate(plain(400))]
    rows[300] |= {"up_volume": 1000, "down_volume": 7000}
    assert doubts(rows) == {}  # a line through points above each other has no slope


def unusable(rows: list[Row]) -> set[int]:
    """The rows, by number, whose volumes are not used."""
    return {i for i, verdict in enumerate(judged(rows)) if not verdict[3]}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_volumes_that_are_exchanged_from_the_first_row_are_never_used_after_nine(seed: int) -> None:
    rows = [swapped(row) for row in market(700, seed, start=1300, end=1400)]
    assert unusable(rows) == set(range(9, 700))  # the tenth row tells; a later row never changes a judgement
    assert doubts(rows) == {i: [VOLUMES_CONTRARY] for i in range(9, 700)}
    assert all(verdict[2] for verdict in judged(rows))  # which pair is exchanged cannot be told


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_volumes_that_are_exchanged_for_good_are_never_accepted(seed: int) -> None:
    rows = market(1400, seed, start=1300, end=1400)
    rows[400:] = [swapped(row) for row in rows[400:]]
    assert min(doubts(rows)) >= 400
    assert unusable(rows) >= set(range(400 + 20, 1400))  # rows enough to turn round a year's line three times
    assert len(unusable(rows) & set(range(400, 420))) > 6  # some are found one by one until a month tells


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_volumes_that_come_right_after_an_exchanged_month_are_used_again(seed: int) -> None:
    rows = market(800, seed, start=1300, end=1400)
    rows[400:421] = [swapped(row) for row in rows[400:421]]
    assert min(unusable(rows)) >= 400
    assert len(unusable(rows) & set(range(400, 421))) > 7
    assert len(unusable(rows) & set(range(421, 800))) < 20
    assert max(unusable(rows)) < 421 + 20  # the month itself tells; nobody waits for a quarter or a year
    strong = next(i for i in range(450, 800) if rows[i]["advances"] > 3 * rows[i]["declines"])
    rows[strong] = swapped(rows[strong])
    assert max(unusable(rows)) == strong  # single rows are found as if the month had not been


def test_an_exchanged_half_year_is_not_learnt_from() -> None:
    rows = market(700, seed=1, start=1300, end=1400)
    rows[400:526] = [swapped(row) for row in rows[400:526]]
    strong = next(i for i in range(560, 700) if rows[i]["advances"] > 3 * rows[i]["declines"])
    rows[strong] = swapped(rows[strong])
    assert {i: names for i, names in doubts(rows).items() if i >= 526 + 20} == {strong: [SHARES_SWAPPED]}


def test_no_row_is_held_against_a_falling_line() -> None:
    rows = [swapped(row) for row in market(400, seed=1, start=1300, end=1400)]
    strong = next(i for i in range(300, 400) if rows[i]["advances"] > 3 * rows[i]["declines"])
    rows[strong] = swapped(rows[strong])  # the only sound row
    found = frame(rows).select(shares_swapped(pl.lit(True)).fill_null(value=False)).to_series()
    assert found.sum() == 0


def test_rows_without_issues_or_volumes_are_judged_as_the_last_that_had_both() -> None:
    rows = [swapped(row) for row in market(300, seed=1, start=1300, end=1400)]
    for i in range(300):
        if i % 3:
            rows[i] |= dict.fromkeys(VOLUMES)  # nothing to doubt
    rows[90]["declines"] = None
    rows[93] = scaled(rows[93], 2, "advances", "declines", "unchanged")
    rows[96]["unchanged"] = rows[96]["unchanged_volume"] = None
    got = doubts(rows)
    assert list(got) == list(range(9 * 3, 300, 3))  # the tenth row with volumes, however far apart they are
    assert (got[90], got[93], got[96]) == ([VOLUMES_CONTRARY], [TOTAL_FAR, VOLUMES_CONTRARY], [VOLUMES_CONTRARY])


def test_a_gap_of_years_neither_clears_nor_condemns() -> None:
    rows = [swapped(row) for row in market(60, seed=1, start=1300, end=1400)]
    sound = market(60, seed=2, start=1300, end=1400)
    gap: list[Row] = [dict.fromkeys((*ISSUES, *VOLUMES))] * 600
    assert unusable(rows + gap + rows) >= {*range(9, 60), *range(660, 720)}
    assert unusable(sound + gap + sound) == set(range(60, 660))


@pytest.mark.parametrize(
    ("noise", "most", "exchanged"),
    [
        (1.4, 0.001, 0.999),  # correlation 0.6, less than any market that was measured has
        (2.1, 0.005, 0.995),  # 0.45, as if one company made most of the volume
        (3.3, 0.03, 0.97),  # 0.3
    ],
)
def test_a_weak_relation_is_no_contrary_one(noise: float, most: float, exchanged: float) -> None:
    honest = [market(1500, seed, start=1300, end=1400, noise=noise) for seed in range(4)]

    def share(markets: list[list[Row]]) -> float:
        found = pl.concat(judge_published(frame(rows))["doubts"][21:] for rows in markets)
        return found.list.contains(VOLUMES_CONTRARY).mean()  # type: ignore[return-value]

    assert share(honest) <= most
    assert share([[swapped(row) for row in rows] for rows in honest]) >= exchanged


@pytest.mark.parametrize(
    ("issues", "volume", "unit"),
    [
        (910, 6461, 1000),  # NASDAQ 1978-01-03
        (2708, 1_880_000_000, 1),  # NASDAQ 2015
        (1100, 5, 1_000_000),  # NYSE's 5 million shares of 1965, in millions
        (1000, 100_000, 1),  # one round lot each
        (1000, 99_999, 1000),
        (1000, 99, 1_000_000),
        (10**9, 1, 1_000_000),  # no unit is large enough
    ],
)
def test_the_first_unit_gives_each_issue_a_round_lot(issues: int, volume: int, unit: int) -> None:
    assert first_unit(issues, volume) == unit


def test_a_lasting_change_of_unit_begins_a_stretch_and_volumes_stay_level() -> None:
    rows = plain(30) + [scaled(row, 1000, *VOLUMES) for row in plain(60)[30:]]
    got = judge_published(frame(rows))
    assert doubts(rows) == {}
    days = [FIRST + dt.timedelta(days=i) for i in (0, 29, 30, 59)]
    assert unit_stretches(got).rows() == [("X", 1000, days[0], days[1], 30), ("X", 1, days[2], days[3], 30)]
    volume = usable_counts(got)["up_volume"]
    assert volume.min() > 3_000_000  # in shares throughout, by the recipe of plain()
    assert volume.max() <= 4_000_000


def test_a_row_without_a_unit_neither_counts_nor_ends_a_stretch() -> None:
    rows = plain(9)
    rows[0]["up_volume"] = rows[4]["up_volume"] = None
    got = unit_stretches(judge_published(frame(rows)))
    assert got.rows() == [("X", 1000, FIRST + dt.timedelta(days=1), FIRST + dt.timedelta(days=8), 7)]


def test_one_row_in_another_unit_gets_its_own() -> None:
    rows = plain(40)
    rows[30] = scaled(rows[30], 1000, *VOLUMES)
    got = judge_published(frame(rows))
    assert doubts(rows) == {}
    assert unit_stretches(got)["volume_unit", "sessions"].rows() == [(1000, 30), (1, 1), (1000, 9)]


@pytest.mark.parametrize(
    ("factor", "unit", "found"),
    [
        (0.22, 1000, []),  # less than the day before Christmas
        (4.0, 1000, []),  # more than NASDAQ's busiest day had
        (0.1, 1000, [VOLUME_FAR]),  # a digit was lost, as on NASDAQ 1988-09-19
        (10.0, 1000, [VOLUME_FAR]),  # a digit too many
        (0.005, 1000, [VOLUME_FAR]),  # NASDAQ 1982-11-26: in millions it would be five times the usual
        (300.0, 1, []),  # a third of a day, in shares
        (100.0, 1000, [VOLUME_FAR]),  # a tenth in shares: no reason to believe in a new unit
        (0.0, None, []),  # nothing traded: no unit, nothing to use, nothing to doubt
    ],
)
def test_a_volume_that_no_unit_explains_is_far_from_its_level(
    factor: float, unit: int | None, found: list[str]
) -> None:
    rows = plain(40)
    rows[30] = scaled(rows[30], factor, "up_volume", "down_volume")
    got = judged(rows)
    assert got[30] == (unit, found, True, not found and unit is not None)
    assert all(names == [] and one == 1000 for i, (one, names, _, _) in enumerate(got) if i != 30)


def test_a_true_step_of_volume_is_accepted_after_eleven_rows() -> None:
    rows = plain(40)
    rows[25:] = [scaled(row, 12, *VOLUMES) for row in plain(60)[25:]]
    assert list(doubts(rows)) == list(range(25, 36))


@pytest.mark.parametrize("factor", [20, 50, 190, 1000, 20_000])  # steps in, between and beyond the units
def test_usable_volumes_never_jump_by_a_thousand(factor: float) -> None:
    rows = plain(80)
    rows[40:] = [scaled(row, factor, *VOLUMES) for row in rows[40:]]
    volume = usable_counts(judge_published(frame(rows)))["up_volume"].drop_nulls()
    jump = volume.max() / volume.min()  # type: ignore[operator]
    assert jump < 1.3 * math.sqrt(1000)  # a step and its unit meet within a factor of 31.6; the rest is plain()'s own


def test_a_unit_that_nobody_uses_is_never_taken_for_a_new_level() -> None:
    rows = plain(80, unit=1)
    rows[30:] = [scaled(row, 1000, *VOLUMES) for row in rows[30:]]
    assert list(doubts(rows)) == list(range(30, 80))


def test_the_unit_waits_for_the_first_row_with_issues_and_volume() -> None:
    rows = plain(4)
    rows[0] |= {"advances": None}
    rows[1] |= {"up_volume": None}
    assert [verdict[0] for verdict in judged(rows)] == [None, None, 1000, 1000]


@pytest.mark.slow
def test_no_honest_row_of_an_exchange_like_nyse_is_dropped() -> None:
    rows = market(9_000, seed=1965, start=1300, end=2000)  # with nine steps of a twelfth: 4,100 at the end
    shares = [row["advances"] / (row["advances"] + row["declines"]) for row in rows]
    assert max(shares) > 0.9 > 0.1 > min(shares)  # there are thrusts in it
    assert doubts(rows) == {}
    assert usable_counts(judge_published(frame(rows)))[ISSUES].equals(frame(rows)[ISSUES])


@pytest.mark.parametrize("rows", [0, 1, 5, 41, 200, 251, 300, 560, 670, 800])  # nothing, warm-ups, and at the faults
def test_later_rows_never_change_a_judgement(rows: int) -> None:
    counts = frame(spoilt())
    assert judge_published(counts[:rows]).equals(judge_published(counts)[:rows], null_equal=True)


def test_order_does_not_matter_and_exchanges_do_not_know_each_other() -> None:
    one, other = frame(spoilt(), "A"), frame(market(700, seed=2, start=5000, end=5100), "B")
    both = judge_published(pl.concat([one, other]).sample(fraction=1, shuffle=True, seed=3))
    assert both.equals(pl.concat([judge_published(one), judge_published(other)]), null_equal=True)


def test_judging_adds_columns_and_keeps_the_contract_and_every_count() -> None:
    counts = frame(spoilt())
    got = judge_published(counts)
    judgement = ["usual_issues", "volume_unit", "doubts", "issues_usable", "volume_usable"]
    assert got.columns == [*counts.columns, *judgement]
    assert got.select(counts.columns).equals(counts)
    assert require(PUBLISHED, got.with_columns(index_close=pl.lit(None, pl.Float64))).height == counts.height


def test_no_rows_give_no_rows_of_the_same_types() -> None:
    assert judge_published(frame([])).schema == judge_published(frame(plain(3))).schema
    for stretches in (unit_stretches, scope_stretches):
        assert stretches(judge_published(frame([]))).schema == stretches(judge_published(frame(plain(3)))).schema


@pytest.fixture(scope="module")
def nasdaq() -> pl.DataFrame:
    directory = Path(__file__).resolve().parents[2].parent / "shared" / "market" / "exchange_breadth"
    if not directory.is_dir():
        pytest.skip("../shared/market is missing")
    counts = read_published_counts(directory, "NASDAQ", exchange_calendar("XNYS")).counts
    return counts.with_columns(exchange=pl.lit("NASDAQ"))


# Looked up in the files: each total, copy or volume beside those of the days around it.
FAULTS = {
    TOTAL_FAR: (
        "1980-11-17 1980-11-25 1983-09-27 1985-01-08 1985-07-05 1985-08-08 1986-12-04 1987-01-12 1987-06-02 1987-12-07 "
        "1990-06-07 1991-12-30 1992-07-01 1996-08-20 1997-07-03 1997-12-31 1998-03-12 1999-01-08 2001-08-30 2007-12-17 "
        "2014-10-14"
    ),
    ISSUES_COPIED: "1978-12-20 1986-03-11 1986-05-02 1986-10-16 2000-10-06 2001-07-31 2002-05-21",
    VOLUMES_COPIED: "1981-08-04 1981-08-07 1985-01-18 1985-04-23 1987-09-04 1988-05-31 2001-07-31 2002-05-21",
    VOLUME_FAR: "1982-11-26 1988-09-19",
    VOLUMES_CONTRARY: "",
    SHARES_SWAPPED: "",
}


@pytest.mark.slow
@pytest.mark.market_data
def test_the_faults_of_nasdaq_are_found_and_no_other_rows(nasdaq: pl.DataFrame) -> None:
    got = judge_published(nasdaq)
    found = {
        name: got.filter(pl.col("doubts").list.contains(name))["session"].dt.to_string().to_list() for name in FAULTS
    }
    assert found == {name: dates.split() for name, dates in FAULTS.items()}
    assert (got.height, got.filter(pl.col("doubts").list.len() > 0).height) == (9550, 36)
    assert ((~got["issues_usable"]).sum(), (~got["volume_usable"]).sum()) == (28, 31)
    assert got["usual_issues"].count() == 0  # no list but its own


@pytest.mark.slow
@pytest.mark.market_data
def test_volumes_of_nasdaq_that_are_exchanged_are_found_and_those_that_come_right_are_used(
    nasdaq: pl.DataFrame,
) -> None:
    """From the first row, for good from 1998 on, and for every fifth month; a month is 21 sessions."""
    row = pl.int_range(pl.len())

    def used(exchanged: pl.Expr) -> pl.DataFrame:
        up, down = pl.col("up_volume"), pl.col("down_volume")
        files = nasdaq.with_columns(
            up_volume=pl.when(exchanged).then(down).otherwise(up),
            down_volume=pl.when(exchanged).then(up).otherwise(down),
        )
        return judge_published(files).select(row=row, used="volume_usable", exchanged=exchanged)

    assert used(row >= 0).filter("used")["row"].to_list() == list(range(9))
    for_good = used(row >= 5000)
    assert for_good.filter("exchanged", "used")["row"].max() < 5000 + 21  # type: ignore[operator]
    months = used(row // 21 % 5 == 4).with_columns(month=row // 21 % 5, since=row % 21)
    assert months.filter(month=1)["used"].mean() > 0.99  # type: ignore[operator]
    assert months.filter(month=3)["used"].mean() > 0.99  # type: ignore[operator]
    assert months.filter(month=4)["used"].mean() < 0.6  # type: ignore[operator]


@pytest.mark.market_data
def test_nasdaq_is_in_thousands_until_june_2002_and_its_volume_never_jumps(nasdaq: pl.DataFrame) -> None:
    got = judge_published(nasdaq)
    assert unit_stretches(got).rows() == [
        ("NASDAQ", 1000, dt.date(1978, 1, 3), dt.date(2002, 6, 19), 6177),
        ("NASDAQ", 1, dt.date(2002, 6, 21), dt.date(2015, 11, 11), 3373),
    ]
    volume = usable_counts(got).select(moved=pl.col("up_volume") + pl.col("down_volume")).drop_nulls()["moved"]
    jumps = (volume / volume.shift(1)).drop_nulls()
    assert 1 / 5 < jumps.min() < jumps.max() < 5  # type: ignore[operator]  # Christmas Eve is a quarter of a day


@pytest.mark.slow
@pytest.mark.market_data
def test_nasdaq_is_judged_alike_without_its_future(nasdaq: pl.DataFrame) -> None:
    whole = judge_published(nasdaq)
    for rows in (730, 1239, 2106, 6178, 8000):  # in the middle of nothing, and just after faults and the new unit
        assert judge_published(nasdaq[:rows]).equals(whole[:rows], null_equal=True)


ZWEIG = Thrust(
    "zweig", (Condition("zweig_ema", "above", 0.615),), (Condition("zweig_ema", "below", 0.40),), deadline=10
)


@pytest.mark.market_data
def test_the_thrusts_of_nasdaq_stay_where_they_are(nasdaq: pl.DataFrame) -> None:
    usable = usable_counts(judge_published(nasdaq)).rename({"exchange": "universe"})
    unknown = [pl.lit(None, pl.Int64).alias(name) for name in COUNT_COLUMNS if name not in usable.columns]
    values = breadth_indicators(usable.with_columns(*unknown, segment=pl.lit("ALL")))
    thrusts = threshold_events(values, [ZWEIG])["session"].dt.to_string().to_list()
    assert thrusts == ["1981-10-07", "1982-08-24", "1984-08-03"]
