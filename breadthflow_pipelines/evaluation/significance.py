"""Whether what followed a rule's signals is more than chance: the record of every claim, with its verdict in words.

Lives here: rates, intervals, p-values and verdicts of trials. What a trial is stands in trials.py, what chance gives in
rotation.py, what is tried at once in family.py, what a rule's record was on a session of the past in record.py.

The verdicts, and all they mean:

- ``cannot be judged``: there is nothing to hold against chance, or too little: fewer than MIN_EPISODES episodes, or so
  few windows that do not overlap that all of them right could still be chance at LEVEL.
- ``not distinguishable``: at least one rotation in twenty did as well (p_rotation above LEVEL).
- ``suggestive``: fewer did, but one of the conditions of the next does not hold, or it is a part of history only.
- ``survives``: over the whole of history p_family and p_matched are at most LEVEL, the interval of the lift lies above
  zero, and since the rule was published the lift, where it can be judged, is above zero as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation import rotation
from breadthflow_pipelines.evaluation.episodes import effective_n, episode_count, episodes
from breadthflow_pipelines.evaluation.estimates import holm, smallest_told, stationary_bootstrap, wilson
from breadthflow_pipelines.evaluation.family import FAMILY, Claim, Era, Family, eras
from breadthflow_pipelines.evaluation.trials import Floats, Trial, trials
from breadthflow_pipelines.model.vocabulary import BUY, CHANCE, HOLD, NOT_JUDGED, SUGGESTIVE, SURVIVES, WHOLE
from breadthflow_pipelines.signals.rules import RULES

LEVEL = 0.05  # of every test and, two-sided, of the interval
DRAWS = 10_000  # rotations of the family
BOOTSTRAPS = 1_000  # resamples of the episodes
SEED = 20_011
MIN_EPISODES = 5  # fewer cannot be resampled, and one of them is a fifth of the record
FALLS = (-0.20, -0.10, -0.05)
"""Bounds of the buckets of trailing drawdown: a bear market, a correction, a pullback, and what is less."""


ACCURACY_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "rule": pl.String(),
        "action": pl.String(),
        "horizon": pl.Int32(),
        "era": pl.String(),
        "verdict": pl.String(),
        "reason": pl.String(),  # why it cannot be judged
        "first_session": pl.Date(),  # of those on which it could speak
        "last_session": pl.Date(),
        **dict.fromkeys(("eligible", "events", "open", "left_out", "episodes", "effective_n"), pl.Int32()),
        **dict.fromkeys(("hit_rate", "base_rate", "lift", "lift_low", "lift_high", "detectable"), pl.Float64()),
        **dict.fromkeys(("mean", "base_mean", "median", "base_median", "p10", "p90"), pl.Float64()),
        **dict.fromkeys(("drawdown", "base_drawdown"), pl.Float64()),
        **dict.fromkeys(("hit_rate_from_open", "base_rate_from_open", "mean_from_open"), pl.Float64()),
        **dict.fromkeys(("p_rotation", "p_mean", "base_matched", "p_matched", "p_family", "p_holm"), pl.Float64()),
        "family": pl.String(),
        "family_members": pl.Int32(),
        "basis": pl.String(),
    }
)


@dataclass(frozen=True)
class Chance:
    """What chance gives for one trial. scores: of all rotations, the first being the trial itself."""

    p_rotation: float
    base_matched: float
    p_matched: float
    scores: Floats


@dataclass(frozen=True)
class Judgement:
    """The verdict on one trial, and what it rests on; of one that cannot be judged, the reason."""

    verdict: str
    reason: str | None = None
    chance: Chance | None = None
    p_family: float | None = None
    family: str | None = None
    members: int | None = None


def accuracy(
    signals: pl.DataFrame,
    eligible: pl.DataFrame,
    followed: pl.DataFrame,
    family: Family = FAMILY,
    *,
    registered: bool = True,
) -> pl.DataFrame:
    """The record of every claim in every universe at every horizon and era: ACCURACY_SCHEMA, sorted as it is keyed.

    signals: KEY, rule, action. eligible: ELIGIBLE_SCHEMA, as eligible_sessions gives it. followed: WINDOW_SCHEMA, as
    windows gives it; a universe without any is listed and cannot be judged. All universes that are to be judged as one
    family at once. registered: whether these returns are those that the family was registered for; without, each record
    is judged alone and is never more than suggestive.

    Of the sessions on which the rule could speak and whose window has closed (``eligible``), the ``events`` are those
    on which it did; every session on which a score says buy is one. Windows of other signals are still ``open``, or
    the signal is ``left_out``: its session is not eligible, or its window has no price. Both are told of the whole
    history alone. Rates are shares, returns fractions.

    - hit_rate: events of which the claim came true; base_rate: the same of all eligible sessions; lift: the difference,
      with its 95 % interval. detectable: the smallest hit rate that effective_n windows could have told from the base
      rate by a one-sided binomial test; null where not even all of them right could.
    - mean, median, p10, p90 of the events' returns, and median drawdown on the way; base_: of all eligible sessions.
    - hit_rate_from_open, base_rate_from_open, mean_from_open: the same of entries at the open of the same session; null
      where not all opens are known, as of an index. They decide nothing.
    - p_rotation: share of all rotations of the events with as high a hit rate. p_mean: with as high (sell: as low) a
      mean return, for those who hold portfolios; it decides nothing.
    - base_matched: the hit rate of sessions with the events' trailing drawdowns. p_matched: as p_rotation, of hits less
      what sessions of the same drawdown give, so that buying any dip is no skill.
    - p_family: p_rotation that holds for all ``family_members`` tried at once (``family``); p_holm: Holm's, beside it.
      Null for eras other than ``all``: they are shown, and were not registered as tests.
    """
    held = list(trials(signals, eligible, followed, (*family.claims, *_setups()), family.horizons))
    if registered:
        judgements = judged(held, family, rotation.family_draws(DRAWS, SEED))
    else:
        judgements = [judged_alone(trial) for trial in held]
    rows = []
    for trial, judgement in zip(held, judgements, strict=True):
        for era in eras(trial.claim.rule):
            if era.name == WHOLE:
                rows.append(_row(trial, era, judgement))
            else:
                part = trial.between(era.after, era.through)
                rows.append(_row(part, era, judged_alone(part)))
    table = pl.DataFrame(rows, schema=ACCURACY_SCHEMA)
    told = table.select(n=pl.col("effective_n").cast(pl.Int64), base=pl.col("base_rate").fill_null(1.0))
    least = smallest_told(told["n"].to_numpy(), told["base"].to_numpy(), LEVEL)
    known = table.with_columns(detectable=pl.Series(least, nan_to_null=True)).with_row_index("row")
    return _holm(known).sort("row").drop("row")


def judged(held: Sequence[Trial], family: Family, turns: Floats) -> list[Judgement]:
    """The verdict on each trial over the whole of its history, among all of its family.

    Trials that cannot be judged are not members: by how little there is of them, and not by what it shows, they could
    not have passed.
    """
    found = [judged_alone(trial) for trial in held]
    groups: dict[str, list[int]] = {}
    for i, (trial, alone) in enumerate(zip(held, found, strict=True)):
        if alone.chance is not None:
            groups.setdefault("" if trial.universe in family.universes else trial.universe, []).append(i)
    for group, members in groups.items():
        chances = [found[i].chance for i in members]
        for i, p in zip(members, _for_the_family([chance for chance in chances if chance], turns), strict=True):
            known = replace(found[i], p_family=float(p), family=f"{family.name} {group}".rstrip(), members=len(members))
            found[i] = replace(known, verdict=SURVIVES) if _survives(held[i], known) else known
    return found


def judged_alone(trial: Trial) -> Judgement:
    """The verdict on a trial as if nothing else had been tried: it can be suggestive, and no more."""
    reason = _why_not(trial)
    if reason is not None:
        return Judgement(NOT_JUDGED, reason)
    found = chance(trial)
    verdict = SUGGESTIVE if found.p_rotation <= LEVEL else CHANCE
    return Judgement(verdict, chance=found)


def chance(trial: Trial) -> Chance:
    """Hold a trial with events against all its rotations."""
    right = trial.right.astype(np.float64)
    expected, beyond = _matched(trial.trailing, right)
    sums = rotation.rotated_sums(trial.event, np.stack([right, beyond]))
    hits = np.rint(sums[0])  # they are counts, and what the transform adds is rounding
    return Chance(
        p_rotation=rotation.share_as_high(hits),
        base_matched=float(expected[trial.event].mean()),
        p_matched=rotation.share_as_high(sums[1]),
        scores=rotation.studentised(hits),
    )


def chance_of_the_mean(trial: Trial) -> float:
    """The share of all rotations with as high a mean return, of a sell as low; it decides nothing."""
    better = trial.change if trial.claim.side == BUY else -trial.change
    return rotation.share_as_high(rotation.rotated_sums(trial.event, better))


def _matched(trailing: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The hit rate of each session's bucket of trailing drawdown, and how far each hit or miss lies beyond it.

    In standard deviations of the bucket, so that calm and wild markets weigh alike.
    """
    bucket = np.where(np.isnan(trailing), len(FALLS) + 1, np.digitize(trailing, FALLS))
    sizes, hits = np.bincount(bucket), np.bincount(bucket, weights=right)
    rate = (hits / np.maximum(sizes, 1))[bucket]
    spread = np.sqrt(rate * (1 - rate))
    return rate, np.divide(right - rate, spread, out=np.zeros_like(right), where=spread > 0)


def _for_the_family(chances: Sequence[Chance], turns: Floats) -> Floats:
    """p-values adjusted by the highest score of each draw; none is below the p-value alone, which saw all rotations."""
    observed = np.array([chance.scores[0] for chance in chances])
    draws = np.stack([rotation.drawn(chance.scores, turns) for chance in chances])
    return np.maximum(rotation.adjusted(observed, draws), [chance.p_rotation for chance in chances])


def _holm(table: pl.DataFrame) -> pl.DataFrame:
    """The table with Holm's (1979) adjustment of p_rotation within each family."""
    parts = []
    for part in table.partition_by("family", maintain_order=True):
        if part["family"][0] is not None:
            part = part.with_columns(p_holm=pl.Series(holm(part["p_rotation"].to_numpy())))
        parts.append(part)
    return pl.concat(parts) if parts else table


def _survives(trial: Trial, judgement: Judgement) -> bool:
    found, p_family = judgement.chance, judgement.p_family
    if found is None or p_family is None or max(found.p_rotation, p_family, found.p_matched) > LEVEL:
        return False
    published = RULES[trial.claim.rule].published
    since = trial.between(published, None)
    lasted = published is None or _why_not(since) is not None or _lift(since) > 0
    return lasted and lift_interval(trial)[0] > 0


def _lift(trial: Trial) -> float:
    right = trial.right
    return float(right[trial.event].mean() - right.mean())


def _why_not(trial: Trial) -> str | None:
    """Why a trial cannot be judged, or None."""
    groups = episode_count(trial.events)
    reasons = (
        (not trial.basis, "no index, and no returns of members"),
        (trial.claim.side == HOLD, "it claims nothing"),
        (not len(trial.number), "on no session could it speak and has the window closed"),
        (not groups, "no event"),
        (groups < MIN_EPISODES, f"{groups} of the {MIN_EPISODES} episodes that are needed"),
    )
    for holds, reason in reasons:
        if holds:
            return reason
    n = effective_n(trial.events, trial.horizon)
    if trial.right.mean() ** n > LEVEL:
        return f"with {n} windows that do not overlap, even all of them right could be chance"
    return None


def lift_interval(trial: Trial) -> tuple[float, float]:
    """The 95 % interval of the lift of a trial that can be judged.

    The wider, at each end, of two: the stationary bootstrap of Politis and Romano (1994) over the episodes in their
    order, in blocks of as many as fall into one window on average; and Wilson's (1927) at effective_n, since a record
    without a miss has nothing to resample. The base rate is taken as known: it rests on many times the sessions.
    """
    hit = trial.right[trial.event]
    group = episodes(trial.events)
    sizes, hits = np.bincount(group), np.bincount(group, weights=hit)
    n = effective_n(trial.events, trial.horizon)
    drawn = _resampled(len(sizes), max(1, round(len(sizes) / n)))
    rates = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(rates, (LEVEL / 2, 1 - LEVEL / 2))
    least, most = wilson(float(hit.mean()), n, LEVEL)
    base = trial.right.mean()
    return float(min(low, least) - base), float(max(high, most) - base)


@lru_cache(maxsize=128)
def _resampled(size: int, block: int) -> npt.NDArray[np.int64]:
    return stationary_bootstrap(size, block, BOOTSTRAPS, SEED)


def unlisted(table: pl.DataFrame, universes: Iterable[str], family: Family = FAMILY) -> pl.DataFrame:
    """universe, rule, action, horizon of claims without a record of all of history. table: as accuracy gives it."""
    asked = [
        (universe, claim.rule, claim.side, horizon)
        for universe in universes
        for claim in (*family.claims, *_setups())
        for horizon in family.horizons
    ]
    key = {"universe": pl.String, "rule": pl.String, "action": pl.String, "horizon": pl.Int32}
    return pl.DataFrame(asked, schema=key, orient="row").join(table.filter(era=WHOLE), on=list(key), how="anti")


def _setups() -> tuple[Claim, ...]:
    """Rules that claim nothing: they are listed all the same, with what followed them."""
    return tuple(Claim(name, HOLD) for name, rule in RULES.items() if rule.action == HOLD)


def _row(trial: Trial, era: Era, judgement: Judgement) -> dict[str, Any]:
    found = judgement.chance
    row: dict[str, Any] = {
        "universe": trial.universe,
        "rule": trial.claim.rule,
        "action": trial.claim.side,
        "horizon": trial.horizon,
        "era": era.name,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "p_family": judgement.p_family,
        "family": judgement.family,
        "family_members": judgement.members,
        "basis": trial.basis or None,
        **({"open": trial.open, "left_out": trial.left_out} if era.name == WHOLE else {}),
        **_described(trial),
    }
    if found is not None:
        low, high = lift_interval(trial)
        row |= {
            "p_rotation": found.p_rotation,
            "p_mean": chance_of_the_mean(trial),
            "base_matched": found.base_matched,
            "p_matched": found.p_matched,
            "lift_low": low,
            "lift_high": high,
        }
    return row


def _described(trial: Trial) -> dict[str, Any]:
    """What can be counted of a trial, whether or not it can be judged."""
    events = trial.events
    row: dict[str, Any] = {
        "eligible": len(trial.number),
        "events": len(events),
        "episodes": episode_count(events),
        "effective_n": effective_n(events, trial.horizon),
    }
    if not len(trial.number):
        return row
    row |= {
        "first_session": trial.session[0].item(),
        "last_session": trial.session[-1].item(),
        "base_mean": trial.change.mean(),
        "base_median": np.median(trial.change),
        "base_drawdown": np.median(trial.fall),
    }
    claims = trial.claim.side != HOLD
    if claims:
        row["base_rate"] = trial.right.mean()
    if not len(events):
        return row
    change = trial.change[trial.event]
    p10, p90 = np.quantile(change, (0.1, 0.9))
    row |= {
        "mean": change.mean(),
        "median": np.median(change),
        "p10": p10,
        "p90": p90,
        "drawdown": np.median(trial.fall[trial.event]),
    }
    row |= {"hit_rate": trial.right[trial.event].mean(), "lift": _lift(trial)} if claims else {}
    return row | _from_open(trial)


def _from_open(trial: Trial) -> dict[str, Any]:
    """What entering at the open gives, where opens are known."""
    right = trial.right_from_open
    if right is None:
        return {}
    told = {"mean_from_open": trial.from_open[trial.event].mean()}
    if trial.claim.side == HOLD:
        return told
    return told | {"hit_rate_from_open": right[trial.event].mean(), "base_rate_from_open": right.mean()}
