"""Indicators of participation: how many members stand above a mean of their own, or at a high of their own."""

import polars as pl

from breadthflow_pipelines.indicators.definition import BRUTE_FORCE, Indicator
from breadthflow_pipelines.indicators.series import count, share
from breadthflow_pipelines.model.vocabulary import AVERAGES

FAMILY = "Participation"


def participation(members: pl.Expr, able: pl.Expr) -> pl.Expr:
    """100 * members / able, 0 to 100: of those that could, so that a new listing does not push it down."""
    return 100 * share(members, able)


INDICATORS = (
    *(
        Indicator(
            f"pct_above_{window}",
            participation(count(f"above_{window}"), count(f"able_{window}")),
            FAMILY,
            formula=f"100 * members that closed above the mean of their last {window} closes / members that have one",
            units="per cent",
            source="StockCharts, ChartSchool, Percent Above Moving Average",
            verified=BRUTE_FORCE,
            parameters={"bars": window},
            bounds=(0, 100),
        )
        for window in AVERAGES
    ),
    Indicator(
        "pct_at_20_high",
        participation(count("new_highs_20"), count("able_extremes_20")),
        FAMILY,
        formula="100 * members whose high is above that of their prior 20 bars / members with 20 earlier bars",
        units="per cent",
        source="All Star Charts; stockmarkettv.com, 2024-12-06",
        verified=BRUTE_FORCE,
        parameters={"bars": 20},
        bounds=(0, 100),
    ),
)
