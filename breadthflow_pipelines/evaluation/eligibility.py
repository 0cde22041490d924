"""On which sessions a rule could have spoken: what its events are held against, and nothing else.

A base rate over sessions on which the rule could not fire compares two times, not two choices.
"""

import polars as pl

from breadthflow_pipelines.model.vocabulary import ALL, FINAL, SESSION_RULES
from breadthflow_pipelines.signals.calibration import EMBARGO, MIN_SAMPLE
from breadthflow_pipelines.signals.rules import CALIBRATED, RULES, Rule

ELIGIBLE_SCHEMA = pl.Schema({"universe": pl.String(), "rule": pl.String(), "session": pl.Date()})


def eligible_sessions(indicators: pl.DataFrame, signals: pl.DataFrame) -> pl.DataFrame:
    """The sessions on which each rule could speak of each universe as a whole, ELIGIBLE_SCHEMA, sorted.

    indicators: KEY, the rules' columns (one that is not there is unknown), ``settled`` and ``state``, with the whole
    history. signals: KEY, rule, state.

    A session counts where its row is final (coverage at the gate, none of it lost, no longer revised) and settled (the
    slowest burn-in is over), and all that the rule looks at is known, except what may pass unknown. A calibrated rule
    has no levels, and so no sessions, before its universe has a sample to choose them from, nor in universes that the
    rule was published for.
    """
    whole = _with_samples(indicators.filter(segment=ALL).sort("universe", "session"))
    sound = (pl.col("state") == FINAL) & pl.col("settled")
    found = [
        whole.filter(sound & known.fill_null(value=False)).select("universe", pl.lit(name).alias("rule"), "session")
        for name, known in _known(whole).items()
    ]
    said = signals.filter(pl.col("rule").is_in(SESSION_RULES), segment=ALL, state=FINAL)
    told = [ELIGIBLE_SCHEMA.to_frame(), *found, said.select(ELIGIBLE_SCHEMA.names())]
    return pl.concat(told).sort("universe", "rule", "session")


def _known(whole: pl.DataFrame) -> dict[str, pl.Expr]:
    """Whether each rule of events can be told, over the rows that _with_samples gives."""
    known = {
        name: _told(rule, whole) for name, rule in RULES.items() if rule.thrust and rule not in CALIBRATED.values()
    }
    for name, calibrated in CALIBRATED.items():
        elsewhere = ~pl.col("universe").is_in(RULES[name].published_for)
        known[calibrated.name] = known[name] & elsewhere & (pl.col(_sample(name)) >= MIN_SAMPLE)
    return known


def _told(rule: Rule, whole: pl.DataFrame) -> pl.Expr:
    thrust = rule.thrust
    needed = {c.column for c in (*thrust.fires, *thrust.arms) if not c.or_unknown} if thrust else set()
    if not needed <= set(whole.columns):
        return pl.lit(value=False)
    return pl.all_horizontal(pl.col(name).is_not_null() for name in sorted(needed))


def _with_samples(whole: pl.DataFrame) -> pl.DataFrame:
    """Add, for each rule that is calibrated, the known values until EMBARGO sessions before the year.

    From them the year's levels are chosen. Rows are the universe's sessions, so rows are counted as sessions are.
    """
    values = {name: RULES[name].thrust.fires[0].column for name in CALIBRATED}  # type: ignore[union-attr]
    seen = {
        name: pl.col(value).is_not_null().cum_sum().shift(1 + EMBARGO) if value in whole.columns else pl.lit(0)
        for name, value in values.items()
    }
    samples = [sample.over("universe").alias(_sample(name)) for name, sample in seen.items()]
    first = pl.col(map(_sample, CALIBRATED)).first()
    return whole.with_columns(samples).with_columns(first.over("universe", pl.col("session").dt.year()))


def _sample(rule: str) -> str:
    return f"sample of {rule}"
