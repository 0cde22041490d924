"""How a security performed against the other members of its universe. Its own indicators are in technical.py."""

import polars as pl

from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.series import share
from breadthflow_pipelines.indicators.technical import FAMILY, ROC_LONG

MEDIAN = "median_roc"


def against_median(returns: pl.Expr, median: pl.Expr) -> pl.Expr:
    """100 * ((100 + r) / (100 + median r) - 1), in per cent: the member's gain on the median member of its universe.

    Null where either is. A median depends neither on outliers nor on the order of members.
    """
    return 100 * (share(100 + returns, 100 + median) - 1)


_RETURN = f"roc_{ROC_LONG}"
RELATIVE_STRENGTH = Indicator(
    "relative_strength",
    against_median(pl.col(_RETURN), pl.col(MEDIAN)),
    FAMILY,
    formula="100 * ((100 + roc_63) / (100 + median roc_63 of the universe's members on the session) - 1)",
    units="per cent",
    source="Robert Levy, Relative Strength as a Criterion for Investment Selection, Journal of Finance, 1967",
    verified="no library has it; a brute-force twin in plain Python",
    parameters={"length": ROC_LONG},
    burn_in=ROC_LONG,
    bounds=(-100, None),
)
"""Unlike the others, it looks across the members of a universe on a session."""


def median_returns(members: pl.DataFrame) -> pl.DataFrame:
    """The median return of each universe's members: universe, session and MEDIAN (per cent), sorted by the first two.

    members: universe, session and roc_63 (per cent; null where a member has none, which then is not in the median), one
    row per universe, member and session: all members of a session that traded, or the median is not the universe's.
    """
    return (
        members.group_by("universe", "session").agg(pl.col(_RETURN).median().alias(MEDIAN)).sort("universe", "session")
    )


def relative_strength(members: pl.DataFrame, medians: pl.DataFrame) -> pl.DataFrame:
    """Add ``relative_strength`` (per cent) to rows of members.

    members: universe, session, roc_63 and whatever else, in any order. medians: as median_returns gives them. Of a
    universe with one member it is 0.
    """
    known = members.join(medians, on=["universe", "session"], how="left", maintain_order="left")
    return known.with_columns(RELATIVE_STRENGTH.expression.alias(RELATIVE_STRENGTH.name)).drop(MEDIAN)
