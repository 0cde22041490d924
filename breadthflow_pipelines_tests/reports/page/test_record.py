"""The record of every rule on the page: beside any session, with its verdict, or why there is none."""

from dataclasses import replace

import polars as pl

from breadthflow_pipelines.reports.page.document import page
from breadthflow_pipelines.reports.page.markup import written
from breadthflow_pipelines.reports.page.record import records
from breadthflow_pipelines_tests.reports.page.invented import RECORDS, facts

FOUND = pl.DataFrame(
    [
        ("zweig_breadth_thrust", "buy", 63, 1_234, 9, 0.75, 0.68, 0.07, 0.2, 1.0, "not distinguishable", None),
        ("zweig_breadth_thrust", "buy", 252, 12, 9, 1.0, 0.78, 0.22, 0.01, 0.04, "survives", None),
        ("omen", "sell", 63, 0, 0, None, None, None, None, None, "cannot be judged", "no index <b>"),
    ],
    schema=RECORDS,
    orient="row",
)


def test_a_rate_stands_beside_its_base_rate_and_verdict() -> None:
    section = records(replace(facts(), records=FOUND))
    assert section is not None
    text = [" ".join("".join(cell.itertext()) for cell in row) for row in section.iter("tr")]
    assert "zweig_breadth_thrust buy 63 1,234 9 75.0% 68.0% +7.0 0.200 1.000 not distinguishable" in text
    assert "omen sell 63 0 0 unknown unknown    cannot be judged: no index <b>" in text
    said = "Of 2 records that can be judged, 1 survives and 0 are suggestive; by chance alone about 0 would be."
    assert said in written(section)
    assert "no index &lt;b&gt;" in written(section)


def test_a_page_before_anything_was_judged_has_no_such_section() -> None:
    assert records(facts()) is None
    assert 'id="record"' not in page(facts())
    assert 'id="record"' in page(replace(facts(), records=FOUND))
