"""What follows from findings of bar_rules.py: when a rule found too many to be right, and which decisions hold.

Pure. The rows are in warehouse/quarantine_store.py.
"""

import datetime as dt
from collections.abc import Collection

import polars as pl

from breadthflow_pipelines.model.vocabulary import DECIDED, DOUBTED, LAPSED, LEFT_OUT, PROPOSED, QUARANTINED

# Bounds of one rule, in securities: a share whose bars repeat for weeks is one fault. In twelve years of 604 stocks no
# rule found more than 6 of them in a month or 1 in a session. More means a changed feed or a wrong rule, and neither is
# repaired by leaving out bars.
MOST_OF_MONTH = 0.001  # of the month's bars ...
FEW_OF_MONTH = 5  # ... or so many, however small the market
MOST_OF_SESSION = 0.01  # of the session's bars ...
FEW_OF_SESSION = 3

_KEY = ["security_id", "session", "rule"]
_MONTH = pl.col("session").dt.truncate("1mo")


def undecided(found: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The findings without a decision. Both have the key and ``fingerprint`` of the bar; stored has the status, too."""
    decided = stored.filter(pl.col("status").is_in(DECIDED))
    return found.join(decided, on=[*_KEY, "fingerprint"], how="anti")


def excessive(found: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The rules and months (first day) in which a rule found more securities than its bounds allow: rule, month.

    found: rule, session, security_id, one row per finding. sessions: session, bars, of the whole months. Months are
    judged one by one, so that it does not matter how history is divided into runs.
    """
    securities = pl.col("security_id").n_unique()
    by_session = found.group_by("rule", "session").agg(found=securities).join(sessions, on="session")
    allowed = pl.max_horizontal(pl.lit(float(FEW_OF_SESSION)), MOST_OF_SESSION * pl.col("bars"))
    crowded = by_session.filter(pl.col("found") > allowed).select("rule", month=_MONTH)
    months = sessions.group_by(month=_MONTH).agg(pl.col("bars").sum())
    by_month = found.group_by("rule", month=_MONTH).agg(found=securities).join(months, on="month")
    allowed = pl.max_horizontal(pl.lit(float(FEW_OF_MONTH)), MOST_OF_MONTH * pl.col("bars"))
    busy = by_month.filter(pl.col("found") > allowed).select("rule", "month")
    return pl.concat([crowded, busy]).unique().sort("rule", "month")


def settle(
    found: pl.DataFrame,
    stored: pl.DataFrame,
    fingerprints: pl.DataFrame,
    excess: pl.DataFrame,
    *,
    run_id: str,
    now: dt.datetime,
    doubts: Collection[str] = (),
) -> pl.DataFrame:
    """The new rows of ``quarantined_bars``, from those that are stored and what the rules find now.

    found: security_id, session, rule, evidence. stored: the table's rows of the same days. fingerprints: security_id,
    session, fingerprint of the bars of both, as they are now. excess: as excessive() gives it. doubts: the rules whose
    bars stay.

    - A decision holds as long as the bar has the values it had then, whether it is found again or not.
    - A finding is ``quarantined``; or ``doubted``, if its rule leaves no bars out; or ``proposed``, if its rule found
      too many in the month: then none of them is applied, and the run stops.
    - A finding that is not found again, and a decision whose bar has changed, is ``lapsed``: kept without effect.
    """
    old = stored.rename({name: f"old_{name}" for name in stored.columns if name not in _KEY})
    rows = (
        found.join(old, on=_KEY, how="full", coalesce=True)
        .join(fingerprints, on=["security_id", "session"], how="left")
        .join(excess.with_columns(exceeded=True), left_on=["rule", _MONTH], right_on=["rule", "month"], how="left")
    )
    is_found = pl.col("evidence").is_not_null()
    same = (pl.col("old_fingerprint") == pl.col("fingerprint")).fill_null(value=False)
    decided = same & pl.col("old_status").is_in(DECIDED)
    status = (
        pl.when(decided)
        .then("old_status")
        .when(is_found & pl.col("exceeded").fill_null(value=False))
        .then(pl.lit(PROPOSED))
        .when(is_found & pl.col("rule").is_in(list(doubts)))
        .then(pl.lit(DOUBTED))
        .when(is_found)
        .then(pl.lit(QUARANTINED))
        .otherwise(pl.lit(LAPSED))
    )
    return rows.select(
        *_KEY,
        evidence=pl.when(decided).then("old_evidence").otherwise(pl.coalesce("evidence", "old_evidence")),
        fingerprint=pl.when(is_found).then("fingerprint").otherwise("old_fingerprint"),
        status=status,
        run_id=pl.when(decided).then("old_run_id").otherwise(pl.lit(run_id)),
        found_at=pl.when(same | ~is_found).then("old_found_at").otherwise(pl.lit(now, pl.Datetime("us", "UTC"))),
        **{name: pl.when(decided).then(f"old_{name}") for name in ("decided_at", "decided_by", "reason")},
    ).sort(_KEY)


def turned(stored: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """security_id and session of the bars that are left out now and were not before, or the reverse.

    Decisions made since the last run are noted by the command that makes them, not here.
    """
    out = pl.col("status").is_in(LEFT_OUT)
    bar = ["security_id", "session"]
    before, now = stored.filter(out).select(bar).unique(), settled.filter(out).select(bar).unique()
    return pl.concat([before.join(now, on=bar, how="anti"), now.join(before, on=bar, how="anti")])
