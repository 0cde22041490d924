"""How a security did against the other members of its universe. What it did by itself is in technical.py."""

import polars as pl

from breadthflow_pipelines.indicators.breadth import share
from breadthflow_pipelines.indicators.catalogue import Indicator
from breadthflow_pipelines.indicators.technical import FAMILY, ROC_LONG


def against_median(returns: pl.Expr) -> pl.Expr:
    """100 * ((100 + r) / (100 + median r) - 1), in per cent: what the member gained on the universe's median member.

    returns: those of the members of one universe on one session, in per cent. Null where a member's own is; it does not
    enter the median. A median, because neither one wild member nor the order of members moves it.
    """
    return 100 * (share(100 + returns, 100 + returns.median()) - 1)


RELATIVE_STRENGTH = Indicator(
    "relative_strength",
    against_median(pl.col(f"roc_{ROC_LONG}")),
    FAMILY,
    formula="100 * ((100 + roc_63) / (100 + median roc_63 of the universe's members on the session) - 1)",
    units="per cent",
    source="Robert Levy, Relative Strength as a Criterion for Investment Selection, Journal of Finance, 1967",
    verified="no library has it; a brute-force twin in plain Python",
    parameters={"length": ROC_LONG},
    burn_in=ROC_LONG,
    bounds=(-100, None),
)
"""Unlike the others, its expression is over the members of one universe on one session."""


def relative_strength(members: pl.DataFrame) -> pl.DataFrame:
    """Relative strength of every member of every universe.

    members: universe, security_id, session and roc_63 (per cent), one row per universe, member and session, in any
    order: all members of a session that traded, or the median is not the universe's.

    Gives universe, security_id, session and relative_strength (per cent), sorted by these. Of a universe with one
    member it is 0: there is nobody else.
    """
    key = ["universe", "security_id", "session"]
    strength = RELATIVE_STRENGTH.expression.over("universe", "session")
    return members.select(*key, strength.alias(RELATIVE_STRENGTH.name)).sort(key)
