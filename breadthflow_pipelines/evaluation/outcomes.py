"""What followed: the return, the drawdown and the state of every horizon, from any session and from a signal's.

Whether that was more than chance would have given is in significance.py. The levels are made in returns.py.
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.returns import YEAR, on_sessions
from breadthflow_pipelines.model.vocabulary import BUY, HORIZONS, KEY, SELL, WINDOW_CLOSED, WINDOW_OPEN, WINDOW_UNPRICED

MEAN_FROM = YEAR  # windows that must have closed before their mean is held against one; a year

WINDOW_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "segment": pl.String(),
        "session": pl.Date(),
        "number": pl.Int32(),  # of the session, among those of the calendar
        "horizon": pl.Int32(),
        "state": pl.String(),
        "entry_session": pl.Date(),
        "exit_session": pl.Date(),
        "return": pl.Float64(),
        "return_from_open": pl.Float64(),
        "drawdown": pl.Float64(),
        "base_return": pl.Float64(),
        "excess": pl.Float64(),
        "trailing": pl.Float64(),
        "basis": pl.String(),
    }
)
OUTCOME_COLUMNS = (
    *("signal_id", *KEY, "rule", "action", "horizon", "state", "entry_session", "exit_session"),
    *("return", "base_return", "excess", "drawdown", "hit", "basis", "return_from_open"),
)

_Array = npt.NDArray[np.float64]


def windows(levels: pl.DataFrame, sessions: pl.DataFrame, horizons: Sequence[int] = HORIZONS) -> pl.DataFrame:
    """What followed every session of every series: WINDOW_SCHEMA, sorted by KEY and horizon.

    levels: LEVEL_SCHEMA. sessions: session, ordinal: the exchange's, through the last level or longer. Series are told
    from their first through their last level; ``number`` is the ordinal.

    - One enters at the close of the next session for what is known at a close cannot be traded
      at it, and leaves at the close ``horizon`` sessions after that one.
    - ``return`` is a fraction; ``drawdown`` the deepest fall on the way from the highest level since the entry, 0 or
      less, of closes.
    - ``return_from_open`` is the return of one who enters at the open of the same session already; null where the
      series has no opens.
    - ``base_return`` is the mean return of all windows of the series and horizon that had closed before this one did,
      null before MEAN_FROM of them; ``excess`` is the return less that. Nothing after the exit enters a row, so a
      closed row only ever changes because a price did.
    - ``state``: closed; open (the exit lies beyond the last level), with all figures null; unpriced, where the level
      at the entry or the exit is missing.
    - ``trailing``: how far the level lies below its highest of the last YEAR sessions, known at the session; 0 or less.

    Raises:
        BreadthFlowError: a level lies on a day that is not among the sessions.
    """
    placed = on_sessions(levels, sessions, "levels").sort(KEY)
    calendar = sessions.select("ordinal", "session").sort("ordinal")
    told = [_of_series(one, calendar, horizons) for one in placed.partition_by("universe", "segment")]
    if not told:
        return WINDOW_SCHEMA.to_frame()
    return _with_rest(pl.concat(told)).sort(*KEY, "horizon")


def outcomes(signals: pl.DataFrame, followed: pl.DataFrame) -> pl.DataFrame:
    """The outcome of each signal at each horizon: OUTCOME_COLUMNS, sorted by signal_id and horizon, as it is stored.

    signals: signal_id, KEY, rule, action. followed: as windows gives it. A signal of a series or a session without
    levels has no outcome. ``hit``, of closed ones: a buy whose return is above 0, a sell whose excess is below 0;
    null of a hold, which claims nothing, and of a sell while the mean is unknown.
    """
    hit = pl.when(action=BUY).then(pl.col("return") > 0).when(action=SELL).then(pl.col("excess") < 0)
    return (
        signals.select("signal_id", *KEY, "rule", "action")
        .sort("signal_id")
        .join(followed, on=KEY, maintain_order="left_right")
        .with_columns(hit=hit)
        .select(OUTCOME_COLUMNS)
    )


def revised(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """The closed outcomes that say something else now, with ``return_before``: a price was restated below them.

    before: signal_id, horizon and the figures of outcomes that were closed. now: as outcomes gives it. Outcomes of
    signals that are gone are not among them.
    """
    figures = [name for name in before.columns if name not in ("signal_id", "horizon")]
    both = now.join(before, on=["signal_id", "horizon"], suffix="_before")
    return both.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in figures))


def beyond_horizon(told: pl.DataFrame, sessions: pl.DataFrame, last: dt.date) -> pl.DataFrame:
    """The outcomes that enter elsewhere than on the next session, leave elsewhere than at the horizon, or close later.

    told: session, horizon, state, entry_session, exit_session, and whatever else. sessions: session, ordinal. last: the
    last closed session.
    """
    numbers = sessions.select(day="session", number=pl.col("ordinal").cast(pl.Int64))
    placed = told
    for name in ("session", "entry_session", "exit_session"):
        placed = placed.join(numbers.rename({"day": name, "number": f"{name}_number"}), on=name, how="left")
    entered = pl.col("entry_session_number") - pl.col("session_number") == 1
    left = pl.col("exit_session_number") - pl.col("entry_session_number") == pl.col("horizon")
    known = (pl.col("state") == WINDOW_OPEN) | (pl.col("exit_session") <= last).fill_null(value=False)
    entered = entered.fill_null(pl.col("entry_session").is_null())  # a day that is no session has no number
    left = left.fill_null(pl.col("exit_session").is_null())
    return placed.filter(~(entered & left & known)).select(told.columns)


def _of_series(levels: pl.DataFrame, calendar: pl.DataFrame, horizons: Sequence[int]) -> pl.DataFrame:
    """Of one series, by horizon and session, the columns that need no other row. levels: in order, with ``ordinal``."""
    first, last = levels["ordinal"][0], levels["ordinal"][-1]
    days = calendar.filter(pl.col("ordinal").is_between(first, last))
    known = days.join(levels.drop("session"), on="ordinal", how="left", maintain_order="left")
    close = known["level"].to_numpy()
    entry_price = _later(close, 1)
    before_entry = 1 + _later(known["intraday"].to_numpy(), 1)  # from the open of the entry's session to its close
    change = [_later(close, 1 + horizon) / entry_price - 1 for horizon in horizons]
    falls = _drawdowns(close, entry_price, horizons)
    session = days["session"]
    common = pl.DataFrame(
        {
            "session": session,
            "number": days["ordinal"].cast(pl.Int32),
            "trailing": known.select(
                pl.col("level") / pl.col("level").rolling_max(YEAR, min_samples=1) - 1
            ).to_series(),
            "entry_session": session.shift(-1),
        }
    )
    return pl.concat([common] * len(horizons)).with_columns(
        universe=pl.lit(levels["universe"][0]),
        segment=pl.lit(levels["segment"][0]),
        basis=pl.lit(levels["basis"][0]),
        horizon=pl.Series(np.repeat(np.array(horizons, np.int32), days.height)),
        exit_session=pl.concat([session.shift(-1 - horizon) for horizon in horizons]),
        **{
            "return": pl.Series(np.concatenate(change), nan_to_null=True),
            "return_from_open": pl.Series(
                np.concatenate([(1 + one) * before_entry - 1 for one in change]), nan_to_null=True
            ),
            "drawdown": pl.Series(np.concatenate([falls[horizon] for horizon in horizons]), nan_to_null=True),
        },
    )


def _later(values: _Array, sessions: int) -> _Array:
    """What stands so many sessions later; not a number beyond the end."""
    moved = np.full_like(values, np.nan, dtype=np.float64)
    if sessions < len(values):
        moved[: len(values) - sessions] = values[sessions:]
    return moved


def _drawdowns(close: _Array, entry_price: _Array, horizons: Sequence[int]) -> dict[int, _Array]:
    """The deepest fall on the way of each horizon, for every session at once; sessions without a level are passed."""
    peak, worst, found = entry_price.copy(), np.where(np.isfinite(entry_price), 0.0, np.nan), {}
    for step in range(max(horizons) + 1):
        level = _later(close, 1 + step)
        peak = np.fmax(peak, level)
        worst = np.where(np.isfinite(level), np.fmin(worst, level / peak - 1), worst)
        if step in horizons:
            found[step] = worst
    return found


def _with_rest(told: pl.DataFrame) -> pl.DataFrame:
    """WINDOW_SCHEMA: with states, and what is taken from the windows before, of rows in the order of their sessions.

    Windows of a series and horizon close in that order, so those before are the rows before.
    """
    closed = pl.col("return")
    state = (
        pl.when(pl.col("exit_session").is_null())
        .then(pl.lit(WINDOW_OPEN))
        .when(closed.is_null())
        .then(pl.lit(WINDOW_UNPRICED))
        .otherwise(pl.lit(WINDOW_CLOSED))
    )
    before = closed.is_not_null().cum_sum().shift(1)
    mean = closed.fill_null(0.0).cum_sum().shift(1) / before
    base = pl.when(closed.is_not_null() & (before >= MEAN_FROM)).then(mean)
    return (
        told.with_columns(
            state=state,
            drawdown=pl.when(closed.is_not_null()).then("drawdown"),
            base_return=base.over("universe", "segment", "horizon"),
        )
        .with_columns(excess=closed - pl.col("base_return"))
        .select(WINDOW_SCHEMA.names())
    )
