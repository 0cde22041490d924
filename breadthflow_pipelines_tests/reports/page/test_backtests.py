"""Backtests on the page: beside holding and beside random times, every year in its own table, nothing left out."""

import math
from dataclasses import replace
from functools import cache

import polars as pl

from breadthflow_pipelines.reports.page.backtests import backtests, summary
from breadthflow_pipelines.reports.page.document import page
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.markup import Element, written
from breadthflow_pipelines_tests.reports.page.invented import backtested, facts


@cache
def long() -> Facts:
    return backtested(facts(sessions=2200))


def section(of: Facts) -> Element:
    found = backtests(of)
    assert found is not None
    return found


def rows(within: Element, caption: str) -> dict[str, list[str]]:
    """The cells of a table by the first of them."""
    table = next(table for table in within.iter("table") if "".join(table.find("caption").itertext()) == caption)  # type: ignore[union-attr]
    cells = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    return {first: rest for first, *rest in cells}


def test_each_rule_stands_beside_holding_and_random_times() -> None:
    own = long().backtests.filter(rule="breadth_score", thresholds="fixed", cost=10.0)
    rule, held, same = (
        own.filter(portfolio=name).row(0, named=True) for name in ("rule", "buy and hold", "same exposure")
    )
    shown = rows(section(long()), "Backtests of every rule")
    assert shown["breadth_score"][3:7] == [
        f"{rule['cagr']:.1%}",
        f"{same['cagr']:.1%}",
        f"{rule['cagr_random']:.1%}",
        f"{rule['cagr_as_good']:.1%}",
    ]
    assert shown["buy and hold: members in equal parts"][3] == f"{held['cagr']:.1%}"
    days = [rule["peak_session"] or "the start", rule["trough_session"], rule["recovered_session"] or "not yet"]
    assert shown["breadth_score"][12] == " ".join(map(str, days))
    assert "Cash earns nothing." in written(section(long()))


def test_the_summary_has_the_same_figures_under_the_same_names() -> None:
    short = summary(long())
    assert short is not None
    whole, brief = rows(section(long()), "Backtests of every rule"), rows(short, "Backtests of every rule")
    assert list(brief) == list(whole)
    named = dict(zip(whole["Portfolio"], zip(*whole.values(), strict=True), strict=True))
    assert dict(zip(brief["Portfolio"], zip(*brief.values(), strict=True), strict=True)).items() <= named.items()
    assert {"Growth a year", "Same exposure", "Deepest fall", "Trades"} <= {*brief["Portfolio"]}
    assert [table.find("caption") is None for table in short.iter("table")] == [False]  # and no other table
    assert summary(facts()) is None


def test_where_days_up_are_shown_it_is_said_what_they_count_and_at_which_cost() -> None:
    whole, short = section(long()), summary(long())
    assert short is not None
    about = ["".join(of.find("p").itertext()) for of in (whole, short)]  # type: ignore[union-attr]
    assert all("after costs of 10 basis points" in text for text in about)
    told = "Days up: of the days that earned something else than cash does, those that earned more, after these costs; "
    assert [told in text for text in about] == [True, False]
    assert ["Days up" in rows(of, "Backtests of every rule")["Portfolio"] for of in (whole, short)] == [True, False]


def test_what_could_not_be_tested_is_named_with_its_reason() -> None:
    text = written(section(long()))
    why = long().backtests.filter(pl.col("reason").is_not_null())
    assert why.height
    assert all(rule in text.split("Not tested: ")[1].split("</p>")[0] for rule in why["rule"])
    none = backtested(facts(sessions=300))
    bare = replace(none, backtests=none.backtests.filter(pl.col("reason").is_not_null()), growth=none.growth.clear())
    assert "Nothing could be tested." in written(section(bare))


def test_months_multiply_to_the_wealth_that_is_drawn() -> None:
    shown = rows(section(long()), "Returns of following breadth_score by month")
    years = [cells[-1] for year, cells in shown.items() if year.isdigit()]
    made = math.prod(1 + float(year.rstrip("%")) / 100 for year in years)
    assert math.isclose(made, long().growth["wealth"][-1], rel_tol=0.001 * len(years))
    first = long().growth.filter(pl.col("session").dt.year() == 2022, pl.col("session").dt.month() == 3)
    assert shown["2022"][2] == f"{math.prod(1 + change for change in first['return']) - 1:.1%}"


def test_in_sample_and_out_of_sample_never_share_a_table() -> None:
    within = section(long())
    years = long().years.filter(rule="breadth_score")
    assert years.height
    out = long().backtests.filter(rule="breadth_score", thresholds="walk forward", portfolio="rule", cost=10.0)
    assert rows(within, "Backtest of breadth_score, out of sample")["breadth_score"][3] == f"{out['cagr'].item():.1%}"
    assert rows(within, "Backtests of every rule")["breadth_score"][3] != f"{out['cagr'].item():.1%}"
    chosen = rows(within, "Thresholds of breadth_score, and what followed")
    for year, threshold, after, before in years.select("year", "threshold", "out_of_sample", "in_sample").iter_rows():
        assert chosen[str(year)] == [f"{threshold:g}", "unknown" if after is None else f"{after:.2f}"]
        assert f"{before:.2f}" not in chosen[str(year)]


def test_costs_are_told_from_none_to_wide() -> None:
    shown = rows(section(long()), "Growth a year at every cost")
    assert shown["Rule"] == ["0 bp", "5 bp", "10 bp", "25 bp"]
    growth = [float(cell.rstrip("%")) for cell in shown["breadth_score"]]
    assert growth == sorted(growth, reverse=True)


def test_a_page_before_anything_was_tested_has_no_such_section() -> None:
    assert backtests(facts()) is None
    assert 'id="backtests"' not in page(facts())
    whole = page(long())
    assert len(whole.encode()) < 2_000_000
