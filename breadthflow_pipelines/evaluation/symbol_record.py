"""Whether symbol signals did better than other members of the same sessions: verdicts, today and before each month.

What they are read from is in calibration.py. The words are those of significance.py; here they rest on another test,
for a million signals are not few events in time: they are held against what else could have been held that day.

- ``cannot be judged``: fewer than MIN_WINDOWS windows that do not overlap, or a rule that says the same of everybody.
- ``not distinguishable``: p above LEVEL. ``suggestive``: at most that. ``survives``: p_family is, too.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from breadthflow_pipelines.evaluation.calibration import GROUP, SUMS, rates
from breadthflow_pipelines.evaluation.family import SYMBOL_FAMILY
from breadthflow_pipelines.evaluation.significance import LEVEL
from breadthflow_pipelines.model.vocabulary import BY_ALL, CHANCE, NOT_JUDGED, RECORD_HORIZON, SUGGESTIVE, SURVIVES

MIN_WINDOWS = 5  # that do not overlap: with fewer, an error is hardly known

RECORDS_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "month": pl.Date(),
        "rule": pl.String(),
        "action": pl.String(),
        "record_hit_rate": pl.Float64(),
        "record_base_rate": pl.Float64(),
        "record_n": pl.Int64(),
        "verdict": pl.String(),
    }
)
_CLAIMS = pl.DataFrame(
    [(claim.rule, claim.side, BY_ALL) for claim in SYMBOL_FAMILY.claims],
    schema=["rule", "action", "grouped_by"],
    orient="row",
)


def judged(told: pl.DataFrame, family: Sequence[str] = ("universe",)) -> pl.DataFrame:
    """The rows of registered claims with windows, p, p_family, verdict and reason; null in all other rows.

    told: as calibration.rates gives it. family: the columns whose rows are tried at once.

    - windows: of ``horizon`` sessions that do not overlap, as many as fit into the sessions.
    - p: one-sided, of the lift over its error, as Student's t with windows - 1 degrees of freedom. The error is widened
      by the root of the horizon. Windows of neighbouring sessions overlap, so where signals last, what n sessions say
      is worth n / horizon of them (Hjalmarsson, New Methods for Inference in Long-Horizon Regressions, 2011). Where
      they change from day to day that is too wide: the test errs towards chance.
    - p_family: Holm's (1979), over all of the universe that can be judged.
    """
    claims = told.join(_CLAIMS, on=["rule", "action", "grouped_by"], how="semi").with_columns(
        windows=pl.col("sessions") // pl.col("horizon")
    )
    few = pl.col("windows") < MIN_WINDOWS
    reason = (
        pl.when(few)
        .then(pl.format("{} of the {} windows that are needed", "windows", pl.lit(MIN_WINDOWS)))
        .when(~(pl.col("lift_error") > 0))
        .then(pl.lit("it says the same of every member"))
    )
    scaled = pl.col("lift") / pl.col("lift_error") / pl.col("horizon").sqrt()
    known = claims.with_columns(reason=reason).with_columns(
        score=pl.when(pl.col("reason").is_null()).then(scaled * (1 - 1 / pl.col("windows")).sqrt())
    )
    known = known.with_columns(p=_beyond(known["score"], known["windows"]))
    verdict = (
        pl.when(pl.col("p").is_null())
        .then(pl.lit(NOT_JUDGED))
        .when(pl.col("p") > LEVEL)
        .then(pl.lit(CHANCE))
        .when(pl.col("p_family") > LEVEL)
        .then(pl.lit(SUGGESTIVE))
        .otherwise(pl.lit(SURVIVES))
    )
    found = _with_holm(known, family).with_columns(verdict=verdict)
    key = [*dict.fromkeys(("universe", *family, *GROUP))]
    wanted = found.select(*key, "windows", "p", "p_family", "verdict", "reason")
    return told.join(wanted, on=key, how="left", maintain_order="left")


def symbol_records(sums: pl.DataFrame) -> pl.DataFrame:
    """The record of each registered claim as known before each month: RECORDS_SCHEMA, sorted as it is keyed.

    sums: SUMS_SCHEMA, of all months. Only windows of RECORD_HORIZON sessions that had closed before the month count:
    record_n signals, the share of them that were right, and that of as many of any members of the same sessions. The
    verdict is that of ``judged`` over all horizons as known then. There is no row before the claim could be judged.
    """
    claims = sums.join(_CLAIMS, on=["rule", "action", "grouped_by"], how="semi")
    if claims.is_empty():
        return RECORDS_SCHEMA.to_frame()
    months = claims.select("universe", "month").unique()
    series = claims.select("universe", *GROUP).unique()
    before = (
        months.join(series, on="universe")
        .join(claims, on=["universe", "month", *GROUP], how="left")
        .sort("universe", *GROUP, "month")
        .with_columns(pl.col(SUMS).fill_null(0).cum_sum().shift(1).over("universe", *GROUP))
        .filter(pl.col("signals") > 0)
    )
    return (
        judged(rates(before), ("universe", "month"))
        .filter(pl.col("horizon") == RECORD_HORIZON, pl.col("p").is_not_null())
        .rename({"hit_rate": "record_hit_rate", "base_rate": "record_base_rate", "signals": "record_n"})
        .select(RECORDS_SCHEMA.names())
        .sort("universe", "month", "rule", "action")
    )


def _beyond(score: pl.Series, windows: pl.Series) -> pl.Series:
    """How often chance gives as high a score, null where there is none."""
    from scipy.special import stdtr

    p = 1 - stdtr(np.maximum(windows.to_numpy() - 1, 1), score.cast(pl.Float64).to_numpy())
    return pl.Series(p, nan_to_null=True)


def _with_holm(known: pl.DataFrame, family: Sequence[str]) -> pl.DataFrame:
    """The rows with p_family, in order of p: as estimates.holm, for many families at once."""
    p = pl.col("p")
    left = p.count() - p.cum_count() + 1
    return known.sort("p", nulls_last=True).with_columns(p_family=(p * left).cum_max().clip(upper_bound=1).over(family))
