"""Whether confidence and strength mean what they say: hit rates and relative returns of symbol signals, by sums.

Sums of months add up, so a run reads what is new and no more. Verdicts and what was known when are in symbol_record.py,
how the signals are made in signals/symbols.py, levels of rules for other universes in signals/calibration.py.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.member_windows import Floats, MemberPrices, Numbers, member_prices
from breadthflow_pipelines.evaluation.returns import on_sessions
from breadthflow_pipelines.model.vocabulary import (
    ACTIONS,
    BUY,
    BY_ALL,
    BY_CONFIDENCE,
    BY_STRENGTH,
    COMBINED,
    HOLD,
    HORIZONS,
    MEMBER_KEY,
    SELL,
    WHOLE,
)
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES, VOTE_COLUMNS

BINS = 10  # of confidence, each a tenth wide; and of strength, each a tenth of the session's members
GROUP = ("horizon", "rule", "action", "grouped_by", "bin")
_ADDED = ("signals", "hits", "expected", "relative", "confidence", "missed")
_SQUARES = ("signals_squared", "lift_squared", "lift_signals", "relative_squared", "relative_signals")
SUMS_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "month": pl.Date(),
        "horizon": pl.Int32(),
        "rule": pl.String(),
        "action": pl.String(),
        "grouped_by": pl.String(),
        "bin": pl.Int32(),
        "sessions": pl.Int32(),
        **dict.fromkeys((*_ADDED, *_SQUARES), pl.Float64()),
    }
)
SUMS = tuple(SUMS_SCHEMA)[SUMS_SCHEMA.names().index("sessions") :]
PARTS_SCHEMA = pl.Schema({**SUMS_SCHEMA, "signalled": pl.Date()})  # the first day of the month of the signals


def sessions_closing(
    sessions: pl.DataFrame, exits: tuple[dt.date, dt.date], horizons: Sequence[int] = HORIZONS
) -> list[tuple[dt.date, dt.date]]:
    """First and last session of each stretch whose windows close from the first through the last of ``exits``.

    sessions: session, ordinal. Stretches that touch are one, in order; none where no session lies between the two.
    """
    ordinals = sessions.filter(pl.col("session").is_between(*exits))["ordinal"].cast(pl.Int64).to_list()
    if not ordinals:
        return []
    reach = pl.col("ordinal").is_between(ordinals[0] - 1 - max(horizons), ordinals[-1])
    day = dict(sessions.filter(reach).select("ordinal", "session").iter_rows())
    found: list[tuple[int, int]] = []
    for horizon in sorted(horizons, reverse=True):
        first, last = (max(ordinal - 1 - horizon, min(day)) for ordinal in (ordinals[0], ordinals[-1]))
        if found and first <= found[-1][1] + 1:
            first = found.pop()[0]
        found.append((first, last))
    return [(day[first], day[last]) for first, last in found]


def calibration_sums(
    signals: pl.DataFrame,
    bars: pl.DataFrame,
    sessions: pl.DataFrame,
    exits: tuple[dt.date, dt.date],
    horizons: Sequence[int] = HORIZONS,
) -> pl.DataFrame:
    """What the windows that close from the first through the last of ``exits`` add: SUMS_SCHEMA, sorted.

    signals: MEMBER_KEY, action, confidence, strength, and VOTE_COLUMNS or their signs. bars: as member_prices takes
    them, from the first entry through the last exit. sessions: session, ordinal. Both ends of ``exits`` included.

    month: the first day of the month in which the windows closed: by its end they are all known, and no later bar
    enters it. relative: the return less the mean of all signals of the universe, session and horizon. A buy is right
    where that is above 0, a sell where it is below; of all else, those above 0 are counted.

    Grouped are the COMBINED action by itself (BY_ALL), buys and sells by tenths of their confidence (BY_CONFIDENCE, bin
    0 to 9), all by tenths of the session's strengths (BY_STRENGTH, bin 1 to 10, action WHOLE, ties together); and each
    of SYMBOL_RULES by the sign of its vote (BY_ALL). The sums:

    - sessions, signals; hits: those that were right; expected: as many hits as the same number of any of the session's
      members had; relative; confidence, and missed: the squared distance of confidence from hit (1) or miss (0), both 0
      where a group has no confidence.
    - sums over sessions of squares and products of signals, of the lift (hits less expected) and of relative, from
      which the errors follow: a session's rows fall and rise together.
    """
    if bars.is_empty():
        return SUMS_SCHEMA.to_frame()
    last: dt.date = bars["session"].max()  # type: ignore[assignment]
    prices = member_prices(bars, sessions)
    return added_up(calibration_parts(signals, prices, sessions, (exits[0], min(exits[1], last)), horizons))


def added_up(parts: pl.DataFrame) -> pl.DataFrame:
    """The sums of months of signals, PARTS_SCHEMA, as one: SUMS_SCHEMA, sorted. They are added in the months' order."""
    key = ("universe", "month", *GROUP)
    sums = parts.sort(*key, "signalled").group_by(key, maintain_order=True).agg(pl.col(SUMS).sum())
    return sums.select(pl.col(name).cast(kind) for name, kind in SUMS_SCHEMA.items())


def calibration_parts(
    signals: pl.DataFrame,
    prices: MemberPrices,
    sessions: pl.DataFrame,
    exits: tuple[dt.date, dt.date],
    horizons: Sequence[int] = HORIZONS,
) -> pl.DataFrame:
    """The same by the month of the signals, too: PARTS_SCHEMA. Of other months of signals they come out alike.

    So signals can be taken some whole months at a time, and ``added_up`` gives the very digits of all at once.

    prices: from the first entry through the last exit. exits: the last one no later than the last bar of anybody, which
    may lie beyond these prices.

    Raises:
        BreadthFlowError: a signal lies on a day that is not among the sessions.
    """
    days = sessions.filter(pl.col("session").is_between(*exits))
    if signals.is_empty() or days.is_empty():
        return PARTS_SCHEMA.to_frame()
    rows = (
        on_sessions(signals, sessions, "signals")
        .sort(MEMBER_KEY)
        .with_columns(_tenth().over("universe", "session").alias("tenth"), pl.col("ordinal").cast(pl.Int64))
        .with_columns(cluster=pl.struct("universe", "session").rle_id().cast(pl.Int64))
    )
    clusters = rows.group_by("cluster", maintain_order=True).agg(pl.col("universe", "session", "ordinal").first())
    cluster, ordinal, security = (rows[name].to_numpy() for name in ("cluster", "ordinal", "security_id"))
    measures, months = list(_measures(rows)), days.select("ordinal", month=pl.col("session").dt.truncate("1mo"))
    groups = pl.concat([measure.named for measure in measures])
    firsts = list(accumulate((measure.named.height for measure in measures[:-1]), initial=0))
    closing: list[pl.DataFrame] = []
    cells: list[_Cells] = []
    for horizon in horizons:
        closes = _Closes.of(clusters.with_columns(ordinal=pl.col("ordinal") + 1 + horizon), months, horizon)
        change = prices.changes(ordinal, security, horizon)
        told = np.flatnonzero(np.isfinite(change) & (closes.month >= 0)[cluster])
        moved = _Moved.of(change[told], cluster[told], clusters.height)
        before = sum(part.height for part in closing)
        for measure, first in zip(measures, firsts, strict=True):
            month, group, totals = _summed(measure, told, moved, closes)
            cells.append(_Cells(before + month, first + group, totals))
        closing.append(closes.groups)
    month, group, totals = (np.concatenate(part, axis=-1) for part in zip(*cells, strict=True))
    sums = pl.DataFrame(totals.T, schema=dict.fromkeys(SUMS, pl.Float64))
    found = pl.concat([pl.concat(closing)[month], groups[group], sums], how="horizontal")
    return found.select(pl.col(name).cast(kind) for name, kind in PARTS_SCHEMA.items())


def calibration(sums: pl.DataFrame) -> pl.DataFrame:
    """Of any months, universe, GROUP and what ``rates`` adds, sorted. sums: SUMS_SCHEMA."""
    return rates(sums.group_by("universe", *GROUP).agg(pl.col(SUMS).sum())).sort("universe", *GROUP)


def rates(added: pl.DataFrame) -> pl.DataFrame:
    """What sums come to. added: universe, GROUP, SUMS, and whatever else tells rows apart, which is kept.

    - signals, sessions. hit_rate: as calibration_sums counts hits, null of holds; base_rate: the same of all members of
      the same sessions, so that neither a good time nor a broad market counts as skill; lift: the difference.
    - relative: mean return less that of the session's members, a fraction.
    - lift_error, relative_error: standard errors with sessions as clusters. Windows of neighbouring sessions overlap;
      what that adds is in the verdicts (symbol_record.py) and not here.
    - confidence: the mean of what was said; brier: its mean squared miss as if it were a probability; brier_base: that
      of always saying the base rate; skill: 1 - brier / brier_base, below 0 where the base rate would have been the
      better forecast. Of the COMBINED buys and sells only.
    """
    n = pl.col("signals")
    claims = pl.col("action") != HOLD
    forecast = claims & (pl.col("action") != WHOLE) & (pl.col("rule") == COMBINED)
    rate, base = pl.col("hit_rate"), pl.col("base_rate")
    others: list[str] = [name for name in added.columns if name not in SUMS]
    return (
        added.with_columns(
            hit_rate=pl.when(claims).then(pl.col("hits") / n),
            base_rate=pl.when(claims).then(pl.col("expected") / n),
            lift_error=pl.when(claims).then(_error(pl.col("hits") - pl.col("expected"), "lift")),
            relative_error=_error(pl.col("relative"), "relative"),
            relative=pl.col("relative") / n,
            confidence=pl.when(forecast).then(pl.col("confidence") / n),
            brier=pl.when(forecast).then(pl.col("missed") / n),
        )
        .with_columns(lift=rate - base, brier_base=pl.when(forecast).then(rate - 2 * base * rate + base**2))
        .with_columns(skill=pl.when(pl.col("brier_base") > 0).then(1 - pl.col("brier") / pl.col("brier_base")))
        .select(
            *others,
            n.cast(pl.Int64),
            *("sessions", "hit_rate", "base_rate", "lift", "lift_error"),
            *("relative", "relative_error", "confidence", "brier", "brier_base", "skill"),
        )
    )


def _error(total: pl.Expr, name: str) -> pl.Expr:
    """The standard error of total / signals, whose clusters are sessions: sqrt(sum((x_s - mean * n_s)^2)) / n."""
    mean = total / pl.col("signals")
    squares = pl.col(f"{name}_squared") - 2 * mean * pl.col(f"{name}_signals") + mean**2 * pl.col("signals_squared")
    return pl.max_horizontal(squares, 0.0).sqrt() / pl.col("signals")


@dataclass(frozen=True)
class _Measure:
    """One way to group signals. code: of each signal, which of the groups it belongs to; -1: none.

    groups: action and bin of each. confidence: what was said, or None.
    """

    rule: str
    grouped_by: str
    groups: Sequence[tuple[str, int]]
    code: Numbers
    confidence: Floats | None = None

    @property
    def named(self) -> pl.DataFrame:
        """rule, grouped_by, action and bin of each group."""
        names = ("rule", "grouped_by", "action", "bin")
        rows = [(self.rule, self.grouped_by, *group) for group in self.groups]
        return pl.DataFrame(rows, schema={name: SUMS_SCHEMA[name] for name in names}, orient="row")


class _Cells(NamedTuple):
    """Sums of months and groups, those that have any signals: which month and group each is of, and SUMS by cell."""

    month: Numbers
    group: Numbers
    totals: Floats


def _measures(rows: pl.DataFrame) -> Iterator[_Measure]:
    action = rows["action"].replace_strict({name: i for i, name in enumerate(ACTIONS)}, return_dtype=pl.Int64)
    said, confidence = action.to_numpy(), rows["confidence"].to_numpy()
    plain = [(name, 0) for name in ACTIONS]
    yield _Measure(COMBINED, BY_ALL, plain, said, confidence)
    tenth = np.minimum(np.floor(np.round(BINS * confidence, 9)), BINS - 1).astype(np.int64)
    by_tenth = [(side, i) for side in (BUY, SELL) for i in range(BINS)]
    code = np.where(said == ACTIONS.index(HOLD), -1, said * BINS + tenth)
    yield _Measure(COMBINED, BY_CONFIDENCE, by_tenth, code, confidence)
    yield _Measure(COMBINED, BY_STRENGTH, [(WHOLE, i + 1) for i in range(BINS)], rows["tenth"].to_numpy() - 1)
    signs = {1: ACTIONS.index(BUY), -1: ACTIONS.index(SELL), 0: ACTIONS.index(HOLD)}
    for rule, vote in zip(SYMBOL_RULES, VOTE_COLUMNS, strict=True):
        sign = rows[vote].sign().cast(pl.Int64)
        yield _Measure(rule.name, BY_ALL, plain, sign.replace_strict(signs, default=-1).fill_null(-1).to_numpy())


def _tenth() -> pl.Expr:
    """1 to 10, by the mean rank of ties: ceil(10 * rank / rows), in whole numbers, for a float is a hair above 10."""
    twice = (2 * pl.col("strength").rank("average")).cast(pl.Int64)
    return (BINS * twice + 2 * pl.len().cast(pl.Int64) - 1) // (2 * pl.len().cast(pl.Int64))


@dataclass(frozen=True)
class _Moved:
    """What followed the signals of one horizon, beside the others of their session (cluster)."""

    relative: Floats
    above: npt.NDArray[np.bool_]
    below: npt.NDArray[np.bool_]
    cluster: Numbers
    share_above: Floats  # by cluster
    share_below: Floats

    @staticmethod
    def of(change: Floats, cluster: Numbers, clusters: int) -> "_Moved":
        def added(values: npt.NDArray[np.generic] | None = None) -> Floats:
            return np.bincount(cluster, values, clusters).astype(np.float64)

        size = np.maximum(added(), 1)
        relative = change - (added(change) / size)[cluster]
        above, below = relative > 0, relative < 0
        return _Moved(relative, above, below, cluster, added(above) / size, added(below) / size)


@dataclass(frozen=True)
class _Closes:
    """In which month the windows of each session (cluster) close.

    groups: universe, month, signalled, horizon. month: by cluster, which of them it belongs to; -1: none of them.
    """

    groups: pl.DataFrame
    month: Numbers

    @staticmethod
    def of(exits: pl.DataFrame, months: pl.DataFrame, horizon: int) -> "_Closes":
        """exits: universe and session of each cluster, and ordinal of its exit, in order. months: ordinal, month."""
        key = ("universe", "month", "signalled")
        placed = exits.with_columns(signalled=pl.col("session").dt.truncate("1mo"))
        placed = placed.join(months, on="ordinal", how="left", maintain_order="left").select(key)
        groups = placed.drop_nulls("month").unique().sort(key).with_row_index("place")
        found = placed.join(groups, on=key, how="left", maintain_order="left")["place"]
        wanted = groups.select(*key, horizon=pl.lit(horizon, pl.Int32))
        return _Closes(wanted, found.cast(pl.Int64).fill_null(-1).to_numpy())


def _summed(measure: _Measure, told: Numbers, moved: _Moved, closes: _Closes) -> _Cells:
    """The sums of one measure and horizon: by session first, then by month. told: of which signals moved tells."""
    code = measure.code[told]
    among = np.flatnonzero(code >= 0) if (code < 0).any() else slice(None)
    code = code[among]
    width, height = len(measure.groups), len(closes.month)
    cell = moved.cluster[among] * width + code
    sell = np.array([action == SELL for action, _ in measure.groups])
    right = np.where(sell[code], moved.below[among], moved.above[among])

    def added(values: npt.NDArray[np.generic] | None = None) -> Floats:
        return np.bincount(cell, values, height * width).astype(np.float64).reshape(height, width)

    n, hits, relative = added(), added(right), added(moved.relative[among])
    expected = n * np.where(sell, moved.share_below[:, None], moved.share_above[:, None])
    lift = hits - expected
    said = missed = np.zeros_like(n)
    if measure.confidence is not None:
        confidence = measure.confidence[told][among]
        said, missed = added(confidence), added((confidence - right) ** 2)
    by_session = (
        *(n > 0, n, hits, expected, relative, said, missed),
        *(n * n, lift * lift, lift * n, relative**2, relative * n),
    )
    counted = closes.month >= 0
    target = (closes.month[counted][:, None] * width + np.arange(width)).ravel()
    size = closes.groups.height * width
    totals: Floats = np.stack([np.bincount(target, matrix[counted].ravel(), size) for matrix in by_session])
    some = np.flatnonzero(totals[SUMS.index("signals")])
    month, group = np.divmod(some, width)
    return _Cells(month, group, totals[:, some])
