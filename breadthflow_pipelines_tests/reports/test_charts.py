"""What assets show: words that need no click, small pictures, true spans, synthetic markets named as such."""

import datetime as dt
import random
import re
from urllib.parse import unquote

import polars as pl
import pytest

from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.model.counts import COUNT_COLUMNS
from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.charts import freshest, indicator_charts, signal_charts
from breadthflow_pipelines.signals.market import market_signals

FOLDED_FROM = 1000  # characters of Markdown that Dagster's UI hides behind a click
MOST_BYTES = 25_000  # of all charts of an asset: they are stored with every run


def counts(universe: str = "small", sessions: int = 700) -> pl.DataFrame:
    """Invented counts of 300 members whose tide turns every forty sessions."""
    chance = random.Random(7)  # noqa: S311
    rows = []
    for i in range(sessions):
        up = min(300, max(0, int(chance.gauss(200 if (i // 40) % 2 else 100, 40))))
        row = dict.fromkeys(COUNT_COLUMNS, 0) | {"members": 300, "priced": 300, "coverage": 1.0}
        row |= {"advances": up, "declines": 300 - up, "up_volume": up * 1000, "down_volume": (300 - up) * 1000}
        row |= {f"above_{n}": up for n in (20, 50, 200)} | {f"able_{n}": 300 for n in (20, 50, 200)}
        row |= {"new_highs": up // 10, "new_lows": (300 - up) // 10, "able_252": 300}
        rows.append(
            {"universe": universe, "segment": "ALL", "session": dt.date(2022, 1, 3) + dt.timedelta(days=i), **row}
        )
    return pl.DataFrame(rows)


def computed(of: pl.DataFrame) -> pl.DataFrame:
    return breadth_indicators(of).with_columns(state=pl.lit("final"))


def pictures(markdown: str) -> list[str]:
    """The SVG texts of the pictures in Markdown."""
    return [unquote(data) for data in re.findall(r"\]\(data:image/svg\+xml;charset=utf-8,([^)]*)\)", markdown)]


def titles(markdown: str) -> list[str]:
    return re.findall(r"!\[([^\]]*)\]", markdown)


def test_words_and_a_miniature_come_first_and_need_no_click_and_the_charts_are_small() -> None:
    of = counts()
    indicators = computed(of)
    shown = indicator_charts(of, indicators, ())
    said = signal_charts(indicators, market_signals(of, indicators), ())
    assert list(shown) == ["now", "mcclellan_lately", "charts"]
    assert list(said) == ["now", "score_lately", "charts"]
    for parts in (shown, said):
        *short, charts = parts.values()
        assert max(map(len, short)) < FOLDED_FROM
        assert len(charts) < MOST_BYTES
        assert len(pictures(charts)) == 4


def test_the_sentence_is_that_of_the_last_session() -> None:
    of = counts(sessions=700)
    indicators = computed(of)
    last, now = of.row(-1, named=True), indicators.row(-1, named=True)
    sentence, _, table = indicator_charts(of, indicators, ())["now"].partition("\n\n")
    participation = svg.figure(100 * last["above_50"] / 300)
    trend = f"McClellan {svg.figure(now['mcclellan_oscillator_ratio'])}; {participation} % above 50 days; final."
    assert sentence == f"**small**, {last['session']}: {last['advances']} rose, {last['declines']} fell; {trend}"
    line = sum(row["advances"] - row["declines"] for row in of.to_dicts())
    assert f"| A/D line | {line:,} |" in table
    signals = market_signals(of, indicators)
    score = signals.filter(rule="breadth_score").row(-1, named=True)
    assert score["session"] == last["session"]
    sentence, _, table = signal_charts(indicators, signals, ())["now"].partition("\n\n")
    assert sentence == f"**small**, {last['session']}: score {svg.figure(score['value'])}, {score['action']}; {trend}"
    assert f"| score, 0 to 100 | {svg.figure(score['value'])} |" in table


@pytest.mark.parametrize(("synthetic", "expected"), [({"small"}, True), ({"another"}, False)])
def test_invented_markets_are_named_in_every_picture_and_in_the_words(synthetic: set[str], *, expected: bool) -> None:
    of = counts(sessions=300)
    indicators = computed(of)
    parts = indicator_charts(of, indicators, synthetic) | signal_charts(indicators, market_signals(of, indicators), ())
    parts |= signal_charts(indicators, market_signals(of, indicators), synthetic)
    for text in parts.values():
        assert ("SYNTHETIC" in text) is expected
        for picture in pictures(text):
            assert ("SYNTHETIC" in picture) is (expected and "class='h'" in picture)  # a miniature has no title


def test_what_nobody_can_tell_yet_is_called_unknown() -> None:
    of = counts(sessions=5)  # too few for any trend
    indicators = computed(of)
    now = indicator_charts(of, indicators, ())["now"]
    assert re.search(r"fell; [\d.]+ % above 50 days; final\.", now)  # and nothing of McClellan's
    assert "| McClellan, ratio-adjusted | unknown |" in now
    said = signal_charts(indicators, market_signals(of, indicators), ())
    assert ": no score yet; " in said["now"]
    assert "; % above" not in said["now"]
    assert "| Zweig thrusts | none |" in said["now"]
    assert len(pictures(said["charts"])) == 4
    assert titles(said["score_lately"]) == ["small, breadth score, 5 sessions"]


def test_published_counts_without_participation_are_drawn() -> None:
    of = counts("NYSE", 300).with_columns(
        pl.lit(None, pl.Int64).alias(name) for name in ("above_20", "above_50", "above_200", "up_volume", "new_highs")
    )
    charts = indicator_charts(of, computed(of), ())
    assert "| % above 50 days | unknown |" in charts["now"]
    assert "50 days unknown" in pictures(charts["charts"])[3]


@pytest.mark.parametrize(
    ("sessions", "span"),
    [
        (1, "over 1 session"),
        (40, "over 40 sessions"),
        (230, "over 8 months"),  # every day is a session here
        (700, "over 8 months"),  # of a longer history the last 250 sessions are drawn
    ],
)
def test_charts_say_how_long_they_last(sessions: int, span: str) -> None:
    of = counts(sessions=sessions)
    for title in titles(indicator_charts(of, computed(of), ())["charts"]):
        assert title.endswith(span)


@pytest.mark.parametrize(
    ("sessions", "span"), [(700, "over 23 months"), (1_300, "over 3.6 years"), (4_200, "over 10 years")]
)
def test_events_are_of_ten_years_at_most_and_say_of_how_many(sessions: int, span: str) -> None:
    of = counts(sessions=sessions)
    indicators = computed(of)
    events = titles(signal_charts(indicators, market_signals(of, indicators), ())["charts"])[2]
    assert events.endswith(span)


def test_thrusts_are_counted_in_words_and_marked() -> None:
    of = counts()
    indicators = computed(of)
    signals = market_signals(of, indicators)
    thrusts = signals.filter(rule="zweig_breadth_thrust")
    assert thrusts.height > 1
    others = signals.filter(pl.col("rule") != "zweig_breadth_thrust")
    for number, words in ((0, "no thrusts"), (1, "1 thrust"), (2, "2 thrusts")):
        charts = signal_charts(indicators, pl.concat([others, thrusts.head(number)]).sort("session"), ())["charts"]
        assert titles(charts)[3].startswith(f"small: Zweig's average and {words}, over ")
        assert pictures(charts)[3].count("l-12,22h24z") == number


def test_nothing_gives_no_charts() -> None:
    of = counts(sessions=1)
    nothing = computed(of).clear()
    assert indicator_charts(of.clear(), nothing, ()) == {}
    assert signal_charts(nothing, market_signals(of, computed(of)).clear(), ()) == {}


def test_universe_that_reaches_furthest_is_drawn_and_a_real_one_before_an_invented_one() -> None:
    older, newer = counts("aaa", 10), counts("bbb", 11)
    assert freshest(computed(pl.concat([older, newer])), ()) == "bbb"
    assert freshest(computed(pl.concat([older, newer])), {"bbb"}) == "bbb"
    both = computed(pl.concat([newer, newer.with_columns(universe=pl.lit("abc"))]))
    assert freshest(both, ()) == "abc"  # by name
    assert freshest(both, {"abc"}) == "bbb"
