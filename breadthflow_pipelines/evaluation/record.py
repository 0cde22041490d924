"""What was known of a rule's record when it spoke: the number beside a signal that a reader could have seen that day.

The record as it is known today is in significance.py. Nothing here uses a window that had not closed.
"""

import datetime as dt

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation import rotation
from breadthflow_pipelines.evaluation.episodes import episodes
from breadthflow_pipelines.evaluation.family import FAMILY, Family
from breadthflow_pipelines.evaluation.significance import DRAWS, MIN_EPISODES, SEED, judged
from breadthflow_pipelines.evaluation.trials import Trial, trials
from breadthflow_pipelines.model.vocabulary import ALL, RECORD_HORIZON, SELL

RECORD_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "rule": pl.String(),
        "action": pl.String(),
        "session": pl.Date(),
        "record_hit_rate": pl.Float64(),
        "record_base_rate": pl.Float64(),
        "record_n": pl.Int32(),
        "verdict": pl.String(),
    }
)


def records(
    signals: pl.DataFrame,
    eligible: pl.DataFrame,
    followed: pl.DataFrame,
    family: Family = FAMILY,
    horizon: int = RECORD_HORIZON,
) -> pl.DataFrame:
    """The record behind each signal of each claim as known at its session, RECORD_SCHEMA, sorted.

    signals, eligible, followed: as accuracy takes them; signals that claim nothing have no row. Only windows of
    ``horizon`` sessions that had closed before the session count: record_n events, the share of them that were right,
    and of all eligible sessions. A sell was right if its excess over the mean known when it closed is below zero. The
    verdict is that of significance.py, among the whole family, as known before the first day of the session's year: it
    is read as a rule's standing and not as one more reading. All null before there are MIN_EPISODES episodes.
    """
    held = list(trials(signals, eligible, followed, family.claims, family.horizons))
    spoken = signals.filter(segment=ALL).select("universe", "rule", "action", "session").unique()
    standing = _verdicts(held, spoken, family, horizon)
    told = [RECORD_SCHEMA.to_frame()]
    for trial in held:
        if trial.horizon == horizon:
            asked = spoken.filter(universe=trial.universe, rule=trial.claim.rule, action=trial.claim.side)
            told.append(_as_known(trial, asked.sort("session")))
    key = ["universe", "rule", "action"]
    return (
        pl.concat(told)
        .drop("verdict")
        .with_columns(year=pl.col("session").dt.year())
        .join(standing, on=[*key, "year"], how="left")
        .with_columns(verdict=pl.when(pl.col("record_n").is_not_null()).then("verdict"))
        .select(RECORD_SCHEMA.names())
        .sort(*key, "session")
    )


def of_signals(signals: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The records by signal: signal_id, universe, session and what was known; without those that say nothing.

    signals: signal_id, KEY, rule, action. known: RECORD_SCHEMA.
    """
    return (
        signals.filter(segment=ALL)
        .join(known.drop_nulls("record_n"), on=["universe", "rule", "action", "session"])
        .select("signal_id", "universe", "session", "record_hit_rate", "record_base_rate", "record_n", "verdict")
        .sort("universe", "session", "signal_id")
    )


def _verdicts(held: list[Trial], spoken: pl.DataFrame, family: Family, horizon: int) -> pl.DataFrame:
    """universe, rule, action, year, verdict: of every claim at the horizon, as known before each year with a signal."""
    turns = rotation.family_draws(DRAWS, SEED)
    rows = []
    for year in spoken["session"].dt.year().unique().sort().to_list():
        known = [trial.known_before(dt.date(year, 1, 1)) for trial in held]
        for trial, judgement in zip(known, judged(known, family, turns), strict=True):
            if trial.horizon == horizon:
                rows.append((trial.universe, trial.claim.rule, trial.claim.side, year, judgement.verdict))
    schema = {"universe": pl.String, "rule": pl.String, "action": pl.String, "year": pl.Int32, "verdict": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _as_known(trial: Trial, asked: pl.DataFrame) -> pl.DataFrame:
    """RECORD_SCHEMA of one trial's signals, without a verdict. asked: its signals in order."""
    sell = trial.claim.side == SELL
    known = np.isfinite(trial.excess) if sell else np.ones(len(trial.change), dtype=bool)
    right = known & ((trial.excess < 0) if sell else (trial.change > 0))
    event = known & trial.event
    closed = np.searchsorted(trial.exit, asked["session"].to_numpy().astype("datetime64[D]"), side="left")
    groups = np.zeros(len(event), dtype=np.int64)
    groups[event] = np.diff(episodes(trial.number[event]), prepend=-1)
    seen = {name: _before(values, closed) for name, values in _counted(known, right, event, groups).items()}
    enough = seen["episodes"] >= MIN_EPISODES
    hits = np.divide(seen["hits"], seen["events"], out=np.full(len(closed), np.nan), where=enough)
    base = np.divide(seen["right"], seen["known"], out=np.full(len(closed), np.nan), where=enough)
    return asked.select(
        *("universe", "rule", "action", "session"),
        record_hit_rate=pl.Series(hits, dtype=pl.Float64, nan_to_null=True),
        record_base_rate=pl.Series(base, dtype=pl.Float64, nan_to_null=True),
        record_n=pl.when(pl.Series(enough)).then(pl.Series(seen["events"], dtype=pl.Int32)),
        verdict=pl.lit(None, pl.String),
    )


def _counted(
    known: npt.NDArray[np.bool_],
    right: npt.NDArray[np.bool_],
    event: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
) -> dict[str, npt.NDArray[np.int64]]:
    found = {"known": known, "right": right, "events": event, "hits": event & right, "episodes": groups}
    return {name: values.astype(np.int64) for name, values in found.items()}


def _before(values: npt.NDArray[np.int64], closed: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The sum of the first so many."""
    return np.concatenate([[0], np.cumsum(values)])[closed]
