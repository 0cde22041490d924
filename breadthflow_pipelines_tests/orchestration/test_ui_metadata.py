"""How rows and figures look in the UI: invented ones beside real ones, and what is worth a plot."""

import polars as pl

from breadthflow_pipelines.orchestration.ui_metadata import marked, plotted, shown

ROWS = pl.DataFrame({"session": ["a", "b"], "universe": ["demo", "sp500"], "value": [1.5, None]})


def test_rows_of_an_invented_universe_say_so_beside_its_name() -> None:
    found = marked(ROWS, {"demo"})
    assert found.columns == ["session", "universe", "synthetic", "value"]
    assert [record.data["synthetic"] for record in shown(found).records] == ["yes", "no"]


def test_no_two_universes_are_plotted_as_one_line_and_unknown_is_no_number() -> None:
    assert plotted(ROWS, ("value",), {"demo"}) == {"demo (synthetic): value": 1.5}
    assert plotted(ROWS.fill_null(2.5), ("value",), ()) == {"demo: value": 1.5, "sp500: value": 2.5}


def test_a_table_without_rows_is_short() -> None:
    assert shown(ROWS.clear()).schema.columns == []
    assert [column.name for column in shown(ROWS).schema.columns] == ROWS.columns
