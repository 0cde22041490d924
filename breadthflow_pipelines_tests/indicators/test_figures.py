"""Figures that others published, each complete with what it was made of. See docs/decisions/published-figures.md."""

import datetime as dt
import re
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE, breadth_indicators
from breadthflow_pipelines_tests.indicators.markets import Row, counts_frame, day

PAGE = Path(__file__).resolve().parents[2] / "docs" / "decisions" / "published-figures.md"


def values(*sessions: Row) -> pl.DataFrame:
    """Indicators of sessions, one a day, of which only what matters is given."""
    keys = ({"universe": "u", "segment": "ALL", "session": day(i)} for i in range(len(sessions)))
    return breadth_indicators(counts_frame([key | row for key, row in zip(keys, sessions, strict=True)]))


@pytest.mark.parametrize(
    ("issues", "fast", "slow", "oscillator", "before", "summation", "unchanged_at", "zero_at"),
    [
        # McClellan Financial, daily data of NYSE: advances and declines, 10 % and 5 % trend, oscillator of the day and
        # of the day before, summation index, and the next net advances for an unchanged and for a zero oscillator.
        ((1819, 1307), 300.166, 255.608, 44.558, 34.515, 3155.060, 345, -546),  # 2014-04-17
        ((1194, 1730), 222.654, 163.275, 59.379, 106.870, 2098.337, 282, -906),  # 2019-06-14
        ((2329, 444), 361.300, 117.333, 243.967, 167.702, -22.378, 605, -4274),  # 2025-04-24
    ],
)
def test_mcclellan_as_mcclellan_financial_publishes_it(
    issues: tuple[int, int],
    fast: float,
    slow: float,
    oscillator: float,
    before: float,
    summation: float,
    unchanged_at: int,
    zero_at: int,
) -> None:
    # The trends of the day before. Both stand still on a constant, and one step from there brings each to its value.
    net = issues[0] - issues[1]
    fast_before, slow_before = (fast - 0.10 * net) / 0.90, (slow - 0.05 * net) / 0.95
    step = 20 * (fast_before - slow_before)
    start = fast_before - 0.10 * step
    past = [{"advances": round(1e6 * level), "declines": 0} for level in [start] * 140 + [start + step]]
    today = {"advances": issues[0] * 10**6, "declines": issues[1] * 10**6}  # in millionths: the start is no whole issue
    got = values(*past, today).select(pl.col("^mcclellan_.*$") / 1e6).tail(2).to_dicts()
    assert got[1]["mcclellan_oscillator"] == pytest.approx(oscillator, abs=0.0015)  # three decimals were published
    assert got[0]["mcclellan_oscillator"] == pytest.approx(before, abs=0.0015)
    assert got[1]["mcclellan_summation"] - 1000 / 1e6 + 1000 == pytest.approx(summation, abs=0.01)  # it adds a thousand
    assert round(got[1]["mcclellan_unchanged_at"]) == unchanged_at
    assert round(got[1]["mcclellan_zero_at"]) == zero_at


def test_the_summation_index_sums_oscillators_and_what_is_foretold_comes_true() -> None:
    past = [{"advances": 1500 + (7 * i * i) % 400, "declines": 1400 - (5 * i * i) % 300} for i in range(200)]
    now = values(*past).row(-1, named=True)
    for column, oscillator in (("mcclellan_unchanged_at", now["mcclellan_oscillator"]), ("mcclellan_zero_at", 0.0)):
        net = round(now[column])  # whole issues; half an issue moves the oscillator by 0.025
        after = values(*past, {"advances": 5000 + net, "declines": 5000}).row(-1, named=True)
        assert after["mcclellan_oscillator"] == pytest.approx(oscillator, abs=0.026)
        assert after["mcclellan_summation"] - now["mcclellan_summation"] == pytest.approx(after["mcclellan_oscillator"])


# NYSE, 2001-06-13 to 2001-07-03: technicalanalysissite.com/indicators/short_term_trading_index.htm. Advances, declines,
# A/D, up and down volume, TRIN.
NYSE_2001 = [
    (1521, 1561, 0.97, 384035, 657357, 1.67),
    (927, 2150, 0.43, 218634, 997425, 1.97),
    (1437, 1588, 0.90, 649006, 904083, 1.26),
    (1309, 1776, 0.74, 408501, 682268, 1.23),
    (1498, 1541, 0.97, 543321, 615409, 1.10),
    (1823, 1269, 1.44, 716273, 610436, 1.22),
    (1738, 1352, 1.29, 905813, 547728, 0.78),
    (1243, 1814, 0.69, 439011, 722679, 1.13),
    (1301, 1777, 0.73, 332607, 682239, 1.50),
    (1778, 1294, 1.37, 577414, 605567, 1.44),
    (1811, 1268, 1.43, 462680, 657256, 2.03),
    (1882, 1211, 1.55, 877241, 423609, 0.75),
    (1938, 1141, 1.70, 964950, 759013, 1.34),
    (1598, 1468, 1.09, 694667, 399965, 0.63),
    (1592, 1349, 1.18, 307258, 304648, 1.17),
]


def test_ad_ratio_and_trin_of_fifteen_sessions_of_nyse() -> None:
    names = ("advances", "declines", "ratio", "up_volume", "down_volume", "trin")
    rows = [dict(zip(names, row, strict=True)) for row in NYSE_2001]
    got = values(*({name: row[name] for name in names if name not in ("ratio", "trin")} for row in rows))
    assert got["ad_ratio"].to_list() == [pytest.approx(row["ratio"], abs=0.0051) for row in rows]
    assert got["trin"].to_list() == [pytest.approx(row["trin"], abs=0.0051) for row in rows]


@pytest.mark.parametrize(
    ("counts", "name", "figure"),
    [
        # ChartSchool, Advance-Decline Percent: 77 stocks of a sector, up and down.
        ({"advances": 70, "declines": 7, "unchanged": 0}, "ad_percent", 81.81),
        ({"advances": 12, "declines": 65, "unchanged": 0}, "ad_percent", -68.83),
        # StockCharts, Mailbag of February 2014.
        ({"advances": 300, "declines": 200, "unchanged": 0}, "ad_percent", 20),
        # Rusin, Stocks & Commodities 9:10: equal issues, volume once against and once with them.
        ({"advances": 10, "declines": 10, "up_volume": 100, "down_volume": 200}, "trin", 2),
        ({"advances": 10, "declines": 10, "up_volume": 200, "down_volume": 100}, "trin", 0.5),
        # thetrademachine.com, Absolute Breadth Index, 2009-11-02: whichever side is the larger.
        ({"advances": 400, "declines": 500}, "absolute_breadth", 100),
        ({"advances": 650, "declines": 50}, "absolute_breadth", 600),
        # Dorsey Wright, report of 1999-10-08.
        ({"new_highs": 45, "new_lows": 155}, "record_high_pct", 22.5),
    ],
)
def test_worked_examples_of_one_session(counts: Row, name: str, figure: float) -> None:
    assert values(counts)[name].item() == pytest.approx(figure, abs=0.01)  # 81.818 was published as 81.81


@pytest.mark.parametrize(
    ("highs", "lows", "omen"),
    [
        (69, 69, 1.0),  # 2.2 % of 3,126 issues is 68.772: published as "69" on 2010-08-12
        (68, 69, 0.0),  # one new high too few
        (69, 68, 0.0),  # one new low too few
        (138, 69, 1.0),  # new highs may be twice the new lows
        (139, 69, 0.0),  # but not more
        (69, 500, 1.0),  # new lows may be as many as they like
    ],
)
def test_the_omen_needs_69_highs_and_lows_of_3126_issues(highs: int, lows: int, omen: float) -> None:
    level = {"advances": 1450, "declines": 1450, "unchanged": 226, "new_highs": highs, "new_lows": lows}
    weak, strong = (level | {"advances": 1450 + net, "declines": 1450 - net} for net in (-200, 200))
    assert values(*[level] * 140, weak)["hindenburg_omen"][-1] == omen
    assert values(*[level] * 140, strong)["hindenburg_omen"][-1] == 0.0  # the oscillator is above zero
    assert values(*[level] * 100, weak)["hindenburg_omen"][-1] == (None if omen else 0.0)  # not known yet


def test_coppock_as_lean_tests_it() -> None:
    # QuantConnect LEAN, Tests/TestData/spy_coppock_curve.csv: its first 26 closes and three values, one a month here.
    closes = [
        *(211.105, 210.9, 210.835, 210.86, 210.77, 210.46, 210.3599, 210.5, 210.405, 210.4332, 210.261, 210.47),
        *(210.468, 210.73, 210.79, 210.68, 210.82, 210.76, 210.81, 210.745, 210.9768, 211.1, 211.1962, 211.05),
        *(210.925, 211.005),
    ]
    rows = [
        {"universe": "u", "segment": "ALL", "session": dt.date(2000 + i // 12, 1 + i % 12, 20), "index_close": close}
        for i, close in enumerate(closes)
    ]
    got = breadth_indicators(counts_frame(rows))["coppock"].to_list()
    assert got == [None] * 23 + [
        pytest.approx(v, abs=1e-9) for v in (0.4494433659903, 0.4697421906724, 0.4698196008662)
    ]


def test_a_ratio_of_sums_is_not_a_mean_of_ratios() -> None:
    # By hand: 5 * (2516 + 1124) / (5 * (559 + 1441)) = 3640 / 2000 = 1.82, while the ratios are 4.50 and 0.78.
    wide, narrow = {"advances": 2516, "declines": 559}, {"advances": 1124, "declines": 1441}
    got = values(*[wide, narrow] * 5)
    assert got["ad_ratio_10"][-1] == pytest.approx(1.82)
    assert got["ad_ratio"].mean() == pytest.approx(2.64, abs=0.005)


def test_stix_takes_nine_hundredths_and_not_two_of_twenty_two() -> None:
    # By hand: .91 * 50 + .09 * 100 = 54.5; an average "of 21 days" would be at 54.545.
    got = values(*[{"advances": 100, "declines": 100}] * 80, {"advances": 200, "declines": 0})["stix"][-1]
    assert got == pytest.approx(54.5, abs=1e-9) != pytest.approx(50 + 50 * 2 / 22, abs=0.01)


def test_the_page_names_exactly_the_indicators_whose_figures_are_reproduced() -> None:
    table, rest = PAGE.read_text().split("## Without a figure")
    reproduced = {name for name in CATALOGUE if "twin" not in CATALOGUE[name].verified}
    assert set(re.findall(r"`(\w+)`", table)) & set(CATALOGUE) == reproduced
    assert set(re.findall(r"`(\w+)`", rest)) & reproduced == set()
