"""Figures of each month of a run, which the UI plots."""

import datetime as dt

import polars as pl

from breadthflow_pipelines.orchestration.assets.monthly import MonthlyResult, metadata_by_month
from breadthflow_pipelines.warehouse.bulk import Merged

NOVEMBER, DECEMBER = dt.date(2023, 11, 30), dt.date(2023, 12, 1)
CHANGES = pl.DataFrame(
    {"session": [NOVEMBER, NOVEMBER, DECEMBER], "kind": ["inserted", "deleted", "updated"], "rows": [3, 1, 2]}
)


def test_each_month_has_its_own_figures_and_zero_where_it_has_none() -> None:
    result = MonthlyResult(
        Merged(9, CHANGES),
        rows=pl.DataFrame({"session": [NOVEMBER, DECEMBER, DECEMBER], "bars": [5, 6, 7]}),
        figures={"bars": pl.col("bars").sum()},
        metadata={},
        counted={"rows_read": {"2023-12": 13}},
        every_month={"synthetic": False},
    )
    found = metadata_by_month(["2023-10", "2023-11", "2023-12"], result)
    same = {"synthetic": False}
    assert found == {
        "2023-10": {"bars": 0, "rows_read": 0, "rows_inserted": 0, "rows_revised": 0, "rows_removed": 0, **same},
        "2023-11": {"bars": 5, "rows_read": 0, "rows_inserted": 3, "rows_revised": 0, "rows_removed": 1, **same},
        "2023-12": {"bars": 13, "rows_read": 13, "rows_inserted": 0, "rows_revised": 2, "rows_removed": 0, **same},
    }
