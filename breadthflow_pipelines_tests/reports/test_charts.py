"""Charts for asset metadata: small pictures, words that show without a click, synthetic markets named as such."""

import base64
import datetime as dt
import random
import struct

import polars as pl
import pytest

from breadthflow_pipelines.indicators.breadth import breadth_indicators
from breadthflow_pipelines.indicators.counts import COUNT_COLUMNS
from breadthflow_pipelines.reports.charts import freshest, indicator_charts, signal_charts
from breadthflow_pipelines.signals.signals import market_signals

INDICATOR_PICTURES = ("advances_and_declines", "mcclellan", "participation")
SIGNAL_PICTURES = ("zweig", "events", "score", "conviction")
FOLDED_FROM = 1000  # characters of Markdown that Dagster's UI hides behind a click
MOST_BYTES = 100_000  # of a picture: each is stored with every materialization


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


def size_of_png(markdown: str) -> tuple[int, int, int]:
    """Bytes, width and height of the picture in Markdown, by PNG's own header."""
    head, _, encoded = markdown.removesuffix(")").partition("](data:image/png;base64,")
    assert head.startswith("![")
    data = base64.b64decode(encoded, validate=True)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return len(data), width, height


def test_pictures_are_small_pngs_and_words_show_without_a_click() -> None:
    of = counts()
    indicators = computed(of)
    charts = indicator_charts(of, indicators, ())
    assert charts.keys() == {"words", *INDICATOR_PICTURES}
    signals = signal_charts(indicators, market_signals(of, indicators), ())
    assert signals.keys() == {"words", *SIGNAL_PICTURES}
    for pictures, names in ((charts, INDICATOR_PICTURES), (signals, SIGNAL_PICTURES)):
        assert len(pictures["words"]) < FOLDED_FROM
        for name in names:
            data, width, height = size_of_png(pictures[name])
            assert data < MOST_BYTES
            assert (width, height) == (640, 320 if name == "events" else 224)


def test_words_are_those_of_the_last_session() -> None:
    of = counts(sessions=400)
    indicators = computed(of)
    last = of.row(-1, named=True)
    words = indicator_charts(of, indicators, ())["words"]
    assert words.startswith(
        f"On {last['session']} (final) in **small**, {last['advances']} rose and {last['declines']} fell."
    )
    line = sum(row["advances"] - row["declines"] for row in of.to_dicts())
    assert f"| A/D line | {line:,} |" in words


@pytest.mark.parametrize(("synthetic", "expected"), [({"small"}, True), ({"another"}, False)])
def test_invented_markets_are_named_in_every_picture_and_in_the_words(synthetic: set[str], *, expected: bool) -> None:
    of = counts(sessions=300)
    indicators = computed(of)
    charts = indicator_charts(of, indicators, synthetic)
    signals = signal_charts(indicators, market_signals(of, indicators), synthetic)
    for text in (*charts.values(), *signals.values()):
        assert ("SYNTHETIC" in text.partition("](data:")[0]) is expected


def test_what_nobody_can_tell_yet_is_called_unknown() -> None:
    of = counts(sessions=5)  # too few for any trend
    indicators = computed(of)
    charts = indicator_charts(of, indicators, ())
    assert "| McClellan, ratio-adjusted | unknown |" in charts["words"]
    signals = signal_charts(indicators, market_signals(of, indicators), ())
    assert signals["words"] == "**small** has no score yet; Zweig thrusts: 0, last none yet."
    assert size_of_png(signals["score"])


def test_published_counts_without_participation_are_drawn() -> None:
    of = counts("NYSE", 300).with_columns(
        pl.lit(None, pl.Int64).alias(name) for name in ("above_20", "above_50", "above_200", "up_volume", "new_highs")
    )
    charts = indicator_charts(of, computed(of), ())
    assert "| % above 50-session mean | unknown |" in charts["words"]
    assert size_of_png(charts["participation"])


def test_nothing_gives_no_charts() -> None:
    of = counts(sessions=1)
    nothing = computed(of).clear()
    assert indicator_charts(of.clear(), nothing, ()) == {}
    assert signal_charts(nothing, market_signals(of, computed(of)).clear(), ()) == {}


def test_universe_that_reaches_furthest_is_drawn() -> None:
    older, newer = counts("aaa", 10), counts("bbb", 11)
    assert freshest(computed(pl.concat([older, newer]))) == "bbb"
    assert freshest(computed(pl.concat([newer, newer.with_columns(universe=pl.lit("abc"))]))) == "abc"  # by name
