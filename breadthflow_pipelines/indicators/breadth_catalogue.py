"""The catalogue of breadth indicators, and their computation over every universe and segment.

Formulas are in the modules of their families: issues.py, mcclellan.py, volume.py, extremes.py, participation.py,
omens.py. Events on the values are in thrusts.py, their aggregates in score.py and signals/conviction.py.
"""

import polars as pl

from breadthflow_pipelines.indicators import extremes, issues, mcclellan, omens, participation, volume
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.counts import comparable
from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.mcclellan import SLOW_TREND
from breadthflow_pipelines.indicators.series import SETTLED, burn_in
from breadthflow_pipelines.model.vocabulary import KEY

FAMILIES = (issues, mcclellan, volume, extremes, participation, omens)
CATALOGUE: dict[str, Indicator] = {indicator.name: indicator for family in FAMILIES for indicator in family.INDICATORS}
INDICATOR_COLUMNS = tuple(CATALOGUE)


def breadth_indicators(counts: pl.DataFrame) -> pl.DataFrame:
    """All indicators for every universe and segment.

    counts: KEY and the count columns in any order, with the whole history of each universe and segment; in published
    counts, those that the exchange does not publish are null, and ``issue_scale`` is a column.

    Gives KEY, INDICATOR_COLUMNS (Float64), ``settled`` and ``convention``, sorted by KEY. settled: the slowest
    recursion, the 5 % trend of RANA, is independent of its seed (SETTLED, 270 observations), so that the row does not
    depend on where the history began. Running sums always do.
    """
    settled = CATALOGUE["rana"].expression.is_not_null().cum_sum() > burn_in(SLOW_TREND, SETTLED)
    formulas = {name: indicator.expression for name, indicator in CATALOGUE.items()} | {"settled": settled}
    # Eager, not lazy: finding common parts of so many formulas can take longer than computing them.
    return (
        comparable(counts)
        .sort(KEY)
        .select(*KEY, *(formula.over("universe", "segment").alias(name) for name, formula in formulas.items()))
        .with_columns(convention=pl.lit(CONVENTION, pl.Int32))
    )
