"""Each chart tells its figures in words and in a table; one without values is named, not drawn empty."""

import polars as pl

from breadthflow_pipelines.reports.page.catalogue import CHARTS
from breadthflow_pipelines.reports.page.charts import chart_sections
from breadthflow_pipelines.reports.page.markup import written
from breadthflow_pipelines.reports.page.payload import payload
from breadthflow_pipelines_tests.reports.page.invented import facts


def test_a_chart_tells_its_last_figures_in_words_and_in_a_table() -> None:
    of = facts()
    sections = {section.get("id"): section for section in chart_sections(of)}
    assert [*sections] == [*(chart.name for chart in CHARTS), "sectors"]
    zweig = sections["zweig"]
    drawing = zweig.find(".//*[@role='img']")
    assert drawing is not None
    last = of.now
    assert drawing.get("aria-label", "").endswith(f"Last session: Zweig's average {last['zweig_ema']:.4f}.")
    assert drawing.get("tabindex") == "0"
    newest = ["".join(row.itertext()) for row in zweig.iterfind(".//tbody/tr")]
    assert newest[0] == f"{last['session']}{last['zweig_ema']:.4f}"
    assert len(newest) == 10
    heat = sections["sectors"].find(".//*[@role='img']")
    assert heat is not None
    assert f"Energy {last['pct_above_50']:.1f} %; Utilities {last['pct_above_50'] / 2:.1f} %" in heat.get(
        "aria-label", ""
    )


def test_what_cannot_be_drawn_is_named() -> None:
    nobody = {f"{what}_{bars}": pl.lit(None, pl.Int64) for what in ("above", "able") for bars in (20, 50, 200)}
    of = facts(sectors=(), **nobody)
    *charts, note = chart_sections(of)
    assert (
        written(note) == '<p class="about">Not drawn, because nothing of it is known here: Participation, Sectors.</p>'
    )
    assert "participation" not in [chart.get("id") for chart in charts]
    data = payload(of)
    assert data["heat"] is None
    lines = next(chart for chart in data["charts"] if chart["name"] == "lines")
    assert [(series["column"], series["pane"]) for series in lines["series"]] == [("ad_line", 0)]  # no index: one pane
